"""Start-up, size and memory: the import time, the size of the wheel, and the memory that `fit` needs besides a large X."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._environment import available_memory
from benchmarks._pool import Pool
from benchmarks._results import Series, check, ratios, row

TITLE = "Start-up, size and memory"

_ROOT = Path(__file__).resolve().parent.parent
_IMPORTS = {"numpy and cython_blas": "numpy, scipy.linalg.cython_blas", "fastnet": "fastnet"}
_TIMED_IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"

_SIZES = (784, 512, 512, 10)
_BATCH = 128
_WHEEL_MEGABYTES = 4.0

# For a process of its own, in which nothing else has raised the peak before. /proc/self/clear_refs resets it.
_MEMORY = """
import numpy as np, fastnet as fn
from pathlib import Path

def status(key):
    return 1024 * int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(key)))

rng = np.random.default_rng(0)
X = np.empty(({rows}, {sizes}[0]), np.float32)
for start in range(0, len(X), 10_000):
    rng.standard_normal(dtype=np.float32, out=X[start:start + 10_000])
y = rng.integers({sizes}[-1], size=len(X))
net = fn.Network([*(fn.Dense(n, "relu") for n in {sizes}[1:-1]), fn.Dense({sizes}[-1], "softmax")], {sizes}[0])
small = fn.Network([fn.Dense(2, "softmax")], 2)
small.fit(np.zeros((64, 2), np.float32), np.arange(64) % 2, epochs=1)
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
net.fit(X, y, batch_size={batch}, epochs=1)
print(status("VmHWM") - before)
"""


def run(pool: Pool) -> dict[str, Any]:
    measures: tuple[Callable[[Pool], dict[str, Any] | None], ...] = (_imports, _wheel, _memory)
    rows = [result for measure in measures if (result := measure(pool))]
    for result in rows:
        pool.report(result)
    return {"rows": rows}


def _python(code: str) -> float:
    """The number that a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _imports(pool: Pool) -> dict[str, Any]:
    series = {label: Series() for label in _IMPORTS}
    for modules in _IMPORTS.values():
        _python(_TIMED_IMPORT.format(modules))  # to fill the file cache
    for _ in range(2 * pool.options.rounds):
        for label, modules in _IMPORTS.items():
            series[label].seconds.append(_python(_TIMED_IMPORT.format(modules)))
    base, own = series.values()
    ratio = check("fastnet / numpy and cython_blas", ratios(own, base), 1.2, at_most=True)
    return row("import", "ms", 1e3, series, [ratio])


def _wheel(pool: Pool) -> dict[str, Any] | None:
    wheels = sorted((_ROOT / "dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        pool.note("wheel: skipped, there is none in dist/ (python -m build --wheel)")
        return None
    size = check("megabytes", [wheels[-1].stat().st_size / 1e6], _WHEEL_MEGABYTES, at_most=True)
    return row(f"wheel {wheels[-1].name}", "", 1.0, {}, [size])


def _memory(pool: Pool) -> dict[str, Any] | None:
    """Growth of the peak during fit, compared with 3 x parameters + one batch (its rows, and Z, A and dZ of each layer)."""
    x_bytes = 200_000_000 if pool.options.quick else 1_000_000_000
    if not Path("/proc/self/clear_refs").exists() or 2 * x_bytes > available_memory():
        pool.note(f"memory of fit: skipped, needs Linux and {2 * x_bytes / 1e9:.1f} GB of free memory")
        return None
    rows = x_bytes // (4 * _SIZES[0])
    grown = _python(_MEMORY.format(rows=rows, sizes=_SIZES, batch=_BATCH))
    n_params = sum(n_in * n_out + n_out for n_in, n_out in zip(_SIZES[:-1], _SIZES[1:], strict=True))
    workspace = _BATCH * (_SIZES[0] + 3 * sum(_SIZES[1:]))
    allowed = 4 * (3 * n_params + workspace)
    checks = [
        check("growth / (3 x parameters + workspace)", [grown / allowed], 1.0, at_most=True),
        check("megabytes of growth", [grown / 1e6]),
    ]
    return row(f"memory of fit on {x_bytes / 1e9:.1f} GB", "", 1.0, {}, checks)
