"""Kernels of the compiled core at each level of vector instructions, as shares of their limits.

Elementwise functions are compared with the negation of a vector of the same size, products with BLAS's best rate on one core, and
optimiser updates also with a negation, by the bytes that they must move. Kernels are called from Python, so that the time of a
small product includes that of a call, about a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import train
from benchmarks._peers.fastnet_kernels import UPDATES
from benchmarks._pool import Entry, Pool
from benchmarks._results import Series, check, row
from benchmarks._tasks import Kernel

TITLE = "Kernels"

_FUNCTIONS = tuple((name, dtype) for dtype in ("float32", "float64") for name in ("exp", "tanh", "sigmoid", "log"))
_VECTOR = 16_384  # floats: input and output stay in the second-level cache
#: (m, n, k, A transposed, B transposed): forward, dW and dA of layers, the smallest first.
_PRODUCTS = (
    (32, 64, 20, False, False),
    (32, 64, 64, False, False),
    (64, 64, 32, True, False),
    (32, 64, 64, False, True),
    (32, 2, 64, False, False),
    (1, 64, 64, False, False),
    (200, 64, 64, False, False),
    (256, 256, 100, False, False),
    (256, 10, 256, False, False),
    (256, 256, 256, True, False),
    (128, 512, 784, False, False),
    (784, 512, 128, True, False),
    (1_024, 2_048, 1_024, False, False),
)
#: Values moved for each parameter by a batch of one row: W is read forward; then W and the states are read and written.
_SWEEPS = {"sgd": 3, "momentum": 5, "adam": 7}
_LAYER = (256, 256)


def run(pool: Pool, levels: Sequence[str] | None = None) -> dict[str, Any]:
    from fastnet._core import supported_levels

    levels = supported_levels() if levels is None else levels
    limit = max(train.rates(pool.compare([train.gemm(threads=1)])))
    print(f"  limit of products: sgemm of n = 1024 on one core, {limit / 1e9:.0f} GFLOP/s", flush=True)
    quick = pool.options.quick
    rows = [
        *(_elementwise(pool, *function, levels) for function in (_FUNCTIONS[:2] if quick else _FUNCTIONS)),
        *(_sweep(pool, optimizer, levels) for optimizer in (("adam",) if quick else _SWEEPS)),
        *(_product(pool, shape, levels, limit) for shape in (_PRODUCTS[:2] if quick else _PRODUCTS)),
    ]
    return {"gemm_flops": limit, "rows": rows}


def _at(level: str, label: str, task: Kernel) -> Entry:
    """A kernel of one level, on one thread."""
    return Entry(label, "fastnet_kernels", task, (1,), (("FASTNET_CPU", level),))


def _negation(size: int, dtype: str) -> Entry:
    return Entry("negation", "numpy", Kernel("negation", (size,), dtype), (1,))


def _elementwise(pool: Pool, function: str, dtype: str, levels: Sequence[str]) -> dict[str, Any]:
    task = Kernel(function, (_VECTOR,), dtype)
    series = pool.compare([_negation(_VECTOR, dtype), *(_at(level, level, task) for level in levels)])
    floor = min(series["negation"].seconds)
    return _row(pool, f"{function} {dtype}", series, levels, "of a negation's bytes per second", lambda seconds: floor / seconds)


def _sweep(pool: Pool, optimizer: str, levels: Sequence[str]) -> dict[str, Any]:
    n_in, n_out = _LAYER
    task = Kernel("update", (optimizer, n_in, n_out))
    series = pool.compare([_negation(n_in * n_out, "float32"), *(_at(level, level, task) for level in levels)])
    floor = UPDATES * min(series["negation"].seconds) * _SWEEPS[optimizer] / 2  # which reads and writes
    what = "of a negation's bytes per second"
    return _row(pool, f"{optimizer}, layer of {n_in} x {n_out}", series, levels, what, lambda seconds: floor / seconds)


def _product(pool: Pool, shape: tuple[int, int, int, bool, bool], levels: Sequence[str], limit: float) -> dict[str, Any]:
    m, n, k, transpose_a, transpose_b = shape
    by_blas = _at(levels[-1], "BLAS", Kernel("product", (*shape, True)))
    series = pool.compare([by_blas, *(_at(level, level, Kernel("product", (*shape, False))) for level in levels)])
    name = f"({m}, {k}){'.T' * transpose_a} ({k}, {n}){'.T' * transpose_b}"
    flops = 2.0 * m * n * k
    return _row(pool, name, series, ("BLAS", *levels), "of the GEMM limit", lambda seconds: flops / limit / seconds)


def _row(
    pool: Pool, name: str, series: dict[str, Series], labels: Sequence[str], what: str, share: Callable[[float], float]
) -> dict[str, Any]:
    shares = [check(f"{label}: share {what}", list(map(share, series[label].seconds))) for label in labels if label in series]
    result = row(name, "us per call", 1e6, series, shares)
    pool.report(result)
    return result
