"""How each ONNX operator is read: one table row per operator, which appends a layer or says where its numbers lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from fastnet.activations import Identity
from fastnet.layers import (
    GRU,
    LSTM,
    RNN,
    AvgPool,
    BatchNorm,
    Bidirectional,
    Columns,
    Conv1d,
    Conv2d,
    Dense,
    DepthwiseConv1d,
    DepthwiseConv2d,
    GlobalPool,
    Last,
    Layer,
    LayerNorm,
    MaxPool,
    PReLU,
    Scale,
)
from fastnet.layers.windows import border
from fastnet.onnx._activations import Attributes
from fastnet.onnx._chain import Chain, Entry, growing, ints, never
from fastnet.onnx._graph import Step
from fastnet.onnx._layout import Layout
from fastnet.onnx._operations import RECURRENCES


@dataclass(frozen=True)
class Read:
    """A node on its way into the chain."""

    chain: Chain
    step: Step
    attributes: Attributes

    @property
    def node(self) -> onnx.NodeProto:
        return self.step.node

    def has(self, place: int) -> bool:
        return len(self.node.input) > place and bool(self.node.input[place])

    def numbers(self, place: int, what: str, *ndims: int) -> np.ndarray:
        """Operand number `place`: a constant of floats, with one of these numbers of dimensions."""
        array = self.chain.numbers(self.node.input[place], what)
        if array.ndim not in ndims or 0 in array.shape:
            raise ValueError(f"its {what} have shape {array.shape}, expected {' or '.join(map(str, ndims))} dimensions")
        return array

    def ints(self, place: int, attribute: str) -> list[int]:
        """Ints that are an operand in newer operator sets, and were an attribute in older ones."""
        if self.has(place):
            return ints(self.chain.constant(self.node.input[place]), attribute)
        return ints(self.attributes.get(attribute, []), attribute)

    def require(self, **expected: Any) -> None:
        """Refuse attributes that are there and differ."""
        for name, value in expected.items():
            if self.attributes.get(name, value) != value:
                raise ValueError(f"its {name} is {self.attributes[name]!r}, supported: {value!r}")


@dataclass(frozen=True)
class Reader:
    """What reads an operator, and the attributes that it knows."""

    read: Callable[[Read], None]
    attributes: frozenset[str] = field(default_factory=frozenset)
    #: Of the operand that the chain comes from; None: any.
    operand: int | None = 0
    #: How many of the node's outputs, the first ones, are known.
    n_outputs: int = 1


def _gemm(node: Read) -> None:
    if node.attributes.get("transA", 0):
        raise ValueError("its first operand must be the layer's input, not transposed")
    W = node.numbers(1, "weights", 2)
    _dense(node, float(node.attributes.get("alpha", 1.0)) * (W.T if node.attributes.get("transB", 0) else W))
    if node.has(2):
        node.chain.add(node.chain.numbers(node.node.input[2], "bias"), float(node.attributes.get("beta", 1.0)))


def _matmul(node: Read) -> None:
    _dense(node, node.numbers(1, "weights", 2))


def _dense(node: Read, W: np.ndarray) -> None:
    """Of flat rows, in whatever order, or of the last axis of positions."""
    chain, (n_in, n_out) = node.chain, W.shape
    chain.starts_with(n_in)
    order = chain.last_axis(n_in)
    positions = () if order is not None else chain.shape[:-1]
    layout = Layout(Layout.of((*chain.layout.shape[:-1], n_out)).places, chain.layout.batch)
    if order is not None:
        W = _ordered(W, order)
    entry = Entry(partial(Dense, n_out), {"W": W, "b": np.zeros(n_out, W.dtype)}, Identity(), bias="b")
    chain.append(entry, (*positions, n_out), layout)


def _add(node: Read) -> None:
    chain = node.chain
    other = [name for name in node.node.input if name != node.step.operand]
    if len(other) != 1:
        raise ValueError("expected the addition of a bias right after a matrix product or a product with a constant")
    entry = chain.entries[-1] if chain.entries else None
    if entry is not None and entry.bias is not None and entry.bias not in entry.parameters:
        entry.parameters[entry.bias] = chain.elementwise(chain.numbers(other[0], "bias"), "bias")
        entry.build, entry.bias = partial(Scale, bias=True), None
    else:
        chain.add(chain.numbers(other[0], "bias"))


def _mul(node: Read) -> None:
    chain = node.chain
    other = [name for name in node.node.input if name != node.step.operand]
    if len(other) != 1:
        raise ValueError("expected a product with a constant")
    factors = chain.elementwise(chain.numbers(other[0], "factors"), "factors")
    chain.append(Entry(Scale, {"s": factors}, bias="b"), chain.shape, chain.layout)


def _prelu(node: Read) -> None:
    chain = node.chain
    slopes = chain.elementwise(chain.numbers(node.node.input[1], "slopes"), "slopes")
    chain.append(Entry(PReLU, {"p": slopes}), chain.shape, chain.layout)


def _conv(node: Read) -> None:
    chain, W = node.chain, node.numbers(1, "weights", 3, 4)
    rows, sides = chain.channels_last(W.ndim - 2)
    n_axes, channels, filters = W.ndim - 2, rows[-1], W.shape[0]
    b = node.numbers(2, "bias", 1) if node.has(2) else np.zeros(filters, W.dtype)
    kernel = ints(node.attributes.get("kernel_shape", W.shape[2:]), "kernel_shape", n_axes)
    stride = ints(node.attributes.get("strides", [1] * n_axes), "strides", n_axes)
    dilation = ints(node.attributes.get("dilations", [1] * n_axes), "dilations", n_axes)
    pads = ints(node.attributes.get("pads", [0] * (2 * n_axes)), "pads", 2 * n_axes)
    groups = node.attributes.get("group", 1)
    if tuple(kernel) != W.shape[2:] or min(*stride, *dilation) < 1 or min(pads) < 0:
        given = f"kernel_shape {kernel}, strides {stride}, dilations {dilation} and pads {pads}"
        raise ValueError(f"it has {given}, which do not fit its weights {W.shape}")
    if b.size != filters or b.dtype != W.dtype:
        raise ValueError(f"its bias is {b.dtype} of shape {b.shape}, expected {W.dtype} of shape ({filters},)")
    apart = groups == channels == filters and W.shape[1] == 1 and groups > 1
    if not apart and (groups != 1 or W.shape[1] != channels):
        raise ValueError(f"its weights {W.shape} in {groups} groups convolve {channels} channels neither together nor each apart")
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    auto = node.attributes.get("auto_pad", b"NOTSET")
    if auto == b"SAME_UPPER":
        sides = list(border("same", rows[:-1], reach, tuple(stride)))
    elif auto not in (b"NOTSET", b"VALID"):
        raise ValueError(f"its auto_pad is {auto!r}, supported: NOTSET, VALID and SAME_UPPER")
    sides = [(a + p, b + q) for (a, b), p, q in zip(sides, pads[:n_axes], pads[n_axes:], strict=True)]
    places = tuple((n + sum(side) - r) // s + 1 for n, side, r, s in zip(rows[:-1], sides, reach, stride, strict=True))
    if min(places) < 1:
        raise ValueError(f"its windows of {reach} positions are larger than its input of {rows[:-1]} with borders {sides}")
    layout = Layout.of((filters, *places), channels=0)
    W = np.ascontiguousarray(np.moveaxis(W, (0, 1), (-1, -2)))
    if n_axes == 2 and rows[0] == kernel[0] == stride[0] == 1 and sides[0] == (0, 0):       # a series, as an image of one line
        chain.be(rows[1:])
        rows, kernel, stride, dilation, sides = rows[1:], kernel[1:], stride[1:], dilation[1:], sides[1:]
        W, places, reach = W[0], places[1:], reach[1:]
    options: dict[str, Any] = {"stride": tuple(stride), "dilation": tuple(dilation)}
    options["padding"] = _padding(sides, rows[:-1], reach, tuple(stride))
    conv = {(1, False): Conv1d, (2, False): Conv2d, (1, True): DepthwiseConv1d, (2, True): DepthwiseConv2d}[len(kernel), apart]
    build = partial(conv, tuple(kernel), **options) if apart else partial(conv, filters, tuple(kernel), **options)
    parameters = {"W": W[..., 0, :] if apart else W, "b": b}
    chain.append(Entry(build, parameters, Identity()), (*places, filters), layout)


def _padding(sides: list[tuple[int, int]], sizes: tuple[int, ...], reach: tuple[int, ...], stride: tuple[int, ...]) -> Any:
    """The `padding` of a convolution that has these zeros before and after each axis."""
    candidates: list[Any] = ["valid", tuple(before for before, _ in sides), "same"]
    if len(sides) == 1:
        candidates.append("causal")
    for candidate in candidates:
        if border(candidate, sizes, reach, stride) == tuple(sides):
            return candidate
    raise ValueError(f"its borders of zeros {sides} are those of no padding: 'valid', 'same', 'causal' or as many on both sides")


def _pool(layer: Callable[..., Layer], node: Read) -> None:
    n_axes = len(node.attributes.get("kernel_shape", []))
    node.require(auto_pad=b"NOTSET", ceil_mode=0, pads=[0] * (2 * n_axes), dilations=[1] * n_axes, storage_order=0)
    chain = node.chain
    chain.refuse_border()
    rows, _ = chain.channels_last(n_axes)
    size = ints(node.attributes["kernel_shape"], "kernel_shape", n_axes)
    stride = ints(node.attributes.get("strides", [1] * n_axes), "strides", n_axes)
    if min(*size, *stride) < 1 or any(k > n for k, n in zip(size, rows, strict=False)):
        raise ValueError(f"its windows of {size} positions, {stride} apart, do not fit {rows[:-1]}")
    places = tuple((n - k) // s + 1 for n, k, s in zip(rows, size, stride, strict=False))
    layout = Layout.of((rows[-1], *places), channels=0)
    passes = growing if layer is MaxPool else never
    if tuple(size) == rows[:-1]:
        build: Callable[..., Layer] = partial(GlobalPool, "max" if layer is MaxPool else "mean")
        chain.append(Entry(build, {}, passes=passes), rows[-1:], layout)
        return
    if n_axes == 2 and rows[0] == 1:
        chain.be(rows[1:])
        size, stride, places = size[1:], stride[1:], places[1:]
    chain.append(Entry(partial(layer, tuple(size), tuple(stride)), {}, passes=passes), (*places, rows[-1]), layout)


def _global_pool(kind: str, node: Read) -> None:
    chain = node.chain
    chain.refuse_border()
    rows, _ = chain.channels_last(len(chain.layout.shape) - 1)
    if len(rows) < 2:
        raise ValueError("it takes (rows, channels, ..)")
    layout = Layout.of((rows[-1], *(1 for _ in rows[:-1])), channels=0)
    chain.append(Entry(partial(GlobalPool, kind), {}, passes=growing if kind == "max" else never), rows[-1:], layout)


def _reduce(kind: str, node: Read) -> None:
    """Over all positions."""
    layout = node.chain.layout
    axes = sorted(layout.axis(axis) for axis in node.ints(1, "axes"))
    if axes != list(range(1, len(layout.shape))) or layout.batch != 0:
        raise ValueError(f"it reduces the axes {node.ints(1, 'axes')}, expected all but rows and channels")
    _global_pool(kind, node)
    if not node.attributes.get("keepdims", 1):
        node.chain.layout = node.chain.layout.squeezed([axis + 1 for axis in axes])


def _batch_normalization(node: Read) -> None:
    node.require(training_mode=0, spatial=1)
    chain = node.chain
    parameters = {name: node.numbers(place, name, 1) for place, name in enumerate(("gain", "bias", "mean", "var"), 1)}
    n = parameters["gain"].size
    if any(array.size != n for array in parameters.values()) or (parameters["var"] < 0).any():
        raise ValueError("its operands are not the gain, bias, mean and variance of the same channels")
    chain.starts_with(n)
    chain.refuse_border()
    if len(chain.layout.shape) == 1 or chain.layout.batch != 0:
        order = chain.last_axis(n)
        if order is not None:
            parameters = {name: _ordered(array, order) for name, array in parameters.items()}
    else:
        rows, _ = chain.channels_last(len(chain.layout.shape) - 1)
        if rows[-1] != n:
            raise ValueError(f"it takes {n} channels, got rows of {rows}")
    build = partial(_batch_norm, _epsilon(node))
    chain.append(Entry(build, parameters, Identity()), chain.shape, chain.layout)


def _batch_norm(epsilon: float, activation: Any) -> Layer:
    return BatchNorm(activation, epsilon=epsilon)


def _ordered(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    own = np.empty_like(array)
    own[order] = array
    return own


def _epsilon(node: Read) -> float:
    """The shortest decimal that gives the same float32."""
    epsilon = float(str(np.float32(node.attributes.get("epsilon", 1e-5))))
    if not 0 < epsilon < 1:
        raise ValueError(f"its epsilon is {epsilon}, expected a number between 0 and 1")
    return epsilon


def _layer_normalization(node: Read) -> None:
    node.require(stash_type=1)
    chain, gain = node.chain, node.numbers(1, "gain", 1)
    bias = node.numbers(2, "bias", 1) if node.has(2) else np.zeros_like(gain)
    if bias.size != gain.size:
        raise ValueError(f"its gain has {gain.size} numbers, its bias {bias.size}")
    chain.starts_with(gain.size)
    if chain.layout.axis(node.attributes.get("axis", -1)) != len(chain.layout.shape) - 1:
        raise ValueError("it normalises more than the last axis")
    order = chain.last_axis(gain.size)
    if order is not None:
        gain, bias = _ordered(gain, order), _ordered(bias, order)
    chain.append(Entry(partial(LayerNorm, _epsilon(node)), {"gain": gain, "bias": bias}), chain.shape, chain.layout)


def _pass_over(node: Read) -> None:
    """Refuse an Identity, Cast or Dropout that would change what the network computes."""
    if node.attributes.get("to", TensorProto.FLOAT) not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise ValueError("networks compute in float32 or float64")
    if node.has(2):
        training = node.chain.constant(node.node.input[2])
        if training.size != 1 or training.any():
            raise ValueError("its training_mode is not false: export the model for inference")


def _reshape(node: Read) -> None:
    dims = node.ints(1, "shape")
    if 0 in dims:
        node.require(allowzero=0)
    node.chain.layout = node.chain.layout.reshaped(dims, node.chain.n_rows)


def _flatten(node: Read) -> None:
    if node.attributes.get("axis", 1) != 1:
        raise ValueError("it flattens rows together, expected axis 1")
    node.chain.layout = node.chain.layout.reshaped([0, -1])


def _transpose(node: Read) -> None:
    layout = node.chain.layout
    backwards = list(range(len(layout.shape), -1, -1))
    node.chain.layout = layout.transposed(ints(node.attributes.get("perm", backwards), "perm"))


def _squeeze(node: Read) -> None:
    layout = node.chain.layout
    n_axes = len(layout.shape) + 1
    axes = [axis % n_axes if -n_axes <= axis < n_axes else axis for axis in node.ints(1, "axes")]
    node.chain.layout = layout.squeezed(axes)


def _unsqueeze(node: Read) -> None:
    node.chain.layout = node.chain.layout.unsqueezed(node.ints(1, "axes"))


def _pad(node: Read) -> None:
    node.require(mode=b"constant")
    if node.has(2) and node.chain.constant(node.node.input[2]).any():
        raise ValueError("its border is not of zeros")
    if node.has(3):
        raise ValueError("it chooses axes, expected pads of all")
    node.chain.layout = node.chain.layout.bordered(node.ints(1, "pads"))


def _gather(node: Read) -> None:
    """Some numbers of each row: the last position, or columns of flat rows."""
    chain = node.chain
    chain.refuse_border()
    numbers = chain.constant(node.node.input[1])
    if numbers.dtype.kind not in "iu" or numbers.ndim > 1:
        raise ValueError("its indices are no ints")
    layout = chain.layout.taken(node.attributes.get("axis", 0), numbers)
    if layout.batch != 0 or len(layout.shape) != 1 or not layout.places.size:
        raise ValueError("expected the last position of a series, or columns of flat rows")
    shape, places = chain.shape, layout.places
    whole = math.prod(shape)
    if len(shape) == 2 and np.array_equal(places, np.arange(whole - shape[1], whole)):
        before = chain.entries[-1] if chain.entries else None
        if before is not None and before.last is not None:
            before.build, before.last = before.last, None
            chain.shape, chain.layout = shape[1:], Layout.of(shape[1:])
        else:
            chain.append(Entry(Last, {}), shape[1:], Layout.of(shape[1:]))
        return
    if len(shape) > 1:
        raise ValueError("expected the last position of a series, or columns of flat rows")
    chain.append(Entry(partial(Columns, [int(place) for place in places]), {}), (len(places),), Layout.of((len(places),)))


_CELLS: dict[str, tuple[Callable[..., Layer], str]] = {"LSTM": (LSTM, "lstm"), "GRU": (GRU, "gru"), "RNN": (RNN, "tanh")}


def _recurrence(operator: str, node: Read) -> None:
    """ONNX has the steps as first axis, then the rows; its outputs are h of all steps (steps, directions, rows, units) and the
    last h (directions, rows, units)."""
    chain, layout = node.chain, node.chain.layout
    layer, cell = _CELLS[operator]
    expected = RECURRENCES[cell]
    direction = node.attributes.get("direction", b"forward").decode()
    n_directions = 2 if direction == "bidirectional" else 1
    functions = [name.decode() for name in node.attributes.get("activations", [])]
    if operator == "RNN" and functions == ["Relu"] * n_directions:
        layer, functions = partial(RNN, activation="relu"), []
    defaults = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}[operator]
    if direction == "reverse" or functions not in ([], defaults * n_directions):
        raise ValueError(f"it goes {direction} with {functions}, expected forward or bidirectional with {defaults}")
    if operator == "GRU" and not node.attributes.get("linear_before_reset", 0):
        raise ValueError("its linear_before_reset is 0, supported: 1, as PyTorch has it")
    node.require(input_forget=0, layout=0)
    for place, name in enumerate(node.node.input):
        if place >= 4 and name and name not in chain.zeros and (place == 4 or chain.constant(name).any()):
            raise ValueError("it has lengths or a first state that is not 0, which are not read")
    if layout.batch != 1 or len(layout.shape) != 2 or not Layout(layout.places).in_order:
        raise ValueError("it takes (steps, rows, channels) of rows (steps, channels)")
    steps, channels = layout.shape
    W, U = node.numbers(1, "W", 3), node.numbers(2, "R", 3)
    n_units, width = U.shape[2], len(expected[2]) * U.shape[2]
    if W.shape != (n_directions, width, channels) or U.shape != (n_directions, width, n_units):
        raise ValueError(f"its W has shape {W.shape} and R {U.shape}, of {channels} channels in {n_directions} directions")
    B = node.numbers(3, "B", 2) if node.has(3) else np.zeros((n_directions, 2 * width), W.dtype)
    if B.shape != (n_directions, 2 * width):
        raise ValueError(f"its B has shape {B.shape}, expected {(n_directions, 2 * width)}")
    chain.be((steps, channels))
    sequences = node.step.output == node.node.output[0]
    parameters: dict[str, np.ndarray] = {}
    for number in range(n_directions):
        prefix = f"{number + 1}." if n_directions == 2 else ""
        own = _gates(expected[2], W[number].T, U[number].T, B[number, :width], B[number, width:])
        if cell != "gru":
            own["b"] = own["b"] + own.pop("c")
        parameters |= {f"{prefix}{name}": array for name, array in own.items()}
    build: Callable[..., Layer] = partial(layer, n_units, return_sequences=sequences)
    last = partial(layer, n_units) if n_directions == 1 and sequences else None
    if n_directions == 2:
        build = partial(_bidirectional, build)
    all_steps = (steps,) if sequences else ()
    layout = Layout(Layout.of((*all_steps, n_directions, n_units)).places, len(all_steps) + 1)
    chain.append(Entry(build, parameters, last=last), (*all_steps, n_directions * n_units), layout)


def _bidirectional(build: Callable[[], Any]) -> Layer:
    return Bidirectional(build())


def _gates(order: tuple[int, ...], *arrays: np.ndarray) -> dict[str, np.ndarray]:
    """W, U and both biases with the gates of their last axis in the order of fastnet's, from ONNX's."""
    own = {}
    for name, array in zip(("W", "U", "b", "c"), arrays, strict=True):
        parts = np.split(array, len(order), axis=-1)
        own[name] = np.concatenate([parts[order.index(gate)] for gate in range(len(order))], axis=-1)
    return own


_RECURRENT = frozenset({"hidden_size", "direction", "activations", "linear_before_reset", "input_forget", "layout"})
_POOL = frozenset({"kernel_shape", "strides", "pads", "auto_pad", "ceil_mode", "dilations", "storage_order", "count_include_pad"})

#: Operator -> what reads it; the only attributes since operator set 7: before, others controlled broadcasting in Add and Gemm.
READERS: dict[str, Reader] = {
    "Gemm": Reader(_gemm, frozenset({"alpha", "beta", "transA", "transB"})),
    "MatMul": Reader(_matmul),
    "Add": Reader(_add, operand=None),
    "Mul": Reader(_mul, operand=None),
    "PRelu": Reader(_prelu),
    "Conv": Reader(_conv, frozenset({"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"})),
    "MaxPool": Reader(partial(_pool, MaxPool), _POOL),
    "AveragePool": Reader(partial(_pool, AvgPool), _POOL),
    "GlobalMaxPool": Reader(partial(_global_pool, "max")),
    "GlobalAveragePool": Reader(partial(_global_pool, "mean")),
    "ReduceMean": Reader(partial(_reduce, "mean"), frozenset({"axes", "keepdims", "noop_with_empty_axes"})),
    "ReduceMax": Reader(partial(_reduce, "max"), frozenset({"axes", "keepdims", "noop_with_empty_axes"})),
    "BatchNormalization": Reader(_batch_normalization, frozenset({"epsilon", "momentum", "training_mode", "spatial"})),
    "LayerNormalization": Reader(_layer_normalization, frozenset({"axis", "epsilon", "stash_type"})),
    **{operator: Reader(partial(_recurrence, operator), _RECURRENT, n_outputs=2) for operator in _CELLS},
    "Reshape": Reader(_reshape, frozenset({"allowzero"})),
    "Flatten": Reader(_flatten, frozenset({"axis"})),
    "Transpose": Reader(_transpose, frozenset({"perm"})),
    "Squeeze": Reader(_squeeze, frozenset({"axes"})),
    "Unsqueeze": Reader(_unsqueeze, frozenset({"axes"})),
    "Pad": Reader(_pad, frozenset({"mode"})),
    "Gather": Reader(_gather, frozenset({"axis"})),
    "Identity": Reader(_pass_over),
    "Dropout": Reader(_pass_over, frozenset({"ratio", "seed"})),
    "Cast": Reader(_pass_over, frozenset({"to", "saturate"})),
}
