/* Blocks of C in registers, and all rows of A against a panel of B: for product_body.h. */

/* rows x (vectors * LANES) elements of C in registers: the sum over k of outer products. The second vector of a row of B and C
 * lies `second` elements after the first. If `along`, a_col is 1; else, in FOUR_STEPS, a_row is. If `adds`, C is added at the end. If
 * `ahead`, a pair of lines is fetched every four steps: `soon`, and then a share of `later`. rows, vectors, along, adds and ahead are
 * constants at every call, so that the loops unroll. */
FN_INLINE void NAME(block_)(const int rows, const int vectors, const int along, const int adds, const int ahead, ptrdiff_t second,
                            ptrdiff_t k, const REAL *restrict a, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *restrict b, ptrdiff_t b_row,
                            REAL *restrict c, ptrdiff_t c_row, const REAL *bias, int accumulate, pairs soon, runs *later)
{
    VECTOR sum[BLOCK_ROWS][2];
    const VECTOR zero = {0};
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[i][v] = accumulate && !adds ? LOAD(c + i * c_row + v * second) : bias && !adds ? LOAD(bias + v * second) : zero;
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
    ptrdiff_t share = ahead ? later->share : 0;
#define STEP \
    do { \
        const VECTOR b0 = LOAD(b), b1 = vectors == 2 ? LOAD(b + second) : b0; \
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) \
        { \
            const REAL x = (i < 4 ? a : i < 8 ? a4 : a8)[i % 4 * a_row]; \
            sum[i][0] += x * b0; \
            if (vectors == 2) \
                sum[i][1] += x * b1; \
        } \
        a += a_col; \
        a4 += a_col; \
        a8 += a_col; \
        b += b_row; \
    } while (0)
    ptrdiff_t p = 0;
    for (; ahead && p + 4 <= k; p += 4) {
        fetch(&soon);
        if (soon.left == 0)
            soon = share-- > 0 && later->left > 0 ? take(later) : (pairs){(const char *)b, 0, 0, 0};
        STEP;
        STEP;
        STEP;
        STEP;
    }
    for (; p < k; p++)
        STEP;
#undef STEP
#endif
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; adds && v < vectors; v++)
            sum[i][v] += LOAD(c + i * c_row + v * second);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            *(VECTOR *)(c + i * c_row + v * second) = sum[i][v];
}

/* All m rows against one panel of B; a_step is from one row to the next across blocks, a_row within one. Meanwhile the panel that is
 * packed next comes into L2, and the block of C that is added to next. */
FN_INLINE void NAME(rows_)(const int vectors, const int along, const int adds, ptrdiff_t second, ptrdiff_t m, ptrdiff_t k,
                           const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row, REAL *c,
                           ptrdiff_t c_row, const REAL *bias, int accumulate, runs next)
{
#define BLOCK(r) \
    NAME(block_)(r, vectors, along, adds, 0, second, k, a + i * a_step, a_row, a_col, b, b_row, c + i * c_row, c_row, bias, accumulate, \
                 (pairs){NULL, 0, 0, 0}, NULL)
    const ptrdiff_t rest = m % BLOCK_ROWS;
    const int even = rest && rest <= SHORT_BLOCK && m > BLOCK_ROWS && a_step == a_row; /* packed blocks stay whole */
    const ptrdiff_t whole = m - rest - (even ? BLOCK_ROWS : 0);
    ptrdiff_t i = 0;
    for (; i < whole; i += BLOCK_ROWS) {
        fetch_share(&next);
        if (accumulate && i + BLOCK_ROWS < whole)
            for (int r = 0; r < BLOCK_ROWS; r++)
                for (int v = 0; v < vectors; v++)
                    __builtin_prefetch(c + (i + BLOCK_ROWS + r) * c_row + v * second, 0, 2);
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
                         const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate, runs next)
{
    if (accumulate == ADD_TO_C)
        NAME(rows_)(2, 0, 1, second, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, next);
    else if (FOUR_STEPS && a_col == 1)
        NAME(rows_)(2, 1, 0, second, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, next);
    else
        NAME(rows_)(2, 0, 0, second, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, next);
}

#if FETCH_BETWEEN_STEPS
/* The same where A and B are packed, and meanwhile the next block of C and the panel that is packed next come into L2: a pair of lines
 * at a time. */
static void NAME(packed_rows2_)(ptrdiff_t second, ptrdiff_t m, ptrdiff_t k, const REAL *a, const REAL *b, REAL *c, ptrdiff_t c_row,
                                const REAL *bias, int accumulate, runs next)
{
    const ptrdiff_t whole = m - m % BLOCK_ROWS;
#define BLOCK(adds) \
    NAME(block_)(BLOCK_ROWS, 2, 0, adds, 1, second, k, a, 1, BLOCK_ROWS, b, PANEL_WIDTH, c, c_row, bias, accumulate, \
                 (pairs){(const char *)(c + BLOCK_ROWS * c_row), TO_LAST_LINE, c_row * sizeof(REAL), BLOCK_ROWS}, &next)
    for (ptrdiff_t i = 0; i < whole; i += BLOCK_ROWS, a += BLOCK_ROWS * k, c += BLOCK_ROWS * c_row)
        if (accumulate == ADD_TO_C)
            BLOCK(1);
        else
            BLOCK(0);
#undef BLOCK
    if (whole < m)
        NAME(rows2_)(second, m - whole, k, a, k, 1, BLOCK_ROWS, b, PANEL_WIDTH, c, c_row, bias, accumulate, NOTHING);
}
#endif

static void NAME(rows1_)(ptrdiff_t m, ptrdiff_t k, const REAL *a, ptrdiff_t a_step, ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b,
                         ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, const REAL *bias, int accumulate)
{
    if (accumulate == ADD_TO_C)
        NAME(rows_)(1, 0, 1, 0, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, NOTHING);
    else if (FOUR_STEPS && a_col == 1)
        NAME(rows_)(1, 1, 0, 0, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, NOTHING);
    else
        NAME(rows_)(1, 0, 0, 0, m, k, a, a_step, a_row, a_col, b, b_row, c, c_row, bias, accumulate, NOTHING);
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
