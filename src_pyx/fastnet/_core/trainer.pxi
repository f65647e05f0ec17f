# The Trainer: from Python's arrays to a Training task, and back.

# Millions of operations of a batch's forward pass, in float32; those of float64 count twice. A core makes a hundred in a
# millisecond or so. An update makes its gradient on the way, by tiles, and once begun is finished: a long one waits for the whole
# gradient and then is quick, so that Ctrl-C is obeyed within 100 ms. That costs 1 to 2 % (1,024 rows, two layers of 2,048).
cdef enum:
    HEAVY_BATCH = 60
    LONG_UPDATE = 4000
    LONG_SWEEP = 1 << 23            # parameters whose update takes some 20 ms, whatever made the gradient
    ALWAYS_ALL = 300                # a batch that takes longer than a time slice is always worth all members


cdef class Trainer:
    """Data, parameters, optimiser state and every buffer of the training of one network.

    `fastnet._session.Session` makes it and describes the parameters. Nothing is allocated after construction: `run` works in
    the buffers made here.
    """

    cdef Training task
    cdef readonly Plan plan
    cdef readonly Py_ssize_t n_rows
    cdef readonly int n_threads
    cdef tuple _kind            # of work, for the choice of the team's size
    cdef list held              # the arrays that the task points into
    cdef readonly Py_ssize_t workspace_bytes

    def __cinit__(self, Plan plan not None, cnp.ndarray params not None, tuple loss, X, y, sample_weight, Py_ssize_t batch_size,
                  int optimizer, tuple hyper, state, *, double l2=0.0, bint l2_per_batch=False, double weight_decay=0.0,
                  double max_grad_norm=0.0, bint track_grad_norm=False, unsigned long long seed=0, int n_threads=1,
                  gradient=None, bint dropout=True):
        cdef Training* task = &self.task
        cdef Py_ssize_t n_out = plan.sizes[plan.n_layers], i
        memset(task, 0, sizeof(Training))
        state = tuple(state)        # no one else can replace its arrays, into which the task points
        self.plan = plan
        task.width = width_of(plan, params)
        if gradient is None and not cnp.PyArray_ISWRITEABLE(params):
            raise ValueError("params must be writable to be trained")
        task.params = cnp.PyArray_DATA(params)
        task.layers = plan.layers
        task.n_layers = plan.n_layers
        take_loss(&task.loss, loss, n_out)
        take_rows(&task.X, X, plan.layers[0].n_in, task.width)
        take_targets(&task.y, y, sample_weight, plan, task.X.n, task.loss.code, task.width)
        self.n_rows = task.X.n
        if min(batch_size, self.n_rows) > 2147483647:
            raise ValueError(f"a batch may have 2^31 - 1 rows, got {min(batch_size, self.n_rows)}: take a smaller batch_size")
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
        operations = 1e-6 * self.plan.n_weights * task.batch_size * (2 if task.width == cnp.NPY_FLOAT else 4)
        task.heavy = operations > HEAVY_BATCH
        task.gradient_first = max_grad_norm > 0 or operations / self.n_threads > LONG_UPDATE
        task.looks_while_updating = plan.n_params > LONG_SWEEP
        self._lay_out(n_out, gradient)
        task.n_shares = self.n_threads if self.plan.uses_blas else 0
        task.stretch.reviewed = self.n_threads > 1 and operations < ALWAYS_ALL
        self._kind = (plan.sizes, task.batch_size, task.width, self.n_threads, task.only_gradient, isinstance(X, tuple))
        if not recall_size(&task.sizes, self._kind):
            start_team_size(&task.sizes, self.n_threads)

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
        cdef Py_ssize_t rows = task.batch_size, L = task.n_layers, l, count
        cdef Py_ssize_t largest
        cdef char* place
        cdef int passes
        if <object> (4 * item) * (sum(self.plan.sizes) + n_out + 16) * rows > PY_SSIZE_T_MAX // 2:
            raise self._no_memory(f"more than {PY_SSIZE_T_MAX // 2:,}")
        task.n_tiles = lay_tiles(task.layers, L, self.plan.n_weights, NULL, &largest)
        task.scratch_size = (largest * item + 127) // 64 * 64
        needs_vector = task.gradient_first and gradient is None
        buffer = None
        for passes in range(2):      # the first pass from address 0 measures, the second places
            place = NULL if buffer is None else <char*> cnp.PyArray_DATA(buffer)
            task.tiles = <Tile*> part(&place, task.n_tiles * sizeof(Tile))
            task.tile_bounds = <Py_ssize_t*> part(&place, (self.n_threads + 1) * sizeof(Py_ssize_t))
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
        lay_tiles(task.layers, L, self.plan.n_weights, <Tile*> task.tiles, &largest)
        if gradient is not None:
            task.gradient = check(gradient, task.width, "grads", (self.plan.n_params,), True)
        self.held.append(buffer)
        return 0

    def _allocate(self, size):
        try:
            return np.empty(size, dtype=np.uint8)
        except MemoryError:
            raise self._no_memory(f"{size:,}") from None

    def _no_memory(self, size):
        return MemoryError(
            f"training needs a workspace of {size} bytes for batches of {self.task.batch_size} rows, and there is not "
            f"enough memory: a smaller batch_size or narrower layers need less"
        )

    @property
    def step(self):
        """Batches so far, over all runs: Adam's t, and what dropout's masks depend on."""
        return self.task.step

    @step.setter
    def step(self, Py_ssize_t value):
        self.task.step = value

    def run(self, order, cnp.ndarray rates not None):
        """One pass over the rows numbered in `order` (uint32; None: all, in order), with a learning rate a batch or one for all.

        Returns (diverged, n_batches, n_updates, n_rows, loss_sum, penalty_sum, grad_sq_sum). Training diverges with a loss that is
        not finite, in the batch after the n_batches done, or a parameter that is not after all of them. A batch whose weights are
        all zero makes no update, and its rows are not in n_rows and the sums.
        """
        cdef Training* task = &self.task
        cdef Py_ssize_t i
        task.n = self.n_rows
        task.order = NULL
        if order is not None:
            task.order = <const uint32*> check(order, cnp.NPY_UINT32, "order", (-1,), False)
            task.n = len(order)
            if largest_of(task.order, task.n) >= self.n_rows:
                raise IndexError(f"order holds {largest_of(task.order, task.n)}, which is no row number: there are {self.n_rows} rows")
        task.n_batches = (task.n + task.batch_size - 1) // task.batch_size
        task.rates = <const double*> check(rates, cnp.NPY_DOUBLE, "rates", (-1,), False)
        task.n_rates = len(rates)
        if task.n_rates != 1 and task.n_rates < task.n_batches:
            raise ValueError(f"{task.n_batches} batches need as many learning rates, or one: got {task.n_rates}")
        self._run()
        return bool(task.diverged), task.done, task.updates, task.rows_done, task.loss_sum, task.penalty_sum, task.norm_sum

    cdef int _run(self) except -1:
        cdef Training* task = &self.task
        start_watch(&task.watch, &task.team)
        task.diverged = False
        task.done = task.updates = task.rows_done = task.stretch.batch = 0
        task.loss_sum = task.penalty_sum = task.norm_sum = 0
        with nogil:
            while task.stretch.batch < task.n_batches and not task.diverged and not flag_is_up(&task.watch.signalled):
                team_run(&task.team, begin_stretch(task, self.n_threads), train_team_member, task)
                end_stretch(task)
            if not task.only_gradient and not params_are_finite(task, self.plan.n_params):
                task.diverged = True
        if task.stretch.reviewed:
            remember_size(&task.sizes, self._kind)
        return raise_if_ended(&task.watch)


cdef uint32 largest_of(const uint32* numbers, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32 largest = 0
    for i in range(n):
        largest = numbers[i] if numbers[i] > largest else largest
    return largest


cdef bint params_are_finite(const Training* task, Py_ssize_t n_params) noexcept nogil:
    if task.width == cnp.NPY_FLOAT:
        return all_finite(<const float*> task.params, n_params)
    return all_finite(<const double*> task.params, n_params)


def loss_and_grad(Plan plan not None, cnp.ndarray params not None, tuple loss, X, y, sample_weight, cnp.ndarray grads not None,
                  int n_threads=1, seed=None):
    """The weighted mean loss J, and dJ/d(params) into `grads` (n_params,). With a seed, dropout's masks of step 0 under it."""
    cdef Trainer trainer
    weight = None if sample_weight is None else float(sample_weight.sum(dtype=np.float64))
    if weight is not None and not weight > 0:
        raise ValueError(f"sample_weight must have a positive sum, got {weight}")
    trainer = Trainer.__new__(Trainer, plan, params, loss, X, y, sample_weight,
                              ROWS_PER_PIECE, SGD, (), [], n_threads=n_threads, gradient=grads, dropout=seed is not None,
                              seed=0 if seed is None else seed)
    trainer.task.n = trainer.n_rows
    trainer.task.n_batches = (trainer.n_rows + trainer.task.batch_size - 1) // trainer.task.batch_size
    trainer.task.whole_weight = trainer.n_rows if weight is None else weight
    trainer._run()
    return trainer.task.loss_sum
