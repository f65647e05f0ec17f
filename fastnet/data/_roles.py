"""Which columns of a table are features, targets and weights, and these columns as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .blocks import Block


class Roles:
    """Which columns of a table are features, targets and weights."""

    def __init__(
        self, names: Sequence[str], target: str | Sequence[str] | None, columns: Sequence[str] | None, weight: str | None
    ) -> None:
        if isinstance(columns, str):
            raise TypeError(f"columns must be a list of names, got {columns!r}: give columns=[{columns!r}].")
        self._target, self._weight = target, weight
        targets = [target] if isinstance(target, str) else list(target or ())
        self.target_names = targets or None
        beside = [*targets, *([] if weight is None else [weight])]
        self.feature_names = [name for name in names if name not in beside] if columns is None else list(columns)
        if not self.feature_names:
            raise ValueError(
                f"X has no columns: the table has {list(names)}, of which {beside} are targets or weights"
                + (f", and columns is {columns}." if columns is not None else ".")
            )
        self.names = list(dict.fromkeys([*self.feature_names, *beside]))

    def check(self, names: Sequence[str], where: Any) -> None:
        """Refuse a table that lacks one of the columns, or has several of its name."""
        missing = sorted(set(self.names) - set(names))
        if missing:
            raise ValueError(f"{where} has no column {', '.join(map(repr, missing))}: it has {short(list(names))[1:-1]}.")
        several = sorted(name for name, n in Counter(names).items() if n > 1 and name in self.names)
        if several:
            raise ValueError(
                f"{where} has several columns {', '.join(map(repr, several))}: rename them, or choose others with columns=[...]."
            )

    def block(self, table: Any) -> Block:
        """Features, targets and weights of a table.

        Raises
        ------
        ValueError
            Features that are no numbers.
        """
        features = [_numbers(table.column(name)) for name in self.feature_names]
        for name, values in zip(self.feature_names, features, strict=True):
            if values.dtype.kind not in "fiub":
                raise ValueError(
                    f"Column {name!r} holds {table.schema.field(name).type}, no numbers: choose columns=[...], or take "
                    "TabularClassifier or TabularRegressor, which turn such columns into numbers."
                )
        return _side_by_side(features), *self._beside(table)

    def table(self, table: Any) -> Block:
        """The same, with the features as a table."""
        return table.select(self.feature_names), *self._beside(table)

    def _beside(self, table: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
        y = _values(table, self._target) if self._target else None
        return y, None if self._weight is None else _values(table, self._weight)


def _values(table: Any, names: str | Sequence[str]) -> np.ndarray:
    """Columns as an array."""
    if isinstance(names, str):
        return np.asarray(_plain(table.column(names)))
    return _side_by_side([_values(table, name) for name in names])


def _numbers(column: Any) -> np.ndarray:
    """A column of X as an array, with NaN where a boolean is missing."""
    column = _plain(column)
    return np.asarray(column.cast("float64") if column.null_count and str(column.type) == "bool" else column)


def _plain(column: Any) -> Any:
    """A column without a dictionary, of which NumPy gets other values for those that are missing, and with decimals as floats."""
    if hasattr(column.type, "index_type"):
        column = column.cast(column.type.value_type)
    return column.cast("float64") if str(column.type).startswith("decimal") else column


def _side_by_side(columns: Sequence[np.ndarray]) -> np.ndarray:
    """A matrix of columns, in half the time of `numpy.column_stack`."""
    matrix = np.empty((len(columns[0]), len(columns)), np.result_type(*{column.dtype for column in columns}))
    for j, column in enumerate(columns):
        matrix[:, j] = column
    return matrix
