"""PyTorch in eager mode: networks of layers beyond dense ones, with a fused optimiser."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks._layers import LayerTraining, Spec, walk
from benchmarks._tasks import LEARNING_RATE
from benchmarks._timing import Job


class _Mean(nn.Module):
    """The mean over positions: behind the channels of a convolution, before those of a transformer."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, X: Tensor) -> Tensor:
        return X.mean(self.axis)


class _Last(nn.Module):
    def forward(self, X: Tensor) -> Tensor:
        return X[:, -1]


class _LastOf(nn.Module):
    """A recurrent layer's last position."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, X: Tensor) -> Tensor:
        return self.layer(X)[0][:, -1]


class _Positions(nn.Module):
    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.P = nn.Parameter(0.02 * torch.randn(length, width))

    def forward(self, X: Tensor) -> Tensor:
        return X + self.P


class _Tokens(nn.Module):
    """A position for each feature, and [CLS] after them."""

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(n_features, width) / width**0.5)
        self.b = nn.Parameter(torch.randn(n_features, width) / width**0.5)
        self.last = nn.Parameter(torch.randn(1, 1, width) / width**0.5)

    def forward(self, X: Tensor) -> Tensor:
        return torch.cat([torch.addcmul(self.b, X.unsqueeze(2), self.W), self.last.expand(len(X), 1, -1)], dim=1)


class _Block(nn.Module):
    """A pre-norm block, with PyTorch's fused attention: `nn.TransformerEncoderLayer` took longer."""

    def __init__(self, width: int, n_heads: int, n_units: int, causal: bool) -> None:
        super().__init__()
        self.n_heads, self.causal = n_heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, n_units), nn.GELU(), nn.Linear(n_units, width))

    def forward(self, X: Tensor) -> Tensor:
        heads = (part.unflatten(2, (self.n_heads, -1)).transpose(1, 2) for part in self.qkv(self.norm1(X)).chunk(3, dim=2))
        seen = nn.functional.scaled_dot_product_attention(*heads, is_causal=self.causal)
        X = X + self.out(seen.transpose(1, 2).flatten(2))
        return X + self.dense(self.norm2(X))


def _modules(layer: Spec, before: tuple[int, ...], after: tuple[int, ...], images: bool) -> list[nn.Module]:
    match layer:
        case ("conv", filters, size, padding):
            return [(nn.Conv2d if images else nn.Conv1d)(before[-1], filters, size, padding=padding), nn.ReLU()]
        case ("pool", size):
            return [(nn.MaxPool2d if images else nn.MaxPool1d)(size)]
        case ("flatten",):
            return [nn.Flatten()]
        case ("last",):
            return [_Last()]
        case ("lstm" | "gru" as kind, units):
            return [_LastOf((nn.LSTM if kind == "lstm" else nn.GRU)(before[-1], units, batch_first=True))]
        case ("embedding", n_ids, width):
            return [nn.Embedding(n_ids, width)]
        case ("tokens", width):
            return [_Tokens(before[0], width)]
        case ("positions",):
            return [_Positions(*before)]
        case ("block" | "causal" as kind, heads, units):
            return [_Block(before[-1], heads, units, kind == "causal")]
        case ("norm",):
            return [nn.LayerNorm(before[-1])]
        case ("dense", units):
            return [nn.Linear(before[-1], units), nn.ReLU()]
        case _:
            return [nn.Linear(before[-1], after[-1])]


def network(task: LayerTraining) -> nn.Sequential:
    images, convolves = len(task.input_shape) == 3, task.layers[0][0] == "conv"
    made: list[nn.Module] = []
    for layer, before, after in walk(task.input_shape, task.layers):
        made += [_Mean(2 if convolves else 1)] if layer == ("mean",) else _modules(layer, before, after, images)
    return nn.Sequential(*made)


def _padded(net: nn.Sequential, X: Tensor, lengths: Tensor) -> Tensor:
    states, _ = net[0].layer(X)
    return net[1:](states[torch.arange(len(X)), lengths - 1])


def _packed(net: nn.Sequential, X: Tensor, lengths: Tensor) -> Tensor:
    _, last = net[0].layer(pack_padded_sequence(X, lengths, batch_first=True, enforce_sorted=False))
    return net[1:]((last[0] if isinstance(last, tuple) else last)[-1])


def trainer(task: LayerTraining, n_threads: int | None) -> Job:
    """Rows of unequal length are padded or packed, whichever is faster."""
    if n_threads:
        torch.set_num_threads(n_threads)
    if task.lengths is None:
        return _trainer(task, lambda net, X, lengths: net(X))
    return min((_trainer(task, way) for way in (_padded, _packed)), key=_seconds)


def _seconds(train: Job) -> float:
    train(1)
    start = perf_counter()
    train(1)
    return perf_counter() - start


def _trainer(task: LayerTraining, forward: Callable[[nn.Sequential, Tensor, Tensor], Tensor]) -> Job:
    X, y, lengths = map(torch.from_numpy, (*task.data(), task.row_lengths()))
    if task.layers[0][0] == "conv":
        X = X.movedim(-1, 1).contiguous()
    net = network(task)
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE, fused=True)

    def epoch() -> None:
        for rows in torch.randperm(task.n_rows).split(task.batch_size):
            optimizer.zero_grad(set_to_none=True)
            Z = forward(net, X[rows], lengths[rows])
            nn.functional.cross_entropy(Z.flatten(0, -2), y[rows].flatten()).backward()
            optimizer.step()

    def train(n: int) -> None:
        for _ in range(n):
            epoch()

    return train
