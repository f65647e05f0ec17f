"""Blocks of arrays, on a disk or in memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet import _checks

from .blocks import CACHE_BYTES, Block, Blocks, NamedBlocks

#: Of blocks of arrays: most bytes of features, how many blocks there are where that allows it, and fewest rows.
_BLOCK_BYTES, _BLOCKS, _FEWEST_ROWS = 1 << 20, 1000, 32


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
    options: dict[str, Any] = {"features": features, "target_names": target_names, "cache": 0 if in_memory else CACHE_BYTES}
    if frame is None:
        return Blocks(read, sizes, **options)
    return NamedBlocks(read, lambda number: read(number, frame), sizes, feature_names=_names_of(frame), **options)


def _names_of(columns: Any) -> list[str] | None:
    """Names of a frame's columns, or of a series, if they have names, which are text."""
    names = list(getattr(columns, "columns", [getattr(columns, "name", None) or None]))
    return names if all(isinstance(name, str) for name in names) else None


def _without_subclass(array: Any) -> Any:
    """A memory map as an array on the same memory, which takes a tenth of the time to be sliced."""
    return array.view(np.ndarray) if type(array) is np.memmap else array


def _rows_of_a_block(X: Any) -> int:
    chunks = getattr(X, "chunks", None)
    if chunks:
        return int(np.max(chunks[0]))  # Dask has the length of each
    m, *shape = X.shape
    return max(1, min(_BLOCK_BYTES // max(1, math.prod(shape) * X.dtype.itemsize), share_of(m)))


def share_of(m: int) -> int:
    return max(_FEWEST_ROWS, -(-m // _BLOCKS))


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
