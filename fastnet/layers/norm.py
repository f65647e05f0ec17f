"""Normalisation of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnet import _checks
from fastnet._values import frozen
from fastnet.layers._base import Arrays, Layer, Operation, Segment, one, zero
from fastnet.layers._graph import Graph


@frozen
class LayerNorm(Layer):
    """``A[l] = gain * (a - mean(a)) / sqrt(var(a) + epsilon) + bias`` of each row a of A[l-1] (Ba, Kiros & Hinton 2016).

    Mean and (biased) variance are over the numbers of the row, or of each of its positions; gain (1 at first) and bias (0) have
    one entry for each.

    Parameters
    ----------
    epsilon : float > 0
        Keeps the quotient finite; PyTorch's default is the same.
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilon", _checks.real(self.epsilon, "epsilon", above=0.0))

    def connect(self, graph: Graph, source: int) -> int:
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
