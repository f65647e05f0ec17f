"""Where a position stands in its row, and features of a table as positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnet import _checks
from fastnet._hints import takes_other_words
from fastnet._values import frozen
from fastnet.layers._base import Arrays, Layer, Operation, Segment
from fastnet.layers._graph import Graph
from fastnet.layers.dense import FanIn, Linear
from fastnet.layers.embedding import Lookup
from fastnet.layers.joins import Sum, column_numbers, refuse_lengths, select
from fastnet.layers.windows import Border, as_image


@frozen
class Positions(Layer):
    """A vector of its own is added to each position of rows of shape (length, d): ``A[l][t] = A[l-1][t] + P[t]``.

    "learned": P (length, d) is trained; N(0, 0.02^2) at first, as in GPT-2 (Radford et al. 2019). "sinusoidal": ``P[t, 2 i] =
    sin(t / 10000^(2 i / d))`` and ``P[t, 2 i + 1]`` the cosine of the same, from t = 0 on, which are not trained (Vaswani et al.
    2017).

    Parameters
    ----------
    kind : {"learned", "sinusoidal"}

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Positions("sinusoidal")], input_shape=(2, 4))
    >>> net.forward([0.0] * 8).reshape(2, 4).round(2)
    array([[0.  , 1.  , 0.  , 1.  ],
           [0.84, 0.54, 0.01, 1.  ]], dtype=float32)
    """

    kind: str = "learned"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _checks.one_of(self.kind, "kind", ("learned", "sinusoidal")))

    def connect(self, graph: Graph, source: int) -> int:
        _, length, width = as_image(graph, source, "Positions", 1)
        if graph.steps:
            before, _ = graph.step_numbers()
            of_step = graph.add(Lookup(rows=(graph.steps,), codes=1, n_units=width, table="P"), before)
            return graph.add(Sum(n_in=width, sources=2), source, of_step)
        learned = self.kind == "learned"

        def initial(rng: np.random.Generator) -> np.ndarray:
            return rng.normal(0.0, 0.02, (length, width)) if learned else waves(length, width)

        return graph.add(Shift(shape=(length, width), trained=learned, initial=initial), source)


def waves(length: int, width: int) -> np.ndarray:
    """(length, width) sines and cosines of the positions, by turns."""
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(length, -1)[:, :width]


@dataclass(frozen=True, init=False)
class FeatureTokens(Layer):
    """Each number of a flat row becomes a position of `width` numbers, and one more comes after them, as in the FT-Transformer
    (Gorishniy, Rubachev, Khrulkov & Babenko 2021): a row of n numbers x becomes one of shape (n + 1, width)::

        A[l][j] = x[j] * W[j] + P[j] for j < n,    A[l][n] = P[n]

    The last position, [CLS], stands for the row: after transformer blocks, `fastnet.Last` takes it. All parameters are
    ``U(-1 / sqrt(width), 1 / sqrt(width))`` at first. Categories come before them with ``Concat([CategoryEmbedding(sizes, width,
    columns=codes)], [FeatureTokens(width, columns=numbers), Flatten()])`` and
    ``Reshape((len(codes) + len(numbers) + 1, width))``.

    Parameters
    ----------
    width : int
    columns : sequence of int, optional
        Which numbers of the row; by default all.

    Examples
    --------
    >>> import fastnet as fn
    >>> layers = [fn.FeatureTokens(16), fn.TransformerBlock(4), fn.Last(), fn.LayerNorm(), fn.Dense(2, "softmax")]
    >>> fn.Network(layers, n_inputs=30, random_state=0).sizes
    (30, 496, 496, 16, 16, 2)
    """

    width: int
    columns: tuple[int, ...] | None

    @takes_other_words()
    def __init__(self, width: int, *, columns: Iterable[int] | None = None) -> None:
        object.__setattr__(self, "width", _checks.positive_int(width, "width", maximum=_checks.MAX_DIMENSION))
        object.__setattr__(self, "columns", None if columns is None else column_numbers(columns))

    def connect(self, graph: Graph, source: int) -> int:
        refuse_lengths(graph, source, type(self).__name__)
        x = select(graph, source, self.columns)
        n, bound = graph.widths[x], 1 / math.sqrt(self.width)
        shape = n + 1, self.width

        def initial(rng: np.random.Generator) -> np.ndarray:
            return rng.uniform(-bound, bound, shape)

        factors = Linear(n_in=1, n_units=self.width, groups=n, initializer=FanIn(self.width), biases=False)
        products = graph.add(factors, x, shape=(n, self.width))
        with_last = graph.add(Border(shape=(1, n, self.width), sides=((0, 0), (0, 1))), products, shape=shape)
        return graph.add(Shift(shape=shape, trained=True, initial=initial), with_last)


@dataclass(frozen=True, kw_only=True)
class Shift(Operation):
    """``Z = A + P`` with one number for each of a row."""

    kind: ClassVar[str] = "shift"
    shape: tuple[int, ...]
    trained: bool
    initial: Callable[[np.random.Generator], np.ndarray]

    @property
    def n_out(self) -> int:
        return math.prod(self.shape)

    @property
    def dims(self) -> tuple[int, ...]:
        return (int(self.trained),)

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (Segment("P", self.shape, self.initial),)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return A[0] + params["P"].ravel()

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        P = dZ.sum(axis=0) if self.trained else np.zeros(self.n_out)
        return (dZ,), {"P": P.reshape(self.shape)}
