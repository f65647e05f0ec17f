# Optimisers: one sweep over a piece of a segment, with everything that happens to a parameter in one step.
#
#     g = scale * gradient + l2 * W             the clipped gradient with the L2 penalty's
#     W = keep * W + (the optimiser's step)     keep = 1 - learning rate * decoupled decay

cdef extern from "adam.h" nogil:
    void adam_stepf(float* W, const float* gradient, float* m, float* v, Py_ssize_t n, float scale, float l2, float a, float rest_a,
                    float b, float rest_b, float keep, float rate, float epsilon)
    void adam_stepd(double* W, const double* gradient, double* m, double* v, Py_ssize_t n, double scale, double l2, double a,
                    double rest_a, double b, double rest_b, double keep, double rate, double epsilon)


cdef struct Step:
    int optimizer
    double rate                 # learning rate of this step and segment
    double hyper[4]             # its own parameters, in the order of `hyper` in fastnet/optimizers.py
    double epsilon              # Adam's, corrected for its bias unless it is the eps-hat of the paper's last paragraph of section 2
    double correction           # of Adam's rate for the bias of both moments
    double scale
    double l2
    double decay                # decoupled weight decay
    double keep


cdef inline double rest_of_power(double beta, Py_ssize_t t) noexcept nogil:
    """1 - beta^t. A power below exp(-40) does not change the difference, and is not computed: 2 % of an epoch of tiny networks."""
    return 1 if t * (1 - beta) > 40 else 1 - pow(beta, t)


cdef void prepare(Step* step, Py_ssize_t t) noexcept nogil:
    """What all parameters share in step number t = 1, 2, ..."""
    cdef double root
    if step.optimizer == ADAM:
        root = sqrt(rest_of_power(step.hyper[1], t))
        step.correction = root / rest_of_power(step.hyper[0], t)
        step.epsilon = step.hyper[2] if step.hyper[3] != 0 else step.hyper[2] * root


cdef void take_step(const Step* step, real* restrict W, const real* restrict gradient, real* restrict m, real* restrict v,
                    Py_ssize_t n) noexcept nogil:
    """One step on n parameters; m and v are the optimiser's state. Divisions and roots decide what it costs."""
    cdef Py_ssize_t i
    cdef real g, c, new
    cdef real rate = <real> step.rate, scale = <real> step.scale, l2 = <real> step.l2, keep = <real> step.keep
    cdef real a = <real> step.hyper[0], b = <real> step.hyper[1], rest_a = <real> (1 - step.hyper[0])
    cdef real rest_b = <real> (1 - step.hyper[1]), epsilon = <real> step.epsilon, adam_rate = <real> (step.rate * step.correction)
    cdef real smallest = <real> (FLT_MIN if real is float else DBL_MIN)
    if step.optimizer == SGD:
        for i in range(n):
            g = scale * gradient[i] + l2 * W[i]
            W[i] = keep * W[i] - rate * g
    elif step.optimizer == MOMENTUM:
        # v = mu v - lr g; W += v (Polyak 1964; Sutskever et al. 2013)
        for i in range(n):
            g = scale * gradient[i] + l2 * W[i]
            new = a * m[i] - rate * g
            m[i] = 0 if absolute(new) < smallest else new
            W[i] = keep * W[i] + new
    elif step.optimizer == NESTEROV:
        # v = mu v - lr g; W += mu v - lr g (Sutskever et al. 2013)
        for i in range(n):
            g = scale * gradient[i] + l2 * W[i]
            new = a * m[i] - rate * g
            m[i] = 0 if absolute(new) < smallest else new
            W[i] = keep * W[i] + (a * new - rate * g)
    elif step.optimizer == ADAGRAD:
        # s += g^2; W -= lr g / (sqrt(s) + eps) (Duchi, Hazan & Singer 2011)
        for i in range(n):
            g = scale * gradient[i] + l2 * W[i]
            new = m[i] + g * g
            m[i] = new
            W[i] = keep * W[i] - rate * g / (root_(new) + a)
    elif step.optimizer == RMSPROP:
        # s = rho s + (1 - rho) g^2; W -= lr g / (sqrt(s) + eps) (Tieleman & Hinton 2012)
        for i in range(n):
            g = scale * gradient[i] + l2 * W[i]
            new = a * m[i] + rest_a * (g * g)
            m[i] = 0 if new < smallest else new
            W[i] = keep * W[i] - rate * g / (root_(new) + b)
    elif step.optimizer == ADAM:
        # m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; W -= lr m' / (sqrt(v') + eps) (Kingma & Ba 2015)
        if real is float:
            adam_stepf(W, gradient, m, v, n, scale, l2, a, rest_a, b, rest_b, keep, adam_rate, epsilon)
        else:
            adam_stepd(W, gradient, m, v, n, scale, l2, a, rest_a, b, rest_b, keep, adam_rate, epsilon)
    elif step.optimizer == LION:
        # c = b1 m + (1 - b1) g; W -= lr sign(c); m = b2 m + (1 - b2) g (Chen et al. 2023)
        for i in range(n):
            g = scale * gradient[i] + l2 * W[i]
            c = a * m[i] + rest_a * g
            new = b * m[i] + rest_b * g
            m[i] = 0 if absolute(new) < smallest else new
            W[i] = keep * W[i] - (rate if c > 0 else (-rate if c < 0 else c))
    else:
        for i in range(n):          # a number that is no rule's must not pass for a rule that does nothing
            W[i] = <real> NAN


cdef inline real absolute(real x) noexcept nogil:
    return fabsf(x) if real is float else fabs(x)


cdef inline real root_(real x) noexcept nogil:
    return sqrtf(x) if real is float else sqrt(x)


cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int others = 0
    cdef real largest = <real> (FLT_MAX if real is float else DBL_MAX)
    for i in range(n):
        others |= 0 if absolute(x[i]) <= largest else 1
    return others == 0


cdef double sum_of_squares(const real* restrict x, Py_ssize_t n) noexcept nogil:
    """In eight sums, so that the compiler may keep them in one vector; blocks of a few thousand, added in double.

    Squares that overflow float32 are summed again in double: clipping must not turn a large gradient into none.
    """
    cdef Py_ssize_t i, j, start, stop
    cdef real sums[8]
    cdef double total = 0
    for start in range(0, n, 2048):
        stop = start + 2048 if start + 2048 < n else n
        for j in range(8):
            sums[j] = 0
        i = start
        while i + 8 <= stop:
            for j in range(8):
                sums[j] += x[i + j] * x[i + j]
            i += 8
        for j in range(8):
            total += sums[j]
        while i < stop:
            total += <double> x[i] * x[i]
            i += 1
    if isinf(total):
        total = 0
        for i in range(n):
            total += <double> x[i] * x[i]
    return total
