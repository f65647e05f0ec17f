# The outputs and losses of some rows, for one model or for the members of an ensemble, whose outputs stand side by side in a row.

cdef struct Head:
    # What the output layer of some rows works in, k being the sets of outputs, of members or positions, and n the outputs of one.
    int* labels             # (rows k,)
    void* values            # (rows k, n) targets
    void* weights           # (rows k,)
    void* mean              # (rows, n) outputs, and
    void* slopes            # (rows, n) the loss's derivative by them, where it is the loss of the mean
    void* log_sums          # (rows k,)
    double* set_losses      # (rows k,), unless k is 1
    double* losses          # (rows,)


cdef Head lay_head(char** place, Py_ssize_t rows, const Loss* loss, const Targets* targets, Py_ssize_t n, Py_ssize_t item) noexcept nogil:
    """Buffers for so many rows, taken from `place`."""
    cdef Head head
    cdef Py_ssize_t k = loss.n_sets
    cdef bint values = targets.values != NULL or loss.of_mean
    head.losses = <double*> part(place, rows * sizeof(double))
    head.set_losses = <double*> part(place, rows * k * sizeof(double) if k > 1 else 0)
    head.log_sums = part(place, rows * k * item)
    head.weights = part(place, rows * k * item if targets.weights != NULL else 0)
    head.labels = <int*> part(place, rows * k * sizeof(int) if targets.labels != NULL else 0)
    head.values = part(place, rows * k * n * item if values else 0)
    head.mean = part(place, rows * n * item if loss.of_mean else 0)
    head.slopes = part(place, rows * n * item if loss.of_mean else 0)
    return head


cdef inline Head head_at(const Head* head, Py_ssize_t row, Py_ssize_t k, Py_ssize_t n, real* unused) noexcept nogil:
    """The same buffers from a row on."""
    cdef Head here
    here.losses = head.losses + row
    here.set_losses = head.set_losses + row * k
    here.log_sums = <real*> head.log_sums + row * k
    here.weights = <real*> head.weights + row * k
    here.labels = head.labels + row * k
    here.values = <real*> head.values + row * k * n
    here.mean = <real*> head.mean + row * n
    here.slopes = <real*> head.slopes + row * n
    return here


cdef const real* gathered(const void* data, const uint32* order, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t copies,
                          real* to) noexcept nogil:
    """Rows of n numbers, `copies` of each: where they lie, or copied."""
    cdef const real* source = <const real*> data
    cdef Py_ssize_t r, c
    if data == NULL:
        return NULL
    if order == NULL and copies == 1:
        return source + start * n
    for r in range(rows):
        for c in range(copies):
            if n == 1:
                to[r * copies + c] = source[order[start + r] if order != NULL else start + r]
            else:
                copy_row(to + (r * copies + c) * n, source + (order[start + r] if order != NULL else start + r) * n, n * sizeof(real))
    return to


cdef const int* gathered_labels(const Targets* targets, int n_classes, const uint32* order, Py_ssize_t start, Py_ssize_t rows,
                                Py_ssize_t copies, int* labels) noexcept nogil:
    """Class numbers of rows, `copies` of each, or NULL if the targets are values."""
    cdef Py_ssize_t r, c
    if labels_of(targets, n_classes, order, start, rows, labels) == NULL:
        return NULL
    if copies > 1:
        for r in range(rows - 1, -1, -1):
            for c in range(copies - 1, -1, -1):
                labels[r * copies + c] = labels[r]
    return labels


cdef void output_losses(const Pass* here, const Loss* loss, const Targets* targets, const Head* head, double scale,
                        real* unused) noexcept nogil:
    """From Z[L] of some rows to A[L], their weighted losses and, on a pass that has a way back, dZ[L] = scale * d(loss) /
    dZ[L]."""
    cdef const Layer* layer = here.layers + here.n_layers - 1
    cdef Py_ssize_t k = loss.n_sets, n = layer.n_out // k, copies = 1 if loss.of_mean or loss.of_positions else k, r, c
    cdef real* A = rows_at(here.A, here.n_layers, layer.n_out, here, <real*> NULL)
    cdef real* dZ = rows_at(here.dZ, here.n_layers, layer.n_out, here, <real*> NULL) if here.dZ != NULL else NULL
    cdef real* D = rows_at(here.D, here.n_layers, layer.n_out, here, <real*> NULL) if here.D != NULL and layer.keeps else NULL
    cdef const int* labels
    cdef const real* Y
    cdef const real* weights = gathered(targets.weights, here.order, here.start, here.rows, 1, copies, <real*> head.weights)
    cdef double total
    if loss.of_positions:
        labels_of_positions(targets, <int> n, k, here.order, here.start, here.rows, head.labels)
        weigh_positions(head.labels, weights, <real*> head.weights, here.rows, k)
        labels, Y, weights = head.labels, NULL, <real*> head.weights
    else:
        labels = gathered_labels(targets, <int> n, here.order, here.start, here.rows, copies, head.labels)
        Y = gathered(targets.values, here.order, here.start, here.rows, n, copies, <real*> head.values)
    if loss.of_mean:
        loss_of_mean(layer, loss, A, D, dZ, labels, Y, weights, scale, head, here.rows, k, n)
        return
    output_loss(layer, loss, A, D, dZ, labels, Y, weights, scale / loss.n_together, head.losses if k == 1 else head.set_losses,
                <real*> head.log_sums, here.rows * k, n)
    if k > 1:
        for r in range(here.rows):
            total = 0
            for c in range(k):
                total += head.set_losses[r * k + c]
            head.losses[r] = total / k


cdef void weigh_positions(int* labels, const real* of_rows, real* weights, Py_ssize_t rows, Py_ssize_t k) noexcept nogil:
    """weights (rows, k): each row's, which may lie at the beginning of them, is divided among the positions that have a target, so
    that their mean is the row's. The others, whose labels become 0, have none."""
    cdef Py_ssize_t r, p, n
    cdef real each
    for r in range(rows - 1, -1, -1):
        n = 0
        for p in range(k):
            n += labels[r * k + p] >= 0
        each = of_rows[r] * <real> k / <real> max(n, <Py_ssize_t> 1)
        for p in range(k):
            weights[r * k + p] = each if labels[r * k + p] >= 0 else 0
            labels[r * k + p] = max(labels[r * k + p], 0)


cdef void mean_of_members(const real* restrict A, real* restrict mean, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """mean (rows, n) of A (rows, k, n)."""
    cdef Py_ssize_t r, c, j
    cdef real each = <real> (1.0 / k)
    for r in range(rows):
        for j in range(n):
            mean[r * n + j] = A[r * k * n + j]
        for c in range(1, k):
            for j in range(n):
                mean[r * n + j] = mean[r * n + j] + A[(r * k + c) * n + j]
        for j in range(n):
            mean[r * n + j] = mean[r * n + j] * each


cdef void loss_of_mean(const Layer* layer, const Loss* loss, real* A, real* D, real* dZ, const int* labels, const real* Y,
                       const real* weights, double scale, const Head* head, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """`output_loss` of the mean of k members' outputs."""
    cdef real* mean = <real*> head.mean
    cdef real* slopes = <real*> head.slopes if dZ != NULL else NULL
    cdef real* smooth = <real*> head.values
    cdef real factor, target, rest = <real> (loss.parameter / n)
    cdef Py_ssize_t r, c, j
    if loss.code == CROSS_ENTROPY:
        for r in range(rows):
            for j in range(n):
                target = Y[r * n + j] if labels == NULL else <real> (1 if labels[r] == j else 0)
                smooth[r * n + j] = rest + <real> (1 - loss.parameter) * target
        Y = smooth
    activate_output(layer, A, D, <real*> head.log_sums, rows * k, n)
    mean_of_members(A, mean, rows, k, n)
    general_loss(loss, mean, slopes, Y, head.losses, rows, n)
    for r in range(rows):
        factor = <real> (weights[r] if weights != NULL else 1)
        head.losses[r] = min(head.losses[r], loss.ceiling) * factor
        if dZ != NULL:
            for c in range(k):
                for j in range(n):
                    dZ[(r * k + c) * n + j] = <real> (scale / k) * factor * slopes[r * n + j]
    if dZ != NULL:
        output_backward(layer, A, D, dZ, rows * k, n)
