"""ONNX models as networks: chains of Gemm or MatMul + Add, and activations."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from fastnet.activations import Activation, Identity
from fastnet.layers import Dense
from fastnet.network import Network
from fastnet.onnx._activations import OPERATORS, SIDE_CHAINS, SideChain

_BY_OPERATOR = {row.name: row for row in OPERATORS.values() if row.name != "Identity"}
_PASSED_OVER = ("Identity", "Dropout", "Cast")  # what inference does not change


def from_onnx(source: onnx.ModelProto | bytes | str | os.PathLike[str], *, output: str | None = None) -> Network:
    """A network that computes what an ONNX model computes.

    Parameters
    ----------
    source : onnx.ModelProto, bytes or path-like
        The model, its bytes, or its file. Weights must be inside it: external data files are not read.
    output : str, optional
        The output to take, `"probabilities"` of a classifier, say. None is for models with one output.

    Returns
    -------
    Network
        In the dtype of the model's weights.

    Raises
    ------
    ValueError
        The bytes are not an ONNX model, or the model is not a chain of dense layers; the message names the first node that
        cannot be taken.
    OSError
        The file cannot be read.
    """
    graph = _read(source).graph
    constants = _constants(graph)
    inputs = [value for value in graph.input if value.name not in constants]
    outputs = [value.name for value in graph.output]
    if len(inputs) != 1:
        raise ValueError(f"the model has the inputs {[value.name for value in inputs]}, expected one")
    if output is None and len(outputs) != 1:
        raise ValueError(f"the model has the outputs {outputs}: choose one with output=")
    target = outputs[0] if output is None else output
    if output is not None and output not in outputs:
        raise ValueError(f"the model has no output {output!r}, its outputs are {outputs}")
    nodes = _needed(graph, target)
    walk = _Walk(constants, nodes, inputs[0].name, _n_inputs(inputs[0]))
    walk.run(target)
    return walk.network()


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


def _constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Initialisers and the outputs of Constant nodes, by name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if _operator(node) == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return {name: _array(name, tensor) for name, tensor in tensors.items()}


def _array(name: str, tensor: onnx.TensorProto) -> np.ndarray:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ValueError(f"constant {name!r} lies in another file, which is not read: save the model with its weights inside")
    try:
        return numpy_helper.to_array(tensor)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"constant {name!r} is broken: {error}") from error


def _n_inputs(value: onnx.ValueInfoProto) -> int | None:
    """The number of features that the model's input is declared to have; None if it is not said."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    if len(tensor.shape.dim) != 2:
        raise ValueError(f"the input {value.name!r} has {len(tensor.shape.dim)} dimensions, expected 2: (rows, features)")
    return tensor.shape.dim[1].dim_value or None


def _needed(graph: onnx.GraphProto, target: str) -> list[onnx.NodeProto]:
    """The nodes that `target` depends on, in the graph's order, constants left out."""
    wanted, nodes = {target}, []
    for node in reversed(graph.node):
        if _operator(node) != "Constant" and wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def _operator(node: onnx.NodeProto) -> str:
    """The operator's name, with its domain if it is not one of ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def _say(node: onnx.NodeProto) -> str:
    return f"node {node.name or node.output[0]!r} ({_operator(node)})"


def _is_number(array: np.ndarray | None, number: float) -> bool:
    return array is not None and array.size == 1 and bool(np.isclose(float(array.ravel()[0]), number, rtol=1e-6, atol=0))


@dataclass
class _Layer:
    W: np.ndarray
    b: np.ndarray
    activation: Activation | None = None


@dataclass
class _Walk:
    """Follows the chain from the input, one node or one activation's group of nodes at a time."""

    constants: dict[str, np.ndarray]
    nodes: list[onnx.NodeProto]
    current: str
    n_inputs: int | None
    layers: list[_Layer] = field(default_factory=list)

    def run(self, target: str) -> None:
        """Walk to the tensor `target`."""
        remaining = list(self.nodes)
        while self.current != target:
            users = [node for node in remaining if self.current in node.input]
            if not users:
                raise ValueError(f"the output {target!r} does not depend on the input through a chain of nodes")
            taken = [users[0]] if len(users) == 1 else self._side_chain(users, remaining)
            if len(users) == 1:
                self._take(users[0])
            done = {node.output[0] for node in taken}
            remaining = [node for node in remaining if node.output[0] not in done]
            self.current = taken[-1].output[0]

    def network(self) -> Network:
        """The network of the layers found."""
        if not self.layers:
            raise ValueError("the model has no dense layer (Gemm, or MatMul and Add)")
        layers = [Dense(layer.W.shape[1], layer.activation or Identity()) for layer in self.layers]
        return Network.from_parameters(layers, [layer.W for layer in self.layers], [layer.b for layer in self.layers])

    @np.errstate(over="ignore", invalid="ignore")
    def _take(self, node: onnx.NodeProto) -> None:
        operator = _operator(node)
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        try:
            if operator == "Gemm":
                self._gemm(node, attributes)
            elif operator == "MatMul":
                self._matmul(node)
            elif operator == "Add":
                self._add(node)
            elif operator in _BY_OPERATOR:
                self._activate(_BY_OPERATOR[operator].activation(attributes))
            elif operator in _PASSED_OVER and node.input[0] == self.current:
                self._pass_over(node, attributes)
            else:
                raise ValueError("there is no such layer in fastnet")
        except (ValueError, TypeError, LookupError) as error:  # the last two: operands or attributes missing, or of a wrong type
            raise ValueError(f"cannot take {_say(node)}: {error}") from error

    def _pass_over(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        """Refuse an Identity, Cast or Dropout that does change what networks compute."""
        if attributes.get("to", onnx.TensorProto.FLOAT) not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
            raise ValueError("networks compute in float32 or float64")
        if len(node.input) > 2 and node.input[2] and self._constant(node.input[2]).any():
            raise ValueError("its training_mode is true: export the model for inference")

    def _gemm(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        if node.input[0] != self.current or attributes.get("transA", 0):
            raise ValueError("its first operand must be the layer's input, not transposed")
        W = self._constant(node.input[1])
        W = attributes.get("alpha", 1.0) * (W.T if attributes.get("transB", 0) else W)
        self._append(W)
        if len(node.input) > 2 and node.input[2]:
            self._bias(attributes.get("beta", 1.0) * self._constant(node.input[2]))

    def _matmul(self, node: onnx.NodeProto) -> None:
        if node.input[0] != self.current:
            raise ValueError("its first operand must be the layer's input")
        self._append(self._constant(node.input[1]))

    def _add(self, node: onnx.NodeProto) -> None:
        other = [name for name in node.input if name != self.current]
        if len(other) != 1 or not self.layers or self.layers[-1].activation is not None:
            raise ValueError("expected the addition of a bias right after a matrix product")
        self._bias(self._constant(other[0]))

    def _constant(self, name: str) -> np.ndarray:
        if name not in self.constants:
            raise ValueError(f"its operand {name!r} is not a constant")
        return self.constants[name]

    def _append(self, W: np.ndarray) -> None:
        if W.ndim != 2 or W.dtype not in (np.float32, np.float64) or 0 in W.shape:
            raise ValueError(f"its weights are {W.dtype} of shape {W.shape}, expected a float32 or float64 matrix")
        if self.layers and self.layers[-1].W.shape[1] != W.shape[0]:
            raise ValueError(f"it takes {W.shape[0]} inputs, the layer before it gives {self.layers[-1].W.shape[1]}")
        if not self.layers and self.n_inputs not in (None, W.shape[0]):
            raise ValueError(f"it takes {W.shape[0]} inputs, the model's input has {self.n_inputs}")
        if not np.isfinite(W).all():
            raise ValueError("its weights hold NaN or infinity")
        self.layers.append(_Layer(W, np.zeros(W.shape[1], W.dtype)))

    def _bias(self, b: np.ndarray) -> None:
        layer = self.layers[-1]
        if b.dtype != layer.W.dtype or b.size not in (1, layer.b.size) or (b.ndim and b.shape[-1] != b.size):
            raise ValueError(f"its bias is {b.dtype} of shape {b.shape}, expected {layer.W.dtype} of shape {layer.b.shape}")
        layer.b = layer.b + b.ravel()
        if not np.isfinite(layer.b).all():
            raise ValueError("its bias holds NaN or infinity")

    def _activate(self, activation: Activation) -> None:
        if not self.layers or self.layers[-1].activation is not None:
            raise ValueError("expected an activation right after a dense layer")
        self.layers[-1].activation = activation

    def _side_chain(self, users: list[onnx.NodeProto], remaining: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """The nodes of an activation written as a product of z and a side chain."""
        for chain in SIDE_CHAINS.values():
            nodes = self._match(chain, users, remaining)
            if nodes:
                self._activate(chain.activation)
                return nodes
        raise ValueError(f"cannot take {_say(users[0])}: other nodes use {self.current!r} too and form no known activation")

    def _match(self, chain: SideChain, users: list[onnx.NodeProto], remaining: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """The chain's nodes, the product, and the product with the factor, if they are there, else an empty list."""
        name, nodes = self.current, []
        for operator, operand in chain.steps:
            node = self._only(operator, {name}, operand, remaining)
            if node is None:
                return []
            nodes.append(node)
            name = node.output[0]
        product = self._only("Mul", {self.current, name}, None, remaining)
        if product is None or len(users) != 2:
            return []
        nodes.append(product)
        if chain.factor is not None:
            scaled = self._only("Mul", {product.output[0]}, chain.factor, remaining)
            if scaled is None:
                return []
            nodes.append(scaled)
        return nodes

    def _only(
        self, operator: str, operands: set[str], constant: float | None, remaining: list[onnx.NodeProto]
    ) -> onnx.NodeProto | None:
        """The one node that applies `operator` to the named tensors and, if given, a constant."""
        for node in remaining:
            others = [self.constants.get(name) for name in node.input if name not in operands]
            if _operator(node) != operator or not operands.issubset(node.input) or len(others) != (constant is not None):
                continue
            if constant is None or _is_number(others[0], constant):
                return node
        return None
