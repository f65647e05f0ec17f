"""What a column of a table becomes: one small frozen class a kind of column, listed in `ENCODERS`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from fastnet._checks import is_missing
from fastnet.tabular._frames import DAY, has_zone, labels, moments, numbers

#: Where scaled numbers are bent to: ``x / sqrt(1 + (x / 3)^2)``.
BEND = 3.0


#: Values of a column that its quartiles are those of, if there are more.
MOST_VALUES = 50_000
QUARTILES = np.array([0.25, 0.5, 0.75])

#: Factor that may be doubled.
_LARGEST = 2.0**1022

#: How text says them, in lower case.
BOOLEANS = {"true": True, "false": False}


def sampled(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, the same whenever there are as many."""
    return rows if len(rows) <= most else rows[np.random.default_rng(0).integers(len(rows), size=most)]


@dataclass(frozen=True)
class Scaling:
    """``s (x - median)``, bent so that no value is beyond `BEND`; a missing value becomes 0."""

    median: float
    factor: float

    @classmethod
    def of(cls, quartiles: np.ndarray, low: float, high: float) -> Scaling:
        """From the quartiles of the finite values of a column, and the least and the greatest of them."""
        q25, median, q75 = quartiles
        spread, extent = q75 / 2 - q25 / 2, np.float64(high) / 2 - low / 2  # half of each, which cannot overflow
        with np.errstate(over="ignore"):
            factor = 0.5 / spread if spread > 0 else 1 / extent if extent > 0 else 0.0
        return cls(float(median), min(float(factor), _LARGEST))

    @classmethod
    def of_indicator(cls, n_ones: int, n: int) -> Scaling:
        """Of a column of zeros and ones."""
        return cls.of(np.clip(QUARTILES * (n - 1) - (n - n_ones - 1), 0, 1), float(n_ones == n), float(n_ones > 0))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            z = np.clip(2 * self.factor * (0.5 * x - 0.5 * self.median), -1e6, 1e6)
            z /= np.sqrt(1 + (z / BEND) ** 2)
        return np.nan_to_num(z, copy=False)


@dataclass(frozen=True)
class Numbers:
    """What is known of a column of numbers.

    Attributes
    ----------
    n, n_missing : int
        Rows, and those without a value.
    n_finite : int
    infinities : frozenset of float
        Which of the two there are.
    values : ndarray
        Finite values that the quartiles are those of: all, or `MOST_VALUES` of them.
    low, high : float
        The least and the greatest of all finite values.
    """

    n: int
    n_missing: int
    n_finite: int
    infinities: frozenset[float]
    values: np.ndarray
    low: float
    high: float


@dataclass(frozen=True)
class Encoder:
    """How a column becomes columns of numbers.

    Attributes
    ----------
    kind : str
        Name in `ENCODERS`.
    """

    kind: ClassVar[str]

    def suffixes(self) -> list[str]:
        """What the outputs' names end in, one for each."""
        return [""]

    def encode(self, column: Any, name: str, out: np.ndarray) -> None:
        """Write a column's outputs into `out` of shape (m, n_outputs)."""
        raise NotImplementedError

    def __str__(self) -> str:
        """What is done to the column, in a few words."""
        raise NotImplementedError


@dataclass(frozen=True)
class Dropped(Encoder):
    """A column that says nothing."""

    reason: str
    kind = "dropped"

    def suffixes(self) -> list[str]:
        return []

    def encode(self, column: Any, name: str, out: np.ndarray) -> None:
        pass

    def __str__(self) -> str:
        return f"left out: {self.reason}"


ALL_DIFFER, CONSTANT = Dropped("every row has a category of its own"), Dropped("constant")


@dataclass(frozen=True)
class Number(Encoder):
    """A number, scaled by its quartiles and bent, and an indicator of missing values if there were any."""

    scaling: Scaling
    missing: Scaling | None
    kind = "number"

    @classmethod
    def of(cls, found: Numbers, missing_indicator: bool) -> Encoder:
        """From what is known of the column."""
        if found.n_missing == found.n:
            return Dropped("no value")
        some_missing = missing_indicator and found.n_missing > 0
        indicator = Scaling.of_indicator(found.n_missing, found.n) if some_missing else None
        differ = len(found.infinities) + (found.n_finite > 0) + (found.low < found.high) > 1
        if not differ and indicator is None:
            return Dropped("constant as float64" if 2**53 <= abs(found.low) < np.inf else "constant")
        scaling = Scaling(0.0, 0.0)
        if found.n_finite:
            ascending = np.sort(found.values / 2)  # np.quantile takes half of the time, sorting included
            scaling = Scaling.of(2 * np.quantile(ascending, QUARTILES), found.low, found.high)
        if found.infinities and scaling.factor == 0:
            scaling = replace(scaling, factor=1.0)  # which tells an infinity from a number
        return cls(scaling, indicator)

    def suffixes(self) -> list[str]:
        return [""] if self.missing is None else ["", "_missing"]

    def encode(self, column: Any, name: str, out: np.ndarray) -> None:
        x = numbers(column, name)
        out[:, 0] = self.scaling(x)
        if self.missing is not None:
            out[:, 1] = self.missing(np.isnan(x).astype(float))

    def __str__(self) -> str:
        indicator = "" if self.missing is None else ", with an indicator of missing values"
        return f"number, median {self.scaling.median:g}{indicator}"


#: Periods of `Moment`, in milliseconds; Thursday, 1 January 1970 began the first of each.
PERIODS = {"day": DAY, "week": 7 * DAY, "year": 365.2425 * DAY}


@dataclass(frozen=True)
class Moment(Encoder):
    """A date or time: the time passed, and sine and cosine of the place in the day, the week and the year where these differ.

    Dates with a time zone are taken in UTC, those without as they are; `zoned` tells which they are, if it is known.
    """

    elapsed: Number
    periods: tuple[str, ...]
    zoned: bool | None = None
    kind = "moment"

    @classmethod
    def of(cls, elapsed: Numbers, periods: tuple[str, ...], zoned: bool | None, missing_indicator: bool) -> Encoder:
        """From what is known of the milliseconds, the periods in which their places differ, and time zones."""
        encoder = Number.of(elapsed, missing_indicator)
        return cls(encoder, periods, zoned) if isinstance(encoder, Number) else encoder

    def suffixes(self) -> list[str]:
        return [*self.elapsed.suffixes(), *(f"_{part}_of_{name}" for name in self.periods for part in ("sin", "cos"))]

    def encode(self, column: Any, name: str, out: np.ndarray) -> None:
        ms = moments(column, name)
        if not np.isnan(ms).all():
            self._check_zone(column, name)
        n = len(self.elapsed.suffixes())
        self.elapsed.encode(ms, name, out[:, :n])
        for number, period in enumerate(self.periods):
            angle = 2 * np.pi * (ms % PERIODS[period]) / PERIODS[period]
            out[:, n + 2 * number] = np.nan_to_num(np.sin(angle))
            out[:, n + 2 * number + 1] = np.nan_to_num(np.cos(angle))

    def _check_zone(self, column: Any, name: str) -> None:
        """Refuse dates without a time zone where those of fit had one, and the reverse."""
        zoned = has_zone(column)
        if None in (zoned, self.zoned) or zoned == self.zoned:
            return
        now = "now with one: take it away, with dt.tz_localize(None)"
        if self.zoned:
            now = "now without one: say which it is, with dt.tz_localize('UTC')"
        raise ValueError(f"Column {name!r} held dates with{'' if self.zoned else 'out'} a time zone in fit, {now} for example.")

    def __str__(self) -> str:
        return "time passed" + "".join(f", place in the {name}" for name in self.periods)


@dataclass(frozen=True)
class Categories(Encoder):
    """Known categories, numbered from 1; 0 is a missing or unknown one."""

    categories: tuple[Any, ...]

    @cached_property
    def _codes(self) -> dict[Any, int]:
        return {category: number for number, category in enumerate(self.categories, 1)}

    @cached_property
    def _booleans(self) -> bool:
        return all(isinstance(category, bool) for category in self.categories)

    def _code(self, value: Any) -> int:
        label = as_label(value)
        if self._booleans and isinstance(label, str):
            label = BOOLEANS.get(label.lower())
        return self._codes.get(label, 0)

    def codes(self, column: Any) -> np.ndarray:
        """The number of each value's category."""
        values = hashable(labels(column))
        known = {value: self._code(value) for value in set(values)}
        return np.fromiter(map(known.__getitem__, values), np.int64, len(values))

    def unknown(self, column: Any) -> list[Any]:
        """The values of a column, if none of them is known."""
        if any(map(self._code, islice(column, 200))):  # most often the first is known
            return []
        values = labels(column)
        if any(map(self._code, set(hashable(values)))):
            return []
        return [as_label(value) for value in values if not is_missing(value)]

    def shown(self) -> str:
        """The first of the categories."""
        return ", ".join(map(repr, self.categories[:3])) + (", ..." if len(self.categories) > 3 else "")

    def _text(self) -> str:
        n = len(self.categories)
        return f"{n} categor{'y' if n == 1 else 'ies'} ({self.shown()})"


@dataclass(frozen=True)
class Sign(Categories):
    """Two categories: -1 and +1."""

    kind = "sign"

    def encode(self, column: Any, name: str, out: np.ndarray) -> None:
        out[:, 0] = np.array([0, -1, 1])[self.codes(column)]

    def __str__(self) -> str:
        return f"{self._text()} as -1 and +1"


@dataclass(frozen=True)
class OneHot(Categories):
    """Few categories: a column each, scaled as numbers are; all zero for an unknown one before it is scaled."""

    scalings: tuple[Scaling, ...]
    kind = "one_hot"

    def suffixes(self) -> list[str]:
        return [f"_{category}" for category in self.categories]

    def encode(self, column: Any, name: str, out: np.ndarray) -> None:
        codes = self.codes(column)
        for number, scaling in enumerate(self.scalings):
            off, on = scaling(np.array([0.0, 1.0]))
            out[:, number] = np.where(codes == number + 1, on, off)

    def __str__(self) -> str:
        return f"{self._text()}, a column each"


@dataclass(frozen=True)
class Code(Categories):
    """Many categories: their numbers, for an embedding."""

    kind = "code"

    def encode(self, column: Any, name: str, out: np.ndarray) -> None:
        out[:, 0] = self.codes(column)

    def __str__(self) -> str:
        return f"{self._text()} as numbers, for an embedding"


def category_encoder(counts: dict[Any, int], n: int, max_one_hot: int, min_count: int) -> Encoder:
    """The encoder that suits the number of categories in a column.

    Parameters
    ----------
    counts : dict of category to int
        Rows of each.
    n : int
        Rows.
    max_one_hot : int
        Most categories that get a column each.
    min_count : int
        Rows that a category must have to be numbered.
    """
    categories = ordered(counts)
    if len(categories) > max(max_one_hot, 2):
        categories = [category for category in categories if counts[category] >= min_count]
    if not categories:
        all_differ = max(counts.values(), default=1) == 1
        return ALL_DIFFER if all_differ else Dropped(f"no category has {min_count} rows (min_category_count)")
    if counts == {categories[0]: n}:
        return CONSTANT
    if len(categories) == 2:
        return Sign(tuple(categories))
    if len(categories) > max_one_hot:
        return Code(tuple(categories))
    return OneHot(tuple(categories), tuple(Scaling.of_indicator(counts[category], n) for category in categories))


def count(values: list[Any]) -> dict[Any, int]:
    """Rows of each category; missing values are none."""
    counts: dict[Any, int] = {}
    for value, n in Counter(hashable(values)).items():
        if not is_missing(value):
            label = as_label(value)
            counts[label] = counts.get(label, 0) + n
    return counts


def hashable(values: list[Any]) -> list[Any]:
    """Values that can be a dict's keys: as they are if all of them can, else as labels."""
    try:
        set(values)
    except TypeError:
        return [as_label(value) for value in values]
    return values


def as_label(value: Any) -> Any:
    """A value as text, a number or a boolean; missing ones as they are."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (str, bool, int, float)) or is_missing(value) else str(value)


def ordered(categories: Iterable[Any]) -> list[Any]:
    """Numbers in their order, then the rest by their text."""
    numeric = [category for category in categories if isinstance(category, (int, float))]
    return sorted(numeric) + sorted((c for c in categories if not isinstance(c, (int, float))), key=str)


#: Name -> class, one row a kind of column.
ENCODERS: dict[str, type[Encoder]] = {row.kind: row for row in (Dropped, Number, Moment, Sign, OneHot, Code)}
