# Tiles: the pieces of the parameters that an update is made of. They depend on the network alone.

cdef enum:
    TILE_COLUMNS = 512
    TILE_ROW_UNIT = 12              # a multiple of the products' row blocks
    TILES_OF_NETWORK = 12           # so many, if that leaves them between these sizes
    TILE_LEAST = 1024
    TILE_MOST = 264 * TILE_COLUMNS  # as many rows as a product passes over at a time; with 192, big took 1 to 4 % longer


cdef struct Tile:
    Py_ssize_t layer
    bint is_bias                    # b[l], else rows x columns of W[l]
    Py_ssize_t first_row
    Py_ssize_t rows
    Py_ssize_t first_column
    Py_ssize_t columns
    Py_ssize_t place                # of its first element in the flat vector
    Py_ssize_t stride               # from one row to the next in the flat vector
    Py_ssize_t pieces               # contiguous runs in the flat vector, and the length of each
    Py_ssize_t length


cdef Py_ssize_t lay_tiles(const Layer* layers, Py_ssize_t n_layers, Py_ssize_t n_weights, Tile* tiles,
                          Py_ssize_t* largest) noexcept nogil:
    """Fill `tiles`, unless it is NULL, and return how many there are and how many elements the largest has."""
    cdef Py_ssize_t l, row, column, rows, columns, n = 0
    cdef Py_ssize_t size = max(<Py_ssize_t> TILE_LEAST, min(n_weights // TILES_OF_NETWORK, <Py_ssize_t> TILE_MOST))
    cdef const Layer* layer
    cdef Tile tile
    largest[0] = 0
    for l in range(n_layers):
        layer = layers + l
        tile.layer = l
        tile.is_bias = True
        tile.first_row = tile.first_column = 0
        tile.rows = tile.pieces = 1
        tile.columns = tile.stride = tile.length = layer.n_out
        tile.place = layer.b
        if tiles != NULL:
            tiles[n] = tile
        n += 1
        tile.is_bias = False
        columns = min(layer.n_out, <Py_ssize_t> TILE_COLUMNS)
        rows = (size // columns + TILE_ROW_UNIT - 1) // TILE_ROW_UNIT * TILE_ROW_UNIT
        largest[0] = max(largest[0], layer.n_out, min(rows, layer.n_in) * columns)
        row = 0
        while row < layer.n_in:
            tile.first_row = row
            tile.rows = min(rows, layer.n_in - row)
            column = 0
            while column < layer.n_out:
                tile.first_column = column
                tile.columns = min(columns, layer.n_out - column)
                tile.place = layer.W + row * layer.n_out + column
                tile.pieces = 1 if tile.columns == layer.n_out else tile.rows
                tile.length = tile.rows * tile.columns // tile.pieces
                if tiles != NULL:
                    tiles[n] = tile
                n += 1
                column += tile.columns
            row += tile.rows
    return n
