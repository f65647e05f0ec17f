"""Train, fork, and train in the children. Argument: number of children. Prints for each whether its results are the parent's."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np

import fastnet as fn


def train() -> np.ndarray:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 64)), rng.normal(size=2000)
    network = fn.Network([fn.Dense(256, "relu"), fn.Dense(1, "identity")], n_inputs=64, random_state=0)
    network.fit(X, y, batch_size=500, epochs=2, random_state=0, n_threads=2)
    return np.concatenate([network.params, network.predict(X)])


def main(n_children: int) -> None:
    expected = train()
    children = []
    for _ in range(n_children):
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # ends a child that hangs
            os._exit(0 if np.array_equal(train(), expected) else 1)
        children.append(child)
    names = {0: "equal", 1: "different"}
    for child in children:
        status = os.waitpid(child, 0)[1]
        print("hangs" if os.WIFSIGNALED(status) else names[os.waitstatus_to_exitcode(status)])


if __name__ == "__main__":
    main(int(sys.argv[1]))
