"""Several processes: what an exchange costs, and what two ranks gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks import train
from benchmarks._links import SHAPED, Link
from benchmarks._peers import PEERS
from benchmarks._pool import Entry, Pool, fastnet
from benchmarks._results import Series, check, ratios, row
from benchmarks._tasks import Linked, Spread, Training

TITLE = "Several processes"

_SHAPES = {task.name: task for task in train.SHAPES}
#: What an exchange in the core costs: one rank beside `fit` with its gradients made first, as clipping needs them.
HOOK = (_SHAPES["tab200"], _SHAPES["med"], replace(_SHAPES["mnist"], n_rows=10_000))
#: Networks that two ranks train.
RANKS = (_SHAPES["tab200"], _SHAPES["med"])
#: Seconds of a timing of them: fits of several epochs, as it takes ranks longer to begin than one process.
SEVERAL_EPOCHS = 0.5
#: Networks that two and three machines train.
LINKED = (_SHAPES["tab200"], replace(_SHAPES["med"], n_rows=10_000))
#: Two shards; an epoch has as many rounds as the estimators' have by default, of more than a hundred updates each.
ROUNDS, N_ROUNDS = (Training("rounds", 480_000, 100, (256, 256), 10, 256),), 8
QUICK = ("tab200", "rounds")

ONE, TWO, DDP, INCREMENTAL = "one thread", "fastnet, two ranks", "PyTorch DDP, two ranks", "dask-ml Incremental"
LATENCY, MACHINES = "one number between 2 machines", (2, 3)
APART, DASK = "two processes apart", "fastnet on Dask"


def run(
    pool: Pool,
    hook: Sequence[Training] = HOOK,
    ranks: Sequence[Training] = RANKS,
    linked: Sequence[Training] = LINKED,
    rounds: Sequence[Training] = ROUNDS,
) -> dict[str, Any]:
    parts = [(_of_hook, _hook, hook), (_of_ranks, _ranks, ranks), (_of_links, _links, linked), (_of_rounds, _rounds, rounds)]
    chosen = [(entries, result, task) for entries, result, tasks in parts for task in pool.options.chosen(tasks, QUICK)]
    rows = []
    for entries, result, task in chosen:
        series = pool.compare(entries(task))
        pool.end_workers()  # a cluster takes a sixth of a core even where it has nothing to do
        if series:
            rows.append(result(task, series))
            pool.report(rows[-1])
    return {"rows": rows}


def _of_hook(task: Training) -> list[Entry]:
    clipped = replace(task, fit_options=(("max_grad_norm", 1e30),))
    return [Entry("fit", "fastnet", clipped, (1,)), Entry("one rank", "fastnet_ranks", task, (1,))]


def _hook(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    cost = check("one rank / fit", ratios(series["one rank"], series["fit"]), 1.03, at_most=True)
    return row(f"{task.name}, one rank", task.unit, task.scale, series, [cost], part="hook")


def _of_ranks(task: Training) -> list[Entry]:
    peers = [Entry(label, PEERS[label].module, Spread(task, 2)) for label in (TWO, DDP, INCREMENTAL)]
    alone = [Entry(ONE, "fastnet", task, (1,)), fastnet(task, "threads"), Entry(APART, "fastnet_apart", Spread(task, 2))]
    return [replace(entry, min_seconds=SEVERAL_EPOCHS) for entry in (*alone, *peers)]


def _ranks(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    goal = 1.5 if task.name == "med" else None
    others = [label for label in series if label != TWO and TWO in series]
    checks = [check(f"{label} / {TWO}", ratios(series[label], series[TWO]), goal if label == ONE else None) for label in others]
    checks.append(check(f"{ONE} / {APART}, the limit", ratios(series[ONE], series[APART])))
    return row(f"{task.name}, two ranks", task.unit, task.scale, series, checks, part="ranks")


def _of_links(task: Training) -> list[Entry]:
    link = Link("", 0.0, SHAPED)
    tasks = {LATENCY: Linked(task, 2, link, only_exchanges=True), **{f"{n} machines": Linked(task, n, link) for n in MACHINES}}
    return [
        Entry("one rank", "fastnet_ranks", task, (1,)),
        *(Entry(label, PEERS[label].module, one) for label, one in tasks.items()),
    ]


def _links(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    """How far the cost model is right: time of an epoch over what it makes of one rank's time and that of one number."""

    def model(one_rank: float, one_number: float, n: int) -> float:
        link = Link("", one_number / task.n_batches, SHAPED)
        return task.n_batches * link.step(one_rank / task.n_batches, n, 4 * task.n_params)

    checks = []
    for n in MACHINES if LATENCY in series else ():
        times = zip(*(series[label].seconds for label in (f"{n} machines", "one rank", LATENCY)), strict=True)
        checks.append(check(f"{n} machines / model", [taken / model(*parts, n) for taken, *parts in times]))
    return row(f"{task.name}, {SHAPED / 1e9:g} Gbit/s", task.unit, task.scale, series, checks, part="links")


def _of_rounds(task: Training) -> list[Entry]:
    spread = Spread(task, 2, N_ROUNDS)
    return [Entry(APART, "fastnet_apart", spread), Entry(DASK, PEERS[DASK].module, spread)]


def _rounds(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    checks = []
    if DASK in series:
        pairs = list(zip(series[DASK].seconds, series[APART].seconds, strict=True))
        costs = [1e3 * (dask - apart) / N_ROUNDS for dask, apart in pairs]
        # A tenth of half a second, which a round should compute at least.
        checks = [check(f"{DASK} / {APART}", [a / b for a, b in pairs]), check("ms that a round costs", costs, 50, at_most=True)]
    return row("rounds on two workers", task.unit, task.scale, series, checks, part="rounds")
