"""What all layers share: descriptions that users write, and the sized operations of the core that they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from fastnet._core import core
from fastnet.activations import Activation, Identity

if TYPE_CHECKING:
    from fastnet.layers._graph import Graph

#: The arrays of an operation's segments, by name.
Arrays = Mapping[str, np.ndarray]


class Layer:
    """A layer as users describe it: a frozen dataclass without sizes that depend on the layer before it.

    To add one, write `connect` here and, if the core lacks an operation for it, an `Operation`, its file in the core, and its
    row in `fastnet/onnx/_operations.py`.
    """

    def connect(self, graph: Graph, source: int) -> int:
        """Append this layer's operations to the graph, reading number `source`; return the number of the last one."""
        raise NotImplementedError


class Segment(NamedTuple):
    """One named array of an operation's parameters.

    Attributes
    ----------
    name : str
    shape : tuple of int
    initial : callable
        ``(rng) -> initial values``: an array of that shape, or one number for all.
    """

    name: str
    shape: tuple[int, ...]
    initial: Callable[[np.random.Generator], np.ndarray | float]


def zero(rng: np.random.Generator) -> float:
    """The initial value of biases."""
    return 0.0


def one(rng: np.random.Generator) -> float:
    """The initial value of factors."""
    return 1.0


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One layer of the core: rows of `n_in` numbers become rows of `n_out`.

    `forward` and `backward` are plain NumPy versions of the core's kernels, which `fastnet.inspection` and the tests use.

    Attributes
    ----------
    kind : str
        Its name in the core.
    activation : Activation
        Applied to its output.
    dropout : float
        Share of its output that training sets to zero.
    """

    kind: ClassVar[str]
    activation: Activation = field(default_factory=Identity)
    dropout: float = 0.0

    @property
    def n_out(self) -> int:
        """Numbers of an output row."""
        raise NotImplementedError

    @property
    def dims(self) -> tuple[int, ...]:
        """Sizes that the core's kernel needs; the head of its file in src_pyx/fastnet/_core/layers says which."""
        return ()

    @property
    def constants(self) -> tuple[int, ...]:
        """Further integers that the kernel needs, such as column numbers."""
        return ()

    @property
    def option(self) -> float | tuple[float, float]:
        """A real number that the kernel needs (`option` in the core), or two of them (`option` and `rate`)."""
        return 0.0

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Its parameters, in the core's order."""
        return ()

    def core_form(self, sources: tuple[int, ...]) -> tuple[object, ...]:
        """The operation as `core.Plan` takes it."""
        code = core.LAYER_CODES[self.kind]
        output = self.activation.code, self.activation.parameter, self.dropout
        return code, sources, self.dims, self.constants, self.option, *output

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        """Z (m, n_out) from the sources' rows A (m, n_in)."""
        raise NotImplementedError

    def forward_of_batch(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        """Z of a batch in training, where a row's result may depend on the other rows; `backward` is the gradient of this."""
        return self.forward(params, *A)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        """Gradients with respect to the rows of each source, and by segment, from dZ (m, n_out)."""
        raise NotImplementedError
