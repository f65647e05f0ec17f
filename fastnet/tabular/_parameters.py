"""Checks of what is given in place of a preset's choices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastnet import _checks
from fastnet.layers.embedding import NUMERIC_KINDS
from fastnet.tabular._class_weights import check_class_weight
from fastnet.tabular._recipe import SHAPES

Check = Callable[[Any, str], Any]


def check_given(estimator: Any) -> None:
    """Refuse parameters out of range, of those that are given and those that have defaults of their own.

    Raises
    ------
    ValueError, TypeError
    """
    for name, check in _CHECKS.items():
        value = getattr(estimator, name, None)
        if value is not None:
            check(value, name)


def _each(check: Check) -> Check:
    """A check of a value, or of each of several."""

    def check_all(values: Any, name: str) -> None:
        each = np.atleast_1d(values).tolist()
        if not each:
            raise ValueError(f"{name} must name at least one, got {values!r}.")
        for value in each:
            check(value, name)

    return check_all


def _not_negative(value: Any, name: str) -> None:
    """Refuse what is below 0; infinity may be given."""
    if value != np.inf:
        _checks.real(value, name, minimum=0.0)


_CHECKS: dict[str, Check] = {
    **dict.fromkeys(
        ("n_members", "n_folds", "n_trained_folds", "category_units", "n_epochs", "batch_size", "n_best_epochs"),
        _checks.positive_int,
    ),
    "hidden_layer_sizes": _each(_checks.positive_int),
    "numeric_embedding": _each(partial(_checks.one_of, choices=(*NUMERIC_KINDS, "none"))),
    "weight_decay": partial(_checks.real, minimum=0.0),
    "learning_rate": partial(_checks.real, above=0.0),
    "beta_2": partial(_checks.real, minimum=0.0, below=1.0),
    "schedule": partial(_checks.one_of, choices=tuple(SHAPES)),
    "patience": _not_negative,
    "class_weight": check_class_weight,
    **dict.fromkeys(("scale_layer", "data_init", "clip", "calibrate"), _checks.boolean),
}
