"""ONNX models as networks."""

from __future__ import annotations

import os

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper

from fastnet.network import Network
from fastnet.onnx._activations import OPERATORS
from fastnet.onnx._chain import Chain
from fastnet.onnx._graph import Graph, Step, describe, operator_name
from fastnet.onnx._readers import READERS, Read

_BY_OPERATOR = {row.name: row for row in OPERATORS.values() if row.name != "Identity"}


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
        With the dtype of the model's weights. Rows have the channels last: where the model's input is (rows, channels, height,
        width), as PyTorch has it, the network's `input_shape` is (height, width, channels).

    Raises
    ------
    ValueError
        The bytes are not an ONNX model, the model is not a chain of layers that fastnet has (the message names the first node
        that cannot be converted), or its nodes share constants so often that the network would be far larger than the model.
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
    dims = graph.input.type.tensor_type.shape.dim
    n_rows = dims[0].dim_value or None if len(dims) else None
    chain = Chain(graph.constants, _row_shape(graph.input), graph.zeros, n_rows)
    for step in graph.path(outputs[0] if output is None else output):
        _take(chain, step)
    return chain.network()


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


def _row_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The shape of a row that the model declares for its input; None if it does not."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    row = tuple(dim.dim_value for dim in tensor.shape.dim[1:])
    if not 1 <= len(row) <= 3:
        expected = "expected 2 to 4: (rows, features), (rows, channels, length) or (rows, channels, height, width)"
        raise ValueError(f"the input {value.name!r} has {len(row) + 1} dimensions, {expected}")
    if len(row) > 1 and not all(row):
        raise ValueError(f"the input {value.name!r} has axes of any length: export the model for rows of one shape")
    return row if all(row) else None


@np.errstate(over="ignore", invalid="ignore")
def _take(chain: Chain, step: Step) -> None:
    """Add what a step computes: a layer, its bias or its activation."""
    node, operator = step.node, operator_name(step.node)
    try:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        reader = READERS.get(operator)
        if step.output not in node.output[: 1 if reader is None else reader.n_outputs]:
            raise ValueError(f"networks compute nothing like its output {step.output!r}")
        unknown = attributes.keys() - reader.attributes if reader is not None and step.activation is None else set()
        if unknown:
            raise ValueError(f"it has the attributes {sorted(unknown)}, which are not known")
        if step.activation is not None:
            chain.activate(step.activation)
        elif operator in _BY_OPERATOR and list(node.input) == [step.operand]:
            chain.activate(_BY_OPERATOR[operator].activation(attributes), attributes.get("axis", -1))
        elif reader is None:
            raise ValueError("there is no such layer for from_onnx, which reads chains of layers alone")
        elif reader.operand is not None and node.input[reader.operand] != step.operand:
            raise ValueError("its first operand must be the layer's input")
        else:
            reader.read(Read(chain, step, attributes))
    except (ValueError, TypeError, LookupError) as error:  # last two: operands or attributes missing or of wrong type
        raise ValueError(f"cannot take {describe(node)}: {error}") from error
