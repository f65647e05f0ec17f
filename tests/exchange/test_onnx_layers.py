"""ONNX: layers of every kind, and ensembles, as ONNX Runtime computes them."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import spread
from layer_networks import HIDDEN, N_IN, POSITIONED, build, rows
from test_attention import CHAINS, TOKENS
from test_attention import build as build_attention
from test_attention import rows as rows_of_attention
from test_batch_norm import CHAINS as NORMALISED
from test_encoder_decoder import build as build_pair
from test_encoder_decoder import ragged_rows as ragged_pairs
from test_encoder_decoder import rows as pairs
from test_ragged import CHAINS as RAGGED
from test_ragged import network, series

import fastnet as fn
from fastnet._core import core

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from fastnet.onnx import from_onnx, to_onnx  # noqa: E402
from fastnet.onnx._operations import WRITERS  # noqa: E402

OPSETS = [13, 18, 20, 24]
ENSEMBLES = ["packed", "batch", "mini"]
#: The layers of HIDDEN whose activations lack float64 kernels in ONNX Runtime, with other activations.
FLOAT64 = {
    "dense-ntk": [fn.Dense(5, "tanh", scale="ntk"), fn.Dense(3, "sigmoid", scale="ntk")],
    "concat": [fn.Concat([fn.Dense(3, "tanh")], [fn.Dense(2, "sigmoid"), fn.Scale()], [])],
    "table": [*HIDDEN["table"][:-1], fn.Parametric("tanh")],
    "parametric": [fn.Dense(5, "identity"), fn.Parametric("sigmoid"), fn.Dense(3, "identity"), fn.Parametric("tanh")],
    "parametric-of-shared": [*HIDDEN["parametric-of-shared"][:-1], fn.Residual([fn.Parametric("sigmoid"), fn.PReLU(0.1)])],
}


def outputs(model, X):
    """The outputs of ONNX Runtime on X, for a model that onnx's own checker accepts."""
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["output"], {"X": X})[0]


def operators(model):
    return [node.op_type for node in model.graph.node]


def test_every_operation_has_a_row():
    assert WRITERS.keys() == core.LAYER_CODES.keys()


class TestEveryLayer:
    @pytest.mark.parametrize(("hidden", "opset", "output"), spread(2, HIDDEN, OPSETS, ["identity", "softmax"]))
    def test_network(self, hidden, output, opset, rng):
        net = build(hidden, output, 3, dtype="float32")
        X = rows(hidden, 200, rng).astype(np.float32)
        np.testing.assert_allclose(outputs(to_onnx(net, opset=opset), X), net.forward(X), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(("hidden", "opset", "ensemble", "output"), spread(4, HIDDEN, OPSETS, ENSEMBLES, ["silu", "softmax"]))
    def test_ensemble(self, hidden, ensemble, output, opset, rng):
        net = build(hidden, output, 3, dtype="float32", n_members=3, ensemble=ensemble)
        X = rows(hidden, 50, rng).astype(np.float32)
        np.testing.assert_allclose(outputs(to_onnx(net, opset=opset), X), net.forward(X), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(
        ("hidden", "opset", "options"),
        spread(4, HIDDEN, OPSETS, [{}, *({"n_members": 3, "ensemble": kind} for kind in ENSEMBLES)]),
    )
    def test_float64(self, hidden, opset, options, rng, monkeypatch):
        monkeypatch.setitem(HIDDEN, hidden, FLOAT64.get(hidden, HIDDEN[hidden]))
        net = build(hidden, **options)
        X = rows(hidden, 50, rng)
        got = outputs(to_onnx(net, dtype="float64", opset=opset), X)
        np.testing.assert_allclose(got, net.forward(X), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("opset", OPSETS)
def test_codes_that_are_not_known(dtype, opset):
    """NaN, infinity and codes out of range select row 0; fractions are truncated."""
    net = build("categories", dtype=dtype)
    codes = [np.nan, np.inf, -np.inf, -0.5, 0, 0.5, 1, 1.9, 2, 3, 3.5, 4, 1e30]
    X = np.stack([np.roll(codes, shift) for shift in range(N_IN)], axis=1).astype(dtype)
    np.testing.assert_allclose(outputs(to_onnx(net, dtype=dtype, opset=opset), X), net.forward(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", OPSETS)
def test_numbers_at_and_beyond_the_edges_of_bins(opset):
    net = build("piecewise", dtype="float32")
    X = np.array([-100, -2, -1, -0.5, -0.2, 0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.9, 2, 100], np.float32)[:, None].repeat(N_IN, axis=1)
    np.testing.assert_allclose(outputs(to_onnx(net, opset=opset), X), net.forward(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("of_network", "of_model"), [("float32", "float32"), ("float64", "float32"), ("float64", "float64")])
@pytest.mark.parametrize("nearly", [1 + 1e-9, np.nextafter(1, 2)])
def test_edges_of_bins_that_a_dtype_cannot_tell_apart(nearly, of_network, of_model):
    """They are a step; of the first bin and the last, too."""
    bins = [[0, 1, nearly, 2], [0, 1e-50, 1, 2], [0, 1, 2, 2 * nearly]]
    embedding = fn.NumericEmbedding("piecewise_linear", n_units=2, bins=bins)
    net = fn.Network([embedding, fn.Dense(2, "softmax")], n_inputs=3, dtype=of_network, random_state=0)
    X = np.array([0, 0.5, 1, 1.5, 2], of_model)[:, None].repeat(3, axis=1)
    np.testing.assert_allclose(outputs(to_onnx(net, dtype=of_model), X), net.forward(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_batches_of_one_row_and_of_none(ensemble):
    net = build("table", "softmax", 3, dtype="float32", n_members=3, ensemble=ensemble)
    model = to_onnx(net)
    for m in (0, 1):
        assert outputs(model, np.ones((m, N_IN), np.float32)).shape == (m, 3)


def test_operators_that_onnx_has_for_a_layer():
    net = build("norm")
    assert operators(to_onnx(net, opset=17)).count("LayerNormalization") == 2
    assert "LayerNormalization" not in operators(to_onnx(net, opset=16))
    assert "Gather" in operators(to_onnx(build("categories")))


def test_dropout_is_nothing_at_inference():
    layers = [fn.Dropout(0.5), fn.Dense(5, "tanh", dropout=0.5), fn.Dropout(0.2), fn.Dense(2, "identity")]
    net = fn.Network(layers, N_IN, random_state=0)
    assert operators(to_onnx(net)) == ["Gemm", "Tanh", "Gemm", "Identity"]


def test_members_that_read_the_same_rows_take_one_product():
    net = fn.Network([fn.Dense(5, "tanh"), fn.Dense(2, "identity")], N_IN, n_members=3, random_state=0)
    assert [name for name in operators(to_onnx(net)) if name in ("Gemm", "MatMul")] == ["Gemm", "MatMul"]


def test_neural_tangent_parametrisation_comes_back_as_plain_weights(rng):
    net = fn.Network([fn.Dense(5, "tanh", scale="ntk"), fn.Dense(2, "identity", scale="ntk")], N_IN, random_state=0)
    again = from_onnx(to_onnx(net))
    assert [layer.scale for layer in again.layers] == ["none", "none"]
    X = rng.normal(size=(20, N_IN)).astype(np.float32)
    np.testing.assert_allclose(again.forward(X), net.forward(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [13, 20])
def test_rows_with_positions(opset, rng):
    layers = [fn.Dense(5, "tanh"), fn.LayerNorm(), fn.Residual([fn.Dense(5, "silu")]), fn.Flatten(), fn.Dense(2, "softmax")]
    net = fn.Network(layers, input_shape=(3, 4), random_state=0)
    net.params[:] += 0.3 * rng.standard_normal(net.n_params)
    X = rng.standard_normal((7, 12)).astype(np.float32)
    session = runtime.InferenceSession(to_onnx(net, opset=opset).SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"X": X})[0], net.forward(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize("hidden", POSITIONED)
def test_convolutions_and_pools(hidden, opset, rng):
    shape, layers = POSITIONED[hidden]
    net = fn.Network([*layers, fn.Flatten(), fn.Dense(2, "softmax")], input_shape=shape, random_state=0)
    X = rng.standard_normal((7, net.n_inputs)).astype(np.float32)
    session = runtime.InferenceSession(to_onnx(net, opset=opset).SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"X": X})[0], net.forward(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize("chain", [*CHAINS, *TOKENS])
def test_attention(chain, opset, rng):
    net = build_attention(chain, "softmax", 3, dtype="float32")
    X = rows_of_attention(chain, 7, rng).astype(np.float32).reshape(7, -1)
    np.testing.assert_allclose(outputs(to_onnx(net, opset=opset), X), net.forward(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 20])
def test_members_of_networks_with_positions(opset, rng):
    layers = [fn.Conv1d(4, 3, "tanh", padding="same"), fn.BatchNorm(), fn.LSTM(3, return_sequences=True), fn.Attention(1)]
    net = fn.Network([*layers, fn.Last(), fn.Dense(3, "softmax")], input_shape=(6, 2), n_members=3, random_state=0)
    X = rng.standard_normal((9, 12)).astype(np.float32)
    np.testing.assert_allclose(outputs(to_onnx(net, opset=opset), X), net.forward(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 20])
def test_softmax_at_each_position(opset, rng):
    layers = [fn.Embedding(6, 4), fn.TransformerBlock(2, causal=True), fn.Dense(6, "softmax")]
    net = fn.Network(layers, input_shape=(5,), random_state=0)
    X = rng.integers(0, 6, (7, 5)).astype(np.float32)
    got = outputs(to_onnx(net, opset=opset), X).reshape(7, 5, 6)
    np.testing.assert_allclose(got, net.forward(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize("chain", RAGGED)
def test_rows_of_unequal_length(chain, opset, rng):
    """The model reads rows that are filled up, with their length behind, as the core does."""
    net, X = network(chain, dtype="float32"), series(rng)
    np.testing.assert_allclose(outputs(to_onnx(net, opset=opset), net._flat(X)), net.forward(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 20])
def test_batch_norm_of_rows_of_unequal_length(opset, rng):
    layers = [fn.Conv1d(4, 3, padding="same"), fn.BatchNorm("tanh"), fn.GlobalPool(), fn.Dense(2, "softmax")]
    net = fn.Network(layers, input_shape=(9, 3), ragged=True, random_state=0)
    X = series(rng)
    net.fit(X, np.arange(len(X)) % 2, epochs=3, random_state=0)
    np.testing.assert_allclose(outputs(to_onnx(net, opset=opset), net._flat(X)), net.forward(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize("ragged", [False, True])
def test_encoder_and_decoder(ragged, opset, rng):
    """The model reads rows with their sources behind, as the core does."""
    net = build_pair(ragged=ragged, dtype="float32")
    X = ragged_pairs(rng) if ragged else pairs(4, rng)
    got = outputs(to_onnx(net, opset=opset), net._flat(X).astype(np.float32)).reshape(len(X[0]), *net.output_shape)
    there = net.forward(X).any(axis=2)
    np.testing.assert_allclose(got[there], net.forward(X)[there], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("chain", "dtype"), [("flat", "float32"), ("flat", "float64"), ("image", "float32"), ("residual", "float32")]
)
def test_batch_norm(chain, dtype, rng):
    """By the running statistics, a multiplication and an addition by channels."""
    shape, layers = NORMALISED[chain]
    layers = [fn.BatchNorm("tanh", epsilon=layer.epsilon) if isinstance(layer, fn.BatchNorm) else layer for layer in layers]
    net = fn.Network([*layers, fn.Flatten(), fn.Dense(2, "softmax")], input_shape=shape, dtype=dtype, random_state=0)
    net.params[:] += 0.3 * rng.random(net.n_params)
    X = rng.standard_normal((7, net.n_inputs)).astype(dtype)
    got = outputs(to_onnx(net, dtype=dtype), X)
    np.testing.assert_allclose(got, net.forward(X), rtol=1e-5 if dtype == "float32" else 1e-11, atol=1e-6)
