"""What is known of rows of a table that are not in one place: of their columns, their targets and their weights."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np

from fastnet._checks import is_missing, joined_labels
from fastnet._data import nonnegative
from fastnet.data.blocks import n_rows
from fastnet.tabular._folds import Rows
from fastnet.tabular._frames import kind_of, names_of
from fastnet.tabular._survey import TableSurvey

if TYPE_CHECKING:
    from fastnet.tabular._base import BaseTabular

#: Targets that show what all are like.
FEW = 20


class ClassCounts:
    """The classes among some labels, and how many rows each has.

    Parameters
    ----------
    labels : ndarray of shape (m,)
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.classes, self.counts = np.unique(labels, return_counts=True)

    def merge(self, other: ClassCounts) -> None:
        """Count the labels of further rows."""
        self.classes, places = np.unique(joined_labels([self.classes, other.classes]), return_inverse=True)
        self.counts = np.bincount(places, np.concatenate([self.counts, other.counts])).astype(np.int64)


class Spread:
    """Range, mean and variance of each target, weighted; and the sum of the weights, which are 1 if there are none.

    Parameters
    ----------
    values : ndarray of shape (m, n_targets)
    weights : ndarray of shape (m,), optional
        Of the rows; those of weight 0 do not count.
    """

    def __init__(self, values: np.ndarray, weights: np.ndarray | None = None) -> None:
        if weights is not None:
            values, weights = values[weights > 0], weights[weights > 0]
        self.low, self.high = values.min(axis=0, initial=np.inf), values.max(axis=0, initial=-np.inf)
        if weights is None:
            self.weight, self.mean, self.variance = float(len(values)), values.mean(axis=0), values.var(axis=0)
        else:
            self.weight = float(weights.sum(dtype=np.float64))
            self.mean = _average(values, weights)
            self.variance = _average((values - self.mean) ** 2, weights)

    def merge(self, other: Spread) -> None:
        """Include the targets of further rows."""
        if len(other.mean) != len(self.mean):
            raise ValueError(f"All targets must have {len(self.mean)} columns, got {len(other.mean)}.")
        weight = self.weight + other.weight
        share, apart = other.weight / weight if weight else 0.0, other.mean - self.mean
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self.mean = self.mean + share * apart
        self.variance = (1 - share) * self.variance + share * other.variance + share * (1 - share) * apart**2
        self.weight = weight


def _average(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of each column; 0 where there are no rows."""
    return np.average(values, axis=0, weights=weights) if len(values) else np.zeros(values.shape[1])


@dataclass
class Findings:
    """What an estimator has to know of all rows before it prepares any.

    Attributes
    ----------
    columns : TableSurvey
    targets : ClassCounts or Spread
    weight : float or None
        Sum of the sample weights; None if there are none.
    target_names : list of str or None
    """

    columns: TableSurvey
    targets: Any
    weight: float | None
    target_names: list[str] | None

    @classmethod
    def of(cls, estimator: BaseTabular, X: Any, y: Any, sample_weight: Any, start: int) -> Findings:
        """Of rows, the first of which is number `start` of all.

        Raises
        ------
        ValueError, TypeError
            Rows that are not what the estimator takes.
        """
        if y is None:
            raise ValueError("The data have no targets to train on: give y to fastnet.data.")
        m = n_rows(X)
        if len(y) != m:
            raise ValueError(f"X has {m} rows, y has {len(y)}.")
        weights = None if sample_weight is None else checked_weights(sample_weight, m)
        columns = estimator.preprocessor_._survey(X, start, weights)
        targets = estimator._survey_targets(y, weights)
        return cls(columns, targets, None if weights is None else float(weights.sum()), names_of(y))

    def merge(self, other: Findings) -> None:
        """Include further rows."""
        if (self.weight is None) != (other.weight is None):
            raise ValueError("Either all blocks must have sample weights, or none.")
        self.columns.merge(other.columns)
        self.targets.merge(other.targets)
        if self.weight is not None and other.weight is not None:
            self.weight += other.weight


def refuse_moments(y: Any, what_to_do: str) -> None:
    """Refuse dates, times and spans of time as targets, which NumPy would take for numbers, those that are missing too.

    Raises
    ------
    TypeError
    """
    known = nw.from_native(y, eager_only=True, allow_series=True, pass_through=True)
    for column in known.iter_columns() if isinstance(known, nw.DataFrame) else [known]:
        if isinstance(column, nw.Series) and column.dtype.is_numeric():
            continue
        few = np.asarray(column[:FEW] if isinstance(column, nw.Series) else column).ravel()[:FEW]
        spans = few.dtype.kind == "m" or any(isinstance(value, dt.timedelta) for value in few.tolist())
        if spans or kind_of(few) == "moment":
            got = few.dtype if few.dtype.kind in "mM" else next(type(value).__name__ for value in few if not is_missing(value))
            raise TypeError(f"y holds dates or times ({got}), which are no targets: {what_to_do}.")


def checked_weights(sample_weight: Any, n: int) -> np.ndarray:
    """Sample weights of n rows, some of all, as float64."""
    return nonnegative(sample_weight, n, np.dtype(np.float64))


@dataclass(frozen=True)
class Prepare:
    """Prepares rows with what an estimator has learnt of all.

    Attributes
    ----------
    estimator : BaseTabular
    mean_weight : float
        Of the sample weights.
    """

    estimator: BaseTabular
    mean_weight: float

    def __call__(self, X: Any, y: Any, sample_weight: Any) -> Rows:
        """The rows, with targets as metrics see them."""
        features, targets = self.estimator._prepared_known(X), self.estimator._check_targets(y)
        weights = None
        if sample_weight is not None:
            weights = np.asarray(checked_weights(sample_weight, len(features)) / self.mean_weight, np.float32)
        return Rows(features, targets, self.estimator._with_class_weights(targets, weights))
