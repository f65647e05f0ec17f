"""Threads and the environment: how many threads fastnet may use, BLAS's own setting, and what `show_config` prints."""

from __future__ import annotations

import os
import platform
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from importlib import metadata
from itertools import product
from time import monotonic
from typing import Any, NamedTuple

from fastnet import _cgroups, _checks

#: CPU level that OpenBLAS's x86-64 cores need; all others run on every x86-64-v2 machine.
_CORE_LEVELS = {"haswell": 3, "zen": 3, "excavator": 3, "skylakex": 4, "cooperlake": 4, "sapphirerapids": 4}


class _Library(NamedTuple):
    """How to read and set the number of threads of a BLAS library."""

    get: Callable[[], int | None]
    set: Callable[[int], Any]


def _library(controller: Any) -> _Library:
    """Of threadpoolctl's controller; OpenBLAS with its own threads is called directly.

    threadpoolctl lets only one Python thread change OpenBLAS's setting, and ignores the others.
    """
    if controller.internal_api == "openblas" and controller.threading_layer != "openmp":
        for prefix, suffix in product(("scipy_", ""), ("", "64_", "_64")):
            names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
            if all(hasattr(controller.dynlib, name) for name in names):
                return _Library(*(getattr(controller.dynlib, name) for name in names))
    return _Library(controller.get_num_threads, controller.set_num_threads)


@cache
def _blas() -> tuple[_Library, ...]:
    """The BLAS library that scipy calls (all that are loaded, where scipy's own cannot be told)."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return ()
    controllers = [lib for lib in ThreadpoolController().lib_controllers if lib.user_api == "blas"]
    bundled = [lib for lib in controllers if "scipy.libs" in lib.filepath or "scipy/.dylibs" in lib.filepath]
    return tuple(map(_library, bundled or controllers))


class _SingleThreadedBLAS:
    """A context in which BLAS has one thread; the first of concurrent callers sets it, the last puts back what was before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callers = 0
        self._before: list[int | None] = []

    def threads(self) -> int | None:
        """BLAS's limit outside of fastnet; None if it is not known."""
        with self._lock:
            limits = self._before if self._callers else [lib.get() for lib in _blas()]
        return min((limit for limit in limits if limit), default=None)

    def __enter__(self) -> None:
        with self._lock:
            if self._callers == 0:
                self._before = [lib.get() for lib in _blas()]
                self._set_where_not_one(1)
            self._callers += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._callers -= 1
            if self._callers == 0:
                self._set_where_not_one(None)

    def _set_where_not_one(self, n_threads: int | None) -> None:
        """Set the libraries that had more than one thread to `n_threads`, or back."""
        for lib, before in zip(_blas(), self._before, strict=True):
            if before and before != 1:
                lib.set(before if n_threads is None else n_threads)


_single_threaded = _SingleThreadedBLAS()
_unchanged = nullcontext()


def single_threaded_blas(needed: bool = True) -> AbstractContextManager[None]:
    """BLAS at one thread inside the block; fastnet's own threads call it side by side.

    BLAS's setting is one for the whole process. Concurrent blocks are counted: the first sets it, the last restores it.

    Parameters
    ----------
    needed : bool
        False: do nothing.
    """
    return _single_threaded if needed else _unchanged


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def _omp_limit() -> int | None:
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


@lru_cache(maxsize=1)
def _quota(minute: int) -> int | None:
    """Read again every minute: containers can be given more or less while they run."""
    return _cgroups.cpu_limit()


def thread_limit(n_threads: int | None = None) -> int:
    """Threads that a call may use.

    Parameters
    ----------
    n_threads : int or None
        The caller's own limit.

    Returns
    -------
    int
        The least of `n_threads`, the CPUs this process may run on, the CPU quota of its container, OMP_NUM_THREADS, and the limit
        that BLAS has (threadpoolctl's, or its own environment variable).
    """
    limits = [_affinity(), _quota(int(monotonic() // 60)), _omp_limit(), _single_threaded.threads()]
    if n_threads is not None:
        limits.append(_checks.positive_int(n_threads, "n_threads"))
    return min(limit for limit in limits if limit is not None)


def _forced_core_warning(level: str) -> str | None:
    """What to tell about OPENBLAS_CORETYPE, if it forces a core that is older than the machine's."""
    core = os.environ.get("OPENBLAS_CORETYPE")
    machine = {"v2": 2, "v3": 3, "v4": 4}.get(level)
    if not core or machine is None or _CORE_LEVELS.get(core.lower(), 2) >= machine:
        return None
    return (
        f"OPENBLAS_CORETYPE={core} makes OpenBLAS use kernels older than this machine (x86-64-{level}); unset it for full speed."
    )


def show_config() -> None:
    """Print versions, the CPU level of the compiled core, the BLAS libraries with core name and threads, and the thread limit.

    Warns
    -----
    RuntimeWarning
        OPENBLAS_CORETYPE forces an older core on OpenBLAS than the machine has.
    """
    import scipy.linalg.cython_blas  # noqa: F401  loads the library that is to be reported
    from threadpoolctl import threadpool_info

    from fastnet import __version__, _core

    rows = [("fastnet", __version__), ("python", platform.python_version())]
    for package in ("numpy", "scipy", "scikit-learn"):
        try:
            rows.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            rows.append((package, "not installed"))
    rows += [("machine", f"{platform.system()} {platform.machine()}"), ("engine level", _core.level)]
    for library in threadpool_info():
        if library["user_api"] == "blas":
            about = [str(library.get(key) or "?") for key in ("internal_api", "version", "architecture")]
            rows.append(("BLAS", f"{' '.join(about)}, {library['num_threads']} threads, {os.path.basename(library['filepath'])}"))
    rows.append(("thread limit", str(thread_limit())))
    for name, value in rows:
        print(f"{name + ':':14}{value}")
    warning = _forced_core_warning(_core.supported_levels()[-1])
    if warning:
        warnings.warn(warning, RuntimeWarning, stacklevel=2)
