# Layers without parameters that pass numbers on: Pass (Z = A, for an activation or dropout of its own), Sum (of its sources),
# Concat (of its sources side by side, in each of `dims[0]` groups), Columns (`constants`: those of A that Z takes; if there are
# none, `dims[1]` of them from `dims[0]` on).

cdef int pass_plan(Plan plan, Layer* layer) except -1:
    if layer.n_sources != 1:
        plan.refuse(layer, f"passes one layer on, got {layer.n_sources}")
    layer.n_out = layer.cost = layer.n_in
    layer.alike = ALIKE
    return 0


cdef int sum_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t i
    for i in range(layer.n_sources):
        if layer.sources[i].width != layer.sources[0].width:
            plan.refuse(layer, f"sums rows of equal length, got {layer.sources[0].width} and {layer.sources[i].width}")
    layer.n_out = layer.sources[0].width
    layer.cost = layer.n_in
    layer.alike = ALIKE
    return 0


cdef int concat_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t i
    for i in range(layer.n_sources):
        if layer.dims[0] < 1 or layer.sources[i].width % layer.dims[0]:
            plan.refuse(layer, f"cannot put rows of {layer.sources[i].width} side by side in {layer.dims[0]} groups")
    layer.n_out = layer.cost = layer.n_in
    layer.alike = COUNTED
    return 0


cdef int columns_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t i, first = layer.dims[0], n = layer.dims[1]
    for i in range(layer.n_constants):
        if not 0 <= layer.constants[i] < layer.n_in:
            plan.refuse(layer, f"there is no column {layer.constants[i]}")
    if layer.n_constants == 0 and not (0 <= first and 0 < n <= layer.n_in - first):
        plan.refuse(layer, f"there are no {n} columns from {first} on")
    if layer.n_sources != 1:
        plan.refuse(layer, f"takes columns of one layer, got {layer.n_sources}")
    layer.n_out = layer.cost = layer.n_constants if layer.n_constants > 0 else n
    return 0


cdef inline void copy_or_add(real* restrict to, const real* restrict x, Py_ssize_t n, bint add) noexcept nogil:
    if add:
        add_scaled(to, x, <real> 1, n)
    else:
        memcpy(to, x, n * sizeof(real))


cdef void sum_forward(const Layer* layer, const Pass* here, real* Z) noexcept nogil:
    """Also of Pass, a sum of one."""
    cdef Py_ssize_t i, n = here.rows * layer.n_out
    if layer.n_sources == 1:
        memcpy(Z, source_rows(layer, here, 0, <real*> NULL), n * sizeof(real))
        return
    sum_of_two(Z, source_rows(layer, here, 0, <real*> NULL), source_rows(layer, here, 1, <real*> NULL), n)
    for i in range(2, layer.n_sources):
        add_scaled(Z, source_rows(layer, here, i, <real*> NULL), <real> 1, n)


cdef inline void sum_of_two(real* restrict z, const real* restrict x, const real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        z[j] = x[j] + y[j]


cdef void sum_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    copy_or_add(dA, dZ, here.rows * layer.n_out, accumulate)


cdef inline Py_ssize_t concat_place(const Layer* layer, Py_ssize_t source) noexcept nogil:
    """Where a source's part of a group begins."""
    cdef Py_ssize_t i, place = 0
    for i in range(source):
        place += layer.sources[i].width // layer.dims[0]
    return place


cdef void concat_forward(const Layer* layer, const Pass* here, real* Z) noexcept nogil:
    cdef Py_ssize_t i, r, n, place, step = layer.n_out // layer.dims[0]
    cdef const real* A
    for i in range(layer.n_sources):
        A = source_rows(layer, here, i, <real*> NULL)
        n = layer.sources[i].width // layer.dims[0]
        place = concat_place(layer, i)
        for r in range(here.rows * layer.dims[0]):
            copy_row(Z + r * step + place, A + r * n, n * sizeof(real))


cdef void concat_backward(const Layer* layer, const Pass* here, Py_ssize_t source, const real* dZ, real* dA,
                          bint accumulate) noexcept nogil:
    cdef Py_ssize_t r, n = layer.sources[source].width // layer.dims[0], place = concat_place(layer, source)
    cdef Py_ssize_t step = layer.n_out // layer.dims[0]
    for r in range(here.rows * layer.dims[0]):
        if accumulate:
            add_scaled(dA + r * n, dZ + r * step + place, <real> 1, n)
        else:
            copy_row(dA + r * n, dZ + r * step + place, n * sizeof(real))


cdef void columns_forward(const Layer* layer, const Pass* here, const real* restrict A, real* restrict Z) noexcept nogil:
    cdef Py_ssize_t r, j
    for r in range(here.rows):
        if layer.n_constants == 0:
            memcpy(Z + r * layer.n_out, A + r * layer.n_in + layer.dims[0], layer.n_out * sizeof(real))
        for j in range(layer.n_constants):
            Z[r * layer.n_out + j] = A[r * layer.n_in + layer.constants[j]]


cdef void columns_backward(const Layer* layer, const Pass* here, const real* restrict dZ, real* restrict dA,
                           bint accumulate) noexcept nogil:
    cdef Py_ssize_t r, j
    if not accumulate:
        memset(dA, 0, here.rows * layer.n_in * sizeof(real))
    for r in range(here.rows):
        if layer.n_constants == 0:
            copy_or_add(dA + r * layer.n_in + layer.dims[0], dZ + r * layer.n_out, layer.n_out, accumulate)
        for j in range(layer.n_constants):
            dA[r * layer.n_in + layer.constants[j]] += dZ[r * layer.n_out + j]
