"""Timing of one job, with a check of how much CPU time other processes used meanwhile.

A job is a function of n that does its work n times, such as n epochs or n calls. Timing ignores what it returns.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._environment import n_cores

Job = Callable[[int], Any]

#: Share of one core that others may use during a round before it is repeated.
DISTURBED = 0.10
#: Calibration increases the work by at most this factor from one attempt to the next.
_GROWTH = 20


class Round(NamedTuple):
    """One timing: seconds for one unit of work, and the share of one core that others used meanwhile.

    `others` is the share that other processes used or the host of a virtual machine withheld; `withheld` is the latter alone.
    """

    seconds: float
    others: float
    withheld: float = 0.0


def time_round(job: Job, n: int, retries: int) -> Round:
    """Time n units of work; a disturbed round is repeated at most `retries` times, and the least disturbed one is kept."""
    best = _round(job, n)
    for _ in range(retries):
        if best.others <= DISTURBED:
            break
        best = min(best, _round(job, n), key=lambda taken: taken.others)
    return best


def calibrate(job: Job, min_seconds: float) -> tuple[int, float]:
    """Units of work that take `min_seconds`, and the seconds for one unit. The first unit is a warm-up and not timed."""
    job(1)
    n, elapsed = 1, _elapsed(job, 1)
    while elapsed < min_seconds:
        n = max(n + 1, int(n * min(_GROWTH, 1.25 * min_seconds / max(elapsed, 1e-9))))
        elapsed = _elapsed(job, n)
    if elapsed < 10 * min_seconds:
        elapsed = min(elapsed, _elapsed(job, n))
    return n, elapsed / n


def _elapsed(job: Job, n: int) -> float:
    start = time.perf_counter()
    job(n)
    return time.perf_counter() - start


def _round(job: Job, n: int) -> Round:
    gc.collect()
    before, own = _machine(), _own_busy()
    elapsed = _elapsed(job, n)
    after = _machine()
    others = _others(after.busy - before.busy, _own_busy() - own, elapsed)
    return Round(elapsed / n, others, min(others, (after.withheld - before.withheld) / elapsed))


def _others(busy: float, own: float, elapsed: float) -> float:
    """Share of one core that others used, after subtracting the uncertainty of one clock tick for each core."""
    return max(0.0, busy - own - n_cores() * _tick()) / elapsed


def _own_busy() -> float:
    """CPU seconds of this process and of the running ones that it has started, and these in turn."""
    times = os.times()
    stats = [fields for path in Path("/proc").glob("[0-9]*/stat") if (fields := _stat(path))]
    family = {os.getpid()}
    for _ in stats:
        children = {pid for pid, parent, _ in stats if parent in family}
        if children <= family:
            break
        family |= children
    return times.user + times.system + _tick() * sum(ticks for pid, _, ticks in stats if pid in family - {os.getpid()})


def _stat(path: Path) -> tuple[int, int, int] | None:
    """A process's number, its parent's, and the clock ticks that it has computed for; None if it has ended."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(path.parent.name), int(fields[1]), int(fields[11]) + int(fields[12])


class _Machine(NamedTuple):
    """CPU seconds since the machine started: `busy` were used by processes or withheld by the host, `withheld` the latter."""

    busy: float
    withheld: float


def _machine() -> _Machine:
    """Zeros if the system does not say."""
    try:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split(None, 9)[1:9])
    except (OSError, ValueError):
        return _Machine(0.0, 0.0)
    return _Machine((user + nice + system + irq + softirq + steal) * _tick(), steal * _tick())


def _tick() -> float:
    return 1.0 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.0
