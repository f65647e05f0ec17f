"""Parameters in the layout of PyTorch's `nn.Sequential`, without importing torch.

A dense layer becomes `nn.Linear` and the module of its activation (`nn.Identity` for identity), and `nn.Dropout` where the
layer has dropout. Torch keeps a weight as (n_out, n_in), the transpose of fastnet's. A convolution likewise becomes `nn.Conv1d`
or `nn.Conv2d`, with ``groups=channels`` for a depthwise one. BatchNorm becomes `nn.BatchNorm1d` or `nn.BatchNorm2d`, and the
module of its activation if it is not identity. LayerNorm, PReLU, Dropout, Flatten and the pools are one module each; GlobalPool
is one, followed by `nn.Flatten`. RNN, GRU and LSTM become `nn.RNN`, `nn.GRU` and `nn.LSTM` of one layer, Bidirectional the same
with ``bidirectional=True``, and Attention `nn.MultiheadAttention`: in PyTorch these return tuples, so a module of your own has to
call them. TransformerBlock becomes `nn.TransformerEncoderLayer` with ``norm_first=True``, and Embedding and learned Positions
become `nn.Embedding`; that of Positions has to be given the numbers of the positions.

The channels of torch's convolutions come first: it flattens (channels, height, width), and the parameters of layers after Flatten
are in that order. In networks with recurrent layers, embeddings or attention the channels come last, as with
``batch_first=True``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnet import _checks
from fastnet import activations as _activations
from fastnet._models import model_view
from fastnet.activations import Activation
from fastnet.layers import (
    GRU,
    LSTM,
    RNN,
    Attention,
    AvgPool,
    BatchNorm,
    Bidirectional,
    Conv1d,
    Conv2d,
    Dense,
    DepthwiseConv1d,
    DepthwiseConv2d,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Graph,
    Last,
    Layer,
    LayerNorm,
    MaxPool,
    Positions,
    PReLU,
    TransformerBlock,
    chain,
)
from fastnet.layers.dense import scale_factor
from fastnet.network import Network

__all__ = ["from_torch_state_dict", "to_torch_state_dict"]

_COUNTER = ".num_batches_tracked"  # a number of BatchNorm's modules that nothing here depends on

_LINEAR = {"weight": "W", "bias": "b"}
_NORM = {"weight": "gain", "bias": "bias"}
_ATTENTION = {
    "in_proj_weight": "qkv.W",
    "in_proj_bias": "qkv.b",
    "out_proj.weight": "out.W",
    "out_proj.bias": "out.b",
}

#: Layers that are modules of torch.nn: the modules' parameters, and the names that fastnet has for them. Two of one name are
#: added.
_SEGMENTS: dict[type[Layer], dict[str, str]] = {
    **dict.fromkeys((Dense, Conv1d, Conv2d, DepthwiseConv1d, DepthwiseConv2d), _LINEAR),
    BatchNorm: {**_NORM, "running_mean": "mean", "running_var": "var"},
    LayerNorm: _NORM,
    PReLU: {"weight": "p"},
    GRU: {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "b", "bias_hh_l0": "c"},
    **dict.fromkeys((RNN, LSTM), {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "b", "bias_hh_l0": "b"}),
    **dict.fromkeys((Dropout, Flatten, Last, MaxPool, AvgPool, GlobalPool), {}),
    Embedding: {"weight": "E"},
    Positions: {"weight": "P"},
    Attention: _ATTENTION,
    TransformerBlock: {
        **{f"norm1.{kind}": f"1.1.{segment}" for kind, segment in _NORM.items()},
        **{f"self_attn.{kind}": f"1.2.{segment}" for kind, segment in _ATTENTION.items()},
        **{f"norm2.{kind}": f"2.1.{segment}" for kind, segment in _NORM.items()},
        **{f"linear1.{kind}": f"2.2.{segment}" for kind, segment in _LINEAR.items()},
        **{f"linear2.{kind}": f"2.3.{segment}" for kind, segment in _LINEAR.items()},
    },
}

#: Layers whose modules read rows (length, channels), if they are told so by ``batch_first=True``.
_CHANNELS_LAST = (RNN, GRU, LSTM, Bidirectional, Embedding, Positions, Attention, TransformerBlock)

_KINDS = "|".join(re.escape(kind) for row in _SEGMENTS.values() for kind in row)
_KEY = re.compile(rf"(?P<prefix>(?:.*\.)?)(?P<index>\d+)\.(?P<kind>(?:{_KINDS})(?:_reverse)?)")


class _Owner(NamedTuple):
    """A layer in its place.

    Attributes
    ----------
    number : int
        From 1.
    layer : Layer
    place : int
        Number of its module.
    order : ndarray or None
        Numbers of the units that it reads, in torch's order where that is another.
    """

    number: int
    layer: Layer
    place: int
    order: np.ndarray | None


def to_torch_state_dict(model: Any) -> dict[str, np.ndarray]:
    """The parameters of a model under the names of an `nn.Sequential`'s state dict.

    Parameters
    ----------
    model : Network or fitted estimator

    Returns
    -------
    dict of str to ndarray
        `"0.weight"` (n[1], n[0]), `"0.bias"` (n[1],), `"2.weight"`, ...: copies, in the model's dtype. To load them:
        `sequential.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})`. Weights of layers with
        ``scale="ntk"`` contain the factor. For convolutions `"0.weight"` is ``(filters, channels, *kernel)``.

    Raises
    ------
    TypeError
        `model` is neither network nor estimator, or an ensemble, or has layers without a counterpart in torch.nn.

    Examples
    --------
    >>> import fastnet as fn
    >>> from fastnet.torch import to_torch_state_dict
    >>> net = fn.Network([fn.Dense(3, "relu"), fn.Dense(1, "identity")], n_inputs=2, random_state=0)
    >>> {name: array.shape for name, array in to_torch_state_dict(net).items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """
    view = model_view(model)
    if view.graph.n_members > 1:
        raise TypeError(f"an ensemble is no nn.Sequential, got {model!r}: net.parameters has its parameters by name")
    state = {}
    for owner in _owners(view.layers, view.graph, view.ends):
        written: set[str] = set()
        for kind, segment in _segments(owner.layer).items():
            array = view.parameters[f"{owner.number}.{segment}"]
            factor = 0 if segment in written else _factor(owner.layer, kind, array)
            state[f"{owner.place}.{kind}"] = np.array(factor * _torch_form(owner, array), order="C")
            written.add(segment)
    return state


def from_torch_state_dict(
    state_dict: Mapping[str, Any],
    activations: Sequence[str | Activation] | None = None,
    *,
    layers: Sequence[Layer] | None = None,
    input_shape: Sequence[int] | None = None,
    ragged: bool = False,
    dtype: str | None = None,
) -> Network:
    """A network with the parameters of an `nn.Sequential`.

    Parameters
    ----------
    state_dict : mapping of str to array or CPU tensor
        Keys `"<i>.weight"` and `"<i>.bias"`, all with the same prefix, if any (`"model.0.weight"`). The order of the layers
        is that of their numbers. The bias of a layer without one becomes zero.
    activations : sequence of str or Activation
        If all modules are `nn.Linear`: one for each of them, as a state dict holds no activations.
    layers : sequence of Layer
        For other modules: the network's layers, in place of `activations`: `Dense`, convolutions, `BatchNorm`, `LayerNorm`,
        `PReLU`, `RNN`, `GRU`, `LSTM`, `Bidirectional`, `Embedding`, `Positions`, `Attention`, `TransformerBlock`, and those
        without parameters, `Dropout`, `Flatten`, `Last` and pools. A slope that all units share, as `nn.PReLU` has by default,
        becomes that of each unit; the two biases of `nn.RNN` and `nn.LSTM` are added.
    input_shape : sequence of int, optional
        That of the network, channels last, for rows that have positions: (28, 28, 1).
    ragged : bool
        Whether rows may be shorter than that.
    dtype : str, optional
        `"float32"` or `"float64"`; None: the arrays' own.

    Raises
    ------
    ValueError
        A key or shape does not belong to such a chain, there are not as many activations or layers as modules, or a value is
        not an array of real numbers (NumPy has no bfloat16).
    TypeError
        Neither `activations` nor `layers`, or both, or layers without a counterpart in torch.nn.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> from fastnet.torch import from_torch_state_dict
    >>> state = {"0.weight": np.ones((3, 2)), "1.weight": np.full(3, 0.1), "2.weight": np.ones((1, 3))}
    >>> from_torch_state_dict(state, layers=[fn.Dense(3, "identity"), fn.PReLU(), fn.Dense(1, "identity")])
    <Network 2 -> 3 identity, PReLU 3, 1 identity; 16 parameters, float64>
    """
    modules = _modules(state_dict)
    if (activations is None) == (layers is None):
        raise TypeError("give activations, one for each nn.Linear, or layers=, the layers of the network")
    layers = chain(_dense_layers(modules, activations) if layers is None else layers)
    _check_layers(layers)
    with_parameters = [layer for layer in layers if _segments(layer)]
    if len(with_parameters) != len(modules):
        raise ValueError(f"got {len(with_parameters)} layers with parameters for the {len(modules)} modules {', '.join(modules)}")
    if dtype is None:
        arrays = [array for parts in modules.values() for array in parts.values()]
        dtype = "float32" if all(array.dtype == np.float32 for array in arrays) else "float64"
    pairs = zip(with_parameters, modules.items(), strict=True)
    matrices = [_matrix(name, parts) for layer, (name, parts) in pairs if isinstance(layer, Dense)]
    if input_shape is None and not matrices:
        raise ValueError("layers holds no Dense layer, whose weights say how many inputs there are: give input_shape")
    shape = {"n_inputs": matrices[0].shape[1]} if input_shape is None else {"input_shape": input_shape}
    network = Network(layers, **shape, ragged=ragged, dtype=dtype, random_state=0)
    owners = [owner for owner in _owners(layers, network._graph, network._ends) if _segments(owner.layer)]
    for owner, (name, parts) in zip(owners, modules.items(), strict=True):
        _write(network, owner, name, parts)
    return network


def _segments(layer: Layer) -> dict[str, str]:
    """A layer's row of the table."""
    if isinstance(layer, Positions) and layer.kind == "sinusoidal":
        return {}
    if not isinstance(layer, Bidirectional):
        return _SEGMENTS[type(layer)]
    forward = _segments(layer.layer)
    reverse = {f"{kind}_reverse": f"2.{segment}" for kind, segment in forward.items()}
    return {kind: f"1.{segment}" for kind, segment in forward.items()} | reverse


def _check_layers(layers: Sequence[Layer]) -> None:
    """TypeError if a layer has no row in the table."""
    for number, layer in enumerate(layers, start=1):
        if type(layer) not in (*_SEGMENTS, Bidirectional):
            known = ", ".join(row.__name__ for row in (*_SEGMENTS, Bidirectional))
            raise TypeError(
                f"layer {number}, {type(layer).__name__}, is no module of an nn.Sequential; those are {known}. net.parameters "
                "has the parameters of all layers by name"
            )


def _owners(layers: Sequence[Layer], graph: Graph, ends: Sequence[int]) -> Iterator[_Owner]:
    """Each layer with the number of its module; TypeError if it is none."""
    _check_layers(layers)
    index, order = 0, None
    channels_last = any(isinstance(layer, _CHANNELS_LAST) for layer in layers)
    for number, (layer, source) in enumerate(zip(layers, (graph.starts[0], *ends), strict=False), start=1):
        shape = graph.row_shapes[source]
        if isinstance(layer, (Dense, LayerNorm, PReLU)) and len(shape) > 1 and not channels_last:
            raise TypeError(
                f"layer {number}, {type(layer).__name__}, reads rows of shape {shape}, whose channels torch has first: it is no "
                "module of an nn.Sequential. A convolution of kernel_size=1 is the same as Dense"
            )
        yield _Owner(number, layer, index, order)
        if isinstance(layer, Flatten) and len(shape) > 1 and not channels_last:
            order = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), -1, 0).ravel()
        elif isinstance(layer, Dense):
            order = None
        index += _n_modules(layer)


def _n_modules(layer: Layer) -> int:
    if isinstance(layer, BatchNorm):
        return 1 + (layer.activation.name != "identity")
    if isinstance(layer, (Dense, Conv1d, Conv2d, DepthwiseConv1d, DepthwiseConv2d)):
        return 2 + bool(layer.dropout)
    return 1 + isinstance(layer, GlobalPool)


def _torch_form(owner: _Owner, array: np.ndarray) -> np.ndarray:
    """The numbers of a parameter where torch has them."""
    if isinstance(owner.layer, (DepthwiseConv1d, DepthwiseConv2d)) and array.ndim > 1:
        return np.moveaxis(array, -1, 0)[:, None]
    if isinstance(owner.layer, (Conv1d, Conv2d)) and array.ndim > 1:
        return np.moveaxis(array, (-1, -2), (0, 1))
    if isinstance(owner.layer, (Embedding, Positions)):
        return array
    reads = isinstance(owner.layer, (LayerNorm, BatchNorm, PReLU)) or array.ndim > 1
    return (array if owner.order is None or not reads else array[owner.order]).T


def _factor(layer: Layer, kind: str, array: np.ndarray) -> float:
    """What a parameter of fastnet's is times, to be torch's."""
    return scale_factor(layer.scale, len(array)) if isinstance(layer, Dense) and kind == "weight" else 1.0


def _dense_layers(modules: Mapping[str, Mapping[str, np.ndarray]], activations: Any) -> list[Dense]:
    """The layers of linear modules and their activations."""
    if isinstance(activations, str) or len(activations) != len(modules):
        raise ValueError(f"got activations {activations!r} for {len(modules)} linear layers, expected a list of one each")
    layers: list[Dense] = []
    for (name, parts), activation in zip(modules.items(), activations, strict=True):
        n_out, n_in = _matrix(name, parts).shape
        if layers and layers[-1].n_units != n_in:
            raise ValueError(f"layer {name!r} takes {n_in} inputs, the layer before it gives {layers[-1].n_units}")
        layers.append(Dense(n_out, _activations.get(activation)))
    return layers


def _matrix(name: str, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The weight of a linear module."""
    if "weight" not in parts or parts["weight"].ndim != 2:
        raise ValueError(f"layer {name!r} has no weight matrix, as every nn.Linear has")
    return parts["weight"]


def _write(network: Network, owner: _Owner, name: str, parts: Mapping[str, np.ndarray]) -> None:
    """Give a layer the parameters of its module; biases that there are not become 0."""
    layer = owner.layer
    segments = _segments(layer)
    missing = {kind for kind in segments if "weight" in kind} - parts.keys()
    if missing or parts.keys() - segments:
        raise ValueError(f"layer {name!r} has {' and '.join(parts)}, but {type(layer).__name__} has {' and '.join(segments)}")
    for kind in segments:
        if kind in parts or "bias" in kind:
            network.parameters[f"{owner.number}.{segments[kind]}"][...] = 0
    for kind, array in parts.items():
        view = network.parameters[f"{owner.number}.{segments[kind]}"]
        places = _torch_form(owner, np.arange(view.size).reshape(view.shape))
        shape = places.shape
        if array.shape != shape and not (isinstance(layer, PReLU) and array.shape == (1,)):
            raise ValueError(f"layer {name!r} has a {kind} of shape {array.shape}, expected {shape}")
        view.reshape(-1)[places] += array / _factor(layer, kind, view)


def _modules(state_dict: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """The weight and bias of every numbered module, in the order of the numbers."""
    found: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for key, value in state_dict.items():
        if key.endswith(_COUNTER):
            continue
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(
                f"cannot take {key!r}: expected keys like '0.weight' and '0.bias' of an nn.Sequential of nn.Linear, "
                "convolutions, nn.BatchNorm1d and nn.BatchNorm2d, nn.LayerNorm, nn.PReLU, nn.Embedding, nn.MultiheadAttention, "
                "nn.TransformerEncoderLayer, and nn.RNN, nn.GRU and nn.LSTM of one layer"
            )
        found.setdefault((match["prefix"], int(match["index"])), {})[match["kind"]] = _array(key, value)
    prefixes = {prefix for prefix, _ in found}
    if len(prefixes) != 1:
        raise ValueError(f"the keys have the prefixes {sorted(prefixes)}, expected one: a single nn.Sequential")
    return {f"{prefix}{index}": found[prefix, index] for prefix, index in sorted(found)}


def _array(key: str, value: Any) -> np.ndarray:
    """An array or a tensor, detached from its gradients, as an array of numbers."""
    try:
        return _checks.numeric_array(value.detach() if hasattr(value, "detach") else value, repr(key))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"cannot read {key!r}: {error}; of a tensor give tensor.float().cpu()") from error
