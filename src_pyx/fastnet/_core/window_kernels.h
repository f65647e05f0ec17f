/* Kernels of windows whose vectors would be half empty if products made them: convolutions of one channel to few filters, whose
 * vectors run over the positions of a line, and maxima of few channels, which are taken a vector at a time with what lies beside them.
 * Without vector extensions (MSVC) a vector is one number.
 */
#ifndef FASTNET_WINDOW_KERNELS_H
#define FASTNET_WINDOW_KERNELS_H
#include <stddef.h>
#include "product.h"

/* Filters and, of a gradient, places of the kernel whose sums are in registers together. */
#define FILTERS_TOGETHER 6
#if defined(__AVX512F__)
#define PLACES_TOGETHER 4
#else
#define PLACES_TOGETHER 2
#endif

/* Channels whose maxima are taken together. */
#define CHANNELS_TOGETHER 16

/* One kernel's places: lines of it, places of a line, and how far apart in A. */
struct kernel_places {
    ptrdiff_t height, width, line_step, step;
};

#define REAL float
#define NAME(x) x##f
#include "window_kernels_body.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##d
#include "window_kernels_body.h"
#undef REAL
#undef NAME
#endif
