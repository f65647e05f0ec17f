"""The preparing of a table's columns as a transformer of scikit-learn's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fastnet import _checks
from fastnet._caller import to_the_caller
from fastnet._drafts import draft_of, replace_state
from fastnet._hints import takes_other_words
from fastnet._saving import Saving
from fastnet._set_params import NamedParameters
from fastnet.data import Blocks
from fastnet.tabular._columns import ALL_DIFFER, Categories, Code, Encoder, Moment, Number
from fastnet.tabular._frames import Kind, Table, is_categorical, kind_of, read_table
from fastnet.tabular._survey import Settings, TableSurvey, draws

#: Rows that are prepared at a time, so that those of many columns stay in the cache.
_BLOCK = 8192

#: Fewest values of a column of categories that are warned of if all of them are unknown.
_MANY = 10

#: What text was written for -> how it is called, and what converts it.
_CONVERTED: dict[Kind, tuple[str, str]] = {
    "number": ("numbers", "pandas.to_numeric"),
    "moment": ("dates or times", "pandas.to_datetime"),
}


@dataclass(frozen=True)
class ColumnSummary:
    """What a column of a table became.

    Attributes
    ----------
    name : str
    kind : str
        "number", "moment", "sign", "one_hot", "code" or "dropped".
    outputs : tuple of int
        Columns of the output.
    description : str
    """

    name: str
    kind: str
    outputs: tuple[int, ...]
    description: str

    def __str__(self) -> str:
        return f"{self.name}: {self.description}"


class TabularPreprocessor(Saving, TransformerMixin, NamedParameters):
    """Turns a table of numbers, categories, text, dates and missing values into numbers that suit a neural network.

    Numbers become ``z / sqrt(1 + (z / 3)^2)`` with ``z = (x - median) / (q75 - q25)``, which limits the effect of outlying values
    (Holzmüller, Grinsztajn & Steinwart 2024); where the quartiles are equal, half the range takes the place of ``q75 - q25``;
    infinities become 3 and -3. Two categories become -1 and +1; a few become a column each; many become numbers from 1, for
    `fastnet.CategoryEmbedding`. Dates become the time passed and the place in the day, the week and the year (in UTC, where they
    have a time zone); durations are numbers of seconds. Missing values and unknown categories are 0. Columns that are constant,
    or have no value, are left out.

    Parameters
    ----------
    categorical_features : "from_dtype", None, array-like of str, int or bool, default="from_dtype"
        Which columns of numbers or dates are categories: "from_dtype" for those whose type in a data frame is `category` (of
        pandas; a dictionary of PyArrow); None for none of them; or those that are named, numbered, or True in a mask, and no
        others. So a column of type `category` that holds numbers is one of numbers if it is not among those given, as in
        scikit-learn's HistGradientBoosting. Text and booleans are always categories.
    max_one_hot : int, default=8
        Maximum number of categories that get a column each; if there are more, they become numbers from 1, with 0 for unknown
        ones.
    min_category_count : int, default=2
        If a column has more than `max_one_hot` categories, the rows in fit that each of them must have; rarer ones count as
        unknown, so that a network learns what to make of unknown categories.
    missing_indicator : bool, default=True
        Add a column that tells which values were missing, for columns of numbers and dates with missing values in fit.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Column names, for data frames.
    columns_ : list of ColumnSummary
        What each column became: ``name``, ``kind``, ``outputs``, ``description``.
    continuous_ : list of int
        Columns of the output that are scaled numbers.
    codes_ : list of int
        Columns of the output in which a number stands for a category.
    n_categories_ : list of int
        How many categories each of these columns has.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> X = np.array([[1.5, "red"], [2.5, "blue"], [None, "red"], [4.0, None]], dtype=object)
    >>> prepare = fn.TabularPreprocessor().fit(X)
    >>> print(*prepare.columns_, sep="\\n")
    x0: number, median 2.5, with an indicator of missing values
    x1: 2 categories ('blue', 'red') as -1 and +1
    >>> prepare.transform(X)[:, 2]
    array([ 1., -1.,  1.,  0.], dtype=float32)
    """

    @takes_other_words()
    def __init__(
        self,
        *,
        categorical_features: str | ArrayLike | None = "from_dtype",
        max_one_hot: int = 8,
        min_category_count: int = 2,
        missing_indicator: bool = True,
    ) -> None:
        self.categorical_features = categorical_features
        self.max_one_hot = max_one_hot
        self.min_category_count = min_category_count
        self.missing_indicator = missing_indicator

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what to do with each column.

        Parameters
        ----------
        X : DataFrame, array-like of shape (n_samples, n_features), or Blocks
            A data frame of pandas, Polars, PyArrow or another that Narwhals knows, or an array; or data of `fastnet.data`, which
            are read once.
        y : None
            Ignored.

        Returns
        -------
        self : TabularPreprocessor

        Warns
        -----
        UserWarning
            A column of text that looks like numbers, dates or times, but for a few entries, is left out because it differs in
            every row, or unknown in most rows because it differs in these.
        """
        draft = draft_of(self)
        if isinstance(X, Blocks):
            draft._settings()
            draft._learn(TableSurvey.of_all(draft._survey(rows[0], start) for _, start, rows in X.as_tables().in_order()))
        else:
            draft._learn_table(draft._read(X))
        replace_state(self, draft.__dict__)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """The same as ``fit(X).transform(X)``, but X is read once.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
        """
        draft = draft_of(self)
        table = draft._read(X)
        draft._learn_table(table)
        out = draft._encoded(table)
        replace_state(self, draft.__dict__)
        return out

    def _settings(self) -> Settings:
        max_one_hot = _checks.integer(self.max_one_hot, "max_one_hot", minimum=0, maximum=1 << 24)
        min_count = _checks.positive_int(self.min_category_count, "min_category_count")
        return Settings(max_one_hot, min_count, _checks.boolean(self.missing_indicator, "missing_indicator"))

    def _read(self, X: Any) -> Table:
        """A table in memory; the number and the names of its columns are learnt."""
        self._settings()
        return read_table(self, X, reset=True)

    def _learn_table(self, table: Table) -> None:
        """Learn what to do with each column of a table in memory."""
        self._learn(TableSurvey(table, self._kinds(table), draws(0, table.n_rows, 0)))

    def _survey(self, X: Any, start: int, weights: np.ndarray | None = None) -> TableSurvey:
        """What is known of some rows but for those of weight 0; the first is number `start` of all."""
        table = read_table(self, X, reset=not start)
        drawn = draws(start, start + table.n_rows, 0)
        if weights is not None:
            counting = np.flatnonzero(weights)
            table, drawn = table[counting], drawn[counting]
        return TableSurvey(table, self._kinds(table), drawn)

    def _learn(self, survey: TableSurvey) -> None:
        """Learn what to do with each column from what is known of all rows."""
        encoders = survey.encoders(self._settings())
        self._adopt(survey.names, encoders)
        self._warn_of_lost_text(survey)

    def _warn_of_lost_text(self, survey: TableSurvey) -> None:
        """Warn of columns of text that may have been meant as numbers or dates, and of which little is left."""
        lost: dict[tuple[str, Kind], dict[str, Any]] = {}
        for name, encoder, spelling in zip(survey.names, self._encoders, survey.lost_text(self._encoders), strict=True):
            if spelling is not None and (kind := spelling.kind()) is not None:
                differs = encoder == ALL_DIFFER
                fate = "Left out as text that differs in every row" if differs else "Text that is unknown in most rows"
                lost.setdefault((fate, kind), {})[name] = spelling.odd.get(kind)
        for (fate, kind), columns in lost.items():
            warnings.warn(f"{fate}: {_what_to_convert(kind, columns)}", stacklevel=to_the_caller())

    def _kinds(self, table: Table) -> list[Kind]:
        """What each column holds."""
        categorical = self._categorical(table)
        return [
            "category" if said else _kind(column, name)
            for column, name, said in zip(table.columns, table.names, categorical, strict=True)
        ]

    def _adopt(self, names: list[str], encoders: list[Encoder]) -> None:
        """Set everything that fit finds out, but for scikit-learn's attributes."""
        self._names, self._encoders = names, encoders
        ends = np.cumsum([0, *(len(encoder.suffixes()) for encoder in encoders)]).tolist()
        self.columns_ = [
            ColumnSummary(name, encoder.kind, tuple(range(start, end)), str(encoder))
            for name, encoder, start, end in zip(names, encoders, ends[:-1], ends[1:], strict=True)
        ]
        self.n_features_out_ = ends[-1]
        starts = list(zip(encoders, ends[:-1], strict=False))
        self.continuous_ = [start for encoder, start in starts if isinstance(encoder, (Number, Moment))]
        codes = [(encoder, start) for encoder, start in starts if isinstance(encoder, Code)]
        self.codes_ = [start for _, start in codes]
        self.n_categories_ = [len(encoder.categories) for encoder, _ in codes]

    def _category_columns(self, cls: type) -> list[str]:
        """Columns that have categories of a class of Python's."""
        return [
            name
            for name, encoder in zip(self._names, self._encoders, strict=True)
            if isinstance(encoder, Categories) and any(isinstance(category, cls) for category in encoder.categories)
        ]

    def _categorical(self, table: Table) -> list[bool]:
        """Which columns are said to be categories."""
        said = self.categorical_features
        if said is None:
            return [False] * len(table.names)
        if isinstance(said, str):
            _checks.one_of(said, "categorical_features", ("from_dtype",))
            return [is_categorical(column) for column in table.columns]
        chosen = np.asarray(said)
        n = len(table.names)
        if chosen.dtype.kind == "b":
            if chosen.shape != (n,):
                raise ValueError(f"categorical_features as a mask must have {n} entries, got shape {chosen.shape}.")
            return chosen.tolist()
        places = {name: number for number, name in enumerate(table.names)}
        wanted = set()
        for item in chosen.ravel().tolist():
            number = places.get(item) if isinstance(item, str) else item
            if not isinstance(number, int) or not -n <= number < n:
                raise ValueError(f"categorical_features names {item!r}, which is none of the {n} columns of X.")
            wanted.add(number % n)
        return [number in wanted for number in range(n)]

    def transform(self, X: Any) -> np.ndarray:
        """The columns as numbers.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32

        Raises
        ------
        ValueError
            Not the columns of fit, or text where there were numbers.

        Warns
        -----
        UserWarning
            A column of categories has ten values or more, and none that was known in fit.
        """
        check_is_fitted(self)
        return self._transformed(X)

    def _transformed(self, X: Any) -> np.ndarray:
        """What `transform` gives where scikit-learn's `set_output` asks for nothing else."""
        table = read_table(self, X, reset=False)
        self._warn_of_unknown(table)
        return self._encoded(table)

    def _transformed_known(self, X: Any) -> np.ndarray:
        """The same for rows of fit, whose categories may all be rare."""
        return self._encoded(read_table(self, X, reset=False))

    def _warn_of_unknown(self, table: Table) -> None:
        """Warn of columns of categories whose values are all unknown, as those of another spelling are."""
        if table.n_rows < _MANY:
            return
        for column, name, encoder in zip(table.columns, self._names, self._encoders, strict=True):
            if isinstance(encoder, Categories) and len(values := encoder.unknown(column)) >= _MANY:
                warnings.warn(
                    f"Column {name!r} has {len(values)} values, and none is a category known from fit, so all count as unknown: "
                    f"got {values[0]!r}, known are {encoder.shown()}. Give the column the type and the spelling it had in fit.",
                    stacklevel=to_the_caller(),
                )

    def _encoded(self, table: Table) -> np.ndarray:
        out = np.empty((table.n_rows, self.n_features_out_), np.float32)
        used = [
            entry for entry in zip(table.columns, self._names, self._encoders, self.columns_, strict=True) if entry[3].outputs
        ]
        for start in range(0, table.n_rows, _BLOCK):
            block = slice(start, start + _BLOCK)
            for column, name, encoder, summary in used:
                encoder.encode(column[block], name, out[block, summary.outputs[0] : summary.outputs[-1] + 1])
        return out

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Names of the output's columns: the column's, with its category or "_missing", "_sin_of_day", ... where it has several.

        Where an earlier one has the same name, "_2", "_3", ... follows.

        Parameters
        ----------
        input_features : array-like of str, optional
            For arrays, names to use in place of those of fit; for data frames, they must be the same as in fit.

        Returns
        -------
        ndarray of str
        """
        from sklearn.utils.validation import _check_feature_names_in

        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        pairs = zip(names, self._encoders, strict=True)
        return np.array(_distinct([f"{name}{suffix}" for name, encoder in pairs for suffix in encoder.suffixes()]), dtype=object)

    def summary(self) -> str:
        """What was done to each column, a line each."""
        check_is_fitted(self)
        return "\n".join(map(str, self.columns_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _kind(column: Any, name: str) -> Kind:
    with _checks.naming(f"Column {name!r}"):
        return kind_of(column)


def _what_to_convert(kind: Kind, columns: dict[str, Any]) -> str:
    """What to do with columns of text that was written for a kind of values, some of them but for an entry."""
    what, function = _CONVERTED[kind]
    names = ", ".join(repr(name) if odd is None else f"{name!r} (but for {odd!r})" for name, odd in columns.items())
    how = f"{function} for example."
    if any(odd is not None for odd in columns.values()):
        how = f"{function}(errors='coerce'), which makes other entries missing, or name these in na_values of pandas.read_csv."
    return f"{names}. The text looks like {what}: if it is meant so, convert it before fit, with {how}"


def _distinct(names: list[str]) -> list[str]:
    """The names, with "_2", "_3", ... after those that an earlier one has."""
    taken, seen, found = set(names), set[str](), list[str]()
    for name in names:
        found.append(name if name not in seen else next(other for n in count(2) if (other := f"{name}_{n}") not in taken))
        seen.add(name)
        taken.add(found[-1])
    return found
