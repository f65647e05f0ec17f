"""From a state dict to a network."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnet import _checks
from fastnet import activations as _activations
from fastnet.activations import Activation
from fastnet.layers import BatchNorm, Concat, Dense, Dropout, Layer, LayerNorm, Parametric, PReLU, Residual, Scale, chain
from fastnet.network import Network
from fastnet.torch._layout import Layout
from fastnet.torch._modules import Module, kinds, modules

_COUNTER = ".num_batches_tracked"  # a number of BatchNorm's modules that nothing here depends on
_KEY = re.compile(r"(?P<name>(?:.+\.)?[0-9]+)\.(?P<kind>.+)")

#: Layers after which a row has as many numbers as before, or that read a row in several branches.
_KEEP_WIDTH = (Scale, LayerNorm, BatchNorm, PReLU, Parametric, Dropout, Residual, Concat)

#: Parameters of a module by name.
Parts = Mapping[str, np.ndarray]


def from_torch_state_dict(
    state_dict: Mapping[str, Any],
    activations: Sequence[str | Activation] | None = None,
    *,
    layers: Sequence[Layer] | None = None,
    input_shape: Sequence[int] | None = None,
    source_shape: Sequence[int] | None = None,
    ragged: bool = False,
    dtype: str | None = None,
) -> Network:
    """A network with the parameters of an `nn.Sequential`.

    Parameters
    ----------
    state_dict : mapping of str to array or CPU tensor
        Keys `"<i>.weight"` and `"<i>.bias"`, all with the same prefix, if any (`"model.0.weight"`). The order of the layers
        is that of their numbers. Layers inside a layer have the names of modules inside a module (`"2.0.weight"`). The bias of a
        layer without one becomes zero.
    activations : sequence of str or Activation
        If all modules are `nn.Linear`: one for each of them, as a state dict holds no activations.
    layers : sequence of Layer
        For other modules: the network's layers, in place of `activations`. A slope that all units share, as `nn.PReLU` has by
        default, becomes that of each unit; the two biases of `nn.RNN` and `nn.LSTM` are added.
    input_shape : sequence of int, optional
        That of the network, channels last, for rows that have positions: (28, 28, 1). Flat rows need it, too, if there is no
        dense layer that reads them as they are.
    source_shape : sequence of int, optional
        Of the sources of an `EncoderDecoder`.
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
        Neither `activations` nor `layers`, or both; or a layer depends on the order of numbers that torch has in another order,
        channels first.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> from fastnet.torch import from_torch_state_dict
    >>> state = {"0.weight": np.ones((3, 2)), "1.weight": np.full(3, 0.1), "2.weight": np.ones((1, 3))}
    >>> from_torch_state_dict(state, layers=[fn.Dense(3, "identity"), fn.PReLU(), fn.Dense(1, "identity")])
    <Network 2 -> 3 identity, PReLU 3, 1 identity; 16 parameters, float64>
    """
    found = _modules_of(state_dict)
    if (activations is None) == (layers is None):
        raise TypeError("give activations, one for each nn.Linear, or layers=, the layers of the network")
    layers = chain(_dense_layers(found, activations) if layers is None else layers)
    pairs = _pairs(layers, found)
    if dtype is None:
        arrays = [array for parts in found.values() for array in parts.values()]
        dtype = "float32" if all(array.dtype == np.float32 for array in arrays) else "float64"
    shape = {"n_inputs": _n_inputs(layers, pairs, found)} if input_shape is None else {"input_shape": input_shape}
    network = Network(layers, **shape, source_shape=source_shape, ragged=ragged, dtype=dtype, random_state=0)
    layout, numbers = Layout(layers, network._graph), network.views(np.arange(network.n_params))
    for module, name in pairs.items():
        expected = layout.kinds(module)
        places = {kind: layout.array(module, kind, names, numbers) for kind, names in expected.items()}
        factors = {kind: layout.factor(names) for kind, names in expected.items()}
        _write(network.params, module.layer, name, found[name], places, factors)
    return network


def _dense_layers(found: Mapping[str, Parts], activations: Any) -> list[Dense]:
    """The layers of linear found and their activations."""
    if isinstance(activations, str) or len(activations) != len(found):
        raise ValueError(f"got activations {activations!r} for {len(found)} linear layers, expected a list of one each")
    layers: list[Dense] = []
    for (name, parts), activation in zip(found.items(), activations, strict=True):
        n_out, n_in = _matrix(name, parts).shape
        if layers and layers[-1].n_units != n_in:
            raise ValueError(f"layer {name!r} takes {n_in} inputs, the layer before it gives {layers[-1].n_units}")
        layers.append(Dense(n_out, _activations.get(activation)))
    return layers


def _matrix(name: str, parts: Parts) -> np.ndarray:
    """The weight of a linear module."""
    if "weight" not in parts or parts["weight"].ndim != 2:
        raise ValueError(f"layer {name!r} has no weight matrix, as every nn.Linear has")
    return parts["weight"]


def _modules_of(state_dict: Mapping[str, Any]) -> dict[str, Parts]:
    """The parameters of every numbered module."""
    found: defaultdict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for key, value in state_dict.items():
        if key.endswith(_COUNTER):
            continue
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"cannot take {key!r}: expected keys with a module's number, like '0.weight' of an nn.Sequential")
        found[match["name"]][match["kind"]] = _array(key, value)
    return {name: found[name] for name in _in_order(found)}


def _in_order(names: Iterable[str]) -> list[str]:
    """Names of modules by their numbers."""

    def place(name: str) -> list[tuple[bool, int | str]]:
        return [(part.isdecimal(), int(part) if part.isdecimal() else part) for part in name.split(".")]

    return sorted(names, key=place)


def _pairs(layers: Sequence[Layer], found: Mapping[str, Parts]) -> dict[Module, str]:
    """The layers with parameters, and what their modules are called in a state dict, where numbers may be missing."""
    expected = {module.name: module for module in modules(layers) if kinds(module.layer)}
    if len(expected) != len(found):
        raise ValueError(f"got {len(expected)} layers with parameters for the {len(found)} modules {', '.join(found)}")
    pairs = dict(zip(_in_order(expected), found, strict=True))
    depths = [len(theirs.split(".")) - len(ours.split(".")) for ours, theirs in pairs.items()]
    prefixes = {".".join([*theirs.split(".")[:depth], ""]) for theirs, depth in zip(found, depths, strict=True)}
    if len(prefixes) > 1:
        raise ValueError(f"the keys have the prefixes {sorted(prefixes)}, expected one: a single nn.Sequential")
    if min(depths, default=0) < 0 or _outline(pairs, 0) != _outline(found, max(depths, default=0)):
        raise ValueError(f"got the modules {', '.join(found)}, expected {', '.join(pairs)}, or other numbers in the same order")
    return {expected[ours]: theirs for ours, theirs in pairs.items()}


def _outline(names: Iterable[str], depth: int) -> list[list[str]]:
    """Names without the parts of a prefix, with the numbers of each level replaced by 0, 1, 2, ..."""
    numbers: defaultdict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    outline = []
    for name in names:
        parts = name.split(".")
        levels = [numbers[tuple(parts[:level])] for level in range(depth, len(parts))]
        outline.append([
            level.setdefault(part, str(len(level))) if part.isdecimal() else part
            for level, part in zip(levels, parts[depth:], strict=True)
        ])  # fmt: skip
    return outline


def _n_inputs(layers: Sequence[Layer], pairs: Mapping[Module, str], found: Mapping[str, Parts]) -> int:
    """The number of inputs that the first dense layer has."""
    for module in modules(layers):
        if isinstance(module.layer, Dense):
            return _matrix(pairs[module], found[pairs[module]]).shape[1]
        if not isinstance(module.layer, _KEEP_WIDTH):
            break
    raise ValueError("no Dense layer reads the rows, whose weights say how many inputs there are: give input_shape")


def _write(params: np.ndarray, layer: Layer, name: str, parts: Parts, places: Parts, factors: Mapping[str, float]) -> None:
    """Give a layer the parameters of its module, at their places in the network's; biases that there are not become 0."""
    missing = {kind for kind in places if "bias" not in kind and "running" not in kind} - parts.keys()
    if missing or parts.keys() - places:
        raise ValueError(f"layer {name!r} has {' and '.join(parts)}, but {type(layer).__name__} has {' and '.join(places)}")
    for kind, where in places.items():
        if kind in parts or "bias" in kind:
            params[where] = 0
    for kind, array in parts.items():
        shape = places[kind].shape
        if array.shape != shape and not (isinstance(layer, PReLU) and array.shape == (1,)):
            raise ValueError(f"layer {name!r} has a {kind} of shape {array.shape}, expected {shape}")
        params[places[kind]] += array / factors[kind]


def _array(key: str, value: Any) -> np.ndarray:
    """An array or a tensor, detached from its gradients, as an array of numbers."""
    try:
        return _checks.numeric_array(value.detach() if hasattr(value, "detach") else value, repr(key))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"cannot read {key!r}: {error}; of a tensor give tensor.float().cpu()") from error
