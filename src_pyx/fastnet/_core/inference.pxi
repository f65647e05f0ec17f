# Forward propagation without training: blocks of rows walk through all layers, so that their activations stay in cache.

cdef enum:
    ROWS_PER_BLOCK = 264            # as many as a product passes over at a time; with 128, 100,000 rows took 5 to 15 % longer
    ROWS_PER_BLOCK_BLAS = 528       # BLAS copies the weights for every block: layers of 2048 units, 21 %
    BLOCKS_PER_WORKER = 2           # at least, of a team; with 4, 1,000 rows of 784-512-512-10 took 8 % longer
    WORK_OF_BLOCKS = 2500000        # multiply-adds for each of a team: some 50 microseconds', which is what it takes to wake one
    LONG_CALL = 1000000000          # multiply-adds that outlast a time slice: workers share such a call as fast as each can


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
    const void* folded          # see Pass
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


cdef inline bint writes_outputs(const Inference* task) noexcept nogil:
    """Whether the last layer's outputs are those that are wanted, and are made where these belong."""
    return task.out != NULL and (task.of_each or task.n_members == 1)


cdef void infer_rows(Inference* task, Worker* worker, real* unused) noexcept nogil:
    """Blocks of rows, as they come: a helper that slept begins later."""
    cdef Py_ssize_t n = task.X.n, start, l
    cdef const Layer* layer
    cdef char* place = task.scratch + worker.number * task.scratch_size
    cdef Block block = lay_block(&place, task)
    cdef Pass here
    memset(&here, 0, sizeof(here))
    here.layers, here.n_layers, here.A, here.X = task.layers, task.n_layers, block.A, task.X
    here.params, here.folded = task.params, task.folded
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
            elif l == task.n_layers and writes_outputs(task):
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
    if task.out != NULL and not writes_outputs(task):
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


cdef void fold_norms(Plan plan, int width, const void* params, void* folded) noexcept nogil:
    """W and b of the layers that a BatchNorm is folded into, for one call: parameters may change before the next."""
    cdef Py_ssize_t l
    cdef const Layer* layer
    for l in range(plan.n_layers):
        layer = plan.layers + l
        if layer.normed_by == 0:
            continue
        if width == cnp.NPY_FLOAT:
            fold_norm(plan.layers + layer.normed_by - 1, layer, plan.segments, <const float*> params, <float*> folded)
        else:
            fold_norm(plan.layers + layer.normed_by - 1, layer, plan.segments, <const double*> params, <double*> folded)


cdef int infer(Plan plan, Inference* task, int n_threads) except -1:
    cdef double work = plan.cost * task.X.n
    cdef int worth = workers_worth_having(work, WORK_OF_BLOCKS, <int> min(n_threads, task.X.n)), size
    cdef bint reviewed = 1 < worth and work < LONG_CALL and fixed_team == 0
    cdef Py_ssize_t most = ROWS_PER_BLOCK_BLAS if plan.uses_blas else ROWS_PER_BLOCK
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
            start_with_all(&sizes, worth)
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
    cdef Py_ssize_t folded_size = plan.n_folded * (4 if task.width == cnp.NPY_FLOAT else 8)
    cdef cnp.ndarray folded = np.empty(folded_size + 64, dtype=np.uint8)
    place = <char*> cnp.PyArray_DATA(folded)
    task.folded = part(&place, folded_size) if plan.n_folded > 0 and task.kept == NULL else NULL
    start_signals(&task.signals, &task.team)
    with nogil:
        if task.folded != NULL:
            fold_norms(plan, task.width, task.params, <void*> task.folded)
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
    cdef cnp.ndarray addresses = np.empty(plan.n_layers, np.uintp)
    start_inference(&task, &rows, plan, params, X)
    outs = list(outs)               # no one else can replace its matrices, into which the task points
    if len(outs) != plan.n_layers:
        raise ValueError(f"outs must hold {plan.n_layers} matrices, got {len(outs)}")
    task.kept = <void**> cnp.PyArray_DATA(addresses)
    for l in range(plan.n_layers):
        task.kept[l] = check(outs[l], task.width, f"outs[{l}]", (rows.n, plan.sizes[l + 1]), True)
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
