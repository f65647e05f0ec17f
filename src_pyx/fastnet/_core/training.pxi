# Backpropagation and the training of an epoch, by one thread or a team.
#
# A batch has two halves. First every member takes its share of the batch's rows forward through all layers and back again, which
# leaves A[l] and dZ[l] of all rows. After a barrier the parameters are divided among the members: tiles of rows of W[l], and the
# b[l]. A tile's gradient is computed into a scratch block and used for its update at once, while it is in cache; no gradient
# vector exists, unless its norm has to be known first (clipping) or it is what the caller wants (loss_and_grad).
#
# Tiles depend on the network alone, sums over rows and tiles are taken in their order: results do not depend on the team's size.

cdef enum:
    TILE_ELEMENTS = 16384           # of a tile's gradient: 64 KiB of floats, in L2 beside the operands
    TILE_ROWS = 12                  # a multiple of the products' row blocks
    WATCH_NANOSECONDS = 50000000    # between looks at Python's signals
    ROWS_PER_PIECE = 1024           # rows at a time in loss_and_grad

cdef enum Status:
    FINISHED
    INTERRUPTED
    DIVERGED


cdef struct Tile:
    Py_ssize_t layer
    Py_ssize_t first                # row of W[l]; -1: the tile is b[l]
    Py_ssize_t count                # rows of W[l]


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
    Py_ssize_t step                 # updates made before this batch
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
    bint heavy                      # a layer of a batch takes long enough to look at signals between layers
    int status
    Py_ssize_t done                 # batches
    Py_ssize_t rows_done
    double loss_sum
    double penalty_sum
    double norm_sum


cdef extern from "Python.h":
    int PyErr_CheckSignals() nogil


cdef extern from "clock.h" nogil:
    long long now_nanoseconds()


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
    """Rows of W[l] in a tile: at most TILE_ELEMENTS elements, and eight tiles in a layer if they are not too small."""
    cdef Py_ssize_t most = TILE_ELEMENTS // layer.n_out // TILE_ROWS * TILE_ROWS
    cdef Py_ssize_t eighth = (layer.n_in // 8 + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
    if eighth < most:
        most = eighth
    return most if most > TILE_ROWS else TILE_ROWS


cdef void gather(Training* task, Py_ssize_t start, Py_ssize_t r0, Py_ssize_t r1, real* unused) noexcept nogil:
    """Copy rows order[start + r0 : start + r1] of the data into the batch's buffers."""
    cdef Py_ssize_t r, number, n_in = task.X.n_columns, n_out = task.layers[task.n_layers - 1].n_out
    cdef const Py_ssize_t* order = task.order + start
    for r in range(r0, r1):
        number = order[r]
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
                                real* unused) noexcept nogil:
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
                           <uint64> task.step, <uint64> l)
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


cdef void tile_gradient(const Training* task, const Tile* tile, Py_ssize_t start, Py_ssize_t rows, real* gradient, bint accumulate,
                        real* panel) noexcept nogil:
    """dW[l] = A[l-1]^T dZ[l] for a tile's rows, or db[l] = the column sums of dZ[l]."""
    cdef const Layer* layer = task.layers + tile.layer
    cdef const real* dZ = <const real*> task.dZ[tile.layer + 1]
    cdef const real* A
    cdef Py_ssize_t r
    if tile.first < 0:
        if not accumulate:
            memset(gradient, 0, layer.n_out * sizeof(real))
        for r in range(rows):
            add_scaled(gradient, dZ + r * layer.n_out, <real> 1, layer.n_out)
    elif tile.layer == 0 and task.X.dense == NULL:
        sparse_weight_gradient(&task.X, task.order, start, dZ, gradient, rows, tile.first, tile.count, layer.n_out, accumulate)
    else:
        if tile.layer == 0 and task.order == NULL:
            A = <const real*> task.X.dense + start * task.X.n_columns
        else:
            A = <const real*> task.A[tile.layer]
        weight_gradient(A, dZ, gradient, rows, tile.first, tile.count, layer.n_in, layer.n_out, accumulate, panel)


cdef inline Py_ssize_t tile_place(const Training* task, const Tile* tile) noexcept nogil:
    """Offset of a tile in the flat vector."""
    cdef const Layer* layer = task.layers + tile.layer
    return layer.b if tile.first < 0 else layer.W + tile.first * layer.n_out


cdef inline Py_ssize_t tile_size(const Training* task, const Tile* tile) noexcept nogil:
    cdef const Layer* layer = task.layers + tile.layer
    return layer.n_out if tile.first < 0 else tile.count * layer.n_out


cdef void gradients_to_vector(Training* task, int member, Py_ssize_t start, Py_ssize_t rows, bint accumulate, real* unused) noexcept nogil:
    """This member's tiles of the gradient into the gradient vector."""
    cdef Py_ssize_t i
    cdef real* gradient
    for i in range(task.tile_bounds[member], task.tile_bounds[member + 1]):
        gradient = <real*> task.gradient + tile_place(task, task.tiles + i)
        tile_gradient(task, task.tiles + i, start, rows, gradient, accumulate, <real*> (task.panels + member * PANEL_BYTES))
        task.tile_norms[i] = sum_of_squares(gradient, tile_size(task, task.tiles + i))
        if member == 0 and task.heavy:
            look_at_signals(task)


cdef double clipping(const Training* task) noexcept nogil:
    """Factor that brings the gradient's norm down to max_norm."""
    cdef double squares = 0
    cdef Py_ssize_t i
    for i in range(task.n_tiles):
        squares += task.tile_norms[i]
    return task.max_norm / sqrt(squares) if squares > task.max_norm * task.max_norm else 1


cdef void update_tiles(Training* task, int member, Py_ssize_t start, Py_ssize_t rows, double weight, double rate,
                       real* unused) noexcept nogil:
    """One optimiser step on this member's tiles."""
    cdef Py_ssize_t i, place, size
    cdef const Tile* tile
    cdef const Layer* layer
    cdef real* gradient
    cdef real* W
    cdef real* scratch = <real*> (task.scratch + member * task.scratch_size)
    cdef double factor, decay
    cdef bint biases
    cdef Step step = task.optimizer
    step.scale = clipping(task) if task.max_norm > 0 else 1
    for i in range(task.tile_bounds[member], task.tile_bounds[member + 1]):
        tile = task.tiles + i
        layer = task.layers + tile.layer
        place = tile_place(task, tile)
        size = tile_size(task, tile)
        biases = tile.first < 0
        W = <real*> task.params + place
        if task.max_norm > 0:
            gradient = <real*> task.gradient + place
        else:
            gradient = scratch
            tile_gradient(task, tile, start, rows, gradient, False, <real*> (task.panels + member * PANEL_BYTES))
            if task.track_norm:
                task.tile_norms[i] = sum_of_squares(gradient, size)
        factor = layer.b_rate if biases else layer.W_rate
        decay = layer.b_decay if biases else layer.W_decay
        step.rate = rate * factor
        step.l2 = task.l2 * decay / (weight if task.l2_per_batch else 1)
        step.keep = 1 - step.rate * task.weight_decay * decay
        task.tile_weights[i] = decay * sum_of_squares(W, size) if task.l2 > 0 else 0
        prepare(&step, task.step + 1)
        update(&step, W, gradient, <real*> task.first + place if task.first != NULL else NULL,
               <real*> task.second + place if task.second != NULL else NULL, size)


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


cdef void train_member(Training* task, int member, real* unused) noexcept nogil:
    """One member's life: all batches of a pass."""
    cdef Py_ssize_t batch, start, rows, size = task.team.size
    cdef double weight, mean_loss
    if member == 0:
        divide_tiles(task)
    team_barrier(&task.team)
    for batch in range(task.n_batches):
        start = batch * task.batch_size
        rows = task.n - start if task.n - start < task.batch_size else task.batch_size
        weight = task.whole_weight if task.only_gradient else weight_of_batch(task, start, rows, <real*> NULL)
        if weight > 0:
            rows_forward_and_back(task, member, start, rows * member // size, rows * (member + 1) // size, 1 / weight, <real*> NULL)
        if member == 0:
            look_at_signals(task)
        team_barrier(&task.team)
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
                update_tiles(task, member, start, rows, weight, task.rates[batch if task.n_rates > 1 else 0], <real*> NULL)
        team_barrier(&task.team)
        if member == 0:
            if weight > 0 and not task.only_gradient:
                account(task, weight, rows, mean_loss)
            task.done += 1
            task.rows_done += rows


cdef void divide_tiles(Training* task) noexcept nogil:
    """Consecutive tiles to each member, about as many elements each."""
    cdef Py_ssize_t total = 0, so_far = 0, i, member = 1, size = task.team.size
    for i in range(task.n_tiles):
        total += tile_size(task, task.tiles + i)
    task.tile_bounds[0] = 0
    for i in range(task.n_tiles):
        while member < size and so_far + tile_size(task, task.tiles + i) // 2 >= total * member // size:
            task.tile_bounds[member] = i
            member += 1
        so_far += tile_size(task, task.tiles + i)
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
        cdef Py_ssize_t rows = task.batch_size, L = task.n_layers, l, first, n_tiles = 0, count, largest = 1
        cdef Tile* tile
        cdef char* place
        cdef int passes
        for l in range(L):
            n_tiles += 1 + (task.layers[l].n_in + tile_rows(task.layers + l) - 1) // tile_rows(task.layers + l)
            largest = max(largest, min(task.layers[l].n_in, tile_rows(task.layers + l)) * task.layers[l].n_out)
        task.n_tiles = n_tiles
        task.scratch_size = (largest * item + 127) // 64 * 64
        needs_vector = task.max_norm > 0 and gradient is None
        task.heavy = <double> self.plan.n_weights * rows > 3e7
        buffer = None
        for passes in range(2):      # the first pass from address 0 measures, the second places
            place = NULL if buffer is None else <char*> cnp.PyArray_DATA(buffer)
            tile = <Tile*> part(&place, n_tiles * sizeof(Tile))
            task.tiles = tile
            task.tile_bounds = <Py_ssize_t*> part(&place, (self.n_threads + 1) * sizeof(Py_ssize_t))
            task.tile_norms = <double*> part(&place, n_tiles * sizeof(double))
            task.tile_weights = <double*> part(&place, n_tiles * sizeof(double))
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
        for l in range(L):
            tile.layer, tile.first, tile.count = l, -1, 0
            tile += 1
            for first in range(0, task.layers[l].n_in, tile_rows(task.layers + l)):
                tile.layer, tile.first = l, first
                tile.count = min(tile_rows(task.layers + l), task.layers[l].n_in - first)
                tile += 1
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
        task.last_look = now_nanoseconds()
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
