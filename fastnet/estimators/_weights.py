"""Weights of rows: what the caller gives, times what `class_weight` gives to the labels."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.class_weight import compute_sample_weight


def with_class_weight(
    class_weight: Any, y: Any, classes: np.ndarray, sample_weight: np.ndarray | None, dtype: np.dtype
) -> np.ndarray | None:
    """Multiply `sample_weight` with the weight of each row's class.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None
        A dict gives classes that it does not name the weight 1; a list has one dict a label of multilabel targets.
    y : ndarray of shape (m,), or ndarray or CSR matrix of shape (m, n_labels)
    classes : ndarray
        Known classes.
    sample_weight : ndarray of shape (m,) or None
    dtype : dtype

    Returns
    -------
    ndarray of shape (m,), or None for weight 1 everywhere

    Raises
    ------
    ValueError
        A list for other than multilabel targets or a dict for those, weights for a class that does not exist, weights that are no
        finite numbers >= 0, or all rows of weight zero.
    """
    if class_weight is None:
        return sample_weight
    check_class_weight(class_weight, y, classes)
    weights = _factors(class_weight, y, classes)
    if sample_weight is not None:
        weights *= sample_weight
    weights = weights.astype(dtype, copy=False)
    if not weights.any():
        raise ValueError("class_weight and sample_weight give every row the weight 0; at least one must be positive.")
    return weights


def _factors(class_weight: Any, y: Any, classes: np.ndarray) -> np.ndarray:
    """What the labels of each row multiply its weight with.

    scikit-learn's function refuses a dict that names classes which are not in `y`, as in a batch of `partial_fit`.
    """
    if isinstance(class_weight, str):
        return compute_sample_weight(class_weight, y)
    if y.ndim == 1:
        return _looked_up(class_weight, y, classes)
    columns = (y.toarray() if issparse(y) else y).T
    by_label = [_looked_up(weights, column, np.arange(2)) for weights, column in zip(class_weight, columns, strict=True)]
    return np.prod(by_label, axis=0)


def _looked_up(weights: dict[Any, Any], y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return np.array([float(weights.get(label, 1.0)) for label in classes.tolist()])[np.searchsorted(classes, y)]


def check_class_weight(class_weight: Any, y: np.ndarray, classes: np.ndarray) -> None:
    """Raise ValueError unless `class_weight` is "balanced" or weights that fit the targets `y`."""
    if isinstance(class_weight, str):
        return
    if y.ndim == 1 and isinstance(class_weight, dict):
        _check_weights(class_weight, classes.tolist())
    elif y.ndim == 2 and isinstance(class_weight, list) and len(class_weight) == y.shape[1] and _all_dicts(class_weight):
        for weights in class_weight:
            _check_weights(weights, [0, 1])
    else:
        expected = "a dict of class weights" if y.ndim == 1 else f"a list of {y.shape[1]} dicts, one for each label,"
        raise ValueError(f"class_weight must be {expected} or 'balanced' for these targets, got {class_weight!r}.")


def _all_dicts(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _check_weights(weights: dict[Any, Any], classes: list[Any]) -> None:
    unknown = [label for label in weights if label not in classes]
    if unknown:
        raise ValueError(
            f"class_weight has weights for {unknown}, but the classes are {classes}. "
            "Remove them, or use the labels as they are in y."
        )
    wrong = {label: weight for label, weight in weights.items() if not (isinstance(weight, Real) and 0 <= float(weight) < np.inf)}
    if wrong:
        raise ValueError(f"class_weight must hold finite weights >= 0, got {wrong}.")
