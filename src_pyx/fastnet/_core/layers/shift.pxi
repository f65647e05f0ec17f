# Shift: Z = A + P, one number for each of a row.
#
#     dims      whether P is trained
#     segments  P (1, n)

cdef int shift_plan(Plan plan, Layer* layer) except -1:
    if layer.n_sources != 1:
        plan.refuse(layer, f"shifts one layer, got {layer.n_sources}")
    layer.n_out = layer.cost = layer.n_in
    plan.add_segment(layer, 1, layer.n_in, WHOLE_TILE if layer.dims[0] else FROZEN)
    return 0


cdef void shift_forward(const Layer* layer, const Pass* here, const real* restrict A, real* restrict Z) noexcept nogil:
    cdef const real* P = <const real*> here.params + layer.places[0]
    cdef Py_ssize_t n = layer.n_in, there, r, j
    for r in range(here.rows):
        there = numbers_there(layer, here, r, <real*> NULL)
        for j in range(there):
            Z[r * n + j] = A[r * n + j] + P[j]
        memset(Z + r * n + there, 0, (n - there) * sizeof(real))
