# Forward propagation: the one loop over the layers, for training, blocks of predictions, single rows and `activations`.

cdef bint forward_layers(const Pass* here, Py_ssize_t first, Py_ssize_t last, Worker* worker, real* unused) noexcept nogil:
    """A[first] .. A[last] of some rows, with Z[L] in the place of A[L]; False if a signal has ended the work."""
    cdef Py_ssize_t l
    cdef const Layer* layer
    cdef real* Z
    for l in range(first, last + 1):
        layer = here.layers + l - 1
        Z = rows_at(here.A, l, layer.n_out, here, <real*> NULL)
        layer_forward(layer, here, source_rows(layer, here, 0, <real*> NULL), Z, worker)
        if l < here.n_layers:
            activate_layer(layer, here, Z)
        if ended(worker):
            return False
    return True


cdef inline void activate_layer(const Layer* layer, const Pass* here, real* Z) noexcept nogil:
    """A[l] = g(Z[l]), in place, and its dropout; the derivative is kept if the way back needs it."""
    cdef real* D
    if here.D == NULL or not layer.keeps:
        activate(layer.activation, layer.alpha, Z, here.rows * layer.n_out)
        return
    D = rows_at(here.D, layer.number, layer.n_out, here, <real*> NULL)
    activate_keeping(layer.activation, layer.alpha, Z, D, here.rows * layer.n_out)
    if layer.dropout * here.dropout > 0:
        drop_units(Z, D, here.rows, layer.n_out, here.first_mask, layer.dropout * here.dropout, here.seed, here.step,
                   <uint64> layer.number)
