# The update of the parameters, tile by tile: fused with the gradient of the tile, or after the whole gradient is known.

cdef enum Path:
    FUSED                       # a tile's gradient is made and used at once, while it is in cache: there is no gradient vector
    WHOLE                       # all tiles of the gradient, then the updates: clipping needs the norm, and long updates must be quick
    GRADIENT                    # the gradient, and no update


cdef enum:
    # Columns of the table of an update's settings: the learning rate, and factors of other hyperparameters (1 if it has one
    # column).
    S_RATE
    S_DECAY
    S_DROPOUT
    S_MOMENTUM
    S_SMOOTHING
    S_COLUMNS


cdef struct Update:
    Step step                   # optimiser
    void* m                     # its memory
    void* v
    double l2
    bint l2_per_batch
    double weight_decay
    double max_norm             # 0: no clipping
    bint tracks_norm
    double* rate_factors        # (n_segments,) of the learning rate
    double* decay_factors       # (n_segments,) of L2 and weight decay
    double* tile_norms          # squared norms of the tiles' gradients
    double* tile_weights        # squared norms of the tiles' penalised parameters before the update


cdef Step step_of(const Update* update, const double* settings, Py_ssize_t n_settings, Py_ssize_t number, double weight) noexcept nogil:
    """What all tiles share in optimiser step `number` = 1, 2, ...; `settings` is its row of the table."""
    cdef Step step = update.step
    step.rate = settings[S_RATE]
    if n_settings > 1 and step.optimizer != ADAGRAD:
        step.hyper[0] *= settings[S_MOMENTUM]
    step.l2 = update.l2 / (weight if update.l2_per_batch else 1)
    step.decay = update.weight_decay * (settings[S_DECAY] if n_settings > 1 else 1)
    step.scale = 1
    prepare(&step, number)
    return step


cdef double clipping(const Update* update, Py_ssize_t n_tiles) noexcept nogil:
    """Factor that brings the gradient's norm down to max_norm."""
    cdef double squares = 0
    cdef Py_ssize_t i
    for i in range(n_tiles):
        squares += update.tile_norms[i]
    return update.max_norm / sqrt(squares) if squares > update.max_norm * update.max_norm else 1


cdef Step step_of_tile(const Update* update, const Step* shared, const Tile* tile, Py_ssize_t number, const real* params) noexcept nogil:
    """The step on tile `number`, whose penalty is noted before it is taken."""
    cdef double decay = update.decay_factors[tile.segment]
    cdef Step step = shared[0]
    step.rate = shared.rate * update.rate_factors[tile.segment]
    step.l2 = shared.l2 * decay
    step.keep = 1 - step.rate * shared.decay * decay
    if update.l2 > 0:
        update.tile_weights[number] = decay * squares_of_pieces(params + tile.place, tile.stride, tile)
    return step


cdef inline void take_step_at(const Update* update, const Step* step, Py_ssize_t place, Py_ssize_t length, real* params,
                              const real* gradient) noexcept nogil:
    """A step on the parameters from a place on; the gradient is theirs alone."""
    cdef real* m = <real*> update.m
    cdef real* v = <real*> update.v
    take_step(step, params + place, gradient, m + place if m != NULL else NULL, v + place if v != NULL else NULL, length)


cdef void update_tile(const Update* update, const Step* shared, const Tile* tile, Py_ssize_t number, real* params, const real* gradient,
                      Py_ssize_t stride) noexcept nogil:
    """A step on tile `number`, whose gradient's rows are `stride` apart."""
    cdef Step step = step_of_tile(update, shared, tile, number, params)
    cdef Py_ssize_t piece
    for piece in range(tile.pieces):
        take_step_at(update, &step, tile.place + piece * tile.stride, tile.length, params, gradient + piece * stride)


cdef struct VectorUpdate:
    # A step on vectors that belong to no plan, for loops of training that users write.
    Team team
    Step step
    int width
    void* params
    void* gradient
    void* m
    void* v
    Py_ssize_t n
    Py_ssize_t n_decayed
    Py_ssize_t next_part


cdef enum:
    PARAMETERS_OF_PART = 1 << 16    # workers take parts as they come: a helper that slept begins later


cdef void update_range(VectorUpdate* task, Py_ssize_t start, Py_ssize_t stop, bint decayed, real* unused) noexcept nogil:
    cdef Step step = task.step
    cdef real* m = <real*> task.m
    cdef real* v = <real*> task.v
    step.l2 = task.step.l2 if decayed else 0
    step.keep = 1 - step.rate * task.step.decay if decayed else 1
    if start < stop:
        take_step(&step, <real*> task.params + start, <const real*> task.gradient + start, m + start if m != NULL else NULL,
                  v + start if v != NULL else NULL, stop - start)


cdef void update_parts(VectorUpdate* task, real* unused) noexcept nogil:
    cdef Py_ssize_t start = take_number(&task.next_part) * PARAMETERS_OF_PART, stop, middle
    while start < task.n:
        stop = min(start + PARAMETERS_OF_PART, task.n)
        middle = min(max(task.n_decayed, start), stop)
        update_range(task, start, middle, True, <real*> NULL)
        update_range(task, middle, stop, False, <real*> NULL)
        start = take_number(&task.next_part) * PARAMETERS_OF_PART


cdef void update_worker(int worker, void* argument) noexcept nogil:
    cdef VectorUpdate* task = <VectorUpdate*> argument
    if task.width == cnp.NPY_FLOAT:
        update_parts[float](task, NULL)
    else:
        update_parts[double](task, NULL)


cdef enum:
    UPDATES_OF_WORKER = 1 << 17     # parameters that are worth a worker: some 50 microseconds of Adam


cdef int take_optimizer(Step* step, int optimizer, tuple hyper, Py_ssize_t n_state) except -1:
    """Fill in an optimiser's number and hyperparameters, after checking how many vectors of memory there are."""
    cdef Py_ssize_t i
    if not 0 <= optimizer < N_OPTIMIZERS or len(hyper) > 4:
        raise ValueError(f"unknown optimizer number {optimizer} with {len(hyper)} parameters")
    if n_state >= 0 and n_state != (2 if optimizer == ADAM else 0 if optimizer == SGD else 1):
        raise ValueError(f"optimizer number {optimizer} got {n_state} state vectors")
    step.optimizer = optimizer
    for i in range(len(hyper)):
        step.hyper[i] = hyper[i]
    return 0


def update(cnp.ndarray params not None, cnp.ndarray gradient not None, int optimizer, tuple hyper, state, *, Py_ssize_t step,
           double rate, double l2=0.0, double weight_decay=0.0, Py_ssize_t n_decayed=0, double scale=1.0, int n_threads=1):
    """Optimiser step number `step` on `params` and its memory `state`, in place; the first n_decayed have L2 and weight decay."""
    cdef VectorUpdate task
    state = tuple(state)
    memset(&task, 0, sizeof(task))
    task.width = same_vectors(gradient, params)
    task.n = len(params)
    task.n_decayed = n_decayed
    task.params = cnp.PyArray_DATA(params)
    task.gradient = cnp.PyArray_DATA(gradient)
    take_optimizer(&task.step, optimizer, hyper, len(state))
    if step < 1:
        raise ValueError(f"updates are numbered from 1, got {step}")
    if len(state) > 0:
        task.m = check(state[0], task.width, "state[0]", (task.n,), True)
    if len(state) > 1:
        task.v = check(state[1], task.width, "state[1]", (task.n,), True)
    task.step.rate, task.step.l2, task.step.decay, task.step.scale = rate, l2, weight_decay, scale
    prepare(&task.step, step)
    cdef int size = workers_worth_having(task.n, UPDATES_OF_WORKER, n_threads)
    with nogil:
        team_run(&task.team, min(size, largest_team(n_threads, team_calls(), now_nanoseconds())), update_worker, &task)
