# The Trainer: from Python's arrays to a Training task, and back.

# Millions of operations of a batch's forward pass, in float32; those of float64 count twice. A core makes a hundred in a
# millisecond or so. An update makes its gradient on the way, by tiles, and once begun is finished: a long one waits for the whole
# gradient and then is quick, so that Ctrl-C is obeyed within 100 ms. That costs 1 to 2 % (1,024 rows, two layers of 2,048).
cdef enum:
    WORK_OF_WORKER = 250000         # multiply-adds: a barrier costs about a microsecond, so each worker must have some ten of them
    HEAVY_BATCH = 60
    LONG_UPDATE = 4000
    LONG_SWEEP = 1 << 23            # parameters whose update takes some 20 ms, whatever made the gradient
    ALWAYS_ALL = 300                # a batch that takes longer than a time slice is always worth all workers


cdef tuple VECTOR = (-1,)           # shapes of any length
cdef tuple TABLE = (-1, -1)


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
                  gradient=None, bint dropout=True, rate_factors=None, decay_factors=None, tuple exchange=None, augmentation=None):
        cdef Training* task = &self.task
        cdef Batch* batch = &task.batch
        cdef Update* update = &task.update
        memset(task, 0, sizeof(Training))
        state = tuple(state)        # no one else can replace its arrays, into which the task points
        self.plan = plan
        batch.width = width_of(plan, params)
        if gradient is None and not cnp.PyArray_ISWRITEABLE(params):
            raise ValueError("params must be writable to be trained")
        batch.params = cnp.PyArray_DATA(params)
        batch.layers = plan.layers
        batch.n_layers = plan.n_layers
        batch.cuts, batch.n_cuts = plan.cuts, plan.n_cuts
        batch.segments, batch.n_params = plan.segments, plan.n_params
        take_loss(&batch.loss, loss, plan)
        take_rows(&batch.X, X, plan, batch.width)
        take_targets(&batch.y, y, sample_weight, plan, batch.X.n, batch.loss.code, batch.width)
        self.n_rows = batch.X.n
        if min(batch_size, self.n_rows) > 2147483647:
            raise ValueError(f"a batch may have 2^31 - 1 rows, got {min(batch_size, self.n_rows)}: take a smaller batch_size")
        if batch_size < 1 or self.n_rows < 1:
            raise ValueError(f"training needs at least one row and a batch of one, got {self.n_rows} rows, batch_size={batch_size}")
        task.batch_size = min(batch_size, self.n_rows)
        take_optimizer(&update.step, optimizer, hyper, len(state) if gradient is None else -1)
        if len(state) > 0:
            update.m = check(state[0], batch.width, "state[0]", (plan.n_params,), True)
        if len(state) > 1:
            update.v = check(state[1], batch.width, "state[1]", (plan.n_params,), True)
        update.l2 = l2
        update.l2_per_batch = l2_per_batch
        update.weight_decay = weight_decay
        update.max_norm = max_grad_norm
        update.tracks_norm = track_grad_norm or max_grad_norm > 0
        take_augmentation(&batch.augmentation, augmentation, plan.n_inputs)
        batch.drops = dropout
        batch.seed = seed
        self.held = [params, loss, X, y, sample_weight, state, gradient, exchange]
        self.n_threads = self._workers(n_threads)
        operations = 1e-6 * plan.cost * task.batch_size * (2 if batch.width == cnp.NPY_FLOAT else 4)
        task.heavy = operations > HEAVY_BATCH
        task.path = FUSED
        if gradient is not None:
            task.path = GRADIENT
        elif exchange is not None or max_grad_norm > 0 or operations / self.n_threads > LONG_UPDATE:
            task.path = WHOLE
        task.looks_while_updating = plan.n_params > LONG_SWEEP
        self._lay_out(gradient if exchange is None else exchange[1])
        if exchange is not None:
            self._take_exchange(*exchange)
        self._take_factors(rate_factors, decay_factors)
        task.n_shares = self.n_threads if plan.uses_blas else 0
        task.stretch.reviewed = self.n_threads > 1 and operations < ALWAYS_ALL and fixed_team == 0
        self._kind = (plan.kind, task.batch_size, batch.width, self.n_threads, task.path == GRADIENT, isinstance(X, tuple))
        if not recall_size(&task.sizes, self._kind):
            start_team_size(&task.sizes, self.n_threads)

    cdef int _workers(self, int n_threads):
        """As many workers as a batch has work for."""
        cdef int most = <int> min(n_threads, self.task.batch_size)
        return workers_worth_having(3 * self.plan.cost * self.task.batch_size, WORK_OF_WORKER, most)

    cdef int _take_factors(self, rate_factors, decay_factors) except -1:
        """Factors of the learning rate and of the decays for each segment; by default 1, and the decay of penalised segments
        alone."""
        cdef Py_ssize_t i, n = self.plan.n_segments
        for name, factors in (("rate_factors", rate_factors), ("decay_factors", decay_factors)):
            if factors is not None and len(factors) != n:
                raise ValueError(f"{name} must hold one factor for each of the {n} segments, got {len(factors)}")
        for i in range(n):
            self.task.update.rate_factors[i] = 1 if rate_factors is None else rate_factors[i]
            self.task.update.decay_factors[i] = self.plan.segments[i].penalised if decay_factors is None else decay_factors[i]
        return 0

    def _take_exchange(self, add, vector, SharedVectors shared=None):
        cdef Exchange* exchange = &self.task.exchange
        if len(vector) < self.plan.n_params + 3:
            raise ValueError(f"a vector of {self.plan.n_params + 3} numbers is exchanged, got {len(vector)}")
        exchange.add = <PyObject*> add
        exchange.n_params = self.plan.n_params
        if shared is None:
            return
        if shared.width != self.task.batch.width or shared.n_columns < self.plan.n_params + 4:
            raise ValueError(f"shared vectors must have the type of the parameters and {self.plan.n_params + 4} numbers")
        if self.task.update.tracks_norm:
            raise ValueError("the norm of a gradient needs all of it, which shared vectors do not give")
        exchange.ranks, exchange.rows, exchange.n_rows, exchange.n_columns = shared.ranks, shared.rows, shared.size, shared.n_columns
        exchange.start, exchange.stop = shared.start, shared.stop
        self.task.looks_while_updating = False

    @property
    def others_failed(self):
        """Whether the last run has ended because another process that shares its vectors has failed."""
        return bool(self.task.exchange.others_failed)

    cdef int _lay_out(self, gradient) except -1:
        """Place every buffer of a batch in one block of memory."""
        cdef Training* task = &self.task
        cdef Batch* batch = &task.batch
        cdef Plan plan = self.plan
        cdef Py_ssize_t item = 4 if batch.width == cnp.NPY_FLOAT else 8
        cdef Py_ssize_t rows = task.batch_size, L = plan.n_layers, l, largest
        cdef const Layer* layer
        cdef char* place
        cdef Tile* tiles = NULL
        cdef int passes, worker
        cdef Py_ssize_t groups = (rows + ROWS_PER_GROUP - 1) // ROWS_PER_GROUP, parts
        numbers = sum(plan.sizes) * 4 + sum(plan.layers[l].kept for l in range(L)) + 4 * (plan.n_outputs * plan.n_members + 16)
        if <object> item * numbers * rows > PY_SSIZE_T_MAX // 2:
            raise self._no_memory(f"more than {PY_SSIZE_T_MAX // 2:,}")
        adds = self._choose_pieces(item * numbers, plan.n_params * item)
        sets = self.n_threads if adds else 1                # of buffers for what layers make
        batch.n_tiles = lay_tiles(plan, NULL, &largest)
        parts = (rows + batch.group_rows - 1) // batch.group_rows
        task.scratch_size = (largest * item + 127) // 64 * 64
        task.room_size = (plan.room * item + 127) // 64 * 64
        buffer = None
        for passes in range(2):      # the first pass from address 0 measures, the second places
            place = NULL if buffer is None else <char*> cnp.PyArray_DATA(buffer)
            tiles = <Tile*> part(&place, batch.n_tiles * sizeof(Tile))
            task.tile_bounds = <Py_ssize_t*> part(&place, (self.n_threads + 1) * sizeof(Py_ssize_t))
            task.update.tile_norms = <double*> part(&place, batch.n_tiles * sizeof(double))
            task.update.tile_weights = <double*> part(&place, batch.n_tiles * sizeof(double))
            task.update.rate_factors = <double*> part(&place, plan.n_segments * sizeof(double))
            task.update.decay_factors = <double*> part(&place, plan.n_segments * sizeof(double))
            batch.A = <void**> part(&place, sets * (L + 1) * sizeof(void*))
            batch.D = <void**> part(&place, sets * (L + 1) * sizeof(void*))
            batch.dZ = <void**> part(&place, sets * (L + 1) * sizeof(void*))
            batch.kept = <void**> part(&place, sets * (L + 1) * sizeof(void*))
            batch.summaries = <void**> part(&place, (L + 1) * sizeof(void*))
            batch.partials = <void**> part(&place, (L + 1) * sizeof(void*))
            task.totals = <void**> part(&place, self.n_threads * (L + 1) * sizeof(void*))
            batch.head = lay_head(&place, rows, &batch.loss, &batch.y, plan.n_outputs // plan.n_positions, item)
            task.panels = <char*> part(&place, self.n_threads * PANEL_BYTES)
            task.scratch = <char*> part(&place, self.n_threads * task.scratch_size)
            task.rooms = <char*> part(&place, self.n_threads * task.room_size)
            batch.inputs = part(&place, rows * plan.n_inputs * item if batch.X.dense != NULL else 0)
            batch.gradients = part(&place, parts * plan.n_params * item) if adds else NULL
            for worker in range(sets):
                self._lay_layers(&place, task.piece_rows if adds else rows, worker, buffer is not None)
            for l in range(1, L + 1):
                layer = plan.layers + l - 1
                summaries = part(&place, groups * layer.summary * item) if layer.summary > 0 else NULL
                partials = part(&place, parts * layer.partial * item) if layer.partial > 0 else NULL
                if buffer is not None:
                    batch.summaries[l], batch.partials[l] = summaries, partials
                for worker in range(self.n_threads if layer.summary > 0 else 0):
                    total = part(&place, layer.summary * item)
                    if buffer is not None:
                        task.totals[worker * (L + 1) + l] = total
            if task.path == WHOLE and gradient is None:
                batch.gradient = part(&place, plan.n_params * item)
            if buffer is None:
                self.workspace_bytes = <Py_ssize_t> place + 64
                buffer = self._allocate(self.workspace_bytes)
        lay_tiles(plan, tiles, &largest)
        batch.tiles = tiles
        if gradient is not None:
            batch.gradient = check(gradient, batch.width, "grads", (-1,), True)
            if len(gradient) < plan.n_params:
                raise ValueError(f"grads must have {plan.n_params} numbers, got {len(gradient)}")
        self.held.append(buffer)
        return 0

    cdef int _lay_layers(self, char** place, Py_ssize_t rows, Py_ssize_t number, bint placed) except -1:
        """A set of buffers for what the layers make of so many rows. That of a piece, which adds to a gradient on its way back, has
        no room for all dZ: they take turns."""
        cdef Batch* batch = &self.task.batch
        cdef Plan plan = self.plan
        cdef Py_ssize_t item = 4 if batch.width == cnp.NPY_FLOAT else 8, l, at = number * (plan.n_layers + 1), kept_of
        cdef bint takes_turns = batch.gradients != NULL
        cdef char* slopes = <char*> part(place, rows * plan.slopes * item if takes_turns else 0)
        cdef const Layer* layer
        for l in range(1, plan.n_layers + 1):
            layer = plan.layers + l - 1
            kept_of = self.n_threads * self.task.piece_rows if layer.partial > 0 and plan.n_cuts == 0 else rows
            A = part(place, rows * layer.n_out * item)
            D = part(place, rows * layer.n_out * item) if layer.keeps else NULL
            dZ = slopes + rows * layer.slopes * item if takes_turns else part(place, rows * layer.n_out * item)
            kept = part(place, kept_of * layer.kept * item) if layer.kept > 0 else NULL
            if placed:
                batch.A[at + l], batch.D[at + l], batch.dZ[at + l], batch.kept[at + l] = A, D, dZ, kept
        return 0

    cdef bint _choose_pieces(self, row_bytes, parameter_bytes) except -1:
        """How the rows of a batch are divided: into groups whatever the team, shares of a worker, pieces of these. Whether pieces
        add to the gradients of their groups."""
        cdef Training* task = &self.task
        cdef Plan plan = self.plan
        cdef Py_ssize_t l, unit
        cdef bint adds = False
        eighth = (task.batch_size + PARTS_OF_GRADIENT - 1) // PARTS_OF_GRADIENT
        group = (eighth + ROWS_PER_GROUP - 1) // ROWS_PER_GROUP * ROWS_PER_GROUP
        has_partials = any(plan.layers[l].partial > 0 for l in range(plan.n_layers))
        unit = ROWS_PER_GROUP if has_partials or plan.n_cuts > 0 else 1
        rows = ROWS_PER_PIECE if task.heavy else task.batch_size
        if task.heavy:
            rows = min(rows, <Py_ssize_t> (PIECE_OPERATIONS / max(plan.costliest, 1.0)))
        if has_partials:
            rows = min(rows, max(PIECE_BYTES, PIECE_OF_PARAMETERS * parameter_bytes) // row_bytes)
        rows = max((rows + unit - 1) // unit, 1) * unit
        if has_partials and rows >= group:
            rows -= rows % group
        while has_partials and rows < group and group % rows:       # pieces do not go over the end of a group
            rows -= ROWS_PER_GROUP
        if unit == 1 and not plan.uses_blas:
            small = max(min(PIECE_BYTES // self._bytes_on_the_way(), eighth), 1)
            adds = self._bytes_on_the_way() * task.batch_size > PIECE_BYTES and self._uses_often(small)
        if adds:
            group, rows = eighth, min(rows, small)
        task.batch.group_rows = group
        task.share_unit = group if has_partials or adds else unit
        task.piece_rows = rows
        return adds

    cdef bint _uses_often(self, rows) except -1:
        """Whether a piece of so many rows uses most parameters often enough, each row at several positions, to be worth an addition to
        a gradient. Of LeNet, four fifths of which are in dense layers, it was not: 1.1 times the time."""
        cdef Py_ssize_t i
        cdef double uses
        cdef const Segment* segment
        often = 0
        for i in range(self.plan.n_segments):
            segment = self.plan.segments + i
            uses = uses_of(self.plan, self.plan.layers + segment.layer - 1)
            if uses > 1 and uses * rows >= USES_OF_PIECE:
                often += segment.rows * segment.columns
        return often >= 0.75 * self.plan.n_params

    cdef _bytes_on_the_way(self):
        """What layers make of a row, forward and back."""
        cdef Py_ssize_t l, item = 4 if self.task.batch.width == cnp.NPY_FLOAT else 8
        cdef const Layer* layer
        numbers = self.plan.slopes
        for l in range(self.plan.n_layers):
            layer = self.plan.layers + l
            numbers += (2 if layer.keeps else 1) * layer.n_out + layer.kept
        return numbers * item

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

    def run(self, order, cnp.ndarray settings not None, bounds=None):
        """One pass over the rows numbered in `order` (uint32; None: all, in order).

        `settings` (n, 1) or (n, 5) holds the learning rate of each batch, or of all of them (n = 1), and factors of weight decay,
        dropout, momentum and label smoothing; a vector holds learning rates.

        Batch k has the rows from ``bounds[k]`` to ``bounds[k + 1]`` of the order (int64; with an exchange alone), at most batch_size.

        Returns (diverged, n_batches, n_updates, n_rows, loss_sum, penalty_sum, grad_sq_sum). Training diverges with a loss that
        is not finite, in the batch after the n_batches done, or a parameter that is not after all of them. A batch whose weights
        are all zero makes no update, and its rows are not in n_rows and the sums.
        """
        cdef Training* task = &self.task
        self._take_pass(order, settings, bounds, 1)
        self._run()
        return bool(task.diverged), task.done, task.updates, task.rows_done, task.loss_sum, task.penalty_sum, task.norm_sum

    cdef int _take_pass(self, order, cnp.ndarray settings, bounds, Py_ssize_t n_passes) except -1:
        """What `run` is given, with the settings of all of `n_passes` passes."""
        cdef Training* task = &self.task
        task.n = self.n_rows
        task.batch.order = NULL
        if order is not None:
            task.batch.order = <const uint32*> check(order, cnp.NPY_UINT32, "order", (-1,), False)
            task.n = len(order)
            if largest_of(task.batch.order, task.n) >= self.n_rows:
                raise IndexError(f"order holds {largest_of(task.batch.order, task.n)}, which is no row number: "
                                 f"there are {self.n_rows} rows")
        task.n_batches = (task.n + task.batch_size - 1) // task.batch_size
        if (bounds is None) != (task.exchange.add == NULL):
            raise ValueError("bounds of batches are for training with an exchange, which needs them")
        if bounds is not None:
            task.exchange.bounds = <const int64_t*> check(bounds, cnp.NPY_INT64, "bounds", (-1,), False)
            task.n_batches = len(bounds) - 1
            check_bounds(task)
        cdef bint is_table = cnp.PyArray_NDIM(settings) == 2
        cdef Py_ssize_t needed = n_passes * task.n_batches
        task.settings = <const double*> check(settings, cnp.NPY_DOUBLE, "settings", TABLE if is_table else VECTOR, False)
        task.n_settings = cnp.PyArray_DIM(settings, 0)
        task.n_columns = cnp.PyArray_DIM(settings, 1) if is_table else 1
        if task.n_columns != 1 and task.n_columns != S_COLUMNS:
            raise ValueError(f"settings must have 1 or {S_COLUMNS} columns, got {task.n_columns}")
        if task.n_settings < 1 or (task.n_settings > 1 and task.n_settings < needed):
            raise ValueError(f"{needed} batches need as many learning rates, or one: got {task.n_settings}")
        return 0

    cdef int _run(self) except -1:
        cdef Training* task = &self.task
        with nogil:
            run_pass(task, self.n_threads, self.plan.n_params)
        if task.stretch.reviewed:
            remember_size(&task.sizes, self._kind)
        return raise_if_ended(&task.signals)


cdef void run_pass(Training* task, int n_threads, Py_ssize_t n_params) noexcept nogil:
    """One pass over the rows, unless a signal ends it."""
    start_signals(&task.signals, &task.team)
    task.diverged = False
    task.done = task.updates = task.rows_done = task.stretch.batch = 0
    task.loss_sum = task.penalty_sum = task.norm_sum = 0
    while task.stretch.batch < task.n_batches and not (
        task.diverged or task.exchange.others_failed or flag_is_up(&task.signals.signalled)
    ):
        team_run(&task.team, begin_stretch(task, n_threads), train_worker, task)
        end_stretch(task)
    if task.path != GRADIENT and not params_are_finite(&task.batch, n_params):
        task.diverged = True


cdef int check_bounds(const Training* task) except -1:
    cdef Py_ssize_t k, start, stop
    for k in range(task.n_batches):
        start, stop = task.exchange.bounds[k], task.exchange.bounds[k + 1]
        if not 0 <= start <= stop <= task.n or stop - start > task.batch_size:
            raise ValueError(f"batch {k} from row {start} to {stop} does not fit {task.n} rows in batches of {task.batch_size}")
    return 0


cdef uint32 largest_of(const uint32* numbers, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32 largest = 0
    for i in range(n):
        largest = numbers[i] if numbers[i] > largest else largest
    return largest


cdef bint params_are_finite(const Batch* batch, Py_ssize_t n_params) noexcept nogil:
    if batch.width == cnp.NPY_FLOAT:
        return all_finite(<const float*> batch.params, n_params)
    return all_finite(<const double*> batch.params, n_params)


def loss_and_grad(Plan plan not None, cnp.ndarray params not None, tuple loss, X, y, sample_weight, cnp.ndarray grads not None,
                  int n_threads=1, seed=None):
    """The weighted mean loss J, and dJ/d(params) into `grads` (n_params,). With a seed, dropout's masks of step 0 under it."""
    cdef Trainer trainer
    cdef double one = 1
    # One after the other, as weight_of_batch adds them: a batch's gradient has the bits that it has in training.
    weight = None if sample_weight is None else float(np.add.accumulate(sample_weight, dtype=np.float64)[len(sample_weight) - 1])
    if weight is not None and not weight > 0:
        raise ValueError(f"sample_weight must have a positive sum, got {weight}")
    trainer = Trainer.__new__(Trainer, plan, params, loss, X, y, sample_weight,
                              PY_SSIZE_T_MAX if plan.n_cuts > 0 else ROWS_PER_PIECE, SGD, (), [], n_threads=n_threads, gradient=grads,
                              dropout=seed is not None, seed=0 if seed is None else seed)
    if plan.n_frozen > 0:
        grads.fill(0)
    trainer.task.n = trainer.n_rows
    trainer.task.n_batches = (trainer.n_rows + trainer.task.batch_size - 1) // trainer.task.batch_size
    trainer.task.settings, trainer.task.n_settings, trainer.task.n_columns = &one, 1, 1
    trainer.task.whole_weight = trainer.n_rows if weight is None else weight
    trainer._run()
    return trainer.task.loss_sum
