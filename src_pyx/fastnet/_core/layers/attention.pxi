# Attention (Vaswani et al. 2017), without the linear maps before and after it, which are layers of their own. Of each head,
#
#     Z = P V,    P = softmax of factor Q K^T, over the keys
#
#     dims      heads, queries, keys, n: numbers of a position (of all heads), whether it is causal: query i sees keys 0 .. i, and
#               whether it is alone: queries and keys are the same positions
#     option    factor
#     sources   alone Q, K and V side by side (positions, 3 n); else Q (queries, n), then K and V (keys, 2 n). Perhaps lengths after
#               them: how many keys there are, and alone as many queries
#     kept      the largest score of each head and query, and one over the sum of its exponentials
#
# Scores are made for some queries at a time, and anew on the way back: nowhere are there queries x keys numbers. They lie
# transposed, (keys, queries), so that a softmax goes down a column and loops along rows have nothing to sum up.

cdef enum:
    T_HEADS
    T_QUERIES
    T_KEYS
    T_NUMBERS
    T_CAUSAL
    T_ALONE
    QUERIES_AT_A_TIME = 32          # of a panel of a product; their scores stay in the first-level cache


cdef struct Attention:
    bint alone
    Py_ssize_t heads
    Py_ssize_t numbers              # of a position, and of one head
    Py_ssize_t of_head
    Py_ssize_t q_step               # from one position to the next
    Py_ssize_t kv_step
    Py_ssize_t k_place              # where in a position its key and its value begin
    Py_ssize_t v_place


cdef struct Glance:
    # Some queries of a row and the keys that they see.
    Py_ssize_t head
    Py_ssize_t first                # query
    Py_ssize_t queries
    Py_ssize_t keys
    bint causal


cdef Attention attention_of(const Layer* layer) noexcept nogil:
    cdef Attention a
    cdef Py_ssize_t n = layer.dims[T_NUMBERS]
    a.heads, a.numbers, a.of_head = layer.dims[T_HEADS], n, n // layer.dims[T_HEADS]
    a.alone = layer.dims[T_ALONE]
    a.q_step, a.kv_step = 3 * n if a.alone else n, 3 * n if a.alone else 2 * n
    a.k_place, a.v_place = n if a.alone else 0, 2 * n if a.alone else n
    return a


cdef int attention_plan(Plan plan, Layer* layer) except -1:
    cdef Py_ssize_t heads = layer.dims[T_HEADS], queries = layer.dims[T_QUERIES], keys = layer.dims[T_KEYS], n = layer.dims[T_NUMBERS]
    cdef bint alone = layer.dims[T_ALONE], fits
    if min(heads, queries, keys, n) < 1 or max(queries, keys, n) > 2147483647 or n % heads:
        plan.refuse(layer, f"{heads} heads of {n} numbers cannot attend from {queries} to {keys} positions")
    check_lengths(plan, layer, 1 if alone else 2)
    if alone:
        fits = queries == keys and layer.sources[0].width == 3 * n * queries
    else:
        fits = layer.n_sources > 1 and layer.sources[0].width == n * queries and layer.sources[1].width == 2 * n * keys \
            and not layer.dims[T_CAUSAL]
    if not fits:
        plan.refuse(layer, f"these are not {queries} queries, {keys} keys and as many values of {n} numbers")
    if layer.activation != IDENTITY or layer.dropout > 0:
        plan.refuse(layer, "attention: its way back reads its output, which must have no activation and no dropout")
    layer.n_out = queries * n
    layer.kept = 2 * heads * queries
    layer.cost = (1.0 if layer.dims[T_CAUSAL] else 2.0) * queries * keys * n
    plan.needs_panel = True
    plan.room = max(plan.room, (2 * keys + 3) * QUERIES_AT_A_TIME)
    return 0


cdef inline Glance glance_of(const Layer* layer, Py_ssize_t head, Py_ssize_t first, Py_ssize_t queries, Py_ssize_t keys) noexcept nogil:
    cdef Glance glance
    glance.head, glance.first, glance.queries = head, first, min(queries - first, <Py_ssize_t> QUERIES_AT_A_TIME)
    glance.causal = layer.dims[T_CAUSAL]
    glance.keys = min(keys, first + glance.queries) if glance.causal else keys
    return glance


cdef void hide(const Glance* glance, real* S) noexcept nogil:
    """Scores S (keys, queries) of keys that come after a query are those of no key: no loop over rows has a remainder."""
    cdef Py_ssize_t j, q
    if glance.causal:
        for j in range(glance.first + 1, glance.keys):
            for q in range(j - glance.first):
                S[j * glance.queries + q] = -<real> INFINITY


cdef inline void take_maxima(real* restrict most, const real* restrict s, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(n):
        most[q] = s[q] if s[q] > most[q] else most[q]


cdef inline void exponentials(real* restrict s, const real* restrict most, real* restrict total, real factor, Py_ssize_t n) noexcept nogil:
    """s = exp(factor (s - most)), which is added to the total."""
    cdef Py_ssize_t q
    for q in range(n):
        s[q] = exp_(factor * (s[q] - most[q]))
        total[q] = total[q] + s[q]


cdef inline void score_slopes(real* restrict d, real* restrict s, const real* restrict most, const real* restrict inverse,
                              const real* restrict mean, real factor, Py_ssize_t n) noexcept nogil:
    """From scores to probabilities p, exp(factor (s - most)) times one over the sum of these, and from the slopes of these to those of
    scores: factor p (d - the mean of d by p)."""
    cdef Py_ssize_t q
    for q in range(n):
        s[q] = exp_(factor * (s[q] - most[q])) * inverse[q]
        d[q] = factor * s[q] * (d[q] - mean[q])


cdef void softmax_of_queries(const Glance* glance, real* S, real* most, real* inverse, real factor) noexcept nogil:
    """From scores S (keys, queries) to their exponentials, the largest score of each query and one over its sum."""
    cdef Py_ssize_t n = glance.queries, j
    memcpy(most, S, n * sizeof(real))
    for j in range(1, glance.keys):
        take_maxima(most, S + j * n, n)
    memset(inverse, 0, n * sizeof(real))
    for j in range(glance.keys):
        exponentials(S + j * n, most, inverse, factor, n)
    for j in range(n):
        inverse[j] = 1 / inverse[j]


cdef void attention_forward(const Layer* layer, const Pass* here, const real* A, real* Z, Worker* worker) noexcept nogil:
    cdef Attention a = attention_of(layer)
    cdef const real* lengths = lengths_of(layer, here, 1 if a.alone else 2, <real*> NULL)
    cdef const real* kv = A if a.alone else source_rows(layer, here, 1, <real*> NULL)
    cdef real* kept = kept_rows(layer, here, <real*> NULL)
    cdef Py_ssize_t r, h, first, queries, keys
    cdef Glance glance
    for r in range(here.rows):
        keys = n_positions(lengths, r, layer.dims[T_KEYS])
        queries = keys if a.alone else layer.dims[T_QUERIES] if keys > 0 else 0
        memset(Z + queries * a.numbers, 0, (layer.dims[T_QUERIES] - queries) * a.numbers * sizeof(real))
        for h in range(a.heads):
            first = 0
            while first < queries:
                glance = glance_of(layer, h, first, queries, keys)
                attend(layer, &a, &glance, A, kv, Z, kept, worker)
                first += glance.queries
        if ended(worker):
            return
        A += layer.sources[0].width
        kv += layer.sources[0 if a.alone else 1].width
        Z += layer.n_out
        if kept != NULL:
            kept += layer.kept


cdef inline void make_scores(const Attention* a, const Glance* glance, const real* Q, const real* kv, real* S,
                             Worker* worker) noexcept nogil:
    """S (keys, queries) = K Q^T of a head, where a query sees a key."""
    cdef Py_ssize_t place = glance.head * a.of_head
    own(glance.keys, glance.queries, a.of_head, kv + a.k_place + place, a.kv_step, 1, Q + glance.first * a.q_step + place, 1, a.q_step,
        S, glance.queries, <real*> NULL, False, <real*> worker.panel)
    hide(glance, S)


cdef void attend(const Layer* layer, const Attention* a, const Glance* glance, const real* Q, const real* kv, real* Z, real* kept,
                 Worker* worker) noexcept nogil:
    """What some queries of a head make of a row."""
    cdef Py_ssize_t n = glance.queries, q, j
    cdef real* S = <real*> worker.room
    cdef real* most = S + glance.keys * n
    cdef real* inverse = most + n
    cdef real* z = Z + glance.first * a.numbers + glance.head * a.of_head
    make_scores(a, glance, Q, kv, S, worker)
    softmax_of_queries(glance, S, most, inverse, <real> layer.option)
    own(n, a.of_head, glance.keys, S, 1, n, kv + a.v_place + glance.head * a.of_head, a.kv_step, 1, z, a.numbers, <real*> NULL, False,
        <real*> worker.panel)
    for q in range(n):
        for j in range(a.of_head):
            z[q * a.numbers + j] = z[q * a.numbers + j] * inverse[q]
    if kept != NULL:
        kept += 2 * (glance.head * layer.dims[T_QUERIES] + glance.first)
        memcpy(kept, most, n * sizeof(real))
        memcpy(kept + n, inverse, n * sizeof(real))


cdef void attention_backward(const Layer* layer, const Pass* here, Py_ssize_t source, const real* dZ, real* dA, bint accumulate,
                             Worker* worker) noexcept nogil:
    """With D = dZ V^T and dS = factor P (D - the row sums of D P): dQ = dS K, dK = dS^T Q, dV = P^T dZ."""
    cdef Attention a = attention_of(layer)
    cdef const real* lengths = lengths_of(layer, here, 1 if a.alone else 2, <real*> NULL)
    cdef const real* Q = source_rows(layer, here, 0, <real*> NULL)
    cdef const real* kv = source_rows(layer, here, 0 if a.alone else 1, <real*> NULL)
    cdef const real* Z = output_rows(layer, here, <real*> NULL)
    cdef const real* kept = kept_rows(layer, here, <real*> NULL)
    cdef Py_ssize_t r, h, first, queries, keys, width = layer.sources[source].width
    cdef Glance glance
    if not accumulate:
        memset(dA, 0, here.rows * width * sizeof(real))
    for r in range(here.rows):
        keys = n_positions(lengths, r, layer.dims[T_KEYS])
        queries = keys if a.alone else layer.dims[T_QUERIES] if keys > 0 else 0
        for h in range(a.heads):
            first = 0
            while first < queries:
                glance = glance_of(layer, h, first, queries, keys)
                attend_backward(layer, &a, &glance, Q, kv, Z, kept, dZ, dA if a.alone or source == 0 else NULL,
                                dA if a.alone or source == 1 else NULL, worker)
                first += glance.queries
        if ended(worker):
            return
        Q += layer.sources[0].width
        kv += layer.sources[0 if a.alone else 1].width
        Z += layer.n_out
        dZ += layer.n_out
        dA += width
        kept += layer.kept


cdef void attend_backward(const Layer* layer, const Attention* a, const Glance* glance, const real* Q, const real* kv, const real* Z,
                          const real* kept, const real* dZ, real* dQ, real* dkv, Worker* worker) noexcept nogil:
    """What some queries of a head add to dQ, and to dK and dV; NULL: not wanted."""
    cdef Py_ssize_t n = glance.queries, keys = glance.keys, place = glance.head * a.of_head, j, q
    cdef Py_ssize_t z_place = glance.first * a.numbers + place
    cdef real factor = <real> layer.option
    cdef real* P = <real*> worker.room
    cdef real* D = P + keys * n
    cdef real* mean = D + keys * n
    cdef const real* most = kept + 2 * (glance.head * layer.dims[T_QUERIES] + glance.first)
    make_scores(a, glance, Q, kv, P, worker)
    own(keys, n, a.of_head, kv + a.v_place + place, a.kv_step, 1, dZ + z_place, 1, a.numbers, D, n, <real*> NULL, False,
        <real*> worker.panel)
    for q in range(n):
        mean[q] = product_sum(Z + z_place + q * a.numbers, dZ + z_place + q * a.numbers, a.of_head)
    for j in range(keys):
        score_slopes(D + j * n, P + j * n, most, most + n, mean, factor, n)
    if dQ != NULL:
        own(n, a.of_head, keys, D, 1, n, kv + a.k_place + place, a.kv_step, 1, dQ + glance.first * a.q_step + place, a.q_step,
            <real*> NULL, True, <real*> worker.panel)
    if dkv != NULL:
        own(keys, a.of_head, n, D, n, 1, Q + glance.first * a.q_step + place, a.q_step, 1, dkv + a.k_place + place, a.kv_step,
            <real*> NULL, True, <real*> worker.panel)
        own(keys, a.of_head, n, P, n, 1, dZ + z_place, a.numbers, 1, dkv + a.v_place + place, a.kv_step, <real*> NULL, True,
            <real*> worker.panel)
