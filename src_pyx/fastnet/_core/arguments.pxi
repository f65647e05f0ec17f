# Checks of the arrays that calls bring, and where they point.

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


cdef int take_rows(Rows* rows, X, Plan plan, int width) except -1:
    """Fill `rows` from a C-contiguous matrix or a CSR tuple (data, indices, indptr, shape)."""
    cdef Py_ssize_t n_columns = plan.sizes[0]
    rows.dense = rows.data = NULL
    rows.indices = NULL
    rows.indptr = NULL
    rows.n_columns = n_columns
    if isinstance(X, tuple) and not plan.takes_sparse:
        raise ValueError("X is sparse, which Dense layers of a network of one member can read, but not others: give X.toarray()")
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
    """Fill `targets` from class numbers (cross-entropy only; of each position, if they have targets) or a matrix, and weights or
    None."""
    cdef Py_ssize_t i, n_outputs = plan.n_outputs // plan.n_positions
    cdef bint of_positions = plan.n_positions > 1
    cdef tuple shape = (n,)
    targets.labels = NULL
    targets.values = targets.weights = NULL
    if of_positions and (code != CROSS_ENTROPY or sample_weight is None):
        raise ValueError("targets of positions are class numbers, with the rows' weights")
    if of_positions:
        shape = (n, plan.n_positions)
    if code == CROSS_ENTROPY and (y.ndim == 1 or of_positions):
        if plan.layers[plan.n_layers - 1].activation != SOFTMAX:
            raise ValueError("class numbers need softmax outputs")
        targets.wide = y.dtype == np.int64
        targets.labels = check(y, cnp.NPY_INT64 if targets.wide else cnp.NPY_INT32, "y", shape, False)
        for i in range(n * plan.n_positions):
            if not -of_positions <= class_number(targets, i) < n_outputs:
                raise ValueError(f"class numbers must lie between {-of_positions} and {n_outputs - 1}, got {class_number(targets, i)} "
                                 f"in row {i // plan.n_positions}")
    else:
        targets.values = check(y, width, "y", (n, n_outputs), False)
    if sample_weight is not None:
        targets.weights = check(sample_weight, width, "sample_weight", (n,), False)
    return 0


cdef int take_loss(Loss* loss, tuple spec, Plan plan) except -1:
    """Fill `loss` from (code, parameter, levels or None[, ceiling[, of_mean]])."""
    loss.code = spec[0]
    loss.parameter = spec[1]
    loss.per_output = NULL
    loss.ceiling = spec[3] if len(spec) > 3 else INFINITY
    loss.n_sets = plan.n_members * plan.n_positions
    loss.n_together = plan.n_together * plan.n_positions
    loss.of_positions = plan.n_positions > 1
    loss.of_mean = plan.n_members > 1 and len(spec) > 4 and spec[4]
    if not 0 <= loss.code < N_LOSSES:
        raise ValueError(f"unknown loss number {loss.code}")
    if loss.code == QUANTILE:
        loss.per_output = <const double*> check(spec[2], cnp.NPY_DOUBLE, "quantile levels", (plan.n_outputs,), False)
    return 0


cdef inline void* part(char** place, Py_ssize_t size) noexcept nogil:
    """The next `size` bytes of a buffer, from a multiple of 64."""
    cdef char* start = <char*> ((<size_t> place[0] + 63) & ~<size_t> 63)
    place[0] = start + size
    return start
