"""From a model to a state dict."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet._models import model_view
from fastnet.torch._layout import Layout
from fastnet.torch._modules import modules


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
        `model` is neither network nor estimator, or an ensemble; or a layer depends on the order of numbers that torch has in
        another order, channels first.

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
    layout = Layout(view.layers, view.graph)
    state = {}
    for module in modules(view.layers):
        written: set[tuple[str, ...]] = set()
        for kind, names in layout.kinds(module).items():
            array = layout.array(module, kind, names, view.parameters)
            factor = 0 if "bias" in kind and names in written else layout.factor(names)
            state[f"{module.name}.{kind}"] = np.array(factor * array, order="C")
            written.add(names)
    return state
