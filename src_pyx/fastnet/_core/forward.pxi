# Forward propagation: the one loop over the layers, for training, blocks of predictions, single rows and `activations`.

cdef bint forward_layers(const Pass* here, Py_ssize_t first, Py_ssize_t last, Worker* worker, real* unused) noexcept nogil:
    """A[first] .. A[last] of some rows, with Z[L] in the place of A[L]; False if a signal has ended the work."""
    cdef Py_ssize_t l
    cdef const Layer* layer
    for l in range(first, last + 1):
        layer = here.layers + l - 1
        if layer.each == NULL:
            forward_layer(layer, here, worker, <real*> NULL)
        else:
            forward_spans(layer, here, worker, <real*> NULL)
        if ended(worker):
            return False
    return True


cdef inline void forward_layer(const Layer* layer, const Pass* here, Worker* worker, real* unused) noexcept nogil:
    cdef real* Z = rows_at(here.A, layer.number, layer.n_out, here, <real*> NULL)
    if here.folded == NULL or not layer.is_folded:
        layer_forward(layer, here, source_rows(layer, here, 0, <real*> NULL), Z, worker)
    if layer.number < here.n_layers:
        activate_layer(layer, here, Z)


cdef struct Span:
    # Positions that rows have and that lie together: those of one row, or of several that have all of theirs.
    Py_ssize_t end                  # the row after them
    Py_ssize_t missing              # positions that the last of them does not have
    Pass here                       # as rows of what a layer does at each position


cdef void span_from(const Layer* layer, const Pass* here, Py_ssize_t row, Span* span, real* unused) noexcept nogil:
    """The positions of a row, and of those after it where none is missing between."""
    cdef const real* lengths = rows_at(here.A, layer.lengths, 1, here, <real*> NULL)
    cdef Py_ssize_t n = 0
    span.here, span.end, span.missing = here[0], row, 0
    while span.end < here.rows and span.missing == 0:
        span.missing = layer.positions - n_positions(lengths, span.end, layer.positions)
        span.end += 1
        n += layer.positions - span.missing
    span.here.first = (here.first + row) * layer.positions
    span.here.first_mask = (here.first_mask + row) * layer.positions
    span.here.rows = n


cdef inline void clear_missing(const Span* span, real* rows, Py_ssize_t width) noexcept nogil:
    """Zeros at the positions that the last row of a span does not have, after `rows` (positions, width) that there are."""
    memset(rows + span.here.rows * width, 0, span.missing * width * sizeof(real))


cdef void forward_spans(const Layer* layer, const Pass* here, Worker* worker, real* unused) noexcept nogil:
    """A layer of rows that have lengths, at the positions that there are; the others are 0 where users or layers see them."""
    cdef Span span
    span.end = 0
    while span.end < here.rows:
        span_from(layer, here, span.end, &span, <real*> NULL)
        if span.here.rows > 0:
            forward_layer(layer.each, &span.here, worker, <real*> NULL)
        if layer.clears or here.D == NULL:
            clear_missing(&span, rows_at(here.A, layer.number, layer.each.n_out, &span.here, <real*> NULL), layer.each.n_out)


cdef inline void activate_layer(const Layer* layer, const Pass* here, real* Z) noexcept nogil:
    """A[l] = g(Z[l]), in place, and its dropout; the derivative is kept if the way back needs it."""
    cdef real* D
    if here.D == NULL or not layer.keeps:
        activate(layer.activation if here.D == NULL else layer.trained_activation, layer.alpha, Z, here.rows * layer.n_out)
        return
    D = rows_at(here.D, layer.number, layer.n_out, here, <real*> NULL)
    activate_keeping(layer.activation, layer.alpha, Z, D, here.rows * layer.n_out)
    drop(layer, here, 0, here.rows, layer.n_out, Z, D)
