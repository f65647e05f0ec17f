"""The commands."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import narwhals.stable.v2 as nw
import numpy as np
from threadpoolctl import threadpool_limits

import fastnet as fn
from fastnet.cli import _scores
from fastnet.cli._data import (
    TASKS,
    Data,
    Model,
    columns_of,
    feature_names,
    has_value,
    read_data,
    target_column,
    targets_of,
    text_columns,
)
from fastnet.cli._errors import OneLine, one_line, refusing
from fastnet.cli._files import check_writable, check_written_format, csv_of, read_table, write_table
from fastnet.cli._folders import column_names, column_of, is_read_in_pieces, pieces_of, read_folder
from fastnet.cli._peers import installed
from fastnet.data import Blocks
from fastnet.tabular import TabularClassifier, TabularRegressor
from fastnet.tabular.parts import CLASSIFICATION, PRESETS, REGRESSION

_EXISTING = click.Path(exists=True, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW = click.Path(path_type=Path)


@click.group(cls=OneLine, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(fn.__version__, prog_name="fastnet", message="%(prog)s %(version)s")
@click.pass_context
def fastnet(context: click.Context) -> None:
    """Learn tables: numbers, categories, text, dates and missing values, with no tuning.

    Tables are files of CSV (also .gz, .zip, .xz), Parquet or Feather, or folders of Parquet files, larger than memory if need
    be.
    `python -m fastnet` trains a network on one of scikit-learn's data sets, to see that all works.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _training_options(command: Any) -> Any:
    """The options that `fit` and `compare` share."""
    metrics = [*CLASSIFICATION, *REGRESSION]
    options = [
        click.argument("table", type=_EXISTING),
        click.option("--target", required=True, metavar="COLUMN", help="Column to predict."),
        click.option("--preset", type=click.Choice(list(PRESETS)), default="default", show_default=True),
        click.option("--metric", type=click.Choice(metrics), help="Judges predictions; default accuracy, or rmse for numbers."),
        click.option("--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Longest time to train."),
        click.option("--task", type=click.Choice(TASKS), help="By default chosen from the values of the target."),
        click.option("--threads", type=click.IntRange(1), metavar="N", help="Maximum number of threads; by default all."),
        click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, metavar="N"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@fastnet.command()
@_training_options
@click.option("-o", "--output", type=_NEW, required=True, metavar="FILE", help="Model to write, usually .safetensors.")
def fit(output: Path, table: Path, target: str, task: str | None, **options: Any) -> None:
    """Train a model on a TABLE and write it to a file."""
    check_writable(output, table)
    data = (read_folder if is_read_in_pieces(table) else read_data)(table, target, task, options["metric"])
    click.echo(data.describe(table))
    start = time.perf_counter()
    given = (data.X,) if isinstance(data.X, Blocks) else (data.X.to_native(), data.y.to_native())
    model = _fitted(data.task, given, options)
    with refusing(OSError, about=f"{output} cannot be written"):
        model.save(output)
    seconds = time.perf_counter() - start
    click.echo(f"validation {model.metric}: {_score(model)}; {seconds:.3g} s; written to {output}")


def _fitted(task: str, given: tuple[Any, ...], options: dict[str, Any]) -> Model:
    """An estimator of a task, trained on what it is given; a progress bar is shown on terminals."""
    cls = TabularRegressor if task == "regression" else TabularClassifier
    parameters = {name: options[name] for name in ("preset", "metric", "time_limit") if options[name] is not None}
    model = cls(**parameters, n_threads=options["threads"], random_state=options["seed"], verbose=sys.stderr.isatty())
    with refusing(ValueError, TypeError):
        return model.fit(*given)


def _score(model: Model) -> str:
    """The validation score as the metric is usually given: errors and losses are not negative."""
    value = model.validation_score_
    if np.isnan(value):
        return "too few rows to tell"
    return f"{value if model.metric in ('accuracy', 'roc_auc') else -value:.4g}"


def _model(path: Path) -> Model:
    with refusing(ValueError, OSError):
        model = fn.load(path)
    if not isinstance(model, (TabularClassifier, TabularRegressor)):
        raise click.ClickException(
            f"{path} holds a {type(model).__name__}: expected a TabularClassifier or TabularRegressor, as `fastnet fit` writes"
        )
    return model


@fastnet.command()
@click.argument("model", type=_FILE)
@click.argument("table", type=_EXISTING)
@click.option("-o", "--output", type=_NEW, metavar="FILE", help="File to write, .csv or .parquet; by default all is printed.")
@click.option("--proba", is_flag=True, help="Add the probability of each class.")
def predict(model: Path, table: Path, output: Path | None, proba: bool) -> None:
    """Predict the rows of a TABLE with the MODEL of a file."""
    if output is not None:
        check_written_format(output)
        check_writable(output, model, table)
    estimator = _model(model)
    if proba and isinstance(estimator, TabularRegressor):
        raise click.ClickException(f"{model} predicts values, which have no probabilities: leave --proba out")
    found = (_predictions(estimator, rows, table, proba) for rows in _pieces(estimator, table))
    if output is None:
        for text in csv_of(found):
            click.echo(text, nl=False)
        return
    with refusing(OSError, about=f"{output} cannot be written"):
        n_rows = write_table(found, output)
    click.echo(f"{n_rows:,} predictions written to {output}")


def _pieces(model: Model, table: Path) -> Iterator[nw.DataFrame[Any]]:
    """The rows to predict: of a folder one piece after the other, of a file all at once."""
    if is_read_in_pieces(table):
        return pieces_of(table, feature_names(model))
    return iter([read_table(table, text_columns(model, *(model.target_names_ or [])))])


def _predictions(model: Any, rows: nw.DataFrame[Any], table: Path, proba: bool) -> nw.DataFrame[Any]:
    """Columns of predictions: named as the target is, and for probabilities with the class behind it."""
    X = columns_of(model, rows, table)
    with refusing(ValueError, TypeError, about=str(table)):
        predicted = model.predict(X)
        p = model.predict_proba(X) if proba else None
    if p is None:
        flat = predicted.reshape(len(predicted), -1)
        columns = dict(zip(_names_of_values(model, flat.shape[1]), flat.T, strict=True))
    else:
        (name,) = _names_of_values(model, 1)
        columns = {name: predicted} | {f"{name}_{label}": p[:, k] for k, label in enumerate(model.classes_)}
    return nw.from_dict(columns, backend=rows.implementation)


def _names_of_values(model: Any, n: int) -> list[str]:
    """Names of n predicted columns: those of the targets, with the level where each has several quantiles."""
    names = model.target_names_ or ["prediction"]
    if isinstance(model, TabularRegressor) and len(levels := model._levels()) > 1:
        names = [f"{name}_{level}" for name in names for level in _scores.names_of_levels(levels)]
    return names if len(names) == n else [f"{names[0]}_{number}" for number in range(n)]


@fastnet.command()
@click.argument("model", type=_FILE)
@click.argument("table", type=_EXISTING)
@click.option("--target", metavar="COLUMN", help="Column of the true values; by default the target of the training table.")
def evaluate(model: Path, table: Path, target: str | None) -> None:
    """Compare what the MODEL of a file predicts with the targets in a TABLE."""
    estimator = _model(model)
    target = target_column(estimator, target)
    y, predicted = (_of_folder if is_read_in_pieces(table) else _of_file)(estimator, table, target)
    with refusing(ValueError, TypeError, about=str(table)):
        scores = _scores_of(estimator, y, predicted)
    click.echo(f"{table}: {len(y):,} rows with a target")
    for name, value in scores.items():
        click.echo(f"{name}: {_scores.shown(value)}")


def _of_file(model: Model, table: Path, target: str) -> tuple[np.ndarray, np.ndarray]:
    """The targets that a table has, and what the model predicts there."""
    X, y = targets_of(model, read_table(table, text_columns(model, target), target), table, target)
    return y, _predicted(model, X, table)


def _of_folder(model: Model, table: Path, target: str) -> tuple[np.ndarray, np.ndarray]:
    """The same of a folder, of which only the targets and what is predicted are in memory at once."""
    column = column_of(table, target)
    _, y = targets_of(model, column.to_frame(), table, target)
    predicted = np.concatenate([_predicted(model, rows, table) for rows in pieces_of(table, feature_names(model))])
    return y, predicted[has_value(column, table).to_numpy()]


def _predicted(model: Any, rows: nw.DataFrame[Any], table: Path) -> np.ndarray:
    X = columns_of(model, rows, table)
    with refusing(ValueError, TypeError, about=str(table)):
        return _outputs(model, X)


def _outputs(model: Any, X: Any) -> np.ndarray:
    """Probabilities of classes, or values."""
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def _scores_of(model: Any, y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    if hasattr(model, "predict_proba"):
        return _scores.of_classes(y, model.classes_, predicted)
    return _scores.of_values(y, predicted) if predicted.ndim == 1 else _scores.of_quantiles(y, model._levels(), predicted)


@fastnet.command()
@_training_options
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.25,
    show_default=True,
    metavar="SHARE",
    help="Share of the rows to test on.",
)
def compare(table: Path, target: str, task: str | None, held_out: float, **options: Any) -> None:
    """Train fastnet and the other libraries that are installed on a TABLE, and compare them on rows held out.

    The others are CatBoost, LightGBM, XGBoost, and scikit-learn's HistGradientBoosting and MLP, all with their defaults.
    --preset, --metric and --time-limit are fastnet's.
    """
    if is_read_in_pieces(table):
        column_names(table)  # as a whole, it would be read without columns that the first file lacks
    data = read_data(table, target, task, options["metric"])
    click.echo(data.describe(table))
    X_train, X_test, y_train, y_test = _split(data, held_out, options["seed"])
    regression = data.task == "regression"
    click.echo(f"{len(X_train):,} rows to train on, {len(X_test):,} held out")
    rows: dict[str, dict[str, float]] = {}

    def add(name: str, fit: Any) -> None:
        start = time.perf_counter()
        try:
            with threadpool_limits(options["threads"]), warnings.catch_warnings(action="ignore"):
                model = fit()
                fitted = time.perf_counter()
                scores = _scores_of(model, y_test, _outputs(model, X_test))
            rows[name] = {**scores, "fit s": fitted - start, "predict s": time.perf_counter() - fitted}
        except Exception as error:  # another library may fail in its own way: the others are compared all the same
            click.echo(f"{name} failed: {one_line(error)}", err=True)

    add(f"fastnet, {options['preset']}", lambda: _fitted(data.task, (X_train, y_train), options))
    for name, make in installed().items():
        add(name, lambda make=make: make(regression, options["seed"], options["threads"]).fit(X_train, y_train))
    click.echo(_scores.table(rows, data.task))


def _split(data: Data, held_out: float, seed: int) -> list[Any]:
    """Frames of pandas and arrays to train and to test on; targets are numbers of classes, or values."""
    from sklearn.model_selection import train_test_split

    with refusing(ImportError, about="comparing needs pandas and pyarrow for this table"):
        X = data.X.to_pandas()
    if data.task == "regression":
        y, labels = data.y.to_numpy(), None
    else:
        _, y, counts = np.unique(data.y.to_numpy(), return_inverse=True, return_counts=True)
        labels = y if counts.min() > 1 else None
    _refuse_few(len(y), held_out, 1 if labels is None else len(counts))
    return train_test_split(X, y, test_size=held_out, random_state=seed, stratify=labels)


def _refuse_few(n_rows: int, held_out: float, needed: int) -> None:
    """Refuse a share of the rows that leaves too few of them to train or to test on."""
    n_test = math.ceil(held_out * n_rows)
    if min(n_test, n_rows - n_test) < needed:
        rows = f"{n_rows:,} row{'s' * (n_rows > 1)}"
        left = f"--held-out {held_out:g} leaves {n_rows - n_test:,} of {rows} to train on and {n_test:,} to test on"
        raise click.ClickException(f"{left}: each needs at least {needed}{', one of each class' * (needed > 1)}")
