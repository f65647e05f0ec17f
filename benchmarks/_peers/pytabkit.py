"""pytabkit: RealMLP and TabM with their defaults, on the CPU."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from sklearn.base import BaseEstimator

from benchmarks._realmlp import filled
from benchmarks._tasks import TabularFit
from benchmarks._timing import Job


def estimator(name: str, regression: bool, seed: int, **options: Any) -> BaseEstimator:
    """An estimator for data frames."""
    for library in ("pytorch_lightning", "lightning"):
        logging.getLogger(library).setLevel(logging.ERROR)
    cls = getattr(import_module("pytabkit"), f"{name}_{'Regressor' if regression else 'Classifier'}")
    return filled(cls(random_state=seed, device="cpu", **options))


def tabular_fit(task: TabularFit, n_threads: int | None) -> Job:
    X, y = task.rows()

    def fit(n: int) -> None:
        options = {"n_threads": n_threads, "n_epochs": n * task.n_epochs}
        estimator("RealMLP_TD", task.table.regression, 0, **options).fit(X, y)

    return fit
