# Ctrl-C, while the core computes without the GIL: worker 0 looks at Python's signals where work can end, and all obey. Python runs
# handlers in the main thread alone; what other threads compute, it ends by an event.

from contextvars import ContextVar

from cpython.exc cimport PyErr_SetNone

interrupt = ContextVar("interrupt", default=None)

cdef enum:
    LOOKS_APART = 50000000          # nanoseconds
    PIECE_OPERATIONS = 1000000000   # multiply-adds of a layer between two chances to look, some 20 ms
    GAP_MEMORY = 64                 # a long gap between two chances to look is forgotten after about so many more

cdef extern from "Python.h":
    int PyErr_CheckSignals() nogil


cdef struct Signals:
    Team* team                      # whose worker 0 looks
    int signalled                   # the work ends: a handler has raised, and its error stays set, or
    bint orphaned                   # has forked, and this is the child, which has no other workers
    long long last_look
    long long last_chance
    long long longest_gap           # between two chances, of late


cdef void start_signals(Signals* signals, Team* team) noexcept nogil:
    """At the start of a call; the first of a zeroed struct counts as a look."""
    signals.team = team
    signals.signalled = signals.orphaned = False
    signals.last_chance = now_nanoseconds()
    if signals.last_look == 0:
        signals.last_look = signals.last_chance


cdef void look_at_signals(Signals* signals) noexcept nogil:
    """Run Python's signal handlers if more than 50 ms will have gone by at the next chance, in this call into the core or in
    several short ones: the interpreter's own look between them misses a signal that arrives while another thread ends (a race of
    CPython 3.11 in computing its "eval breaker")."""
    cdef long long now = now_nanoseconds()
    signals.longest_gap = max(now - signals.last_chance, signals.longest_gap - signals.longest_gap // GAP_MEMORY)
    signals.last_chance = now
    run_handlers(signals, now, signals.longest_gap)


cdef void run_handlers(Signals* signals, long long now, long long ahead) noexcept nogil:
    """Run Python's signal handlers if 50 ms will have gone by since they last were, `ahead` nanoseconds from now."""
    cdef bint raised
    cdef int forks
    if now + ahead - signals.last_look < LOOKS_APART or flag_is_up(&signals.signalled):
        return
    signals.last_look = now
    with gil:
        forks = team_forks()
        raised = PyErr_CheckSignals() != 0 or is_interrupted()
    if forks != team_forks() and signals.team.size > 1:
        team_lose_helpers(signals.team)
        signals.orphaned = not raised
    if raised or signals.orphaned:
        flag_raise(&signals.signalled)


cdef bint is_interrupted() noexcept:
    """Whether the event of this thread says so; KeyboardInterrupt is set then, as by a handler."""
    event = interrupt.get()
    if event is None or not event.is_set():
        return False
    PyErr_SetNone(KeyboardInterrupt)
    return True


cdef void wait_and_look(Signals* signals, Team* team) noexcept nogil:
    """Until all other workers wait at the barrier, or a signal has ended the work: they may be slower by more than 100 ms."""
    while not team_awaits_me(team) and not flag_is_up(&signals.signalled):
        run_handlers(signals, now_nanoseconds(), 0)
    signals.last_chance = now_nanoseconds()


cdef struct Worker:
    # What one thread of a team has.
    int number                      # worker 0 is the caller
    char* panel                     # PANEL_BYTES for the products
    char* scratch                   # for the gradient of a tile
    char* room                      # for what a layer makes on its way, of Plan.room numbers
    void** totals                   # its own summary of the batch for each layer that needs one, while training
    Signals* signals                # that end its work, or NULL
    bint weights_are_far            # all parameters do not fit the second-level cache: each product has to fetch those that it reads


cdef bint ended(Worker* worker) noexcept nogil:
    """Whether a signal has ended the work. A chance to look, for worker 0. Never, if nobody looks (signals is NULL)."""
    if worker.signals == NULL:
        return False
    if worker.number == 0:
        look_at_signals(worker.signals)
    return flag_is_up(&worker.signals.signalled)


cdef int raise_if_ended(Signals* signals) except -1:
    """Let the exception propagate that a signal handler raised, or say what the child of a fork in the middle of the work
    misses."""
    if signals.orphaned:
        raise RuntimeError(
            "The process was forked by a signal handler while several threads computed, and the child does not have the others: "
            "call again there. A network that was being trained has the parameters that it had then."
        )
    return -1 if flag_is_up(&signals.signalled) else 0
