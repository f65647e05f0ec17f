"""Blocks of rows, and a cache for those that have been read."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from copy import copy
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeAlias

import numpy as np

from fastnet import _checks
from fastnet.ragged import Ragged

from .kept_rows import MOST_PLACES, KeptRows

#: Features, targets and sample weights of a block; the last two may be None.
Block: TypeAlias = tuple[Any, Any, Any]

#: Most bytes of memory for rows that had to be decoded, by default.
CACHE_BYTES = 1 << 28


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
        self.sizes = row_counts(sizes, "sizes")
        if self.sizes.sum() == 0:
            raise ValueError("The data have no rows: at least one datapoint is needed.")

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def read(self, number: int) -> Block:
        """Features, targets and sample weights of a block."""
        X, y, sample_weight = self._read(number)
        rows = n_rows(X)
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


class NamedBlocks(Blocks):
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


def refuse_beside_blocks(y: Any, sample_weight: Any) -> None:
    """Refuse targets and weights that are given beside blocks.

    Raises
    ------
    ValueError
    """
    if y is not None or sample_weight is not None:
        raise ValueError("Blocks bring their targets and sample weights: give y and sample_weight to fastnet.data alone.")


def _place(where: int | str | os.PathLike[str], name: str) -> int | Path:
    """A folder, or a number of bytes as an int."""
    if not isinstance(where, (str, os.PathLike)):
        return _checks.integer(where, f"{name}, if it is no folder,", minimum=0)
    if not Path(where).is_dir():
        raise NotADirectoryError(f"{name} must be a folder for the cache, or a number of bytes, got {os.fspath(where)!r}.")
    return Path(where).absolute()  # which is this folder from another one, too


def row_counts(given: Sequence[int] | np.ndarray, name: str) -> np.ndarray:
    """Numbers of rows as int64."""
    counts = np.array(given).reshape(-1)
    if counts.size and counts.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold whole numbers of rows, got {short(given)}.")
    if counts.size and counts.min() < 0:
        raise ValueError(f"{name} must hold numbers of rows of at least 0, got {counts.min()}.")
    return counts.astype(np.int64)


def _bytes_of(part: Any) -> bytes:
    if isinstance(part, (Ragged, list, tuple)):
        return b"".join(np.ascontiguousarray(row).tobytes() for row in part)
    array = np.ascontiguousarray(part)
    return repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()


def n_rows(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)
