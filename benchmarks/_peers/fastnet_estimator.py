"""fastnet's MLPClassifier, to compare with scikit-learn's and, with the recommended recipe, with LightGBM's."""

from __future__ import annotations

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._peers import _estimators
from benchmarks._recipes import RECOMMENDED
from benchmarks._tasks import Inference, Table
from benchmarks._timing import Job
from fastnet import MLPClassifier


def predictor(task: Inference, n_threads: int | None) -> Job:
    return _estimators.predictor(MLPClassifier, task)


def table(task: Table, n_threads: int | None) -> Job:
    network = MLPClassifier(n_threads=n_threads, random_state=0, **RECOMMENDED)
    return _estimators.table(network if task.scaled else make_pipeline(StandardScaler(), network), task)
