"""Recurrent layers: long series, initial values, states that go from step to step, what does not fit."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from helpers import DTYPES, assert_agree, assert_same_bits_by_any_team, distance

import fastnet as fn

LAYERS = {
    "rnn": [fn.RNN(4)],
    "lstm": [fn.Dense(3, "tanh"), fn.LSTM(4, return_sequences=True), fn.LayerNorm(), fn.LSTM(3)],
    "attention": [fn.Dense(4, "tanh"), fn.Attention(2, causal=True), fn.Last()],
    "blocks": [
        fn.Dense(6, "identity"),
        fn.Positions(),
        fn.TransformerBlock(2, 5, causal=True),
        fn.Positions("sinusoidal"),
        fn.LSTM(4, return_sequences=True),
        fn.TransformerBlock(1, causal=True),
        fn.LayerNorm(),
        fn.Last(),
    ],
    "gru": [fn.Residual([fn.GRU(2, return_sequences=True)]), fn.Concat([fn.GRU(3)], [fn.RNN(2, "relu"), fn.Dropout(0.1)])],
}


def network(layers, steps=6, *, dtype="float64", **options):
    net = fn.Network([*layers, fn.Dense(3, "softmax")], input_shape=(steps, 2), dtype=dtype, random_state=0, **options)
    net.params[:] += 0.2 * np.random.default_rng(1).standard_normal(net.n_params)
    return net


@pytest.mark.parametrize("layer", [fn.RNN(16), fn.LSTM(16), fn.GRU(16)])
def test_initial_values_are_uniform(layer):
    net = fn.Network([layer, fn.Dense(1)], input_shape=(3, 5), random_state=0)
    values = np.concatenate([net.parameters[f"1.{name}"].ravel() for name in ("W", "U", "b")])
    assert 0.24 < np.abs(values).max() <= 0.25
    assert abs(values.mean()) < 0.02


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_of_many_rows(name, ragged, rng):
    """They are made of groups of rows: of 200 those of 32, of the rest fewer."""
    net, y = network(LAYERS[name], ragged=ragged), rng.integers(0, 3, 200)
    X = rng.standard_normal((200, 6, 2))
    if ragged:
        X = [row[:n] for row, n in zip(X, rng.integers(1, 7, 200), strict=True)]
    _, whole = net.loss_and_grad(X, y)
    parts = [(j - i) / 200 * net.loss_and_grad(X[i:j], y[i:j])[1].flat for i, j in ((0, 7), (7, 130), (130, 200))]
    assert distance(whole.flat, sum(parts)) < 1e-12

    def compute():
        trained = network(LAYERS[name], ragged=ragged)
        trained.fit(X, y, epochs=2, batch_size=100, random_state=0)
        return trained.params, trained.forward(X)

    assert_same_bits_by_any_team(compute)


#: Layers, and how many steps of a row they are tried with: attention has room for the square of that.
LONG = {
    "rnn": ([fn.RNN(3)], 10_000),
    "rnn-relu": ([fn.RNN(3, "relu")], 10_000),
    "lstm": ([fn.LSTM(3)], 10_000),
    "gru": ([fn.GRU(3)], 10_000),
    "both-directions": ([fn.Bidirectional(fn.RNN(3, return_sequences=True)), fn.GlobalPool()], 10_000),
    "conv1d": (
        [
            fn.Conv1d(4, 5, "tanh", padding="causal", dilation=100), fn.Conv1d(3, 7, "tanh", stride=2, padding=3),
            fn.GlobalPool(),
        ],
        10_000,
    ),
    "attention": ([fn.Dense(4, "tanh"), fn.Positions("sinusoidal"), fn.Attention(2), fn.GlobalPool()], 1_200),
    "causal-attention": ([fn.Dense(4, "tanh"), fn.Positions(), fn.Attention(2, causal=True), fn.Last()], 1_200),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("ragged", [False, True])
def test_thousands_of_steps(name, ragged, rng):
    layers, steps = LONG[name]
    layers = [*layers, fn.Dense(1, "identity")]
    net = fn.Network(layers, input_shape=(steps, 1), ragged=ragged, dtype="float64", random_state=0)
    X, y = rng.standard_normal((3, steps, 1)), np.ones((3, 1))
    rows, flat = X, X.reshape(3, -1)
    if ragged:
        lengths = np.array([[steps], [steps // 3], [7]])
        rows = [row[:n] for row, n in zip(X, lengths[:, 0], strict=True)]
        flat = np.hstack([np.where(np.arange(steps) < lengths, flat, 0), lengths])
    Z, A = net._graph.forward(net.parameters, flat)
    assert_agree(net.forward(rows), A[-1])
    _, gradients = net.loss_and_grad(rows, y)
    by_name, _ = net._graph.backward(net.parameters, Z, A, (A[-1] - y) / 3)
    assert_agree(dict(net.views(gradients.flat)), by_name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_pieces_of_a_long_series_are_the_whole(name, dtype, rng):
    """A series of 10,000 steps in pieces, which hand on their state, through a network for 6 steps; a row that ends with a piece
    is the series cut short."""
    net, long = network(LAYERS[name], dtype=dtype), network(LAYERS[name], 10_000, dtype=dtype, ragged=True)
    long.params[:] = net.params
    X = rng.standard_normal((2, 10_000, 2)).astype(dtype)
    ends, state, outputs = [1, 6, 1_000, 7_777, 10_000], None, []
    for start, end in zip([0, *ends], ends, strict=False):
        for x in X[:, start:end].swapaxes(0, 1):
            A, state = net.step(x, state)
        outputs.append(A)
        state = np.array(state.tolist(), dtype)
    for end, A in zip(ends, outputs, strict=True):
        assert distance(A, long.forward(list(X[:, :end]))) < (1e-12 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_the_whole_series(name, dtype, rng):
    net = network(LAYERS[name], dtype=dtype)
    X = rng.standard_normal((5, 6, 2)).astype(dtype)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    state = single = None
    for t in range(6):
        A, state = net.step(X[:, t], state)
        a, single = net.step(X[0, t], single)
    np.testing.assert_allclose(A, net.forward(X), rtol=0, atol=tolerance)
    np.testing.assert_allclose(a, A[0], rtol=0, atol=tolerance)
    np.testing.assert_allclose(single, state[0], rtol=0, atol=tolerance)
    assert A.dtype == state.dtype == dtype


def test_steps_see_new_parameters_and_survive_pickles(rng):
    net = network(LAYERS["lstm"])
    x = rng.standard_normal(2)
    before, _ = net.step(x)
    net.params[:] *= 2
    after, _ = net.step(x)
    assert distance(before, after) > 1e-3
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).step(x)[0], after)


def test_no_streams_and_no_rows():
    net = fn.Network([fn.GRU(4), fn.Dense(3, "softmax")], input_shape=(5, 2), random_state=0)
    A, state = net.step(np.ones((0, 2)))
    assert (A.shape, state.shape) == ((0, 3), (0, 4))
    assert [a.shape for a in net.step(np.ones((0, 2)), state)] == [(0, 3), (0, 4)]
    assert net.forward(np.ones((0, 5, 2))).shape == (0, 3)
    assert net.predict(np.ones((0, 5, 2))).shape == (0,)


def test_outputs_of_all_steps_one_by_one(rng):
    net = fn.Network([fn.GRU(4, return_sequences=True), fn.Dense(2, "sigmoid")], input_shape=(6, 3), dtype="float64")
    X, state = rng.standard_normal((6, 3)), None
    for x, expected in zip(X, net.forward(X).reshape(6, 2), strict=True):
        A, state = net.step(x, state)
        np.testing.assert_allclose(A, expected, rtol=0, atol=1e-13)


def test_outputs_at_each_id_one_by_one(rng):
    """Of several language models' rows side by side, which begin at different times."""
    layers = [fn.Embedding(9, 8), fn.Positions(), fn.TransformerBlock(2, causal=True), fn.Dense(9, "softmax")]
    net = fn.Network(layers, input_shape=(7,), dtype="float64", random_state=0)
    X = rng.integers(0, 9, (2, 7))
    expected = net.forward(X)
    _, first = net.step(X[0, 0])
    _, first = net.step(X[0, 1], first)
    state = np.stack([first, np.zeros_like(first)])
    for t in range(5):
        A, state = net.step([X[0, t + 2], X[1, t]], state)
        np.testing.assert_allclose(A, [expected[0, t + 2], expected[1, t]], rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="positions end after 7 steps"):
        net.step([0, 0], state)
    with pytest.raises(ValueError, match=r"x must have shape \(\), or \(streams\), got \(2, 1\)"):
        net.step([[0], [0]], state)


def test_ragged_networks_go_step_by_step(rng):
    net = network([fn.GRU(4)], ragged=True)
    series, state = rng.standard_normal((4, 2)), None
    for x in series:
        A, state = net.step(x, state)
    np.testing.assert_allclose(A, net.forward(series), rtol=0, atol=1e-13)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"LSTM takes rows of shape \(length, channels\), got \(6,\)"):
        fn.Network([fn.LSTM(3), fn.Dense(1)], 6)
    with pytest.raises(ValueError, match="activation"):
        fn.RNN(3, "silu")
    with pytest.raises(ValueError, match="n_units must be at least 1"):
        fn.GRU(0)
    with pytest.raises(TypeError, match=r"Bidirectional takes a fastnet.RNN, GRU or LSTM, got Dense"):
        fn.Bidirectional(fn.Dense(3))


@pytest.mark.parametrize(
    ("layers", "x", "state", "message"),
    [
        ([fn.Bidirectional(fn.GRU(2))], np.ones(2), None, "got Bidirectional"),
        ([fn.Residual([fn.Conv1d(2, 1)]), fn.GRU(2)], np.ones(2), None, "got Conv1d"),
        ([fn.Scale(), fn.GRU(2)], np.ones(2), None, "same parameters at every step"),
        ([fn.Last()], np.ones(2), None, "this one has none"),
        ([fn.Attention(2), fn.Last()], np.ones(2), None, "causal=True"),
        ([fn.LSTM(2)], np.ones(3), None, r"x must have shape \(2,\), or \(streams, 2\), got \(3,\)"),
        ([fn.LSTM(2)], np.ones((5, 2)), np.ones(4), r"state must have shape \(5, 4\)"),
    ],
)
def test_steps_that_cannot_be(layers, x, state, message):
    with pytest.raises(ValueError, match=message):
        network(layers).step(x, state)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gates_of_an_lstm_are_exact_near_zero_and_one(dtype):
    """h = o tanh(i g) after one step, with one gate after the other from almost 0 to 1 and the others at 1."""
    net = fn.Network([fn.LSTM(1), fn.Dense(1, "identity")], input_shape=(1, 4), dtype=dtype, random_state=0)
    net.params[:] = 0
    net.parameters["1.W"][...], net.parameters["2.W"][...] = np.eye(4), 1
    x = np.linspace(-80, 80, 1001)
    X = np.full((3, 1001, 1, 4), 90.0)
    X[0, :, 0, 0] = X[1, :, 0, 2] = X[2, :, 0, 3] = x
    X = X.astype(dtype)
    wide = X[:, :, 0].astype(np.longdouble)
    i, o = (1 / (1 + np.exp(-wide[..., gate])) for gate in (0, 3))
    h = np.stack([net.forward(each)[:, 0] for each in X])
    np.testing.assert_allclose(h, (o * np.tanh(i * np.tanh(wide[..., 2]))).astype(float), rtol=10 * np.finfo(dtype).eps)
