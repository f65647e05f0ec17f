"""The time of fits and predictions, of the recommended recipe and of LightGBM's gradient-boosted trees.

The group `recipes` measures how well both predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks._pool import Entry, Pool, peer
from benchmarks._results import Series, check, ratios, row
from benchmarks._tasks import Table

TITLE = "Compared with LightGBM"
DATASETS = ("digits", "breast_cancer")
#: What is timed: `fit` (None), or `predict_proba` for this many rows.
WORK = {"fit": None, "one row": 1, "1,000 rows": 1_000}
#: The whole pipeline, which gets the original features, and its network alone, which gets scaled ones.
PIPELINE, NETWORK = "StandardScaler and fastnet's MLPClassifier", "fastnet's MLPClassifier alone"


def run(pool: Pool, datasets: Sequence[str] = DATASETS) -> dict[str, Any]:
    tasks = {f"{dataset}, {work}": Table(dataset, n_rows) for dataset in datasets for work, n_rows in WORK.items()}
    found = pool.compare_each([_entries(task) for task in tasks.values()])
    rows = [_row(name, task, series) for (name, task), series in zip(tasks.items(), found, strict=True) if series]
    for result in rows:
        pool.report(result)
    return {"rows": rows}


def _entries(task: Table) -> list[Entry]:
    alone = Entry(NETWORK, "fastnet_estimator", replace(task, scaled=True))
    return [Entry(PIPELINE, "fastnet_estimator", task), alone, peer("LightGBM", task)]


def _row(name: str, task: Table, series: dict[str, Series]) -> dict[str, Any]:
    figures = [check(label, ratios(series[label], series[PIPELINE])) for label in series if label != PIPELINE]
    return row(name, task.unit, task.scale, series, figures, title=name)
