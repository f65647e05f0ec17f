# What has to come right again however a call ends: BLAS's number of threads, and who may train a network.
#
# Each class changes its state, calls a function and changes the state back, all in C. Python runs signal handlers, which may raise,
# only between bytecodes, and there are none but the function's: no exception comes between a change and the call, or between the
# call and the undoing. The GIL is kept meanwhile (a build without one has critical sections), so no other thread sees a change
# half made, and no fork copies one. Nobody ever waits here, so a handler may call what it has interrupted. A forked child forgets
# the calls of threads that it does not have.

cimport cython

import os

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()

ctypedef int (*Get)() noexcept
ctypedef void (*Set)(int) noexcept

cdef enum:
    MOST_LIBRARIES = 16


cdef struct Library:
    Get get
    Set set
    int before          # its threads outside of calls


@cython.auto_pickle(False)
cdef class SingleThreadedBLAS:
    """One thread for BLAS while functions are called, from the first of calls at the same time to the last.

    Parameters
    ----------
    libraries : sequence of (int, int)
        The libraries to set: addresses of ``int get(void)`` and ``void set(int)``.
    others : sequence of int
        Libraries that are never set here, as NumPy's own: addresses of ``int get(void)``. Their limit is the caller's, beyond doubt.
    """

    cdef Library libraries[MOST_LIBRARIES]
    cdef Get others[MOST_LIBRARIES]
    cdef int n_libraries
    cdef int n_others
    cdef dict depths    # of the calls that each thread is in

    def __cinit__(self, libraries, others=()):
        if max(len(libraries), len(others)) > MOST_LIBRARIES:
            raise ValueError(f"at most {MOST_LIBRARIES} libraries can be set or asked, got {len(libraries)} and {len(others)}")
        self.depths = {}
        for get, set_ in libraries:
            self.libraries[self.n_libraries] = Library(<Get> <size_t> get, <Set> <size_t> set_, 0)
            self.n_libraries += 1
        for get in others:
            self.others[self.n_others] = <Get> <size_t> get
            self.n_others += 1

    def call(self, function, *args, **kwargs):
        """``function(*args, **kwargs)`` with one thread for BLAS."""
        cdef object thread = PyThread_get_thread_ident()
        self.enter(thread)
        try:
            return function(*args, **kwargs)
        finally:
            self.leave(thread)

    @property
    def limit(self):
        """Threads that BLAS may use outside of calls; None if that is not known."""
        cdef int least, i
        with cython.critical_section(self):
            least = self.limit_of_others()
            if least == 0:
                for i in range(self.n_libraries):
                    least = lesser(least, self.libraries[i].before if self.depths else self.libraries[i].get())
        return least or None

    def forget_other_threads(self):
        """To be called in a forked child."""
        cdef object thread = PyThread_get_thread_ident()
        cdef bint called = len(self.depths) > 0
        self.depths = {thread: self.depths[thread]} if thread in self.depths else {}
        if called and not self.depths:
            self.restore()

    cdef int enter(self, object thread) except -1:
        cdef bint called
        with cython.critical_section(self):
            called = len(self.depths) > 0
            self.depths[thread] = self.depths.get(thread, 0) + 1
            if not called:
                self.limit_to_one()
        return 0

    cdef int leave(self, object thread) except -1:
        with cython.critical_section(self):
            if self.depths[thread] > 1:
                self.depths[thread] -= 1
            else:
                del self.depths[thread]
            if not self.depths:
                self.restore()
        return 0

    cdef void limit_to_one(self) noexcept:
        """A limit of one that the other libraries do not have is taken for the one of an earlier call here, which another thread's
        threadpoolctl found and put back later."""
        cdef int others = self.limit_of_others(), i
        cdef Library* library
        for i in range(self.n_libraries):
            library = &self.libraries[i]
            library.before = library.get()
            if library.before > 1:
                library.set(1)
            elif library.before == 1 and others > 1:
                library.before = others

    cdef void restore(self) noexcept:
        cdef int i
        for i in range(self.n_libraries):
            if self.libraries[i].before > 1:
                self.libraries[i].set(self.libraries[i].before)

    cdef int limit_of_others(self) noexcept:
        """0 if there are none."""
        cdef int least = 0, i
        for i in range(self.n_others):
            least = lesser(least, self.others[i]())
        return least


cdef int lesser(int a, int b) noexcept:
    """The lesser of two limits, of which those below 1 are none."""
    return b if a < 1 or 1 <= b < a else a


cdef enum:
    TRAINING = 1        # epochs, with callbacks between them
    UPDATING = 2        # the parameters change: an epoch, L-BFGS

cdef dict holders = {}  # Exclusive: the thread that is in it


@cython.auto_pickle(False)
cdef class Exclusive:
    """The right to train one network, which one thread has at a time; another one is refused, not made to wait.

    The thread that has it may update the parameters within its training, which is what callbacks do that run further epochs. It may
    not begin a second training, and signal handlers cannot update the parameters in the middle of an update.
    """

    cdef int level

    def training(self, function, *args, **kwargs):
        """``function(*args, **kwargs)``, which may call `updating`."""
        return self.call(TRAINING, function, args, kwargs)

    def updating(self, function, *args, **kwargs):
        """``function(*args, **kwargs)``, which changes the parameters."""
        return self.call(UPDATING, function, args, kwargs)

    cdef object call(self, int level, object function, tuple args, dict kwargs):
        cdef int before = self.enter(level, PyThread_get_thread_ident())
        try:
            return function(*args, **kwargs)
        finally:
            self.leave(before)

    cdef int enter(self, int level, object thread) except -1:
        cdef int before
        with cython.critical_section(self):
            before = self.level
            if before >= level or holders.get(self, thread) != thread:
                raise RuntimeError(
                    "This network is being trained already: train a copy (copy.deepcopy), or wait for the other fit to end."
                )
            holders[self] = thread
            self.level = level
        return before

    cdef int leave(self, int before) except -1:
        with cython.critical_section(self):
            self.level = before
            if before == 0:
                del holders[self]
        return 0


def forget_other_holders():
    """To be called in a forked child."""
    cdef Exclusive exclusive
    cdef object here = PyThread_get_thread_ident()
    for exclusive, thread in list(holders.items()):
        if thread != here:
            exclusive.level = 0
            del holders[exclusive]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_other_holders)
