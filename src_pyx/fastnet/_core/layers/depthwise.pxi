# Depthwise convolutions, in which a channel of the output looks at the same channel of the input alone (windows as in conv.pxi):
#
#     Z[i, j, c] = b[c] + the sum over k, l of A[i s1 + k d1, j s2 + l d2, c] W[k, l, c]
#
#     constants  height, width, channels; height and width of the kernel; strides; dilations
#     segments   W (height * width of the kernel, channels), b (channels,)

cdef int depthwise_plan(Plan plan, Layer* layer) except -1:
    cdef const int* c = layer.constants
    cdef Windows windows
    check_windows(plan, layer)
    if layer.n_sources != 1:
        plan.refuse(layer, f"a convolution reads one layer, got {layer.n_sources}")
    windows = windows_of(layer)
    layer.n_out = windows.lines * windows.columns * c[2]
    plan.add_segment(layer, <Py_ssize_t> c[3] * c[4], c[2], PENALISED)
    plan.add_segment(layer, 1, c[2], WHOLE_TILE)
    layer.cost = <double> layer.n_out * c[3] * c[4]
    return 0


cdef inline Py_ssize_t tap_place(const int* c, Py_ssize_t k) noexcept nogil:
    """Where in its window, as it lies in A, position k of the kernel is."""
    return (k // c[4] * c[7] * c[1] + k % c[4] * c[8]) * c[2]


cdef void depthwise_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    cdef const int* constants = layer.constants
    cdef Py_ssize_t channels = constants[2], taps = <Py_ssize_t> constants[3] * constants[4], columns, r, i, k
    cdef Windows windows = windows_of(layer)
    cdef const real* lengths = lengths_of_output(layer, here, <real*> NULL)
    cdef const real* W = parameters_of(layer, here, 0, <real*> NULL)
    cdef const real* b = parameters_of(layer, here, 1, <real*> NULL)
    for r in range(here.rows):
        columns = n_positions(lengths, r, windows.columns)
        for i in range(windows.lines):
            for k in range(columns):
                copy_row(Z + k * channels, b, channels * sizeof(real))
            for k in range(taps):
                add_channels(A + i * windows.down + tap_place(constants, k), windows.across, W + k * channels, Z, channels, columns,
                             channels)
            memset(Z + columns * channels, 0, (windows.columns - columns) * channels * sizeof(real))
            Z += windows.columns * channels
        A += layer.n_in


cdef inline void add_channels(const real* restrict x, Py_ssize_t x_step, const real* restrict w, real* restrict z, Py_ssize_t z_step,
                              Py_ssize_t n, Py_ssize_t channels) noexcept nogil:
    """z = z + x * w at n positions, `x_step` and `z_step` numbers apart."""
    cdef Py_ssize_t i, j
    for i in range(n):
        for j in range(channels):
            z[j] = z[j] + x[j] * w[j]
        x += x_step
        z += z_step


cdef void depthwise_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    cdef const int* constants = layer.constants
    cdef Py_ssize_t channels = constants[2], taps = <Py_ssize_t> constants[3] * constants[4], columns, r, i, k
    cdef Windows windows = windows_of(layer)
    cdef const real* lengths = lengths_of_output(layer, here, <real*> NULL)
    cdef const real* W = <const real*> here.params + layer.places[0]
    if not accumulate:
        memset(dA, 0, here.rows * layer.n_in * sizeof(real))
    for r in range(here.rows):
        columns = n_positions(lengths, r, windows.columns)
        for i in range(windows.lines):
            for k in range(taps):
                add_channels(dZ, channels, W + k * channels, dA + i * windows.down + tap_place(constants, k), windows.across, columns,
                             channels)
            dZ += windows.columns * channels
        dA += layer.n_in


cdef void depthwise_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* A, const real* dZ, real* g,
                             Py_ssize_t g_row, bint accumulate) noexcept nogil:
    """dW[k] = the sum over windows of their position k times dZ, by channels, db = the column sums of dZ."""
    cdef const int* constants = layer.constants
    cdef Py_ssize_t channels = constants[2], columns, r, i, j, k
    cdef Windows windows = windows_of(layer)
    cdef const real* lengths = lengths_of_output(layer, here, <real*> NULL)
    cdef const real* a
    if tile.part == 1:
        column_sums(dZ, g, here.rows * windows.lines * windows.columns, channels, accumulate)
        return
    if not accumulate:
        for k in range(tile.rows):
            memset(g + k * g_row, 0, tile.columns * sizeof(real))
    for r in range(here.rows):
        columns = n_positions(lengths, r, windows.columns)
        for i in range(windows.lines):
            for k in range(tile.rows):
                a = A + r * layer.n_in + i * windows.down + tap_place(constants, tile.first_row + k) + tile.first_column
                for j in range(columns):
                    add_channels(a + j * windows.across, 0, dZ + j * channels + tile.first_column, g + k * g_row, 0, 1, tile.columns)
            dZ += windows.columns * channels
