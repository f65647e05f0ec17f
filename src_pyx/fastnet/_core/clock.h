/* Nanoseconds of a clock that only goes forward. */
#ifndef FASTNET_CLOCK_H
#define FASTNET_CLOCK_H
#if defined(_WIN32)
#include <windows.h>
static long long now_nanoseconds(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (long long)((double)ticks.QuadPart / (double)per_second.QuadPart * 1e9);
}
#else
#include <time.h>
static long long now_nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}
#endif
#endif
