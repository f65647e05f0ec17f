"""Elementwise factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnet import _checks
from fastnet._values import frozen
from fastnet.layers._base import Arrays, Layer, Operation, Segment, one, zero
from fastnet.layers._graph import Graph


@frozen
class Scale(Layer):
    """Elementwise factors ``A[l] = s * A[l-1]``, one for each number of a row, 1 at first.

    Before the first dense layer it learns which features matter, with a learning rate of its own (`learning_rate_factors`), as in
    RealMLP (Holzmüller, Grinsztajn & Steinwart 2024).

    Parameters
    ----------
    bias : bool
        ``A[l] = s * A[l-1] + b``.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Scale()], n_inputs=3)
    >>> net.parameters["1.s"][:] = [1.0, 0.0, 2.0]
    >>> net.forward([1.0, 2.0, 3.0])
    array([1., 0., 6.], dtype=float32)
    """

    bias: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "bias", _checks.boolean(self.bias, "bias"))

    def connect(self, graph: Graph, source: int) -> int:
        copies = graph.n_members if graph.ensemble == "packed" and graph.members_of(source) == 1 else 1
        scaling = Scaling(n_in=graph.widths[source], copies=copies, biases=self.bias)
        return graph.add(scaling, source, of_members=True if copies > 1 else None)


def random_signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """-1 or 1 at random: what members of an ensemble that shares its weights begin with (Gorishniy, Kotelnikov & Babenko
    2024)."""
    return rng.choice([-1.0, 1.0], shape)


@dataclass(frozen=True, kw_only=True)
class Scaling(Operation):
    """``Z = s * A + b`` for each of several copies of A, with factors of their own."""

    kind: ClassVar[str] = "scale"
    n_in: int
    copies: int = 1
    biases: bool = False
    initial: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] | None = None

    @property
    def n_out(self) -> int:
        return self.copies * self.n_in

    @property
    def dims(self) -> tuple[int, ...]:
        return self.copies, int(self.biases)

    @property
    def segments(self) -> tuple[Segment, ...]:
        shape, initial = (self.n_out,), self.initial
        s = Segment("s", shape, one if initial is None else lambda rng: initial(rng, shape))
        return (s, Segment("b", shape, zero)) if self.biases else (s,)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        Z = np.tile(A[0], self.copies) * params["s"]
        return Z + params["b"] if self.biases else Z

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        dA = (dZ * params["s"]).reshape(len(dZ), self.copies, self.n_in).sum(axis=1)
        gradients = {"s": (np.tile(A[0], self.copies) * dZ).sum(axis=0)}
        if self.biases:
            gradients["b"] = dZ.sum(axis=0)
        return (dA,), gradients
