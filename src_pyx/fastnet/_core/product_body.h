/* The bodies of product.h for one width. */

typedef REAL NAME(vector_) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
#define VECTOR NAME(vector_)
#define SMALL NAME(small_)
#define SQUARE ((ptrdiff_t)(16 / sizeof(REAL)))
#define LINE ((ptrdiff_t)(LINE_BYTES / sizeof(REAL)))
#define LANES ((ptrdiff_t)(VECTOR_BYTES / sizeof(REAL)))
#define PANEL_WIDTH (2 * LANES)
#define ROWS_PER_PASS ((ptrdiff_t)(SLICE_BYTES / (DEPTH * sizeof(REAL))))
#define LOAD(p) (*(const VECTOR *)(p))

/* rows x (vectors * LANES) elements of C in registers: the sum over k of outer products. The second vector of a row of B and C
 * lies `second` elements after the first. If `along`, a_col is 1; else, in FOUR_STEPS, a_row is. rows, vectors and along are constants
 * at every call, so that the loops unroll. */
FN_INLINE void NAME(block_)(const int rows, const int vectors, const int along, ptrdiff_t second, ptrdiff_t k, const REAL *restrict a,
                            ptrdiff_t a_row, ptrdiff_t a_col, const REAL *restrict b, ptrdiff_t b_row, REAL *restrict c,
                            ptrdiff_t c_row, const REAL *bias, int accumulate)
{
    VECTOR sum[BLOCK_ROWS][2];
    const VECTOR zero = {0};
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[i][v] = accumulate ? LOAD(c + i * c_row + v * second) : bias ? LOAD(bias + v * second) : zero;
#if FOUR_STEPS
    /* Each address is in an instruction that reads it. */
    const ptrdiff_t a_step = along ? a_row : a_col;
    const REAL *b_second = b + second;
    ptrdiff_t a1 = a_step, a2 = 2 * a1, a3 = 3 * a1, a4 = 4 * a1, a5 = 5 * a1, b1 = b_row, b2 = 2 * b1, b3 = 3 * b1;
#define TIMES(x, of) (x == 0 ? 0 : x == 1 ? of##1 : x == 2 ? of##2 : x == 3 ? of##3 : x == 4 ? a4 : a5)
#define STEP(q) \
    do { \
        const VECTOR first = LOAD(b + TIMES(q, b)), other = vectors == 2 ? LOAD(b_second + TIMES(q, b)) : first; \
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) \
        { \
            const VECTOR x = a[along ? TIMES(i, a) + q : TIMES(q, a) + i] - zero; \
            MULTIPLY_ADD(sum[i][0], x, first); \
            if (vectors == 2) \
                MULTIPLY_ADD(sum[i][1], x, other); \
        } \
    } while (0)
#define HIDE(x) __asm__("" : "+r"(x))
#define ADVANCE(q) (a += along ? q : q * a_step, b += q * b_row, b_second += q * b_row)
    for (ptrdiff_t p = k / 4; p > 0; p--) {
        /* the compiler must not know how the distances are made, or it makes many more from them outside of the loop */
        HIDE(a1); HIDE(a2); HIDE(a3); HIDE(a4); HIDE(a5); HIDE(b1); HIDE(b2); HIDE(b3);
        STEP(0);
        STEP(1);
        STEP(2);
        STEP(3);
        ADVANCE(4);
    }
    for (ptrdiff_t p = k % 4; p > 0; p--) {
        STEP(0);
        ADVANCE(1);
    }
#undef TIMES
#undef STEP
#undef HIDE
#undef ADVANCE
#else
    /* With a pointer to every fourth row of A, all addresses stay in registers: AVX-512's products take 7 to 12 % less time. */
    const REAL *a4 = a + 4 * a_row, *a8 = a + 8 * a_row;
    for (ptrdiff_t p = 0; p < k; p++) {
        const VECTOR b0 = LOAD(b);
        const VECTOR b1 = vectors == 2 ? LOAD(b + second) : b0;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const REAL x = (i < 4 ? a : i < 8 ? a4 : a8)[i % 4 * a_row];
            sum[i][0] += x * b0;
            if (vectors == 2)
                sum[i][1] += x * b1;
        }
        a += a_col;
        a4 += a_col;
        a8 += a_col;
        b += b_row;
    }
#endif
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            *(VECTOR *)(c + i * c_row + v * second) = sum[i][v];
}

/* All m rows against one panel of B; a_step is from one row to the next across blocks, a_row within one. Meanwhile the panel that is
 * packed next comes into L2, and the block of C that is added to next. */
FN_INLINE void NAME(rows_)(const int vectors, const int along, ptrdiff_t second, ptrdiff_t m, ptrdiff_t k, const REAL *a, ptrdiff_t a_step,
                           ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, const REAL *bias,
                           int accumulate, const lines next)
{
    const ptrdiff_t share = (next.runs * BLOCK_ROWS + m - 1) / m;
#define BLOCK(r) NAME(block_)(r, vectors, along, second, k, a + i * a_step, a_row, a_col, b, b_row, c + i * c_row, c_row, bias, accumulate)
    const ptrdiff_t rest = m % BLOCK_ROWS;
    const int even = rest && rest <= SHORT_BLOCK && m > BLOCK_ROWS && a_step == a_row; /* packed blocks stay whole */
    const ptrdiff_t whole = m - rest - (even ? BLOCK_ROWS : 0);
    ptrdiff_t i = 0;
    for (; i < whole; i += BLOCK_ROWS) {
        fetch(next, i / BLOCK_ROWS * share, share);
        if (accumulate && i + BLOCK_ROWS < whole)
            for (int v = 0; v < vectors; v++)
                fetch((lines){c + (i + BLOCK_ROWS) * c_row + v * second, c_row * sizeof(REAL), BLOCK_ROWS, 1}, 0, BLOCK_ROWS);
        BLOCK(BLOCK_ROWS);
    }
    for (ptrdiff_t rows; i < m; i += rows) {
        rows = m - i > BLOCK_ROWS ? (m - i + 1) / 2 : m - i;
        switch (rows) {
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
        default: BLOCK(1); break;
        }
    }
#undef BLOCK
}

static void NAME(rows2_)(ptrdiff_t second, ptrdiff_t m, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col,
                         const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, lines next)
{
    if (FOUR_STEPS && a_col == 1)
        NAME(rows_)(2, 1, second, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, next);
    else
        NAME(rows_)(2, 0, second, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, next);
}

static void NAME(rows1_)(ptrdiff_t m, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b,
                         ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate)
{
    if (FOUR_STEPS && a_col == 1)
        NAME(rows_)(1, 1, 0, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, NOTHING);
    else
        NAME(rows_)(1, 0, 0, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, NOTHING);
}

/* The same of one or two steps, with B's rows in registers and no sums to begin with: dA of one or two outputs. */
FN_INLINE void NAME(few_steps_)(const int steps, ptrdiff_t second, ptrdiff_t m, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col,
                                const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t c_row)
{
    const VECTOR b0 = LOAD(b), b1 = LOAD(b + second), d0 = LOAD(b + (steps - 1) * b_row), d1 = LOAD(b + (steps - 1) * b_row + second);
    for (ptrdiff_t i = 0; i < m; i++, a += a_row, c += c_row) {
        VECTOR c0 = a[0] * b0, c1 = a[0] * b1;
        if (steps == 2) {
            c0 += a[a_col] * d0;
            c1 += a[a_col] * d1;
        }
        *(VECTOR *)c = c0;
        *(VECTOR *)(c + second) = c1;
    }
}

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
        for (ptrdiff_t p = 0; p < k; p++)
            for (ptrdiff_t i = 0; i < whole; i += BLOCK_ROWS)
                memcpy(packed + i * k + p * BLOCK_ROWS, a + i + p * a_col, BLOCK_ROWS * sizeof(REAL));
    else
        for (ptrdiff_t i = 0; i < whole; i += BLOCK_ROWS)
            for (ptrdiff_t p = 0; p < k; p++)
#pragma GCC unroll 16
                for (int r = 0; r < BLOCK_ROWS; r++)
                    packed[i * k + p * BLOCK_ROWS + r] = a[(i + r) * a_row + p * a_col];
    for (ptrdiff_t p = 0; p < k; p++)
        for (ptrdiff_t i = whole; i < m; i++)
            packed[whole * k + p * BLOCK_ROWS + i - whole] = a[i * a_row + p * a_col];
}

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

/* Width of the panel of B at column j of n: of the last columns too few for a whole panel, one vector and two overlapping ones. */
FN_INLINE ptrdiff_t NAME(width_)(ptrdiff_t n, ptrdiff_t j)
{
    const ptrdiff_t left = n - j;
    if (left <= PANEL_WIDTH)
        return left;
    return left < PANEL_WIDTH + LANES ? LANES : PANEL_WIDTH;
}

/* Where the panel of the first of n columns of B lies. */
FN_INLINE lines NAME(panel_lines_)(ptrdiff_t n, ptrdiff_t depth, const REAL *b, ptrdiff_t b_row, ptrdiff_t b_col)
{
    if (n < PANEL_WIDTH)
        return NOTHING;
    if (b_col == 1)
        return (lines){b, b_row * sizeof(REAL), depth, PANEL_WIDTH / LINE};
    return (lines){b, b_col * sizeof(REAL), PANEL_WIDTH, depth / LINE};
}

static FN_NO_CLONE void NAME(product)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b,
                          ptrdiff_t b_row, ptrdiff_t b_col, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, int is_far,
                          REAL *panel)
{
    if (n <= LANES * 3 / 2 && n != LANES && m >= LANES && m > n && a_row == 1) {
        NAME(swapped_)(m, n, k, a, a_col, b, b_row, b_col, c, c_row, bias, accumulate, panel);
        return;
    }
    const int direct = b_col == 1 && m < ROWS_WORTH_PACKING && b_row < STRIDE_WORTH_PACKING;
    const ptrdiff_t a_bytes = (a_row > a_col ? a_row : a_col) * (ptrdiff_t)sizeof(REAL);
    const int pack_a = m >= BLOCK_ROWS && n >= PANELS_WORTH_PACKING * PANEL_WIDTH &&
                       (a_bytes >= PAGE_BYTES || (a_row == 1 && a_bytes % ALIASING_BYTES == 0));
    const int few = (k == 1 || k == 2) && !accumulate && !bias && !pack_a;
    const int far = m >= ROWS_WORTH_FETCHING && (is_far || n * k * (ptrdiff_t)sizeof(REAL) >= BYTES_WORTH_FETCHING);
    const ptrdiff_t passes = (m + ROWS_PER_PASS - 1) / ROWS_PER_PASS, blocks = (m + BLOCK_ROWS - 1) / BLOCK_ROWS;
    const ptrdiff_t pass = m > ROWS_PER_PASS ? (blocks + passes - 1) / passes * BLOCK_ROWS : m; /* passes of equal rows */
    REAL *packed_a = panel + DEPTH * PANEL_WIDTH;
    const ptrdiff_t most = slice_depth(k);
    for (ptrdiff_t p = 0; p == 0 || p < k; p += most) {
        const ptrdiff_t depth = k - p < most ? k - p : most;
        const int add = accumulate || p > 0;
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
                lines next = NOTHING;
                width = NAME(width_)(n, j);
                if (width < LANES) {
                    NAME(few_columns_)(rows, width, depth, ap, step, row, column, bp, b_row, b_col, cp, c_row, start, add, panel);
                    continue;
                }
                if (!direct) {
                    NAME(pack_)(depth, width, bp, b_row, b_col, panel);
                    if (far)
                        next = NAME(panel_lines_)(n - j - width, depth, bp + width * b_col, b_row, b_col);
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

/* c = bias + a B for one row a (k,) and B (k, n) with contiguous rows: up to eight vectors of c in registers, so that the
 * additions of one do not wait for each other. Sums run over k in order, as in block_: the bits are the same. The bias may be c. */
FN_INLINE void NAME(row_block_)(const int vectors, ptrdiff_t k, const REAL *restrict a, const REAL *restrict b, ptrdiff_t b_row,
                                const REAL *bias, REAL *c)
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

/* c += rows of B, each times its element of a. */
FN_INLINE void NAME(add_rows_)(const int rows, ptrdiff_t n, const REAL *restrict a, const REAL *restrict b, REAL *restrict c)
{
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        VECTOR sum = LOAD(c + j);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            sum += a[r] * LOAD(b + r * n + j);
        *(VECTOR *)(c + j) = sum;
    }
    for (; j < n; j++)
        for (int r = 0; r < rows; r++)
            c[j] += a[r] * b[r * n + j];
}

static FN_NO_CLONE void NAME(row_product)(ptrdiff_t n, ptrdiff_t k, const REAL *restrict a, const REAL *restrict b, const REAL *bias, REAL *c)
{
    ptrdiff_t j = 0;
    if (n >= LANES && n * k * (ptrdiff_t)sizeof(REAL) >= FAR_BYTES) { /* read B from end to end, with c in cache */
        ptrdiff_t p = 0;
        if (bias != c)
            memcpy(c, bias, n * sizeof(REAL));
        for (; p + 4 <= k; p += 4)
            NAME(add_rows_)(4, n, a + p, b + p * n, c);
        for (; p < k; p++)
            NAME(add_rows_)(1, n, a + p, b + p * n, c);
        return;
    }
    for (; j + 8 * LANES <= n; j += 8 * LANES)
        NAME(row_block_)(8, k, a, b + j, n, bias + j, c + j);
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        NAME(row_block_)(4, k, a, b + j, n, bias + j, c + j);
    for (; j + LANES <= n; j += LANES)
        NAME(row_block_)(1, k, a, b + j, n, bias + j, c + j);
    if (n < LANES) {
        REAL panel[DEPTH * VECTOR_BYTES / sizeof(REAL)];
        NAME(product)(1, n, k, a, k, 1, b, n, 1, c, n, bias, 0, 0, panel);
    } else if (j < n) {
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

/* c (+)= the sums of k rows of B (k, n), each over the rows in order. */
FN_INLINE void NAME(sums_block_)(const int vectors, ptrdiff_t k, const REAL *restrict b, ptrdiff_t b_row, REAL *restrict c, int accumulate)
{
    VECTOR sum[8];
    const VECTOR zero = {0};
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        sum[v] = accumulate ? LOAD(c + v * LANES) : zero;
    for (ptrdiff_t p = 0; p < k; p++, b += b_row)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            sum[v] += LOAD(b + v * LANES);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        *(VECTOR *)(c + v * LANES) = sum[v];
}

/* The same of rows shorter than a vector: of the fewest vectors that whole rows fill each makes a sum of its own, and these are added in
 * the end. */
static void NAME(short_row_sums_)(ptrdiff_t n, ptrdiff_t k, const REAL *restrict b, REAL *restrict c, int accumulate)
{
    REAL sum[VECTOR_BYTES / sizeof(REAL) * VECTOR_BYTES / sizeof(REAL)] = {0};
    ptrdiff_t length = LANES, i = 0;
    while (length % n)
        length += LANES;
    for (; i + length <= n * k; i += length)
        for (ptrdiff_t j = 0; j < length; j += LANES)
            *(VECTOR *)(sum + j) += LOAD(b + i + j);
    for (ptrdiff_t j = 0; i + j < n * k; j++)
        sum[j] += b[i + j];
    for (ptrdiff_t j = 0; j < n; j++) {
        REAL all = accumulate ? c[j] : 0;
        for (ptrdiff_t t = j; t < length; t += n)
            all += sum[t];
        c[j] = all;
    }
}

static void NAME(column_sums)(ptrdiff_t n, ptrdiff_t k, const REAL *restrict b, REAL *restrict c, int accumulate)
{
    ptrdiff_t j = 0;
    if (n < LANES) {
        NAME(short_row_sums_)(n, k, b, c, accumulate);
        return;
    }
    for (; j + 8 * LANES <= n; j += 8 * LANES)
        NAME(sums_block_)(8, k, b + j, n, c + j, accumulate);
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        NAME(sums_block_)(2, k, b + j, n, c + j, accumulate);
    for (; j + LANES <= n; j += LANES)
        NAME(sums_block_)(1, k, b + j, n, c + j, accumulate);
    for (; j < n; j++) {
        REAL sum = accumulate ? c[j] : 0;
        for (ptrdiff_t p = 0; p < k; p++)
            sum += b[p * n + j];
        c[j] = sum;
    }
}
#undef VECTOR
#undef SMALL
#undef SQUARE
#undef LINE
#undef LANES
#undef PANEL_WIDTH
#undef ROWS_PER_PASS
#undef LOAD
