"""Where networks get the rows of a table from: rows in memory, prepared and split, or blocks of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from fastnet._checks import refuse_silent_conversion
from fastnet.data import Blocks
from fastnet.tabular._folds import Part, Rows
from fastnet.tabular._frames import Table, names_of, rows_of
from fastnet.tabular._splits import LEAST_ROWS, group_numbers, splits
from fastnet.tabular._streamed import read_blocks

if TYPE_CHECKING:
    from fastnet.tabular._base import BaseTabular


class Source(NamedTuple):
    """Where networks get their rows from.

    Attributes
    ----------
    n_rows : int
    sample : ndarray of shape (m, n_inputs)
        Features that show what all are like.
    parts : callable
        ``(n_folds) -> parts``, one for each fold, or a single one where there are no folds.
    most_folds : int, optional
        Rows, or groups of rows that must not be parted, where some are set aside.
    """

    n_rows: int
    sample: np.ndarray
    parts: Callable[[int], list[Part]]
    most_folds: int | None = None


def source_of(self: BaseTabular, X: Any, y: Any, sample_weight: Any, groups: Any, fraction: float, seed: int) -> Source:
    """Where networks get their rows from, of which a fraction is held; what is to be known of all rows is learnt."""
    if isinstance(X, Blocks):
        _refuse_with_blocks(y=y, sample_weight=sample_weight, groups=groups)
        part = read_blocks(self, X, fraction, seed)
        return Source(len(X), part[0].sample, lambda n_folds: [lambda: part])
    if y is None:
        raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
    if isinstance(y, str):
        raise TypeError(f"y must be the targets, got the text {y!r}: give X without this column, and y=X[{y!r}].")
    data, numbers = _read(self, X, y, sample_weight, groups)
    most_folds = len(data) if numbers is None else len(np.unique(numbers))
    return Source(
        len(data),
        data.X,
        partial(_parts, self, data, numbers, fraction, seed),
        most_folds if fraction and len(data) >= LEAST_ROWS else None,
    )


def _read(self: BaseTabular, X: Any, y: Any, sample_weight: Any, groups: Any) -> tuple[Rows, np.ndarray | None]:
    """Rows in memory that have a weight, prepared, and the numbers of their groups."""
    table = self.preprocessor_._read(X)
    self._take_names()
    self.target_names_ = names_of(y)
    weights = _sample_weights(table.n_rows, sample_weight)
    check_consistent_length(np.empty(table.n_rows), y)
    numbers = None if groups is None else group_numbers(groups, table.n_rows)
    if weights is not None:
        weights, table, y, numbers = _counting(weights, table, y, numbers)
        weights = np.asarray(weights / weights.mean(), np.float32)
    targets = self._learn_targets(y, weights)
    weights = self._with_class_weights(targets, weights)
    if weights is not None:
        weights, table, targets, numbers = _counting(weights, table, targets, numbers)
        if not len(weights):
            raise ValueError("class_weight and sample_weight together leave no row a weight.")
    self.preprocessor_._learn_table(table)
    return Rows(with_a_column(self.preprocessor_._encoded(table)), targets, weights), numbers


def _counting(weights: np.ndarray, table: Table, y: Any, groups: np.ndarray | None) -> tuple[np.ndarray, Table, Any, Any]:
    """Weights, table, targets and groups of the rows that have a weight."""
    rows = np.flatnonzero(weights)
    if len(rows) == len(weights):
        return weights, table, y, groups
    return weights[rows], table[rows], rows_of(y, rows), rows_of(groups, rows)


def read_held(self: BaseTabular, X: Any, y: Any) -> Rows:
    """Rows that are given to validate on, prepared."""
    features, targets = self._prepared(X), self._check_targets(y)
    check_consistent_length(features, targets)
    return Rows(features, targets, self._with_class_weights(targets, None)).counting


def with_a_column(features: np.ndarray) -> np.ndarray:
    """Prepared columns, or one of zeros where every column was left out."""
    return features if features.shape[1] else np.zeros((len(features), 1), np.float32)


def _sample_weights(m: int, sample_weight: Any) -> np.ndarray | None:
    """Checked weights of m rows."""
    if sample_weight is None:
        return None
    refuse_silent_conversion(sample_weight, "sample_weight")
    weights = _check_sample_weight(sample_weight, np.empty(m), dtype=np.float64)
    if (weights < 0).any() or not weights.any():
        raise ValueError("Sample weights must be at least 0 and contain at least one non-zero number.")
    return np.asarray(weights)


def _parts(
    self: BaseTabular, data: Rows, groups: np.ndarray | None, fraction: float, seed: int, n_folds: int
) -> list[Part]:
    """The rows that each network trains on and is validated on."""
    classes = None if self._regression else data.y
    found = splits(len(data), classes, groups, n_folds=n_folds, fraction=fraction, seed=seed)
    return [partial(_of_both, data, rows, held) for rows, held in found]


def _of_both(data: Rows, rows: np.ndarray, held: np.ndarray) -> tuple[Rows, Rows]:
    return data[rows], data[held]


def _refuse_with_blocks(*, y: Any, sample_weight: Any, groups: Any) -> None:
    if y is not None or sample_weight is not None:
        raise ValueError("Blocks bring their targets and sample weights: give y and sample_weight to fastnet.data alone.")
    if groups is not None:
        raise ValueError("groups= needs all rows in memory, got data of fastnet.data: give X_val and y_val instead.")
