"""BatchNorm: statistics of the batch in training, running ones for everything else."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers import DTYPES, RTOL, assert_same_bits_by_any_team, distance, finite_difference

import fastnet as fn
from fastnet import checkpoint

CHAINS = {
    "flat": ((6,), [fn.Dense(5, "identity"), fn.BatchNorm("tanh")]),
    "of-inputs": ((70,), [fn.BatchNorm(), fn.Dense(4, "tanh", dropout=0.0), fn.BatchNorm("silu", momentum=0.3, epsilon=1e-3)]),
    "image": ((6, 7, 2), [fn.Conv2d(3, 3, "identity"), fn.BatchNorm("silu"), fn.Conv2d(20, 2, "identity"), fn.BatchNorm("tanh")]),
    "residual": ((9, 3), [fn.Residual([fn.BatchNorm("tanh"), fn.Conv1d(3, 3, "identity", padding="same"), fn.BatchNorm()])]),
}
#: Chains whose BatchNorms are folded into the layer before when they predict: the shape of a row, the layers, the
#: parameters of W and b that are multiplied.
FOLDED = {
    "image-of-two": (
        (9, 8, 2),
        [fn.Conv2d(3, 3, "identity"), fn.BatchNorm("relu"), fn.Conv2d(20, 2, "identity"), fn.BatchNorm("tanh")],
        57 + 260,
    ),
    "lines-of-one-channel": ((28, 28, 1), [fn.Conv2d(6, 5, "identity"), fn.BatchNorm("relu"), fn.MaxPool(2)], 156),
    "dilation": ((30, 3), [fn.Conv1d(70, 3, "identity", dilation=2, padding="causal"), fn.BatchNorm("silu", epsilon=1e-3)], 700),
    "depthwise": ((8, 8, 5), [fn.DepthwiseConv2d(3, "identity", padding="same"), fn.BatchNorm("relu"), fn.Conv2d(4, 1)], 50),
    "dense-at-positions": ((12, 4), [fn.Dense(6, "identity"), fn.BatchNorm("tanh")], 30),
    "residual": ((9, 3), [fn.Residual([fn.Conv1d(3, 3, "identity", padding="same"), fn.BatchNorm()]), fn.LayerNorm()], 30),
}
NOT_FOLDED = {
    "activation-between": ((9, 3), [fn.Conv1d(3, 3, "relu"), fn.BatchNorm()]),
    "pool-between": ((9, 3), [fn.Conv1d(3, 3, "identity"), fn.MaxPool(2), fn.BatchNorm()]),
    "other-channels": ((9, 3), [fn.Conv1d(3, 3, "identity"), fn.Flatten(), fn.BatchNorm()]),
    "of-a-sum": ((9, 3), [fn.Residual([fn.Conv1d(3, 3, "identity", padding="same")]), fn.BatchNorm()]),
    "weights-used-once": ((9,), [fn.Dense(5, "identity"), fn.BatchNorm()]),
}
LENGTHS = [5, 9, 1, 7, 9, 2, 6, 3, 8, 4, 9]


def build(chain, dtype="float64", **options):
    """A network whose parameters are all random, and its variances positive."""
    shape, layers = (CHAINS | FOLDED | NOT_FOLDED)[chain][:2]
    net = fn.Network([*layers, fn.Flatten(), fn.Dense(2, "identity")], input_shape=shape, dtype=dtype, random_state=0, **options)
    rng = np.random.default_rng(1)
    for name, view in net.parameters.items():
        view[...] += rng.uniform(0, 1, view.shape) if name.endswith("var") else 0.3 * rng.standard_normal(view.shape)
    return net


def data(chain, m, rng, dtype="float64"):
    return rng.normal(1, 2, (m, *CHAINS[chain][0])).astype(dtype), rng.random((m, 2)).astype(dtype)


def twin_gradient(net, X, y):
    """J and its gradient by the graph's plain NumPy, with the statistics of the batch."""
    X = net._flat(X)
    Z, A = net._graph.forward(net.parameters, X, training=True)
    gradients, _ = net._graph.backward(net.parameters, Z, A, (A[-1] - y) / len(y))
    flat = np.zeros(net.n_params)
    for name, view in net.views(flat).items():
        view[...] = gradients[name]
    return 0.5 * ((A[-1] - y) ** 2).sum() / len(y), flat


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs_by_running_statistics(chain, dtype, rng):
    net, X = build(chain, dtype), data(chain, 300, rng, dtype)[0]
    A = net.forward(X)
    wide = {name: view.astype(np.float64) for name, view in net.parameters.items()}
    _, expected = net._graph.forward(wide, X.reshape(300, -1).astype(np.float64))
    assert distance(A, expected[-1]) < 10 * RTOL[dtype]
    assert distance(np.stack([net.forward(x) for x in X[:5]]), A[:5]) < 10 * RTOL[dtype]


class TestFolding:
    @pytest.mark.parametrize("chain", FOLDED)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_outputs(self, chain, dtype, rng):
        """Those of plain NumPy, of one row and many, by any team; `activations`, which shows every layer, folds nothing."""
        net, X = build(chain, dtype), rng.standard_normal((300, *FOLDED[chain][0])).astype(dtype)
        A = net.forward(X)
        wide = {name: view.astype(np.float64) for name, view in net.parameters.items()}
        _, expected = net._graph.forward(wide, X.reshape(300, -1).astype(np.float64))
        assert distance(A, expected[-1]) < 10 * RTOL[dtype]
        assert distance(A, net.activations(X)[-1]) < 10 * RTOL[dtype]
        assert distance(np.stack([net.forward(x) for x in X[:5]]), A[:5]) < 10 * RTOL[dtype]
        assert_same_bits_by_any_team(lambda: [net.forward(X)])

    @pytest.mark.parametrize("chain", [*FOLDED, *NOT_FOLDED])
    def test_which_are_folded(self, chain):
        assert build(chain)._plan.n_folded == (FOLDED[chain][2] if chain in FOLDED else 0)

    def test_parameters_that_change_between_calls_count(self, rng):
        net, X = build("image-of-two"), rng.standard_normal((20, 9, 8, 2))
        before = net.forward(X), net.forward(X[0])
        for name in ("1.W", "1.b", "2.gain", "2.bias", "2.mean", "2.var"):
            net.parameters[name][...] *= 1.5
            after = net.forward(X), net.forward(X[0])
            assert distance(after[0], before[0]) > 1e-6 and distance(after[1], before[1]) > 1e-6
            assert distance(after[0], net.activations(X)[-1]) < 1e-11
            before = after

    def test_loss_and_validation(self, rng):
        net, X, y = build("image-of-two"), rng.standard_normal((50, 9, 8, 2)), rng.random((50, 2))
        expected = 0.5 * ((net.activations(X)[-1] - y) ** 2).sum() / 50
        assert net.loss(X, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("m", [9, 1100])
def test_gradients_by_statistics_of_the_batch(chain, m, rng):
    """Of fewer and of more rows than a piece holds."""
    net, (X, y) = build(chain), data(chain, m, rng)
    J, gradients = net.loss_and_grad(X, y)
    J_twin, expected = twin_gradient(net, X, y)
    assert J == pytest.approx(J_twin, rel=1e-12)
    assert distance(gradients.flat, expected) < 1e-11
    if m < 100:
        difference = finite_difference(lambda: net.loss_and_grad(X, y)[0], net.params, 1e-4)
        assert distance(gradients.flat, difference) < 1e-6


@pytest.mark.parametrize("chain", CHAINS)
def test_gradients_in_float32(chain, rng):
    nets, (X, y) = [build(chain, dtype) for dtype in DTYPES], data(chain, 60, rng, "float32")
    nets[1].params[:] = nets[0].params
    narrow, wide = (net.loss_and_grad(X, y)[1].flat for net in nets)
    assert distance(narrow, wide) < 1e-4


def test_statistics_far_from_zero(rng):
    """A mean a thousand deviations away costs few digits in float32."""
    net = fn.Network([fn.BatchNorm(momentum=1), fn.Dense(1)], 3, random_state=0)
    X = rng.normal(1000, 1, (500, 3)).astype(np.float32)
    net.fit(X, np.zeros(500), batch_size=500, epochs=1)
    np.testing.assert_allclose(net.parameters["1.mean"], X.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(net.parameters["1.var"], X.var(axis=0, ddof=1, dtype=np.float64), rtol=1e-4)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_step_of_training(chain, rng):
    """Parameters go down the gradient, running statistics towards the batch's."""
    net, (X, y) = build(chain), data(chain, 21, rng)
    before, (_, gradient) = net.params.copy(), twin_gradient(net, X, y)
    _, A = net._graph.forward(net.parameters, net._flat(X), training=True)
    expected = before - 0.1 * gradient
    views = net.views(expected)
    for node in net._graph.nodes:
        if node.operation.kind == "batch_norm":
            mean, var, n = node.operation.statistics(A[node.sources[0]])
            for name, of_batch in (("mean", mean), ("var", var * n / (n - 1))):
                view, share = views[f"{node.path}.{name}"], node.operation.momentum
                view[...] = (1 - share) * view + share * of_batch
    net.fit(X, y, optimizer=fn.SGD(0.1), batch_size=21, iterations=1, sampling="sequential")
    assert distance(net.params, expected) < 1e-11


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("max_grad_norm", [None, 0.5])
def test_threads_do_not_change_bits(chain, max_grad_norm, rng):
    """Nor do shares of a batch whose rows are no multiple of a group's."""
    X, y = data(chain, 203, rng)

    def compute():
        net = build(chain, "float32")
        net.fit(X, y, batch_size=101, epochs=2, random_state=0, max_grad_norm=max_grad_norm)
        return net.params, net.loss_and_grad(X, y)[1].flat, net.forward(X)

    assert_same_bits_by_any_team(compute)


def test_files_pickles_copies_and_checkpoints(rng, tmp_path):
    X, y = data("image", 40, rng, "float32")
    net = build("image", "float32")
    begun = copy.deepcopy(net)
    net.fit(X, y, epochs=4, batch_size=8, random_state=0)
    begun.fit(X, y, epochs=2, batch_size=8, random_state=0, callbacks=[fn.Checkpoint(tmp_path)])
    resumed = build("image", "float32")
    resumed.fit(
        X, y, epochs=4, batch_size=8, random_state=0, callbacks=[fn.Checkpoint(tmp_path)], resume_from=checkpoint.latest(tmp_path)
    )
    np.testing.assert_array_equal(resumed.params, net.params)
    net.save(tmp_path / "net.safetensors")
    for other in (fn.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert other.layers == net.layers
        np.testing.assert_array_equal(other.forward(X), net.forward(X))
        np.testing.assert_array_equal(other.parameters["2.var"], net.parameters["2.var"])


def ragged(dtype="float64"):
    layers = [fn.Conv1d(3, 3, "identity", padding="same"), fn.BatchNorm("tanh"), fn.Conv1d(2, 2, "silu"), fn.GlobalPool()]
    net = fn.Network([*layers, fn.Dense(2, "identity")], input_shape=(9, 2), ragged=True, dtype=dtype, random_state=0)
    net.params[:] += 0.2 * np.random.default_rng(1).random(net.n_params)
    return net


def test_rows_of_unequal_length(rng):
    """Only positions that there are count; what lies beyond never matters."""
    net, lengths = ragged(), [max(2, n) for n in LENGTHS]
    rows, y = [rng.normal(1, 2, (n, 2)) for n in lengths], rng.random((len(LENGTHS), 2))
    J, gradients = net.loss_and_grad(rows, y)
    J_twin, expected = twin_gradient(net, rows, y)
    assert J == pytest.approx(J_twin, rel=1e-12)
    assert distance(gradients.flat, expected) < 1e-11
    _, A = net._graph.forward(net.parameters, net._flat(rows))
    assert distance(net.forward(rows), A[-1]) < 1e-12
    padded = np.full((len(rows), 9, 2), np.nan)
    for to, row in zip(padded, rows, strict=True):
        to[: len(row)] = row
    np.testing.assert_array_equal(net.loss_and_grad(fn.Ragged.from_padded(padded, lengths), y)[1].flat, gradients.flat)


@pytest.mark.parametrize("ensemble", ["packed", "batch", "mini"])
def test_ensembles(ensemble, rng):
    net, (X, y) = build("flat", n_members=3, ensemble=ensemble), data("flat", 12, rng)
    Z, A = net._graph.forward(net.parameters, X, training=True)
    Y = np.repeat(y[:, None], 3, axis=1).reshape(12, -1)
    expected = net._graph.backward(net.parameters, Z, A, (A[-1] - Y) / len(y) / 3)[0]
    flat = np.concatenate([expected[name].ravel() for name in net.parameters])
    views = net.views(net.loss_and_grad(X, y)[1].flat)
    assert distance(np.concatenate([view.ravel() for view in views.values()]), flat) < 1e-11
    if ensemble == "packed":
        np.testing.assert_allclose(net.member(1).forward(X), net.forward_members(X)[:, 1], rtol=1e-12, atol=1e-12)


def test_a_batch_of_one_position_leaves_the_running_statistics(rng):
    net, (X, y) = build("flat"), data("flat", 9, rng)
    net.fit(X[:1], y[:1], epochs=3)
    fresh = build("flat")
    for name in ("2.mean", "2.var"):
        np.testing.assert_array_equal(net.parameters[name], fresh.parameters[name])
    assert np.isfinite(net.params).all()


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_factor_of_zero_leaves_the_running_statistics_too(n_members, rng):
    """So the frozen part of a loaded network predicts as before."""
    layers = [fn.Conv1d(4, 3, "identity"), fn.BatchNorm("relu"), fn.GlobalPool(), fn.Dense(3), fn.BatchNorm(), fn.Dense(2)]
    net = fn.Network(layers, input_shape=(8, 2), n_members=n_members, random_state=0)
    X, y = 3 + rng.normal(size=(40, 8, 2)), rng.normal(size=(40, 2))
    for factors, left in (
        ({"1": 0, "2": 0}, ("1.W", "1.b", "2.gain", "2.bias", "2.mean", "2.var")),
        ({"2.mean": 0, "2.gain": 0, "b": 0.1}, ("2.gain", "2.mean")),
        ({"var": 0}, ("2.var", "5.var")),
    ):
        before = {name: view.copy() for name, view in net.parameters.items()}
        net.fit(X, y, epochs=2, learning_rate_factors=factors, random_state=0)
        assert {name for name, view in net.parameters.items() if np.array_equal(view, before[name])} == {*left}


def test_where_it_cannot_be(rng):
    net, (X, y) = build("flat"), data("flat", 9, rng)
    with pytest.raises(ValueError, match=r"L-BFGS .* BatchNorm"):
        net.fit(X, y, optimizer="lbfgs")
    before = net.params.copy()
    with pytest.raises(ValueError, match=r"update does not update the running statistics of BatchNorm: train with Network.fit"):
        fn.update(net, net.loss_and_grad(X, y)[1], fn.init_state(net))
    assert np.array_equal(net.params, before)
    with pytest.raises(ValueError, match="momentum must be"):
        fn.BatchNorm(momentum=0)
