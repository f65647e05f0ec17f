# BatchNorm (Ioffe & Szegedy 2015): Z = gain * (A - mean) / sqrt(variance + epsilon) + bias, by channels, over all positions that the
# rows of a batch have. Inference takes the running mean and variance in place of the batch's: one multiply-add a number, or none where
# it is folded into the layer before, whose W and b are then multiplied by the same factors.
#
#     dims      positions along the first axis, places at each of them, channels
#     option    epsilon
#     rate      the share of a batch in the running statistics
#     segments  gain, bias; mean, variance: (channels,) each, the last two frozen
#     sources   what is normalised; lengths, if rows have some
#
# A batch's statistics come from those of groups of rows, added in the order of the groups: a summary is
#
#     count; mean, squares = sum of (a - mean)^2, slopes = sum of dz, leaning = sum of dz (a - mean), by channels
#
# of a group (slopes and leaning with the mean of the batch), or of the batch. `batch.pxi` says when they are made.

cdef enum:
    BN_POSITIONS
    BN_PLACES
    BN_CHANNELS


cdef enum:
    LANES = 64                      # numbers side by side that are worked on at a time
    USES_OF_FOLDED = 8              # by a row, of each weight of a layer that is worth folding into


cdef struct Walk:
    # Through the numbers of some rows, LANES at a time: whole positions side by side, or a part of the channels of one.
    const void* lengths
    Py_ssize_t rows
    Py_ssize_t row_step             # numbers of a row, and of a position along the first axis
    Py_ssize_t position_step
    Py_ssize_t positions
    Py_ssize_t stride               # numbers from one piece to the next
    Py_ssize_t lane                 # where in them this walk's pieces begin, and the most that they have
    Py_ssize_t lanes
    Py_ssize_t row                  # here
    Py_ssize_t offset
    Py_ssize_t end
    Py_ssize_t place                # of the piece, and its numbers
    Py_ssize_t n


cdef int batch_norm_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], i
    check_lengths(plan, layer, 1)
    if min([layer.dims[i] for i in range(3)]) < 1 \
            or int(layer.dims[BN_POSITIONS]) * int(layer.dims[BN_PLACES]) * int(channels) != layer.sources[0].width:
        plan.refuse(layer, f"has no {[layer.dims[i] for i in range(3)]} positions, places and channels to normalise")
    layer.n_out = layer.sources[0].width
    for i in range(2):
        plan.add_segment(layer, 1, channels, WHOLE_TILE)
    for i in range(2):
        plan.add_segment(layer, 1, channels, FROZEN)
    layer.summary = 1 + 4 * channels
    layer.cost = 4 * layer.n_out
    return 0


cdef inline Walk walk_of(const Layer* layer, const Pass* here, Py_ssize_t lane, real* unused) noexcept nogil:
    """The walk over the pieces that begin at number `lane` of each stride."""
    cdef Walk walk
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS]
    walk.lengths = lengths_of(layer, here, 1, <real*> NULL)
    walk.rows, walk.row_step, walk.positions = here.rows, layer.n_out, layer.dims[BN_POSITIONS]
    walk.position_step = layer.dims[BN_PLACES] * channels
    walk.stride = max(<Py_ssize_t> 1, LANES // channels) * channels
    walk.lane, walk.lanes = lane, min(<Py_ssize_t> LANES, walk.stride - lane)
    walk.row, walk.offset, walk.end = -1, 0, 0
    return walk


cdef inline bint step_on(Walk* walk, real* unused) noexcept nogil:
    """The next piece; False at the end."""
    walk.offset += walk.stride
    while walk.offset + walk.lane >= walk.end:
        walk.row += 1
        if walk.row == walk.rows:
            return False
        walk.offset = 0
        walk.end = n_positions(<const real*> walk.lengths, walk.row, walk.positions) * walk.position_step
    walk.place = walk.row * walk.row_step + walk.offset + walk.lane
    walk.n = min(walk.lanes, walk.end - walk.offset - walk.lane)
    return True


cdef inline void spread(const real* values, Py_ssize_t channels, const Walk* walk, real* lanes) noexcept nogil:
    """lanes = the values of the channels that the pieces of a walk have side by side."""
    cdef Py_ssize_t j, c = walk.lane % channels
    for j in range(walk.lanes):
        lanes[j] = values[c]
        c = 0 if c + 1 == channels else c + 1


cdef inline void fold(const real* lanes, const Walk* walk, Py_ssize_t channels, real* values) noexcept nogil:
    """The way back of `spread`: values are added."""
    cdef Py_ssize_t j, c = walk.lane % channels
    for j in range(walk.lanes):
        values[c] += lanes[j]
        c = 0 if c + 1 == channels else c + 1


cdef void sums_of_group(const Layer* layer, const Pass* here, const real* A, const real* dZ, const real* mean, real* first,
                        real* second) noexcept nogil:
    """Sums by channels over a group of rows: of A, of (A - mean)^2, or of dZ and dZ (A - mean), for which each is given."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], lane = 0, n, j
    cdef Walk walk
    cdef real sums[LANES]
    cdef real products[LANES]
    cdef real means[LANES]
    cdef real d
    cdef const real* a
    cdef const real* dz
    memset(first, 0, channels * sizeof(real))
    if dZ != NULL:
        memset(second, 0, channels * sizeof(real))
    while True:
        walk = walk_of(layer, here, lane, <real*> NULL)
        memset(sums, 0, sizeof(sums))
        memset(products, 0, sizeof(products))
        if mean != NULL:
            spread(mean, channels, &walk, means)
        while step_on(&walk, <real*> NULL):
            a, n = A + walk.place, walk.n
            if dZ != NULL:
                dz = dZ + walk.place
                for j in range(n):
                    sums[j] += dz[j]
                    products[j] += dz[j] * (a[j] - means[j])
            elif mean != NULL:
                for j in range(n):
                    d = a[j] - means[j]
                    sums[j] += d * d
            else:
                for j in range(n):
                    sums[j] += a[j]
        fold(sums, &walk, channels, first)
        if dZ != NULL:
            fold(products, &walk, channels, second)
        lane += LANES
        if lane >= walk.stride:
            return


cdef void batch_norm_summary(const Layer* layer, const Pass* here, const real* A, real* summary) noexcept nogil:
    """Count, mean and squares of a group."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], count = 0, r, j
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef real* mean = summary + 1
    for r in range(here.rows):
        count += n_positions(lengths, r, layer.dims[BN_POSITIONS]) * layer.dims[BN_PLACES]
    summary[0] = <real> count
    sums_of_group(layer, here, A, <const real*> NULL, <const real*> NULL, mean, <real*> NULL)
    for j in range(channels):
        mean[j] = mean[j] / max(summary[0], <real> 1)
    sums_of_group(layer, here, A, <const real*> NULL, mean, mean + channels, <real*> NULL)


cdef void batch_norm_slopes(const Layer* layer, const Pass* here, const real* A, const real* dZ, const real* total,
                            real* summary) noexcept nogil:
    """Slopes and leaning of a group."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS]
    sums_of_group(layer, here, A, dZ, total + 1, summary + 1 + 2 * channels, summary + 1 + 3 * channels)


cdef void batch_norm_total(const Layer* layer, const real* summaries, Py_ssize_t n, real* restrict total) noexcept nogil:
    """Count, mean and squares of the batch from those of n groups (Chan, Golub & LeVeque 1983)."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], g, j
    cdef const real* group = summaries
    cdef real share, d
    memset(total, 0, (1 + 2 * channels) * sizeof(real))
    for g in range(n):
        total[0] += summaries[g * layer.summary]
    for g in range(n):
        group = summaries + g * layer.summary
        share = group[0] / max(total[0], <real> 1)
        for j in range(1, channels + 1):
            total[j] = total[j] + share * group[j]
    for g in range(n):
        group = summaries + g * layer.summary
        for j in range(1, channels + 1):
            d = group[j] - total[j]
            total[channels + j] = total[channels + j] + group[channels + j] + group[0] * d * d


cdef void batch_norm_total_slopes(const Layer* layer, const real* summaries, Py_ssize_t n, real* restrict total) noexcept nogil:
    """The same of slopes and leaning."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], first = 1 + 2 * channels, g, j
    cdef const real* group
    memset(total + first, 0, 2 * channels * sizeof(real))
    for g in range(n):
        group = summaries + g * layer.summary
        for j in range(first, layer.summary):
            total[j] = total[j] + group[j]


cdef void batch_norm_follow(const Layer* layer, void* params, const real* total, const double* factors) noexcept nogil:
    """The running statistics follow those of a batch: its mean and, where it has more than one position, its unbiased variance;
    not those whose segment has a factor of 0."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], j
    cdef real* mean = <real*> params + layer.places[2]
    cdef real* variance = <real*> params + layer.places[3]
    cdef real rate_of_mean = <real> (layer.rate if factors[2] > 0 else 0)
    cdef real rate_of_variance = <real> (layer.rate if factors[3] > 0 else 0)
    if total[0] < 2:
        return
    for j in range(channels):
        mean[j] = mean[j] + rate_of_mean * (total[1 + j] - mean[j])
        variance[j] = variance[j] + rate_of_variance * (total[1 + channels + j] / (total[0] - 1) - variance[j])


cdef inline real inverse_deviation(const Layer* layer, real variance) noexcept nogil:
    return 1 / root_(variance + <real> layer.option)


cdef void batch_norm_forward(const Layer* layer, const Pass* here, const real* A, real* restrict Z, Worker* worker) noexcept nogil:
    """Z = factor * (A - mean) + bias, and zeros where there is no position."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], lane = 0, n, j
    cdef const real* gain = <const real*> here.params + layer.places[0]
    cdef const real* bias = <const real*> here.params + layer.places[1]
    cdef const real* mean = <const real*> here.params + layer.places[2]
    cdef const real* squares = <const real*> here.params + layer.places[3]
    cdef real count = 1
    cdef Walk walk
    cdef real factors[LANES]
    cdef real variances[LANES]
    cdef real means[LANES]
    cdef real biases[LANES]
    cdef const real* a
    cdef real* z
    if here.summaries != NULL:
        mean = <const real*> worker.totals[layer.number] + 1
        squares, count = mean + channels, max((mean - 1)[0], <real> 1)
    if lengths_of(layer, here, 1, <real*> NULL) != NULL:
        memset(Z, 0, here.rows * layer.n_out * sizeof(real))
    while True:
        walk = walk_of(layer, here, lane, <real*> NULL)
        spread(gain, channels, &walk, factors)
        spread(squares, channels, &walk, variances)
        for j in range(walk.lanes):
            factors[j] = factors[j] * inverse_deviation(layer, variances[j] / count)
        spread(mean, channels, &walk, means)
        spread(bias, channels, &walk, biases)
        while step_on(&walk, <real*> NULL):
            a, z, n = A + walk.place, Z + walk.place, walk.n
            for j in range(n):
                z[j] = factors[j] * (a[j] - means[j]) + biases[j]
        lane += LANES
        if lane >= walk.stride:
            return


cdef bint can_be_folded(Plan plan, const Layer* norm, const Layer* before) noexcept:
    """Whether a layer that this one alone reads makes its channels by W (.., channels) and b (channels,), each of which a row uses often:
    a copy of them for each call then costs little."""
    cdef const Segment* W
    if before.activation != IDENTITY or before.lengths > 0 or norm.number == plan.n_layers:
        return False
    if before.kind == DENSE and (before.dims[D_GROUPS] > 1 or not before.dims[D_BIASES] or before.option != 1):
        return False
    if before.kind != DENSE and before.kind != CONV and before.kind != DEPTHWISE:
        return False
    W = plan.segments + before.first_segment
    return W.columns == norm.dims[BN_CHANNELS] and before.cost >= USES_OF_FOLDED * <double> W.rows * W.columns


cdef void fold_norm(const Layer* norm, const Layer* before, const Segment* segments, const real* params, real* folded) noexcept nogil:
    """W and b of the layer before, for the outputs of both."""
    cdef Py_ssize_t channels = norm.dims[BN_CHANNELS], r, j
    cdef const real* gain = params + norm.places[0]
    cdef const real* bias = params + norm.places[1]
    cdef const real* mean = params + norm.places[2]
    cdef const real* variance = params + norm.places[3]
    cdef const real* W = params + before.places[0]
    cdef const real* b = params + before.places[1]
    cdef real* restrict folded_W = folded + before.folded_places[0]
    cdef real* restrict factors = folded + before.folded_places[1]
    for j in range(channels):
        factors[j] = gain[j] * inverse_deviation(norm, variance[j])
    for r in range(segments[before.first_segment].rows):
        for j in range(channels):
            folded_W[r * channels + j] = W[r * channels + j] * factors[j]
    for j in range(channels):
        factors[j] = (b[j] - mean[j]) * factors[j] + bias[j]


cdef void batch_norm_backward(const Layer* layer, const Pass* here, const real* A, const real* dZ, real* restrict dA, bint accumulate,
                              Worker* worker) noexcept nogil:
    """With x = (a - mean) inverse and n positions: da = gain inverse (dz - sum(dz) / n - x sum(dz x) / n)."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], lane = 0, n, j, c
    cdef const real* gain = <const real*> here.params + layer.places[0]
    cdef const real* total = <const real*> worker.totals[layer.number]
    cdef const real* mean = total + 1
    cdef const real* slopes = mean + 2 * channels
    cdef real count = max(total[0], <real> 1), inverse
    cdef Walk walk
    cdef real factors[LANES]
    cdef real means[LANES]
    cdef real falls[LANES]
    cdef real shifts[LANES]
    cdef const real* a
    cdef const real* dz
    cdef real* da
    if not accumulate and lengths_of(layer, here, 1, <real*> NULL) != NULL:
        memset(dA, 0, here.rows * layer.n_out * sizeof(real))
    while True:
        walk = walk_of(layer, here, lane, <real*> NULL)
        for j in range(walk.lanes):
            c = (lane + j) % channels
            inverse = inverse_deviation(layer, mean[channels + c] / count)
            factors[j] = gain[c] * inverse
            falls[j] = factors[j] * inverse * inverse * slopes[channels + c] / count
            shifts[j] = factors[j] * slopes[c] / count
        spread(mean, channels, &walk, means)
        while step_on(&walk, <real*> NULL):
            a, dz, da, n = A + walk.place, dZ + walk.place, dA + walk.place, walk.n
            if accumulate:
                for j in range(n):
                    da[j] = da[j] + (factors[j] * dz[j] - shifts[j] - falls[j] * (a[j] - means[j]))
            else:
                for j in range(n):
                    da[j] = factors[j] * dz[j] - shifts[j] - falls[j] * (a[j] - means[j])
        lane += LANES
        if lane >= walk.stride:
            return


cdef void batch_norm_gradient(const Layer* layer, const Tile* tile, real* g, bint accumulate, Worker* worker) noexcept nogil:
    """d(gain) = the sum of dz x, d(bias) = the sum of dz, which the way back has made."""
    cdef Py_ssize_t channels = layer.dims[BN_CHANNELS], j
    cdef const real* total = <const real*> worker.totals[layer.number]
    cdef const real* squares = total + 1 + channels
    cdef const real* slopes = squares + channels
    cdef real count = max(total[0], <real> 1), d
    for j in range(channels):
        d = slopes[j] if tile.part == 1 else slopes[channels + j] * inverse_deviation(layer, squares[j] / count)
        g[j] = g[j] + d if accumulate else d
