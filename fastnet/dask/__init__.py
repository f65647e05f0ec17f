"""Estimators on Dask: shards of the rows train on the workers, and their models are averaged several times an epoch.

::

    clf = fastnet.dask.MLPClassifier((64, 64), n_shards=8, rounds_per_epoch=8)
    clf.fit(dX, dy)  # Dask arrays, data frames, or lists of delayed partitions
    clf.predict(dX)  # lazy

All work is in Dask's graphs: what a lost worker has done is done again, with the same result, and fastnet opens no connection.
"""

from __future__ import annotations

try:
    import dask  # noqa: F401
except ImportError as error:
    raise ImportError("fastnet.dask needs Dask, which is not installed: pip install dask distributed") from error

from fastnet.dask._engine import WorkerError
from fastnet.dask._mlp import MLPClassifier, MLPRegressor
from fastnet.dask._tabular import TabularClassifier, TabularRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor", "WorkerError"]
