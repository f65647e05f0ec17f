"""The tables of the documentation's page on images and series, made from the results of the group `series`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._report import table_lines
from benchmarks._series import IMAGES, SERIES


def tables(results: dict[str, Any], name: str) -> dict[str, str]:
    """The tables in Markdown, by name."""
    group = results["groups"]["series"]
    return {"source": _source(results, name), **{kind: _of_kind(group, kind) for kind in (IMAGES, SERIES)}}


def _source(results: dict[str, Any], name: str) -> str:
    versions = results["environment"]["packages"]
    peers = " and ".join(f"{library} {versions[library]}" for library in ("scikit-learn", "aeon") if library in versions)
    rounds = f"means ± standard deviations of {results['options']['rounds']} folds of images, or seeds for series"
    return f"Source: `benchmarks/results/{name}`; {rounds};\none thread; {peers}."


def _of_kind(group: dict[str, Any], kind: str) -> str:
    """A row for each data set, with a method's accuracy and its seconds of fit and of predictions in each cell."""
    rows = [row for row in group["rows"] if row["section"] == kind]
    lines = [
        (
            name,
            f"{about['train']:,} + {about['test']:,}",
            f"{about['classes']}",
            *(_cell(row["scores"].get(name)) for row in rows),
        )
        for name, about in group["data"].items()
        if about["kind"] == kind
    ]
    return "\n".join(table_lines(("", "rows, training + test", "classes", *(row["name"] for row in rows)), lines))


def _cell(scores: dict[str, list[float]] | None) -> str:
    if scores is None:
        return ""
    percent = 100 * np.array(scores["accuracy"])
    fit, predictions = (_seconds(np.mean(scores[key])) for key in ("seconds", "seconds, predictions"))
    return f"{percent.mean():.1f} ± {percent.std(ddof=1):.1f} %, {fit} + {predictions} s"


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
