"""fastnet: networks of layers beyond dense ones."""

from __future__ import annotations

from itertools import count

import numpy as np

import fastnet as fn
from benchmarks._layers import LayerInference, LayerTraining, Spec
from benchmarks._tasks import LEARNING_RATE
from benchmarks._timing import Job


def network(input_shape: tuple[int, ...], layers: tuple[Spec, ...]) -> fn.Network:
    made = [made for layer in layers for made in _layers(layer, len(input_shape) - 1)]
    return fn.Network(made, input_shape=input_shape, random_state=0)


def _layers(layer: Spec, n_axes: int) -> list[fn.Layer]:
    match layer:
        case ("conv", filters, size, padding):
            return [(fn.Conv2d if n_axes == 2 else fn.Conv1d)(filters, size, "relu", padding=padding)]
        case ("pool", size):
            return [fn.MaxPool(size)]
        case ("flatten",):
            return [fn.Flatten()]
        case ("mean",):
            return [fn.GlobalPool("mean")]
        case ("lstm" | "gru" as kind, units):
            return [getattr(fn, kind.upper())(units)]
        case ("dense", units):
            return [fn.Dense(units, "relu")]
        case _:
            return [fn.Dense(layer[1], "softmax")]


def trainer(task: LayerTraining, n_threads: int | None) -> Job:
    X, y = task.data()
    net, seeds = network(task.input_shape, task.layers), count()
    options = {"optimizer": fn.Adam(LEARNING_RATE), "batch_size": task.batch_size, "n_threads": n_threads}

    def train(n: int) -> None:
        net.fit(X, y, epochs=n, random_state=next(seeds), **options)

    return train


def predictor(task: LayerInference, n_threads: int | None) -> Job:
    net, X = network(task.input_shape, task.layers), task.data()

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            out = net.forward(X)
        return out

    return predict
