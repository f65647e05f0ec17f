# Scale: Z = s * A + b, elementwise; copies of the row, each with factors of its own, if dims say so.
#
#     dims      copies, whether there are biases
#     segments  s (copies * n_in,), b (copies * n_in,)

cdef int scale_plan(Plan plan, Layer* layer) except -1:
    if layer.dims[0] < 1 or layer.n_sources != 1:
        plan.refuse(layer, f"cannot make {layer.dims[0]} scaled copies of {layer.n_sources} layers")
    layer.n_out = layer.dims[0] * layer.n_in
    plan.add_segment(layer, 1, layer.n_out, WHOLE_TILE)
    if layer.dims[1]:
        plan.add_segment(layer, 1, layer.n_out, WHOLE_TILE)
    layer.cost = layer.n_out
    return 0


cdef void scale_forward(const Layer* layer, const Pass* here, const real* restrict A, real* restrict Z) noexcept nogil:
    cdef Py_ssize_t n = layer.n_in, there, r, c, j
    cdef const real* s
    cdef const real* b
    cdef const real* a
    cdef real* z = Z
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        a = A + r * n
        for c in range(layer.dims[0]):
            s = <const real*> here.params + layer.places[0] + c * n
            if layer.dims[1]:
                b = <const real*> here.params + layer.places[1] + c * n
                for j in range(there):
                    z[j] = s[j] * a[j] + b[j]
            else:
                for j in range(there):
                    z[j] = s[j] * a[j]
            memset(z + there, 0, (n - there) * sizeof(real))
            z += n


cdef void scale_backward(const Layer* layer, const Pass* here, const real* restrict dZ, real* restrict dA, bint accumulate) noexcept nogil:
    """dA = s * dZ, summed over the copies."""
    cdef Py_ssize_t n = layer.n_in, there, r, c, j
    cdef const real* s
    cdef const real* dz = dZ
    cdef real* da
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        da = dA + r * n
        for c in range(layer.dims[0]):
            s = <const real*> here.params + layer.places[0] + c * n
            if accumulate or c > 0:
                for j in range(there):
                    da[j] = da[j] + s[j] * dz[j]
            else:
                for j in range(there):
                    da[j] = s[j] * dz[j]
            dz += n
        if not accumulate:
            memset(da + there, 0, (n - there) * sizeof(real))


cdef void scale_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* restrict A, const real* restrict dZ,
                         real* restrict g, bint accumulate) noexcept nogil:
    """ds = the column sums of A * dZ, db = those of dZ."""
    cdef Py_ssize_t n = layer.n_in, there, r, c, j
    cdef const real* dz = dZ
    cdef const real* a
    if tile.part == 1:
        column_sums(dZ, g, here.rows, layer.n_out, accumulate)
        return
    if not accumulate:
        memset(g, 0, layer.n_out * sizeof(real))
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        a = A + r * n
        for c in range(layer.dims[0]):
            for j in range(there):
                g[c * n + j] = g[c * n + j] + a[j] * dz[j]
            dz += n
