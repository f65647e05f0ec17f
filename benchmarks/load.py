"""Beside other programs: the threads that fastnet takes by itself against one thread, while busy processes keep the cores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks import train
from benchmarks._pool import Entry, Pool
from benchmarks._results import check, ratios, row
from benchmarks._tasks import Concurrent, Inference

TITLE = "Beside other programs"

#: Busy processes.
LOADS = (0, 1, 4, 8)
#: The default may take so many times as long as one thread.
MOST = 1.3
QUICK = ("tab200", "small-20000")

_SMALL, _LARGE = (20, 64, 64, 2), (784, 512, 512, 10)
TASKS = (
    *(task for task in train.SHAPES if task.name in ("tab", "tab200")),
    *(replace(task, n_rows=10_000) for task in train.SHAPES if task.name == "med"),
    *(Concurrent(task, 2) for task in train.SHAPES if task.name == "tab200"),
    Inference("small-1000", _SMALL, 1_000),
    Inference("small-20000", _SMALL, 20_000),
    Inference("large-1000", _LARGE, 1_000),
)


def run(pool: Pool, loads: Sequence[int] = LOADS, tasks: Sequence[Any] = TASKS) -> dict[str, Any]:
    rows = []
    # Rounds as long as several time slices of all processes; the disturbance is wanted, so none is taken again.
    options = replace(pool.options, min_seconds=max(pool.options.min_seconds, 0.4), retries=0)
    for n_busy in loads:
        with _busy(n_busy), Pool(options) as own:
            chosen = [task for task in tasks if not options.quick or _name(task) in QUICK]
            for task, series in zip(chosen, own.compare_each([_entries(task) for task in chosen]), strict=True):
                figure = check("default / one thread", ratios(series["default"], series["one thread"]), MOST, at_most=True)
                name = f"{_name(task)}, {n_busy} busy"
                rows.append(row(name, "ms", 1e3, series, [figure], busy=n_busy))
                pool.report(rows[-1])
    return {"rows": rows}


def _name(task: Any) -> str:
    return f"{task.training.name}, {task.fits} fits" if isinstance(task, Concurrent) else task.name


def _entries(task: Any) -> list[Entry]:
    return [Entry("default", "fastnet", task), Entry("one thread", "fastnet", task, (1,))]


@contextmanager
def _busy(n: int) -> Iterator[None]:
    """So many other processes that compute all the time."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
