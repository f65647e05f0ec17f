"""Pictures of results: ratios for each network, share of the GEMM limit, scaling, predictions of one row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks._tabular_methods import REFERENCE

_LIMIT = "share of GEMM limit"


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Write a PNG file for each picture whose group is in the results, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawings = (("train", "ratios", _ratios), ("train", "gemm-share", _shares), ("scaling", "scaling", _scaling))
    drawings += (("inference", "one-row", _one_row), ("tabular", "error-and-time", _error_and_time), ("tabular", "ranks", _ranks))
    drawings += (("tabular_scaling", "tabular-scaling", _scaling),)
    files = []
    for group, name, draw_one in drawings:
        if results["groups"].get(group, {}).get("rows"):
            figure = draw_one(results["groups"][group]["rows"])
            files.append(folder / f"{name}.png")
            figure.savefig(files[-1], dpi=150)
            plt.close(figure)
    return files


def _ratios(rows: list[dict[str, Any]]) -> Figure:
    """Bars of peer / fastnet with minimum and maximum, and a tick at each goal, if there are goals."""
    peers = list(dict.fromkeys(check["what"] for row in rows for check in row["checks"] if check["what"] != _LIMIT))
    figure, ax = plt.subplots(figsize=(8, 0.9 + 0.7 * len(rows)), layout="constrained")
    height = 0.8 / max(len(peers), 1)
    for number, peer in enumerate(peers):
        found = [(y, check) for y, row in enumerate(rows) for check in row["checks"] if check["what"] == peer]
        places = [y + (number - (len(peers) - 1) / 2) * height for y, _ in found]
        medians = [check["median"] for _, check in found]
        spread = [[c["median"] - c["min"] for _, c in found], [c["max"] - c["median"] for _, c in found]]
        ax.barh(places, [median - 1 for median in medians], height, left=1, xerr=spread, label=peer, error_kw={"lw": 1})
        goals = [(check["goal"], place) for place, (_, check) in zip(places, found, strict=True) if "goal" in check]
        if goals:
            ax.plot(*zip(*goals, strict=True), "k|", ms=40 * height, label="goal" if number == 0 else None)
    ax.axvline(1, color="black", lw=1)
    ax.set(xscale="log", xlabel="time of the peer / time of fastnet (1: equally fast)", title="Training, one epoch")
    _name_rows(ax, rows)
    ax.legend()
    return figure


def _shares(rows: list[dict[str, Any]]) -> Figure:
    """The time that the products alone would take at BLAS's best rate, as a share of the time taken."""
    figure, ax = plt.subplots(figsize=(8, 0.9 + 0.45 * len(rows)), layout="constrained")
    for y, row in enumerate(rows):
        for check in (check for check in row["checks"] if check["what"] == _LIMIT):
            ax.barh(y, 100 * check["median"], color="tab:blue")
            if "goal" in check:
                ax.plot(100 * check["goal"], y, "k|", ms=20)
    ax.axvline(100, color="black", lw=1)
    goals = any("goal" in check for row in rows for check in row["checks"])
    ax.set(xlabel="% of the GEMM limit" + " (tick: goal)" * goals, title="Training: products at BLAS's best rate / time taken")
    _name_rows(ax, rows)
    return figure


def _scaling(rows: list[dict[str, Any]]) -> Figure:
    """Time or memory in each sweep, with a straight line of slope 1 through its end; two side by side."""
    lines = (len(rows) + 1) // 2
    figure, axes = plt.subplots(lines, 2, figsize=(7.2, 2.8 * lines), layout="constrained", squeeze=False)
    for ax in axes.flat[len(rows) :]:
        ax.remove()
    for ax, row in zip(axes.flat, rows, strict=False):
        x, y = zip(*row["points"], strict=True)
        ax.loglog(x, y, "o-")
        if any(check["what"] == "slope of the last decade" for check in row["checks"]):
            ax.loglog(x, [y[-1] * value / x[-1] for value in x], "k:", lw=1, label="linear")
            ax.legend()
        ax.set(xlabel=row["axis"], ylabel=row["unit"], title=row["name"])
        ax.grid(alpha=0.3)
    return figure


def _one_row(rows: list[dict[str, Any]]) -> Figure:
    """Time of a prediction of one row, in a panel for each network."""
    rows = [row for row in rows if row["task"]["rows"] == 1]
    figure, axes = plt.subplots(1, max(len(rows), 1), figsize=(5 * max(len(rows), 1), 3.2), layout="constrained", squeeze=False)
    for ax, row in zip(axes[0], rows, strict=False):
        times = sorted(((time["median"], label) for label, time in row["times"].items()), reverse=True)
        colours = ["tab:blue" if label.startswith("fastnet") else "tab:gray" for _, label in times]
        bars = ax.barh([label for _, label in times], [value for value, _ in times], color=colours)
        ax.bar_label(bars, fmt="%.3g", padding=3)
        ax.set(xlabel="microseconds", title="-".join(map(str, row["task"]["sizes"])) + ", one row")
        ax.margins(x=0.2)
    return figure


def _error_and_time(rows: list[dict[str, Any]]) -> Figure:
    """Geometric means over the tables of error and of fit time, divided by those of the reference; a line joins the best."""
    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    places = {row["name"]: _place(row) for row in rows if _place(row)}
    for number, (name, place) in enumerate(sorted(places.items(), key=lambda item: item[1])):
        ax.plot(*place, "o", color="tab:blue" if name.startswith("fastnet") else "tab:gray")
        above_or_below = -12 if number % 2 else 4  # where times are alike
        ax.annotate(_library(name), place, xytext=(6, above_or_below), textcoords="offset points")
    best = [place for place in sorted(places.values()) if not any(o[0] <= place[0] and o[1] < place[1] for o in places.values())]
    ax.plot(*zip(*best, strict=True), ":", color="black", lw=1)
    ax.set(xscale="log", xlabel=f"fit time / {_library(REFERENCE)}'s", ylabel=f"error or RMSE / {_library(REFERENCE)}'s")
    ax.set_title("Tables: error and time")
    ax.margins(x=0.3, y=0.1)
    return figure


def _library(name: str) -> str:
    return name.removesuffix(", defaults")


def _place(row: dict[str, Any]) -> tuple[float, float] | None:
    """Fit time and error as multiples of the reference's; None where it was not measured."""
    means = {figure["what"]: figure.get("mean") for figure in row["checks"]}
    seconds, error = (means.get(f"{what} / {REFERENCE}") for what in ("seconds", "error or RMSE"))
    return None if seconds is None or error is None else (seconds, error)


def _ranks(rows: list[dict[str, Any]]) -> Figure:
    """Average ranks with the critical difference of Nemenyi's test at 5 % around each: ranks farther apart than it differ."""
    found = {row["name"]: figure for row in rows for figure in row["checks"] if figure["what"] == "average rank"}
    order = sorted(found, key=lambda name: found[name]["median"])
    figure, ax = plt.subplots(figsize=(7, 1.2 + 0.4 * len(order)), layout="constrained")
    for y, name in enumerate(order):
        difference = found[name]["critical_difference"]
        colour = "tab:blue" if name.startswith("fastnet") else "tab:gray"
        ax.errorbar(found[name]["median"], y, xerr=difference / 2, fmt="o", color=colour, capsize=3)
    ax.set_yticks(range(len(order)), [_library(name) for name in order])
    ax.invert_yaxis()
    ax.set(xlabel="average rank (1: best on every table)", title="Tables: bars that do not overlap differ (Nemenyi, 5 %)")
    return figure


def _name_rows(ax: Axes, rows: list[dict[str, Any]]) -> None:
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    ax.invert_yaxis()
