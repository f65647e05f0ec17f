"""NetworkClassifier and NetworkRegressor: any list of layers with the methods of the perceptrons."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor

import fastnet as fn
from fastnet.torch import to_torch_state_dict

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning")
LAYERS = [fn.Conv2d(4, 3), fn.MaxPool(2), fn.Flatten()]
OPTIONS = {"max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    return X.reshape(-1, 8, 8, 1) / 16, np.array(list("abcd"))[y]


@pytest.fixture(scope="module")
def fitted(digits):
    return fn.NetworkClassifier(LAYERS, **OPTIONS).fit(*digits)


@pytest.fixture(scope="module")
def regressor(digits):
    X, _ = digits
    return fn.NetworkRegressor(LAYERS, scale_target=True, **OPTIONS).fit(X, 100 + X.sum(axis=(1, 2, 3)))


def test_images(digits):
    X, y = digits
    clf = fn.NetworkClassifier(LAYERS, max_iter=60, learning_rate_init=0.01, random_state=0).fit(X[::2], y[::2])
    assert clf.score(X[1::2], y[1::2]) > 0.95
    assert clf.input_shape_ == (8, 8, 1)
    assert [type(layer).__name__ for layer in clf.network_.layers] == ["Conv2d", "MaxPool", "Flatten", "Dense"]


def test_a_list_may_end_with_the_output_layer(digits, fitted):
    whole = fn.NetworkClassifier([*LAYERS, fn.Dense(4, "softmax")], **OPTIONS).fit(*digits)
    assert_array_equal(whole.predict_proba(digits[0]), fitted.predict_proba(digits[0]))


@pytest.mark.parametrize(
    ("last", "n_classes", "asked"),
    [
        (fn.Dense(3, "softmax"), 4, "Dense(4, 'softmax')"),
        (fn.Dense(1, "sigmoid"), 4, "Dense(4, 'softmax')"),
        (fn.Dense(2, "softmax"), 2, "Dense(1, 'sigmoid')"),
    ],
)
def test_output_layers_of_other_classes_are_refused(digits, last, n_classes, asked):
    X, y = digits
    chosen = np.isin(y, np.unique(y)[:n_classes])
    given = f"Dense({last.n_units}, '{last.activation.name}')"
    with pytest.raises(ValueError, match=re.escape(f"layers end with {given}, but y asks for {asked}: end with that, or leave")):
        fn.NetworkClassifier([*LAYERS, last]).fit(X[chosen], y[chosen])


@pytest.mark.parametrize(("ours", "theirs"), [(fn.NetworkClassifier, fn.MLPClassifier), (fn.NetworkRegressor, fn.MLPRegressor)])
def test_without_layers_they_are_the_perceptrons(digits, ours, theirs):
    X, y = digits[0], digits[1] == "a"
    network, mlp = ours(**OPTIONS).fit(X, y), theirs(**OPTIONS).fit(X.reshape(-1, 64), y)
    assert_array_equal(network.predict(X), mlp.predict(X.reshape(-1, 64)))
    for a, b in zip(network.coefs_, mlp.coefs_, strict=True):
        assert_array_equal(a, b)
    assert network.get_params().keys() - mlp.get_params().keys() == {"layers"}
    assert {k: v for k, v in network.get_params().items() if k != "layers"} == mlp.get_params()


def test_copies(tmp_path, digits, fitted, regressor):
    X, y = digits
    for model in (fitted, regressor):
        model.save(tmp_path / "model")
        for copy in (pickle.loads(pickle.dumps(model)), fn.load(tmp_path / "model")):
            assert_array_equal(copy.predict(X), model.predict(X))
            assert copy.layers == model.layers
            assert copy.input_shape_ == (8, 8, 1)
    again = clone(fitted).fit(X, y)
    assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("fitted_with", [None, LAYERS])
@pytest.mark.parametrize("layers", [None, LAYERS[1:], [fn.Dense(3)]])
def test_layers_that_are_set_after_fit_are_those_of_the_next(tmp_path, digits, fitted_with, layers):
    X, y = digits
    X = X if fitted_with else X.reshape(len(X), -1)
    clf = fn.NetworkClassifier(fitted_with, **OPTIONS).fit(X, y)
    expected, state = clf.predict_proba(X), to_torch_state_dict(clf)
    clf.set_params(layers=layers)
    clf.save(tmp_path / "model")
    for model in (clf, pickle.loads(pickle.dumps(clf)), fn.load(tmp_path / "model")):
        assert_array_equal(model.predict_proba(X), expected)
        assert model.layers == layers
        assert all(np.array_equal(array, state[name]) for name, array in to_torch_state_dict(model).items())


def test_without_data(digits):
    clf = fn.NetworkClassifier([fn.Dense(5)]).initialize(4, classes=["a", "b"])
    assert set(clf.predict(np.eye(4))) <= {"a", "b"}
    X, y = digits[0].reshape(-1, 64), digits[0].sum(axis=(1, 2, 3))
    theirs = MLPRegressor(max_iter=2, random_state=0).fit(X, y)
    np.testing.assert_allclose(fn.NetworkRegressor.from_sklearn(theirs).predict(X), theirs.predict(X))


def test_without_data_after_a_fit_on_images(digits, fitted):
    images, _ = digits
    again = pickle.loads(pickle.dumps(fitted)).set_params(layers=[fn.Dense(5)])
    with pytest.raises(ValueError, match="n_features"):
        again.initialize(0)
    assert_array_equal(again.predict_proba(images), fitted.predict_proba(images))
    assert again.initialize(64, classes=["a", "b"]).input_shape_ == (64,)
    assert set(again.predict(images.reshape(-1, 64))) <= {"a", "b"}
    regressor = fn.NetworkRegressor([fn.GRU(3)], **OPTIONS).fit([np.ones((n, 2)) for n in (3, 4)], [0, 1])
    assert regressor.set_params(layers=[fn.Dense(3)]).initialize(5).predict(np.ones((2, 5))).shape == (2,)


@pytest.mark.parametrize("estimator", [fn.NetworkClassifier, fn.NetworkRegressor])
def test_one_row_of_one_position(estimator, rng):
    """It has the shape of a single datapoint of the network."""
    X, y = rng.normal(size=(30, 1, 2)), np.arange(30) % 3
    model = estimator([fn.GRU(3)], max_iter=2, random_state=0).fit(X, y)
    assert_array_equal(np.concatenate([model.predict(X[number : number + 1]) for number in range(30)]), model.predict(X))


def test_early_stopping_on_given_rows(digits):
    X, y = digits
    weights = np.ones(len(y) - 100)
    clf = fn.NetworkClassifier(LAYERS, early_stopping=True, **OPTIONS)
    clf.fit(X[100:], y[100:], weights, X_val=X[:100], y_val=y[:100])
    assert clf.best_validation_score_ == clf.score(X[:100], y[:100])
    assert len(clf.validation_scores_) == 3


def test_it_trains_on(digits, fitted):
    X, y = digits
    twice = clone(fitted).set_params(warm_start=True).fit(X, y)
    before = twice.coefs_[0].copy()
    twice.fit(X, y)
    assert twice.t_ == 6 * len(X)
    assert not np.array_equal(before, twice.coefs_[0])
    with pytest.raises(ValueError, match="other layers"):
        twice.set_params(layers=LAYERS[1:]).fit(X, y)
    with pytest.raises(ValueError, match="other layers"):
        twice.set_params(layers=None).fit(X, y)
    with pytest.raises(ValueError, match="parameters of float64, but dtype='float32'. Set dtype back"):
        twice.set_params(layers=LAYERS, dtype="float32").fit(X, y)
    part = clone(fitted).partial_fit(X, y, classes=np.unique(y))
    assert part.n_iter_ == 1


def test_values_are_in_the_units_of_y(digits, regressor):
    X, _ = digits
    y = 100 + X.sum(axis=(1, 2, 3))
    assert regressor.score(X, y) == pytest.approx(r2_score(y, regressor.predict(X)))
    assert abs(regressor.predict(X).mean() - y.mean()) < 5


def test_lbfgs(digits):
    X, y = digits
    clf = fn.NetworkClassifier(LAYERS, solver="lbfgs", max_iter=30, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.95


DROPPING = [[fn.Dense(3, dropout=0.1)], [fn.Residual([fn.Dropout(0.1), fn.Dense(64)]), fn.LayerNorm()]]


@pytest.mark.parametrize("layers", DROPPING, ids=["dense", "nested"])
@pytest.mark.parametrize("solver", ["lbfgs", fn.LBFGS()])
def test_dropout_in_layers_has_no_effect_with_lbfgs(digits, layers, solver):
    X, y = digits[0].reshape(-1, 64), digits[1]
    message = "Dropout in layers has no effect with solver='lbfgs', which takes no mini-batches"
    with pytest.warns(UserWarning, match=message) as caught:
        fn.NetworkClassifier(layers, solver=solver, max_iter=2, random_state=0).fit(X, y)
    assert [w.filename for w in caught if "Dropout" in str(w.message)] == [__file__]


@pytest.mark.parametrize("layers", [[fn.GRU(3)], [fn.Conv1d(3, 2), fn.GlobalPool()], [fn.Flatten(), fn.Dense(3)]])
def test_the_loss_that_lbfgs_reports(layers, rng):
    """Of several outputs it is a mean over them, as that of the other solvers; the penalty is that of all layers."""
    X = rng.normal(size=(30, 4, 2))
    Y = X.sum(axis=1) + rng.normal(size=(30, 2))
    model = fn.NetworkRegressor(layers, solver="lbfgs", alpha=3.0, max_iter=20, random_state=0).fit(X, Y)
    network = model.network_
    penalty = 0.5 * 3.0 / 30 * float(np.sum(network.params[: network.n_weights] ** 2))
    assert model.loss_ == pytest.approx(((model.predict(X) - Y) ** 2).mean() / 2 + penalty, rel=1e-9)


def test_series_of_unequal_length():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40)
    X = [rng.normal(label, 1, (n, 2)) for label, n in zip(y, rng.integers(5, 12, 40), strict=True)]
    layers = [fn.Conv1d(4, 3, padding="same"), fn.GlobalPool()]
    clf = fn.NetworkClassifier(layers, max_iter=30, learning_rate_init=0.03, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.8
    assert_array_equal(clf.predict_proba(X), clf.predict_proba(fn.Ragged.from_rows(X)))


def test_series_too_short_for_the_layers():
    X = [np.ones((n, 2)) for n in (5, 3, 2, 5)]
    clf = fn.NetworkClassifier([fn.Conv1d(4, 3), fn.GlobalPool()], max_iter=1)
    message = r"has 2 positions; the network takes 3 to 5\. Leave it out"
    with pytest.raises(ValueError, match=f"Row 2 of X {message}"):
        clf.fit(X, [0, 1, 0, 1])
    clf.fit(X[:2], [0, 1])
    with pytest.raises(ValueError, match=f"Row 0 of X {message}"):
        clf.predict(X[2:])
    with pytest.raises(ValueError, match=f"Row 0 of X {message}"):
        clf.partial_fit(X[2:], [0, 1])


def test_onnx(digits, fitted, regressor):
    pytest.importorskip("onnx")
    session = pytest.importorskip("onnxruntime").InferenceSession
    X = digits[0].astype(np.float32)
    for model, predicted in ((fitted, fitted.predict_proba(X)), (regressor, regressor.predict(X))):
        run = session(model.to_onnx().SerializeToString())
        outputs = run.run(None, {run.get_inputs()[0].name: X.reshape(len(X), *run.get_inputs()[0].shape[1:])})
        assert np.allclose(outputs[-1].squeeze(), predicted, rtol=1e-4, atol=1e-5)


def test_diagnosis_and_pictures_see_the_layers(digits, fitted):
    from fastnet._models import model_view
    from fastnet.inspection import diagnose

    view = model_view(fitted)
    assert [type(layer).__name__ for layer in view.layers] == ["Conv2d", "MaxPool", "Flatten", "Dense"]
    assert view.classes.tolist() == list("abcd")
    diagnose(fitted, digits[0].reshape(len(digits[0]), -1), digits[1])


def test_wrong_layers(digits, fitted):
    X, y = digits
    with pytest.raises(ValueError, match=r"shape \(8, 4, 1\), but NetworkClassifier was fitted with rows of shape \(8, 8, 1\)"):
        fitted.predict(X[:, :, :4])
    with pytest.raises(ValueError, match="put fastnet.Flatten"):
        fn.NetworkClassifier(LAYERS[:2]).fit(X, y)
    with pytest.raises(ValueError, match="'layers' parameter"):
        fn.NetworkClassifier("dense").fit(X, y)
    pairs = [fn.EncoderDecoder([fn.GRU(3, return_sequences=True)], [fn.CrossAttention(1)]), fn.Last()]
    with pytest.raises(ValueError, match=r"EncoderDecoder reads pairs \(sources, rows\).*train fastnet.Network"):
        fn.NetworkClassifier(pairs).fit((X, X), y)
    with pytest.raises(TypeError, match="hidden_units"):
        fn.NetworkClassifier(hidden_units=3)
    with pytest.raises(ValueError, match="dense layers only"):
        fitted.to_sklearn()
