# Python functions that run beside teams, such as the reading of blocks.

cdef struct PythonCall:
    PyObject* function
    PyObject* result                # NULL: it has raised an error, which stays set


cdef void call_python(int number, void* argument) noexcept nogil:
    cdef PythonCall* call = <PythonCall*> argument
    with gil:
        call.result = PyObject_CallNoArgs(call.function)


cdef int raise_if_failed(const PythonCall* call) except -1:
    return -1 if call.result == NULL else 0


cdef class Room:
    """A core that teams leave free for a function which is about to run beside them. A team that began before such a function would
    have a worker on each core, and wait for the one whose core the function takes."""

    cdef bint is_left
    cdef int forks

    def __cinit__(self):
        self.forks = team_forks()
        team_count_calls(1)

    def leave(self):
        """The function runs now, or never."""
        if not self.is_left and self.forks == team_forks():     # a forked child counts its own calls alone
            team_count_calls(-1)
        self.is_left = True

    def __dealloc__(self):
        self.leave()


def beside_teams(function, Room room=None):
    """``function()``, which counts as a call into the core: teams that run meanwhile leave it its share of the threads, and a core if
    there are several. They have left it this room before."""
    cdef PythonCall call = PythonCall(<PyObject*> function, NULL)
    cdef Team team
    if room is not None:
        room.leave()
    with nogil:
        team_run(&team, 1, call_python, &call)
    raise_if_failed(&call)
    result = <object> call.result
    Py_XDECREF(call.result)
    return result
