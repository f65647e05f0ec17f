"""pytabkit: RealMLP and TabM with their defaults, on the CPU."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from benchmarks._tasks import TabularFit
from benchmarks._timing import Job
from fastnet.cli._peers import Prepared


def estimator(name: str, regression: bool, seed: int, **options: Any) -> BaseEstimator:
    """An estimator for data frames: numbers that are missing, which pytabkit does not take, are filled, with indicators."""
    for library in ("pytorch_lightning", "lightning"):
        logging.getLogger(library).setLevel(logging.ERROR)
    cls = getattr(import_module("pytabkit"), f"{name}_{'Regressor' if regression else 'Classifier'}")
    fill = ColumnTransformer(
        [("numbers", SimpleImputer(strategy="median", add_indicator=True), make_column_selector(dtype_include="number"))],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return Prepared(make_pipeline(fill.set_output(transform="pandas"), cls(random_state=seed, device="cpu", **options)))


def tabular_fit(task: TabularFit, n_threads: int | None) -> Job:
    X, y = task.rows()

    def fit(n: int) -> None:
        options = {"n_threads": n_threads, "n_epochs": n * task.n_epochs}
        estimator("RealMLP_TD", task.table.regression, 0, **options).fit(X, y)

    return fit
