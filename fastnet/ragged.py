"""Rows of unequal length: series, texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastnet import _checks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


class Ragged:
    """Rows of unequal length, one after the other in one array.

    Parameters
    ----------
    flat : array-like of shape (n_positions, ...)
        The positions of all rows: the channels of a series, or ids of words.
    starts : array-like of shape (m + 1,)
        Where in `flat` each row begins, followed by where the last one ends.

    Attributes
    ----------
    flat : ndarray
    starts : ndarray of int64
    lengths : ndarray of shape (m,)
        Positions of each row.

    Raises
    ------
    TypeError, ValueError
        Not real numbers, or starts that are not those of rows.

    Examples
    --------
    >>> import fastnet as fn
    >>> rows = fn.Ragged.from_rows([[[1.0], [2.0]], [[3.0]]])
    >>> len(rows), rows.lengths.tolist(), rows[1].tolist()
    (2, [2, 1], [[3.0]])
    """

    def __init__(self, flat: ArrayLike, starts: ArrayLike) -> None:
        self.flat = _checks.numeric_array(flat, "flat")
        bounds = _checks.numeric_array(starts, "starts")
        if self.flat.ndim < 1 or bounds.ndim != 1 or len(bounds) < 1:
            raise ValueError(
                f"Ragged needs flat of shape (n_positions, ...) and starts of shape (rows + 1,), got {self.flat.shape} and "
                f"{bounds.shape}."
            )
        self.starts = bounds.astype(np.int64)
        ends = bounds[0] == 0 and bounds[-1] == len(self.flat)
        if not ends or (self.starts != bounds).any() or (np.diff(self.starts) < 0).any():
            raise ValueError(
                f"starts must be integers that go up from 0 to the {len(self.flat)} positions of flat, got {bounds[:5]} ..."
            )

    @classmethod
    def from_rows(cls, rows: Sequence[ArrayLike]) -> Ragged:
        """Rows from a sequence of arrays of shapes (length, ...), whose other axes agree."""
        return cls._named(rows, "X")

    @classmethod
    def _named(cls, rows: Sequence[ArrayLike], name: str) -> Ragged:
        """`from_rows` of what errors call `name`."""
        arrays = [numbers(row, f"row {number} of {name}") for number, row in enumerate(rows)]
        kinds = {row.shape[1:] for row in arrays if row.ndim}
        if any(row.ndim == 0 for row in arrays) or len(kinds) > 1:
            odd = next((n for n, row in enumerate(arrays) if row.ndim == 0 or row.shape[1:] != arrays[0].shape[1:]), 0)
            raise ValueError(
                f"Rows of {name} must agree in all axes but the first: row 0 has shape {arrays[0].shape}, row {odd} "
                f"{arrays[odd].shape}."
            )
        lengths = [len(row) for row in arrays]
        return cls(np.concatenate(arrays) if arrays else np.empty(0), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    @classmethod
    def from_padded(cls, X: ArrayLike, lengths: ArrayLike) -> Ragged:
        """Rows that were padded at the end to one length.

        Parameters
        ----------
        X : array-like of shape (m, longest, ...)
        lengths : array-like of shape (m,)
            Number of positions of each row; what lies beyond them is left out.

        Returns
        -------
        Ragged

        Raises
        ------
        ValueError
            Shapes that do not belong together, or lengths that are no integers from 0 to ``longest``.
        TypeError
            Not real numbers.
        """
        array, n = _checks.numeric_array(X, "X"), _checks.numeric_array(lengths, "lengths")
        if array.ndim < 2 or n.shape != array.shape[:1] or (n != n.astype(np.int64)).any():
            raise ValueError(f"Padded rows are X of shape (m, longest, ...) and m integers, got {array.shape} and {n.shape}.")
        if n.size and not 0 <= n.min() <= n.max() <= array.shape[1]:
            raise ValueError(f"lengths must lie between 0 and the {array.shape[1]} positions of X, got {n.min()} to {n.max()}.")
        there = np.arange(array.shape[1]) < n[:, None]
        return cls(array[there], np.concatenate([[0], np.cumsum(n, dtype=np.int64)]))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, rows: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> Ragged: ...
    def __getitem__(self, rows: int | slice | Sequence[int] | np.ndarray) -> np.ndarray | Ragged:
        """One row as an array, or several as `Ragged`."""
        if isinstance(rows, (int, np.integer)):
            number = range(len(self))[rows]
            return np.asarray(self.flat[self.starts[number] : self.starts[number + 1]])
        numbers = np.arange(len(self))[rows]
        lengths = self.lengths[numbers]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        where = np.arange(starts[-1]) + np.repeat(self.starts[numbers] - starts[:-1], lengths)
        return Ragged(self.flat[where], starts)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    def padded(self, length: int | None = None) -> np.ndarray:
        """All rows in one array (m, length, ...), padded with zeros at the end; by default as long as the longest row."""
        longest = int(self.lengths.max(initial=0))
        length = longest if length is None else _checks.integer(length, "length", minimum=longest)
        there = np.arange(length) < self.lengths[:, None]
        out = np.zeros((len(self), length, *self.flat.shape[1:]), self.flat.dtype)
        out[there] = self.flat
        return out

    def __repr__(self) -> str:
        lengths = self.lengths
        span = f"{lengths.min()} to {lengths.max()}" if len(self) else "no"
        return f"<Ragged: {len(self)} rows of {span} positions, each {self.flat.shape[1:]} {self.flat.dtype.name}>"


#: What is done for rows that are too long for a network.
_LONGER_SHAPE = "build the network with a longer input_shape"


def core_rows(X: Any, shape: tuple[int, ...], shortest: int, dtype: DTypeLike, *, for_longer: str = _LONGER_SHAPE) -> np.ndarray:
    """Rows of at most ``shape[0]`` positions as the core takes them: padded with zeros, and followed by their length.

    Parameters
    ----------
    X : Ragged, sequence of arrays, or array
        Rows, also as an array or a column of objects; in any other array, all are as long as its second axis. A single row is an
        array with one axis less. Rows in the core's form pass as they are, but for those of ids, which look like ids alone.
    shape : tuple of int
        Of the longest row.
    shortest : int
        Fewest positions that a row must have.
    for_longer : str
        What errors tell those to do who have longer rows.

    Returns
    -------
    ndarray of shape (m, prod(shape) + 1), or (prod(shape) + 1,) of one row

    Raises
    ------
    TypeError, ValueError
        Rows that do not fit.
    """
    width = math.prod(shape) + 1
    X = listed(X)
    if isinstance(X, (list, tuple)) and X and np.ndim(X[0]) == len(shape):
        X = Ragged.from_rows(X)
    if not isinstance(X, Ragged):
        array = numbers(X, "X")
        if array.ndim in (1, 2) and len(shape) > 1 and array.shape[-1] == width and array.dtype.kind == "f":
            _check_lengths(array.reshape(-1, width)[:, -1], shape[0], shortest, for_longer)
            return array
        if array.ndim == len(shape):
            return np.asarray(core_rows([array], shape, shortest, dtype, for_longer=for_longer)[0])
        if array.ndim != len(shape) + 1:
            raise ValueError(f"{_wanted(shape)} got an array of shape {array.shape}.")
        X = Ragged.from_padded(array, np.full(len(array), array.shape[1]))
    if X.flat.shape[1:] != shape[1:]:
        raise ValueError(f"{_wanted(shape)} got rows of shape ({', '.join(map(str, ('length', *X.flat.shape[1:])))}).")
    _check_lengths(X.lengths, shape[0], shortest, for_longer)
    rows = np.empty((len(X), width), dtype)
    rows[:, :-1] = X.padded(shape[0]).reshape(len(X), width - 1)
    rows[:, -1] = X.lengths
    return rows


def core_labels(y: Any, there: np.ndarray) -> np.ndarray:
    """Class numbers of all positions, of the shape of `there`, with -1 where there is none: from a Ragged or a list of arrays,
    one number for each position that a row has, or from an array in which what stands elsewhere does not matter.

    Raises
    ------
    TypeError, ValueError
        Not as many numbers as positions.
    """
    y = listed(y)
    if isinstance(y, (list, tuple)) and any(np.ndim(row) for row in y):
        y = Ragged._named(y, "y")
    if not isinstance(y, Ragged):
        labels = numbers(y, "y")
        check_label_shape(labels.shape, there.shape)
        return np.where(there, _with_room_for_none(labels).reshape(there.shape), -1)
    lengths = there.reshape(len(there), there.shape[1], -1).any(axis=2).sum(axis=1)
    if len(y) != len(there) or (y.lengths != lengths).any() or y.flat.shape[1:] != there.shape[2:]:
        number = int((y.lengths != lengths).argmax()) if len(y) == len(there) else 0
        raise ValueError(
            f"y must have one class number for each position of the output, {lengths[number]} for row {number} of {len(there)}; "
            f"got {len(y)} rows, row {number} of {y.lengths[number]}."
        )
    flat = _with_room_for_none(y.flat)
    labels = np.full(there.shape, -1, flat.dtype)
    labels[there] = flat.reshape(-1)
    return labels


def _with_room_for_none(labels: np.ndarray) -> np.ndarray:
    """Class numbers in a dtype that holds -1."""
    return labels if labels.dtype.kind in "if" else labels.astype(np.int64)


def check_label_shape(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuse, with a ValueError, labels that do not have the shape of the output's positions, or are flat rows of as many."""
    if given not in (wanted, (*wanted, 1), (wanted[0], math.prod(wanted[1:]))):
        raise ValueError(
            f"y must have a class number for each position of the output, {wanted}, got shape {given}; for one class a row put "
            "GlobalPool or Last before the last layer."
        )


def listed(rows: Any) -> Any:
    """Arrays and columns whose entries are rows, and other columns of objects, as a list; anything else as it is."""
    if getattr(rows, "dtype", None) == np.dtype(object) and np.ndim(rows) == 1:
        return list(rows)
    if hasattr(rows, "to_numpy") and not hasattr(rows, "columns"):  # columns of lists have dtypes of their own
        entries = np.asarray(rows)
        return list(entries) if entries.dtype == object and len(entries) and np.ndim(entries[0]) else rows
    return rows


def numbers(values: Any, name: str) -> np.ndarray:
    """`numeric_array`, also of arrays of objects that are numbers."""
    is_of_objects = isinstance(values, np.ndarray) and values.dtype == object and values.ndim > 0
    return _checks.numeric_array(values.tolist() if is_of_objects else values, name)


def _wanted(shape: tuple[int, ...]) -> str:
    row = ", ".join(map(str, (f"up to {shape[0]}", *shape[1:])))
    return f"X must be a fastnet.Ragged or a list of arrays of shape ({row}), or an array of rows of one length:"


def _check_lengths(lengths: np.ndarray, longest: int, shortest: int, for_longer: str) -> None:
    bad = ~((lengths >= shortest) & (lengths <= longest) & (lengths == np.floor(lengths)))
    if bad.any():
        number = int(bad.argmax())
        raise ValueError(
            f"Row {number} of X has {lengths[number]:g} positions; the network takes {shortest} to {longest}. Leave it out or "
            f"cut it, or {for_longer}."
        )
