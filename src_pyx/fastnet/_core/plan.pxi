# The plan of a network: what is known before any data is, and checks of the arrays that calls bring.

cdef class Plan:
    """Sizes, activations and places in the flat parameter vector [W1 .. WL | b1 .. bL] of a chain of dense layers.

    Parameters
    ----------
    sizes : sequence of L + 1 ints
        n[0], the inputs, to n[L], the outputs.
    activations : sequence of L ints
        Codes out of ACTIVATION_CODES; softmax only for the last layer.
    alphas : sequence of L floats
        The activations' parameters (leaky_relu, elu).
    dropouts : sequence of L floats in [0, 1)
        Probability of dropping a unit of each layer's output while training.
    lr_factors, decay_factors : sequence of 2 L floats, optional
        Factors of the learning rate and of the decays for the segments W1 .. WL, b1 .. bL. Default 1 (decay of biases: 0).
    """

    cdef Layer* layers
    cdef readonly Py_ssize_t n_layers
    cdef readonly Py_ssize_t n_params
    cdef readonly Py_ssize_t n_weights
    cdef readonly Py_ssize_t widest         # layer; inputs are read where they lie
    cdef readonly tuple sizes

    def __cinit__(self, sizes, activations, alphas, dropouts, *, lr_factors=None, decay_factors=None):
        cdef Py_ssize_t n = len(activations), i, place = 0
        cdef Layer* layer
        self.sizes = tuple(int(size) for size in sizes)
        if n < 1 or len(self.sizes) != n + 1 or len(alphas) != n or len(dropouts) != n:
            raise ValueError(f"a plan of {n} activations needs {n + 1} sizes, {n} alphas and {n} dropouts")
        total = sum(n_in * n_out + n_out for n_in, n_out in zip(self.sizes, self.sizes[1:]))
        if total > PY_SSIZE_T_MAX // 16:
            raise ValueError(f"sizes {self.sizes} make {total} parameters, more than can be addressed: take smaller layers")
        if lr_factors is None:
            lr_factors = (1.0,) * (2 * n)
        if decay_factors is None:
            decay_factors = (1.0,) * n + (0.0,) * n
        if len(lr_factors) != 2 * n or len(decay_factors) != 2 * n:
            raise ValueError(f"{n} layers have {2 * n} segments: got {len(lr_factors)} lr_factors, {len(decay_factors)} decay_factors")
        self.layers = <Layer*> calloc(n, sizeof(Layer))
        if self.layers == NULL:
            raise MemoryError(f"no memory for the plan of {n} layers")
        self.n_layers = n
        self.widest = max(self.sizes[1:])
        for i in range(n):
            layer = self.layers + i
            if not 1 <= self.sizes[i] <= 2147483647 or not 1 <= self.sizes[i + 1] <= 2147483647:
                raise ValueError(f"layer {i + 1} is {self.sizes[i]} x {self.sizes[i + 1]}: sizes must lie between 1 and 2^31 - 1")
            if not 0 <= activations[i] <= SOFTMAX or (activations[i] == SOFTMAX and i < n - 1):
                raise ValueError(f"layer {i + 1} cannot have activation number {activations[i]}")
            if not 0 <= dropouts[i] < 1 or (dropouts[i] > 0 and i == n - 1):
                raise ValueError(f"dropout of layer {i + 1} must lie in [0, 1), and be 0 for the output layer: got {dropouts[i]}")
            layer.n_in = self.sizes[i]
            layer.n_out = self.sizes[i + 1]
            layer.W = place
            place += layer.n_in * layer.n_out
            layer.activation = activations[i]
            layer.alpha = alphas[i]
            layer.dropout = dropouts[i]
            layer.keeps = derivative_needs_z(layer.activation) or layer.dropout > 0
            layer.W_rate, layer.b_rate = lr_factors[i], lr_factors[n + i]
            layer.W_decay, layer.b_decay = decay_factors[i], decay_factors[n + i]
        self.n_weights = place
        for i in range(n):
            self.layers[i].b = place
            place += self.layers[i].n_out
        self.n_params = place

    def __dealloc__(self):
        free(self.layers)

    @property
    def uses_blas(self):
        """Whether some product of this network is left to BLAS."""
        cdef Py_ssize_t i
        for i in range(self.n_layers):
            if not own_product(self.layers[i].n_in, self.layers[i].n_out):
                return True
        return False


cdef int width_of(Plan plan, cnp.ndarray params) except -1:
    """NPY_FLOAT or NPY_DOUBLE, after checking that params is a flat vector of the plan."""
    cdef int width = cnp.PyArray_TYPE(params)
    if width != cnp.NPY_FLOAT and width != cnp.NPY_DOUBLE:
        raise TypeError(f"params must be float32 or float64, got {params.dtype}")
    check(params, width, "params", (plan.n_params,), False)
    return width


cdef void* check(cnp.ndarray array, int width, str name, tuple shape, bint writable) except? NULL:
    """The array's data, if it is C-contiguous, of the dtype numbered `width` and of the shape (-1: any length)."""
    cdef int i
    if not cnp.PyArray_EquivTypenums(cnp.PyArray_TYPE(array), width):
        raise TypeError(f"{name} must have dtype {cnp.PyArray_DescrFromType(width)}, got {array.dtype}")
    if not cnp.PyArray_ISCARRAY_RO(array) or (writable and not cnp.PyArray_ISWRITEABLE(array)):
        raise ValueError(f"{name} must be C-contiguous, aligned{' and writable' if writable else ''}")
    if cnp.PyArray_NDIM(array) != len(shape):
        raise ValueError(f"{name} must have {len(shape)} dimensions, got {array.ndim}")
    for i in range(len(shape)):
        if shape[i] >= 0 and cnp.PyArray_DIM(array, i) != shape[i]:
            raise ValueError(f"{name} must have shape {shape}, got {(<object> array).shape}".replace("-1", "any"))
    return cnp.PyArray_DATA(array)


cdef int take_rows(Rows* rows, X, Py_ssize_t n_columns, int width) except -1:
    """Fill `rows` from a C-contiguous matrix or a CSR tuple (data, indices, indptr, shape)."""
    rows.dense = rows.data = NULL
    rows.indices = NULL
    rows.indptr = NULL
    rows.n_columns = n_columns
    if not isinstance(X, tuple):
        rows.dense = check(X, width, "X", (-1, n_columns), False)
        rows.n = X.shape[0]
        return 0
    data, indices, indptr, shape = X
    if shape[1] != n_columns:
        raise ValueError(f"X must have {n_columns} columns, got {shape[1]}")
    rows.n = shape[0]
    rows.indptr = <const long long*> check(indptr, cnp.NPY_INT64, "indptr", (rows.n + 1,), False)
    rows.data = check(data, width, "data", (-1,), False)
    rows.indices = <const int*> check(indices, cnp.NPY_INT32, "indices", (len(data),), False)
    check_csr(rows, len(data))
    return 0


cdef int check_csr(const Rows* rows, Py_ssize_t n_entries) except -1:
    """Row ends that do not fall, column numbers that exist and do not fall within a row: the kernels rely on both."""
    cdef Py_ssize_t r
    cdef long long e, start, end
    if rows.indptr[0] != 0 or rows.indptr[rows.n] > n_entries:
        raise ValueError(f"indptr must go from 0 to at most {n_entries}, the entries there are")
    for r in range(rows.n):
        start, end = rows.indptr[r], rows.indptr[r + 1]
        if start > end or end > n_entries:
            raise ValueError(f"indptr must not fall: row {r} goes from {start} to {end}")
        for e in range(start, end):
            if not 0 <= rows.indices[e] < rows.n_columns:
                raise ValueError(f"row {r} has an entry in column {rows.indices[e]}: there are {rows.n_columns} columns")
            if e > start and rows.indices[e] < rows.indices[e - 1]:
                raise ValueError(f"the column numbers of row {r} must be sorted: X.sort_indices() does it")
    return 0


cdef int take_targets(Targets* targets, y, sample_weight, Plan plan, Py_ssize_t n, int code,
                      int width) except -1:
    """Fill `targets` from class numbers (cross-entropy only) or a matrix, and weights or None."""
    cdef Py_ssize_t i, n_outputs = plan.layers[plan.n_layers - 1].n_out
    targets.labels = NULL
    targets.values = targets.weights = NULL
    if code == CROSS_ENTROPY and y.ndim == 1:
        if plan.layers[plan.n_layers - 1].activation != SOFTMAX:
            raise ValueError("class numbers need softmax outputs")
        targets.wide = y.dtype == np.int64
        targets.labels = check(y, cnp.NPY_INT64 if targets.wide else cnp.NPY_INT32, "y", (n,), False)
        for i in range(n):
            if not 0 <= class_number(targets, i) < n_outputs:
                raise ValueError(f"class numbers must lie between 0 and {n_outputs - 1}, got {class_number(targets, i)} in row {i}")
    else:
        targets.values = check(y, width, "y", (n, n_outputs), False)
    if sample_weight is not None:
        targets.weights = check(sample_weight, width, "sample_weight", (n,), False)
    return 0


cdef int take_loss(Loss* loss, tuple spec, Py_ssize_t n_outputs) except -1:
    """Fill `loss` from (code, parameter, levels or None[, ceiling])."""
    loss.code = spec[0]
    loss.parameter = spec[1]
    loss.per_output = NULL
    loss.ceiling = spec[3] if len(spec) > 3 else INFINITY
    if not SQUARED_ERROR <= loss.code <= QUANTILE:
        raise ValueError(f"unknown loss number {loss.code}")
    if loss.code == QUANTILE:
        loss.per_output = <const double*> check(spec[2], cnp.NPY_DOUBLE, "quantile levels", (n_outputs,), False)
    return 0


cdef inline void* part(char** place, Py_ssize_t size) noexcept nogil:
    """The next `size` bytes of a buffer, from a multiple of 64."""
    cdef char* start = <char*> ((<size_t> place[0] + 63) & ~<size_t> 63)
    place[0] = start + size
    return start
