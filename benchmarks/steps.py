"""What the steps that make training fast gain: fastnet as it is beside fastnet with one step undone.

Only steps that an option or a variable undoes; others were measured when they were made, and stand as comments beside their code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks import train
from benchmarks._pool import Entry, Pool, fastnet
from benchmarks._results import check, ratios, row

TITLE = "Steps undone"

#: What is undone, on which shapes, how.
_STEPS: tuple[tuple[str, tuple[str, ...], dict[str, Any], tuple[tuple[str, str], ...]], ...] = (
    ("a call for each batch", ("xs", "tab", "med"), {"call_a_batch": True}, ()),
    ("a gradient vector", ("tab", "mnist", "big"), {"fit_options": (("max_grad_norm", 1e30),)}, ()),
    ("one thread", ("tab", "tab200", "med", "mnist", "big"), {"fit_options": (("n_threads", 1),)}, ()),
    ("the code of x86-64-v2", ("tab", "med", "mnist"), {}, (("FASTNET_CPU", "v2"),)),
)


def run(pool: Pool) -> dict[str, Any]:
    return {"rows": [_compared(pool, *step) for step in _steps(pool)]}


def _steps(pool: Pool) -> list[tuple[Any, ...]]:
    steps = []
    for undone, names, changes, variables in _STEPS:
        tasks = pool.options.chosen([task for task in train.SHAPES if task.name in names], train.QUICK)
        steps += [(undone, task, changes, variables) for task in tasks]
    return steps


def _compared(
    pool: Pool, undone: str, task: Any, changes: dict[str, Any], variables: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    series = pool.compare([fastnet(task), Entry(undone, "fastnet", replace(task, **changes), variables=variables)])
    gain = check("gain of the step", ratios(series[undone], series["fastnet"]))
    result = row(f"{task.name}, {undone}", task.unit, task.scale, series, [gain])
    pool.report(result)
    return result
