"""Parameters in the layout of PyTorch's `nn.Sequential`, without importing torch.

A dense layer becomes `nn.Linear` and the module of its activation (`nn.Identity` for identity), and `nn.Dropout` if the layer has
dropout. PyTorch stores weights as (n_out, n_in), the transpose of fastnet's.
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
from fastnet.layers import Dense
from fastnet.network import Network

__all__ = ["from_torch_state_dict", "to_torch_state_dict"]

_KEY = re.compile(r"(?P<prefix>(?:.*\.)?)(?P<index>\d+)\.(?P<kind>weight|bias)")


def to_torch_state_dict(model: Any) -> dict[str, np.ndarray]:
    """The parameters of a model under the names of an `nn.Sequential`'s state dict.

    Parameters
    ----------
    model : Network or fitted estimator

    Returns
    -------
    dict of str to ndarray
        `"0.weight"` (n[1], n[0]), `"0.bias"` (n[1],), `"2.weight"`, ...: copies, in the model's dtype. To load them:
        `sequential.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})`.

    Raises
    ------
    TypeError
        `model` is neither network nor estimator.

    Examples
    --------
    >>> import fastnet as fn
    >>> from fastnet.torch import to_torch_state_dict
    >>> net = fn.Network([fn.Dense(3, "relu"), fn.Dense(1, "identity")], n_inputs=2, random_state=0)
    >>> {name: array.shape for name, array in to_torch_state_dict(net).items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """
    view = model_view(model)
    state, index = {}, 0
    for W, b, dropout in zip(view.weights, view.biases, _dropouts(model, view.n_layers), strict=True):
        state[f"{index}.weight"] = np.array(W.T, order="C")
        state[f"{index}.bias"] = np.array(b)
        index += 3 if dropout else 2
    return state


def from_torch_state_dict(
    state_dict: Mapping[str, Any], activations: Sequence[str | Activation], *, dtype: str | None = None
) -> Network:
    """A network with the parameters of an `nn.Sequential` of `nn.Linear` layers.

    Parameters
    ----------
    state_dict : mapping of str to array or CPU tensor
        Keys `"<i>.weight"` and `"<i>.bias"`, all with the same prefix, if any (`"model.0.weight"`). The order of the layers
        is that of their numbers. The bias of a layer without one becomes zero.
    activations : sequence of str or Activation
        One for each linear layer, because a state dict does not contain the activations.
    dtype : str, optional
        `"float32"` or `"float64"`; None: the arrays' own.

    Raises
    ------
    ValueError
        A key or shape does not belong to such a chain, there are not as many activations as layers, or a value is not an array of
        real numbers (NumPy has no bfloat16).
    """
    arrays = _linear_layers(state_dict)
    if isinstance(activations, str) or len(activations) != len(arrays):
        raise ValueError(f"got activations {activations!r} for {len(arrays)} linear layers, expected a list of one each")
    weights: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    for name, parts in arrays.items():
        if "weight" not in parts or parts["weight"].ndim != 2:
            raise ValueError(f"layer {name!r} has no weight matrix: only nn.Linear layers can be taken")
        W = parts["weight"].T
        b = parts.get("bias", np.zeros(W.shape[1], W.dtype))
        if b.shape != (W.shape[1],):
            raise ValueError(f"layer {name!r} has a bias of shape {b.shape}, expected {(W.shape[1],)}")
        if weights and weights[-1].shape[1] != W.shape[0]:
            raise ValueError(f"layer {name!r} takes {W.shape[0]} inputs, the layer before it gives {weights[-1].shape[1]}")
        weights.append(W)
        biases.append(b)
    layers = [Dense(W.shape[1], _activations.get(spec)) for W, spec in zip(weights, activations, strict=True)]
    return Network.from_parameters(layers, weights, biases, dtype=dtype)


def _dropouts(model: Any, n_layers: int) -> list[float]:
    """The dropout probability of every layer, including the output layer."""
    if isinstance(model, Network):
        return [layer.dropout for layer in model.layers]
    if not hasattr(model, "dropout"):  # scikit-learn's own
        return [0.0] * n_layers
    from fastnet.estimators._parameters import dropouts

    return [*dropouts(model, n_layers - 1), 0.0]


def _linear_layers(state_dict: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """The weight and bias of every numbered layer, in the order of the numbers."""
    found: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for key, value in state_dict.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"cannot take {key!r}: expected keys like '0.weight' and '0.bias' of an nn.Sequential of nn.Linear")
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
