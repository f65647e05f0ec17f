"""Results as text: rows while they are measured, Markdown tables of all groups, and the README's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._peers import DEFAULT_THREADS
from benchmarks._results import network_name
from benchmarks._timing import DISTURBED

_SHARE = "share of GEMM limit"


def measured(row: dict[str, Any]) -> str:
    """A row as shown while measuring: a line for each contestant in a comparison, otherwise a single line."""
    if "title" in row:
        return "\n".join([row["title"], *_contestants(row)])
    unit = f" {row['unit']}" if row["times"] else ""
    times = ", ".join(f"{label} {_time(time)}" for label, time in row["times"].items())
    return " | ".join(filter(None, (row["name"], times + unit, _figures(row))))


def _contestants(row: dict[str, Any]) -> list[str]:
    """The time of each, and its ratio to fastnet's, at the faster and at the default number of threads."""
    checks = {check["what"]: figure(check) for check in row["checks"]}
    labels = [label for label in row["times"] if not label.endswith(DEFAULT_THREADS)]
    width = max(map(len, labels))

    def about(label: str) -> str:
        ratio = f", {checks[label]} times as long" if label in checks else ""
        return f"{_time(row['times'][label])}{ratio}"

    lines = []
    for label in labels:
        default = label + DEFAULT_THREADS
        more = f"; default threads: {about(default)}" if default in row["times"] else ""
        lines.append(f"  {label:{width}}  {row['unit']}: {about(label)}{more}")
    return lines


def figure(check: dict[str, Any]) -> str:
    """Median and spread and, if there is a goal, whether it is reached and what matrix products alone would allow."""
    text = _number(check["median"])
    if check["min"] != check["max"]:
        text += f" ({_number(check['min'])}-{_number(check['max'])})"
    if "goal" in check:
        limit = f", at the GEMM limit {_number(check['at_limit'])}" if "at_limit" in check else ""
        goal = f"goal {'<=' if check['at_most'] else '>='} {check['goal']:g}"
        text += f" [{goal}{limit}: {'reached' if check['reached'] else 'MISSED'}]"
    return text


def markdown(results: dict[str, Any]) -> str:
    """All groups, with the environment first and, if there are goals, the number of those reached last."""
    parts = [environment(results["environment"])]
    for name, group in results["groups"].items():
        parts.append(f"## {name}\n\n" + "\n".join(_group_lines(group)))
    if results["notes"]:
        parts.append("\n".join(f"- {note}" for note in results["notes"]))
    return "\n\n".join([*parts, *_goals_lines(results)]) + "\n"


def disturbance(results: dict[str, Any]) -> str:
    """How many timings other programs disturbed, and how much CPU time they and the host of a virtual machine took."""
    times = [time for group in results["groups"].values() for row in group["rows"] for time in row["times"].values()]
    guarded = [pair for time in times for pair in zip(time.get("others", ()), time.get("withheld", ()), strict=True)]
    if not guarded or not results["environment"]["system"].startswith("Linux"):
        return "It is not known whether other programs disturbed the timings."
    disturbed = [pair for pair in guarded if pair[0] > DISTURBED]
    if not disturbed:
        return f"None of {len(guarded)} timings was disturbed by other programs."
    others, withheld = zip(*disturbed, strict=True)
    host = f", {100 * max(withheld):.0f} % by the host of this virtual machine" if max(withheld) >= 0.01 else ""
    return (
        f"Other programs disturbed {len(disturbed)} of {len(guarded)} timings: they took {100 * median(others):.0f} % of a core "
        f"(median; {100 * max(others):.0f} % at most{host}). The figures are steadier on an idle machine."
    )


def environment(env: dict[str, Any]) -> str:
    """The environment in one paragraph."""
    blas = "; ".join(f"{b['name']} {b['version']} {b['core']} ({b['used_by']}, {b['threads']} threads)" for b in env["blas"])
    packages = ", ".join(f"{name} {version}" for name, version in env["packages"].items())
    variables = ", ".join(f"{name}={value}" for name, value in env["variables"].items()) or "none"
    return (
        f"{env['cpu']}, {env['cores']} cores; {env['system']}; Python {env['python']}; fastnet {env['fastnet']}, core level "
        f"{env['engine_level']}, thread limit {env['thread_limit']}; BLAS: {blas}; {packages}; thread variables set: {variables}"
    )


def readme_tables(results: dict[str, Any], name: str) -> dict[str, str]:
    """The README's tables for which there are results, by the names of their markers; `name` is a file in benchmarks/results."""
    groups = {key: group["rows"] for key, group in results["groups"].items()}
    tables = {
        "benchmark table": [_training_table(groups.get("train")), _inference_table(groups.get("inference"))],
        "LightGBM table": [_trees_table(groups.get("trees"))],
    }
    found = {marker: list(filter(None, parts)) for marker, parts in tables.items()}
    return {marker: "\n\n".join([*parts, _source(results, name)]) for marker, parts in found.items() if parts}


def _source(results: dict[str, Any], name: str) -> str:
    env = results["environment"]
    core = next((b["core"] for b in env["blas"] if b["used_by"] == "scipy"), None)
    return (
        f"{env['cores']} cores of {env['cpu']}, OpenBLAS core {core}; median of {results['options']['rounds']} interleaved "
        f"rounds; each other library on one thread or on all, whichever was faster. Source: `benchmarks/results/{name}`."
    )


def with_table(text: str, marker: str, table: str) -> str:
    """`text` with a new table between the two comments of that name.

    Raises
    ------
    ValueError
        A comment is missing.
    """
    first, last = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
    head, begin, rest = text.partition(first)
    _, end, tail = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"the README has no {first} followed by {last}: put these two lines where the table belongs.")
    return f"{head}{first}\n{table}\n{last}{tail}"


def update_readme(path: Path, results: dict[str, Any], name: str) -> None:
    text = path.read_text()
    for marker, table in readme_tables(results, name).items():
        text = with_table(text, marker, table)
    path.write_text(text)


def _group_lines(group: dict[str, Any]) -> list[str]:
    limit = [f"sgemm at n = 1024: {group['gemm_flops'] / 1e9:.0f} GFLOP/s", ""] if "gemm_flops" in group else []
    rows = [
        (row["name"], row["unit"], "; ".join(f"{label} {_time(t)}" for label, t in row["times"].items()), _figures(row))
        for row in group["rows"]
    ]
    return limit + table_lines(("what", "unit", "medians", "figures: median (min-max)"), rows)


def _figures(row: dict[str, Any]) -> str:
    return "; ".join(f"{check['what']} {figure(check)}" for check in row["checks"])


def _goals_lines(results: dict[str, Any]) -> list[str]:
    checks = [
        (f"{row['name']}: {check['what']}", check)
        for group in results["groups"].values()
        for row in group["rows"]
        for check in row["checks"]
        if "goal" in check
    ]
    if not checks:
        return []
    missed = [f"{name} {figure(check)}" for name, check in checks if not check["reached"]]
    return ["\n".join([f"{len(checks) - len(missed)} of {len(checks)} goals reached", *(f"- missed {text}" for text in missed)])]


def _training_table(group: Sequence[dict[str, Any]] | None) -> str | None:
    if not group:
        return None
    peers = _columns(group, {_SHARE})
    heads = ("training", "rows, sizes, batch", "fastnet, ms per epoch", *(f"times {peer}'s speed" for peer in peers), _SHARE)
    rows = []
    for row in group:
        found = {check["what"]: check for check in row["checks"]}
        task = row["task"]
        about = f"{task['rows']:,}, {network_name(task['sizes'])}, {task['batch_size']}"
        ratios = (_bare(found.get(peer)) for peer in peers)
        share = f"{100 * found[_SHARE]['median']:.0f} %" if _SHARE in found else ""
        rows.append((row["name"], about, _number(row["times"]["fastnet"]["median"]), *ratios, share))
    return "\n".join(table_lines(heads, rows))


def _inference_table(group: Sequence[dict[str, Any]] | None) -> str | None:
    if not group:
        return None
    labels = list(dict.fromkeys(label for row in group for label in row["times"]))
    heads = ("prediction, us per call", "rows", *labels)
    rows = []
    for row in group:
        medians = (_number(row["times"][label]["median"]) if label in row["times"] else "" for label in labels)
        rows.append((network_name(row["task"]["sizes"]), f"{row['task']['rows']:,}", *medians))
    return "\n".join(table_lines(heads, rows))


def _trees_table(group: Sequence[dict[str, Any]] | None) -> str | None:
    if not group:
        return None
    labels = list(dict.fromkeys(label for row in group for label in row["times"]))
    rows = []
    for row in group:
        medians = (_number(row["times"][label]["median"]) if label in row["times"] else "" for label in labels)
        rows.append((row["name"], row["unit"], *medians))
    return "\n".join(table_lines(("table and work", "unit", *labels), rows))


def _columns(group: Sequence[dict[str, Any]], without: set[str]) -> list[str]:
    return [what for what in dict.fromkeys(c["what"] for row in group for c in row["checks"]) if what not in without]


def _bare(check: dict[str, Any] | None) -> str:
    return "" if check is None else f"{_number(check['median'])} ({_number(check['min'])}-{_number(check['max'])})"


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, line by line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _time(time: dict[str, Any]) -> str:
    threads = f" on {time['threads']} thread{'s' * (time['threads'] > 1)}" if time["threads"] else ""
    disturbed = f" ({time['disturbed']}/{len(time['rounds'])} rounds disturbed)" if time["disturbed"] else ""
    return f"{_number(time['median'])}{threads}{disturbed}"


def _number(value: float) -> str:
    """Three significant digits, no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.6f}"
