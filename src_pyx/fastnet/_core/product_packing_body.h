/* Copies of A and B in the order in which blocks read them: for product_body.h. */

/* panel[p, j] = B[p, j] from row p on, one by one. */
FN_INLINE void NAME(pack_rows_)(ptrdiff_t p, ptrdiff_t k, const ptrdiff_t n, const REAL *restrict b, ptrdiff_t b_row, ptrdiff_t b_col,
                                REAL *restrict panel)
{
    for (; p < k; p++)
#pragma GCC unroll 16
        for (ptrdiff_t j = 0; j < n; j++)
            panel[p * PANEL_WIDTH + j] = b[p * b_row + j * b_col];
}

/* The first n columns, a multiple of SQUARE, of as many rows as are whole squares, which are counted. */
FN_INLINE ptrdiff_t NAME(pack_squares_)(ptrdiff_t k, const ptrdiff_t n, const REAL *restrict b, ptrdiff_t b_col, REAL *restrict panel)
{
    ptrdiff_t p = 0;
    for (; p + LINE <= k; p += LINE) { /* all of B's cache lines before the next ones */
        const ptrdiff_t large = n - n % NAME(large_);
        for (ptrdiff_t j = 0; j < large; j += NAME(large_))
            for (ptrdiff_t q = p; q < p + LINE; q += NAME(large_))
                NAME(transpose_large_)(b + j * b_col + q, b_col, panel + q * PANEL_WIDTH + j, PANEL_WIDTH);
        for (ptrdiff_t j = large; j < n; j += SQUARE)
            for (ptrdiff_t q = p; q < p + LINE; q += SQUARE)
                NAME(transpose_)(b + j * b_col + q, b_col, panel + q * PANEL_WIDTH + j, PANEL_WIDTH);
    }
    for (; p + SQUARE <= k; p += SQUARE)
        for (ptrdiff_t j = 0; j < n; j += SQUARE)
            NAME(transpose_)(b + j * b_col + p, b_col, panel + p * PANEL_WIDTH + j, PANEL_WIDTH);
    return p;
}

/* panel[p, j] = B[p, j] for n columns; rows of the panel are PANEL_WIDTH apart. */
static void NAME(pack_)(ptrdiff_t k, ptrdiff_t n, const REAL *restrict b, ptrdiff_t b_row, ptrdiff_t b_col, REAL *restrict panel)
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
        p = NAME(pack_squares_)(k, PANEL_WIDTH, b, b_col, panel);
    else if (b_row == 1) { /* 21 x 16 to 21 x 21: the packing was as long as the product */
        const ptrdiff_t whole = n - n % SQUARE;
        p = NAME(pack_squares_)(k, whole, b, b_col, panel);
        for (ptrdiff_t j = whole; j < n; j++)
            for (ptrdiff_t q = 0; q < p; q++)
                panel[q * PANEL_WIDTH + j] = b[j * b_col + q];
    }
    if (n == PANEL_WIDTH)
        NAME(pack_rows_)(p, k, PANEL_WIDTH, b, b_row, b_col, panel);
    else
        NAME(pack_rows_)(p, k, n, b, b_row, b_col, panel);
}

/* Blocks of rows of A, each block's elements for one p side by side. */
static FN_NO_CLONE void NAME(pack_blocks_)(ptrdiff_t m, ptrdiff_t k, const REAL *restrict a, ptrdiff_t a_row, ptrdiff_t a_col, REAL *restrict packed)
{
    const ptrdiff_t whole = m - m % BLOCK_ROWS;
    if (a_row == 1)
        for (ptrdiff_t p = 0; p < k; p += STEPS_OF_PACKING)
            for (ptrdiff_t i = 0; i < whole; i += BLOCK_ROWS)
                for (ptrdiff_t q = p; q < p + STEPS_OF_PACKING && q < k; q++)
                    memcpy(packed + i * k + q * BLOCK_ROWS, a + i + q * a_col, BLOCK_ROWS * sizeof(REAL));
    else
        for (ptrdiff_t i = 0; i < whole; i += BLOCK_ROWS) {
            ptrdiff_t p = 0;
            for (; BLOCK_ROWS % SQUARE == 0 && a_col == 1 && p + SQUARE <= k; p += SQUARE)
#pragma GCC unroll 16
                for (ptrdiff_t r = 0; r < BLOCK_ROWS; r += SQUARE)
                    NAME(transpose_)(a + (i + r) * a_row + p, a_row, packed + i * k + p * BLOCK_ROWS + r, BLOCK_ROWS);
            for (; p < k; p++)
#pragma GCC unroll 16
                for (int r = 0; r < BLOCK_ROWS; r++)
                    packed[i * k + p * BLOCK_ROWS + r] = a[(i + r) * a_row + p * a_col];
        }
    for (ptrdiff_t p = 0; p < k; p++)
        for (ptrdiff_t i = whole; i < m; i++)
            packed[whole * k + p * BLOCK_ROWS + i - whole] = a[i * a_row + p * a_col];
}
