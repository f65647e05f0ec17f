"""Kill training at random moments and continue it until it is finished. Arguments: folder, minimum number of kills.

Prints the kills, how many runs had to start from the beginning, and whether the weights are those of an uninterrupted run.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

import fastnet as fn
from fastnet import checkpoint


class Report(fn.Callback):
    """Writes a byte to a pipe at the end of each epoch."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def on_epoch_end(self, session) -> None:
        os.write(self.pipe, b".")


def train(folder: Path, epochs: int, pipe: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 8)), rng.normal(size=300)
    network = fn.Network([fn.Dense(16, "gelu", dropout=0.2), fn.Dense(1, "identity")], n_inputs=8, random_state=0)
    reports = [] if pipe is None else [Report(pipe)]
    callbacks = [fn.EarlyStopping(patience=epochs), *reports, fn.Checkpoint(folder, keep_last=2)]
    schedule = fn.LinearWarmup(fn.Cosine(0.01), n_steps=50)
    options = {"epochs": epochs, "learning_rate": schedule, "random_state": 1, "validation_data": (X, y), "n_threads": 1}
    network.fit(X, y, callbacks=callbacks, resume_from=checkpoint.latest(folder), **options)
    return network.params


def run_and_kill(folder: Path, epochs: int) -> bool:
    """Run one process and kill it up to two epochs and a random delay later; return whether it was still alive."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        train(folder, epochs, write)
        os._exit(0)
    os.close(write)
    for _ in range(random.randrange(3)):
        os.read(read, 1)
    time.sleep(random.uniform(0, 0.01))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(read)
    return os.WIFSIGNALED(status)


def main(folder: str, n_kills: int) -> None:
    alone, killed = Path(folder) / "alone", Path(folder) / "killed"
    epochs = 8 * n_kills  # more than run between two kills
    expected = train(alone, epochs)
    kills = fresh = 0
    while kills < n_kills:
        fresh += checkpoint.latest(killed) is None
        if not run_and_kill(killed, epochs):
            break
        kills += 1
    params = train(killed, epochs)
    print(kills, fresh, "equal" if params.tobytes() == expected.tobytes() else "different")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
