"""Dense layers, also in groups with weights of their own and at several positions of a row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnet import _checks, activations, initializers
from fastnet._hints import takes_other_words
from fastnet.activations import Activation
from fastnet.initializers import Initializer
from fastnet.layers._base import Arrays, Layer, Operation, Segment, zero
from fastnet.layers._graph import Graph
from fastnet.layers.scale import Scaling, random_signs

SCALES = ("none", "ntk")


@dataclass(frozen=True, init=False)
class Dense(Layer):
    """A fully connected layer ``A[l] = g(A[l-1] @ W[l] + b[l])``; at each position, where rows have positions.

    Parameters
    ----------
    n_units : int
        Neurons, at most 2^31 - 1.
    activation : str or Activation
        g.
    initializer : str or Initializer, optional
        How W[l] is drawn; by default what suits the activation (He for the ReLU family, Glorot otherwise, LeCun for SELU).
    dropout : float in [0, 1)
        Probability with which a unit is dropped in training; the others are scaled by ``1 / (1 - dropout)`` (Srivastava et al.
        2014).
    scale : {"none", "ntk"}
        "ntk": ``A[l-1] @ W[l] / sqrt(n[l-1]) + b[l]``, the neural tangent parametrisation (Jacot, Gabriel & Hongler 2018), whose
        weights are of size 1 and learn alike in layers of any width. The initialiser applies to ``W[l] / sqrt(n[l-1])``.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(64), fn.Dense(64, "tanh", dropout=0.1), fn.Dense(3, "softmax")], n_inputs=8, random_state=0)
    >>> net
    <Network 8 -> 64 relu, 64 tanh, 3 softmax; 4931 parameters, float32>
    """

    n_units: int
    activation: Activation
    initializer: Initializer
    dropout: float
    scale: str

    @takes_other_words()
    def __init__(
        self,
        n_units: int,
        activation: str | Activation | type[Activation] = "relu",
        *,
        initializer: str | Initializer | type[Initializer] | None = None,
        dropout: float = 0.0,
        scale: str = "none",
    ) -> None:
        g = activations.get(activation)
        values = {
            "n_units": _checks.positive_int(n_units, "n_units", maximum=_checks.MAX_DIMENSION),
            "activation": g,
            "initializer": initializers.get(g.initializer if initializer is None else initializer),
            "dropout": _checks.real(dropout, "dropout", minimum=0.0, below=1.0),
            "scale": _checks.one_of(scale, "scale", SCALES),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def connect(self, graph: Graph, source: int) -> int:
        *places, n_in = graph.row_shapes[source]
        members, positions = graph.members_of(source), math.prod(places)

        def linear(n_in: int, **where: Any) -> Linear:
            return Linear(n_in=n_in, n_units=self.n_units, initializer=self.initializer, scale=self.scale, **where)

        output: dict[str, Any] = {"activation": self.activation, "dropout": self.dropout}
        k = graph.n_members
        if k == 1:
            return graph.add(linear(n_in, positions=positions, **output), source, shape=(*places, self.n_units))
        if graph.ensemble == "packed" or (graph.ensemble == "mini" and graph.at_output and members > 1):
            return graph.add(linear(n_in, groups=k, shared=members == 1, **output), source, of_members=True)
        if members == 1:
            with graph.within("r"):
                source = graph.add(Scaling(n_in=n_in, copies=k, initial=random_signs), source, of_members=True)
        elif graph.ensemble == "batch":
            with graph.within("r"):
                source = graph.add(Scaling(n_in=k * n_in), source)
        if graph.ensemble == "mini":
            return graph.add(linear(n_in, positions=k, **output), source)
        source = graph.add(linear(n_in, positions=k, biases=False), source)
        with graph.within("s"):
            return graph.add(Scaling(n_in=k * self.n_units, biases=True, **output), source)


def scale_factor(scale: str, n_in: int) -> float:
    """1, or 1 / sqrt(n_in) in the neural tangent parametrisation."""
    return 1 / math.sqrt(n_in) if scale == "ntk" else 1.0


@dataclass(frozen=True)
class FanIn(Initializer):
    """U(-1 / sqrt(fan), 1 / sqrt(fan)), PyTorch's initial values of linear layers; the fan is n_in, or what is given."""

    name: ClassVar[str] = "fan_in_uniform"
    formula: ClassVar[str] = "U(-c, c), c = 1 / sqrt(n_in)"
    uniform: ClassVar[bool] = True
    fan: int | None = None

    def variance(self, n_in: int, n_out: int) -> float:
        return 1.0 / (3 * (n_in if self.fan is None else self.fan))


@dataclass(frozen=True, kw_only=True)
class Linear(Operation):
    """``Z = factor A W + b``, in groups with weights of their own, or with the same weights at several positions.

    Rows of A are (groups, n_in), or (n_in,) that all groups share, or (positions, n_in); rows of Z (groups or positions,
    n_units). W is (groups, n_in, n_units) and b (groups, n_units), without the first axis where there is one group.
    """

    kind: ClassVar[str] = "dense"
    n_in: int
    n_units: int
    initializer: Initializer
    scale: str = "none"
    groups: int = 1
    positions: int = 1
    shared: bool = False
    biases: bool = True
    initial_biases: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] | None = None

    @property
    def n_out(self) -> int:
        return self.groups * self.positions * self.n_units

    @property
    def factor(self) -> float:
        """Of A W."""
        return scale_factor(self.scale, self.n_in)

    @property
    def dims(self) -> tuple[int, ...]:
        return self.groups, self.n_in, self.n_units, self.positions, int(self.biases)

    @property
    def option(self) -> float:
        return self.factor

    @property
    def segments(self) -> tuple[Segment, ...]:
        axis = (self.groups,) if self.groups > 1 else ()
        W = Segment("W", (*axis, self.n_in, self.n_units), self._initial_weights)
        if not self.biases:
            return (W,)
        shape, initial = (*axis, self.n_units), self.initial_biases
        return W, Segment("b", shape, zero if initial is None else lambda rng: initial(rng, shape))

    def _initial_weights(self, rng: np.random.Generator) -> np.ndarray:
        draws = [self.initializer(rng, self.n_in, self.n_units) / self.factor for _ in range(self.groups)]
        return np.stack(draws) if self.groups > 1 else draws[0]

    def _grouped(self, rows: np.ndarray, width: int) -> np.ndarray:
        """Rows as (groups, m * positions, width)."""
        m = len(rows)
        return rows.reshape(m * self.positions, -1, width).swapaxes(0, 1)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        W = params["W"].reshape(self.groups, self.n_in, self.n_units)
        Z = self.factor * (self._grouped(A[0], self.n_in) @ W)
        if self.biases:
            Z = Z + params["b"].reshape(self.groups, 1, self.n_units)
        return np.asarray(Z.swapaxes(0, 1).reshape(len(A[0]), self.n_out))

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        W = params["W"].reshape(self.groups, self.n_in, self.n_units)
        d, a = self._grouped(dZ, self.n_units), self._grouped(A[0], self.n_in)
        dA = self.factor * (d @ W.swapaxes(1, 2))
        if self.shared:
            dA = dA.sum(axis=0, keepdims=True)
        gradients = {"W": (self.factor * (a.swapaxes(1, 2) @ d)).reshape(params["W"].shape)}
        if self.biases:
            gradients["b"] = d.sum(axis=1).reshape(params["b"].shape)
        return (dA.swapaxes(0, 1).reshape(A[0].shape),), gradients
