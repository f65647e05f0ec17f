"""Rows that are read while the core trains, compared with the same rows in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks._pool import Entry, Pool, fastnet, peer
from benchmarks._results import Series, check, ratios, row
from benchmarks._tasks import CACHED, FILLED, PARQUET, Streamed, Training

TITLE = "Data larger than memory"

SHAPES = (
    Training("wide", 200_000, 100, (256, 256), 10, 256),
    Training("narrow", 200_000, 100, (64, 64), 10, 256),
)
QUICK = ("narrow",)
SOURCES = ("memory", "memory map", CACHED, FILLED, PARQUET)
#: What an epoch on Parquet files without a cache cannot be faster than.
READING = "reading Parquet alone"
#: fastnet has to reach this share of its speed with an array, where rows are not decoded in every epoch; on the narrow network,
#: where the first epoch decodes none either.
LEAST = 0.9


def run(pool: Pool, shapes: Sequence[Training] = SHAPES) -> dict[str, Any]:
    tasks = pool.options.chosen(shapes, QUICK)
    fields = pool.compare_each([_entries(task) for task in tasks])
    rows = [_row(task, series) for task, series in zip(tasks, fields, strict=True) if series]
    for result in rows:
        pool.report(result)
    return {"rows": rows}


def _entries(task: Training) -> list[Entry]:
    own = [fastnet(Streamed(task, source), source) for source in SOURCES]
    own.append(fastnet(Streamed(task, PARQUET, only_read=True), READING))
    return [*own, peer("PyTorch", Streamed(task, "memory map"))]


def _row(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    read = [label for label in SOURCES[1:] if label in series]
    goals = dict.fromkeys(("memory map", CACHED, FILLED) if task.name == "wide" else ("memory map", FILLED), LEAST)
    checks = [check(f"memory / {label}", ratios(series["memory"], series[label]), goals.get(label)) for label in read]
    if "PyTorch" in series:
        checks.append(check("PyTorch / memory map", ratios(series["PyTorch"], series["memory map"])))
    about = {"rows": task.n_rows, "sizes": task.sizes, "batch_size": task.batch_size}
    return row(task.name, task.unit, task.scale / Streamed.n_epochs, series, checks, task=about)
