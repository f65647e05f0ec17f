# LayerNorm (Ba, Kiros & Hinton 2016): Z = gain * (A - mean) / sqrt(variance + epsilon) + bias, with mean and (biased) variance of
# each row, or of each group of it.
#
#     dims      groups
#     option    epsilon
#     segments  gain (groups * n,), bias (groups * n,), n being the numbers of a position
#     kept      for each position: the mean, and 1 / sqrt(variance + epsilon)

cdef int norm_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t groups = layer.dims[0], positions = layer.dims[1]
    if groups < 1 or positions < 1 or layer.n_in % (groups * positions) or layer.n_sources != 1:
        plan.refuse(layer, f"cannot be normalised in {groups} groups of {positions} positions")
    layer.n_out = layer.n_in
    plan.add_segment(layer, 1, layer.n_in // positions, WHOLE_TILE)
    plan.add_segment(layer, 1, layer.n_in // positions, WHOLE_TILE)
    layer.kept = 2 * groups * positions
    layer.cost = 4 * layer.n_in
    layer.alike = COUNTED + 1 if groups == 1 else APART
    return 0


# Sums are made as 16, one or more vectors of them, so that additions do not wait for each other. Eight, of which a vector of AVX-512
# holds two, GCC 12 mends with shuffles that take eight times as long.

cdef enum:
    SUMS = 16


cdef inline real total_of(real* sums) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(8):
        sums[j] += sums[j + 8]
    for j in range(4):
        sums[j] += sums[j + 4]
    return (sums[0] + sums[2]) + (sums[1] + sums[3])


cdef inline real sum_of(const real* restrict x, Py_ssize_t n) noexcept nogil:
    cdef real sums[SUMS]
    cdef Py_ssize_t i = 0, j
    memset(sums, 0, sizeof(sums))
    while i + SUMS <= n:
        for j in range(SUMS):
            sums[j] += x[i + j]
        i += SUMS
    for j in range(n - i):
        sums[j] += x[i + j]
    return total_of(sums)


cdef inline real product_sum(const real* restrict x, const real* restrict y, Py_ssize_t n) noexcept nogil:
    """The sum of x * y."""
    cdef real sums[SUMS]
    cdef Py_ssize_t i = 0, j
    memset(sums, 0, sizeof(sums))
    while i + SUMS <= n:
        for j in range(SUMS):
            sums[j] += x[i + j] * y[i + j]
        i += SUMS
    for j in range(n - i):
        sums[j] += x[i + j] * y[i + j]
    return total_of(sums)


cdef inline real centred_sum(const real* restrict a, real mean, const real* restrict x, const real* restrict y,
                             Py_ssize_t n) noexcept nogil:
    """The sum of (a - mean) * x * y."""
    cdef real sums[SUMS]
    cdef Py_ssize_t i = 0, j
    memset(sums, 0, sizeof(sums))
    while i + SUMS <= n:
        for j in range(SUMS):
            sums[j] += (a[i + j] - mean) * x[i + j] * y[i + j]
        i += SUMS
    for j in range(n - i):
        sums[j] += (a[i + j] - mean) * x[i + j] * y[i + j]
    return total_of(sums)


cdef void norm_forward(const Layer* layer, const Pass* here, const real* restrict A, real* restrict Z) noexcept nogil:
    cdef Py_ssize_t positions = layer.dims[1], places = layer.dims[0] * positions, n = layer.n_in // places, r, g, j, start
    cdef const real* gain = <const real*> here.params + layer.places[0]
    cdef const real* bias = <const real*> here.params + layer.places[1]
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* a
    cdef real* z
    cdef real mean, inverse
    for r in range(here.rows):
        for g in range(places):
            a = A + r * layer.n_in + g * n
            z = Z + r * layer.n_in + g * n
            mean = sum_of(a, n) / n
            for j in range(n):
                z[j] = a[j] - mean
            inverse = 1 / root_(product_sum(z, z, n) / n + <real> layer.option)
            start = g // positions * n
            for j in range(n):
                z[j] = gain[start + j] * (z[j] * inverse) + bias[start + j]
            if kept != NULL:
                kept[(r * places + g) * 2] = mean
                kept[(r * places + g) * 2 + 1] = inverse


cdef void norm_backward(const Layer* layer, const Pass* here, const real* restrict A, const real* restrict dZ, real* restrict dA,
                        bint accumulate) noexcept nogil:
    """With x = (a - mean) inverse and d = gain * dz: da = inverse (d - mean(d) - x mean(x d))."""
    cdef Py_ssize_t positions = layer.dims[1], places = layer.dims[0] * positions, n = layer.n_in // places, r, g, j, start
    cdef const real* gain
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* a
    cdef const real* dz
    cdef real* da
    cdef real mean, inverse, mean_d, mean_xd
    for r in range(here.rows):
        for g in range(places):
            start = g // positions * n
            gain = <const real*> here.params + layer.places[0] + start
            a = A + r * layer.n_in + g * n
            dz = dZ + r * layer.n_in + g * n
            da = dA + r * layer.n_in + g * n
            mean = kept[(r * places + g) * 2]
            inverse = kept[(r * places + g) * 2 + 1]
            mean_d = product_sum(gain, dz, n) / n
            mean_xd = centred_sum(a, mean, gain, dz, n) * inverse / n
            if accumulate:
                for j in range(n):
                    da[j] = da[j] + inverse * (gain[j] * dz[j] - mean_d - (a[j] - mean) * inverse * mean_xd)
            else:
                for j in range(n):
                    da[j] = inverse * (gain[j] * dz[j] - mean_d - (a[j] - mean) * inverse * mean_xd)


cdef void norm_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* restrict A, const real* restrict dZ,
                        real* restrict g, bint accumulate) noexcept nogil:
    """d(gain) = the column sums of x * dZ, d(bias) = those of dZ."""
    cdef Py_ssize_t positions = layer.dims[1], places = layer.dims[0] * positions, n = layer.n_in // places, r, i, j, start, to
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    cdef real mean, inverse
    if tile.part == 1:
        if positions == 1:
            column_sums(dZ, g, here.rows, layer.n_in, accumulate)
        elif layer.dims[0] == 1:
            column_sums(dZ, g, here.rows * positions, n, accumulate)
        else:
            for i in range(layer.dims[0]):
                for r in range(here.rows):
                    column_sums(dZ + r * layer.n_in + i * positions * n, g + i * n, positions, n, accumulate or r > 0)
        return
    if not accumulate:
        memset(g, 0, layer.n_in // positions * sizeof(real))
    for r in range(here.rows):
        for i in range(places):
            mean = kept[(r * places + i) * 2]
            inverse = kept[(r * places + i) * 2 + 1]
            start, to = r * layer.n_in + i * n, i // positions * n
            for j in range(n):
                g[to + j] = g[to + j] + (A[start + j] - mean) * inverse * dZ[start + j]
