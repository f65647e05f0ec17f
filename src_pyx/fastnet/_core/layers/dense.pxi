# Dense: Z = factor A W + b, where one row holds several groups of inputs with weights of their own (the members of an ensemble,
# the features of a table), or several positions with the same weights.
#
#     dims      groups, inputs and outputs of a group, positions, whether there are biases
#     option    factor
#     segments  W (groups * inputs, outputs), b (groups * outputs,)
#
# A row of A is (groups, inputs), or (inputs,) that all groups share, or (positions, inputs); one of Z (groups or positions,
# outputs).

cdef enum:
    D_GROUPS
    D_INPUTS
    D_OUTPUTS
    D_POSITIONS
    D_BIASES


cdef int dense_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t groups = layer.dims[D_GROUPS], n_in = layer.dims[D_INPUTS], n_out = layer.dims[D_OUTPUTS]
    cdef Py_ssize_t positions = layer.dims[D_POSITIONS]
    if not 1 <= n_in <= 2147483647 or not 1 <= n_out <= 2147483647:
        raise ValueError(f"layer {layer.number} is {n_in} x {n_out}: sizes must lie between 1 and 2^31 - 1")
    if groups < 1 or positions < 1 or (groups > 1 and positions > 1) or layer.n_sources != 1:
        plan.refuse(layer, f"{groups} groups at {positions} positions of {layer.n_sources} layers cannot be")
    if layer.n_in != groups * positions * n_in and not (groups > 1 and layer.n_in == n_in):
        plan.refuse(layer, f"dense with {groups} groups of {n_in} inputs at {positions} positions does not fit")
    layer.n_out = groups * positions * n_out
    plan.add_segment(layer, groups * n_in, n_out, PENALISED)
    if layer.dims[D_BIASES]:
        plan.add_segment(layer, 1, groups * n_out, WHOLE_TILE)
    layer.cost = <double> groups * positions * n_in * n_out
    layer.by_blas = not own_product(n_in, n_out)
    layer.sliced = is_long(n_in, n_out)
    plan.needs_panel = plan.needs_panel or positions > 1
    layer.takes_sparse = groups == 1 and positions == 1
    layer.alike = COUNTED + D_POSITIONS if groups == 1 else APART
    return 0


cdef inline Py_ssize_t dense_input_step(const Layer* layer) noexcept nogil:
    """Numbers from the inputs of one group to those of the next, in a row of A."""
    return 0 if layer.n_in == layer.dims[D_INPUTS] else layer.dims[D_INPUTS]


cdef void dense_forward(const Layer* layer, const Pass* here, const real* A, real* Z, Worker* worker) noexcept nogil:
    cdef Py_ssize_t n_in = layer.dims[D_INPUTS], n_out = layer.dims[D_OUTPUTS], step = dense_input_step(layer), g
    cdef const real* W = parameters_of(layer, here, 0, <real*> NULL)
    cdef const real* b = parameters_of(layer, here, 1, <real*> NULL) if layer.dims[D_BIASES] and layer.option == 1 else NULL
    if A == NULL:
        sparse_forward_product(here.X, here.order, here.start, W, b, Z, here.rows, n_out)
    elif layer.dims[D_GROUPS] == 1:
        forward_product(A, n_in, W, b, Z, n_out, here.rows * layer.dims[D_POSITIONS], n_in, n_out, layer.by_blas, worker)
    else:
        for g in range(layer.dims[D_GROUPS]):
            forward_product(A + g * step, layer.n_in, W + g * n_in * n_out, b + g * n_out if b != NULL else NULL, Z + g * n_out,
                            layer.n_out, here.rows, n_in, n_out, layer.by_blas, worker)
    if layer.option != 1:
        scale_rows(Z, <real> layer.option, <const real*> here.params + layer.places[1] if layer.dims[D_BIASES] else NULL,
                   here.rows * layer.dims[D_POSITIONS], layer.dims[D_GROUPS] * n_out)


cdef inline bint has_units(const Layer* layer) noexcept nogil:
    """Whether each of the layer's outputs is a unit with weights of its own, which `units_of_row` can make apart."""
    return layer.kind == DENSE and layer.dims[D_GROUPS] == 1 and layer.dims[D_POSITIONS] == 1 and HAVE_OWN_PRODUCT


cdef void units_of_row(const Layer* layer, const Pass* here, const real* A, Py_ssize_t start, Py_ssize_t stop, real* Z, Py_ssize_t first,
                       Py_ssize_t last) noexcept nogil:
    """What units `first` to `last` take from inputs `start` to `stop` of one row, in addition to those before: with all of them, the bits
    of `dense_forward`."""
    cdef Py_ssize_t n_in = layer.dims[D_INPUTS], n_out = layer.dims[D_OUTPUTS]
    cdef const real* W = <const real*> here.params + layer.places[0]
    cdef const real* b = <const real*> here.params + layer.places[1] + first if layer.dims[D_BIASES] else NULL
    row_product(A + start, W + start * n_out + first, n_out, Z + first if start > 0 else b if layer.option == 1 else NULL, Z + first,
                stop - start, last - first)
    if start < stop == n_in and layer.option != 1:
        scale_rows(Z + first, <real> layer.option, b, 1, last - first)


cdef void scale_rows(real* restrict Z, real factor, const real* restrict b, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """Z = factor Z + b."""
    cdef Py_ssize_t r, j
    if b == NULL:
        for j in range(rows * n):
            Z[j] = factor * Z[j]
        return
    for r in range(rows):
        for j in range(n):
            Z[r * n + j] = factor * Z[r * n + j] + b[j]


cdef void dense_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate, Worker* worker) noexcept nogil:
    """dA = factor dZ W^T."""
    cdef Py_ssize_t n_in = layer.dims[D_INPUTS], n_out = layer.dims[D_OUTPUTS], step = dense_input_step(layer), g
    cdef const real* W = <const real*> here.params + layer.places[0]
    cdef Py_ssize_t rows = here.rows * layer.dims[D_POSITIONS]
    cdef real factor = <real> layer.option
    if factor != 1 and accumulate:          # what is there already must not be scaled with the rest
        scale_rows(dA, 1 / factor, <real*> NULL, here.rows, layer.n_in)
    if layer.dims[D_GROUPS] == 1:
        input_gradient(dZ, n_out, W, dA, n_in, rows, n_in, n_out, accumulate, layer.by_blas, worker)
    else:
        for g in range(layer.dims[D_GROUPS]):
            input_gradient(dZ + g * n_out, layer.n_out, W + g * n_in * n_out, dA + g * step, layer.n_in, rows, n_in, n_out,
                           accumulate or (step == 0 and g > 0), layer.by_blas, worker)
    if factor != 1:
        scale_rows(dA, factor, <real*> NULL, here.rows, layer.n_in)


cdef void dense_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* A, const real* dZ, real* g, Py_ssize_t g_row,
                         bint accumulate, Worker* worker) noexcept nogil:
    """dW = factor A^T dZ, db = the column sums of dZ."""
    cdef Py_ssize_t n_in = layer.dims[D_INPUTS], n_out = layer.dims[D_OUTPUTS], step = dense_input_step(layer)
    cdef Py_ssize_t rows = here.rows * layer.dims[D_POSITIONS], group, row = tile.first_row, end, r, j
    cdef Py_ssize_t a_row = n_in if layer.dims[D_POSITIONS] > 1 else layer.n_in
    cdef Py_ssize_t z_row = n_out if layer.dims[D_POSITIONS] > 1 else layer.n_out
    cdef real factor = <real> layer.option
    if tile.part == 1:
        column_sums(dZ, g, rows, layer.dims[D_GROUPS] * n_out, accumulate)
        return
    if factor != 1 and accumulate:
        for r in range(tile.rows):
            scale_rows(g + r * g_row, 1 / factor, <real*> NULL, 1, tile.columns)
    if A == NULL:
        sparse_weight_gradient(here.X, here.order, here.start, dZ + tile.first_column, n_out, g, g_row, rows, tile.first_row, tile.rows,
                               tile.columns, accumulate)
    else:
        while row < tile.first_row + tile.rows:
            group = row // n_in
            end = min((group + 1) * n_in, tile.first_row + tile.rows)
            weight_gradient(A + group * step + row - group * n_in, a_row, dZ + group * n_out + tile.first_column, z_row,
                            g + (row - tile.first_row) * g_row, g_row, rows, end - row, tile.columns, accumulate, worker)
            row = end
    if factor != 1:
        for r in range(tile.rows):
            scale_rows(g + r * g_row, factor, <real*> NULL, 1, tile.columns)
