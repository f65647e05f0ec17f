# Sums of vectors that several processes see, in the memory that they share.

cdef enum:
    BYTES_SUMMED_AT_A_TIME = 4096   # they stay in the first-level cache while they go to all rows


cdef void add_up_columns(real* rows, Py_ssize_t n_rows, Py_ssize_t n_columns, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t i, r, length
    cdef real* total
    cdef const real* other
    while start < stop:
        length = min(stop - start, BYTES_SUMMED_AT_A_TIME // <Py_ssize_t> sizeof(real))
        total = rows + start
        for r in range(1, n_rows):
            other = total + r * n_columns
            for i in range(length):
                total[i] += other[i]
        for r in range(1, n_rows):
            memcpy(total + r * n_columns, total, length * sizeof(real))
        start += length


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
