"""PyTorch in eager mode: networks of layers beyond dense ones, with a fused optimiser."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks._layers import LayerTraining, Spec, walk
from benchmarks._tasks import LEARNING_RATE
from benchmarks._timing import Job


class _Mean(nn.Module):
    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return X.flatten(2).mean(2)


class _LastOf(nn.Module):
    """A recurrent layer's last position."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return self.layer(X)[0][:, -1]


def _modules(layer: Spec, before: tuple[int, ...]) -> list[nn.Module]:
    images = len(before) == 3
    match layer:
        case ("conv", filters, size, padding):
            return [(nn.Conv2d if images else nn.Conv1d)(before[-1], filters, size, padding=padding), nn.ReLU()]
        case ("pool", size):
            return [(nn.MaxPool2d if images else nn.MaxPool1d)(size)]
        case ("flatten",):
            return [nn.Flatten()]
        case ("mean",):
            return [_Mean()]
        case ("lstm" | "gru" as kind, units):
            return [_LastOf((nn.LSTM if kind == "lstm" else nn.GRU)(before[-1], units, batch_first=True))]
        case ("dense", units):
            return [nn.Linear(before[0], units), nn.ReLU()]
        case _:
            return [nn.Linear(before[0], layer[1])]


def trainer(task: LayerTraining, n_threads: int | None) -> Job:
    if n_threads:
        torch.set_num_threads(n_threads)
    X, y = map(torch.from_numpy, task.data())
    if task.layers[0][0] == "conv":
        X = X.movedim(-1, 1).contiguous()
    steps = walk(task.input_shape, task.layers)
    network = nn.Sequential(*(module for layer, before, _ in steps for module in _modules(layer, before)))
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)

    def epoch() -> None:
        order = torch.randperm(task.n_rows)
        for rows, targets in zip(X[order].split(task.batch_size), y[order].split(task.batch_size), strict=True):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(network(rows), targets).backward()
            optimizer.step()

    def train(n: int) -> None:
        for _ in range(n):
            epoch()

    return train
