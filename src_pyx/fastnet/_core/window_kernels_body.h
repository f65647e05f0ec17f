/* The bodies of window_kernels.h for one width. */

#if HAVE_OWN_PRODUCT
#define VECTOR NAME(vector_)
#define LANES ((ptrdiff_t)(VECTOR_BYTES / sizeof(REAL)))
#define MOST_LANES (VECTOR_BYTES / sizeof(REAL))
#define SQUARE ((ptrdiff_t)(16 / sizeof(REAL)))
#else
#define VECTOR REAL
#define LANES 1
#define MOST_LANES 1
#endif
#define LOAD(p) (*(const VECTOR *)(p))

/* Whether vectors over the positions of a line are fuller than those over the filters. */
static inline int NAME(convolves_lines)(ptrdiff_t columns, ptrdiff_t filters)
{
    return HAVE_OWN_PRODUCT && columns >= LANES && filters < LANES;
}

/* to (columns, rows) = x^T; rows of x are x_row apart, those of the result to_row. */
FN_INLINE void NAME(turn_short_)(ptrdiff_t rows, ptrdiff_t columns, const REAL *x, ptrdiff_t x_row, REAL *to, ptrdiff_t to_row)
{
#if HAVE_OWN_PRODUCT
    if (rows >= SQUARE && columns >= SQUARE) { /* the last squares overlap others */
        for (ptrdiff_t i = 0; i < rows; i += SQUARE)
            for (ptrdiff_t j = 0; j < columns; j += SQUARE) {
                const ptrdiff_t r = i + SQUARE <= rows ? i : rows - SQUARE, c = j + SQUARE <= columns ? j : columns - SQUARE;
                NAME(transpose_)(x + r * x_row + c, x_row, to + c * to_row + r, to_row);
            }
        return;
    }
#endif
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j++)
            to[j * to_row + i] = x[i * x_row + j];
}

/* z (filters, 2 vectors, row apart) = bias + the sum over the kernel's places of w times what lies there; the second vector's positions are
 * `second` after the first's. w (places, all_filters). */
FN_INLINE void NAME(filters_)(const int filters, const struct kernel_places *kernel, const REAL *restrict a, ptrdiff_t second,
                              const REAL *restrict w, ptrdiff_t all_filters, const REAL *restrict bias, REAL *restrict z, ptrdiff_t row)
{
    const VECTOR zero = {0};
    VECTOR sum[FILTERS_TOGETHER][2];
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++)
        sum[f][0] = sum[f][1] = zero + bias[f];
    for (ptrdiff_t k = 0; k < kernel->height; k++) {
        const REAL *x = a + k * kernel->line_step;
        for (ptrdiff_t l = 0; l < kernel->width; l++, x += kernel->step, w += all_filters) {
            const VECTOR x0 = LOAD(x), x1 = LOAD(x + second);
#pragma GCC unroll 6
            for (int f = 0; f < filters; f++) {
                sum[f][0] += w[f] * x0;
                sum[f][1] += w[f] * x1;
            }
        }
    }
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++) {
        *(VECTOR *)(z + f * row) = sum[f][0];
        *(VECTOR *)(z + f * row + second) = sum[f][1];
    }
}

/* Z (columns, filters) of a line of at least LANES positions that lie side by side in A. */
static FN_NO_CLONE void NAME(convolve_line)(const struct kernel_places *kernel, ptrdiff_t columns, ptrdiff_t filters, const REAL *a,
                                            const REAL *w, const REAL *bias, REAL *z)
{
    REAL made[FILTERS_TOGETHER * 2 * MOST_LANES];
    for (ptrdiff_t f = 0, some; f < filters; f += some) {
        some = filters - f < FILTERS_TOGETHER ? filters - f : FILTERS_TOGETHER;
        for (ptrdiff_t j = 0, n; j < columns; j += n) {
            const ptrdiff_t left = columns - j, at = left < LANES ? columns - LANES : j; /* of the last, some are made again */
            n = left < 2 * LANES ? columns - at : 2 * LANES;
#define FILTERS(some_) \
    NAME(filters_)(some_, kernel, a + at, n - LANES, w + f, filters, bias + f, made, 2 * LANES)
            switch (some) {
            case 6: FILTERS(6); break;
            case 5: FILTERS(5); break;
            case 4: FILTERS(4); break;
            case 3: FILTERS(3); break;
            case 2: FILTERS(2); break;
            default: FILTERS(1); break;
            }
#undef FILTERS
            NAME(turn_short_)(some, n, made, 2 * LANES, z + at * filters + f, filters);
            n += at - j;
        }
    }
}

/* Numbers that a line of slopes takes, by filters, in whole vectors. */
static inline ptrdiff_t NAME(turned_line_size)(ptrdiff_t columns, ptrdiff_t filters)
{
    return (columns + LANES - 1) / LANES * LANES * filters;
}

/* turned (filters, whole vectors) = dz (columns, filters) of a line of at least LANES. The last vector ends with the line, and is 0 where
 * it overlaps the one before. */
static FN_NO_CLONE void NAME(turn_line)(ptrdiff_t columns, ptrdiff_t filters, ptrdiff_t dz_row, const REAL *dz, REAL *turned)
{
    const ptrdiff_t row = NAME(turned_line_size)(columns, 1), overlap = row - columns;
    NAME(turn_short_)(columns, filters, dz, dz_row, turned, row);
    for (ptrdiff_t f = 0; overlap > 0 && f < filters; f++, turned += row) {
        *(VECTOR *)(turned + row - LANES) = LOAD(turned + columns - LANES);
        memset(turned + row - LANES, 0, overlap * sizeof(REAL));
    }
}

/* To sums (PLACES_TOGETHER, FILTERS_TOGETHER) of vectors, of lines of turned slopes those times what lies at some places of the kernel. */
FN_INLINE void NAME(slopes_)(const int filters, ptrdiff_t lines, ptrdiff_t columns, const REAL *const *places, ptrdiff_t down,
                             const REAL *restrict turned, ptrdiff_t turned_line, REAL *restrict sums)
{
    const ptrdiff_t row = NAME(turned_line_size)(columns, 1);
    VECTOR sum[PLACES_TOGETHER][FILTERS_TOGETHER];
#pragma GCC unroll 4
    for (int t = 0; t < PLACES_TOGETHER; t++)
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
            sum[t][f] = LOAD(sums + (t * FILTERS_TOGETHER + f) * LANES);
    for (ptrdiff_t i = 0; i < lines; i++, turned += turned_line)
        for (ptrdiff_t j = 0; j < row; j += LANES) {
            const ptrdiff_t at = i * down + (j + LANES <= columns ? j : columns - LANES);
            VECTOR x[PLACES_TOGETHER];
#pragma GCC unroll 4
            for (int t = 0; t < PLACES_TOGETHER; t++)
                x[t] = LOAD(places[t] + at);
#pragma GCC unroll 6
            for (int f = 0; f < filters; f++) {
                const VECTOR d = LOAD(turned + f * row + j);
#pragma GCC unroll 4
                for (int t = 0; t < PLACES_TOGETHER; t++)
                    sum[t][f] += x[t] * d;
            }
        }
#pragma GCC unroll 4
    for (int t = 0; t < PLACES_TOGETHER; t++)
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
            *(VECTOR *)(sums + (t * FILTERS_TOGETHER + f) * LANES) = sum[t][f];
}

/* Numbers of the sums of a gradient of so many places and filters. */
static inline ptrdiff_t NAME(sums_size)(ptrdiff_t places, ptrdiff_t filters)
{
    return (places + PLACES_TOGETHER - 1) / PLACES_TOGETHER * PLACES_TOGETHER
         * ((filters + FILTERS_TOGETHER - 1) / FILTERS_TOGETHER * FILTERS_TOGETHER) * LANES;
}

/* To `sums`, of `lines` of turned slopes those times places first .. first + n of the kernel. */
static FN_NO_CLONE void NAME(add_slopes)(const struct kernel_places *kernel, ptrdiff_t first, ptrdiff_t n, ptrdiff_t lines, ptrdiff_t columns,
                                         ptrdiff_t filters, const REAL *a, ptrdiff_t down, const REAL *turned, REAL *sums)
{
    const ptrdiff_t row = NAME(turned_line_size)(columns, 1);
    for (ptrdiff_t p = 0; p < n; p += PLACES_TOGETHER) {
        const REAL *places[PLACES_TOGETHER]; /* the last again, where there are fewer: nobody reads these sums */
        for (ptrdiff_t t = 0; t < PLACES_TOGETHER; t++) {
            const ptrdiff_t place = first + (p + t < n ? p + t : n - 1);
            places[t] = a + place / kernel->width * kernel->line_step + place % kernel->width * kernel->step;
        }
        for (ptrdiff_t f = 0; f < filters; f += FILTERS_TOGETHER, sums += PLACES_TOGETHER * FILTERS_TOGETHER * LANES) {
#define SLOPES(some_) NAME(slopes_)(some_, lines, columns, places, down, turned + f * row, filters * row, sums)
            switch (filters - f) {
            case 5: SLOPES(5); break;
            case 4: SLOPES(4); break;
            case 3: SLOPES(3); break;
            case 2: SLOPES(2); break;
            case 1: SLOPES(1); break;
            default: SLOPES(6); break;
            }
#undef SLOPES
        }
    }
}

/* g (n, filters) += the numbers of each vector of `sums`, added up. */
static void NAME(fold_sums)(ptrdiff_t n, ptrdiff_t filters, const REAL *sums, REAL *g, ptrdiff_t g_row)
{
    for (ptrdiff_t p = 0; p < n; p += PLACES_TOGETHER)
        for (ptrdiff_t f = 0; f < filters; f += FILTERS_TOGETHER)
            for (ptrdiff_t t = 0; t < PLACES_TOGETHER; t++)
                for (ptrdiff_t s = 0; s < FILTERS_TOGETHER; s++, sums += LANES) {
                    REAL total = 0;
                    for (ptrdiff_t v = 0; v < LANES; v++)
                        total += sums[v];
                    if (p + t < n && f + s < filters)
                        g[(p + t) * g_row + f + s] += total;
                }
}

/* to += x, n numbers each. */
FN_INLINE void NAME(add_run)(REAL *restrict to, const REAL *restrict x, ptrdiff_t n)
{
    if (n < LANES) {
        for (ptrdiff_t j = 0; j < n; j++)
            to[j] += x[j];
        return;
    }
    const VECTOR last = LOAD(to + n - LANES) + LOAD(x + n - LANES); /* which overlaps the one before */
    for (ptrdiff_t j = 0; j < n - LANES; j += LANES)
        *(VECTOR *)(to + j) = LOAD(to + j) + LOAD(x + j);
    *(VECTOR *)(to + n - LANES) = last;
}

/* To a, where the windows of some lines lie, x (lines, columns, height, width, run). Column by column: the window beside one overlaps
 * it, and would read what its stores have not yet left in the cache. */
static FN_NO_CLONE void NAME(add_lines)(const struct kernel_places *window, ptrdiff_t run, ptrdiff_t lines, ptrdiff_t columns,
                                        ptrdiff_t down, ptrdiff_t across, const REAL *x, REAL *a)
{
    const ptrdiff_t of_window = window->height * window->width * run;
    for (ptrdiff_t j = 0; j < columns; j++, x += of_window, a += across) {
        const REAL *from = x;
        for (ptrdiff_t k = 0; k < window->height; k++)
            for (ptrdiff_t l = 0; l < window->width; l++, from += run)
                for (ptrdiff_t i = 0; i < lines; i++)
                    NAME(add_run)(a + i * down + k * window->line_step + l * window->step, from + i * columns * of_window, run);
    }
}

#define CHANNELS 8
#define FEW(x) NAME(x##8_)
#include "window_pools_body.h"
#undef CHANNELS
#undef FEW
#define CHANNELS 16
#define FEW(x) NAME(x##16_)
#include "window_pools_body.h"
#undef CHANNELS
#undef FEW

static FN_NO_CLONE void NAME(largest_of_line)(const struct kernel_places *window, ptrdiff_t columns, ptrdiff_t across,
                                              ptrdiff_t channels, const REAL *a, REAL *z, REAL *kept)
{
    if (channels > 8)
        NAME(largest16_)(window->height, window->width, window, columns, across, channels, a, z, kept);
    else if (window->height == 2 && window->width == 2)
        NAME(largest8_)(2, 2, window, columns, across, channels, a, z, kept);
    else
        NAME(largest8_)(window->height, window->width, window, columns, across, channels, a, z, kept);
}

static FN_NO_CLONE void NAME(means_of_line)(const struct kernel_places *window, ptrdiff_t columns, ptrdiff_t across, ptrdiff_t channels,
                                            const REAL *a, REAL *z)
{
    if (channels > 8)
        NAME(means16_)(window, columns, across, channels, a, z);
    else
        NAME(means8_)(window, columns, across, channels, a, z);
}

static FN_NO_CLONE void NAME(slopes_of_line)(ptrdiff_t k, const struct kernel_places *window, ptrdiff_t columns, ptrdiff_t channels,
                                             const REAL *dz, const REAL *kept, REAL *da)
{
    if (channels > 8)
        NAME(slopes16_)(window->width, k, window, columns, channels, dz, kept, da);
    else if (window->width == 2)
        NAME(slopes8_)(2, k, window, columns, channels, dz, kept, da);
    else
        NAME(slopes8_)(window->width, k, window, columns, channels, dz, kept, da);
}
#undef VECTOR
#undef FEW
#undef FEW_MASK
#undef FEW_LANES
#undef FEW_BYTES
#undef LOAD_FEW
#undef LANES
#undef MOST_LANES
#undef SQUARE
#undef LOAD
