# Forward propagation without training: blocks of rows walk through all layers, so that their activations stay in cache.

cdef enum:
    ROWS_PER_BLOCK = 264            # as many as a product passes over at a time; with 128, 100,000 rows took 5 to 15 % longer
    ROWS_PER_BLOCK_BLAS = 528       # BLAS copies the weights for every block: layers of 2048 units, 21 %
    BLOCKS_PER_MEMBER = 4           # at least, of a team
    LONG_CALL = 1000000000          # multiply-adds that outlast a time slice: members share such a call as fast as each can
    ROW_WORK_WITH_GIL = 1 << 17     # multiply-adds of one row that are not worth releasing the GIL for


cdef struct Inference:
    Team team
    const Layer* layers
    Py_ssize_t n_layers
    Py_ssize_t widest
    Py_ssize_t block_rows
    Py_ssize_t next_block
    const Rows* X
    const void* params
    void* out                   # (n, n[L]) or NULL
    void** kept                 # L matrices (n, n[l]) or NULL
    const Loss* loss            # or NULL
    const Targets* targets
    double* values              # (n,) the rows' losses, with loss
    char* scratch               # per member: see `inference_scratch`
    Py_ssize_t scratch_size
    Watch watch
    int width


cdef Py_ssize_t inference_scratch(Py_ssize_t block_rows, Py_ssize_t widest, Py_ssize_t item) noexcept nogil:
    """Bytes of one member: two blocks of activations, a panel, the logarithms of softmax sums, class numbers."""
    return (2 * block_rows * widest + block_rows) * item + PANEL_BYTES + block_rows * sizeof(int) + 320


cdef void hidden_forward(const Layer* layer, const Rows* X, const uint32* numbers, Py_ssize_t start, const real* A,
                         const real* params, real* Z, Py_ssize_t rows, real* panel, Watch* watch, int member) noexcept nogil:
    """Z[l] = A[l-1] W[l] + b[l]; A is NULL where the layer reads sparse rows."""
    if A == NULL:
        sparse_forward_product(X, numbers, start, params + layer.W, params + layer.b, Z, rows, layer.n_out)
    else:
        forward_product(A, params + layer.W, params + layer.b, Z, rows, layer.n_in, layer.n_out, panel, watch, member)


cdef void infer_rows(Inference* task, int member, real* unused) noexcept nogil:
    """Blocks of rows, as they come: a helper that slept begins later."""
    cdef Py_ssize_t n = task.X.n, block_rows = task.block_rows, start, rows, l, n_out
    cdef const Layer* layer
    cdef const real* params = <const real*> task.params
    cdef real* halves[2]
    cdef real* panel
    cdef real* log_sum
    cdef real* Z
    cdef int* labels
    cdef const real* A
    cdef char* place = task.scratch + member * task.scratch_size
    halves[0] = <real*> part(&place, block_rows * task.widest * sizeof(real))
    halves[1] = <real*> part(&place, block_rows * task.widest * sizeof(real))
    panel = <real*> part(&place, PANEL_BYTES)
    log_sum = <real*> part(&place, block_rows * sizeof(real))
    labels = <int*> part(&place, block_rows * sizeof(int))
    while True:
        start = take_number(&task.next_block) * block_rows
        if start >= n or ended(&task.watch, member):
            return
        rows = min(n - start, block_rows)
        A = <const real*> task.X.dense + start * task.X.n_columns if task.X.dense != NULL else NULL
        for l in range(task.n_layers):
            layer = task.layers + l
            n_out = layer.n_out
            if task.kept != NULL:
                Z = <real*> task.kept[l] + start * n_out
            elif task.out != NULL and l == task.n_layers - 1:
                Z = <real*> task.out + start * n_out
            else:
                Z = halves[l & 1]
            hidden_forward(layer, task.X, NULL, start, A, params, Z, rows, panel, &task.watch, member)
            if l < task.n_layers - 1:
                activate(layer.activation, layer.alpha, Z, rows * n_out)
            elif task.loss == NULL:
                activate_output(layer, Z, <real*> NULL, log_sum, rows)
            else:
                output_layer(layer, task.loss, Z, <real*> NULL, <real*> NULL,
                             labels_of(task.targets, <int> n_out, NULL, start, rows, labels),
                             <const real*> task.targets.values + start * n_out if task.targets.values != NULL else NULL,
                             <const real*> task.targets.weights + start if task.targets.weights != NULL else NULL,
                             1, task.values + start, log_sum, rows)
            A = Z


cdef void infer_member(int member, void* argument) noexcept nogil:
    cdef Inference* task = <Inference*> argument
    if task.width == cnp.NPY_FLOAT:
        infer_rows[float](task, member, NULL)
    else:
        infer_rows[double](task, member, NULL)


cdef int members_worth_having(double work, int n_threads) noexcept nogil:
    """For `work` multiply-adds: some 50 microseconds' for each, which is what it takes to wake one."""
    return max(<int> min(work / 2.5e6, <double> min(n_threads, TEAM_MAXIMUM)), 1)


cdef int infer(Plan plan, Inference* task, int n_threads) except -1:
    cdef Py_ssize_t item = 4 if task.width == cnp.NPY_FLOAT else 8
    cdef double work = <double> plan.n_weights * task.X.n
    cdef int worth = members_worth_having(work, <int> min(n_threads, task.X.n)), size
    cdef bint reviewed = 1 < worth and work < LONG_CALL
    cdef Py_ssize_t most = ROWS_PER_BLOCK_BLAS if plan.uses_blas else ROWS_PER_BLOCK
    cdef Py_ssize_t blocks = worth * BLOCKS_PER_MEMBER if worth > 1 else 1
    cdef Py_ssize_t block_rows = max(<Py_ssize_t> 1, min(most, (task.X.n + blocks - 1) // blocks))
    cdef TeamSize sizes
    cdef long long began = now_nanoseconds(), now
    size = min(worth, largest_team(n_threads, team_calls(), began))
    if reviewed:
        kind = (plan.sizes, (<object> task.X.n).bit_length(), task.width, worth)
        if not recall_size(&sizes, kind):
            start_team_size(&sizes, worth)
            keep(&sizes, sizes.n_choices - 1, TRIALS_APART * TRIAL_NANOSECONDS)
        reviewed = size >= size_of(&sizes, sizes.choice)
        size = min(size, size_of(&sizes, sizes.choice))
    task.layers = plan.layers
    task.n_layers = plan.n_layers
    task.widest = plan.widest
    task.block_rows = block_rows
    task.scratch_size = (inference_scratch(block_rows, plan.widest, item) + 4095) // 4096 * 4096
    cdef cnp.ndarray scratch = np.empty(size * task.scratch_size, dtype=np.uint8)
    task.scratch = <char*> cnp.PyArray_DATA(scratch)
    start_watch(&task.watch, &task.team)
    with nogil:
        team_run(&task.team, size, infer_member, task)
        if task.watch.orphaned:     # this member knows all rows
            start_watch(&task.watch, &task.team)
            task.next_block = 0
            team_run(&task.team, 1, infer_member, task)
            reviewed = False
    if reviewed:
        now = now_nanoseconds()
        falls_behind(&sizes, now - began, task.X.n)
        note_team(&sizes, now - began, task.X.n, now)
        remember_size(&sizes, kind)
    return raise_if_ended(&task.watch)


def forward(Plan plan not None, cnp.ndarray params not None, X, cnp.ndarray out not None, int n_threads=1):
    """out (m, n[L]) = N(X) for X (m, n[0]), dense or CSR."""
    cdef Inference task
    cdef Rows rows
    memset(&task, 0, sizeof(task))
    task.width = width_of(plan, params)
    take_rows(&rows, X, plan.layers[0].n_in, task.width)
    task.X = &rows
    task.params = cnp.PyArray_DATA(params)
    task.out = check(out, task.width, "out", (rows.n, plan.sizes[plan.n_layers]), True)
    infer(plan, &task, n_threads)


def activations(Plan plan not None, cnp.ndarray params not None, X, list outs not None, int n_threads=1):
    """outs[l - 1] (m, n[l]) = A[l] for l = 1 .. L."""
    cdef Inference task
    cdef Rows rows
    cdef Py_ssize_t l
    cdef void* kept[1024]
    memset(&task, 0, sizeof(task))
    task.width = width_of(plan, params)
    take_rows(&rows, X, plan.layers[0].n_in, task.width)
    outs = list(outs)               # no one else can replace its matrices, into which the task points
    if len(outs) != plan.n_layers or plan.n_layers > 1024:
        raise ValueError(f"outs must hold {plan.n_layers} matrices, at most 1024: got {len(outs)}")
    for l in range(plan.n_layers):
        kept[l] = check(outs[l], task.width, f"outs[{l}]", (rows.n, plan.sizes[l + 1]), True)
    task.X = &rows
    task.params = cnp.PyArray_DATA(params)
    task.kept = kept
    infer(plan, &task, n_threads)


def loss(Plan plan not None, cnp.ndarray params not None, tuple loss, X, y, sample_weight=None, int n_threads=1):
    """The weighted mean over rows of the loss summed over outputs: sum(w * loss) / sum(w)."""
    cdef Inference task
    cdef Rows rows
    cdef Targets targets
    cdef Loss kind
    memset(&task, 0, sizeof(task))
    task.width = width_of(plan, params)
    take_rows(&rows, X, plan.layers[0].n_in, task.width)
    take_loss(&kind, loss, plan.sizes[plan.n_layers])
    take_targets(&targets, y, sample_weight, plan, rows.n, kind.code, task.width)
    values = np.empty(rows.n)
    task.X = &rows
    task.params = cnp.PyArray_DATA(params)
    task.loss = &kind
    task.targets = &targets
    task.values = <double*> cnp.PyArray_DATA(values)
    infer(plan, &task, n_threads)
    return float(values.sum()) / (rows.n if sample_weight is None else float(sample_weight.sum(dtype=np.float64)))


cdef void row_through_layers(const Layer* layers, Py_ssize_t n_layers, Py_ssize_t widest, const real* params, const real* x, real* out,
                             real* scratch) noexcept nogil:
    """One row through all layers, from one row of scratch (two of `widest`) to the other."""
    cdef Py_ssize_t l
    cdef const Layer* layer
    cdef const real* A = x
    cdef real* Z
    cdef real log_sum
    for l in range(n_layers):
        layer = layers + l
        Z = out if l == n_layers - 1 else scratch + (l & 1) * widest
        forward_product(A, params + layer.W, params + layer.b, Z, 1, layer.n_in, layer.n_out, <real*> NULL, NULL, 0)
        if l < n_layers - 1:
            activate(layer.activation, layer.alpha, Z, layer.n_out)
        else:
            activate_output(layer, Z, <real*> NULL, &log_sum, 1)
        A = Z


cdef enum:
    STACK_ROW = 8192


def forward_row(Plan plan not None, cnp.ndarray params not None, x):
    """N(x) (n[L],) for one datapoint x (n[0],): the short way, for a contiguous vector of the parameters' dtype only.

    Raises
    ------
    TypeError
        If x is anything else; the caller then takes the general way.
    """
    cdef int width = cnp.PyArray_TYPE(params)
    cdef Py_ssize_t item = 4 if width == cnp.NPY_FLOAT else 8
    cdef Py_ssize_t scratch_size = 2 * plan.widest * item
    cdef cnp.npy_intp n_out = plan.layers[plan.n_layers - 1].n_out
    cdef char on_stack[STACK_ROW]
    cdef char* scratch = on_stack
    cdef cnp.ndarray row, out
    if not isinstance(x, cnp.ndarray):
        raise TypeError("x is not an array")
    row = <cnp.ndarray> x
    if (cnp.PyArray_NDIM(row) != 1 or cnp.PyArray_TYPE(row) != width or cnp.PyArray_DIM(row, 0) != plan.layers[0].n_in
            or not cnp.PyArray_ISCARRAY_RO(row) or (width != cnp.NPY_FLOAT and width != cnp.NPY_DOUBLE)
            or cnp.PyArray_DIM(params, 0) != plan.n_params or not cnp.PyArray_ISCARRAY_RO(params)):
        raise TypeError("x is not a contiguous vector of the network's dtype and number of inputs")
    out = cnp.PyArray_SimpleNew(1, &n_out, width)
    if scratch_size > STACK_ROW:
        buffer = np.empty(scratch_size, dtype=np.uint8)
        scratch = <char*> cnp.PyArray_DATA(buffer)
    cdef void* theta = cnp.PyArray_DATA(params)
    cdef void* data = cnp.PyArray_DATA(row)
    cdef void* result = cnp.PyArray_DATA(out)
    if plan.n_weights < ROW_WORK_WITH_GIL:
        row_of_width(plan.layers, plan.n_layers, plan.widest, width, theta, data, result, scratch)
    else:
        with nogil:
            row_of_width(plan.layers, plan.n_layers, plan.widest, width, theta, data, result, scratch)
    return out


cdef void row_of_width(const Layer* layers, Py_ssize_t n_layers, Py_ssize_t widest, int width, void* params, void* x, void* out,
                       void* scratch) noexcept nogil:
    if width == cnp.NPY_FLOAT:
        row_through_layers[float](layers, n_layers, widest, <float*> params, <float*> x, <float*> out, <float*> scratch)
    else:
        row_through_layers[double](layers, n_layers, widest, <double*> params, <double*> x, <double*> out, <double*> scratch)
