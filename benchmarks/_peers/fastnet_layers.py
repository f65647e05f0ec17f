"""fastnet: networks of layers beyond dense ones."""

from __future__ import annotations

from itertools import count

import numpy as np

import fastnet as fn
from benchmarks._layers import LayerInference, LayerTraining, Spec
from benchmarks._tasks import LEARNING_RATE
from benchmarks._timing import Job


def network(input_shape: tuple[int, ...], layers: tuple[Spec, ...], *, ragged: bool = False) -> fn.Network:
    made = [_layer(layer, len(input_shape) - 1) for layer in layers]
    return fn.Network(made, input_shape=input_shape, ragged=ragged, random_state=0)


def _layer(layer: Spec, n_axes: int) -> fn.Layer:
    match layer:
        case ("conv", filters, size, padding):
            return (fn.Conv2d if n_axes == 2 else fn.Conv1d)(filters, size, "relu", padding=padding)
        case ("pool", size):
            return fn.MaxPool(size)
        case ("flatten",):
            return fn.Flatten()
        case ("mean",):
            return fn.GlobalPool("mean")
        case ("last",):
            return fn.Last()
        case ("lstm" | "gru" as kind, units):
            return getattr(fn, kind.upper())(units)
        case ("embedding", n_ids, width):
            return fn.Embedding(n_ids, width)
        case ("tokens", width):
            return fn.FeatureTokens(width)
        case ("positions",):
            return fn.Positions()
        case ("block" | "causal" as kind, heads, units):
            return fn.TransformerBlock(heads, units, causal=kind == "causal")
        case ("norm",):
            return fn.LayerNorm()
        case ("linear", units):
            return fn.Dense(units, "identity")
        case ("dense", units):
            return fn.Dense(units, "relu")
        case _:
            return fn.Dense(layer[1], "softmax")


def trainer(task: LayerTraining, n_threads: int | None) -> Job:
    X, y = task.data()
    if task.lengths:
        X = fn.Ragged.from_rows([row[:n] for row, n in zip(X, task.row_lengths(), strict=True)])
    net, seeds = network(task.input_shape, task.layers, ragged=task.lengths is not None), count()
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
