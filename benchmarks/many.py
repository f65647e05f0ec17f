"""Many fits of small networks, by a loop and by `fastnet.fit_many`."""

from __future__ import annotations

from typing import Any

from benchmarks._pool import Pool, fastnet
from benchmarks._results import check, ratios, row
from benchmarks._tasks import Many, Training

TITLE = "Many fits"

#: Networks, how many fits of each there are, and of how many epochs.
SHAPES = (
    (Training("tiny", 500, 20, (16,), 2, 32), 100, 3),
    (Training("small", 2_000, 20, (64, 64), 2, 32), 20, 5),
    (Training("small", 2_000, 20, (64, 64), 2, 32), 200, 5),
)  # fmt: skip


def run(pool: Pool) -> dict[str, Any]:
    return {"rows": [_row(pool, *shape) for shape in SHAPES]}


def _row(pool: Pool, task: Training, fits: int, epochs: int) -> dict[str, Any]:
    entries = [fastnet(Many(task, fits, epochs, together), label) for label, together in (("loop", False), ("fit_many", True))]
    series = pool.compare(entries)
    gain = check("loop / fit_many", ratios(series["loop"], series["fit_many"]), 1.8)
    name = f"{fits} fits of {'-'.join(map(str, task.sizes))} to {task.n_rows} rows, {epochs} epochs"
    result = row(name, "ms", 1e3, series, [gain])
    pool.report(result)
    return result
