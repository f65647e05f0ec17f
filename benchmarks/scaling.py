"""How the time of an epoch grows with rows, width, depth and batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks._pool import Pool, fastnet
from benchmarks._results import check, row, slope
from benchmarks._tasks import Training

TITLE = "Scaling"

#: Steepest growth of the last decade that still counts as linear.
LINEAR = 1.1


@dataclass(frozen=True)
class Sweep:
    """Tasks by increasing `x`; `linear` if their time should grow in proportion to it, and not decrease."""

    name: str
    axis: str
    x: tuple[int, ...]
    tasks: tuple[Training, ...]
    linear: bool = True


def _n_params(task: Training) -> int:
    return sum(n_in * n_out + n_out for n_in, n_out in zip(task.sizes[:-1], task.sizes[1:], strict=True))


def _sweeps(quick: bool) -> list[Sweep]:
    rows = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
    widths = (4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048)
    depths = (1, 3, 10, 30, 100, 300, 1_000)
    batches = (1, 4, 16, 64, 256, 1_024, 4_096)
    if quick:
        rows, widths, depths, batches = rows[:5:2], widths[2:-2:2], depths[:5:2], batches[::2]
    by_rows = tuple(Training(f"{n} rows", n, 20, (64, 64), 2, 200) for n in rows)
    by_width = tuple(Training(f"width {n}", 1_024, 100, (n, n), 10, 256) for n in widths)
    by_depth = tuple(Training(f"{n} layers", 1_024, 64, (64,) * n, 2, 128) for n in depths)
    by_batch = tuple(Training(f"batch {n}", 8_192, 20, (64, 64), 2, n) for n in batches)
    return [
        Sweep("rows", "rows", rows, by_rows),
        Sweep("width", "parameters", tuple(map(_n_params, by_width)), by_width),
        Sweep("depth", "hidden layers", depths, by_depth),
        Sweep("batch", "rows of a batch", batches, by_batch, linear=False),
    ]


def run(pool: Pool, sweeps: Sequence[Sweep] | None = None) -> dict[str, Any]:
    chosen = sweeps or [sweep for sweep in _sweeps(pool.options.quick) if sweep.name in (pool.options.shapes or (sweep.name,))]
    return {"rows": [_swept(pool, sweep) for sweep in chosen]}


def _swept(pool: Pool, sweep: Sweep) -> dict[str, Any]:
    series = pool.compare([fastnet(task, str(x)) for x, task in zip(sweep.x, sweep.tasks, strict=True)])
    points = [[x, 1e3 * median(series[str(x)].seconds)] for x in sweep.x]
    last = [point for point in points if 10 * point[0] >= points[-1][0]]
    steps = [(b[1] / a[1]) / (b[0] / a[0]) for a, b in zip(points[:-1], points[1:], strict=True)]
    checks = [check("log-log slope", [slope(*zip(*points, strict=True))])]
    if sweep.linear:
        checks += [
            check("slope of the last decade", [slope(*zip(*last, strict=True))], LINEAR, at_most=True),
            check("steepest step / linear", [max(steps)]),
        ]
    result = row(sweep.name, "ms per epoch", 1e3, series, checks, axis=sweep.axis, points=points)
    pool.report(result)
    return result
