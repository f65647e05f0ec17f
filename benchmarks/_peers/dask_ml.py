"""dask-ml's Incremental around scikit-learn's network: one model that passes over the blocks of a Dask array, in one process."""

from __future__ import annotations

import dask.array as da
import numpy as np
from dask_ml.wrappers import Incremental
from sklearn.neural_network import MLPClassifier

from benchmarks._tasks import LEARNING_RATE, Spread
from benchmarks._timing import Job


def spread(task: Spread, n_threads: int | None) -> Job:
    training = task.training
    X, y = (da.from_array(array, chunks=(-(-len(array) // 8), *array.shape[1:])) for array in training.data())
    network = MLPClassifier(training.hidden, batch_size=training.batch_size, learning_rate_init=LEARNING_RATE, random_state=0)
    model = Incremental(network, assume_equal_chunks=True, shuffle_blocks=False)
    classes = np.arange(training.n_outputs)

    def train(n: int) -> None:
        for _ in range(n):
            model.partial_fit(X, y, classes=classes)

    return train
