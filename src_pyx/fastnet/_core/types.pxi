# The words every other file of the core uses: the two widths, the tables of choices, layers and their segments, rows of data.

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
    HARDSWISH
    SOFTMAX
    N_ACTIVATIONS


cdef enum LossCode:
    SQUARED_ERROR
    BINARY_CROSS_ENTROPY
    CROSS_ENTROPY
    POISSON
    ABSOLUTE_ERROR
    HUBER
    LOG_COSH
    QUANTILE
    N_LOSSES


cdef enum OptimizerCode:
    SGD
    MOMENTUM
    NESTEROV
    ADAGRAD
    RMSPROP
    ADAM
    LION
    N_OPTIMIZERS


ACTIVATION_CODES = {
    "identity": IDENTITY, "sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "leaky_relu": LEAKY_RELU, "elu": ELU, "selu": SELU,
    "gelu": GELU, "silu": SILU, "mish": MISH, "softplus": SOFTPLUS, "exponential": EXPONENTIAL,
    "hardswish": HARDSWISH, "softmax": SOFTMAX,
}
LOSS_CODES = {
    "squared_error": SQUARED_ERROR, "binary_cross_entropy": BINARY_CROSS_ENTROPY, "cross_entropy": CROSS_ENTROPY,
    "poisson": POISSON, "absolute_error": ABSOLUTE_ERROR, "huber": HUBER,
    "log_cosh": LOG_COSH, "quantile": QUANTILE,
}
OPTIMIZER_CODES = {
    "sgd": SGD, "momentum": MOMENTUM, "nesterov": NESTEROV, "adagrad": ADAGRAD, "rmsprop": RMSPROP, "adam": ADAM, "lion": LION,
}


cdef enum LayerKind:
    DENSE
    SCALE
    NORM
    PASS
    SUM
    CONCAT
    COLUMNS
    PERIODIC
    PIECEWISE
    EMBEDDING
    PARAMETRIC
    CONV
    BORDER
    POOL
    TRIM
    COUNT
    LAST
    RECURRENT
    ATTENTION
    SHIFT
    BATCH_NORM
    DEPTHWISE


LAYER_CODES = {
    "dense": DENSE, "scale": SCALE, "norm": NORM, "pass": PASS, "sum": SUM, "concat": CONCAT, "columns": COLUMNS,
    "periodic": PERIODIC, "piecewise": PIECEWISE, "embedding": EMBEDDING, "parametric": PARAMETRIC,
    "conv": CONV, "border": BORDER, "pool": POOL, "trim": TRIM, "count": COUNT, "last": LAST,
    "recurrent": RECURRENT, "attention": ATTENTION, "shift": SHIFT, "batch_norm": BATCH_NORM, "depthwise": DEPTHWISE,
}


cdef enum:
    MOST_DIMS = 6
    MOST_SEGMENTS = 4               # of a layer


cdef enum:
    PLAIN = 0
    PENALISED = 1               # L2 and weight decay are on it, unless factors say otherwise
    FROZEN = 2                  # it is not trained
    WHOLE_TILE = 4              # its gradient is made in one piece


cdef struct Segment:
    # Parameters of a layer that have a name, at one place of the flat vector.
    Py_ssize_t place
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t layer                # which it belongs to, and its number there
    int part
    bint penalised                  # its traits
    bint frozen
    bint whole


cdef struct Source:
    Py_ssize_t layer                # whose output is read: 1 .. L, or 0, the inputs
    Py_ssize_t width                # numbers a row
    bint accumulates                # the way back adds to its gradient, which a later layer has begun


cdef enum Alike:
    APART                       # positions are not alike, or the kind does not say so
    ALIKE
    COUNTED


cdef struct Layer:
    int kind
    Py_ssize_t number               # 1 .. L
    Py_ssize_t n_in                 # numbers a row that it reads, of all sources, and that it makes
    Py_ssize_t n_out
    Py_ssize_t dims[MOST_DIMS]      # what they and the next two mean is the kind's own business: see its file
    double option
    double rate
    const int* constants
    Py_ssize_t n_constants
    Py_ssize_t n_sources
    Source* sources
    bint takes_sparse               # its first source may be sparse rows of X
    int alike                       # whether it does the same at all positions of a row: a member of Alike, or COUNTED + which of `dims`
                                    # counts the positions
    int n_segments
    Py_ssize_t first_segment
    Py_ssize_t places[MOST_SEGMENTS]    # of its segments in the flat vector
    int activation                  # of its output
    int trained_activation          # the same in training, where a ReLU goes behind the maximum pool that alone reads it
    double alpha                    # the activation's parameter
    double dropout                  # probability of dropping a number of its output
    Py_ssize_t first_unit           # number of the first one for dropout's masks: 0, unless others go before it in a larger ensemble
    bint keeps                      # the derivative is kept by the forward pass: it cannot be had from A[l], or dropout masks it
    bint keeps_slopes               # its own, with dropout's mask in them, in place of that
    Py_ssize_t kept                 # numbers a row that the way back needs besides
    Py_ssize_t partial              # numbers that its way back leaves of each group of rows, of which its gradient is made; else 0
    Py_ssize_t summary              # numbers of a summary of the whole batch, which it needs first; 0: it goes row by row
    bint learns                     # it or a layer that it reads has parameters that are trained: it needs its dZ
    double cost                     # multiply-adds a row, of the forward pass
    bint by_blas                    # BLAS makes its products
    bint sliced                     # in slices, between which workers look at signals
    Py_ssize_t slot                 # where inference keeps its output while later layers need it
    Py_ssize_t slopes               # where the way back keeps its dZ while earlier layers need it: numbers a row before it
    Py_ssize_t lengths              # the layer that makes how many positions of its output a row has; 0: all of them
    Py_ssize_t positions            # of a row of its output, where there are lengths
    const Layer* each               # what it does at each position, if it treats all alike and rows have lengths; else NULL
    bint clears                     # a later layer counts on zeros at positions that a row does not have
    Py_ssize_t normed_by            # the BatchNorm that predictions fold into its W and b; 0: none
    Py_ssize_t folded_places[2]     # where these then are
    bint is_folded                  # it is such a BatchNorm: what it reads is then in its place, all but its activation


cdef struct Loss:
    int code
    double parameter            # delta of Huber, label smoothing of the cross-entropy
    double ceiling              # largest value of one element of a cross-entropy
    const double* per_output    # (n_out,) levels of the quantile loss, or NULL
    Py_ssize_t n_sets           # of outputs that stand side by side in a row: of members, or of positions
    Py_ssize_t n_together       # sets whose mean loss is minimised; these, and perhaps more
    bint of_positions           # each with a target of its own; else members, which have the same
    bint of_mean                # of the mean of the members' outputs; else the mean of their losses


cdef struct Rows:
    # Either dense (n, n_columns), C-contiguous, or CSR.
    Py_ssize_t n
    Py_ssize_t n_columns
    const void* dense
    const void* data
    const int* indices
    const long long* indptr


cdef struct Targets:
    # Either one class number a row (or position, -1: none), int32 or (wide) int64, or a row of n_out values.
    const void* labels
    bint wide
    const void* values
    const void* weights         # (n,) or NULL; of rows whose positions have targets, the number of these is in it


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


cdef void labels_of_positions(const Targets* targets, int n_classes, Py_ssize_t positions, const uint32* numbers, Py_ssize_t start,
                              Py_ssize_t rows, int* labels) noexcept nogil:
    """labels (rows, positions) of rows likewise; -1 where a position has no target."""
    cdef Py_ssize_t r, p, row
    cdef long long number
    for r in range(rows):
        row = numbers[start + r] if numbers != NULL else start + r
        for p in range(positions):
            number = class_number(targets, row * positions + p)
            labels[r * positions + p] = <int> min(max(number, <long long> -1), <long long> (n_classes - 1))


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
    float mish_f(float, float*)
    double mish_d(double, double*)
    float turn_f(float, float*)
    double turn_d(double, double*)
    float half_sigmoid_f(float)
    double half_sigmoid_d(double)
    float half_tanh_f(float)
    double half_tanh_d(double)
    void lstm_gates_f(float* i, float* f, float* g, float* o)
    void lstm_gates_d(double* i, double* f, double* g, double* o)
    void gru_gates_f(float* r, float* z)
    void gru_gates_d(double* r, double* z)


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


cdef inline real mish(real x, real* slope) noexcept nogil:
    """mish(x), and its derivative through `slope`."""
    if real is float:
        return mish_f(x, slope)
    else:
        return mish_d(x, slope)


cdef inline real turn(real x, real* sine) noexcept nogil:
    """cos(2 pi x), and sin(2 pi x) through `sine`."""
    if real is float:
        return turn_f(x, sine)
    else:
        return turn_d(x, sine)


cdef inline real half_sigmoid(real x) noexcept nogil:
    return half_sigmoid_f(x) if real is float else half_sigmoid_d(x)


cdef inline real half_tanh(real x) noexcept nogil:
    return half_tanh_f(x) if real is float else half_tanh_d(x)


cdef inline void lstm_gates(real* i, real* f, real* g, real* o) noexcept nogil:
    """The gates from their first halves, in place."""
    if real is float:
        lstm_gates_f(i, f, g, o)
    else:
        lstm_gates_d(i, f, g, o)


cdef inline void gru_gates(real* r, real* z) noexcept nogil:
    if real is float:
        gru_gates_f(r, z)
    else:
        gru_gates_d(r, z)
