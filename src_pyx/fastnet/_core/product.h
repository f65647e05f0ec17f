/* Own matrix products for the shapes of a network's layers, in GCC's and clang's vector extensions.
 *
 *     C (m, n) = A (m, k) B (k, n)  [+ bias on each row | + C]
 *
 * C has contiguous rows; A and B have contiguous rows or columns, so that A^T B and A B^T are the same call. Columns of B are taken in
 * panels of two vectors. A panel is read where it lies when its rows are contiguous and few rows of A use it; otherwise it is
 * copied first (and transposed if need be) into a buffer that fits L1. Of the last columns, too few for a panel, one vector and two
 * overlapping ones are made. Fewer than a vector are dot products, or if k is short computed beside zeros. A is
 * read where it lies, unless its strides are bad for the caches.
 * Each element of C is summed over k in the same order whatever the rows and columns it is computed with: a product divided
 * among threads gives the same bits.
 *
 * Where the compiler has no vector extensions (MSVC), HAVE_OWN_PRODUCT is 0 and every product goes to BLAS.
 */
#ifndef FASTNET_PRODUCT_H
#define FASTNET_PRODUCT_H
#include <stddef.h>
#include "memory.h"
#include "vecmath.h"

/* One copy of a large function, whatever constants its callers pass. With copies for these, predictions of 784-512-512-10 took 4 %
 * longer. */
#if defined(__GNUC__) && !defined(__clang__)
#define FN_NO_CLONE __attribute__((noinline, noclone))
#else
#define FN_NO_CLONE
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define BLOCK_ROWS 12
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define BLOCK_ROWS 6
#else
#define VECTOR_BYTES 16
#define BLOCK_ROWS 6
#endif

/* Up to so many rows, a block has too few sums to hide the latency of a multiply-add: the last rows are then made with the block before
 * them in two of equal height. (32, 64) (64, 64): 90 to 94 GFLOP/s; (20, 32) (32, 64) transposed: 81 to 89. */
#define SHORT_BLOCK 3

/* Most rows of a panel: they are 18 KiB in AVX2, half of L1. Rows of A per pass over the panels: a slice of A of ROWS_PER_PASS x DEPTH
 * floats is 297 KiB and stays in L2. */
#define DEPTH 288
#define SLICE_BYTES (264 * DEPTH * sizeof(float))
#define PANEL_BYTES (DEPTH * 2 * VECTOR_BYTES + SLICE_BYTES)

/* Depth of the slices of a sum over k: about equal, and of whole cache lines. (500, 784) (784, 512), of which three slices of 256 left
 * 16 for a fourth, took 1.02 times as long. */
static ptrdiff_t slice_depth(ptrdiff_t k)
{
    const ptrdiff_t slices = (k + DEPTH - 1) / DEPTH;
    return slices > 1 ? ((k + slices - 1) / slices + 15) / 16 * 16 : DEPTH;
}

/* How a slice of the sums over k goes on with those before it. Sums over a layer's inputs begin with C: one row has the same bits, however
 * its sums are divided. Sums over a batch's rows, A^T B, may be much longer, and are added to C at the end: of 100,000 rows in float32,
 * gradients were wrong by 2e-5, and are by 1e-6. */
enum { BEGIN_WITH_C = 1, ADD_TO_C };

/* Rows of which a column is summed in order. The sums of these are added: of a million rows in float32, one after the other, a sum was
 * wrong by half a percent. */
#define SUM_ROWS 1024

/* Numbers, of either dtype, that the panels of (k, n) take. */
static ptrdiff_t size_of_panels(ptrdiff_t n, ptrdiff_t k) { return (n + 2 * VECTOR_BYTES / (ptrdiff_t)sizeof(float)) * k; }

/* From this many rows of A on, copying a panel of B pays for itself; and always where B's rows are so far apart that reading them
 * would miss the TLB. Measured with benchmarks/kernels.py. With AVX-512 it pays later, the closer together B's rows are: from so many
 * bytes between them, times rows of A; if B is in L2 at all. Reading B where it lies takes 0.95 to 0.98 of the time for 64 rows and
 * (64, 192), (64, 256), (256, 64), (256, 256), 0.96 for 128 rows and (128, 512), 0.92 for 32 rows and (512, 512). */
#define ROWS_WORTH_PACKING 48
#define STRIDE_WORTH_PACKING 512
#if VECTOR_BYTES == 64
#define BYTES_WORTH_PACKING (1 << 16)
#else
#define BYTES_WORTH_PACKING 0
#endif

/* The next panel of B comes into L2 while one is used, if B is so large that it lies farther off, or the caller knows that it does,
 * and so many rows use a panel. With AVX2 each block asks for its share of the panel at once: dA of (512, 2048) (2048, 2048) 60 to 71
 * GFLOP/s, of (256, 1000) (784, 1000) 80 to 87. With AVX-512, where sums are made in half the time, so many lines at once hold up the
 * operands that are needed now. A pair of lines every four steps does not, provided that A is packed too, which leaves registers for the
 * addresses; with few columns, for which A is not packed, a block still asks for its share at once. (64, 2048) (2048, 2048) 107 to 145
 * GFLOP/s, (128, 2048) (2048, 2048) 131 to 152, (512, 2048) (2048, 2048) 141 to 158, of 175 to 180 with everything in L1; MKL reaches
 * 165, OpenBLAS 147. */
#define FETCH_BETWEEN_STEPS (VECTOR_BYTES == 64)
#define ROWS_WORTH_FETCHING 128
#define ROWS_WORTH_FETCHING_BETWEEN 48
#define BYTES_WORTH_FETCHING (1 << 20)

/* A slice of A is copied where reading it would miss the TLB, its rows or columns being a page or more apart, and where columns of
 * A^T fall into few sets of L1 and evict each other; provided that there are panels enough to use the copy. Of dW of 512 x 512 and a
 * batch of 128, 64 to 76 GFLOP/s; of 1024 x 2048 x 2048, 52 to 64. At other strides a copy costs 3 to 10 %; with AVX-512, where sums are
 * made faster than columns of A^T come, it pays from 1 KiB on: dW of 784 x 512 and a batch of 264, 130 to 161 GFLOP/s; of 1000 x
 * 1000, 115 to 147; of 400 x 256 and less the same. */
#define PAGE_BYTES 4096
#if VECTOR_BYTES == 64
#define COLUMNS_WORTH_PACKING 1024
#else
#define COLUMNS_WORTH_PACKING PAGE_BYTES
#endif
#define ALIASING_BYTES 1024
#define PANELS_WORTH_PACKING 8

/* Columns of A^T that L1 does not hold, `apart` bytes from one step to the next, are copied where rows of C have so many bytes. With
 * AVX-512 dW of 256 x 64 and a batch of 64 115 to 129 GFLOP/s, of 128 x 512 and 128 114 to 142, of 512 x 128 and 128 102 to 144, of 200 x 64 and
 * 100 the same; with AVX2 75 to 83, 92 to 92, 75 to 87, and 95 to 84, so that there they must fall into few sets, too. */
#define ROW_WORTH_PACKING 256
static int is_spread(ptrdiff_t apart, ptrdiff_t steps)
{
#if VECTOR_BYTES == 64
    return apart * steps >= 1 << 16;
#else
    return apart * steps > 1 << 15 && apart % ALIASING_BYTES == 0;
#endif
}

/* Columns of A^T are copied so many steps at a time: whole cache lines of a block, and few enough rows of A, if they are pages apart,
 * for the sets of L1. One step at a time: tiles of dW of 2048 x 2048 153 to 157 GFLOP/s, of 1000 x 1000 and a batch of 128 157 to 161; with
 * AVX2 95 to 99 and 92 to 95. */
#define STEPS_OF_PACKING 8

/* Fewer columns than a vector are dot products from these depths on, for up to so many columns and for more. Of 264 rows, beside zeros
 * took 1.15 times as long for four columns at a depth of 16, 1.9 at 64, 2.2 at 256; for five 1.0, 1.7; for seven 0.7, 0.94 at 32, 1.2,
 * 1.4. */
#define DOTS_COLUMNS 5
#define DOTS_DEPTH 16
#define DOTS_DEPTH_OF_MORE 32
#define DOTS_BLOCK 3

/* Of one row, weights of so many bytes are read from end to end: 784-512-512-10 takes 47 instead of 59 microseconds. */
#define FAR_BYTES (1 << 18)

#if defined(__GNUC__) || defined(__clang__)
#define HAVE_OWN_PRODUCT 1
#define HAVE_OWN_LONG_PRODUCT FETCH_BETWEEN_STEPS

/* With AVX2, four steps of the sum over k at a time, and multiply-adds in place: left to GCC, sums move from register to register. With
 * 21.5 instructions for twelve multiply-adds instead of 27, products are 1.06 to 1.25 times as fast while a shared Zen 3 gives them two
 * thirds of its peak, as if another thread took every other turn of its decoder; near the peak, as fast. With SSE2, 0.76. Not in debug
 * builds, whose other sums are not all made of multiply-adds. */
#if defined(__FMA__) && defined(__x86_64__) && !defined(__AVX512F__) && !defined(FASTNET_DEBUG)
#define FOUR_STEPS 1
#define MULTIPLY_ADD(sum, x, b) __asm__(FMA_NAME " %2, %1, %0" : "+x"(sum) : "x"(x), "x"(b))
#else
#define FOUR_STEPS 0
#endif

/* Squares of vectors of 16 bytes are transposed in registers: 4 x 4 floats, 2 x 2 doubles; of floats in AVX, of 32 bytes. With these,
 * dA of (128, 512) (128, 512) takes 0.95 of the time. */
typedef float small_f __attribute__((vector_size(16), aligned(4), may_alias));
typedef double small_d __attribute__((vector_size(16), aligned(8), may_alias));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE4(x, y, a, b, c, d) __builtin_shufflevector(x, y, a, b, c, d)
#define SHUFFLE2(x, y, a, b) __builtin_shufflevector(x, y, a, b)
#define SHUFFLE8(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
typedef int32_t indices4 __attribute__((vector_size(16)));
typedef int64_t indices2 __attribute__((vector_size(16)));
#define SHUFFLE4(x, y, a, b, c, d) __builtin_shuffle(x, y, (indices4){a, b, c, d})
#define SHUFFLE2(x, y, a, b) __builtin_shuffle(x, y, (indices2){a, b})
typedef int32_t indices8 __attribute__((vector_size(32)));
#define SHUFFLE8(x, y, ...) __builtin_shuffle(x, y, (indices8){__VA_ARGS__})
#endif

/* Memory that a product will use soon, in pairs of cache lines: where the next pair is, how far apart its lines are, from one pair to
 * the next, and how many are left. */
typedef struct {
    const char *at;
    ptrdiff_t apart, step, left;
} pairs;

/* Runs of pairs: the next one, from one to the next, how many are left, and how many of them a block brings. */
typedef struct {
    pairs run;
    ptrdiff_t step, left, share;
} runs;

#define NOTHING ((runs){{NULL, 0, 0, 0}, 0, 0, 0})

/* Bring a pair into L2. */
FN_INLINE void fetch(pairs *soon)
{
    __builtin_prefetch(soon->at, 0, 2);
    __builtin_prefetch(soon->at + soon->apart, 0, 2);
    soon->at += soon->step;
    soon->left--;
}

/* The next run. */
FN_INLINE pairs take(runs *later)
{
    const pairs run = later->run;
    later->run.at += later->step;
    later->left--;
    return run;
}

/* Bring a block's share of the runs, at once. */
FN_INLINE void fetch_share(runs *later)
{
    for (ptrdiff_t share = later->share; share > 0 && later->left > 0; share--)
        for (pairs run = take(later); run.left > 0;)
            fetch(&run);
}

FN_INLINE void transpose_f(const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    const small_f r0 = *(const small_f *)from, r1 = *(const small_f *)(from + from_row);
    const small_f r2 = *(const small_f *)(from + 2 * from_row), r3 = *(const small_f *)(from + 3 * from_row);
    const small_f low01 = SHUFFLE4(r0, r1, 0, 4, 1, 5), high01 = SHUFFLE4(r0, r1, 2, 6, 3, 7);
    const small_f low23 = SHUFFLE4(r2, r3, 0, 4, 1, 5), high23 = SHUFFLE4(r2, r3, 2, 6, 3, 7);
    *(small_f *)to = SHUFFLE4(low01, low23, 0, 1, 4, 5);
    *(small_f *)(to + to_row) = SHUFFLE4(low01, low23, 2, 3, 6, 7);
    *(small_f *)(to + 2 * to_row) = SHUFFLE4(high01, high23, 0, 1, 4, 5);
    *(small_f *)(to + 3 * to_row) = SHUFFLE4(high01, high23, 2, 3, 6, 7);
}

FN_INLINE void transpose_d(const double *from, ptrdiff_t from_row, double *to, ptrdiff_t to_row)
{
    const small_d r0 = *(const small_d *)from, r1 = *(const small_d *)(from + from_row);
    *(small_d *)to = SHUFFLE2(r0, r1, 0, 2);
    *(small_d *)(to + to_row) = SHUFFLE2(r0, r1, 1, 3);
}

/* Squares as large as registers allow, of side `large_`. */
#if defined(__AVX__)
typedef float eight_f __attribute__((vector_size(32), aligned(4), may_alias));
enum { large_f = 8 };
FN_INLINE void transpose_large_f(const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    eight_f rows[8], pairs[8], fours[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        rows[i] = *(const eight_f *)(from + i * from_row);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = SHUFFLE8(rows[i], rows[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        pairs[i + 1] = SHUFFLE8(rows[i], rows[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* columns i and i + 4 of rows 0 to 3, and of 4 to 7 */
        const int pair = i / 2;
#define COLUMNS(first) \
    (i % 2 ? SHUFFLE8(pairs[first + pair], pairs[first + pair + 2], 2, 3, 10, 11, 6, 7, 14, 15) \
           : SHUFFLE8(pairs[first + pair], pairs[first + pair + 2], 0, 1, 8, 9, 4, 5, 12, 13))
        fours[i] = COLUMNS(0);
        fours[i + 4] = COLUMNS(4);
#undef COLUMNS
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        *(eight_f *)(to + i * to_row) = SHUFFLE8(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(eight_f *)(to + (i + 4) * to_row) = SHUFFLE8(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}
#else
enum { large_f = 4 };
#define transpose_large_f transpose_f
#endif
enum { large_d = 2 };
#define transpose_large_d transpose_d
#define REAL float
#define NAME(x) x##f
#define FMA_NAME "vfmadd231ps"
#include "product_body.h"
#undef REAL
#undef NAME
#undef FMA_NAME
#define REAL double
#define NAME(x) x##d
#define FMA_NAME "vfmadd231pd"
#include "product_body.h"
#undef REAL
#undef NAME
#undef FMA_NAME
#else
#define HAVE_OWN_PRODUCT 0
#define HAVE_OWN_LONG_PRODUCT 0
#define PLAIN_PRODUCTS(REAL, product, make_panels, panels_product, row_product, column_sums) \
    static void product(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b, \
                        ptrdiff_t b_row, ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, int is_far, \
                        REAL *panel) \
    { \
        (void)panel; \
        (void)is_far; \
        for (ptrdiff_t i = 0; i < m; i++) \
            for (ptrdiff_t j = 0; j < n; j++) { \
                REAL sum = accumulate ? c[i * c_row + j] : bias ? bias[j] : 0; \
                for (ptrdiff_t p = 0; p < k; p++) \
                    sum += a[i * a_row + p * a_col] * b[p * b_row + j * b_col]; \
                c[i * c_row + j] = sum; \
            } \
    } \
    static void make_panels(ptrdiff_t n, ptrdiff_t k, const REAL *b, ptrdiff_t b_row, ptrdiff_t b_col, REAL *panels) \
    { \
        for (ptrdiff_t p = 0; p < k; p++) \
            for (ptrdiff_t j = 0; j < n; j++) \
                panels[p * n + j] = b[p * b_row + j * b_col]; \
    } \
    static void panels_product(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, const REAL *panels, REAL *c, \
                               ptrdiff_t c_row, const REAL *bias, int accumulate, REAL *panel) \
    { \
        product(m, n, k, a, a_row, 1, panels, n, 1, c, c_row, bias, accumulate, 0, panel); \
    } \
    static void row_product(ptrdiff_t n, ptrdiff_t k, const REAL *a, const REAL *b, ptrdiff_t b_row, const REAL *bias, REAL *c) \
    { \
        product(1, n, k, a, k, 1, b, b_row, 1, c, n, bias, 0, 0, NULL); \
    } \
    static void column_sums(ptrdiff_t n, ptrdiff_t k, const REAL *b, REAL *c, int accumulate) \
    { \
        const REAL one = 1; \
        product(1, n, k, &one, 0, 0, b, n, 1, c, n, NULL, accumulate, 0, NULL); \
    }
PLAIN_PRODUCTS(float, productf, make_panelsf, panels_productf, row_productf, column_sumsf)
PLAIN_PRODUCTS(double, productd, make_panelsd, panels_productd, row_productd, column_sumsd)
#endif
#endif
