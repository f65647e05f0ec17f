# The words every other file of the core uses: the two widths, the tables of choices, a layer, the rows of a data set.

ctypedef fused real:
    float
    double


cdef enum ActivationCode:
    IDENTITY
    SIGMOID
    TANH
    RELU
    LEAKY_RELU
    ELU
    SELU
    GELU
    SILU
    MISH
    SOFTPLUS
    EXPONENTIAL
    SOFTMAX


cdef enum LossCode:
    SQUARED_ERROR
    BINARY_CROSS_ENTROPY
    CROSS_ENTROPY
    POISSON
    ABSOLUTE_ERROR
    HUBER
    QUANTILE


cdef enum OptimizerCode:
    SGD
    MOMENTUM
    NESTEROV
    ADAGRAD
    RMSPROP
    ADAM


ACTIVATION_CODES = {
    "identity": IDENTITY, "sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "leaky_relu": LEAKY_RELU, "elu": ELU, "selu": SELU,
    "gelu": GELU, "silu": SILU, "mish": MISH, "softplus": SOFTPLUS, "exponential": EXPONENTIAL, "softmax": SOFTMAX,
}
LOSS_CODES = {
    "squared_error": SQUARED_ERROR, "binary_cross_entropy": BINARY_CROSS_ENTROPY, "cross_entropy": CROSS_ENTROPY,
    "poisson": POISSON, "absolute_error": ABSOLUTE_ERROR, "huber": HUBER, "quantile": QUANTILE,
}
OPTIMIZER_CODES = {
    "sgd": SGD, "momentum": MOMENTUM, "nesterov": NESTEROV, "adagrad": ADAGRAD, "rmsprop": RMSPROP, "adam": ADAM,
}


cdef struct Layer:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t W                # offset of W[l] (n_in, n_out) in the flat parameter vector
    Py_ssize_t b                # offset of b[l] (n_out,)
    int activation
    bint keeps                  # the derivative is kept by the forward pass: it cannot be had from A[l], or dropout masks it
    double alpha                # the activation's parameter
    double dropout              # probability of dropping a unit of A[l]
    double W_rate               # factors of the learning rate and of the decay of each segment
    double b_rate
    double W_decay
    double b_decay


cdef struct Loss:
    int code
    double parameter            # delta of Huber, label smoothing of the cross-entropy
    double ceiling              # largest value of one element of a cross-entropy
    const double* per_output    # (n_out,) levels of the quantile loss, or NULL


cdef struct Rows:
    # Either dense (n, n_columns), C-contiguous, or CSR.
    Py_ssize_t n
    Py_ssize_t n_columns
    const void* dense
    const void* data
    const int* indices
    const long long* indptr


cdef struct Targets:
    # Either one class number a row, int32 or (wide) int64, or a row of n_out values.
    const void* labels
    bint wide
    const void* values
    const void* weights         # (n,) or NULL


cdef inline long long class_number(const Targets* targets, Py_ssize_t row) noexcept nogil:
    return (<const long long*> targets.labels)[row] if targets.wide else (<const int*> targets.labels)[row]


cdef const int* labels_of(const Targets* targets, int n_classes, const uint32* numbers, Py_ssize_t start, Py_ssize_t rows,
                          int* labels) noexcept nogil:
    """labels (rows,) = the class numbers of rows `numbers[start : start + rows]`, or NULL if the targets are values.

    The array is the caller's, who may have changed it since it was checked: no number leaves the range.
    """
    cdef Py_ssize_t r
    cdef long long number
    cdef Targets here = targets[0]      # which stores into `labels` cannot change: the loop is free of tests
    if here.labels == NULL:
        return NULL
    for r in range(rows):
        number = class_number(&here, numbers[start + r] if numbers != NULL else start + r)
        labels[r] = <int> min(max(number, <long long> 0), <long long> (n_classes - 1))
    return labels


cdef extern from "vecmath.h" nogil:
    const double SELU_SCALE
    const double SELU_ALPHA
    float exp_f(float)
    double exp_d(double)
    float expm1_negative_f(float)
    double expm1_negative_d(double)
    float tanh_f(float)
    double tanh_d(double)
    float sigmoid_f(float)
    double sigmoid_d(double)
    float log_f(float)
    double log_d(double)
    float softplus_f(float)
    double softplus_d(double)
    float normal_f(float, float*)
    double normal_d(double, double*)
    float mish_factor_f(float)
    double mish_factor_d(double)


cdef inline real exp_(real x) noexcept nogil:
    return exp_f(x) if real is float else exp_d(x)


cdef inline real expm1_negative(real x) noexcept nogil:
    return expm1_negative_f(x) if real is float else expm1_negative_d(x)


cdef inline real tanh_(real x) noexcept nogil:
    return tanh_f(x) if real is float else tanh_d(x)


cdef inline real sigmoid_(real x) noexcept nogil:
    return sigmoid_f(x) if real is float else sigmoid_d(x)


cdef inline real log_(real x) noexcept nogil:
    return log_f(x) if real is float else log_d(x)


cdef inline real softplus_(real x) noexcept nogil:
    return softplus_f(x) if real is float else softplus_d(x)


cdef inline real normal_(real x, real* density) noexcept nogil:
    if real is float:
        return normal_f(x, density)
    else:
        return normal_d(x, density)


cdef inline real mish_factor(real x) noexcept nogil:
    return mish_factor_f(x) if real is float else mish_factor_d(x)
