"""Dropout by layers of every kind: its masks, the gradient with fixed masks, and training."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import reference
from helpers import DTYPES, distance, finite_difference

import fastnet as fn
from fastnet._session import _seeds

M = 6
BLOCK = partial(fn.TransformerBlock, 2, 6, dropout=0.3)

#: Layers, options of the network. Maxima of numbers that are dropped have ties, so there are none.
NETWORKS = {
    "dense": ([fn.Dense(8, "gelu", dropout=0.4), fn.LayerNorm(), fn.Dropout(0.2), fn.Dense(2, "identity")], {"n_inputs": 4}),
    "of-inputs": ([fn.Dropout(0.3), fn.Dense(2, "identity")], {"n_inputs": 4}),
    "parametric": (
        [fn.Dense(8, "identity"), fn.Parametric("mish", dropout=0.4), fn.Residual([fn.PReLU(), fn.Dropout(0.3)]), fn.Dense(2)],
        {"n_inputs": 4},
    ),
    "concat": (
        [fn.Concat([fn.Dropout(0.3)], [fn.Dense(5, "tanh", dropout=0.3)]), fn.Dense(2, "identity")],
        {"n_inputs": 4},
    ),
    "packed": ([fn.Dense(5, "tanh", dropout=0.4), fn.Dropout(0.2), fn.Dense(2, "identity")], {"n_inputs": 4, "n_members": 3}),
    "dense-of-positions": (
        [fn.Dense(5, "tanh", dropout=0.3), fn.Dropout(0.2), fn.Flatten(), fn.Dense(2, "identity")],
        {"input_shape": (5, 4)},
    ),
    "conv1d": (
        [fn.Conv1d(6, 3, "tanh", dropout=0.4), fn.Dropout(0.2), fn.AvgPool(2), fn.Flatten(), fn.Dense(2, "identity")],
        {"input_shape": (9, 2)},
    ),
    "conv2d": (
        [
            fn.Conv2d(4, 2, "gelu", dropout=0.3), fn.DepthwiseConv2d(2, "tanh", dropout=0.2), fn.GlobalPool(),
            fn.Dense(2, "identity"),
        ],
        {"input_shape": (5, 4, 2)},
    ),
    "batch-norm": (
        [
            fn.Conv1d(4, 3, "identity", dropout=0.3), fn.BatchNorm("silu"), fn.Dropout(0.2), fn.GlobalPool(),
            fn.Dense(2, "identity"),
        ],
        {"input_shape": (7, 2)},
    ),
    "recurrent": (
        [fn.GRU(4, return_sequences=True), fn.Dropout(0.3), fn.LSTM(3), fn.Dropout(0.3), fn.Dense(2, "identity")],
        {"input_shape": (6, 3)},
    ),
    "attention": (
        [fn.Attention(2, dropout=0.3), fn.Residual([fn.Attention(2), fn.Dropout(0.2)]), fn.Last(), fn.Dense(2, "identity")],
        {"input_shape": (5, 4)},
    ),
    "transformer": (
        [
            fn.Embedding(7, 4), fn.Positions(), fn.Dropout(0.1), BLOCK(), BLOCK(causal=True), fn.GlobalPool(),
            fn.Dense(2, "identity"),
        ],
        {"input_shape": (5,)},
    ),
    "encoder-decoder": (
        [
            fn.EncoderDecoder([BLOCK(), fn.LayerNorm()], [BLOCK(causal=True, cross=True)]), fn.GlobalPool(),
            fn.Dense(2, "identity"),
        ],
        {"source_shape": (3, 4), "input_shape": (5, 4)},
    ),
}  # fmt: skip
#: The same for rows of unequal length.
RAGGED = {
    "conv1d": (
        [fn.Conv1d(6, 3, "tanh", padding="same", dropout=0.4), fn.Dropout(0.2), fn.GlobalPool(), fn.Dense(2, "identity")],
        {"input_shape": (9, 2), "ragged": True},
    ),
    "recurrent": (
        [fn.GRU(4, return_sequences=True), fn.Dropout(0.3), fn.LSTM(3), fn.Dropout(0.3), fn.Dense(2, "identity")],
        {"input_shape": (6, 3), "ragged": True},
    ),
    "transformer": (
        [fn.Positions(), fn.Dropout(0.1), BLOCK(), fn.Last(), fn.Dense(2, "identity")],
        {"input_shape": (5, 4), "ragged": True},
    ),
    "tagger": ([fn.Positions(), BLOCK(), fn.Dense(3, "softmax")], {"input_shape": (5, 4), "ragged": True}),
}


def build(layers, options, dtype="float64"):
    net = fn.Network(layers, **options, dtype=dtype, random_state=0)
    net.params[:] += (0.3 * np.random.default_rng(1).random(net.n_params)).astype(dtype)
    return net


def data(net, rng):
    """X as users give it, and y."""
    shape, source, ragged = net.input_shape, net._inputs.source, net._inputs.ragged
    lengths = rng.integers(1, shape[0] + 1, M)
    if net.output_activation.name == "softmax":
        y = [rng.integers(0, 3, n) for n in lengths]
    else:
        y = rng.random((M, 2))
    X = rng.integers(0, 7, (M, *shape)) if shape == (5,) else rng.standard_normal((M, *shape))
    if ragged:
        X = [row[:n] for row, n in zip(X, lengths, strict=True)]
    return (rng.standard_normal((M, *source)), X) if source else X, y


def flat_rows(X):
    """As the operations read them."""
    if isinstance(X, tuple):
        return np.concatenate([flat_rows(X[1]), flat_rows(X[0])], axis=1)
    return X.reshape(len(X), -1).astype(float)


def twin_loss(net, X, y, seed, step=0):
    """J in training, half the mean squared error of the members, by the graph's plain NumPy and the masks of reference.py."""
    A = [flat_rows(X)]
    for number, node in enumerate(net._graph.nodes, 1):
        operation = node.operation
        Z = operation.forward_of_batch(net._graph.arrays(node, net.parameters), *(A[source] for source in node.sources))
        out = operation.activation(Z)
        if operation.dropout:
            out = out * reference.dropout_mask(operation.dropout, seed, step, number, *out.shape)
        A.append(out)
    return 0.5 * ((A[-1].reshape(M, net.n_members, -1) - y[:, None]) ** 2).sum(axis=2).mean()


@pytest.mark.parametrize("name", NETWORKS)
class TestMasks:
    """A mask depends on the seed, the number of updates, the layer, the row and the unit."""

    def test_loss_is_that_of_the_twin(self, name, rng):
        net = build(*NETWORKS[name])
        X, y = data(net, rng)
        for seed in (5, 2**63 - 1):
            assert net.loss_and_grad(X, y, dropout_seed=seed)[0] == pytest.approx(twin_loss(net, X, y, seed), rel=1e-12)
        assert net.loss_and_grad(X, y, dropout_seed=5)[0] != pytest.approx(twin_loss(net, X, y, 6), rel=1e-6)

    def test_training_takes_the_gradient_with_new_masks_in_each_update(self, name, rng):
        net = build(*NETWORKS[name])
        X, y = data(net, rng)
        seed, _ = _seeds(7)
        expected = build(*NETWORKS[name])
        expected.params[:] -= 0.1 * expected.loss_and_grad(X, y, dropout_seed=seed)[1].flat
        losses = [twin_loss(net, X, y, seed), twin_loss(expected, X, y, seed, step=1)]
        options = {"optimizer": fn.SGD(0.1), "batch_size": M, "sampling": "sequential", "random_state": 7}
        if "batch-norm" not in name:  # whose running statistics are parameters that no gradient moves
            once = build(*NETWORKS[name])
            once.fit(X, y, epochs=1, **options)
            assert distance(once.params, expected.params) < 1e-13
        assert net.fit(X, y, epochs=2, **options).loss == pytest.approx(losses, rel=1e-12)


@pytest.mark.parametrize(
    "network", [*NETWORKS.values(), *RAGGED.values()], ids=[*NETWORKS, *(f"ragged-{name}" for name in RAGGED)]
)
class TestGradient:
    def test_is_that_of_finite_differences_with_fixed_masks(self, network, rng):
        net = build(*network)
        X, y = data(net, rng)
        J, gradient = net.loss_and_grad(X, y, dropout_seed=5)
        numeric = finite_difference(lambda: net.loss_and_grad(X, y, dropout_seed=5)[0], net.params)
        for name in net.parameters:
            if name.endswith((".mean", ".var")):
                net.views(numeric)[name][...] = 0
        assert distance(gradient.flat, numeric) < 1e-8
        assert distance(net.loss_and_grad(X, y, dropout_seed=6)[1].flat, gradient.flat) > 1e-3
        assert abs(net.loss_and_grad(X, y)[0] - J) > 1e-6 * J

    def test_in_float32_is_that_in_float64(self, network, rng):
        net, double = build(*network, "float32"), build(*network)
        double.params[:] = net.params
        X, y = data(net, rng)
        J, gradient = net.loss_and_grad(X, y, dropout_seed=5)
        J_double, expected = double.loss_and_grad(X, y, dropout_seed=5)
        assert J == pytest.approx(J_double, rel=1e-5)
        assert distance(gradient.flat, expected.flat) < 2e-5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("before", "layer", "shape"),
    [
        ([], partial(fn.Dense, 9), (4,)),
        ([], partial(fn.Dense, 9), (5, 4)),
        ([fn.Dense(9, "identity")], fn.Parametric, (4,)),
        ([], partial(fn.Conv1d, 6, 3), (9, 2)),
    ],
)
def test_dropout_layer_is_the_dropout_of_the_layer_before(before, layer, shape, dtype, rng):
    """With the same masks: those of a layer's number, which changes the highest byte of the seed."""
    X, y = rng.standard_normal((20, *shape)), rng.random((20, 2))
    layers = [[*before, layer("tanh"), fn.Dropout(0.4)], [*before, layer("tanh", dropout=0.4)]]
    results = []
    for hidden in layers:
        flatten = [fn.Flatten()] if len(shape) > 1 else []
        net = fn.Network([*hidden, *flatten, fn.Dense(2, "identity")], input_shape=shape, dtype=dtype, random_state=0)
        results.append(net.loss_and_grad(X, y, dropout_seed=3 ^ (len(hidden) << 56)))
    (J, gradient), (J_option, of_option) = results
    assert J == pytest.approx(J_option, rel=1e-6 if dtype == "float32" else 1e-14)
    assert distance(gradient.flat, of_option.flat) < (1e-6 if dtype == "float32" else 1e-14)
