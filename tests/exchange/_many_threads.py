"""Fit, predict and save in 32 threads at once. Arguments: folder, seconds.

Prints the fits, predictions and files made, and how many of them differed from the results of a single thread.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

import fastnet as fn

N_THREADS = 32
rng = np.random.default_rng(0)
X, y = rng.normal(size=(200, 16)).astype(np.float32), rng.integers(0, 3, 200)


def network() -> fn.Network:
    return fn.Network([fn.Dense(64, "relu"), fn.Dense(3, "softmax")], n_inputs=16, random_state=0)


def fitted(n_threads: int | None = None) -> fn.Network:
    trained = network()
    trained.fit(X, y, epochs=2, random_state=0, n_threads=n_threads)
    return trained


def work(number: int, folder: str, shared: fn.Network, expected: dict[str, bytes], deadline: float, counts: list) -> None:
    path = Path(folder) / f"{number % 8}.safetensors"  # four threads replace one file
    done: Counter = Counter()
    while time.monotonic() < deadline or not done["files"]:
        mine = fitted(1 if number % 2 else None)
        done["fits"] += 1
        mine.save(path)
        loaded = fn.load(path)
        done["files"] += 1
        results = {"params": [mine.params, loaded.params], "outputs": [shared.forward(X), loaded.forward(X), mine.forward(X)]}
        done["predictions"] += 3
        done["different"] += sum(result.tobytes() != expected[name] for name, many in results.items() for result in many)
    counts.append(done)


def main(folder: str, seconds: float) -> None:
    faulthandler.dump_traceback_later(seconds + 80, exit=True)
    shared = fitted(1)
    expected = {"params": shared.params.tobytes(), "outputs": shared.forward(X).tobytes()}
    counts: list[Counter] = []
    arguments = (folder, shared, expected, time.monotonic() + seconds, counts)
    threads = [threading.Thread(target=work, args=(number, *arguments)) for number in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(counts, Counter())
    print(total["fits"], total["predictions"], total["files"], total["different"] if len(counts) == N_THREADS else "failed")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
