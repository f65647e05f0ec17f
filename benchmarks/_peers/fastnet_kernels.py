"""Single kernels of fastnet's compiled core, at the level set by FASTNET_CPU."""

from __future__ import annotations

import numpy as np

from benchmarks._peers import Unsupported
from benchmarks._peers import fastnet as training
from benchmarks._tasks import Kernel, Training
from benchmarks._timing import Job
from fastnet._core import core

#: Batches of one row in a unit of work of "update".
UPDATES = 64


def kernel(task: Kernel, n_threads: int | None) -> Job:
    make = {"product": _product, "update": _update}.get(task.function, _elementwise)
    return make(task)


def _elementwise(task: Kernel) -> Job:
    (size,) = task.arguments
    x = np.random.default_rng(0).uniform(0.1, 5.0, size).astype(task.dtype)
    function, out = getattr(core, task.function), np.empty_like(x)

    def run(n: int) -> None:
        for _ in range(n):
            function(x, out)

    return run


def _product(task: Kernel) -> Job:
    """C (m, n) = op(A) op(B) with k terms, by fastnet's own code or by BLAS."""
    m, n, k, transpose_a, transpose_b, blas = task.arguments
    rng = np.random.default_rng(0)
    A = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(task.dtype)
    B = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(task.dtype)
    C = np.empty((m, n), task.dtype)
    try:
        core.product(A, B, C, transpose_a, transpose_b, blas=blas)
    except NotImplementedError as reason:
        raise Unsupported(str(reason)) from None

    def run(n: int) -> None:
        for _ in range(n):
            core.product(A, B, C, transpose_a, transpose_b, blas=blas)

    return run


def _update(task: Kernel) -> Job:
    """`UPDATES` batches of one row through one layer; the optimiser takes nearly all of the time."""
    optimizer, n_in, n_out = task.arguments
    layer = Training("update", UPDATES, n_in, (), n_out, 1, optimizer=optimizer, dtype=task.dtype)
    return training.trainer(layer, 1)
