"""Rows with positions, in the forms that users have them."""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import repr as short
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


def checked_columns(X: Any, known: list[Any] | None = None) -> list[Any] | None:
    """Names of the columns of rows that are data frames; None where none are.

    Raises
    ------
    ValueError
        They are not `known`, those of fit, or differ.
    """
    rows = listed(X)
    frames = [row for row in rows if hasattr(row, "columns")] if isinstance(rows, (list, tuple)) else []
    columns = [*([] if known is None else [known]), *(list(frame.columns) for frame in frames)]
    refuse_other_columns(columns)
    return columns[0] if columns else None


def refuse_other_columns(columns: Sequence[list[Any]]) -> None:
    """Refuse, with a ValueError, names of columns of data frames that are not those of the first."""
    other = next((names for names in columns if names != columns[0]), None)
    if other is not None:
        raise ValueError(
            f"X has a data frame with the columns {short(other)}, but those of the first one of fit are {short(columns[0])}: "
            "give the same columns in the same order."
        )
