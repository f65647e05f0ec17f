"""fastnet: RealMLP-TD's recipe on a table."""

from __future__ import annotations

from benchmarks._realmlp import RealMLP, filled
from benchmarks._tasks import TabularFit
from benchmarks._timing import Job


def tabular_fit(task: TabularFit, n_threads: int | None) -> Job:
    X, y = task.rows()

    def fit(n: int) -> None:
        filled(RealMLP(task.table.regression, 0, n_threads or 1, n * task.n_epochs)).fit(X, y)

    return fit
