"""Tabular estimators on real tables: fastnet's presets compared with gradient boosting and scikit-learn's network, all with
defaults.

Every method is fitted to the same random splits of every table, on one thread. Its figures are its scores divided by CatBoost's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import recipes
from benchmarks._pool import Pool
from benchmarks._recipes import Recipe
from benchmarks._results import check
from benchmarks._tables import DEVELOPMENT, Table
from benchmarks._tabular_methods import METHODS, REFERENCE, SECTION

TITLE = "Tabular estimators on real tables"
QUICK = ("segment", "quake")
#: The score by which methods are ranked, for each kind of table.
RANKED = {"classification": "error", "regression": "RMSE"}

Row = dict[str, Any]


def run(
    pool: Pool,
    methods: Sequence[Recipe] = METHODS,
    tables: Sequence[Table] = DEVELOPMENT,
    quick: Sequence[str] = QUICK,
) -> dict[str, Any]:
    """A row for each method, with its scores on every split of every table, and its average rank."""
    return recipes.run(pool, methods, pool.options.chosen(tables, quick), {SECTION: REFERENCE}, rank)


def rank(rows: Sequence[Row], kinds: dict[str, str]) -> None:
    """Give each row its average rank on the tables that all have."""
    common = {table: kind for table, kind in kinds.items() if all(table in row["scores"] for row in rows)}
    for row, of_tables in zip(rows, ranks(rows, common), strict=True):
        if of_tables:
            difference = critical_difference(len(rows), len(of_tables))
            row["checks"].append(check("average rank", [float(np.mean(of_tables))]) | {"critical_difference": difference})


def critical_difference(n_methods: int, n_tables: int, level: float = 0.05) -> float:
    """How far apart average ranks must be for a significant difference, by Nemenyi's test (Demšar 2006)."""
    from scipy.stats import studentized_range

    if n_methods < 2:
        return 0.0
    q = studentized_range.ppf(1 - level, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_tables)))


def ranks(rows: Sequence[Row], kinds: dict[str, str]) -> list[list[float]]:
    """The rank of each row on each table by its mean over the splits, 1 the best; equals have the mean of their ranks."""
    from scipy.stats import rankdata

    found = [rankdata([np.mean(row["scores"][table][RANKED[kind]]) for row in rows]) for table, kind in kinds.items()]
    return np.array(found).T.tolist() if found else [[] for _ in rows]
