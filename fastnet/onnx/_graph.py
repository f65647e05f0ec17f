"""An ONNX graph as a path: its constants, and the steps from its input to an output."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, permutations

import numpy as np
import onnx
from onnx import numpy_helper

from fastnet.activations import ACTIVATIONS, Activation
from fastnet.onnx._activations import COMMUTATIVE, EXPRESSIONS, Expression, Operand

_BY_ROOT: dict[str, list[tuple[Expression, Activation]]] = {}
for _name, _expressions in EXPRESSIONS.items():
    for _expression in _expressions:
        _BY_ROOT.setdefault(_expression[0], []).append((_expression, ACTIVATIONS[_name]()))


@dataclass(frozen=True)
class Step:
    """A node, or the last of several that form an activation, that computes one tensor from one other.

    Attributes
    ----------
    node : onnx.NodeProto
    operand, output : str
        Names of the tensor that the step is applied to, and of the tensor that it computes.
    activation : Activation or None
        What the nodes between operand and output compute; None for a single node.
    """

    node: onnx.NodeProto
    operand: str
    output: str
    activation: Activation | None = None


@dataclass(frozen=True)
class _Origin:
    """Where a tensor comes from: the node, its position in the graph, and the operand that depends on the graph's input."""

    place: int
    node: onnx.NodeProto
    operand: str


class Graph:
    """Constants by name, tensors of zeros, and the path from the input to every tensor that depends on its numbers.

    Parameters
    ----------
    graph : onnx.GraphProto

    Raises
    ------
    ValueError
        A constant cannot be read, two tensors have the same name, or the graph does not have exactly one input.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = _constants(graph)
        self.zeros = _zeros(graph, self.constants)
        inputs = [value for value in graph.input if value.name not in self.constants]
        if len(inputs) != 1:
            raise ValueError(f"the model has the inputs {[value.name for value in inputs]}, expected one")
        self.input = inputs[0]
        _refuse_repeated(chain((tensor.name for tensor in graph.initializer), [self.input.name], _outputs(graph)))
        self._origins = _origins(graph, self.input.name)

    def path(self, target: str) -> list[Step]:
        """Return the steps from the input to the tensor `target`, following at each node the operand that was computed last."""
        steps: list[Step] = []
        name = target
        while name != self.input.name:
            if name not in self._origins:
                raise ValueError(f"the output {target!r} does not depend on the input through a chain of nodes")
            steps.append(self._step(name))
            name = steps[-1].operand
        return steps[::-1]

    def _step(self, name: str) -> Step:
        origin = self._origins[name]
        for expression, activation in _BY_ROOT.get(operator_name(origin.node), []):
            arguments = self._arguments(name, expression)
            if arguments:
                return Step(origin.node, arguments.pop(), name, activation)
        return Step(origin.node, origin.operand, name)

    def _arguments(self, name: str, operand: str | Expression) -> set[str]:
        """Return the tensors z for which the tensor `name` computes `operand`."""
        if isinstance(operand, str):
            return {name}
        operator, *operands = operand
        node = self._origins[name].node if name in self._origins else None
        if node is None or operator_name(node) != operator or len(node.input) != len(operands) or node.attribute:
            return set()
        orders = permutations(node.input) if operator in COMMUTATIVE else [node.input]
        return set().union(*(self._common_arguments(order, operands) for order in orders))

    def _common_arguments(self, names: Iterable[str], operands: list[Operand]) -> set[str]:
        """Return the tensors z for which each named tensor computes the operand at its position."""
        pairs = list(zip(names, operands, strict=True))
        if not all(self._is_number(name, operand) for name, operand in pairs if isinstance(operand, float)):
            return set()
        return set.intersection(*(self._arguments(name, operand) for name, operand in pairs if not isinstance(operand, float)))

    def _is_number(self, name: str, number: float) -> bool:
        array = self.constants.get(name)
        if array is None or array.size != 1 or array.ndim > 2 or array.dtype not in (np.float32, np.float64):
            return False
        return bool(np.isclose(array.item(), number, rtol=1e-7, atol=0))


def operator_name(node: onnx.NodeProto) -> str:
    """The operator's name, with its domain if it is not one of ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def describe(node: onnx.NodeProto) -> str:
    """Describe a node in messages: by its name, or else by its first output."""
    return f"node {node.name or next(iter(node.output), '')!r} ({operator_name(node)})"


def _constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Return by name the initialisers, the outputs of Constant nodes, and those of Identity nodes applied to them."""
    constants = {tensor.name: _array(f"constant {tensor.name!r}", tensor) for tensor in graph.initializer}
    for node in graph.node:
        value = _value(node, constants)
        if value is not None:
            constants.update((name, value) for name in node.output if name)
    return constants


def _zeros(graph: onnx.GraphProto, constants: dict[str, np.ndarray]) -> set[str]:
    """Tensors that are 0, of a shape that may depend on the input's: first states, as PyTorch writes them."""
    zeros = {name for name, array in constants.items() if array.dtype.kind == "f" and not array.any()}
    for node in graph.node:
        if operator_name(node) == "ConstantOfShape" and not any(_array(describe(node), a.t).any() for a in node.attribute):
            zeros.update(name for name in node.output if name)
        elif operator_name(node) == "Expand" and node.input and node.input[0] in zeros:
            zeros.update(name for name in node.output if name)
    return zeros


def _value(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return the value of a Constant node or an Identity of a constant; None for other nodes and values other than numbers."""
    operator = operator_name(node)
    if operator == "Identity" and len(node.input) == 1:
        return constants.get(node.input[0])
    if operator == "Constant" and len(node.attribute) == 1:
        attribute = node.attribute[0]
        if attribute.name == "value":
            return _array(describe(node), attribute.t)
        if attribute.name == "value_float":
            return np.array(attribute.f, np.float32)
        if attribute.name == "value_floats":
            return np.array(attribute.floats, np.float32)
    return None


def _array(owner: str, tensor: onnx.TensorProto) -> np.ndarray:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ValueError(f"{owner} lies in another file, which is not read: save the model with its weights inside")
    try:
        return numpy_helper.to_array(tensor)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{owner} is broken: {error}") from error


def _outputs(graph: onnx.GraphProto) -> Iterable[str]:
    """Return the names of all outputs of nodes; optional outputs that are left out have an empty name."""
    return (name for node in graph.node for name in node.output if name)


def _refuse_repeated(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"the model holds two tensors named {name!r}, expected a unique name for each")
        seen.add(name)


def _origins(graph: onnx.GraphProto, source: str) -> dict[str, _Origin]:
    """Return the origin of every tensor that depends on the numbers of `source`. Operands precede their users, so every path back
    ends."""
    origins: dict[str, _Origin] = {}
    for place, node in enumerate(graph.node):
        if operator_name(node) == "Shape":
            continue
        operands = [name for name in node.input if name == source or name in origins]
        if operands:
            operand = max(operands, key=lambda name: origins[name].place if name in origins else -1)
            origins.update((name, _Origin(place, node, operand)) for name in node.output if name)
    return origins
