/* A team of threads that lives for one call into the core.
 *
 * team_run starts size - 1 threads, lets every member run the same function with its number, and joins them. team_barrier spins
 * for about two microseconds and then yields, so that a team on busy cores waits without holding them. A thread that cannot be started makes the
 * team smaller, never the work incomplete: members read the final size after the start. Platforms without POSIX threads have a
 * team of one.
 */
#ifndef FASTNET_TEAM_H
#define FASTNET_TEAM_H

#define TEAM_MAXIMUM 64
#define TEAM_SPINS 64

typedef struct Team Team;
typedef void (*TeamWork)(int member, void *task);

#if (defined(__unix__) || defined(__APPLE__)) && (defined(__GNUC__) || defined(__clang__))
#include <pthread.h>
#include <sched.h>

struct Team {
    int size;
    int arrived;
    int generation;
    int started;
    TeamWork work;
    void *task;
};

typedef struct {
    Team *team;
    int number;
} TeamMember;

static inline void team_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

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

/* A flag that one member raises and others look at. */
static inline void flag_raise(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELEASE); }
static inline int flag_is_up(const int *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }

static void *team_member(void *argument)
{
    TeamMember *member = (TeamMember *)argument;
    team_wait(&member->team->started, 0);
    member->team->work(member->number, member->team->task);
    return NULL;
}

static void team_run(Team *team, int size, TeamWork work, void *task)
{
    pthread_t threads[TEAM_MAXIMUM];
    TeamMember members[TEAM_MAXIMUM];
    team->arrived = team->generation = team->started = 0;
    team->work = work;
    team->task = task;
    int started = 1;
    for (; started < size; started++) {
        members[started].team = team;
        members[started].number = started;
        if (pthread_create(&threads[started], NULL, team_member, &members[started]) != 0)
            break;
    }
    team->size = started;
    __atomic_store_n(&team->started, 1, __ATOMIC_RELEASE);
    work(0, task);
    for (int i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
}

#else

struct Team {
    int size;
};

static void flag_raise(int *flag) { *flag = 1; }
static int flag_is_up(const int *flag) { return *flag; }

static void team_barrier(Team *team) { (void)team; }

static void team_run(Team *team, int size, TeamWork work, void *task)
{
    (void)size;
    team->size = 1;
    work(0, task);
}

#endif
#endif
