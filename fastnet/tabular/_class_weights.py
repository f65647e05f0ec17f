"""Weights of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def check_class_weight(value: Any, name: str) -> None:
    """Refuse what is neither a dict nor "balanced".

    Raises
    ------
    ValueError, TypeError
    """
    if not isinstance(value, Mapping) and not (isinstance(value, str) and value == "balanced"):
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name} must be a dict, as in {{'a': 2.0}}, 'balanced' or None, got {value!r}.")


def weights_of_classes(class_weight: Any, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The weight of each class, float32.

    Parameters
    ----------
    class_weight : mapping or "balanced"
    classes : ndarray of shape (n_classes,)
    counts : ndarray of shape (n_classes,)
        Rows of each.

    Raises
    ------
    ValueError
        A number that is no weight, or a name that is no class while a class is not named. Where all classes are named, further
        names are those of classes that these rows do not have, as in a cross-validation.
    """
    if isinstance(class_weight, str):
        return (counts.sum() / (len(counts) * counts)).astype(np.float32)
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in set(labels)]
    forgotten = ", ".join(repr(label) for label in labels if label not in class_weight)
    if unknown and forgotten:
        raise ValueError(f"class_weight names {unknown[0]!r}, which is no class of y, and not {forgotten}, which are.")
    weights = [class_weight.get(label, 1.0) for label in labels]
    if not all(isinstance(weight, (int, float, np.number)) and 0 <= weight < np.inf for weight in weights) or not any(weights):
        raise ValueError(f"class_weight must be finite and at least 0, and above 0 for a class, got {class_weight!r}.")
    return np.array(weights, np.float32)
