# For tests and benchmarks: single kernels and the choice of team sizes, as Python functions.

cdef class TeamSizes:
    """The sizes that a team takes as it works, up to `limit` workers."""

    cdef TeamSize sizes

    def __cinit__(self, int limit):
        start_team_size(&self.sizes, limit)

    @property
    def size(self):
        return size_of(&self.sizes, self.sizes.choice)

    def falls_behind(self, double nanoseconds, double rows):
        """Whether the team is late after these rows, compared with a smaller one."""
        return bool(falls_behind(&self.sizes, nanoseconds, rows))

    def note(self, double nanoseconds, double rows, long long now):
        """The team has worked for so long, on so many rows."""
        note_team(&self.sizes, nanoseconds, rows, now)


def running_calls():
    """Calls that teams share the threads with, room for others included."""
    return team_calls()


def largest_team_at(int n_threads, long long now):
    """Workers that a team may have at this moment, as far as retreats allow."""
    return largest_team(n_threads, 0, now)


def fix_team(int size):
    """From now on every team has so many workers, or as many threads as its call may use; 0: as many as prove fastest."""
    global fixed_team
    fixed_team = size


def helpers_begun():
    """How often a helper has begun to work in a team."""
    return team_helpers_begun()


def forget_retreats():
    """Let teams be of any size again, whatever happened before."""
    memset(&retreat, 0, sizeof(retreat))


cdef int same_vectors(cnp.ndarray x, cnp.ndarray out) except -1:
    """Their common width, after checking that both are contiguous vectors of one length and dtype."""
    cdef int width = cnp.PyArray_TYPE(x)
    if width != cnp.NPY_FLOAT and width != cnp.NPY_DOUBLE:
        raise TypeError(f"vectors must be float32 or float64, got {x.dtype}")
    check(x, width, "x", (-1,), False)
    check(out, width, "out", (len(x),), True)
    return width


cdef enum Function:
    F_EXP
    F_TANH
    F_SIGMOID
    F_LOG


cdef void apply_function(Function function, const real* restrict x, real* restrict out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if function == F_EXP:
        for i in range(n):
            out[i] = exp_(x[i])
    elif function == F_TANH:
        for i in range(n):
            out[i] = tanh_(x[i])
    elif function == F_SIGMOID:
        for i in range(n):
            out[i] = sigmoid_(x[i])
    else:
        for i in range(n):
            out[i] = log_(x[i])


cdef int call_function(Function function, cnp.ndarray x, cnp.ndarray out) except -1:
    cdef Py_ssize_t n = len(x)
    cdef int width = same_vectors(x, out)
    cdef void* source = cnp.PyArray_DATA(x)
    cdef void* target = cnp.PyArray_DATA(out)
    with nogil:
        if width == cnp.NPY_FLOAT:
            apply_function[float](function, <float*> source, <float*> target, n)
        else:
            apply_function[double](function, <double*> source, <double*> target, n)
    return 0


def exp(cnp.ndarray x not None, cnp.ndarray out not None):
    """out = e^x, at most 2 ulp from it (1.5 in float32)."""
    call_function(F_EXP, x, out)


def tanh(cnp.ndarray x not None, cnp.ndarray out not None):
    """out = tanh(x), at most 3 ulp from it."""
    call_function(F_TANH, x, out)


def sigmoid(cnp.ndarray x not None, cnp.ndarray out not None):
    """out = 1 / (1 + e^-x), at most 3 ulp from it."""
    call_function(F_SIGMOID, x, out)


def log(cnp.ndarray x not None, cnp.ndarray out not None):
    """out = ln(x), at most 2 ulp from it; -inf at 0, NaN below."""
    call_function(F_LOG, x, out)


def apply_activation(int code, double alpha, cnp.ndarray Z not None, cnp.ndarray A not None):
    """A = g(Z) for vectors; softmax takes Z as one row."""
    cdef int width = same_vectors(Z, A)
    cdef Layer layer
    cdef double log_sum
    memset(&layer, 0, sizeof(layer))
    if not 0 <= code < N_ACTIVATIONS:
        raise ValueError(f"unknown activation number {code}")
    layer.activation, layer.alpha = code, alpha
    A[...] = Z
    if width == cnp.NPY_FLOAT:
        activate_output[float](&layer, <float*> cnp.PyArray_DATA(A), NULL, <float*> &log_sum, 1, len(Z))
    else:
        activate_output[double](&layer, <double*> cnp.PyArray_DATA(A), NULL, &log_sum, 1, len(Z))


def apply_derivative(int code, double alpha, cnp.ndarray Z not None, cnp.ndarray D not None):
    """D = g'(Z) for vectors, by the way training takes."""
    cdef int width = same_vectors(Z, D)
    cdef cnp.ndarray A = Z.copy()
    if width == cnp.NPY_FLOAT:
        activate_keeping[float](code, alpha, <float*> cnp.PyArray_DATA(A), <float*> cnp.PyArray_DATA(D), len(Z))
    else:
        activate_keeping[double](code, alpha, <double*> cnp.PyArray_DATA(A), <double*> cnp.PyArray_DATA(D), len(Z))


def product(cnp.ndarray A not None, cnp.ndarray B not None, cnp.ndarray C not None, bint transpose_a=False, bint transpose_b=False,
            *, bint accumulate=False, blas=None, bint panels=False):
    """C (m, n) = op(A) op(B) [+ C]; blas=True or False chooses the code, None leaves it to the size of B as training does. With
    `panels`, an own product reads panels of op(B) that are made for many products, and A cannot be transposed."""
    cdef int width = cnp.PyArray_TYPE(C)
    cdef Py_ssize_t m = C.shape[0], n = C.shape[1], k = A.shape[0] if transpose_a else A.shape[1]
    cdef Py_ssize_t a_row = A.shape[1], b_row = B.shape[1]
    if width != cnp.NPY_FLOAT and width != cnp.NPY_DOUBLE:
        raise TypeError(f"C must be float32 or float64, got {C.dtype}")
    cdef void* a = check(A, width, "A", (k, m) if transpose_a else (m, k), False)
    cdef void* b = check(B, width, "B", (n, k) if transpose_b else (k, n), False)
    cdef void* c = check(C, width, "C", (m, n), True)
    cdef bint by_blas = blas if blas is not None else not own_product(k, n)
    cdef cnp.ndarray scratch = np.empty(PANEL_BYTES, dtype=np.uint8)
    cdef cnp.ndarray made = np.empty(size_of_panels(n, k) if panels else 0, C.dtype)
    cdef void* panel = cnp.PyArray_DATA(scratch)
    cdef void* all_panels = cnp.PyArray_DATA(made) if panels else NULL
    if panels and (transpose_a or by_blas):
        raise ValueError("panels are for products with blas=False that do not transpose A")
    if not by_blas and not HAVE_OWN_PRODUCT:
        raise NotImplementedError("this build has no products of its own: its compiler has no vector extensions")
    with nogil:
        if width == cnp.NPY_FLOAT:
            one_product[float](m, n, k, <float*> a, a_row, transpose_a, <float*> b, b_row, transpose_b, <float*> c, accumulate, by_blas,
                               <float*> panel, <float*> all_panels)
        else:
            one_product[double](m, n, k, <double*> a, a_row, transpose_a, <double*> b, b_row, transpose_b, <double*> c, accumulate,
                                by_blas, <double*> panel, <double*> all_panels)


cdef void one_product(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* a, Py_ssize_t a_row, bint transpose_a, const real* b,
                      Py_ssize_t b_row, bint transpose_b, real* c, bint accumulate, bint by_blas, real* panel,
                      real* panels) noexcept nogil:
    if panels != NULL:
        make_panels(n, k, b, 1 if transpose_b else b_row, b_row if transpose_b else 1, panels)
        by_panels(m, n, k, a, a_row, panels, c, n, <real*> NULL, accumulate, panel)
    elif by_blas:
        gemm(b"T" if transpose_b else b"N", b"T" if transpose_a else b"N", <int> n, <int> m, <int> k, b, <int> b_row, a, <int> a_row,
             <real> accumulate, c, <int> n)
    else:
        own(m, n, k, a, 1 if transpose_a else a_row, a_row if transpose_a else 1, b, 1 if transpose_b else b_row,
            b_row if transpose_b else 1, c, n, <real*> NULL, accumulate, panel)
