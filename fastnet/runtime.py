"""Threads and the environment: how many threads fastnet may use, BLAS's number of threads, and `show_config`."""

from __future__ import annotations

import ctypes
import os
import platform
import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import metadata
from itertools import product
from time import monotonic
from typing import Any, NamedTuple, ParamSpec, TypeVar

from fastnet import _cgroups, _checks
from fastnet._core.guards import SingleThreadedBLAS

try:  # not later: if another thread forks while a module is being imported, the child can never import it
    from threadpoolctl import ThreadpoolController
except ImportError:
    ThreadpoolController = None

P = ParamSpec("P")
T = TypeVar("T")

#: threadpoolctl's name of a library -> names of its ``int get(void)`` and ``void set(int)``, without affixes.
_FUNCTIONS = {
    "openblas": ("openblas_get_num_threads", "openblas_set_num_threads"),
    "openmp": ("omp_get_max_threads", "omp_set_num_threads"),
    "mkl": ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    "blis": ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),
    "flexiblas": ("flexiblas_get_num_threads", "flexiblas_set_num_threads"),
}

#: CPU level that OpenBLAS's cores for x86-64 need; the others run on every x86-64-v2 machine.
_CORE_LEVELS = {"haswell": 3, "zen": 3, "excavator": 3, "skylakex": 4, "cooperlake": 4, "sapphirerapids": 4}


class _Library(NamedTuple):
    """The functions that read and set the number of threads of a BLAS library."""

    path: str
    get: Callable[[], int]
    set: Callable[[int], Any]


def _library(controller: Any) -> _Library | None:
    """From threadpoolctl's controller; the functions themselves, since threadpoolctl lets only one thread set OpenBLAS."""
    per_thread = controller.internal_api == "openblas" and controller.threading_layer == "openmp"
    names = _FUNCTIONS.get("openmp" if per_thread else controller.internal_api, ("", ""))
    for prefix, suffix in product(("", "scipy_"), ("", "64_", "_64")):
        get, set_ = (getattr(controller.dynlib, f"{prefix}{name}{suffix}", None) for name in names)
        if get and set_:
            return _Library(controller.filepath, get, set_)
    return None


@cache
def _libraries() -> tuple[_Library, ...]:
    if ThreadpoolController is None:
        return ()
    controllers = [lib for lib in ThreadpoolController().lib_controllers if lib.user_api == "blas"]
    return tuple(library for library in map(_library, controllers) if library is not None)


def _blas() -> tuple[_Library, ...]:
    """The BLAS library that scipy calls; all loaded ones if scipy's cannot be identified."""
    bundled = tuple(lib for lib in _libraries() if "scipy.libs" in lib.path or "scipy/.dylibs" in lib.path)
    return bundled or _libraries()


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_single_threaded = SingleThreadedBLAS(
    [(_address(lib.get), _address(lib.set)) for lib in _blas()],
    [_address(lib.get) for lib in _libraries() if lib not in _blas()],
)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_single_threaded.forget_other_threads)


def single_threaded_blas(needed: bool, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """``function(*args, **kwargs)`` with BLAS limited to one thread, because fastnet's own threads call BLAS in parallel.

    The limit holds for the whole process. Simultaneous calls are counted: the first one sets it, the last one restores it.

    Parameters
    ----------
    needed : bool
        False: leave BLAS alone.
    """
    return _single_threaded.call(function, *args, **kwargs) if needed else function(*args, **kwargs)


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
    """Read again every minute, because the quota of a running container can change."""
    return _cgroups.cpu_limit()


def thread_limit(n_threads: int | None = None) -> int:
    """Number of threads that a call may use.

    Parameters
    ----------
    n_threads : int or None
        The caller's own limit.

    Returns
    -------
    int
        The smallest of `n_threads`, the CPUs this process may run on, the CPU quota of its container, OMP_NUM_THREADS, and the
        limit that BLAS has (threadpoolctl's, or its own environment variable).
    """
    if n_threads is not None and _checks.positive_int(n_threads, "n_threads") == 1:
        return 1
    limits = [n_threads, _affinity(), _quota(int(monotonic() // 60)), _omp_limit(), _single_threaded.limit]
    return min(int(limit) for limit in limits if limit is not None)


def _forced_core_warning(level: str) -> str | None:
    """A warning about OPENBLAS_CORETYPE if it makes OpenBLAS use an older core than the machine has, or None."""
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
        OPENBLAS_CORETYPE makes OpenBLAS use an older core than the machine has.
    """
    import scipy.linalg.cython_blas  # noqa: F401  loads the library to be reported
    from threadpoolctl import threadpool_info

    from fastnet import __version__, _core

    rows = [("fastnet", __version__), ("python", platform.python_version())]
    for package in ("numpy", "scipy", "scikit-learn"):
        try:
            rows.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            rows.append((package, "not installed"))
    rows += [("machine", f"{platform.system()} {platform.machine()}"), ("core level", _core.level)]
    for library in threadpool_info():
        if library["user_api"] == "blas":
            about = [str(library.get(key) or "?") for key in ("internal_api", "version", "architecture")]
            n = library["num_threads"]
            rows.append(("BLAS", f"{' '.join(about)}, {n} thread{'s' * (n != 1)}, {os.path.basename(library['filepath'])}"))
    rows.append(("thread limit", str(thread_limit())))
    for name, value in rows:
        print(f"{name + ':':14}{value}")
    warning = _forced_core_warning(_core.supported_levels()[-1])
    if warning:
        warnings.warn(warning, RuntimeWarning, stacklevel=2)
