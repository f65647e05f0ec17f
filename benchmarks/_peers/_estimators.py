"""Calls that are the same for the estimators of all libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._tasks import Inference, Table
from benchmarks._timing import Job


def predictor(classifier: type, task: Inference) -> Job:
    """Calls of predict_proba. For two classes scikit-learn's networks have one sigmoid unit."""
    X = np.atleast_2d(task.data())
    y = np.arange(task.sizes[-1])
    rows = np.random.default_rng(2).standard_normal((len(y), task.sizes[0]), dtype=task.dtype)
    model: Any = classifier(task.sizes[1:-1], max_iter=1, random_state=0).fit(rows, y)

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            out = model.predict_proba(X)
        return out

    return predict


def table(model: Any, task: Table) -> Job:
    """Fits, or calls of predict_proba of a fitted model, on rows drawn from the data."""
    X, y = task.data()
    rows = X if task.n_rows is None else X[np.random.default_rng(0).integers(len(X), size=task.n_rows)]

    def fit(n: int) -> None:
        for _ in range(n):
            model.fit(X, y)

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            out = model.predict_proba(rows)
        return out

    if task.n_rows is None:
        return fit
    model.fit(X, y)
    return predict
