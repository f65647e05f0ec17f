"""Activations with a parameter for each unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnet import _checks, activations
from fastnet._hints import takes_other_words
from fastnet._values import frozen
from fastnet.activations import Activation, ReLU
from fastnet.layers._base import Arrays, Layer, Operation, Segment
from fastnet.layers._graph import Graph


@dataclass(frozen=True, init=False)
class Parametric(Layer):
    """``A[l] = a + p * (g(a) - a)`` with a = A[l-1] and one trained p for each number of a row, 1 at first.

    The unit learns how much of the activation it wants: p = 0 is linear, p = 1 is g (Holzmüller, Grinsztajn & Steinwart 2024).

    Parameters
    ----------
    activation : str or Activation
        g, elementwise.
    dropout : float in [0, 1)
        Probability with which a number is dropped in training, as `Dense` has it; a `Dropout` layer after this one takes longer.

    Examples
    --------
    >>> import fastnet as fn
    >>> layers = [fn.Dense(32, "identity"), fn.Parametric("mish"), fn.Dense(1, "identity")]
    >>> fn.Network(layers, n_inputs=4, random_state=0).parameters["2.p"].shape
    (32,)
    """

    activation: Activation
    dropout: float

    @takes_other_words()
    def __init__(self, activation: str | Activation | type[Activation] = "selu", *, dropout: float = 0.0) -> None:
        g = activations.get(activation)
        if not g.derivable:
            raise ValueError(f"Parametric takes an elementwise activation, got {g.name!r}.")
        object.__setattr__(self, "activation", g)
        object.__setattr__(self, "dropout", _checks.real(dropout, "dropout", minimum=0.0, below=1.0))

    def connect(self, graph: Graph, source: int) -> int:
        source = graph.own_of_members(source)
        mixture = Interpolation(n_in=graph.widths[source], g=self.activation, initial=1.0, dropout=self.dropout)
        return graph.add(mixture, source)


@frozen
class PReLU(Layer):
    """``A[l] = max(0, a) + p * min(0, a)`` with a = A[l-1] and one trained slope p for each number of a row (He et al. 2015).

    Parameters
    ----------
    slope : float < 1
        p at first.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Network([fn.PReLU()], n_inputs=3).forward([-4.0, 0.0, 2.0])
    array([-1.,  0.,  2.], dtype=float32)
    """

    slope: float = 0.25

    def __post_init__(self) -> None:
        object.__setattr__(self, "slope", _checks.below_one(self.slope, "slope"))

    def connect(self, graph: Graph, source: int) -> int:
        source = graph.own_of_members(source)
        return graph.add(Interpolation(n_in=graph.widths[source], g=ReLU(), swapped=True, initial=self.slope), source)


@dataclass(frozen=True, kw_only=True)
class Interpolation(Operation):
    """``Z = A + p * (g(A) - A)``; swapped: ``Z = g(A) + p * (A - g(A))``."""

    kind: ClassVar[str] = "parametric"
    n_in: int
    g: Activation
    swapped: bool = False
    initial: float

    @property
    def n_out(self) -> int:
        return self.n_in

    @property
    def dims(self) -> tuple[int, ...]:
        return self.g.code, int(self.swapped)

    @property
    def option(self) -> float:
        return self.g.parameter

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (Segment("p", (self.n_in,), lambda rng: self.initial),)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        a, g = A[0], self.g(A[0])
        return g + params["p"] * (a - g) if self.swapped else a + params["p"] * (g - a)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        p, difference, slope = params["p"], self.g(A[0]) - A[0], self.g.derivative(A[0])
        if self.swapped:
            p, difference = 1 - p, -difference
        return (dZ * (1 + p * (slope - 1)),), {"p": (dZ * difference).sum(axis=0)}
