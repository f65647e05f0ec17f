"""Results as text: a line a row while measuring, Markdown tables of all groups, and the table of the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- benchmark table: begin -->", "<!-- benchmark table: end -->"
_SHARE = "share of GEMM limit"


def line(row: dict[str, Any]) -> str:
    """One row of results: times, then figures."""
    unit = f" {row['unit']}" if row["times"] else ""
    times = ", ".join(f"{label} {_time(time)}" for label, time in row["times"].items())
    checks = "; ".join(f"{c['what']} {figure(c)}" for c in row["checks"])
    return " | ".join(filter(None, (row["name"], times + unit, checks)))


def figure(check: dict[str, Any]) -> str:
    """Median, spread, the goal with whether it is reached, and what the products alone would allow."""
    text = _number(check["median"])
    if check["min"] != check["max"]:
        text += f" ({_number(check['min'])}-{_number(check['max'])})"
    if "goal" in check:
        limit = f", at the GEMM limit {_number(check['at_limit'])}" if "at_limit" in check else ""
        goal = f"goal {'<=' if check['at_most'] else '>='} {check['goal']:g}"
        text += f" [{goal}{limit}: {'reached' if check['reached'] else 'MISSED'}]"
    return text


def markdown(results: dict[str, Any]) -> str:
    """All groups, with the environment as a head and the goals counted at the end."""
    parts = [environment(results["environment"])]
    for name, group in results["groups"].items():
        parts.append(f"## {name}\n\n" + "\n".join(_group_lines(group)))
    if results["notes"]:
        parts.append("\n".join(f"- {note}" for note in results["notes"]))
    parts.append(_goals_line(results))
    return "\n\n".join(parts) + "\n"


def environment(env: dict[str, Any]) -> str:
    """One paragraph."""
    blas = "; ".join(f"{b['name']} {b['version']} {b['core']} ({b['used_by']}, {b['threads']} threads)" for b in env["blas"])
    packages = ", ".join(f"{name} {version}" for name, version in env["packages"].items())
    variables = ", ".join(f"{name}={value}" for name, value in env["variables"].items()) or "none"
    return (
        f"{env['cpu']}, {env['cores']} cores; {env['system']}; Python {env['python']}; fastnet {env['fastnet']}, core level "
        f"{env['engine_level']}, thread limit {env['thread_limit']}; BLAS: {blas}; {packages}; thread variables set: {variables}"
    )


def readme_table(results: dict[str, Any], name: str) -> str:
    """The tables of training and inference for the README; `name` is the file of benchmarks/results they come from."""
    env = results["environment"]
    core = next((b["core"] for b in env["blas"] if b["used_by"] == "scipy"), None)
    source = (
        f"{env['cores']} cores of {env['cpu']}, OpenBLAS core {core}, median of {results['options']['rounds']} interleaved "
        f"rounds, each peer at the faster of one and all threads. Source: `benchmarks/results/{name}`."
    )
    tables = [_training_table(results["groups"].get("train")), _inference_table(results["groups"].get("inference"))]
    return "\n\n".join([*filter(None, tables), source])


def with_table(text: str, table: str) -> str:
    """`text` with what stands between the markers replaced.

    Raises
    ------
    ValueError
        A marker is missing.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} followed by {END}: put these two lines where the table belongs.")
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def update_readme(path: Path, results: dict[str, Any], name: str) -> None:
    path.write_text(with_table(path.read_text(), readme_table(results, name)))


def _group_lines(group: dict[str, Any]) -> list[str]:
    limit = [f"sgemm at n = 1024: {group['gemm_flops'] / 1e9:.0f} GFLOP/s", ""] if "gemm_flops" in group else []
    rows = [
        (row["name"], row["unit"], "; ".join(f"{label} {_time(t)}" for label, t in row["times"].items()), *_figures(row))
        for row in group["rows"]
    ]
    return limit + table_lines(("what", "unit", "medians", "figures: median (min-max)"), rows)


def _figures(row: dict[str, Any]) -> tuple[str]:
    return ("; ".join(f"{check['what']} {figure(check)}" for check in row["checks"]),)


def _goals_line(results: dict[str, Any]) -> str:
    checks = [
        (f"{row['name']}: {check['what']}", check)
        for group in results["groups"].values()
        for row in group["rows"]
        for check in row["checks"]
        if "goal" in check
    ]
    if not checks:
        return "no goals among these figures"
    missed = [f"{name} {figure(check)}" for name, check in checks if not check["reached"]]
    return "\n".join([f"{len(checks) - len(missed)} of {len(checks)} goals reached", *(f"- missed {text}" for text in missed)])


def _training_table(group: dict[str, Any] | None) -> str | None:
    if not group:
        return None
    peers = _columns(group, {_SHARE})
    heads = ("training", "rows, sizes, batch", "fastnet, ms per epoch", *(f"x faster than {peer}" for peer in peers), _SHARE)
    rows = []
    for row in group["rows"]:
        found = {check["what"]: check for check in row["checks"]}
        task = row["task"]
        about = f"{task['rows']:,}, {'-'.join(map(str, task['sizes']))}, {task['batch_size']}"
        ratios = (_bare(found.get(peer)) for peer in peers)
        share = f"{100 * found[_SHARE]['median']:.0f} %" if _SHARE in found else ""
        rows.append((row["name"], about, _number(row["times"]["fastnet"]["median"]), *ratios, share))
    return "\n".join(table_lines(heads, rows))


def _inference_table(group: dict[str, Any] | None) -> str | None:
    if not group:
        return None
    labels = list(dict.fromkeys(label for row in group["rows"] for label in row["times"]))
    heads = ("prediction, us per call", "rows", *labels)
    rows = []
    for row in group["rows"]:
        medians = (_number(row["times"][label]["median"]) if label in row["times"] else "" for label in labels)
        rows.append(("-".join(map(str, row["task"]["sizes"])), f"{row['task']['rows']:,}", *medians))
    return "\n".join(table_lines(heads, rows))


def _columns(group: dict[str, Any], without: set[str]) -> list[str]:
    return [what for what in dict.fromkeys(c["what"] for row in group["rows"] for c in row["checks"]) if what not in without]


def _bare(check: dict[str, Any] | None) -> str:
    return "" if check is None else f"{_number(check['median'])} ({_number(check['min'])}-{_number(check['max'])})"


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, line by line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _time(time: dict[str, Any]) -> str:
    threads = f" on {time['threads']}" if time["threads"] else ""
    disturbed = f" ({time['disturbed']}/{len(time['rounds'])} rounds disturbed)" if time["disturbed"] else ""
    return f"{_number(time['median'])}{threads}{disturbed}"


def _number(value: float) -> str:
    """Three significant digits, no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.6f}"
