"""Ensembles in one pass: an epoch of k members trained together, compared with k epochs of one network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks._pool import Entry, Pool
from benchmarks._results import Series, check, ratios, row
from benchmarks._tasks import Training
from fastnet.layers import ENSEMBLES

TITLE = "Ensembles in one pass"
ONE = Training("one network", 2_000, 20, (64, 64), 3, 32)
MEMBERS = (8, 16)
#: None: fastnet's default number of threads.
THREADS = (1, None)


def run(pool: Pool, one: Training = ONE) -> dict[str, Any]:
    cases = [(k, threads) for k in (MEMBERS[:1] if pool.options.quick else MEMBERS) for threads in THREADS]
    fields = pool.compare_each([_entries(one, k, threads) for k, threads in cases])
    rows = [_row(one, k, threads, series) for (k, threads), series in zip(cases, fields, strict=True) if series]
    for result in rows:
        pool.report(result)
    return {"rows": rows}


def _entries(one: Training, k: int, threads: int | None) -> list[Entry]:
    tasks = [one, *(replace(one, name=kind, network_options=(("n_members", k), ("ensemble", kind))) for kind in ENSEMBLES)]
    return [Entry(task.name, "fastnet", task, (threads,)) for task in tasks]


def _row(one: Training, k: int, threads: int | None, series: dict[str, Series]) -> dict[str, Any]:
    """A row whose figures are the time of k single fits, one after the other, over that of each ensemble."""
    gains = [check(f"{k} fits / {kind}", [k * ratio for ratio in ratios(series[one.name], series[kind])]) for kind in ENSEMBLES]
    name = f"{k} members, {'default threads' if threads is None else 'one thread'}"
    return row(name, one.unit, one.scale, series, gains, members=k, threads=threads)
