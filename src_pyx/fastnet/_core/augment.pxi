# Random changes of rows while they are gathered: rows of a batch are moved, turned over and made noisy, their targets stay.
#
# What happens to a row depends on (seed, step, row of the batch) and on nothing else, as dropout's masks do.

cdef struct Augmentation:
    bint on
    Py_ssize_t height               # of rows (height, width, channels); a series is an image of one line
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t down                 # most lines and columns by which a row is moved, either way
    Py_ssize_t across
    double flip                     # probability that columns are turned over
    double noise                    # standard deviation of what is added to each number


cdef int take_augmentation(Augmentation* augmentation, given, Py_ssize_t n_inputs) except -1:
    """From (height, width, channels, down, across, flip, noise), or None."""
    augmentation.on = given is not None
    if given is None:
        return 0
    augmentation.height, augmentation.width, augmentation.channels = given[:3]
    augmentation.down, augmentation.across, augmentation.flip, augmentation.noise = given[3:]
    if min(given[:3]) < 1 or given[0] * given[1] * given[2] != n_inputs or min(given[3:]) < 0:
        raise ValueError(f"rows of {n_inputs} numbers cannot be augmented by {given}")
    return 0


cdef inline uint32 drawn(uint64 key, uint32 number) noexcept nogil:
    return fn_mix32(<uint32> key + number * <uint32> 0x9e3779b9)


cdef inline Py_ssize_t moved_by(uint64 key, uint32 number, Py_ssize_t most) noexcept nogil:
    """-most .. most, uniformly."""
    return <Py_ssize_t> ((<uint64> drawn(key, number) * <uint64> (2 * most + 1)) >> 32) - most


cdef void augment_row(const Augmentation* augmentation, const real* restrict x, real* restrict to, uint64 key) noexcept nogil:
    """A changed copy of a row; zeros come in where it is moved."""
    cdef Py_ssize_t width = augmentation.width, channels = augmentation.channels, line = width * channels, i, j, c, source
    cdef Py_ssize_t down = moved_by(key, 0, augmentation.down), across = moved_by(key, 1, augmentation.across)
    cdef bint flips = drawn(key, 2) < augmentation.flip * 4294967296.0
    cdef real angle, sine, cosine, radius
    for i in range(augmentation.height):
        source = i - down
        if source < 0 or source >= augmentation.height:
            memset(to + i * line, 0, line * sizeof(real))
            continue
        for j in range(width):
            c = j - across
            if c < 0 or c >= width:
                memset(to + i * line + j * channels, 0, channels * sizeof(real))
            else:
                c = source * line + (width - 1 - c if flips else c) * channels
                copy_row(to + i * line + j * channels, x + c, channels * sizeof(real))
    if augmentation.noise == 0:
        return
    for i in range(0, augmentation.height * line, 2):       # two normal numbers of two uniform ones (Box & Muller 1958)
        radius = root_(-2 * log_(<real> ((drawn(key, <uint32> (3 + i)) + 1.0) / 4294967296.0))) * <real> augmentation.noise
        angle = <real> (drawn(key, <uint32> (4 + i)) / 4294967296.0)
        cosine = turn(angle, &sine)
        to[i] = to[i] + radius * cosine
        if i + 1 < augmentation.height * line:
            to[i + 1] = to[i + 1] + radius * sine
