"""PyTorch in eager mode, with fused optimisers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks._tasks import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Inference, Training
from benchmarks._timing import Job

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU}

#: If X has fewer bytes, it is faster to reorder all rows of an epoch at once.
_GATHERED = 32 << 20


def _network(sizes: tuple[int, ...], activation: str, dtype: torch.dtype) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out, dtype=dtype), _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def _optimizer(name: str, network: nn.Module) -> torch.optim.Optimizer:
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
    network = _network(task.sizes, task.activation, X.dtype)
    optimizer = _optimizer(task.optimizer, network)
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


def predictor(task: Inference, n_threads: int | None) -> Job:
    _limit(n_threads)
    X = task.data()
    network = _network(task.sizes, "relu", torch.from_numpy(X).dtype).append(nn.Softmax(dim=-1))

    for layer, W, b in zip(network[::2], *task.parameters(), strict=True):
        layer.weight.data, layer.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)

    def predict(n: int) -> np.ndarray:
        with torch.inference_mode():
            for _ in range(n):
                out = network(torch.from_numpy(X)).numpy()
        return out

    return predict
