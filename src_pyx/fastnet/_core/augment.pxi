# Random changes of rows while they are gathered: rows of a batch are cropped, moved, turned over and made noisy,
# their targets stay.
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
    double smallest                 # share of its lines and columns that a row is cropped to; 1: it is not


cdef int take_augmentation(Augmentation* augmentation, given, Py_ssize_t n_inputs) except -1:
    """From (height, width, channels, down, across, flip, noise, smallest), or None."""
    augmentation.on = given is not None
    if given is None:
        return 0
    augmentation.height, augmentation.width, augmentation.channels = given[:3]
    augmentation.down, augmentation.across, augmentation.flip, augmentation.noise, augmentation.smallest = given[3:]
    if min(given[:3]) < 1 or given[0] * given[1] * given[2] != n_inputs or min(given[3:]) < 0 or not 0 < given[7] <= 1:
        raise ValueError(f"rows of {n_inputs} numbers cannot be augmented by {given}")
    return 0


cdef inline uint32 drawn(uint64 key, uint32 number) noexcept nogil:
    return fn_mix32(<uint32> key + number * <uint32> 0x9e3779b9)


cdef inline Py_ssize_t moved_by(uint64 key, uint32 number, Py_ssize_t most) noexcept nogil:
    """-most .. most, uniformly."""
    return <Py_ssize_t> ((<uint64> drawn(key, number) * <uint64> (2 * most + 1)) >> 32) - most


cdef struct Crop:
    # The part of a row that becomes all of it: line i of the changed row is what is at top + i * share.
    double share
    double top
    double left


cdef inline double place_of(uint64 key, uint32 number, double share, Py_ssize_t n) noexcept nogil:
    """Where `share` of n positions begin, uniformly."""
    return drawn(key, number) / 4294967296.0 * (1 - share) * (n - 1)


cdef inline void take_position(const Augmentation* augmentation, const real* restrict x, const Crop* crop, Py_ssize_t i, Py_ssize_t j,
                               real* restrict to) noexcept nogil:
    """What a cropped row has in line i and column j, between the four positions of the row that are next to it."""
    cdef Py_ssize_t width = augmentation.width, channels = augmentation.channels, c
    cdef double y = crop.top + i * crop.share, z = crop.left + j * crop.share
    cdef Py_ssize_t line = <Py_ssize_t> y, column = <Py_ssize_t> z
    cdef real down = <real> (y - line), across = <real> (z - column), above, below
    cdef const real* here = x + (line * width + column) * channels
    cdef Py_ssize_t right = channels if column + 1 < width else 0
    cdef Py_ssize_t under = width * channels if line + 1 < augmentation.height else 0
    for c in range(channels):
        above = here[c] + across * (here[right + c] - here[c])
        below = here[under + c] + across * (here[under + right + c] - here[under + c])
        to[c] = above + down * (below - above)


cdef void augment_row(const Augmentation* augmentation, const real* restrict x, real* restrict to, uint64 key) noexcept nogil:
    """A changed copy of a row; zeros come in where it is moved."""
    cdef Py_ssize_t height = augmentation.height, width = augmentation.width, channels = augmentation.channels
    cdef Py_ssize_t line = width * channels, i, j, c, source
    cdef Py_ssize_t down = moved_by(key, 0, augmentation.down), across = moved_by(key, 1, augmentation.across)
    cdef bint flips = drawn(key, 2) < augmentation.flip * 4294967296.0
    cdef real angle, sine, cosine, radius
    cdef Crop crop
    crop.share = 1 - drawn(key, 3) / 4294967296.0 * (1 - augmentation.smallest)
    crop.top = place_of(key, 4, crop.share, height)
    crop.left = place_of(key, 5, crop.share, width)
    for i in range(height):
        source = i - down
        if source < 0 or source >= height:
            memset(to + i * line, 0, line * sizeof(real))
            continue
        for j in range(width):
            c = j - across
            if c < 0 or c >= width:
                memset(to + i * line + j * channels, 0, channels * sizeof(real))
                continue
            c = width - 1 - c if flips else c
            if crop.share < 1:
                take_position(augmentation, x, &crop, source, c, to + i * line + j * channels)
            else:
                copy_row(to + i * line + j * channels, x + source * line + c * channels, channels * sizeof(real))
    if augmentation.noise == 0:
        return
    for i in range(0, height * line, 2):                    # two normal numbers of two uniform ones (Box & Muller 1958)
        radius = root_(-2 * log_(<real> ((drawn(key, <uint32> (6 + i)) + 1.0) / 4294967296.0))) * <real> augmentation.noise
        angle = <real> (drawn(key, <uint32> (7 + i)) / 4294967296.0)
        cosine = turn(angle, &sine)
        to[i] = to[i] + radius * cosine
        if i + 1 < height * line:
            to[i + 1] = to[i + 1] + radius * sine
