"""Blocks that a function reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from reprlib import repr as short
from typing import Any

from fastnet import _checks

from .blocks import Block, Blocks, n_rows, row_counts


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

    sizes = [n_rows(block(number)[0]) for number in range(n_batches)] if rows is None else row_counts(rows, "rows")
    if len(sizes) != n_batches:
        raise ValueError(f"rows must hold one number for each of the {n_batches} batches, got {len(sizes)}.")
    return Blocks(block, sizes)
