"""The documentation's recipes on real tables, compared with scikit-learn's network and LightGBM.

Every recipe is fitted to the same random splits of every table. Its figures are its scores divided by those of the reference in
its section.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from benchmarks._pool import Pool
from benchmarks._recipes import RECIPES, REFERENCES, Recipe
from benchmarks._results import check, row
from benchmarks._tables import TABLES, Table

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Recipes on real tables"
QUICK = ("breast_cancer", "digits", "diabetes")
#: Scores that are compared as ratios; smaller is better.
COMPARED = ("log-loss", "error", "RMSE", "log-loss, damaged rows", "RMSE, damaged rows", "seconds")

Scores = dict[str, list[float]]
#: ``(rows, kinds of tables by name)``: adds figures to the rows.
Rank = Callable[[list[dict[str, Any]], dict[str, str]], None]


def run(
    pool: Pool,
    recipes: Sequence[Recipe] = RECIPES,
    tables: Sequence[Table] | None = None,
    references: dict[str, str] = REFERENCES,
    rank: Rank | None = None,
) -> dict[str, Any]:
    """A row for each recipe, with its scores on every split of every table, which `rank` may complete.

    `references` are what sections compare with. Every new score is written at once; what an earlier, perhaps interrupted, run has
    written is not measured again.
    """
    chosen = pool.options.chosen(TABLES, QUICK) if tables is None else tables
    tables = pool.usable(chosen)
    wanted = pool.usable([recipe for recipe in recipes if pool.options.wants(recipe.name)])
    group = pool.earlier or {"tables": {}, "rows": []}
    about, scores = group["tables"], {row["name"]: row["scores"] for row in group["rows"]}
    for table, recipe, seed in _missing(wanted, tables, scores, pool.options.rounds):
        X, y = _loaded(table)
        about.setdefault(table.name, described(table, X, y))
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # warnings about convergence do not matter here
            found = score(recipe, table, X, y, seed, pool.options.train_rows)
        of_table = scores.setdefault(recipe.name, {}).setdefault(table.name, {})
        for key, value in found.items():
            of_table.setdefault(key, []).append(value)
        group = {"tables": about, "rows": _rows(recipes, scores, about, references, rank)}
        pool.keep(group)
        badness, seconds = found["RMSE" if table.regression else "error"], found["seconds"]
        print(f"  split {seed + 1}, {table.name}, {recipe.name}: {badness:.4g} in {seconds:.1f} s", flush=True)
    for result in group["rows"]:
        pool.report(result)
    return group


def _missing(
    recipes: Sequence[Recipe], tables: Sequence[Table], scores: dict[str, dict[str, Scores]], n_splits: int
) -> Iterator[tuple[Table, Recipe, int]]:
    """What is not measured yet: a split of all tables, then the next."""
    for seed in range(n_splits):
        for table in tables:
            for recipe in recipes:
                found = scores.get(recipe.name, {}).get(table.name, {})
                if recipe.suits(table) and seed >= len(found.get("seconds", ())):
                    yield table, recipe, seed


@cache
def _loaded(table: Table) -> tuple[pd.DataFrame, pd.Series]:
    return table.load()


def _rows(
    recipes: Sequence[Recipe],
    scores: dict[str, dict[str, Scores]],
    about: dict[str, Any],
    references: dict[str, str],
    rank: Rank | None,
) -> list[dict[str, Any]]:
    rows = [_row(recipe, scores, references) for recipe in recipes if recipe.name in scores]
    if rank is not None:
        rank(rows, {name: facts["kind"] for name, facts in about.items()})
    return rows


def described(table: Table, X: pd.DataFrame, y: pd.Series) -> dict[str, Any]:
    """Size, missing values and, of a classification, the number of classes and the share of the rarest."""
    about = {"kind": table.kind, "rows": len(X), "columns": X.shape[1], "missing": int(X.isna().sum().sum())}
    if table.regression:
        return about
    return {**about, "classes": y.nunique(), "rarest": round(float(y.value_counts(normalize=True).min()), 3)}


def score(
    recipe: Recipe, table: Table, X: pd.DataFrame, y: pd.Series, seed: int, most_rows: int | None = None
) -> dict[str, float]:
    """Fit to three quarters of the rows, or to `most_rows` if these are fewer.

    Scores on the other rows, unchanged and damaged, and the CPU seconds of the fit and of the predictions.
    """
    stratify = None if table.regression else y
    n_test = max(math.ceil(len(y) / 4), len(y) - (most_rows or len(y)))
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=n_test, stratify=stratify, random_state=seed)
    model = recipe.make(table.regression, seed)
    start = time.process_time()
    model.fit(X_train, y_train)
    seconds = time.process_time() - start
    scores_of, loss = (_regression, "RMSE") if table.regression else (_classification, "log-loss")
    start = time.process_time()
    found = scores_of(model, X_test, y_test)
    found["seconds, predictions"] = time.process_time() - start
    found[f"{loss}, damaged rows"] = scores_of(model, damaged(X_test, seed), y_test)[loss]
    return {key: float(f"{value:.5g}") for key, value in {**found, "seconds": seconds}.items()}


def damaged(X: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`X` with one number of each row, where there is one, multiplied by 1000, as if its unit were wrong."""
    numbers = X.select_dtypes("number")
    if numbers.empty:
        return X
    values = numbers.to_numpy(dtype=float, copy=True)
    values[np.arange(len(X)), np.random.default_rng(seed).integers(values.shape[1], size=len(X))] *= 1000
    return X.assign(**dict(zip(numbers.columns, values.T, strict=True)))


def _classification(model: BaseEstimator, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    p, classes = model.predict_proba(X), model.classes_
    predicted = classes[p.argmax(axis=1)]
    of_each = {"y_score": p[:, 1]} if len(classes) == 2 else {"y_score": p, "multi_class": "ovr", "labels": classes}
    return {
        "log-loss": log_loss(y, p, labels=classes),
        "error": float(np.mean(predicted != y)),
        "AUC": roc_auc_score(y, **of_each),
        "balanced accuracy": balanced_accuracy_score(y, predicted),
    }


def _regression(model: BaseEstimator, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """The root of the mean squared error, in standard deviations of `y`: 1 is as good as predicting the mean."""
    return {"RMSE": float(np.sqrt(np.mean((model.predict(X) - y) ** 2)) / np.std(y))}


def ratios(own: dict[str, Scores], reference: dict[str, Scores], key: str) -> dict[str, float]:
    """Ratios of the means over the splits, for each table that both have and on which both make an error."""
    means = {
        table: (np.mean(scores[key]), np.mean(reference[table][key]))
        for table, scores in own.items()
        if key in scores and table in reference
    }
    return {table: float(a / b) for table, (a, b) in means.items() if min(a, b) > 0}


def _row(recipe: Recipe, scores: dict[str, dict[str, Scores]], references: dict[str, str]) -> dict[str, Any]:
    own, reference = scores[recipe.name], references[recipe.section]
    return row(recipe.name, "", 1, {}, comparisons(own, scores.get(reference, {}), reference), section=recipe.section, scores=own)


def comparisons(own: dict[str, Scores], reference: dict[str, Scores], name: str) -> list[dict[str, Any]]:
    """The figures of scores divided by those of a reference of that name, from table to table, with geometric means."""
    compared = {key: list(ratios(own, reference, key).values()) for key in COMPARED}
    compared["error or RMSE"] = compared["error"] + compared["RMSE"]
    return [check(f"{key} / {name}", values) | {"mean": geometric_mean(values)} for key, values in compared.items() if values]


def geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))
