"""Simultaneous fits: two in Python threads, a grid search with two jobs; and what the cores allow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks import train
from benchmarks._pool import Entry, Pool, fastnet
from benchmarks._results import check, ratios, row
from benchmarks._tasks import Concurrent, Gemm

TITLE = "Fits side by side"

def run(pool: Pool, shape: str = "med") -> dict[str, Any]:
    task = next(task for task in train.SHAPES if task.name == shape)
    if pool.options.quick:
        task = replace(task, n_rows=task.n_rows // 5)
    return {"rows": [_cores(pool), _fits(pool, task), _grid_search(pool, task)]}


def _cores(pool: Pool) -> dict[str, Any]:
    """BLAS's product on one core and on all: on a shared host two cores may be threads of one core, which changes with time."""
    series = pool.compare([Entry("one core", "blas", Gemm(), (1,)), Entry("all cores", "blas", Gemm(), (None,))])
    gain = check("one core / all cores", ratios(series["one core"], series["all cores"]))
    result = row("sgemm, n = 1024", "ms", 1e3, series, [gain])
    pool.report(result)
    return result


def _fits(pool: Pool, task: Any) -> dict[str, Any]:
    entries = [fastnet(Concurrent(task, 1), "one fit"), fastnet(Concurrent(task, 2), "two at once")]
    series = pool.compare(entries)
    throughput = [2 * ratio for ratio in ratios(series["one fit"], series["two at once"])]
    result = row(f"{task.name}, two fits", "ms per epoch", 1e3, series, [check("throughput of two / of one", throughput, 1.85)])
    pool.report(result)
    return result


def _grid_search(pool: Pool, task: Any) -> dict[str, Any]:
    entries = [fastnet(Concurrent(task, jobs, grid_search=True), f"n_jobs={jobs}") for jobs in (1, 2)]
    series = pool.compare(entries)
    gain = check("n_jobs=1 / n_jobs=2", ratios(series["n_jobs=1"], series["n_jobs=2"]), 1.8)
    result = row(f"{task.name}, GridSearchCV of 4 candidates", "ms per search", 1e3, series, [gain])
    pool.report(result)
    return result
