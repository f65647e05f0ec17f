"""ONNX models as networks: chains of Gemm or MatMul + Add, and activations."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper

from fastnet.activations import Activation, Identity
from fastnet.layers import Dense
from fastnet.network import Network
from fastnet.onnx._activations import OPERATORS, Attributes
from fastnet.onnx._graph import Graph, Step, describe, operator_name

_BY_OPERATOR = {row.name: row for row in OPERATORS.values() if row.name != "Identity"}
_PASSED_OVER = ("Identity", "Dropout", "Cast")  # what inference does not change
_ATTRIBUTES: dict[str, set[str]] = {  # the only ones since operator set 7; before, others controlled broadcasting in Add and Gemm
    "Gemm": {"alpha", "beta", "transA", "transB"},
    "MatMul": set(),
    "Add": set(),
    "Dropout": {"ratio", "seed"},
}
_ALWAYS_ALLOWED = 1_000_000  # numbers that a network may have, however few the model has
_MOST_SHARED = 16  # how often a larger network may contain each number of the model, on average


def from_onnx(source: onnx.ModelProto | bytes | str | os.PathLike[str], *, output: str | None = None) -> Network:
    """Convert an ONNX model to a network that computes the same.

    Parameters
    ----------
    source : onnx.ModelProto, bytes or path-like
        The model, its bytes, or its file. Weights must be inside it: external data files are not read.
    output : str, optional
        The output to take, for example `"probabilities"` of a classifier. None is for models with one output.

    Returns
    -------
    Network
        With the dtype of the model's weights.

    Raises
    ------
    ValueError
        The bytes are not an ONNX model, the model is not a chain of dense layers (the message names the first node that
        cannot be converted), or its nodes share constants so often that the network would be far larger than the model.
    OSError
        The file cannot be read.
    """
    proto = _read(source).graph
    outputs = [value.name for value in proto.output]
    if output is None and len(outputs) != 1:
        raise ValueError(f"the model has the outputs {outputs}: choose one with output=")
    if output is not None and output not in outputs:
        raise ValueError(f"the model has no output {output!r}, its outputs are {outputs}")
    graph = Graph(proto)
    layers = _Layers(graph.constants, _n_inputs(graph.input))
    for step in graph.path(outputs[0] if output is None else output):
        layers.take(step)
    return layers.network()


def _read(source: onnx.ModelProto | bytes | str | os.PathLike[str]) -> onnx.ModelProto:
    if isinstance(source, onnx.ModelProto):
        return source
    if not isinstance(source, bytes):
        with open(source, "rb") as file:
            source = file.read()
    try:
        return onnx.load_model_from_string(source)
    except DecodeError as error:
        raise ValueError(f"not an ONNX model: {error}") from error


def _n_inputs(value: onnx.ValueInfoProto) -> int | None:
    """Return the number of features that the model declares for its input; None if it does not."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    if len(tensor.shape.dim) != 2:
        raise ValueError(f"the input {value.name!r} has {len(tensor.shape.dim)} dimensions, expected 2: (rows, features)")
    return tensor.shape.dim[1].dim_value or None


@dataclass
class _Layer:
    W: np.ndarray
    b: np.ndarray
    activation: Activation | None = None


@dataclass
class _Layers:
    """The layers of the steps taken so far."""

    constants: dict[str, np.ndarray]
    n_inputs: int | None
    layers: list[_Layer] = field(default_factory=list)
    n_numbers: int = 0  # weights and biases, including biases that were added to others

    def __post_init__(self) -> None:
        n_stored = sum({id(array): array.size for array in self.constants.values()}.values())
        self.most_numbers = max(_ALWAYS_ALLOWED, _MOST_SHARED * n_stored)

    def network(self) -> Network:
        """The network of the layers found."""
        if not self.layers:
            raise ValueError("the model has no dense layer (Gemm, or MatMul and Add)")
        layers = [Dense(layer.W.shape[1], layer.activation or Identity()) for layer in self.layers]
        return Network.from_parameters(layers, [layer.W for layer in self.layers], [layer.b for layer in self.layers])

    @np.errstate(over="ignore", invalid="ignore")
    def take(self, step: Step) -> None:
        """Add what a step computes: a layer, its bias or its activation."""
        node, operator = step.node, operator_name(step.node)
        try:
            attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            if step.output != node.output[0]:
                raise ValueError(f"networks compute nothing like its output {step.output!r}")
            unknown = attributes.keys() - _ATTRIBUTES.get(operator, attributes)
            if unknown:
                raise ValueError(f"it has the attributes {sorted(unknown)}, which are not known")
            if step.activation is not None:
                self._activate(step.activation)
            elif operator == "Gemm":
                self._gemm(step, attributes)
            elif operator == "MatMul":
                self._append(self._weights(step))
            elif operator == "Add":
                self._add(step)
            elif operator in _BY_OPERATOR and list(node.input) == [step.operand]:
                self._activate(_BY_OPERATOR[operator].activation(attributes))
            elif operator in _PASSED_OVER and node.input[0] == step.operand:
                self._pass_over(node, attributes)
            else:
                raise ValueError("there is no such layer for from_onnx, which reads dense layers and activations alone")
        except (ValueError, TypeError, LookupError) as error:  # last two: operands or attributes missing or of wrong type
            raise ValueError(f"cannot take {describe(node)}: {error}") from error

    def _pass_over(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        """Refuse an Identity, Cast or Dropout that would change what the network computes."""
        if attributes.get("to", onnx.TensorProto.FLOAT) not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
            raise ValueError("networks compute in float32 or float64")
        if len(node.input) > 2 and node.input[2]:
            training = self._constant(node.input[2])
            if training.size != 1 or training.any():
                raise ValueError("its training_mode is not false: export the model for inference")

    def _gemm(self, step: Step, attributes: Attributes) -> None:
        if attributes.get("transA", 0):
            raise ValueError("its first operand must be the layer's input, not transposed")
        W = self._weights(step)
        self._append(float(attributes.get("alpha", 1.0)) * (W.T if attributes.get("transB", 0) else W))
        if len(step.node.input) > 2 and step.node.input[2]:
            self._bias(self._constant(step.node.input[2]), float(attributes.get("beta", 1.0)))

    def _add(self, step: Step) -> None:
        other = [name for name in step.node.input if name != step.operand]
        if len(other) != 1 or not self.layers or self.layers[-1].activation is not None:
            raise ValueError("expected the addition of a bias right after a matrix product")
        self._bias(self._constant(other[0]))

    def _weights(self, step: Step) -> np.ndarray:
        """The second operand of a matrix product."""
        if step.node.input[0] != step.operand:
            raise ValueError("its first operand must be the layer's input")
        W = self._constant(step.node.input[1])
        if W.ndim != 2 or W.dtype not in (np.float32, np.float64) or 0 in W.shape:
            raise ValueError(f"its weights are {W.dtype} of shape {W.shape}, expected a float32 or float64 matrix")
        return W

    def _constant(self, name: str) -> np.ndarray:
        if name not in self.constants:
            raise ValueError(f"its operand {name!r} is not a constant")
        return self.constants[name]

    def _count(self, n_numbers: int) -> None:
        self.n_numbers += n_numbers
        if self.n_numbers > self.most_numbers:
            raise ValueError(f"nodes share constants so often that the network would hold more than {self.most_numbers} numbers")

    def _append(self, W: np.ndarray) -> None:
        if self.layers and self.layers[-1].W.shape[1] != W.shape[0]:
            raise ValueError(f"it takes {W.shape[0]} inputs, the layer before it gives {self.layers[-1].W.shape[1]}")
        if not self.layers and self.n_inputs not in (None, W.shape[0]):
            raise ValueError(f"it takes {W.shape[0]} inputs, the model's input has {self.n_inputs}")
        self._count(W.size)
        if not np.isfinite(W).all():
            raise ValueError("its weights hold NaN or infinity")
        self.layers.append(_Layer(W, np.zeros(W.shape[1], W.dtype)))

    def _bias(self, b: np.ndarray, beta: float = 1.0) -> None:
        layer = self.layers[-1]
        if b.dtype != layer.W.dtype or b.size not in (1, layer.b.size) or b.ndim > 2 or (b.ndim and b.shape[-1] != b.size):
            raise ValueError(f"its bias is {b.dtype} of shape {b.shape}, expected {layer.W.dtype} of shape {layer.b.shape}")
        self._count(layer.b.size)
        layer.b = layer.b + beta * b.ravel()
        if not np.isfinite(layer.b).all():
            raise ValueError("its bias holds NaN or infinity")

    def _activate(self, activation: Activation) -> None:
        if not self.layers or self.layers[-1].activation is not None:
            raise ValueError("expected an activation right after a dense layer")
        self.layers[-1].activation = activation
