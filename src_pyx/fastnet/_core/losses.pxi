# The output layer: A[L] = g(Z[L]), the loss of each row, and dZ[L] = dJ/dZ[L].
#
# The pairs softmax + cross-entropy, sigmoid + binary cross-entropy, exponential + Poisson and identity + squared error have
# dZ = A - Y and are computed from Z, so that no logarithm of a rounded probability is taken. Every other pair goes through
# dA = dJ/dA and then g'.

cdef void class_cross_entropy(const Loss* loss, real* restrict A, real* restrict dZ, const int* restrict labels,
                              double* restrict values, real* restrict log_sum, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """`softmax_cross_entropy` with Y the one-hot rows of `labels`."""
    cdef Py_ssize_t r, j
    cdef real smoothing = <real> loss.parameter, rest = smoothing / n, hit = 1 - smoothing
    cdef double value, ceiling = loss.ceiling
    subtract_largest(A, rows, n)
    for r in range(rows):
        values[r] = -hit * A[r * n + labels[r]]
    if smoothing > 0:
        for r in range(rows):
            for j in range(n):
                values[r] -= rest * A[r * n + j]
    normalise_exponentials(A, rows, n, log_sum)
    for r in range(rows):
        value = values[r] + log_sum[r]
        values[r] = ceiling if value > ceiling else value
    if dZ != NULL:
        for r in range(rows * n):
            dZ[r] = A[r] - rest
        for r in range(rows):
            dZ[r * n + labels[r]] -= hit


cdef void softmax_cross_entropy(const Loss* loss, real* restrict A, real* restrict dZ, const real* restrict Y,
                                double* restrict values, real* restrict log_sum, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """values = -sum_j y_j ln a_j with y smoothed: y (1 - s) + s / n. A holds Z and becomes softmax(Z)."""
    cdef Py_ssize_t r, j
    cdef real smoothing = <real> loss.parameter, rest = smoothing / n, hit = 1 - smoothing
    cdef double value, mass
    subtract_largest(A, rows, n)
    for r in range(rows):
        value = 0
        for j in range(n):
            value -= (hit * Y[r * n + j] + rest) * A[r * n + j]
        values[r] = value
    normalise_exponentials(A, rows, n, log_sum)
    for r in range(rows):
        mass = smoothing
        for j in range(n):
            mass += hit * Y[r * n + j]
        if dZ != NULL:
            for j in range(n):
                dZ[r * n + j] = <real> mass * A[r * n + j] - rest - hit * Y[r * n + j]
        values[r] += mass * log_sum[r]
        if values[r] > loss.ceiling:
            values[r] = loss.ceiling


cdef void sigmoid_cross_entropy(const Loss* loss, real* restrict A, real* restrict dZ, const real* restrict Y,
                                double* restrict values, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """values = sum_j of (1 - y) z or -y z, whichever is positive, + ln(1 + e^-|z|). A holds Z and becomes sigmoid(Z)."""
    cdef Py_ssize_t r, j
    cdef real z, y
    cdef double value
    for r in range(rows):
        values[r] = 0
        for j in range(n):
            z = A[r * n + j]
            y = Y[r * n + j]
            value = softplus_(-z if z > 0 else z) + ((1 - y) * z if z > 0 else -y * z)
            values[r] += loss.ceiling if value > loss.ceiling else value
    activate(SIGMOID, 0, A, rows * n)
    if dZ != NULL:
        for r in range(rows * n):
            dZ[r] = A[r] - Y[r]


cdef void exponential_poisson(real* restrict A, real* restrict dZ, const real* restrict Y, double* restrict values,
                              Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """values = sum_j of y ln y - y z - y + e^z. A holds Z and becomes e^Z."""
    cdef Py_ssize_t r, j
    cdef double y
    for r in range(rows):
        values[r] = 0
        for j in range(n):
            y = Y[r * n + j]
            values[r] += (y * c_log(y) if y > 0 else 0) - y * A[r * n + j] - y
    activate(EXPONENTIAL, 0, A, rows * n)
    for r in range(rows):
        for j in range(n):
            values[r] += A[r * n + j]
    if dZ != NULL:
        for r in range(rows * n):
            dZ[r] = A[r] - Y[r]


cdef void identity_squared(const real* restrict A, real* restrict dZ, const real* restrict Y, double* restrict values,
                           Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """values = 1/2 sum_j (a - y)^2, where A is Z."""
    cdef Py_ssize_t r, j
    cdef real distance
    for r in range(rows):
        values[r] = 0
        for j in range(n):
            distance = A[r * n + j] - Y[r * n + j]
            values[r] += 0.5 * distance * distance
    if dZ != NULL:
        for r in range(rows * n):
            dZ[r] = A[r] - Y[r]


cdef double element_loss(const Loss* loss, real a, real y, Py_ssize_t j, real* slope) noexcept nogil:
    """One element's loss and its derivative by a."""
    cdef double value, level
    cdef real distance = a - y, smallest
    if loss.code == SQUARED_ERROR:
        slope[0] = distance
        return 0.5 * distance * distance
    if loss.code == ABSOLUTE_ERROR:
        slope[0] = <real> ((distance > 0) - (distance < 0)) if distance == distance else distance
        return fabs(distance)
    if loss.code == HUBER:
        if fabs(distance) <= loss.parameter:
            slope[0] = distance
            return 0.5 * distance * distance
        slope[0] = <real> (loss.parameter if distance > 0 else -loss.parameter) if distance == distance else distance
        return loss.parameter * (fabs(distance) - 0.5 * loss.parameter)
    if loss.code == QUANTILE:
        level = loss.per_output[j]
        slope[0] = <real> (1 - level if distance > 0 else (-level if distance < 0 else 0)) if distance == distance else distance
        return (1 - level) * distance if distance > 0 else -level * distance
    # A prediction that underflows to 0 must not make the gradient infinite.
    smallest = <real> (1e-30 if real is float else 1e-300)
    if loss.code == POISSON:
        if y <= 0:
            slope[0] = 1
            return a
        slope[0] = 1 - y / (a if a > smallest or a != a else smallest)
        return y * c_log(y / (a if a > smallest or a != a else smallest)) - y + a
    if loss.code == BINARY_CROSS_ENTROPY:
        slope[0] = (a - y) / (a * (1 - a) if a * (1 - a) > smallest else smallest)
        value = 0
        if y > 0:
            value -= y * c_log(a)
        if y < 1:
            value -= (1 - y) * log1p(-a)
        return loss.ceiling if value > loss.ceiling else value
    slope[0] = -y / (a if a > smallest else smallest)
    return -y * c_log(a) if y > 0 else 0


cdef void general_loss(const Loss* loss, const real* restrict A, real* restrict dA, const real* restrict Y,
                       double* restrict values, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """values = the sum over outputs of each row's loss, dA = its derivative by A."""
    cdef Py_ssize_t r, j
    cdef real slope
    for r in range(rows):
        values[r] = 0
        for j in range(n):
            values[r] += element_loss(loss, A[r * n + j], Y[r * n + j], j, &slope)
            if dA != NULL:
                dA[r * n + j] = slope


cdef void softmax_backward(const real* restrict A, real* restrict dA, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """dZ = A * (dA - sum_j dA_j A_j) by rows, in place."""
    cdef Py_ssize_t r, j
    cdef real inner
    for r in range(rows):
        inner = 0
        for j in range(n):
            inner += dA[r * n + j] * A[r * n + j]
        for j in range(n):
            dA[r * n + j] = A[r * n + j] * (dA[r * n + j] - inner)


cdef void activate_output(const Layer* layer, real* Z, real* D, real* log_sum, Py_ssize_t rows) noexcept nogil:
    """A[L] = g(Z[L]) in place; D = g'(Z[L]) if the layer keeps it."""
    if layer.activation == SOFTMAX:
        subtract_largest(Z, rows, layer.n_out)
        normalise_exponentials(Z, rows, layer.n_out, log_sum)
    elif D != NULL and layer.keeps:
        activate_keeping(layer.activation, layer.alpha, Z, D, rows * layer.n_out)
    else:
        activate(layer.activation, layer.alpha, Z, rows * layer.n_out)


cdef void output_layer(const Layer* layer, const Loss* loss, real* A, real* D, real* dZ, const int* labels, const real* Y,
                       const real* weights, double scale, double* values, real* log_sum, Py_ssize_t rows) noexcept nogil:
    """From Z[L] (in A) to A[L], the weighted losses of the rows and, unless dZ is NULL, dZ[L] times scale times the weights.

    A, dZ, Y (rows, n); D (rows, n) or NULL; labels (rows,) or NULL; weights (rows,) or NULL; values (rows,); log_sum (rows,).
    """
    cdef Py_ssize_t n = layer.n_out, r, j
    cdef real factor
    if labels != NULL:
        class_cross_entropy(loss, A, dZ, labels, values, log_sum, rows, n)
    elif layer.activation == SOFTMAX and loss.code == CROSS_ENTROPY:
        softmax_cross_entropy(loss, A, dZ, Y, values, log_sum, rows, n)
    elif layer.activation == SIGMOID and loss.code == BINARY_CROSS_ENTROPY:
        sigmoid_cross_entropy(loss, A, dZ, Y, values, rows, n)
    elif layer.activation == EXPONENTIAL and loss.code == POISSON:
        exponential_poisson(A, dZ, Y, values, rows, n)
    elif layer.activation == IDENTITY and loss.code == SQUARED_ERROR:
        identity_squared(A, dZ, Y, values, rows, n)
    else:
        activate_output(layer, A, D, log_sum, rows)
        general_loss(loss, A, dZ, Y, values, rows, n)
        if dZ == NULL:
            pass
        elif layer.activation == SOFTMAX:
            softmax_backward(A, dZ, rows, n)
        elif layer.keeps:
            multiply_into(D, dZ, rows * n)
        else:
            multiply_derivative(layer.activation, layer.alpha, A, dZ, rows * n)
    if weights == NULL:
        if dZ != NULL:
            for r in range(rows * n):
                dZ[r] = dZ[r] * <real> scale
        return
    for r in range(rows):
        values[r] *= weights[r]
        if dZ != NULL:
            factor = <real> (scale * weights[r])
            for j in range(n):
                dZ[r * n + j] = dZ[r * n + j] * factor
