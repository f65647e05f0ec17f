"""The tables of choices: complete, consistent with the core, documented, and with clear errors for unknown names."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import reference
from helpers import ACTIVATION_OBJECTS, LOSS_OBJECTS, label, pairable, targets

import fastnet as fn
from fastnet import activations, initializers, losses, optimizers, schedules
from fastnet._core import core

TABLES = {
    "activation": (activations.ACTIVATIONS, activations.get),
    "loss": (losses.LOSSES, lambda spec: losses.get(spec, fn.Softmax())),
    "optimizer": (optimizers.OPTIMIZERS, optimizers.get),
    "initializer": (initializers.INITIALIZERS, initializers.get),
    "learning_rate schedule": (schedules.SCHEDULES, schedules.get),
}


def test_tables_and_core_know_the_same_choices():
    assert set(activations.ACTIVATIONS) == set(core.ACTIVATION_CODES) == set(reference.ACTIVATIONS) | {"softmax"}
    assert set(losses.LOSSES) == set(core.LOSS_CODES) == set(reference.LOSSES)
    rules = [row() for row in optimizers.OPTIMIZERS.values() if row is not fn.LBFGS]
    rules += [fn.SGD(momentum=0.5), fn.SGD(momentum=0.5, nesterov=True)]
    assert {rule.kernel for rule in rules} == set(core.OPTIMIZER_CODES)


@pytest.mark.parametrize("kind", TABLES)
def test_rows_are_named_and_documented(kind):
    table, _ = TABLES[kind]
    for name, row in table.items():
        assert row.name == name
        assert row.formula
        assert row.__doc__
        assert getattr(fn, row.__name__) is row, f"{row.__name__} is not exported"


@pytest.mark.parametrize("kind", ["activation", "optimizer", "initializer"])
def test_get_takes_names_classes_and_objects(kind):
    table, get = TABLES[kind]
    for name, row in table.items():
        assert get(name) == get(row) == get(row()) == row()


@pytest.mark.parametrize("kind", TABLES)
def test_unknown_names_list_the_known_ones(kind):
    table, get = TABLES[kind]
    with pytest.raises(ValueError, match=f"Unknown {kind} 'nonsense'; known are: {', '.join(sorted(table))}"):
        get("nonsense")


@pytest.mark.parametrize("kind", ["activation", "loss", "optimizer", "initializer"])
def test_other_types_are_refused(kind):
    with pytest.raises(TypeError, match=f"{kind} must be a name or an object of class"):
        TABLES[kind][1](3)


def test_logistic_is_sigmoid():
    assert activations.get("logistic") == fn.Sigmoid()


@pytest.mark.parametrize("row", [*ACTIVATION_OBJECTS, *LOSS_OBJECTS], ids=label)
def test_rows_are_values(row):
    assert pickle.loads(pickle.dumps(row)) == row
    assert hash(row) == hash(pickle.loads(pickle.dumps(row)))
    with pytest.raises(AttributeError):
        row.name = "other"


@pytest.mark.parametrize("activation", ACTIVATION_OBJECTS, ids=label)
def test_activation_in_numpy(activation, dtype, rng):
    z = rng.standard_normal((20, 7)).astype(dtype)
    a = activation(z)
    assert a.dtype == dtype
    expected = reference.activate((activation.name, activation.parameter), z.astype(np.float64))
    np.testing.assert_allclose(
        a, expected, rtol=2e-5 if dtype == "float32" else 1e-13, atol=1e-7 if dtype == "float32" else 1e-15
    )
    assert np.array_equal(activation([[1, -2]]), activation(np.array([[1.0, -2.0]])))


@pytest.mark.parametrize("activation", [a for a in ACTIVATION_OBJECTS if a.derivable], ids=label)
def test_derivative_in_numpy(activation, dtype, rng):
    z = rng.standard_normal(50).astype(dtype)
    assert activation.derivative(z).dtype == dtype
    z, h = z.astype(np.float64), 1e-6
    np.testing.assert_allclose(activation.derivative(z), (activation(z + h) - activation(z - h)) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATION_OBJECTS, ids=label)
def test_activation_of_large_numbers_in_numpy(activation):
    with np.errstate(over="raise", invalid="raise"):
        z = np.array([[700.0, -700.0, 0.0]])
        assert np.isfinite(activation(z)).all()


def test_softmax_has_no_elementwise_derivative():
    with pytest.raises(TypeError, match="softmax has no elementwise derivative"):
        fn.Softmax().derivative([[1.0, 2.0]])


@pytest.mark.parametrize("loss", LOSS_OBJECTS, ids=label)
def test_loss_in_numpy(loss, rng):
    n = 3
    a = rng.uniform(0.1, 0.9, (20, n))
    y = np.repeat(targets(loss, 20, n, rng), n // loss.n_targets(n), axis=1)
    levels = loss.per_output(n)
    value, slope = reference.LOSSES[loss.name]
    parameter = loss.parameter if levels is None else levels
    np.testing.assert_allclose(loss(a, y), value(a, y, parameter).sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(loss.derivative(a, y), slope(a, y, parameter), rtol=1e-12, atol=1e-14)
    h = 1e-6
    numeric = (loss.elementwise(a + h, y) - loss.elementwise(a - h, y)) / (2 * h)
    np.testing.assert_allclose(loss.derivative(a, y), numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", LOSS_OBJECTS, ids=label)
def test_perfect_predictions_have_the_least_loss(loss):
    y = np.array([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]])
    best = loss._smooth(y) if loss.name == "cross_entropy" else y
    for move in ([0.01, -0.01, 0.0], [0.0, -0.01, 0.01]):
        assert (loss(best + np.array(move), y) > loss(best, y)).all()


VALID = {
    "binary_cross_entropy": {"sigmoid", "softmax"},
    "cross_entropy": {"softmax"},
    "poisson": {"exponential", "softplus", "sigmoid", "softmax"},
}


@pytest.mark.parametrize("loss", LOSS_OBJECTS, ids=label)
def test_which_output_activations_a_loss_takes(loss):
    valid = {a.name for a in ACTIVATION_OBJECTS if pairable(a, loss)}
    assert valid == VALID.get(loss.name, set(activations.ACTIVATIONS))


def test_an_invalid_pair_says_what_to_do():
    net = fn.Network([fn.Dense(2, "relu")], 3)
    with pytest.raises(ValueError, match="loss 'cross_entropy' needs probabilities that sum to 1: 'softmax'; .* 'relu'"):
        net.loss(np.eye(3), [0, 1, 0], loss="cross_entropy")
    with pytest.raises(ValueError, match="loss 'poisson' needs positive outputs: 'exponential' or 'softplus'"):
        net.fit(np.eye(3), np.eye(3)[:, :2], loss="poisson")
    with pytest.raises(ValueError, match=r"needs outputs in \(0, 1\): 'sigmoid'"):
        net.loss_and_grad(np.eye(3), np.eye(3)[:, :2], loss=fn.BinaryCrossEntropy())


def test_default_losses():
    expected = {"sigmoid": "binary_cross_entropy", "softmax": "cross_entropy", "exponential": "poisson"}
    for activation in ACTIVATION_OBJECTS:
        assert losses.get(None, activation).name == expected.get(activation.name, "squared_error")


@pytest.mark.parametrize(
    "build",
    [
        lambda: fn.LeakyReLU(-0.1),
        lambda: fn.ELU(float("nan")),
        lambda: fn.CrossEntropy(1.0),
        lambda: fn.Huber(0.0),
        lambda: fn.Quantile(1.0),
        lambda: fn.Quantile((0.1, 0.0)),
        lambda: fn.Quantile(()),
    ],
)
def test_bad_parameters(build):
    with pytest.raises(ValueError, match="must"):
        build()


class _Cubed(activations.Activation):
    name = "cubed"


class _Swish2(fn.SiLU):
    def __call__(self, z):
        return z / (1 + np.exp(-2 * z))


class _Weighted(fn.SquaredError):
    def elementwise(self, a, y):
        return 3 * super().elementwise(a, y)


class _Own(losses.Loss):
    name = "own"


class _Lion(optimizers.GradientRule):
    name = "lion"


@pytest.mark.parametrize(
    "activation, options, message",
    [
        (_Cubed(), {}, "_Cubed is not in the compiled core, which has elu"),
        (_Swish2(), {}, "_Swish2 overrides __call__ of SiLU"),
        ("identity", {"loss": _Weighted()}, "_Weighted overrides elementwise of SquaredError"),
        ("identity", {"loss": _Own()}, "_Own is not in the compiled core"),
        ("identity", {"optimizer": _Lion()}, "_Lion is not in the compiled core"),
    ],
)
def test_what_the_core_does_not_have_is_refused(activation, options, message):
    with pytest.raises(TypeError, match=message):
        net = fn.Network([fn.Dense(2, activation), fn.Dense(1, "identity")], 3)
        net.fit(np.ones((4, 3)), np.ones(4), epochs=1, **options)


def test_derived_classes_that_compute_the_same_are_taken():
    class Slow(fn.Adam):
        def decay(self):
            return 0.5

    class Named(fn.ReLU):
        """The same function."""

    net = fn.Network([fn.Dense(2, Named()), fn.Dense(1, "identity")], 3, random_state=0)
    other = fn.Network([fn.Dense(2, "relu"), fn.Dense(1, "identity")], 3, random_state=0)
    net.fit(np.ones((4, 3)), np.ones(4), epochs=3, optimizer=Slow(), random_state=0)
    other.fit(np.ones((4, 3)), np.ones(4), epochs=3, optimizer=fn.AdamW(weight_decay=0.5), random_state=0)
    assert np.array_equal(net.params, other.params)
