# Pooling: the maximum or the mean of each channel over the positions of a window.
#
#     dims       whether it is the maximum
#     sources    A, and perhaps lengths: then the one window of a row ends where the row does
#     constants  as those of a convolution
#     kept       of the maximum: where in its window, as it lies in A, it is; ties go to the first
#
# Lines of windows of up to CHANNELS_TOGETHER channels go to window_kernels.h, as far as memory goes on beside them: what is written there
# is written again later. A window of LeNet's first pool, 6 channels, took 60 cycles one number at a time, 28 with 16 channels taken, and
# less with 8; LeNet as a whole 0.92 of the time with those and with lines made at once.

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


cdef inline bint is_maximum_alone(const Layer* layer) noexcept nogil:
    """Whether a layer is a pool of maxima without lengths, and without an activation of its own."""
    return layer.kind == POOL and layer.dims[0] and layer.n_sources == 1 and layer.lengths == 0 and layer.activation == IDENTITY


cdef void pool_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t channels = layer.constants[2], height = layer.constants[3], width, columns, missing, r, i, j
    cdef Py_ssize_t reach = (height - 1) * windows.line_step + (layer.constants[4] - 1) * windows.run_step
    cdef kernel_places places = places_of(layer, &windows)
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef const real* counts = lengths_of_output(layer, here, <real*> NULL)
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* window
    cdef const real* last_window = A + here.rows * windows.row - reach - CHANNELS_TOGETHER
    cdef const real* last = Z + here.rows * layer.n_out - CHANNELS_TOGETHER
    for r in range(here.rows):
        width = places.width = n_positions(lengths, r, layer.constants[4])
        columns = n_positions(counts, r, windows.columns)
        missing = (windows.columns - columns) * channels
        for i in range(windows.lines):
            window = A + r * windows.row + i * windows.down
            if channels <= CHANNELS_TOGETHER and width > 0 and window + (columns - 1) * windows.across <= last_window \
                    and Z + (columns - 1) * channels <= last:
                pool_line(layer, &places, columns, windows.across, channels, window, Z, kept)
            else:
                for j in range(columns):
                    pool_window(layer, &windows, height, width, window + j * windows.across, Z + j * channels,
                                kept + j * channels if kept != NULL else NULL, channels)
            Z += columns * channels
            memset(Z, 0, missing * sizeof(real))
            Z += missing
            kept += windows.columns * channels if kept != NULL else 0


cdef inline void pool_line(const Layer* layer, const kernel_places* places, Py_ssize_t columns, Py_ssize_t across, Py_ssize_t channels,
                           const real* A, real* Z, real* kept) noexcept nogil:
    if real is float:
        if layer.dims[0]:
            largest_of_linef(places, columns, across, channels, A, Z, kept)
        else:
            means_of_linef(places, columns, across, channels, A, Z)
    elif layer.dims[0]:
        largest_of_lined(places, columns, across, channels, A, Z, kept)
    else:
        means_of_lined(places, columns, across, channels, A, Z)


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


cdef inline bint windows_fill(const Layer* layer, const Windows* windows) noexcept nogil:
    """Whether each position of a row is in just one window."""
    cdef const int* c = layer.constants
    return c[3] == c[5] and c[4] == c[6] and c[7] == 1 and c[8] == 1 and windows.lines * c[3] == c[0] and windows.columns * c[4] == c[1]


cdef void pool_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t channels = layer.constants[2], height = layer.constants[3], width, columns, missing, r, i, j
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef const real* counts = lengths_of_output(layer, here, <real*> NULL)
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    if layer.dims[0] and lengths == NULL and counts == NULL and not accumulate and windows_fill(layer, &windows):
        slopes_of_lines(layer, &windows, dZ, kept, dA, here.rows)
        return
    if not accumulate:
        memset(dA, 0, here.rows * windows.row * sizeof(real))
    for r in range(here.rows):
        width = n_positions(lengths, r, layer.constants[4])
        columns = n_positions(counts, r, windows.columns)
        missing = (windows.columns - columns) * channels
        for i in range(windows.lines):
            for j in range(columns):
                if width > 0:
                    slopes_of_window(layer, &windows, height, width, dZ, kept, dA + i * windows.down + j * windows.across, channels)
                dZ += channels
                kept += channels if kept != NULL else 0
            dZ += missing
            kept += missing if kept != NULL else 0
        dA += windows.row


cdef void slopes_of_lines(const Layer* layer, const Windows* windows, const real* dZ, const real* kept, real* dA,
                          Py_ssize_t rows) noexcept nogil:
    """dA of maxima over windows that fill the rows, from its first number to its last: LeNet's second pool took 1.5 times as long
    with zeros everywhere and then additions where the maxima are."""
    cdef kernel_places places = places_of(layer, windows)
    cdef Py_ssize_t channels = layer.constants[2], line = windows.columns * places.width * channels, i, k, j, l
    cdef const real* last = dZ + rows * layer.n_out - CHANNELS_TOGETHER
    cdef const real* last_slope = dA + rows * windows.row - CHANNELS_TOGETHER
    for i in range(rows * windows.lines):
        for k in range(places.height):
            if channels <= CHANNELS_TOGETHER and dZ + (windows.columns - 1) * channels <= last and dA + line - channels <= last_slope:
                if real is float:
                    slopes_of_linef(k, &places, windows.columns, channels, dZ, kept, dA)
                else:
                    slopes_of_lined(k, &places, windows.columns, channels, dZ, kept, dA)
            else:
                for j in range(windows.columns):
                    for l in range(places.width):
                        slopes_at(dZ + j * channels, kept + j * channels, <real> (k * windows.line_step + l * channels),
                                  dA + (j * places.width + l) * channels, channels)
            dA += line
        dZ += windows.columns * channels
        kept += windows.columns * channels


cdef inline void slopes_at(const real* restrict dZ, const real* restrict kept, real place, real* restrict dA,
                           Py_ssize_t channels) noexcept nogil:
    """dA of one place of a window: the slopes of the channels that have their maximum there."""
    cdef Py_ssize_t j
    for j in range(channels):
        dA[j] = dZ[j] if kept[j] == place else 0


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
