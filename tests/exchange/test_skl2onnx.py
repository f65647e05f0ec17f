"""Pipelines that contain fastnet's estimators, through skl2onnx."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnet import MLPClassifier, MLPRegressor

skl2onnx = pytest.importorskip("skl2onnx")
runtime = pytest.importorskip("onnxruntime")

from fastnet.onnx import register_skl2onnx  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, SPECIES = load_iris(return_X_y=True)


@pytest.fixture(autouse=True, scope="module")
def registered():
    register_skl2onnx()
    register_skl2onnx()  # a second time does no harm


def _run(model, X):
    return runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"X": X})


@pytest.mark.parametrize(
    "y", [SPECIES, (SPECIES == 1).astype(int), np.array(["a", "b", "c"])[SPECIES]], ids=["three", "two", "strings"]
)
@pytest.mark.parametrize("opset", [13, None])
def test_classifier_in_a_pipeline(y, opset):
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((8,), ["gelu"], random_state=0, max_iter=40)).fit(X, y)
    model = skl2onnx.to_onnx(pipeline, X[:1].astype(np.float32), options={"zipmap": False}, target_opset=opset)
    label, probabilities = _run(model, X.astype(np.float32))
    assert label.tolist() == pipeline.predict(X).tolist()
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), atol=1e-5)


LABELS = {"strings": np.array(["a", "b", "c"]), "integers": np.array([2, 5, 9]), "small": np.array([-1, 0, 1], np.int8)}


def _outputs(model):
    """Type and values of every output except the probabilities, which are described by type and shape."""
    results = _run(model, X.astype(np.float32))
    return [list(result[0]) if isinstance(result, list) else (result.dtype, np.shape(result)) for result in results]


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("options", [{"zipmap": False}, {"zipmap": True}, {"zipmap": "columns"}, {"zipmap": False, "nocl": True}])
def test_options_do_what_they_do_for_scikit_learns_classifiers(labels, options):
    """Outputs, their types and shapes, and the keys of maps are those of skl2onnx's own converter of LogisticRegression."""
    first = X[:1].astype(np.float32)
    ours = skl2onnx.to_onnx(MLPClassifier((8,), random_state=0, max_iter=2).fit(X, labels[SPECIES]), first, options=options)
    theirs = skl2onnx.to_onnx(LogisticRegression(max_iter=2).fit(X, labels[SPECIES]), first, options=options)
    assert [output.name for output in ours.graph.output] == [output.name for output in theirs.graph.output]
    assert _outputs(ours) == _outputs(theirs)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("in_search", [False, True])
def test_nocl_gives_the_numbers_of_the_classes(labels, in_search):
    network = MLPClassifier((8,), random_state=0, max_iter=40)
    estimator = GridSearchCV(network, {"alpha": [1e-4, 1e-2]}, cv=2) if in_search else network
    pipeline = make_pipeline(StandardScaler(), estimator).fit(X, labels[SPECIES])
    model = skl2onnx.to_onnx(pipeline, X[:1].astype(np.float32), options={id(pipeline[-1]): {"zipmap": False, "nocl": True}})
    label, probabilities = _run(model, X.astype(np.float32))
    assert label.dtype == np.int64
    assert labels[label].tolist() == pipeline.predict(X).tolist()
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), atol=1e-5)


def test_output_class_labels():
    estimator = MLPClassifier((8,), random_state=0, max_iter=40).fit(X, LABELS["strings"][SPECIES])
    model = skl2onnx.to_onnx(estimator, X[:1].astype(np.float32), options={"zipmap": False, "output_class_labels": True})
    assert _run(model, X.astype(np.float32))[2].tolist() == ["a", "b", "c"]


def test_labels_that_skl2onnx_does_not_have():
    estimator = MLPClassifier((8,), random_state=0, max_iter=5).fit(X, np.array([5, 2**63, 2**64 - 1], np.uint64)[SPECIES])
    with pytest.raises(ValueError, match="nocl=True"):
        skl2onnx.to_onnx(estimator, X[:1].astype(np.float32), options={"zipmap": False})
    model = skl2onnx.to_onnx(estimator, X[:1].astype(np.float32), options={"zipmap": False, "nocl": True})
    assert estimator.classes_[_run(model, X.astype(np.float32))[0]].tolist() == estimator.predict(X).tolist()


def test_zipmap_is_skl2onnxs_own():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((8,), random_state=0, max_iter=40)).fit(X, SPECIES)
    _, rows = _run(skl2onnx.to_onnx(pipeline, X[:1].astype(np.float32)), X[:5].astype(np.float32))
    assert list(rows[0]) == [0, 1, 2]
    np.testing.assert_allclose([list(row.values()) for row in rows], pipeline.predict_proba(X[:5]), atol=1e-5)


def test_multilabel():
    y = np.stack([SPECIES == 0, X[:, 0] > 6], axis=1).astype(int)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((8,), random_state=0, max_iter=40)).fit(X, y)
    model = skl2onnx.to_onnx(pipeline, X[:1].astype(np.float32), options={"zipmap": False})
    label, probabilities = _run(model, X.astype(np.float32))
    assert np.array_equal(label, pipeline.predict(X))
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("targets", ["one", "two"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_regressor_in_a_pipeline(targets, dtype):
    X, y = load_diabetes(return_X_y=True)
    y = y / 100 if targets == "one" else np.stack([y / 100, X[:, 0]], axis=1)
    network = MLPRegressor(loss="squared_error", hidden_layer_sizes=(8,), activation="tanh", random_state=0, max_iter=40)
    pipeline = make_pipeline(StandardScaler(), network).fit(X, y)
    (got,) = _run(skl2onnx.to_onnx(pipeline, X[:1].astype(dtype)), X.astype(dtype))
    expected = pipeline.predict(X).reshape(len(X), -1)
    assert got.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaled_and_sorted_quantiles(dtype):
    X, y = load_diabetes(return_X_y=True)
    network = MLPRegressor("quantile", (8,), quantile=[0.9, 0.1, 0.5], scale_target=True, random_state=0, max_iter=40)
    pipeline = make_pipeline(StandardScaler(), network).fit(X, y)
    (got,) = _run(skl2onnx.to_onnx(pipeline, X[:1].astype(dtype)), X.astype(dtype))
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(got, pipeline.predict(X), rtol=tolerance, atol=tolerance)


def test_poisson_regressor():
    """What skl2onnx's own converter of scikit-learn's MLP does not know: the exponential output."""
    X, y = load_diabetes(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(loss="poisson", hidden_layer_sizes=(8,), random_state=0, max_iter=40))
    pipeline.fit(X, y / 100)
    (got,) = _run(skl2onnx.to_onnx(pipeline, X[:1].astype(np.float32)), X.astype(np.float32))
    np.testing.assert_allclose(got[:, 0], pipeline.predict(X), rtol=2e-5)
