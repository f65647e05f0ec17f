"""Train with two threads while other processes hold the cores, so that teams shrink. Argument: number of fits.

Prints how many fits differed from the first, and by how many thread stacks the address space grew.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

from _fork_after_training import train

N_SPINNERS = 3


def address_space() -> int:
    """Bytes of address space in use; a thread that ended but was never joined keeps its stack."""
    with open("/proc/self/statm") as status:
        return int(status.read().split()[0]) * resource.getpagesize()


def spin() -> int:
    """A child process that keeps a core busy until it is killed, for a minute at most."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        while True:
            pass
    return child


def main(n_fits: int) -> None:
    expected = train().tobytes()
    spinners = [spin() for _ in range(N_SPINNERS)]
    try:
        train()
        before = address_space()
        different = sum(train().tobytes() != expected for _ in range(n_fits))
    finally:
        for child in spinners:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    print(different, (address_space() - before) // (stack if stack > 0 else 8 << 20))


if __name__ == "__main__":
    main(int(sys.argv[1]))
