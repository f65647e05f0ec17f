"""NumPy: the forward pass that a user would write, and the pass that limits elementwise kernels."""

from __future__ import annotations

import numpy as np

from benchmarks._tasks import Inference, Kernel
from benchmarks._timing import Job


def predictor(task: Inference, n_threads: int | None) -> Job:
    weights, biases = task.parameters()
    X = task.data()

    def forward() -> np.ndarray:
        A = X
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            A = A @ W
            A += b
            np.maximum(A, 0, out=A)
        A = A @ weights[-1]
        A += biases[-1]
        A -= A.max(axis=-1, keepdims=True)
        np.exp(A, out=A)
        A /= A.sum(axis=-1, keepdims=True)
        return A

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            out = forward()
        return out

    return predict


def kernel(task: Kernel, n_threads: int | None) -> Job:
    """The fastest pass that reads one vector and writes another.

    It is not a copy: glibc's memcpy takes up to 30 times as long on some machines, depending on the addresses.
    """
    (size,) = task.arguments
    x = np.ones(size, task.dtype)
    out = np.empty_like(x)

    def run(n: int) -> None:
        for _ in range(n):
            np.negative(x, out)

    return run
