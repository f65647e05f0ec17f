"""Loss and gradient of the network compared with the NumPy reference and with finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from helpers import (
    HIDDEN,
    PAIRS,
    RTOL,
    distance,
    finite_difference,
    label,
    network,
    reference_form,
    reference_loss_and_grad,
    targets,
)

import fastnet as fn

M, N_IN, N_OUT = 7, 4, 3


def outputs_for(loss, n=N_OUT):
    return n * len(getattr(loss, "levels", (0,)))


def smooth_data(build, loss, seeds=range(200)):
    """A network, X and y such that no pre-activation and no residual lies near a kink of a piecewise function."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        net = build(seed)
        X = rng.standard_normal((M, net.n_inputs))
        y = targets(loss, M, net.n_outputs, rng)
        layers, (_, parameter) = reference_form(net, loss)
        As, Zs = reference.forward(layers, *reference.unflat(net.params, net.sizes), X)
        residual = np.abs(As[-1] - np.repeat(y, net.n_outputs // y.shape[1], axis=1))
        near = [np.abs(Z).min() for Z in Zs] + [residual.min(), np.abs(residual - np.max(parameter)).min()]
        if min(near) > 4e-3:
            return net, X, y
    raise AssertionError("no data far from all kinks: try more seeds")


def assert_gradient(net, loss, X, y, w=None, l2=0.0):
    """J and gradient compared with the reference, and the gradient with finite differences of J, to 1e-8."""
    J, grads = net.loss_and_grad(X, y, loss=loss, sample_weight=w, l2=l2)
    J_reference, gradient = reference_loss_and_grad(net, loss, X, y, w, l2)
    assert J == pytest.approx(J_reference, rel=1e-12)
    assert J == pytest.approx(net.loss(X, y, loss=loss, sample_weight=w, l2=l2), rel=1e-12)
    assert distance(grads.flat, gradient) < 1e-11
    numeric = finite_difference(lambda: net.loss(X, y, loss=loss, sample_weight=w, l2=l2), net.params)
    assert distance(grads.flat, numeric) < 1e-8


@pytest.mark.parametrize(("activation", "loss"), PAIRS, ids=label)
def test_every_pair_of_output_activation_and_loss(activation, loss):
    n_out = outputs_for(loss, 2)
    net, X, y = smooth_data(lambda seed: network([fn.Dense(5, "tanh"), fn.Dense(n_out, activation)], N_IN, seed=seed), loss)
    assert_gradient(net, loss, X, y)


@pytest.mark.parametrize("activation", HIDDEN, ids=label)
def test_every_hidden_activation(activation):
    loss = fn.SquaredError()
    layers = [fn.Dense(4, activation), fn.Dense(3, activation), fn.Dense(2, "identity")]

    def build(seed):
        net = network(layers, N_IN, seed=seed)
        net.params[:] *= 0.5  # exp(exp(z)) grows fast
        return net

    net, X, y = smooth_data(build, loss)
    assert_gradient(net, loss, X, y)


@pytest.mark.parametrize("hidden", [(), (6,), (5, 4), (3, 4, 5, 2)])
@pytest.mark.parametrize(("output", "loss"), [("identity", fn.SquaredError()), ("softmax", fn.CrossEntropy(0.2))], ids=label)
def test_depth_weights_and_l2(hidden, output, loss, rng):
    net = network([*(fn.Dense(n, "tanh") for n in hidden), fn.Dense(N_OUT, output)], N_IN)
    X, y, w = rng.standard_normal((M, N_IN)), targets(loss, M, N_OUT, rng), rng.uniform(0, 2, M)
    w[2] = 0
    assert_gradient(net, loss, X, y, w, l2=0.1)


@pytest.mark.parametrize(("activation", "loss"), PAIRS, ids=label)
@pytest.mark.parametrize("m", [1, 300])
def test_both_dtypes_against_the_reference(activation, loss, dtype, m, rng):
    n_out = outputs_for(loss)
    net = network([fn.Dense(9, "tanh"), fn.Dense(n_out, activation)], N_IN, dtype)
    X, y, w = rng.standard_normal((m, N_IN)).astype(dtype), targets(loss, m, n_out, rng), rng.uniform(0.5, 2, m)
    J, grads = net.loss_and_grad(X, y, loss=loss, sample_weight=w)
    J_reference, gradient = reference_loss_and_grad(net, loss, X, y.astype(dtype), w.astype(dtype))
    assert J == pytest.approx(J_reference, rel=RTOL[dtype])
    assert distance(grads.flat, gradient) < 5 * RTOL[dtype]
    assert grads.flat.dtype == dtype


def test_gradients_are_views_of_one_vector(rng):
    net = network([fn.Dense(5, "relu"), fn.Dense(2, "identity")], N_IN)
    _, grads = net.loss_and_grad(rng.standard_normal((M, N_IN)), rng.standard_normal((M, 2)))
    assert [g.shape for g in grads.weights] == [(4, 5), (5, 2)]
    assert [g.shape for g in grads.biases] == [(5,), (2,)]
    assert np.array_equal(np.concatenate([g.ravel() for g in grads.weights + grads.biases]), grads.flat)
    assert all(g.base is grads.flat for g in grads.weights + grads.biases)


@pytest.mark.parametrize(
    "dropping",
    [
        *([fn.Dense(8, activation, dropout=0.4)] for activation in ("relu", "gelu", "sigmoid")),
        *([fn.Dense(8, "identity"), fn.Parametric(activation, dropout=0.4)] for activation in ("mish", "selu")),
        [fn.Dense(8, "identity"), fn.Residual([fn.Parametric("tanh", dropout=0.4)])],
    ],
)
def test_dropout_with_a_fixed_mask(dropping, rng):
    net = network([*dropping, fn.Dense(6, "tanh", dropout=0.2), fn.Dense(2, "identity")], N_IN)
    X, y = rng.standard_normal((M, N_IN)), rng.standard_normal((M, 2))
    J, grads = net.loss_and_grad(X, y, dropout_seed=5)
    numeric = finite_difference(lambda: net.loss_and_grad(X, y, dropout_seed=5)[0], net.params)
    assert distance(grads.flat, numeric) < 1e-8
    assert J != net.loss_and_grad(X, y, dropout_seed=6)[0]
    without = net.loss_and_grad(X, y)[0]
    assert net.loss(X, y) == pytest.approx(without, rel=1e-12)
    assert without != J


@pytest.mark.parametrize("seed", range(3))
def test_dropout_drops_the_share_and_scales_the_rest(seed):
    """With all hidden units 1 and one row, dJ/dW[2] is 0 for the dropped units and the same positive number for the others."""
    n, rate = 10_000, 0.3
    net = fn.Network.from_parameters(
        [fn.Dense(n, "identity", dropout=rate), fn.Dense(1, "identity")],
        [np.zeros((1, n)), np.full((n, 1), 1 / n)],
        [np.ones(n), np.zeros(1)],
    )
    _, grads = net.loss_and_grad([[0.0]], [0.0], dropout_seed=seed)
    output = grads.biases[1][0]
    share = np.mean(grads.weights[1] == 0)
    assert abs(share - rate) < 5 * np.sqrt(rate * (1 - rate) / n)
    assert output == pytest.approx((1 - share) / (1 - rate))
    assert np.unique(grads.weights[1]) == pytest.approx([0, output / (1 - rate)])


def test_class_numbers_and_one_hot_rows_agree(dtype, rng):
    net = network([fn.Dense(5, "relu"), fn.Dense(N_OUT, "softmax")], N_IN, dtype)
    X, y = rng.standard_normal((50, N_IN)), rng.integers(0, N_OUT, 50)
    for loss in (fn.CrossEntropy(), fn.CrossEntropy(0.1)):
        J, grads = net.loss_and_grad(X, y, loss=loss)
        J_one_hot, grads_one_hot = net.loss_and_grad(X, np.eye(N_OUT)[y], loss=loss)
        assert J == pytest.approx(J_one_hot, rel=RTOL[dtype])
        assert distance(grads.flat, grads_one_hot.flat) < RTOL[dtype]


def test_integer_weights_are_repeated_rows(rng):
    net = network([fn.Dense(5, "relu"), fn.Dense(2, "identity")], N_IN)
    X, y, w = rng.standard_normal((20, N_IN)), rng.standard_normal((20, 2)), rng.integers(0, 4, 20)
    J, grads = net.loss_and_grad(X, y, sample_weight=w)
    J_repeated, repeated = net.loss_and_grad(np.repeat(X, w, axis=0), np.repeat(y, w, axis=0))
    assert J == pytest.approx(J_repeated, rel=1e-13)
    assert distance(grads.flat, repeated.flat) < 1e-13


@pytest.mark.parametrize("m", [3, 2000])
def test_sparse_is_dense(dtype, m, rng):
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.random_array((m, 30), density=0.1, rng=rng, format="csr", dtype=np.float64).astype(dtype)
    net = network([fn.Dense(8, "tanh"), fn.Dense(2, "identity")], 30, dtype)
    y = rng.standard_normal((m, 2))
    J, grads = net.loss_and_grad(X, y)
    J_dense, dense = net.loss_and_grad(X.toarray(), y)
    assert J == pytest.approx(J_dense, rel=RTOL[dtype])
    assert distance(grads.flat, dense.flat) < RTOL[dtype]
    assert distance(net.forward(X.tocsc()), net.forward(X.toarray())) < RTOL[dtype]


@pytest.mark.parametrize("sizes", [(40, 64, 10), (300, 200, 100, 5), (1, 1), (1000, 3), (3, 1000, 2), (1, 6), (2, 9), (2, 15)])
def test_many_rows_and_wide_layers(dtype, sizes, rng):
    m = 1500
    net = network([*(fn.Dense(n, "tanh") for n in sizes[1:-1]), fn.Dense(sizes[-1], "identity")], sizes[0], dtype, scale=0.1)
    X, y = rng.standard_normal((m, sizes[0])).astype(dtype), rng.standard_normal((m, sizes[-1])).astype(dtype)
    J, grads = net.loss_and_grad(X, y)
    J_reference, gradient = reference_loss_and_grad(net, fn.SquaredError(), X, y)
    assert J == pytest.approx(J_reference, rel=RTOL[dtype])
    assert distance(grads.flat, gradient) < 20 * RTOL[dtype]


def test_extreme_logits_have_finite_loss_and_exact_gradient(dtype):
    """The canonical pairs are computed from Z: probabilities that round to 0 or 1 are no problem."""
    for output, y, n_out in (("sigmoid", [[0.0], [1.0]], 1), ("softmax", [0, 1], 2)):
        W = np.full((1, n_out), 500.0)
        W[0, 1:] = -500.0
        net = fn.Network.from_parameters([fn.Dense(n_out, output)], [W], [np.zeros(n_out)], dtype=dtype)
        X = np.array([[1.0], [-1.0]]) if output == "sigmoid" else np.array([[-1.0], [1.0]])
        J, grads = net.loss_and_grad(X, y)
        assert J == pytest.approx(500.0 if output == "sigmoid" else 1000.0, rel=1e-6)
        assert np.abs(grads.flat).max() == pytest.approx(1.0)


def test_agrees_with_autograd_of_pytorch(rng):
    torch = pytest.importorskip("torch")
    net = network([fn.Dense(6, "gelu"), fn.Dense(5, "silu"), fn.Dense(N_OUT, "softmax")], N_IN)
    X, y = rng.standard_normal((M, N_IN)), rng.integers(0, N_OUT, M)
    parameters = [torch.tensor(p, requires_grad=True) for p in net.weights + net.biases]
    W, b = parameters[:3], parameters[3:]
    hidden = torch.nn.functional.gelu(torch.tensor(X) @ W[0] + b[0])
    hidden = torch.nn.functional.silu(hidden @ W[1] + b[1])
    J_torch = torch.nn.functional.cross_entropy(hidden @ W[2] + b[2], torch.tensor(y))
    J_torch.backward()
    J, grads = net.loss_and_grad(X, y)
    assert J == pytest.approx(J_torch.item(), rel=1e-12)
    for own, theirs in zip(grads.weights + grads.biases, parameters, strict=True):
        assert distance(own, theirs.grad.numpy()) < 1e-10


@pytest.mark.parametrize("n_units", [1, 5, 16, 37, 150])
def test_biases_of_a_large_float32_batch(n_units, rng):
    """Their sums are over all rows: one after the other, rounding would grow with the number of rows."""
    X = rng.standard_normal((200_000, 2)).astype(np.float32)
    y = X[:, :1] + 1000
    net = fn.Network([fn.Dense(n_units, "relu"), fn.Dense(1, "identity")], 2, random_state=0)
    double = fn.Network.from_parameters(net.layers, net.weights, net.biases, dtype="float64")
    expected = double.loss_and_grad(X, y)[1].biases
    before, grads = [b.copy() for b in net.biases], net.loss_and_grad(X, y)[1].biases
    net.fit(X, y, optimizer=fn.SGD(1.0), batch_size=len(X), epochs=1, sampling="sequential")
    for old, b, db, exact in zip(before, net.biases, grads, expected, strict=True):
        assert np.abs(db - exact).max() < 5e-6 * np.abs(exact).max()
        assert np.abs(old - b - exact).max() < 5e-6 * np.abs(exact).max()


@pytest.mark.parametrize("output, n_outputs", [("softplus", 1), ("softmax", 2)])
@pytest.mark.parametrize("target", [0.0, 2.0])
def test_predictions_that_underflow_leave_the_poisson_gradient_finite(output, n_outputs, target, dtype):
    net = fn.Network([fn.Dense(n_outputs, output, initializer="zeros")], 1, dtype=dtype)
    net.biases[0][0] = -120 if dtype == "float32" else -800
    y = np.full((3, n_outputs), target)
    assert net.forward(np.ones((3, 1)))[0, 0] == 0
    J, gradient = net.loss_and_grad(np.ones((3, 1)), y, loss="poisson")
    assert np.isfinite(J)
    assert np.isfinite(gradient.flat).all()
    if target == 0:
        assert pytest.approx(n_outputs - 1) == J  # softmax's other output is 1
        assert gradient.flat[0] == 0
