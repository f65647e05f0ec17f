"""Beside gradient-boosted trees: LightGBM's classifier on real tables, its time and the log-loss of cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from benchmarks._peers import missing
from benchmarks._pool import Entry, Pool, peer
from benchmarks._results import Series, check, ratios, row
from benchmarks._tasks import Table

TITLE = "Beside LightGBM"
DATASETS = ("digits", "breast_cancer")
FOLDS = 5
#: What is timed: None is `fit`, a number so many rows of `predict_proba`.
WORK = {"fit": None, "one row": 1, "1,000 rows": 1_000}
#: As a user has it, from the features as they are; and the network alone, on features that were scaled beforehand.
PIPELINE, NETWORK = "StandardScaler and MLPClassifier", "MLPClassifier alone"


def run(pool: Pool, datasets: Sequence[str] = DATASETS) -> dict[str, Any]:
    return {"rows": [result for dataset in datasets for result in (*_timed(pool, dataset), _scored(pool, dataset))]}


def _timed(pool: Pool, dataset: str) -> list[dict[str, Any]]:
    tasks = {work: Table(dataset, n_rows) for work, n_rows in WORK.items()}
    found = pool.compare_each([_entries(task) for task in tasks.values()])
    return [_row(pool, f"{dataset}, {work}", tasks[work], series) for work, series in zip(tasks, found, strict=True)]


def _entries(task: Table) -> list[Entry]:
    alone = Entry(NETWORK, "fastnet_estimator", replace(task, scaled=True))
    return [Entry(PIPELINE, "fastnet_estimator", task), alone, peer("LightGBM", task)]


def _row(pool: Pool, name: str, task: Table, series: dict[str, Series]) -> dict[str, Any]:
    unit, scale = ("ms", 1e3) if task.n_rows is None else ("us", 1e6)
    figures = [check(label, ratios(series[label], series[PIPELINE])) for label in series if label == "LightGBM"]
    result = row(name, unit, scale, series, figures, title=name)
    pool.report(result)
    return result


def _scored(pool: Pool, dataset: str) -> dict[str, Any]:
    """Log-loss of the rows left out, a value a fold."""
    from sklearn.model_selection import cross_val_score

    task = Table(dataset)
    X, y = task.data()
    modules = {PIPELINE: "fastnet_estimator"} | ({} if missing("LightGBM") else {"LightGBM": "lightgbm"})
    models = {label: import_module(f"benchmarks._peers.{module}").classifier(task, 1) for label, module in modules.items()}
    scores = {label: cross_val_score(model, X, y, scoring="neg_log_loss", cv=FOLDS) for label, model in models.items()}
    result = row(f"{dataset}, log-loss of {FOLDS} folds", "", 1.0, {}, [check(label, list(-s)) for label, s in scores.items()])
    pool.report(result)
    return result
