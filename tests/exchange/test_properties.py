"""Properties of every network, estimator and input, tested with hypothesis on the same cases in every run."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

import fastnet as fn
from fastnet import MLPClassifier, MLPRegressor
from fastnet.activations import ACTIVATIONS
from fastnet.losses import LOSSES
from fastnet.persistence import save

few = settings(max_examples=60, derandomize=True, deadline=None, database=None)
many = settings(max_examples=150, derandomize=True, deadline=None, database=None)

HIDDEN = [name for name in ACTIVATIONS if name not in ("softmax", "exponential")]
TOLERANCE = {np.dtype("float32"): 2e-5, np.dtype("float64"): 1e-11}
seeds = st.integers(0, 2**32 - 1)


@st.composite
def networks(draw, dtypes=("float32", "float64"), outputs=tuple(ACTIVATIONS), dropout=True):
    """A network of one to four layers of one to nine units."""
    hidden = draw(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(HIDDEN)), max_size=3))
    output = draw(st.sampled_from(outputs))
    n_outputs = draw(st.integers(2 if output == "softmax" else 1, 5))
    layers = [fn.Dense(n, name, dropout=draw(st.sampled_from([0.0, 0.3])) if dropout else 0.0) for n, name in hidden]
    options = {"n_inputs": draw(st.integers(1, 7)), "dtype": draw(st.sampled_from(dtypes)), "random_state": draw(seeds)}
    network = fn.Network([*layers, fn.Dense(n_outputs, output)], **options)
    return network


def _plain(X):
    return X


def _fortran(X):
    return np.asfortranarray(X)


def _strided(X):
    return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]


def _reversed(X):
    return X[::-1, ::-1].copy()[::-1, ::-1]


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def _big_endian(X):
    return X.astype(X.dtype.newbyteorder(">"))


def _lists(X):
    return X.tolist()


layouts = st.sampled_from([_plain, _fortran, _strided, _reversed, _read_only, _big_endian, _lists, sparse.csr_matrix])


@st.composite
def batches(draw, n_inputs, min_rows=1):
    """Rows of features, in float32 or float64."""
    rng = np.random.default_rng(draw(seeds))
    return rng.normal(size=(draw(st.integers(min_rows, 40)), n_inputs)).astype(draw(st.sampled_from(["float32", "float64"])))


def _targets(network, loss, n_rows, rng):
    """Targets that the loss accepts."""
    if loss == "cross_entropy":
        return rng.integers(0, network.n_outputs, n_rows)
    shape = (n_rows, network.n_outputs)
    if loss == "binary_cross_entropy":
        return rng.integers(0, 2, shape)
    return rng.poisson(2, shape) if loss == "poisson" else rng.normal(size=shape)


def _losses(network):
    """The losses that are defined for the network's outputs."""
    found = []
    for name in LOSSES:
        try:
            fn.losses.get(name, network.layers[-1].activation)
        except ValueError:
            continue
        found.append(name)
    return found


@few
@given(data=st.data())
def test_forward_of_a_batch_is_that_of_its_rows(data):
    network = data.draw(networks())
    X = data.draw(batches(network.n_inputs))
    layout = data.draw(layouts)
    whole = network.forward(layout(X))
    rows = np.stack([network.forward(row) for row in X])
    tolerance = TOLERANCE[network.dtype]
    np.testing.assert_allclose(whole, rows, rtol=tolerance, atol=tolerance)
    cut = data.draw(st.integers(0, len(X)))
    parts = np.concatenate([network.forward(X[:cut]), network.forward(X[cut:])])
    np.testing.assert_allclose(parts, whole, rtol=tolerance, atol=tolerance)
    assert whole.dtype == network.dtype


@few
@given(data=st.data())
def test_gradients_are_finite_differences(data):
    network = data.draw(networks(dtypes=["float64"], dropout=False))
    loss = data.draw(st.sampled_from(_losses(network)))
    rng = np.random.default_rng(data.draw(seeds))
    X = rng.normal(size=(data.draw(st.integers(1, 12)), network.n_inputs))
    options = {"loss": loss, "l2": data.draw(st.sampled_from([0.0, 0.1]))}
    if data.draw(st.booleans()):
        options["sample_weight"] = rng.uniform(0.1, 2, len(X))
    y = _targets(network, loss, len(X), rng)
    network.params[:] += 0.3 * rng.normal(size=network.n_params)  # away from the kinks, where many units are with biases of 0
    _, gradient = network.loss_and_grad(X, y, **options)
    direction = rng.normal(size=network.n_params)
    start, h = network.params.copy(), 1e-6
    values = []
    for step in (h, -h):
        network.params[:] = start + step * direction
        values.append(network.loss(X, y, **options))
    slope = (values[0] - values[1]) / (2 * h)
    np.testing.assert_allclose(gradient.flat @ direction, slope, rtol=1e-5, atol=1e-6 * (1 + np.abs(gradient.flat).sum()))


@few
@given(data=st.data())
def test_round_trips(data, tmp_path_factory):
    network = data.draw(networks())
    path = tmp_path_factory.getbasetemp() / "round_trip.safetensors"
    network.save(path)
    for twin in (fn.load(path), fn.load(path, mmap=False), pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert twin.layers == network.layers
        assert twin.dtype == network.dtype
        assert twin.params.tobytes() == network.params.tobytes()


@few
@given(data=st.data())
def test_onnx_round_trip(data):
    pytest.importorskip("onnx")
    from fastnet.onnx import from_onnx, to_onnx

    network = data.draw(networks(dropout=False))
    twin = from_onnx(to_onnx(network, dtype=network.dtype.name, opset=data.draw(st.integers(13, 24))))
    assert [layer.activation for layer in twin.layers] == [layer.activation for layer in network.layers]
    assert twin.params.tobytes() == network.params.tobytes()


@few
@given(data=st.data())
def test_the_same_seed_trains_the_same_network_and_leaves_inputs_alone(data):
    network = data.draw(networks(outputs=("identity", "sigmoid", "softmax", "softplus")))
    X = data.draw(batches(network.n_inputs, min_rows=2))
    layout = data.draw(layouts)
    loss = data.draw(st.sampled_from(_losses(network)))
    rng = np.random.default_rng(0)
    y, weight = _targets(network, loss, len(X), rng), rng.uniform(0.5, 1.5, len(X))
    options = {
        "loss": loss,
        "optimizer": data.draw(st.sampled_from(["sgd", "adagrad", "rmsprop", "adam", "adamw"])),
        "batch_size": data.draw(st.integers(1, 50)),
        "epochs": 2,
        "sampling": data.draw(st.sampled_from(["shuffle", "random", "sequential"])),
        "sample_weight": data.draw(st.sampled_from([None, weight])),
        "random_state": data.draw(seeds),
        "learning_rate": 0.01,
        "max_grad_norm": 1.0,
    }
    given_X, before = layout(X), [array.tobytes() for array in (X, y, weight)]
    first, second = copy.deepcopy(network), copy.deepcopy(network)
    first.fit(given_X, y, **options)
    second.fit(given_X, y, **options)
    assert first.params.tobytes() == second.params.tobytes()
    assert np.isfinite(first.params).all()
    first.predict(given_X), first.loss(given_X, y, loss=loss), first.activations(given_X)
    assert [array.tobytes() for array in (X, y, weight)] == before
    assert np.array_equal(given_X.toarray() if sparse.issparse(given_X) else np.asarray(given_X), X)


strange_numbers = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=5),
    st.binary(max_size=3),
)
strange_dtypes = st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes(max_len=3), hnp.datetime64_dtypes())
strange_arrays = st.one_of(
    strange_numbers,
    st.lists(st.one_of(strange_numbers, st.lists(strange_numbers, max_size=3)), max_size=4),
    hnp.arrays(strange_dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    hnp.arrays(np.float64, st.tuples(st.integers(0, 5), st.just(3))),
    hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(3))),
)


def _documented(call):
    """Call it; any error must be one of the documented ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except (ValueError, TypeError, fn.DivergenceError) as error:
            assert str(error)
            return None


@many
@given(X=strange_arrays, y=strange_arrays, sample_weight=st.one_of(st.none(), strange_arrays))
def test_strange_data_gets_documented_errors(X, y, sample_weight):
    """Whatever the data, a ValueError or TypeError, and parameters as they were; or finite results."""
    network = fn.Network([fn.Dense(2, "tanh"), fn.Dense(2, "identity")], n_inputs=3, random_state=0)
    before = network.params.copy()
    for call in (network.forward, network.predict, network.activations):
        _documented(lambda call=call: call(X))
    _documented(lambda: network.loss(X, y, sample_weight=sample_weight))
    assert np.array_equal(network.params, before)
    if _documented(lambda: network.fit(X, y, sample_weight=sample_weight, epochs=1)) is None:
        assert np.array_equal(network.params, before)
    assert np.isfinite(network.params).all()


@many
@given(
    n_units=strange_numbers,
    activation=st.one_of(st.sampled_from(list(ACTIVATIONS)), strange_numbers),
    n_inputs=st.one_of(st.integers(-1, 5), strange_numbers),
    dtype=st.one_of(st.sampled_from(["float32", "float64"]), strange_numbers),
    number=strange_numbers,
)
def test_strange_arguments_get_documented_errors(n_units, activation, n_inputs, dtype, number):
    """Constructors refuse meaningless arguments before they allocate anything."""
    calls = [
        lambda: fn.Dense(n_units, activation, dropout=number),
        lambda: fn.Network([fn.Dense(2, activation)], n_inputs, dtype=dtype, random_state=number),
        lambda: fn.LeakyReLU(number),
        lambda: fn.Adam(number, beta1=number),
        lambda: fn.SGD(0.1, momentum=number),
        lambda: fn.Huber(number),
        lambda: fn.Quantile(number),
        lambda: fn.OneCycle(number, n_steps=number),
        lambda: fn.EarlyStopping(patience=number, min_delta=number),
    ]
    for call in calls:
        if not (isinstance(n_inputs, int) and n_inputs > 1000):
            _documented(call)


LABELS = st.sampled_from([[0, 1], [0, 1, 2], ["a", "b"], ["x", "yy", "z"], [False, True], [-3, 7, 9, 11]])


@settings(few, max_examples=25)
@given(data=st.data())
def test_estimators(data, tmp_path_factory):
    """Random labels, dtypes, layouts and parameters: fitting twice gives one model, and files hold it whole."""
    rng = np.random.default_rng(data.draw(seeds))
    n_rows, n_features = data.draw(st.integers(8, 40)), data.draw(st.integers(1, 5))
    X = rng.normal(size=(n_rows, n_features)).astype(data.draw(st.sampled_from(["float32", "float64"])))
    layout = data.draw(st.sampled_from([_plain, _fortran, _strided, _read_only, sparse.csr_matrix]))
    options = {
        "hidden_layer_sizes": data.draw(st.lists(st.integers(1, 6), max_size=2)),
        "activation": data.draw(st.sampled_from(["logistic", *HIDDEN])),
        "solver": data.draw(st.sampled_from(["sgd", "adam", "adamw", "rmsprop"])),
        "batch_size": data.draw(st.sampled_from(["auto", 1, 7])),
        "random_state": data.draw(st.integers(0, 99)),
        "max_iter": 3,
    }
    if data.draw(st.booleans()):
        labels = np.array(data.draw(LABELS))
        y, cls = labels[np.arange(n_rows) % len(labels)], MLPClassifier
    else:
        y, cls = rng.normal(size=(n_rows, data.draw(st.integers(1, 3)))).squeeze(), MLPRegressor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = (cls(**options).fit(layout(X), y) for _ in range(2))
    path = tmp_path_factory.getbasetemp() / "estimator.safetensors"
    save(first, path)
    for twin in (second, fn.load(path), pickle.loads(pickle.dumps(first))):
        assert np.array_equal(twin.predict(X), first.predict(X))
        for mine, theirs in zip(twin.coefs_ + twin.intercepts_, first.coefs_ + first.intercepts_, strict=True):
            assert mine.tobytes() == theirs.tobytes()
