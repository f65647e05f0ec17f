# Parametric activations: Z = A + p * (g(A) - A), or Z = g(A) + p * (A - g(A)) if dims say "swapped", with one parameter p a
# number of the row. The first is the identity at p = 0 and g at p = 1; the second, with relu, is PReLU (He, Zhang, Ren & Sun
# 2015), p the slope.
#
#     dims      code of g, swapped
#     option    g's own parameter
#     segments  p (n_in,)
#     kept      g(A), g'(A)

cdef int parametric_plan(Plan plan, Layer* layer) except -1:
    if layer.n_sources != 1 or not is_elementwise(<int> layer.dims[0]):
        plan.refuse(layer, f"cannot make activation number {layer.dims[0]} of {layer.n_sources} layers parametric")
    layer.n_out = layer.n_in
    plan.add_segment(layer, 1, layer.n_in, WHOLE_TILE)
    layer.kept = 2 * layer.n_in
    layer.cost = 8 * layer.n_in
    return 0


cdef void parametric_forward(const Layer* layer, const Pass* here, const real* restrict A, real* restrict Z) noexcept nogil:
    cdef Py_ssize_t n = layer.n_in, there, r, j
    cdef const real* p = <const real*> here.params + layer.places[0]
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef real a, g
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        memcpy(Z + r * n, A + r * n, there * sizeof(real))
        memset(Z + r * n + there, 0, (n - there) * sizeof(real))
        if kept == NULL:
            activate(<int> layer.dims[0], layer.option, Z + r * n, there)
        else:
            activate_keeping(<int> layer.dims[0], layer.option, Z + r * n, kept + (2 * r + 1) * n, there)
            memcpy(kept + 2 * r * n, Z + r * n, there * sizeof(real))
        for j in range(there):
            a, g = A[r * n + j], Z[r * n + j]
            Z[r * n + j] = g + p[j] * (a - g) if layer.dims[1] else a + p[j] * (g - a)


cdef void parametric_backward(const Layer* layer, const Pass* here, const real* restrict dZ, real* restrict dA,
                              bint accumulate) noexcept nogil:
    """dA = dZ * (1 + p (g' - 1)), or dZ * (g' + p (1 - g'))."""
    cdef Py_ssize_t n = layer.n_in, there, r, j
    cdef const real* p = <const real*> here.params + layer.places[0]
    cdef const real* slopes
    cdef real slope
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        slopes = kept_rows(layer, here, <real*> NULL) + (2 * r + 1) * n
        for j in range(there):
            slope = slopes[j] + p[j] * (1 - slopes[j]) if layer.dims[1] else 1 + p[j] * (slopes[j] - 1)
            dA[r * n + j] = dZ[r * n + j] * slope + (dA[r * n + j] if accumulate else 0)
        if not accumulate:
            memset(dA + r * n + there, 0, (n - there) * sizeof(real))


cdef void parametric_gradient(const Layer* layer, const Pass* here, const real* restrict A, const real* restrict dZ, real* restrict g,
                              bint accumulate) noexcept nogil:
    """dp = the column sums of dZ * (g(A) - A), or of their negatives."""
    cdef Py_ssize_t n = layer.n_in, there, r, j
    cdef const real* values
    cdef real sign = -1 if layer.dims[1] else 1
    if not accumulate:
        memset(g, 0, n * sizeof(real))
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        values = kept_rows(layer, here, <real*> NULL) + 2 * r * n
        for j in range(there):
            g[j] = g[j] + sign * dZ[r * n + j] * (values[j] - A[r * n + j])
