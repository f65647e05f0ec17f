/* Teams of threads, made of helpers that outlive the call into the core.
 *
 * team_run lets every worker of a team, the caller and size - 1 helpers, run the same function with its number, and waits for all;
 * a helper that has not begun by the time the caller is done is called off.
 * Whoever waits, for the others at a barrier or for the next team, spins for as long as waking it would take, and then sleeps. It
 * never yields: on a busy core that would hand a whole time slice, several milliseconds, to another program, where the wait was to
 * last microseconds. A thread that sleeps is put back on a core soon after it is woken, and leaves its own to a worker that the
 * system has put aside. The system may wake a thread on the core of the one that woke it, where they take turns although another core
 * is idle: it then goes there. On two cores of a virtual machine a team begins after 0.2 microseconds if its helper is awake and 50 if it
 * sleeps; a new thread takes 40 and another 40 to join. A thread that cannot be started makes the team smaller, never the work
 * incomplete: workers read the size after the start. Platforms without POSIX threads have a team of one.
 */
#ifndef FASTNET_TEAM_H
#define FASTNET_TEAM_H
#include <stddef.h>

#define TEAM_MAXIMUM 64
#define TEAM_SPINS 64
#define SPIN_NANOSECONDS 50000
#define WATCH_SLEEP_NANOSECONDS 20000000

typedef struct Team Team;
typedef void (*TeamWork)(int worker, void *task);

#if (defined(__unix__) || defined(__APPLE__)) && (defined(__GNUC__) || defined(__clang__))
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include "clock.h"
#if defined(__linux__)
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

struct Team {
    int size;
    int arrived;
    int generation;
    int sleepers; /* workers that sleep at a barrier */
    int helping;  /* helpers that have not finished; with CALLER_SLEEPS once the caller sleeps until they have */
    int core;     /* where the worker was that last woke others */
    TeamWork work;
    void *task;
};

#define CALLER_SLEEPS (1 << 30)

static inline void team_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#if defined(__linux__)
/* Sleep while a word has this value, until it is woken; at most so long, unless that is 0. It may return early. The word may be in
 * memory that processes share. */
static void word_sleep(const int *word, int value, long long nanoseconds)
{
    const struct timespec most = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    syscall(SYS_futex, word, FUTEX_WAIT, value, nanoseconds > 0 ? &most : NULL, NULL, 0);
}

/* Wake all who sleep on a word. The memory behind the address may be gone. */
static void word_wake(const int *word) { syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); }

static int calls_on_core[CPU_SETSIZE];   /* that began there and run */

/* Where this thread's call began, plus one; 0: it has none. For a variable of the thread the first look at it would allocate memory, and
 * for that 64 MB of a helper's address space. */
static pthread_key_t own_core;
static int has_own_core;

static void cores_prepare(void) { has_own_core = pthread_key_create(&own_core, NULL) == 0; }

static int core_of_my_call(void) { return has_own_core ? (int)(ptrdiff_t)pthread_getspecific(own_core) - 1 : -1; }

static void note_core_of_my_call(int core)
{
    if (has_own_core)
        pthread_setspecific(own_core, (void *)(ptrdiff_t)(core + 1));
}

static int core_here(void)
{
    const int core = sched_getcpu();
    return core < CPU_SETSIZE ? core : -1;
}

static int others_call_on(int core)
{
    return __atomic_load_n(&calls_on_core[core], __ATOMIC_RELAXED) > (core == core_of_my_call());
}

/* If this thread is on this core, go to one where no call of another thread is, if it may use one. */
static void leave_core(int core)
{
    cpu_set_t allowed, others;
    if (core < 0 || core_here() != core || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    others = allowed;
    for (int other = 0; other < CPU_SETSIZE; other++)
        if (other == core || others_call_on(other))
            CPU_CLR(other, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
        sched_setaffinity(0, sizeof allowed, &allowed);
}

/* A call takes a core of its own if there is one: threads that wait for Python's lock are woken where its holder was. */
static void call_takes_core(void)
{
    int core = core_here();
    if (core >= 0 && others_call_on(core)) {
        leave_core(core);
        core = core_here();
    }
    if (core >= 0)
        __atomic_fetch_add(&calls_on_core[core], 1, __ATOMIC_RELAXED);
    note_core_of_my_call(core);
}

static void call_gives_core_back(void)
{
    const int core = core_of_my_call();
    if (core >= 0)
        __atomic_fetch_sub(&calls_on_core[core], 1, __ATOMIC_RELAXED);
    note_core_of_my_call(-1);
}

static void cores_forget(void)
{
    memset(calls_on_core, 0, sizeof calls_on_core);
    note_core_of_my_call(-1);
}
#else
static void word_sleep(const int *word, int value, long long nanoseconds)
{
    (void)word, (void)value, (void)nanoseconds;
    sched_yield();
}

static void word_wake(const int *word) { (void)word; }

static int core_here(void) { return -1; }
static void leave_core(int core) { (void)core; }
static void call_takes_core(void) {}
static void call_gives_core_back(void) {}
static void cores_forget(void) {}
static void cores_prepare(void) {}
#endif

/* Whether a word loses this value while it is watched for the time that a wake-up takes. */
static int word_changes(const int *word, int value)
{
    long long end = 0;
    do {
        for (int spins = 0; spins < TEAM_SPINS; spins++) {
            if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
                return 1;
            team_pause();
        }
        if (end == 0)
            end = now_nanoseconds() + SPIN_NANOSECONDS;
    } while (now_nanoseconds() < end);
    return 0;
}

/* Either a sleeper sees the new value, or whoever stored it sees the sleeper: both orders are sequentially consistent. */
static void team_wake(Team *team, const int *word)
{
    if (__atomic_load_n(&team->sleepers, __ATOMIC_SEQ_CST) > 0) {
        __atomic_store_n(&team->core, core_here(), __ATOMIC_RELAXED);
        word_wake(word);
    }
}

static void team_barrier(Team *team)
{
    if (team->size == 1)
        return;
    const int generation = __atomic_load_n(&team->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_SEQ_CST) == team->size) {
        __atomic_store_n(&team->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&team->generation, !generation, __ATOMIC_SEQ_CST);
        team_wake(team, &team->generation);
        return;
    }
    team_wake(team, &team->arrived);
    if (word_changes(&team->generation, generation))
        return;
    __atomic_fetch_add(&team->sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&team->generation, __ATOMIC_SEQ_CST) == generation)
        word_sleep(&team->generation, generation, 0);
    __atomic_fetch_sub(&team->sleepers, 1, __ATOMIC_RELAXED);
    leave_core(__atomic_load_n(&team->core, __ATOMIC_RELAXED));
}

/* Whether all others wait at the barrier; if not, waits for a moment. */
static int team_awaits_me(Team *team)
{
    const int arrived = __atomic_load_n(&team->arrived, __ATOMIC_ACQUIRE);
    if (arrived == team->size - 1)
        return 1;
    if (!word_changes(&team->arrived, arrived)) {
        __atomic_fetch_add(&team->sleepers, 1, __ATOMIC_SEQ_CST);
        word_sleep(&team->arrived, arrived, WATCH_SLEEP_NANOSECONDS);
        __atomic_fetch_sub(&team->sleepers, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

/* A flag that one worker raises and others look at. */
static inline void flag_raise(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELEASE); }
static inline int flag_is_up(const int *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }

/* The next number, for workers that share work as they come. */
static inline ptrdiff_t take_number(ptrdiff_t *next) { return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED); }

/* Whether this worker is the one that sets a bit, for work that each has a part of its own in. */
static inline int take_bit(int *bits, int number)
{
    const int bit = 1 << number;
    return !(__atomic_load_n(bits, __ATOMIC_RELAXED) & bit) && !(__atomic_fetch_or(bits, bit, __ATOMIC_RELAXED) & bit);
}

/* Workers count what they have finished, and wait until all of it is there. */
static inline void count_one(int *count) { __atomic_fetch_add(count, 1, __ATOMIC_RELEASE); }

static void await_count(const int *count, int n)
{
    int found;
    while ((found = __atomic_load_n(count, __ATOMIC_ACQUIRE)) < n)
        if (!word_changes(count, found))
            word_sleep(count, found, SPIN_NANOSECONDS);
}

typedef struct Helper {
    struct Helper *next; /* idle one */
    Team *team;          /* NULL: none */
    int number;
    int sleeps;
    pthread_mutex_t mutex;
    pthread_cond_t called;
} Helper;

static pthread_mutex_t helpers_mutex = PTHREAD_MUTEX_INITIALIZER;
static Helper *idle_helpers;
static int team_callers;
static long long helpers_begun;
static __thread int calls_of_this_thread; /* among them: a signal handler may call what it has interrupted */
static int forks;

/* A forked child has none of its parent's threads but the one that forked. */
static void helpers_forget(void)
{
    helpers_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    idle_helpers = NULL;
    team_callers = calls_of_this_thread;
    cores_forget();
    forks++;
}

static void helpers_prepare(void)
{
    pthread_atfork(NULL, NULL, helpers_forget);
    cores_prepare();
}

static Team *helper_awaits_team(Helper *self)
{
    const long long end = now_nanoseconds() + SPIN_NANOSECONDS;
    Team *team;
    do {
        for (int spins = 0; spins < TEAM_SPINS; spins++) {
            if ((team = __atomic_load_n(&self->team, __ATOMIC_ACQUIRE)) != NULL)
                return team;
            team_pause();
        }
    } while (now_nanoseconds() < end);
    /* Either this thread sees the team that helper_call has set, or helper_call sees that it sleeps. */
    pthread_mutex_lock(&self->mutex);
    __atomic_store_n(&self->sleeps, 1, __ATOMIC_SEQ_CST);
    while ((team = __atomic_load_n(&self->team, __ATOMIC_SEQ_CST)) == NULL)
        pthread_cond_wait(&self->called, &self->mutex);
    __atomic_store_n(&self->sleeps, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&self->mutex);
    return team;
}

static void helper_call(Helper *helper, Team *team, int number)
{
    helper->number = number;
    __atomic_store_n(&helper->team, team, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&helper->sleeps, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&helper->mutex);
        pthread_cond_signal(&helper->called);
        pthread_mutex_unlock(&helper->mutex);
    }
}

/* Take a helper's team from it: the helper itself, to begin, or the caller, who calls it off. Whether it had not been taken yet. */
static int helper_leaves(Helper *self, Team *team)
{
    return __atomic_compare_exchange_n(&self->team, &team, NULL, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void helper_is_idle(Helper *self)
{
    pthread_mutex_lock(&helpers_mutex);
    self->next = idle_helpers;
    idle_helpers = self;
    pthread_mutex_unlock(&helpers_mutex);
}

static void *helper_life(void *argument)
{
    Helper *self = (Helper *)argument;
    for (;;) {
        Team *team = helper_awaits_team(self);
        if (!helper_leaves(self, team)) /* it was called off */
            continue;
        __atomic_fetch_add(&helpers_begun, 1, __ATOMIC_RELAXED);
        leave_core(__atomic_load_n(&team->core, __ATOMIC_RELAXED));
        team->work(self->number, team->task);
        helper_is_idle(self);
        /* The team may be gone after this. */
        if (__atomic_sub_fetch(&team->helping, 1, __ATOMIC_ACQ_REL) == CALLER_SLEEPS)
            word_wake(&team->helping);
    }
    return NULL;
}

/* A new thread that takes no signals: they are Python's. NULL if the system has none to give. */
static Helper *helper_new(void)
{
    Helper *helper = (Helper *)calloc(1, sizeof(Helper));
    pthread_t thread;
    sigset_t all, before;
    int failed;
    if (helper == NULL)
        return NULL;
    pthread_mutex_init(&helper->mutex, NULL);
    pthread_cond_init(&helper->called, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, NULL, helper_life, helper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(helper);
        return NULL;
    }
    pthread_detach(thread);
    return helper;
}

/* The helper that became idle last, which is the most likely to be awake. */
static Helper *helper_take(void)
{
    Helper *helper;
    pthread_mutex_lock(&helpers_mutex);
    helper = idle_helpers;
    if (helper != NULL)
        idle_helpers = helper->next;
    pthread_mutex_unlock(&helpers_mutex);
    return helper != NULL ? helper : helper_new();
}

/* How many calls are running a team now, of one worker or more. */
static int team_calls(void) { return __atomic_load_n(&team_callers, __ATOMIC_RELAXED); }

/* Count n calls more, or fewer if n is negative, as calls of other threads are counted. */
static void team_count_calls(int n) { __atomic_fetch_add(&team_callers, n, __ATOMIC_RELAXED); }

static void team_await_helpers(Team *team)
{
    int helping;
    while ((helping = __atomic_load_n(&team->helping, __ATOMIC_ACQUIRE)) > 0) {
        if (word_changes(&team->helping, helping))
            continue;
        helping = __atomic_or_fetch(&team->helping, CALLER_SLEEPS, __ATOMIC_ACQ_REL);
        while (helping > CALLER_SLEEPS) {
            word_sleep(&team->helping, helping, 0);
            helping = __atomic_load_n(&team->helping, __ATOMIC_ACQUIRE);
        }
        return;
    }
}

static long long team_helpers_begun(void) { return __atomic_load_n(&helpers_begun, __ATOMIC_RELAXED); }

/* Forks between the first team and this process. */
static int team_forks(void) { return forks; }

/* After a fork in the middle of the team's work: the helpers do not exist in the child, and nobody must wait for them. */
static void team_lose_helpers(Team *team)
{
    team->size = 1;
    team->arrived = team->helping = team->sleepers = 0;
}

static void team_run(Team *team, int size, TeamWork work, void *task)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    Helper *helpers[TEAM_MAXIMUM];
    int found = 1;
    pthread_once(&once, helpers_prepare);
    if (calls_of_this_thread++ == 0)
        call_takes_core();
    while (found < size && (helpers[found] = helper_take()) != NULL)
        found++;
    team->size = found;
    team->arrived = team->generation = team->sleepers = 0;
    team->helping = found - 1;
    team->core = core_here();
    team->work = work;
    team->task = task;
    for (int i = 1; i < found; i++)
        helper_call(helpers[i], team, i);
    team_count_calls(1);
    work(0, task);
    for (int i = 1; i < found; i++)
        if (team->size == found && helper_leaves(helpers[i], team)) { /* a forked child has no helpers to call off */
            __atomic_fetch_sub(&team->helping, 1, __ATOMIC_RELAXED);
            helper_is_idle(helpers[i]);
        }
    team_await_helpers(team);
    if (--calls_of_this_thread == 0)
        call_gives_core_back();
    team_count_calls(-1);
}

#else

struct Team {
    int size;
};

static void flag_raise(int *flag) { *flag = 1; }
static int flag_is_up(const int *flag) { return *flag; }
static ptrdiff_t take_number(ptrdiff_t *next) { return (*next)++; }
static int take_bit(int *bits, int number) { return *bits & 1 << number ? 0 : (*bits |= 1 << number, 1); }
static void count_one(int *count) { ++*count; }
static void await_count(const int *count, int n) { (void)count, (void)n; }
static int team_calls(void) { return 0; }
static void team_count_calls(int n) { (void)n; }
static long long team_helpers_begun(void) { return 0; }
static int team_forks(void) { return 0; }
static void team_lose_helpers(Team *team) { (void)team; }

static void team_barrier(Team *team) { (void)team; }
static int team_awaits_me(Team *team) { return (void)team, 1; }

static void team_run(Team *team, int size, TeamWork work, void *task)
{
    (void)size;
    team->size = 1;
    work(0, task);
}

#endif
#endif
