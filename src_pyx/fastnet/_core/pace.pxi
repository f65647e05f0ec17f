# How many members train: one, or all. Which is faster depends on the batch, on how far apart the cores' caches are, and on what
# else the machine does, so it is tried out, now and then again. Without BLAS results are the same for any team.

cdef enum:
    TRIAL_NANOSECONDS = 10000000    # least length of a trial
    TRIALS_APART = 50               # a choice is kept for so many times the length of the trial before it: trials cost 2 % at most


cdef struct Pace:
    int members                     # of the stretch that runs: 1 or `all`
    int all
    bint on_trial
    double alone                    # nanoseconds of a batch with one member and with all, when last measured; 0: not yet
    double together
    double length                   # nanoseconds after which this stretch ends
    double spent                    # of it so far
    Py_ssize_t batches


cdef void start_pace(Pace* pace, int members) noexcept nogil:
    pace.members = pace.all = members
    pace.on_trial = True
    pace.alone = pace.together = pace.spent = 0
    pace.batches = 0
    pace.length = TRIAL_NANOSECONDS


cdef Py_ssize_t batches_of_stretch(const Pace* pace, double guess) noexcept nogil:
    """Batches until the choice is reviewed; `guess` is the nanoseconds of a batch as long as nothing is known."""
    cdef double each = pace.alone if pace.members == 1 else pace.together
    return <Py_ssize_t> ((pace.length - pace.spent) / (each if each > 0 else guess)) + 1


cdef void note_pace(Pace* pace, double nanoseconds, Py_ssize_t batches) noexcept nogil:
    """Account for batches that have run. At the end of a stretch, try the other choice, or after a trial keep the faster one."""
    pace.spent += nanoseconds
    pace.batches += batches
    if pace.spent < pace.length:
        return
    if pace.members == 1:
        pace.alone = pace.spent / pace.batches
    else:
        pace.together = pace.spent / pace.batches
    if pace.on_trial and pace.alone > 0 and pace.together > 0:
        pace.members = 1 if pace.alone < pace.together else pace.all
        pace.length = TRIALS_APART * pace.spent
        pace.on_trial = False
    else:
        pace.members = pace.all if pace.members == 1 else 1
        pace.length = TRIAL_NANOSECONDS
        pace.on_trial = True
    pace.spent = 0
    pace.batches = 0
