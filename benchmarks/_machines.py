"""Machines that are network namespaces of Linux, each at a link of its own to a bridge; the links carry so many bits a second."""

from __future__ import annotations

import atexit
import os
import subprocess
from itertools import count

from benchmarks._peers import Unsupported

#: The device by which a machine reaches the others.
DEVICE = "link0"
#: Bytes that a link may carry at once, and the longest that they wait for it.
_SHAPE = ("burst", "128kb", "latency", "100ms")
_NUMBERS = count()


def machines(n: int, bits: float) -> list[list[str]]:
    """Beginnings of commands that run on one of `n` machines each, until this process ends.

    Raises
    ------
    Unsupported
        The system does not let this process make them, with the command that failed.
    """
    bridge, *names = (f"bench-{os.getpid()}-{next(_NUMBERS)}" for _ in range(n + 1))
    for name in (bridge, *names):
        _run("ip", "netns", "add", name)
        atexit.register(subprocess.run, ["ip", "netns", "del", name], check=False)
    _run("ip", "-n", bridge, "link", "add", "bridge0", "type", "bridge")
    _run("ip", "-n", bridge, "link", "set", "bridge0", "up")
    for number, name in enumerate(names):
        port = f"port{number}"
        _run("ip", "link", "add", DEVICE, "netns", name, "type", "veth", "peer", "name", port, "netns", bridge)
        _run("ip", "-n", bridge, "link", "set", port, "master", "bridge0", "up")
        _run("ip", "-n", name, "addr", "add", f"10.0.0.{number + 1}/24", "dev", DEVICE)
        for device in ("lo", DEVICE):
            _run("ip", "-n", name, "link", "set", device, "up")
        _run("tc", "-n", name, "qdisc", "add", "dev", DEVICE, "root", "tbf", "rate", f"{bits:.0f}bit", *_SHAPE)
    return [["ip", "netns", "exec", name] for name in names]


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Unsupported(f"no machines: {error}") from None
    if done.returncode:
        raise Unsupported(f"no machines: {' '.join(command)!r} says {done.stderr.strip()!r}")
