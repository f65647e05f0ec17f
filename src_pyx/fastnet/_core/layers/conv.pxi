# Convolutions (cross-correlations) of rows with positions, channels last, and the border of zeros that goes before them:
#
#     Z[i, j] = b + the sum over k, l of A[i s1 + k d1, j s2 + l d2] W[k, l]
#
# A series is an image of one line. The windows of a line of outputs overlap in memory and lie `across` apart: they are a matrix, which
# products read where it lies. Of a window, `run` numbers at a time lie side by side; where they are few, windows are copied first.
#
# Convolution:
#     dims       filters
#     constants  height, width, channels; height and width of the kernel; strides; dilations
#     segments   W (height * width * channels, filters), b (filters,)
#
# Border:
#     constants  height, width, channels; zeros above, below, left, right
#
# A row of A is (height, width, channels).

cdef enum:
    WINDOW_CONSTANTS = 9
    BORDER_CONSTANTS = 7
    MOST_ROOM = 1 << 15          # numbers of windows, or of their gradients, that are made at a time
    SHORT_RUN = 12                  # shorter ones are copied: 28 x 28 x 1 to 6 filters of 5 x 5 takes 10 instead of 34 microseconds


cdef struct Windows:
    Py_ssize_t lines                # of windows, and how many a line has
    Py_ssize_t columns
    Py_ssize_t down                 # numbers from a window to the one below it, and to the next of the line
    Py_ssize_t across
    Py_ssize_t runs                 # pieces of a window that lie together, and the numbers of each
    Py_ssize_t run
    Py_ssize_t runs_of_line         # of the window, and the numbers from one to the next, and from line to line
    Py_ssize_t run_step
    Py_ssize_t line_step
    Py_ssize_t row                  # numbers of a row of A


cdef Windows windows_of(const Layer* layer) noexcept nogil:
    cdef const int* c = layer.constants
    cdef Py_ssize_t channels = c[2], line = c[1] * channels
    cdef Windows windows
    windows.lines = (c[0] - 1 - <Py_ssize_t> c[7] * (c[3] - 1)) // c[5] + 1
    windows.columns = (c[1] - 1 - <Py_ssize_t> c[8] * (c[4] - 1)) // c[6] + 1
    windows.down, windows.across = c[5] * line, c[6] * channels
    windows.runs_of_line = 1 if c[8] == 1 else c[4]
    windows.runs, windows.run = c[3] * windows.runs_of_line, c[4] // windows.runs_of_line * channels
    windows.run_step, windows.line_step, windows.row = c[8] * channels, c[7] * line, layer.sources[0].width
    return windows


cdef inline Py_ssize_t run_place(const Windows* windows, Py_ssize_t i) noexcept nogil:
    """Where in its window, as it lies in A, a run begins."""
    return i // windows.runs_of_line * windows.line_step + i % windows.runs_of_line * windows.run_step


cdef inline Py_ssize_t window_place(const Windows* windows, Py_ssize_t number) noexcept nogil:
    """Where in A a window lies, of all those of its rows."""
    cdef Py_ssize_t places = windows.lines * windows.columns, here = number % places
    return number // places * windows.row + here // windows.columns * windows.down + here % windows.columns * windows.across


cdef void copy_windows(const Windows* windows, const real* restrict A, Py_ssize_t n, real* restrict to) noexcept nogil:
    """The first n windows of a line, each a column: n numbers from the same place of them all lie together."""
    cdef Py_ssize_t k, j, i
    cdef const real* place
    for k in range(windows.runs):
        for j in range(windows.run):
            place = A + run_place(windows, k) + j
            if windows.across == 1:
                memcpy(to, place, n * sizeof(real))
            else:
                for i in range(n):
                    to[i] = place[i * windows.across]
            to += n


cdef void add_windows(const Windows* windows, const real* restrict x, Py_ssize_t first, Py_ssize_t n, real* restrict A) noexcept nogil:
    """The way back of `gather_windows`: to A, where they lie, windows are added."""
    cdef Py_ssize_t i, k, j, line
    cdef real* run
    for i in range(n):
        line = window_place(windows, first + i)
        for k in range(windows.runs):
            run = A + line + k % windows.runs_of_line * windows.run_step
            for j in range(windows.run):
                run[j] = run[j] + x[j]
            x += windows.run
            line += windows.line_step if (k + 1) % windows.runs_of_line == 0 else 0


cdef int check_windows(Plan plan, const Layer* layer) except -1:
    cdef const int* c = layer.constants
    if layer.n_constants != WINDOW_CONSTANTS or min([c[i] for i in range(WINDOW_CONSTANTS)]) < 1:
        plan.refuse(layer, f"windows need {WINDOW_CONSTANTS} sizes of at least 1, got {layer.n_constants} numbers")
    sizes = [int(c[i]) for i in range(WINDOW_CONSTANTS)]
    if sizes[0] * sizes[1] * sizes[2] != layer.sources[0].width or any(sizes[7 + i] * (sizes[3 + i] - 1) >= sizes[i] for i in range(2)):
        plan.refuse(layer, f"windows of {sizes[3:5]} with strides {sizes[5:7]} and dilations {sizes[7:]} do not fit {sizes[:3]}")
    return 0


cdef int conv_plan(Plan plan, Layer* layer) except -1:
    cdef Windows windows
    cdef Py_ssize_t filters = layer.dims[0], size
    check_windows(plan, layer)
    if layer.n_sources != 1:
        plan.refuse(layer, f"a convolution reads one layer, got {layer.n_sources}")
    windows = windows_of(layer)
    size = windows.runs * windows.run
    if not 1 <= filters <= 2147483647:
        plan.refuse(layer, f"cannot have {filters} filters")
    layer.n_out = windows.lines * windows.columns * filters
    plan.add_segment(layer, size, filters, PENALISED)
    plan.add_segment(layer, 1, filters, WHOLE_TILE)
    layer.cost = <double> layer.n_out * size
    plan.needs_panel = True
    plan.room = max(plan.room, windows_at_a_time(size) * size)
    return 0


cdef inline Py_ssize_t windows_at_a_time(Py_ssize_t size) noexcept nogil:
    """Windows, or gradients of them, that are made at a time."""
    return max(<Py_ssize_t> 1, MOST_ROOM // size)


cdef void conv_forward(const Layer* layer, const Pass* here, const real* A, real* Z, Worker* worker) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t filters = layer.dims[0], r, i, k
    cdef const real* W = <const real*> here.params + layer.places[0]
    cdef const real* b = <const real*> here.params + layer.places[1]
    for r in range(here.rows):
        for i in range(windows.lines):
            if windows.run < SHORT_RUN:
                line_of_copies(&windows, A + i * windows.down, W, b, Z, filters, worker)
            else:
                for k in range(windows.runs):
                    own(windows.columns, filters, windows.run, A + i * windows.down + run_place(&windows, k), windows.across, 1,
                        W + k * windows.run * filters, filters, 1, Z, filters, b if k == 0 else NULL, k > 0, <real*> worker.panel)
            Z += windows.columns * filters
        A += layer.n_in
        if ended(worker):
            return


cdef void line_of_copies(const Windows* windows, const real* A, const real* W, const real* b, real* Z, Py_ssize_t filters,
                         Worker* worker) noexcept nogil:
    """A line of outputs, from copies of its windows."""
    cdef Py_ssize_t size = windows.runs * windows.run, step = windows_at_a_time(size), first = 0, n
    while first < windows.columns:
        n = min(step, windows.columns - first)
        copy_windows(windows, A + first * windows.across, n, <real*> worker.room)
        own(n, filters, size, <const real*> worker.room, 1, n, W, filters, 1, Z + first * filters, filters, b, False,
            <real*> worker.panel)
        first += n


cdef void conv_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate, Worker* worker) noexcept nogil:
    """Some windows' gradients at a time, dZ W^T, which are then added where the windows lie."""
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t filters = layer.dims[0], size = windows.runs * windows.run, places = windows.lines * windows.columns
    cdef Py_ssize_t step = windows_at_a_time(size), start = 0, n
    cdef const real* W = <const real*> here.params + layer.places[0]
    cdef real* room = <real*> worker.room
    if not accumulate:
        memset(dA, 0, here.rows * layer.n_in * sizeof(real))
    while start < here.rows * places and not ended(worker):
        n = min(step, here.rows * places - start)
        own(n, size, filters, dZ + start * filters, filters, 1, W, 1, filters, room, size, <real*> NULL, False, <real*> worker.panel)
        add_windows(&windows, room, start, n, dA)
        start += n


cdef void conv_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* A, const real* dZ, real* g, Py_ssize_t g_row,
                        bint accumulate, Worker* worker) noexcept nogil:
    """dW = the sum over lines of outputs of windows^T dZ, db = the column sums of dZ. A signal leaves it unfinished."""
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t filters = layer.dims[0], places = windows.lines * windows.columns, r, i
    if tile.part == 1:
        column_sums(dZ, g, here.rows * places, filters, accumulate)
        return
    if not accumulate:
        for r in range(tile.rows):
            memset(g + r * g_row, 0, tile.columns * sizeof(real))
    for r in range(here.rows):
        for i in range(windows.lines):
            if windows.run < SHORT_RUN:
                gradient_of_copies(&windows, tile, A + i * windows.down, dZ, filters, g, g_row, worker)
            else:
                gradient_of_line(&windows, tile, A + i * windows.down, dZ, filters, g, g_row, worker)
            dZ += windows.columns * filters
        A += layer.n_in
        if ended(worker):
            return


cdef void gradient_of_line(const Windows* windows, const Tile* tile, const real* A, const real* dZ, Py_ssize_t filters, real* g,
                           Py_ssize_t g_row, Worker* worker) noexcept nogil:
    """What a line of outputs adds to a tile."""
    cdef Py_ssize_t row = tile.first_row, end = tile.first_row + tile.rows, k, n
    while row < end:
        k = row // windows.run
        n = min((k + 1) * windows.run, end) - row
        own(n, tile.columns, windows.columns, A + run_place(windows, k) + row - k * windows.run, 1, windows.across,
            dZ + tile.first_column, filters, 1, g + (row - tile.first_row) * g_row, g_row, <real*> NULL, True, <real*> worker.panel)
        row += n


cdef void gradient_of_copies(const Windows* windows, const Tile* tile, const real* A, const real* dZ, Py_ssize_t filters, real* g,
                             Py_ssize_t g_row, Worker* worker) noexcept nogil:
    """The same from copies of its windows."""
    cdef Py_ssize_t step = windows_at_a_time(windows.runs * windows.run), first = 0, n
    while first < windows.columns:
        n = min(step, windows.columns - first)
        copy_windows(windows, A + first * windows.across, n, <real*> worker.room)
        own(tile.rows, tile.columns, n, <const real*> worker.room + tile.first_row * n, n, 1, dZ + first * filters + tile.first_column,
            filters, 1, g, g_row, <real*> NULL, True, <real*> worker.panel)
        first += n


cdef int border_plan(Plan plan, Layer* layer) except -1:
    cdef const int* c = layer.constants
    if layer.n_sources != 1 or layer.n_constants != BORDER_CONSTANTS or min([c[i] for i in range(BORDER_CONSTANTS)]) < 0:
        plan.refuse(layer, f"a border needs {BORDER_CONSTANTS} sizes, got {layer.n_constants} numbers")
    height, width, channels, above, below, left, right = [int(c[i]) for i in range(BORDER_CONSTANTS)]
    numbers = (above + height + below) * (left + width + right) * channels
    if height * width * channels != layer.n_in or numbers > 2147483647:
        plan.refuse(layer, f"a border of {above, below, left, right} does not fit {height, width, channels}")
    layer.n_out = layer.cost = numbers
    return 0


cdef void border_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    cdef const int* c = layer.constants
    cdef Py_ssize_t line = <Py_ssize_t> c[1] * c[2], step = (<Py_ssize_t> c[1] + c[5] + c[6]) * c[2], r, i
    memset(Z, 0, here.rows * layer.n_out * sizeof(real))
    for r in range(here.rows):
        for i in range(c[0]):
            memcpy(Z + r * layer.n_out + (c[3] + i) * step + <Py_ssize_t> c[5] * c[2], A + r * layer.n_in + i * line, line * sizeof(real))


cdef void border_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    cdef const int* c = layer.constants
    cdef Py_ssize_t line = <Py_ssize_t> c[1] * c[2], step = (<Py_ssize_t> c[1] + c[5] + c[6]) * c[2], r, i
    for r in range(here.rows):
        for i in range(c[0]):
            copy_or_add(dA + r * layer.n_in + i * line, dZ + r * layer.n_out + (c[3] + i) * step + <Py_ssize_t> c[5] * c[2], line, accumulate)
