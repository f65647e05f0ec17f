"""Rows on Dask as partitions, and what the client learns of them in one pass."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed, delayed
from scipy import sparse
from sklearn.utils import _safe_indexing

from fastnet._checks import joined_labels, naming, refuse_missing_labels
from fastnet.dask._engine import Engine

#: Rows of each class; a list of such counts for sets of labels, one for each.
ClassCounts: TypeAlias = dict[Any, int] | list[dict[Any, int]]


class Partition(NamedTuple):
    """Rows as the caller gave them."""

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None

    def take(self, rows: np.ndarray) -> Partition:
        """The rows with these numbers."""
        weights = None if self.sample_weight is None else self.sample_weight[rows]
        return Partition(_safe_indexing(self.X, rows), self.y[rows], weights)


class Survey(NamedTuple):
    """What the client knows of all partitions, which have rows.

    Attributes
    ----------
    sizes : list of int
        Rows of each.
    weight : float
        Sum of the sample weights.
    X : array-like of shape (1, n_features)
        A row.
    y : ndarray
        The distinct classes in their order; of numbers, the least and the greatest of each target.
    counts : ndarray of int
        Rows of each class.
    rows : ndarray of int
        Number of a row that has each entry of `y`, the first of them.
    """

    sizes: list[int]
    weight: float
    X: Any
    y: np.ndarray
    counts: np.ndarray
    rows: np.ndarray

    @property
    def class_counts(self) -> ClassCounts:
        """Rows of each class; of sets of labels, those without and with each label."""
        if self.y.ndim == 1:
            return dict(zip(self.y.tolist(), self.counts.tolist(), strict=True))
        m = int(self.counts.sum())
        return [{0: m - n, 1: n} for n in (self.counts @ (self.y != 0)).tolist()]


def is_on_dask(data: Any) -> bool:
    """Whether rows are a collection of Dask's, or a list of delayed partitions or futures."""
    return is_dask_collection(data) or is_partition(data[0] if isinstance(data, (list, tuple)) and data else data)


def is_partition(data: Any) -> bool:
    """Whether rows are a delayed partition, or the future of one."""
    distributed = sys.modules.get("distributed")
    return isinstance(data, Delayed) or (distributed is not None and isinstance(data, distributed.Future))


def lengths(data: Any) -> tuple[int, ...] | None:
    """Rows of each partition, where they are known without a look at them: those of an array's chunks."""
    if isinstance(data, Delayed) or not hasattr(data, "chunks") or np.isnan(data.chunks[0]).any():
        return None
    return tuple(data.chunks[0])


def pieces(data: Any, rows: Any = None, name: str = "X") -> list[Any]:
    """Delayed rows of each partition; those of an array divided as `rows` are, where both know their lengths.

    The graph is left as it is: pieces of X and y that come of one source share its tasks, and cannot fall out of step.

    Raises
    ------
    TypeError, ValueError
        Data in memory that cannot be divided as `rows` are; `name` is what the data are.
    """
    if is_partition(data):
        data = [data]
    sizes = lengths(rows)
    if not is_on_dask(data) and not _is_divided(data):
        data = _divided(data, sizes, name)
    if isinstance(data, (list, tuple)):
        return [delayed(part) if is_partition(part) else part for part in data]
    if hasattr(data, "chunks"):
        if data.ndim > 1:
            data = data.rechunk(dict.fromkeys(range(1, data.ndim), -1))
        if sizes is not None and data.shape[0] == sum(sizes):
            data = data.rechunk({0: sizes})
    return list(np.ravel(np.array(data.to_delayed(optimize_graph=False), dtype=object)))


def _is_divided(data: Any) -> bool:
    """Whether rows in memory are a list of partitions."""
    return isinstance(data, (list, tuple)) and len(data) > 0 and all(getattr(part, "shape", ()) for part in data)


def _divided(values: Any, sizes: tuple[int, ...] | None, name: str) -> Any:
    """Rows in memory as a Dask array of chunks of these sizes."""
    if sizes is None:
        raise TypeError(
            f"{name} must be on Dask as X is, in the same partitions, got {type(values).__name__} in memory: give a column of "
            "the same data frame, or a list of delayed partitions."
        )
    import dask.array as da

    array = np.asarray(values)
    if array.shape[:1] != (sum(sizes),):
        raise ValueError(f"{name} must have one entry for each of the {sum(sizes)} rows of X, got shape {array.shape}.")
    return da.from_array(array, chunks=(sizes, *array.shape[1:]))


def partitions(X: Any, y: Any, sample_weight: Any) -> list[Delayed]:
    """Each a `Partition`."""
    if y is None:
        raise TypeError("fit needs y beside X.")
    given = {"X": pieces(X), "y": pieces(y, X, "y")}
    if sample_weight is not None:
        given["sample_weight"] = pieces(sample_weight, X, "sample_weight")
    for name, parts in given.items():
        if len(parts) != len(given["X"]):
            raise ValueError(f"{name} must have the {len(given['X'])} partitions of X, got {len(parts)}.")
    return [delayed(_partition)(number, *parts) for number, parts in enumerate(zip(*given.values(), strict=True))]


def _partition(number: int, X: Any, y: Any, sample_weight: Any = None) -> Partition:
    X, y, sample_weight = as_rows(X), as_vector(y), None if sample_weight is None else as_vector(sample_weight)
    lengths = [X.shape[0], len(y), *([] if sample_weight is None else [len(sample_weight)])]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"Partition {number} has {lengths[0]} rows of X, {lengths[1]} of y"
            + ("." if sample_weight is None else f" and {lengths[2]} sample weights.")
        )
    return Partition(X, y, sample_weight)


def as_rows(values: Any) -> Any:
    """A partition as it is, or a list as an array."""
    rows = values if hasattr(values, "shape") else np.asarray(values)
    if not rows.shape:
        raise TypeError(f"A partition must hold rows, as an array, a data frame or a list, got {type(values).__name__}.")
    return rows


def as_vector(values: Any) -> np.ndarray:
    """An array, of one dimension where there is one column."""
    array = np.asarray(as_rows(values))
    return array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array


def surveyed(engine: Engine, parts: list[Delayed], *, of_classes: bool) -> Survey:
    """Look at all partitions once.

    Raises
    ------
    ValueError
        No rows, none that has a weight, or labels that are missing or of several types.
    """
    found = engine.compute(delayed([delayed(_surveyed)(*entry, of_classes) for entry in enumerate(parts)]))
    sizes = [0 if one is None else one.sizes[0] for one in found]
    starts = np.cumsum([0, *sizes])
    known = [one._replace(rows=one.rows + start) for one, start in zip(found, starts, strict=False) if one is not None]
    if not known:
        raise ValueError("The partitions have no rows: at least one datapoint is needed.")
    weight = sum(one.weight for one in known)
    if not weight:
        raise ValueError("Sample weights must contain at least one non-zero number.")
    y = (joined_labels if of_classes else np.concatenate)([one.y for one in known])
    rows, counts = (np.concatenate([getattr(one, name) for one in known]) for name in ("rows", "counts"))
    kept, counts = _landmarks(y, counts, of_classes)
    row = next((one.X for one in known if _dtype(one.X) != np.float32), known[0].X)  # the model's dtype is that of all rows
    return Survey(sizes, weight, row, y[kept], counts, rows[kept])


def _surveyed(number: int, part: Partition, of_classes: bool) -> Survey | None:
    """None: no rows."""
    X, y, sample_weight = part
    if not len(y):
        return None
    if of_classes:
        with naming(f"partition {number}"):
            refuse_missing_labels(y)
    rows, counts = _landmarks(y, np.ones(len(y), int), of_classes)
    weight = float(len(y) if sample_weight is None else np.sum(sample_weight, dtype=np.float64))
    return Survey([len(y)], weight, _safe_indexing(X, [0]), y[rows], counts, rows)


def _dtype(X: Any) -> np.dtype:
    """Of rows as one array."""
    return X.dtype if sparse.issparse(X) else np.asarray(X).dtype


def _landmarks(y: np.ndarray, counts: np.ndarray, of_classes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the first entries that have each class, or the least and the greatest of numbers; and how often they come."""
    if not of_classes:
        rows = np.unique([y.argmin(axis=0), y.argmax(axis=0)])
        return rows, counts[rows]
    _, rows, place = np.unique(y, return_index=True, return_inverse=True, axis=None if y.ndim == 1 else 0)
    return rows, np.bincount(place.ravel(), counts).astype(int)


def gathered(parts: Sequence[Partition]) -> Partition:
    """The rows of several partitions in one, and those of none as they are."""
    parts = [part for part in parts if len(part.y)] or list(parts[:1])
    weights = [part.sample_weight for part in parts if part.sample_weight is not None]
    return Partition(
        _stacked([part.X for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate(weights) if weights else None,
    )


def _stacked(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    if hasattr(parts[0], "iloc"):
        import pandas

        return pandas.concat(parts)
    return np.concatenate(parts)
