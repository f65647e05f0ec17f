"""scipy's BLAS, which fastnet calls too: the limit of products."""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas

from benchmarks._tasks import Gemm
from benchmarks._timing import Job


def gemm(task: Gemm, n_threads: int | None) -> Job:
    rng = np.random.default_rng(0)
    A, B = (np.asfortranarray(rng.standard_normal((task.n, task.n)), task.dtype) for _ in range(2))
    C = np.zeros((task.n, task.n), task.dtype, order="F")
    multiply = blas.sgemm if task.dtype == "float32" else blas.dgemm

    def run(n: int) -> None:
        for _ in range(n):
            multiply(1.0, A, B, c=C, overwrite_c=True)

    return run
