# How the gradient of a batch becomes that of all processes that have rows of it, and what they share in memory.

cdef enum:
    BYTES_SUMMED_AT_A_TIME = 1024   # they are used from the first-level cache, while the next are on their way into it
    BYTES_OF_LINE = 64


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
    bint stops                      # the function has raised an error
    # Processes that see each other's vectors update a share of the parameters each. None of Python's functions is called then.
    Team* ranks                     # who share memory; NULL: each process updates all parameters
    bint others_failed              # one of them has
    void* rows                      # (n_rows + 1, n_columns): the vectors, with 1 after their sums if a process has failed; parameters
    Py_ssize_t n_rows
    Py_ssize_t n_columns
    Py_ssize_t start                # of this process's share, and where it ends
    Py_ssize_t stop


cdef inline void fetch_columns(const real* rows, Py_ssize_t n_rows, Py_ssize_t n_columns, Py_ssize_t length) noexcept nogil:
    """Ask for the first columns of all rows, which are in other cores' caches."""
    cdef Py_ssize_t i, r, line = BYTES_OF_LINE // <Py_ssize_t> sizeof(real)
    for r in range(n_rows):
        for i in range((length + line - 1) // line):
            prefetch_line(rows + r * n_columns + i * line)


cdef inline void sum_columns(real* total, const real* rows, Py_ssize_t n_rows, Py_ssize_t n_columns, Py_ssize_t length) noexcept nogil:
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


cdef class SharedVectors:
    """Vectors of processes side by side in memory that all of them see, and where they wait for each other.

    Parameters
    ----------
    meeting : ndarray of uint8
        Zeros at first, for their barrier.
    rows : ndarray of shape (size + 1, n_columns), float32 or float64
        A vector of each process, and one more for the parameters that they share.
    rank : int
        Number of this process.
    """

    cdef Team* ranks
    cdef void* rows
    cdef int width
    cdef Py_ssize_t size, n_columns, start, stop
    cdef tuple held

    def __cinit__(self, cnp.ndarray meeting not None, cnp.ndarray rows not None, Py_ssize_t rank):
        cdef Py_ssize_t line
        self.width = cnp.PyArray_TYPE(rows)
        if self.width != cnp.NPY_FLOAT and self.width != cnp.NPY_DOUBLE:
            raise TypeError(f"rows must be float32 or float64, got {rows.dtype}")
        self.rows = check(rows, self.width, "rows", (-1, -1), True)
        self.ranks = <Team*> check(meeting, cnp.NPY_UINT8, "meeting", (-1,), True)
        self.size, self.n_columns = len(rows) - 1, rows.shape[1]
        if len(meeting) < <Py_ssize_t> sizeof(Team) or not 0 <= rank < self.size:
            raise ValueError(f"{sizeof(Team)} bytes and ranks below {self.size} are needed, got {len(meeting)} and rank {rank}")
        self.ranks.size = self.size
        line = BYTES_OF_LINE // rows.itemsize
        self.start = self.n_columns * rank // self.size // line * line
        self.stop = self.n_columns * (rank + 1) // self.size // line * line if rank + 1 < self.size else self.n_columns
        self.held = meeting, rows

    @property
    def share(self):
        """The columns that this process adds up."""
        return slice(self.start, self.stop)

    def add_up(self):
        """Every vector becomes the sum of all, made in their order, when all processes have called this. No signal handler runs
        meanwhile."""
        with nogil:
            team_barrier(self.ranks)
            if self.width == cnp.NPY_FLOAT:
                add_up_columns[float](<float*> self.rows, self.size, self.n_columns, self.start, self.stop)
            else:
                add_up_columns[double](<double*> self.rows, self.size, self.n_columns, self.start, self.stop)
            team_barrier(self.ranks)


cdef void update_share(const Exchange* exchange, const Update* update, const Step* shared, const Tile* tile, Py_ssize_t number,
                       real* params, real* total) noexcept nogil:
    """A step on this process's share of tile `number`, with room for a sum; the others find the parameters in the last row."""
    cdef Step step = step_of_tile(update, shared, tile, number, params)
    cdef Py_ssize_t piece, place, end, length, most = BYTES_SUMMED_AT_A_TIME // <Py_ssize_t> sizeof(real)
    cdef real* rows = <real*> exchange.rows
    cdef real* new = rows + exchange.n_rows * exchange.n_columns
    for piece in range(tile.pieces):
        place = tile.place + piece * tile.stride
        end = min(place + tile.length, exchange.stop)
        place = max(place, exchange.start)
        while place < end:
            length = min(end - place, most)
            fetch_columns(rows + place + length, exchange.n_rows, exchange.n_columns, min(end - place - length, most))
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
