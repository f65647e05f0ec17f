"""fastnet: `Network.fit`, `Network.forward` and simultaneous fits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np

import fastnet as fn
from benchmarks._tasks import (
    CACHED,
    FILLED,
    LEARNING_RATE,
    MOMENTUM,
    PARQUET,
    WEIGHT_DECAY,
    Concurrent,
    Inference,
    Many,
    Streamed,
    Training,
)
from benchmarks._timing import Job
from fastnet import runtime

_OPTIMIZERS = {
    "sgd": fn.SGD(LEARNING_RATE),
    "momentum": fn.SGD(LEARNING_RATE, momentum=MOMENTUM),
    "adam": fn.Adam(LEARNING_RATE),
    "adamw": fn.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY),
}


def trainer(task: Training, n_threads: int | None) -> Job:
    X, y = task.data()
    net, seeds = network(task), count()
    if task.assumed_cores is not None:
        cores = task.assumed_cores
        runtime.thread_limit = lambda n_threads=None: n_threads or cores
    if task.own_loop:
        return _own_loop(net, X, y, task)
    options = {"optimizer": _OPTIMIZERS[task.optimizer], "batch_size": task.batch_size, "n_threads": n_threads}
    options |= dict(task.fit_options)
    calls = 1
    if task.call_a_batch:
        batches = np.array_split(np.random.default_rng(0).permutation(task.n_rows), -(-task.n_rows // task.batch_size))
        calls = len(batches)
        options["sampling"] = lambda session: batches[session.epoch % calls]

    def train(n: int) -> None:
        net.fit(X, y, epochs=n * calls, random_state=next(seeds), **options)

    return train


def _own_loop(net: fn.Network, X: np.ndarray, y: np.ndarray, task: Training) -> Job:
    """The epochs of `fit`, as users would write them."""
    optimizer, rng = _OPTIMIZERS[task.optimizer], np.random.default_rng(0)
    state = fn.init_state(net, optimizer)

    def train(n: int) -> None:
        for _ in range(n):
            order = rng.permutation(task.n_rows)
            for start in range(0, task.n_rows, task.batch_size):
                rows = order[start : start + task.batch_size]
                _, gradient = net.loss_and_grad(X[rows], y[rows])
                fn.update(net, gradient, state, optimizer)

    return train


def network(task: Training) -> fn.Network:
    """The untrained network of a task."""
    output = fn.Dense(task.n_outputs, "identity" if task.regression else "softmax")
    layers = [*(fn.Dense(n, task.activation) for n in task.hidden), output]
    return fn.Network(layers, task.n_features, dtype=task.dtype, random_state=0, **dict(task.network_options))


def _read(data: fn.data.Blocks, n_epochs: int) -> None:
    for _ in range(n_epochs):
        for number in range(len(data.sizes)):
            data.read(number)


def streamed(task: Streamed, n_threads: int | None) -> Job:
    """Training on rows that are read from a file, or on the arrays in memory."""
    training, written = task.training, task.written()
    opened = {
        "memory": lambda: written,
        "memory map": lambda: (fn.data.from_arrays(*written), None),
        PARQUET: lambda: (fn.data.from_parquet(written, "y").cached(0), None),
        CACHED: lambda: (fn.data.from_parquet(written, "y").cached(written.parent), None),
    }[CACHED if task.source == FILLED else task.source]
    if task.only_read:
        return lambda n: _read(opened()[0], n * task.n_epochs)
    net, seeds = network(training), count()
    options = {"optimizer": _OPTIMIZERS[training.optimizer], "batch_size": training.batch_size, "n_threads": n_threads}

    def fit(data: tuple[Any, Any], epochs: int) -> None:
        net.fit(*data, epochs=epochs, random_state=next(seeds), **options)

    filled = opened() if task.source == FILLED else None
    if filled:
        fit(filled, 1)

    def train(n: int) -> None:
        for _ in range(n):
            fit(filled or opened(), task.n_epochs)

    return train


def predictor(task: Inference, n_threads: int | None) -> Job:
    layers = [*(fn.Dense(n, "relu") for n in task.sizes[1:-1]), fn.Dense(task.sizes[-1], "softmax")]
    network, X = fn.Network.from_parameters(layers, *task.parameters()), task.data()

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            out = network.forward(X)
        return out

    return predict


def concurrent(task: Concurrent, n_threads: int | None) -> Job:
    """All fits of the task, on one thread each. A unit of work is one epoch of each fit, or one grid search."""
    return _grid_search(task) if task.grid_search else _fits(task)


def _fits(task: Concurrent) -> Job:
    trainers = [trainer(task.training, 1) for _ in range(task.fits)]
    executor = ThreadPoolExecutor(task.fits)

    def train(n: int) -> None:
        list(executor.map(lambda train_one: train_one(n), trainers))

    return train


def many(task: Many, n_threads: int | None) -> Job:
    """A unit of work is a fit of each network."""
    X, y = task.training.data()
    networks = [network(task.training) for _ in range(task.fits)]
    options = {"batch_size": task.training.batch_size, "epochs": task.epochs, "random_state": 0}

    def train(n: int) -> None:
        for _ in range(n):
            if task.together:
                fn.fit_many(networks, X, y, n_threads=n_threads, **options)
                continue
            for one in networks:
                one.fit(X, y, n_threads=1, **options)

    return train


def _grid_search(task: Concurrent) -> Job:
    import joblib
    from sklearn.model_selection import GridSearchCV

    X, y = task.training.data()
    model = fn.MLPClassifier(task.training.hidden, batch_size=task.training.batch_size, max_iter=5, random_state=0, n_threads=1)
    search = GridSearchCV(model, {"alpha": [1e-5, 1e-4, 1e-3, 1e-2]}, cv=2, n_jobs=task.fits, refit=False)

    def run(n: int) -> None:
        with joblib.parallel_config("threading"):
            for _ in range(n):
                search.fit(X, y)

    return run
