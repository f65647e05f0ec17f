# The three products of a dense layer, by the kernel that is fastest for their size: own code or BLAS. Rows may lie apart: `a_row`
# is the distance from one row of A to the next.

cdef extern from "product.h" nogil:
    const bint HAVE_OWN_PRODUCT
    const bint HAVE_OWN_LONG_PRODUCT
    const Py_ssize_t PANEL_BYTES
    void productf(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const float* a, Py_ssize_t a_row, Py_ssize_t a_col, const float* b,
                  Py_ssize_t b_row, Py_ssize_t b_col, float* c, Py_ssize_t c_row, const float* bias, bint accumulate, bint is_far,
                  float* panel)
    void productd(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const double* a, Py_ssize_t a_row, Py_ssize_t a_col, const double* b,
                  Py_ssize_t b_row, Py_ssize_t b_col, double* c, Py_ssize_t c_row, const double* bias, bint accumulate,
                  bint is_far, double* panel)
    Py_ssize_t size_of_panels(Py_ssize_t n, Py_ssize_t k)
    void make_panelsf(Py_ssize_t n, Py_ssize_t k, const float* b, Py_ssize_t b_row, Py_ssize_t b_col, float* panels)
    void make_panelsd(Py_ssize_t n, Py_ssize_t k, const double* b, Py_ssize_t b_row, Py_ssize_t b_col, double* panels)
    void panels_productf(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const float* a, Py_ssize_t a_row, const float* panels, float* c,
                         Py_ssize_t c_row, const float* bias, bint accumulate, float* panel)
    void panels_productd(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const double* a, Py_ssize_t a_row, const double* panels, double* c,
                         Py_ssize_t c_row, const double* bias, bint accumulate, double* panel)
    void row_productf(Py_ssize_t n, Py_ssize_t k, const float* a, const float* b, Py_ssize_t b_row, const float* bias, float* c)
    void row_productd(Py_ssize_t n, Py_ssize_t k, const double* a, const double* b, Py_ssize_t b_row, const double* bias, double* c)
    void column_sumsf(Py_ssize_t n, Py_ssize_t k, const float* b, float* c, bint accumulate)
    void column_sumsd(Py_ssize_t n, Py_ssize_t k, const double* b, double* c, bint accumulate)


# Products with so many weights are long: they are made in slices of columns, so that the weights are packed only once. Except with
# AVX-512 they are left to BLAS, forward and for dA; dW is made in tiles that own products do best (benchmarks/kernels.py).
cdef enum:
    LONG_PRODUCT = 1 << 20


# Operations of a long product between two looks at signals, 20 ms or so.
cdef enum:
    SLICE_OPERATIONS = 2000000000


cdef inline bint is_long(Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil:
    return n_in * n_out >= LONG_PRODUCT


cdef inline bint own_product(Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil:
    return HAVE_OWN_LONG_PRODUCT if is_long(n_in, n_out) else HAVE_OWN_PRODUCT


cdef inline void gemm(char* trans_b, char* trans_a, int n, int m, int k, const real* b, int b_row, const real* a, int a_row,
                      real beta, real* c, int c_row) noexcept nogil:
    """C (m, n) = op(A) op(B) + beta C, row-major: Fortran's BLAS sees the transposes, so the operands change places."""
    cdef real one = 1
    if real is float:
        sgemm(trans_b, trans_a, &n, &m, &k, &one, <real*> b, &b_row, <real*> a, &a_row, &beta, c, &c_row)
    else:
        dgemm(trans_b, trans_a, &n, &m, &k, &one, <real*> b, &b_row, <real*> a, &a_row, &beta, c, &c_row)


cdef inline void own(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* a, Py_ssize_t a_row, Py_ssize_t a_col, const real* b,
                     Py_ssize_t b_row, Py_ssize_t b_col, real* c, Py_ssize_t c_row, const real* bias, bint accumulate,
                     real* panel) noexcept nogil:
    own_by(m, n, k, a, a_row, a_col, b, b_row, b_col, c, c_row, bias, accumulate, False, panel)


cdef inline void own_by(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* a, Py_ssize_t a_row, Py_ssize_t a_col, const real* b,
                        Py_ssize_t b_row, Py_ssize_t b_col, real* c, Py_ssize_t c_row, const real* bias, bint accumulate, bint is_far,
                        real* panel) noexcept nogil:
    """With a B that is known to lie farther off than the second-level cache."""
    if real is float:
        productf(m, n, k, a, a_row, a_col, b, b_row, b_col, c, c_row, bias, accumulate, is_far, panel)
    else:
        productd(m, n, k, a, a_row, a_col, b, b_row, b_col, c, c_row, bias, accumulate, is_far, panel)


cdef inline void make_panels(Py_ssize_t n, Py_ssize_t k, const real* b, Py_ssize_t b_row, Py_ssize_t b_col, real* panels) noexcept nogil:
    """B (k, n) as `by_panels` takes it, for a B that many products of a few rows read."""
    if real is float:
        make_panelsf(n, k, b, b_row, b_col, panels)
    else:
        make_panelsd(n, k, b, b_row, b_col, panels)


cdef inline void by_panels(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* a, Py_ssize_t a_row, const real* panels, real* c,
                           Py_ssize_t c_row, const real* bias, bint accumulate, real* panel) noexcept nogil:
    """C (m, n) = A (m, k) B, with the panels of B: the bits of `own`."""
    if real is float:
        panels_productf(m, n, k, a, a_row, panels, c, c_row, bias, accumulate, panel)
    else:
        panels_productd(m, n, k, a, a_row, panels, c, c_row, bias, accumulate, panel)


cdef Py_ssize_t slice_width(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, const Worker* worker) noexcept nogil:
    """Columns to make at a time: all, if nobody looks at signals; else slices of about the same width, a multiple of the blocks that
    own products and BLAS make."""
    cdef Py_ssize_t slices
    if worker.signals == NULL or not is_long(depth, columns):
        return columns
    slices = <Py_ssize_t> (2.0 * rows * depth * columns / SLICE_OPERATIONS) + 1
    return ((columns + slices - 1) // slices + 63) // 64 * 64


cdef inline void row_product(const real* a, const real* W, Py_ssize_t w_row, const real* b, real* z, Py_ssize_t n_in,
                             Py_ssize_t n_out) noexcept nogil:
    """z (n_out,) = a (n_in,) W (n_in, n_out) + b (NULL: none). Rows of W may lie apart."""
    if b == NULL:
        memset(z, 0, n_out * sizeof(real))
        b = z
    if real is float:
        row_productf(n_out, n_in, a, W, w_row, b, z)
    else:
        row_productd(n_out, n_in, a, W, w_row, b, z)


cdef void forward_product(const real* A, Py_ssize_t a_row, const real* W, const real* b, real* Z, Py_ssize_t z_row, Py_ssize_t rows,
                          Py_ssize_t n_in, Py_ssize_t n_out, bint by_blas, Worker* worker) noexcept nogil:
    """Z (rows, n_out) = A (rows, n_in) W (n_in, n_out) + b, the bias broadcast over the rows (NULL: none). A signal that the
    worker looks for leaves it unfinished."""
    cdef Py_ssize_t r, width, columns, first = 0
    if rows == 0:
        return
    if rows == 1 and HAVE_OWN_PRODUCT:
        row_product(A, W, n_out, b, Z, n_in, n_out)
    else:
        for r in range(rows if by_blas and b != NULL else 0):
            memcpy(Z + r * z_row, b, n_out * sizeof(real))
        width = slice_width(rows, n_in, n_out, worker)
        while first < n_out and (first == 0 or not ended(worker)):
            columns = min(width, n_out - first)
            if by_blas:
                gemm(b"N", b"N", <int> columns, <int> rows, <int> n_in, W + first, <int> n_out, A, <int> a_row, <real> (b != NULL),
                     Z + first, <int> z_row)
            else:
                own_by(rows, columns, n_in, A, a_row, 1, W + first, n_out, 1, Z + first, z_row, b + first if b != NULL else NULL,
                       False, worker.weights_are_far, <real*> worker.panel)
            first += width


cdef void weight_gradient(const real* A, Py_ssize_t a_row, const real* dZ, Py_ssize_t z_row, real* dW, Py_ssize_t dW_row, Py_ssize_t rows,
                          Py_ssize_t m, Py_ssize_t n, bint accumulate, Worker* worker) noexcept nogil:
    """dW (m, n) = A^T dZ from m columns of A (rows, ...) and n of dZ (rows, ...): a tile of a layer's weights."""
    if HAVE_OWN_PRODUCT:
        own(m, n, rows, A, 1, a_row, dZ, z_row, 1, dW, dW_row, <real*> NULL, accumulate, <real*> worker.panel)
    else:
        gemm(b"N", b"T", <int> n, <int> m, <int> rows, dZ, <int> z_row, A, <int> a_row, <real> (1 if accumulate else 0), dW, <int> dW_row)


cdef void column_sums(const real* x, real* sums, Py_ssize_t rows, Py_ssize_t n, bint accumulate) noexcept nogil:
    """sums (n,) = the column sums of x (rows, n): db from dZ."""
    if real is float:
        column_sumsf(n, rows, x, sums, accumulate)
    else:
        column_sumsd(n, rows, x, sums, accumulate)


cdef void input_gradient(const real* dZ, Py_ssize_t z_row, const real* W, real* dA, Py_ssize_t a_row, Py_ssize_t rows, Py_ssize_t n_in,
                         Py_ssize_t n_out, bint accumulate, bint by_blas, Worker* worker) noexcept nogil:
    """dA (rows, n_in) = dZ (rows, n_out) W^T [+ dA]. A signal that the worker looks for leaves it unfinished."""
    cdef Py_ssize_t width, columns, first = 0
    if rows == 0:
        return
    width = slice_width(rows, n_out, n_in, worker)
    while first < n_in and (first == 0 or not ended(worker)):
        columns = min(width, n_in - first)
        if by_blas:
            gemm(b"T", b"N", <int> columns, <int> rows, <int> n_out, W + first * n_out, <int> n_out, dZ, <int> z_row, <real> accumulate,
                 dA + first, <int> a_row)
        else:
            own_by(rows, columns, n_out, dZ, z_row, 1, W + first * n_out, 1, n_out, dA + first, a_row, <real*> NULL, accumulate,
                   worker.weights_are_far, <real*> worker.panel)
        first += width


cdef void add_scaled(real* restrict y, const real* restrict x, real factor, Py_ssize_t n) noexcept nogil:
    """y += factor * x."""
    cdef Py_ssize_t j
    for j in range(n):
        y[j] = y[j] + factor * x[j]


cdef void sparse_forward_product(const Rows* X, const uint32* numbers, Py_ssize_t start, const real* W, const real* b,
                                 real* Z, Py_ssize_t rows, Py_ssize_t n_out) noexcept nogil:
    """Z = A W + b for CSR rows `numbers[start : start + rows]` (rows start, start + 1, ... if numbers is NULL).

    The caller may have changed the column numbers since they were checked: none leaves the range.
    """
    cdef Py_ssize_t r, number
    cdef long long e
    cdef uint32 last = <uint32> (X.n_columns - 1)
    for r in range(rows):
        number = numbers[start + r] if numbers != NULL else start + r
        if b != NULL:
            memcpy(Z + r * n_out, b, n_out * sizeof(real))
        else:
            memset(Z + r * n_out, 0, n_out * sizeof(real))
        for e in range(X.indptr[number], X.indptr[number + 1]):
            add_scaled(Z + r * n_out, W + <Py_ssize_t> min(<uint32> X.indices[e], last) * n_out, (<const real*> X.data)[e], n_out)


cdef void sparse_weight_gradient(const Rows* X, const uint32* numbers, Py_ssize_t start, const real* dZ, Py_ssize_t dZ_row, real* dW,
                                 Py_ssize_t dW_row, Py_ssize_t rows, Py_ssize_t first, Py_ssize_t m, Py_ssize_t n,
                                 bint accumulate) noexcept nogil:
    """dW (m, n) = A^T dZ for columns first .. first + m of CSR rows. Indices are sorted: a row's entries are found by bisection,
    and end with the first that is outside, below too where the caller has changed them since they were checked."""
    cdef Py_ssize_t r, number
    cdef size_t column
    cdef long long e, low, high, middle
    if not accumulate:
        for r in range(m):
            memset(dW + r * dW_row, 0, n * sizeof(real))
    for r in range(rows):
        number = numbers[start + r] if numbers != NULL else start + r
        low = X.indptr[number]
        high = X.indptr[number + 1]
        while low < high:
            middle = low + (high - low) // 2
            if X.indices[middle] < first:
                low = middle + 1
            else:
                high = middle
        for e in range(low, X.indptr[number + 1]):
            column = <size_t> (X.indices[e] - first)
            if column >= <size_t> m:
                break
            add_scaled(dW + column * dW_row, dZ + r * dZ_row, (<const real*> X.data)[e], n)
