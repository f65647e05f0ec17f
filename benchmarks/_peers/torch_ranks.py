"""PyTorch on several processes: DistributedDataParallel with gloo."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks._peers.torch import network_of, optimizer_of
from benchmarks._ranks import ranks
from benchmarks._tasks import Spread
from benchmarks._timing import Job


def spread(task: Spread, n_threads: int | None) -> Job:
    return ranks(__name__, task)


def rank(task: Spread, number: int) -> Job:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{os.environ['RANKS_FOLDER']}/ddp", rank=number, world_size=task.processes)
    training = task.training
    X, y = (torch.from_numpy(array[number :: task.processes].copy()) for array in training.data())
    model = DistributedDataParallel(network_of(training.sizes, training.activation, X.dtype), gradient_as_bucket_view=True)
    optimizer = optimizer_of(training.optimizer, model)
    size = training.batch_size // task.processes

    def train(n: int) -> None:
        for _ in range(n):
            order = torch.randperm(len(X))
            for rows, targets in zip(X[order].split(size), y[order].split(size), strict=True):
                optimizer.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(model(rows), targets).backward()
                optimizer.step()

    return train
