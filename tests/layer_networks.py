"""Networks with layers of every kind, what their plain NumPy twins make of rows, and the check of a gradient."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from helpers import distance, finite_difference

import fastnet as fn
from fastnet.losses import get as get_loss

N_IN = 4
BINS = [[-1.0, -0.2, 0.3, 2.0], [0.0, 0.5], [-2.0, 0.1, 0.9], [-0.5, 0.5, 0.6, 0.7]]

#: Layers that read N_IN numbers, by a name; the networks of the tests end with a dense layer after them.
HIDDEN = {
    "dense": [fn.Dense(5, "tanh")],
    "dense-ntk": [fn.Dense(5, "tanh", scale="ntk"), fn.Dense(3, "gelu", scale="ntk")],
    "scale": [fn.Scale(), fn.Dense(5, "tanh")],
    "scale-bias": [fn.Dense(5, "tanh"), fn.Scale(bias=True)],
    "norm": [fn.LayerNorm(), fn.Dense(6, "silu"), fn.LayerNorm()],
    "residual": [fn.Dense(5, "tanh"), fn.Residual([fn.Dense(7, "silu"), fn.Dense(5, "identity")], "tanh")],
    "residual-of-inputs": [fn.Residual([fn.Residual([fn.Dense(4, "tanh")]), fn.LayerNorm()])],
    "concat": [fn.Concat([fn.Dense(3, "tanh")], [fn.Dense(2, "elu"), fn.Scale()], [])],
    "concat-of-hidden": [fn.Dense(4, "tanh"), fn.Concat([], [fn.Columns([2, 0])], [fn.Dense(3, "sigmoid", scale="ntk")])],
    "columns": [fn.Columns([3, 1, 1]), fn.Dense(3, "tanh")],
    "columns-of-hidden": [fn.Dense(5, "tanh"), fn.Columns([0, 4, 4, 2])],
    "pbld": [fn.NumericEmbedding("pbld", n_frequencies=5)],
    "pbld-of-hidden": [fn.Dense(3, "tanh"), fn.NumericEmbedding("pbld", n_frequencies=9, n_units=3)],
    "plr": [fn.NumericEmbedding("plr", n_frequencies=3, n_units=5, frequency_scale=0.7, activation="tanh")],
    "plr-of-hidden": [fn.Dense(3, "tanh"), fn.NumericEmbedding("plr", n_frequencies=3, n_units=2, activation="silu")],
    "piecewise": [fn.NumericEmbedding("piecewise_linear", bins=BINS, n_units=3)],
    "piecewise-of-hidden": [
        fn.Dense(4, "tanh"),
        fn.NumericEmbedding("piecewise_linear", bins=BINS, n_units=3, activation="tanh"),
    ],
    "categories": [fn.CategoryEmbedding([3, 1, 2, 5], 3)],
    "table": [
        fn.Concat([fn.NumericEmbedding(columns=[0, 1], n_frequencies=3)], [fn.CategoryEmbedding([3, 2], 2, columns=[2, 3])]),
        fn.Scale(),
        fn.Dense(6, "identity", scale="ntk"),
        fn.Parametric("selu"),
    ],
    "parametric": [fn.Dense(5, "identity"), fn.Parametric("mish"), fn.Dense(3, "identity"), fn.Parametric("tanh")],
    "parametric-of-shared": [fn.Parametric("tanh"), fn.Dense(5, "identity"), fn.Residual([fn.Parametric("selu"), fn.PReLU(0.1)])],
    "prelu": [fn.Dense(5, "identity"), fn.PReLU(0.1)],
}
#: Layers that read rows with positions, and the shape of these rows, by a name; a dense layer comes after them.
POSITIONED = {
    "conv1d": ((11, 3), [fn.Conv1d(5, 3, "tanh")]),
    "conv1d-strides": ((13, 2), [fn.Conv1d(4, 3, "silu", stride=2, padding="same"), fn.Conv1d(3, 2, "tanh", dilation=3)]),
    "conv1d-causal": ((9, 1), [fn.Conv1d(4, 3, "tanh", dilation=2, padding="causal"), fn.Conv1d(20, 4, "tanh", padding=2)]),
    "conv2d": ((6, 7, 2), [fn.Conv2d(5, 3, "tanh"), fn.Conv2d(3, (2, 4), "gelu")]),
    "conv2d-strides": ((7, 6, 1), [fn.Conv2d(4, 3, "tanh", stride=2, padding="same"), fn.Conv2d(17, 2, "tanh", padding=(0, 2))]),
    "conv2d-dilation": (
        (8, 9, 2),
        [fn.Conv2d(4, (2, 3), "tanh", dilation=(2, 3), padding="same"), fn.Conv2d(3, 3, "tanh", stride=(1, 2), dilation=2)],
    ),
    "conv2d-residual": ((5, 5, 3), [fn.Residual([fn.Conv2d(3, 3, "tanh", padding="same")], "silu"), fn.Conv2d(2, 1, "tanh")]),
    "depthwise1d": ((11, 3), [fn.DepthwiseConv1d(3, "tanh", padding="causal"), fn.DepthwiseConv1d(4, "tanh", stride=2)]),
    "depthwise2d": (
        (7, 6, 2),
        [fn.Conv2d(20, 2, "tanh"), fn.DepthwiseConv2d((3, 2), "silu", padding="same", dilation=(1, 2)), fn.Dense(2, "tanh")],
    ),
    "conv2d-of-lines": (
        (8, 41, 1),
        [fn.Conv2d(7, (3, 4), "tanh", stride=(2, 1), dilation=(1, 2)), fn.MaxPool((3, 5))],
    ),
    "conv2d-gradient-of-lines": (
        (9, 12, 5),
        [fn.Conv2d(16, 3, "tanh"), fn.Conv2d(21, (3, 1), "tanh", padding="same")],
    ),
    "max-pool-of-relu": ((7, 10, 2), [fn.Conv2d(6, 2, "relu"), fn.MaxPool(2), fn.Conv2d(11, 1, "relu"), fn.GlobalPool("max")]),
    "max-pool-of-shared-relu": (
        (6, 8, 3),
        [fn.Conv2d(4, 3, "relu"), fn.Residual([fn.MaxPool(1)], "relu"), fn.Conv2d(9, 1, "relu"), fn.MaxPool((2, 3))],
    ),
    "max-pool": ((7, 6, 2), [fn.Conv2d(3, 2, "tanh"), fn.MaxPool(2), fn.Conv2d(2, 2, "tanh")]),
    "max-pool-filling": ((7, 21, 1), [fn.Conv2d(3, 2, "tanh"), fn.MaxPool((3, 2))]),
    "max-pool-overlapping": ((11, 2), [fn.Conv1d(20, 2, "tanh"), fn.MaxPool(3, 1), fn.Residual([fn.MaxPool(1)])]),
    "avg-pool": ((7, 6, 2), [fn.Conv2d(3, 2, "tanh"), fn.AvgPool((3, 2), (1, 2)), fn.Residual([fn.AvgPool(1)])]),
    "global-mean": ((9, 2), [fn.Conv1d(5, 3, "tanh"), fn.GlobalPool()]),
    "global-max": ((4, 5, 2), [fn.Conv2d(5, 2, "tanh"), fn.LayerNorm(), fn.GlobalPool("max")]),
    "rnn": ((7, 3), [fn.RNN(5, return_sequences=True), fn.RNN(4, "relu")]),
    "lstm": ((6, 2), [fn.LSTM(5, return_sequences=True), fn.Dense(4, "tanh"), fn.LSTM(3)]),
    "gru": ((6, 3), [fn.GRU(4, return_sequences=True), fn.GRU(5, return_sequences=True)]),
    "bidirectional": ((5, 2), [fn.Bidirectional(fn.GRU(3, return_sequences=True)), fn.Bidirectional(fn.LSTM(4))]),
    "recurrent-residual": ((5, 3), [fn.Residual([fn.LSTM(3, return_sequences=True)]), fn.Bidirectional(fn.RNN(2))]),
    "concat-of-positions": (
        (7, 3),
        [fn.Concat([fn.Conv1d(2, 3, "tanh", padding="same")], [], [fn.GRU(4, return_sequences=True)])],
    ),
    "inception-residual": (
        (5, 4, 3),
        [fn.Residual([fn.Concat([fn.Conv2d(2, 3, "tanh", padding="same")], [fn.Conv2d(1, 1, "tanh")])], "silu"), fn.MaxPool(2)],
    ),
    "pool-of-inputs": ((6, 6, 2), [fn.AvgPool(2), fn.MaxPool(2, 1), fn.Flatten(), fn.Dense(3, "tanh")]),
}


def build(hidden, output="identity", n_out=2, *, dtype="float64", seed=0, **options):
    """A network whose parameters are all random."""
    net = fn.Network([*HIDDEN[hidden], fn.Dense(n_out, output)], N_IN, dtype=dtype, random_state=seed, **options)
    rng = np.random.default_rng(seed + 1)
    for name, view in net.parameters.items():
        if not name.endswith("edges"):
            view[...] += 0.3 * rng.standard_normal(view.shape)
    return net


def rows(hidden, m, rng):
    """Rows that a network can read: codes where it takes categories, one unknown and one out of range among them."""
    X = rng.standard_normal((m, N_IN))
    if hidden == "categories":
        X = rng.integers(-1, 7, (m, N_IN)).astype(float)
    if hidden == "table":
        X[:, 2:] = rng.integers(-1, 5, (m, 2))
    return X


def twin_outputs(net, X):
    """A[L] of each member (m, k, n), by the graph's plain NumPy."""
    _, A = net._graph.forward(net.parameters, X)
    return A[-1].reshape(len(X), net.n_members, -1)


def twin_gradient(net, X, Y, loss, w):
    """J and its gradients by name, by the graph's plain NumPy; loss and output activation are elementwise or softmax."""
    Z, A = net._graph.forward(net.parameters, X)
    k, n, m = net.n_members, net.n_outputs, len(X)
    outputs, weights = A[-1].reshape(m, k, n), (w / w.sum())[:, None, None]
    name, parameter = loss.name, loss.parameter
    of_members = net._together.loss == "members"
    seen = outputs if of_members else outputs.mean(axis=1, keepdims=True)
    targets = np.repeat(Y[:, None], seen.shape[1], axis=1)
    flat_seen, flat_targets = seen.reshape(-1, n), targets.reshape(-1, n)
    values = reference.LOSSES[name][0](flat_seen, flat_targets, parameter).reshape(seen.shape)
    J = (values * weights).sum() / (k if of_members else 1)
    slopes = reference.LOSSES[name][1](flat_seen, flat_targets, parameter).reshape(seen.shape) * weights / k
    dA = np.broadcast_to(slopes, outputs.shape).reshape(-1, n)
    activation = (net.output_activation.name, net.output_activation.parameter)
    dZ = reference.through(activation, Z[-1].reshape(-1, n), dA).reshape(m, k * n)
    return J, net._graph.backward(net.parameters, Z, A, dZ)[0]


def flat(net, gradients):
    """Gradients by name as one vector."""
    vector = np.zeros(net.n_params)
    for name, view in net.views(vector).items():
        view[...] = gradients[name]
    return vector


def assert_gradient(net, X, loss, rng, numeric=True, h=2e-4):
    loss = get_loss(loss, net.output_activation)
    w = rng.uniform(0.5, 2, len(X))
    Y = np.eye(net.n_outputs)[rng.integers(0, net.n_outputs, len(X))] if loss.name == "cross_entropy" else rng.random((len(X), 2))
    y = Y.argmax(axis=1) if loss.name == "cross_entropy" else Y
    J, grads = net.loss_and_grad(X, y, loss=loss, sample_weight=w)
    J_twin, gradients = twin_gradient(net, X, Y, loss, w)
    assert J == pytest.approx(J_twin, rel=1e-12)
    assert net.loss(X, y, loss=loss, sample_weight=w) == pytest.approx(J, rel=1e-12)
    assert distance(grads.flat, flat(net, gradients)) < 1e-11
    if numeric:
        frozen = [name for name in net.parameters if name.endswith("edges")]
        difference = finite_difference(lambda: net.loss(X, y, loss=loss, sample_weight=w), net.params, h)
        for name in frozen:
            net.views(difference)[name][...] = 0
        assert distance(grads.flat, difference) < 1e-7
