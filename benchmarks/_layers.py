"""Networks of layers beyond dense ones, as plain values: `("conv", filters, size, padding)`, `("pool", size)`, `("flatten",)`,
`("mean",)` over positions and `("last",)`, `("lstm", units)` and `("gru", units)` of which the last position counts,
`("embedding", ids, width)` of numbers of words, `("tokens", width)` of the features of a table and one more, `("positions",)`,
`("block", heads, units)` of a transformer's encoder, `("causal", heads, units)` of its decoder, `("norm",)`, `("linear", units)`,
`("dense", units)`, `("output", classes)`.

Convolutions and dense layers have the ReLU, blocks the GELU; blocks, linear and output layers work at each position.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

Spec = tuple[str | int, ...]
GATES = {"lstm": 4, "gru": 3}


def walk(shape: tuple[int, ...], layers: tuple[Spec, ...]) -> Iterator[tuple[Spec, tuple[int, ...], tuple[int, ...]]]:
    """Each layer with the shapes of a row before and after it, channels last."""
    for layer in layers:
        before = shape
        match layer:
            case ("conv", int(filters), int(size), int(padding)):
                shape = (*(n + 2 * padding - size + 1 for n in before[:-1]), filters)
            case ("pool", int(size)):
                shape = (*(n // size for n in before[:-1]), before[-1])
            case ("flatten",):
                shape = (math.prod(before),)
            case ("mean",) | ("last",):
                shape = before[-1:]
            case ("lstm" | "gru", int(units)):
                shape = (units,)
            case ("embedding", _, int(width)):
                shape = (*before, width)
            case ("tokens", int(width)):
                shape = (before[0] + 1, width)
            case ("linear" | "dense" | "output", int(units)):
                shape = (*before[:-1], units)
        yield layer, before, shape


def products(shape: tuple[int, ...], layers: tuple[Spec, ...]) -> list[int]:
    """Multiply-adds of the products of each layer that has some, for one row, forward."""
    counts = []
    for layer, before, after in walk(shape, layers):
        match layer:
            case ("conv", int(filters), int(size), _):
                counts.append(math.prod(after[:-1]) * size ** (len(before) - 1) * before[-1] * filters)
            case ("lstm" | "gru" as kind, int(units)):
                counts.append(before[0] * GATES[kind] * units * (before[1] + units))
            case ("block" | "causal" as kind, _, int(units)):
                length, width = before
                pairs = length**2 if kind == "block" else length * (length + 1) // 2
                counts.append(length * width * (4 * width + 2 * units) + 2 * pairs * width)
            case ("linear" | "dense" | "output", int(units)):
                counts.append(math.prod(before) * units)
    return counts


def draw(rng: np.random.Generator, shape: tuple[int, ...], layers: tuple[Spec, ...]) -> np.ndarray:
    """Rows of numbers in float32, or of ids in int32 if the first layer is an embedding."""
    if layers[0][0] == "embedding":
        return rng.integers(0, int(layers[0][1]), shape, np.int32)
    return rng.standard_normal(shape, np.float32)


@dataclass(frozen=True)
class LayerTraining:
    """Epochs of a network with softmax and cross-entropy, one Adam update a batch; `goals` are peer / fastnet.

    Rows have from `lengths[0]` to `lengths[1]` positions, or all of them.
    """

    kind: ClassVar[str] = "trainer"
    unit: ClassVar[str] = "ms per epoch"
    scale: ClassVar[float] = 1e3

    name: str
    n_rows: int
    batch_size: int
    input_shape: tuple[int, ...]
    layers: tuple[Spec, ...]
    goals: dict[str, float] = field(default_factory=dict)
    lengths: tuple[int, int] | None = None

    @property
    def output_shape(self) -> tuple[int, ...]:
        *_, (_, _, shape) = walk(self.input_shape, self.layers)
        return shape

    @property
    def flops(self) -> float:
        """Floating-point operations of an epoch's products over the positions that rows have; inputs have no gradient."""
        first, *others = products(self.input_shape, self.layers)
        match self.layers[0]:
            case ("lstm" | "gru", int(units)):
                of_inputs = first * self.input_shape[-1] / (self.input_shape[-1] + units)
            case ("embedding" | "tokens", *_):
                of_inputs = 0.0
            case _:
                of_inputs = first
        share = 1.0 if self.lengths is None else self.row_lengths().mean() / self.input_shape[0]
        return 2.0 * self.n_rows * (share * (3 * first - of_inputs) + 3 * sum(others))

    @property
    def n_bytes(self) -> int:
        return 4 * self.n_rows * math.prod(self.input_shape)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X (m, *input_shape), and class numbers, one a row or one a position as the output layer has them."""
        rng = np.random.default_rng(0)
        X = draw(rng, (self.n_rows, *self.input_shape), self.layers)
        *positions, n_classes = self.output_shape
        return X, rng.integers(0, n_classes, (self.n_rows, *positions))

    def row_lengths(self) -> np.ndarray:
        """(m,) positions of each row."""
        least, most = self.lengths or (self.input_shape[0],) * 2
        return np.random.default_rng(1).integers(least, most + 1, self.n_rows)


@dataclass(frozen=True)
class LayerInference:
    """Predictions of one row."""

    kind: ClassVar[str] = "predictor"
    unit: ClassVar[str] = "us per call"
    scale: ClassVar[float] = 1e6
    n_rows: ClassVar[int] = 1

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Spec, ...]

    @property
    def n_bytes(self) -> int:
        return 4 * math.prod(self.input_shape)

    def data(self) -> np.ndarray:
        """A row of float32, of shape input_shape."""
        return draw(np.random.default_rng(0), self.input_shape, self.layers).astype(np.float32)
