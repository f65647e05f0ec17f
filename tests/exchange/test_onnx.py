"""ONNX: ONNX Runtime computes what fastnet computes, and graphs come back as networks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

import fastnet as fn
from fastnet import MLPClassifier, MLPRegressor
from fastnet.activations import ACTIVATIONS

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from fastnet.onnx import from_onnx, to_onnx  # noqa: E402
from fastnet.onnx._activations import EXPRESSIONS, OPERATORS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
OPSETS = [13, 18, 20, 24]


def _run(model, X):
    """All outputs of a model, by name."""
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, {"X": X}), strict=True))


@pytest.fixture
def X(rng):
    return rng.normal(size=(200, 4), scale=3).astype(np.float32)


def test_every_activation_has_a_row():
    assert OPERATORS.keys() | EXPRESSIONS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("opset", OPSETS)
def test_networks_agree_with_onnx_runtime(every_network, opset, X):
    """Every activation, as hidden and as output layer: within 1e-5 in float32, and a model that onnx's own checker accepts."""
    model = to_onnx(every_network, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    expected = every_network.forward(X)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(_run(model, X)["output"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", OPSETS)
def test_networks_come_back(every_network, opset):
    again = from_onnx(to_onnx(every_network, opset=opset).SerializeToString())
    assert [layer.activation for layer in again.layers] == [layer.activation for layer in every_network.layers]
    assert again.dtype == np.float32
    assert np.array_equal(again.params, every_network.params)


@pytest.mark.parametrize("activation", ["identity", "sigmoid", "tanh", "relu", "exponential", "softmax", "silu"])
def test_float64(activation, X):
    """Where ONNX Runtime has float64 kernels, it agrees to 1e-12."""
    network = fn.Network([fn.Dense(7, "tanh"), fn.Dense(3, activation)], n_inputs=4, dtype="float64", random_state=0)
    model = to_onnx(network, dtype="float64")
    np.testing.assert_allclose(_run(model, X.astype(float))["output"], network.forward(X.astype(float)), rtol=1e-12, atol=1e-14)
    assert from_onnx(model).params.tobytes() == network.params.tobytes()


def test_alpha_comes_back_as_it_was_written():
    network = fn.Network([fn.Dense(2, fn.LeakyReLU(0.1)), fn.Dense(2, fn.ELU(0.3))], n_inputs=2, random_state=0)
    assert [layer.activation for layer in from_onnx(to_onnx(network)).layers] == [fn.LeakyReLU(0.1), fn.ELU(0.3)]


IRIS, SPECIES = load_iris(return_X_y=True)
TARGETS = {
    "three classes": SPECIES,
    "two classes": (SPECIES == 1).astype(int),
    "negative and large": np.array([-5, 7, 2**40])[SPECIES],
    "bool": SPECIES == 1,
    "strings": np.array(["setosa", "größer", "c"])[SPECIES],
    "two strings": np.array(["no", "yes"], object)[(SPECIES == 1).astype(int)],
    "floats": np.array([0.0, 1.0, 4.0])[SPECIES],
    "one class": np.full(150, 3),
    "small uint64": np.array([0, 1, 2**63 - 1], np.uint64)[SPECIES],
    "bounds of int64": np.array([-(2**63), 0, 2**63 - 1])[SPECIES],
}


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
def test_classifiers_agree_with_onnx_runtime(y):
    estimator = MLPClassifier((9,), "tanh", random_state=0, max_iter=60, learning_rate_init=0.02, dtype="float32").fit(IRIS, y)
    model = to_onnx(estimator)
    onnx.checker.check_model(model, full_check=True)
    X = IRIS.astype(np.float32)
    got = _run(model, X)
    assert list(got) == ["label", "probabilities"]
    np.testing.assert_allclose(got["probabilities"], estimator.predict_proba(X), atol=1e-5)
    assert got["label"].shape == (150,)
    assert got["label"].tolist() == estimator.predict(X).tolist()
    assert got["label"].dtype == (object if estimator.classes_.dtype.kind in "OU" else np.int64)


def test_labels_beyond_int64():
    """Such labels stay uint64; ZipMap does not support them as keys."""
    labels = np.array([5, 2**63, 2**64 - 1], np.uint64)
    estimator = MLPClassifier((9,), random_state=0, max_iter=60, learning_rate_init=0.02, dtype="float32")
    estimator.fit(IRIS, labels[SPECIES])
    model = to_onnx(estimator)
    onnx.checker.check_model(model, full_check=True)
    X = IRIS.astype(np.float32)
    got = _run(model, X)["label"]
    assert got.dtype == np.uint64
    assert got.tolist() == estimator.predict(X).tolist()
    assert set(got.tolist()) == set(labels.tolist())
    with pytest.raises(ValueError, match="zipmap needs labels that are int64 or strings"):
        to_onnx(estimator, zipmap=True)


@pytest.mark.parametrize("dtype", ["M8[Y]", "M8[ns]", "m8[s]"])
def test_dates_are_refused_as_labels(dtype):
    estimator = MLPClassifier((3,), max_iter=2).fit(IRIS, SPECIES.astype(dtype))
    with pytest.raises(ValueError, match=r"class labels are (datetime|timedelta)64\[.*y.astype\(str\)"):
        to_onnx(estimator)
    as_text = MLPClassifier((3,), max_iter=2).fit(IRIS, SPECIES.astype(dtype).astype(str))
    X = IRIS.astype(np.float32)
    assert _run(to_onnx(as_text), X)["label"].tolist() == as_text.predict(X).tolist()


REGRESSORS = {
    "scaled": {"scale_target": True},
    "quantiles": {"loss": "quantile", "quantile": [0.9, 0.1, 0.5]},
    "scaled quantiles": {"loss": "quantile", "quantile": [0.9, 0.1, 0.5], "scale_target": True},
    "unsorted": {"loss": "quantile", "quantile": [0.9, 0.1, 0.5], "sort_quantiles": False},
}


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", REGRESSORS.values(), ids=REGRESSORS.keys())
def test_regressors_predict_in_units_of_y_and_in_order(options, dtype, opset):
    """Scaling is part of the last product; quantiles are sorted for each target, in float32 and float64, of many rows or none."""
    X = IRIS.astype(dtype)
    y = np.stack([50 + 5 * IRIS[:, 0], IRIS[:, 1] / 100], axis=1)
    estimator = MLPRegressor(hidden_layer_sizes=(9,), random_state=0, max_iter=5, dtype=dtype, **options).fit(X, y)
    model = to_onnx(estimator, dtype=dtype, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    (got,) = _run(model, X).values()
    single = dtype == "float32"
    np.testing.assert_allclose(got, estimator.predict(X), rtol=1e-5 if single else 1e-11, atol=1e-5 if single else 1e-12)
    assert _run(model, X[:0])["variable"].shape == (0, estimator.n_outputs_)
    if "quantile" in options:
        by_target = got.reshape(150, 2, 3)[:, :, [1, 2, 0]]
        assert (np.diff(by_target, axis=2) >= 0).all() == estimator.sort_quantiles


def test_networks_of_scaled_targets_come_back():
    estimator = MLPRegressor(hidden_layer_sizes=(9,), max_iter=5, scale_target=True, random_state=0).fit(IRIS, 100 * IRIS[:, 0])
    network = from_onnx(to_onnx(estimator, dtype="float64"))
    np.testing.assert_allclose(network.forward(IRIS)[:, 0], estimator.predict(IRIS), rtol=1e-12)


def test_multilabel():
    y = np.stack([SPECIES == 0, IRIS[:, 0] > 6, IRIS[:, 1] > 3], axis=1).astype(int)
    estimator = MLPClassifier((9,), random_state=0, max_iter=60, learning_rate_init=0.02, dtype="float32").fit(IRIS, y)
    got = _run(to_onnx(estimator), IRIS.astype(np.float32))
    assert np.array_equal(got["label"], estimator.predict(IRIS.astype(np.float32)))
    assert 0 < got["label"].mean() < 1
    np.testing.assert_allclose(got["probabilities"], estimator.predict_proba(IRIS), atol=1e-5)
    with pytest.raises(ValueError, match="multilabel"):
        to_onnx(estimator, zipmap=True)


@pytest.mark.parametrize("labels", [np.array([2, 5, 9]), np.array(["a", "b", "c"])], ids=["integers", "strings"])
def test_zipmap(labels):
    estimator = MLPClassifier((9,), random_state=0, max_iter=30, dtype="float32").fit(IRIS, labels[SPECIES])
    model = to_onnx(estimator, zipmap=True)
    onnx.checker.check_model(model, full_check=True)
    got = _run(model, IRIS[:5].astype(np.float32))
    assert list(got) == ["output_label", "output_probability"]
    expected = estimator.predict_proba(IRIS[:5])
    assert list(got["output_probability"][0]) == labels.tolist()
    np.testing.assert_allclose([list(row.values()) for row in got["output_probability"]], expected, atol=1e-5)


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "absolute_error", "huber"])
def test_regressors_agree_with_onnx_runtime(loss):
    X, y = load_diabetes(return_X_y=True)
    options = {"hidden_layer_sizes": (9, 5), "activation": ["gelu", "mish"], "max_iter": 30, "dtype": "float32"}
    estimator = MLPRegressor(loss=loss, random_state=0, **options).fit(X, y / 100)
    got = _run(to_onnx(estimator), X.astype(np.float32))
    assert list(got) == ["variable"]
    assert got["variable"].shape == (len(X), 1)
    np.testing.assert_allclose(got["variable"][:, 0], estimator.predict(X), rtol=1e-5, atol=1e-5)


def test_multi_output_regressor():
    estimator = MLPRegressor(hidden_layer_sizes=(9,), random_state=0, max_iter=30, dtype="float32").fit(IRIS, IRIS[:, :3])
    got = _run(to_onnx(estimator), IRIS.astype(np.float32))
    np.testing.assert_allclose(got["variable"], estimator.predict(IRIS), rtol=1e-5, atol=1e-5)


def test_scikit_learn_estimators_too():
    """The view of a model that exports are made from works for scikit-learn's own estimators."""
    from sklearn.neural_network import MLPClassifier as Theirs

    estimator = Theirs((9,), random_state=0, max_iter=30).fit(IRIS, SPECIES)
    got = _run(to_onnx(estimator), IRIS.astype(np.float32))
    np.testing.assert_allclose(got["probabilities"], estimator.predict_proba(IRIS), atol=1e-5)


def test_layout_is_that_of_skl2onnx():
    """The same inputs, outputs, names, types and shapes as skl2onnx gives scikit-learn's twin."""
    skl2onnx = pytest.importorskip("skl2onnx")
    for y, zipmap in ((SPECIES, False), (SPECIES, True), (np.array(["a", "b", "c"])[SPECIES], False)):
        estimator = MLPClassifier((4,), random_state=0, max_iter=5).fit(IRIS, y)
        theirs = skl2onnx.to_onnx(estimator.to_sklearn(), IRIS[:1].astype(np.float32), options={"zipmap": zipmap})
        ours = to_onnx(estimator, zipmap=zipmap)
        assert [output.name for output in ours.graph.output] == [output.name for output in theirs.graph.output]
        assert [output.type.WhichOneof("value") for output in ours.graph.output] == [
            output.type.WhichOneof("value") for output in theirs.graph.output
        ]
        X = IRIS[:7].astype(np.float32)
        for mine, yours in zip(_run(ours, X).values(), _run(theirs, X).values(), strict=True):
            if zipmap and isinstance(mine, list):
                assert [list(row) for row in mine] == [list(row) for row in yours]
            else:
                assert mine.dtype == yours.dtype and mine.shape == yours.shape


def test_arguments_out_of_range(network):
    with pytest.raises(ValueError, match="dtype is 'float16'"):
        to_onnx(network, dtype="float16")
    with pytest.raises(ValueError, match="opset is 12"):
        to_onnx(network, opset=12)
    with pytest.raises(TypeError, match="fastnet.Network"):
        to_onnx({"W": 1})
    estimator = MLPClassifier((3,), max_iter=2).fit(IRIS, SPECIES)
    estimator.classes_ = np.array([1, "a", None], dtype=object)
    with pytest.raises(ValueError, match="mixed"):
        to_onnx(estimator)


def test_classifiers_come_back_by_their_probabilities():
    estimator = MLPClassifier((9,), "tanh", random_state=0, max_iter=30, dtype="float32").fit(IRIS, SPECIES)
    model = to_onnx(estimator)
    with pytest.raises(ValueError, match=r"outputs \['label', 'probabilities'\]: choose one"):
        from_onnx(model)
    with pytest.raises(ValueError, match="no output 'scores'"):
        from_onnx(model, output="scores")
    network = from_onnx(model, output="probabilities")
    np.testing.assert_allclose(network.forward(IRIS), estimator.predict_proba(IRIS), atol=1e-6)


def test_the_two_columns_of_a_two_class_classifier_do_not_come_back():
    estimator = MLPClassifier((9,), random_state=0, max_iter=5).fit(IRIS, SPECIES == 1)
    with pytest.raises(ValueError, match=r"cannot take node 'Sub_\d' \(Sub\)"):
        from_onnx(to_onnx(estimator), output="probabilities")


def test_what_skl2onnx_writes_comes_back():
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.neural_network import MLPClassifier as Theirs

    theirs = Theirs((5, 4), random_state=0, max_iter=10).fit(IRIS, SPECIES)
    model = skl2onnx.to_onnx(theirs, IRIS[:1].astype(np.float32), options={"zipmap": False})
    np.testing.assert_allclose(from_onnx(model, output="probabilities").forward(IRIS), theirs.predict_proba(IRIS), atol=1e-5)
