# Activations: A = g(Z) in place, and dZ = dA * g'(Z).
#
# Most derivatives can be read off A. Those that cannot (gelu, silu, mish) are written by the forward pass, which has the
# exponentials at hand, into a buffer D; so are those that a dropout mask multiplies.


cdef inline bint derivative_needs_z(int activation) noexcept nogil:
    return activation == GELU or activation == SILU or activation == MISH


cdef void activate(int activation, double parameter, real* restrict Z, Py_ssize_t n) noexcept nogil:
    """A = g(Z), elementwise over n values, in place. Softmax goes by rows: `subtract_largest`, `normalise_exponentials`."""
    cdef Py_ssize_t i
    cdef real alpha = <real> parameter, z, density
    if activation == SIGMOID:
        for i in range(n):
            Z[i] = sigmoid_(Z[i])
    elif activation == TANH:
        for i in range(n):
            Z[i] = tanh_(Z[i])
    elif activation == RELU:
        for i in range(n):
            Z[i] = 0 if Z[i] < 0 else Z[i]
    elif activation == LEAKY_RELU:
        for i in range(n):
            z = Z[i]
            Z[i] = alpha * z if z < 0 else z
    elif activation == ELU:
        for i in range(n):
            z = Z[i]
            Z[i] = alpha * expm1_negative(z if z < 0 else <real> 0) + (0 if z < 0 else z)
    elif activation == SELU:
        for i in range(n):
            z = Z[i]
            Z[i] = (<real> (SELU_SCALE * SELU_ALPHA) * expm1_negative(z if z < 0 else <real> 0)
                    + <real> SELU_SCALE * (0 if z < 0 else z))
    elif activation == GELU:
        for i in range(n):
            Z[i] = Z[i] * normal_(Z[i], &density)
    elif activation == SILU:
        for i in range(n):
            Z[i] = Z[i] * sigmoid_(Z[i])
    elif activation == MISH:
        for i in range(n):
            Z[i] = Z[i] * mish_factor(Z[i])
    elif activation == SOFTPLUS:
        for i in range(n):
            Z[i] = softplus_(Z[i])
    elif activation == EXPONENTIAL:
        for i in range(n):
            Z[i] = exp_(Z[i])


cdef void multiply_derivative(int activation, double parameter, const real* restrict A, real* restrict dA,
                              Py_ssize_t n) noexcept nogil:
    """dZ = dA * g'(Z), elementwise over n values, in place, with g' read off A = g(Z)."""
    cdef Py_ssize_t i
    cdef real alpha = <real> parameter, a
    if activation == SIGMOID:
        for i in range(n):
            dA[i] = dA[i] * (A[i] * (1 - A[i]))
    elif activation == TANH:
        for i in range(n):
            dA[i] = dA[i] * (1 - A[i] * A[i])
    elif activation == RELU:
        for i in range(n):
            dA[i] = dA[i] if A[i] > 0 else 0
    elif activation == LEAKY_RELU:
        for i in range(n):
            dA[i] = dA[i] if A[i] > 0 else alpha * dA[i]
    elif activation == ELU:
        for i in range(n):
            a = A[i]
            dA[i] = dA[i] * (<real> 1 if a > 0 else a + alpha)
    elif activation == SELU:
        for i in range(n):
            a = A[i]
            dA[i] = dA[i] * (<real> SELU_SCALE if a > 0 else a + <real> (SELU_SCALE * SELU_ALPHA))
    elif activation == SOFTPLUS:
        for i in range(n):
            dA[i] = dA[i] * -expm1_negative(-A[i])
    elif activation == EXPONENTIAL:
        for i in range(n):
            dA[i] = dA[i] * A[i]


cdef void activate_keeping(int activation, double parameter, real* restrict Z, real* restrict D, Py_ssize_t n) noexcept nogil:
    """A = g(Z) in place and D = g'(Z), elementwise over n values."""
    cdef Py_ssize_t i
    cdef real z, s, density
    if activation == GELU:
        for i in range(n):
            z = Z[i]
            s = normal_(z, &density)
            D[i] = s + z * density
            Z[i] = z * s
    elif activation == SILU:
        for i in range(n):
            z = Z[i]
            s = sigmoid_(z)
            D[i] = s * (1 + z * (1 - s))
            Z[i] = z * s
    elif activation == MISH:
        for i in range(n):
            z = Z[i]
            s = mish_factor(z)
            D[i] = s + z * sigmoid_(z) * (1 - s * s)
            Z[i] = z * s
    else:
        activate(activation, parameter, Z, n)
        for i in range(n):
            D[i] = 1
        multiply_derivative(activation, parameter, Z, D, n)


cdef void multiply_into(const real* restrict D, real* restrict dA, Py_ssize_t n) noexcept nogil:
    """dA *= D."""
    cdef Py_ssize_t i
    for i in range(n):
        dA[i] = dA[i] * D[i]


# Softmax of two classes has rows too short for the loops over them: with n a constant 2, the compiler takes several rows at a time.
# With the flat loops of softmax_cross_entropy and dW of few outputs made transposed, an epoch of xs became 1.4 times as fast.

cdef void subtract_largest(real* Z, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """Z -= max over each row: the same softmax, and no exponential overflows."""
    if n == 2:
        subtract_largest_of(Z, rows, 2)
    else:
        subtract_largest_of(Z, rows, n)


cdef inline void subtract_largest_of(real* Z, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t r, j
    cdef real* z
    cdef real largest
    for r in range(rows):
        z = Z + r * n
        largest = z[0]
        for j in range(1, n):
            largest = z[j] if z[j] > largest else largest
        for j in range(n):
            z[j] = z[j] - largest


cdef void normalise_exponentials(real* restrict Z, Py_ssize_t rows, Py_ssize_t n, real* restrict log_sum) noexcept nogil:
    """A = e^Z / sum(e^Z) by rows, in place; log_sum (rows,) gets ln(sum(e^Z))."""
    cdef Py_ssize_t i
    for i in range(rows * n):
        Z[i] = exp_(Z[i])
    if n == 2:
        divide_by_sum(Z, rows, 2, log_sum)
    else:
        divide_by_sum(Z, rows, n, log_sum)
    for i in range(rows):
        log_sum[i] = log_(log_sum[i])


cdef inline void divide_by_sum(real* restrict Z, Py_ssize_t rows, Py_ssize_t n, real* restrict sums) noexcept nogil:
    cdef Py_ssize_t r, j
    cdef real* z
    cdef real total
    for r in range(rows):
        z = Z + r * n
        total = 0
        for j in range(n):
            total += z[j]
        sums[r] = total
        total = 1 / total
        for j in range(n):
            z[j] = z[j] * total
