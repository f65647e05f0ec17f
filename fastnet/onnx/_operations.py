"""How each kind of operation of the core is written in ONNX: one row a kind.

Rows of a tensor are those of the batch. Where members or features of a row are told apart, they have an axis of their own in
between, which `GraphBuilder.reshape` adds and takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from fastnet.layers import Arrays, Graph
from fastnet.layers.conv import Convolution, DepthwiseConvolution
from fastnet.layers.dense import Linear
from fastnet.layers.embedding import Lookup, Places, Waves
from fastnet.layers.joins import Selection, Side, Sum
from fastnet.layers.norm import BatchNormalisation, Normalisation
from fastnet.layers.parametric import Interpolation
from fastnet.layers.pool import Pooling
from fastnet.layers.scale import Scaling
from fastnet.layers.windows import Border
from fastnet.onnx import _activations
from fastnet.onnx._builder import GraphBuilder

LAYER_NORMALIZATION_SINCE = 17


@dataclass(frozen=True)
class Segments:
    """The parameters of one operation.

    Attributes
    ----------
    arrays : mapping of str to ndarray
    path : str
        Of the operation: parameter "W" of operation "1" becomes the constant "W1".
    """

    graph: GraphBuilder
    arrays: Arrays
    path: str

    def constant(self, name: str, change: Callable[[np.ndarray], np.ndarray] = np.asarray) -> str:
        """Append a parameter, after a change of its numbers or shape, and return its name in the graph."""
        return self.graph.number(change(self.arrays[name]), f"{name}{self.path}")


def write(graph: GraphBuilder, network: Graph, parameters: Mapping[str, np.ndarray]) -> str:
    """Append the nodes of a network that reads "X", and return the name of its output, the mean over its members."""
    A, members = ["X"], network.n_members
    for node in network.nodes:
        segments = Segments(graph, network.arrays(node, parameters), node.path)
        Z = WRITERS[node.operation.kind](graph, node.operation, segments, *(A[source] for source in node.sources))
        if node is network.nodes[-1] and members > 1:
            Z = graph.reshape(Z, network.widths[-1] // members)
        A.append(_activations.write(graph, node.operation.activation, Z))
    return A[-1] if members == 1 else graph.mean(graph.reshape(A[-1], members, network.widths[-1] // members), 1)


def _linear(graph: GraphBuilder, linear: Linear, segments: Segments, A: str) -> str:
    """One product, if all groups read the same numbers; else one for each group, with the groups as first axis."""
    n_in, n_units, groups = linear.n_in, linear.n_units, linear.groups

    def weights(W: np.ndarray) -> np.ndarray:
        return linear.factor * W

    if groups == 1 or linear.shared:
        A = A if linear.positions == 1 else graph.reshape(A, n_in)
        W = segments.constant("W", lambda W: weights(W).reshape(groups, n_in, n_units).swapaxes(0, 1).reshape(n_in, -1))
        Z = graph.add("Gemm", A, W, *([segments.constant("b", np.ravel)] if linear.biases else []))
        return Z if linear.positions == 1 else graph.reshape(Z, linear.n_out)
    by_group = graph.add("Transpose", graph.reshape(A, groups, n_in), perm=[1, 0, 2])
    Z = graph.add("MatMul", by_group, segments.constant("W", weights))
    if linear.biases:
        Z = graph.add("Add", Z, segments.constant("b", lambda b: b.reshape(groups, 1, n_units)))
    return graph.reshape(graph.add("Transpose", Z, perm=[1, 0, 2]), linear.n_out)


def _scaling(graph: GraphBuilder, scaling: Scaling, segments: Segments, A: str) -> str:
    if scaling.copies > 1:
        A = graph.add("Tile", A, graph.constant(np.array([1, scaling.copies])))
    Z = graph.add("Mul", A, segments.constant("s"))
    return graph.add("Add", Z, segments.constant("b")) if scaling.biases else Z


def _normalisation(graph: GraphBuilder, norm: Normalisation, segments: Segments, A: str) -> str:
    """One operator, where there is one, for float32: its epsilon has no more digits."""
    places = norm.groups * norm.positions

    def at_each_position(values: np.ndarray) -> np.ndarray:
        return np.repeat(values.reshape(norm.groups, 1, -1), norm.positions, axis=1).ravel()

    gain, bias = segments.constant("gain", at_each_position), segments.constant("bias", at_each_position)
    if places == 1 and graph.dtype == np.float32 and graph.opset >= LAYER_NORMALIZATION_SINCE:
        return graph.add("LayerNormalization", A, gain, bias, axis=1, epsilon=norm.epsilon)
    grouped = graph.reshape(A, places, norm.n_in // places)
    centred = graph.add("Sub", grouped, graph.mean(grouped, 2, keepdims=True))
    variance = graph.mean(graph.add("Mul", centred, centred), 2, keepdims=True)
    deviation = graph.add("Sqrt", graph.add("Add", variance, graph.number(norm.epsilon)))
    normalised = graph.reshape(graph.add("Div", centred, deviation), norm.n_in)
    return graph.add("Add", graph.add("Mul", normalised, gain), bias)


def _pass(graph: GraphBuilder, operation: Sum, segments: Segments, A: str) -> str:
    return A


def _sum(graph: GraphBuilder, operation: Sum, segments: Segments, *A: str) -> str:
    return graph.add("Sum", *A)


def _side(graph: GraphBuilder, side: Side, segments: Segments, *A: str) -> str:
    if side.groups == 1:
        return graph.add("Concat", *A, axis=1)
    parts = [graph.reshape(a, side.groups, width // side.groups) for a, width in zip(A, side.widths, strict=True)]
    return graph.reshape(graph.add("Concat", *parts, axis=2), side.n_out)


def _selection(graph: GraphBuilder, selection: Selection, segments: Segments, A: str) -> str:
    return graph.add("Gather", A, graph.constant(np.array(selection.columns)), axis=1)


def _waves(graph: GraphBuilder, waves: Waves, segments: Segments, A: str) -> str:
    angles = graph.add("Mul", graph.reshape(A, waves.n_in, 1), segments.constant("w", lambda w: 2 * np.pi * w))
    if not waves.sines:
        cosines = graph.add("Cos", graph.add("Add", angles, segments.constant("phase")))
        return graph.reshape(cosines, waves.n_out)
    return graph.reshape(graph.add("Concat", graph.add("Cos", angles), graph.add("Sin", angles), axis=2), waves.n_out)


def _places(graph: GraphBuilder, places: Places, segments: Segments, A: str) -> str:
    """``(a - left) / width``, at least 0 but in the first bin and at most 1 but in the last; 0 beyond a feature's bins."""
    t, bins = np.arange(places.n_bins), np.array(places.constants)[:, None]
    edges = segments.arrays["edges"]
    left, width = edges[:, :-1], np.where(t < bins, np.diff(edges), 1)
    least = np.where(t == 0, -np.inf, 0)
    most = np.where(t < bins - 1, 1, np.where(t == bins - 1, np.inf, 0))
    above = graph.add("Sub", graph.reshape(A, places.n_in, 1), graph.number(left, f"left{segments.path}"))
    Z = graph.add("Div", above, graph.number(width, f"width{segments.path}"))
    return graph.reshape(graph.add("Min", graph.add("Max", Z, graph.number(least)), graph.number(most)), places.n_out)


def _lookup(graph: GraphBuilder, lookup: Lookup, segments: Segments, A: str) -> str:
    """Codes that their table does not have, and NaN, are 0."""
    rows, zero = np.array(lookup.rows), graph.number(0)
    known = graph.add("And", graph.add("Greater", A, zero), graph.add("Less", A, graph.number(rows)))
    codes = graph.add("Cast", graph.add("Where", known, A, zero), to=TensorProto.INT64)
    places = graph.add("Add", codes, graph.constant(np.cumsum(rows) - rows))
    return graph.reshape(graph.add("Gather", segments.constant("E"), places, axis=0), lookup.n_out)


def _interpolation(graph: GraphBuilder, interpolation: Interpolation, segments: Segments, A: str) -> str:
    """``from + p * (to - from)``"""
    start, end = A, _activations.write(graph, interpolation.g, A)
    if interpolation.swapped:
        start, end = end, start
    return graph.add("Add", start, graph.add("Mul", segments.constant("p"), graph.add("Sub", end, start)))


def _channels_first(graph: GraphBuilder, A: str, shape: tuple[int, ...]) -> str:
    """Rows of (height, width, channels) as images (channels, height, width), which ONNX's operators take."""
    return graph.add("Transpose", graph.reshape(A, *shape), perm=[0, 3, 1, 2])


def _channels_last(graph: GraphBuilder, images: str, n_out: int) -> str:
    return graph.reshape(graph.add("Transpose", images, perm=[0, 2, 3, 1]), n_out)


def _batch_normalisation(graph: GraphBuilder, norm: BatchNormalisation, segments: Segments, A: str) -> str:
    """By the running statistics: ``factor * a + shift`` by channels."""
    gain, bias, mean, var = (segments.arrays[name].astype(np.float64) for name in ("gain", "bias", "mean", "var"))
    factor = gain / np.sqrt(var + norm.epsilon)
    places = norm.positions * norm.places
    by_channels = A if places == 1 else graph.reshape(A, places, norm.channels)
    scaled = graph.add("Mul", by_channels, graph.number(factor, f"factor{segments.path}"))
    Z = graph.add("Add", scaled, graph.number(bias - factor * mean, f"shift{segments.path}"))
    return Z if places == 1 else graph.reshape(Z, norm.n_out)


def _convolution(graph: GraphBuilder, conv: Convolution, segments: Segments, A: str, *, groups: int = 1) -> str:
    windows = conv.windows

    def filters_first(W: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(W.reshape(*windows.kernel, -1, conv.filters).transpose(3, 2, 0, 1))

    images = _channels_first(graph, A, windows.shape)
    W, b = segments.constant("W", filters_first), segments.constant("b")
    Z = graph.add(
        "Conv", images, W, b, kernel_shape=windows.kernel, strides=windows.stride, dilations=windows.dilation, group=groups
    )  # fmt: skip
    return _channels_last(graph, Z, conv.n_out)


def _depthwise(graph: GraphBuilder, conv: DepthwiseConvolution, segments: Segments, A: str) -> str:
    return _convolution(graph, conv, segments, A, groups=conv.filters)


def _border(graph: GraphBuilder, border: Border, segments: Segments, A: str) -> str:
    (above, below), (left, right) = border.sides
    pads = graph.constant(np.array([0, above, left, 0, 0, below, right, 0]))
    return graph.reshape(graph.add("Pad", graph.reshape(A, *border.shape), pads), border.n_out)


def _pooling(graph: GraphBuilder, pooling: Pooling, segments: Segments, A: str) -> str:
    windows = pooling.windows
    images = _channels_first(graph, A, windows.shape)
    operator = "MaxPool" if pooling.maximum else "AveragePool"
    Z = graph.add(operator, images, kernel_shape=windows.kernel, strides=windows.stride)
    return _channels_last(graph, Z, pooling.n_out)


#: Kind of operation -> what appends it to a graph, ``(graph, operation, its segments, names of its sources) -> name``.
WRITERS: dict[str, Callable[..., str]] = {
    "dense": _linear,
    "scale": _scaling,
    "norm": _normalisation,
    "pass": _pass,
    "sum": _sum,
    "concat": _side,
    "columns": _selection,
    "periodic": _waves,
    "piecewise": _places,
    "embedding": _lookup,
    "parametric": _interpolation,
    "conv": _convolution,
    "border": _border,
    "pool": _pooling,
    "batch_norm": _batch_normalisation,
    "depthwise": _depthwise,
}
