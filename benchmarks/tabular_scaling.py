"""How time and memory of the tabular estimators grow with rows, columns and members.

Each fit of an epoch runs on one thread in a process of its own, in which nothing else has raised the peak of memory before.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._environment import available_memory
from benchmarks._pool import Pool
from benchmarks._results import check, row, slope
from benchmarks.scaling import LINEAR

TITLE = "Time and memory of tabular estimators"

_ROOT = Path(__file__).resolve().parent.parent
#: What the sweeps change: rows, columns and members of a fit.
_ROWS, _COLUMNS, _MEMBERS = 20_000, 100, 4
_SWEEPS: dict[str, tuple[int, ...]] = {
    "rows": (10_000, 30_000, 100_000, 300_000, 1_000_000),
    "columns": (10, 30, 100, 300, 1_000),
    "members": (1, 2, 4, 8, 16),
}
#: Copies of a table that a fit may need.
_COPIES = 6

_FIT = """
import json, time
import numpy as np, fastnet as fn
from pathlib import Path

def status(key):
    return 1024 * int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(key)))

rng = np.random.default_rng(0)
X = rng.standard_normal(({rows}, {columns}), dtype=np.float32)
y = X[:, 0] * X[:, 1] + X[:, 2] > 0
options = dict(preset="fast", n_epochs=1, numeric_embedding="piecewise_linear", random_state=0, n_threads=1)
fn.TabularClassifier(**options).fit(X[:100], y[:100])
Path("/proc/self/clear_refs").write_text("5")
before, start = status("VmRSS"), time.process_time()
fn.TabularClassifier(n_members={members}, **options).fit(X, y)
print(json.dumps([time.process_time() - start, (status("VmHWM") - before) / 1e6]))
"""


def run(pool: Pool) -> dict[str, Any]:
    """Two rows for each sweep: seconds of CPU, and megabytes beside the table."""
    sweeps = [name for name in _SWEEPS if name in (pool.options.shapes or _SWEEPS)]
    return {"rows": [result for name in sweeps for result in _swept(pool, name)]}


def _swept(pool: Pool, name: str) -> Iterator[dict[str, Any]]:
    found = {}
    for x in _SWEEPS[name][:: 2 if pool.options.quick else 1]:
        sizes = {"rows": _ROWS, "columns": _COLUMNS, "members": _MEMBERS} | {name: x}
        if not Path("/proc/self/clear_refs").exists() or 4 * _COPIES * sizes["rows"] * sizes["columns"] > available_memory():
            pool.note(f"{x} {name}: skipped, needs Linux and {_COPIES} times the memory of the table")
            continue
        found[x] = _measured(sizes)
        print(f"  {x} {name}: {found[x][0]:.1f} s, {found[x][1]:.0f} MB", flush=True)
    for place, unit in enumerate(("seconds", "megabytes")):
        points = [[x, values[place]] for x, values in found.items()]
        last = [point for point in points if 10 * point[0] >= points[-1][0]]
        checks = [check("slope of the last decade", [slope(*zip(*last, strict=True))], LINEAR, at_most=True)]
        result = row(f"{name}, {unit}", unit, 1.0, {}, checks, axis=name, points=points)
        pool.report(result)
        yield result


def _measured(sizes: dict[str, int]) -> list[float]:
    """Seconds of CPU and megabytes of a fit."""
    done = subprocess.run([sys.executable, "-c", _FIT.format(**sizes)], cwd=_ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
