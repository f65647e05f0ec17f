"""Predicting one row, a thousand and a hundred thousand: `Network.forward` and the estimator's predict_proba beside the peers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks._peers import PEERS
from benchmarks._pool import Entry, Pool, fastnet, peer
from benchmarks._results import check, ratios, row
from benchmarks._tasks import Inference
from benchmarks.train import gemm_limit

TITLE = "Inference"

_SMALL, _LARGE = (20, 64, 64, 2), (784, 512, 512, 10)
TASKS = (
    Inference("small-1", _SMALL, 1, most_microseconds=1.5, estimator_goal=6.0),
    Inference("small-1000", _SMALL, 1_000, best_goal=1.5),
    Inference("small-100000", _SMALL, 100_000, best_goal=1.2),
    Inference("large-1", _LARGE, 1, best_goal=1.0),
    Inference("large-100000", _LARGE, 100_000, best_goal=1.3),
)
QUICK = ("small-1", "small-1000")
ESTIMATOR = "fastnet estimator"


def run(pool: Pool, tasks: Sequence[Inference] = TASKS, peers: Sequence[str] = tuple(PEERS)) -> dict[str, Any]:
    chosen = pool.options.chosen(tasks, QUICK)
    limit = gemm_limit(pool)
    return {"gemm_flops": limit, "rows": [result for task in chosen if (result := _compared(pool, task, peers, limit))]}


def _compared(pool: Pool, task: Inference, peers: Sequence[str], limit: float) -> dict[str, Any] | None:
    estimator = Entry(ESTIMATOR, "fastnet_estimator", task)
    series = pool.compare([fastnet(task), estimator, *(peer(label, task) for label in peers)])
    if not series:
        return None
    own, present = series["fastnet"], [label for label in peers if label in series]
    checks = [check(label, ratios(series[label], own)) for label in present]
    if present:
        best = min(present, key=lambda label: median(series[label].seconds))
        figure = check(f"best peer ({best})", ratios(series[best], own), task.best_goal)
        checks.append(figure | {"at_limit": median(series[best].seconds) * limit / task.flops})
    if "scikit-learn" in series:
        checks.append(check("scikit-learn / estimator", ratios(series["scikit-learn"], series[ESTIMATOR]), task.estimator_goal))
    if task.most_microseconds:
        checks.append(check("forward, us", [1e6 * seconds for seconds in own.seconds], task.most_microseconds, at_most=True))
    result = row(task.name, task.unit, task.scale, series, checks, task={"rows": task.n_rows, "sizes": task.sizes})
    pool.report(result)
    return result
