"""Normalisation of rows, and of batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnet import _checks, activations
from fastnet._hints import takes_other_words
from fastnet._values import frozen
from fastnet.activations import Activation
from fastnet.layers._base import Arrays, Layer, Operation, Segment, one, zero
from fastnet.layers._graph import Graph
from fastnet.layers.joins import refuse_lengths
from fastnet.layers.lengths import positions_there


@frozen
class LayerNorm(Layer):
    """``A[l] = gain * (a - mean(a)) / sqrt(var(a) + epsilon) + bias`` of each row a of A[l-1] (Ba, Kiros & Hinton 2016).

    Mean and (biased) variance are over the numbers of the row, or of each of its positions; gain (1 at first) and bias (0) have
    one entry for each of these numbers.

    Parameters
    ----------
    epsilon : float in (0, 1)
        Keeps the quotient finite; PyTorch's default is the same.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Network([fn.LayerNorm()], n_inputs=3).forward([1.0, 2.0, 3.0]).round(3)
    array([-1.225,  0.   ,  1.225], dtype=float32)
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilon", _checks.below_one(self.epsilon, "epsilon", above=0.0))

    def connect(self, graph: Graph, source: int) -> int:
        if len(graph.row_shapes[source]) == 1:
            refuse_lengths(graph, source, type(self).__name__)
        source = graph.own_of_members(source)
        positions = math.prod(graph.row_shapes[source][:-1])
        normalisation = Normalisation(
            n_in=graph.widths[source], groups=graph.members_of(source), positions=positions, epsilon=self.epsilon
        )
        return graph.add(normalisation, source)


@dataclass(frozen=True, kw_only=True)
class Normalisation(Operation):
    """The numbers of each position of each group to mean 0 and variance 1, then times gain plus bias, which positions share."""

    kind: ClassVar[str] = "norm"
    n_in: int
    groups: int
    positions: int = 1
    epsilon: float

    @property
    def n_out(self) -> int:
        return self.n_in

    @property
    def dims(self) -> tuple[int, ...]:
        return self.groups, self.positions

    @property
    def option(self) -> float:
        return self.epsilon

    @property
    def segments(self) -> tuple[Segment, ...]:
        shape = (self.n_in // self.positions,)
        return Segment("gain", shape, one), Segment("bias", shape, zero)

    def _normalised(self, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (m, groups, positions, n) at mean 0 and variance 1, and one over their deviations."""
        a = A.reshape(len(A), self.groups, self.positions, -1)
        inverse = 1 / np.sqrt(a.var(axis=-1, keepdims=True) + self.epsilon)
        return (a - a.mean(axis=-1, keepdims=True)) * inverse, inverse

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        x, _ = self._normalised(A[0])
        gain, bias = (params[name].reshape(self.groups, 1, -1) for name in ("gain", "bias"))
        return np.asarray((gain * x + bias).reshape(A[0].shape))

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        x, inverse = self._normalised(A[0])
        dz = dZ.reshape(x.shape)
        d = params["gain"].reshape(self.groups, 1, -1) * dz
        dA = inverse * (d - d.mean(axis=-1, keepdims=True) - x * (x * d).mean(axis=-1, keepdims=True))
        gradients = {"gain": (x * dz).sum(axis=(0, 2)).ravel(), "bias": dz.sum(axis=(0, 2)).ravel()}
        return (dA.reshape(A[0].shape),), gradients


@dataclass(frozen=True, init=False)
class BatchNorm(Layer):
    """``Z[l] = gain * (a - mean) / sqrt(var + epsilon) + bias`` by channels, then g (Ioffe & Szegedy 2015).

    Channels are the last axis of the rows; in flat rows every number is a channel. In training, mean and (biased) variance are
    those of a channel over all rows of the batch and all their positions; in rows of unequal length only the positions that a row
    has count. Running statistics follow them, ``running += momentum * (batch's - running)``, with the unbiased variance as
    PyTorch's do. Everything but training (`forward`, `predict`, `loss`, validation) uses the running statistics: a row's
    outputs then depend on no other row.

    gain (1 at first), bias (0), mean (0) and var (1) have one number for each channel. mean and var are among the network's
    `parameters`, and so in files, copies and checkpoints, but no optimiser changes them; with a learning rate factor of 0 they
    stay as they are. Sample weights do not count in the statistics. `loss_and_grad` uses the statistics of the rows that it gets,
    and leaves the running ones as they are.

    Parameters
    ----------
    activation : str or Activation
        g.
    momentum : float in (0, 1]
        Share of a batch in the running statistics. A batch with a single position leaves them as they are.
    epsilon : float in (0, 1)
        Keeps the quotient finite; PyTorch's default is the same.

    Examples
    --------
    >>> import fastnet as fn
    >>> layers = [fn.Conv2d(8, 3, "identity"), fn.BatchNorm("relu"), fn.GlobalPool(), fn.Dense(3, "softmax")]
    >>> net = fn.Network(layers, input_shape=(8, 8, 1), random_state=0)
    >>> net.parameters["2.gain"].shape
    (8,)
    """

    activation: Activation
    momentum: float
    epsilon: float

    @takes_other_words()
    def __init__(
        self, activation: str | Activation | type[Activation] = "identity", *, momentum: float = 0.1, epsilon: float = 1e-5
    ) -> None:
        values = {
            "activation": activations.get(activation),
            "momentum": _checks.real(momentum, "momentum", above=0.0, maximum=1.0),
            "epsilon": _checks.below_one(epsilon, "epsilon", above=0.0),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def connect(self, graph: Graph, source: int) -> int:
        if len(graph.row_shapes[source]) == 1:
            refuse_lengths(graph, source, type(self).__name__)
        source = graph.own_of_members(source)
        shape, members = graph.row_shapes[source], graph.members_of(source)
        lengths = graph.lengths_of(source)
        normalisation = BatchNormalisation(
            positions=shape[0] if len(shape) > 1 else 1,
            places=math.prod(shape[1:-1]),
            channels=members * shape[-1],
            momentum=self.momentum,
            epsilon=self.epsilon,
            activation=self.activation,
        )
        return graph.add(normalisation, source, *(() if lengths is None else (lengths,)))


@dataclass(frozen=True, kw_only=True)
class BatchNormalisation(Operation):
    """The numbers of each channel to the mean 0 and the variance 1 of a batch, then times gain plus bias."""

    kind: ClassVar[str] = "batch_norm"
    positions: int
    places: int
    channels: int
    momentum: float
    epsilon: float

    @property
    def n_out(self) -> int:
        return self.positions * self.places * self.channels

    @property
    def dims(self) -> tuple[int, ...]:
        return self.positions, self.places, self.channels

    @property
    def option(self) -> tuple[float, float]:
        return self.epsilon, self.momentum

    @property
    def segments(self) -> tuple[Segment, ...]:
        initial = {"gain": one, "bias": zero, "mean": zero, "var": one}
        return tuple(Segment(name, (self.channels,), value) for name, value in initial.items())

    def _split(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(len(rows), self.positions, self.places, self.channels)

    def _there(self, A: tuple[np.ndarray, ...]) -> np.ndarray:
        """(m, positions, places, 1): whether there is such a position."""
        m = len(A[0])
        there = positions_there(A[1], self.positions) if len(A) > 1 else np.ones((m, self.positions), bool)
        return np.broadcast_to(there[:, :, None, None], (m, self.positions, self.places, 1))

    def statistics(self, *A: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Mean and biased variance of each channel of a batch, and how many positions they are of."""
        there = self._there(A)
        numbers = self._split(A[0])[there[..., 0]]
        return numbers.mean(axis=0), numbers.var(axis=0), len(numbers)

    def _outputs(self, params: Arrays, A: tuple[np.ndarray, ...], mean: np.ndarray, var: np.ndarray) -> np.ndarray:
        factor = params["gain"] / np.sqrt(var + self.epsilon)
        Z = factor * (self._split(A[0]) - mean) + params["bias"]
        return np.asarray(np.where(self._there(A), Z, 0).reshape(len(A[0]), self.n_out))

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return self._outputs(params, A, params["mean"], params["var"])

    def forward_of_batch(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return self._outputs(params, A, *self.statistics(*A)[:2])

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        mean, var, n = self.statistics(*A)
        there = self._there(A)
        inverse = 1 / np.sqrt(var + self.epsilon)
        x, dz = (self._split(A[0]) - mean) * inverse, np.where(there, self._split(dZ), 0)
        slopes, leaning = dz.sum(axis=(0, 1, 2)), (dz * x).sum(axis=(0, 1, 2))
        dA = np.where(there, params["gain"] * inverse * (dz - slopes / n - x * leaning / n), 0)
        still = np.zeros(self.channels)
        gradients = {"gain": leaning, "bias": slopes, "mean": still, "var": still}
        return (dA.reshape(A[0].shape), *(np.zeros_like(a) for a in A[1:])), gradients
