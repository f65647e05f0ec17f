# Backpropagation and the training of an epoch, by one thread or a team.
#
# A batch has two halves. First every member takes its share of the batch's rows forward through all layers and back again, which
# leaves A[l] and dZ[l] of all rows. After a barrier the parameters are divided among the members: tiles of rows of W[l], and the
# b[l]. A tile's gradient is computed into a scratch block and used for its update at once, while it is in cache; no gradient
# vector exists, unless its norm has to be known first (clipping) or it is what the caller wants (loss_and_grad).
#
# Tiles depend on the network alone, sums over rows and tiles are taken in their order: results do not depend on the team's size.

cdef enum:
    ROWS_PER_PIECE = 1024           # rows at a time of a large batch, and of loss_and_grad


cdef struct Stretch:
    # Batches that one team runs, until the choice of its size is due for review.
    Py_ssize_t batch                # the first one, and when the team has ended the first that it has not done
    bint reviewed                   # the team may be of another size
    bint chosen                     # its size is the choice of `sizes`, which it tells how long it took
    int calls                       # into the core that were running when it began
    long long began
    long long last_batch            # ended at this time
    Py_ssize_t rows
    bint ends                       # member 0's decision before the last barrier of a batch


cdef struct Training:
    Team team
    TeamSize sizes
    int width
    const Layer* layers
    Py_ssize_t n_layers
    Loss loss
    Rows X
    Targets y
    void* params
    # one pass
    const uint32* order             # (n,) row numbers, or NULL: 0, 1, ...
    Py_ssize_t n                    # rows of the pass
    Py_ssize_t batch_size
    Py_ssize_t n_batches
    Stretch stretch
    const double* rates             # (n_rates,)
    Py_ssize_t n_rates
    Py_ssize_t step                 # batches so far; members count their own while they run
    # objective and optimiser
    Step optimizer
    void* first
    void* second
    double l2
    bint l2_per_batch
    double weight_decay
    double max_norm                 # 0: no clipping
    bint track_norm
    bint gradient_first             # the whole gradient before any update
    bint drops
    uint64 seed
    int n_shares                    # of a batch's rows; 0: one a member
    # gradient instead of training: dJ is summed over the pieces of the pass into `gradient`, with this sum of weights
    bint only_gradient
    double whole_weight
    # buffers of one batch; l = 0 .. L
    void** A                        # (batch_size, n[l]); A[0] only if rows have to be gathered
    void** D                        # derivatives that layers keep, else NULL
    void** dZ                       # [0] is not used
    void* batch_values              # (batch_size, n[L]) gathered targets
    int* batch_labels
    void* batch_weights
    double* losses                  # (batch_size,)
    void* log_sums                  # (batch_size,)
    char* panels                    # one a member
    char* scratch                   # one tile a member
    Py_ssize_t scratch_size
    void* gradient                  # (n_params,), for gradient_first and loss_and_grad
    const Tile* tiles
    Py_ssize_t n_tiles
    Py_ssize_t* tile_bounds         # (team + 1,)
    double* tile_norms              # squared norms of the tiles' gradients
    double* tile_weights            # squared norms of the tiles' weights before the update
    # results
    Watch watch
    bint stops[2]                   # member 0's decisions before the first barriers of a batch, which all members then follow
    double weight                   # of the next batch: member 0's sum, since the caller may change sample weights meanwhile
    bint heavy                      # a layer of a batch takes long enough to look at signals between layers
    bint looks_while_updating       # an update takes so long
    bint diverged
    Py_ssize_t done                 # batches, those without weight too
    Py_ssize_t updates
    Py_ssize_t rows_done            # of the batches with weight
    double loss_sum
    double penalty_sum
    double norm_sum


cdef void gather(Training* task, Py_ssize_t start, Py_ssize_t r0, Py_ssize_t r1, real* unused) noexcept nogil:
    """Copy rows order[start + r0 : start + r1] of the data into the batch's buffers."""
    cdef Py_ssize_t r, n_in = task.X.n_columns, n_out = task.layers[task.n_layers - 1].n_out
    cdef const uint32* order = task.order + start
    if task.X.dense != NULL:
        for r in range(r0, r1):
            prefetch_line(<const real*> task.X.dense + order[min(r + 8, r1 - 1)] * n_in)
            copy_row(<real*> task.A[0] + r * n_in, <const real*> task.X.dense + order[r] * n_in, n_in * sizeof(real))
    if task.y.values != NULL:
        for r in range(r0, r1):
            copy_row(<real*> task.batch_values + r * n_out, <const real*> task.y.values + order[r] * n_out, n_out * sizeof(real))
    if task.y.weights != NULL:
        for r in range(r0, r1):
            (<real*> task.batch_weights)[r] = (<const real*> task.y.weights)[order[r]]


cdef Py_ssize_t rows_of_batch(const Training* task, Py_ssize_t batch) noexcept nogil:
    return min(task.n - batch * task.batch_size, task.batch_size)


cdef double weight_of_batch(const Training* task, Py_ssize_t batch, real* unused) noexcept nogil:
    """Sum of a batch's sample weights, read from the data; of a gradient, that of all batches."""
    cdef Py_ssize_t r, start = batch * task.batch_size, rows = rows_of_batch(task, batch)
    cdef double total = 0
    cdef const real* weights = <const real*> task.y.weights
    if task.only_gradient:
        return task.whole_weight
    if weights == NULL:
        return rows
    for r in range(start, start + rows):
        total += weights[task.order[r] if task.order != NULL else r]
    return total


cdef Watch* watch_of(Training* task) noexcept nogil:
    """For looks at signals between layers, if a batch takes long enough."""
    return &task.watch if task.heavy else NULL


cdef void rows_forward_and_back(Training* task, int member, Py_ssize_t start, Py_ssize_t r0, Py_ssize_t r1, double scale,
                                Py_ssize_t step, real* unused) noexcept nogil:
    """A[l], dZ[l] and the losses of rows r0 .. r1 of the batch that starts at row `start` of the pass."""
    cdef Py_ssize_t rows = r1 - r0, l, n_in, n_out
    cdef const Layer* layer
    cdef const real* params = <const real*> task.params
    cdef const real* A
    cdef real* Z
    cdef real* D
    cdef real* dA
    cdef real* panel = <real*> (task.panels + member * PANEL_BYTES)
    cdef const int* labels = labels_of(&task.y, <int> task.layers[task.n_layers - 1].n_out, task.order, start + r0, rows,
                                       task.batch_labels + r0)
    cdef const real* Y = NULL
    cdef const real* weights = NULL
    cdef Watch* watch = watch_of(task)
    if task.order != NULL:
        gather(task, start, r0, r1, <real*> NULL)
        A = <const real*> task.A[0] + r0 * task.X.n_columns if task.X.dense != NULL else NULL
        Y = <const real*> task.batch_values + r0 * task.layers[task.n_layers - 1].n_out
        weights = <const real*> task.batch_weights + r0 if task.y.weights != NULL else NULL
    else:
        A = <const real*> task.X.dense + (start + r0) * task.X.n_columns if task.X.dense != NULL else NULL
        if task.y.values != NULL:
            Y = <const real*> task.y.values + (start + r0) * task.layers[task.n_layers - 1].n_out
        if task.y.weights != NULL:
            weights = <const real*> task.y.weights + start + r0

    for l in range(1, task.n_layers + 1):
        layer = task.layers + l - 1
        n_out = layer.n_out
        Z = <real*> task.A[l] + r0 * n_out
        D = <real*> task.D[l] + r0 * n_out if layer.keeps else NULL
        hidden_forward(layer, &task.X, task.order, start + r0, A, params, Z, rows, panel, watch, member)
        if l == task.n_layers:
            output_layer(layer, &task.loss, Z, D, <real*> task.dZ[l] + r0 * n_out, labels, Y, weights, scale, task.losses + r0,
                         <real*> task.log_sums + r0, rows)
        elif layer.keeps:
            activate_keeping(layer.activation, layer.alpha, Z, D, rows * n_out)
            if layer.dropout > 0 and task.drops:
                drop_units(Z, D, rows, n_out, r0 + (start if task.only_gradient else 0), layer.dropout, task.seed,
                           <uint64> step, <uint64> l)
        else:
            activate(layer.activation, layer.alpha, Z, rows * n_out)
        A = Z
        if ended(watch, member):
            return

    for l in range(task.n_layers, 1, -1):
        layer = task.layers + l - 1
        n_in = layer.n_in
        dA = <real*> task.dZ[l - 1] + r0 * n_in
        input_gradient(<const real*> task.dZ[l] + r0 * layer.n_out, params + layer.W, dA, rows, n_in, layer.n_out, panel,
                       watch, member)
        layer = task.layers + l - 2
        if layer.keeps:
            multiply_into(<const real*> task.D[l - 1] + r0 * n_in, dA, rows * n_in)
        else:
            multiply_derivative(layer.activation, layer.alpha, <const real*> task.A[l - 1] + r0 * n_in, dA, rows * n_in)
        if ended(watch, member):
            return


cdef void tile_gradient(const Training* task, const Tile* tile, Py_ssize_t start, Py_ssize_t rows, real* gradient, Py_ssize_t stride,
                        bint accumulate, real* panel) noexcept nogil:
    """A tile of dW[l] = A[l-1]^T dZ[l], or db[l] = the column sums of dZ[l]; `stride` from one of its rows to the next."""
    cdef const Layer* layer = task.layers + tile.layer
    cdef const real* dZ = <const real*> task.dZ[tile.layer + 1] + tile.first_column
    cdef const real* A
    if tile.is_bias:
        bias_gradient(dZ, gradient, rows, layer.n_out, accumulate)
    elif tile.layer == 0 and task.X.dense == NULL:
        sparse_weight_gradient(&task.X, task.order, start, dZ, layer.n_out, gradient, stride, rows, tile.first_row, tile.rows,
                               tile.columns, accumulate)
    else:
        if tile.layer == 0 and task.order == NULL:
            A = <const real*> task.X.dense + start * task.X.n_columns
        else:
            A = <const real*> task.A[tile.layer]
        weight_gradient(A + tile.first_row, layer.n_in, dZ, layer.n_out, gradient, stride, rows, tile.rows, tile.columns, accumulate,
                        panel)


cdef void gradients_to_vector(Training* task, int member, Py_ssize_t start, Py_ssize_t rows, bint accumulate, real* unused) noexcept nogil:
    """This member's tiles of the gradient into the gradient vector, unless a signal ends the training."""
    cdef Py_ssize_t i
    cdef const Tile* tile
    cdef real* gradient
    cdef Watch* watch = watch_of(task)
    for i in range(task.tile_bounds[member], task.tile_bounds[member + 1]):
        tile = task.tiles + i
        gradient = <real*> task.gradient + tile.place
        tile_gradient(task, tile, start, rows, gradient, tile.stride, accumulate, <real*> (task.panels + member * PANEL_BYTES))
        if task.track_norm:
            task.tile_norms[i] = squares_of_pieces(gradient, tile.stride, tile)
        if ended(watch, member):
            return


cdef double squares_of_pieces(const real* x, Py_ssize_t stride, const Tile* tile) noexcept nogil:
    """Sum of squares of a tile's elements in x, whose rows are `stride` apart."""
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(tile.pieces):
        total += sum_of_squares(x + i * stride, tile.length)
    return total


cdef double clipping(const Training* task) noexcept nogil:
    """Factor that brings the gradient's norm down to max_norm."""
    cdef double squares = 0
    cdef Py_ssize_t i
    for i in range(task.n_tiles):
        squares += task.tile_norms[i]
    return task.max_norm / sqrt(squares) if squares > task.max_norm * task.max_norm else 1


cdef void update_tiles(Training* task, int member, Py_ssize_t start, Py_ssize_t rows, double weight, double rate,
                       Py_ssize_t number, real* unused) noexcept nogil:
    """Optimiser step `number` on this member's tiles; if it takes long, a signal leaves the rest of them as they are."""
    cdef Py_ssize_t i, piece, place, stride
    cdef const Tile* tile
    cdef const Layer* layer
    cdef real* gradient
    cdef real* params = <real*> task.params
    cdef real* first = <real*> task.first
    cdef real* second = <real*> task.second
    cdef double decay
    cdef Watch* watch = &task.watch if task.looks_while_updating else NULL
    cdef Step step = task.optimizer
    step.scale = clipping(task) if task.max_norm > 0 else 1
    prepare(&step, number)
    for i in range(task.tile_bounds[member], task.tile_bounds[member + 1]):
        tile = task.tiles + i
        layer = task.layers + tile.layer
        if task.gradient_first:
            gradient = <real*> task.gradient + tile.place
            stride = tile.stride
        else:
            gradient = <real*> (task.scratch + member * task.scratch_size)
            stride = tile.columns
            tile_gradient(task, tile, start, rows, gradient, stride, False, <real*> (task.panels + member * PANEL_BYTES))
            if task.track_norm:
                task.tile_norms[i] = squares_of_pieces(gradient, stride, tile)
        decay = layer.b_decay if tile.is_bias else layer.W_decay
        step.rate = rate * (layer.b_rate if tile.is_bias else layer.W_rate)
        step.l2 = task.l2 * decay / (weight if task.l2_per_batch else 1)
        step.keep = 1 - step.rate * task.weight_decay * decay
        if task.l2 > 0:
            task.tile_weights[i] = decay * squares_of_pieces(params + tile.place, tile.stride, tile)
        for piece in range(tile.pieces):
            place = tile.place + piece * tile.stride
            update(&step, params + place, gradient + piece * stride, first + place if first != NULL else NULL,
                   second + place if second != NULL else NULL, tile.length)
        if ended(watch, member):
            return


cdef void account(Training* task, double weight, Py_ssize_t rows, double mean_loss) noexcept nogil:
    """Member 0's books after a batch."""
    cdef double squares = 0, norms = 0
    cdef Py_ssize_t i
    if task.l2 > 0:
        for i in range(task.n_tiles):
            squares += task.tile_weights[i]
    if task.track_norm:
        for i in range(task.n_tiles):
            norms += task.tile_norms[i]
    task.loss_sum += rows * mean_loss
    task.penalty_sum += rows * (0.5 * task.l2 * squares / (weight if task.l2_per_batch else 1))
    task.norm_sum += norms
    task.updates += 1
    task.rows_done += rows


cdef double mean_of_losses(const Training* task, Py_ssize_t rows, double weight) noexcept nogil:
    cdef double sums[4]
    cdef Py_ssize_t r = 0
    sums[0] = sums[1] = sums[2] = sums[3] = 0
    while r + 4 <= rows:
        sums[0] += task.losses[r]
        sums[1] += task.losses[r + 1]
        sums[2] += task.losses[r + 2]
        sums[3] += task.losses[r + 3]
        r += 4
    while r < rows:
        sums[0] += task.losses[r]
        r += 1
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) / weight


cdef void share_forward_and_back(Training* task, int member, Py_ssize_t start, Py_ssize_t r0, Py_ssize_t r1, double scale,
                                 Py_ssize_t step, real* unused) noexcept nogil:
    """A member's share of a batch, in pieces whose layers leave time to look at signals."""
    cdef Py_ssize_t piece = ROWS_PER_PIECE if task.heavy else r1 - r0
    while r0 < r1 and not flag_is_up(&task.watch.signalled):
        rows_forward_and_back(task, member, start, r0, r1 if r1 - r0 < piece else r0 + piece, scale, step, <real*> NULL)
        r0 += piece


cdef bint all_stop(Training* task, int member, int barrier) noexcept nogil:
    """Barrier 0 or 1 of a batch, after which all members know whether a signal ends the training."""
    if member == 0:
        look_at_signals(&task.watch)
        if task.heavy:
            wait_watchfully(&task.watch, &task.team)
        task.stops[barrier] = flag_is_up(&task.watch.signalled)
    team_barrier(&task.team)
    return task.stops[barrier]


cdef void train_member(Training* task, int member, real* unused) noexcept nogil:
    """One member's life: the batches of a stretch."""
    cdef Py_ssize_t batch = task.stretch.batch, start, rows, size = task.team.size, step = task.step
    cdef Py_ssize_t shares = task.n_shares if task.n_shares > 0 else size, share
    cdef double weight, mean_loss
    if member == 0:
        divide_tiles(task)
        task.weight = weight_of_batch(task, batch, <real*> NULL)
    team_barrier(&task.team)
    while True:
        start = batch * task.batch_size
        rows = rows_of_batch(task, batch)
        weight = task.weight
        if weight > 0:
            share = member
            while share < shares:
                share_forward_and_back(task, member, start, rows * share // shares, rows * (share + 1) // shares, 1 / weight, step,
                                       <real*> NULL)
                share += size
        if all_stop(task, member, 0):
            return
        if weight > 0:
            mean_loss = mean_of_losses(task, rows, weight)
            if task.only_gradient:
                gradients_to_vector(task, member, start, rows, batch > 0, <real*> NULL)
                if member == 0:
                    task.loss_sum += mean_loss
            else:
                if not isfinite(mean_loss):
                    if member == 0:
                        task.diverged = True
                    return
                if task.gradient_first:
                    gradients_to_vector(task, member, start, rows, False, <real*> NULL)
                    if all_stop(task, member, 1):
                        return
                update_tiles(task, member, start, rows, weight, task.rates[batch if task.n_rates > 1 else 0], step + 1, <real*> NULL)
        step += 1
        batch += 1
        if member == 0:
            task.stretch.ends = batch == task.n_batches or (task.stretch.reviewed and stretch_ends(task, rows))
            if not task.stretch.ends:
                task.weight = weight_of_batch(task, batch, <real*> NULL)
        team_barrier(&task.team)
        if member == 0:
            if weight > 0 and not task.only_gradient:
                account(task, weight, rows, mean_loss)
            task.done += 1
            task.step += 1
            if task.heavy:
                look_at_signals(&task.watch)
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
    if not stretch.reviewed:
        return n_threads
    size = min(chosen, largest_team(n_threads, stretch.calls, stretch.began))
    stretch.chosen = size == chosen
    return size


cdef bint stretch_ends(Training* task, Py_ssize_t rows) noexcept nogil:
    """Whether the choice of the team's size is due for review after a batch of so many rows."""
    cdef Stretch* stretch = &task.stretch
    cdef long long now = task.watch.last_chance, took = now - stretch.last_batch
    stretch.last_batch = now
    stretch.rows += rows
    if not stretch.chosen:
        return now >= retreat.until or team_calls() != stretch.calls + 1
    return (
        falls_behind(&task.sizes, took, rows)
        or (task.team.size > 1 and team_calls() > stretch.calls + 1)
        or task.sizes.spent + now - stretch.began >= task.sizes.length
    )


cdef void end_stretch(Training* task) noexcept nogil:
    cdef long long now = now_nanoseconds()
    if not task.stretch.reviewed or not task.stretch.chosen:
        return
    if task.stretch.rows > 0:
        note_team(&task.sizes, now - task.stretch.began, task.stretch.rows, now)


cdef void divide_tiles(Training* task) noexcept nogil:
    """Consecutive tiles to each member, about as many elements each."""
    cdef Py_ssize_t total = 0, so_far = 0, i, here, member = 1, size = task.team.size
    for i in range(task.n_tiles):
        total += task.tiles[i].rows * task.tiles[i].columns
    task.tile_bounds[0] = 0
    for i in range(task.n_tiles):
        here = task.tiles[i].rows * task.tiles[i].columns
        while member < size and so_far + here // 2 >= total * member // size:
            task.tile_bounds[member] = i
            member += 1
        so_far += here
    while member <= size:
        task.tile_bounds[member] = task.n_tiles
        member += 1


cdef void train_team_member(int member, void* argument) noexcept nogil:
    cdef Training* task = <Training*> argument
    if task.width == cnp.NPY_FLOAT:
        train_member[float](task, member, NULL)
    else:
        train_member[double](task, member, NULL)
