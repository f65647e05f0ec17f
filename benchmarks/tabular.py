"""Tabular estimators on real tables: fastnet's presets compared with gradient boosting and scikit-learn's network, all with
defaults.

Every method is fitted to the same random splits of every table, on one thread. Its figures are its scores divided by CatBoost's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import recipes
from benchmarks._boosting import METHODS, REFERENCE, SECTION
from benchmarks._pool import Pool
from benchmarks._recipes import Recipe
from benchmarks._results import check
from benchmarks._tables import DEVELOPMENT, Table

TITLE = "Tabular estimators on real tables"
QUICK = ("segment", "quake")
#: The score by which methods are ranked, for each kind of table.
RANKED = {"classification": "error", "regression": "RMSE"}


def run(pool: Pool, methods: Sequence[Recipe] = METHODS, tables: Sequence[Table] = DEVELOPMENT) -> dict[str, Any]:
    """A row for each method, with its scores on every split of every table, and its average rank."""
    group = recipes.run(pool, methods, pool.options.chosen(tables, QUICK), {SECTION: REFERENCE})
    kinds = {name: about["kind"] for name, about in group["tables"].items()}
    for row, of_tables in zip(group["rows"], ranks(group["rows"], kinds), strict=True):
        row["checks"].append(check("rank", of_tables))
        row["checks"].append(check("average rank", [float(np.mean(of_tables))]))
        print(f"  {row['name']}: average rank {np.mean(of_tables):.2f}", flush=True)
    return group


def ranks(rows: Sequence[dict[str, Any]], kinds: dict[str, str]) -> list[list[float]]:
    """The rank of each row on each table by its mean over the splits, 1 being the best; ties get the mean of their ranks."""
    from scipy.stats import rankdata

    found = [rankdata([np.mean(row["scores"][table][RANKED[kind]]) for row in rows]) for table, kind in kinds.items()]
    return np.array(found).T.tolist()
