# Convolutions (cross-correlations) of rows with positions, channels last, and the border of zeros that goes before them:
#
#     Z[i, j] = b + the sum over k, l of A[i s1 + k d1, j s2 + l d2] W[k, l]
#
# A series is an image of one line. The windows of a line of outputs overlap in memory and lie `across` apart: where they are in one
# piece, or many, they are a matrix that products read where it lies. Others are copied first: many lines then make one product. Of one
# channel and few filters, window_kernels.h makes whole lines: of 28 x 28 x 1 and 6 filters of 5 x 5 an output took 0.4 of the time that
# a copy and its product did, the gradient 0.4 too.
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

cdef extern from "window_kernels.h" nogil:
    struct kernel_places:
        Py_ssize_t height
        Py_ssize_t width
        Py_ssize_t line_step
        Py_ssize_t step
    enum:
        CHANNELS_TOGETHER
    bint convolves_linesf(Py_ssize_t columns, Py_ssize_t filters)
    bint convolves_linesd(Py_ssize_t columns, Py_ssize_t filters)
    void convolve_linef(const kernel_places* kernel, Py_ssize_t columns, Py_ssize_t filters, const float* a, const float* w,
                        const float* bias, float* z)
    void convolve_lined(const kernel_places* kernel, Py_ssize_t columns, Py_ssize_t filters, const double* a, const double* w,
                        const double* bias, double* z)
    Py_ssize_t turned_line_sizef(Py_ssize_t columns, Py_ssize_t filters)
    Py_ssize_t turned_line_sized(Py_ssize_t columns, Py_ssize_t filters)
    void turn_linef(Py_ssize_t columns, Py_ssize_t filters, Py_ssize_t dz_row, const float* dz, float* turned)
    void turn_lined(Py_ssize_t columns, Py_ssize_t filters, Py_ssize_t dz_row, const double* dz, double* turned)
    Py_ssize_t sums_sizef(Py_ssize_t places, Py_ssize_t filters)
    Py_ssize_t sums_sized(Py_ssize_t places, Py_ssize_t filters)
    void add_slopesf(const kernel_places* kernel, Py_ssize_t first, Py_ssize_t n, Py_ssize_t lines, Py_ssize_t columns,
                     Py_ssize_t filters, const float* a, Py_ssize_t down, const float* turned, float* sums)
    void add_slopesd(const kernel_places* kernel, Py_ssize_t first, Py_ssize_t n, Py_ssize_t lines, Py_ssize_t columns,
                     Py_ssize_t filters, const double* a, Py_ssize_t down, const double* turned, double* sums)
    void fold_sumsf(Py_ssize_t n, Py_ssize_t filters, const float* sums, float* g, Py_ssize_t g_row)
    void fold_sumsd(Py_ssize_t n, Py_ssize_t filters, const double* sums, double* g, Py_ssize_t g_row)
    void add_linesf(const kernel_places* window, Py_ssize_t run, Py_ssize_t lines, Py_ssize_t columns, Py_ssize_t down,
                    Py_ssize_t across, const float* x, float* a)
    void add_linesd(const kernel_places* window, Py_ssize_t run, Py_ssize_t lines, Py_ssize_t columns, Py_ssize_t down,
                    Py_ssize_t across, const double* x, double* a)
    void largest_of_linef(const kernel_places* window, Py_ssize_t columns, Py_ssize_t across, Py_ssize_t channels, const float* a,
                          float* z, float* kept)
    void largest_of_lined(const kernel_places* window, Py_ssize_t columns, Py_ssize_t across, Py_ssize_t channels, const double* a,
                          double* z, double* kept)
    void means_of_linef(const kernel_places* window, Py_ssize_t columns, Py_ssize_t across, Py_ssize_t channels, const float* a,
                        float* z)
    void means_of_lined(const kernel_places* window, Py_ssize_t columns, Py_ssize_t across, Py_ssize_t channels, const double* a,
                        double* z)
    void slopes_of_linef(Py_ssize_t k, const kernel_places* window, Py_ssize_t columns, Py_ssize_t channels, const float* dz,
                         const float* kept, float* da)
    void slopes_of_lined(Py_ssize_t k, const kernel_places* window, Py_ssize_t columns, Py_ssize_t channels, const double* dz,
                         const double* kept, double* da)


cdef enum:
    WINDOW_CONSTANTS = 9
    BORDER_CONSTANTS = 7
    MOST_ROOM = 1 << 15          # numbers of windows, or of their gradients, that are made at a time
    WINDOWS_AT_LEAST = 48           # are made at a time, whatever their size
    SHORT_RUN = 12                  # shorter pieces of windows are copied: 28 x 28 x 1 to 6 filters of 5 x 5 took 3 times as long
    TURNED_TOGETHER = 1 << 13       # numbers of slopes of one channel's lines, which stay in the first-level cache
    LONG_LINE = 64                  # of windows: shorter ones, of a few steps each, make one product of many for the gradient
    FEW_WINDOWS = 8                 # where a line has fewer, they are: 8 x 8 pixels took 1.2 times as long; with 64, 32 x 32 x 16 did


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


cdef struct WindowWalk:
    # Over windows in their order, of all rows: where one lies in A. Divisions take longer than the copy of a short run.
    Py_ssize_t place
    Py_ssize_t line
    Py_ssize_t column


cdef inline WindowWalk walk_from(const Windows* windows, Py_ssize_t number) noexcept nogil:
    cdef WindowWalk walk
    cdef Py_ssize_t here = number % (windows.lines * windows.columns)
    walk.line, walk.column = here // windows.columns, here % windows.columns
    walk.place = number // (windows.lines * windows.columns) * windows.row + walk.line * windows.down + walk.column * windows.across
    return walk


cdef inline void walk_on(const Windows* windows, WindowWalk* walk, Py_ssize_t n) noexcept nogil:
    """By n windows, at most to the end of the line."""
    walk.column += n
    walk.place += n * windows.across
    if walk.column == windows.columns:
        walk.column = 0
        walk.line += 1
        walk.place += windows.down - windows.columns * windows.across
        if walk.line == windows.lines:
            walk.line = 0
            walk.place += windows.row - windows.lines * windows.down


cdef struct WindowRun:
    # A piece of a window that lies together: where it begins, and which it is in its line of the window.
    Py_ssize_t place
    Py_ssize_t part


cdef inline WindowRun run_of(const Windows* windows, Py_ssize_t number) noexcept nogil:
    cdef WindowRun run
    run.place, run.part = run_place(windows, number // windows.run), number // windows.run % windows.runs_of_line
    return run


cdef inline void next_run(const Windows* windows, WindowRun* run) noexcept nogil:
    run.part += 1
    run.place += windows.run_step
    if run.part == windows.runs_of_line:
        run.part = 0
        run.place += windows.line_step - windows.runs_of_line * windows.run_step


cdef inline kernel_places places_of(const Layer* layer, const Windows* windows) noexcept nogil:
    cdef kernel_places places
    places.height, places.width = layer.constants[3], layer.constants[4]
    places.line_step, places.step = windows.line_step, windows.run_step
    return places


cdef inline bint by_lines(const Layer* layer, const Windows* windows, real* unused) noexcept nogil:
    """Whether whole lines of one channel are made."""
    if not lie_together(windows) or windows.runs == 1 or layer.lengths > 0:
        return False
    if real is float:
        return convolves_linesf(windows.columns, layer.dims[0])
    else:
        return convolves_linesd(windows.columns, layer.dims[0])


cdef inline bint copied(const Windows* windows) noexcept nogil:
    """Whether windows are copied before they are multiplied."""
    return windows.runs > 1 and (windows.run < SHORT_RUN or windows.columns < FEW_WINDOWS)


cdef inline bint lie_together(const Windows* windows) noexcept nogil:
    """Whether a number of a window lies beside that of the next: then copies are (numbers of a window, windows), else
    (windows, numbers)."""
    return windows.across == 1


cdef void copy_windows(const Windows* windows, const real* A, Py_ssize_t first, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                       real* to) noexcept nogil:
    """Numbers begin .. end of n windows."""
    cdef WindowWalk walk = walk_from(windows, first)
    cdef WindowRun start = run_of(windows, begin), run
    cdef Py_ssize_t within = begin % windows.run, done = 0, some, left, at, p
    if lie_together(windows):
        while done < n:
            some = min(windows.columns - walk.column, n - done)
            run = start
            at = within
            for p in range(end - begin):
                copy_row(to + p * n + done, A + walk.place + run.place + at, some * sizeof(real))
                at += 1
                if at == windows.run:
                    at = 0
                    next_run(windows, &run)
            walk_on(windows, &walk, some)
            done += some
        return
    for done in range(n):
        run = start
        at, left = within, end - begin
        while left > 0:
            some = min(windows.run - at, left)
            copy_row(to, A + walk.place + run.place + at, some * sizeof(real))
            to += some
            left -= some
            at = 0
            next_run(windows, &run)
        walk_on(windows, &walk, 1)


cdef void add_windows(const Windows* windows, const real* x, Py_ssize_t first, Py_ssize_t n, real* A) noexcept nogil:
    """To A, where they lie, n windows are added: whole lines of a row together."""
    cdef WindowWalk walk = walk_from(windows, first)
    cdef kernel_places places
    cdef Py_ssize_t some, lines, i
    places.height, places.width = windows.runs // windows.runs_of_line, windows.runs_of_line
    places.line_step, places.step = windows.line_step, windows.run_step
    while n > 0:
        some = min(windows.columns - walk.column, n)
        lines = max(<Py_ssize_t> 1, min(n // windows.columns, windows.lines - walk.line)) if some == windows.columns else 1
        if real is float:
            add_linesf(&places, windows.run, lines, some, windows.down, windows.across, x, A + walk.place)
        else:
            add_linesd(&places, windows.run, lines, some, windows.down, windows.across, x, A + walk.place)
        for i in range(lines):
            walk_on(windows, &walk, some)
        x += lines * some * windows.runs * windows.run
        n -= lines * some


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
    plan.room = max(plan.room, max(<Py_ssize_t> MOST_ROOM, windows_at_a_time(size) * size))
    if by_lines(layer, &windows, <float*> NULL) or by_lines(layer, &windows, <double*> NULL):
        plan.room = max(plan.room, sums_sizef(size, filters) + max(<Py_ssize_t> TURNED_TOGETHER,
                                                                   turned_line_sizef(windows.columns, filters)))
    return 0


cdef inline Py_ssize_t windows_at_a_time(Py_ssize_t size) noexcept nogil:
    """Windows, or gradients of them, that are made at a time."""
    return max(<Py_ssize_t> WINDOWS_AT_LEAST, MOST_ROOM // size)


cdef inline Py_ssize_t windows_from(const real* lengths, Py_ssize_t places, Py_ssize_t rows, Py_ssize_t* row) noexcept nogil:
    """How many windows follow each other from a row on, none of those that it has at most missing between; the row becomes the one
    after them."""
    cdef Py_ssize_t n = 0, missing = 0
    while row[0] < rows and missing == 0:
        missing = places - n_positions(lengths, row[0], places)
        n += places - missing
        row[0] += 1
    return n


cdef void conv_forward(const Layer* layer, const Pass* here, const real* A, real* Z, Worker* worker) noexcept nogil:
    cdef Windows windows = windows_of(layer)
    cdef const real* lengths = lengths_of_output(layer, here, <real*> NULL)
    cdef Py_ssize_t places = windows.lines * windows.columns, row = 0, first, n
    if by_lines(layer, &windows, <real*> NULL):
        forward_of_channel(layer, here, &windows, A, Z, worker)
        return
    while row < here.rows and not ended(worker):
        first = row * places
        n = windows_from(lengths, places, here.rows, &row)
        if copied(&windows):
            forward_of_copies(layer, here, &windows, A, first, first + n, Z, worker)
        else:
            forward_of_lines(layer, here, &windows, A, first, first + n, Z, worker)
        memset(Z + (first + n) * layer.dims[0], 0, (row * places - first - n) * layer.dims[0] * sizeof(real))


cdef void forward_of_channel(const Layer* layer, const Pass* here, const Windows* windows, const real* A, real* Z,
                             Worker* worker) noexcept nogil:
    cdef kernel_places kernel = places_of(layer, windows)
    cdef Py_ssize_t filters = layer.dims[0], r = 0, i
    cdef const real* W = parameters_of(layer, here, 0, <real*> NULL)
    cdef const real* b = parameters_of(layer, here, 1, <real*> NULL)
    while r < here.rows and not ended(worker):
        for i in range(windows.lines):
            if real is float:
                convolve_linef(&kernel, windows.columns, filters, A + i * windows.down, W, b, Z)
            else:
                convolve_lined(&kernel, windows.columns, filters, A + i * windows.down, W, b, Z)
            Z += windows.columns * filters
        A += windows.row
        r += 1


cdef void forward_of_lines(const Layer* layer, const Pass* here, const Windows* windows, const real* A, Py_ssize_t start, Py_ssize_t end,
                           real* Z, Worker* worker) noexcept nogil:
    """Windows start .. end, which end with a line or are the beginning of one."""
    cdef Py_ssize_t filters = layer.dims[0], k, n
    cdef const real* W = parameters_of(layer, here, 0, <real*> NULL)
    cdef const real* b = parameters_of(layer, here, 1, <real*> NULL)
    cdef WindowWalk walk = walk_from(windows, start)
    while start < end and not ended(worker):
        n = min(windows.columns, end - start)
        for k in range(windows.runs):
            own(n, filters, windows.run, A + walk.place + run_place(windows, k), windows.across, 1, W + k * windows.run * filters,
                filters, 1, Z + start * filters, filters, b if k == 0 else NULL, k > 0, <real*> worker.panel)
        walk_on(windows, &walk, n)
        start += n


cdef void forward_of_copies(const Layer* layer, const Pass* here, const Windows* windows, const real* A, Py_ssize_t start, Py_ssize_t end,
                            real* Z, Worker* worker) noexcept nogil:
    cdef Py_ssize_t filters = layer.dims[0], size = windows.runs * windows.run, step = windows_at_a_time(size), n
    cdef const real* W = parameters_of(layer, here, 0, <real*> NULL)
    cdef const real* b = parameters_of(layer, here, 1, <real*> NULL)
    cdef bint together = lie_together(windows)
    cdef real* room = <real*> worker.room
    Z += start * filters
    while start < end and not ended(worker):
        n = min(step, end - start)
        copy_windows(windows, A, start, n, 0, size, room)
        own(n, filters, size, room, 1 if together else size, n if together else 1, W, filters, 1, Z, filters, b, False,
            <real*> worker.panel)
        Z += n * filters
        start += n


cdef inline Py_ssize_t whole_lines(const Windows* windows, Py_ssize_t n) noexcept nogil:
    """As many windows of n as make whole rows or, if that is none, whole lines."""
    cdef Py_ssize_t of_row = windows.lines * windows.columns
    return n // of_row * of_row if n >= of_row else n // windows.columns * windows.columns if n >= windows.columns else n


cdef void conv_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate, Worker* worker) noexcept nogil:
    """Some windows' gradients at a time, dZ W^T, which are then added where the windows lie."""
    cdef Windows windows = windows_of(layer)
    cdef Py_ssize_t filters = layer.dims[0], size = windows.runs * windows.run, places = windows.lines * windows.columns
    cdef Py_ssize_t step = whole_lines(&windows, windows_at_a_time(size)), row = 0, start, end, n
    cdef const real* lengths = lengths_of_output(layer, here, <real*> NULL)
    cdef const real* W = <const real*> here.params + layer.places[0]
    cdef real* room = <real*> worker.room
    if not accumulate:
        memset(dA, 0, here.rows * layer.n_in * sizeof(real))
    while row < here.rows and not ended(worker):
        start = row * places
        end = start + windows_from(lengths, places, here.rows, &row)
        while start < end and not ended(worker):
            n = min(step, end - start)
            own(n, size, filters, dZ + start * filters, filters, 1, W, 1, filters, room, size, <real*> NULL, False,
                <real*> worker.panel)
            add_windows(&windows, room, start, n, dA)
            start += n


cdef void conv_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* A, const real* dZ, real* g, Py_ssize_t g_row,
                        bint accumulate, Worker* worker) noexcept nogil:
    """dW = the sum over lines of outputs of windows^T dZ, db = the column sums of dZ. A signal leaves it unfinished."""
    cdef Windows windows = windows_of(layer)
    cdef const real* lengths = lengths_of_output(layer, here, <real*> NULL)
    cdef Py_ssize_t filters = layer.dims[0], places = windows.lines * windows.columns, row = 0, r, first, n
    if tile.part == 1:
        column_sums(dZ, g, here.rows * places, filters, accumulate)
        return
    if not accumulate:
        for r in range(tile.rows):
            memset(g + r * g_row, 0, tile.columns * sizeof(real))
    if by_lines(layer, &windows, <real*> NULL):
        gradient_of_channel(layer, here, &windows, tile, A, dZ, g, g_row, worker)
        return
    while row < here.rows and not ended(worker):
        first = row * places
        n = windows_from(lengths, places, here.rows, &row)
        if copied(&windows):
            gradient_of_copies(&windows, tile, A, dZ, first, first + n, filters, g, g_row, worker)
        else:
            gradient_of_lines(&windows, tile, A, dZ, first, first + n, filters, g, g_row, worker)


cdef void gradient_of_channel(const Layer* layer, const Pass* here, const Windows* windows, const Tile* tile, const real* A,
                              const real* dZ, real* g, Py_ssize_t g_row, Worker* worker) noexcept nogil:
    """Vectors of sums over the positions of all lines, whose numbers are added up in the end."""
    cdef kernel_places kernel = places_of(layer, windows)
    cdef Py_ssize_t filters = layer.dims[0], n = tile.columns, r = 0, line, i, lines
    cdef Py_ssize_t size = turned_line_sizef(windows.columns, n) if real is float else turned_line_sized(windows.columns, n)
    cdef Py_ssize_t n_sums = sums_sizef(tile.rows, n) if real is float else sums_sized(tile.rows, n)
    cdef real* sums = <real*> worker.room
    cdef real* turned = sums + n_sums
    memset(sums, 0, n_sums * sizeof(real))
    dZ += tile.first_column
    while r < here.rows and not ended(worker):
        line = 0
        while line < windows.lines:
            lines = min(max(<Py_ssize_t> TURNED_TOGETHER // size, <Py_ssize_t> 1), windows.lines - line)
            for i in range(lines):
                if real is float:
                    turn_linef(windows.columns, n, filters, dZ, turned + i * size)
                else:
                    turn_lined(windows.columns, n, filters, dZ, turned + i * size)
                dZ += windows.columns * filters
            if real is float:
                add_slopesf(&kernel, tile.first_row, tile.rows, lines, windows.columns, n, A + line * windows.down, windows.down, turned,
                            sums)
            else:
                add_slopesd(&kernel, tile.first_row, tile.rows, lines, windows.columns, n, A + line * windows.down, windows.down, turned,
                            sums)
            line += lines
        A += windows.row
        r += 1
    if real is float:
        fold_sumsf(tile.rows, n, sums, g, g_row)
    else:
        fold_sumsd(tile.rows, n, sums, g, g_row)


cdef void gradient_of_lines(const Windows* windows, const Tile* tile, const real* A, const real* dZ, Py_ssize_t start, Py_ssize_t end,
                            Py_ssize_t filters, real* g, Py_ssize_t g_row, Worker* worker) noexcept nogil:
    """What windows start .. end add to a tile, as of `forward_of_lines`; of one line at a time, or of several together."""
    cdef WindowWalk walk = walk_from(windows, start)
    cdef Py_ssize_t n, i, lines, apart = windows.down // windows.across
    cdef real* spread = <real*> worker.room
    dZ += start * filters + tile.first_column
    while start < end and not ended(worker):
        n = min(windows.columns, end - start)
        lines = lines_together(windows, walk.line, tile.columns)
        if lines == 1:
            gradient_of_line(windows, tile, A + walk.place, dZ, n, filters, g, g_row, worker)
        else:
            spread_lines(dZ, lines, n, filters, spread, apart, tile.columns)
            gradient_of_line(windows, tile, A + walk.place, spread, (lines - 1) * apart + n, tile.columns, g, g_row, worker)
        for i in range(lines):
            walk_on(windows, &walk, n)
        dZ += lines * n * filters
        start += lines * n


cdef inline Py_ssize_t lines_together(const Windows* windows, Py_ssize_t line, Py_ssize_t columns) noexcept nogil:
    """How many lines of slopes, from one of a row on, make one product: windows that reach over the end of a line are then counted
    with slopes of zero, and must be few."""
    cdef Py_ssize_t apart = windows.down // windows.across
    if windows.down % windows.across or windows.columns >= LONG_LINE or 2 * (apart - windows.columns) > windows.columns:
        return 1
    return max(<Py_ssize_t> 1, min(windows.lines - line, MOST_ROOM // (apart * columns)))


cdef inline void spread_lines(const real* dZ, Py_ssize_t lines, Py_ssize_t n, Py_ssize_t filters, real* to, Py_ssize_t apart,
                              Py_ssize_t columns) noexcept nogil:
    """Some columns of the slopes of lines of n windows, with zeros between a line and the next, `apart` windows after it."""
    cdef Py_ssize_t i, j
    for i in range(lines):
        for j in range(n):
            copy_row(to + j * columns, dZ + j * filters, columns * sizeof(real))
        if i + 1 < lines:
            memset(to + n * columns, 0, (apart - n) * columns * sizeof(real))
        dZ += n * filters
        to += apart * columns


cdef void gradient_of_line(const Windows* windows, const Tile* tile, const real* A, const real* dZ, Py_ssize_t n_windows,
                           Py_ssize_t dZ_row, real* g, Py_ssize_t g_row, Worker* worker) noexcept nogil:
    """What windows that lie one after the other add to a tile."""
    cdef Py_ssize_t row = tile.first_row, end = tile.first_row + tile.rows, k, n
    while row < end:
        k = row // windows.run
        n = min((k + 1) * windows.run, end) - row
        own(n, tile.columns, n_windows, A + run_place(windows, k) + row - k * windows.run, 1, windows.across,
            dZ, dZ_row, 1, g + (row - tile.first_row) * g_row, g_row, <real*> NULL, True, <real*> worker.panel)
        row += n


cdef void gradient_of_copies(const Windows* windows, const Tile* tile, const real* A, const real* dZ, Py_ssize_t start, Py_ssize_t end,
                             Py_ssize_t filters, real* g, Py_ssize_t g_row, Worker* worker) noexcept nogil:
    cdef Py_ssize_t step = windows_at_a_time(windows.runs * windows.run), n
    cdef bint together = lie_together(windows)
    cdef real* room = <real*> worker.room
    while start < end and not ended(worker):
        n = min(step, end - start)
        copy_windows(windows, A, start, n, tile.first_row, tile.first_row + tile.rows, room)
        own(tile.rows, tile.columns, n, room, n if together else 1, 1 if together else tile.rows,
            dZ + start * filters + tile.first_column, filters, 1, g, g_row, <real*> NULL, True, <real*> worker.panel)
        start += n


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
            copy_or_add(dA + r * layer.n_in + i * line, dZ + r * layer.n_out + (c[3] + i) * step + <Py_ssize_t> c[5] * c[2], line,
                        accumulate)
