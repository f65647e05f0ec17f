/* Cache lines asked for before they are read, and copies of short rows. */
#ifndef FASTNET_MEMORY_H
#define FASTNET_MEMORY_H
#include <stddef.h>
#include <string.h>

#define LINE_BYTES 64

#if defined(__GNUC__) || defined(__clang__)
static inline void prefetch_line(const void *address) { __builtin_prefetch(address); }
#else
static inline void prefetch_line(const void *address) { (void)address; }
#endif

/* memcpy of 4 bytes or more; up to 128 by two moves that overlap, since a call costs as much as ten of them. */
static inline void copy_row(void *to, const void *from, size_t size)
{
#define TWO_MOVES(width) \
    do { \
        char first[width], last[width]; \
        memcpy(first, from, width); \
        memcpy(last, (const char *)from + size - width, width); \
        memcpy(to, first, width); \
        memcpy((char *)to + size - width, last, width); \
    } while (0)
    if (size > 128)
        memcpy(to, from, size);
    else if (size >= 64)
        TWO_MOVES(64);
    else if (size >= 32)
        TWO_MOVES(32);
    else if (size >= 16)
        TWO_MOVES(16);
    else if (size >= 8)
        TWO_MOVES(8);
    else
        TWO_MOVES(4);
#undef TWO_MOVES
}
#endif
