# An ensemble whose members have nothing in common, trained member by member: what a thread reads and writes stays in the caches of its
# core. Where threads share the rows of batches of 32, half of all parameters and activations go from one core to the other and back.

cdef struct Apart:
    # One pass of the trainers of groups of members, which the workers of a team take as they come.
    Team team
    Training** tasks
    Py_ssize_t n_tasks
    Py_ssize_t size                 # of the team, if all its helpers can be had
    Py_ssize_t next_number
    Signals signals
    int forks                       # so far


cdef long long NO_MORE_LOOKS = 0x3fffffffffffffff       # a time of a last look after which there is none


cdef void end_all(Apart* self) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(self.n_tasks):
        flag_raise(&self.tasks[i].signals.signalled)


cdef void follow_signals(Apart* self, const Signals* own) noexcept nogil:
    """What the caller's thread found out while it trained: a signal that ends all, or that it is the child of a fork now."""
    self.signals.last_look = own.last_look
    if flag_is_up(&own.signalled):
        flag_raise(&self.signals.signalled)
    elif self.forks != team_forks() and self.team.size > 1:
        team_lose_helpers(&self.team)
        self.signals.orphaned = True
        flag_raise(&self.signals.signalled)


cdef Training* next_task(Apart* self) noexcept nogil:
    """What nobody has begun, or NULL. Workers are far apart in the order of the members, of which two may share a cache line."""
    cdef Py_ssize_t far = (self.n_tasks + self.size - 1) // self.size, number = take_number(&self.next_number), task
    while number < far * self.size:
        task = number % self.size * far + number // self.size
        if task < self.n_tasks:
            return self.tasks[task]
        number = take_number(&self.next_number)
    return NULL


cdef void train_apart(int worker, void* argument) noexcept nogil:
    cdef Apart* self = <Apart*> argument
    cdef Training* task = next_task(self)
    while task != NULL and not flag_is_up(&self.signals.signalled):
        task.signals.last_look = self.signals.last_look if worker == 0 else NO_MORE_LOOKS
        run_pass(task, 1, 0)
        if worker == 0:
            follow_signals(self, &task.signals)
        task = next_task(self)
    while worker == 0 and not team_awaits_me(&self.team):
        run_handlers(&self.signals, now_nanoseconds(), 0)
        if flag_is_up(&self.signals.signalled):
            end_all(self)
    team_barrier(&self.team)


def train_members(tuple trainers not None, order, cnp.ndarray settings not None, int n_threads):
    """One pass of `Trainer.run` of each trainer, whose plans are shares of one ensemble, by so many threads side by side.

    Returns what `Trainer.run` does, of all of them.
    """
    cdef Apart task
    cdef Trainer trainer
    cdef Training* first
    cdef Py_ssize_t i
    cdef double work = 0, loss = 0, penalty = 0, norm = 0
    cdef bint diverged = False
    memset(&task, 0, sizeof(task))
    task.n_tasks = len(trainers)
    tasks = np.empty(task.n_tasks, np.uintp)
    task.tasks = <Training**> cnp.PyArray_DATA(tasks)
    for i in range(task.n_tasks):
        trainer = trainers[i]
        trainer._take_pass(order, settings, None, 1)
        task.tasks[i] = &trainer.task
        work += 3 * trainer.plan.cost * trainer.task.n
    cdef int size = workers_worth_having(work, WORK_OF_WORKER, <int> min(n_threads, task.n_tasks))
    task.size = size = min(size, largest_team(size, team_calls(), now_nanoseconds()))
    first = task.tasks[0]
    task.forks = team_forks()
    with nogil:
        start_signals(&task.signals, &task.team)
        task.signals.last_look = max(task.signals.last_look, first.signals.last_look)
        team_run(&task.team, size, train_apart, &task)
    raise_if_ended(&task.signals)
    done = first.done
    for i in range(task.n_tasks):
        trainer = trainers[i]
        share = <double> trainer.plan.n_members / trainer.plan.n_together
        loss += share * trainer.task.loss_sum
        penalty += trainer.task.penalty_sum
        norm += trainer.task.norm_sum
        diverged = diverged or trainer.task.diverged
        done = min(done, trainer.task.done)
    diverged = diverged or not params_are_finite(&first.batch, first.batch.n_params)
    return bool(diverged), done, first.updates, first.rows_done, loss, penalty, norm
