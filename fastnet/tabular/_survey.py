"""What is known of a table that comes block by block, from which the encoders of its columns are made at the end.

Everything is counted over all rows but the quartiles of a number, which are those of `MOST_VALUES` of its values, in the rows
that drew the least random numbers. So they do not depend on how the rows are divided into blocks.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from fastnet._checks import naming
from fastnet.tabular._columns import (
    CONSTANT,
    MOST_VALUES,
    PERIODS,
    Categories,
    Dropped,
    Encoder,
    Moment,
    Number,
    Numbers,
    category_encoder,
    count,
)
from fastnet.tabular._frames import Kind, Table, has_zone, labels, moments, numbers, same_zone

#: Categories of a column that are remembered. Where there are twice as many, the rarest are forgotten, never one of more than
#: a share of 1 / `MOST_CATEGORIES` of the rows (Misra & Gries 1982; Agarwal, Cormode, Huang, Phillips, Wei & Yi 2013).
MOST_CATEGORIES = 200_000

#: How text is written for a number, and for a date or time (ISO 8601); digits after a zero are rather a name.
_WRITTEN: dict[Kind, re.Pattern[str]] = {
    "number": re.compile(r"\s*[-+]?(?!0\d)(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*", re.IGNORECASE | re.ASCII),
    "moment": re.compile(r"\s*(\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d\d:\d\d(:\d\d.*)?)\s*", re.ASCII),
}

#: The greatest random number.
_LAST = np.uint64(2**64 - 1)


class Settings(NamedTuple):
    """What encoders depend on beside the columns."""

    max_one_hot: int
    min_count: int
    missing_indicator: bool


@dataclass
class Spelling:
    """What categories were written for, as far as the first of each block show it.

    Attributes
    ----------
    n : int
        Categories that were looked at.
    n_written : Counter
        How many of them were written for a number and for a moment.
    odd : dict
        Of each of the two kinds, a category that was not written for it.
    has_text : bool
    """

    n: int
    n_written: Counter[Kind]
    odd: dict[Kind, Any]
    has_text: bool

    @classmethod
    def of(cls, categories: Collection[Any]) -> Spelling:
        """Of the categories of a block."""
        first = list(islice(categories, 100))
        n_written = Counter({kind: sum(_is_written(category, kind) for category in first) for kind in _WRITTEN})
        found = {kind: next((c for c in categories if not _is_written(c, kind)), None) for kind in _WRITTEN}
        odd = {kind: category for kind, category in found.items() if category is not None}
        return cls(len(first), n_written, odd, any(isinstance(category, str) for category in categories))

    def merge(self, other: Spelling) -> None:
        """Add what is known of further rows."""
        self.n += other.n
        self.n_written += other.n_written
        self.odd = other.odd | self.odd
        self.has_text |= other.has_text

    def kind(self) -> Kind | None:
        """What most of the categories were written for, if some are text."""
        return next((kind for kind, n in self.n_written.items() if self.has_text and 2 * n > self.n), None)


def _is_written(category: Any, kind: Kind) -> bool:
    """Whether a category is text that was written for a number or a moment, or is a number."""
    if isinstance(category, str):
        return _WRITTEN[kind].fullmatch(category) is not None
    return kind == "number" and not isinstance(category, bool)


def draws(start: int, stop: int, seed: int) -> np.ndarray:
    """The random numbers of rows `start` to `stop`, uint64; those of a row do not depend on the others."""
    first = start // 4  # a step of the generator makes four numbers
    generator = np.random.Philox(seed).advance(first)
    return generator.random_raw(stop - 4 * first)[start - 4 * first :]


class ColumnSurvey(ABC):
    """What is known of a column of one kind.

    Attributes
    ----------
    n_known : int
        Rows that have a value.
    """

    kind: ClassVar[Kind]
    n_known: int

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add what is known of further rows."""

    @abstractmethod
    def encoder(self, n: int, settings: Settings) -> Encoder:
        """What becomes of the column, in n rows."""


class NumberSurvey(ColumnSurvey):
    """Of numbers, float64, NaN where they are missing; `drawn` are the rows' random numbers."""

    kind = "number"

    def __init__(self, x: np.ndarray, drawn: np.ndarray) -> None:
        finite = np.isfinite(x)
        values, drawn = x[finite], drawn[finite]
        self.n_known = int(len(x) - np.isnan(x).sum())
        self.n_finite = len(values)
        self.infinities = frozenset({-np.inf, np.inf}.intersection(x[np.isinf(x)].tolist()))
        self.low = float(values.min()) if len(values) else np.inf
        self.high = float(values.max()) if len(values) else -np.inf
        self._values, self._drawn, self._n_values, self._last = [values], [drawn], len(values), _LAST
        self._keep()

    def merge(self, other: NumberSurvey) -> None:
        self.n_known += other.n_known
        self.n_finite += other.n_finite
        self.infinities |= other.infinities
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        for values, drawn in zip(other._values, other._drawn, strict=True):
            few = drawn <= self._last
            self._values.append(values[few])
            self._drawn.append(drawn[few])
            self._n_values += int(few.sum())
        if self._n_values > 2 * MOST_VALUES:
            self._keep()

    def _keep(self) -> None:
        """Forget the values that are not among the quartiles' own."""
        values, drawn = np.concatenate(self._values), np.concatenate(self._drawn)
        if len(values) > 2 * MOST_VALUES:  # leave the most of them out before they are sorted
            few = drawn <= np.uint64(1.2 * MOST_VALUES / len(values) * float(_LAST))
            if np.count_nonzero(few) >= MOST_VALUES:
                values, drawn = values[few], drawn[few]
        if len(values) > MOST_VALUES:
            kept = np.argpartition(drawn, MOST_VALUES - 1)[:MOST_VALUES]
            values, drawn = values[kept], drawn[kept]
            self._last = drawn.max()
        self._values, self._drawn, self._n_values = [values], [drawn], len(values)

    def numbers(self, n: int) -> Numbers:
        """What is known of them in n rows."""
        self._keep()
        return Numbers(n, n - self.n_known, self.n_finite, self.infinities, self._values[0], self.low, self.high)

    def encoder(self, n: int, settings: Settings) -> Encoder:
        return Number.of(self.numbers(n), settings.missing_indicator)


class MomentSurvey(ColumnSurvey):
    """Of milliseconds, NaN where they are missing; and whether they have a time zone, if that is known."""

    kind = "moment"

    def __init__(self, ms: np.ndarray, drawn: np.ndarray, zoned: bool | None) -> None:
        self._zoned = zoned
        self._elapsed = NumberSurvey(ms, drawn)
        self.n_known = self._elapsed.n_known
        known = ms[np.isfinite(ms)]
        places = [known % period for period in PERIODS.values()] if len(known) else []
        self._low = np.array([place.min() for place in places] or [np.inf] * len(PERIODS))
        self._high = np.array([place.max() for place in places] or [-np.inf] * len(PERIODS))

    def merge(self, other: MomentSurvey) -> None:
        self._zoned = same_zone(self._zoned, other._zoned)
        self._elapsed.merge(other._elapsed)
        self.n_known = self._elapsed.n_known
        self._low, self._high = np.minimum(self._low, other._low), np.maximum(self._high, other._high)

    def encoder(self, n: int, settings: Settings) -> Encoder:
        differing = tuple(name for name, span in zip(PERIODS, self._high - self._low, strict=True) if span > 0)
        return Moment.of(self._elapsed.numbers(n), differing, self._zoned, settings.missing_indicator)


class CategorySurvey(ColumnSurvey):
    """Of categories, by the rows of each.

    Attributes
    ----------
    spelling : Spelling
    """

    kind = "category"

    def __init__(self, counts: dict[Any, int]) -> None:
        self.n_known = sum(counts.values())
        self.spelling = Spelling.of(counts)
        self._counts = counts
        self._forget_rare()

    def merge(self, other: CategorySurvey) -> None:
        self.n_known += other.n_known
        self.spelling.merge(other.spelling)
        for category, n in other._counts.items():
            self._counts[category] = self._counts.get(category, 0) + n
        self._forget_rare()

    def _forget_rare(self) -> None:
        if len(self._counts) > 2 * MOST_CATEGORIES:
            of_rare = sorted(self._counts.values(), reverse=True)[MOST_CATEGORIES]
            self._counts = {category: n - of_rare for category, n in self._counts.items() if n > of_rare}

    def encoder(self, n: int, settings: Settings) -> Encoder:
        return category_encoder(self._counts, n, settings.max_one_hot, settings.min_count)

    def is_lost(self, encoder: Encoder) -> bool:
        """Whether an encoder takes most values for unknown, or leaves the column out although they differ."""
        if isinstance(encoder, Dropped):
            return encoder != CONSTANT
        assert isinstance(encoder, Categories)
        return 2 * sum(self._counts[category] for category in encoder.categories) < self.n_known


def column_survey(column: Any, name: str, kind: Kind, drawn: np.ndarray) -> ColumnSurvey | None:
    """What is known of a column of a block; None if it has no values, which may then be of any kind.

    Parameters
    ----------
    column : 1-D ndarray or narwhals Series
    name : str
    kind : str
    drawn : ndarray of uint64
        The rows' random numbers.
    """
    found: ColumnSurvey
    if kind == "category":
        found = CategorySurvey(count(labels(column)))
    elif kind == "moment":
        with naming(f"Column {name!r}"):
            zoned = has_zone(column)
        found = MomentSurvey(moments(column, name), drawn, zoned)
    else:
        found = NumberSurvey(numbers(column, name), drawn)
    return found if found.n_known else None


class TableSurvey:
    """What is known of the columns of a table.

    Parameters
    ----------
    table : Table
        The first rows.
    kinds : sequence of str
        Of its columns.
    drawn : ndarray of uint64
        The rows' random numbers.

    Attributes
    ----------
    names : list of str
    n : int
        Rows.
    """

    def __init__(self, table: Table, kinds: Sequence[Kind], drawn: np.ndarray) -> None:
        self.names, self.n = table.names, table.n_rows
        self._columns = [
            column_survey(column, name, kind, drawn)
            for column, name, kind in zip(table.columns, table.names, kinds, strict=True)
        ]

    @classmethod
    def of_all(cls, surveys: Iterable[TableSurvey]) -> TableSurvey:
        """What is known of the rows of one survey after the other, one at least."""
        remaining = iter(surveys)
        total = next(remaining)
        for survey in remaining:
            total.merge(survey)
        return total

    def merge(self, other: TableSurvey) -> None:
        """Add what is known of further rows.

        Raises
        ------
        ValueError
            Other columns, or columns of other kinds.
        """
        if other.names != self.names:
            raise ValueError(f"All blocks must have the same columns, got {self.names} and {other.names}.")
        self.n += other.n
        for number, (mine, theirs) in enumerate(zip(self._columns, other._columns, strict=True)):
            if mine is None or theirs is None:
                self._columns[number] = mine or theirs
            elif mine.kind != theirs.kind:
                raise ValueError(
                    f"Column {self.names[number]!r} is a {mine.kind} in earlier rows and a {theirs.kind} in later ones: give it "
                    "one type in all blocks, or name it in categorical_features."
                )
            else:
                with naming(f"Column {self.names[number]!r}"):
                    mine.merge(theirs)

    def encoders(self, settings: Settings) -> list[Encoder]:
        """What becomes of each column."""
        return [Dropped("no value") if column is None else column.encoder(self.n, settings) for column in self._columns]

    def lost_text(self, encoders: Sequence[Encoder]) -> list[Spelling | None]:
        """The spelling of columns of categories whose encoders lose them; None of others."""
        return [
            column.spelling if isinstance(column, CategorySurvey) and column.is_lost(encoder) else None
            for column, encoder in zip(self._columns, encoders, strict=True)
        ]
