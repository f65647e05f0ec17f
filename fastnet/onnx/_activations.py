"""How each activation is written in ONNX and recognised in it: one row an activation.

Each is one operator. Before the operator set that has it, SiLU, GELU or Mish is a product of z and a side chain of operators,
the form in which PyTorch exports them too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnet.activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    Exponential,
    Identity,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from fastnet.onnx._builder import GraphBuilder

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Operator:
    """An activation that is one ONNX operator.

    Attributes
    ----------
    name : str
        The operator.
    since : int
        First operator set that has it.
    attributes : callable
        Activation -> the operator's attributes.
    activation : callable
        The operator's attributes -> Activation; ValueError for values that fastnet has no activation for.
    """

    name: str
    activation: Callable[[Attributes], Activation]
    attributes: Callable[[Any], Attributes] = field(default=lambda activation: {})
    since: int = 1


@dataclass(frozen=True)
class SideChain:
    """An activation ``z * chain(z)``, then times a factor.

    Attributes
    ----------
    steps : tuple of (str, float or None)
        Operators of the chain and their second, constant operand, if they have one.
    factor : float or None
        Constant that the product is multiplied by; None for no further node.
    """

    steps: tuple[tuple[str, float | None], ...]
    activation: Activation
    factor: float | None = None


def _fixed(activation: Activation, **expected: Any) -> Callable[[Attributes], Activation]:
    """An activation without parameters; attributes must have the values it implies (the operator's defaults, if absent)."""

    def recognise(attributes: Attributes) -> Activation:
        for name, value in attributes.items():
            if name in expected and value not in expected[name]:
                raise ValueError(f"its {name} is {value!r}, supported: {' or '.join(map(repr, expected[name]))}")
        return activation

    return recognise


def _selu(attributes: Attributes) -> Activation:
    if not math.isclose(attributes.get("alpha", SELU.alpha), SELU.alpha, rel_tol=1e-5):
        raise ValueError(f"its alpha is {attributes['alpha']}, supported: {SELU.alpha}")
    if not math.isclose(attributes.get("gamma", SELU.scale), SELU.scale, rel_tol=1e-5):
        raise ValueError(f"its gamma is {attributes['gamma']}, supported: {SELU.scale}")
    return SELU()


OPERATORS: dict[str, Operator] = {
    "identity": Operator("Identity", _fixed(Identity())),
    "sigmoid": Operator("Sigmoid", _fixed(Sigmoid())),
    "tanh": Operator("Tanh", _fixed(Tanh())),
    "relu": Operator("Relu", _fixed(ReLU())),
    "leaky_relu": Operator("LeakyRelu", lambda a: LeakyReLU(round_alpha(a.get("alpha", 0.01))), lambda g: {"alpha": g.alpha}),
    "elu": Operator("Elu", lambda a: ELU(round_alpha(a.get("alpha", 1.0))), lambda g: {"alpha": g.alpha}),
    "selu": Operator("Selu", _selu, lambda g: {"alpha": g.alpha, "gamma": g.scale}),
    "gelu": Operator("Gelu", _fixed(GELU(), approximate=("none", b"none")), since=20),
    "silu": Operator("Swish", _fixed(SiLU(), alpha=(1.0,)), since=24),
    "mish": Operator("Mish", _fixed(Mish()), since=18),
    "softplus": Operator("Softplus", _fixed(Softplus())),
    "exponential": Operator("Exp", _fixed(Exponential())),
    "softmax": Operator("Softmax", _fixed(Softmax(), axis=(-1, 1)), lambda g: {"axis": 1}),
}

SIDE_CHAINS: dict[str, SideChain] = {
    "silu": SideChain((("Sigmoid", None),), SiLU()),
    "mish": SideChain((("Softplus", None), ("Tanh", None)), Mish()),
    "gelu": SideChain((("Div", math.sqrt(2)), ("Erf", None), ("Add", 1.0)), GELU(), factor=0.5),
}


def round_alpha(alpha: float) -> float:
    """ONNX attributes are float32: the shortest decimal that gives the same float32 (0.1, not 0.10000000149)."""
    return float(str(np.float32(alpha)))


def write(graph: GraphBuilder, activation: Activation, z: str, dtype: np.dtype) -> str:
    """Append the nodes of ``activation(z)`` and return the name of their output; identity needs none."""
    if activation.name == "identity":
        return z
    operator = OPERATORS.get(activation.name)
    if operator is not None and graph.opset >= operator.since:
        return graph.add(operator.name, z, **operator.attributes(activation))
    chain = SIDE_CHAINS[activation.name]
    gate = z
    for name, operand in chain.steps:
        gate = graph.add(name, gate, *([] if operand is None else [graph.constant(dtype.type(operand))]))
    product = graph.add("Mul", z, gate)
    return product if chain.factor is None else graph.add("Mul", product, graph.constant(dtype.type(chain.factor)))
