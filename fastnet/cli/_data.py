"""From a table in a file to what an estimator takes: columns, target, and which kind of task it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import narwhals.stable.v2 as nw
import numpy as np

from fastnet.cli._errors import did_you_mean, listed
from fastnet.cli._files import read_table
from fastnet.tabular import TabularClassifier, TabularRegressor
from fastnet.tabular.parts import CLASSIFICATION, REGRESSION

Model = TabularClassifier | TabularRegressor

TASKS = ("classification", "regression")
#: Most whole numbers that are taken for classes where the task is not given.
_MOST_CLASSES = 20


@dataclass(frozen=True)
class Data:
    """A table to learn.

    Attributes
    ----------
    X : narwhals.DataFrame or Blocks
    y : narwhals.Series
    n_columns : int
    task : str
        One of `TASKS`.
    without_target : int
        Rows that were left out because their target is missing.
    """

    X: Any
    y: nw.Series[Any]
    n_columns: int
    task: str
    without_target: int

    def describe(self, path: Path) -> str:
        """The table and the task in one line."""
        m, n = len(self.y), self.n_columns
        left_out = f", {self.without_target:,} more without a target left out" if self.without_target else ""
        target = f"{self.y.name}, {self.y.n_unique()} classes" if self.task == "classification" else self.y.name
        return f"{path}: {m:,} rows{left_out}, {n:,} column{'s' * (n > 1)}; {self.task} of {target}"


def read_data(path: Path, target: str, task: str | None, metric: str | None) -> Data:
    """A table to learn from a file.

    Parameters
    ----------
    path : Path
    target : str
        Column to predict.
    task : str, optional
        One of `TASKS`; None: what the metric is of, or else what suits the target.
    metric : str, optional

    Raises
    ------
    click.ClickException
        The file holds no such table, or task and metric do not fit it.
    """
    frame, y, without_target = _parted(read_table(path, target=target), path, target)
    refuse_target_alone(frame.columns, path, target)
    y, task = target_and_task(y, task, metric)
    return Data(frame, y, len(frame.columns), task, without_target)


def refuse_target_alone(columns: Sequence[str], path: Path, target: str) -> None:
    """Refuse a table that has no columns beside the target."""
    if not columns:
        raise click.ClickException(f"{path} has no column but the target {target!r}: there is nothing to predict it from")


def target_and_task(y: nw.Series[Any], task: str | None, metric: str | None) -> tuple[nw.Series[Any], str]:
    """The target in the type that suits the task, and the task: as it is given, that of the metric, or what suits the target."""
    for name, metrics in zip(TASKS, (CLASSIFICATION, REGRESSION), strict=True):
        if metric in metrics:
            if task not in (None, name):
                raise click.ClickException(f"metric {metric!r} is of a {name}, but --task says {task}: leave one of them out")
            task = name
    y, task = _target(y, task)
    if task == "classification" and y.n_unique() == 1:
        got = f"the target {y.name!r} holds one class, {y[:1].to_list()[0]!r}"
        raise click.ClickException(f"{got}: classification needs at least two")
    return y, task


def _parted(frame: nw.DataFrame[Any], path: Path, target: str) -> tuple[nw.DataFrame[Any], nw.Series[Any], int]:
    """The columns and the target of the rows that have one, and how many have none."""
    refuse_unknown(target, frame.columns, path)
    known = has_value(frame[target], path)
    n_missing = len(known) - int(known.sum())
    frame = frame.filter(known) if n_missing else frame
    return frame.drop(target), frame[target], n_missing


def refuse_unknown(target: str, columns: Sequence[str], path: Path) -> None:
    """Refuse a table without the target."""
    if target not in columns:
        raise click.ClickException(f"{path} has no column {target!r}{did_you_mean(target, columns)}")


def has_value(y: nw.Series[Any], path: Path) -> nw.Series[Any]:
    """Which rows have a target.

    Raises
    ------
    click.ClickException
        None has.
    """
    missing = y.is_null() | y.is_nan() if y.dtype.is_float() else y.is_null()
    if missing.all():
        raise click.ClickException(f"all {len(y)} values of {y.name!r} in {path} are missing: at least one is needed")
    return ~missing


def _target(y: nw.Series[Any], task: str | None) -> tuple[nw.Series[Any], str]:
    """The target in the type that suits the task, and the task."""
    if y.dtype in (nw.Date, nw.Datetime, nw.Duration, nw.Time):
        raise click.ClickException(f"the target {y.name!r} holds dates or times: give a column of numbers or classes")
    y = _plain(y)
    if not y.dtype.is_numeric():
        if y.dtype not in (nw.String, nw.Boolean, nw.Categorical, nw.Enum):
            raise click.ClickException(f"the target {y.name!r} holds {y.dtype} values: give a column of numbers or classes")
        if task == "regression":
            raise click.ClickException(f"the target {y.name!r} is {y.dtype}: regression needs numbers; try --task classification")
        return y.cast(nw.String) if y.dtype != nw.Boolean else y, "classification"
    values = y.to_numpy()
    if not np.isfinite(values).all():
        raise click.ClickException(f"the target {y.name!r} holds infinite values: leave these rows out")
    whole = bool(((values == np.round(values)) & (np.abs(values) < 2.0**63)).all())
    if task is None:
        task = "classification" if whole and len(np.unique(values)) <= _MOST_CLASSES else "regression"
    if task == "regression":
        return nw.new_series(y.name, values.astype(np.float64), backend=y.implementation), task
    if not whole:
        got = f"the target {y.name!r} holds fractions or integers above 64 bits"
        raise click.ClickException(f"{got}: classification needs classes; try --task regression")
    return y.cast(nw.Int64), task


def _plain(y: nw.Series[Any]) -> nw.Series[Any]:
    """Decimals, and floats of every size, as float64; categories of numbers or booleans as these; anything else as it is."""
    if y.dtype == nw.Decimal or y.dtype.is_float():
        return y.cast(nw.Float64)
    if y.dtype == nw.Categorical:
        of_categories = y.cat.get_categories().dtype
        return _plain(y.cast(of_categories)) if of_categories.is_numeric() or of_categories == nw.Boolean else y
    return y


def text_columns(model: Model, *targets: str) -> list[str]:
    """Columns whose categories are text, the targets among them."""
    found = model.preprocessor_._category_columns(str)
    if isinstance(model, TabularClassifier) and model.classes_.dtype.kind in "OU":
        found += targets
    return found


def target_column(model: Model, wanted: str | None) -> str:
    """The column of a table with the true values: the wanted one, or else the one that the model learnt from.

    Raises
    ------
    click.ClickException
        The model learnt from an array, whose target has no name, or from several targets.
    """
    names = model.target_names_ or []
    if len(names) > 1:
        raise click.ClickException(f"the model predicts {len(names)} targets, {listed(names)}: evaluate it from Python")
    if wanted is None and not names:
        raise click.ClickException("the model's target has no name: say with --target which column has the true values")
    return wanted or names[0]


def feature_names(model: Model) -> list[str]:
    """Names of the columns that a model was trained on.

    Raises
    ------
    click.ClickException
        They have none.
    """
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        raise click.ClickException("the model was trained on an array, whose columns have no names: use it from Python")
    return list(names)


def columns_of(model: Model, frame: nw.DataFrame[Any], path: Path) -> Any:
    """The columns that a model was trained on, in their order, as a frame of the library that read it.

    Text in a column that held booleans becomes booleans where it is such, and is missing elsewhere.

    Raises
    ------
    click.ClickException
        Some are missing.
    """
    names = feature_names(model)
    missing = [name for name in names if name not in frame.columns]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        hint = did_you_mean(missing[0], frame.columns)
        raise click.ClickException(f"{path} lacks the column{plural} {listed(missing)} that the model was trained on{hint}")
    booleans = set(names) & set(model.preprocessor_._category_columns(bool)) - set(model.preprocessor_._category_columns(str))
    text = [name for name in booleans if frame[name].dtype == nw.String]
    return frame.with_columns(*map(_as_boolean, text))[names].to_native()


def _as_boolean(name: str) -> nw.Expr:
    """A column of text as booleans, missing where it is something else."""
    text = nw.col(name).str.to_lowercase()
    return nw.when(text.is_in(["true", "false"])).then(text == "true").alias(name)


def targets_of(model: Model, frame: nw.DataFrame[Any], path: Path, target: str) -> tuple[nw.DataFrame[Any], Any]:
    """The rows of a table that have a target, and their targets as an array.

    Raises
    ------
    click.ClickException
        The table has none, or they are not of the type that the model predicts.
    """
    X, y, _ = _parted(frame, path, target)
    y = _plain(y)
    if isinstance(model, TabularRegressor):
        if not y.dtype.is_numeric():
            got = f"{target!r} in {path} holds {y.dtype} values, but the model predicts numbers"
            raise click.ClickException(f"{got}: give the column of the true values with --target")
        return X, _target(y, "regression")[0].to_numpy()
    classes = model.classes_
    values = np.asarray(y.to_list(), dtype=classes.dtype if classes.dtype.kind == "O" else None)
    if (classes.dtype.kind in "OU") == (y.dtype.is_numeric() or y.dtype == nw.Boolean):
        got = f"{target!r} in {path} holds values like {y[:1].to_list()[0]!r}"
        raise click.ClickException(f"{got}, but the model's classes are {listed(classes.tolist())}")
    return X, values
