# Pooling: the maximum or the mean of each channel over the positions of a window.
#
#     dims       whether it is the maximum
#     constants  as those of a convolution
#     kept       of the maximum: which position of its window it is at; ties go to the first

cdef int pool_plan(Plan plan, Layer* layer) except -1:
    cdef Windows windows
    check_windows(plan, layer)
    windows = windows_of(layer)
    layer.n_out = windows.lines * windows.columns * layer.constants[2]
    layer.kept = layer.n_out if layer.dims[0] else 0
    layer.cost = <double> windows.lines * windows.columns * windows.runs * windows.run
    return 0


cdef inline Py_ssize_t pool_place(const Layer* layer, const Windows* windows, Py_ssize_t p) noexcept nogil:
    """Where in its window, as it lies in A, a position begins."""
    cdef Py_ssize_t width = layer.constants[4]
    return p // width * windows.line_step + p % width * windows.run_step


cdef void pool_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t channels = layer.constants[2], positions = windows.runs * windows.run // channels, r, i, j, p
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* window
    for r in range(here.rows):
        for i in range(windows.lines):
            for j in range(windows.columns):
                window = A + r * layer.n_in + i * windows.down + j * windows.across
                memcpy(Z, window, channels * sizeof(real))
                if layer.dims[0] and kept != NULL:
                    memset(kept, 0, channels * sizeof(real))
                for p in range(1, positions):
                    if not layer.dims[0]:
                        add_scaled(Z, window + pool_place(layer, &windows, p), <real> 1, channels)
                    elif kept != NULL:
                        take_larger_keeping(Z, kept, window + pool_place(layer, &windows, p), <real> p, channels)
                    else:
                        take_larger(Z, window + pool_place(layer, &windows, p), channels)
                if not layer.dims[0]:
                    divide_by(Z, <real> positions, channels)
                Z += channels
                kept = kept + channels if kept != NULL else NULL


cdef inline void take_larger(real* restrict z, const real* restrict a, Py_ssize_t n) noexcept nogil:
    """z = max(z, a), or NaN if one of them is."""
    cdef Py_ssize_t j
    for j in range(n):
        z[j] = a[j] if a[j] > z[j] or a[j] != a[j] else z[j]


cdef inline void take_larger_keeping(real* restrict z, real* restrict kept, const real* restrict a, real position,
                                     Py_ssize_t n) noexcept nogil:
    """Likewise, with the positions of the maxima."""
    cdef Py_ssize_t j
    cdef bint larger
    for j in range(n):
        larger = a[j] > z[j] or a[j] != a[j]
        kept[j] = position if larger else kept[j]
        z[j] = a[j] if larger else z[j]


cdef inline void divide_by(real* z, real divisor, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        z[j] = z[j] / divisor


cdef void pool_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t channels = layer.constants[2], positions = windows.runs * windows.run // channels, r, i, j, p
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    cdef real* window
    if not accumulate:
        memset(dA, 0, here.rows * layer.n_in * sizeof(real))
    for r in range(here.rows):
        for i in range(windows.lines):
            for j in range(windows.columns):
                window = dA + r * layer.n_in + i * windows.down + j * windows.across
                if layer.dims[0]:
                    for p in range(channels):
                        window[pool_place(layer, &windows, <Py_ssize_t> kept[p]) + p] += dZ[p]
                    kept += channels
                else:
                    for p in range(positions):
                        add_scaled(window + pool_place(layer, &windows, p), dZ, 1 / <real> positions, channels)
                dZ += channels
