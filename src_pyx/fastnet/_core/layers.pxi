# The kinds of layers: rows on their way through a network, the files in layers/ (one a kind), and the switch to them.
#
# A kind X has X_plan (its segments, and what it costs), X_forward (Z from A), X_backward (dA from dZ) and X_gradient (one tile of
# the gradient of a segment). To add one, write its file and its lines in the first four functions at the end of this one; a cut
# also has lines in the three after them.

cdef struct Pass:
    # Some rows of a batch, or of the data, in the buffers of the layers.
    const Layer* layers
    Py_ssize_t n_layers
    const void* params
    const void* folded          # W and b of the layers that a BatchNorm is folded into; NULL: there is a way back, or all outputs are kept
    void** A                    # A[l] (.., n[l]) for l = 1 .. L
    void** dZ
    void** D                    # g'(Z[l]) of the layers that keep it; NULL: there is no way back
    void** kept                 # (.., layer.kept), of layers with partials from `place` on; NULL: there is no way back
    void** summaries            # of groups of the batch's rows (groups, layer.summary); NULL: there is no way back
    void** partials             # of larger groups, of group_rows each (groups, layer.partial)
    Py_ssize_t group_rows
    void* gradient              # of the group that these rows belong to, which their way back adds to; NULL: it leaves A and dZ
    bint begins                 # they are the first of the group
    const Segment* segments
    Py_ssize_t row              # where these rows begin in the batch
    Py_ssize_t first            # and in A, dZ, D and kept
    Py_ssize_t place            # where they begin in what is needed no longer when they have gone back
    Py_ssize_t rows
    const void* inputs          # these rows of dense X, or NULL
    const Rows* X
    const uint32* order         # row numbers, or NULL: 0, 1, ...
    Py_ssize_t start            # where these rows begin in the order: sparse rows are read from X
    double dropout              # factor of the layers' probabilities; 0: no dropout
    uint64 seed
    uint64 step
    Py_ssize_t first_mask       # the first row's number for dropout


cdef struct Tile:
    # A rectangle of a segment: the pieces of the parameters that an update is made of.
    Py_ssize_t segment
    Py_ssize_t layer                # 1 .. L, and which of its segments
    int part
    Py_ssize_t first_row
    Py_ssize_t rows
    Py_ssize_t first_column
    Py_ssize_t columns
    Py_ssize_t place                # of its first element in the flat vector
    Py_ssize_t stride               # from one row to the next in the flat vector
    Py_ssize_t pieces               # contiguous runs in the flat vector, and the length of each
    Py_ssize_t length
    double work                     # multiply-adds of a row of data for it


cdef inline real* rows_at(void** buffers, Py_ssize_t layer, Py_ssize_t width, const Pass* here, real* unused) noexcept nogil:
    return <real*> buffers[layer] + here.first * width


cdef inline const real* source_rows(const Layer* layer, const Pass* here, Py_ssize_t i, real* unused) noexcept nogil:
    """What a layer reads; NULL if these are sparse rows of X."""
    cdef const Source* source = layer.sources + i
    return <const real*> here.inputs if source.layer == 0 else rows_at(here.A, source.layer, source.width, here, <real*> NULL)


cdef inline const real* output_rows(const Layer* layer, const Pass* here, real* unused) noexcept nogil:
    return rows_at(here.A, layer.number, layer.n_out, here, <real*> NULL)


cdef inline const real* parameters_of(const Layer* layer, const Pass* here, int part, real* unused) noexcept nogil:
    """Segment `part` of a layer as its forward pass uses it."""
    if here.folded != NULL and layer.normed_by > 0:
        return <const real*> here.folded + layer.folded_places[part]
    return <const real*> here.params + layer.places[part]


cdef inline real* kept_rows(const Layer* layer, const Pass* here, real* unused) noexcept nogil:
    """What a layer's forward pass keeps for the way back, or NULL if there is none."""
    if here.kept == NULL:
        return NULL
    return <real*> here.kept[layer.number] + (here.place if layer.partial > 0 else here.first) * layer.kept


cdef inline void drop(const Layer* layer, const Pass* here, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t n, real* A,
                      real* D) noexcept nogil:
    """The layer's dropout on n numbers of each of some of these rows, and on the slopes beside them."""
    if layer.dropout * here.dropout > 0:
        drop_units(A, D, rows, n, here.first_mask + first, layer.first_unit, layer.dropout * here.dropout, here.seed, here.step,
                   <uint64> layer.number)


include "layers/dense.pxi"
include "layers/scale.pxi"
include "layers/norm.pxi"
include "layers/joins.pxi"
include "layers/lengths.pxi"
include "layers/embedding.pxi"
include "layers/parametric.pxi"
include "layers/conv.pxi"
include "layers/pool.pxi"
include "layers/recurrent.pxi"
include "layers/attention.pxi"
include "layers/shift.pxi"
include "layers/batch_norm.pxi"
include "layers/depthwise.pxi"


cdef bint goes_by_positions(const Layer* layer, Layer* each) noexcept:
    """Whether a layer does the same at each of its positions, and what its kind calls `dims` of one."""
    cdef Py_ssize_t i, n = layer.positions
    cdef int count = layer.alike - COUNTED
    for i in range(layer.n_sources):
        if layer.sources[i].layer == 0 or layer.sources[i].width % n:
            return False
    if count < 0:
        return layer.alike == ALIKE
    each.dims[count] = layer.dims[count] // n
    return layer.dims[count] % n == 0


cdef inline bint minds_lengths(const Layer* layer, Py_ssize_t lengths) noexcept nogil:
    """Whether a layer leaves alone what lies beyond the lengths that layer number `lengths` makes."""
    cdef Py_ssize_t i
    for i in range(layer.n_sources):
        if layer.sources[i].layer == lengths:
            return True
    return layer.each != NULL and layer.lengths == lengths


cdef int plan_layer(Plan plan, Layer* layer) except -1:
    """Fill in what the layer makes of its sources, give it its segments, and estimate its cost."""
    if layer.kind == DENSE:
        return dense_plan(plan, layer)
    if layer.kind == SCALE:
        return scale_plan(plan, layer)
    if layer.kind == NORM:
        return norm_plan(plan, layer)
    if layer.kind == PASS:
        return pass_plan(plan, layer)
    if layer.kind == SUM:
        return sum_plan(plan, layer)
    if layer.kind == CONCAT:
        return concat_plan(plan, layer)
    if layer.kind == COLUMNS:
        return columns_plan(plan, layer)
    if layer.kind == PERIODIC:
        return periodic_plan(plan, layer)
    if layer.kind == PIECEWISE:
        return piecewise_plan(plan, layer)
    if layer.kind == EMBEDDING:
        return embedding_plan(plan, layer)
    if layer.kind == PARAMETRIC:
        return parametric_plan(plan, layer)
    if layer.kind == CONV:
        return conv_plan(plan, layer)
    if layer.kind == BORDER:
        return border_plan(plan, layer)
    if layer.kind == POOL:
        return pool_plan(plan, layer)
    if layer.kind == TRIM:
        return trim_plan(plan, layer)
    if layer.kind == COUNT:
        return count_plan(plan, layer)
    if layer.kind == LAST:
        return last_plan(plan, layer)
    if layer.kind == RECURRENT:
        return recurrent_plan(plan, layer)
    if layer.kind == ATTENTION:
        return attention_plan(plan, layer)
    if layer.kind == SHIFT:
        return shift_plan(plan, layer)
    if layer.kind == BATCH_NORM:
        return batch_norm_plan(plan, layer)
    if layer.kind == DEPTHWISE:
        return depthwise_plan(plan, layer)
    raise ValueError(f"layer {layer.number} has the unknown kind {layer.kind}")


cdef inline void layer_forward(const Layer* layer, const Pass* here, const real* A, real* Z, Worker* worker) noexcept nogil:
    """Z (rows, n_out) from A (rows, n_in), what the layer's first source has made."""
    if layer.kind == DENSE:
        dense_forward(layer, here, A, Z, worker)
    elif layer.kind == SCALE:
        scale_forward(layer, here, A, Z)
    elif layer.kind == NORM:
        norm_forward(layer, here, A, Z)
    elif layer.kind == PASS or layer.kind == SUM:
        sum_forward(layer, here, Z)
    elif layer.kind == CONCAT:
        concat_forward(layer, here, Z)
    elif layer.kind == COLUMNS:
        columns_forward(layer, here, A, Z)
    elif layer.kind == PERIODIC:
        periodic_forward(layer, here, A, Z)
    elif layer.kind == PIECEWISE:
        piecewise_forward(layer, here, A, Z, worker)
    elif layer.kind == EMBEDDING:
        embedding_forward(layer, here, A, Z)
    elif layer.kind == PARAMETRIC:
        parametric_forward(layer, here, A, Z)
    elif layer.kind == CONV:
        conv_forward(layer, here, A, Z, worker)
    elif layer.kind == BORDER:
        border_forward(layer, here, A, Z)
    elif layer.kind == POOL:
        pool_forward(layer, here, A, Z)
    elif layer.kind == TRIM:
        trim_forward(layer, here, A, Z)
    elif layer.kind == COUNT:
        count_forward(layer, here, A, Z)
    elif layer.kind == LAST:
        last_forward(layer, here, A, Z)
    elif layer.kind == RECURRENT:
        recurrent_forward(layer, here, A, Z, worker)
    elif layer.kind == ATTENTION:
        attention_forward(layer, here, A, Z, worker)
    elif layer.kind == SHIFT:
        shift_forward(layer, here, A, Z)
    elif layer.kind == BATCH_NORM:
        batch_norm_forward(layer, here, A, Z, worker)
    elif layer.kind == DEPTHWISE:
        depthwise_forward(layer, here, A, Z)


cdef inline void layer_backward(const Layer* layer, const Pass* here, Py_ssize_t source, const real* dZ, real* dA,
                                Worker* worker) noexcept nogil:
    """dA (rows, width of the source), or an addition to it, from dZ (rows, n_out). It is NULL where a layer only
    leaves a part of the gradient."""
    cdef bint accumulate = layer.sources[source].accumulates
    cdef const real* A = source_rows(layer, here, source, <real*> NULL)
    if layer.kind == DENSE:
        dense_backward(layer, here, dZ, dA, accumulate, worker)
    elif layer.kind == SCALE:
        scale_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == NORM:
        norm_backward(layer, here, A, dZ, dA, accumulate)
    elif layer.kind == PASS or layer.kind == SUM:
        sum_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == CONCAT:
        concat_backward(layer, here, source, dZ, dA, accumulate)
    elif layer.kind == COLUMNS:
        columns_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == PERIODIC:
        periodic_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == PIECEWISE:
        piecewise_backward(layer, here, A, dZ, dA, accumulate)
    elif layer.kind == EMBEDDING:
        if not accumulate:          # codes have no derivative
            memset(dA, 0, here.rows * layer.n_in * sizeof(real))
    elif layer.kind == PARAMETRIC:
        parametric_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == CONV:
        conv_backward(layer, here, dZ, dA, accumulate, worker)
    elif layer.kind == BORDER:
        border_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == POOL:
        pool_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == TRIM:
        trim_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == LAST:
        last_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == RECURRENT:
        recurrent_backward(layer, here, A, dZ, dA, accumulate, worker)
    elif layer.kind == ATTENTION:
        attention_backward(layer, here, source, dZ, dA, accumulate, worker)
    elif layer.kind == SHIFT:
        sum_backward(layer, here, dZ, dA, accumulate)
    elif layer.kind == BATCH_NORM:
        batch_norm_backward(layer, here, A, dZ, dA, accumulate, worker)
    elif layer.kind == DEPTHWISE:
        depthwise_backward(layer, here, dZ, dA, accumulate)


cdef inline void layer_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* A, const real* dZ, real* g,
                                Py_ssize_t g_row, bint accumulate, Worker* worker) noexcept nogil:
    """A tile of the gradient of a segment into g (or added to it), whose rows are g_row apart, from all rows of a batch."""
    if layer.kind == DENSE:
        dense_gradient(layer, here, tile, A, dZ, g, g_row, accumulate, worker)
    elif layer.kind == SCALE:
        scale_gradient(layer, here, tile, A, dZ, g, accumulate)
    elif layer.kind == NORM:
        norm_gradient(layer, here, tile, A, dZ, g, accumulate)
    elif layer.kind == PERIODIC:
        periodic_gradient(layer, here, tile, A, dZ, g, g_row, accumulate)
    elif layer.kind == EMBEDDING:
        embedding_gradient(layer, here, tile, A, dZ, g, g_row, accumulate)
    elif layer.kind == PARAMETRIC:
        parametric_gradient(layer, here, dZ, g, accumulate)
    elif layer.kind == CONV:
        conv_gradient(layer, here, tile, A, dZ, g, g_row, accumulate, worker)
    elif layer.kind == RECURRENT:
        recurrent_gradient(layer, here, tile, g, g_row, accumulate)
    elif layer.kind == SHIFT:
        column_sums(dZ, g, here.rows, layer.n_out, accumulate)
    elif layer.kind == BATCH_NORM:
        batch_norm_gradient(layer, tile, g, accumulate, worker)
    elif layer.kind == DEPTHWISE:
        depthwise_gradient(layer, here, tile, A, dZ, g, g_row, accumulate)


cdef inline void layer_summary(const Layer* layer, const Pass* here, const real* A, const real* dZ, real* summary,
                               Worker* worker) noexcept nogil:
    """The summary of a group of rows: of what a cut reads, or of its slopes dZ, by what is then known of the whole batch."""
    if layer.kind == BATCH_NORM and dZ == NULL:
        batch_norm_summary(layer, here, A, summary)
    elif layer.kind == BATCH_NORM:
        batch_norm_slopes(layer, here, A, dZ, <const real*> worker.totals[layer.number], summary)


cdef inline void layer_total(const Layer* layer, bint forward, const real* summaries, Py_ssize_t n, real* total) noexcept nogil:
    """The summary of the batch from those of its n groups, or that of its slopes."""
    if layer.kind == BATCH_NORM and forward:
        batch_norm_total(layer, summaries, n, total)
    elif layer.kind == BATCH_NORM:
        batch_norm_total_slopes(layer, summaries, n, total)


cdef inline void layer_follow(const Layer* layer, void* params, const real* total, const double* factors) noexcept nogil:
    """What a cut's frozen segments take from the summary of a batch."""
    if layer.kind == BATCH_NORM:
        batch_norm_follow(layer, params, total, factors)
