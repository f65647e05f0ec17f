"""Kill a process that saves models without pause, and look at the file after each kill. Arguments: folder, number of kills.

Prints the kills, how often the file was complete, and the number of temporary files that killed writers left.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import fastnet as fn
from fastnet import _atomic


def write_forever(path: Path) -> None:
    network = fn.Network([fn.Dense(100, "relu"), fn.Dense(50, "identity")], n_inputs=100, random_state=0)
    while True:
        network.params[:] = random.random()
        network.save(path)


def main(folder: str, n_kills: int) -> None:
    path = Path(folder) / "model.safetensors"
    whole = 0
    for _ in range(n_kills):
        child = os.fork()
        if child == 0:
            write_forever(path)
        first = not path.exists()
        deadline = time.monotonic() + 30
        while first and not path.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.012))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        params = fn.load(path, mmap=False).params
        whole += bool((params == params[0]).all())
    print(n_kills, whole, _atomic.remove_stale(folder))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
