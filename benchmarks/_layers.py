"""Networks of layers beyond dense ones, as plain values: `("conv", filters, size, padding)`, `("pool", size)`, `("flatten",)`,
`("mean",)`, `("lstm", units)` and `("gru", units)` of which the last position counts, `("dense", units)`, `("output", classes)`.

Convolutions and dense layers have the ReLU.
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
            case ("mean",):
                shape = before[-1:]
            case (_, int(units)):
                shape = (units,)
        yield layer, before, shape


def products(shape: tuple[int, ...], layers: tuple[Spec, ...]) -> list[int]:
    """Multiply-adds of each layer's products for one row, forward."""
    counts = []
    for layer, before, after in walk(shape, layers):
        match layer:
            case ("conv", int(filters), int(size), _):
                counts.append(math.prod(after[:-1]) * size ** (len(before) - 1) * before[-1] * filters)
            case ("lstm" | "gru" as kind, int(units)):
                counts.append(before[0] * GATES[kind] * units * (before[1] + units))
            case ("dense" | "output", int(units)):
                counts.append(before[0] * units)
    return counts


@dataclass(frozen=True)
class LayerTraining:
    """Epochs of a network with softmax and cross-entropy, one Adam update a batch; `goals` are peer / fastnet."""

    kind: ClassVar[str] = "trainer"
    unit: ClassVar[str] = "ms per epoch"
    scale: ClassVar[float] = 1e3

    name: str
    n_rows: int
    batch_size: int
    input_shape: tuple[int, ...]
    layers: tuple[Spec, ...]
    goals: dict[str, float] = field(default_factory=dict)

    @property
    def n_outputs(self) -> int:
        return int(self.layers[-1][1])

    @property
    def flops(self) -> float:
        """Floating-point operations of an epoch's products; the first layer's inputs have no gradient."""
        counts = products(self.input_shape, self.layers)
        recurrent = self.layers[0][0] in GATES
        first = counts[0] * self.input_shape[-1] / (self.input_shape[-1] + int(self.layers[0][1])) if recurrent else counts[0]
        return 2.0 * self.n_rows * (3 * sum(counts) - first)

    @property
    def n_bytes(self) -> int:
        return 4 * self.n_rows * math.prod(self.input_shape)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X (m, *input_shape) in float32 and class numbers (m,)."""
        rng = np.random.default_rng(0)
        return rng.standard_normal((self.n_rows, *self.input_shape), np.float32), rng.integers(0, self.n_outputs, self.n_rows)


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
        """A row, of shape input_shape."""
        return np.random.default_rng(0).standard_normal(self.input_shape, np.float32)
