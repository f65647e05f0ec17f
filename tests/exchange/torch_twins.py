"""The same network in fastnet and in PyTorch, in float64: outputs and gradients, by the names of PyTorch's state dict."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from helpers import assert_agree

import fastnet as fn
from fastnet.torch import to_torch_state_dict


def random_network(layers, shape, rng, **options):
    """A network in float64 whose parameters are all random."""
    net = fn.Network(layers, input_shape=shape, dtype="float64", random_state=0, **options)
    for name, view in net.parameters.items():
        if not name.endswith("edges"):
            view[...] += 0.3 * (rng.random(view.shape) if name.endswith("var") else rng.standard_normal(view.shape))
    return net


def load(module, net):
    """A module, in float64 and with the parameters of a network."""
    torch = pytest.importorskip("torch")
    module.double().load_state_dict({key: torch.from_numpy(array) for key, array in to_torch_state_dict(net).items()})
    return module


def assert_same_gradients(net, gradient, module):
    """A flat gradient is that of a module's parameters, of which RNN and LSTM have two for each bias."""
    slopes = copy.deepcopy(net)
    slopes.params[:] = gradient
    by_name = {key: array for key, array in to_torch_state_dict(slopes).items() if "running" not in key}
    for key in by_name:
        if "bias_hh" in key and not by_name[key].any():
            by_name[key] = by_name[key.replace("bias_hh", "bias_ih")]
    assert_agree(by_name, {key: parameter.grad.numpy() for key, parameter in module.named_parameters()})


def assert_same_network(net, module, X, Y, *, channels_first=False):
    """Outputs, and gradients of the squared error, of a network and of a module that has its parameters."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(np.ascontiguousarray(np.moveaxis(X, -1, 1)) if channels_first else X)
    A = load(module, net)(x)
    assert_agree(net.forward(X), A.detach().numpy())
    (0.5 * ((A - torch.tensor(Y)) ** 2).sum(dim=1).mean()).backward()
    assert_same_gradients(net, net.loss_and_grad(X, Y)[1].flat, module)


def states_of(nn, name, *sizes, last=False, **options):
    """A recurrent layer of nn that returns h of all steps alone, or of the last one (of both directions)."""
    cls = getattr(nn, name)

    def forward(self, x):
        every, states = cls.forward(self, x)
        h = states[0] if name == "LSTM" else states
        return h.transpose(0, 1).flatten(1) if last else every

    return type(name, (cls,), {"forward": forward})(*sizes, batch_first=True, **options)


def attention_of(nn, *sizes):
    """Self-attention that returns its values alone."""
    cls = nn.MultiheadAttention
    return type("Attention", (cls,), {"forward": lambda self, x: cls.forward(self, x, x, x)[0]})(*sizes, batch_first=True)
