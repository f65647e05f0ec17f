"""Several processes: what an exchange costs, and what two ranks gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks import train
from benchmarks._peers import PEERS
from benchmarks._pool import Entry, Pool, fastnet
from benchmarks._results import Series, check, ratios, row
from benchmarks._tasks import Spread, Training

TITLE = "Several processes"

_SHAPES = {task.name: task for task in train.SHAPES}
#: What an exchange in the core costs: one rank beside `fit` with its gradients made first, as clipping needs them.
HOOK = (_SHAPES["tab200"], _SHAPES["med"], replace(_SHAPES["mnist"], n_rows=10_000))
#: Networks that two ranks train.
RANKS = (_SHAPES["tab200"], _SHAPES["med"])
#: Two shards, each round of which computes about half a second.
ROUNDS = Training("rounds", 100_000, 100, (256, 256), 10, 256)

ONE, TWO, DDP, INCREMENTAL = "one thread", "fastnet, two ranks", "PyTorch DDP, two ranks", "dask-ml Incremental"
APART, DASK = "two processes apart", "fastnet on Dask"


def run(
    pool: Pool, hook: Sequence[Training] = HOOK, ranks: Sequence[Training] = RANKS, rounds: Training = ROUNDS
) -> dict[str, Any]:
    hook, ranks = (pool.options.chosen(tasks, train.QUICK) for tasks in (hook, ranks))
    fields = pool.compare_each([*map(_of_hook, hook), *map(_of_ranks, ranks), _of_rounds(rounds)])
    found = [
        *(_hook(task, series) for task, series in zip(hook, fields, strict=False)),
        *(_ranks(task, series) for task, series in zip(ranks, fields[len(hook) :], strict=False)),
        *(_rounds(rounds, series) for series in fields[-1:] if DASK in series),
    ]
    for result in found:
        pool.report(result)
    return {"rows": found}


def _of_hook(task: Training) -> list[Entry]:
    clipped = replace(task, fit_options=(("max_grad_norm", 1e30),))
    return [Entry("fit", "fastnet", clipped, (1,)), Entry("one rank", "fastnet_ranks", task, (1,))]


def _hook(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    cost = check("one rank / fit", ratios(series["one rank"], series["fit"]), 1.03, at_most=True)
    return row(f"{task.name}, one rank", task.unit, task.scale, series, [cost], part="hook")


def _of_ranks(task: Training) -> list[Entry]:
    peers = [Entry(label, PEERS[label].module, Spread(task, 2)) for label in (TWO, DDP, INCREMENTAL)]
    return [Entry(ONE, "fastnet", task, (1,)), fastnet(task, "threads"), *peers]


def _ranks(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    goal = 1.5 if task.name == "med" else None
    others = [label for label in series if label != TWO and TWO in series]
    checks = [check(f"{label} / {TWO}", ratios(series[label], series[TWO]), goal if label == ONE else None) for label in others]
    return row(f"{task.name}, two ranks", task.unit, task.scale, series, checks, part="ranks")


def _of_rounds(task: Training) -> list[Entry]:
    return [Entry(label, module, Spread(task, 2)) for label, module in ((APART, "fastnet_apart"), (DASK, PEERS[DASK].module))]


def _rounds(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    cost = check(f"{DASK} / {APART}", ratios(series[DASK], series[APART]), 1.1, at_most=True)
    return row("rounds on two workers", task.unit, task.scale, series, [cost], part="rounds")
