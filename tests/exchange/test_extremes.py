"""Extreme numbers: finite results or a clear error, never a silent model of NaN."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastnet as fn
from fastnet import MLPClassifier, MLPRegressor
from fastnet.activations import ACTIVATIONS
from fastnet.losses import LOSSES

DTYPES = ["float32", "float64"]
OPTIMIZERS = ["sgd", "adagrad", "rmsprop", "adam", "adamw"]
CANONICAL = {
    "squared_error": "identity",
    "binary_cross_entropy": "sigmoid",
    "cross_entropy": "softmax",
    "poisson": "exponential",
    "absolute_error": "identity",
    "huber": "identity",
    "log_cosh": "identity",
    "quantile": "identity",
}
SATURATING = ["binary_cross_entropy", "cross_entropy"]  # logits of any size give finite losses


def _targets(loss, n):
    if loss == "cross_entropy":
        return np.arange(n) % 3
    y = np.stack([np.arange(n) % 2] * 3, axis=1)
    return y.astype(float)


def _perceptron(loss, dtype, scale=1.0):
    """One layer of three outputs on three inputs, whose weights are the identity times a scale: inputs are the logits."""
    layers = [fn.Dense(3, CANONICAL[loss])]
    return fn.Network.from_parameters(layers, [scale * np.eye(3)], [np.zeros(3)], dtype=dtype)


def _train_or_diverge(network, X, y, **options):
    """Fit; a divergence must be reported, and the model is finite either way. Return whether training reached its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            history = network.fit(X, y, **options)
        except (fn.DivergenceError, fn.DivergenceWarning) as error:
            assert "learning rate" in str(error)
            trained = False
        else:
            assert np.isfinite(history.loss).all()
            trained = True
    assert np.isfinite(network.params).all()
    return trained


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", SATURATING)
@pytest.mark.parametrize("logit", [1e4, -1e4, 88.8, 104.0, 745.2, 3e38])
def test_huge_logits(loss, dtype, logit):
    """Predictions that are right or wrong by any margin: loss and gradient are finite, the gradient at most 1 per logit."""
    network = _perceptron(loss, dtype)
    X, y = logit * np.eye(3, dtype=dtype), _targets(loss, 3)
    A = network.forward(X)
    assert np.isfinite(A).all() and (A >= 0).all() and (A <= 1).all()
    J, gradient = network.loss_and_grad(X, y)
    assert np.isfinite(J) and np.isfinite(gradient.flat).all()
    assert np.abs(gradient.biases[0]).max() <= 1 + 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_huge_logits_are_exact(dtype):
    """A wrong answer by 10^4 costs 10^4, not infinity: the loss is computed from the logits."""
    binary = _perceptron("binary_cross_entropy", dtype)
    X = np.array([[1e4, -1e4, 0.0]])
    assert binary.loss(X, np.array([[0.0, 1.0, 0.0]])) == pytest.approx(2e4 + np.log(2), rel=1e-6)
    assert binary.loss(X, np.array([[1.0, 0.0, 0.0]])) == pytest.approx(np.log(2), rel=1e-6)
    assert _perceptron("cross_entropy", dtype).loss(X, [1]) == pytest.approx(2e4, rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_extreme_numbers(name, dtype):
    """No NaN from finite input; infinite only where the function itself overflows."""
    info = np.finfo(dtype)
    Z = np.array([info.max, -info.max, 1e4, -1e4, info.tiny, -info.tiny, info.smallest_subnormal, 0.0, -0.0], dtype)
    network = fn.Network.from_parameters([fn.Dense(2, name)], [[[1.0, 0.5]]], [[0.0, 0.0]], dtype=dtype)
    A = network.forward(Z[:, None])
    assert not np.isnan(A).any()
    overflows = np.isinf(A[:, 0])
    if name in ("exponential",):
        assert overflows[[0, 2]].all() and not overflows[[1, 3, 4, 5, 6, 7, 8]].any()
    elif name == "selu":  # its factor of 1.05
        assert not overflows[1:].any()
    else:
        assert not overflows.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_learning_rate_of_a_thousand(loss, optimizer, dtype, rng):
    network = fn.Network([fn.Dense(8, "relu"), fn.Dense(3, CANONICAL[loss])], n_inputs=4, dtype=dtype, random_state=0)
    options = {"loss": loss, "optimizer": optimizer, "learning_rate": 1e3, "epochs": 30}
    _train_or_diverge(network, rng.normal(size=(50, 4)), _targets(loss, 50), **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_data_of_extreme_scale(scale, loss, dtype, rng):
    """Tiny features train (gradients underflow silently); huge ones train or diverge with an error."""
    network = fn.Network([fn.Dense(8, "tanh"), fn.Dense(3, CANONICAL[loss])], n_inputs=4, dtype=dtype, random_state=0)
    trained = _train_or_diverge(network, scale * rng.normal(size=(50, 4)), _targets(loss, 50), loss=loss, epochs=10)
    assert trained or scale > 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_denormal_gradients(optimizer, dtype, rng):
    """Targets and features so small that gradients are below the smallest normal number: training goes on, finite."""
    tiny = float(np.finfo(dtype).tiny)
    network = fn.Network([fn.Dense(3, "identity")], n_inputs=4, dtype=dtype, random_state=0)
    network.params[:] *= 0
    X = np.sqrt(tiny) * rng.normal(size=(20, 4))
    _, gradient = network.loss_and_grad(X, 0.1 * np.sqrt(tiny) * np.ones((20, 3)))
    assert np.abs(gradient.weights[0]).max() < tiny
    assert _train_or_diverge(network, X, 0.1 * np.sqrt(tiny) * np.ones((20, 3)), optimizer=optimizer, epochs=20)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", ["one target", "constant features", "features of zero", "weights of zero", "one row"])
def test_degenerate_data(case, loss, dtype, rng):
    network = fn.Network([fn.Dense(5, "relu"), fn.Dense(3, CANONICAL[loss])], n_inputs=4, dtype=dtype, random_state=0)
    X, y = rng.normal(size=(30, 4)), _targets(loss, 30)
    if case == "one target":
        y = np.repeat(y[:1], 30, axis=0)
    elif case == "constant features":
        X[:] = 5
    elif case == "features of zero":
        X[:] = 0
    elif case == "weights of zero":
        network.params[:] = 0
    else:
        X, y = X[:1], y[:1]
    assert _train_or_diverge(network, X, y, loss=loss, epochs=10, batch_size=8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_predictions_that_overflow_are_infinite_not_nan(dtype):
    """exp(1000) is infinite in both dtypes, and computing a loss from it raises an error."""
    network = _perceptron("poisson", dtype)
    assert np.isinf(network.forward(np.full((1, 3), 1e3))).all()
    assert not _train_or_diverge(network, np.full((4, 3), 1e3), np.ones((4, 3)), loss="poisson")


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_estimators(cls, solver, scale, rng):
    """An estimator that fit returns predicts finite numbers; otherwise fit raised an error."""
    X, y = scale * rng.normal(size=(60, 4)), np.arange(60) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            estimator = cls(hidden_layer_sizes=(5,), solver=solver, learning_rate_init=1.0, max_iter=20, random_state=0).fit(X, y)
        except ValueError as error:
            assert "non-finite" in str(error) or "large" in str(error)
            assert scale > 1
            return
    outputs = estimator.predict_proba(X) if cls is MLPClassifier else estimator.predict(X)
    assert np.isfinite(outputs).all()
