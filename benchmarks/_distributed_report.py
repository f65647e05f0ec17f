"""The tables of the documentation's pages on several processes, on many fits, and on data larger than memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks._links import LINKS, MACHINES
from benchmarks._report import figure, table_lines
from benchmarks._results import without_goals
from benchmarks.distributed import HOOK
from benchmarks.shards import SEEDS


def tables(results: dict[str, Any], name: str) -> dict[str, str]:
    """The tables of the group `distributed` in Markdown, by name."""
    measured = {part: _of_part(results, "distributed", name, part) for part in ("hook", "ranks", "links", "rounds")}
    return {**measured, "machines": _machines(results, name)}


def _machines(results: dict[str, Any], name: str) -> str:
    """How many times as fast the cost model says that several machines are, from the measured times of one rank."""
    found = {row["name"].partition(",")[0]: row for row in results["groups"]["distributed"]["rows"] if row.get("part") == "hook"}
    rows = []
    for task in HOOK:
        if task.name not in found:
            continue
        compute = found[task.name]["times"]["one rank"]["median"] / task.scale / task.n_batches
        for link in LINKS:
            gains = (compute / link.step(compute, machines, 4 * task.n_params) for machines in MACHINES)
            about = f"{task.name}, {task.n_params:,} parameters, {1e3 * compute:.2g} ms"
            rows.append((about, link.name, *(f"{gain:.2g}" for gain in gains)))
    heads = ("network, and a step on one thread", "link", *(f"{machines} machines" for machines in MACHINES))
    return "\n".join([*table_lines(heads, rows), "", f"By the formula, from the times in `benchmarks/results/{name}`."])


def shards(results: dict[str, Any], name: str) -> dict[str, str]:
    """The table of the group `shards`."""
    heads = ("", "correct, %", "points behind one shard", "best rate")
    found = results["groups"]["shards"]["rows"]
    rows = [(row["name"], *map(_plain, row["checks"]), f"{row['learning_rate']:g}") for row in found]
    return {"accuracy": _with_source(results, name, table_lines(heads, rows), f"median of {SEEDS} fits (least to most)")}


def outofcore(results: dict[str, Any], name: str) -> dict[str, str]:
    """The table of the group `outofcore`."""
    return {"speed": _of_part(results, "outofcore", name, None)}


def many(results: dict[str, Any], name: str) -> dict[str, str]:
    """The table of the group `many`."""
    return {"fits": _of_part(results, "many", name, None)}


def _of_part(results: dict[str, Any], group: str, name: str, part: str | None) -> str:
    """A row for each contestant of each network: its time, and the figures in which it is compared with another."""
    rows = []
    of_part = [row for row in results["groups"][group]["rows"] if row.get("part") == part]
    for row in of_part:
        for label, time in row["times"].items():
            compared = [f"{check['what']} {_plain(check)}" for check in row["checks"] if label in check["what"].split(" / ")[0]]
            rows.append((row["name"], label, f"{time['median']:.4g}", "; ".join(compared)))
    what = f"median of {results['options']['rounds']} interleaved rounds (least to most)"
    return _with_source(results, name, table_lines(("", "", of_part[0]["unit"] if of_part else "", "ratio"), rows), what)


def _plain(check: dict[str, Any]) -> str:
    return figure(without_goals({"checks": [check]})["checks"][0])


def _with_source(results: dict[str, Any], name: str, lines: Sequence[str], what: str) -> str:
    env = results["environment"]
    return "\n".join([*lines, "", f"{env['cores']} cores of {env['cpu']}; {what}. Source: `benchmarks/results/{name}`."])
