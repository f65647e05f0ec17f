"""The documentation's tables of RealMLP-TD, made from the results of the groups `realmlp` and `realmlp_time`."""

from __future__ import annotations

from typing import Any

from benchmarks._recipes_report import ratio
from benchmarks._report import figure, table_lines
from benchmarks._results import without_goals
from benchmarks._tasks import TabularFit
from benchmarks.realmlp import REFERENCE


def accuracy(results: dict[str, Any], name: str) -> dict[str, str]:
    """Scores in Markdown, divided by those of pytabkit's RealMLP-TD."""
    rows = results["groups"]["realmlp"]["rows"]
    reference = next(row["scores"] for row in rows if row["name"] == REFERENCE)
    heads = ("", "tables", "errors", "RMSE", "log-loss", "CPU seconds of fits")
    lines = [
        (
            row["name"],
            f"{len(row['scores'])}",
            *(ratio(row["scores"], reference, key) for key in ("error", "RMSE", "log-loss")),
            ratio(row["scores"], reference, "seconds", spread=False),
        )
        for row in rows
    ]
    packages, n_rows = results["environment"]["packages"], results["options"]["train_rows"]
    source = (
        f"pytabkit {packages['pytabkit']}, PyTorch {packages['torch']}; random splits of each table: {_n_splits(rows)}; at most "
        f"{n_rows:,} rows to train on; one thread.\nSource: `benchmarks/results/{name}`."
    )
    return {"accuracy": "\n".join([*table_lines(heads, lines), "", source])}


def _n_splits(rows: list[dict[str, Any]]) -> str:
    """How many splits the tables have been measured on."""
    counts = sorted({len(scores["seconds"]) for row in rows for scores in row["scores"].values()})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))


def fits(results: dict[str, Any], name: str) -> dict[str, str]:
    """Times of fits side by side in Markdown."""
    heads = ("table", "fastnet, seconds", "pytabkit / fastnet")
    lines = [
        (row["name"], f"{row['times']['fastnet']['median']:.2f}", *map(figure, without_goals(row)["checks"]))
        for row in results["groups"]["realmlp_time"]["rows"]
    ]
    env = results["environment"]
    source = (
        f"Fits of {TabularFit.n_epochs} epochs on {env['cores']} cores of {env['cpu']}, median of {results['options']['rounds']} "
        f"interleaved rounds\n(least to most). Source: `benchmarks/results/{name}`."
    )
    return {"fits": "\n".join([*table_lines(heads, lines), "", source])}
