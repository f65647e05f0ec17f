/* Products of fewer columns than a vector has, or hardly more: for product_body.h. */

/* The sum of a vector's 16-byte parts. */
FN_INLINE SMALL NAME(fold_)(VECTOR v)
{
    REAL parts[VECTOR_BYTES / sizeof(REAL)];
    *(VECTOR *)parts = v;
    SMALL sum = *(SMALL *)parts;
    for (ptrdiff_t s = SQUARE; s < LANES; s += SQUARE)
        sum += *(SMALL *)(parts + s);
    return sum;
}

static const REAL NAME(lane_)[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* The last n of the vector that ends at `end`, beside zeros. */
FN_INLINE VECTOR NAME(last_)(ptrdiff_t n, const REAL *end)
{
    const VECTOR v = LOAD(end - LANES);
    return (VECTOR)((__typeof__(v == v))v & (LOAD(NAME(lane_)) >= (REAL)(LANES - n)));
}

/* SQUARE rows x columns (1 to 3) of C as dot products along k, at least a vector long, with contiguous rows of A and panels of B's
 * columns; of the vectors of sums, squares are transposed and their rows added. Only the first `rows` are stored; the others repeat
 * the last. */
FN_INLINE void NAME(dots_block_)(const int columns, ptrdiff_t rows, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, const REAL *panel,
                                 REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate)
{
    const REAL *row[SQUARE];
    VECTOR sum[DOTS_BLOCK][SQUARE] = {{{0}}};
    ptrdiff_t p = 0;
#define ADD(vector_of_row) \
    for (int j = 0; j < columns; j++) { \
        const VECTOR w = LOAD(panel + j * DEPTH + p); \
        for (int i = 0; i < SQUARE; i++) \
            sum[j][i] += w * vector_of_row; \
    }
    for (ptrdiff_t i = 0; i < SQUARE; i++)
        row[i] = a + (i < rows ? i : rows - 1) * a_row;
    for (; p + LANES <= k; p += LANES)
        ADD(LOAD(row[i] + p))
    if (p < k)
        ADD(NAME(last_)(k - p, row[i] + k))
#undef ADD
    for (int j = 0; j < columns; j++) {
        REAL parts[SQUARE * SQUARE], turned[SQUARE * SQUARE], total[SQUARE];
        for (int i = 0; i < SQUARE; i++)
            *(SMALL *)(parts + i * SQUARE) = NAME(fold_)(sum[j][i]);
        NAME(transpose_)(parts, SQUARE, turned, SQUARE);
        SMALL added = *(SMALL *)turned;
        for (ptrdiff_t t = 1; t < SQUARE; t++)
            added += *(SMALL *)(turned + t * SQUARE);
        if (bias && !accumulate)
            added += bias[j];
        *(SMALL *)total = added;
        for (ptrdiff_t i = 0; i < rows; i++)
            c[i * c_row + j] = total[i] + (accumulate ? c[i * c_row + j] : 0);
    }
}

/* Fewer columns than a vector, and A's rows contiguous and long. */
static FN_NO_CLONE void NAME(dots_)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, const REAL *b, ptrdiff_t b_row,
                        ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, REAL *panel)
{
    const ptrdiff_t rest = k % LANES, whole = k - rest;
    for (ptrdiff_t j = 0; j < n; j++) {
        REAL *column = panel + j * DEPTH;
        for (ptrdiff_t p = 0; p < whole; p++)
            column[p] = b[p * b_row + j * b_col];
        if (rest) /* where `last_` puts A's */
            *(VECTOR *)(column + whole) = (VECTOR){0};
        for (ptrdiff_t p = whole; p < k; p++)
            column[p + LANES - rest] = b[p * b_row + j * b_col];
    }
    for (ptrdiff_t j = 0, columns; j < n; j += columns) {
        const ptrdiff_t left = n - j;
        const REAL *start = bias ? bias + j : NULL;
        ptrdiff_t i = 0;
#define DOTS(columns, rows) \
    NAME(dots_block_)(columns, rows, k, a + i * a_row, a_row, panel + j * DEPTH, c + i * c_row + j, c_row, start, accumulate)
#define ALL_DOTS(columns) \
    for (; i + SQUARE <= m; i += SQUARE) \
        DOTS(columns, SQUARE); \
    if (i < m) \
        DOTS(columns, m - i)
        columns = left == 4 ? 2 : left < DOTS_BLOCK ? left : DOTS_BLOCK; /* none is left alone if it need not be */
        switch (columns) {
        case 1: ALL_DOTS(1); break;
        case 2: ALL_DOTS(2); break;
        default: ALL_DOTS(DOTS_BLOCK); break;
        }
#undef ALL_DOTS
#undef DOTS
    }
}

/* Fewer columns than a vector: computed in a full one beside zeros, then copied. */
static FN_NO_CLONE void NAME(narrow_)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col,
                          const REAL *b, ptrdiff_t b_row, ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate,
                          REAL *panel)
{
    REAL out[BLOCK_ROWS * VECTOR_BYTES / sizeof(REAL)] = {0};
    REAL start[VECTOR_BYTES / sizeof(REAL)] = {0};
    for (ptrdiff_t p = 0; p < k; p++) {
        *(VECTOR *)(panel + p * LANES) = (VECTOR){0};
        for (ptrdiff_t j = 0; j < n; j++)
            panel[p * LANES + j] = b[p * b_row + j * b_col];
    }
    for (ptrdiff_t j = 0; bias && j < n; j++)
        start[j] = bias[j];
    for (ptrdiff_t i = 0; i < m; i += BLOCK_ROWS) {
        const ptrdiff_t rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
        if (accumulate)
            for (ptrdiff_t r = 0; r < rows; r++)
                for (ptrdiff_t j = 0; j < n; j++)
                    out[r * LANES + j] = c[(i + r) * c_row + j];
        NAME(rows1_)(rows, k, a + i * a_step, a_step, a_row, a_col, panel, LANES, out, LANES, start, accumulate);
        for (ptrdiff_t r = 0; r < rows; r++)
            copy_row(c + (i + r) * c_row, out + r * LANES, n * sizeof(REAL));
    }
}

/* Fewer columns than a vector, as dot products or beside zeros. */
FN_INLINE void NAME(few_columns_)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col,
                                  const REAL *b, ptrdiff_t b_row, ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias,
                                  int accumulate, REAL *panel)
{
    if (a_col == 1 && k >= (n > DOTS_COLUMNS ? DOTS_DEPTH_OF_MORE : DOTS_DEPTH))
        NAME(dots_)(m, n, k, a, a_step, b, b_row, b_col, c, c_row, bias, accumulate, panel);
    else
        NAME(narrow_)(m, n, k, a, a_step, a_row, a_col, b, b_row, b_col, c, c_row, bias, accumulate, panel);
}

static FN_NO_CLONE void NAME(product)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b,
                          ptrdiff_t b_row, ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, int is_far,
                          REAL *panel);

/* C^T (n, m) = B^T A^T instead, where C's few columns leave much of their vectors empty and rows of A^T are contiguous: dW of the
 * output layer. (256, 256) (256, 10): 57 to 89 GFLOP/s; with 12 columns, 70 to 93; with 15, nothing. */
#define SWAPPED_COLUMNS 128
static FN_NO_CLONE void NAME(swapped_)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row,
                           ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, REAL *panel)
{
    REAL swapped[SWAPPED_COLUMNS * 3 / 2 * VECTOR_BYTES / sizeof(REAL)];
    for (ptrdiff_t i = 0; i < m; i += SWAPPED_COLUMNS) {
        const ptrdiff_t rows = m - i < SWAPPED_COLUMNS ? m - i : SWAPPED_COLUMNS;
        if (accumulate)
            for (ptrdiff_t r = 0; r < rows; r++)
                for (ptrdiff_t j = 0; j < n; j++)
                    swapped[j * SWAPPED_COLUMNS + r] = c[(i + r) * c_row + j];
        else if (bias)
            for (ptrdiff_t j = 0; j < n; j++)
                for (ptrdiff_t r = 0; r < rows; r++)
                    swapped[j * SWAPPED_COLUMNS + r] = bias[j];
        NAME(product)(n, rows, k, b, b_col, b_row, a + i, a_col, 1, swapped, SWAPPED_COLUMNS, NULL, accumulate || bias, 0, panel);
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t j = 0; j < n; j++)
                c[(i + r) * c_row + j] = swapped[j * SWAPPED_COLUMNS + r];
    }
}
