"""NumPy: the forward pass a user would write, and the copy that bounds elementwise kernels."""

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

    def predict(n: int) -> None:
        for _ in range(n):
            forward()

    return predict


def kernel(task: Kernel, n_threads: int | None) -> Job:
    """Copies of a vector."""
    (size,) = task.arguments
    x = np.ones(size, task.dtype)
    out = np.empty_like(x)

    def run(n: int) -> None:
        for _ in range(n):
            np.copyto(out, x)

    return run
