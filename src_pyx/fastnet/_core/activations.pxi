# Activations: one function each, with g and g' side by side, and the switch to them.
#
# Most derivatives can be read off A = g(Z). Those that cannot (gelu, silu, mish, hardswish) are written by the forward pass,
# which has the exponentials at hand, into a buffer D; so are those that a dropout mask multiplies.

cdef enum Way:
    FORWARD                     # x becomes g(x)
    KEEPING                     # x becomes g(x), and y becomes g'(x)
    BACK                        # y is multiplied by g'(z), where x is g(z)


cdef inline bint derivative_needs_z(int activation) noexcept nogil:
    return activation == GELU or activation == SILU or activation == MISH or activation == HARDSWISH


cdef inline bint is_elementwise(int activation) noexcept nogil:
    return IDENTITY <= activation < SOFTMAX


cdef inline void sigmoid_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real one = 1
    if way == FORWARD:
        for i in range(n):
            x[i] = sigmoid_(x[i])
    else:
        for i in range(n):
            y[i] = y[i] * (x[i] * (one - x[i]))


cdef inline void tanh_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real one = 1
    if way == FORWARD:
        for i in range(n):
            x[i] = tanh_(x[i])
    else:
        for i in range(n):
            y[i] = y[i] * (one - x[i] * x[i])


cdef inline void relu_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if way == FORWARD:
        for i in range(n):
            x[i] = 0 if x[i] < 0 else x[i]
    else:
        for i in range(n):
            y[i] = y[i] if x[i] > 0 else 0


cdef inline void leaky_relu_activation(Way way, real alpha, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z
    if way == FORWARD:
        for i in range(n):
            z = x[i]
            x[i] = alpha * z if z < 0 else z
    else:
        for i in range(n):
            y[i] = y[i] if x[i] > 0 else alpha * y[i]


cdef inline void elu_activation(Way way, real alpha, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z
    if way == FORWARD:
        for i in range(n):
            z = x[i]
            x[i] = alpha * expm1_negative(z if z < 0 else <real> 0) + (0 if z < 0 else z)
    else:
        for i in range(n):
            z = x[i]
            y[i] = y[i] * (<real> 1 if z > 0 else z + alpha)


cdef inline void selu_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z
    if way == FORWARD:
        for i in range(n):
            z = x[i]
            x[i] = (<real> (SELU_SCALE * SELU_ALPHA) * expm1_negative(z if z < 0 else <real> 0)
                    + <real> SELU_SCALE * (0 if z < 0 else z))
    else:
        for i in range(n):
            z = x[i]
            y[i] = y[i] * (<real> SELU_SCALE if z > 0 else z + <real> (SELU_SCALE * SELU_ALPHA))


cdef inline void gelu_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z, s, density
    if way == FORWARD:
        for i in range(n):
            x[i] = x[i] * normal_(x[i], &density)
    else:
        for i in range(n):
            z = x[i]
            s = normal_(z, &density)
            y[i] = s + z * density
            x[i] = z * s


cdef inline void silu_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z, s, one = 1
    if way == FORWARD:
        for i in range(n):
            x[i] = x[i] * sigmoid_(x[i])
    else:
        for i in range(n):
            z = x[i]
            s = sigmoid_(z)
            y[i] = s * (one + z * (one - s))
            x[i] = z * s


cdef inline void mish_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real slope
    if way == FORWARD:
        for i in range(n):
            x[i] = x[i] * mish_factor(x[i])
    else:
        for i in range(n):
            x[i] = mish(x[i], &slope)
            y[i] = slope


cdef inline void softplus_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if way == FORWARD:
        for i in range(n):
            x[i] = softplus_(x[i])
    else:
        for i in range(n):
            y[i] = y[i] * -expm1_negative(-x[i])


cdef inline void exponential_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if way == FORWARD:
        for i in range(n):
            x[i] = exp_(x[i])
    else:
        for i in range(n):
            y[i] = y[i] * x[i]


cdef inline void hardswish_activation(Way way, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z, gate, sixth = <real> (1.0 / 6)
    if way == FORWARD:
        for i in range(n):
            z = x[i]
            gate = 0 if z < -3 else (6 if z > 3 else z + 3)
            x[i] = z * (gate * sixth)
    else:
        for i in range(n):
            z = x[i]
            gate = 0 if z < -3 else (6 if z > 3 else z + 3)
            y[i] = gate * sixth + (z * sixth if -3 < z < 3 else 0)
            x[i] = z * (gate * sixth)


cdef void apply_elementwise(Way way, int activation, double parameter, real* restrict x, real* restrict y, Py_ssize_t n) noexcept nogil:
    """One way through an elementwise activation, in place, over n values; y is not read on the way FORWARD.

    Functions whose derivative needs z know FORWARD and KEEPING, the others FORWARD and BACK: `activate_keeping` does both.
    """
    cdef Py_ssize_t i
    cdef real alpha = <real> parameter
    if activation == IDENTITY:
        return
    if activation == SIGMOID:
        sigmoid_activation(way, x, y, n)
    elif activation == TANH:
        tanh_activation(way, x, y, n)
    elif activation == RELU:
        relu_activation(way, x, y, n)
    elif activation == LEAKY_RELU:
        leaky_relu_activation(way, alpha, x, y, n)
    elif activation == ELU:
        elu_activation(way, alpha, x, y, n)
    elif activation == SELU:
        selu_activation(way, x, y, n)
    elif activation == GELU:
        gelu_activation(way, x, y, n)
    elif activation == SILU:
        silu_activation(way, x, y, n)
    elif activation == MISH:
        mish_activation(way, x, y, n)
    elif activation == SOFTPLUS:
        softplus_activation(way, x, y, n)
    elif activation == EXPONENTIAL:
        exponential_activation(way, x, y, n)
    elif activation == HARDSWISH:
        hardswish_activation(way, x, y, n)
    else:
        for i in range(n):          # a number that is no elementwise function's must not pass for the identity
            x[i] = <real> NAN


cdef inline void activate(int activation, double parameter, real* Z, Py_ssize_t n) noexcept nogil:
    """A = g(Z), elementwise over n values, in place. Softmax goes by rows: `subtract_largest`, `normalise_exponentials`."""
    apply_elementwise(FORWARD, activation, parameter, Z, <real*> NULL, n)


cdef inline void multiply_derivative(int activation, double parameter, const real* A, real* dA, Py_ssize_t n) noexcept nogil:
    """dZ = dA * g'(Z), elementwise over n values, in place, with g' read off A = g(Z)."""
    apply_elementwise(BACK, activation, parameter, <real*> A, dA, n)


cdef void activate_keeping(int activation, double parameter, real* Z, real* D, Py_ssize_t n) noexcept nogil:
    """A = g(Z) in place and D = g'(Z), elementwise over n values."""
    cdef Py_ssize_t i
    if derivative_needs_z(activation):
        apply_elementwise(KEEPING, activation, parameter, Z, D, n)
        return
    activate(activation, parameter, Z, n)
    for i in range(n):
        D[i] = 1
    multiply_derivative(activation, parameter, Z, D, n)


cdef void multiply_into(const real* restrict D, real* restrict dA, Py_ssize_t n) noexcept nogil:
    """dA *= D."""
    cdef Py_ssize_t i
    for i in range(n):
        dA[i] = dA[i] * D[i]


# Softmax of two classes has rows too short for the loops over them: with n a constant 2, the compiler takes several rows at a
# time. With the flat loops of softmax_cross_entropy and dW of few outputs made transposed, an epoch of xs became 1.4 times as
# fast.

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
