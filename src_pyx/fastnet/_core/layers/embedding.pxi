# Embeddings of numbers and categories. A row of A holds one number a feature, a row of Z several.
#
# Periodic (Gorishniy, Rubachev & Babenko 2022; Holzmüller, Grinsztajn & Steinwart 2024): K frequencies a feature.
#     dims      K, whether sines are wanted beside cosines (else the cosines have phases)
#     segments  w (features, K) in turns a unit; phase (features, K) in radians, without sines
#     Z         cos(2 pi w a + phase), or cos(2 pi w a) of all K and then sin(2 pi w a)
#     kept      sin(2 pi w a + phase), without sines
#
# Piecewise linear (Gorishniy, Rubachev & Babenko 2022): the place of a number among the edges of bins.
#     dims      T, the most bins of a feature
#     constants bins of each feature
#     segments  edges (features, T + 1), frozen
#     Z         (a - left edge) / width of each bin, at most 1 but in the last bin and at least 0 but in the first; 0 beyond a
#     feature's bins
#
# Embedding: a row of a table for each code.
#     dims      d, the numbers of a code
#     constants rows of each code's table; one number: of the table that all codes share
#     segments  the tables (sum of their rows, d), one below the other
#     Z         the row of each code; row 0 for codes that are not in the table

cdef int periodic_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t K = layer.dims[0]
    if K < 1 or layer.n_sources != 1:
        plan.refuse(layer, f"cannot have {K} frequencies a feature of {layer.n_sources} layers")
    if layer.activation != IDENTITY or layer.dropout > 0:
        plan.refuse(layer, "periodic: its way back reads its output, which must have no activation and no dropout")
    layer.n_out = layer.n_in * K * (2 if layer.dims[1] else 1)
    plan.add_segment(layer, layer.n_in, K, PLAIN)
    if not layer.dims[1]:
        plan.add_segment(layer, layer.n_in, K, PLAIN)
        layer.kept = layer.n_out
    layer.cost = 12 * layer.n_out
    return 0


cdef void periodic_forward(const Layer* layer, const Pass* here, const real* restrict A, real* restrict Z) noexcept nogil:
    cdef Py_ssize_t K = layer.dims[0], r, f, k
    cdef const real* w
    cdef const real* phase
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef real* z = Z
    cdef real a, sine, in_turns = <real> (1 / 6.283185307179586476925)
    for r in range(here.rows):
        for f in range(layer.n_in):
            a = A[r * layer.n_in + f]
            w = <const real*> here.params + layer.places[0] + f * K
            if layer.dims[1]:
                for k in range(K):
                    z[k] = turn(w[k] * a, &sine)
                    z[K + k] = sine
                z += 2 * K
                continue
            phase = <const real*> here.params + layer.places[1] + f * K
            if kept == NULL:
                for k in range(K):
                    z[k] = turn(w[k] * a + phase[k] * in_turns, &sine)
            else:
                for k in range(K):
                    z[k] = turn(w[k] * a + phase[k] * in_turns, &sine)
                    kept[k] = sine
                kept += K
            z += K


cdef inline real periodic_slope(const Layer* layer, const real* A_out, const real* sines, const real* dZ, Py_ssize_t at,
                                Py_ssize_t k) noexcept nogil:
    """d(loss) by the angle, in radians, of frequency k of a feature, whose numbers begin at `at` in Z."""
    cdef Py_ssize_t K = layer.dims[0]
    if layer.dims[1]:
        return dZ[at + K + k] * A_out[at + k] - dZ[at + k] * A_out[at + K + k]
    return -dZ[at + k] * sines[at + k]


cdef void periodic_backward(const Layer* layer, const Pass* here, const real* restrict dZ, real* restrict dA,
                            bint accumulate) noexcept nogil:
    cdef Py_ssize_t K = layer.dims[0], n = layer.n_out // layer.n_in, r, k
    cdef const real* w
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* Z = output_rows(layer, here, <real*> NULL)
    cdef real total, radians = <real> 6.283185307179586476925
    for r in range(here.rows * layer.n_in):
        w = <const real*> here.params + layer.places[0] + (r % layer.n_in) * K
        total = 0
        for k in range(K):
            total += w[k] * periodic_slope(layer, Z, kept, dZ, r * n, k)
        dA[r] = radians * total + (dA[r] if accumulate else 0)


cdef void periodic_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* restrict A, const real* restrict dZ,
                            real* restrict g, Py_ssize_t g_row, bint accumulate) noexcept nogil:
    """dw = the sums over rows of 2 pi a times the slope by the angle, d(phase) those of the slope."""
    cdef Py_ssize_t n = layer.n_out // layer.n_in, r, f, k
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* Z = output_rows(layer, here, <real*> NULL)
    cdef real* total
    cdef real factor
    if not accumulate:
        for f in range(tile.rows):
            memset(g + f * g_row, 0, tile.columns * sizeof(real))
    for r in range(here.rows):
        for f in range(tile.rows):
            total = g + f * g_row
            factor = A[r * layer.n_in + tile.first_row + f] * <real> 6.283185307179586476925 if tile.part == 0 else 1
            for k in range(tile.columns):
                total[k] = total[k] + factor * periodic_slope(layer, Z, kept, dZ, (r * layer.n_in + tile.first_row + f) * n,
                                                              tile.first_column + k)


cdef int piecewise_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t f
    if layer.n_sources != 1 or layer.n_constants != layer.n_in:
        plan.refuse(layer, f"needs the bins of each number of one layer, got {layer.n_constants} of {layer.n_sources} layers")
    for f in range(layer.n_in):
        if not 1 <= layer.constants[f] <= layer.dims[0]:
            plan.refuse(layer, f"feature {f} must have 1 to {layer.dims[0]} bins, got {layer.constants[f]}")
    layer.n_out = layer.n_in * layer.dims[0]
    plan.add_segment(layer, layer.n_in, layer.dims[0] + 1, FROZEN)
    plan.room = max(plan.room, 4 * layer.n_out)
    layer.cost = 4 * layer.n_out
    return 0


cdef inline real width_of_bin(const real* edges) noexcept nogil:
    """From an edge to the next: not 0, where the network's dtype cannot tell them apart."""
    return max(edges[1] - edges[0], <real> FLT_MIN)


cdef void lay_out_bins(const Layer* layer, const Pass* here, real* restrict left, real* restrict per_width, real* restrict least,
                       real* restrict most) noexcept nogil:
    """For each number of a row of Z where its bin begins and 1 / its width, and the least and the most that the number can be; a bin
    of 0 where a feature has no more."""
    cdef Py_ssize_t T = layer.dims[0], f, t, bins, at = 0
    cdef const real* edges
    for f in range(layer.n_in):
        edges = <const real*> here.params + layer.places[0] + f * (T + 1)
        bins = layer.constants[f]
        for t in range(bins):
            left[at + t], per_width[at + t], least[at + t], most[at + t] = edges[t], 1 / width_of_bin(edges + t), 0, 1
        for t in range(bins, T):
            left[at + t], per_width[at + t], least[at + t], most[at + t] = 0, 1, 0, 0
        least[at] = -INFINITY
        most[at + bins - 1] = INFINITY
        at += T


cdef void piecewise_forward(const Layer* layer, const Pass* here, const real* restrict A, real* restrict Z,
                            Worker* worker) noexcept nogil:
    # All numbers of a row in one loop of vectors, since features have few bins: 0.3 to 0.8 of the time for 2 to 16 of them, and 0.95 of
    # that of fits of the tabular preset "fast"
    cdef Py_ssize_t T = layer.dims[0], n = layer.n_out, r, f, t
    cdef real* restrict left = <real*> worker.room
    cdef real* restrict per_width = left + n
    cdef real* restrict least = per_width + n
    cdef real* restrict most = least + n
    cdef real* restrict z
    cdef real place
    lay_out_bins(layer, here, left, per_width, least, most)
    for r in range(here.rows):
        z = Z + r * n
        for f in range(layer.n_in):
            for t in range(T):
                z[f * T + t] = A[r * layer.n_in + f]
        for t in range(n):
            place = (z[t] - left[t]) * per_width[t]
            place = least[t] if place < least[t] else place
            z[t] = most[t] if place > most[t] else place


cdef void piecewise_backward(const Layer* layer, const Pass* here, const real* restrict A, const real* restrict dZ, real* restrict dA,
                             bint accumulate) noexcept nogil:
    cdef Py_ssize_t T = layer.dims[0], r, f, t, bins
    cdef const real* edges
    cdef real a, total
    for r in range(here.rows * layer.n_in):
        f = r % layer.n_in
        edges = <const real*> here.params + layer.places[0] + f * (T + 1)
        bins = layer.constants[f]
        a = A[r]
        total = 0
        for t in range(bins):
            if (t == 0 or a > edges[t]) and (t == bins - 1 or a <= edges[t + 1]):
                total += dZ[r * T + t] / width_of_bin(edges + t)
        dA[r] = total + (dA[r] if accumulate else 0)


cdef int embedding_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t f, rows = 0
    if layer.n_sources != 1 or layer.n_constants not in (1, layer.n_in) or layer.dims[0] < 1:
        plan.refuse(layer, f"needs the rows of each code's table, got {layer.n_constants} of {layer.n_sources} layers")
    for f in range(layer.n_constants):
        if layer.constants[f] < 1:
            plan.refuse(layer, f"the table of code {f} must have at least one row, got {layer.constants[f]}")
        rows += layer.constants[f]
    layer.n_out = layer.n_in * layer.dims[0]
    plan.add_segment(layer, rows, layer.dims[0], PLAIN)
    layer.cost = layer.n_out
    layer.alike = ALIKE if layer.n_constants == 1 else APART
    return 0


cdef inline Py_ssize_t table_row(real code, Py_ssize_t rows) noexcept nogil:
    """A code's row in its table; row 0 for NaN, and for codes that the table does not have."""
    return <Py_ssize_t> code if 0 < code < rows else 0


cdef void embedding_forward(const Layer* layer, const Pass* here, const real* restrict A, real* restrict Z) noexcept nogil:
    cdef Py_ssize_t d = layer.dims[0], own_tables = layer.n_constants > 1, r, f
    cdef const real* table
    for r in range(here.rows):
        table = <const real*> here.params + layer.places[0]
        for f in range(layer.n_in):
            memcpy(Z + (r * layer.n_in + f) * d, table + table_row(A[r * layer.n_in + f], layer.constants[f * own_tables]) * d,
                   d * sizeof(real))
            table += layer.constants[f * own_tables] * own_tables * d


cdef void embedding_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* restrict A, const real* restrict dZ,
                             real* restrict g, Py_ssize_t g_row, bint accumulate) noexcept nogil:
    """Each row of dZ is added to its code's row."""
    cdef Py_ssize_t d = layer.dims[0], own_tables = layer.n_constants > 1, r, f, row, table
    if not accumulate:
        for r in range(tile.rows):
            memset(g + r * g_row, 0, tile.columns * sizeof(real))
    for r in range(here.rows):
        table = -tile.first_row
        for f in range(layer.n_in):
            row = table + table_row(A[r * layer.n_in + f], layer.constants[f * own_tables])
            if 0 <= row < tile.rows:
                add_scaled(g + row * g_row, dZ + (r * layer.n_in + f) * d + tile.first_column, <real> 1, tile.columns)
            table += layer.constants[f * own_tables] * own_tables
