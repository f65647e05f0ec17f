/* Products of one row of A, and sums of columns: for product_body.h. */

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
FN_INLINE void NAME(add_rows_)(const int rows, ptrdiff_t n, const REAL *restrict a, const REAL *restrict b, ptrdiff_t b_row,
                               REAL *restrict c)
{
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        VECTOR sum = LOAD(c + j);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            sum += a[r] * LOAD(b + r * b_row + j);
        *(VECTOR *)(c + j) = sum;
    }
    for (; j < n; j++)
        for (int r = 0; r < rows; r++)
            c[j] += a[r] * b[r * b_row + j];
}

static FN_NO_CLONE void NAME(row_product)(ptrdiff_t n, ptrdiff_t k, const REAL *restrict a, const REAL *restrict b, ptrdiff_t b_row,
                                          const REAL *bias, REAL *c)
{
    ptrdiff_t j = 0;
    if (n >= LANES && b_row * k * (ptrdiff_t)sizeof(REAL) >= FAR_BYTES) { /* read B from end to end, with c in cache */
        ptrdiff_t p = 0;
        if (bias != c)
            memcpy(c, bias, n * sizeof(REAL));
        for (; p + 4 <= k; p += 4)
            NAME(add_rows_)(4, n, a + p, b + p * b_row, b_row, c);
        for (; p < k; p++)
            NAME(add_rows_)(1, n, a + p, b + p * b_row, b_row, c);
        return;
    }
    for (; j + 8 * LANES <= n; j += 8 * LANES)
        NAME(row_block_)(8, k, a, b + j, b_row, bias + j, c + j);
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        NAME(row_block_)(4, k, a, b + j, b_row, bias + j, c + j);
    for (; j + LANES <= n; j += LANES)
        NAME(row_block_)(1, k, a, b + j, b_row, bias + j, c + j);
    if (n < LANES) {
        REAL panel[DEPTH * VECTOR_BYTES / sizeof(REAL)];
        NAME(product)(1, n, k, a, k, 1, b, b_row, 1, c, n, bias, 0, 0, panel);
    } else if (j < n) {
        REAL sum[VECTOR_BYTES / sizeof(REAL)];
        for (ptrdiff_t t = j; t < n; t++)
            sum[t - j] = bias[t];
        for (ptrdiff_t p = 0; p < k; p++)
            for (ptrdiff_t t = j; t < n; t++)
                sum[t - j] += a[p] * b[p * b_row + t];
        for (ptrdiff_t t = j; t < n; t++)
            c[t] = sum[t - j];
    }
}

/* c (+)= the sums of k rows of B (k, n): of SUM_ROWS at a time in order, and then of these sums. */
FN_INLINE void NAME(sums_block_)(const int vectors, ptrdiff_t k, const REAL *restrict b, ptrdiff_t b_row, REAL *restrict c, int accumulate)
{
    VECTOR sum[8];
    const VECTOR zero = {0};
    ptrdiff_t p = 0;
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        sum[v] = zero;
    for (ptrdiff_t end = SUM_ROWS;; end += SUM_ROWS, accumulate = 1) {
        for (; p < k && p < end; p++, b += b_row)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++)
                sum[v] += LOAD(b + v * LANES);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            if (accumulate)
                sum[v] += LOAD(c + v * LANES);
            *(VECTOR *)(c + v * LANES) = sum[v];
            sum[v] = zero;
        }
        if (p == k)
            return;
    }
}

/* The same of rows shorter than a vector, at most SUM_ROWS of them: of the fewest vectors that whole rows fill each makes a sum of its
 * own, and these are added in the end. */
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
        REAL all = 0;
        for (ptrdiff_t t = j; t < length; t += n)
            all += sum[t];
        c[j] = accumulate ? c[j] + all : all;
    }
}

static void NAME(column_sums)(ptrdiff_t n, ptrdiff_t k, const REAL *restrict b, REAL *restrict c, int accumulate)
{
    ptrdiff_t j = 0;
    if (n < LANES) {
        for (ptrdiff_t p = 0; p < k || p == 0; p += SUM_ROWS)
            NAME(short_row_sums_)(n, k - p < SUM_ROWS ? k - p : SUM_ROWS, b + p * n, c, accumulate || p > 0);
        return;
    }
    for (; j + 8 * LANES <= n; j += 8 * LANES)
        NAME(sums_block_)(8, k, b + j, n, c + j, accumulate);
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        NAME(sums_block_)(2, k, b + j, n, c + j, accumulate);
    for (; j + LANES <= n; j += LANES)
        NAME(sums_block_)(1, k, b + j, n, c + j, accumulate);
    for (; j < n; j++)
        for (ptrdiff_t p = 0; p < k || p == 0; p += SUM_ROWS) {
            REAL sum = 0;
            for (ptrdiff_t i = p; i < k && i < p + SUM_ROWS; i++)
                sum += b[i * n + j];
            c[j] = accumulate || p > 0 ? c[j] + sum : sum;
        }
}
