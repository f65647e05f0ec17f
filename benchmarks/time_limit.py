"""How much of its `time_limit` a fit of a tabular estimator uses: seconds of real time, of fits that could go on for hours.

Each fit runs on all cores, in a process of its own that has fitted nothing before.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks._pool import Pool
from benchmarks._results import check, row

TITLE = "Time limits of tabular estimators"

_ROOT = Path(__file__).resolve().parent.parent
_SECONDS, _QUICK = (1, 3, 10, 30), (1, 3)
#: How the rows, columns and categories of a table are made; which estimator is fitted to it, and its metric.
_TABLES: dict[str, dict[str, Any]] = {
    "small": {"rows": 1_000, "columns": 10},
    "long": {"rows": 100_000, "columns": 50},
    "wide": {"rows": 2_000, "columns": 1_000},
    "categories": {"rows": 50_000, "columns": 20, "categories": 5_000},
    "values": {"rows": 20_000, "columns": 20, "cls": "TabularRegressor"},
    "area": {"rows": 20_000, "columns": 20, "metric": "roc_auc"},
}
_DEFAULTS = {"categories": 0, "cls": "TabularClassifier", "metric": None}

_FIT = """
import time
import numpy as np, fastnet as fn

rng = np.random.default_rng(0)
X = rng.standard_normal(({rows}, {columns}))
y = X[:, 0] * X[:, 1] + X[:, 2] + rng.standard_normal({rows})
categorical = []
if {categories}:
    X[:, 0], categorical = rng.integers({categories}, size={rows}), [0]
options = dict(n_epochs=100_000, categorical_features=categorical, random_state=0, time_limit={limit})
if {metric!r}:
    options["metric"] = {metric!r}
model = fn.{cls}(**options)
start = time.perf_counter()
model.fit(X, y if {cls!r} == "TabularRegressor" else y > 0)
print(time.perf_counter() - start)
"""


def run(pool: Pool) -> dict[str, Any]:
    """A row for each table and limit, with the share of the limit that was used in each round."""
    rows = []
    for name, sizes in _TABLES.items():
        if name not in (pool.options.shapes or _TABLES):
            continue
        for limit in _QUICK if pool.options.quick else _SECONDS:
            used = [_seconds({**_DEFAULTS, **sizes, "limit": limit}) / limit for _ in range(pool.options.rounds)]
            about = f"{sizes['rows']:,} x {sizes['columns']:,}"
            rows.append(row(f"{name}, {about}, {limit} s", "", 1.0, {}, [check("used / limit", used, 1.1, at_most=True)]))
            pool.report(rows[-1])
            pool.keep({"rows": rows})
    return {"rows": rows}


def _seconds(table: dict[str, Any]) -> float:
    """Seconds of a fit."""
    code = _FIT.format(**table)
    done = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)
