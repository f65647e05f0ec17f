/* Ask for the first two cache lines at an address that will be read soon: rows of a shuffled data set come from anywhere. */
#ifndef FASTNET_PREFETCH_H
#define FASTNET_PREFETCH_H
#if defined(__GNUC__) || defined(__clang__)
static inline void prefetch(const void *address)
{
    __builtin_prefetch(address);
    __builtin_prefetch((const char *)address + 64);
}
#else
static void prefetch(const void *address) { (void)address; }
#endif
#endif
