# Rows of unequal length: how many positions of a row there are is a number of the row, which an operation of width 1 makes. Layers
# that mix positions read it as their last source.
#
# Trim  Z = the positions of A that there are, and zeros     dims: positions, numbers of each
# Count Z = windows that fit                                 dims: reach of a window, stride, zeros at both ends, most of them
# Last  Z = the last position that there is                  dims: positions, numbers of each

cdef enum:
    L_POSITIONS
    L_NUMBERS


cdef inline Py_ssize_t n_positions(const real* lengths, Py_ssize_t row, Py_ssize_t most) noexcept nogil:
    """Positions of a row, of at most `most`: all of them if there are no lengths."""
    cdef real length
    if lengths == NULL:
        return most
    length = lengths[row]
    if not length >= 1:         # NaN too
        return 0
    return most if length >= <real> most else <Py_ssize_t> length


cdef inline const real* lengths_of(const Layer* layer, const Pass* here, Py_ssize_t source, real* unused) noexcept nogil:
    """What the source makes, if the layer has so many; else NULL."""
    return source_rows(layer, here, source, <real*> NULL) if layer.n_sources > source else NULL


cdef inline const real* lengths_of_output(const Layer* layer, const Pass* here, real* unused) noexcept nogil:
    """How many positions of its output each row has, or NULL if all have all."""
    return rows_at(here.A, layer.lengths, 1, here, <real*> NULL) if layer.lengths > 0 else NULL


cdef inline Py_ssize_t numbers_there(const Layer* layer, const Pass* here, Py_ssize_t row, real* unused) noexcept nogil:
    """Of a layer that makes a number of each that it reads: those of a row at positions that there are, which come first."""
    cdef const real* lengths = lengths_of_output(layer, here, <real*> NULL)
    return layer.n_in if lengths == NULL else n_positions(lengths, row, layer.positions) * (layer.n_in // layer.positions)


cdef int check_lengths(Plan plan, const Layer* layer, Py_ssize_t source) except -1:
    """Whether there is no such source, or one that makes lengths."""
    if layer.n_sources > source + 1 or (layer.n_sources == source + 1 and layer.sources[source].width != 1):
        plan.refuse(layer, f"reads {source} layers and perhaps one of width 1 that makes lengths")
    return 0


cdef int trim_plan(Plan plan, Layer* layer) except -1:
    if layer.n_sources != 2 or min(layer.dims[L_POSITIONS], layer.dims[L_NUMBERS]) < 1 \
            or layer.dims[L_POSITIONS] > layer.sources[0].width // layer.dims[L_NUMBERS]:
        plan.refuse(layer, f"has no {layer.dims[L_POSITIONS]} positions of {layer.dims[L_NUMBERS]} numbers with lengths")
    check_lengths(plan, layer, 1)
    layer.n_out = layer.cost = layer.dims[L_POSITIONS] * layer.dims[L_NUMBERS]
    return 0


cdef void trim_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef Py_ssize_t r, n, width = layer.sources[0].width
    for r in range(here.rows):
        n = n_positions(lengths, r, layer.dims[L_POSITIONS]) * layer.dims[L_NUMBERS]
        memcpy(Z + r * layer.n_out, A + r * width, n * sizeof(real))
        memset(Z + r * layer.n_out + n, 0, (layer.n_out - n) * sizeof(real))


cdef void trim_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef Py_ssize_t r, n, width = layer.sources[0].width
    for r in range(here.rows):
        n = n_positions(lengths, r, layer.dims[L_POSITIONS]) * layer.dims[L_NUMBERS]
        copy_or_add(dA + r * width, dZ + r * layer.n_out, n, accumulate)
        if not accumulate:
            memset(dA + r * width + n, 0, (width - n) * sizeof(real))


cdef int count_plan(Plan plan, Layer* layer) except -1:
    if layer.n_sources != 1 or layer.n_in != 1 or min(layer.dims[0], layer.dims[1], layer.dims[3]) < 1 or layer.dims[2] < 0:
        plan.refuse(layer, f"counts windows with one length a row, got {layer.n_in} of {layer.n_sources} layers")
    layer.n_out = layer.cost = 1
    return 0


cdef void count_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    cdef Py_ssize_t r, room
    for r in range(here.rows):
        room = n_positions(A, r, <Py_ssize_t> 1 << 31) + layer.dims[2] - layer.dims[0]
        Z[r] = <real> min(room // layer.dims[1] + 1, layer.dims[3]) if room >= 0 else 0


cdef int last_plan(Plan plan, Layer* layer) except -1:
    if layer.n_sources != 2 or layer.dims[L_NUMBERS] < 1 or layer.dims[L_POSITIONS] < 1 \
            or layer.dims[L_POSITIONS] > layer.sources[0].width // layer.dims[L_NUMBERS]:
        plan.refuse(layer, f"has no {layer.dims[L_POSITIONS]} positions of {layer.dims[L_NUMBERS]} numbers with lengths")
    check_lengths(plan, layer, 1)
    layer.n_out = layer.cost = layer.dims[L_NUMBERS]
    return 0


cdef void last_forward(const Layer* layer, const Pass* here, const real* A, real* Z) noexcept nogil:
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef Py_ssize_t r, n = layer.n_out, length
    for r in range(here.rows):
        length = n_positions(lengths, r, layer.dims[L_POSITIONS])
        if length > 0:
            memcpy(Z + r * n, A + r * layer.sources[0].width + (length - 1) * n, n * sizeof(real))
        else:
            memset(Z + r * n, 0, n * sizeof(real))


cdef void last_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate) noexcept nogil:
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef Py_ssize_t r, n = layer.n_out, width = layer.sources[0].width, length
    if not accumulate:
        memset(dA, 0, here.rows * width * sizeof(real))
    for r in range(here.rows):
        length = n_positions(lengths, r, layer.dims[L_POSITIONS])
        if length > 0:
            add_scaled(dA + r * width + (length - 1) * n, dZ + r * n, <real> 1, n)
