# One row through all layers: by the caller alone or, where a core takes longer to read the weights than to call another, by a team.

cdef enum:
    ROW_WORK_WITH_GIL = 1 << 17     # multiply-adds that are not worth releasing the GIL for
    ROW_WORK_OF_WORKER = 1 << 17    # multiply-adds for each of a team
    SHARED_LAYER = 1 << 16          # multiply-adds from which on the units of a dense layer are divided
    MOST_SHARES = 16
    MOST_COUNTS = 256               # of layers times shares
    LIMIT_NANOSECONDS = 10000000    # for which a limit of threads is taken as known


cdef struct RowTask:
    Team team
    const Layer* layers
    Py_ssize_t n_layers
    const void* params
    const void* folded              # see Pass
    const void* x
    void** A                        # (L + 1,)
    char* room                      # for what a layer makes on its way; one worker has the layers that need it
    int* taken                      # (L, n_shares) at each stage of a layer, the shares that somebody makes or has made, a bit each
    int* made                       # (L, n_shares) how many of them are there
    int n_shares                    # of the units of the layers that are divided
    int width


cdef Py_ssize_t row_scratch(Plan plan, Py_ssize_t item) noexcept nogil:
    """Bytes that one row needs."""
    return (plan.n_layers + 1) * sizeof(void*) + 2 * 64 + (plan.n_slots * plan.widest + plan.n_members + plan.room + plan.n_folded) * item


cdef inline void take_row(Pass* here, Worker* worker, const RowTask* task, int number) noexcept nogil:
    """All that a pass without a way back, over one dense row, reads of it."""
    here.layers, here.n_layers, here.params, here.A, here.inputs = task.layers, task.n_layers, task.params, task.A, task.x
    here.first, here.rows, here.folded, here.D, here.kept, here.summaries = 0, 1, task.folded, NULL, NULL, NULL
    worker.number, worker.signals, worker.room = number, NULL, task.room
    worker.panel, worker.scratch, worker.totals, worker.weights_are_far = NULL, NULL, NULL, False


cdef inline int shares_of(const Layer* layer, int n_shares) noexcept nogil:
    return n_shares if layer.cost >= SHARED_LAYER and has_units(layer) else 1


cdef inline Py_ssize_t part_begins(int share, int n_shares, Py_ssize_t n) noexcept nogil:
    """Number of the first of n units, or inputs, that belong to a share; whole cache lines do."""
    return min(n, share * (((n + n_shares - 1) // n_shares + 15) // 16 * 16))


cdef void forward_share(const Layer* layer, const Pass* here, int share, int stage, int n_shares, Worker* worker,
                        real* unused) noexcept nogil:
    """What a share of the layer's units takes from one in `n_shares` of its inputs; or all that the layer does."""
    cdef Py_ssize_t first, last
    cdef real* Z
    if n_shares == 1:
        forward_layer(layer, here, worker, <real*> NULL)
        return
    first, last = part_begins(share, n_shares, layer.n_out), part_begins(share + 1, n_shares, layer.n_out)
    Z = rows_at(here.A, layer.number, layer.n_out, here, <real*> NULL)
    units_of_row(layer, here, source_rows(layer, here, 0, <real*> NULL), part_begins(stage, n_shares, layer.n_in),
                 part_begins(stage + 1, n_shares, layer.n_in), Z, first, last)
    if stage == n_shares - 1 and layer.number < here.n_layers:
        activate(layer.activation, layer.alpha, Z + first, last - first)


cdef void forward_row_of(RowTask* task, int number, real* unused) noexcept nogil:
    """A worker's part of the row. It begins with a share of its own, which its core may have in cache, and then makes those that nobody
    has begun: a helper that wakes late finds nothing to do, and nobody waits for it.

    A divided layer goes in as many stages as shares. From stage to stage workers go on to the next share and the next inputs: units that
    one worker kept would lie, in rows of 2^k bytes, in some sets of its cache only, and of 784-512-512-10 half take 40 microseconds in
    place of 11.
    """
    cdef Pass here
    cdef Worker worker
    cdef const Layer* layer
    cdef int n_shares, stage, i, share
    cdef Py_ssize_t l, place
    take_row(&here, &worker, task, number)
    for l in range(1, task.n_layers + 1):
        layer = task.layers + l - 1
        n_shares = shares_of(layer, task.n_shares)
        for stage in range(n_shares):
            place = (l - 1) * task.n_shares + stage
            for i in range(n_shares):
                share = (number + stage + i) % n_shares
                if take_bit(task.taken + place, share):
                    forward_share(layer, &here, share, stage, n_shares, &worker, <real*> NULL)
                    count_one(task.made + place)
            await_count(task.made + place, n_shares)


cdef void row_worker(int number, void* argument) noexcept nogil:
    cdef RowTask* task = <RowTask*> argument
    if task.width == cnp.NPY_FLOAT:
        forward_row_of[float](task, number, NULL)
    else:
        forward_row_of[double](task, number, NULL)


cdef void infer_row(Plan plan, RowTask* task, void* out, void* scratch, real* unused) noexcept nogil:
    """One row through all layers, whose outputs and their addresses are kept in `scratch`."""
    cdef Pass here
    cdef Worker worker
    cdef char* place = <char*> scratch
    cdef real* slots
    cdef real* log_sums
    cdef Py_ssize_t l
    cdef const Layer* layer = plan.layers + plan.n_layers - 1
    task.layers, task.n_layers, task.A = plan.layers, plan.n_layers, <void**> place
    place += (plan.n_layers + 1) * sizeof(void*)
    slots = <real*> part(&place, 0)
    log_sums = slots + plan.n_slots * plan.widest
    task.room = <char*> (log_sums + plan.n_members)
    place = task.room + plan.room * sizeof(real)
    task.folded = part(&place, plan.n_folded * sizeof(real)) if plan.n_folded > 0 else NULL
    if task.folded != NULL:
        fold_norms(plan, task.width, task.params, <void*> task.folded)
    for l in range(1, plan.n_layers + 1):
        task.A[l] = slots + plan.layers[l - 1].slot * plan.widest
    if plan.n_members == 1:
        task.A[plan.n_layers] = out
    if task.n_shares == 1:
        take_row(&here, &worker, task, 0)
        forward_layers(&here, 1, here.n_layers, &worker, <real*> NULL)
    else:
        team_run(&task.team, task.n_shares, row_worker, task)
    if plan.n_members == 1:         # of one row the compiler makes less code
        activate_output(layer, <real*> out, <real*> NULL, log_sums, 1, plan.n_outputs)
    else:
        activate_output(layer, <real*> task.A[plan.n_layers], <real*> NULL, log_sums, plan.n_members, plan.n_outputs)
        mean_of_members(<real*> task.A[plan.n_layers], <real*> out, 1, plan.n_members, plan.n_outputs)


cdef void infer_row_of_width(Plan plan, RowTask* task, void* out, void* scratch) noexcept nogil:
    if task.width == cnp.NPY_FLOAT:
        infer_row[float](plan, task, out, scratch, NULL)
    else:
        infer_row[double](plan, task, out, scratch, NULL)


cdef struct Limit:
    int value
    long long until

cdef Limit row_limit
row_limit.until = 0

cdef long long last_row = 0         # when the last call was over that might have had a team


cdef int known_limit(limit, long long now) except -1:
    """What ``limit()`` says. It takes Python 2 microseconds, but 19 where weights have driven all else out of the caches."""
    if now > row_limit.until:
        row_limit.value = limit()
        row_limit.until = now + LIMIT_NANOSECONDS
    return row_limit.value


cdef int infer_row_by_team(Plan plan, RowTask* task, void* out, void* scratch, limit, n_threads) except -1:
    """The same, by as many workers as have proved fastest where rows follow each other. After a pause helpers sleep, and to wake one takes
    as long as it saves: 784-512-512-10 took 168 microseconds in place of 109."""
    global last_row
    cdef long long began = now_nanoseconds(), now
    cdef bint reviewed = began - last_row < SPIN_NANOSECONDS
    cdef TeamSize* sizes = &plan.row_team
    cdef int most, worth, size = 1
    cdef int counts[2 * MOST_COUNTS]
    if reviewed:
        most = known_limit(limit, began)
        if n_threads is not None:
            most = min(most, <int> n_threads)
        worth = <int> min(plan.cost / ROW_WORK_OF_WORKER, <double> min(most, MOST_SHARES))
        worth = max(min(worth, <int> (MOST_COUNTS // plan.n_layers)), 1)
        if sizes.limit != worth:
            start_with_all(sizes, worth)
        size = size_of(sizes, sizes.choice)
        most = largest_team(most, team_calls(), began)
        reviewed = most >= size
        size = min(size, most)
    task.n_shares = size
    if size > 1:
        task.taken, task.made = counts, counts + MOST_COUNTS
        memset(counts, 0, sizeof(counts))
    with nogil:
        infer_row_of_width(plan, task, out, scratch)
    now = now_nanoseconds()
    if reviewed:
        falls_behind(sizes, now - began, 1)
        note_team(sizes, now - began, 1, now)
    last_row = now
    return 0


cdef enum:
    STACK_ROW = 1024                # pointers


def forward_row(Plan plan not None, cnp.ndarray params not None, x, limit, n_threads=None):
    """N(x) (n_outputs,) for one datapoint x (n[0],): the short way, for a contiguous vector of the parameters' dtype only. Of a large
    network ``limit()``, which is asked every 10 ms, is the most threads that it may take, and `n_threads` too if it is given.

    Raises
    ------
    TypeError
        If x is anything else; the caller then takes the general way.
    """
    cdef RowTask task
    cdef cnp.npy_intp n_out = plan.n_outputs
    cdef void* on_stack[STACK_ROW]      # aligned for pointers
    cdef void* scratch = on_stack
    cdef Py_ssize_t scratch_size
    cdef cnp.ndarray row, out
    task.width, task.n_shares = cnp.PyArray_TYPE(params), 1
    if not isinstance(x, cnp.ndarray) or plan.needs_panel:
        raise TypeError("x is not an array, or the network needs more than this way has")
    row = <cnp.ndarray> x
    if (cnp.PyArray_NDIM(row) != 1 or cnp.PyArray_TYPE(row) != task.width or cnp.PyArray_DIM(row, 0) != plan.n_inputs
            or not cnp.PyArray_ISCARRAY_RO(row) or (task.width != cnp.NPY_FLOAT and task.width != cnp.NPY_DOUBLE)
            or cnp.PyArray_DIM(params, 0) != plan.n_params or not cnp.PyArray_ISCARRAY_RO(params)):
        raise TypeError("x is not a contiguous vector of the network's dtype and number of inputs")
    out = cnp.PyArray_SimpleNew(1, &n_out, task.width)
    scratch_size = row_scratch(plan, 4 if task.width == cnp.NPY_FLOAT else 8)
    if scratch_size > <Py_ssize_t> sizeof(on_stack):
        buffer = np.empty(scratch_size, dtype=np.uint8)
        scratch = cnp.PyArray_DATA(buffer)
    task.params, task.x = cnp.PyArray_DATA(params), cnp.PyArray_DATA(row)
    cdef void* result = cnp.PyArray_DATA(out)
    if plan.cost < ROW_WORK_WITH_GIL:
        infer_row_of_width(plan, &task, result, scratch)
    elif plan.cost < 2 * ROW_WORK_OF_WORKER:
        with nogil:
            infer_row_of_width(plan, &task, result, scratch)
    else:
        infer_row_by_team(plan, &task, result, scratch, limit, n_threads)
    return out
