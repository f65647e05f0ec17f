# Backpropagation and the training of an epoch, by one thread or a team.
#
# A batch has two halves. First every member takes its share of the batch's rows forward through all layers and back again, which
# leaves A[l] and dZ[l] of all rows. After a barrier the parameters are divided among the members: tiles of rows of W[l], and the
# b[l]. A tile's gradient is computed into a scratch block and used for its update at once, while it is in cache; no gradient
# vector exists, unless its norm has to be known first (clipping) or it is what the caller wants (loss_and_grad).
#
# Tiles depend on the network alone, sums over rows and tiles are taken in their order: results do not depend on the team's size.

cdef enum:
    TILE_COLUMNS = 256              # a tile of 96 x 256 floats is 96 KiB: its gradient stays in L2 from product to update
    TILE_ROWS = 96
    TILE_ROW_UNIT = 12              # a multiple of the products' row blocks
    WATCH_NANOSECONDS = 50000000    # between looks at Python's signals
    ROWS_PER_PIECE = 1024           # rows at a time in loss_and_grad
    REVIEW_NANOSECONDS = 10000000   # between looks at how well a team's members keep each other busy
    WASTE_PERCENT = 35              # of a team's time spent waiting from which one member alone is faster

cdef enum Status:
    FINISHED
    INTERRUPTED
    DIVERGED


cdef struct Tile:
    Py_ssize_t layer
    bint is_bias                    # b[l], else rows x columns of W[l]
    Py_ssize_t first_row
    Py_ssize_t rows
    Py_ssize_t first_column
    Py_ssize_t columns
    Py_ssize_t place                # of its first element in the flat vector
    Py_ssize_t stride               # from one row to the next in the flat vector
    Py_ssize_t pieces               # contiguous runs in the flat vector, and the length of each
    Py_ssize_t length


cdef struct Training:
    Team team
    int width
    const Layer* layers
    Py_ssize_t n_layers
    Loss loss
    Rows X
    Targets y
    void* params
    # one pass
    const Py_ssize_t* order         # (n,) row numbers, or NULL: 0, 1, ...
    Py_ssize_t n                    # rows of the pass
    Py_ssize_t batch_size
    Py_ssize_t n_batches
    const double* rates             # (n_rates,)
    Py_ssize_t n_rates
    Py_ssize_t step                 # updates made; members count their own while they run
    # objective and optimiser
    Step optimizer
    void* first
    void* second
    double l2
    bint l2_per_batch
    double weight_decay
    double max_norm                 # 0: no clipping
    bint track_norm
    bint drops
    uint64 seed
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
    void* gradient                  # (n_params,), for clipping and loss_and_grad
    const Tile* tiles
    Py_ssize_t n_tiles
    Py_ssize_t* tile_bounds         # (team + 1,)
    double* tile_norms              # squared norms of the tiles' gradients
    double* tile_weights            # squared norms of the tiles' weights before the update
    # results
    volatile int stop               # set by member 0, read by all after the first barrier of a batch
    long long last_look
    int next_size                   # members from the next batch on
    long long* waited               # (members,) nanoseconds at barriers since the last review
    long long last_review
    bint heavy                      # a layer of a batch takes long enough to look at signals between layers
    int status
    Py_ssize_t done                 # batches
    Py_ssize_t rows_done
    double loss_sum
    double penalty_sum
    double norm_sum


cdef extern from "Python.h":
    int PyErr_CheckSignals() nogil


cdef void look_at_signals(Training* task) noexcept nogil:
    """Run Python's signal handlers if 50 ms have gone by. One that raises stops the training; the error stays set."""
    cdef long long now = now_nanoseconds()
    if now - task.last_look < WATCH_NANOSECONDS or task.stop:
        return
    task.last_look = now
    with gil:
        if PyErr_CheckSignals() != 0:
            task.stop = 1


cdef Py_ssize_t tile_rows(const Layer* layer) noexcept nogil:
    """Rows of W[l] in a tile: eight tiles in a layer if that leaves them large enough."""
    cdef Py_ssize_t eighth = (layer.n_in // 8 + TILE_ROW_UNIT - 1) // TILE_ROW_UNIT * TILE_ROW_UNIT
    return TILE_ROW_UNIT if eighth < TILE_ROW_UNIT else TILE_ROWS if eighth > TILE_ROWS else eighth


cdef Py_ssize_t lay_tiles(const Layer* layers, Py_ssize_t n_layers, Tile* tiles) noexcept nogil:
    """Fill `tiles`, unless it is NULL, and return how many there are."""
    cdef Py_ssize_t l, row, column, n = 0
    cdef const Layer* layer
    cdef Tile tile
    for l in range(n_layers):
        layer = layers + l
        tile.layer = l
        tile.is_bias = True
        tile.first_row = tile.first_column = 0
        tile.rows = tile.pieces = 1
        tile.columns = tile.stride = tile.length = layer.n_out
        tile.place = layer.b
        if tiles != NULL:
            tiles[n] = tile
        n += 1
        tile.is_bias = False
        row = 0
        while row < layer.n_in:
            tile.first_row = row
            tile.rows = layer.n_in - row if layer.n_in - row < tile_rows(layer) else tile_rows(layer)
            column = 0
            while column < layer.n_out:
                tile.first_column = column
                tile.columns = layer.n_out - column if layer.n_out - column < TILE_COLUMNS else TILE_COLUMNS
                tile.place = layer.W + row * layer.n_out + column
                tile.pieces = 1 if tile.columns == layer.n_out else tile.rows
                tile.length = tile.rows * tile.columns // tile.pieces
                if tiles != NULL:
                    tiles[n] = tile
                n += 1
                column += tile.columns
            row += tile.rows
    return n


cdef void gather(Training* task, Py_ssize_t start, Py_ssize_t r0, Py_ssize_t r1, real* unused) noexcept nogil:
    """Copy rows order[start + r0 : start + r1] of the data into the batch's buffers."""
    cdef Py_ssize_t r, number, n_in = task.X.n_columns, n_out = task.layers[task.n_layers - 1].n_out
    cdef const Py_ssize_t* order = task.order + start
    for r in range(r0, r1):
        number = order[r]
        if r + 8 < r1 and task.X.dense != NULL:
            prefetch(<const real*> task.X.dense + order[r + 8] * n_in)
        if task.X.dense != NULL:
            memcpy(<real*> task.A[0] + r * n_in, <const real*> task.X.dense + number * n_in, n_in * sizeof(real))
        if task.y.labels != NULL:
            task.batch_labels[r] = task.y.labels[number]
        else:
            memcpy(<real*> task.batch_values + r * n_out, <const real*> task.y.values + number * n_out, n_out * sizeof(real))
        if task.y.weights != NULL:
            (<real*> task.batch_weights)[r] = (<const real*> task.y.weights)[number]


cdef double weight_of_batch(const Training* task, Py_ssize_t start, Py_ssize_t rows, real* unused) noexcept nogil:
    """Sum of the batch's sample weights, read from the data: other members may still be gathering."""
    cdef Py_ssize_t r
    cdef double total = 0
    cdef const real* weights = <const real*> task.y.weights
    if weights == NULL:
        return rows
    for r in range(start, start + rows):
        total += weights[task.order[r] if task.order != NULL else r]
    return total


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
    cdef const int* labels = NULL
    cdef const real* Y = NULL
    cdef const real* weights = NULL
    if task.order != NULL:
        gather(task, start, r0, r1, <real*> NULL)
        A = <const real*> task.A[0] + r0 * task.X.n_columns if task.X.dense != NULL else NULL
        labels = task.batch_labels + r0 if task.y.labels != NULL else NULL
        Y = <const real*> task.batch_values + r0 * task.layers[task.n_layers - 1].n_out
        weights = <const real*> task.batch_weights + r0 if task.y.weights != NULL else NULL
    else:
        A = <const real*> task.X.dense + (start + r0) * task.X.n_columns if task.X.dense != NULL else NULL
        if task.y.labels != NULL:
            labels = task.y.labels + start + r0
        else:
            Y = <const real*> task.y.values + (start + r0) * task.layers[task.n_layers - 1].n_out
        if task.y.weights != NULL:
            weights = <const real*> task.y.weights + start + r0

    for l in range(1, task.n_layers + 1):
        layer = task.layers + l - 1
        n_out = layer.n_out
        Z = <real*> task.A[l] + r0 * n_out
        D = <real*> task.D[l] + r0 * n_out if layer.keeps else NULL
        hidden_forward(layer, &task.X, task.order, start + r0, A, params, Z, rows, panel)
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
        if task.heavy and member == 0:
            look_at_signals(task)

    for l in range(task.n_layers, 1, -1):
        layer = task.layers + l - 1
        n_in = layer.n_in
        dA = <real*> task.dZ[l - 1] + r0 * n_in
        input_gradient(<const real*> task.dZ[l] + r0 * layer.n_out, params + layer.W, dA, rows, n_in, layer.n_out, panel)
        layer = task.layers + l - 2
        if layer.keeps:
            multiply_into(<const real*> task.D[l - 1] + r0 * n_in, dA, rows * n_in)
        else:
            multiply_derivative(layer.activation, layer.alpha, <const real*> task.A[l - 1] + r0 * n_in, dA, rows * n_in)
        if task.heavy and member == 0:
            look_at_signals(task)


cdef void tile_gradient(const Training* task, const Tile* tile, Py_ssize_t start, Py_ssize_t rows, real* gradient, Py_ssize_t stride,
                        bint accumulate, real* panel) noexcept nogil:
    """A tile of dW[l] = A[l-1]^T dZ[l], or db[l] = the column sums of dZ[l]; `stride` from one of its rows to the next."""
    cdef const Layer* layer = task.layers + tile.layer
    cdef const real* dZ = <const real*> task.dZ[tile.layer + 1] + tile.first_column
    cdef const real* A
    cdef Py_ssize_t r
    if tile.is_bias:
        if not accumulate:
            memset(gradient, 0, layer.n_out * sizeof(real))
        for r in range(rows):
            add_scaled(gradient, dZ + r * layer.n_out, <real> 1, layer.n_out)
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
    """This member's tiles of the gradient into the gradient vector."""
    cdef Py_ssize_t i
    cdef const Tile* tile
    cdef real* gradient
    for i in range(task.tile_bounds[member], task.tile_bounds[member + 1]):
        tile = task.tiles + i
        gradient = <real*> task.gradient + tile.place
        tile_gradient(task, tile, start, rows, gradient, tile.stride, accumulate, <real*> (task.panels + member * PANEL_BYTES))
        task.tile_norms[i] = squares_of_pieces(gradient, tile.stride, tile)
        if member == 0 and task.heavy:
            look_at_signals(task)


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
    """Optimiser step `number` on this member's tiles."""
    cdef Py_ssize_t i, piece, place, stride
    cdef const Tile* tile
    cdef const Layer* layer
    cdef real* gradient
    cdef real* params = <real*> task.params
    cdef real* first = <real*> task.first
    cdef real* second = <real*> task.second
    cdef double decay
    cdef Step step = task.optimizer
    step.scale = clipping(task) if task.max_norm > 0 else 1
    prepare(&step, number)
    for i in range(task.tile_bounds[member], task.tile_bounds[member + 1]):
        tile = task.tiles + i
        layer = task.layers + tile.layer
        if task.max_norm > 0:
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
    task.step += 1


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


cdef void review_team(Training* task) noexcept nogil:
    """Go on with one member if the team wastes its time, because other programs have the cores. Results stay the same."""
    cdef long long now = now_nanoseconds(), wasted = 0
    cdef int i, size = task.team.size
    if size == 1 or now - task.last_review < REVIEW_NANOSECONDS:
        return
    for i in range(size):
        wasted += task.waited[i]
        task.waited[i] = 0
    if wasted * 100 > (now - task.last_review) * size * WASTE_PERCENT:
        task.next_size = 1
    task.last_review = now


cdef void train_member(Training* task, int member, real* unused) noexcept nogil:
    """One member's life: all batches of a pass."""
    cdef Py_ssize_t batch, start, rows, size = task.team.size, step = task.step
    cdef double weight, mean_loss
    if member == 0:
        divide_tiles(task)
        task.next_size = <int> size
    team_barrier(&task.team)
    for batch in range(task.n_batches):
        start = batch * task.batch_size
        rows = task.n - start if task.n - start < task.batch_size else task.batch_size
        weight = task.whole_weight if task.only_gradient else weight_of_batch(task, start, rows, <real*> NULL)
        if weight > 0:
            rows_forward_and_back(task, member, start, rows * member // size, rows * (member + 1) // size, 1 / weight, step,
                                  <real*> NULL)
        if member == 0:
            look_at_signals(task)
        task.waited[member] += team_barrier(&task.team)
        if task.stop:
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
                        task.status = DIVERGED
                    return
                if task.max_norm > 0:
                    gradients_to_vector(task, member, start, rows, False, <real*> NULL)
                    team_barrier(&task.team)
                step += 1
                update_tiles(task, member, start, rows, weight, task.rates[batch if task.n_rates > 1 else 0], step, <real*> NULL)
        if member == 0:
            review_team(task)
        task.waited[member] += team_barrier(&task.team)
        if member >= task.next_size:
            return
        if member == 0:
            if weight > 0 and not task.only_gradient:
                account(task, weight, rows, mean_loss)
            task.done += 1
            task.rows_done += rows
            if size != task.next_size:
                size = task.team.size = task.next_size
                divide_tiles(task)


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


cdef int raise_what_is_set() except -1:
    """Let the exception propagate that a signal handler raised."""
    return -1


cdef class Trainer:
    """Data, parameters, optimiser state and every buffer of the training of one network.

    See the type stub for the parameters. Nothing is allocated after construction: `run` works in the buffers made here.
    """

    cdef Training task
    cdef readonly Plan plan
    cdef readonly Py_ssize_t n_rows
    cdef readonly int n_threads
    cdef object held            # the arrays that the task points into
    cdef list pointers          # buffers of void* and of tiles
    cdef readonly Py_ssize_t workspace_bytes

    def __cinit__(self, Plan plan not None, cnp.ndarray params not None, tuple loss, X, y, sample_weight, Py_ssize_t batch_size,
                  int optimizer, tuple hyper, list state, *, double l2=0.0, bint l2_per_batch=False, double weight_decay=0.0,
                  double max_grad_norm=0.0, bint track_grad_norm=False, unsigned long long seed=0, int n_threads=1,
                  gradient=None, bint dropout=True):
        cdef Training* task = &self.task
        cdef Py_ssize_t n_out = plan.sizes[plan.n_layers], i
        memset(task, 0, sizeof(Training))
        self.plan = plan
        task.width = width_of(plan, params)
        if not cnp.PyArray_ISWRITEABLE(params):
            raise ValueError("params must be writable to be trained")
        task.params = cnp.PyArray_DATA(params)
        task.layers = plan.layers
        task.n_layers = plan.n_layers
        take_loss(&task.loss, loss, n_out)
        take_rows(&task.X, X, plan.layers[0].n_in, task.width)
        take_targets(&task.y, y, sample_weight, task.X.n, n_out, task.loss.code, task.width)
        self.n_rows = task.X.n
        if batch_size < 1 or self.n_rows < 1:
            raise ValueError(f"training needs at least one row and a batch of one, got {self.n_rows} rows, batch_size={batch_size}")
        task.batch_size = min(batch_size, self.n_rows)
        task.only_gradient = gradient is not None
        task.optimizer.optimizer = optimizer
        if not SGD <= optimizer <= ADAM or len(hyper) > 4:
            raise ValueError(f"unknown optimizer number {optimizer} with {len(hyper)} parameters")
        for i in range(len(hyper)):
            task.optimizer.hyper[i] = hyper[i]
        if len(state) != (2 if optimizer == ADAM else 0 if optimizer == SGD else 1) and not task.only_gradient:
            raise ValueError(f"optimizer number {optimizer} got {len(state)} state vectors")
        if len(state) > 0:
            task.first = check(state[0], task.width, "state[0]", (plan.n_params,), True)
        if len(state) > 1:
            task.second = check(state[1], task.width, "state[1]", (plan.n_params,), True)
        task.l2 = l2
        task.l2_per_batch = l2_per_batch
        task.weight_decay = weight_decay
        task.max_norm = max_grad_norm
        task.track_norm = track_grad_norm or max_grad_norm > 0
        task.drops = dropout
        task.seed = seed
        self.held = [params, loss, X, y, sample_weight, state, gradient]
        self.n_threads = self._members(n_threads)
        self._lay_out(n_out, gradient)

    cdef int _members(self, int n_threads):
        """As many members as a batch has work for: a barrier costs about a microsecond, so each must have some ten of them."""
        cdef double work = <double> self.plan.n_weights * 3 * self.task.batch_size
        cdef int size = n_threads if n_threads < TEAM_MAXIMUM else TEAM_MAXIMUM
        if work / 250000 < size:
            size = <int> (work / 250000)
        if self.task.batch_size < size:
            size = <int> self.task.batch_size
        return size if size > 1 else 1

    cdef int _lay_out(self, Py_ssize_t n_out, gradient) except -1:
        """Place every buffer of a batch in one block of memory."""
        cdef Training* task = &self.task
        cdef Py_ssize_t item = 4 if task.width == cnp.NPY_FLOAT else 8
        cdef Py_ssize_t rows = task.batch_size, L = task.n_layers, l, count, largest = 1
        cdef char* place
        cdef int passes
        task.n_tiles = lay_tiles(task.layers, L, NULL)
        for l in range(L):
            largest = max(largest, task.layers[l].n_out, tile_rows(task.layers + l) * min(task.layers[l].n_out, TILE_COLUMNS))
        task.scratch_size = (largest * item + 127) // 64 * 64
        needs_vector = task.max_norm > 0 and gradient is None
        task.heavy = <double> self.plan.n_weights * rows > 3e7
        buffer = None
        for passes in range(2):      # the first pass from address 0 measures, the second places
            place = NULL if buffer is None else <char*> cnp.PyArray_DATA(buffer)
            task.tiles = <Tile*> part(&place, task.n_tiles * sizeof(Tile))
            task.tile_bounds = <Py_ssize_t*> part(&place, (self.n_threads + 1) * sizeof(Py_ssize_t))
            task.waited = <long long*> part(&place, self.n_threads * sizeof(long long))
            task.tile_norms = <double*> part(&place, task.n_tiles * sizeof(double))
            task.tile_weights = <double*> part(&place, task.n_tiles * sizeof(double))
            task.A = <void**> part(&place, (L + 1) * sizeof(void*))
            task.D = <void**> part(&place, (L + 1) * sizeof(void*))
            task.dZ = <void**> part(&place, (L + 1) * sizeof(void*))
            task.losses = <double*> part(&place, rows * sizeof(double))
            task.log_sums = part(&place, rows * item)
            task.batch_weights = part(&place, rows * item)
            task.batch_labels = <int*> part(&place, rows * sizeof(int))
            task.batch_values = part(&place, rows * n_out * item if task.y.labels == NULL else 0)
            task.panels = <char*> part(&place, self.n_threads * PANEL_BYTES)
            task.scratch = <char*> part(&place, self.n_threads * task.scratch_size)
            for l in range(L + 1):
                count = rows * <Py_ssize_t> self.plan.sizes[l]
                activations_here = part(&place, count * item if l > 0 or task.X.dense != NULL else 0)
                kept_here = part(&place, count * item) if l > 0 and task.layers[l - 1].keeps else NULL
                gradients_here = part(&place, count * item if l > 0 else 0)
                if buffer is not None:
                    task.A[l], task.D[l], task.dZ[l] = activations_here, kept_here, gradients_here
            if needs_vector:
                task.gradient = part(&place, self.plan.n_params * item)
            if buffer is None:
                self.workspace_bytes = <Py_ssize_t> place + 64
                buffer = self._allocate(self.workspace_bytes)
        lay_tiles(task.layers, L, <Tile*> task.tiles)
        if gradient is not None:
            task.gradient = check(gradient, task.width, "grads", (self.plan.n_params,), True)
        self.held.append(buffer)
        return 0

    def _allocate(self, size):
        try:
            return np.empty(size, dtype=np.uint8)
        except MemoryError:
            raise MemoryError(
                f"training needs a workspace of {size:,} bytes for batches of {self.task.batch_size} rows, and there is not "
                f"enough memory: a smaller batch_size or narrower layers need less"
            ) from None

    @property
    def step(self):
        """Updates made so far."""
        return self.task.step

    @step.setter
    def step(self, Py_ssize_t value):
        self.task.step = value

    def run(self, order, cnp.ndarray rates not None):
        """One pass over the rows numbered in `order` (intp; None: all, in order), with a learning rate a batch or one for all.

        Returns (status, n_batches, n_rows, loss_sum, penalty_sum, grad_sq_sum); status 0 is finished, 2 diverged.
        """
        cdef Training* task = &self.task
        cdef Py_ssize_t i
        task.n = self.n_rows
        task.order = NULL
        if order is not None:
            task.order = <const Py_ssize_t*> check(order, cnp.NPY_INTP, "order", (-1,), False)
            task.n = len(order)
            for i in range(task.n):
                if not 0 <= task.order[i] < self.n_rows:
                    raise IndexError(f"order[{i}] = {task.order[i]} is not a row number: there are {self.n_rows} rows")
        task.n_batches = (task.n + task.batch_size - 1) // task.batch_size
        task.rates = <const double*> check(rates, cnp.NPY_DOUBLE, "rates", (-1,), False)
        task.n_rates = len(rates)
        if task.n_rates != 1 and task.n_rates < task.n_batches:
            raise ValueError(f"{task.n_batches} batches need as many learning rates, or one: got {task.n_rates}")
        self._run()
        return task.status, task.done, task.rows_done, task.loss_sum, task.penalty_sum, task.norm_sum

    cdef int _run(self) except -1:
        cdef Training* task = &self.task
        task.stop = 0
        task.status = FINISHED
        task.done = task.rows_done = 0
        task.loss_sum = task.penalty_sum = task.norm_sum = 0
        task.last_look = task.last_review = now_nanoseconds()
        memset(task.waited, 0, self.n_threads * sizeof(long long))
        with nogil:
            team_run(&task.team, self.n_threads, train_team_member, task)
        if task.stop:
            task.status = INTERRUPTED
            raise_what_is_set()
        return 0


def loss_and_grad(Plan plan not None, cnp.ndarray params not None, tuple loss, X, y, sample_weight, cnp.ndarray grads not None,
                  int n_threads=1, seed=None):
    """The weighted mean loss J, and dJ/d(params) into `grads` (n_params,). With a seed, dropout's masks of step 0 under it."""
    cdef Trainer trainer
    weight = None if sample_weight is None else float(sample_weight.sum(dtype=np.float64))
    if weight is not None and not weight > 0:
        raise ValueError(f"sample_weight must have a positive sum, got {weight}")
    trainer = Trainer.__new__(Trainer, plan, params if params.flags.writeable else params.copy(), loss, X, y, sample_weight,
                              ROWS_PER_PIECE, SGD, (), [], n_threads=n_threads, gradient=grads, dropout=seed is not None,
                              seed=0 if seed is None else seed)
    trainer.task.n = trainer.n_rows
    trainer.task.n_batches = (trainer.n_rows + trainer.task.batch_size - 1) // trainer.task.batch_size
    trainer.task.whole_weight = trainer.n_rows if weight is None else weight
    trainer._run()
    return trainer.task.loss_sum
