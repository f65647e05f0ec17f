"""Training: seven shapes beside scikit-learn, PyTorch and JAX, and beside the limit that BLAS's products set."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks._pool import Entry, Pool, fastnet, peer
from benchmarks._results import Series, check, ratios, row
from benchmarks._tasks import Gemm, Training

TITLE = "Training"


def _goals(sklearn: float, torch: float, jax: float) -> dict[str, float]:
    return {"scikit-learn": sklearn, "PyTorch": torch, "JAX": jax}


SHAPES = (
    Training("xs", 2_000, 2, (16,), 2, 32, _goals(100, 140, 14)),
    Training("tab", 20_000, 20, (64, 64), 2, 32, _goals(35, 40, 7)),
    Training("tab200", 20_000, 20, (64, 64), 2, 200, _goals(14, 11, 6)),
    Training("digits", 1_797, 64, (100,), 10, 200, _goals(12, 9, 5)),
    Training("med", 50_000, 100, (256, 256), 10, 256, _goals(4.2, 3.0, 2.0)),
    Training("mnist", 60_000, 784, (512, 512), 10, 128, _goals(3.9, 2.6, 1.35), 0.75),
    Training("big", 8_192, 1_024, (2_048, 2_048), 10, 1_024, _goals(2.0, 2.1, 1.3), 0.88),
)
QUICK = ("xs", "tab200", "med")


def run(pool: Pool, shapes: Sequence[Training] = SHAPES) -> dict[str, Any]:
    tasks = pool.options.chosen(shapes, QUICK)
    limit = gemm_limit(pool)
    print(f"  limit: sgemm of n = 1024 on all cores, {limit / 1e9:.0f} GFLOP/s", flush=True)
    return {"gemm_flops": limit, "rows": [result for task in tasks if (result := compared(pool, task, limit))]}


def gemm_limit(pool: Pool, threads: int | None = None, dtype: str = "float32") -> float:
    """Best rate of BLAS's product of square matrices of order 1024, in floating-point operations a second."""
    task = Gemm(dtype=dtype)
    series = pool.compare([Entry("GEMM", "blas", task, (threads,))])
    return task.flops / min(series["GEMM"].seconds)


def compared(pool: Pool, task: Training, limit: float | None = None) -> dict[str, Any] | None:
    """fastnet beside the peers that the task has goals for; None if memory does not suffice.

    With the rate of the GEMM limit, each peer's figure says what it would be if fastnet took no time but that of its products.
    """
    series = pool.compare([fastnet(task), *(peer(label, task) for label in task.goals)])
    if not series:
        return None
    own = series["fastnet"]
    checks = [check(label, ratios(series[label], own), goal) for label, goal in task.goals.items() if label in series]
    if limit is not None:
        for figure in checks:
            figure["at_limit"] = 1 / median(_shares(task, series[figure["what"]], limit))
        checks.append(check("share of GEMM limit", _shares(task, own, limit), task.limit_goal))
    about = {"rows": task.n_rows, "sizes": task.sizes, "batch_size": task.batch_size, "dtype": task.dtype}
    result = row(task.name, task.unit, task.scale, series, checks, task=about)
    pool.report(result)
    return result


def _shares(task: Training, own: Series, limit: float) -> list[float]:
    return [task.flops / limit / seconds for seconds in own.seconds]
