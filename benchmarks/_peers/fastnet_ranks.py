"""fastnet on several processes: gradients that are summed with MPI at every step."""

from __future__ import annotations

from itertools import count
from time import perf_counter
from typing import Any

import fastnet as fn
from benchmarks._peers.fastnet import network
from benchmarks._ranks import ranks
from benchmarks._tasks import LEARNING_RATE, Linked, Spread, Training
from benchmarks._timing import Job


class Alone:
    """The communicator of a single rank."""

    rank, size = 0, 1

    def allreduce(self, vector: Any) -> Any:
        return vector

    def allgather(self, value: Any) -> list[Any]:
        return [value]


class OverALink:
    """The communicator of a rank whose sums take as long as `Linked.link` says; the other ranks are thought to do as it does."""

    rank = 0

    def __init__(self, task: Linked) -> None:
        self.size, self._link = task.processes, task.link

    def allreduce(self, vector: Any) -> Any:
        end = perf_counter() + self._link.exchange(self.size, vector.nbytes)
        while perf_counter() < end:
            pass
        return vector

    def allgather(self, value: Any) -> list[Any]:
        return [value] * self.size


def trainer(task: Training, n_threads: int | None) -> Job:
    """One rank, in this process."""
    return _job(task, Alone(), n_threads)


def linked(task: Linked, n_threads: int | None) -> Job:
    """One rank, in this process, as if the others were at the other ends of links."""
    return _job(task.training, OverALink(task), n_threads)


def spread(task: Spread, n_threads: int | None) -> Job:
    return ranks(__name__, task, mpi=True)


def rank(task: Spread, number: int) -> Job:
    from mpi4py import MPI

    return _job(task.training, MPI.COMM_WORLD, 1)


def _job(task: Training, comm: Any, n_threads: int | None) -> Job:
    X, y = (array[comm.rank :: comm.size].copy() for array in task.data())
    net, seeds = network(task), count()
    options = {"optimizer": fn.Adam(LEARNING_RATE), "batch_size": task.batch_size, "n_threads": n_threads}

    def train(n: int) -> None:
        fn.distributed.fit(net, X, y, comm=comm, epochs=n, random_state=next(seeds), **options)

    return train
