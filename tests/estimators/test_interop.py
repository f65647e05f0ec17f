"""To scikit-learn's estimators and back, to files and to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.neural_network
from sklearn.base import clone
from sklearn.utils.fixes import parse_version

import fastnet as fn
from fastnet.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]


def _models(iris: Data, binary: Data, regression: Data) -> list[tuple[Any, np.ndarray]]:
    X, y = iris
    multilabel = np.c_[y > 0, y < 2].astype(int)
    options = {"hidden_layer_sizes": (5, 4), "max_iter": 5, "random_state": 0}
    return [
        (MLPClassifier(solver="adamw", **options).fit(X, y), X),
        (MLPClassifier(activation="logistic", early_stopping=True, **options).fit(*binary), binary[0]),
        (MLPClassifier(activation=fn.Tanh(), solver="lbfgs", **options).fit(X, multilabel), X),
        (MLPRegressor("huber", learning_rate="cosine", **options).fit(*regression), regression[0]),
        (MLPRegressor("poisson", **options).fit(regression[0], np.abs(regression[1])), regression[0]),
        (
            MLPRegressor("quantile", quantile=[0.1, 0.9], sort_quantiles=False, verbose="progress", **options).fit(*regression),
            regression[0],
        ),
    ]


def test_to_scikit_learn_and_back(iris: Data, binary: Data, regression: Data) -> None:
    for model, X in _models(iris, binary, regression):
        if model.out_activation_ == "exp" and parse_version(sklearn.__version__) < parse_version("1.7"):
            with pytest.raises(ValueError, match="from version 1.7 on"):
                model.to_sklearn()
            continue
        twin = model.to_sklearn()
        assert type(twin).__module__.startswith("sklearn.")
        back = type(model).from_sklearn(twin)
        predict = "predict_proba" if isinstance(model, MLPClassifier) else "predict"
        expected = getattr(model, predict)(X)
        np.testing.assert_allclose(getattr(twin, predict)(X), expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(getattr(back, predict)(X), expected)
        if predict == "predict_proba":
            np.testing.assert_array_equal(twin.predict(X), model.predict(X))


class _Derived(MLPClassifier):
    """An estimator as users derive them, with a parameter of its own."""

    def __init__(self, scale: float = 1.0, hidden_layer_sizes: Any = (4,), max_iter: int = 5, random_state: Any = None) -> None:
        super().__init__(hidden_layer_sizes, max_iter=max_iter, random_state=random_state)
        self.scale = scale


def test_derived_classes(iris: Data) -> None:
    X, y = iris
    derived = clone(_Derived(2.0, random_state=0)).fit(X, y)
    plain = MLPClassifier((4,), max_iter=5, random_state=0).fit(X, y)
    np.testing.assert_array_equal(derived.predict_proba(X), plain.predict_proba(X))
    assert set(derived.get_params()) == {"scale", "hidden_layer_sizes", "max_iter", "random_state"}
    np.testing.assert_allclose(derived.to_sklearn().predict_proba(X), derived.predict_proba(X), rtol=1e-10)


def test_twins_share_nothing(iris: Data) -> None:
    X, y = iris
    model = MLPClassifier((4,), max_iter=3, random_state=0).fit(X, y)
    expected = model.predict_proba(X)
    twin = model.to_sklearn()
    twin.coefs_[0][:] = 0
    twin.loss_curve_.append(1.0)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    assert len(model.loss_curve_) == 3


def test_from_scikit_learn_goes_on_training(iris: Data) -> None:
    X, y = iris
    theirs = sklearn.neural_network.MLPClassifier((6,), max_iter=5, random_state=0).fit(X, y)
    ours = MLPClassifier.from_sklearn(theirs)
    assert ours.get_params()["max_iter"] == 5
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-10)
    assert ours.set_params(warm_start=True, max_iter=50).fit(X, y).loss_ < theirs.loss_
    assert not hasattr(MLPRegressor.from_sklearn(sklearn.neural_network.MLPRegressor(alpha=0.5)), "coefs_")


def test_wrong_twins_are_refused(iris: Data) -> None:
    X, y = iris
    with pytest.raises(
        TypeError, match=r"MLPRegressor.from_sklearn takes a sklearn.neural_network.MLPRegressor, got MLPClassifier"
    ):
        MLPRegressor.from_sklearn(sklearn.neural_network.MLPClassifier())
    for activation in ("gelu", ["relu", "tanh"]):
        with pytest.raises(ValueError, match="scikit-learn's networks have one activation for all hidden layers"):
            MLPClassifier((4, 4), activation, max_iter=2).fit(X, y).to_sklearn()


def test_exporters_of_scikit_learn_work(iris: Data) -> None:
    pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    from skl2onnx import to_onnx

    X, y = iris
    X = X.astype(np.float32)
    clf = MLPClassifier((5,), max_iter=20, random_state=0).fit(X, y)
    model = to_onnx(clf.to_sklearn(), X[:1], options={"zipmap": False})
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    labels, proba = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_array_equal(labels, clf.predict(X))
    np.testing.assert_allclose(proba, clf.predict_proba(X), atol=1e-5)


def test_save_and_load(iris: Data, tmp_path: Path) -> None:
    X, y = iris
    clf = MLPClassifier((5, 4), ["tanh", fn.LeakyReLU(0.2)], max_iter=5, random_state=0).fit(X, y)
    clf.save(tmp_path / "model.safetensors")
    loaded = fn.load(tmp_path / "model.safetensors")
    assert isinstance(loaded, MLPClassifier)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    loaded.partial_fit(X, y)


def test_to_onnx(iris: Data) -> None:
    pytest.importorskip("onnx")
    X, y = iris
    model = MLPClassifier((5,), max_iter=5, random_state=0).fit(X, y).to_onnx()
    assert model.graph.node
