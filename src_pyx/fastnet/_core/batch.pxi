# The first half of a batch: every worker takes its share of the rows forward through all layers and back again.
#
# A layer that needs a summary of the whole batch cuts the first half into stages with a barrier between: before it is the work of
# the layers that it comes after, and each worker then sums up its groups of rows; behind it every worker adds up the groups'
# summaries, in their order, and goes on; and so on the way back. Without such a layer there is one stage.

cdef Pass pass_of(const Training* task, Py_ssize_t start, Py_ssize_t r0, Py_ssize_t r1, Py_ssize_t step, const double* settings,
                  real* unused) noexcept nogil:
    """Rows r0 .. r1 of the batch that starts at row `start` of the pass."""
    cdef const Batch* batch = &task.batch
    cdef Pass here
    here.layers, here.n_layers, here.params, here.folded = batch.layers, batch.n_layers, batch.params, NULL
    here.A, here.dZ, here.D, here.kept = batch.A, batch.dZ, batch.D, batch.kept
    here.summaries, here.partials, here.group_rows = batch.summaries, batch.partials, batch.group_rows
    here.gradient, here.begins, here.segments = NULL, False, batch.segments
    here.row, here.first, here.place, here.rows = r0, r0, r0, r1 - r0
    here.X, here.order, here.start = &batch.X, batch.order, start + r0
    here.dropout = 0 if not batch.drops else (settings[S_DROPOUT] if task.n_columns > 1 else 1)
    here.seed, here.step = batch.seed, <uint64> step
    here.first_mask = r0 + (start if task.path == GRADIENT else 0)
    if batch.X.dense == NULL:
        here.inputs = NULL
    elif gathers(batch):
        here.inputs = <const real*> batch.inputs + r0 * batch.X.n_columns
    else:
        here.inputs = <const real*> batch.X.dense + here.start * batch.X.n_columns
    return here


cdef inline void take_buffers(Pass* here, const Batch* batch, int worker) noexcept nogil:
    """Those of a worker, which has some of its own where rows are needed no longer than they are on their way."""
    cdef Py_ssize_t first = worker * (batch.n_layers + 1)
    here.A, here.dZ, here.D, here.kept = batch.A + first, batch.dZ + first, batch.D + first, batch.kept + first
    here.first = here.place = 0


cdef inline bint gathers(const Batch* batch) noexcept nogil:
    """Whether rows are copied before a pass reads them."""
    return batch.X.dense != NULL and (batch.order != NULL or batch.augmentation.on)


cdef void gather(const Batch* batch, const Pass* here, real* unused) noexcept nogil:
    """Copy the rows of dense X that the order names to where the pass reads them, and change them if that is wanted."""
    cdef Py_ssize_t r, row, n = batch.X.n_columns
    cdef const uint32* order = batch.order + here.start
    cdef const real* X = <const real*> batch.X.dense
    if batch.augmentation.on:
        for r in range(here.rows):
            row = here.start + r if batch.order == NULL else <Py_ssize_t> order[r]
            augment_row(&batch.augmentation, X + row * n, <real*> here.inputs + r * n,
                        fn_mix64(fn_mix64(fn_mix64(here.seed) ^ here.step) ^ <uint64> (here.first_mask + r)))
        return
    for r in range(here.rows):
        prefetch_line(X + order[min(r + 8, here.rows - 1)] * n)
        copy_row(<real*> here.inputs + r * n, X + order[r] * n, n * sizeof(real))


cdef void rows_through_stage(const Training* task, const Pass* here, Py_ssize_t stage, double scale, const double* settings,
                             Worker* worker, real* unused) noexcept nogil:
    """What a stage has to do for some rows of a batch: of one stage, A[l], dZ[l] and their losses."""
    cdef const Batch* batch = &task.batch
    cdef Py_ssize_t n = batch.n_cuts, last = here.n_layers, next_cut = 2 * n - stage - 1
    if stage == 0 and gathers(batch):
        gather(batch, here, <real*> NULL)
    if stage < n:
        if forward_layers(here, 1 if stage == 0 else batch.cuts[stage - 1], batch.cuts[stage] - 1, worker, <real*> NULL):
            summarise(here, here.layers + batch.cuts[stage] - 1, True, worker, <real*> NULL)
        return
    if stage == n:
        if not forward_layers(here, 1 if stage == 0 else batch.cuts[stage - 1], last, worker, <real*> NULL):
            return
        losses_of_rows(task, here, scale, settings, <real*> NULL)
    else:
        last = batch.cuts[2 * n - stage]
    if backward_layers(here, last, 1 if next_cut < 0 else batch.cuts[next_cut] + 1, worker, <real*> NULL) and next_cut >= 0:
        if batch.cuts[next_cut] < here.n_layers:
            through_activation(here.layers + batch.cuts[next_cut] - 1, here, <real*> NULL)
        summarise(here, here.layers + batch.cuts[next_cut] - 1, False, worker, <real*> NULL)


cdef void losses_of_rows(const Training* task, const Pass* here, double scale, const double* settings, real* unused) noexcept nogil:
    """From Z[L] of some rows to their losses and dZ[L]."""
    cdef const Batch* batch = &task.batch
    cdef Loss loss = batch.loss
    cdef Head head = head_at(&batch.head, here.row, loss.n_sets,
                             here.layers[here.n_layers - 1].n_out // loss.n_sets, <real*> NULL)
    if task.n_columns > 1 and loss.code == CROSS_ENTROPY:
        loss.parameter *= settings[S_SMOOTHING]
    output_losses(here, &loss, &batch.y, &head, scale, <real*> NULL)


cdef void summarise(const Pass* here, const Layer* layer, bint forward, Worker* worker, real* unused) noexcept nogil:
    """The summaries of groups of rows for a layer, of what it reads or of its slopes."""
    cdef Pass group = here[0]
    cdef Py_ssize_t first = 0
    cdef const real* A = source_rows(layer, here, 0, <real*> NULL)
    cdef const real* dZ = NULL
    cdef real* summary
    if not forward:
        dZ = rows_at(here.dZ, layer.number, layer.n_out, here, <real*> NULL)
    while first < here.rows:
        group.first, group.rows = here.first + first, min(<Py_ssize_t> ROWS_PER_GROUP, here.rows - first)
        if here.inputs != NULL:
            group.inputs = <const real*> here.inputs + first * here.X.n_columns
        summary = <real*> here.summaries[layer.number] + group.first // ROWS_PER_GROUP * layer.summary
        layer_summary(layer, &group, A + first * layer.sources[0].width, dZ, summary, worker)
        if dZ != NULL:
            dZ += group.rows * layer.n_out
        first += ROWS_PER_GROUP


cdef void add_summaries(const Training* task, Py_ssize_t stage, Py_ssize_t rows, Worker* worker, real* unused) noexcept nogil:
    """This worker's summary of the batch for the layer that the stage begins with."""
    cdef const Batch* batch = &task.batch
    cdef Py_ssize_t n = batch.n_cuts, number = batch.cuts[stage - 1 if stage <= n else 2 * n - stage]
    cdef Py_ssize_t groups = (rows + ROWS_PER_GROUP - 1) // ROWS_PER_GROUP
    cdef const Layer* layer = batch.layers + number - 1
    layer_total(layer, stage <= n, <const real*> batch.summaries[number], groups, <real*> worker.totals[number])


cdef void follow_batch(const Training* task, Worker* worker, real* unused) noexcept nogil:
    """Running statistics take in those of the batch, but for parts that a factor of 0 leaves as they are."""
    cdef Py_ssize_t i, number
    cdef const Layer* layer
    for i in range(task.batch.n_cuts):
        number = task.batch.cuts[i]
        layer = task.batch.layers + number - 1
        layer_follow(layer, task.batch.params, <const real*> worker.totals[number], task.update.rate_factors + layer.first_segment)


cdef bint first_half(Training* task, Py_ssize_t start, Py_ssize_t rows, double scale, Py_ssize_t step, const double* settings,
                     Worker* worker, real* unused) noexcept nogil:
    """A worker's shares of a batch, stage by stage; False if a signal has ended the training at a barrier between."""
    cdef Py_ssize_t shares = task.n_shares if task.n_shares > 0 else task.team.size, n_stages = 2 * task.batch.n_cuts + 1, stage, share
    for stage in range(n_stages):
        if stage > 0:
            if all_stop(task, worker, (n_stages - stage) % 2):
                return False
            add_summaries(task, stage, rows, worker, <real*> NULL)
        share = worker.number
        while share < shares:
            share_through_stage(task, stage, start, share_begins(task, rows, share, shares), share_begins(task, rows, share + 1, shares),
                                scale, step, settings, worker, <real*> NULL)
            share += task.team.size
    return True


cdef inline Py_ssize_t share_begins(const Training* task, Py_ssize_t rows, Py_ssize_t share, Py_ssize_t shares) noexcept nogil:
    """The first row of a share of a batch: of a group, where there are groups."""
    return min((rows + task.share_unit - 1) // task.share_unit * share // shares * task.share_unit, rows)


cdef void share_through_stage(Training* task, Py_ssize_t stage, Py_ssize_t start, Py_ssize_t r0, Py_ssize_t r1, double scale,
                              Py_ssize_t step, const double* settings, Worker* worker, real* unused) noexcept nogil:
    """A share of a batch, in pieces that stay in cache and whose layers leave time to look at signals."""
    cdef Pass here
    cdef Py_ssize_t end, group = task.batch.group_rows
    while r0 < r1 and not flag_is_up(&task.signals.signalled):
        end = min(r0 + task.piece_rows, r1)
        if task.batch.gradients != NULL:
            end = min(end, (r0 // group + 1) * group)
        here = pass_of(task, start, r0, end, step, settings, <real*> NULL)
        if task.batch.n_cuts == 0:
            here.place = worker.number * task.piece_rows
        if task.batch.gradients != NULL:
            take_buffers(&here, &task.batch, worker.number)
            here.gradient = <real*> task.batch.gradients + r0 // group * task.batch.n_params
            here.begins = r0 % group == 0
        rows_through_stage(task, &here, stage, scale, settings, worker, <real*> NULL)
        r0 = end
