"""Interrupt training at random moments. Argument: number of interrupts.

Prints how many raised KeyboardInterrupt, after how many the parameters were those after a whole batch, and the latest batch.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
import threading

import numpy as np

import fastnet as fn

N_BATCHES = 50  # of an epoch
BATCH = 100
OPTIONS = {"optimizer": fn.SGD(0.01), "batch_size": BATCH, "n_threads": 1}


def trajectory(network: fn.Network, X: np.ndarray, y: np.ndarray, n_batches: int) -> dict[bytes, int]:
    """The parameters after each batch of sequential training, and its number (SGD has no memory: a batch may be an epoch)."""
    seen = {network.params.tobytes(): 0}

    class Record(fn.Callback):
        def on_epoch_end(self, session) -> None:
            seen[session.network.params.tobytes()] = session.epoch

    def rows(session) -> np.ndarray:
        first = session.epoch % N_BATCHES * BATCH
        return np.arange(first, first + BATCH)

    network.fit(X, y, epochs=n_batches, sampling=rows, callbacks=[Record()], **OPTIONS)
    return seen


def main(n_interrupts: int) -> None:
    faulthandler.dump_traceback_later(100, exit=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells may start background processes without this handler
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N_BATCHES * BATCH, 16)).astype(np.float32), rng.normal(size=N_BATCHES * BATCH)
    network = fn.Network([fn.Dense(64, "tanh"), fn.Dense(1, "identity")], n_inputs=16, random_state=0)
    start = network.params.copy()
    seen = trajectory(network, X, y, 8000)
    interrupted = whole = latest = 0
    for _ in range(n_interrupts):
        network.params[:] = start
        timer = threading.Timer(random.uniform(0, 0.03), os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            network.fit(X, y, epochs=10**6, sampling="sequential", **OPTIONS)
        except KeyboardInterrupt:
            interrupted += 1
        timer.join()
        batch = seen.get(network.params.tobytes())
        whole += batch is not None
        latest = max(latest, batch or 0)
    print(interrupted, whole, latest)


if __name__ == "__main__":
    main(int(sys.argv[1]))
