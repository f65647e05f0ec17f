"""Training of seven networks, compared with scikit-learn, PyTorch and JAX, and with the limit that BLAS's products set."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks._pool import Entry, Pool, fastnet, peers
from benchmarks._results import Series, check, network_name, ratios, row
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
    return compared(pool, pool.options.chosen(shapes, QUICK))


def gemm(threads: int | None = None, dtype: str = "float32") -> Entry:
    """BLAS's product of square matrices of order 1024: its rate is the limit of products."""
    return Entry("GEMM", "blas", Gemm(dtype=dtype), (threads,))


def rates(series: dict[str, Series]) -> list[float]:
    """Rates of `gemm` in floating-point operations per second, round by round."""
    return [Gemm().flops / seconds for seconds in series["GEMM"].seconds]


def compared(pool: Pool, tasks: Sequence[Training]) -> dict[str, Any]:
    """A group with a row for each task for which there is enough memory: fastnet, the GEMM limit, and the peers with goals.

    Each peer's figure also says what it would be if fastnet did nothing but products at the limit.
    """
    entries = [[gemm(dtype=task.dtype), fastnet(task), *peers(task.goals, task, pool.options)] for task in tasks]
    rows = [_row(task, series) for task, series in zip(tasks, pool.compare_each(entries), strict=True) if series]
    for result in rows:
        pool.report(result)
    return {"rows": rows}


def _row(task: Training, series: dict[str, Series]) -> dict[str, Any]:
    limits = rates(series)
    timed = {label: one for label, one in series.items() if label != "GEMM"}
    own = timed["fastnet"]
    compared = [(label, timed[label]) for label in timed if label != "fastnet"]
    checks = [check(label, ratios(peer, own), task.goals.get(label)) for label, peer in compared]
    for figure in checks:
        if "goal" in figure:
            figure["at_limit"] = 1 / median(_shares(task, timed[figure["what"]], limits))
    checks.append(check("share of GEMM limit", _shares(task, own, limits), task.limit_goal))
    about = {"rows": task.n_rows, "sizes": task.sizes, "batch_size": task.batch_size, "dtype": task.dtype}
    title = f"{task.name}: training on {task.n_rows:,} rows, network {network_name(task.sizes)}, batches of {task.batch_size}"
    return row(task.name, task.unit, task.scale, timed, checks, title=title, task=about, gemm_flops=limits)


def _shares(task: Training, timed: Series, limits: Sequence[float]) -> list[float]:
    """Shares of the limit that was measured in the same round."""
    return [task.flops / limit / seconds for limit, seconds in zip(limits, timed.seconds, strict=True)]
