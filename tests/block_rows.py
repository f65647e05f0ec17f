"""A network, and rows in memory and in blocks, for the tests of blocks."""

from __future__ import annotations

import numpy as np

import fastnet as fn

LAYERS = [fn.Dense(8, "tanh", dropout=0.1), fn.Dense(3, "softmax")]


def build(dtype="float32"):
    return fn.Network(LAYERS, 5, dtype=dtype, random_state=0)


def arrays(m=203, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, 5)).astype(np.float32)
    return X, rng.integers(0, 3, m), rng.random(m).astype(np.float32)


def uneven(X, y, w=None, sizes=(7, 0, 60, 1, 100, 35)):
    """The same rows in blocks of these sizes."""
    ends = np.cumsum(sizes)

    def read(number):
        rows = slice(ends[number] - sizes[number], ends[number])
        return X[rows], y[rows], None if w is None else w[rows]

    return fn.data.from_batches(read, len(sizes), rows=sizes)
