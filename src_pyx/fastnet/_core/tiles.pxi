# Tiles: the pieces of the parameters that an update is made of. They depend on the network alone.

cdef enum:
    TILE_COLUMNS = 256              # a tile of 96 x 256 floats is 96 KiB: its gradient stays in L2 from product to update
    TILE_ROWS = 96
    TILE_ROW_UNIT = 12              # a multiple of the products' row blocks


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


cdef Py_ssize_t tile_rows(const Layer* layer) noexcept nogil:
    """Rows of W[l] in a tile: eight tiles in a layer if that leaves them large enough."""
    cdef Py_ssize_t eighth = (layer.n_in // 8 + TILE_ROW_UNIT - 1) // TILE_ROW_UNIT * TILE_ROW_UNIT
    return TILE_ROW_UNIT if eighth < TILE_ROW_UNIT else TILE_ROWS if eighth > TILE_ROWS else eighth


cdef Py_ssize_t lay_tiles(const Layer* layers, Py_ssize_t n_layers, Tile* tiles) noexcept nogil:
    """Fill `tiles`, unless it is NULL, and return how many there are."""
    cdef Py_ssize_t l, row, column, n = 0
    cdef const Layer* layer
    cdef Tile tile
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
        row = 0
        while row < layer.n_in:
            tile.first_row = row
            tile.rows = layer.n_in - row if layer.n_in - row < tile_rows(layer) else tile_rows(layer)
            column = 0
            while column < layer.n_out:
                tile.first_column = column
                tile.columns = layer.n_out - column if layer.n_out - column < TILE_COLUMNS else TILE_COLUMNS
                tile.place = layer.W + row * layer.n_out + column
                tile.pieces = 1 if tile.columns == layer.n_out else tile.rows
                tile.length = tile.rows * tile.columns // tile.pieces
                if tiles != NULL:
                    tiles[n] = tile
                n += 1
                column += tile.columns
            row += tile.rows
    return n
