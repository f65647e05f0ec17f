/* The bodies of product.h for one width. */

typedef REAL NAME(vector_) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
#define VECTOR NAME(vector_)
#define SMALL NAME(small_)
#define SQUARE ((ptrdiff_t)(16 / sizeof(REAL)))
#define LINE ((ptrdiff_t)(LINE_BYTES / sizeof(REAL)))
#define LANES ((ptrdiff_t)(VECTOR_BYTES / sizeof(REAL)))
#define PANEL_WIDTH (2 * LANES)
#define ROWS_PER_PASS ((ptrdiff_t)(SLICE_BYTES / (DEPTH * sizeof(REAL))))
#define TO_LAST_LINE (PANEL_WIDTH > LINE ? LINE_BYTES : 0)
#define LOAD(p) (*(const VECTOR *)(p))

#include "product_blocks_body.h"
#include "product_packing_body.h"
#include "product_few_columns_body.h"

/* Width of the panel of B at column j of n: of the last columns too few for a whole panel, one vector and two overlapping ones. */
FN_INLINE ptrdiff_t NAME(width_)(ptrdiff_t n, ptrdiff_t j)
{
    const ptrdiff_t left = n - j;
    if (left <= PANEL_WIDTH)
        return left;
    return left < PANEL_WIDTH + LANES ? LANES : PANEL_WIDTH;
}

/* Where the panel of the first of n columns of B lies, in runs for so many blocks: some of its rows, or two of its columns side by
 * side. */
FN_INLINE runs NAME(panel_runs_)(ptrdiff_t n, ptrdiff_t blocks, ptrdiff_t depth, const REAL *b, ptrdiff_t b_row, ptrdiff_t b_col)
{
    const char *at = (const char *)b;
    const ptrdiff_t from_row = b_row * sizeof(REAL), from_column = b_col * sizeof(REAL);
    if (n < PANEL_WIDTH)
        return NOTHING;
    if (b_col == 1) {
        const ptrdiff_t rows = (depth + blocks - 1) / blocks;
        return (runs){{at, TO_LAST_LINE, from_row, rows}, rows * from_row, blocks, 1};
    }
    const ptrdiff_t columns = PANEL_WIDTH / 2;
    return (runs){{at, from_column, LINE_BYTES, depth / LINE + 1}, 2 * from_column, columns, (columns + blocks - 1) / blocks};
}

static FN_NO_CLONE void NAME(product)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b,
                          ptrdiff_t b_row, ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, int is_far,
                          REAL *panel)
{
    if (n <= LANES * 3 / 2 && n != LANES && m >= LANES && m > n && a_row == 1) {
        NAME(swapped_)(m, n, k, a, a_col, b, b_row, b_col, c, c_row, bias, accumulate, panel);
        return;
    }
    const ptrdiff_t a_bytes = (a_row > a_col ? a_row : a_col) * (ptrdiff_t)sizeof(REAL);
    const int is_aliased = a_row == 1 ? a_bytes >= COLUMNS_WORTH_PACKING || a_bytes % ALIASING_BYTES == 0 : a_bytes >= PAGE_BYTES;
    const int is_wide = m >= BLOCK_ROWS && n >= PANELS_WORTH_PACKING * PANEL_WIDTH;
    const int far = m >= (FETCH_BETWEEN_STEPS && is_wide ? ROWS_WORTH_FETCHING_BETWEEN : ROWS_WORTH_FETCHING) &&
                    (is_far || n * k * (ptrdiff_t)sizeof(REAL) >= BYTES_WORTH_FETCHING);
    const int lacks_columns = a_row == 1 && m >= BLOCK_ROWS && n * (ptrdiff_t)sizeof(REAL) >= ROW_WORTH_PACKING &&
                              is_spread(a_bytes, k < DEPTH ? k : DEPTH);
    const int pack_a = lacks_columns || (is_wide && (is_aliased || (FETCH_BETWEEN_STEPS && far)));
    const int few = (k == 1 || k == 2) && !accumulate && !bias && !pack_a;
    const ptrdiff_t passes = (m + ROWS_PER_PASS - 1) / ROWS_PER_PASS, blocks = (m + BLOCK_ROWS - 1) / BLOCK_ROWS;
    const ptrdiff_t pass = m > ROWS_PER_PASS ? (blocks + passes - 1) / passes * BLOCK_ROWS : m; /* passes of equal rows */
    const int direct = b_col == 1 && ((m < ROWS_WORTH_PACKING && b_row < STRIDE_WORTH_PACKING) ||
                                      (pass * b_row * (ptrdiff_t)sizeof(REAL) <= BYTES_WORTH_PACKING &&
                                       n * k * (ptrdiff_t)sizeof(REAL) <= BYTES_WORTH_FETCHING));
    REAL *packed_a = panel + DEPTH * PANEL_WIDTH;
    const ptrdiff_t most = slice_depth(k);
    for (ptrdiff_t p = 0; p == 0 || p < k; p += most) {
        const ptrdiff_t depth = k - p < most ? k - p : most;
        const int add = accumulate || p > 0 ? (a_row == 1 && k > DEPTH ? ADD_TO_C : BEGIN_WITH_C) : 0;
        for (ptrdiff_t i = 0; i < m; i += pass) {
            const ptrdiff_t rows = m - i < pass ? m - i : pass;
            const REAL *ap = a + i * a_row + p * a_col;
            ptrdiff_t step = a_row, row = a_row, column = a_col;
            if (pack_a) {
                NAME(pack_blocks_)(rows, depth, ap, a_row, a_col, packed_a);
                ap = packed_a;
                step = depth; /* a block of BLOCK_ROWS rows holds BLOCK_ROWS * depth elements */
                row = 1;
                column = BLOCK_ROWS;
            }
            for (ptrdiff_t j = 0, width; j < n; j += width) {
                const REAL *bp = b + p * b_row + j * b_col, *start = bias ? bias + j : NULL;
                REAL *cp = c + i * c_row + j;
                ptrdiff_t bp_row = b_row;
                runs next = NOTHING;
                width = NAME(width_)(n, j);
                if (width < LANES) {
                    NAME(few_columns_)(rows, width, depth, ap, step, row, column, bp, b_row, b_col, cp, c_row, start, add, panel);
                    continue;
                }
                if (!direct) {
                    NAME(pack_)(depth, width, bp, b_row, b_col, panel);
                    if (far)
                        next = NAME(panel_runs_)(n - j - width, (rows + BLOCK_ROWS - 1) / BLOCK_ROWS, depth, bp + width * b_col, b_row,
                                                 b_col);
                    bp = panel;
                    bp_row = PANEL_WIDTH;
                }
                if (few && width > LANES) {
                    if (k == 1)
                        NAME(few_steps_)(1, width - LANES, rows, ap, row, column, bp, bp_row, cp, c_row);
                    else
                        NAME(few_steps_)(2, width - LANES, rows, ap, row, column, bp, bp_row, cp, c_row);
                } else if (width == LANES)
                    NAME(rows1_)(rows, depth, ap, step, row, column, bp, bp_row, cp, c_row, start, add);
#if FETCH_BETWEEN_STEPS
                else if (pack_a && !direct)
                    NAME(packed_rows2_)(width - LANES, rows, depth, ap, bp, cp, c_row, start, add, next);
#endif
                else
                    NAME(rows2_)(width - LANES, rows, depth, ap, step, row, column, bp, bp_row, cp, c_row, start, add, next);
            }
        }
    }
}

/* The panels of B (k, n), each in one piece, for a B that many products read: `size_of_panels` numbers. */
static void NAME(make_panels)(ptrdiff_t n, ptrdiff_t k, const REAL *b, ptrdiff_t b_row, ptrdiff_t b_col, REAL *panels)
{
    for (ptrdiff_t j = 0, width; j < n; j += width, panels += k * PANEL_WIDTH) {
        width = NAME(width_)(n, j);
        NAME(pack_)(k, width, b + j * b_col, b_row, b_col, panels);
    }
}

/* C (m, n) = A (m, k) B [+ C], with the panels of B. The bits are those of `product`. (8, 73) (73, 256): 78 to 89 GFLOP/s, of AVX2. */
static FN_NO_CLONE void NAME(panels_product)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, const REAL *panels, REAL *c,
                                 ptrdiff_t c_row, const REAL *bias, int accumulate, REAL *panel)
{
    const ptrdiff_t most = slice_depth(k);
    for (ptrdiff_t p = 0; p < k; p += most) {
        const ptrdiff_t depth = k - p < most ? k - p : most;
        const REAL *b = panels + p * PANEL_WIDTH;
        const int add = accumulate || p > 0;
        for (ptrdiff_t j = 0, width; j < n; j += width, b += k * PANEL_WIDTH) {
            const REAL *start = bias ? bias + j : NULL;
            width = NAME(width_)(n, j);
            if (width < LANES)
                NAME(few_columns_)(m, width, depth, a + p, a_row, a_row, 1, b, PANEL_WIDTH, 1, c + j, c_row, start, add, panel);
            else if (width == LANES)
                NAME(rows1_)(m, depth, a + p, a_row, a_row, 1, b, PANEL_WIDTH, c + j, c_row, start, add);
            else
                NAME(rows2_)(width - LANES, m, depth, a + p, a_row, a_row, 1, b, PANEL_WIDTH, c + j, c_row, start, add, NOTHING);
        }
    }
}

#include "product_one_row_body.h"

#undef VECTOR
#undef SMALL
#undef SQUARE
#undef LINE
#undef LANES
#undef PANEL_WIDTH
#undef ROWS_PER_PASS
#undef TO_LAST_LINE
#undef LOAD
