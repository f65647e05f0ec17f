"""Fits of RealMLP-TD in fastnet and in pytabkit side by side, on one thread and on all cores."""

from __future__ import annotations

from typing import Any

from benchmarks._environment import n_cores
from benchmarks._pool import Entry, Pool
from benchmarks._results import check, ratios, row
from benchmarks._tables import DEVELOPMENT
from benchmarks._tasks import TabularFit

TITLE = "Fits of RealMLP-TD"
SHAPES = tuple(TabularFit(table) for table in DEVELOPMENT if table.name in ("credit", "quake"))
QUICK = ("quake",)
PEER = "pytabkit"


def run(pool: Pool) -> dict[str, Any]:
    """A row for each table and number of threads, of those of an earlier run and of this one."""
    rows = list((pool.earlier or {"rows": []})["rows"])
    measured = {one["name"] for one in rows}
    for task in pool.usable(pool.options.chosen(SHAPES, QUICK)):
        for threads in sorted({1, n_cores()}):
            if _name(task, threads) not in measured:
                rows.append(_compared(pool, task, threads))
                pool.keep({"rows": rows})
    return {"rows": rows}


def _name(task: TabularFit, threads: int) -> str:
    return f"{task.name}, {threads} thread{'s' if threads > 1 else ''}"


def _compared(pool: Pool, task: TabularFit, threads: int) -> dict[str, Any]:
    series = pool.compare([Entry("fastnet", "fastnet_realmlp", task, (threads,)), Entry(PEER, PEER, task, (threads,))])
    checks = [check(PEER, ratios(series[PEER], series["fastnet"]), 5.0)] if PEER in series else []
    name = _name(task, threads)
    result = row(name, task.unit, task.scale, series, checks, title=f"{name}: {task.n_epochs} epochs, {task.n_rows} rows")
    pool.report(result)
    return result
