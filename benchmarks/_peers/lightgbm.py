"""LightGBM's classifier with its defaults."""

from __future__ import annotations

from lightgbm import LGBMClassifier

from benchmarks._peers import _estimators
from benchmarks._tasks import Table
from benchmarks._timing import Job


def table(task: Table, n_threads: int | None) -> Job:
    return _estimators.table(LGBMClassifier(n_jobs=n_threads, random_state=0, verbose=-1), task)
