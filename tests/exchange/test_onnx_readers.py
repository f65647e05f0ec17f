"""Layers that `from_onnx` reads back, and what others write for them: compared with ONNX Runtime on the same graph."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

import graphs  # noqa: E402
from layer_networks import HIDDEN, N_IN, POSITIONED  # noqa: E402

import fastnet as fn  # noqa: E402
from fastnet.onnx import from_onnx, to_onnx  # noqa: E402

#: Networks whose graphs branch, or whose layers are several operators: `from_onnx` names the node.
REFUSED = {
    *("residual", "residual-of-inputs", "concat", "concat-of-hidden", "pbld", "pbld-of-hidden", "plr", "plr-of-hidden"),
    *("piecewise", "piecewise-of-hidden", "categories", "table", "parametric", "parametric-of-shared", "conv2d-residual"),
    *("bidirectional", "max-pool-of-shared-relu", "max-pool-overlapping", "avg-pool", "recurrent-residual"),
    *("concat-of-positions", "inception-residual"),
}


def random_parameters(net, rng):
    for name, view in net.parameters.items():
        view[...] += rng.uniform(0, 1, view.shape) if name.endswith("var") else 0.3 * rng.standard_normal(view.shape)
    return net


def run(model, X):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"X": X})[0]


def rows_of(X):
    """Channels last, as fastnet has them."""
    return np.moveaxis(X, 1, -1)


CHAINS = {
    **{name: ((N_IN,), layers) for name, layers in HIDDEN.items()},
    **{name: (shape, [*layers, fn.Flatten()]) for name, (shape, layers) in POSITIONED.items()},
    "batch-norm": ((8, 8, 2), [fn.Conv2d(4, 3, "identity", padding="same"), fn.BatchNorm("relu"), fn.MaxPool(2), fn.Flatten()]),
    "batch-norm-flat": ((6,), [fn.Dense(5, "identity"), fn.BatchNorm("tanh", epsilon=1e-3)]),
    "layer-norm-of-positions": ((7, 3), [fn.Dense(4, "tanh"), fn.LayerNorm(), fn.GRU(5)]),
    "lenet": ((28, 28, 1), [fn.Conv2d(6, 5, padding="same"), fn.MaxPool(2), fn.Conv2d(16, 5), fn.AvgPool(2), fn.Flatten()]),
}


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("name", [name for name in CHAINS if name not in REFUSED])
def test_what_to_onnx_writes_comes_back(name, opset, rng):
    shape, layers = CHAINS[name]
    net = random_parameters(fn.Network([*layers, fn.Dense(2, "softmax")], input_shape=shape, random_state=0), rng)
    if opset < 17 and any(isinstance(layer, fn.LayerNorm) for layer in layers):
        pytest.skip("written as several operators")
    other = from_onnx(to_onnx(net, opset=opset))
    X = rng.standard_normal((7, net.n_inputs)).astype(np.float32)
    np.testing.assert_allclose(other.forward(X), net.forward(X), rtol=1e-5, atol=1e-6)
    assert other.n_params == net.n_params
    kinds = [[type(layer) for layer in one.layers if not isinstance(layer, (fn.Flatten, fn.Reshape))] for one in (other, net)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_the_node_that_is_not_read_is_named(name):
    shape, layers = CHAINS[name]
    net = fn.Network([*layers, fn.Dense(2, "softmax")], input_shape=shape, random_state=0)
    with pytest.raises(ValueError, match=r"cannot take node '\w+' \(\w+\)"):
        from_onnx(to_onnx(net))


def test_float64(rng):
    net = random_parameters(fn.Network([fn.Dense(5, "tanh"), fn.Scale(), fn.Dense(2, "softmax")], 4, dtype="float64"), rng)
    other = from_onnx(to_onnx(net, dtype="float64"))
    assert other.dtype == np.float64
    np.testing.assert_array_equal(other.params, net.params)


def _weights(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]) or 1).astype(np.float32)


def test_lenet_with_channels_first(rng):
    """As PyTorch writes it: the activation behind the pool, and the flattening of (channels, height, width)."""
    constants = {
        **{"W1": _weights(rng, 6, 3, 5, 5), "b1": _weights(rng, 6), "W2": _weights(rng, 8, 6, 3, 3), "b2": _weights(rng, 8)},
        **{"gain": 1 + _weights(rng, 8), "bias": _weights(rng, 8), "mean": _weights(rng, 8), "var": 1 + _weights(rng, 8) ** 2},
        **{"W3": _weights(rng, 10, 8 * 3 * 4), "b3": _weights(rng, 10)},
    }
    nodes = [
        ("Conv", ["X", "W1", "b1"], "A", {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2], "strides": [1, 1]}),
        ("MaxPool", ["A"], "B", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Relu", ["B"], "C"),
        ("Conv", ["C", "W2", "b2"], "D", {"kernel_shape": [3, 3], "dilations": [1, 2]}),
        ("BatchNormalization", ["D", "gain", "bias", "mean", "var"], "E", {"epsilon": 1e-3}),
        ("Relu", ["E"], "F"),
        ("AveragePool", ["F"], "G", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Flatten", ["G"], "H"),
        ("Gemm", ["H", "W3", "b3"], "I", {"transB": 1}),
        ("Softmax", ["I"], "Y", {"axis": 1}),
    ]
    model = graphs.model(nodes, constants, shape=(None, 3, 16, 24))
    net = from_onnx(model)
    assert net.input_shape == (16, 24, 3)
    names = [type(layer).__name__ for layer in net.layers]
    assert names == ["Conv2d", "MaxPool", "Conv2d", "BatchNorm", "AvgPool", "Flatten", "Dense"]
    X = rng.standard_normal((5, 3, 16, 24)).astype(np.float32)
    np.testing.assert_allclose(net.forward(rows_of(X)), run(model, X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("last", ["GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "Transpose"])
def test_series_with_channels_first(last, rng):
    constants = {
        **{"W1": _weights(rng, 6, 2, 3), "b1": _weights(rng, 6), "W2": _weights(rng, 6, 1, 3), "p": _weights(rng, 6, 1)},
        **{"s": _weights(rng, 6, 1), "W3": _weights(rng, 6, 4), "b3": _weights(rng, 4), "axes": np.array([2])},
        "W4": _weights(rng, 13 * 6, 4),
    }
    nodes = [
        ("Conv", ["X", "W1", "b1"], "A", {"pads": [2, 0], "dilations": [1]}),
        ("PRelu", ["A", "p"], "B"),
        ("Conv", ["B", "W2"], "C", {"group": 6, "pads": [1, 1]}),
        ("Mul", ["s", "C"], "D"),
    ]
    nodes += {
        "Transpose": [("Transpose", ["D"], "E", {"perm": [0, 2, 1]}), ("MatMul", ["E", "W3"], "F"), ("Add", ["b3", "F"], "Y")],
        "ReduceMean": [("ReduceMean", ["D", "axes"], "E", {"keepdims": 0}), ("Gemm", ["E", "W3", "b3"], "Y")],
    }.get(last, [(last, ["D"], "E"), ("Flatten", ["E"], "F"), ("Gemm", ["F", "W3", "b3"], "Y")])
    model = graphs.model(nodes, constants, shape=(None, 2, 13))
    net = from_onnx(model)
    assert net.layers[0] == fn.Conv1d(6, 3, "identity", padding="causal") and isinstance(net.layers[2], fn.DepthwiseConv1d)
    X = rng.standard_normal((5, 2, 13)).astype(np.float32)
    np.testing.assert_allclose(net.forward(rows_of(X)), run(model, X).reshape(5, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_directions", [1, 2])
@pytest.mark.parametrize("operator, n_gates", [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("output", ["steps", "last", "last step"])
def test_recurrences(operator, n_gates, n_directions, output, rng):
    if output == "last step" and n_directions == 2:
        pytest.skip("the last step is not the last state of both directions")
    n, h, T = n_directions, 3, 6
    constants = {
        **{"W": _weights(rng, n, n_gates * h, 2), "R": _weights(rng, n, n_gates * h, h), "B": _weights(rng, n, 2 * n_gates * h)},
        **{"V": _weights(rng, (T if output == "steps" else 1) * n * h, 4), "last": np.array(-1), "row": np.array([0, -1])},
        "axis": np.array([1]),
    }
    attributes = {"hidden_size": h, "direction": "bidirectional" if n == 2 else "forward"}
    if operator == "GRU":
        attributes["linear_before_reset"] = 1
    nodes = [("Transpose", ["X"], "A", {"perm": [1, 0, 2]}), (operator, ["A", "W", "R", "B"], "S H", attributes)]
    if output == "last":
        nodes += [("Transpose", ["H"], "C", {"perm": [1, 0, 2]}), ("Reshape", ["C", "row"], "D")]
    elif output == "steps":
        nodes += [("Transpose", ["S"], "C", {"perm": [2, 0, 1, 3]}), ("Reshape", ["C", "row"], "D")]
    else:
        nodes += [("Squeeze", ["S", "axis"], "C"), ("Transpose", ["C"], "E", {"perm": [1, 0, 2]})]
        nodes += [("Gather", ["E", "last"], "D", {"axis": 1})]
    model = graphs.model([*nodes, ("Gemm", ["D", "V"], "Y")], constants, shape=(None, T, 2))
    net = from_onnx(model)
    assert net.input_shape == (T, 2)
    X = rng.standard_normal((5, T, 2)).astype(np.float32)
    np.testing.assert_allclose(net.forward(X), run(model, X), rtol=1e-5, atol=1e-6)


W, K = np.ones((4, 2, 3, 3), np.float32), np.ones(2, np.float32)


@pytest.mark.parametrize(
    "nodes, constants, message",
    [
        ([("Conv", ["X", "W"], "Y", {"pads": [0, 1, 0, 0]})], {"W": W}, r"borders of zeros"),
        ([("Conv", ["X", "W"], "Y", {"auto_pad": "SAME_LOWER"})], {"W": W}, r"auto_pad"),
        ([("Conv", ["X", "W"], "Y", {"group": 2})], {"W": W}, r"in 2 groups"),
        ([("Conv", ["X", "W"], "Y", {"kernel_shape": [2, 2]})], {"W": W}, r"do not fit its weights"),
        ([("Conv", ["X", "W"], "Y", {"strides": [0, 1]})], {"W": W}, r"do not fit its weights"),
        ([("Conv", ["X", "W"], "Y", {"dilations": [9, 9]})], {"W": W}, r"larger than its input"),
        ([("Conv", ["X", "W"], "Y")], {"W": W}, r"not in the order of a network's, whose channels come last"),
        ([("MaxPool", ["X"], "Y", {"kernel_shape": [2, 2], "ceil_mode": 1})], {}, r"ceil_mode"),
        ([("MaxPool", ["X"], "Y", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]})], {}, r"pads"),
        ([("MaxPool", ["X"], "Y", {"kernel_shape": [9, 9]})], {}, r"do not fit"),
        ([("Flatten", ["X"], "A", {"axis": 2}), ("Relu", ["A"], "Y")], {}, r"flattens rows together"),
        ([("Reshape", ["X", "s"], "A"), ("Relu", ["A"], "Y")], {"s": np.array([4, -1])}, r"fixes the number of rows"),
        ([("Reshape", ["X", "s"], "A"), ("Relu", ["A"], "Y")], {"s": np.array([-1, 7])}, r"rows of 72 numbers to \[-1, 7\]"),
        ([("Reshape", ["X", "s"], "A"), ("Relu", ["A"], "Y")], {"s": np.array([0, 5, -1])}, r"cannot reshape"),
        ([("Transpose", ["X"], "A", {"perm": [0, 1, 1, 2]}), ("Relu", ["A"], "Y")], {}, r"its perm"),
        ([("Pad", ["X", "s"], "A"), ("Relu", ["A"], "Y")], {"s": np.array([1, 0, 0, 0, 0, 0, 0, 0])}, r"its pads"),
        (
            [("Pad", ["X", "s"], "A"), ("MatMul", ["A", "V"], "Y")],
            {"s": np.array([0, 0, 0, 1, 0, 0, 0, 1]), "V": np.ones((8, 2), np.float32)},
            r"only convolutions take a border of zeros",
        ),
        ([("Mul", ["X", "s"], "Y")], {"s": np.ones(5, np.float32)}, r"its factors have shape \(5,\)"),
        ([("LSTM", ["X", "W", "W"], "Y")], {"W": W[0]}, r"it takes \(steps, rows, channels\)"),
        ([("BatchNormalization", ["X", "s", "s", "s", "v"], "Y")], {"s": K, "v": -K}, r"gain, bias, mean and variance"),
        ([("Squeeze", ["X", "s"], "A"), ("Relu", ["A"], "Y")], {"s": np.array([0])}, r"its axis 0"),
        ([("GlobalAveragePool", ["X"], "Y")], {}, r"no layer with parameters"),
    ],
)
def test_what_cannot_be_taken_is_named(nodes, constants, message):
    with pytest.raises(ValueError, match=message):
        from_onnx(graphs.model(nodes, constants, shape=(None, 2, 6, 6)))


V = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
ELSEWHERE = {
    "flat rows with channels first": (
        [("Reshape", ["X", "s"], "A"), ("Conv", ["A", "W"], "B"), ("Flatten", ["B"], "C"), ("Gemm", ["C", "D"], "Y")],
        {"s": [-1, 2, 6, 6], "W": W, "D": np.ones((64, 2), np.float32)},
        (72,),
        "channels of a network's rows as first axis",
    ),
    "sigmoid of a border": (
        [("Conv", ["X", "W"], "Z"), ("Pad", ["Z", "p"], "C"), ("Sigmoid", ["C"], "D"), ("Conv", ["D", "L"], "Y")],
        {"W": W[:1], "L": np.ones((3, 1, 2, 2), np.float32), "p": [0, 0, 1, 1, 0, 0, 1, 1]},
        (2, 6, 6),
        "only convolutions take a border of zeros",
    ),
    "a column of a border": (
        [("Pad", ["X", "p"], "A"), ("Gather", ["A", "n"], "B", {"axis": 1}), ("Mul", ["B", "f"], "Y")],
        {"p": [0, 0, 0, 1], "n": [1, 4], "f": V[0, :2]},
        (4,),
        "only convolutions take a border of zeros",
    ),
    "a constant along positions": (
        [("MatMul", ["X", "V"], "A"), ("Transpose", ["A"], "B", {"perm": [0, 2, 1]}), ("Add", ["B", "b"], "Y")],
        {"V": V, "b": V[0]},
        (4, 4),
        "its bias is",
    ),
    "the memory of an LSTM": (
        [
            ("Transpose", ["X"], "A", {"perm": [1, 0, 2]}),
            ("LSTM", ["A", "I", "R"], "S H M", {"hidden_size": 1}),
            ("Squeeze", ["M", "z"], "Y"),
        ],
        {"I": V[None, :, :2], "R": V[None, :, :1], "z": [0]},
        (3, 2),
        "output 'M'",
    ),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_would_compute_something_else_is_refused(name):
    nodes, constants, shape, message = ELSEWHERE[name]
    constants = {name: np.asarray(value) for name, value in constants.items()}
    with pytest.raises(ValueError, match=message):
        from_onnx(graphs.model(nodes, constants, shape=(None, *shape)))
