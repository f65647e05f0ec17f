# Parametric activations: Z = A + p * (g(A) - A), or Z = g(A) + p * (A - g(A)) if dims say "swapped", with one parameter p a
# number of the row. The first is the identity at p = 0 and g at p = 1; the second, with relu, is PReLU (He, Zhang, Ren & Sun
# 2015), p the slope.
#
#     dims      code of g, swapped
#     option    g's own parameter
#     segments  p (n_in,)
#     kept      the slopes dZ / dp and dZ / dA, with the mask of the layer's dropout in them

cdef int parametric_plan(Plan plan, Layer* layer) except -1:
    if layer.n_sources != 1 or not is_elementwise(<int> layer.dims[0]):
        plan.refuse(layer, f"cannot make activation number {layer.dims[0]} of {layer.n_sources} layers parametric")
    if layer.activation != IDENTITY:
        plan.refuse(layer, "parametric: its way back reads what it has kept, and it must have no further activation")
    layer.n_out = layer.n_in
    plan.add_segment(layer, 1, layer.n_in, WHOLE_TILE)
    layer.kept = 2 * layer.n_in
    layer.cost = 8 * layer.n_in
    return 0


cdef void parametric_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    """Row by row, so that what a row needs on its way stays in the first-level cache."""
    cdef Py_ssize_t n = layer.n_in, there, r
    cdef const real* p = <const real*> here.params + layer.places[0]
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        memcpy(Z + r * n, A + r * n, there * sizeof(real))
        memset(Z + r * n + there, 0, (n - there) * sizeof(real))
        if kept == NULL:
            activate(<int> layer.dims[0], layer.option, Z + r * n, there)
            interpolate(layer.dims[1], p, A + r * n, Z + r * n, there)
        else:
            parametric_row(layer, here, r, p, A + r * n, Z + r * n, kept + 2 * r * n, kept + (2 * r + 1) * n, there)


cdef inline void interpolate(bint swapped, const real* restrict p, const real* restrict A, real* restrict Z, Py_ssize_t n) noexcept nogil:
    """Z from g(A), which is in its place."""
    cdef Py_ssize_t j
    for j in range(n):
        Z[j] = Z[j] + p[j] * (A[j] - Z[j]) if swapped else A[j] + p[j] * (Z[j] - A[j])


cdef inline void parametric_row(const Layer* layer, const Pass* here, Py_ssize_t row, const real* restrict p, const real* restrict A,
                                real* restrict Z, real* restrict by_p, real* restrict by_A, Py_ssize_t n) noexcept nogil:
    """Z from A, which is in its place too, and its slopes."""
    cdef Py_ssize_t j
    cdef real a, mask
    activate_keeping(<int> layer.dims[0], layer.option, Z, by_A, n)
    for j in range(n):
        by_p[j] = 1
    drop(layer, here, row, 1, n, Z, by_p)
    if layer.dims[1]:
        for j in range(n):
            mask = by_p[j]
            by_p[j] = mask * A[j] - Z[j]
            Z[j] = Z[j] + p[j] * by_p[j]
            by_A[j] = mask * (by_A[j] + p[j] * (1 - by_A[j]))
    else:
        for j in range(n):
            mask = by_p[j]
            a = mask * A[j]
            by_p[j] = Z[j] - a
            Z[j] = a + p[j] * by_p[j]
            by_A[j] = mask * (1 + p[j] * (by_A[j] - 1))


cdef void parametric_backward(const Layer* layer, const Pass* here, const real* restrict dZ, real* restrict dA,
                              bint accumulate) noexcept nogil:
    cdef Py_ssize_t n = layer.n_in, there, r, j
    cdef const real* slopes
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        slopes = kept_rows(layer, here, <real*> NULL) + (2 * r + 1) * n
        for j in range(there):
            dA[r * n + j] = dZ[r * n + j] * slopes[j] + (dA[r * n + j] if accumulate else 0)
        if not accumulate:
            memset(dA + r * n + there, 0, (n - there) * sizeof(real))


cdef void parametric_gradient(const Layer* layer, const Pass* here, const real* restrict dZ, real* restrict g,
                              bint accumulate) noexcept nogil:
    """dp = the column sums of dZ times its slopes."""
    cdef Py_ssize_t n = layer.n_in, there, r, j
    cdef const real* slopes
    if not accumulate:
        memset(g, 0, n * sizeof(real))
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        slopes = kept_rows(layer, here, <real*> NULL) + 2 * r * n
        for j in range(there):
            g[j] = g[j] + dZ[r * n + j] * slopes[j]
