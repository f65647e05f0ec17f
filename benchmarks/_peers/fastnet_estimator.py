"""fastnet's MLPClassifier, where scikit-learn's stands otherwise."""

from __future__ import annotations

from benchmarks._peers import _estimators
from benchmarks._tasks import Inference
from benchmarks._timing import Job
from fastnet import MLPClassifier


def predictor(task: Inference, n_threads: int | None) -> Job:
    return _estimators.predictor(MLPClassifier, task)
