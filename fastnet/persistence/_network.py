"""A network's architecture as JSON, its parameters as one tensor per segment.

In networks of dense layers only, the tensors are named `W1`, ..., `WL`, `b1`, ..., `bL` (with numbers zero-padded to one width);
in other networks by position in the flat vector and name, as in `003 2.W`. The safetensors library orders tensors of one dtype by
name, so they lie in the file as in the flat parameter vector, which is then a view of the file.
"""

from __future__ import annotations

import math
from reprlib import repr as short
from typing import Any

import numpy as np

from fastnet._checks import MAX_DIMENSION
from fastnet._members import Ensemble
from fastnet.layers import Dense, Graph, Inputs, Layer
from fastnet.network import Network
from fastnet.persistence._container import Container
from fastnet.persistence._values import pack, unpack


def describe(network: Network) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the architecture as a JSON object, and the parameters by the names of their tensors.

    Raises
    ------
    ValueError
        Layers are nested more deeply than a file can be read.
    """
    together = network._together
    tensors = {
        name: network.params[place : place + size].reshape(shape)
        for name, (place, size, shape) in _tensors(network._graph, network.layers, together).items()
    }
    architecture: dict[str, Any] = {
        "dtype": np.dtype(network.dtype).name,
        "n_inputs": network.input_shape[0] if len(network.input_shape) == 1 and not network.ragged else list(network.input_shape),
        "layers": _described(network.layers),
    }
    if network.ragged:
        architecture["ragged"] = True
    if network.source_shape:
        architecture["source"] = list(network.source_shape)
    if together.n_members > 1:
        architecture["ensemble"] = [together.n_members, together.kind, together.loss]
    return architecture, tensors


def _described(layers: tuple[Layer, ...]) -> Any:
    """Return the JSON form of layers, which can be read back."""
    try:
        content = pack(list(layers), {}, "layers")
        unpack(content, Container({}, {}, 0))
    except RecursionError:
        raise ValueError(
            "The network cannot be saved: its layers lie within each other more deeply than a file can be read. Put them one "
            "after the other."
        ) from None
    return content


def build(architecture: dict[str, Any], file: Container) -> Network:
    """Return the network of a file, with parameters in the file's own memory if it is laid out as `describe` does.

    Raises
    ------
    ValueError
        The architecture is invalid, or the tensors are not those it needs.
    """
    dtype, n_inputs = architecture.get("dtype"), architecture.get("n_inputs")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"broken file: dtype is {short(dtype)}, expected float32 or float64")
    inputs = _inputs(n_inputs, architecture.get("ragged", False), architecture.get("source"))
    layers = unpack(architecture.get("layers"), file)
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, Layer) for layer in layers):
        raise ValueError("broken file: layers must be a list of at least one layer")
    together = _ensemble(architecture.get("ensemble"))
    try:
        graph, _ = Graph.of(layers, inputs, together.n_members, together.kind)
        wanted = _tensors(graph, layers, together)
    except ValueError as error:
        raise ValueError(f"broken file: its layers do not fit together: {error}") from error
    for name, (_, _, shape) in wanted.items():
        _check_tensor(name, file.tensors.get(name), shape, np.dtype(dtype).newbyteorder("<"))
    return Network._adopt(layers, inputs, file.flat(list(wanted), dtype), together)


def _inputs(content: Any, ragged: Any, source: Any) -> Inputs:
    if type(ragged) is not bool:
        raise ValueError(f"broken file: ragged is {short(ragged)}, expected true or false")
    return Inputs(_shape(content, "n_inputs"), ragged, () if source is None else _shape(source, "source"))


def _shape(content: Any, name: str) -> tuple[int, ...]:
    shape = content if isinstance(content, list) else [content]
    if not shape or not all(type(n) is int and n > 0 for n in shape) or math.prod(shape) > MAX_DIMENSION:
        expected = f"a positive integer or a list of them, with a product of at most {MAX_DIMENSION}"
        raise ValueError(f"broken file: {name} is {short(content)}, expected {expected}")
    return tuple(shape)


def _ensemble(content: Any) -> Ensemble:
    if content is None:
        return Ensemble()
    if not isinstance(content, list) or len(content) != 3:
        raise ValueError(f"broken file: ensemble is {short(content)}, expected [members, kind, loss]")
    try:
        return Ensemble(*content)
    except (TypeError, ValueError) as error:
        raise ValueError(f"broken file: {error}") from error


def _tensors(graph: Graph, layers: Any, together: Ensemble) -> dict[str, tuple[int, int, tuple[int, ...]]]:
    """Return position, size and (at most two-dimensional) shape of each tensor by name, in the order of the flat vector."""
    plain = together.n_members == 1 and all(isinstance(layer, Dense) for layer in layers)
    table = zip(graph.plan().segment_table(), graph.segments(), strict=True)
    segments = sorted((place, rows, columns, name, segment.shape) for (place, rows, columns, *_), (name, segment, _) in table)
    width, digits = len(str(len(segments) - 1)), len(str(len(layers)))
    found = {}
    for number, (place, rows, columns, name, shape) in enumerate(segments):
        if plain:
            layer, letter = name.split(".")
            key = f"{letter}{int(layer):0{digits}}"
        else:
            key = f"{number:0{width}} {name}"
        found[key] = (place, rows * columns, shape if len(shape) < 3 else (rows, columns))
    return found


def _check_tensor(name: str, tensor: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if tensor is None:
        raise ValueError(f"broken file: tensor {name!r} is missing")
    if tensor.shape != shape or tensor.dtype != dtype:
        raise ValueError(
            f"broken file: tensor {name!r} is {tensor.dtype.name} of shape {tensor.shape}, "
            f"the architecture needs {dtype.name} of shape {shape}"
        )
