"""PyTorch in eager mode, with fused optimisers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from benchmarks._peers import Unsupported
from benchmarks._tasks import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Inference, Streamed, Training
from benchmarks._timing import Job

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU}

#: If X has fewer bytes, it is faster to reorder all rows of an epoch at once.
_GATHERED = 32 << 20


def network_of(sizes: tuple[int, ...], activation: str, dtype: torch.dtype) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out, dtype=dtype), _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def optimizer_of(name: str, network: nn.Module) -> torch.optim.Optimizer:
    parameters = network.parameters()
    if name == "momentum":
        return torch.optim.SGD(parameters, LEARNING_RATE, momentum=MOMENTUM, fused=True)
    if name == "adamw":
        return torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    return torch.optim.Adam(parameters, LEARNING_RATE, fused=True)


def _limit(n_threads: int | None) -> None:
    if n_threads:
        torch.set_num_threads(n_threads)


def trainer(task: Training, n_threads: int | None) -> Job:
    _limit(n_threads)
    X, y = map(torch.from_numpy, task.data())
    if task.regression:
        y = y.reshape(-1, 1)
    network = network_of(task.sizes, task.activation, X.dtype)
    optimizer = optimizer_of(task.optimizer, network)
    loss = nn.functional.mse_loss if task.regression else nn.functional.cross_entropy

    def step(rows: torch.Tensor, targets: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(network(rows), targets).backward()
        optimizer.step()

    def epoch() -> None:
        order = torch.randperm(task.n_rows)
        if task.n_bytes <= _GATHERED:
            for rows, targets in zip(X[order].split(task.batch_size), y[order].split(task.batch_size), strict=True):
                step(rows, targets)
        else:
            for batch in order.split(task.batch_size):
                step(X[batch], y[batch])

    def train(n: int) -> None:
        for _ in range(n):
            epoch()

    return train


def streamed(task: Streamed, n_threads: int | None) -> Job:
    """Rows of a memory map: a tenth of the blocks, in random order, is read by a thread and shuffled."""
    if task.source != "memory map":
        raise Unsupported(f"has no reader of its own for {task.source}")
    _limit(n_threads)
    training = task.training
    X, y = task.written()
    network = network_of(training.sizes, training.activation, torch.float32)
    optimizer = optimizer_of(training.optimizer, network)
    starts = np.arange(0, training.n_rows, task.block_rows)
    reader = ThreadPoolExecutor(1)

    def read(chosen: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [slice(start, start + task.block_rows) for start in chosen]
        return tuple(torch.from_numpy(np.concatenate([array[part] for part in rows])) for array in (X, y))

    def train(n: int) -> None:
        for _ in range(n * task.n_epochs):
            groups = np.array_split(np.random.permutation(starts), 10)
            following = reader.submit(read, groups[0])
            for number in range(len(groups)):
                rows, targets = following.result()
                if number + 1 < len(groups):
                    following = reader.submit(read, groups[number + 1])
                for batch in torch.randperm(len(rows)).split(training.batch_size):
                    optimizer.zero_grad(set_to_none=True)
                    nn.functional.cross_entropy(network(rows[batch]), targets[batch]).backward()
                    optimizer.step()

    return train


def predictor(task: Inference, n_threads: int | None) -> Job:
    _limit(n_threads)
    X = task.data()
    network = network_of(task.sizes, "relu", torch.from_numpy(X).dtype).append(nn.Softmax(dim=-1))

    for layer, W, b in zip(network[::2], *task.parameters(), strict=True):
        layer.weight.data, layer.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)

    def predict(n: int) -> np.ndarray:
        with torch.inference_mode():
            for _ in range(n):
                out = network(torch.from_numpy(X)).numpy()
        return out

    return predict
