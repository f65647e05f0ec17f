"""Layers without parameters: dropout, sums and concatenations of branches, choices of columns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnet import _checks, activations
from fastnet._hints import takes_other_words
from fastnet._values import frozen
from fastnet.activations import Activation
from fastnet.layers._base import Arrays, Layer, Operation
from fastnet.layers._graph import Graph
from fastnet.layers.lengths import LastPosition


@frozen
class Dropout(Layer):
    """Numbers of a row become 0 with probability `rate` in training, and the others are multiplied by ``1 / (1 - rate)``
    (Srivastava et al. 2014).

    Parameters
    ----------
    rate : float in [0, 1)

    Examples
    --------
    >>> import fastnet as fn
    >>> layers = [fn.Dense(64, "identity"), fn.LayerNorm(), fn.Dropout(0.2), fn.Dense(1, "sigmoid")]
    >>> fn.Network(layers, n_inputs=8, random_state=0)
    <Network 8 -> 64 identity, LayerNorm 64, Dropout 64, 1 sigmoid; 769 parameters, float32>
    """

    rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", _checks.real(self.rate, "rate", minimum=0.0, below=1.0))

    def connect(self, graph: Graph, source: int) -> int:
        return graph.add(Sum(n_in=graph.widths[source], dropout=self.rate), source)


@dataclass(frozen=True, init=False)
class Residual(Layer):
    """``A[l] = g(A[l-1] + f(A[l-1]))``, with the layers of f inside (He, Zhang, Ren & Sun 2016).

    Parameters
    ----------
    layers : sequence of Layer
        f; its output must have the shape of its input.
    activation : str or Activation
        g.

    Examples
    --------
    >>> import fastnet as fn
    >>> block = fn.Residual([fn.LayerNorm(), fn.Dense(64, "relu"), fn.Dense(8, "identity")])
    >>> list(fn.Network([block, fn.Dense(1, "identity")], n_inputs=8, random_state=0).parameters)
    ['1.1.gain', '1.1.bias', '1.2.W', '1.2.b', '1.3.W', '1.3.b', '2.W', '2.b']
    """

    layers: tuple[Layer, ...]
    activation: Activation

    @takes_other_words()
    def __init__(self, layers: Iterable[Layer] | Layer, activation: str | Activation | type[Activation] = "identity") -> None:
        object.__setattr__(self, "layers", branch(layers, "Residual"))
        object.__setattr__(self, "activation", activations.get(activation))

    def connect(self, graph: Graph, source: int) -> int:
        end = graph.chain(self.layers, source)
        if graph.members_of(end) > graph.members_of(source):
            source = graph.for_each_member(source)
        made, read = graph.row_shapes[end], graph.row_shapes[source]
        if made[:-1] != read[:-1] or not graph.have_the_same_lengths([end, source]):
            raise ValueError(
                f"Residual adds what its layers make to what they read: both must have the same positions, got {made} and "
                f"{read}; take stride=1 and padding='same' or 'causal', and return_sequences=True."
            )
        if made != read:
            raise ValueError(
                f"Residual adds what its layers make to what they read: both must have the same width, got {made[-1]} and "
                f"{read[-1]}; end with Dense({read[-1]}, 'identity')."
            )
        return graph.add(Sum(n_in=graph.widths[source], sources=2, activation=self.activation), source, end)


@dataclass(frozen=True, init=False)
class Concat(Layer):
    """The outputs of several branches side by side, each of which reads A[l-1].

    Where rows have positions, they are joined at each position: branches of shape (length, c) and (length, d) make rows of shape
    (length, c + d). `Flatten` at the end of a branch makes flat rows of it.

    Parameters
    ----------
    *layers : sequence of Layer
        Branches: layers one after the other; an empty one passes A[l-1] on.
    branches : sequence of sequences of Layer, optional
        The branches as one argument instead.

    Examples
    --------
    >>> import fastnet as fn
    >>> wide_and_deep = fn.Concat([], [fn.Dense(16, "relu"), fn.Dense(4, "relu")])
    >>> fn.Network([wide_and_deep, fn.Dense(1, "sigmoid")], n_inputs=5, random_state=0).sizes
    (5, 9, 1)
    """

    branches: tuple[tuple[Layer, ...], ...]

    @takes_other_words()
    def __init__(self, *layers: Iterable[Layer] | Layer, branches: Iterable[Iterable[Layer] | Layer] = ()) -> None:
        branches = (*layers, *branches)
        if not branches:
            raise ValueError("Concat needs at least one branch, as in Concat([Dense(8)], [Dense(4)]).")
        object.__setattr__(self, "branches", tuple(branch(part, "Concat", may_be_empty=True) for part in branches))

    def connect(self, graph: Graph, source: int) -> int:
        ends = []
        for number, layers in enumerate(self.branches, 1):
            with graph.within(str(number)):
                ends.append(graph.chain(layers, source))
        if any(graph.members_of(end) > 1 for end in ends):
            ends = [graph.for_each_member(end) for end in ends]
        shapes = [graph.row_shapes[end] for end in ends]
        positions = shapes[0][:-1]
        if any(shape[:-1] != positions for shape in shapes) or not graph.have_the_same_lengths(ends):
            raise ValueError(
                "Concat joins its branches position by position: all must have the same positions, got rows of shape "
                f"{', '.join(map(str, shapes))}; end branches with Flatten, GlobalPool or Last."
            )
        side = Side(widths=tuple(graph.widths[end] for end in ends), groups=graph.members_of(ends[0]) * math.prod(positions))
        return graph.add(side, *ends, shape=(*positions, sum(shape[-1] for shape in shapes)))


@frozen
class Flatten(Layer):
    """A row's numbers without their positions: (height, width, channels) becomes (height * width * channels,).

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Network([fn.Conv2d(4, 3), fn.Flatten()], input_shape=(8, 8, 1), random_state=0).output_shape
    (144,)
    """

    def connect(self, graph: Graph, source: int) -> int:
        refuse_lengths(graph, source, "Flatten")
        width = graph.widths[source]
        return graph.add(Sum(n_in=width), source, shape=(width // graph.members_of(source),))


@frozen
class Reshape(Layer):
    """A row's numbers with other positions.

    Parameters
    ----------
    shape : sequence of int
        Positions first, channels last; as many numbers as before.

    Examples
    --------
    >>> import fastnet as fn
    >>> layers = [fn.Reshape((8, 8, 1)), fn.Conv2d(4, 3), fn.Flatten(), fn.Dense(10, "softmax")]
    >>> fn.Network(layers, n_inputs=64, random_state=0).output_shape
    (10,)
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        given = _checks.sequence(self.shape, "shape", "(8, 8, 1)")
        shape = tuple(_checks.positive_int(n, "shape", maximum=_checks.MAX_DIMENSION) for n in given)
        object.__setattr__(self, "shape", shape)

    def connect(self, graph: Graph, source: int) -> int:
        if math.prod(self.shape) != math.prod(graph.row_shapes[source]):
            numbers = math.prod(self.shape)
            raise ValueError(f"Reshape to {self.shape} needs {numbers} numbers a row, got {graph.row_shapes[source]}.")
        refuse_lengths(graph, source, "Reshape")
        return graph.add(Sum(n_in=graph.widths[source]), source, shape=self.shape)


@frozen
class Last(Layer):
    """The last position that each row has: (steps, channels) becomes (channels,).

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Last()], input_shape=(3, 2))
    >>> net.forward([[1.0, 0.0], [3.0, -1.0], [2.0, 5.0]])
    array([2., 5.], dtype=float32)
    """

    def connect(self, graph: Graph, source: int) -> int:
        shape = graph.row_shapes[source]
        if len(shape) == 1:
            raise ValueError(
                f"Last takes rows of shape (steps, channels), got flat rows of {shape[0]}: give the network an input_shape."
            )
        numbers, lengths = math.prod(shape), graph.lengths_of(source)
        if lengths is not None:
            operation = LastPosition(n_positions=shape[0], n_numbers=math.prod(shape[1:]))
            return graph.add(operation, source, lengths, shape=shape[1:], lengths=0)
        return select(graph, source, range(numbers - math.prod(shape[1:]), numbers), shape=shape[1:])


@dataclass(frozen=True, init=False)
class Columns(Layer):
    """Some numbers of each row: ``A[l][:, j] = A[l-1][:, columns[j]]``. Of rows with positions they make flat ones.

    Parameters
    ----------
    columns : sequence of int
        From 0.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Network([fn.Columns([2, 0])], n_inputs=3).forward([1.0, 2.0, 3.0])
    array([3., 1.], dtype=float32)
    """

    columns: tuple[int, ...]

    @takes_other_words()
    def __init__(self, columns: Iterable[int]) -> None:
        object.__setattr__(self, "columns", column_numbers(columns))

    def connect(self, graph: Graph, source: int) -> int:
        refuse_lengths(graph, source, "Columns")
        return select(graph, source, self.columns, shape=(len(self.columns),))


def refuse_lengths(graph: Graph, source: int, layer: str) -> None:
    """ValueError of a layer that reads all numbers of a row, where rows have unequal numbers of positions."""
    if graph.lengths_of(source) is not None:
        raise ValueError(
            f"{layer} takes rows of one length, got rows of unequal length: put GlobalPool or Last before it, which make one "
            "position of each row."
        )


def branch(layers: Any, owner: str, *, may_be_empty: bool = False) -> tuple[Layer, ...]:
    """Layers of a branch as a tuple; TypeError or ValueError otherwise."""
    layers = (layers,) if isinstance(layers, Layer) else tuple(layers)
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(f"{owner} takes lists of layers, got {layer!r} in one of them.")
    if not layers and not may_be_empty:
        raise ValueError(f"{owner} needs at least one layer.")
    return layers


def column_numbers(columns: Iterable[int]) -> tuple[int, ...]:
    """Numbers of columns as ints."""
    numbers = tuple(_checks.integer(column, "columns", minimum=0, maximum=_checks.MAX_DIMENSION) for column in columns)
    if not numbers:
        raise ValueError("columns must name at least one column, got none.")
    return numbers


def select(graph: Graph, source: int, columns: tuple[int, ...] | range | None, *, shape: tuple[int, ...] | None = None) -> int:
    """Columns of each row (of each member's part of it); the source itself where all are wanted."""
    if columns is None:
        return source
    members, width = graph.members_of(source), graph.widths[source] // graph.members_of(source)
    last = columns[-1] if isinstance(columns, range) else max(columns)
    if last >= width:
        raise ValueError(f"There is no column {last}: the layer before has {width} numbers a row, counted from 0.")
    if members > 1:
        columns = tuple(member * width + column for member in range(members) for column in columns)
    return graph.add(Selection(n_in=graph.widths[source], columns=columns), source, shape=shape)


@dataclass(frozen=True, kw_only=True)
class Sum(Operation):
    """The sum of its sources; of one source, what it reads."""

    n_in: int
    sources: int = 1

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "pass" if self.sources == 1 else "sum"

    @property
    def n_out(self) -> int:
        return self.n_in

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return np.asarray(sum(A))

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        return (dZ,) * self.sources, {}


@dataclass(frozen=True, kw_only=True)
class Side(Operation):
    """Its sources side by side, group by group."""

    kind: ClassVar[str] = "concat"
    widths: tuple[int, ...]
    groups: int = 1

    @property
    def n_out(self) -> int:
        return sum(self.widths)

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.groups,)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        parts = [a.reshape(len(a), self.groups, -1) for a in A]
        return np.concatenate(parts, axis=2).reshape(len(A[0]), self.n_out)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        ends = np.cumsum([width // self.groups for width in self.widths])
        parts = np.split(dZ.reshape(len(dZ), self.groups, -1), ends[:-1], axis=2)
        return tuple(part.reshape(a.shape) for part, a in zip(parts, A, strict=True)), {}


@dataclass(frozen=True, kw_only=True)
class Selection(Operation):
    """Columns of its source: some that may repeat, or a range of them."""

    kind: ClassVar[str] = "columns"
    n_in: int
    columns: tuple[int, ...] | range

    @property
    def n_out(self) -> int:
        return len(self.columns)

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.columns.start, len(self.columns)) if isinstance(self.columns, range) else ()

    @property
    def constants(self) -> tuple[int, ...]:
        return () if isinstance(self.columns, range) else self.columns

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return A[0][:, list(self.columns)]

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        dA = np.zeros_like(A[0])
        np.add.at(dA.T, list(self.columns), dZ.T)
        return (dA,), {}
