# fastnet's compiled core, in reading order. Cython translates it to C once; each module of this package (baseline, v2, v3, v4) is
# that C compiled for one level of vector instructions, and fastnet/_core/__init__.py takes the best that the machine has.
#
# Notation, everywhere: l = 1 .. L layers of n[l] units; rows of a batch; all matrices row-major;
#     A[0] = X,  Z[l] = A[l-1] W[l] + b[l],  A[l] = g(Z[l]),  dX means d(loss) / dX.
#
# Kernels receive pointers, own nothing, allocate nothing and do not touch Python.

import numpy as np

cimport numpy as cnp
from libc.float cimport DBL_MAX, DBL_MIN, FLT_MAX, FLT_MIN
from libc.math cimport INFINITY, NAN, fabs, fabsf, isfinite, isinf, log as c_log, log1p, pow, sqrt, sqrtf
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.pyport cimport PY_SSIZE_T_MAX
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport int64_t, uint32_t as uint32, uint64_t as uint64
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport dgemm, sgemm

cnp.import_array()


cdef extern from "team.h" nogil:
    enum:
        TEAM_MAXIMUM
        SPIN_NANOSECONDS
    ctypedef struct Team:
        int size
    ctypedef void (*TeamWork)(int, void*) noexcept nogil
    void team_barrier(Team* team)
    bint team_awaits_me(Team* team)
    void flag_raise(int* flag)
    bint flag_is_up(const int* flag)
    Py_ssize_t take_number(Py_ssize_t* next)
    bint take_bit(int* bits, int number)
    void count_one(int* count)
    void await_count(const int* count, int n)
    int team_calls()
    long long team_helpers_begun()
    void team_count_calls(int n)
    int team_forks()
    void team_lose_helpers(Team* team)
    void team_run(Team* team, int size, TeamWork work, void* task)


cdef extern from "clock.h" nogil:
    long long now_nanoseconds()


cdef extern from "memory.h" nogil:
    void prefetch_line(const void* address)
    void copy_row(void* to, const void* source, size_t size)
    unsigned long long denormals_to_zero()
    void denormals_restore(unsigned long long before)


include "types.pxi"
include "activations.pxi"
include "losses.pxi"
include "optimizers.pxi"
include "signals.pxi"
include "products.pxi"
include "random.pxi"
include "layers.pxi"
include "team_size.pxi"
include "plan.pxi"
include "arguments.pxi"
include "output.pxi"
include "forward.pxi"
include "inference.pxi"
include "one_row.pxi"
include "backward.pxi"
include "update.pxi"
include "exchange.pxi"
include "augment.pxi"
include "training.pxi"
include "batch.pxi"
include "trainer.pxi"
include "members.pxi"
include "many.pxi"
include "beside.pxi"
include "entries.pxi"
