# Forward propagation without training: blocks of rows walk through all layers, so that their activations stay in cache.

cdef enum:
    ROWS_PER_BLOCK = 264            # as many as a product passes over at a time; with 128, 100,000 rows took 5 to 15 % longer
    ROWS_PER_BLOCK_BLAS = 528       # BLAS copies the weights for every block: layers of 2048 units, 21 %
    BLOCKS_PER_WORKER = 2           # at least, of a team; with 4, 1,000 rows of 784-512-512-10 took 8 % longer
    LONG_CALL = 1000000000          # multiply-adds that outlast a time slice: workers share such a call as fast as each can
    ROW_WORK_WITH_GIL = 1 << 17     # multiply-adds of one row that are not worth releasing the GIL for


cdef struct Inference:
    Team team
    const Layer* layers
    Py_ssize_t n_layers
    Py_ssize_t n_slots
    Py_ssize_t widest
    Py_ssize_t n_members
    Py_ssize_t n_positions      # of the output, with a softmax each
    Py_ssize_t n_outputs
    Py_ssize_t block_rows
    Py_ssize_t next_block
    const Rows* X
    const void* params
    void* out                   # (n, n_outputs), or (n, n_members, n_outputs) if each member's are wanted, or NULL
    bint of_each
    void** kept                 # L matrices (n, n[l]) or NULL
    const Loss* loss            # or NULL
    const Targets* targets
    double* values              # (n,) the rows' losses, with loss
    char* scratch               # per worker
    Py_ssize_t scratch_size
    Py_ssize_t room             # numbers of it for what layers make on their way
    Signals signals
    int width


cdef struct Block:
    # A worker's buffers for a block of rows.
    void** A                    # (L + 1,)
    char* slots                 # for outputs of layers
    Head head
    char* panel
    char* room                  # for what layers make on their way


cdef Block lay_block(char** place, const Inference* task) noexcept nogil:
    cdef Block block
    cdef Py_ssize_t item = 4 if task.width == cnp.NPY_FLOAT else 8, rows = task.block_rows
    cdef Loss no_loss
    cdef Targets no_targets
    memset(&no_loss, 0, sizeof(no_loss))
    memset(&no_targets, 0, sizeof(no_targets))
    no_loss.n_sets = task.n_members * task.n_positions
    block.A = <void**> part(place, (task.n_layers + 1) * sizeof(void*))
    block.slots = <char*> part(place, task.n_slots * rows * task.widest * item)
    block.panel = <char*> part(place, PANEL_BYTES)
    block.room = <char*> part(place, task.room * item)
    block.head = lay_head(place, rows, task.loss if task.loss != NULL else &no_loss,
                          task.targets if task.loss != NULL else &no_targets, task.n_outputs // task.n_positions, item)
    return block


cdef void infer_rows(Inference* task, Worker* worker, real* unused) noexcept nogil:
    """Blocks of rows, as they come: a helper that slept begins later."""
    cdef Py_ssize_t n = task.X.n, start, l
    cdef const Layer* layer
    cdef char* place = task.scratch + worker.number * task.scratch_size
    cdef Block block = lay_block(&place, task)
    cdef Pass here
    memset(&here, 0, sizeof(here))
    here.layers, here.n_layers, here.params, here.A, here.X = task.layers, task.n_layers, task.params, block.A, task.X
    worker.panel, worker.room = block.panel, block.room
    while True:
        start = take_number(&task.next_block) * task.block_rows
        if start >= n or ended(worker):
            return
        here.start = start
        here.rows = min(n - start, task.block_rows)
        here.inputs = <const real*> task.X.dense + start * task.X.n_columns if task.X.dense != NULL else NULL
        for l in range(1, task.n_layers + 1):
            layer = task.layers + l - 1
            if task.kept != NULL:
                block.A[l] = <real*> task.kept[l - 1] + start * layer.n_out
            elif l == task.n_layers and task.out != NULL and (task.of_each or task.n_members == 1):
                block.A[l] = <real*> task.out + start * layer.n_out
            else:
                block.A[l] = <real*> block.slots + layer.slot * task.block_rows * task.widest
        if not forward_layers(&here, 1, here.n_layers, worker, <real*> NULL):
            return
        if task.loss == NULL:
            outputs_of_rows(task, &here, &block.head, <real*> NULL)
        else:
            block.head.losses = task.values + start
            output_losses(&here, task.loss, task.targets, &block.head, 1, <real*> NULL)


cdef void outputs_of_rows(const Inference* task, const Pass* here, const Head* head, real* unused) noexcept nogil:
    """A[L] from Z[L], and the mean of the members if it is wanted."""
    cdef const Layer* layer = task.layers + task.n_layers - 1
    cdef real* A = <real*> here.A[task.n_layers]
    activate_output(layer, A, <real*> NULL, <real*> head.log_sums, here.rows * task.n_members * task.n_positions,
                    task.n_outputs // task.n_positions)
    if task.out != NULL and A != <real*> task.out + here.start * layer.n_out:
        mean_of_members(A, <real*> task.out + here.start * task.n_outputs, here.rows, task.n_members, task.n_outputs)


cdef void infer_worker(int number, void* argument) noexcept nogil:
    cdef Inference* task = <Inference*> argument
    cdef Worker worker
    worker.number, worker.signals = number, &task.signals
    worker.panel, worker.scratch, worker.room, worker.totals, worker.weights_are_far = NULL, NULL, NULL, NULL, False
    if task.width == cnp.NPY_FLOAT:
        infer_rows[float](task, &worker, NULL)
    else:
        infer_rows[double](task, &worker, NULL)


cdef int workers_worth_having(double work, int n_threads) noexcept nogil:
    """For `work` multiply-adds: some 50 microseconds' for each, which is what it takes to wake one."""
    return max(<int> min(work / 2.5e6, <double> min(n_threads, TEAM_MAXIMUM)), 1)


cdef int infer(Plan plan, Inference* task, int n_threads) except -1:
    cdef double work = plan.cost * task.X.n
    cdef int worth = workers_worth_having(work, <int> min(n_threads, task.X.n)), size
    cdef bint reviewed = 1 < worth and work < LONG_CALL
    cdef Py_ssize_t most = ROWS_PER_BLOCK_BLAS if plan.uses_blas else ROWS_PER_BLOCK
    if not plan.uses_blas:      # whose long products look at signals themselves
        most = min(most, <Py_ssize_t> (PIECE_OPERATIONS / max(plan.costliest, 1.0)))
    cdef Py_ssize_t blocks = worth * BLOCKS_PER_WORKER if worth > 1 else 1
    cdef Py_ssize_t block_rows = max(<Py_ssize_t> 1, min(most, (task.X.n + blocks - 1) // blocks))
    cdef TeamSize sizes
    cdef long long began = now_nanoseconds(), now
    cdef char* place = NULL
    size = min(worth, largest_team(n_threads, team_calls(), began))
    if reviewed:
        kind = (plan.kind, (<object> task.X.n).bit_length(), task.width, worth)
        if not recall_size(&sizes, kind):
            start_team_size(&sizes, worth)
            keep(&sizes, sizes.n_choices - 1, TRIALS_APART * TRIAL_NANOSECONDS)
        reviewed = size >= size_of(&sizes, sizes.choice)
        size = min(size, size_of(&sizes, sizes.choice))
    task.layers = plan.layers
    task.n_layers = plan.n_layers
    task.n_slots = plan.n_slots if task.kept == NULL else 0
    task.widest = plan.widest
    task.room = plan.room
    task.n_members = plan.n_members
    task.n_positions = plan.n_positions
    task.n_outputs = plan.n_outputs
    task.block_rows = block_rows
    lay_block(&place, task)             # from address 0: its size
    task.scratch_size = (<Py_ssize_t> place + 64 + 4095) // 4096 * 4096
    cdef cnp.ndarray scratch = np.empty(size * task.scratch_size, dtype=np.uint8)
    task.scratch = <char*> cnp.PyArray_DATA(scratch)
    start_signals(&task.signals, &task.team)
    with nogil:
        team_run(&task.team, size, infer_worker, task)
        if task.signals.orphaned:       # this worker knows all rows
            start_signals(&task.signals, &task.team)
            task.next_block = 0
            team_run(&task.team, 1, infer_worker, task)
            reviewed = False
    if reviewed:
        now = now_nanoseconds()
        falls_behind(&sizes, now - began, task.X.n)
        note_team(&sizes, now - began, task.X.n, now)
        remember_size(&sizes, kind)
    return raise_if_ended(&task.signals)


cdef int start_inference(Inference* task, Rows* rows, Plan plan, cnp.ndarray params, X) except -1:
    memset(task, 0, sizeof(Inference))
    task.width = width_of(plan, params)
    take_rows(rows, X, plan, task.width)
    task.X = rows
    task.params = cnp.PyArray_DATA(params)
    return 0


def forward(Plan plan not None, cnp.ndarray params not None, X, cnp.ndarray out not None, int n_threads=1, *, bint of_each=False):
    """out (m, n_outputs) = N(X) for X (m, n[0]), dense or CSR; of an ensemble the mean of the members' outputs, or those of each
    (m, n_members * n_outputs)."""
    cdef Inference task
    cdef Rows rows
    start_inference(&task, &rows, plan, params, X)
    task.of_each = of_each
    task.out = check(out, task.width, "out", (rows.n, plan.n_outputs * (plan.n_members if of_each else 1)), True)
    infer(plan, &task, n_threads)


def activations(Plan plan not None, cnp.ndarray params not None, X, list outs not None, int n_threads=1):
    """outs[l - 1] (m, n[l]) = A[l] for l = 1 .. L."""
    cdef Inference task
    cdef Rows rows
    cdef Py_ssize_t l
    cdef void* kept[1024]
    start_inference(&task, &rows, plan, params, X)
    outs = list(outs)               # no one else can replace its matrices, into which the task points
    if len(outs) != plan.n_layers or plan.n_layers > 1024:
        raise ValueError(f"outs must hold {plan.n_layers} matrices, at most 1024: got {len(outs)}")
    for l in range(plan.n_layers):
        kept[l] = check(outs[l], task.width, f"outs[{l}]", (rows.n, plan.sizes[l + 1]), True)
    task.kept = kept
    infer(plan, &task, n_threads)


def loss(Plan plan not None, cnp.ndarray params not None, tuple loss, X, y, sample_weight=None, int n_threads=1):
    """The weighted mean over rows of the loss summed over outputs: sum(w * loss) / sum(w)."""
    cdef Inference task
    cdef Rows rows
    cdef Targets targets
    cdef Loss kind
    start_inference(&task, &rows, plan, params, X)
    take_loss(&kind, loss, plan)
    take_targets(&targets, y, sample_weight, plan, rows.n, kind.code, task.width)
    values = np.empty(rows.n)
    task.loss = &kind
    task.targets = &targets
    task.values = <double*> cnp.PyArray_DATA(values)
    infer(plan, &task, n_threads)
    return float(values.sum()) / (rows.n if sample_weight is None else float(sample_weight.sum(dtype=np.float64)))


cdef Py_ssize_t row_scratch(Plan plan, Py_ssize_t item) noexcept nogil:
    """Bytes that `infer_row` needs."""
    return (plan.n_layers + 1) * sizeof(void*) + 64 + (plan.n_slots * plan.widest + plan.n_members) * item


cdef void infer_row(Plan plan, const void* params, const void* x, void* out, void* scratch, real* unused) noexcept nogil:
    """One row through all layers, whose outputs and their addresses are kept in `scratch`."""
    cdef Pass here              # all that a pass without a way back, over dense rows, reads of it
    cdef Worker worker
    cdef char* place = <char*> scratch
    cdef void** A = <void**> place
    cdef real* slots
    cdef real* log_sums
    cdef Py_ssize_t l
    cdef const Layer* layer = plan.layers + plan.n_layers - 1
    here.layers, here.n_layers, here.params, here.A, here.inputs = plan.layers, plan.n_layers, params, A, x
    here.first, here.rows, here.D, here.kept, here.summaries = 0, 1, NULL, NULL, NULL
    worker.number, worker.signals = 0, NULL
    worker.panel, worker.scratch, worker.room, worker.totals, worker.weights_are_far = NULL, NULL, NULL, NULL, False
    place += (plan.n_layers + 1) * sizeof(void*)
    slots = <real*> part(&place, 0)
    log_sums = slots + plan.n_slots * plan.widest
    for l in range(1, plan.n_layers + 1):
        A[l] = slots + plan.layers[l - 1].slot * plan.widest
    if plan.n_members == 1:
        A[plan.n_layers] = out
    forward_layers(&here, 1, here.n_layers, &worker, <real*> NULL)
    if plan.n_members == 1:         # of one row the compiler makes less code
        activate_output(layer, <real*> out, <real*> NULL, log_sums, 1, plan.n_outputs)
    else:
        activate_output(layer, <real*> A[plan.n_layers], <real*> NULL, log_sums, plan.n_members, plan.n_outputs)
        mean_of_members(<real*> A[plan.n_layers], <real*> out, 1, plan.n_members, plan.n_outputs)


cdef void infer_row_of_width(Plan plan, int width, const void* params, const void* x, void* out, void* scratch) noexcept nogil:
    if width == cnp.NPY_FLOAT:
        infer_row[float](plan, params, x, out, scratch, NULL)
    else:
        infer_row[double](plan, params, x, out, scratch, NULL)


cdef enum:
    STACK_ROW = 1024                # pointers


def forward_row(Plan plan not None, cnp.ndarray params not None, x):
    """N(x) (n_outputs,) for one datapoint x (n[0],): the short way, for a contiguous vector of the parameters' dtype only.

    Raises
    ------
    TypeError
        If x is anything else; the caller then takes the general way.
    """
    cdef int width = cnp.PyArray_TYPE(params)
    cdef Py_ssize_t scratch_size = row_scratch(plan, 4 if width == cnp.NPY_FLOAT else 8)
    cdef cnp.npy_intp n_out = plan.n_outputs
    cdef void* on_stack[STACK_ROW]      # aligned for pointers
    cdef void* scratch = on_stack
    cdef cnp.ndarray row, out
    if not isinstance(x, cnp.ndarray) or plan.needs_panel:
        raise TypeError("x is not an array, or the network needs more than this way has")
    row = <cnp.ndarray> x
    if (cnp.PyArray_NDIM(row) != 1 or cnp.PyArray_TYPE(row) != width or cnp.PyArray_DIM(row, 0) != plan.n_inputs
            or not cnp.PyArray_ISCARRAY_RO(row) or (width != cnp.NPY_FLOAT and width != cnp.NPY_DOUBLE)
            or cnp.PyArray_DIM(params, 0) != plan.n_params or not cnp.PyArray_ISCARRAY_RO(params)):
        raise TypeError("x is not a contiguous vector of the network's dtype and number of inputs")
    out = cnp.PyArray_SimpleNew(1, &n_out, width)
    if scratch_size > <Py_ssize_t> sizeof(on_stack):
        buffer = np.empty(scratch_size, dtype=np.uint8)
        scratch = cnp.PyArray_DATA(buffer)
    cdef void* theta = cnp.PyArray_DATA(params)
    cdef void* data = cnp.PyArray_DATA(row)
    cdef void* result = cnp.PyArray_DATA(out)
    if plan.cost < ROW_WORK_WITH_GIL:
        infer_row_of_width(plan, width, theta, data, result, scratch)
    else:
        with nogil:
            infer_row_of_width(plan, width, theta, data, result, scratch)
    return out
