"""fastnet's default number of threads compared with one thread, while other processes keep the cores busy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks import train
from benchmarks._environment import n_cores
from benchmarks._pool import Entry, Pool
from benchmarks._results import check, ratios, row
from benchmarks._tasks import Concurrent, Inference, Training

TITLE = "Beside other programs"

_FITS = """
import numpy as np, fastnet as fn
X = np.random.default_rng(0).standard_normal((6000, 20)).astype("f4")
y = (X[:, 0] * X[:, 1] > 0).astype(int)
while True:
    net = fn.Network([fn.Dense(64, "relu"), fn.Dense(64, "relu"), fn.Dense(2, "softmax")], 20, random_state=0)
    net.fit(X, y, batch_size=200, epochs=20, random_state=0)
"""
#: What the other processes do.
OTHERS = {"busy": "while True: pass", "fitting": _FITS}
#: How many of them.
LOADS = ((0, "busy"), (1, "busy"), (4, "busy"), (8, "busy"), (1, "fitting"), (3, "fitting"))
#: The default may take this many times as long as one thread.
MOST = 1.3
#: So many times as long may training take that believes in more cores than there are.
MOST_OVERSUBSCRIBED = 1.5
QUICK = ("tab200", "small-20000")

OVERSUBSCRIBED = tuple(task for task in train.SHAPES if task.name in ("tab", "tab200", "med", "mnist"))
_SMALL, _LARGE = (20, 64, 64, 2), (784, 512, 512, 10)
TASKS = (
    *(task for task in train.SHAPES if task.name in ("tab", "tab200")),
    *(replace(task, n_rows=10_000) for task in train.SHAPES if task.name == "med"),
    *(Concurrent(task, 2) for task in train.SHAPES if task.name == "tab200"),
    Inference("small-1000", _SMALL, 1_000),
    Inference("small-20000", _SMALL, 20_000),
    Inference("large-1000", _LARGE, 1_000),
)


def run(pool: Pool, loads: Sequence[tuple[int, str]] = LOADS, tasks: Sequence[Any] = TASKS) -> dict[str, Any]:
    rows = [_oversubscribed(pool, task) for task in pool.options.chosen(OVERSUBSCRIBED, QUICK)]
    # Rounds as long as several time slices of all processes. The disturbance is intended, so no round is repeated.
    options = replace(pool.options, min_seconds=max(pool.options.min_seconds, 0.4), retries=0)
    for n_others, what in loads:
        with _beside(n_others, OTHERS[what]), Pool(options) as own:
            chosen = [task for task in tasks if not options.quick or _name(task) in QUICK]
            for task, series in zip(chosen, own.compare_each([_entries(task) for task in chosen]), strict=True):
                figure = check("default / one thread", ratios(series["default"], series["one thread"]), MOST, at_most=True)
                name = f"{_name(task)}, {n_others} {what}"
                rows.append(row(name, "ms", 1e3, series, [figure], others=n_others, what=what))
                pool.report(rows[-1])
    return {"rows": rows}


def _oversubscribed(pool: Pool, task: Training) -> dict[str, Any]:
    """Where the machine seems to have four times the cores that it has, as in a container whose quota cannot be seen."""
    real, assumed = n_cores(), 4 * n_cores()
    entries = [Entry(f"{n} cores assumed", "fastnet", replace(task, assumed_cores=n)) for n in (real, assumed)]
    series = pool.compare(entries)
    few, many = (series[entry.label] for entry in entries)
    figure = check(f"{assumed} / {real} cores assumed", ratios(many, few), MOST_OVERSUBSCRIBED, at_most=True)
    result = row(f"{task.name}, {assumed} cores assumed", task.unit, task.scale, series, [figure])
    pool.report(result)
    return result


def _name(task: Any) -> str:
    return f"{task.training.name}, {task.fits} fits" if isinstance(task, Concurrent) else task.name


def _entries(task: Any) -> list[Entry]:
    return [Entry("default", "fastnet", task), Entry("one thread", "fastnet", task, (1,))]


@contextmanager
def _beside(n: int, code: str) -> Iterator[None]:
    """Run this code in n other processes all the time."""
    others = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
