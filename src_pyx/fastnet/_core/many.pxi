# Small networks one after the other, all epochs of each, in one call: between epochs there is no Python, whose threads would wait for
# each other.

cdef struct WholeRun:
    # All epochs of one network, by a trainer that others may share.
    Training* task
    void* params
    uint64 seed                     # of dropout
    Py_ssize_t n_params
    Py_ssize_t n_epochs
    uint32* order                   # (n,) for row numbers, which are shuffled before each epoch, or NULL: the rows as they are
    uint64* random                  # (4,) state of the shuffles
    const double* settings
    Py_ssize_t n_settings
    Py_ssize_t n_columns
    void* before                    # (n_params,) parameters from before the last epoch
    size_t size                     # of them, in bytes
    double* losses                  # (n_epochs,) means
    # results
    Py_ssize_t done                 # epochs
    Py_ssize_t n_batches            # of the last epoch begun
    bint diverged


cdef void start_run(WholeRun* run) noexcept nogil:
    """Give the trainer a network, at its first update."""
    cdef Training* task = run.task
    cdef Py_ssize_t i
    task.batch.params, task.batch.seed, task.batch.order = run.params, run.seed, run.order
    task.settings, task.n_settings, task.n_columns = run.settings, run.n_settings, run.n_columns
    task.step = 0
    if task.update.m != NULL:
        memset(task.update.m, 0, run.size)
    if task.update.v != NULL:
        memset(task.update.v, 0, run.size)
    if run.order != NULL:
        for i in range(task.n):
            run.order[i] = <uint32> i


cdef void run_epochs(WholeRun* run) noexcept nogil:
    """All epochs, unless a signal or a divergence ends them."""
    cdef Training* task = run.task
    while run.done < run.n_epochs:
        memcpy(run.before, run.params, run.size)
        if run.order != NULL:
            shuffle_places(run.order, task.n, task.n, run.random)
        if run.n_settings > 1:
            task.settings = run.settings + run.done * task.n_batches * run.n_columns
        run_pass(task, 1, run.n_params)
        run.diverged, run.n_batches = task.diverged, task.done
        if task.diverged or flag_is_up(&task.signals.signalled):
            return
        run.losses[run.done] = task.loss_sum / task.rows_done if task.rows_done > 0 else NAN
        run.done += 1


cdef int take_run(WholeRun* run, Trainer trainer, cnp.ndarray params, seed, order, cnp.ndarray random, cnp.ndarray settings,
                  cnp.ndarray before, cnp.ndarray losses) except -1:
    cdef int width = trainer.task.batch.width
    cdef tuple n_params = (trainer.plan.n_params,)
    if trainer.n_threads != 1:
        raise ValueError(f"networks are trained one after the other by one thread each, got n_threads={trainer.n_threads}")
    run.task = &trainer.task
    run.params = check(params, width, "params", n_params, True)
    run.seed = seed
    run.n_params = trainer.plan.n_params
    run.losses = <double*> check(losses, cnp.NPY_DOUBLE, "losses", VECTOR, True)
    run.n_epochs = len(losses)
    trainer._take_pass(None, settings, None, run.n_epochs)
    run.settings, run.n_settings, run.n_columns = run.task.settings, run.task.n_settings, run.task.n_columns
    run.order = NULL if order is None else <uint32*> check(order, cnp.NPY_UINT32, "order", (trainer.n_rows,), True)
    run.random = <uint64*> check(random, cnp.NPY_UINT64, "random", (4,), True)
    run.before = check(before, width, "before", n_params, True)
    run.size = run.n_params * (4 if width == cnp.NPY_FLOAT else 8)
    run.done = 0
    return 0


def train_many(tuple runs not None):
    """Train networks one after the other, each to its end; after one that diverges, no other is begun.

    A run is (trainer, params, seed, order, random, settings, before, losses): a `Trainer` of one thread, the parameters of a network
    that has the trainer's plan, the seed of dropout, room for the row numbers (n_rows,) uint32, which are shuffled before each epoch,
    or None, the state of the shuffles (4,) uint64, the settings of all batches as for `Trainer.run`, and room for the parameters from
    before the last epoch (n_params,) and for each epoch's mean loss (n_epochs,), float64. Several runs may share a trainer, whose
    optimiser starts anew for each of them, and the room for row numbers and for parameters.

    Returns (n_epochs, diverged, n_batches) of each: the epochs done, and the batches done of the last one begun.
    """
    cdef Py_ssize_t i, n = len(runs)
    cdef WholeRun* run
    cdef void* own
    cdef WholeRun* all_runs = <WholeRun*> calloc(max(n, 1), sizeof(WholeRun))
    if all_runs == NULL:
        raise MemoryError
    try:
        for i in range(n):
            trainer, params, seed, order, random, settings, before, losses = runs[i]
            take_run(all_runs + i, trainer, params, seed, order, random, settings, before, losses)
        with nogil:
            for i in range(n):
                run = all_runs + i
                own = run.task.batch.params
                start_run(run)
                run_epochs(run)
                run.task.batch.params = own         # which the trainer holds
                if run.done < run.n_epochs:
                    break
        for i in range(n):
            raise_if_ended(&all_runs[i].task.signals)
        return [(all_runs[i].done, bool(all_runs[i].diverged), all_runs[i].n_batches) for i in range(n)]
    finally:
        free(all_runs)
