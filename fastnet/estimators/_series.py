"""Series that are continued: the forms in which users have them, and in which forecasts come back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils import check_array

from fastnet._checks import refuse_silent_conversion


@dataclass(frozen=True)
class Form:
    """What a series is given as, and so what its forecast is.

    Attributes
    ----------
    flat : bool
        Whether it has one channel without an axis of its own.
    names : list or None
        Of pandas objects: the name of a Series, or those of the columns of a DataFrame.
    index : pandas.Index or None
        Of pandas objects: the index of the values that come next.
    headings : list
        What a DataFrame's columns are named as a whole; in several levels, each of these.
    """

    flat: bool
    names: list[Any] | None = None
    index: Any = None
    headings: list[Any] = field(default_factory=lambda: [None])

    def forecast(self, values: np.ndarray) -> Any:
        """Values (horizon, channels) in this form."""
        if self.names is None:
            return values[:, 0] if self.flat else values
        import pandas as pd

        if self.flat:
            return pd.Series(values[:, 0], self.index, name=self.names[0])
        if len(self.headings) > 1:
            columns = pd.MultiIndex.from_tuples(self.names, names=self.headings)
        else:
            columns = pd.Index(self.names, name=self.headings[0], tupleize_cols=False)
        return pd.DataFrame(values, self.index, columns)

    def quantiles(self, values: np.ndarray, levels: Sequence[float]) -> Any:
        """Quantiles (horizon, channels, levels) in this form, with an axis more."""
        if self.names is None:
            return values[:, 0] if self.flat else values
        import pandas as pd

        several = len(self.headings) > 1
        places = [(*(name if several else (name,)), level) for name in self.names for level in levels]
        columns = pd.Index(levels) if self.flat else pd.MultiIndex.from_tuples(places, names=[*self.headings, None])
        return pd.DataFrame(values.reshape(len(values), -1), self.index, columns)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, of which `from_dict` makes the form."""
        index = None if self.index is None else _plain_index(self.index)
        return {"flat": self.flat, "names": self.names, "index": index, "headings": self.headings}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Form:
        index = plain["index"]
        headings = plain.get("headings", [None])  # which older files do not have
        return cls(plain["flat"], plain["names"], None if index is None else _index(**index), headings)

    def check(self, horizon: int, channels: int) -> None:
        """Refuse, with a ValueError, a form that forecasts of this size do not have."""
        named = self.names is None or len(self.names) == channels and all(isinstance(name, Hashable) for name in self.names)
        several = len(self.headings) > 1
        named &= all(isinstance(name, Hashable) for name in self.headings)
        named &= not several or all(isinstance(name, tuple) and len(name) == len(self.headings) for name in self.names or ())
        indexed = self.names is None or self.index is not None and len(self.index) == horizon
        if not named or not indexed or (self.flat and channels != 1):
            raise ValueError("the form of a forecast does not fit its series")


def series_of(X: Any, horizon: int) -> tuple[list[np.ndarray], list[Form], bool]:
    """The values (length, channels) of each series, the form of its forecast, and whether X is a list of series.

    With a `horizon` of 0, no index is continued: those of one or two values need not show by what step they go up.

    Raises
    ------
    ValueError
        X is not a series or a list of them, values are missing, or an index cannot be continued.
    TypeError
        Dates among the values.
    """
    several = isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object)
    several = several and any(np.ndim(entry) > 0 for entry in X)
    given = list(X) if several else [X]
    read = [_read(series, f"series {number} of X" if several else "X", horizon) for number, series in enumerate(given)]
    channels = {values.shape[1] for values, _ in read}
    if len(channels) > 1:
        raise ValueError(f"All series must have the same number of channels, got {' and '.join(map(str, sorted(channels)))}.")
    return [values for values, _ in read], [form for _, form in read], several


def _read(X: Any, name: str, horizon: int) -> tuple[np.ndarray, Form]:
    if not getattr(getattr(X, "columns", None), "is_unique", True):
        twice = X.columns[X.columns.duplicated()][0]
        raise ValueError(f"{name} has several columns named {twice!r}: rename them, or pass the values alone, X.to_numpy().")
    refuse_silent_conversion(X, name)
    values = check_array(X, dtype="numeric", ensure_2d=False, allow_nd=True, ensure_all_finite=False, input_name=name)
    if values.ndim not in (1, 2):
        raise ValueError(
            f"{name} must be a series of shape (length,) or (length, channels), or a list of such, got shape {values.shape}: "
            "list(X) makes a list of an array of series."
        )
    flat, values = values.ndim == 1, values.astype(np.float64).reshape(len(values), -1)
    missing = ~np.isfinite(values).all(axis=1)
    if missing.any():
        raise ValueError(
            f"{name} has a value that is NaN or infinite at position {missing.argmax()}: fill missing values first, with "
            "pandas.Series.interpolate() for example."
        )
    if not (hasattr(X, "index") and hasattr(X, "iloc")):
        return values, Form(flat)
    index = _continued(X.index, horizon, name) if horizon or len(values) > 2 else None
    return values, Form(flat, [X.name], index) if flat else Form(flat, list(X.columns), index, list(X.columns.names))


def _continued(index: Any, n: int, name: str) -> Any:
    """The next n entries of a pandas index."""
    following = _following(index, n) if index.is_monotonic_increasing else None
    if following is None:
        raise ValueError(
            f"The index of {name} does not go up by a regular step, so that it cannot be continued: resample it and fill what is "
            "missing, or pass the values alone, X.to_numpy()."
        )
    return following.rename(index.name)


def _following(index: Any, n: int) -> Any:
    """The next n entries of an ascending pandas index; None if its step is not regular."""
    import pandas as pd

    ahead = np.arange(1, n + 1)
    if isinstance(index, pd.DatetimeIndex):
        freq = pd.DatetimeIndex(index, freq="infer").freq
        return None if freq is None else pd.date_range(index[-1], periods=n + 1, freq=freq)[1:]
    if isinstance(index, pd.PeriodIndex) and (step := _step(index.asi8) if len(index) > 1 else index.freq.n):
        return pd.PeriodIndex.from_ordinals(index.asi8[-1] + step * ahead, freq=index.freq)
    if isinstance(index, pd.TimedeltaIndex) and (step := _step(index.asi8)):
        return pd.TimedeltaIndex((index.asi8[-1] + step * ahead).view(f"m8[{index.unit}]"))
    if isinstance(index, pd.RangeIndex) and index.step > 0:
        return pd.Index(index[-1] + index.step * ahead)
    if pd.api.types.is_numeric_dtype(index) and (step := _step(index.to_numpy())):
        return pd.Index(index[-1] + step * ahead)
    return None


def _step(values: np.ndarray) -> Any:
    """The step by which ascending values go up, floats but for their rounding; 0 if it is not regular."""
    steps = np.diff(values)
    if not len(steps):
        return 0
    if values.dtype.kind != "f":
        return steps[0] if (steps == steps[0]).all() else 0
    step, rounding = (values[-1] - values[0]) / len(steps), 4 * np.finfo(values.dtype).eps * np.abs(values).max()
    return step if step > rounding and (np.abs(steps - step) <= rounding).all() else 0


def _plain_index(index: Any) -> dict[str, Any]:
    import pandas as pd

    plain: dict[str, Any] = {"kind": "numbers", "values": index.to_numpy(), "name": index.name}
    if isinstance(index, pd.PeriodIndex):
        return {**plain, "kind": "periods", "values": index.asi8, "freq": index.freqstr}
    if isinstance(index, pd.TimedeltaIndex):
        return {**plain, "kind": "spans", "values": index.asi8, "unit": index.unit}
    if isinstance(index, pd.DatetimeIndex):
        zone = None if index.tz is None else str(index.tz)
        return {**plain, "kind": "dates", "values": index.asi8, "freq": index.freqstr, "unit": index.unit, "zone": zone}
    return plain


def _index(kind: str, values: np.ndarray, name: Any, freq: str = "", unit: str = "ns", zone: str | None = None) -> Any:
    import pandas as pd

    if kind == "periods":
        return pd.PeriodIndex.from_ordinals(values, freq=freq, name=name)
    if kind == "spans":
        return pd.TimedeltaIndex(values.view(f"m8[{unit}]"), name=name)
    if kind == "dates":
        dates = pd.DatetimeIndex(values.view(f"M8[{unit}]"), name=name)
        dates = dates if zone is None else dates.tz_localize("UTC").tz_convert(zone)
        dates.freq = freq
        return dates
    return pd.Index(values, name=name)
