"""CPU quotas of Linux's control groups: what ``docker run --cpus`` and the limits of a Kubernetes pod set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cpu_limit(root: str | Path = "/") -> int | None:
    """Number of CPUs whose time the process may use, rounded up; None if there is no quota.

    Groups are nested, and the quota of every enclosing group applies too: the smallest counts.

    Parameters
    ----------
    root : path
        Where ``proc/self/cgroup`` and ``sys/fs/cgroup`` are.
    """
    try:
        memberships = Path(root, "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return None
    mount = Path(root, "sys/fs/cgroup")
    quotas = [quota for line in memberships for group in _groups(line, mount) if (quota := _quota(group)) is not None]
    return math.ceil(min(quotas)) if quotas else None


def _groups(membership: str, mount: Path) -> Iterator[Path]:
    """Folders of the group that a line of ``/proc/self/cgroup`` names, and of its enclosing groups, if the line is about CPUs.

    A container that cannot see the machine's groups finds its own group at the root.
    """
    _, controllers, path = membership.split(":", 2)
    if controllers and "cpu" not in controllers.split(","):
        return
    inner = PurePosixPath(path).parts[1:]
    if ".." in inner:  # outside of what the container sees
        inner = ()
    for outermost in {mount / "cpu", mount / controllers} if controllers else {mount}:
        yield from (outermost.joinpath(*inner[:depth]) for depth in range(len(inner) + 1))


def _quota(group: Path) -> float | None:
    """CPUs of one group: version 2 has one file, version 1 has two."""
    words = _words(group / "cpu.max") or [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
    if len(words) != 2 or not all(word.isdecimal() and int(word) > 0 for word in words):  # "max" and -1 mean none
        return None
    return int(words[0]) / int(words[1])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
