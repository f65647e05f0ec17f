# Recurrence over the steps of a row: h[t] from x[t] = A[t] and h[t-1]; before the first step it is 0. With P = x W + b:
#
#     RNN    h = g(P + h U), g being tanh or the ReLU
#     LSTM   i, f, g, o = P + h U, then sigmoids, but tanh for g; c = f c + i g, h = o tanh(c)        (Hochreiter & Schmidhuber 1997)
#     GRU    r, z, n = P and Q = h U + c; r, z = sigmoid(P + Q), n = tanh(P + r Q), h = (1 - z) n + z h              (Cho et al. 2014)
#
# Some rows go through all steps together, so that each step is one product of [x, h] with [W; U], which lie one after the other in
# the flat vector. They are sorted by their lengths: those that have a step are always the first. The panels of the weights, and of U^T
# on the way back, are made once for all steps.
#
# On the way back the slopes of P (and of a GRU's Q of n, behind them) are collected, with [x, h], until there are enough for a
# product: while they are in cache they become a part of the gradient, that of a group of rows. From the slopes of all rows of a batch,
# kept until the end, a gradient took 1.7 times as long.
#
#     dims      cell, steps, channels, units, whether steps go from a row's last to its first, whether it carries states
#     sources   A, and perhaps lengths; of a layer that carries states those before the first step: h, and c of an LSTM
#     segments  W (channels, gates * units), U (units, gates * units), b (gates * units), of a GRU c (gates * units)
#     kept      for each step the values of the gates, of a GRU Q of n, of an LSTM c; of an RNN nothing
#     partial   the gradients of W and U, and the sums of the slopes
#
# Z is (steps, units), and then the states after the last step if it carries them.

cdef enum Cell:
    TANH_CELL
    RELU_CELL
    LSTM_CELL
    GRU_CELL


CELL_CODES = {"tanh": TANH_CELL, "relu": RELU_CELL, "lstm": LSTM_CELL, "gru": GRU_CELL}


cdef enum:
    R_CELL
    R_STEPS
    R_CHANNELS
    R_UNITS
    R_REVERSED
    R_CARRIES


cdef enum:
    ROWS_TOGETHER = 32
    COLLECTED = 64                  # positions whose slopes become a part of the gradient together


cdef struct Recurrence:
    Py_ssize_t steps
    Py_ssize_t channels
    Py_ssize_t units
    Py_ssize_t gates                # numbers of P
    Py_ssize_t made                 # numbers that the products of a step make: P, and of a GRU Q
    Py_ssize_t slopes               # numbers of the slopes of these that differ: a GRU's of r and z are the same
    Py_ssize_t kept                 # numbers that a step keeps
    int cell


cdef struct RowsTogether:
    # Rows of a pass that go through the steps together, the longest first.
    Py_ssize_t n
    Py_ssize_t row[ROWS_TOGETHER]
    Py_ssize_t length[ROWS_TOGETHER]


cdef Recurrence recurrence_of(const Layer* layer) noexcept nogil:
    cdef Recurrence r
    r.cell = <int> layer.dims[R_CELL]
    r.steps, r.channels, r.units = layer.dims[R_STEPS], layer.dims[R_CHANNELS], layer.dims[R_UNITS]
    r.gates = r.units * (4 if r.cell == LSTM_CELL else 3 if r.cell == GRU_CELL else 1)
    r.made = r.gates * (2 if r.cell == GRU_CELL else 1)
    r.slopes = r.units * (4 if r.cell == LSTM_CELL or r.cell == GRU_CELL else 1)
    r.kept = r.units * (5 if r.cell == LSTM_CELL else 4 if r.cell == GRU_CELL else 0)
    return r


cdef int recurrent_plan(Plan plan, Layer* layer) except -1:
    cdef Recurrence r
    cdef Py_ssize_t n_states = layer.dims[R_UNITS] * (2 if layer.dims[R_CELL] == LSTM_CELL else 1), width
    if not TANH_CELL <= layer.dims[R_CELL] <= GRU_CELL or min([layer.dims[i] for i in range(R_STEPS, R_UNITS + 1)]) < 1 \
            or max([layer.dims[i] for i in range(R_STEPS, R_UNITS + 1)]) > 2147483647 // 8:
        plan.refuse(layer, f"a recurrence of cell, steps, channels and units {[layer.dims[i] for i in range(R_UNITS + 1)]} cannot be")
    if layer.sources[0].width != layer.dims[R_STEPS] * layer.dims[R_CHANNELS]:
        plan.refuse(layer, f"has no {layer.dims[R_STEPS]} steps of {layer.dims[R_CHANNELS]} channels")
    if layer.activation != IDENTITY or layer.dropout > 0:
        plan.refuse(layer, "a recurrence has no activation or dropout after it")
    if not layer.dims[R_CARRIES]:
        check_lengths(plan, layer, 1)
    elif layer.n_sources != 2 or layer.sources[1].width != n_states:
        plan.refuse(layer, f"a recurrence that carries states reads {n_states} numbers of them")
    r = recurrence_of(layer)
    layer.n_out = r.steps * r.units + (n_states if layer.dims[R_CARRIES] else 0)
    layer.kept = r.steps * r.kept
    width = r.channels + r.units
    layer.partial = width * r.gates + r.slopes
    layer.cost = <double> r.steps * r.gates * width
    plan.add_segment(layer, r.channels, r.gates, PENALISED)
    plan.add_segment(layer, r.units, r.gates, PENALISED)
    plan.add_segment(layer, 1, r.gates, WHOLE_TILE)
    if r.cell == GRU_CELL:
        plan.add_segment(layer, 1, r.gates, WHOLE_TILE)
    plan.room = max(plan.room, ROWS_TOGETHER * (width + r.made + r.units) + r.kept + size_of_panels(r.gates, width),
                    COLLECTED * (width + r.slopes + r.channels) + ROWS_TOGETHER * 2 * r.units + size_of_panels(r.units, r.gates))
    plan.needs_panel = True
    return 0


cdef void take_rows_together(const Layer* layer, const Pass* here, Py_ssize_t first, Py_ssize_t end, RowsTogether* rows,
                             real* unused) noexcept nogil:
    """Rows from `first` on, none beyond `end`, and their lengths, sorted by these."""
    cdef const real* lengths = NULL if layer.dims[R_CARRIES] else lengths_of(layer, here, 1, <real*> NULL)
    cdef Py_ssize_t i, place, length
    rows.n = min(end - first, <Py_ssize_t> ROWS_TOGETHER)
    for i in range(rows.n):
        length = n_positions(lengths, first + i, layer.dims[R_STEPS])
        place = i
        while place > 0 and rows.length[place - 1] < length:
            rows.row[place], rows.length[place] = rows.row[place - 1], rows.length[place - 1]
            place -= 1
        rows.row[place], rows.length[place] = first + i, length


cdef inline Py_ssize_t step_place(const Layer* layer, const RowsTogether* rows, Py_ssize_t i, Py_ssize_t t) noexcept nogil:
    """Which position of its row step t of the ith row is."""
    return rows.length[i] - 1 - t if layer.dims[R_REVERSED] else t


cdef void recurrent_forward(const Layer* layer, const Pass* here, const real* A, real* Z, Worker* worker) noexcept nogil:
    cdef Py_ssize_t first = 0
    cdef RowsTogether rows
    cdef Recurrence r = recurrence_of(layer)
    cdef real* panels = NULL                # one row has a product of its own, and of one step they would be read once
    if here.rows > 1 and r.steps > 1:
        panels = <real*> worker.room
        make_panels_of_steps(layer, here, &r, panels)
    while first < here.rows and not ended(worker):
        take_rows_together(layer, here, first, here.rows, &rows, <real*> NULL)
        rows_through_steps(layer, here, &rows, A, Z, panels, worker)
        first += rows.n


cdef void rows_through_steps(const Layer* layer, const Pass* here, const RowsTogether* rows, const real* A, real* Z,
                             const real* panels, Worker* worker) noexcept nogil:
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t width = r.channels + r.units, n = rows.n, i, t, place
    cdef real* xh = <real*> worker.room + size_of_panels(r.gates, width)    # (n, channels + units)
    cdef real* made = xh + ROWS_TOGETHER * width                            # (n, r.made)
    cdef real* c = made + ROWS_TOGETHER * r.made                            # (n, units)
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef real* kept_step = c + ROWS_TOGETHER * r.units                      # (r.kept,) where no way back follows
    begin_states(layer, here, rows, xh, c, Z)
    for t in range(rows.length[0]):
        while rows.length[n - 1] <= t:
            n -= 1
        for i in range(n):
            place = rows.row[i] * r.steps + step_place(layer, rows, i, t)
            copy_row(xh + i * width, A + place * r.channels, r.channels * sizeof(real))
        step_products(layer, here, &r, xh, made, n, panels, worker)
        for i in range(n):
            place = rows.row[i] * r.steps + step_place(layer, rows, i, t)
            if kept != NULL:
                kept_step = kept + place * r.kept
            cell_forward(&r, made + i * r.made, xh + i * width + r.channels, c + i * r.units, kept_step)
            memcpy(Z + rows.row[i] * layer.n_out + step_place(layer, rows, i, t) * r.units, xh + i * width + r.channels,
                   r.units * sizeof(real))
        if ended(worker):
            return
    if layer.dims[R_CARRIES]:
        for i in range(rows.n):
            copy_states(&r, xh + i * width + r.channels, c + i * r.units, Z + rows.row[i] * layer.n_out + r.steps * r.units)


cdef void begin_states(const Layer* layer, const Pass* here, const RowsTogether* rows, real* xh, real* c, real* Z) noexcept nogil:
    """h and c before the first step, and zeros where a row has no positions."""
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t width = r.channels + r.units, i
    cdef const real* states
    for i in range(rows.n):
        memset(Z + rows.row[i] * layer.n_out + rows.length[i] * r.units, 0, (r.steps - rows.length[i]) * r.units * sizeof(real))
        if layer.dims[R_CARRIES]:
            states = source_rows(layer, here, 1, <real*> NULL) + rows.row[i] * layer.sources[1].width
            memcpy(xh + i * width + r.channels, states, r.units * sizeof(real))
            if r.cell == LSTM_CELL:
                memcpy(c + i * r.units, states + r.units, r.units * sizeof(real))
        else:
            memset(xh + i * width + r.channels, 0, r.units * sizeof(real))
            memset(c + i * r.units, 0, r.units * sizeof(real))


cdef void copy_states(const Recurrence* r, const real* h, const real* c, real* states) noexcept nogil:
    memcpy(states, h, r.units * sizeof(real))
    if r.cell == LSTM_CELL:
        memcpy(states + r.units, c, r.units * sizeof(real))


cdef void make_panels_of_steps(const Layer* layer, const Pass* here, const Recurrence* r, real* panels) noexcept nogil:
    """Of W and U, for the products of all steps: of a GRU apart, else as one matrix."""
    cdef const real* W = <const real*> here.params + layer.places[0]
    cdef const real* U = <const real*> here.params + layer.places[1]
    if r.cell == GRU_CELL:
        make_panels(r.gates, r.channels, W, r.gates, 1, panels)
        make_panels(r.gates, r.units, U, r.gates, 1, panels + size_of_panels(r.gates, r.channels))
    else:
        make_panels(r.gates, r.channels + r.units, W, r.gates, 1, panels)


cdef void step_products(const Layer* layer, const Pass* here, const Recurrence* r, const real* xh, real* made, Py_ssize_t n,
                        const real* panels, Worker* worker) noexcept nogil:
    """P + h U of n rows, or of a GRU P and Q."""
    cdef Py_ssize_t width = r.channels + r.units
    cdef const real* W = <const real*> here.params + layer.places[0]
    cdef const real* U = <const real*> here.params + layer.places[1]
    cdef const real* b = <const real*> here.params + layer.places[2]
    if r.cell == GRU_CELL:
        step_product(xh, width, W, b, panels, made, r.made, n, r.channels, r.gates, worker)
        step_product(xh + r.channels, width, U, <const real*> here.params + layer.places[3],
                     panels + size_of_panels(r.gates, r.channels) if panels != NULL else NULL, made + r.gates, r.made, n, r.units,
                     r.gates, worker)
    else:
        step_product(xh, width, W, b, panels, made, r.made, n, width, r.gates, worker)


cdef inline void step_product(const real* A, Py_ssize_t a_row, const real* W, const real* b, const real* panels, real* made,
                              Py_ssize_t made_row, Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out, Worker* worker) noexcept nogil:
    if rows == 1 or panels == NULL:
        forward_product(A, a_row, W, b, made, made_row, rows, n_in, n_out, False, worker)
    else:
        by_panels(rows, n_out, n_in, A, a_row, panels, made, made_row, b, False, <real*> worker.panel)


cdef inline void cell_forward(const Recurrence* r, const real* made, real* h, real* c, real* kept) noexcept nogil:
    """h and c after a step of one row, and what the way back reads of it."""
    if r.cell == LSTM_CELL:
        lstm_forward(r.units, made, h, c, kept)
    elif r.cell == GRU_CELL:
        gru_forward(r.units, made, h, kept)
    else:
        activate_into(r.cell, r.units, made, h)


cdef inline void activate_into(int cell, Py_ssize_t n, const real* restrict P, real* restrict h) noexcept nogil:
    cdef Py_ssize_t j
    if cell == TANH_CELL:
        for j in range(n):
            h[j] = tanh_(P[j])
    else:
        for j in range(n):
            h[j] = P[j] if P[j] > 0 else 0


cdef void lstm_forward(Py_ssize_t n, const real* restrict P, real* restrict h, real* restrict c, real* restrict kept) noexcept nogil:
    cdef Py_ssize_t j
    cdef real i, f, g, o
    for j in range(2 * n):
        kept[j] = half_sigmoid(P[j])
    for j in range(2 * n, 3 * n):
        kept[j] = half_tanh(P[j])
    for j in range(3 * n, 4 * n):
        kept[j] = half_sigmoid(P[j])
    for j in range(n):
        i, f, g, o = kept[j], kept[n + j], kept[2 * n + j], kept[3 * n + j]
        lstm_gates(&i, &f, &g, &o)
        kept[j] = i
        kept[n + j] = f
        kept[2 * n + j] = g
        kept[3 * n + j] = o
        c[j] = f * c[j] + i * g
        kept[4 * n + j] = c[j]
    for j in range(n):
        h[j] = kept[3 * n + j] * tanh_(c[j])


cdef void gru_forward(Py_ssize_t n, const real* restrict P, real* restrict h, real* restrict kept) noexcept nogil:
    cdef Py_ssize_t j
    cdef real r, z, new
    cdef const real* Q = P + 3 * n
    for j in range(2 * n):
        kept[j] = half_sigmoid(P[j] + Q[j])
    for j in range(n):
        r, z = kept[j], kept[n + j]
        gru_gates(&r, &z)
        kept[j] = r
        kept[n + j] = z
        kept[2 * n + j] = P[2 * n + j] + r * Q[2 * n + j]
        kept[3 * n + j] = Q[2 * n + j]
    for j in range(n):
        new = tanh_(kept[2 * n + j])
        kept[2 * n + j] = new
        h[j] = new + kept[n + j] * (h[j] - new)


cdef struct Collection:
    # Positions on the way back whose slopes are not yet in the gradient.
    Py_ssize_t n
    Py_ssize_t place[COLLECTED]     # of its row's positions, counted through all rows
    void* xh                        # (n, channels + units): what the products of the step read
    void* slopes                    # (n, slopes)
    void* panels                    # of U^T: of a GRU those for the slopes of r and z, and for those of Q of n
    void* dx                        # (n, channels)


cdef void recurrent_backward(const Layer* layer, const Pass* here, const real* A, const real* dZ, real* dA, bint accumulate,
                             Worker* worker) noexcept nogil:
    """What each group of rows adds to the gradient, and dA = the slopes of P times W^T, unless dA is NULL."""
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t first = 0, width = r.channels + r.units, end
    cdef RowsTogether rows
    cdef Collection collected
    cdef real* partial
    collected.n = 0
    collected.panels = worker.room
    collected.xh = <real*> collected.panels + size_of_panels(r.units, r.gates)
    collected.slopes = <real*> collected.xh + COLLECTED * width
    collected.dx = <real*> collected.slopes + COLLECTED * r.slopes
    make_panels_back(layer, here, &r, <real*> collected.panels)
    while first < here.rows and not ended(worker):
        end = min((here.first + first) // here.group_rows * here.group_rows + here.group_rows - here.first, here.rows)
        partial = <real*> here.partials[layer.number] + (here.first + first) // here.group_rows * layer.partial
        if (here.first + first) % here.group_rows == 0:
            memset(partial, 0, layer.partial * sizeof(real))
        while first < end:
            take_rows_together(layer, here, first, end, &rows, <real*> NULL)
            rows_back_through_steps(layer, here, &rows, A, dZ, dA, accumulate, &collected, partial, worker)
            first += rows.n
        add_collected(layer, here, &collected, dA, accumulate, partial, worker)


cdef void rows_back_through_steps(const Layer* layer, const Pass* here, const RowsTogether* rows, const real* A, const real* dZ, real* dA,
                                  bint accumulate, Collection* collected, real* partial, Worker* worker) noexcept nogil:
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t n = 0, i, t
    cdef real* dh = <real*> collected.dx + COLLECTED * r.channels   # (n, units)
    cdef real* dc = dh + ROWS_TOGETHER * r.units
    memset(dh, 0, ROWS_TOGETHER * 2 * r.units * sizeof(real))
    if dA != NULL and not accumulate:
        for i in range(rows.n):
            memset(dA + (rows.row[i] * r.steps + rows.length[i]) * r.channels, 0, (r.steps - rows.length[i]) * r.channels * sizeof(real))
    for t in range(rows.length[0] - 1, -1, -1):
        while n < rows.n and rows.length[n] > t:
            n += 1
        if collected.n + n > COLLECTED:
            add_collected(layer, here, collected, dA, accumulate, partial, worker)
        for i in range(n):
            collect_step(layer, here, rows, i, t, A, dZ, dh + i * r.units, dc + i * r.units, collected)
        if t > 0:
            slopes_before(&r, n, <real*> collected.slopes + (collected.n - n) * r.slopes, <real*> collected.panels, dh, worker)
        if ended(worker):
            return


cdef inline void collect_step(const Layer* layer, const Pass* here, const RowsTogether* rows, Py_ssize_t i, Py_ssize_t t, const real* A,
                              const real* dZ, real* dh, real* dc, Collection* collected) noexcept nogil:
    """Step t of the ith row on the way back: from dh and dc after it, without its dZ, to the slopes and to what dh and dc are before it
    without h U."""
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t place = rows.row[i] * r.steps + step_place(layer, rows, i, t)
    cdef Py_ssize_t before = place + (1 if layer.dims[R_REVERSED] else -1)
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* Z = output_rows(layer, here, <real*> NULL)
    cdef real* xh = <real*> collected.xh + collected.n * (r.channels + r.units)
    cdef real* slopes = <real*> collected.slopes + collected.n * r.slopes
    copy_row(xh, A + place * r.channels, r.channels * sizeof(real))
    if t > 0:
        copy_row(xh + r.channels, Z + before * r.units, r.units * sizeof(real))
    else:
        memset(xh + r.channels, 0, r.units * sizeof(real))
    if r.cell == LSTM_CELL:
        lstm_backward(r.units, kept + place * r.kept, kept + before * r.kept + 4 * r.units if t > 0 else NULL, Z + place * r.units,
                      dZ + place * r.units, dh, dc, slopes)
    elif r.cell == GRU_CELL:
        gru_backward(r.units, kept + place * r.kept, xh + r.channels, dZ + place * r.units, dh, slopes)
    else:
        rnn_backward(r.cell, r.units, Z + place * r.units, dZ + place * r.units, dh, slopes)
    collected.place[collected.n] = place
    collected.n += 1


cdef void make_panels_back(const Layer* layer, const Pass* here, const Recurrence* r, real* panels) noexcept nogil:
    cdef const real* U = <const real*> here.params + layer.places[1]
    cdef Py_ssize_t first = 2 * r.units if r.cell == GRU_CELL else r.gates
    make_panels(r.units, first, U, 1, r.gates, panels)
    if first < r.gates:
        make_panels(r.units, r.gates - first, U + first, 1, r.gates, panels + size_of_panels(r.units, first))


cdef inline void slopes_before(const Recurrence* r, Py_ssize_t n, const real* slopes, const real* panels, real* dh,
                               Worker* worker) noexcept nogil:
    """dh of n rows before a step: their slopes times U^T, which of a GRU are added to what is there."""
    if r.cell != GRU_CELL:
        by_panels(n, r.units, r.gates, slopes, r.slopes, panels, dh, r.units, <real*> NULL, False, <real*> worker.panel)
        return
    by_panels(n, r.units, 2 * r.units, slopes, r.slopes, panels, dh, r.units, <real*> NULL, True, <real*> worker.panel)
    by_panels(n, r.units, r.units, slopes + 3 * r.units, r.slopes, panels + size_of_panels(r.units, 2 * r.units), dh, r.units,
              <real*> NULL, True, <real*> worker.panel)


cdef void add_collected(const Layer* layer, const Pass* here, Collection* collected, real* dA, bint accumulate, real* partial,
                        Worker* worker) noexcept nogil:
    """To the group's gradient [x, h]^T times the slopes and their sums, and dA of these positions."""
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t width = r.channels + r.units, i
    cdef const real* xh = <const real*> collected.xh
    cdef const real* slopes = <const real*> collected.slopes
    cdef real* dU = partial + r.channels * r.gates
    cdef real* dx = <real*> collected.dx
    cdef real* panel = <real*> worker.panel
    if r.cell != GRU_CELL:
        own(width, r.gates, collected.n, xh, 1, width, slopes, r.slopes, 1, partial, r.gates, <real*> NULL, True, panel)
    else:
        own(r.channels, r.gates, collected.n, xh, 1, width, slopes, r.slopes, 1, partial, r.gates, <real*> NULL, True, panel)
        xh += r.channels
        own(r.units, 2 * r.units, collected.n, xh, 1, width, slopes, r.slopes, 1, dU, r.gates, <real*> NULL, True, panel)
        own(r.units, r.units, collected.n, xh, 1, width, slopes + 3 * r.units, r.slopes, 1, dU + 2 * r.units, r.gates, <real*> NULL, True,
            panel)
    column_sums(slopes, partial + width * r.gates, collected.n, r.slopes, True)
    if dA != NULL:
        own(collected.n, r.channels, r.gates, slopes, r.slopes, 1, <const real*> here.params + layer.places[0], 1, r.gates, dx, r.channels,
            <real*> NULL, False, panel)
        for i in range(collected.n):
            copy_or_add(dA + collected.place[i] * r.channels, dx + i * r.channels, r.channels, accumulate)
    collected.n = 0


cdef void rnn_backward(int cell, Py_ssize_t n, const real* restrict h, const real* restrict dZ, const real* restrict dh,
                       real* restrict slopes) noexcept nogil:
    cdef Py_ssize_t j
    cdef real one = 1               # a bare 1 is one of float64, and so is what it is taken from
    if cell == TANH_CELL:
        for j in range(n):
            slopes[j] = (dh[j] + dZ[j]) * (one - h[j] * h[j])
    else:
        for j in range(n):
            slopes[j] = dh[j] + dZ[j] if h[j] > 0 else 0


cdef void lstm_backward(Py_ssize_t n, const real* restrict kept, const real* restrict c_before, const real* restrict h,
                        const real* restrict dZ, const real* restrict dh, real* restrict dc, real* restrict slopes) noexcept nogil:
    """`c_before` is NULL in the first step."""
    cdef Py_ssize_t j
    cdef real i, f, g, o, tc, d, slope, one = 1, least = <real> 1.2e-38
    for j in range(n):
        i = kept[j]
        f = kept[n + j]
        g = kept[2 * n + j]
        o = kept[3 * n + j]
        tc = h[j] / (o if o > least else least)         # tanh(c), for a division; o may have been flushed to zero
        d = dh[j] + dZ[j]
        slope = dc[j] + d * o * (one - tc * tc)
        dc[j] = slope * f
        slopes[j] = slope * g * i * (one - i)
        slopes[n + j] = slope * f * (one - f)
        slopes[2 * n + j] = slope * i * (one - g * g)
        slopes[3 * n + j] = d * tc * o * (one - o)
    if c_before == NULL:
        memset(slopes + n, 0, n * sizeof(real))
    else:
        for j in range(n):
            slopes[n + j] = slopes[n + j] * c_before[j]


cdef void gru_backward(Py_ssize_t n, const real* restrict kept, const real* restrict h_before, const real* restrict dZ,
                       real* restrict dh, real* restrict slopes) noexcept nogil:
    cdef Py_ssize_t j
    cdef real r, z, new, d, slope, one = 1
    for j in range(n):
        r = kept[j]
        z = kept[n + j]
        new = kept[2 * n + j]
        d = dh[j] + dZ[j]
        slope = d * (one - z) * (one - new * new)
        slopes[j] = slope * kept[3 * n + j] * r * (one - r)
        slopes[n + j] = d * z * (one - z) * (h_before[j] - new)
        slopes[2 * n + j] = slope
        slopes[3 * n + j] = slope * r
        dh[j] = d * z


cdef void recurrent_gradient(const Layer* layer, const Pass* here, const Tile* tile, real* g, Py_ssize_t g_row,
                             bint accumulate) noexcept nogil:
    """The sum of what the groups of rows have left, in their order."""
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t first = (tile.first_row + (r.channels if tile.part == 1 else 0)) * r.gates + tile.first_column, group, i
    cdef Py_ssize_t split = tile.columns
    cdef const real* partial = <const real*> here.partials[layer.number]
    if tile.part >= 2:
        first = (r.channels + r.units) * r.gates
        split = 2 * r.units if tile.part == 3 else tile.columns     # the slopes of a GRU's Q of n lie behind those of its P
    for group in range((here.rows + here.group_rows - 1) // here.group_rows):
        for i in range(tile.rows):
            copy_or_add(g + i * g_row, partial + first + i * r.gates, split, accumulate or group > 0)
        copy_or_add(g + split, partial + first + split + r.units, tile.columns - split, accumulate or group > 0)
        partial += layer.partial
