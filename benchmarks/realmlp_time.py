"""Fits of RealMLP-TD in fastnet and in pytabkit side by side, on all cores."""

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
    """A row for each table, of those of an earlier run and of this one."""
    rows = list((pool.earlier or {"rows": []})["rows"])
    measured = {one["name"] for one in rows}
    for task in pool.usable([task for task in pool.options.chosen(SHAPES, QUICK) if task.name not in measured]):
        rows.append(_compared(pool, task))
        pool.keep({"rows": rows})
    return {"rows": rows}


def _compared(pool: Pool, task: TabularFit) -> dict[str, Any]:
    threads = (n_cores(),)
    series = pool.compare([Entry("fastnet", "fastnet_realmlp", task, threads), Entry(PEER, PEER, task, threads)])
    checks = [check(PEER, ratios(series[PEER], series["fastnet"]), 5.0)] if PEER in series else []
    title = f"{task.name}: {task.n_epochs} epochs, {task.n_rows} rows"
    result = row(task.name, task.unit, task.scale, series, checks, title=title)
    pool.report(result)
    return result
