"""Weights of rows: what the caller gives, times what `class_weight` gives to the labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight


def with_class_weight(
    class_weight: Any, y: np.ndarray, classes: np.ndarray, sample_weight: np.ndarray | None, dtype: np.dtype
) -> np.ndarray | None:
    """Multiply `sample_weight` with the weight of each row's class.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None
        A dict gives classes that it does not name the weight 1; a list has one dict a label of multilabel targets.
    y : ndarray of shape (m,) or (m, n_labels)
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
        Weights for a class that does not exist, negative ones, or all rows of weight zero.
    """
    if class_weight is None:
        return sample_weight
    if isinstance(class_weight, dict):
        check_class_weight(class_weight, classes)
    weights = compute_sample_weight(class_weight, y)
    if sample_weight is not None:
        weights *= sample_weight
    weights = weights.astype(dtype, copy=False)
    if not weights.any():
        raise ValueError("class_weight and sample_weight give every row the weight 0; at least one must be positive.")
    return weights


def check_class_weight(class_weight: dict[Any, float], classes: np.ndarray) -> None:
    """Raise ValueError unless each key is a known class and each weight a finite number >= 0."""
    unknown = [label for label in class_weight if label not in classes.tolist()]
    if unknown:
        raise ValueError(
            f"class_weight has weights for {unknown}, but the classes are {classes.tolist()}. "
            "Remove them, or use the labels as they are in y."
        )
    wrong = {label: weight for label, weight in class_weight.items() if not (np.isfinite(weight) and weight >= 0)}
    if wrong:
        raise ValueError(f"class_weight must hold finite weights >= 0, got {wrong}.")
