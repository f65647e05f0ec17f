"""Which rows train and which validate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

from fastnet._checks import is_missing

#: Fewer rows are all trained on.
LEAST_ROWS = 25

#: Most rows that a network is validated on.
MOST_HELD = 20_000


def group_numbers(groups: Any, n_rows: int) -> np.ndarray:
    """The number of each row's group.

    Raises
    ------
    ValueError
        Not a group for each row, or names of groups that have no order.
    """
    names = np.asarray(groups)
    if names.shape not in ((n_rows,), (n_rows, 1)):
        raise ValueError(f"groups must name the group of each of the {n_rows} rows of X, got an array of shape {names.shape}.")
    names = names.ravel()
    n_missing = sum(map(is_missing, names)) if names.dtype.kind in "fOM" else 0
    if n_missing:
        raise ValueError(f"groups must name the group of each row, got {n_missing} missing: give these rows groups of their own.")
    try:
        return np.unique(names, return_inverse=True)[1]
    except TypeError:
        raise ValueError("groups are of several types: make all of them text, or all numbers.") from None


def n_held(n: int, fraction: float, what: str = "rows") -> int:
    """How many of n rows, or groups of rows, are set aside: at most `MOST_HELD`.

    Raises
    ------
    ValueError
        None is left.
    """
    found = min(math.ceil(fraction * n), MOST_HELD)
    if found >= n:
        raise ValueError(
            f"validation_fraction={fraction:g} leaves none of the {n} {what} to train on: set a smaller one, such as 0.2."
        )
    return found


def splits(
    n_rows: int, classes: np.ndarray | None, groups: np.ndarray | None, *, n_folds: int, fraction: float, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Row numbers to train on and to validate on, for each network; none of these where there are too few rows.

    Parameters
    ----------
    n_rows : int
    classes : ndarray of shape (n_rows,), optional
        Class numbers, whose shares are kept where each has enough rows.
    groups : ndarray of shape (n_rows,), optional
        Numbers of groups, as many as folds at least. Rows of a group stay together.
    n_folds : int
        1: one split that sets `fraction` aside; more: folds.
    fraction : float
        At most `MOST_HELD` rows.
    seed : int
    """
    if n_rows < LEAST_ROWS or fraction == 0:
        yield np.arange(n_rows), np.arange(0)
        return
    fraction = min(fraction, MOST_HELD / n_rows)
    stratified = classes is not None and _can_be_stratified(classes, n_folds, fraction)
    if n_folds == 1:
        n_held(*((n_rows, fraction) if groups is None else (len(np.unique(groups)), fraction, "groups")))
    if groups is not None:
        splitter = (
            GroupShuffleSplit(1, test_size=fraction, random_state=seed)
            if n_folds == 1
            else GroupKFold(n_folds, shuffle=True, random_state=seed)
        )
    elif n_folds == 1:
        splitter = (StratifiedShuffleSplit if stratified else ShuffleSplit)(1, test_size=fraction, random_state=seed)
    else:
        splitter = (StratifiedKFold if stratified else KFold)(n_folds, shuffle=True, random_state=seed)
    rng = np.random.default_rng(seed)
    for rows, held in splitter.split(np.zeros(n_rows), classes, groups):
        yield rows, held if len(held) <= MOST_HELD else rng.choice(held, MOST_HELD, replace=False)


def _can_be_stratified(classes: np.ndarray, n_folds: int, fraction: float) -> bool:
    """Whether there are rows of each class for each fold, or for both sides of a single split."""
    counts = np.bincount(classes)
    held = fraction * len(classes)
    least = min(held, len(classes) - np.ceil(held)) if n_folds == 1 else held
    return bool(counts[counts > 0].min() >= max(n_folds, 2) and least >= np.count_nonzero(counts))
