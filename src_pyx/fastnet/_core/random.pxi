# The core's own random numbers: shuffles from a xoshiro256++ state, dropout masks from a counter.
#
# A mask depends on (seed, step, layer, row of the batch, unit) and on nothing else, so that it is the same for any number of
# threads and after a checkpoint.

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t fn_rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

    /* xoshiro256++ (Blackman & Vigna 2021) */
    static inline uint64_t fn_next(uint64_t *s)
    {
        const uint64_t result = fn_rotate(s[0] + s[3], 23) + s[0];
        const uint64_t t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = fn_rotate(s[3], 45);
        return result;
    }

    /* A uniform integer below bound <= 2^32: the high half of a product (Lemire 2019); its bias is below 2^-32. */
    static inline uint64_t fn_below(uint64_t *s, uint64_t bound) { return ((fn_next(s) >> 32) * bound) >> 32; }

    /* splitmix64's finaliser: every bit of the result depends on every bit of x. */
    static inline uint64_t fn_mix64(uint64_t x)
    {
        x += 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        return x ^ (x >> 31);
    }

    static inline uint32_t fn_mix32(uint32_t x)
    {
        x ^= x >> 16;
        x *= 0x7feb352du;
        x ^= x >> 15;
        x *= 0x846ca68bu;
        return x ^ (x >> 16);
    }
    """
    uint64 fn_next(uint64* state) nogil
    uint64 fn_below(uint64* state, uint64 bound) nogil
    uint64 fn_mix64(uint64 x) nogil
    uint32 fn_mix32(uint32 x) nogil


cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        void* state
        uint64 (*next_uint64)(void* state) noexcept nogil


def words(rng, Py_ssize_t n):
    """The next n words (n,) uint64 of a `numpy.random.Generator`: what its `integers` gives for the whole range, in a fifth of the
    time."""
    cdef Py_ssize_t i
    cdef cnp.ndarray drawn = np.empty(n, np.uint64)
    cdef uint64* numbers = <uint64*> cnp.PyArray_DATA(drawn)
    cdef bitgen_t* source = <bitgen_t*> PyCapsule_GetPointer(rng.bit_generator.capsule, "BitGenerator")
    with rng.bit_generator.lock:
        for i in range(n):
            numbers[i] = source.next_uint64(source.state)
    return drawn


cdef void shuffle_places(uint32* order, Py_ssize_t n, Py_ssize_t places, uint64* state) noexcept nogil:
    """The first `places` of a Fisher-Yates shuffle: each gets one of the numbers not yet placed, uniformly."""
    cdef Py_ssize_t i, j
    cdef uint32 kept
    for i in range(places):
        j = i + <Py_ssize_t> fn_below(state, n - i)
        kept = order[i]
        order[i] = order[j]
        order[j] = kept


cdef struct Mask:
    # Of a row: which of its units stay.
    uint32 key
    uint32 threshold
    double factor               # of a unit that stays


cdef inline Mask mask_of_row(double rate, uint64 seed, uint64 step, uint64 layer, Py_ssize_t row, Py_ssize_t first_unit) noexcept nogil:
    cdef Mask mask
    cdef uint64 of_layer = seed ^ (layer << 56) ^ (layer >> 8) * <uint64> 0x9e3779b97f4a7c15
    mask.key = <uint32> fn_mix64(fn_mix64(fn_mix64(of_layer) ^ step) ^ <uint64> row) + <uint32> first_unit * <uint32> 0x9e3779b9
    mask.threshold = <uint32> (rate * 4294967296.0)
    mask.factor = 1 / (1 - rate)
    return mask


cdef inline real mask_factor(Mask mask, Py_ssize_t unit, real factor) noexcept nogil:
    """0 with the probability of dropout, else `factor`, the mask's."""
    return factor if fn_mix32(mask.key + <uint32> unit * <uint32> 0x9e3779b9) >= mask.threshold else 0


cdef void drop_units(real* restrict A, real* restrict D, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t first_row, Py_ssize_t first_unit,
                     double rate, uint64 seed, uint64 step, uint64 layer) noexcept nogil:
    """Inverted dropout (Srivastava et al. 2014): A and D times 0 with probability `rate`, else times 1 / (1 - rate)."""
    cdef Py_ssize_t r, j
    cdef Mask mask
    cdef real factor
    cdef real* a
    cdef real* d
    for r in range(rows):
        mask = mask_of_row(rate, seed, step, layer, first_row + r, first_unit)
        a = A + r * n
        d = D + r * n
        for j in range(n):
            factor = mask_factor(mask, j, <real> mask.factor)
            a[j] = a[j] * factor
            d[j] = d[j] * factor


def shuffle(cnp.ndarray order, cnp.ndarray state):
    """Shuffle `order` (uint32) in place, uniformly; `state` (4,) uint64 is advanced."""
    draw(order, len(order), state)


def draw(cnp.ndarray order, Py_ssize_t n, cnp.ndarray state):
    """Put a uniformly random subset of `order` (uint32), in random order, into its first n places."""
    if order.ndim != 1 or cnp.PyArray_TYPE(order) != cnp.NPY_UINT32 or not cnp.PyArray_ISCARRAY(order):
        raise TypeError("order must be a contiguous, writable vector of dtype uint32")
    if state.ndim != 1 or len(state) != 4 or cnp.PyArray_TYPE(state) != cnp.NPY_UINT64 or not cnp.PyArray_ISCARRAY(state):
        raise TypeError("state must be a contiguous, writable vector of 4 uint64")
    if not 0 <= n <= len(order):
        raise ValueError(f"n must lie between 0 and the {len(order)} rows to draw from, got {n}")
    shuffle_places(<uint32*> cnp.PyArray_DATA(order), len(order), n, <uint64*> cnp.PyArray_DATA(state))
