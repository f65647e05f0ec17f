"""What is measured: networks, data and work, as plain values that go to a worker process, which makes the data itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

MOMENTUM = 0.9
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class Training:
    """Epochs of a network with softmax and cross-entropy, or with `regression` of one output; `goals` are peer / fastnet."""

    kind: ClassVar[str] = "trainer"
    unit: ClassVar[str] = "ms per epoch"
    scale: ClassVar[float] = 1e3

    name: str
    n_rows: int
    n_features: int
    hidden: tuple[int, ...]
    n_outputs: int
    batch_size: int
    goals: dict[str, float] = field(default_factory=dict)
    limit_goal: float | None = None
    activation: str = "relu"
    optimizer: str = "adam"
    regression: bool = False
    dtype: str = "float32"
    #: fastnet only: more arguments of `fit` and of `Network`, and a call of the core for each batch.
    fit_options: tuple[tuple[str, object], ...] = ()
    network_options: tuple[tuple[str, object], ...] = ()
    call_a_batch: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.n_features, *self.hidden, self.n_outputs)

    @property
    def flops(self) -> float:
        """Of the three products of an epoch (forward, dW, dA), without dA of the first layer."""
        weights = [n_in * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True)]
        return 2.0 * self.n_rows * (3 * sum(weights) - weights[0])

    @property
    def n_bytes(self) -> int:
        return self.n_rows * self.n_features * np.dtype(self.dtype).itemsize

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X (m, n_features), C-contiguous, and class numbers or one value a row, y (m,)."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.n_rows, self.n_features), dtype=self.dtype)
        scores = X[:, :2] @ rng.standard_normal((2, self.n_outputs), dtype=self.dtype)
        return X, scores[:, 0] if self.regression else scores.argmax(axis=1)

    def changed(self, suffix: str, margin: float, **changes: object) -> Training:
        """The same with another activation, optimiser or the like, and goals lowered to `margin` of this shape's."""
        goals = {peer: margin * goal for peer, goal in self.goals.items()}
        return replace(self, name=f"{self.name}-{suffix}", goals=goals, limit_goal=None, **changes)


@dataclass(frozen=True)
class Inference:
    """Calls of a network on a block of rows. `best_goal` is the best peer / fastnet."""

    kind: ClassVar[str] = "predictor"
    unit: ClassVar[str] = "us per call"
    scale: ClassVar[float] = 1e6

    name: str
    sizes: tuple[int, ...]
    n_rows: int
    best_goal: float | None = None
    most_microseconds: float | None = None
    estimator_goal: float | None = None
    dtype: str = "float32"

    @property
    def n_bytes(self) -> int:
        """Of X and the widest activations."""
        return self.n_rows * (self.sizes[0] + 2 * max(self.sizes[1:])) * np.dtype(self.dtype).itemsize

    @property
    def flops(self) -> float:
        """Of the products."""
        return 2.0 * self.n_rows * sum(n_in * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def data(self) -> np.ndarray:
        """One row as a vector, more as a matrix."""
        shape = (self.n_rows, self.sizes[0]) if self.n_rows > 1 else self.sizes[:1]
        return np.random.default_rng(0).standard_normal(shape, dtype=self.dtype)

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """W[l] (n[l-1], n[l]) and b[l] (n[l],) of ReLU layers and a softmax output."""
        rng = np.random.default_rng(1)
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        weights = [rng.standard_normal(pair, dtype=self.dtype) * self.weight_scale(pair[0]) for pair in pairs]
        return weights, [np.zeros(n_out, self.dtype) for _, n_out in pairs]

    def weight_scale(self, n_in: int) -> np.floating:
        return np.dtype(self.dtype).type((2.0 / n_in) ** 0.5)


@dataclass(frozen=True)
class Gemm:
    """C = A B of square matrices by BLAS: the limit of products."""

    kind: ClassVar[str] = "gemm"

    n: int = 1024
    dtype: str = "float32"
    n_bytes: ClassVar[int] = 0

    @property
    def flops(self) -> float:
        return 2.0 * self.n**3


@dataclass(frozen=True)
class Kernel:
    """One kernel of the compiled core: `function` names the kind of work, `arguments` its shape."""

    kind: ClassVar[str] = "kernel"

    function: str
    arguments: tuple[object, ...]
    dtype: str = "float32"
    n_bytes: ClassVar[int] = 0


@dataclass(frozen=True)
class Concurrent:
    """Fits side by side: `fits` training runs in as many Python threads, or a grid search with as many jobs."""

    kind: ClassVar[str] = "concurrent"

    training: Training
    fits: int
    grid_search: bool = False

    @property
    def n_bytes(self) -> int:
        return self.training.n_bytes
