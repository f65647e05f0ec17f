"""What the steps that make training fast gain: fastnet compared with fastnet without one of them.

These are the steps that an option or a variable can undo. The others were measured when they were made; see docs/performance.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import train
from benchmarks._pool import Entry, Pool, fastnet
from benchmarks._results import check, ratios, row

TITLE = "Steps undone"


@dataclass(frozen=True)
class Step:
    """What is undone for which networks, by changes of the task and by variables of its process."""

    undone: str
    shapes: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)
    variables: tuple[tuple[str, str], ...] = ()


_STEPS = (
    Step("a call for each batch", ("xs", "tab", "med"), {"call_a_batch": True}),
    Step("a loop of one's own", ("tab", "med", "mnist", "big"), {"own_loop": True}),
    Step("a gradient vector", ("tab", "med", "mnist"), {"fit_options": (("max_grad_norm", 1e30),)}),
    Step("one thread", ("tab", "tab200", "med", "mnist", "big"), {"fit_options": (("n_threads", 1),)}),
    Step("the code of x86-64-v2", ("tab", "med", "mnist"), variables=(("FASTNET_CPU", "v2"),)),
)


def run(pool: Pool) -> dict[str, Any]:
    rows = []
    for step in _STEPS:
        tasks = [task for task in train.SHAPES if task.name in step.shapes]
        rows += [_compared(pool, step, task) for task in pool.options.chosen(tasks, train.QUICK)]
    return {"rows": rows}


def _compared(pool: Pool, step: Step, task: Any) -> dict[str, Any]:
    without = Entry(step.undone, "fastnet", replace(task, **step.changes), variables=step.variables)
    series = pool.compare([fastnet(task), without])
    gain = check("gain of the step", ratios(series[step.undone], series["fastnet"]))
    result = row(f"{task.name}, {step.undone}", task.unit, task.scale, series, [gain])
    pool.report(result)
    return result
