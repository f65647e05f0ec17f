/* The bodies of product.h for one width. */

typedef REAL NAME(vector_) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
#define VECTOR NAME(vector_)
#define SQUARE ((ptrdiff_t)(16 / sizeof(REAL)))
#define LANES ((ptrdiff_t)(VECTOR_BYTES / sizeof(REAL)))
#define PANEL_WIDTH (2 * LANES)
#define LOAD(p) (*(const VECTOR *)(p))

/* rows x (vectors * LANES) elements of C in registers: the sum over k of outer products. rows and vectors are
 * constants at every call, so that the loops unroll. */
FN_INLINE void NAME(block_)(const int rows, const int vectors, ptrdiff_t k, const REAL *restrict a, ptrdiff_t a_row,
                            ptrdiff_t a_col, const REAL *restrict b, ptrdiff_t b_row, REAL *restrict c, ptrdiff_t c_row,
                            const REAL *bias, int accumulate)
{
    VECTOR sum[BLOCK_ROWS][2];
    const VECTOR zero = {0};
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[i][v] = accumulate ? LOAD(c + i * c_row + v * LANES) : bias ? LOAD(bias + v * LANES) : zero;
    for (ptrdiff_t p = 0; p < k; p++) {
        const VECTOR b0 = LOAD(b);
        const VECTOR b1 = vectors == 2 ? LOAD(b + LANES) : b0;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const REAL x = a[i * a_row];
            sum[i][0] += x * b0;
            if (vectors == 2)
                sum[i][1] += x * b1;
        }
        a += a_col;
        b += b_row;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            *(VECTOR *)(c + i * c_row + v * LANES) = sum[i][v];
}

/* All m rows against one panel of vectors * LANES columns; a_step is from one row to the next across blocks, a_row within one. */
FN_INLINE void NAME(rows_)(const int vectors, ptrdiff_t m, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col,
                           const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate)
{
#define BLOCK(r) NAME(block_)(r, vectors, k, a + i * a_step, a_row, a_col, b, b_row, c + i * c_row, c_row, bias, accumulate)
    ptrdiff_t i = 0;
    for (; i + BLOCK_ROWS <= m; i += BLOCK_ROWS)
        BLOCK(BLOCK_ROWS);
    switch (m - i) {
#if BLOCK_ROWS > 6
    case 11: BLOCK(11); break;
    case 10: BLOCK(10); break;
    case 9: BLOCK(9); break;
    case 8: BLOCK(8); break;
    case 7: BLOCK(7); break;
    case 6: BLOCK(6); break;
#endif
    case 5: BLOCK(5); break;
    case 4: BLOCK(4); break;
    case 3: BLOCK(3); break;
    case 2: BLOCK(2); break;
    case 1: BLOCK(1); break;
    default: break;
    }
#undef BLOCK
}

static void NAME(rows2_)(ptrdiff_t m, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b,
                         ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate)
{
    NAME(rows_)(2, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate);
}

static void NAME(rows1_)(ptrdiff_t m, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b,
                         ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate)
{
    NAME(rows_)(1, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate);
}

/* panel[p, j] = B[p, j] for n columns, zeros beside them up to width. */
static void NAME(pack_)(ptrdiff_t k, ptrdiff_t n, const REAL *restrict b, ptrdiff_t b_row, ptrdiff_t b_col,
                        REAL *restrict panel, ptrdiff_t width)
{
    if (b_col == 1 && n == PANEL_WIDTH) {
        for (ptrdiff_t p = 0; p < k; p++, b += b_row, panel += PANEL_WIDTH) {
            *(VECTOR *)panel = LOAD(b);
            *(VECTOR *)(panel + LANES) = LOAD(b + LANES);
        }
        return;
    }
    ptrdiff_t p = 0;
    if (b_row == 1 && n == PANEL_WIDTH)
        for (; p + SQUARE <= k; p += SQUARE)
            for (ptrdiff_t j = 0; j < PANEL_WIDTH; j += SQUARE)
                NAME(transpose_)(b + j * b_col + p, b_col, panel + p * PANEL_WIDTH + j, PANEL_WIDTH);
    if (n < width)
        memset(panel, 0, k * width * sizeof(REAL));
    for (; p < k; p++)
        for (ptrdiff_t j = 0; j < n; j++)
            panel[p * width + j] = b[p * b_row + j * b_col];
}

/* Blocks of rows of A, each block's elements for one p side by side. */
static void NAME(pack_blocks_)(ptrdiff_t m, ptrdiff_t k, const REAL *restrict a, ptrdiff_t a_row, ptrdiff_t a_col, REAL *restrict packed)
{
    for (ptrdiff_t i = 0; i < m; i += BLOCK_ROWS, a += BLOCK_ROWS * a_row) {
        const ptrdiff_t rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
        for (ptrdiff_t p = 0; p < k; p++, packed += BLOCK_ROWS)
            for (ptrdiff_t r = 0; r < rows; r++)
                packed[r] = a[r * a_row + p * a_col];
    }
}

/* The last columns, fewer than a panel: computed in a full-width buffer, then copied. */
static void NAME(narrow_)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col,
                          const REAL *b, ptrdiff_t width, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate)
{
    REAL out[BLOCK_ROWS * 2 * VECTOR_BYTES / sizeof(REAL)] = {0};
    REAL start[2 * VECTOR_BYTES / sizeof(REAL)] = {0};
    for (ptrdiff_t j = 0; bias && j < n; j++)
        start[j] = bias[j];
    for (ptrdiff_t i = 0; i < m; i += BLOCK_ROWS) {
        const ptrdiff_t rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
        if (accumulate)
            for (ptrdiff_t r = 0; r < rows; r++)
                for (ptrdiff_t j = 0; j < n; j++)
                    out[r * width + j] = c[(i + r) * c_row + j];
        (width == LANES ? NAME(rows1_) : NAME(rows2_))(rows, k, a + i * a_step, a_step, a_row, a_col, b, width, out, width, start,
                                                           accumulate);
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t j = 0; j < n; j++)
                c[(i + r) * c_row + j] = out[r * width + j];
    }
}

static void NAME(product)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b,
                          ptrdiff_t b_row, ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, REAL *panel)
{
    const int direct = b_col == 1 && m < ROWS_WORTH_PACKING && b_row < STRIDE_WORTH_PACKING;
    const ptrdiff_t a_stride = a_row > a_col ? a_row : a_col;
    const int pack_a = a_stride * sizeof(REAL) % BYTES_OF_ALL_SETS == 0 && m >= BLOCK_ROWS && n >= PANELS_WORTH_PACKING * PANEL_WIDTH;
    REAL *packed_a = panel + DEPTH * PANEL_WIDTH;
    for (ptrdiff_t p = 0; p == 0 || p < k; p += DEPTH) {
        const ptrdiff_t depth = k - p < DEPTH ? k - p : DEPTH;
        const int add = accumulate || p > 0;
        for (ptrdiff_t i = 0; i < m; i += ROWS_PER_PASS) {
            const ptrdiff_t rows = m - i < ROWS_PER_PASS ? m - i : ROWS_PER_PASS;
            const REAL *ap = a + i * a_row + p * a_col;
            ptrdiff_t step = a_row, row = a_row, column = a_col;
            if (pack_a) {
                NAME(pack_blocks_)(rows, depth, ap, a_row, a_col, packed_a);
                ap = packed_a;
                step = depth; /* a block of BLOCK_ROWS rows holds BLOCK_ROWS * depth elements */
                row = 1;
                column = BLOCK_ROWS;
            }
            for (ptrdiff_t j = 0; j < n; j += PANEL_WIDTH) {
                const REAL *bp = b + p * b_row + j * b_col, *start = bias ? bias + j : NULL;
                REAL *cp = c + i * c_row + j;
                if (n - j >= PANEL_WIDTH) {
                    if (!direct)
                        NAME(pack_)(depth, PANEL_WIDTH, bp, b_row, b_col, panel, PANEL_WIDTH);
                    NAME(rows2_)(rows, depth, ap, step, row, column, direct ? bp : panel, direct ? b_row : PANEL_WIDTH, cp, c_row, start, add);
                } else {
                    const ptrdiff_t width = n - j <= LANES ? LANES : PANEL_WIDTH;
                    NAME(pack_)(depth, n - j, bp, b_row, b_col, panel, width);
                    NAME(narrow_)(rows, n - j, depth, ap, step, row, column, panel, width, cp, c_row, start, add);
                }
            }
        }
    }
}

/* c = bias + a B for one row a (k,) and B (k, n) with contiguous rows: up to eight vectors of c in registers, so that the
 * additions of one do not wait for each other. Sums run over k in order, as in block_: the bits are the same. */
FN_INLINE void NAME(row_block_)(const int vectors, ptrdiff_t k, const REAL *restrict a, const REAL *restrict b, ptrdiff_t b_row,
                                const REAL *bias, REAL *restrict c)
{
    VECTOR sum[8];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        sum[v] = LOAD(bias + v * LANES);
    for (ptrdiff_t p = 0; p < k; p++, b += b_row) {
        const REAL x = a[p];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            sum[v] += x * LOAD(b + v * LANES);
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        *(VECTOR *)(c + v * LANES) = sum[v];
}

static void NAME(row_product)(ptrdiff_t n, ptrdiff_t k, const REAL *restrict a, const REAL *restrict b, const REAL *restrict bias,
                              REAL *restrict c)
{
    ptrdiff_t j = 0;
    for (; j + 8 * LANES <= n; j += 8 * LANES)
        NAME(row_block_)(8, k, a, b + j, n, bias + j, c + j);
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        NAME(row_block_)(4, k, a, b + j, n, bias + j, c + j);
    for (; j + LANES <= n; j += LANES)
        NAME(row_block_)(1, k, a, b + j, n, bias + j, c + j);
    if (j < n) {
        REAL sum[VECTOR_BYTES / sizeof(REAL)];
        for (ptrdiff_t t = j; t < n; t++)
            sum[t - j] = bias[t];
        for (ptrdiff_t p = 0; p < k; p++)
            for (ptrdiff_t t = j; t < n; t++)
                sum[t - j] += a[p] * b[p * n + t];
        for (ptrdiff_t t = j; t < n; t++)
            c[t] = sum[t - j];
    }
}
#undef VECTOR
#undef SQUARE
#undef LANES
#undef PANEL_WIDTH
#undef LOAD
