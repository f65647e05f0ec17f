"""How each kind of operation of the core is written in ONNX: one table row per kind.

Rows of a tensor are those of the batch. Where members or features of a row are told apart, they have an axis of their own in
between, which `GraphBuilder.reshape` adds and takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from fastnet.layers import Arrays, Graph
from fastnet.layers.attention import Attending
from fastnet.layers.conv import Convolution, DepthwiseConvolution
from fastnet.layers.dense import Linear
from fastnet.layers.embedding import Lookup, Places, Waves
from fastnet.layers.joins import Selection, Side, Sum
from fastnet.layers.lengths import Count, LastPosition, Trim
from fastnet.layers.norm import BatchNormalisation, Normalisation
from fastnet.layers.parametric import Interpolation
from fastnet.layers.pool import Pooling
from fastnet.layers.positions import Shift
from fastnet.layers.recurrent import Recurrence
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
        Of the operation, behind the network's prefix: parameter "W" of operation "1" becomes the constant "W1".
    """

    graph: GraphBuilder
    arrays: Arrays
    path: str

    def constant(self, name: str, change: Callable[[np.ndarray], np.ndarray] = np.asarray) -> str:
        """Append a parameter, after a change of its numbers or shape, and return its name in the graph."""
        return self.graph.number(change(self.arrays[name]), f"{name}{self.path}")


def write(graph: GraphBuilder, network: Graph, parameters: Mapping[str, np.ndarray], X: str = "X", prefix: str = "") -> str:
    """Append the nodes of a network that reads `X`, and return the name of its output, the mean over its members.

    `prefix` tells the constants of several networks in one graph apart.
    """
    A, members = [X], network.n_members
    for node in network.nodes:
        segments = Segments(graph, network.arrays(node, parameters), prefix + node.name)
        Z = WRITERS[node.operation.kind](graph, node.operation, segments, *(A[source] for source in node.sources))
        sets = members * network.n_positions if node is network.nodes[-1] else 1
        if sets > 1:
            Z = graph.reshape(Z, network.widths[-1] // sets)
        A.append(_activations.write(graph, node.operation.activation, Z))
    if network.n_positions > 1:
        return graph.reshape(A[-1], network.widths[-1])
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
    if norm.groups == 1 and graph.dtype == np.float32 and graph.opset >= LAYER_NORMALIZATION_SINCE:
        gain, bias = segments.constant("gain", np.ravel), segments.constant("bias", np.ravel)
        by_positions = A if norm.positions == 1 else graph.reshape(A, norm.n_in // norm.positions)
        Z = graph.add("LayerNormalization", by_positions, gain, bias, axis=1, epsilon=norm.epsilon)
        return Z if norm.positions == 1 else graph.reshape(Z, norm.n_in)
    places = norm.groups * norm.positions

    def at_each_position(values: np.ndarray) -> np.ndarray:
        return np.repeat(values.reshape(norm.groups, 1, -1), norm.positions, axis=1).ravel()

    gain, bias = segments.constant("gain", at_each_position), segments.constant("bias", at_each_position)
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
    """``(a - left) / width``, at least 0 but in the first bin and at most 1 but in the last; 0 beyond a feature's bins.

    A bin whose edges the dtype cannot tell apart is a step, as in the core.
    """
    t, bins = np.arange(places.n_bins), np.array(places.constants)[:, None]
    edges = segments.arrays["edges"]
    left, width = edges[:, :-1], np.where(t < bins, np.maximum(np.diff(edges), np.finfo(np.float32).tiny), 1)
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
    """``from + p * (to - from)``; PReLU is an operator, which ONNX Runtime has for float32 alone."""
    if interpolation.swapped and interpolation.g.name == "relu" and graph.dtype == np.float32:
        return graph.add("PRelu", A, segments.constant("p", np.ravel))
    start, end = A, _activations.write(graph, interpolation.g, A)
    if interpolation.swapped:
        start, end = end, start
    return graph.add("Add", start, graph.add("Mul", segments.constant("p"), graph.add("Sub", end, start)))


def _channels_first(graph: GraphBuilder, A: str, shape: tuple[int, ...]) -> str:
    """Rows of (height, width, channels) as images (channels, height, width), which ONNX's operators take."""
    return graph.add("Transpose", graph.reshape(A, *shape), perm=[0, 3, 1, 2])


def _channels_last(graph: GraphBuilder, images: str, n_out: int) -> str:
    return graph.reshape(graph.add("Transpose", images, perm=[0, 2, 3, 1]), n_out)


def _batch_normalisation(graph: GraphBuilder, norm: BatchNormalisation, segments: Segments, A: str, lengths: str = "") -> str:
    """By the running statistics, which do not depend on lengths; all positions are rows. Of float64 without the operator, whose
    epsilon has no more digits than float32 has."""
    places = norm.positions * norm.places
    by_channels = A if places == 1 else graph.reshape(A, norm.channels)
    if graph.dtype == np.float32:
        operands = [segments.constant(name) for name in ("gain", "bias", "mean", "var")]
        Z = graph.add("BatchNormalization", by_channels, *operands, epsilon=norm.epsilon)
    else:
        gain, bias, mean, var = (segments.arrays[name].astype(np.float64) for name in ("gain", "bias", "mean", "var"))
        factor = gain / np.sqrt(var + norm.epsilon)
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


def _there(graph: GraphBuilder, lengths: str, n_positions: int) -> str:
    """Whether a row has each position, (rows, positions, 1)."""
    return graph.reshape(graph.add("Less", graph.number(np.arange(n_positions)), lengths), n_positions, 1)


def _trim(graph: GraphBuilder, trim: Trim, segments: Segments, A: str, lengths: str) -> str:
    bounds = (graph.constant(np.array([number])) for number in (0, trim.n_out, 1))
    positions = graph.reshape(graph.add("Slice", A, *bounds), trim.n_positions, trim.n_numbers)
    kept = graph.add("Where", _there(graph, lengths, trim.n_positions), positions, graph.number(0))
    return graph.reshape(kept, trim.n_out)


def _count(graph: GraphBuilder, count: Count, segments: Segments, A: str) -> str:
    room = graph.add("Add", graph.add("Floor", A), graph.number(count.zeros - count.reach))
    strides = graph.add("Floor", graph.add("Div", room, graph.number(count.stride)))
    return graph.add("Clip", graph.add("Add", strides, graph.number(1)), graph.number(0), graph.number(count.most))


def _last(graph: GraphBuilder, last: LastPosition, segments: Segments, A: str, lengths: str) -> str:
    number = graph.add("Sub", graph.add("Floor", lengths), graph.number(1))
    here = graph.reshape(graph.add("Equal", graph.number(np.arange(last.n_positions)), number), last.n_positions, 1)
    positions = graph.reshape(A, last.n_positions, last.n_numbers)
    return graph.reduce("ReduceSum", graph.add("Where", here, positions, graph.number(0)), 1)


def _pooling(graph: GraphBuilder, pooling: Pooling, segments: Segments, A: str, lengths: str = "") -> str:
    windows = pooling.windows
    if lengths:
        _, n_positions, channels = windows.shape
        outside = graph.number(-np.inf if pooling.maximum else 0)
        kept = graph.add("Where", _there(graph, lengths, n_positions), graph.reshape(A, n_positions, channels), outside)
        pooled = graph.reduce("ReduceMax" if pooling.maximum else "ReduceSum", kept, 1)
        return pooled if pooling.maximum else graph.add("Div", pooled, lengths)
    images = _channels_first(graph, A, windows.shape)
    operator = "MaxPool" if pooling.maximum else "AveragePool"
    Z = graph.add(operator, images, kernel_shape=windows.kernel, strides=windows.stride)
    return _channels_last(graph, Z, pooling.n_out)


#: A recurrence's cell -> ONNX's operator, its attributes, and the order of the gates there.
RECURRENCES: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "tanh": ("RNN", {"activations": ["Tanh"]}, (0,)),
    "relu": ("RNN", {"activations": ["Relu"]}, (0,)),
    "lstm": ("LSTM", {}, (0, 3, 1, 2)),
    "gru": ("GRU", {"linear_before_reset": 1}, (1, 0, 2)),
}


def _recurrence(graph: GraphBuilder, recurrence: Recurrence, segments: Segments, A: str, lengths: str = "") -> str:
    """ONNX has the steps as first axis, then one of both directions, which are two operations here."""
    operator, attributes, order = RECURRENCES[recurrence.cell]

    def gates(weights: np.ndarray) -> np.ndarray:
        """(1, gates * units, inputs), the gates in ONNX's order."""
        parts = np.split(np.atleast_2d(weights), len(order), axis=1)
        return np.concatenate([parts[gate] for gate in order], axis=1).T[None]

    x = graph.add("Transpose", graph.reshape(A, recurrence.steps, recurrence.channels), perm=[1, 0, 2])
    b = segments.arrays["b"]
    biases = [gates(bias)[:, :, 0] for bias in (b, segments.arrays.get("c", np.zeros_like(b)))]
    B = graph.number(np.concatenate(biases, axis=1), f"b{segments.path}")
    lengths = graph.reshape(graph.add("Cast", lengths, to=TensorProto.INT32)) if lengths else ""
    direction = "reverse" if recurrence.reverse else "forward"
    W, U = segments.constant("W", gates), segments.constant("U", gates)
    h = graph.add(operator, x, W, U, B, lengths, hidden_size=recurrence.n_units, direction=direction, **attributes)
    return graph.reshape(graph.add("Transpose", h, perm=[2, 0, 1, 3]), recurrence.n_out)


def _attention(graph: GraphBuilder, heads: Attending, segments: Segments, *A: str) -> str:
    """Tensors of (rows, heads, positions, numbers of a head)."""
    h, n = heads.n_heads, heads.width // heads.n_heads

    def parts(source: str, positions: int, kinds: int) -> list[str]:
        of_kinds = graph.add("Transpose", graph.reshape(source, positions, kinds, h, n), perm=[2, 0, 3, 1, 4])
        return [graph.add("Gather", of_kinds, graph.constant(np.array(kind)), axis=0) for kind in range(kinds)]

    if heads.alone:
        (Q, K, V), lengths = parts(A[0], heads.n_keys, 3), A[1:]
    else:
        (Q,), (K, V), lengths = parts(A[0], heads.n_queries, 1), parts(A[1], heads.n_keys, 2), A[2:]
    scores = graph.add("MatMul", Q, graph.add("Transpose", K, perm=[0, 1, 3, 2]))
    scores = graph.add("Mul", scores, graph.number(heads.option))
    hidden = graph.number(np.finfo(graph.dtype).min)
    if heads.causal:
        scores = graph.add("Where", graph.constant(np.tri(heads.n_queries, dtype=bool)), scores, hidden)
    for source in lengths:
        there = graph.add("Less", graph.number(np.arange(heads.n_keys)), graph.reshape(source, 1, 1, 1))
        scores = graph.add("Where", there, scores, hidden)
    Z = graph.add("MatMul", graph.add("Softmax", scores, axis=3), V)
    return graph.reshape(graph.add("Transpose", Z, perm=[0, 2, 1, 3]), heads.n_out)


def _shift(graph: GraphBuilder, shift: Shift, segments: Segments, A: str) -> str:
    return graph.add("Add", A, segments.constant("P", np.ravel))


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
    "trim": _trim,
    "count": _count,
    "last": _last,
    "recurrent": _recurrence,
    "attention": _attention,
    "shift": _shift,
    "batch_norm": _batch_normalisation,
    "depthwise": _depthwise,
}
