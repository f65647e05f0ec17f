"""fastnet on several processes: gradients that are summed with MPI at every step."""

from __future__ import annotations

from itertools import count
from typing import Any

import fastnet as fn
from benchmarks._peers.fastnet import network
from benchmarks._ranks import ranks
from benchmarks._tasks import LEARNING_RATE, Spread, Training
from benchmarks._timing import Job


class Alone:
    """The communicator of a single rank."""

    rank, size = 0, 1

    def allreduce(self, vector: Any) -> Any:
        return vector

    def allgather(self, value: Any) -> list[Any]:
        return [value]


def trainer(task: Training, n_threads: int | None) -> Job:
    """One rank, in this process."""
    return job_of_rank(task, Alone(), n_threads)


def spread(task: Spread, n_threads: int | None) -> Job:
    return ranks(__name__, task, mpi=True)


def rank(task: Spread, number: int) -> Job:
    from mpi4py import MPI

    return job_of_rank(task.training, MPI.COMM_WORLD, 1)


def job_of_rank(task: Training, comm: Any, n_threads: int | None) -> Job:
    """Training on this rank's rows of the task's."""
    X, y = (array[comm.rank :: comm.size].copy() for array in task.data())
    net, seeds = network(task), count()
    options = {"optimizer": fn.Adam(LEARNING_RATE), "batch_size": task.batch_size, "n_threads": n_threads}

    def train(n: int) -> None:
        fn.distributed.fit(net, X, y, comm=comm, epochs=n, random_state=next(seeds), **options)

    return train
