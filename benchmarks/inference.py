"""Predictions of 1, 1,000 and 100,000 rows: `Network.forward` and the estimator's predict_proba compared with the peers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks import train
from benchmarks._pool import Entry, Pool, fastnet, peers
from benchmarks._results import Series, check, network_name, ratios, row
from benchmarks._tasks import Inference

TITLE = "Inference"

_SMALL, _LARGE = (20, 64, 64, 2), (784, 512, 512, 10)
TASKS = (
    Inference("small-1", _SMALL, 1, most_microseconds=1.5, estimator_goal=6.0),
    Inference("small-1000", _SMALL, 1_000, best_goal=1.5),
    Inference("small-100000", _SMALL, 100_000, best_goal=1.2),
    Inference("large-1", _LARGE, 1, best_goal=1.0),
    Inference("large-1000", _LARGE, 1_000, best_goal=1.0),
    Inference("large-100000", _LARGE, 100_000, best_goal=1.3),
)
QUICK = ("small-1", "small-1000")
PEERS = ("scikit-learn", "PyTorch", "JAX", "ONNX Runtime", "NumPy")
ESTIMATOR = "fastnet estimator"


def run(pool: Pool, tasks: Sequence[Inference] = TASKS, labels: Sequence[str] = PEERS) -> dict[str, Any]:
    chosen = pool.options.chosen(tasks, QUICK)
    measured = pool.compare_each([_entries(task, peers(labels, task, pool.options)) for task in chosen])
    rows = [_row(task, series) for task, series in zip(chosen, measured, strict=True) if series]
    for result in rows:
        pool.report(result)
    return {"rows": rows}


def _entries(task: Inference, others: Sequence[Entry]) -> list[Entry]:
    return [train.gemm(), fastnet(task), Entry(ESTIMATOR, "fastnet_estimator", task), *others]


def _row(task: Inference, series: dict[str, Series]) -> dict[str, Any]:
    limits = train.rates(series)
    series = {label: one for label, one in series.items() if label != "GEMM"}
    own, present = series["fastnet"], [label for label in series if not label.startswith("fastnet")]
    checks = [check(label, ratios(series[label], own)) for label in present]
    if present:
        best = min(present, key=lambda label: median(series[label].seconds))
        figure = check(f"best peer ({best})", ratios(series[best], own), task.best_goal)
        at_limit = median(seconds * limit / task.flops for seconds, limit in zip(series[best].seconds, limits, strict=True))
        checks.append(figure | {"at_limit": at_limit})
    if "scikit-learn" in series:
        checks.append(check("scikit-learn / estimator", ratios(series["scikit-learn"], series[ESTIMATOR]), task.estimator_goal))
    if task.most_microseconds:
        checks.append(check("forward, us", [1e6 * seconds for seconds in own.seconds], task.most_microseconds, at_most=True))
    about = {"rows": task.n_rows, "sizes": task.sizes}
    title = f"{task.name}: prediction of {task.n_rows:,} row{'s' * (task.n_rows > 1)}, network {network_name(task.sizes)}"
    return row(task.name, task.unit, task.scale, series, checks, title=title, task=about, gemm_flops=limits)
