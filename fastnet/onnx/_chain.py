"""A chain of layers in the making, from the nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet.activations import Activation, Identity
from fastnet.layers import Flatten, Layer, Reshape
from fastnet.network import Network
from fastnet.onnx._layout import MERGED, NOTHING, Layout

_ALWAYS_ALLOWED = 1_000_000  # numbers that a network may have, however few the model has
_MOST_PLACED = 1 << 28  # numbers of rows, over all nodes
_MOST_SHARED = 16  # how often a larger network may contain each number of the model, on average
#: Activations that grow with their input: the maximum of some of their values is that of the maximum.
_GROWING = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "exponential")


def never(g: Activation) -> bool:
    """For `Entry.passes`."""
    return False


@dataclass
class Entry:
    """A layer that was found.

    Attributes
    ----------
    build : callable
        () -> Layer, or (activation) -> Layer for a layer that may have one.
    parameters : dict of str to ndarray
        By the names that they have in the network, behind the layer's number.
    activation : Activation or None
        None for a layer that cannot have one; identity until one is found.
    passes : callable
        Whether an activation after this layer does the same before it.
    bias : str or None
        The parameter that a constant which is added next is for.
    last : callable or None
        `build` of a layer that gives the last step alone, where this one gives all.
    """

    build: Callable[..., Layer]
    parameters: dict[str, np.ndarray]
    activation: Activation | None = None
    passes: Callable[[Activation], bool] = never
    bias: str | None = None
    last: Callable[..., Layer] | None = None

    def layer(self) -> Layer:
        return self.build() if self.activation is None else self.build(self.activation)


def growing(g: Activation) -> bool:
    """For `Entry.passes`, of a maximum."""
    return g.name in _GROWING


def elementwise(g: Activation) -> bool:
    """For `Entry.passes`, of another order or shape."""
    return g.name != "softmax"


class Chain:
    """The layers of the nodes read so far, and what the last tensor is to their outputs.

    Parameters
    ----------
    constants : dict of str to ndarray
        Of the graph.
    shape : tuple of int, or None
        Of a row of the graph's input; None if the model does not say.
    zeros : set of str
        Further tensors, which are 0.
    n_rows : int, optional
        That the model is for, if it is for no other number.
    """

    def __init__(
        self, constants: dict[str, np.ndarray], shape: tuple[int, ...] | None, zeros: set[str], n_rows: int | None = None
    ) -> None:
        self.constants = constants
        self.n_rows = n_rows
        self.zeros = zeros
        self.entries: list[Entry] = []
        #: Of a row of the layers' output, with the channels last.
        self.shape = shape or ()
        self._layout = None if shape is None else Layout.of(shape)
        self._input_shape = self._declared = shape
        self._n_placed = 0
        self._n_numbers = 0  # parameters, including biases that were added to others
        n_stored = sum({id(array): array.size for array in constants.values()}.values())
        self._most_numbers = max(_ALWAYS_ALLOWED, _MOST_SHARED * n_stored)

    def network(self) -> Network:
        """The network of the layers found."""
        if not any(entry.parameters for entry in self.entries):
            raise ValueError("the model has no layer with parameters (Gemm, MatMul and Add, Conv and others)")
        if not self.layout.in_order:
            raise ValueError("its output is not in the order of a network's, whose channels come last")
        layers = [entry.layer() for entry in self.entries]
        dtypes = {array.dtype for entry in self.entries for array in entry.parameters.values()}
        dtype = "float32" if dtypes == {np.dtype(np.float32)} else "float64"
        assert self._input_shape is not None
        network = Network(layers, input_shape=self._input_shape, dtype=dtype)
        for number, entry in enumerate(self.entries, 1):
            for name, array in entry.parameters.items():
                view = network.parameters[f"{number}.{name}"]
                view[...] = array.reshape(view.shape)
        return network

    @property
    def layout(self) -> Layout:
        """Of the last tensor."""
        if self._layout is None:
            raise ValueError("the model does not declare the shape of its input, which the layer needs")
        return self._layout

    @layout.setter
    def layout(self, layout: Layout) -> None:
        self._n_placed += layout.places.size
        if self._n_placed > _MOST_PLACED:
            raise ValueError(f"rows of {layout.places.size:,} numbers are rearranged too often")
        self._layout = layout

    def constant(self, name: str) -> np.ndarray:
        if name not in self.constants:
            raise ValueError(f"its operand {name!r} is not a constant")
        return self.constants[name]

    def numbers(self, name: str, what: str) -> np.ndarray:
        """A constant of floats, all finite."""
        array = self.constant(name)
        if array.dtype not in (np.float32, np.float64):
            raise ValueError(f"expected float32 or float64 for its {what}, got {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"NaN or infinity in its {what}")
        return array

    def starts_with(self, n_inputs: int) -> None:
        """Flat rows of so many numbers, if the model does not declare its input."""
        if self._layout is None:
            self.shape = self._input_shape = (n_inputs,)
            self._layout = Layout.of(self.shape)

    def append(self, entry: Entry, shape: tuple[int, ...], layout: Layout) -> None:
        """A layer that makes rows of this shape, of which the tensor after it is `layout`."""
        self.count(sum(array.size for name, array in entry.parameters.items() if name != entry.bias))
        for name, array in entry.parameters.items():
            if not np.isfinite(array).all():
                raise ValueError(f"NaN or infinity in its {'weights' if name == 'W' else name}")
        self.entries.append(entry)
        self.shape, self.layout = shape, layout

    def count(self, n_numbers: int) -> None:
        """Refuse a network that is out of all proportion to its model."""
        self._n_numbers += n_numbers
        if self._n_numbers > self._most_numbers:
            raise ValueError(f"nodes share constants so often that the network would hold more than {self._most_numbers} numbers")

    def be(self, shape: tuple[int, ...]) -> None:
        """Let rows have this shape, of as many numbers in the same order."""
        if shape == self.shape:
            return
        if not self.entries:
            self._input_shape = shape
        elif len(shape) == 1:
            self.entries.append(Entry(Flatten, {}, passes=elementwise))
        else:
            self.entries.append(Entry(lambda: Reshape(shape), {}, passes=elementwise))
        self.shape = shape

    def refuse_border(self) -> None:
        """For everything that would compute with the zeros of a border, or leave them zeros where it does not."""
        if self._layout is not None and (self._layout.places == NOTHING).any():
            raise ValueError("only convolutions take a border of zeros")

    def channels_last(self, n_axes: int) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
        """The shape (.., channels) of rows whose tensor is (channels, ..), with so many axes of positions, and the border of
        zeros around it."""
        inner, sides = self.layout.without_border()
        if inner.batch != 0 or len(inner.shape) != n_axes + 1 or sides[0] != (0, 0):
            raise ValueError(f"it takes (rows, channels, {n_axes} axes), got rows of shape {inner.shape}")
        wanted = Layout.of(inner.shape, channels=0)
        if not np.array_equal(inner.places, wanted.places):
            if self.entries or not inner.in_order or inner.shape != self._declared:
                raise ValueError("its input does not have the channels of a network's rows as first axis")
            self._layout = wanted  # nobody has read the input yet: it may be given with the channels last
        shape = (*inner.shape[1:], inner.shape[0])
        self.be(shape)
        return shape, sides[1:]

    def last_axis(self, n: int) -> np.ndarray | None:
        """The order of flat rows of n numbers; None for rows of positions that have n numbers each, in the row's order."""
        self.refuse_border()
        layout = self.layout
        if layout.shape[-1] != n:
            before = "the layer before it gives" if self.entries else "the model's input has"
            raise ValueError(f"it takes {n} inputs, {before} {layout.shape[-1]}")
        if len(layout.shape) == 1 and layout.batch == 0:
            self.be((n,))
            return layout.places
        if not layout.in_order:
            raise ValueError("its input does not have the channels of a network's rows as last axis")
        if self.shape[-1] != n or len(self.shape) == 1:
            self.be(layout.shape)
        return None

    def elementwise(self, array: np.ndarray, what: str) -> np.ndarray:
        """An array that broadcasts with the tensor, as one number for each of the row."""
        self.refuse_border()
        layout = self.layout
        if layout.batch != 0 or array.ndim > layout.places.ndim + 1:
            raise ValueError(f"its {what} of shape {array.shape} do not belong to the numbers of a row")
        try:
            spread = np.broadcast_to(array, (1, *layout.shape))[0]
        except ValueError:
            raise ValueError(f"its {what} have shape {array.shape}, its input rows of {layout.shape}") from None
        self.count(spread.size)
        own = np.empty(layout.places.size, array.dtype)
        own[layout.places.ravel()] = spread.ravel()
        return own

    def activate(self, g: Activation, axis: int = -1) -> None:
        """An activation of the last tensor; a softmax over this axis of it."""
        self.refuse_border()
        if g.name == "softmax" and (self.layout.axis(axis) != len(self.layout.shape) - 1 or not self.layout.in_order):
            raise ValueError(f"its axis is {axis}, expected the last axis, with a network's channels")
        for entry in reversed(self.entries):
            if isinstance(entry.activation, Identity):
                entry.activation = g
                entry.bias = None
                return
            if not entry.passes(g):
                break
        raise ValueError("expected an activation right after a layer that has one")

    def add(self, array: np.ndarray, beta: float = 1.0) -> None:
        """A constant that is added to the last tensor: a bias."""
        entry = self.entries[-1] if self.entries else None
        if entry is None or entry.bias is None:
            raise ValueError("expected the addition of a bias right after a matrix product or a product with a constant")
        self.refuse_border()
        b, layout = entry.parameters[entry.bias], self.layout
        ndim = len(layout.shape) + (layout.batch != MERGED)
        in_a_row = array.size in (1, b.size) and array.ndim <= ndim and array.shape in ((), (*array.shape[:-1], array.size))
        of_units = array.size == 1 or (layout.in_order and layout.shape[-1] == b.size)
        if array.dtype != b.dtype or not in_a_row or not of_units:
            raise ValueError(f"its bias is {array.dtype} of shape {array.shape}, expected {b.dtype} of shape {b.shape}")
        self.count(b.size)
        entry.parameters[entry.bias] = b + beta * array.ravel()
        if not np.isfinite(entry.parameters[entry.bias]).all():
            raise ValueError("NaN or infinity in its bias")


def ints(values: Any, what: str, n: int | None = None) -> list[int]:
    """A list of ints, of n if that is given."""
    array = np.asarray(values)
    if array.ndim > 1 or array.dtype.kind not in "iu" or (n is not None and array.size != n):
        raise ValueError(f"its {what} are {array.tolist()}, expected {'' if n is None else f'{n} '}ints")
    return [int(value) for value in array.ravel()]


