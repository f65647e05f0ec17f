"""Normalisation of rows."""

from __future__ import annotations

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

    Mean and (biased) variance are over the numbers of the row; gain (1 at first) and bias (0) have one entry for each.

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
        return graph.add(Normalisation(n_in=graph.widths[source], groups=graph.members_of(source), epsilon=self.epsilon), source)


@dataclass(frozen=True, kw_only=True)
class Normalisation(Operation):
    """Each group of a row's numbers to mean 0 and variance 1, then times gain plus bias."""

    kind: ClassVar[str] = "norm"
    n_in: int
    groups: int
    epsilon: float

    @property
    def n_out(self) -> int:
        return self.n_in

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.groups,)

    @property
    def option(self) -> float:
        return self.epsilon

    @property
    def segments(self) -> tuple[Segment, ...]:
        return Segment("gain", (self.n_in,), one), Segment("bias", (self.n_in,), zero)

    def _normalised(self, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Groups (m, groups, n) at mean 0 and variance 1, and one over their deviations."""
        a = A.reshape(len(A), self.groups, -1)
        inverse = 1 / np.sqrt(a.var(axis=2, keepdims=True) + self.epsilon)
        return (a - a.mean(axis=2, keepdims=True)) * inverse, inverse

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        x, _ = self._normalised(A[0])
        return params["gain"] * x.reshape(A[0].shape) + params["bias"]

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        x, inverse = self._normalised(A[0])
        d = (params["gain"] * dZ).reshape(x.shape)
        dA = inverse * (d - d.mean(axis=2, keepdims=True) - x * (x * d).mean(axis=2, keepdims=True))
        gradients = {"gain": (x.reshape(dZ.shape) * dZ).sum(axis=0), "bias": dZ.sum(axis=0)}
        return (dA.reshape(A[0].shape),), gradients
