# Small networks one after the other, all epochs of each, in one call: between epochs there is no Python, whose threads would wait for
# each other.

cdef struct WholeRun:
    # All epochs of one network.
    Training* task
    Py_ssize_t n_params
    Py_ssize_t n_epochs
    uint32* order                   # (n,) shuffled before each epoch, or NULL: the rows as they are
    uint64* random                  # (4,) state of the shuffles
    void* before                    # (n_params,) parameters from before the last epoch
    size_t size                     # of them, in bytes
    double* losses                  # (n_epochs,) means
    Py_ssize_t done                 # epochs


cdef void run_epochs(WholeRun* run) noexcept nogil:
    """All epochs, unless a signal or a divergence ends them."""
    cdef Training* task = run.task
    cdef const double* settings = task.settings
    while run.done < run.n_epochs:
        memcpy(run.before, task.batch.params, run.size)
        if run.order != NULL:
            shuffle_places(run.order, task.n, task.n, run.random)
        if task.n_settings > 1:
            task.settings = settings + run.done * task.n_batches * task.n_columns
        run_pass(task, 1, run.n_params)
        if task.diverged or flag_is_up(&task.signals.signalled):
            return
        run.losses[run.done] = task.loss_sum / task.rows_done if task.rows_done > 0 else NAN
        run.done += 1


cdef int take_run(WholeRun* run, Trainer trainer, cnp.ndarray order, cnp.ndarray random, cnp.ndarray settings, cnp.ndarray before,
                  cnp.ndarray losses) except -1:
    cdef int width = trainer.task.batch.width
    if trainer.n_threads != 1:
        raise ValueError(f"networks are trained one after the other by one thread each, got n_threads={trainer.n_threads}")
    run.task = &trainer.task
    run.n_params = trainer.plan.n_params
    run.losses = <double*> check(losses, cnp.NPY_DOUBLE, "losses", VECTOR, True)
    run.n_epochs = len(losses)
    trainer._take_pass(order, settings, None, run.n_epochs)
    run.order = NULL if order is None else <uint32*> check(order, cnp.NPY_UINT32, "order", VECTOR, True)
    run.random = <uint64*> check(random, cnp.NPY_UINT64, "random", (4,), True)
    run.before = check(before, width, "before", (run.n_params,), True)
    run.size = run.n_params * (4 if width == cnp.NPY_FLOAT else 8)
    run.done = 0
    return 0


def train_many(tuple runs not None):
    """Train networks one after the other, each to its end; after one that diverges, no other is begun.

    A run is (trainer, order, random, settings, before, losses): a `Trainer` of one thread, the row numbers (uint32), which are
    shuffled before each epoch, or None, the state of the shuffles (4,) uint64, the settings of all batches as for `Trainer.run`, and
    room for the parameters from before the last epoch (n_params,) and for each epoch's mean loss (n_epochs,), float64.

    Returns (n_epochs, diverged, n_batches) of each: the epochs done, and the batches done of the last one begun.
    """
    cdef Py_ssize_t i, n = len(runs)
    cdef WholeRun* run
    cdef WholeRun* all_runs = <WholeRun*> calloc(max(n, 1), sizeof(WholeRun))
    if all_runs == NULL:
        raise MemoryError
    try:
        for i in range(n):
            trainer, order, random, settings, before, losses = runs[i]
            take_run(all_runs + i, trainer, order, random, settings, before, losses)
        with nogil:
            for i in range(n):
                run = all_runs + i
                run_epochs(run)
                if run.done < run.n_epochs:
                    break
        for i in range(n):
            raise_if_ended(&all_runs[i].task.signals)
        return [(all_runs[i].done, bool(all_runs[i].task.diverged), all_runs[i].task.done) for i in range(n)]
    finally:
        free(all_runs)
