# Ctrl-C, while the core computes without the GIL: member 0 looks at Python's signals where work can end, and all obey.

cdef enum:
    WATCH_NANOSECONDS = 50000000    # between looks
    GAP_MEMORY = 64                 # chances to look for which a long gap between two is remembered, about

cdef extern from "Python.h":
    int PyErr_CheckSignals() nogil


cdef struct Watch:
    Team* team                      # whose member 0 looks
    int signalled                   # the work ends: a handler has raised, and its error stays set, or
    bint orphaned                   # has forked, and this is the child, which has no other members
    long long last_look
    long long last_chance
    long long longest_gap           # between two chances, of late


cdef void start_watch(Watch* watch, Team* team) noexcept nogil:
    """At the start of a call; the first of a zeroed watch counts as a look."""
    watch.team = team
    watch.signalled = watch.orphaned = False
    watch.last_chance = now_nanoseconds()
    if watch.last_look == 0:
        watch.last_look = watch.last_chance


cdef void look_at_signals(Watch* watch) noexcept nogil:
    """Run Python's signal handlers if more than 50 ms will have gone by at the next chance, in this call into the core or in several
    short ones: the interpreter's own look between them misses a signal that arrives while another thread ends (a race of CPython
    3.11 in computing its "eval breaker")."""
    cdef long long now = now_nanoseconds()
    watch.longest_gap = max(now - watch.last_chance, watch.longest_gap - watch.longest_gap // GAP_MEMORY)
    watch.last_chance = now
    run_handlers(watch, now, watch.longest_gap)


cdef void run_handlers(Watch* watch, long long now, long long ahead) noexcept nogil:
    """Run Python's signal handlers if 50 ms will have gone by since they last were, `ahead` nanoseconds from now."""
    cdef bint raised
    cdef int forks
    if now + ahead - watch.last_look < WATCH_NANOSECONDS or flag_is_up(&watch.signalled):
        return
    watch.last_look = now
    with gil:
        forks = team_forks()
        raised = PyErr_CheckSignals() != 0
    if forks != team_forks() and watch.team.size > 1:
        team_lose_helpers(watch.team)
        watch.orphaned = not raised
    if raised or watch.orphaned:
        flag_raise(&watch.signalled)


cdef void wait_watchfully(Watch* watch, Team* team) noexcept nogil:
    """Until all other members wait at the barrier, or a signal has ended the work: they may be slower by more than 100 ms."""
    while not team_awaits_me(team) and not flag_is_up(&watch.signalled):
        run_handlers(watch, now_nanoseconds(), 0)
    watch.last_chance = now_nanoseconds()


cdef bint ended(Watch* watch, int member) noexcept nogil:
    """Whether a signal has ended the work. A chance to look. Never, if nobody watches (NULL)."""
    if watch == NULL:
        return False
    if member == 0:
        look_at_signals(watch)
    return flag_is_up(&watch.signalled)


cdef int raise_if_ended(Watch* watch) except -1:
    """Let the exception propagate that a signal handler raised, or say what the child of a fork in the middle of the work misses."""
    if watch.orphaned:
        raise RuntimeError(
            "The process was forked by a signal handler while several threads computed, and the child does not have the others: "
            "call again there. A network that was being trained has the parameters that it had then."
        )
    return -1 if flag_is_up(&watch.signalled) else 0
