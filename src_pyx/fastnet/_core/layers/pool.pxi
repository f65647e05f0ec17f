# Pooling: the maximum or the mean of each channel over the positions of a window.
#
#     dims       whether it is the maximum
#     sources    A, and perhaps lengths: then the one window of a row ends where the row does
#     constants  as those of a convolution
#     kept       of the maximum: where in its window, as it lies in A, it is; ties go to the first

cdef enum:
    CHANNELS_TOGETHER = 16          # fewer are pooled as so many, where memory goes on: what is beside them is written again later.
                                    # LeNet's epoch took 1.2 times as long with channels one by one


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
    cdef Py_ssize_t channels = layer.constants[2], height = layer.constants[3], width, together, r, i, j
    cdef Py_ssize_t reach = (height - 1) * windows.line_step + (layer.constants[4] - 1) * windows.run_step
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* window
    cdef const real* last_window = A + here.rows * windows.row - reach - CHANNELS_TOGETHER
    cdef const real* last = Z + here.rows * layer.n_out - CHANNELS_TOGETHER
    for r in range(here.rows):
        width = n_positions(lengths, r, layer.constants[4])
        for i in range(windows.lines):
            for j in range(windows.columns):
                window = A + r * windows.row + i * windows.down + j * windows.across
                together = CHANNELS_TOGETHER if channels < CHANNELS_TOGETHER and window <= last_window and Z <= last else channels
                pool_window(layer, &windows, height, width, window, Z, kept, together)
                Z += channels
                kept += channels if kept != NULL else 0


cdef inline void pool_window(const Layer* layer, const Windows* windows, Py_ssize_t height, Py_ssize_t width, const real* A, real* Z,
                             real* kept, Py_ssize_t channels) noexcept nogil:
    """Each channel's maximum or mean; of the maximum the place too, unless `kept` is NULL."""
    cdef Py_ssize_t k, l, place
    cdef real share
    if width == 0:
        memset(Z, 0, channels * sizeof(real))
        return
    share = 1 / <real> (height * width)
    if layer.dims[0]:
        memcpy(Z, A, channels * sizeof(real))
    else:
        memset(Z, 0, channels * sizeof(real))
    if kept != NULL:
        memset(kept, 0, channels * sizeof(real))
    for k in range(height):
        for l in range(width):
            place = k * windows.line_step + l * windows.run_step
            if not layer.dims[0]:
                add_scaled(Z, A + place, share, channels)
            elif kept == NULL:
                take_larger(Z, A + place, channels)
            else:
                take_larger_keeping(Z, kept, A + place, <real> place, channels)


cdef inline void take_larger(real* restrict z, const real* restrict a, Py_ssize_t n) noexcept nogil:
    """z = max(z, a), or NaN if one of them is."""
    cdef Py_ssize_t j
    for j in range(n):
        z[j] = a[j] if (a[j] > z[j]) | (a[j] != a[j]) else z[j]


cdef inline void take_larger_keeping(real* restrict z, real* restrict kept, const real* restrict a, real place,
                                     Py_ssize_t n) noexcept nogil:
    """Likewise, with the places of the maxima."""
    cdef Py_ssize_t j
    cdef bint larger
    for j in range(n):
        larger = (a[j] > z[j]) | (a[j] != a[j])
        kept[j] = place if larger else kept[j]
        z[j] = a[j] if larger else z[j]


cdef void pool_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t channels = layer.constants[2], height = layer.constants[3], width, r, i, j
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    if not accumulate:
        memset(dA, 0, here.rows * windows.row * sizeof(real))
    for r in range(here.rows):
        width = n_positions(lengths, r, layer.constants[4])
        for i in range(windows.lines):
            for j in range(windows.columns):
                if width > 0:
                    slopes_of_window(layer, &windows, height, width, dZ, kept, dA + i * windows.down + j * windows.across, channels)
                dZ += channels
                kept += channels if kept != NULL else 0
        dA += windows.row


cdef inline void slopes_of_window(const Layer* layer, const Windows* windows, Py_ssize_t height, Py_ssize_t width, const real* dZ,
                                  const real* kept, real* dA, Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t k, l, j
    cdef real share = 1 / <real> (height * width)
    if layer.dims[0]:
        for j in range(channels):
            dA[<Py_ssize_t> kept[j] + j] += dZ[j]
        return
    for k in range(height):
        for l in range(width):
            add_scaled(dA + k * windows.line_step + l * windows.run_step, dZ, share, channels)
