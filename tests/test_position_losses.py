"""Outputs with a softmax at each position: every position that has a target counts as a row of its own would."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import DTYPES, assert_same_bits_by_any_team, distance, finite_difference

import fastnet as fn
from fastnet._core import core

T, C, K = 5, 3, 4
LAYERS = (fn.Dense(6, "tanh"), fn.LayerNorm(), fn.Dense(K, "softmax"))


def network(dtype="float64", layers=LAYERS, **options):
    net = fn.Network(layers, input_shape=(T, C), dtype=dtype, random_state=0, **options)
    net.params[:] += 0.3 * np.random.default_rng(1).standard_normal(net.n_params)
    return net


def flat(net):
    """The same layers for one position."""
    single = fn.Network(LAYERS, C, dtype=net.dtype)
    single.params[:] = net.params
    return single


def data(rng, m, share=0.3):
    """Rows, and targets of which a share is missing."""
    y = rng.integers(0, K, (m, T))
    return rng.standard_normal((m, T, C)), np.where(rng.random((m, T)) < share, -1, y)


@pytest.mark.parametrize("loss", [None, fn.CrossEntropy(label_smoothing=0.2)])
@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_position_is_a_row(loss, share, weighted, rng):
    net = network()
    (X, y), w = data(rng, 9, share), rng.uniform(0.5, 2, 9) if weighted else None
    y[3] = y[3] if share == 0 else -1
    there = y >= 0
    each = np.repeat(w if weighted else np.ones(9), T).reshape(9, T)[there]
    J, gradients = net.loss_and_grad(X, y, loss=loss, sample_weight=w)
    expected, of_flat = flat(net).loss_and_grad(X[there], y[there], loss=loss, sample_weight=each)
    assert J == pytest.approx(expected, rel=1e-12)
    assert net.loss(X, y, loss=loss, sample_weight=w) == pytest.approx(expected, rel=1e-12)
    assert distance(gradients.flat, of_flat.flat) < 1e-12
    assert net.score(X, y, w) == pytest.approx(flat(net).score(X[there], y[there], each), rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs(dtype, rng):
    net, X = network(dtype), data(rng, 9)[0]
    A = net.forward(X)
    assert A.shape == (9, T, K)
    assert distance(A.reshape(-1, K), flat(net).forward(X.reshape(-1, C))) < 1e-6
    assert np.array_equal(net.predict(X), A.argmax(axis=-1))
    assert net.forward(X[0]).shape == (T, K)
    assert net.predict_proba(X).shape == (9, T, K)
    assert distance(net.activations(X)[-1], A) == 0


def test_finite_differences_through_attention(rng):
    layers = [fn.Dense(4, "identity"), fn.Positions(), fn.TransformerBlock(2, 5, causal=True), fn.Dense(K, "softmax")]
    net, (X, y) = network(layers=layers), data(rng, 6)
    _, gradients = net.loss_and_grad(X, y)
    assert distance(gradients.flat, finite_difference(lambda: net.loss(X, y), net.params, 1e-5)) < 1e-7


def test_images(rng):
    """A class for each pixel."""
    net = fn.Network([fn.Conv2d(4, 3, "tanh", padding="same"), fn.Dense(2, "softmax")], input_shape=(5, 4, 1), random_state=0)
    X = rng.standard_normal((60, 5, 4, 1))
    y = (X[..., 0] > 0).astype(int)
    net.fit(X, y, epochs=40, optimizer=fn.Adam(0.02), random_state=0)
    assert net.forward(X).shape == (60, 5, 4, 2)
    assert net.score(X, y) > 0.95
    assert np.mean(net.predict(X) == y) == pytest.approx(net.score(X, y))


class TestUnequalLengths:
    LENGTHS = (5, 2, 4, 1)

    def rows(self, rng):
        X = [rng.standard_normal((n, C)) for n in self.LENGTHS]
        return X, [rng.integers(0, K, n) for n in self.LENGTHS]

    @pytest.mark.parametrize("form", ["list", "ragged", "padded"])
    def test_positions_of_all_rows_count_alike(self, form, rng):
        X, y = self.rows(rng)
        targets = {"list": y, "ragged": fn.Ragged.from_rows(y), "padded": fn.Ragged.from_rows(y).padded()}[form]
        net = network(ragged=True)
        J, gradients = net.loss_and_grad(X, targets)
        expected, of_flat = flat(net).loss_and_grad(np.concatenate(X), np.concatenate(y))
        assert J == pytest.approx(expected, rel=1e-12)
        assert distance(gradients.flat, of_flat.flat) < 1e-12
        assert net.score(X, targets) == pytest.approx(flat(net).score(np.concatenate(X), np.concatenate(y)))

    @pytest.mark.parametrize("padded", [False, True])
    @pytest.mark.parametrize("dtype", ["bool", "uint8", "uint64", "int8", "float16"])
    def test_labels_whose_dtype_has_no_room_for_none(self, dtype, padded, rng):
        X, y = [rng.standard_normal((n, C)) for n in (5, 3, 2)], [rng.integers(0, 2, n) for n in (5, 3, 2)]
        net = network(ragged=True)
        expected = net.loss(X, y)
        given = [labels.astype(dtype) for labels in y]
        assert net.loss(X, fn.Ragged.from_rows(given).padded() if padded else given) == expected

    def test_outputs_beyond_the_length(self, rng):
        net, (X, _) = network(ragged=True), self.rows(rng)
        A, classes = net.forward(X), net.predict(X)
        for a, numbers, row in zip(A, classes, X, strict=True):
            assert distance(a[: len(row)], flat(net).forward(row)) < 1e-12
            assert not a[len(row) :].any()
            assert np.array_equal(numbers[: len(row)], a[: len(row)].argmax(axis=-1))
            assert (numbers[len(row) :] == -1).all()

    def test_windows_make_fewer_positions(self, rng):
        X, _ = self.rows(rng)
        layers = [fn.Conv1d(3, 2, "tanh", stride=2, padding=1), fn.Dense(K, "softmax")]
        net = network(layers=layers, ragged=True)
        y = [rng.integers(0, K, n // 2 + 1) for n in self.LENGTHS]
        assert [int((row >= 0).sum()) for row in net.predict(X)] == [len(row) for row in y]
        assert np.isfinite(net.loss(X, y))
        with pytest.raises(ValueError, match="3 for row 0 of 4; got 4 rows, row 0 of 5"):
            net.loss(X, [np.zeros(n) for n in self.LENGTHS])


def test_threads_do_not_change_bits(rng):
    X, y = data(rng, 600)

    def compute():
        net = network("float32")
        history = net.fit(X, y, batch_size=256, epochs=2, random_state=0, validation_data=(X[:50], y[:50]))
        return net.params, history.loss, history.val_loss

    assert_same_bits_by_any_team(compute)


def test_the_history_has_the_mean_loss_of_the_positions_of_each_batch(rng):
    X, y = data(rng, 40)
    net = network()
    losses = [net.loss(X[i : i + 8], y[i : i + 8]) for i in range(0, 40, 8)]
    history = net.fit(X, y, batch_size=8, epochs=1, optimizer=fn.SGD(1e-30), sampling="sequential")
    assert history.loss[0] == pytest.approx(np.mean(losses), rel=1e-12)


def test_losses_of_many_rows_of_an_ensemble(rng):
    """Those of rows that are far from the first, in members and in positions, are found again."""
    X, y = rng.standard_normal((3000, 30)), rng.integers(0, 3, 3000)
    net = fn.Network([fn.Dense(300, "relu"), fn.Dense(3, "softmax")], 30, n_members=8, random_state=0)
    assert net.loss_and_grad(X, y)[0] == pytest.approx(net.loss(X, y), rel=1e-6)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros((4, T + 1)), r"each of the 5 positions of the output of 4 rows, got shape \(4, 6\)"),
        (np.full((4, T), K), "integers from -1 to 3"),
        (np.full((4, T), 0.5), "integers from -1 to 3"),
        (np.full((4, T), -1), "y has no targets"),
    ],
)
def test_targets_that_do_not_fit(y, message, rng):
    with pytest.raises(ValueError, match=message):
        network().fit(rng.standard_normal((4, T, C)), y)


class Alone:
    """A communicator of one rank."""

    rank, size = 0, 1

    def allreduce(self, vector):
        return vector

    def allgather(self, value):
        return [value]


@pytest.mark.parametrize("ragged", [False, True])
def test_axes_of_targets_in_another_order_are_refused(ragged, rng):
    """They have as many numbers, which belong to other positions."""
    net, (X, _) = network(ragged=ragged), data(rng, 6)
    y = rng.integers(0, K, (6, T))
    for same in (y[:, :, None], y.tolist()):
        assert net.loss(X, same) == net.loss(X, y)
    with pytest.raises(ValueError, match=rf"of the output.*, got shape \({T}, 6\)"):
        net.loss(X, y.T)
    images = fn.Network([fn.Conv2d(2, 1), fn.Dense(2, "softmax")], input_shape=(5, 4, 1), random_state=0)
    X, y = rng.standard_normal((3, 5, 4, 1)), rng.integers(0, 2, (3, 5, 4))
    assert images.loss(X, y.reshape(3, -1)) == images.loss(X, y)
    with pytest.raises(ValueError, match=r"\(3, 5, 4\), got shape \(3, 4, 5\)"):
        images.fit(X, y.transpose(0, 2, 1))


def test_values_at_each_position_are_flat(rng):
    net = fn.Network([fn.GRU(3, return_sequences=True), fn.Dense(2, "identity")], input_shape=(T, C), random_state=0)
    X, y = rng.standard_normal((4, T, C)), rng.standard_normal((4, T, 2))
    with pytest.raises(ValueError, match=rf"shape \(4, {T}, 2\)\. Put the values of all positions .*: y.reshape\(len\(y\), -1\)"):
        net.fit(X, y)
    assert net.loss(X, y.reshape(len(y), -1)) == pytest.approx(np.mean((net.forward(X).reshape(y.shape) - y) ** 2) * T, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("output", "loss"),
    [
        ("identity", "squared_error"),
        ("identity", "huber"),
        ("sigmoid", "binary_cross_entropy"),
        ("sigmoid", "squared_error"),
        ("softplus", "poisson"),
    ],
)
def test_values_at_a_position_are_those_of_a_row(output, loss, weighted, rng):
    """The loss of a row is the sum of the losses of its positions."""
    layers = [fn.Dense(6, "tanh"), fn.LayerNorm(), fn.Dense(2, output)]
    net, single = network(layers=layers), fn.Network(layers, C, dtype="float64")
    single.params[:] = net.params
    X, y = rng.standard_normal((9, T, C)), rng.integers(0, 2, (9, T, 2)).astype(float)
    w = rng.uniform(0.5, 2, 9) if weighted else None
    each = np.repeat(w, T) if weighted else None
    J, gradients = net.loss_and_grad(X, y.reshape(9, -1), loss=loss, sample_weight=w)
    expected, of_single = single.loss_and_grad(X.reshape(-1, C), y.reshape(-1, 2), loss=loss, sample_weight=each)
    assert J == pytest.approx(T * expected, rel=1e-12)
    assert net.loss(X, y.reshape(9, -1), loss=loss, sample_weight=w) == pytest.approx(J, rel=1e-12)
    assert distance(gradients.flat, T * of_single.flat) < 1e-12


@pytest.mark.parametrize(("output", "loss"), [("identity", "squared_error"), ("sigmoid", "binary_cross_entropy")])
def test_finite_differences_of_values_at_each_position(output, loss, rng):
    layers = [fn.GRU(4, return_sequences=True), fn.Positions(), fn.TransformerBlock(2, 5), fn.Dense(2, output)]
    net = network(layers=layers)
    X, y = rng.standard_normal((6, T, C)), rng.integers(0, 2, (6, 2 * T)).astype(float)
    _, gradients = net.loss_and_grad(X, y, loss=loss)
    assert distance(gradients.flat, finite_difference(lambda: net.loss(X, y, loss=loss), net.params)) < 1e-8


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_values_at_each_position_of_rows_of_unequal_length_are_refused(output):
    """Positions that a row does not have would count: the loss of their sigmoid, log 2, is not 0 for any target."""
    with pytest.raises(ValueError, match=r"its shape is \(5, 2\): put fastnet.GlobalPool.*, or let it have 'softmax'"):
        network(layers=[fn.GRU(4, return_sequences=True), fn.Dense(2, output)], ragged=True)


def test_blocks_and_ranks_are_refused(rng):
    X, y = data(rng, 8)
    with pytest.raises(ValueError, match="trained by Network.fit on arrays, not on blocks"):
        network().fit(fn.data.from_arrays(X.reshape(8, -1), y, block_rows=4))
    with pytest.raises(ValueError, match="not by several processes"):
        fn.distributed.fit(network(), X, y, comm=Alone(), epochs=1)


def test_what_the_core_refuses():
    dense = (core.LAYER_CODES["dense"], (0,), (1, 2, 4, 3, 1), (), 1.0, core.ACTIVATION_CODES["softmax"], 0.0, 0.0)
    plan = core.Plan(6, [dense], n_positions=3)
    params, X, w = np.zeros(plan.n_params), np.zeros((2, 6)), np.ones(2)
    form = fn.CrossEntropy().core_form(12)
    assert core.loss(plan, params, form, X, np.zeros((2, 3), np.int32), w) == pytest.approx(np.log(4))
    with pytest.raises(ValueError, match="between -1 and 3, got 4 in row 1"):
        core.loss(plan, params, form, X, np.array([[0, 0, 0], [0, 0, 4]], np.int32), w)
    with pytest.raises(ValueError, match="with the rows' weights"):
        core.loss(plan, params, form, X, np.zeros((2, 3), np.int32))
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        core.loss(plan, params, form, X, np.zeros((2, 4), np.int32), w)
    for options in ({"n_positions": 5}, {"n_positions": 2, "n_members": 2}):
        with pytest.raises(ValueError, match="positions of"):
            core.Plan(6, [dense], **options)
