"""Predicting one row, a thousand and a hundred thousand: `Network.forward` and the estimator's predict_proba beside the peers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks import train
from benchmarks._peers import PEERS
from benchmarks._pool import Entry, Pool, fastnet, peer
from benchmarks._results import Series, check, ratios, row
from benchmarks._tasks import Inference

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
    gemm, *found = pool.compare_each([[train.gemm()], *(_entries(task, peers) for task in chosen)])
    limit = train.best_rate(gemm)
    rows = [_row(task, peers, series, limit) for task, series in zip(chosen, found, strict=True) if series]
    for result in rows:
        pool.report(result)
    return {"gemm_flops": limit, "rows": rows}


def _entries(task: Inference, peers: Sequence[str]) -> list[Entry]:
    return [fastnet(task), Entry(ESTIMATOR, "fastnet_estimator", task), *(peer(label, task) for label in peers)]


def _row(task: Inference, peers: Sequence[str], series: dict[str, Series], limit: float) -> dict[str, Any]:
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
    return row(task.name, task.unit, task.scale, series, checks, task={"rows": task.n_rows, "sizes": task.sizes})
