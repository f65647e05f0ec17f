"""Data and small models that the tests of estimators on Dask share; importing this skips where Dask is not installed."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
da = pytest.importorskip("dask.array")
base = pytest.importorskip("sklearn.base")

from fastnet.dask import MLPClassifier, TabularClassifier  # noqa: E402

cloudpickle.register_pickle_by_value(sys.modules[__name__])

EXPECTED_WARNINGS = [
    pytest.mark.filterwarnings(f"ignore:{text}")
    for text in ("Port 8787 is already in use", "A shard makes", "Stochastic Optimizer", "lbfgs failed to converge")
]

PATIENCE = 120
OPTIONS = {"n_shards": 3, "max_iter": 3, "batch_size": 20, "learning_rate_init": 0.02, "random_state": 0}


def arrays(m=600, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, 5))
    return X, np.array(["left", "middle", "right"])[X[:, :3].argmax(axis=1)], rng.random(m)


def classifier(**options):
    return MLPClassifier((8,), **OPTIONS | options)


def parameters(model):
    return np.concatenate([array.ravel() for array in (*model.coefs_, *model.intercepts_)])


def divided(array, sizes):
    return da.from_array(array, chunks=(tuple(sizes), *array.shape[1:]))


def fitted(model, X, y, *weight, sizes=(200, 200, 200)):
    return model.fit(*(divided(array, sizes) for array in (X, y, *weight)))


TABULAR = {"n_members": 2, "hidden_layer_sizes": 8, "numeric_embedding": "none", "n_epochs": 3, "batch_size": 20}


def table(m=300):
    """A data frame of numbers, text, dates and missing values, with a class and a value that depend on them."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    x, town = rng.standard_normal(m), rng.integers(0, 12, m)
    value = 3 * x + town
    return pandas.DataFrame({
        "x": np.where(rng.random(m) < 0.1, np.nan, x),
        "town": [None if number % 7 == 3 else f"town {town}" for number, town in enumerate(town)],
        "day": pandas.date_range("2024-01-01", periods=m, freq="7h"),
        "late": [None] * (m // 2) + ["early", "late"] * (m // 4),
        "class": np.where(value > 6, "dear", "cheap").astype(object),
        "value": value,
    })  # fmt: skip


COLUMNS = ["x", "town", "day", "late"]


def in_frames(frame, sizes):
    """The rows in partitions of these sizes."""
    frames = pytest.importorskip("dask.dataframe")
    ends = np.cumsum([0, *sizes])
    parts = [dask.delayed(frame[start:end]) for start, end in zip(ends[:-1], ends[1:], strict=True)]
    return frames.from_delayed(parts, meta=frame[:0])


def of_table(frame, sizes=(100, 100, 100), estimator=TabularClassifier, target="class", **options):
    """A small estimator, trained on a table."""
    model = estimator(**{"n_shards": 3, "random_state": 0} | TABULAR | options)
    return model.fit(in_frames(frame[[*dict.fromkeys([*COLUMNS, target])]], sizes), target)


def of_networks(model):
    return np.concatenate([network.params for network in model.networks_])


def soon(function, *args, **kwargs):
    """The function's result, which is not waited for for ever."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *args, **kwargs).result(PATIENCE)
    finally:
        pool.shutdown(wait=False)
