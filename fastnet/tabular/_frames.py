"""Reading tables: whatever users give as X becomes columns of numbers, of labels or of moments in time."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from itertools import filterfalse
from numbers import Real
from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.utils.validation import validate_data

from fastnet._checks import is_masked, is_missing, refuse_missing_labels

Kind = Literal["number", "category", "moment"]

#: Milliseconds of a day.
DAY = 86_400_000
_EPOCH = dt.datetime(1970, 1, 1)
_SECOND = np.timedelta64(1, "s")

#: Numbers that NumPy has no type for.
_WIDE = (nw.Decimal, nw.Int128, nw.UInt128)


@dataclass(frozen=True)
class Table:
    """A checked table.

    Attributes
    ----------
    names : list of str
        Names of the columns; of arrays "x0", "x1", ...
    columns : list of 1-D ndarray or narwhals Series
        Arrays of the numbers that NumPy has a type for.
    n_rows : int
    """

    names: list[str]
    columns: list[Any]
    n_rows: int

    def __getitem__(self, rows: np.ndarray) -> Table:
        return Table(self.names, [column[rows] for column in self.columns], len(rows))


def read_table(estimator: Any, X: Any, *, reset: bool) -> Table:
    """Check X as scikit-learn's estimators do, and take it apart.

    Parameters
    ----------
    estimator : estimator
        Its `n_features_in_` and `feature_names_in_` are set, or compared with X.
    X : DataFrame of pandas, Polars, PyArrow or another that Narwhals knows, or array-like of shape (m, n)
    reset : bool
        Whether to set them.

    Raises
    ------
    ValueError, TypeError
        Not a table of at least one row and column, or not the columns of fit.
    """
    X = _whole(X)
    frame = _as_frame(X)
    if not isinstance(frame, nw.DataFrame):
        if isinstance(X, (list, tuple)) and np.asarray(X).dtype.kind in "US":
            X = np.asarray(X, dtype=object)
        X = validate_data(estimator, X, dtype=None, ensure_all_finite=False, reset=reset)
        return Table([f"x{j}" for j in range(X.shape[1])], list(X.T), len(X))
    m, n = frame.shape
    for count, what in ((m, "sample(s)"), (n, "feature(s)")):
        if not count:
            raise ValueError(f"Found a table with 0 {what} (shape=({m}, {n})) while a minimum of 1 is required.")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return Table([str(name) for name in frame.columns], [_plain(column) for column in frame.iter_columns()], m)


def _plain(column: Any) -> Any:
    """Numbers as an array, if it can hold them without a change of their type; anything else as it is.

    Decimals and integers of 128 bits become floats, as NumPy has no type for them.
    """
    dtype = column.dtype
    if not dtype.is_numeric():
        return column
    if dtype in _WIDE:
        return column.cast(nw.Float64).to_numpy()
    values = column.to_numpy()
    return values if values.dtype.kind in ("f" if dtype.is_float() else "iu") else column


def rows_of(X: Any, rows: np.ndarray) -> Any:
    """Some rows, by their numbers, of a data frame, a series, an array or a list; None of None."""
    if X is None:
        return None
    if isinstance(X, (list, tuple)):
        return [X[row] for row in rows]
    X = _whole(X)
    known = nw.from_native(X, eager_only=True, allow_series=True, pass_through=True)
    return known[rows].to_native() if isinstance(known, (nw.DataFrame, nw.Series)) else np.asarray(X)[rows]


def _whole(X: Any) -> Any:
    """PyArrow's record batches as tables, which Narwhals knows, and masked arrays with missing values; anything else as it is."""
    if is_masked(X):
        is_numeric = X.dtype.kind in "fiub"
        return np.where(np.ma.getmask(X), np.nan if is_numeric else None, X.data.astype(np.float64 if is_numeric else object))
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow.Table.from_batches([X]) if pyarrow and isinstance(X, pyarrow.RecordBatch) else X


def _as_frame(X: Any) -> Any:
    """A data frame as Narwhals has it; anything else as it is."""
    try:
        frame = nw.from_native(X, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        raise ValueError(f"Several columns of X have the same name, give each its own: {error}") from error
    if isinstance(frame, nw.LazyFrame):
        raise TypeError(f"Expected a table in memory, got a lazy {type(X).__name__}: give X.collect().")
    return frame


def plain_labels(y: Any) -> Any:
    """Labels in the type that NumPy has for them: those of nullable columns, and objects that are all booleans or all integers.

    Raises
    ------
    ValueError
        Labels that are missing, integers beyond 64 bits, or objects of several types, which have no order.
    """
    known = nw.from_native(y, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(known, nw.Series) and known.dtype in _WIDE:
        y = known = np.array(known.to_list(), dtype=object)
    refuse_missing_labels(y)
    if isinstance(known, nw.Series) and not known.is_null().any():
        y = known.to_numpy()
    if not isinstance(y, np.ndarray) or y.dtype.kind != "O":
        return y
    types = {type(value) for value in y.ravel().tolist()}
    if types in ({bool}, {int}):
        return _plain_integers(y, np.dtype(types.pop()))
    if str in types and len(types) > 1:
        names = ", ".join(sorted(found.__name__ for found in types))
        raise ValueError(f"Labels in y are of several types ({names}): make all of them text, or all numbers.")
    return y


def _plain_integers(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Objects that are all integers, or booleans, in the dtype for these."""
    try:
        return y.astype(dtype)
    except OverflowError:
        largest = max(y.ravel().tolist(), key=abs)
        raise ValueError(f"Labels in y are integers beyond 64 bits, such as {largest}: make them text.") from None


def plain_values(y: Any) -> Any:
    """Targets whose decimals, integers of 128 bits and categories of numbers are floats, as NumPy has no type for them.

    Masked ones are NaN, others as they are.
    """
    y = _whole(y)
    known = nw.from_native(y, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(known, nw.Series):
        is_numbers = known.dtype == nw.Categorical and known.cat.get_categories().dtype.is_numeric()
        return known.cast(nw.Float64).to_native() if is_numbers or known.dtype in _WIDE else y
    if isinstance(known, nw.DataFrame):
        wide = [name for name, dtype in known.schema.items() if dtype in _WIDE]
        return known.with_columns(nw.col(wide).cast(nw.Float64)).to_native() if wide else y
    return y


def names_of(y: Any) -> list[str] | None:
    """Names of targets, of a series or a frame that has them."""
    known = nw.from_native(y, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(known, nw.DataFrame):
        return [str(name) for name in known.columns]
    return [str(known.name)] if isinstance(known, nw.Series) and known.name not in (None, "") else None


def is_categorical(column: Any) -> bool:
    """Whether the type of a column says that it holds categories."""
    return isinstance(column, nw.Series) and column.dtype in (nw.Categorical, nw.Enum)


def kind_of(column: Any) -> Kind:
    """What a column holds, by its type, and by its values where the type is "object" or that of categories.

    Raises
    ------
    ValueError
        Complex numbers.
    """
    if isinstance(column, nw.Series):
        dtype = column.dtype
        if dtype.is_numeric() or dtype == nw.Duration:
            return "number"
        if dtype in (nw.Date, nw.Datetime, nw.Time):
            return "moment"
        if is_categorical(column):
            return _kind_of_values(column.unique().to_list())
        return _kind_of_values(column.to_list()) if dtype in (nw.Object, nw.Unknown) else "category"
    if column.dtype.kind == "M":
        return "moment"
    if column.dtype.kind == "O":
        return _kind_of_values(column.tolist())
    return "category" if column.dtype.kind in "bUST" else "number"


def _kind_of_values(values: list[Any]) -> Kind:
    of_types = {type(value): value for value in values if not is_missing(value)}
    types = of_types.keys()
    for complex_type in filter(_is_complex, types):
        raise ValueError(
            f"Complex data not supported, got {of_types[complex_type]!r}: give real and imaginary parts as columns of their own."
        )
    if types and all(issubclass(t, (dt.date, dt.time, np.datetime64)) or _is_period(t) for t in types):
        return "moment"
    numeric = all(issubclass(t, (Real, Decimal, dt.timedelta)) and not issubclass(t, (bool, np.bool_)) for t in types)
    return "number" if numeric else "category"


def _is_complex(t: type) -> bool:
    return issubclass(t, (complex, np.complexfloating))


def _is_period(t: type) -> bool:
    """Whether values of a type are spans of the calendar, as pandas has them."""
    return t.__name__ == "Period"


def numbers(column: Any, name: str) -> np.ndarray:
    """A column as float64 values, seconds of durations, NaN where they are missing.

    Raises
    ------
    ValueError
        Text, or anything else that is no number; an integer beyond the range of float64.
    """
    try:
        if isinstance(column, nw.Series) and column.dtype.is_numeric():
            return np.asarray(column.to_numpy(), np.float64)
        if isinstance(column, nw.Series) and column.dtype == nw.Duration:
            column = column.to_numpy()
        if isinstance(column, np.ndarray) and column.dtype.kind == "m":
            return column / _SECOND
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
            return column.astype(np.float64)
        if isinstance(column, np.ndarray) and column.dtype.kind == "M":
            raise TypeError(f"dates or times ({column.dtype})")
        return np.array([np.nan if is_missing(value) else _to_number(value) for value in labels(column)])
    except OverflowError as error:
        raise ValueError(
            f"Column {name!r} has a number beyond the range of float64, some 1.8e308: give its logarithm, or make it text."
        ) from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"Column {name!r} held numbers in fit; now it holds something else: {error}.") from error


def _to_number(value: Any) -> float:
    if isinstance(value, (dt.timedelta, np.timedelta64)):
        return float(value / _SECOND)
    if isinstance(value, (str, bytes)):
        raise TypeError(f"text such as {value!r}")
    if not isinstance(value, (Real, Decimal, np.bool_)):
        raise TypeError(f"{value!r}")
    return float(value)


def labels(column: Any) -> list[Any]:
    """A column as a list of Python's values."""
    return column.to_list() if isinstance(column, nw.Series) else column.tolist()


def moments(column: Any, name: str) -> np.ndarray:
    """A column of dates or times as float64 milliseconds (since 1970, or since midnight), NaN where missing.

    Raises
    ------
    ValueError
        Something else.
    """
    try:
        if isinstance(column, nw.Series):
            if column.dtype in (nw.Date, nw.Datetime):
                whole = column.cast(nw.Datetime("ms")) if column.dtype == nw.Date else column
                return np.asarray(whole.dt.timestamp("ms").cast(nw.Float64).to_numpy(), np.float64)
            return _milliseconds(column.to_list())
        if column.dtype.kind == "M":
            return np.where(np.isnat(column), np.nan, column.astype("M8[ms]").astype(np.int64).astype(np.float64))
        return _milliseconds(column.tolist())
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"Column {name!r} held dates or times in fit; now it holds something else: {error}.") from error


def has_zone(column: Any) -> bool | None:
    """Whether dates have a time zone; None of times of a day, and where none is known.

    Raises
    ------
    ValueError
        Some have one, and some have none.
    """
    if isinstance(column, nw.Series) and column.dtype in (nw.Date, nw.Datetime):
        return getattr(column.dtype, "time_zone", None) is not None
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        return False
    dates = (value for value in labels(column) if not is_missing(value) and not isinstance(value, dt.time))
    return reduce(same_zone, {getattr(value, "tzinfo", None) is not None for value in dates}, None)


def same_zone(one: bool | None, other: bool | None) -> bool | None:
    """Whether the dates of two parts of a column have a time zone.

    Raises
    ------
    ValueError
        Those of one have, and those of the other have none.
    """
    if None not in (one, other) and one != other:
        raise ValueError("Some dates have a time zone and some have none: give all of them one, with tz_localize for example.")
    return other if one is None else one


def _milliseconds(values: list[Any]) -> np.ndarray:
    text = [value for value in values if isinstance(value, str)]
    if text:
        raise ValueError(f"text such as {next(filterfalse(_is_iso, text), text[0])!r}")
    return np.array([np.nan if is_missing(value) else _to_milliseconds(value) for value in values])


def _is_iso(text: str) -> bool:
    """Whether a text is a date as ISO 8601 writes it; among such, the one that is not is what is wrong."""
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _to_milliseconds(value: Any) -> float:
    if _is_period(type(value)):
        value = value.start_time
    if isinstance(value, np.datetime64):
        return float(value.astype("M8[ms]").astype(np.int64))
    if isinstance(value, dt.time):
        value = dt.datetime.combine(_EPOCH, value)
    elif not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    return (value.replace(tzinfo=None) - (value.utcoffset() or dt.timedelta()) - _EPOCH).total_seconds() * 1000
