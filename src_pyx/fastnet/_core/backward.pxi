# Backpropagation: the one loop from the last layer to the first, and the gradient of the parameters by tiles.
#
# Tiles depend on the network alone, sums over rows and tiles are taken in their order: results do not depend on the team's size.

cdef enum:
    TILE_COLUMNS = 512
    TILE_ROW_UNIT = 12              # a multiple of the products' row blocks
    TILES_OF_NETWORK = 12           # so many, if that leaves them between these sizes
    TILE_LEAST = 1024
    TILE_MOST = 264 * TILE_COLUMNS  # as many rows as a product passes over at a time; with 192, big took 1 to 4 % longer


cdef bint backward_layers(const Pass* here, Py_ssize_t last, Py_ssize_t first, Worker* worker, real* unused) noexcept nogil:
    """From dZ[last] of some rows to those of all layers that it and the layers down to `first` read and that learn; False if a
    signal has ended the work."""
    cdef Py_ssize_t l
    cdef const Layer* layer
    for l in range(last, first - 1, -1):
        layer = here.layers + l - 1
        if not layer.learns:
            continue
        if layer.each == NULL:
            backward_layer(layer, here, l < last, worker, <real*> NULL)
        else:
            backward_spans(layer, here, l < last, worker, <real*> NULL)
        if here.gradient != NULL:
            gradient_of_layer(layer, here, worker, <real*> NULL)
        if ended(worker):
            return False
    return True


cdef inline real* source_slopes(const Layer* layer, const Pass* here, Py_ssize_t i, real* unused) noexcept nogil:
    """dA of what a layer reads, or NULL if that learns nothing."""
    cdef const Source* source = layer.sources + i
    if source.layer == 0 or not here.layers[source.layer - 1].learns:
        return NULL
    return rows_at(here.dZ, source.layer, source.width, here, <real*> NULL)


cdef inline void backward_layer(const Layer* layer, const Pass* here, bint from_dA, Worker* worker, real* unused) noexcept nogil:
    """To dA of what a layer reads, from its dA or, of the last layer, its dZ."""
    cdef real* dZ = rows_at(here.dZ, layer.number, layer.n_out, here, <real*> NULL)
    cdef real* dA
    cdef Py_ssize_t i
    if from_dA:
        through_activation(layer, here, <real*> NULL)
    for i in range(layer.n_sources):
        dA = source_slopes(layer, here, i, <real*> NULL)
        if dA != NULL or (layer.partial > 0 and i == 0):
            layer_backward(layer, here, i, dZ, dA, worker)


cdef void backward_spans(const Layer* layer, const Pass* here, bint from_dA, Worker* worker, real* unused) noexcept nogil:
    """Of a layer of rows that have lengths, at the positions that there are."""
    cdef Span span
    cdef real* dA
    cdef Py_ssize_t i
    span.end = 0
    while span.end < here.rows:
        span_from(layer, here, span.end, &span, <real*> NULL)
        if span.here.rows > 0:
            backward_layer(layer.each, &span.here, from_dA, worker, <real*> NULL)
        for i in range(layer.n_sources):
            dA = source_slopes(layer.each, &span.here, i, <real*> NULL)
            if dA != NULL and not layer.sources[i].accumulates \
                    and not minds_lengths(here.layers + layer.sources[i].layer - 1, layer.lengths):
                clear_missing(&span, dA, layer.each.sources[i].width)


cdef inline void through_activation(const Layer* layer, const Pass* here, real* unused) noexcept nogil:
    """dZ of a layer that is not the last, in the place of its dA."""
    cdef real* dZ = rows_at(here.dZ, layer.number, layer.n_out, here, <real*> NULL)
    if layer.keeps:
        multiply_into(rows_at(here.D, layer.number, layer.n_out, here, <real*> NULL), dZ, here.rows * layer.n_out)
    else:
        multiply_derivative(layer.trained_activation, layer.alpha, output_rows(layer, here, <real*> NULL), dZ, here.rows * layer.n_out)


cdef void gradient_of_layer(const Layer* layer, const Pass* here, Worker* worker, real* unused) noexcept nogil:
    """What some rows add to the gradient of their group."""
    cdef Py_ssize_t part
    cdef const Segment* segment
    cdef Tile tile
    for part in range(layer.n_segments):
        segment = here.segments + layer.first_segment + part
        if not segment.frozen:
            tile = tile_of(segment)
            tile.rows, tile.columns = segment.rows, segment.columns
            tile_gradient(here, &tile, <real*> here.gradient + segment.place, segment.columns, not here.begins, worker)


cdef inline Tile tile_of(const Segment* segment) noexcept nogil:
    """The beginning of a tile: where it lies in its segment is for the caller to say."""
    cdef Tile tile
    memset(&tile, 0, sizeof(Tile))
    tile.layer, tile.part, tile.stride = segment.layer, segment.part, segment.columns
    return tile


cdef inline void tile_gradient(const Pass* here, const Tile* tile, real* g, Py_ssize_t g_row, bint accumulate,
                               Worker* worker) noexcept nogil:
    """A tile of the gradient from all rows of a batch; `g_row` from one of its rows to the next."""
    cdef const Layer* layer = here.layers + tile.layer - 1
    if layer.each == NULL:
        gradient_of_rows(layer, here, tile, g, g_row, accumulate, worker)
    else:
        gradient_of_spans(layer, here, tile, g, g_row, accumulate, worker)


cdef inline void gradient_of_rows(const Layer* layer, const Pass* here, const Tile* tile, real* g, Py_ssize_t g_row, bint accumulate,
                                  Worker* worker) noexcept nogil:
    layer_gradient(layer, here, tile, source_rows(layer, here, 0, <real*> NULL),
                   <const real*> rows_at(here.dZ, tile.layer, layer.n_out, here, <real*> NULL), g, g_row, accumulate, worker)


cdef void gradient_of_spans(const Layer* layer, const Pass* here, const Tile* tile, real* g, Py_ssize_t g_row, bint accumulate,
                            Worker* worker) noexcept nogil:
    """Of a layer of rows that have lengths, from the positions that there are. A signal leaves it unfinished."""
    cdef Span span
    cdef Py_ssize_t r
    for r in range(0 if accumulate else tile.rows):
        memset(g + r * g_row, 0, tile.columns * sizeof(real))
    span.end = 0
    while span.end < here.rows and not ended(worker):
        span_from(layer, here, span.end, &span, <real*> NULL)
        if span.here.rows > 0:
            gradient_of_rows(layer.each, &span.here, tile, g, g_row, True, worker)


cdef double squares_of_pieces(const real* x, Py_ssize_t stride, const Tile* tile) noexcept nogil:
    """Sum of squares of a tile's elements in x, whose rows are `stride` apart."""
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(tile.pieces):
        total += sum_of_squares(x + i * stride, tile.length)
    return total


cdef Py_ssize_t lay_tiles(Plan plan, Tile* tiles, Py_ssize_t* largest) noexcept:
    """Fill `tiles`, unless it is NULL, and return how many there are and how many elements the largest has.

    Layer by layer, its last segment first; frozen segments have none.
    """
    cdef Py_ssize_t l, part, n = 0
    cdef const Layer* layer
    largest[0] = 0
    for l in range(plan.n_layers):
        layer = plan.layers + l
        for part in range(layer.n_segments - 1, -1, -1):
            n += lay_tiles_of(plan, layer.first_segment + part, tiles + n if tiles != NULL else NULL, largest)
    return n


cdef double uses_of(Plan plan, const Layer* layer) noexcept:
    """How often a row of data uses a parameter of the layer for a tile: once in a dense one, at each position in a convolution."""
    cdef Py_ssize_t part, n = 1
    if layer.partial > 0:
        return 1
    for part in range(layer.n_segments):
        n += plan.segments[layer.first_segment + part].rows * plan.segments[layer.first_segment + part].columns
    return max(1.0, layer.cost / n)


cdef Py_ssize_t lay_tiles_of(Plan plan, Py_ssize_t number, Tile* tiles, Py_ssize_t* largest) noexcept:
    """The tiles of one segment."""
    cdef const Segment* segment = plan.segments + number
    cdef Py_ssize_t size = max(<Py_ssize_t> TILE_LEAST, min(plan.n_penalised // TILES_OF_NETWORK, <Py_ssize_t> TILE_MOST))
    cdef Py_ssize_t row = 0, column, n = 0, rows = segment.rows, columns = segment.columns
    cdef double uses = uses_of(plan, plan.layers + segment.layer - 1)
    cdef Tile tile
    if segment.frozen:
        return 0
    if not segment.whole:
        columns = min(segment.columns, <Py_ssize_t> TILE_COLUMNS)
        rows = (size // columns + TILE_ROW_UNIT - 1) // TILE_ROW_UNIT * TILE_ROW_UNIT
    largest[0] = max(largest[0], min(rows, segment.rows) * min(columns, segment.columns))
    tile = tile_of(segment)
    tile.segment = number
    while row < segment.rows:
        tile.first_row = row
        tile.rows = min(rows, segment.rows - row)
        column = 0
        while column < segment.columns:
            tile.first_column = column
            tile.columns = min(columns, segment.columns - column)
            tile.place = segment.place + row * segment.columns + column
            tile.pieces = 1 if tile.columns == segment.columns else tile.rows
            tile.length = tile.rows * tile.columns // tile.pieces
            tile.work = uses * tile.rows * tile.columns
            if tiles != NULL:
                tiles[n] = tile
            n += 1
            column += tile.columns
        row += tile.rows
    return n
