"""Parameters in the layout of PyTorch's `nn.Sequential`, without importing torch.

A dense layer becomes `nn.Linear` and the module of its activation (`nn.Identity` for identity), and `nn.Dropout` where the
layer has dropout. Torch keeps a weight as (n_out, n_in), the transpose of fastnet's. LayerNorm, PReLU and Dropout are the modules
of the same names. RNN, GRU and LSTM are `nn.RNN`, `nn.GRU` and `nn.LSTM` of one layer, Bidirectional those with
``bidirectional=True``: they give PyTorch tuples, so that a module of your own runs them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnet import _checks
from fastnet import activations as _activations
from fastnet._models import model_view
from fastnet.activations import Activation
from fastnet.layers import GRU, LSTM, RNN, Bidirectional, Dense, Dropout, Layer, LayerNorm, PReLU, chain
from fastnet.layers.dense import scale_factor
from fastnet.network import Network

__all__ = ["from_torch_state_dict", "to_torch_state_dict"]

_KEY = re.compile(r"(?P<prefix>(?:.*\.)?)(?P<index>\d+)\.(?P<kind>(?:weight|bias)(?:_[ih]h_l0(?:_reverse)?)?)")

#: Layers that are modules of torch.nn: the modules' parameters, and the names that fastnet has for them. Two of one name are
#: added.
_SEGMENTS: dict[type[Layer], dict[str, str]] = {
    Dense: {"weight": "W", "bias": "b"},
    LayerNorm: {"weight": "gain", "bias": "bias"},
    PReLU: {"weight": "p"},
    Dropout: {},
    GRU: {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "b", "bias_hh_l0": "c"},
    **dict.fromkeys((RNN, LSTM), {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "b", "bias_hh_l0": "b"}),
}


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
        ``scale="ntk"`` contain the factor.

    Raises
    ------
    TypeError
        `model` is neither network nor estimator, or an ensemble, or has layers that are no modules of torch.nn.

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
    state, index = {}, 0
    for number, layer in enumerate(view.layers, start=1):
        written: set[str] = set()
        for kind, segment in _segments(number, layer).items():
            array = view.parameters[f"{number}.{segment}"]
            factor = 0 if segment in written else _factor(layer, kind, array)
            state[f"{index}.{kind}"] = np.array((factor * array).T, order="C")
            written.add(segment)
        index += 2 + bool(layer.dropout) if isinstance(layer, Dense) else 1
    return state


def from_torch_state_dict(
    state_dict: Mapping[str, Any],
    activations: Sequence[str | Activation] | None = None,
    *,
    layers: Sequence[Layer] | None = None,
    input_shape: Sequence[int] | None = None,
    dtype: str | None = None,
) -> Network:
    """A network with the parameters of an `nn.Sequential`.

    Parameters
    ----------
    state_dict : mapping of str to array or CPU tensor
        Keys `"<i>.weight"` and `"<i>.bias"`, all with the same prefix, if any (`"model.0.weight"`). The order of the layers
        is that of their numbers. The bias of a layer without one becomes zero.
    activations : sequence of str or Activation
        For modules that are all `nn.Linear`: one each, as a state dict holds no activations.
    layers : sequence of Layer
        For others, the network's layers in place of `activations`: `Dense`, `LayerNorm`, `PReLU`, `RNN`, `GRU`, `LSTM`,
        `Bidirectional`, and `Dropout`, which has no parameters. A slope that all units share, as `nn.PReLU` has by default,
        becomes that of each unit; the two biases of `nn.RNN` and `nn.LSTM` are added.
    input_shape : sequence of int, optional
        (steps, channels) of a row of the network, where its layers need it.
    dtype : str, optional
        `"float32"` or `"float64"`; None: the arrays' own.

    Raises
    ------
    ValueError
        A key or shape does not belong to such a chain, there are not as many activations or layers as modules, or a value is no
        array of real numbers (NumPy has no bfloat16).
    TypeError
        Neither `activations` nor `layers`, or both, or layers that are no modules of torch.nn.

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
    owners = [(number, layer) for number, layer in enumerate(layers, start=1) if _segments(number, layer)]
    if len(owners) != len(modules):
        raise ValueError(f"got {len(owners)} layers with parameters for the {len(modules)} modules {', '.join(modules)}")
    if dtype is None:
        arrays = [array for parts in modules.values() for array in parts.values()]
        dtype = "float32" if all(array.dtype == np.float32 for array in arrays) else "float64"
    pairs = zip(owners, modules.items(), strict=True)
    matrices = [_matrix(name, parts) for (_, layer), (name, parts) in pairs if isinstance(layer, Dense)]
    if not matrices and input_shape is None:
        raise ValueError("layers holds no Dense layer, whose weights say how many inputs there are, and there is no input_shape")
    n_inputs = matrices[0].shape[1] if input_shape is None else None
    network = Network(layers, n_inputs, input_shape=input_shape, dtype=dtype, random_state=0)
    network.params[:] = 0
    for (number, layer), (name, parts) in zip(owners, modules.items(), strict=True):
        _write(network, number, layer, name, parts)
    return network


def _segments(number: int, layer: Layer) -> dict[str, str]:
    """A layer's row of the table."""
    if isinstance(layer, Bidirectional):
        forward = _segments(number, layer.layer)
        reverse = {f"{kind}_reverse": f"2.{segment}" for kind, segment in forward.items()}
        return {kind: f"1.{segment}" for kind, segment in forward.items()} | reverse
    if type(layer) not in _SEGMENTS:
        known = ", ".join(row.__name__ for row in (*_SEGMENTS, Bidirectional))
        raise TypeError(
            f"layer {number}, {type(layer).__name__}, is no module of an nn.Sequential; those are {known}. net.parameters has "
            "the parameters of all layers by name"
        )
    return _SEGMENTS[type(layer)]


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


def _write(network: Network, number: int, layer: Layer, name: str, parts: Mapping[str, np.ndarray]) -> None:
    """Add the parameters of its module to a layer's, which are 0: biases that there are not stay so."""
    segments = _segments(number, layer)
    missing = {kind for kind in segments if kind.startswith("weight")} - parts.keys()
    if missing or parts.keys() - segments:
        raise ValueError(f"layer {name!r} has {' and '.join(parts)}, but {type(layer).__name__} has {' and '.join(segments)}")
    for kind, array in parts.items():
        view = network.parameters[f"{number}.{segments[kind]}"]
        shape = view.shape[::-1]
        if array.shape != shape and not (isinstance(layer, PReLU) and array.shape == (1,)):
            raise ValueError(f"layer {name!r} has a {kind} of shape {array.shape}, expected {shape}")
        view += array.T / _factor(layer, kind, view)


def _modules(state_dict: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """The weight and bias of every numbered module, in the order of the numbers."""
    found: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for key, value in state_dict.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(
                f"cannot take {key!r}: expected keys like '0.weight' and '0.bias' of an nn.Sequential of nn.Linear, "
                "nn.LayerNorm, nn.PReLU, nn.RNN, nn.GRU and nn.LSTM of one layer"
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
