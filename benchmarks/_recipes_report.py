"""The tables of the documentation's pages on recipes, made from the results of the group `recipes`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks._recipes import REFERENCES
from benchmarks._report import table_lines
from benchmarks.recipes import ratios

#: A table of two classes is imbalanced if the share of the rarer one is below this.
_RARE = 0.2
_BY_TABLE = ("defaults", "early stopping by score", "early stopping by loss", "recommended", "recommended, average of five")
_PEERS = ("scikit-learn, defaults", "LightGBM, defaults")


def tables(results: dict[str, Any], name: str) -> dict[str, str]:
    """The tables in Markdown, by name."""
    group = results["groups"]["recipes"]
    about = group["tables"]
    rare = [table for table, facts in about.items() if facts.get("classes") == 2 and facts["rarest"] < _RARE]
    return {
        "source": _source(results, name),
        "data": _data(about),
        "stopping": _section(group, "stopping", rare),
        "changes": _section(group, "changes", rare),
        "preparation": _preparation(group),
        "log-loss by table": _by_table(group, "log-loss", about),
        "RMSE by table": _by_table(group, "RMSE", about),
        "AUC by table": _by_table(group, "AUC", rare),
    }


def _source(results: dict[str, Any], name: str) -> str:
    versions = results["environment"]["packages"]
    peers = " and ".join(f"{library} {versions[library]}" for library in ("scikit-learn", "lightgbm") if library in versions)
    splits = f"{results['options']['rounds']} random splits, a quarter of the rows for testing"
    return f"Source: `benchmarks/results/{name}`; {splits};\n{peers}."


def _data(about: dict[str, dict[str, Any]]) -> str:
    heads = ("table", "rows", "columns", "missing values", "classes", "share of the rarest class")
    rows = [
        (
            name,
            f"{facts['rows']:,}",
            str(facts["columns"]),
            f"{facts['missing']:,}",
            str(facts.get("classes", "regression")),
            f"{100 * facts['rarest']:.0f} %" if "rarest" in facts else "",
        )
        for name, facts in about.items()
    ]
    return "\n".join(table_lines(heads, rows))


def _section(group: dict[str, Any], section: str, rare: Sequence[str]) -> str:
    """A row for each recipe: ratios to the reference, scores on imbalanced tables, tables won and lost, and time."""
    heads = ("", "log-loss", "errors", "RMSE", "better : worse", "AUC, rare class", "balanced accuracy, rare class", "fit time")
    reference = _scores(group, REFERENCES[section])
    rows = [
        (
            row["name"],
            *(ratio(row["scores"], reference, key) for key in ("log-loss", "error", "RMSE")),
            _won_and_lost(row["scores"], reference),
            *(_mean(row["scores"], key, rare) for key in ("AUC", "balanced accuracy")),
            ratio(row["scores"], reference, "seconds", spread=False),
        )
        for row in _with_reference(group, section)
    ]
    return "\n".join(table_lines(heads, rows))


def _preparation(group: dict[str, Any]) -> str:
    heads = ("", "log-loss", "RMSE", "better : worse", "log-loss, damaged rows", "RMSE, damaged rows")
    reference = _scores(group, REFERENCES["preparation"])
    rows = [
        (
            row["name"],
            *(ratio(row["scores"], reference, key) for key in ("log-loss", "RMSE")),
            _won_and_lost(row["scores"], reference),
            *(ratio(row["scores"], reference, f"{key}, damaged rows", spread=False) for key in ("log-loss", "RMSE")),
        )
        for row in _with_reference(group, "preparation")
    ]
    return "\n".join(table_lines(heads, rows))


def _by_table(group: dict[str, Any], key: str, names: Sequence[str]) -> str:
    """A row for each table, a column for each recipe: mean over the splits, with its standard error."""
    recipes = [row["name"] for row in group["rows"] if row["name"] in (*_BY_TABLE, *_PEERS)]
    scores = [_scores(group, recipe) for recipe in recipes]
    rows = [
        (table, *(_mean_of_splits(one[table][key]) if table in one else "" for one in scores))
        for table in names
        if any(key in one.get(table, {}) for one in scores)
    ]
    return "\n".join(table_lines(("", *recipes), rows))


def _with_reference(group: dict[str, Any], section: str) -> list[dict[str, Any]]:
    """The rows of a section after its reference, which may belong to another section."""
    return sorted(
        (row for row in group["rows"] if row["section"] == section or row["name"] == REFERENCES[section]),
        key=lambda row: row["name"] != REFERENCES[section],
    )


def _scores(group: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row["scores"] for row in group["rows"] if row["name"] == name)


def ratio(own: dict[str, Any], reference: dict[str, Any], key: str, *, spread: bool = True) -> str:
    """Geometric mean of the ratios over the tables, and its standard error from table to table."""
    logarithms = np.log(list(ratios(own, reference, key).values()))
    if len(logarithms) < 2:
        return ""
    mean = math.exp(logarithms.mean())
    if own is reference or not spread:
        return _short(mean)
    return f"{_short(mean)} ± {mean * standard_error(logarithms):.2f}"


def _won_and_lost(own: dict[str, Any], reference: dict[str, Any]) -> str:
    """Counts of the tables on which the loss is lower or higher by more than two standard errors over the splits."""
    if own is reference:
        return ""
    differences = [
        np.subtract(scores[key], reference[table][key])
        for table, scores in own.items()
        for key in ("log-loss", "RMSE")
        if key in scores
    ]
    clear = [np.sign(d.mean()) for d in differences if abs(d.mean()) > 2 * standard_error(d)]
    return f"{clear.count(-1)} : {clear.count(1)} of {len(differences)}"


def _mean(own: dict[str, Any], key: str, names: Sequence[str]) -> str:
    values = [np.mean(own[table][key]) for table in names if key in own.get(table, {})]
    return f"{np.mean(values):.3f}" if values else ""


def _mean_of_splits(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {standard_error(values):.3f}"


def standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2f}"
