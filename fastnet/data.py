"""Data larger than memory: blocks of rows that are read when training or a prediction comes to them.

::

    data = fastnet.data.from_parquet("flights/", target="delayed")
    net.fit(data, epochs=5)
    for labels in fastnet.data.predict(net, data):
        ...

Training reads the blocks in random order, a tenth of the rows at a time, and shuffles those, while a thread reads the next tenth
(CorgiPile; Xu, Qiu, Yuan, Zhang et al. 2022). Memory holds two such buffers; or a cache holds all rows, once they have been
read (`Blocks.cached`).
"""

from __future__ import annotations

import math
import os
import threading
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeAlias
from urllib.parse import unquote

import numpy as np

from fastnet import _checks
from fastnet._block_predictions import predict, predict_to_file
from fastnet._kept_rows import MOST_PLACES, KeptRows
from fastnet._roles import Roles
from fastnet.ragged import Ragged

__all__ = ["Blocks", "from_arrays", "from_arrow", "from_batches", "from_parquet", "from_zarr", "predict", "predict_to_file"]

#: Features, targets and sample weights of a block; the last two may be None.
Block: TypeAlias = tuple[Any, Any, Any]

#: Of blocks of arrays: most bytes of features, how many blocks there are where that allows it, and fewest rows.
_BLOCK_BYTES, _BLOCKS, _FEWEST_ROWS = 1 << 20, 1000, 32
#: What the name of a folder of a partitioned data set says of a missing value.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"

#: Most bytes of memory for rows that had to be decoded, by default.
_CACHE_BYTES = 1 << 28


class Blocks:
    """Rows in blocks, each of which can be read at any time.

    `from_arrays`, `from_zarr`, `from_parquet`, `from_arrow` and `from_batches` make them, and `fit` takes them in place of X and
    y. ``len`` gives the number of rows.

    Parameters
    ----------
    read : callable
        ``(number of the block) -> (X, y, sample_weight)``, the last two of which may be None. Training calls it from a thread
        of its own, for one block at a time.
    sizes : sequence of int
        Rows of each block.
    features : ndarray, optional
        X of all blocks, one after another, if it is one array and the targets and weights have one number per row: training
        then takes the rows from there.
    feature_names, target_names : list of str, optional
        Names of the columns of X and of y.
    cache : int or path-like
        See `cached`.

    Attributes
    ----------
    sizes : ndarray of int64
    features : ndarray or None
    feature_names, target_names : list of str or None
    cache : int or path-like
        Where training keeps the rows: see `cached`.
    """

    def __init__(
        self,
        read: Callable[[int], Block],
        sizes: Sequence[int] | np.ndarray,
        *,
        features: np.ndarray | None = None,
        feature_names: list[str] | None = None,
        target_names: list[str] | None = None,
        cache: int | str | os.PathLike[str] = 0,
    ) -> None:
        self._read, self.features, self.cache = read, features, _place(cache, "cache")
        self.feature_names, self.target_names = feature_names, target_names
        self._kept: tuple[Hashable, KeptRows] | None = None
        self.sizes = _counts(sizes, "sizes")
        if self.sizes.sum() == 0:
            raise ValueError("The data have no rows: at least one datapoint is needed.")

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def read(self, number: int) -> Block:
        """Features, targets and sample weights of a block."""
        X, y, sample_weight = self._read(number)
        rows = _n_rows(X)
        if rows != self.sizes[number]:
            raise ValueError(f"Block {number} has {rows} rows, but had {self.sizes[number]} when the data were opened.")
        return X, y, sample_weight

    def in_order(self) -> Iterator[tuple[int, int, Block]]:
        """The blocks that have rows, in order: for each its number, the number of its first row, and its rows."""
        starts = np.cumsum(self.sizes) - self.sizes
        for number in np.flatnonzero(self.sizes).tolist():
            yield number, int(starts[number]), self.read(number)

    def as_tables(self) -> Blocks:
        """The same blocks, with a table of named columns as X where the source has one."""
        return self

    def cached(self, where: int | str | os.PathLike[str]) -> Blocks:
        """The same blocks, read and checked by training only once: later epochs, and fits, take the rows from a cache.

        Parameters
        ----------
        where : int or path-like
            Maximum number of bytes of memory for the cache; with 0, or if the data need more, blocks are read in every epoch. Or
            a folder, in which unnamed files hold all rows, in the network's dtype, as long as the process and these blocks
            exist.

        Returns
        -------
        Blocks

        Raises
        ------
        NotADirectoryError
            There is no such folder.
        TypeError, ValueError
            Neither a folder nor a number of bytes, or a negative one.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnet as fn
        >>> read = lambda number: (np.full((100, 4), number), np.zeros(100))
        >>> fn.data.from_batches(read, 10).cached(2**30)
        <Blocks 1000 rows in 10 blocks>
        """
        blocks = copy(self)
        blocks.cache, blocks._kept = _place(where, "where"), None
        return blocks

    def _kept_in(self, form: Hashable, row_bytes: int) -> KeptRows | None:
        """Where rows are kept in a form of the core, the last that was asked for; None: they are to be read again.

        Parameters
        ----------
        form : hashable
            What tells it from other forms.
        row_bytes : int
            Bytes of a row in that form.
        """
        limit, folder = (self.cache, None) if isinstance(self.cache, int) else (math.inf, self.cache)
        if len(self) > MOST_PLACES or len(self) * row_bytes > limit:
            return None
        kept = self._kept  # which other threads may replace
        if kept is None or kept[0] != form:
            kept = self._kept = form, KeptRows(self.sizes, folder=folder)
        return kept[1]

    def checksum(self) -> str:
        """CRC-32 of the sizes and of the first and the last block that have rows, by which a checkpoint knows its data."""
        filled = np.flatnonzero(self.sizes)
        code = zlib.crc32(self.sizes.tobytes())
        for number in {int(filled[0]): None, int(filled[-1]): None}:
            for part in self.read(number):
                if part is not None:
                    code = zlib.crc32(_bytes_of(part), code)
        return f"{code:08x}"

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        """No array: whatever asks for one takes no blocks."""
        raise TypeError(
            "This takes arrays, got blocks of fastnet.data: predict them with fastnet.data.predict, or give the rows of a block, "
            "as in X, y, _ = data.read(0)."
        )

    def __repr__(self) -> str:
        return f"<Blocks {len(self)} rows in {len(self.sizes)} blocks>"


def _place(where: int | str | os.PathLike[str], name: str) -> int | Path:
    """A folder, or a number of bytes as an int."""
    if not isinstance(where, (str, os.PathLike)):
        return _checks.integer(where, f"{name}, if it is no folder,", minimum=0)
    if not Path(where).is_dir():
        raise NotADirectoryError(f"{name} must be a folder for the cache, or a number of bytes, got {os.fspath(where)!r}.")
    return Path(where).absolute()  # which is this folder from another one, too


def _counts(given: Sequence[int] | np.ndarray, name: str) -> np.ndarray:
    """Numbers of rows as int64."""
    counts = np.array(given).reshape(-1)
    if counts.size and counts.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold whole numbers of rows, got {short(given)}.")
    if counts.size and counts.min() < 0:
        raise ValueError(f"{name} must hold numbers of rows of at least 0, got {counts.min()}.")
    return counts.astype(np.int64)


class _NamedBlocks(Blocks):
    """Blocks of a source that has tables of named columns.

    Parameters
    ----------
    read : callable
    read_table : callable
        ``(number of the block) -> (X, y, sample_weight)`` with a table as X.
    sizes : sequence of int
    **options
        Those of `Blocks`.
    """

    def __init__(self, read: Callable[[int], Block], read_table: Callable[[int], Block], sizes: Any, **options: Any) -> None:
        super().__init__(read, sizes, **options)
        self._read_table = read_table

    def as_tables(self) -> Blocks:
        return Blocks(self._read_table, self.sizes, target_names=self.target_names)


def _of_tables(roles: Roles, read: Callable[[int], Any], sizes: Sequence[int]) -> Blocks:
    """Blocks of tables of PyArrow, which `read` gives by the numbers of their blocks."""
    return _NamedBlocks(
        lambda number: roles.block(read(number)),
        lambda number: roles.table(read(number)),
        sizes,
        feature_names=roles.feature_names,
        target_names=roles.target_names,
        cache=_CACHE_BYTES,
    )


def from_arrays(X: Any, y: Any = None, sample_weight: Any = None, *, block_rows: int | None = None) -> Blocks:
    """Rows of arrays, on a disk or in memory.

    Parameters
    ----------
    X : array of shape (m, n), or with positions (m, ..., channels)
        A memory map (``np.load(path, mmap_mode="r")``), or anything else with a `shape` whose rows can be sliced: arrays of h5py,
        Zarr and Dask. Frames of pandas and polars become arrays at once, with their names as `feature_names`.
    y : array of shape (m,) or (m, n_targets), optional
    sample_weight : array of shape (m,), optional
    block_rows : int, optional
        Rows of a block, which are read together. By default those of a chunk of the array, if it has chunks, or else a
        thousandth of the rows, but at least 32 and at most a megabyte.

    Returns
    -------
    Blocks

    Raises
    ------
    TypeError
        X has no shape, or is a frame with other columns than numbers.
    ValueError
        X has fewer than two axes, or no rows, or y or the weights have another number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> fn.data.from_arrays(np.zeros((1000, 4)), np.zeros(1000), block_rows=64)
    <Blocks 1000 rows in 16 blocks>
    """
    if not hasattr(X, "shape"):
        raise TypeError(f"X must be an array or a memory map, got {type(X).__name__}; from_batches takes functions.")
    frame = X if hasattr(X, "columns") else None
    if frame is not None:
        X = _checks.numeric_array(X, "X")
    target_names = _names_of(y) if hasattr(y, "to_numpy") else None
    y, sample_weight = (_checks.table(part) if hasattr(part, "to_numpy") else part for part in (y, sample_weight))
    if len(X.shape) < 2:
        raise ValueError(f"X must have shape (rows, features), or with positions (rows, ..., channels), got {tuple(X.shape)}.")
    m = X.shape[0]
    if math.isnan(m):
        raise ValueError("X is a Dask array that does not know how many rows it has: give X.compute_chunk_sizes().")
    for name, array in (("y", y), ("sample_weight", sample_weight)):
        if array is not None and np.shape(array)[:1] != (m,):
            raise ValueError(f"{name} must have one entry for each of the {m} rows of X, got shape {np.shape(array)}.")
    X, y, sample_weight = map(_without_subclass, (X, y, sample_weight))
    size = _rows_of_a_block(X) if block_rows is None else _checks.positive_int(block_rows, "block_rows")
    starts = range(0, m, size)

    def read(number: int, X: Any = X) -> Block:
        rows = slice(starts[number], min(starts[number] + size, m))
        of_rows = X.iloc[rows] if hasattr(X, "iloc") else X[rows]
        return of_rows, None if y is None else y[rows], None if sample_weight is None else sample_weight[rows]

    in_memory = type(X) is np.ndarray
    in_place = in_memory and X.flags.c_contiguous and (y is None or len(np.shape(y)) == 1)
    features = X.reshape(m, math.prod(X.shape[1:])) if in_place else None
    sizes = [min(size, m - start) for start in starts]
    options: dict[str, Any] = {"features": features, "target_names": target_names, "cache": 0 if in_memory else _CACHE_BYTES}
    if frame is None:
        return Blocks(read, sizes, **options)
    return _NamedBlocks(read, lambda number: read(number, frame), sizes, feature_names=_names_of(frame), **options)


def _names_of(columns: Any) -> list[str] | None:
    """Names of a frame's columns, or of a series, if they have names, which are text."""
    names = list(getattr(columns, "columns", [getattr(columns, "name", None) or None]))
    return names if all(isinstance(name, str) for name in names) else None


def from_zarr(
    store: Any, X: str = "X", y: str | None = None, sample_weight: str | None = None, *, block_rows: int | None = None
) -> Blocks:
    """Rows of the arrays of a Zarr group, whose chunks are the blocks.

    Parameters
    ----------
    store : path-like, Zarr store or group
        A group, or what `zarr.open_group` opens.
    X, y, sample_weight : str, optional
        Names of arrays in the group.
    block_rows : int, optional
        As for `from_arrays`; by default the rows of a chunk of X.

    Returns
    -------
    Blocks

    Raises
    ------
    ImportError
        Zarr is not installed.
    ValueError
        The group has no such array, or arrays do not fit each other.
    """
    try:
        import zarr
    except ImportError as error:
        raise ImportError("from_zarr needs Zarr, which is not installed: pip install zarr") from error
    group = store if isinstance(store, zarr.Group) else zarr.open_group(store, mode="r")
    arrays = dict(group.arrays())
    for name in (X, y, sample_weight):
        if name is not None and name not in arrays:
            raise ValueError(f"The group has no array {name!r}: it has {', '.join(map(repr, sorted(arrays))) or 'none'}.")
    return from_arrays(*(None if name is None else arrays[name] for name in (X, y, sample_weight)), block_rows=block_rows)


def _n_rows(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def _bytes_of(part: Any) -> bytes:
    if isinstance(part, (Ragged, list, tuple)):
        return b"".join(np.ascontiguousarray(row).tobytes() for row in part)
    array = np.ascontiguousarray(part)
    return repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()


def _without_subclass(array: Any) -> Any:
    """A memory map as an array on the same memory, which takes a tenth of the time to be sliced."""
    return array.view(np.ndarray) if type(array) is np.memmap else array


def _rows_of_a_block(X: Any) -> int:
    chunks = getattr(X, "chunks", None)
    if chunks:
        return int(np.max(chunks[0]))  # Dask has the length of each
    m, *shape = X.shape
    return max(1, min(_BLOCK_BYTES // max(1, math.prod(shape) * X.dtype.itemsize), _share_of(m)))


def _share_of(m: int) -> int:
    return max(_FEWEST_ROWS, -(-m // _BLOCKS))


def from_batches(read: Callable[[int], Sequence[Any]], n_batches: int, *, rows: Sequence[int] | None = None) -> Blocks:
    """Rows that a function reads.

    Parameters
    ----------
    read : callable
        ``(number) -> (X, y)`` or ``(X, y, sample_weight)`` for numbers from 0 to `n_batches` - 1, the same whenever it is called
        with the same number. Training calls it from a thread of its own. X may have positions, or be a `Ragged` or a list of
        arrays for networks of rows of unequal length.
    n_batches : int
    rows : sequence of int, optional
        Rows of each batch. If not given, all batches are read once to count their rows.

    Returns
    -------
    Blocks

    Raises
    ------
    ValueError
        No rows, or the wrong number of `rows`.
    """
    n_batches = _checks.positive_int(n_batches, "n_batches")
    if not callable(read):
        raise TypeError(f"read must be a function of the batch's number, got {short(read)}.")

    def block(number: int) -> Block:
        given = read(number)
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise ValueError(f"A batch must be (X, y) or (X, y, sample_weight), got {type(given).__name__} for batch {number}.")
        X, y, sample_weight = (*given, None)[:3]
        return X, y, sample_weight

    sizes = [_n_rows(block(number)[0]) for number in range(n_batches)] if rows is None else _counts(rows, "rows")
    if len(sizes) != n_batches:
        raise ValueError(f"rows must hold one number for each of the {n_batches} batches, got {len(sizes)}.")
    return Blocks(block, sizes)


def from_parquet(
    path: str | os.PathLike[str],
    target: str | Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
) -> Blocks:
    """Rows of Parquet files, whose row groups are the blocks.

    The smaller the row groups are, the better training shuffles: a few thousand rows
    (``frame.to_parquet(path, row_group_size=5000)``). Training decodes them once if all rows need at most 256 MB of memory, or
    fit into what `Blocks.cached` allows, and otherwise in every epoch.

    Parameters
    ----------
    path : path-like
        A file, or a folder of files, which are taken in the order of their names. Folders in it with names such as
        ``city=Rome`` give their rows a column "city", after the others. Names that begin with "." or "_" are left out.
    target : str or sequence of str, optional
        Column or columns of y.
    columns : sequence of str, optional
        Columns of X, in that order; by default all others. They must hold numbers, except for estimators of tables.
    weight : str, optional
        Column of the sample weights.

    Returns
    -------
    Blocks

    Raises
    ------
    ImportError
        pyarrow is not installed.
    FileNotFoundError
        No such file, or no Parquet file in the folder.
    ValueError
        A file is none of Parquet or lacks a column, or there are no rows.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("from_parquet needs pyarrow, which is not installed: pip install pyarrow") from error
    path = Path(path).absolute()  # by which they are found from another folder, too
    files = _parquet_files(path)
    metadata = {}
    for file in files:
        with _checks.naming(str(file)):
            metadata[file] = parquet.read_metadata(file)
    schemas = {file: metadata[file].schema.to_arrow_schema() for file in files}
    of_folders = _values_of_folders(path, schemas)
    roles = Roles([*_columns_of(schemas[files[0]]), *of_folders[files[0]]], target, columns, weight)
    for file in files:
        roles.check([*schemas[file].names, *of_folders[file]], file)
    groups = [(file, group) for file in files for group in range(metadata[file].num_row_groups)]
    opened = threading.local()  # files are not for several threads

    def read(number: int) -> Any:
        file, group = groups[number]
        if getattr(opened, "path", None) != file:
            opened.path, opened.file = file, parquet.ParquetFile(file, metadata=metadata[file], memory_map=True)
        constant = {name: value for name, value in of_folders[file].items() if name in roles.names}
        names = [name for name in roles.names if name not in constant]
        try:
            table = opened.file.read_row_group(group, columns=names, use_threads=False)
        except (OSError, ValueError) as error:
            raise OSError(f"Row group {group} of {file} is broken, or the file has changed since: {error}") from error
        for name, value in constant.items():
            table = table.append_column(name, pyarrow.repeat(value, metadata[file].row_group(group).num_rows))
        return table

    return _of_tables(roles, read, [metadata[file].row_group(group).num_rows for file, group in groups])


def from_arrow(
    table: Any,
    target: str | Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
) -> Blocks:
    """Rows of an Arrow table, such as one on a memory map.

    Parameters
    ----------
    table : pyarrow.Table
        ``pyarrow.ipc.open_file(pyarrow.memory_map(path)).read_all()`` reads nothing yet.
    target, columns, weight
        As for `from_parquet`.

    Returns
    -------
    Blocks
        Each of adjacent rows of the table: a thousandth of all rows, but at least 32.

    Raises
    ------
    ValueError
        The table lacks a column, or has no rows.
    """
    roles = Roles(table.column_names, target, columns, weight)
    roles.check(table.column_names, "The table")
    batches = table.select(roles.names).to_batches(max_chunksize=_share_of(table.num_rows))
    read = type(table).from_batches
    return _of_tables(roles, lambda number: read([batches[number]]), [batch.num_rows for batch in batches])


def _columns_of(schema: Any) -> list[str]:
    """Names of the columns but for the index of a data frame of pandas."""
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name not in index]


def _values_of_folders(path: Path, schemas: Mapping[Path, Any]) -> dict[Path, dict[str, Any]]:
    """For each file the columns that it lacks and the names of its folders give, such as ``city=Rome``: integers or text."""
    import pyarrow

    texts = {file: dict(name.split("=", 1) for name in _names_in(path, file)[:-1] if "=" in name) for file in schemas}
    values: dict[Path, dict[str, Any]] = {file: {} for file in schemas}
    for name in dict.fromkeys(name for of_file in texts.values() for name in of_file):
        files = [file for file in schemas if name in texts[file] and name not in schemas[file].names]
        column = pyarrow.array([None if texts[file][name] == _NO_VALUE else unquote(texts[file][name]) for file in files])
        with suppress(pyarrow.ArrowInvalid):
            column = column.cast(pyarrow.int64())
        for file, value in zip(files, column, strict=True):
            values[file][name] = value
    return values


def _parquet_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = (file for file in path.rglob("*.parquet") if file.is_file())
        files = sorted(file for file in found if not any(map(_is_hidden, _names_in(path, file))))
    else:
        files = [path]
    if not files or not files[0].exists():
        raise FileNotFoundError(f"{path} is no Parquet file and no folder with files *.parquet.")
    return files


def _names_in(folder: Path, file: Path) -> tuple[str, ...]:
    """Of the folders below this one, and of the file."""
    return file.relative_to(folder).parts


def _is_hidden(name: str) -> bool:
    """What Spark and Arrow write beside the data, or have not written to its end."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)
