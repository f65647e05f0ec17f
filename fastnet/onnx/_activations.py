"""How each activation is written to ONNX and recognised in it: one table row per activation.

Each is a single operator. In operator sets that do not have it yet, SiLU, GELU and Mish are expressions of several operators;
PyTorch exports these three and Softplus as such expressions too.
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
    HardSwish,
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

Z = "z"
Expression = tuple[Any, ...]
"""An operator and its operands."""

Operand = str | float | Expression
"""`Z`, a number or an expression."""


@dataclass(frozen=True)
class Operator:
    """An activation that is one ONNX operator.

    Attributes
    ----------
    name : str
        The operator.
    since : int
        The first operator set that has it.
    attributes : callable
        Activation -> the operator's attributes.
    activation : callable
        The operator's attributes -> Activation; ValueError for values that fastnet has no activation for.
    """

    name: str
    activation: Callable[[Attributes], Activation]
    attributes: Callable[[Any], Attributes] = field(default=lambda activation: {})
    since: int = 1


def _fixed(activation: Activation, **expected: Any) -> Callable[[Attributes], Activation]:
    """Recognise an activation without parameters, whose attributes must be absent or have the `expected` values."""

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
    "hardswish": Operator("HardSwish", _fixed(HardSwish()), since=14),
    "softmax": Operator("Softmax", _fixed(Softmax(), axis=(-1, 1)), lambda g: {"axis": 1}),
}

_TWICE_NORMAL_CDF: Expression = ("Add", ("Erf", ("Div", Z, math.sqrt(2))), 1.0)

EXPRESSIONS: dict[str, list[Expression]] = {
    "silu": [("Mul", Z, ("Sigmoid", Z))],
    "mish": [("Mul", Z, ("Tanh", ("Softplus", Z)))],
    "gelu": [("Mul", ("Mul", Z, _TWICE_NORMAL_CDF), 0.5), ("Mul", Z, ("Mul", _TWICE_NORMAL_CDF, 0.5))],
    "hardswish": [("Mul", Z, ("Div", ("Relu", ("Min", ("Add", Z, 3.0), 6.0)), 6.0))],
    "softplus": [("Where", ("Greater", Z, 20.0), Z, ("Softplus", Z))],
}
"""Expressions of an activation, by its name; the first one is used for writing."""

COMMUTATIVE = ("Add", "Mul")


def round_alpha(alpha: float) -> float:
    """Return the shortest decimal that gives the same float32, since ONNX attributes are float32 (0.1, not 0.10000000149)."""
    return float(str(np.float32(alpha)))


def write(graph: GraphBuilder, activation: Activation, z: str) -> str:
    """Append the nodes of ``activation(z)`` and return the name of their output; identity needs none."""
    if activation.name == "identity":
        return z
    operator = OPERATORS.get(activation.name)
    if operator is not None and graph.opset >= operator.since:
        return graph.add(operator.name, z, **operator.attributes(activation))
    return _write_operand(graph, EXPRESSIONS[activation.name][0], z)


def _write_operand(graph: GraphBuilder, operand: Operand, z: str) -> str:
    if isinstance(operand, float):
        return graph.number(operand)
    if isinstance(operand, str):
        return z
    operator, *operands = operand
    return graph.add(operator, *(_write_operand(graph, inner, z) for inner in operands))
