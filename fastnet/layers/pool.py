"""Pools: one number a channel for each window of positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnet import _checks
from fastnet._hints import takes_other_words
from fastnet._values import frozen
from fastnet.layers._base import Arrays, Layer, Operation
from fastnet.layers._graph import Graph
from fastnet.layers.lengths import positions_there
from fastnet.layers.windows import Windows, as_image, down_and_across, refuse_unequal_images, sizes

_AS_SERIES = "give series, rows of shape (length, width * channels)"


@dataclass(frozen=True, init=False)
class _Pool(Layer):
    """What pools over windows share."""

    maximum: ClassVar[bool]
    size: int | tuple[int, ...]
    stride: int | tuple[int, ...]

    @takes_other_words()
    def __init__(self, size: int | Sequence[int] = 2, stride: int | Sequence[int] | None = None) -> None:
        for name, value in (("size", size), ("stride", size if stride is None else stride)):
            n_axes = len(value) if isinstance(value, (tuple, list)) else 1
            values = sizes(value, name, n_axes)
            object.__setattr__(self, name, values if isinstance(value, (tuple, list)) else values[0])

    def connect(self, graph: Graph, source: int) -> int:
        name, shape = type(self).__name__, graph.row_shapes[source]
        image = as_image(graph, source, name)
        refuse_unequal_images(graph, source, name, _AS_SERIES)
        n_axes = len(shape) - 1
        size, stride = sizes(self.size, "size", n_axes), sizes(self.stride, "stride", n_axes)
        if any(k > n for k, n in zip(size, shape, strict=False)):
            raise ValueError(f"{name} has windows of {size} positions, more than {shape} has: take a smaller size.")
        windows = Windows(image, down_and_across(size, 1), down_and_across(stride, 1))
        lengths = graph.counted(source, size[0], stride[0], 0, windows.places[1])
        shape = (*windows.places[2 - n_axes :], shape[-1])
        return graph.add(Pooling(windows=windows, maximum=self.maximum), source, shape=shape, lengths=lengths)


class MaxPool(_Pool):
    """The maximum of each channel over windows of positions, of series (length, channels) or images (height, width, channels).

    The first of equal maxima takes the gradient. Positions at the end that do not fill a window are left out.

    Parameters
    ----------
    size : int or (int, int)
        Positions of a window; down and across, for images.
    stride : int or (int, int), optional
        Positions from one window to the next; by default `size`.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.MaxPool(2)], input_shape=(4, 1))
    >>> net.forward([1.0, 3.0, 2.0, 0.0])
    array([3., 2.], dtype=float32)
    """

    maximum = True


class AvgPool(_Pool):
    """The mean of each channel over windows of positions, of series (length, channels) or images (height, width, channels).

    Positions at the end that do not fill a window are left out.

    Parameters
    ----------
    size : int or (int, int)
        Positions of a window; down and across, for images.
    stride : int or (int, int), optional
        Positions from one window to the next; by default `size`.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.AvgPool(2)], input_shape=(4, 1))
    >>> net.forward([1.0, 3.0, 2.0, 0.0])
    array([2., 1.], dtype=float32)
    """

    maximum = False


@frozen
class GlobalPool(Layer):
    """The mean or the maximum of each channel over all positions that a row has: (height, width, channels) becomes (channels,).

    Parameters
    ----------
    kind : {"mean", "max"}

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.GlobalPool("max")], input_shape=(3, 2))
    >>> net.forward([[1.0, 0.0], [3.0, -1.0], [2.0, 5.0]])
    array([3., 5.], dtype=float32)
    """

    kind: str = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _checks.one_of(self.kind, "kind", ("mean", "max")))

    def connect(self, graph: Graph, source: int) -> int:
        image = as_image(graph, source, "GlobalPool")
        refuse_unequal_images(graph, source, "GlobalPool", _AS_SERIES)
        pooling = Pooling(windows=Windows(image, image[:2]), maximum=self.kind == "max")
        lengths = graph.lengths_of(source)
        return graph.add(pooling, source, *(() if lengths is None else (lengths,)), shape=image[2:])


@dataclass(frozen=True, kw_only=True)
class Pooling(Operation):
    """Maximum or mean of each channel over windows; with lengths as second source, over one that ends where the row does."""

    kind: ClassVar[str] = "pool"
    windows: Windows
    maximum: bool

    @property
    def n_out(self) -> int:
        down, across = self.windows.places
        return down * across * self.windows.shape[2]

    @property
    def dims(self) -> tuple[int, ...]:
        return (int(self.maximum),)

    @property
    def constants(self) -> tuple[int, ...]:
        return self.windows.constants

    def _positions(self, A: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """(positions of a window, m, down, across, channels), and which of them there are."""
        images = A[0].reshape(-1, *self.windows.shape)
        positions = np.stack([images[where] for *_, where in self.windows.slices()])
        there = positions_there(A[1], len(positions)).T if len(A) > 1 else np.ones((len(positions), len(images)), bool)
        return positions, there[:, :, None, None, None]

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        positions, there = self._positions(A)
        if self.maximum:
            Z = np.where(there, positions, -np.inf).max(axis=0)
        else:
            Z = np.where(there, positions, 0).sum(axis=0) / there.sum(axis=0)
        return np.asarray(Z.reshape(len(A[0]), -1))

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        positions, there = self._positions(A)
        dz, first = dZ.reshape(positions.shape[1:]), np.where(there, positions, -np.inf).argmax(axis=0)
        share = dz / there.sum(axis=0)
        dA = np.zeros((len(dZ), *self.windows.shape), dZ.dtype)
        for number, (*_, where) in enumerate(self.windows.slices()):
            dA[where] += np.where(first == number, dz, 0) if self.maximum else np.where(there[number], share, 0)
        return (dA.reshape(A[0].shape), *(np.zeros_like(lengths) for lengths in A[1:])), {}
