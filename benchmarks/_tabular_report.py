"""The tables of the documentation's page on tabular estimators, made from the results of the groups `tabular`,
`held_out` and `ablation`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._recipes_report import ratio
from benchmarks._report import table_lines
from benchmarks._tables import MOST_ROWS
from benchmarks._tabular_methods import REFERENCE, WHOLE
from benchmarks.tabular import RANKED


def methods(results: dict[str, Any], name: str) -> dict[str, str]:
    """The tables of the group `tabular` in Markdown, by name; a run with few rows to train on has names of its own."""
    cap = results["options"]["train_rows"]
    found = _comparison(results, "tabular", name)
    return {f"{key} with {cap:,} rows" if cap else key: text for key, text in found.items()}


def held_out(results: dict[str, Any], name: str) -> dict[str, str]:
    """The same tables of the group `held_out`."""
    return _comparison(results, "held_out", name)


def _comparison(results: dict[str, Any], key: str, name: str) -> dict[str, str]:
    group = results["groups"][key]
    return {"source": _source(results, group, name), "methods": _methods(group), "errors": _errors(group)}


def pieces(results: dict[str, Any], name: str) -> dict[str, str]:
    """The tables of the group `ablation` in Markdown, by name."""
    group = results["groups"]["ablation"]
    return {"source": _source(results, group, name), "pieces": _pieces(group)}


def _source(results: dict[str, Any], group: dict[str, Any], name: str) -> str:
    cap = results["options"]["train_rows"]
    kinds = [about["kind"] for about in group["tables"].values()]
    all_rows = f"at most {MOST_ROWS:,} rows, a quarter of them to test on"
    rows = f"at most {cap:,} rows to train on and the others to test on" if cap else all_rows
    n_splits = results["options"]["rounds"]
    splits = "a random split" if n_splits == 1 else f"{n_splits} random splits"
    return (
        f"Source: `benchmarks/results/{name}`; {kinds.count('classification')} classifications and {kinds.count('regression')} "
        f"regressions,\n{splits} each, {rows}; one thread."
    )


def _methods(group: dict[str, Any]) -> str:
    heads = ("", "average rank", "errors", "RMSE", "log-loss", "mean AUC", "fits, seconds", "predictions, seconds")
    reference = _scores(group, REFERENCE)
    rows = [
        (
            row["name"],
            _average_rank(row),
            *(ratio(row["scores"], reference, key) for key in ("error", "RMSE", "log-loss")),
            f"{np.mean(_means(row, 'AUC')):.4f}",
            *(_seconds(float(np.sum(_means(row, key)))) for key in ("seconds", "seconds, predictions")),
        )
        for row in group["rows"]
    ]
    return "\n".join(table_lines(heads, rows))


def _pieces(group: dict[str, Any]) -> str:
    heads = ("", "errors", "log-loss", "RMSE", "fit time")
    reference = _scores(group, WHOLE)
    rows = [
        (
            row["name"],
            *(ratio(row["scores"], reference, key) for key in ("error", "log-loss", "RMSE")),
            ratio(row["scores"], reference, "seconds", spread=False),
        )
        for row in group["rows"]
    ]
    return "\n".join(table_lines(heads, rows))


def _errors(group: dict[str, Any]) -> str:
    """A row for each table, a column for each method: mean over the splits of the error rate or RMSE."""
    heads = ("", *(row["name"] for row in group["rows"]))
    rows = [
        (table, *(_three(row["scores"].get(table, {}).get(RANKED[about["kind"]])) for row in group["rows"]))
        for table, about in group["tables"].items()
    ]
    return "\n".join(table_lines(heads, rows))


def _scores(group: dict[str, Any], name: str) -> dict[str, Any]:
    return next((row["scores"] for row in group["rows"] if row["name"] == name), {})


def _average_rank(row: dict[str, Any]) -> str:
    return next((f"{figure['median']:.2f}" for figure in row["checks"] if figure["what"] == "average rank"), "")


def _means(row: dict[str, Any], key: str) -> list[float]:
    return [float(np.mean(scores[key])) for scores in row["scores"].values() if key in scores]


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _three(values: list[float] | None) -> str:
    return f"{np.mean(values):.3f}" if values else ""
