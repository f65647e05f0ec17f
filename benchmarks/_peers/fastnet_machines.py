"""fastnet on machines with links between them, whose gradients are summed by gloo."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from benchmarks._machines import DEVICE, machines
from benchmarks._peers.fastnet_ranks import job_of_rank
from benchmarks._ranks import ranks
from benchmarks._tasks import Linked
from benchmarks._timing import Job


class Group:
    """The processes of torch.distributed as a communicator."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def allreduce(self, vector: np.ndarray) -> np.ndarray:
        total = torch.from_numpy(vector.copy())
        dist.all_reduce(total)
        return total.numpy()

    def allgather(self, value: Any) -> list[Any]:
        values = [None] * self.size
        dist.all_gather_object(values, value)
        return values


def linked(task: Linked, n_threads: int | None) -> Job:
    return ranks(__name__, task, beginnings=machines(task.processes, task.link.bits))


def rank(task: Linked, number: int) -> Job:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = DEVICE
    dist.init_process_group("gloo", f"file://{os.environ['RANKS_FOLDER']}/group", rank=number, world_size=task.processes)
    comm = Group()
    if not task.only_exchanges:
        return job_of_rank(task.training, comm, 1)
    one = np.zeros(1, np.float32)

    def exchange(n: int) -> None:
        for _ in range(n * task.training.n_batches):
            comm.allreduce(one)

    return exchange
