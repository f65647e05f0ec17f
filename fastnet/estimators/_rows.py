"""Rows with positions, in the forms that users have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet.ragged import Ragged, listed


def as_array_or_ragged(X: Any, *, channels_first: bool = False) -> Any:
    """Series and images with their channels last: an array, or `Ragged` where lengths differ; anything else as it is."""
    X = listed(X)
    if isinstance(X, (list, tuple)):
        shapes = {np.shape(row) for row in X}
        if len(shapes) > 1 and () not in shapes:
            return Ragged.from_rows([np.moveaxis(np.asarray(row), 0, -1) if channels_first else row for row in X])
        X = np.asarray(list(X)) if any(len(shape) > 1 for shape in shapes) else X
    if channels_first and isinstance(X, np.ndarray) and X.ndim > 2:
        return np.moveaxis(X, 1, -1)
    return X
