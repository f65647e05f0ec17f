"""fastnet in processes that train on their parts of the rows and exchange nothing: what an exchange is measured against."""

from __future__ import annotations

from itertools import count

import fastnet as fn
from benchmarks._peers.fastnet import network
from benchmarks._ranks import ranks
from benchmarks._tasks import LEARNING_RATE, Spread
from benchmarks._timing import Job


def spread(task: Spread, n_threads: int | None) -> Job:
    return ranks(__name__, task)


def rank(task: Spread, number: int) -> Job:
    X, y = (array[number :: task.processes].copy() for array in task.training.data())
    net, seeds = network(task.training), count()

    def train(n: int) -> None:
        for _ in range(n):
            net.fit(X, y, optimizer=fn.Adam(LEARNING_RATE), batch_size=task.training.batch_size, epochs=1, n_threads=1,
                    random_state=next(seeds))  # fmt: skip

    return train
