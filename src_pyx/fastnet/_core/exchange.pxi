# How the gradient of a batch becomes that of all processes that have rows of it, and what they share in memory.

cdef enum:
    BYTES_SUMMED_AT_A_TIME = 4096   # they stay in the first-level cache until they are used


cdef struct Sums:
    # Of a batch.
    double loss
    double weight
    Py_ssize_t rows


cdef struct Exchange:
    PyObject* add                   # Python's function that adds up the vectors of all processes; NULL: there are no others
    Py_ssize_t n_params             # after which a vector has the sums of the batch: loss, weight and rows
    const int64_t* bounds           # (n_batches + 1,) rows of the pass at which batches begin
    Sums sums                       # of the batch, of all processes
    bint stops                      # a function has raised an error
    # Processes that see each other's vectors update a share of the parameters each. `add` then waits until all vectors are there.
    PyObject* leave                 # waits until all parameters are there; NULL: each process updates all of them
    void* rows                      # (n_rows + 1, n_columns): the vectors, with 1 after their sums if a process has failed; parameters
    Py_ssize_t n_rows
    Py_ssize_t n_columns
    Py_ssize_t start                # of this process's share, and where it ends
    Py_ssize_t stop


cdef bint raises(PyObject* function) noexcept nogil:
    """Call a function of Python's. Whether it raises an error."""
    cdef PyObject* result
    with gil:
        result = PyObject_CallNoArgs(function)
        Py_XDECREF(result)
    return result == NULL


cdef void sum_columns(real* total, const real* rows, Py_ssize_t n_rows, Py_ssize_t n_columns, Py_ssize_t length) noexcept nogil:
    """The first columns' sums over the rows, in the order of these. They may be the first row."""
    cdef Py_ssize_t i, r
    cdef const real* row
    for i in range(length):
        total[i] = rows[i]
    for r in range(1, n_rows):
        row = rows + r * n_columns
        for i in range(length):
            total[i] += row[i]


cdef void add_up_columns(real* rows, Py_ssize_t n_rows, Py_ssize_t n_columns, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t r, length
    cdef real* total
    while start < stop:
        length = min(stop - start, BYTES_SUMMED_AT_A_TIME // <Py_ssize_t> sizeof(real))
        total = rows + start
        sum_columns(total, total, n_rows, n_columns, length)
        for r in range(1, n_rows):
            memcpy(total + r * n_columns, total, length * sizeof(real))
        start += length


cdef void update_share(const Exchange* exchange, const Update* update, const Step* shared, const Tile* tile, Py_ssize_t number,
                       real* params, real* total) noexcept nogil:
    """A step on this process's share of tile `number`, with room for a sum; the others find the parameters in the last row."""
    cdef Step step = step_of_tile(update, shared, tile, number, params)
    cdef Py_ssize_t piece, place, end, length
    cdef real* rows = <real*> exchange.rows
    cdef real* new = rows + exchange.n_rows * exchange.n_columns
    for piece in range(tile.pieces):
        place = tile.place + piece * tile.stride
        end = min(place + tile.length, exchange.stop)
        place = max(place, exchange.start)
        while place < end:
            length = min(end - place, BYTES_SUMMED_AT_A_TIME // <Py_ssize_t> sizeof(real))
            sum_columns(total, rows + place, exchange.n_rows, exchange.n_columns, length)
            take_step_at(update, &step, place, length, params, total)
            memcpy(new + place, params + place, length * sizeof(real))
            place += length


cdef void take_shares(const Exchange* exchange, const Tile* tile, real* params) noexcept nogil:
    """The parameters of a tile that other processes have updated."""
    cdef Py_ssize_t piece, place, end, stop
    cdef const real* new = <real*> exchange.rows + exchange.n_rows * exchange.n_columns
    for piece in range(tile.pieces):
        place = tile.place + piece * tile.stride
        end = place + tile.length
        stop = min(end, exchange.start)
        if place < stop:
            memcpy(params + place, new + place, (stop - place) * sizeof(real))
        place = max(place, exchange.stop)
        if place < end:
            memcpy(params + place, new + place, (end - place) * sizeof(real))


def add_up(cnp.ndarray rows not None, Py_ssize_t start, Py_ssize_t stop):
    """Columns `start` to `stop` of every row become their sums over the rows, made in the order of these. No signal handler runs
    meanwhile."""
    cdef int width = cnp.PyArray_TYPE(rows)
    if width != cnp.NPY_FLOAT and width != cnp.NPY_DOUBLE:
        raise TypeError(f"rows must be float32 or float64, got {rows.dtype}")
    check(rows, width, "rows", (-1, -1), True)
    cdef Py_ssize_t n_rows = cnp.PyArray_DIM(rows, 0), n_columns = cnp.PyArray_DIM(rows, 1)
    cdef void* data = cnp.PyArray_DATA(rows)
    if not 0 <= start <= stop <= n_columns:
        raise ValueError(f"rows of {n_columns} columns have none from {start} to {stop}")
    with nogil:
        if width == cnp.NPY_FLOAT:
            add_up_columns[float](<float*> data, n_rows, n_columns, start, stop)
        else:
            add_up_columns[double](<double*> data, n_rows, n_columns, start, stop)
