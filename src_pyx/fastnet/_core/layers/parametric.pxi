# Parametric activations: Z = A + p * (g(A) - A), or Z = g(A) + p * (A - g(A)) if dims say "swapped", with one parameter p a
# number of the row. The first is the identity at p = 0 and g at p = 1; the second, with relu, is PReLU (He, Zhang, Ren & Sun
# 2015), p the slope.
#
#     dims      code of g, swapped
#     option    g's own parameter
#     segments  p (n_in,)
#     kept      the slopes dZ / dA and dZ / dp, with the mask of the layer's dropout in them; dZ / dp takes the place of A where
#               nothing else reads that, and then costs no memory of its own

cdef int parametric_plan(Plan plan, Layer* layer) except -1:
    if layer.n_sources != 1 or not is_elementwise(<int> layer.dims[0]):
        plan.refuse(layer, f"cannot make activation number {layer.dims[0]} of {layer.n_sources} layers parametric")
    if layer.activation != IDENTITY:
        plan.refuse(layer, "parametric: its way back reads what it has kept, and it must have no further activation")
    layer.n_out = layer.n_in
    plan.add_segment(layer, 1, layer.n_in, WHOLE_TILE)
    layer.kept = layer.n_in if parametric_has_alone(plan, layer) else 2 * layer.n_in
    layer.keeps_slopes = True
    layer.cost = 8 * layer.n_in
    return 0


cdef bint parametric_has_alone(Plan plan, const Layer* layer) noexcept:
    """Whether nothing else reads what the layer reads, not even the way back of the layer that makes it."""
    cdef Py_ssize_t i, n, readers = 0, source = layer.sources[0].layer
    cdef const Layer* made
    if source == 0:
        return False
    for i in range(plan.n_layers):
        for n in range(plan.layers[i].n_sources):
            readers += plan.layers[i].sources[n].layer == source
    made = plan.layers + source - 1
    return readers == 1 and made.kind == DENSE and made.activation == IDENTITY and not made.keeps


cdef inline real* slopes_by_A(const Layer* layer, const Pass* here, Py_ssize_t row, real* unused) noexcept nogil:
    return kept_rows(layer, here, <real*> NULL) + row * layer.kept


cdef inline real* slopes_by_p(const Layer* layer, const Pass* here, Py_ssize_t row, real* unused) noexcept nogil:
    if layer.kept == layer.n_in:
        return <real*> source_rows(layer, here, 0, <real*> NULL) + row * layer.n_in
    return slopes_by_A(layer, here, row, <real*> NULL) + layer.n_in


cdef void parametric_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    """Row by row, so that what a row needs on its way stays in the first-level cache."""
    cdef Py_ssize_t n = layer.n_in, there, r
    cdef const real* p = <const real*> here.params + layer.places[0]
    cdef real* x
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        memcpy(Z + r * n, A + r * n, there * sizeof(real))
        memset(Z + r * n + there, 0, (n - there) * sizeof(real))
        if here.kept == NULL:
            activate(<int> layer.dims[0], layer.option, Z + r * n, there)
            interpolate(layer.dims[1], p, A + r * n, Z + r * n, there)
        else:
            x = slopes_by_p(layer, here, r, <real*> NULL)
            if x != A + r * n:
                memcpy(x, A + r * n, there * sizeof(real))
            parametric_row(layer, here, r, p, x, Z + r * n, slopes_by_A(layer, here, r, <real*> NULL), there)


cdef inline void interpolate(bint swapped, const real* restrict p, const real* restrict A, real* restrict Z, Py_ssize_t n) noexcept nogil:
    """Z from g(A), which is in its place."""
    cdef Py_ssize_t j
    for j in range(n):
        Z[j] = Z[j] + p[j] * (A[j] - Z[j]) if swapped else A[j] + p[j] * (Z[j] - A[j])


cdef inline void parametric_row(const Layer* layer, const Pass* here, Py_ssize_t row, const real* restrict p, real* restrict x,
                                real* restrict Z, real* restrict by_A, Py_ssize_t n) noexcept nogil:
    """Z from A, which is in its place and in x, and its slopes; those by p take the place of x."""
    cdef double rate = layer.dropout * here.dropout
    cdef Mask mask
    activate_keeping(<int> layer.dims[0], layer.option, Z, by_A, n)
    if rate > 0:
        mask = mask_of_row(rate, here.seed, here.step, <uint64> layer.number, here.first_mask + row, layer.first_unit)
        towards_activation(layer.dims[1], True, mask, p, x, Z, by_A, n)
    else:
        towards_activation(layer.dims[1], False, mask, p, x, Z, by_A, n)


cdef inline void towards_activation(bint swapped, bint drops, Mask mask, const real* restrict p, real* restrict x, real* restrict Z,
                                    real* restrict by_A, Py_ssize_t n) noexcept nogil:
    """What `parametric_row` does after the activation, in one loop; by_A is g' before."""
    cdef Py_ssize_t j
    cdef real one = 1, factor = 1, step
    for j in range(n):
        if drops:
            factor = mask_factor(mask, j, <real> mask.factor)
        if swapped:
            step = factor * (x[j] - Z[j])
            Z[j] = factor * Z[j] + p[j] * step
            by_A[j] = factor * (by_A[j] + p[j] * (one - by_A[j]))
        else:
            step = factor * (Z[j] - x[j])
            Z[j] = factor * x[j] + p[j] * step
            by_A[j] = factor * (one + p[j] * (by_A[j] - one))
        x[j] = step


cdef void parametric_backward(const Layer* layer, const Pass* here, const real* restrict dZ, real* restrict dA,
                              bint accumulate) noexcept nogil:
    cdef Py_ssize_t n = layer.n_in, there, r, j
    cdef const real* slopes
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        slopes = slopes_by_A(layer, here, r, <real*> NULL)
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
        slopes = slopes_by_p(layer, here, r, <real*> NULL)
        for j in range(there):
            g[j] = g[j] + dZ[r * n + j] * slopes[j]
