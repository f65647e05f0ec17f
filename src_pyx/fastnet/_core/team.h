/* Teams of threads, made of helpers that outlive the call into the core.
 *
 * team_run lets every member of a team, the caller and size - 1 helpers, run the same function with its number, and waits for all.
 * A helper without a team looks out for the next one for a tenth of a millisecond, since short calls follow each other, and then
 * sleeps. In two cores of a virtual machine a team begins after 0.2 microseconds if its helper is awake and 50 if it sleeps; a new
 * thread takes 40 and another 40 to join. team_barrier spins for about two microseconds and then yields, so that a team on busy
 * cores waits without holding them. A thread that cannot be started makes the team smaller, never the work incomplete: members read
 * the size after the start. Platforms without POSIX threads have a team of one.
 */
#ifndef FASTNET_TEAM_H
#define FASTNET_TEAM_H
#include <stddef.h>

#define TEAM_MAXIMUM 64
#define TEAM_SPINS 64
#define IDLE_NANOSECONDS 100000

typedef struct Team Team;
typedef void (*TeamWork)(int member, void *task);

#if (defined(__unix__) || defined(__APPLE__)) && (defined(__GNUC__) || defined(__clang__))
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include "clock.h"

struct Team {
    int size;
    int arrived;
    int generation;
    int helping; /* helpers that have not finished */
    TeamWork work;
    void *task;
};

static inline void team_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Wait while a word has this value. */
static void team_wait(const int *word, int value)
{
    for (int spins = 0; spins < TEAM_SPINS; spins++) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
            return;
        team_pause();
    }
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
        sched_yield();
}

static void team_barrier(Team *team)
{
    if (team->size == 1)
        return;
    const int generation = __atomic_load_n(&team->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL) == team->size) {
        __atomic_store_n(&team->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&team->generation, !generation, __ATOMIC_RELEASE);
    } else {
        team_wait(&team->generation, generation);
    }
}

/* Whether all others wait at the barrier; if not, lets them run for a moment. */
static int team_awaits_me(Team *team)
{
    if (__atomic_load_n(&team->arrived, __ATOMIC_ACQUIRE) == team->size - 1)
        return 1;
    sched_yield();
    return 0;
}

/* A flag that one member raises and others look at. */
static inline void flag_raise(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELEASE); }
static inline int flag_is_up(const int *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }

/* The next number, for members that share work as they come. */
static inline ptrdiff_t take_number(ptrdiff_t *next) { return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED); }

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
static __thread int calls_of_this_thread; /* among them: a signal handler may call what it has interrupted */
static int forks;

/* A forked child has none of its parent's threads but the one that forked. */
static void helpers_forget(void)
{
    helpers_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    idle_helpers = NULL;
    team_callers = calls_of_this_thread;
    forks++;
}

static void helpers_prepare(void) { pthread_atfork(NULL, NULL, helpers_forget); }

static Team *helper_awaits_team(Helper *self)
{
    const long long end = now_nanoseconds() + IDLE_NANOSECONDS;
    Team *team;
    do {
        for (int spins = 0; spins < TEAM_SPINS; spins++) {
            if ((team = __atomic_load_n(&self->team, __ATOMIC_ACQUIRE)) != NULL)
                return team;
            team_pause();
        }
        sched_yield();
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

static void *helper_life(void *argument)
{
    Helper *self = (Helper *)argument;
    for (;;) {
        Team *team = helper_awaits_team(self);
        team->work(self->number, team->task);
        __atomic_store_n(&self->team, NULL, __ATOMIC_RELAXED);
        pthread_mutex_lock(&helpers_mutex);
        self->next = idle_helpers;
        idle_helpers = self;
        pthread_mutex_unlock(&helpers_mutex);
        __atomic_fetch_sub(&team->helping, 1, __ATOMIC_RELEASE); /* the team may be gone after this */
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

/* How many calls are running a team now, of one member or more. */
static int team_calls(void) { return __atomic_load_n(&team_callers, __ATOMIC_RELAXED); }

/* Forks between the first team and this process. */
static int team_forks(void) { return forks; }

/* After a fork in the middle of the team's work: the helpers do not exist in the child, and nobody must wait for them. */
static void team_lose_helpers(Team *team)
{
    team->size = 1;
    team->arrived = team->helping = 0;
}

static void team_run(Team *team, int size, TeamWork work, void *task)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    Helper *helpers[TEAM_MAXIMUM];
    int found = 1, helping;
    pthread_once(&once, helpers_prepare);
    while (found < size && (helpers[found] = helper_take()) != NULL)
        found++;
    team->size = found;
    team->arrived = team->generation = 0;
    team->helping = found - 1;
    team->work = work;
    team->task = task;
    for (int i = 1; i < found; i++)
        helper_call(helpers[i], team, i);
    __atomic_fetch_add(&team_callers, 1, __ATOMIC_RELAXED);
    calls_of_this_thread++;
    work(0, task);
    while ((helping = __atomic_load_n(&team->helping, __ATOMIC_ACQUIRE)) > 0)
        team_wait(&team->helping, helping);
    calls_of_this_thread--;
    __atomic_fetch_sub(&team_callers, 1, __ATOMIC_RELAXED);
}

#else

struct Team {
    int size;
};

static void flag_raise(int *flag) { *flag = 1; }
static int flag_is_up(const int *flag) { return *flag; }
static ptrdiff_t take_number(ptrdiff_t *next) { return (*next)++; }
static int team_calls(void) { return 0; }
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
