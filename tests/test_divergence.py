"""Losses and parameters that are not finite stop training at once, and the network has the parameters of the last epoch (L-BFGS:
iteration) that ended with finite ones."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from helpers import network

import fastnet as fn
from fastnet import _objective
from fastnet._lbfgs import minimise, on_rows

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 3)), RNG.standard_normal(40)


class Keep(fn.Callback):
    def __init__(self):
        self.params, self.ended = None, False

    def on_epoch_end(self, session):
        self.params = session.network.params.copy()

    def on_train_end(self, session):
        self.ended = True


def linear(dtype="float64"):
    return network([fn.Dense(1, "identity")], 3, dtype)


def test_divergence_names_epoch_batch_and_cure(dtype):
    """From epoch 3 on the learning rate is huge: its second batch has an infinite loss; the parameters of epoch 2 are kept."""
    net, keep = linear(dtype), Keep()
    huge = 3e38 if dtype == "float32" else 1e308
    with pytest.raises(fn.DivergenceError, match="Training diverged in epoch 3, batch 2: .*Lower the learning rate") as raised:
        net.fit(
            X,
            100 * Y,
            optimizer="sgd",
            batch_size=10,
            learning_rate=lambda j: huge if j >= 8 else 0.01,
            epochs=9,
            callbacks=[keep],
        )
    assert (raised.value.epoch, raised.value.batch) == (3, 2)
    assert np.array_equal(net.params, keep.params)
    assert keep.ended
    assert "standardise" in str(raised.value)
    assert "max_grad_norm" in str(raised.value)


def test_divergence_in_the_first_epoch_leaves_the_initial_parameters(dtype):
    net = linear(dtype)
    before = net.params.copy()
    with pytest.raises(fn.DivergenceError) as raised:
        net.fit(X, Y, optimizer=fn.SGD(1e200 if dtype == "float64" else 1e30), batch_size=10)
    assert raised.value.epoch == 1
    assert np.array_equal(net.params, before)


def test_the_last_update_of_an_epoch_is_looked_at_too():
    """The loss of the only batch is finite, but the update is not."""
    net = linear()
    before = net.params.copy()
    with pytest.raises(fn.DivergenceError, match="epoch 1, batch 1"):
        net.fit(X * 1e160, Y, optimizer=fn.SGD(1e300), batch_size=40, epochs=1, l2=0.0)
    assert np.array_equal(net.params, before)


@pytest.mark.parametrize("place", range(19))
def test_one_parameter_that_overflows_in_the_last_update_is_found(dtype, place):
    """Zeros in all columns but one: all gradients but one and the bias's are zero."""
    large = 1e30 if dtype == "float32" else 1e200
    X = np.zeros((1, 19), dtype)
    X[0, place] = large
    net = fn.Network([fn.Dense(1, "identity", initializer="zeros")], 19, dtype=dtype)
    with pytest.raises(fn.DivergenceError, match="epoch 1, batch 1"):
        net.fit(X, np.ones((1, 1)), optimizer=fn.SGD(large), epochs=1)
    assert not net.params.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_network_that_is_not_finite_does_not_train(bad):
    net = linear()
    net.weights[0][0, 0] = bad
    with pytest.raises(fn.DivergenceError, match="epoch 1, batch 1"):
        net.fit(X, Y)


def test_a_diverged_network_can_be_trained_again():
    net = linear()
    with pytest.raises(fn.DivergenceError):
        net.fit(X, Y, optimizer=fn.SGD(1e200), batch_size=10)
    history = net.fit(X, Y, optimizer=fn.SGD(0.05), epochs=30)
    assert history.loss[-1] < history.loss[0]


def test_clipping_is_a_cure():
    net = linear()
    net.fit(X, 1e6 * Y, optimizer=fn.SGD(1.5), max_grad_norm=1.0, epochs=20)
    assert np.isfinite(net.params).all()


def test_the_error_is_an_arithmetic_error_and_can_be_pickled():
    error = fn.DivergenceError("message", 3, 2)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ArithmeticError)
    assert (str(again), again.epoch, again.batch) == ("message", 3, 2)


@pytest.mark.parametrize(
    ("dtype", "scale_of_X", "scale_of_y"),
    [("float32", 1e20, 1), ("float32", 1e30, 1e30), ("float64", 1e200, 1), ("float64", 1, 1e200), ("float64", 1e150, 1)],
)
def test_lbfgs_that_cannot_start_diverges(dtype, scale_of_X, scale_of_y):
    """The loss, the gradient or its square overflows."""
    net = linear(dtype)
    before = net.params.copy()
    with pytest.raises(fn.DivergenceError, match="L-BFGS diverged in iteration 1: .*Standardise the features") as raised:
        net.fit(scale_of_X * X, scale_of_y * Y, optimizer="lbfgs", epochs=10)
    assert (raised.value.epoch, raised.value.batch) == (1, 1)
    assert np.array_equal(net.params, before)
    net.fit(X, Y, optimizer="lbfgs", epochs=10)


@pytest.fixture
def lbfgs_with(monkeypatch):
    """L-BFGS with loss and gradient changed by a function ``(evaluation, J, gradient) -> J``: the net, iterates and error."""
    compute = _objective.loss_and_grad_of

    def run(change, **options):
        net, iterates, evaluations = linear(), [], []

        def changed(network, X, y, loss, sample_weight, out, **options):
            evaluations.append(True)
            return change(len(evaluations), compute(network, X, y, loss, sample_weight, out, **options), out)

        def note(result):
            iterates.append(net.params.copy())

        monkeypatch.setattr("fastnet._lbfgs.loss_and_grad_of", changed)
        try:
            minimise(net, on_rows(X, Y[:, None], loss=fn.SquaredError()), callback=note, tol=1e-9, **options)
        except fn.DivergenceError as error:
            return net, iterates, error
        return net, iterates, None

    return run


def nan_loss(evaluation, J, gradient):
    return np.nan if evaluation > 6 else J


def nan_gradient(evaluation, J, gradient):
    gradient[0] = np.nan if evaluation > 6 else gradient[0]
    return J


def bottomless(evaluation, J, gradient):
    return -np.inf if evaluation > 6 else J


@pytest.mark.parametrize("change", [nan_loss, nan_gradient, bottomless])
def test_lbfgs_that_meets_nan_or_infinity_ends_with_the_last_iterate(lbfgs_with, change):
    net, iterates, error = lbfgs_with(change)
    assert iterates
    assert error.epoch == len(iterates) + 1
    assert np.array_equal(net.params, iterates[-1])
    assert np.isfinite(net.params).all()


def test_lbfgs_goes_on_after_a_step_that_was_too_long(lbfgs_with):
    expected = lbfgs_with(lambda evaluation, J, gradient: J)[0].params
    net, iterates, error = lbfgs_with(lambda evaluation, J, gradient: np.inf if evaluation in (2, 5) else J)
    assert error is None
    assert len(iterates) > 2
    np.testing.assert_allclose(net.params, expected, atol=1e-6)


def test_lbfgs_that_finds_no_lower_loss_warns(monkeypatch):
    """Here, because the gradient points the wrong way; otherwise, because rounding is larger than what is left to gain."""
    compute = _objective.loss_and_grad_of

    def uphill(network, X, y, loss, sample_weight, out, **options):
        J = compute(network, X, y, loss, sample_weight, out, **options)
        out *= -1
        return J

    monkeypatch.setattr("fastnet._lbfgs.loss_and_grad_of", uphill)
    net = linear()
    before = net.params.copy()
    with pytest.warns(RuntimeWarning, match="L-BFGS stopped after 0 iterations before it reached a minimum") as caught:
        assert len(net.fit(X, Y, optimizer="lbfgs", epochs=10)) == 0
    assert [warning.filename for warning in caught] == [__file__]
    assert np.array_equal(net.params, before)


@pytest.mark.parametrize("rate", [3.0, 0.01])
def test_growth_of_a_loss_that_stays_finite_is_said(rate):
    """Plain gradient descent at far too high a rate: the loss grows by a factor an epoch, and is finite for hundreds of them."""
    net = linear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = net.fit(X, Y, optimizer=fn.SGD(rate), batch_size=40, epochs=200)
    assert np.isfinite(history.loss).all()
    messages = [str(warning.message) for warning in caught if warning.category is fn.DivergenceWarning]
    if rate == 0.01:
        assert messages == []
    else:
        assert history.loss[-1] > 1e100
        assert len(messages) == 1
        assert messages[0].startswith(f"Training diverged: the loss grew from {history.loss[0]:.3g} in the first epoch to ")
        assert caught[-1].filename == __file__


def test_noise_of_a_loss_near_zero_is_no_growth():
    net = linear()
    net.fit(X, X @ [1.0, 2.0, 3.0], optimizer="lbfgs", epochs=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit(X, X @ [1.0, 2.0, 3.0], optimizer=fn.Adam(1e-5), epochs=3)


def test_no_epoch_is_no_growth():
    class Stop(fn.Callback):
        def on_train_begin(self, session):
            session.stop_requested = True

    assert len(linear().fit(X, Y, callbacks=[Stop()])) == 0
