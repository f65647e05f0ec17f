"""A network's architecture as JSON, its parameters as one tensor a weight matrix and bias vector.

Tensors are named `W1`, ..., `WL`, `b1`, ..., `bL` (numbers padded with zeros to one width). The safetensors library orders
tensors of one dtype by name, so that they lie in the file as in the flat parameter vector, which is then a view of the file.
"""

from __future__ import annotations

from reprlib import repr as short
from typing import Any

import numpy as np

from fastnet.layers import Dense
from fastnet.network import Network
from fastnet.persistence._container import Container
from fastnet.persistence._values import pack, unpack


def describe(network: Network) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The architecture as a JSON object, and the parameters by their tensors' names."""
    names = _names(network.n_layers)
    tensors = dict(zip(names, [*network.weights, *network.biases], strict=True))
    architecture = {
        "dtype": np.dtype(network.dtype).name,
        "n_inputs": network.n_inputs,
        "layers": pack(list(network.layers), {}, "layers"),
    }
    return architecture, tensors


def build(architecture: dict[str, Any], file: Container) -> Network:
    """The network of a file, on the file's own memory where it is laid out as `describe` does.

    Raises
    ------
    ValueError
        The architecture is not one, or the tensors are not those it needs.
    """
    dtype, n_inputs = architecture.get("dtype"), architecture.get("n_inputs")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"broken file: dtype is {short(dtype)}, expected float32 or float64")
    if type(n_inputs) is not int or n_inputs < 1:
        raise ValueError(f"broken file: n_inputs is {short(n_inputs)}, expected a positive integer")
    layers = unpack(architecture.get("layers"), file)
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, Dense) for layer in layers):
        raise ValueError("broken file: layers must be a list of at least one dense layer")
    sizes = [n_inputs, *(layer.n_units for layer in layers)]
    shapes = [*zip(sizes[:-1], sizes[1:], strict=True), *((n,) for n in sizes[1:])]
    names = _names(len(layers))
    for name, shape in zip(names, shapes, strict=True):
        _check_tensor(name, file.tensors.get(name), shape, np.dtype(dtype).newbyteorder("<"))
    return Network._adopt(layers, n_inputs, file.flat(names))


def _names(n_layers: int) -> list[str]:
    width = len(str(n_layers))
    return [f"{letter}{number:0{width}}" for letter in "Wb" for number in range(1, n_layers + 1)]


def _check_tensor(name: str, tensor: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if tensor is None:
        raise ValueError(f"broken file: tensor {name!r} is missing")
    if tensor.shape != shape or tensor.dtype != dtype:
        raise ValueError(
            f"broken file: tensor {name!r} is {tensor.dtype.name} of shape {tensor.shape}, "
            f"the architecture needs {dtype.name} of shape {shape}"
        )
