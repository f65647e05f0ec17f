"""Handmade and random ONNX models, which `from_onnx` may or may not accept; used by the tests and the fuzzer."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(nodes: Iterable[tuple], constants: Mapping[str, Any], shape=(None, 2), output="Y", opset=20) -> onnx.ModelProto:
    """A model of nodes (operator, operands, outputs in one string, attributes if any) from X, of the given shape, to `output`."""
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(name, ins, outs.split(), **(rest[0] if rest else {})) for name, ins, outs, *rest in nodes],
            "graph",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, shape)],
            [onnx.ValueInfoProto(name=output, type=helper.make_tensor_type_proto(TensorProto.FLOAT, None))],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9,
    )


N_FEATURES = 3
_VALUES = np.random.default_rng(0)
CONSTANTS = {
    "W": _VALUES.normal(size=(3, 3)),
    "V": _VALUES.normal(size=(3, 3)),
    "vector": _VALUES.normal(size=3),
    "row": _VALUES.normal(size=(1, 3)),
    "stack": _VALUES.normal(size=(1, 1, 3)),
    "number": np.array(1.5),
    "one": np.array(1.0),
    "half": np.array([0.5]),
    "root": np.array([[math.sqrt(2)]]),
    "deep_root": np.array([[[math.sqrt(2)]]]),
    "twenty": np.array(20.0),
}
DENSE = [
    "o = Gemm z W",
    "o = Gemm z V vector",
    "o = Gemm z W number",
    "o = MatMul z W",
    "p = MatMul z V; o = Add p row",
    "p = MatMul z W; o = Add vector p",
    "p = MatMul z W; o = Add p stack",
    "i = Identity vector; o = Gemm z V i",
    "c = Constant; o = Gemm z W c",
]
ACTIVATIONS = [
    "o = Relu z",
    "o = Tanh z",
    "o = Sigmoid z",
    "o = LeakyRelu z",
    "o = Elu z",
    "o = Selu z",
    "o = Softplus z",
    "o = Exp z",
    "o = Mish z",
    "o = Gelu z",
    "o = Softmax z",
    "o = Identity z",
    "o = Dropout z",
    "o = Cast z",
    "s = Sigmoid z; o = Mul z s",
    "s = Softplus z; t = Tanh s; o = Mul z t",
    "d = Div z root; e = Erf d; f = Add e one; p = Mul z f; o = Mul p half",
    "d = Div z root; e = Erf d; f = Add e one; p = Mul half f; o = Mul z p",
    "s = Softplus z; g = Greater z twenty; o = Where g z s",
]
ATTRIBUTES: dict[str, dict[str, list]] = {
    "Gemm": {"alpha": [1.0, 0.5], "beta": [1.0, 0.5], "transA": [0, 0, 0, 0, 0, 0, 1], "transB": [0, 1]},
    "LeakyRelu": {"alpha": [0.1, 0.3]},
    "Elu": {"alpha": [0.1, 1.0]},
    "Gelu": {"approximate": ["none", "none", "tanh"]},
    "Softmax": {"axis": [1, -1, 0]},
    "Cast": {"to": [TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64]},
    "Constant": {"value": [numpy_helper.from_array(CONSTANTS["vector"].astype(np.float32))]},
}
BY_ARITY = {
    0: ["Constant"],
    1: ["Relu", "Tanh", "Softplus", "Erf", "Neg", "Transpose"],
    2: ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Greater", "MatMul", "Gemm"],
    3: ["Where", "Gemm"],
}
OPERATORS = {words.split()[2] for piece in DENSE + ACTIVATIONS for words in piece.split(";")} | {
    operator for operators in BY_ARITY.values() for operator in operators
}


def random_model(rng: random.Random, change: float = 0.1) -> onnx.ModelProto:
    """A chain of layers and activations; `change` is how often operands are shuffled, or operands and operators replaced."""
    nodes: list[tuple] = []
    tensors = ["X", *CONSTANTS]
    current = "X"
    for _ in range(rng.randint(1, 3)):
        for piece in (rng.choice(DENSE), rng.choice(ACTIVATIONS)):
            names = {"z": current}
            for words in piece.split(";"):
                out, _, operator, *operands = words.split()
                operands = [names.get(name, name) for name in operands]
                if rng.random() < change:
                    rng.shuffle(operands)
                if rng.random() < change / 3:
                    operator = rng.choice(BY_ARITY[len(operands)])
                if operands and rng.random() < change / 3:
                    operands[rng.randrange(len(operands))] = rng.choice(tensors)
                attributes = {name: rng.choice(values) for name, values in ATTRIBUTES.get(operator, {}).items()}
                names[out] = current = f"t{len(nodes)}"
                nodes.append((operator, operands, current, attributes))
                tensors.append(current)
    constants = {name: array.astype(np.float32) for name, array in CONSTANTS.items()}
    return model(nodes, constants, (None, N_FEATURES), current)
