# How many workers a team has: 1, 2, 4, ... up to a limit. What is fastest depends on the work, on how far apart the cores' caches
# are and on what else the machine does, so sizes are tried out by measured time, now and then again. Results are the same for any
# size.
#
# A worker that the system puts aside holds up the others for a time slice, several milliseconds. A team that loses more time by
# this than it had gained gives way at once to one of half its size, for a while and for longer each time: a core that other
# programs use then costs a few per cent. All calls of the process retreat, since they share the cores.

cdef enum:
    TRIAL_NANOSECONDS = 4000000     # least length of a trial
    TRIALS_APART = 25               # a choice is kept for so many times what the trials before it took
    CHANGES_APART = 5               # and a new one, which a hiccup may have made, for fewer
    LATE_NANOSECONDS = 1000000      # a team that is so far behind a smaller one gives way
    MOST_CREDIT = 3000000           # for having been ahead of it
    RETREAT_LEAST = 4               # a retreat takes from 4 to 50 times the time that was lost
    RETREAT_MOST = 50
    RETREATS_APART = 100000000      # after so long without another one, the next is short again
    CHOICES = 7                     # 1, 2, 4 .. TEAM_MAXIMUM


cdef struct Retreat:
    int size                        # the largest team until this moment
    long long until
    double length

cdef Retreat retreat                # concurrent calls may overwrite each other's: it is an estimate


cdef struct TeamSize:
    int limit                       # the largest size that the work is worth
    int n_choices
    int choice                      # now: 2^choice workers, at most `limit`
    int best                        # of the last trials
    bint on_trial
    double times[CHOICES]           # nanoseconds a row, when last measured; 0: not yet
    double length                   # nanoseconds after which the choice is reviewed
    double spent                    # of them so far
    double rows                     # that were worked on in these
    double credit                   # nanoseconds ahead of the fastest smaller team
    double trials_spent


cdef int fixed_team = 0            # workers of every team, for tests; 0: what has proved fastest


cdef int workers_worth_having(double work, double of_each, int n_threads) noexcept nogil:
    """As many as this work keeps busy, if each should have so much of it."""
    cdef int most = min(n_threads, TEAM_MAXIMUM)
    if fixed_team > 0:
        return max(min(most, fixed_team), 1)
    return max(<int> min(work / of_each, <double> most), 1)


cdef void retreat_from(int size, double lost, long long now) noexcept nogil:
    """After a team of this size has lost so many nanoseconds."""
    cdef double length = RETREAT_LEAST * lost
    if now < retreat.until + RETREATS_APART:
        length = max(length, min(2 * retreat.length, RETREAT_MOST * lost))
    retreat.size = max(size // 2, 1)
    retreat.length = length
    retreat.until = now + <long long> length


cdef int largest_team(int n_threads, int calls, long long now) noexcept nogil:
    """Workers that a team may have now: the threads are shared with the calls that are running, and a retreat may be on."""
    cdef int size = max(n_threads // (1 + calls), 1)
    if fixed_team > 0:
        return n_threads
    return min(size, retreat.size) if now < retreat.until else size


cdef int size_of(const TeamSize* self, int choice) noexcept nogil:
    return min(1 << choice, self.limit)


cdef void start_team_size(TeamSize* self, int limit) noexcept nogil:
    memset(self, 0, sizeof(TeamSize))
    self.limit = limit
    self.n_choices = 1
    while size_of(self, self.n_choices - 1) < limit:
        self.n_choices += 1
    begin_trials(self)


cdef void start_with_all(TeamSize* self, int limit) noexcept nogil:
    """For short calls: with the largest team, and trials later."""
    start_team_size(self, limit)
    keep(self, self.n_choices - 1, TRIALS_APART * TRIAL_NANOSECONDS)


cdef void begin_trials(TeamSize* self) noexcept nogil:
    """Of the size below the best one, of the best one and of the size above."""
    self.on_trial = True
    self.length = TRIAL_NANOSECONDS
    self.trials_spent = 0
    choose(self, max(self.best - 1, 0))


cdef void choose(TeamSize* self, int choice) noexcept nogil:
    self.choice = choice
    self.spent = self.rows = self.credit = 0


cdef void keep(TeamSize* self, int choice, double length) noexcept nogil:
    self.on_trial = False
    self.best = choice
    self.length = length
    choose(self, choice)


cdef int fastest(const TeamSize* self, int first, int last) noexcept nogil:
    cdef int i, choice = first
    for i in range(first + 1, last + 1):
        if self.times[i] < self.times[choice]:
            choice = i
    return choice


cdef bint falls_behind(TeamSize* self, double nanoseconds, double rows) noexcept nogil:
    """Account for these rows in the team's credit, against the fastest smaller team that was tried; whether it is late now."""
    cdef double each = self.times[fastest(self, 0, self.choice - 1)] if self.choice > 0 else 0
    if each > 0:
        self.credit = min(self.credit + rows * each - nanoseconds, <double> MOST_CREDIT)
    return self.credit < -LATE_NANOSECONDS


cdef void note_team(TeamSize* self, double nanoseconds, double rows, long long now) noexcept nogil:
    """Account for rows that the team has worked on. When the choice is due for review, go on with the trials or keep what was
    fastest; trials go on upwards as long as the last size was the fastest."""
    cdef int choice
    cdef bint late = self.credit < -LATE_NANOSECONDS
    self.spent += nanoseconds
    self.rows += rows
    if self.spent < self.length and not late:
        return
    self.times[self.choice] = self.spent / self.rows
    if not self.on_trial:
        if late:
            retreat_from(size_of(self, self.choice), -self.credit, now)
        begin_trials(self)
        return
    self.trials_spent += self.spent
    choice = fastest(self, max(self.best - 1, 0), self.choice)
    if self.choice + 1 < self.n_choices and (self.choice <= self.best or choice == self.choice):
        choose(self, self.choice + 1)
    else:
        keep(self, choice, (TRIALS_APART if choice == self.best else CHANGES_APART) * self.trials_spent)


cdef class KnownSize:
    """What was learnt about team sizes for work of one kind."""

    cdef TeamSize sizes


cdef enum:
    KNOWN_SIZES = 256               # kinds of work that are remembered

_known_sizes = {}


cdef bint recall_size(TeamSize* sizes, tuple kind) except -1:
    """Fill `sizes` with what is known of this kind of work, if anything is."""
    known = _known_sizes.get(kind)
    if known is not None:
        sizes[0] = (<KnownSize> known).sizes
    return known is not None



cdef int remember_size(const TeamSize* sizes, tuple kind) except -1:
    known = _known_sizes.pop(kind, None) or KnownSize.__new__(KnownSize)
    (<KnownSize> known).sizes = sizes[0]
    _known_sizes[kind] = known              # the latest comes last
    if len(_known_sizes) > KNOWN_SIZES:
        _known_sizes.pop(next(iter(_known_sizes)), None)
    return 0
