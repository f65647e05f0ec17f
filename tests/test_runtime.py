"""Limits of threads, and the report of the environment."""

from __future__ import annotations

import ctypes
import os
import warnings
from functools import lru_cache
from types import SimpleNamespace

import pytest
import threadpoolctl
from helpers import run_python

import fastnet as fn
from fastnet import _cgroups, _core, runtime
from fastnet._core.guards import SingleThreadedBLAS


@pytest.fixture
def machine(monkeypatch):
    """A machine with 16 CPUs and nothing that limits threads."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(runtime, "_quota", lambda minute: None)
    monkeypatch.setattr(runtime, "_single_threaded", SimpleNamespace(limit=None))
    return monkeypatch


def test_all_cpus_by_default(machine):
    assert runtime.thread_limit() == 16
    assert runtime.thread_limit(3) == 3
    assert runtime.thread_limit(99) == 16


def test_affinity(machine):
    machine.setattr(os, "sched_getaffinity", lambda pid: {2, 5, 7}, raising=False)
    assert runtime.thread_limit() == 3


def test_a_platform_without_affinity(machine):
    machine.delattr(os, "sched_getaffinity")
    machine.setattr(os, "cpu_count", lambda: 6)
    assert runtime.thread_limit() == 6
    machine.setattr(os, "cpu_count", lambda: None)
    assert runtime.thread_limit() == 1


@pytest.mark.parametrize(("value", "limit"), [("4", 4), ("5,2", 5), ("", 16), ("0", 16), ("many", 16), (" 3 ", 3)])
def test_omp_num_threads(machine, value, limit):
    machine.setenv("OMP_NUM_THREADS", value)
    assert runtime.thread_limit() == limit


def test_limit_of_blas(machine):
    machine.setattr(runtime, "_single_threaded", SimpleNamespace(limit=2))
    assert runtime.thread_limit() == 2
    assert runtime.thread_limit(1) == 1


def test_quota_of_a_container(machine):
    machine.setattr(runtime, "_quota", lambda minute: 3)
    assert runtime.thread_limit() == 3
    assert runtime.thread_limit(2) == 2


def test_the_quota_is_read_once_a_minute(monkeypatch):
    quotas = iter([5, 7])
    monkeypatch.setattr(_cgroups, "cpu_limit", lambda: next(quotas))
    monkeypatch.setattr(runtime, "_quota", lru_cache(maxsize=1)(runtime._quota.__wrapped__))
    assert [runtime._quota(minute) for minute in (1, 1, 2, 2)] == [5, 5, 7, 7]


#: Files below the root, and the number of CPUs that they allow.
QUOTAS = {
    "not Linux": ({}, None),
    "no quota": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
    "version 2 in a container": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
    "rounded up": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}, 3),
    "less than one CPU": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "1000 100000"}, 1),
    "an outer group has less": (
        {
            "proc/self/cgroup": "0::/pods/pod1/job",
            "sys/fs/cgroup/pods/cpu.max": "800000 100000",
            "sys/fs/cgroup/pods/pod1/cpu.max": "150000 50000",
            "sys/fs/cgroup/pods/pod1/job/cpu.max": "400000 100000",
        },
        3,
    ),
    "the inner group has less": (
        {
            "proc/self/cgroup": "0::/pods/pod1",
            "sys/fs/cgroup/pods/cpu.max": "max 100000",
            "sys/fs/cgroup/pods/pod1/cpu.max": "400000 100000",
        },
        4,
    ),
    "beside it, not around it": (
        {
            "proc/self/cgroup": "0::/a",
            "sys/fs/cgroup/a/cpu.max": "400000 100000",
            "sys/fs/cgroup/b/cpu.max": "100000 100000",
        },
        4,
    ),
    "outside of what the container sees": (
        {
            "proc/self/cgroup": "0::/../other",
            "sys/fs/cgroup/cpu.max": "200000 100000",
            "sys/fs/other/cpu.max": "100000 100000",
        },
        2,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "12:memory:/x\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "300000",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "200000",
        },
        2,
    ),
    "version 1 in a container that does not see the path": (
        {
            "proc/self/cgroup": "4:cpu:/docker/abc",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "500000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        5,
    ),
    "version 1 without a quota": (
        {
            "proc/self/cgroup": "4:cpu:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        None,
    ),
    "both versions, CPUs by version 1": (
        {
            "proc/self/cgroup": "2:cpu:/a\n0::/a",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
        },
        2,
    ),
    "other words than expected": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "many"}, None),
}


@pytest.mark.parametrize(("files", "expected"), QUOTAS.values(), ids=QUOTAS)
def test_quotas_of_control_groups(files, expected, tmp_path):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert _cgroups.cpu_limit(tmp_path) == expected


@pytest.mark.parametrize("n_threads", [0, -1])
def test_bad_number_of_threads(n_threads):
    with pytest.raises(ValueError, match=f"n_threads must be at least 1, got {n_threads}"):
        runtime.thread_limit(n_threads)


@pytest.fixture
def blas():
    """A function that reads the number of threads of scipy's BLAS. All BLAS libraries have three, whatever the CPUs."""
    libraries = runtime._libraries()
    if not libraries:
        pytest.skip("the number of threads of this BLAS cannot be read")
    before = [lib.get() for lib in libraries]
    for lib in libraries:
        lib.set(3)
    yield lambda: {lib.get() for lib in runtime._blas()}
    for lib, n_threads in zip(libraries, before, strict=True):
        lib.set(n_threads)


def test_limits_of_threadpoolctl_are_respected_also_while_fastnet_computes(blas):
    def compute():
        assert blas() == {1}
        return runtime._single_threaded.limit

    assert runtime._single_threaded.limit == 3
    with threadpoolctl.threadpool_limits(2):
        assert runtime._single_threaded.limit == 2
        assert runtime.single_threaded_blas(True, compute) == 2
        assert runtime._single_threaded.limit == 2
        assert blas() == {2}
    assert blas() == {3}


def test_a_limit_of_another_thread_that_outlives_the_call_is_not_taken_for_the_users(blas):
    """threadpoolctl, in scikit-learn's KMeans of another thread, finds BLAS at one thread and puts that back after the call."""
    if len(runtime._libraries()) == len(runtime._blas()):
        pytest.skip("NumPy's and scipy's BLAS are one library")
    limits = runtime.single_threaded_blas(True, threadpoolctl.threadpool_limits, 1)
    assert runtime._single_threaded.limit == 1  # the limit is in force
    limits.restore_original_limits()
    assert blas() == {1}
    assert runtime._single_threaded.limit == 3
    assert runtime.single_threaded_blas(True, blas) == {1}
    assert blas() == {3}


def test_blas_is_put_back_after_an_error(blas):
    with pytest.raises(ZeroDivisionError):
        runtime.single_threaded_blas(True, lambda: 1 / 0)
    assert blas() == {3}


def test_blas_is_left_alone_where_it_is_not_needed(blas):
    assert runtime.single_threaded_blas(False, blas) == {3}


def test_calls_within_calls_are_counted(blas):
    def outer():
        return runtime.single_threaded_blas(True, blas), blas()

    assert runtime.single_threaded_blas(True, outer) == ({1}, {1})
    assert blas() == {3}


@pytest.mark.parametrize(
    ("own", "others", "limit"),
    [
        ([4], [], 4),
        ([4, 2], [], 2),
        ([1], [], 1),
        ([4], [6], 6),
        ([1], [6, 5], 5),
        ([0], [], None),
        ([0, 3], [], 3),
        ([], [], None),
    ],
)
def test_the_limit_is_that_of_the_libraries_that_are_never_set(own, others, limit):
    """Replaces the libraries by a list of their numbers of threads; 0 stands for a library that does not know."""
    numbers, kept = [*own, *others], []

    def address(function):
        kept.append(function)
        return ctypes.cast(function, ctypes.c_void_p).value

    def getter(i):
        return address(ctypes.PYFUNCTYPE(ctypes.c_int)(lambda: numbers[i]))

    def setter(i):
        return address(ctypes.PYFUNCTYPE(None, ctypes.c_int)(lambda n: numbers.__setitem__(i, n)))

    n = len(own)
    guard = SingleThreadedBLAS([(getter(i), setter(i)) for i in range(n)], [getter(n + i) for i in range(len(others))])
    assert guard.limit == limit
    assert guard.call(lambda: (guard.limit, numbers[:n], numbers[n:])) == (limit, [min(number, 1) for number in own], others)
    assert guard.limit == limit
    assert numbers == [min(others) if n == 1 and others else n for n in own] + others


def test_more_libraries_than_can_be_set_are_refused():
    with pytest.raises(ValueError, match="at most 16 libraries can be set or asked, got 17 and 0"):
        SingleThreadedBLAS([(0, 0)] * 17)


def test_fastnet_works_without_threadpoolctl():
    code = """
import sys
sys.modules["threadpoolctl"] = None
import numpy as np, fastnet as fn
from fastnet import runtime
assert runtime._blas() == ()
assert runtime.thread_limit() >= 1
net = fn.Network([fn.Dense(700, "relu"), fn.Dense(1, "identity")], 300, random_state=0)
net.fit(np.ones((50, 300)), np.ones(50), epochs=2)
"""
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_show_config(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        fn.show_config()
    out = capsys.readouterr().out
    for word in (
        fn.__version__,
        "python",
        "numpy",
        "scipy",
        "scikit-learn",
        f"core level:   {_core.level}",
        "BLAS",
        "thread limit",
    ):
        assert word in out


@pytest.mark.filterwarnings("ignore:OPENBLAS_CORETYPE:RuntimeWarning")
@pytest.mark.parametrize(("n", "words"), [(1, ", 1 thread,"), (2, ", 2 threads,")])
def test_one_thread_is_singular(n, words, capsys):
    with threadpoolctl.threadpool_limits(n, user_api="blas"):
        fn.show_config()
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("core", "level", "warns"),
    [
        ("Haswell", "v4", True),
        ("Haswell", "v3", False),
        ("NEHALEM", "v3", True),
        ("SkylakeX", "v4", False),
        ("Zen", "v3", False),
        ("ARMV8", "baseline", False),
        ("", "v4", False),
    ],
)
def test_a_forced_core_is_warned_of(core, level, warns, monkeypatch, capsys):
    monkeypatch.setenv("OPENBLAS_CORETYPE", core)
    monkeypatch.setattr(_core, "supported_levels", lambda: ("baseline", level))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fn.show_config()
    assert [warning.category for warning in caught] == [RuntimeWarning] * warns
    if warns:
        assert f"OPENBLAS_CORETYPE={core} makes OpenBLAS use kernels older than this machine" in str(caught[0].message)
