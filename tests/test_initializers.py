"""Initial weights: moments, bounds, defaults and seeds."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn
from fastnet.activations import ACTIVATIONS
from fastnet.initializers import INITIALIZERS

N_IN, N_OUT = 300, 500

VARIANCE = {
    "glorot_uniform": 2 / (N_IN + N_OUT),
    "glorot_normal": 2 / (N_IN + N_OUT),
    "he_uniform": 2 / N_IN,
    "he_normal": 2 / N_IN,
    "lecun_normal": 1 / N_IN,
    "zeros": 0.0,
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_moments(name, rng):
    W = INITIALIZERS[name]()(rng, N_IN, N_OUT)
    assert W.shape == (N_IN, N_OUT)
    variance, n = VARIANCE[name], W.size
    assert abs(W.mean()) <= 5 * np.sqrt(variance / n)
    assert W.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / n))
    if name.endswith("uniform"):
        bound = np.sqrt(3 * variance)
        assert np.abs(W).max() <= bound
        assert np.abs(W).max() > 0.999 * bound
    if name.endswith("normal"):
        assert np.abs(W).max() > 4 * np.sqrt(variance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_default_suits_the_activation(activation):
    expected = {"selu": fn.LeCunNormal()}
    family = ("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus", "hardswish")
    expected |= dict.fromkeys(family, fn.HeNormal())
    assert fn.Dense(2, activation).initializer == expected.get(activation, fn.GlorotUniform())
    assert fn.Dense(2, activation, initializer="zeros").initializer == fn.Zeros()


def test_biases_start_at_zero_and_layers_use_their_own_initializer():
    net = fn.Network([fn.Dense(50, "relu"), fn.Dense(60, "tanh", initializer="zeros"), fn.Dense(2)], 40, random_state=0)
    assert all((b == 0).all() for b in net.biases)
    assert (net.weights[1] == 0).all()
    assert net.weights[0].std() == pytest.approx(np.sqrt(2 / 40), rel=0.1)


def test_same_seed_same_weights_in_both_dtypes():
    layers = [fn.Dense(5, "relu"), fn.Dense(3, "softmax")]
    single, double = (fn.Network(layers, 4, dtype=dtype, random_state=7) for dtype in ("float32", "float64"))
    assert np.array_equal(single.params, double.params.astype(np.float32))
    assert not np.array_equal(single.params, fn.Network(layers, 4, random_state=8).params)
    assert not np.array_equal(fn.Network(layers, 4).params, fn.Network(layers, 4).params)


def parameters_of(random_state):
    return fn.Network([fn.Dense(5)], 4, random_state=random_state).params


@pytest.mark.parametrize("kind", [np.int64, np.random.SeedSequence, np.random.default_rng])
def test_kinds_of_random_state(kind):
    assert np.array_equal(parameters_of(kind(3)), parameters_of(3))


def test_a_random_state_of_old_is_advanced_by_a_draw():
    state, same = np.random.RandomState(3), np.random.RandomState(3)
    first = parameters_of(state)
    assert np.array_equal(first, parameters_of(same))
    assert not np.array_equal(first, parameters_of(state))


@pytest.mark.parametrize("state", [-1, "seed", 0.5])
def test_bad_random_state(state):
    with pytest.raises(
        (ValueError, TypeError), match="random_state must be None, a non-negative int or a numpy.random.Generator"
    ):
        fn.Network([fn.Dense(5)], 4, random_state=state)
