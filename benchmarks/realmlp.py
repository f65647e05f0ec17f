"""RealMLP-TD in fastnet and in pytabkit, on real tables: the same recipe, and TabM with pytabkit's defaults.

Every method is fitted to the same random splits of every table, on one thread. Its figures are its scores divided by those of
pytabkit's RealMLP-TD.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from benchmarks import recipes
from benchmarks._pool import Pool
from benchmarks._realmlp import RealMLP
from benchmarks._recipes import Make, Recipe
from benchmarks._tables import DEVELOPMENT, Table
from fastnet.cli._peers import Prepared

TITLE = "RealMLP-TD in fastnet and in pytabkit"
QUICK = ("segment", "quake")
SECTION, OWN, REFERENCE = "realmlp", "RealMLP-TD in fastnet", "RealMLP-TD in pytabkit"


def _pytabkit(name: str) -> Make:
    """One of pytabkit's estimators with its defaults, behind a filling of gaps in columns of numbers, which it does not take."""

    def make(regression: bool, seed: int) -> BaseEstimator:
        for library in ("pytorch_lightning", "lightning"):
            logging.getLogger(library).setLevel(logging.ERROR)
        cls = getattr(import_module("pytabkit"), f"{name}_{'Regressor' if regression else 'Classifier'}")
        fill = ColumnTransformer(
            [("numbers", SimpleImputer(strategy="median", add_indicator=True), make_column_selector(dtype_include="number"))],
            remainder="passthrough",
            verbose_feature_names_out=False,
        )
        model = cls(random_state=seed, n_threads=1, device="cpu")
        return Prepared(make_pipeline(fill.set_output(transform="pandas"), model))

    return make


METHODS = (
    Recipe(OWN, SECTION, lambda regression, seed: RealMLP(regression, seed)),
    Recipe(REFERENCE, SECTION, _pytabkit("RealMLP_TD"), library="pytabkit"),
    Recipe("TabM-D in pytabkit", SECTION, _pytabkit("TabM_D"), library="pytabkit"),
)


def run(pool: Pool, methods: Sequence[Recipe] = METHODS, tables: Sequence[Table] = DEVELOPMENT) -> dict[str, Any]:
    """A row for each method, with its scores on every split of every table."""
    return recipes.run(pool, methods, pool.options.chosen(tables, QUICK), {SECTION: REFERENCE})
