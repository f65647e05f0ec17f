# The training of an epoch, by one thread or a team.
#
# A batch has two halves. First every worker takes its share of the batch's rows forward through all layers and back again, which
# leaves A[l] and dZ[l] of all rows or, where parameters are used often, gradients of groups of rows (batch.pxi). After a barrier the
# parameters are divided among the workers by tiles, whose gradients are made or added up, and used as the path says (update.pxi).

cdef extern from "Python.h":
    PyObject* PyObject_CallNoArgs(PyObject*)

cdef enum:
    ROWS_PER_GROUP = 8              # that are summed up together, whoever has them
    PARTS_OF_GRADIENT = 8           # at most, each of a group of rows, where layers make their gradients on the way back
    ROWS_PER_PIECE = 1024           # rows at a time of a large batch, and of loss_and_grad
    PIECE_BYTES = 1 << 20           # of what layers make of a piece where some leave partials, or pieces add to gradients: it stays in
                                    # the second-level cache. Where gradients are made of the whole batch, small pieces gained nothing
    USES_OF_PIECE = 32              # of a parameter by a piece's rows, from which on pieces add to the gradients of their groups. What
                                    # layers make then stays in cache until it is used: enc, dec and fttr (benchmarks/layers.py) take
                                    # 0.70, 0.81 and 0.63 of the time, cnn1d 0.90
    FAR_PARAMETERS = 1 << 20        # bytes: with the optimiser's state and what layers make, they do not stay in the second-level cache
    PIECE_OF_PARAMETERS = 4         # or as many times the parameters' bytes, which every piece reads


cdef struct Stretch:
    # Batches that one team runs, until the choice of its size is due for review.
    Py_ssize_t batch                # the first one, and when the team has ended the first that it has not done
    bint reviewed                   # the team may be of another size
    bint chosen                     # its size is the choice of `sizes`, which it tells how long it took
    int calls                       # into the core that were running when it began
    bint disturbed                  # another one has begun, which takes a core of the team's: its times say nothing
    long long began
    long long last_batch            # ended at this time
    Py_ssize_t rows
    bint ends                       # worker 0's decision before the last barrier of a batch


cdef struct Batch:
    # Data, and the buffers of one batch, which the first half fills.
    int width
    const Layer* layers
    Py_ssize_t n_layers
    void* params
    Rows X
    Targets y
    Loss loss
    const uint32* order             # (n,) row numbers, or NULL: 0, 1, ...
    void* inputs                    # (batch_size, n[0]) gathered rows of dense X
    Augmentation augmentation       # of them
    void** A                        # (batch_size, n[l]); l = 1 .. L. Where pieces add to gradients, L + 1 for each worker, of a piece
    void** D                        # derivatives of the layers that keep them, else NULL
    void** dZ
    void** kept                     # what layers keep besides, else NULL
    void** summaries                # of groups of rows, of the layers that need one of the batch, else NULL
    void** partials                 # parts of the gradients of groups of rows, of the layers that make them on the way back, else NULL
    Py_ssize_t group_rows           # of such a group, a multiple of ROWS_PER_GROUP
    void* gradients                 # of groups (groups, n_params), which pieces add to on their way back; NULL: made of the whole batch
    Py_ssize_t n_params
    const Segment* segments
    const Py_ssize_t* cuts          # the numbers of the layers that need summaries
    Py_ssize_t n_cuts
    Head head
    const Tile* tiles
    Py_ssize_t n_tiles
    void* gradient                  # (n_params,), unless the path is FUSED
    bint drops
    uint64 seed


cdef struct Training:
    Team team
    TeamSize sizes
    Path path
    Batch batch
    Update update
    Exchange exchange
    # one pass
    Py_ssize_t n                    # rows of the pass
    Py_ssize_t batch_size
    Py_ssize_t n_batches
    Stretch stretch
    const double* settings          # (n_settings, n_columns)
    Py_ssize_t n_settings
    Py_ssize_t n_columns
    Py_ssize_t step                 # batches so far; workers count their own while they run
    int n_shares                    # of a batch's rows; 0: one a worker
    Py_ssize_t share_unit           # rows that shares are multiples of
    Py_ssize_t piece_rows           # of a share, that go through all layers together
    double whole_weight             # of a gradient that is summed over the batches of the pass
    # workers
    char* panels                    # one a worker
    char* scratch                   # one tile a worker
    Py_ssize_t scratch_size
    char* rooms                     # for what layers make on their way, one a worker
    Py_ssize_t room_size
    void** totals                   # (workers, L + 1): the batch's summaries, a copy for each worker
    Py_ssize_t* tile_bounds         # (team + 1,)
    # results
    Signals signals
    bint stops[2]                   # worker 0's decisions before the first barriers of a batch, which all workers then follow
    double weight                   # of the next batch: worker 0's sum, since the caller may change sample weights meanwhile
    bint heavy                      # a layer of a batch takes long enough to look at signals between layers
    bint looks_while_updating       # an update takes so long
    bint diverged
    Py_ssize_t done                 # batches, those without weight too
    Py_ssize_t updates
    Py_ssize_t rows_done            # of the batches with weight
    double loss_sum
    double penalty_sum
    double norm_sum


cdef inline const double* settings_of(const Training* task, Py_ssize_t batch) noexcept nogil:
    return task.settings + (batch * task.n_columns if task.n_settings > 1 else 0)


cdef Py_ssize_t start_of_batch(const Training* task, Py_ssize_t batch) noexcept nogil:
    return batch * task.batch_size if task.exchange.add == NULL else task.exchange.bounds[batch]


cdef Py_ssize_t rows_of_batch(const Training* task, Py_ssize_t batch) noexcept nogil:
    if task.exchange.add != NULL:
        return task.exchange.bounds[batch + 1] - task.exchange.bounds[batch]
    return min(task.n - batch * task.batch_size, task.batch_size)


cdef double weight_of_batch(const Training* task, Py_ssize_t batch, real* unused) noexcept nogil:
    """Sum of a batch's sample weights, read from the data; of a gradient, that of all batches."""
    cdef Py_ssize_t r, start = start_of_batch(task, batch), rows = rows_of_batch(task, batch)
    cdef double total = 0
    cdef const real* weights = <const real*> task.batch.y.weights
    if task.path == GRADIENT:
        return task.whole_weight
    if weights == NULL:
        return rows
    for r in range(start, start + rows):
        total += weights[task.batch.order[r] if task.batch.order != NULL else r]
    return total


cdef inline void gradient_of_batch(const Batch* batch, const Pass* here, const Tile* tile, real* g, Py_ssize_t g_row, bint accumulate,
                                   Worker* worker) noexcept nogil:
    """A tile of the gradient: of A[l] and dZ[l] of all rows, or the sum of what the groups have, in their order."""
    cdef Py_ssize_t group, piece
    cdef const real* gradient = <const real*> batch.gradients
    if gradient == NULL:
        tile_gradient(here, tile, g, g_row, accumulate, worker)
        return
    for group in range((here.rows + batch.group_rows - 1) // batch.group_rows):
        for piece in range(tile.pieces):
            copy_or_add(g + piece * g_row, gradient + tile.place + piece * tile.stride, tile.length, accumulate or group > 0)
        gradient += batch.n_params


cdef void gradients_to_vector(Training* task, const Pass* here, bint accumulate, Worker* worker, real* unused) noexcept nogil:
    """This worker's tiles of the gradient into the gradient vector, unless a signal ends the training."""
    cdef Py_ssize_t i
    cdef const Tile* tile
    cdef real* gradient
    for i in range(task.tile_bounds[worker.number], task.tile_bounds[worker.number + 1]):
        tile = task.batch.tiles + i
        gradient = <real*> task.batch.gradient + tile.place
        gradient_of_batch(&task.batch, here, tile, gradient, tile.stride, accumulate, worker)
        if task.update.tracks_norm:
            task.update.tile_norms[i] = squares_of_pieces(gradient, tile.stride, tile)
        if ended(worker):
            return


cdef void update_tiles(Training* task, const Pass* here, const Step* shared, Worker* worker, real* unused) noexcept nogil:
    """An optimiser step on this worker's tiles; if it takes long, a signal leaves the rest of them as they are."""
    cdef Py_ssize_t i, stride
    cdef const Tile* tile
    cdef real* gradient
    cdef Worker watchful = worker[0]
    watchful.signals = &task.signals if task.looks_while_updating else NULL
    cdef Worker steady = worker[0]      # a gradient that is used at once must be finished
    steady.signals = NULL
    for i in range(task.tile_bounds[worker.number], task.tile_bounds[worker.number + 1]):
        tile = task.batch.tiles + i
        if task.exchange.ranks != NULL:
            update_share(&task.exchange, &task.update, shared, tile, i, <real*> task.batch.params, <real*> worker.scratch)
            continue
        if task.path == WHOLE:
            gradient = <real*> task.batch.gradient + tile.place
            stride = tile.stride
        else:
            gradient = <real*> worker.scratch
            stride = tile.columns
            gradient_of_batch(&task.batch, here, tile, gradient, stride, False, &steady)
            if task.update.tracks_norm:
                task.update.tile_norms[i] = squares_of_pieces(gradient, stride, tile)
        update_tile(&task.update, shared, tile, i, <real*> task.batch.params, gradient, stride)
        if ended(&watchful):
            return


cdef void account(Training* task, const Sums* sums) noexcept nogil:
    """Worker 0's books after a batch."""
    cdef double squares = 0, norms = 0
    cdef Py_ssize_t i
    if task.update.l2 > 0:
        for i in range(task.batch.n_tiles):
            squares += task.update.tile_weights[i]
    if task.update.tracks_norm:
        for i in range(task.batch.n_tiles):
            norms += task.update.tile_norms[i]
    task.loss_sum += sums.rows * (sums.loss / sums.weight)
    task.penalty_sum += sums.rows * (0.5 * task.update.l2 * squares / (sums.weight if task.update.l2_per_batch else 1))
    task.norm_sum += norms
    task.updates += 1
    task.rows_done += sums.rows


cdef double sum_of_losses(const Training* task, Py_ssize_t rows) noexcept nogil:
    cdef double sums[4]
    cdef const double* losses = task.batch.head.losses
    cdef Py_ssize_t r = 0
    sums[0] = sums[1] = sums[2] = sums[3] = 0
    while r + 4 <= rows:
        sums[0] += losses[r]
        sums[1] += losses[r + 1]
        sums[2] += losses[r + 2]
        sums[3] += losses[r + 3]
        r += 4
    while r < rows:
        sums[0] += losses[r]
        r += 1
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


cdef bint all_stop(Training* task, const Worker* worker, int barrier) noexcept nogil:
    """Barrier 0 or 1 of a batch, after which all workers know whether a signal ends the training."""
    if worker.number == 0:
        look_at_signals(&task.signals)
        if task.heavy:
            wait_and_look(&task.signals, &task.team)
        task.stops[barrier] = flag_is_up(&task.signals.signalled)
    team_barrier(&task.team)
    return task.stops[barrier]


cdef bint sum_of_processes(Training* task, Sums* sums, const Worker* worker, real* unused) noexcept nogil:
    """Make gradient and sums of a batch those of all processes; the gradient where each of them updates all parameters. Whether
    training ends, because that has raised an error."""
    cdef Py_ssize_t i
    cdef const Tile* tile
    cdef Exchange* exchange = &task.exchange
    cdef real* gradient = <real*> task.batch.gradient
    cdef real* after = gradient + exchange.n_params
    cdef real totals[4]
    cdef PyObject* result
    if worker.number == 0:
        if not sums.weight > 0:
            memset(gradient, 0, exchange.n_params * sizeof(real))
        after[0], after[1], after[2] = <real> sums.loss, <real> sums.weight, <real> sums.rows
        if exchange.ranks != NULL:
            team_barrier(exchange.ranks)
            sum_columns(totals, <real*> exchange.rows + exchange.n_params, exchange.n_rows, exchange.n_columns, 4)
            after = totals
            exchange.others_failed = totals[3] > 0
        else:
            with gil:
                result = PyObject_CallNoArgs(exchange.add)
                Py_XDECREF(result)
            exchange.stops = result == NULL
            if exchange.stops:
                flag_raise(&task.signals.signalled)
        exchange.sums.loss, exchange.sums.rows = after[0], <Py_ssize_t> after[2]
        exchange.sums.weight = 0 if exchange.others_failed else after[1]
        if task.update.tracks_norm and not exchange.stops and exchange.sums.weight > 0:
            for i in range(task.batch.n_tiles):
                tile = task.batch.tiles + i
                task.update.tile_norms[i] = squares_of_pieces(gradient + tile.place, tile.stride, tile) / exchange.sums.weight ** 2
    team_barrier(&task.team)
    sums[0] = exchange.sums
    return exchange.stops


cdef bint parameters_of_processes(Training* task, bint updated, const Worker* worker, real* unused) noexcept nogil:
    """Wait for the parameters that other processes have updated, and take them. Whether training ends, as one has failed."""
    cdef Py_ssize_t i
    team_barrier(&task.team)
    if worker.number == 0:
        team_barrier(task.exchange.ranks)
    team_barrier(&task.team)
    if updated:
        for i in range(task.tile_bounds[worker.number], task.tile_bounds[worker.number + 1]):
            take_shares(&task.exchange, task.batch.tiles + i, <real*> task.batch.params)
    return task.exchange.others_failed


cdef bint second_half(Training* task, Py_ssize_t start, Sums* sums, Py_ssize_t step, const double* settings, bint accumulate,
                      Worker* worker, real* unused) noexcept nogil:
    """From A[l] and dZ[l] of a batch to new parameters, or to the gradient. Whether training ends: a signal, a loss that is not
    finite, or an error of another process."""
    cdef Pass here = pass_of(task, start, 0, sums.rows, step, settings, <real*> NULL)
    cdef Step shared
    cdef bint diverges, updates
    if task.path != FUSED and sums.weight > 0:
        gradients_to_vector(task, &here, accumulate, worker, <real*> NULL)
    if task.path == GRADIENT:
        return False
    if task.path == WHOLE and all_stop(task, worker, 1):
        return True
    if task.exchange.add != NULL and sum_of_processes(task, sums, worker, <real*> NULL):
        return True
    diverges = sums.weight > 0 and not isfinite(sums.loss / sums.weight)
    updates = sums.weight > 0 and not diverges
    if diverges and worker.number == 0:
        task.diverged = True
    if updates:
        shared = step_of(&task.update, settings, task.n_columns, step + 1, sums.weight)
        if task.update.max_norm > 0:
            shared.scale = clipping(&task.update, task.batch.n_tiles)
        if task.exchange.add != NULL:
            shared.scale /= sums.weight
        if worker.number == 0:
            follow_batch(task, worker, <real*> NULL)
        update_tiles(task, &here, &shared, worker, <real*> NULL)
    if task.exchange.ranks != NULL and parameters_of_processes(task, updates, worker, <real*> NULL):
        return True
    return diverges


cdef void train_stretch(Training* task, Worker* worker, real* unused) noexcept nogil:
    """One worker's part of the batches of a stretch."""
    cdef Py_ssize_t batch = task.stretch.batch, start, rows, step = task.step
    cdef double scale
    cdef Sums sums
    cdef const double* settings
    if worker.number == 0:
        divide_tiles(task)
        task.weight = weight_of_batch(task, batch, <real*> NULL)
    team_barrier(&task.team)
    while True:
        start = start_of_batch(task, batch)
        rows = rows_of_batch(task, batch)
        sums.rows, sums.weight = rows, task.weight
        settings = settings_of(task, batch)
        scale = 1 / sums.weight if task.exchange.add == NULL else 1
        if sums.weight > 0 and not first_half(task, start, rows, scale, step, settings, worker, <real*> NULL):
            return
        if all_stop(task, worker, 0):
            return
        if sums.weight > 0 or task.exchange.add != NULL:
            sums.loss = sum_of_losses(task, rows) if sums.weight > 0 else 0
            if second_half(task, start, &sums, step, settings, task.path == GRADIENT and batch > 0, worker, <real*> NULL):
                return
        step += 1
        batch += 1
        if worker.number == 0:
            task.stretch.ends = batch == task.n_batches or (task.stretch.reviewed and stretch_ends(task, rows))
            if not task.stretch.ends:
                task.weight = weight_of_batch(task, batch, <real*> NULL)
        team_barrier(&task.team)
        if worker.number == 0:
            if sums.weight > 0 and task.path == GRADIENT:
                task.loss_sum += sums.loss / sums.weight
            elif sums.weight > 0:
                account(task, &sums)
            task.done += 1
            task.step += 1
            if task.heavy:
                look_at_signals(&task.signals)
            task.stretch.batch = batch
        if task.stretch.ends:
            return


cdef int begin_stretch(Training* task, int n_threads) noexcept nogil:
    """The size of the team that runs the next stretch."""
    cdef Stretch* stretch = &task.stretch
    cdef int chosen = size_of(&task.sizes, task.sizes.choice), size
    stretch.began = stretch.last_batch = now_nanoseconds()
    stretch.rows = 0
    stretch.calls = team_calls()
    stretch.disturbed = False
    if not stretch.reviewed:
        return n_threads
    size = min(chosen, largest_team(n_threads, stretch.calls, stretch.began))
    stretch.chosen = size == chosen
    return size


cdef bint stretch_ends(Training* task, Py_ssize_t rows) noexcept nogil:
    """Whether the choice of the team's size is due for review after a batch of so many rows."""
    cdef Stretch* stretch = &task.stretch
    cdef long long now = task.signals.last_chance, took = now - stretch.last_batch
    stretch.last_batch = now
    stretch.rows += rows
    if not stretch.chosen:
        return now >= retreat.until or team_calls() != stretch.calls + 1
    stretch.disturbed = task.team.size > 1 and team_calls() > stretch.calls + 1
    return (
        stretch.disturbed
        or falls_behind(&task.sizes, took, rows)
        or task.sizes.spent + now - stretch.began >= task.sizes.length
    )


cdef void end_stretch(Training* task) noexcept nogil:
    cdef long long now = now_nanoseconds()
    if not task.stretch.reviewed or not task.stretch.chosen or task.stretch.disturbed:
        return
    if task.stretch.rows > 0:
        note_team(&task.sizes, now - task.stretch.began, task.stretch.rows, now)


cdef void divide_tiles(Training* task) noexcept nogil:
    """Consecutive tiles to each worker, about as much work each."""
    cdef double total = 0, so_far = 0
    cdef Py_ssize_t i, worker = 1, size = task.team.size
    cdef const Tile* tile
    for i in range(task.batch.n_tiles):
        total += task.batch.tiles[i].work
    task.tile_bounds[0] = 0
    for i in range(task.batch.n_tiles):
        tile = task.batch.tiles + i
        while worker < size and so_far + tile.work / 2 >= total * worker / size:
            task.tile_bounds[worker] = i
            worker += 1
        so_far += tile.work
    while worker <= size:
        task.tile_bounds[worker] = task.batch.n_tiles
        worker += 1


cdef void train_worker(int number, void* argument) noexcept nogil:
    cdef Training* task = <Training*> argument
    cdef Worker worker
    worker.number = number
    worker.panel = task.panels + number * PANEL_BYTES
    worker.scratch = task.scratch + number * task.scratch_size
    worker.room = task.rooms + number * task.room_size
    worker.totals = task.totals + number * (task.batch.n_layers + 1)
    worker.signals = &task.signals if task.heavy else NULL
    worker.weights_are_far = task.batch.n_params * (4 if task.batch.width == cnp.NPY_FLOAT else 8) >= FAR_PARAMETERS
    cdef unsigned long long before = denormals_to_zero()
    if task.batch.width == cnp.NPY_FLOAT:
        train_stretch[float](task, &worker, NULL)
    else:
        train_stretch[double](task, &worker, NULL)
    denormals_restore(before)
