"""Convolutions of series and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnet import _checks, activations, initializers
from fastnet._hints import takes_other_words
from fastnet.activations import Activation
from fastnet.initializers import Initializer
from fastnet.layers._base import Arrays, Layer, Operation, Segment, zero
from fastnet.layers._graph import Graph
from fastnet.layers.windows import PADDINGS, Border, Windows, as_image, border, down_and_across, refuse_unequal_images, sizes


@dataclass(frozen=True, init=False)
class _Windowed(Layer):
    """What all convolutions share, along one axis or two."""

    n_axes: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]] = PADDINGS
    kernel_size: tuple[int, ...]
    activation: Activation
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str | tuple[int, ...]
    initializer: Initializer
    dropout: float

    @takes_other_words()
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        activation: str | Activation | type[Activation] = "relu",
        *,
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = "valid",
        initializer: str | Initializer | type[Initializer] | None = None,
        dropout: float = 0.0,
    ) -> None:
        g = activations.get(activation)
        values = {
            "kernel_size": sizes(kernel_size, "kernel_size", self.n_axes),
            "activation": g,
            "stride": sizes(stride, "stride", self.n_axes),
            "dilation": sizes(dilation, "dilation", self.n_axes),
            "padding": self._padding(padding),
            "initializer": initializers.get(g.initializer if initializer is None else initializer),
            "dropout": _checks.real(dropout, "dropout", minimum=0.0, below=1.0),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _operation(self, windows: Windows) -> Convolution:
        """What makes the output's numbers of the windows."""
        raise NotImplementedError

    def _padding(self, padding: Any) -> str | tuple[int, ...]:
        if isinstance(padding, str):
            return _checks.one_of(padding, "padding, where it is no number,", self.paddings)
        return sizes(padding, "padding", self.n_axes, minimum=0)

    def connect(self, graph: Graph, source: int) -> int:
        name = type(self).__name__
        image = as_image(graph, source, name, self.n_axes)
        source = graph.trimmed(source)
        length = image[2 - self.n_axes : 2]
        reach = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))
        sides = border(self.padding, length, reach, self.stride)
        if any(n + sum(side) < r for n, side, r in zip(length, sides, reach, strict=True)):
            raise ValueError(
                f"{name} has windows of {reach} positions, more than {graph.row_shapes[source]} with padding "
                f"{self.padding!r} has: take a smaller kernel_size or dilation, or padding='same'."
            )
        lengths = self._lengths(graph, source, reach, sides)
        if any(map(any, sides)):
            zeros = Border(shape=image, sides=down_and_across(sides, (0, 0)))
            image = zeros.shape_out
            source = graph.add(zeros, source, shape=image[2 - self.n_axes :])
        kernel, stride, dilation = (down_and_across(v, 1) for v in (self.kernel_size, self.stride, self.dilation))
        windows = Windows(image, kernel, stride, dilation)
        operation = self._operation(windows)
        return graph.add(operation, source, shape=(*windows.places[2 - self.n_axes :], operation.filters), lengths=lengths)

    def _lengths(self, graph: Graph, source: int, reach: tuple[int, ...], sides: tuple[tuple[int, int], ...]) -> int | None:
        """What makes the lengths of the output's rows, if they have some."""
        if graph.lengths_of(source) is None:
            return None
        name = type(self).__name__
        refuse_unequal_images(graph, source, name, f"use {name[:-2]}1d for series")
        if self.padding == "same" and self.stride != (1,):
            raise ValueError(
                f"padding='same' with stride {self.stride[0]} would start elsewhere in each row of unequal length: give padding "
                "as a number, or 'causal'."
            )
        zeros, stride = sum(sides[0]), self.stride[0]
        most = (graph.row_shapes[source][0] + zeros - reach[0]) // stride + 1
        return graph.counted(source, reach[0], stride, zeros, most)


@dataclass(frozen=True, init=False)
class _Conv(_Windowed):
    """Convolutions with filters that see all channels."""

    filters: int

    @takes_other_words()
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        activation: str | Activation | type[Activation] = "relu",
        *,
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = "valid",
        initializer: str | Initializer | type[Initializer] | None = None,
        dropout: float = 0.0,
    ) -> None:
        object.__setattr__(self, "filters", _checks.positive_int(filters, "filters", maximum=_checks.MAX_DIMENSION))
        super().__init__(
            kernel_size, activation, stride=stride, dilation=dilation, padding=padding, initializer=initializer, dropout=dropout
        )

    def _operation(self, windows: Windows) -> Convolution:
        return Convolution(
            windows=windows, filters=self.filters, n_axes=self.n_axes, initializer=self.initializer,
            activation=self.activation, dropout=self.dropout,
        )  # fmt: skip


class Conv1d(_Conv):
    """Convolution of series: ``Z[t] = b + sum over k of A[t * stride + k * dilation - p] @ W[k]`` with g and dropout after it.

    Rows have shape (length, channels), and (length of the output, filters) after it. The kernel is not flipped, as everywhere in
    deep learning. W has shape (kernel_size, channels, filters), b (filters,).

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int
        Positions that a filter sees.
    activation : str or Activation
        g.
    stride : int
        Positions from one window to the next.
    dilation : int
        Positions from one that a filter sees to the next.
    padding : {"valid", "same", "causal"} or int
        Zeros at the ends. "valid": none. "same": so many that the output has ``ceil(length / stride)`` positions, an odd one
        at the end. "causal": so many at the beginning that no output depends on later inputs. An int: that number at both
        ends.
    initializer : str or Initializer, optional
        How W is drawn, by default what suits the activation; n_in is ``kernel_size * channels``, n_out ``kernel_size * filters``.
    dropout : float in [0, 1)
        Probability with which a number of the output is dropped in training.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Conv1d(16, 3, stride=2, padding="same")], input_shape=(100, 4), random_state=0)
    >>> net.output_shape, net.parameters["1.W"].shape
    ((50, 16), (3, 4, 16))
    """

    n_axes = 1
    paddings = (*PADDINGS, "causal")


class Conv2d(_Conv):
    """Convolution of images: ``Z[i, j] = b + sum over k, l of A[i s + k d - p, j s + l d - p] @ W[k, l]`` with stride s and
    dilation d, and g and dropout after it.

    Rows have shape (height, width, channels), and (height, width, filters) after it. The kernel is not flipped, as everywhere in
    deep learning. W has shape ``(*kernel_size, channels, filters)``, b (filters,).

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or (int, int)
        Positions that a filter sees, down and across.
    activation : str or Activation
        g.
    stride : int or (int, int)
        Positions from one window to the next.
    dilation : int or (int, int)
        Positions from one that a filter sees to the next.
    padding : {"valid", "same"}, int or (int, int)
        Zeros around the image. "valid": none. "same": so many that the output has ``ceil(height / stride)`` lines, an odd one
        below, and columns likewise. An int, or two: that number on both sides.
    initializer : str or Initializer, optional
        How W is drawn, by default what suits the activation; n_in is the number of positions of a filter times channels, n_out
        the same times filters.
    dropout : float in [0, 1)
        Probability with which a number of the output is dropped in training.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Conv2d(16, 3), fn.MaxPool(2)], input_shape=(28, 28, 1), random_state=0)
    >>> net.output_shape, net.parameters["1.W"].shape
    ((13, 13, 16), (3, 3, 1, 16))
    """

    n_axes = 2


class _Depthwise(_Windowed):
    """Convolutions that keep channels apart."""

    def _operation(self, windows: Windows) -> Convolution:
        return DepthwiseConvolution(
            windows=windows, filters=windows.shape[2], n_axes=self.n_axes, initializer=self.initializer,
            activation=self.activation, dropout=self.dropout,
        )  # fmt: skip


class DepthwiseConv1d(_Depthwise):
    """Depthwise convolution of series: ``Z[t] = b + sum over k of A[t * stride + k * dilation - p] * W[k]``, elementwise, with g
    and dropout after it.

    Each channel is convolved on its own; a `Dense` layer after it mixes them at each position, with far fewer weights than a
    `Conv1d` (Chollet 2017). Rows have shape (length, channels), and (length of the output, channels) after it. W has shape
    (kernel_size, channels), b (channels,). It is PyTorch's `nn.Conv1d` with ``groups=channels``.

    Parameters
    ----------
    kernel_size : int
        Positions that a window has.
    activation, stride, dilation, padding, dropout
        As for `Conv1d`.
    initializer : str or Initializer, optional
        As for `Conv1d`; n_in and n_out are both ``kernel_size``.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.DepthwiseConv1d(3), fn.Dense(8)], input_shape=(100, 4), random_state=0)
    >>> net.output_shape, net.parameters["1.W"].shape
    ((98, 8), (3, 4))
    """

    n_axes = 1
    paddings = (*PADDINGS, "causal")


class DepthwiseConv2d(_Depthwise):
    """Depthwise convolution of images: ``Z[i, j] = b + sum over k, l of A[i s + k d - p, j s + l d - p] * W[k, l]``, elementwise,
    with stride s and dilation d, and g and dropout after it.

    Each channel is convolved on its own; a `Dense` layer after it mixes them at each position, with far fewer weights than a
    `Conv2d` (Chollet 2017). Rows have shape (height, width, channels), before and after it. W has shape
    ``(*kernel_size, channels)``, b (channels,). It is PyTorch's `nn.Conv2d` with ``groups=channels``.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Positions that a window has, down and across.
    activation, stride, dilation, padding, dropout
        As for `Conv2d`.
    initializer : str or Initializer, optional
        As for `Conv2d`; n_in and n_out are both the number of positions of a window.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.DepthwiseConv2d(3), fn.Dense(8)], input_shape=(28, 28, 4), random_state=0)
    >>> net.output_shape, net.parameters["1.W"].shape
    ((26, 26, 8), (3, 3, 4))
    """

    n_axes = 2


@dataclass(frozen=True, kw_only=True)
class Convolution(Operation):
    """``Z = b + windows of A @ W``; W is (*kernel, channels, filters), without the first axis for series."""

    kind: ClassVar[str] = "conv"
    windows: Windows
    filters: int
    n_axes: int
    initializer: Initializer

    @property
    def n_out(self) -> int:
        down, across = self.windows.places
        return down * across * self.filters

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.filters,)

    @property
    def constants(self) -> tuple[int, ...]:
        return self.windows.constants

    @property
    def segments(self) -> tuple[Segment, ...]:
        return Segment("W", self._weight_shape, self._initial_weights), Segment("b", (self.filters,), zero)

    @property
    def _weight_shape(self) -> tuple[int, ...]:
        return (*self.windows.kernel, self.windows.shape[2], self.filters)[2 - self.n_axes :]

    def _initial_weights(self, rng: np.random.Generator) -> np.ndarray:
        *kernel, channels, filters = self._weight_shape
        positions = math.prod(kernel)
        return self.initializer(rng, positions * channels, positions * filters, self._weight_shape)

    def _images(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(-1, *self.windows.shape)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        W, images = params["W"].reshape(*self.windows.kernel, -1, self.filters), self._images(A[0])
        Z = sum(images[where] @ W[k, l] for k, l, where in self.windows.slices()) + params["b"]
        return np.asarray(Z.reshape(len(A[0]), self.n_out))

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        W, images = params["W"].reshape(*self.windows.kernel, -1, self.filters), self._images(A[0])
        dz = dZ.reshape(-1, *self.windows.places, self.filters)
        dA, dW = np.zeros_like(images), np.zeros_like(W)
        for k, l, where in self.windows.slices():
            dA[where] += dz @ W[k, l].T
            dW[k, l] = np.tensordot(images[where], dz, ((0, 1, 2), (0, 1, 2)))
        gradients = {"W": dW.reshape(params["W"].shape), "b": dz.sum(axis=(0, 1, 2))}
        return (dA.reshape(A[0].shape),), gradients


@dataclass(frozen=True, kw_only=True)
class DepthwiseConvolution(Convolution):
    """``Z = b + windows of A, times W, summed by channels``; W is (*kernel, channels), without the first axis for series."""

    kind: ClassVar[str] = "depthwise"

    @property
    def dims(self) -> tuple[int, ...]:
        return ()

    @property
    def _weight_shape(self) -> tuple[int, ...]:
        return (*self.windows.kernel[2 - self.n_axes :], self.filters)

    def _initial_weights(self, rng: np.random.Generator) -> np.ndarray:
        positions = math.prod(self.windows.kernel)
        return self.initializer(rng, positions, positions, self._weight_shape)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        W, images = params["W"].reshape(*self.windows.kernel, self.filters), self._images(A[0])
        Z = sum(images[where] * W[k, l] for k, l, where in self.windows.slices()) + params["b"]
        return np.asarray(Z.reshape(len(A[0]), self.n_out))

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        W, images = params["W"].reshape(*self.windows.kernel, self.filters), self._images(A[0])
        dz = dZ.reshape(-1, *self.windows.places, self.filters)
        dA, dW = np.zeros_like(images), np.zeros_like(W)
        for k, l, where in self.windows.slices():
            dA[where] += dz * W[k, l]
            dW[k, l] = (images[where] * dz).sum(axis=(0, 1, 2))
        gradients = {"W": dW.reshape(params["W"].shape), "b": dz.sum(axis=(0, 1, 2))}
        return (dA.reshape(A[0].shape),), gradients
