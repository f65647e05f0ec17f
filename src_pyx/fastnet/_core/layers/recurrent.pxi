# Recurrence over the steps of a row: h[t] from x[t] = A[t] and h[t-1]; before the first step it is 0. With P = x W + b:
#
#     RNN    h = g(P + h U), g being tanh or the ReLU
#     LSTM   i, f, g, o = P + h U, then sigmoids, but tanh for g; c = f c + i g, h = o tanh(c)        (Hochreiter & Schmidhuber 1997)
#     GRU    r, z, n = P and Q = h U + c; r, z = sigmoid(P + Q), n = tanh(P + r Q), h = (1 - z) n + z h              (Cho et al. 2014)
#
# Some rows go through all steps together, so that each step is one product of [x, h] with [W; U], which lie one after the other in
# the flat vector. They are sorted by their lengths: those that have a step are always the first.
#
#     dims      cell, steps, channels, units, whether steps go from a row's last to its first, whether it carries states
#     sources   A, and perhaps lengths; of a layer that carries states those before the first step: h, and c of an LSTM
#     segments  W (channels, gates * units), U (units, gates * units), b (gates * units), of a GRU c (gates * units)
#     kept      for each step the values of the gates, in place of which the way back leaves the slopes of P, and of a GRU's Q of n;
#               of an LSTM c, too
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


cdef struct Recurrence:
    Py_ssize_t steps
    Py_ssize_t channels
    Py_ssize_t units
    Py_ssize_t gates                # numbers of P
    Py_ssize_t made                 # numbers that the products of a step make: P, and of a GRU Q
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
    r.kept = r.units * (5 if r.cell == LSTM_CELL else 4 if r.cell == GRU_CELL else 1)
    return r


cdef int recurrent_plan(Plan plan, Layer* layer) except -1:
    cdef Recurrence r
    cdef Py_ssize_t n_states = layer.dims[R_UNITS] * (2 if layer.dims[R_CELL] == LSTM_CELL else 1), most
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
    layer.keeps_slopes = True
    layer.cost = <double> r.steps * r.gates * (r.channels + r.units)
    plan.add_segment(layer, r.channels, r.gates, PENALISED | BY_COLUMNS)
    plan.add_segment(layer, r.units, r.gates, PENALISED | BY_COLUMNS)
    plan.add_segment(layer, 1, r.gates, WHOLE_TILE)
    if r.cell == GRU_CELL:
        plan.add_segment(layer, 1, r.gates, WHOLE_TILE)
    most = max(r.channels + r.units + r.made + r.units, r.gates + 2 * r.units)
    plan.room = max(plan.room, ROWS_TOGETHER * most + r.gates * r.units)
    plan.needs_panel = True
    return 0


cdef void take_rows_together(const Layer* layer, const Pass* here, Py_ssize_t first, RowsTogether* rows, real* unused) noexcept nogil:
    """Rows from `first` on and their lengths, sorted by these."""
    cdef const real* lengths = NULL if layer.dims[R_CARRIES] else lengths_of(layer, here, 1, <real*> NULL)
    cdef Py_ssize_t i, place, length
    rows.n = min(here.rows - first, <Py_ssize_t> ROWS_TOGETHER)
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
    while first < here.rows and not ended(worker):
        take_rows_together(layer, here, first, &rows, <real*> NULL)
        rows_through_steps(layer, here, &rows, A, Z, worker)
        first += rows.n


cdef void rows_through_steps(const Layer* layer, const Pass* here, const RowsTogether* rows, const real* A, real* Z,
                             Worker* worker) noexcept nogil:
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t width = r.channels + r.units, n = rows.n, i, t, place
    cdef real* xh = <real*> worker.room                     # (n, channels + units)
    cdef real* made = xh + ROWS_TOGETHER * width            # (n, r.made)
    cdef real* c = made + ROWS_TOGETHER * r.made            # (n, units)
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef real* kept_step = NULL
    begin_states(layer, here, rows, xh, c, Z)
    for t in range(rows.length[0]):
        while rows.length[n - 1] <= t:
            n -= 1
        for i in range(n):
            memcpy(xh + i * width, A + (rows.row[i] * r.steps + step_place(layer, rows, i, t)) * r.channels, r.channels * sizeof(real))
        step_products(layer, here, &r, xh, made, n, worker)
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


cdef void step_products(const Layer* layer, const Pass* here, const Recurrence* r, const real* xh, real* made, Py_ssize_t n,
                        Worker* worker) noexcept nogil:
    """P + h U of n rows, or of a GRU P and Q."""
    cdef Py_ssize_t width = r.channels + r.units
    cdef const real* W = <const real*> here.params + layer.places[0]
    cdef const real* U = <const real*> here.params + layer.places[1]
    cdef const real* b = <const real*> here.params + layer.places[2]
    if r.cell == GRU_CELL:
        forward_product(xh, width, W, b, made, r.made, n, r.channels, r.gates, False, worker)
        forward_product(xh + r.channels, width, U, <const real*> here.params + layer.places[3], made + r.gates, r.made, n, r.units, r.gates,
                        False, worker)
    else:
        forward_product(xh, width, W, b, made, r.made, n, width, r.gates, False, worker)


cdef inline void cell_forward(const Recurrence* r, const real* made, real* h, real* c, real* kept) noexcept nogil:
    """h and c after a step of one row, and what the way back reads of it (kept is NULL if there is none)."""
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
    if kept == NULL:
        for j in range(n):
            c[j] = sigmoid_(P[n + j]) * c[j] + sigmoid_(P[j]) * tanh_(P[2 * n + j])
            h[j] = sigmoid_(P[3 * n + j]) * tanh_(c[j])
        return
    for j in range(n):
        i = sigmoid_(P[j])
        f = sigmoid_(P[n + j])
        g = tanh_(P[2 * n + j])
        o = sigmoid_(P[3 * n + j])
        c[j] = f * c[j] + i * g
        h[j] = o * tanh_(c[j])
        kept[j] = i
        kept[n + j] = f
        kept[2 * n + j] = g
        kept[3 * n + j] = o
        kept[4 * n + j] = c[j]


cdef void gru_forward(Py_ssize_t n, const real* restrict P, real* restrict h, real* restrict kept) noexcept nogil:
    cdef Py_ssize_t j
    cdef real r, z, new
    cdef const real* Q = P + 3 * n
    if kept == NULL:
        for j in range(n):
            new = tanh_(P[2 * n + j] + sigmoid_(P[j] + Q[j]) * Q[2 * n + j])
            h[j] = new + sigmoid_(P[n + j] + Q[n + j]) * (h[j] - new)
        return
    for j in range(n):
        r = sigmoid_(P[j] + Q[j])
        z = sigmoid_(P[n + j] + Q[n + j])
        new = tanh_(P[2 * n + j] + r * Q[2 * n + j])
        h[j] = new + z * (h[j] - new)
        kept[j] = r
        kept[n + j] = z
        kept[2 * n + j] = new
        kept[3 * n + j] = Q[2 * n + j]


cdef void recurrent_backward(const Layer* layer, const Pass* here, const real* dZ, real* dA, bint accumulate, Worker* worker) noexcept nogil:
    """The slopes of P in `kept`, and dA = theirs times W^T, unless dA is NULL."""
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t first = 0, i, j
    cdef RowsTogether rows
    cdef const real* U = <const real*> here.params + layer.places[1]
    cdef real* transposed = <real*> worker.room
    for i in range(r.units):
        for j in range(r.gates):
            transposed[j * r.units + i] = U[i * r.gates + j]
    while first < here.rows and not ended(worker):
        take_rows_together(layer, here, first, &rows, <real*> NULL)
        rows_back_through_steps(layer, here, &rows, dZ, transposed, worker)
        if dA != NULL:
            for i in range(rows.n):
                input_slopes(layer, here, rows.row[i], rows.length[i], dA + rows.row[i] * r.steps * r.channels, accumulate, worker)
        first += rows.n


cdef void input_slopes(const Layer* layer, const Pass* here, Py_ssize_t row, Py_ssize_t length, real* dA, bint accumulate,
                       Worker* worker) noexcept nogil:
    cdef Recurrence r = recurrence_of(layer)
    cdef const real* W = <const real*> here.params + layer.places[0]
    own(length, r.channels, r.gates, kept_rows(layer, here, <real*> NULL) + row * layer.kept, r.kept, 1, W, 1, r.gates, dA, r.channels,
        <real*> NULL, accumulate, <real*> worker.panel)
    if not accumulate:
        memset(dA + length * r.channels, 0, (r.steps - length) * r.channels * sizeof(real))


cdef void rows_back_through_steps(const Layer* layer, const Pass* here, const RowsTogether* rows, const real* dZ, const real* transposed,
                                  Worker* worker) noexcept nogil:
    cdef Recurrence r = recurrence_of(layer)
    cdef Py_ssize_t n = 0, i, t, place
    cdef real* slopes = <real*> worker.room + r.gates * r.units     # (n, gates): of h U
    cdef real* dh = slopes + ROWS_TOGETHER * r.gates                # (n, units)
    cdef real* dc = dh + ROWS_TOGETHER * r.units
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef const real* Z = output_rows(layer, here, <real*> NULL)
    cdef const real* dz
    cdef Py_ssize_t before = r.units if layer.dims[R_REVERSED] else -r.units       # from h of a step to that of the one before it
    memset(dh, 0, ROWS_TOGETHER * 2 * r.units * sizeof(real))
    for t in range(rows.length[0] - 1, -1, -1):
        while n < rows.n and rows.length[n] > t:
            n += 1
        for i in range(n):
            place = rows.row[i] * r.steps + step_place(layer, rows, i, t)
            cell_backward(&r, kept + place * r.kept, before // r.units * r.kept, Z + place * r.units, before, dZ + place * r.units, t == 0,
                          dh + i * r.units, dc + i * r.units, slopes + i * r.gates)
        if t > 0:
            own(n, r.units, r.gates, slopes, r.gates, 1, transposed, r.units, 1, dh, r.units, <real*> NULL, r.cell == GRU_CELL,
                <real*> worker.panel)
        if ended(worker):
            return


cdef inline void cell_backward(const Recurrence* r, real* kept, Py_ssize_t kept_before, const real* h, Py_ssize_t before, const real* dZ,
                               bint is_first, real* dh, real* dc, real* slopes) noexcept nogil:
    """From dh and dc after a step of one row, without its dZ, to the slopes, and to what dh and dc are before it without h U.

    What the step before has kept lies `kept_before` numbers away, and its h `before`, unless this `is_first`.
    """
    if r.cell == LSTM_CELL:
        lstm_backward(r.units, kept, kept + kept_before + 4 * r.units if not is_first else NULL, dZ, dh, dc, slopes)
    elif r.cell == GRU_CELL:
        gru_backward(r.units, kept, h + before if not is_first else NULL, dZ, dh, slopes)
    else:
        rnn_backward(r.cell, r.units, h, dZ, dh, kept, slopes)


cdef void rnn_backward(int cell, Py_ssize_t n, const real* restrict h, const real* restrict dZ, const real* restrict dh,
                       real* restrict kept, real* restrict slopes) noexcept nogil:
    cdef Py_ssize_t j
    if cell == TANH_CELL:
        for j in range(n):
            slopes[j] = (dh[j] + dZ[j]) * (1 - h[j] * h[j])
    else:
        for j in range(n):
            slopes[j] = dh[j] + dZ[j] if h[j] > 0 else 0
    memcpy(kept, slopes, n * sizeof(real))


cdef void lstm_backward(Py_ssize_t n, real* restrict kept, const real* restrict c_before, const real* restrict dZ,
                        const real* restrict dh, real* restrict dc, real* restrict slopes) noexcept nogil:
    cdef Py_ssize_t j
    cdef real i, f, g, o, tc, d, slope
    for j in range(n):
        i = kept[j]
        f = kept[n + j]
        g = kept[2 * n + j]
        o = kept[3 * n + j]
        tc = tanh_(kept[4 * n + j])
        d = dh[j] + dZ[j]
        slope = dc[j] + d * o * (1 - tc * tc)
        dc[j] = slope * f
        slopes[j] = slope * g * i * (1 - i)
        slopes[n + j] = slope * f * (1 - f)
        slopes[2 * n + j] = slope * i * (1 - g * g)
        slopes[3 * n + j] = d * tc * o * (1 - o)
    if c_before == NULL:
        memset(slopes + n, 0, n * sizeof(real))
    else:
        for j in range(n):
            slopes[n + j] = slopes[n + j] * c_before[j]
    memcpy(kept, slopes, 4 * n * sizeof(real))


cdef void gru_backward(Py_ssize_t n, real* restrict kept, const real* restrict h_before, const real* restrict dZ, real* restrict dh,
                       real* restrict slopes) noexcept nogil:
    cdef Py_ssize_t j
    cdef real r, z, new, q, d, slope
    for j in range(n):
        r = kept[j]
        z = kept[n + j]
        new = kept[2 * n + j]
        q = kept[3 * n + j]
        d = dh[j] + dZ[j]
        slope = d * (1 - z) * (1 - new * new)
        slopes[j] = slope * q * r * (1 - r)
        slopes[n + j] = d * z * (1 - z) * (((h_before[j]) if h_before != NULL else 0) - new)
        slopes[2 * n + j] = slope * r
        dh[j] = d * z
        kept[2 * n + j] = slope
        kept[3 * n + j] = slope * r
    memcpy(kept, slopes, 2 * n * sizeof(real))


cdef void recurrent_gradient(const Layer* layer, const Pass* here, const Tile* tile, const real* A, real* g, Py_ssize_t g_row,
                             bint accumulate, Worker* worker) noexcept nogil:
    """dW = x^T dP, dU = h^T dQ with the h before each step, and the sums of these slopes over steps. A signal leaves it unfinished."""
    cdef Recurrence r = recurrence_of(layer)
    cdef bint of_state = tile.part % 2 == 1        # U and c
    cdef Py_ssize_t split = max(min(2 * r.units - tile.first_column, tile.columns), <Py_ssize_t> 0), i
    if r.cell != GRU_CELL or not of_state:
        split = tile.columns
    if not accumulate:
        for i in range(tile.rows):
            memset(g + i * g_row, 0, tile.columns * sizeof(real))
    for i in range(here.rows):
        if ended(worker):
            return
        if split > 0:
            gradient_of_row(layer, here, tile, A, i, tile.first_column, split, g, g_row, worker)
        if split < tile.columns:                    # the slopes of a GRU's Q of n lie behind those of its P
            gradient_of_row(layer, here, tile, A, i, tile.first_column + split + r.units, tile.columns - split, g + split, g_row, worker)


cdef void gradient_of_row(const Layer* layer, const Pass* here, const Tile* tile, const real* A, Py_ssize_t row, Py_ssize_t first,
                          Py_ssize_t columns, real* g, Py_ssize_t g_row, Worker* worker) noexcept nogil:
    """What a row adds to a tile, by the slopes from the one numbered `first` on."""
    cdef Recurrence r = recurrence_of(layer)
    cdef const real* lengths = lengths_of(layer, here, 1, <real*> NULL)
    cdef const real* slopes = kept_rows(layer, here, <real*> NULL) + row * layer.kept + first
    cdef Py_ssize_t length = n_positions(lengths, row, r.steps), step = r.kept if not layer.dims[R_REVERSED] else 0
    cdef const real* h
    cdef real one = 1
    if tile.part >= 2:
        own(1, columns, length, &one, 0, 0, slopes, r.kept, 1, g, g_row, <real*> NULL, True, <real*> worker.panel)
    elif tile.part == 0:
        own(tile.rows, columns, length, A + row * r.steps * r.channels + tile.first_row, 1, r.channels, slopes, r.kept, 1, g, g_row,
            <real*> NULL, True, <real*> worker.panel)
    elif length > 1:
        h = output_rows(layer, here, <real*> NULL) + row * layer.n_out + (0 if not layer.dims[R_REVERSED] else r.units) + tile.first_row
        own(tile.rows, columns, length - 1, h, 1, r.units, slopes + step, r.kept, 1, g, g_row, <real*> NULL, True, <real*> worker.panel)
