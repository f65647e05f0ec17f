"""fastnet's MLPClassifier, where scikit-learn's stands otherwise, and beside LightGBM."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._peers import _estimators
from benchmarks._tasks import Inference, Table
from benchmarks._timing import Job
from fastnet import MLPClassifier


def predictor(task: Inference, n_threads: int | None) -> Job:
    return _estimators.predictor(MLPClassifier, task)


def classifier(task: Table, n_threads: int | None) -> Any:
    """With early stopping by the validation loss, which suits small tables; and a scaler, unless the features are scaled."""
    network = MLPClassifier(early_stopping=True, scoring="loss", max_iter=1_000, n_threads=n_threads, random_state=0)
    return network if task.scaled else make_pipeline(StandardScaler(), network)


def table(task: Table, n_threads: int | None) -> Job:
    return _estimators.table(classifier(task, n_threads), task)
