# Pooling: the maximum or the mean of each channel over the positions of a window.
#
#     dims       whether it is the maximum
#     sources    A, and perhaps lengths: then the one window of a row ends where the row does
#     constants  as those of a convolution
#     kept       of the maximum: where in its window, as it lies in A, it is; ties go to the first

cdef enum:
    FEW_CHANNELS = 12               # fewer are pooled one by one


cdef int pool_plan(Plan plan, Layer* layer) except -1:
    cdef Windows windows
    check_windows(plan, layer)
    check_lengths(plan, layer, 1)
    windows = windows_of(layer)
    if layer.n_sources > 1 and (layer.constants[0] > 1 or windows.columns > 1):
        plan.refuse(layer, "rows with lengths are pooled in one window")
    layer.n_out = windows.lines * windows.columns * layer.constants[2]
    if (windows.runs - 1) // windows.runs_of_line * windows.line_step >= 1 << 24:
        plan.refuse(layer, "windows reach over more than 2^24 numbers of it")
    layer.kept = layer.n_out if layer.dims[0] else 0
    layer.cost = <double> windows.lines * windows.columns * windows.runs * windows.run
    return 0


cdef void pool_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t channels = layer.constants[2], n = here.rows * windows.lines * windows.columns, i
    cdef Py_ssize_t height = layer.constants[3], width
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    for i in range(n):
        width = n_positions(lengths, i, layer.constants[4])
        if width == 0:
            memset(Z + i * channels, 0, channels * sizeof(real))
        elif not layer.dims[0]:
            mean_of_window(&windows, height, width, A + window_place(&windows, i), Z + i * channels, channels)
        elif kept == NULL:
            maximum_of_window(&windows, height, width, A + window_place(&windows, i), Z + i * channels, channels)
        else:
            maximum_kept(&windows, height, width, A + window_place(&windows, i), Z + i * channels, kept + i * channels, channels)


cdef inline void mean_of_window(const Windows* windows, Py_ssize_t height, Py_ssize_t width, const real* A, real* Z,
                                Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t k, l
    cdef real share = 1 / <real> (height * width)
    memset(Z, 0, channels * sizeof(real))
    for k in range(height):
        for l in range(width):
            add_scaled(Z, A + k * windows.line_step + l * windows.run_step, share, channels)


cdef inline void maximum_of_window(const Windows* windows, Py_ssize_t height, Py_ssize_t width, const real* A, real* Z,
                                   Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t k, l
    if channels < FEW_CHANNELS:
        maximum_of_few(windows, height, width, A, Z, <real*> NULL, channels)
        return
    memcpy(Z, A, channels * sizeof(real))
    for k in range(height):
        for l in range(width):
            take_larger(Z, A + k * windows.line_step + l * windows.run_step, channels)


cdef inline void maximum_kept(const Windows* windows, Py_ssize_t height, Py_ssize_t width, const real* A, real* Z, real* kept,
                              Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t k, l, place
    if channels < FEW_CHANNELS:
        maximum_of_few(windows, height, width, A, Z, kept, channels)
        return
    memcpy(Z, A, channels * sizeof(real))
    memset(kept, 0, channels * sizeof(real))
    for k in range(height):
        for l in range(width):
            place = k * windows.line_step + l * windows.run_step
            take_larger_keeping(Z, kept, A + place, <real> place, channels)


cdef inline void maximum_of_few(const Windows* windows, Py_ssize_t height, Py_ssize_t width, const real* A, real* Z, real* kept,
                                Py_ssize_t channels) noexcept nogil:
    """Channel by channel; the places too, unless `kept` is NULL."""
    cdef Py_ssize_t k, l, j, place, best_place
    cdef real best, a
    cdef bint larger
    for j in range(channels):
        best, best_place = A[j], 0
        for k in range(height):
            for l in range(width):
                place = k * windows.line_step + l * windows.run_step
                a = A[place + j]
                larger = (a > best) | (a != a)          # no branch: which is larger cannot be foreseen
                best = a if larger else best
                best_place = place if larger else best_place
        Z[j] = best
        if kept != NULL:
            kept[j] = <real> best_place


cdef inline void take_larger(real* restrict z, const real* restrict a, Py_ssize_t n) noexcept nogil:
    """z = max(z, a), or NaN if one of them is."""
    cdef Py_ssize_t j
    for j in range(n):
        z[j] = a[j] if a[j] > z[j] or a[j] != a[j] else z[j]


cdef inline void take_larger_keeping(real* restrict z, real* restrict kept, const real* restrict a, real place,
                                     Py_ssize_t n) noexcept nogil:
    """Likewise, with the places of the maxima."""
    cdef Py_ssize_t j
    cdef bint larger
    for j in range(n):
        larger = a[j] > z[j] or a[j] != a[j]
        kept[j] = place if larger else kept[j]
        z[j] = a[j] if larger else z[j]


cdef void pool_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t channels = layer.constants[2], n = here.rows * windows.lines * windows.columns, i, k, l, j
    cdef Py_ssize_t height = layer.constants[3], width
    cdef real share
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    cdef real* window
    if not accumulate:
        memset(dA, 0, here.rows * windows.row * sizeof(real))
    for i in range(n):
        window = dA + window_place(&windows, i)
        width = n_positions(lengths, i, layer.constants[4])
        if width == 0:
            continue
        if layer.dims[0]:
            for j in range(channels):
                window[<Py_ssize_t> kept[i * channels + j] + j] += dZ[i * channels + j]
        else:
            share = 1 / <real> (height * width)
            for k in range(height):
                for l in range(width):
                    add_scaled(window + k * windows.line_step + l * windows.run_step, dZ + i * channels, share, channels)
