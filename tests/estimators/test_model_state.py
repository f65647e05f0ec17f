"""The model is its attributes: replaced by hand, pickled, memory-mapped, cloned, shared by threads."""

from __future__ import annotations

import copy
import pickle
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastnet as fn
from fastnet._drafts import replace_state
from fastnet.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def fitted(iris: Data) -> MLPClassifier:
    return MLPClassifier((6, 5), "tanh", max_iter=10, random_state=0).fit(*iris)


def _by_hand(clf: MLPClassifier, X: np.ndarray) -> np.ndarray:
    A = X
    for W, b in zip(clf.coefs_[:-1], clf.intercepts_[:-1], strict=True):
        A = np.tanh(A @ W + b)
    Z = A @ clf.coefs_[-1] + clf.intercepts_[-1]
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)


def test_parameters_may_be_changed_and_replaced(fitted: MLPClassifier, iris: Data) -> None:
    X, y = iris
    fitted.coefs_[0][:, 0] = 0.5
    np.testing.assert_allclose(fitted.predict_proba(X), _by_hand(fitted, X), rtol=1e-12)
    fitted.coefs_[1] = np.asfortranarray(2 * fitted.coefs_[1])
    np.testing.assert_allclose(fitted.predict_proba(X), _by_hand(fitted, X), rtol=1e-12)
    fitted.intercepts_ = [b + 0.25 for b in fitted.intercepts_]
    np.testing.assert_allclose(fitted.predict_proba(X), _by_hand(fitted, X), rtol=1e-12)
    np.testing.assert_allclose(fitted.predict_proba(X[:1]), _by_hand(fitted, X[:1]), rtol=1e-12)
    loss = fitted.set_params(warm_start=True, max_iter=30).fit(X, y).loss_
    assert loss < -np.log(_by_hand(fitted, X)[np.arange(len(y)), y]).mean() + 0.5


def test_activation_is_that_of_the_parameter(fitted: MLPClassifier, iris: Data) -> None:
    X, _ = iris
    before = fitted.predict_proba(X)
    fitted.set_params(activation="relu")
    assert not np.allclose(fitted.predict_proba(X), before)
    fitted.set_params(activation=fn.Tanh())
    np.testing.assert_array_equal(fitted.predict_proba(X), before)


def test_attributes_alone_make_a_model(fitted: MLPClassifier, iris: Data) -> None:
    X, _ = iris
    bare = MLPClassifier((6, 5), "tanh")
    for name in ("coefs_", "intercepts_", "out_activation_", "classes_", "_label_binarizer", "n_outputs_", "n_features_in_"):
        setattr(bare, name, getattr(fitted, name))
    np.testing.assert_array_equal(bare.predict(X), fitted.predict(X))


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_predict_and_train_alike(fitted: MLPClassifier, iris: Data, how: Any) -> None:
    X, y = iris
    twin = how(fitted)
    np.testing.assert_array_equal(twin.predict_proba(X), fitted.predict_proba(X))
    before = fitted.predict_proba(X)
    twin.partial_fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)
    fitted.partial_fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(X), fitted.predict_proba(X))


def test_joblib_with_a_read_only_memory_map(fitted: MLPClassifier, iris: Data, tmp_path: Path) -> None:
    X, y = iris
    joblib.dump(fitted, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert not mapped.coefs_[0].flags.writeable
    assert isinstance(mapped.coefs_[0], np.memmap)
    np.testing.assert_array_equal(mapped.predict_proba(X), fitted.predict_proba(X))
    mapped.partial_fit(X, y)
    fitted.partial_fit(X, y)
    np.testing.assert_array_equal(mapped.predict_proba(X), fitted.predict_proba(X))


def test_unpickled_model_answers_single_rows_fast_path(fitted: MLPClassifier, iris: Data) -> None:
    X, _ = iris
    twin = pickle.loads(pickle.dumps(fitted))
    assert twin._fitted.serves(vars(twin))
    np.testing.assert_array_equal(twin.predict_proba(X[:1]), fitted.predict_proba(X[:1]))


def test_rows_of_a_structured_array(fitted: MLPClassifier, iris: Data) -> None:
    """Contiguous, of the model's type, and unaligned."""
    X, _ = iris
    records = np.zeros(len(X), dtype=[("flag", "i1"), ("features", np.float64, X.shape[1])])
    records["features"] = X
    row = records["features"][:1]
    assert not row.flags.aligned
    assert row.flags.c_contiguous
    np.testing.assert_array_equal(fitted.predict_proba(row), fitted.predict_proba(X[:1]))
    np.testing.assert_allclose(fitted.predict_proba(records["features"]), fitted.predict_proba(X), rtol=1e-12)


def test_clone_keeps_objects_and_forgets_the_model(fitted: MLPClassifier) -> None:
    model = fitted.set_params(activation=["tanh", fn.LeakyReLU(0.1)], solver=fn.AdamW(fn.Cosine(0.01)), class_weight={0: 2.0})
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "coefs_")


def test_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(MLPClassifier()) == "MLPClassifier()"
    assert repr(MLPRegressor("huber", dropout=0.1)) == "MLPRegressor(dropout=0.1, loss='huber')"
    assert "MLPClassifier" in MLPClassifier()._repr_html_()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "hidden_activations", "to_sklearn", "score"])
def test_unfitted_model_says_so(iris: Data, method: str) -> None:
    X, y = iris
    arguments = {"to_sklearn": (), "score": (X, y)}.get(method, (X,))
    with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
        getattr(MLPClassifier(), method)(*arguments)


def test_every_form_of_rows_gives_the_same_predictions(fitted: MLPClassifier, iris: Data) -> None:
    X, _ = iris
    expected = fitted.predict_proba(X)
    wide = np.zeros((len(X), 8))
    wide[:, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    for rows in (
        X.tolist(),
        np.asfortranarray(X),
        wide[:, ::2],
        read_only,
        scipy.sparse.csr_matrix(X),
        scipy.sparse.csc_array(X),
    ):
        np.testing.assert_allclose(fitted.predict_proba(rows), expected, rtol=1e-12)
    for row in (0, 17):
        np.testing.assert_allclose(fitted.predict_proba(X[row : row + 1]), expected[row : row + 1], rtol=1e-12)
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(expected), rtol=1e-12)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda X: X[0], "Expected 2D array, got 1D array instead"),
        (lambda X: X[:, :3], "X has 3 features, but MLPClassifier is expecting 4 features"),
        (lambda X: X[:0], "Found array with 0 sample"),
        (lambda X: np.where(X == X[0, 0], np.nan, X), "Input X contains NaN"),
        (lambda X: np.where(X == X[0, 0], np.inf, X), "Input X contains infinity"),
        (lambda X: X.astype(complex), "Complex data not supported"),
    ],
)
def test_bad_rows_are_refused(fitted: MLPClassifier, iris: Data, bad: Any, message: str) -> None:
    X, _ = iris
    for rows in (bad(X), bad(X[:1])):
        with pytest.raises(ValueError, match=message):
            fitted.predict_proba(rows)


def test_rows_whose_sum_overflows_are_predicted(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((3,), max_iter=2, random_state=0).fit(X, y)
    huge = np.full((2, 4), 1e308)
    assert np.isfinite(huge).all() and not np.isfinite(huge.sum())
    assert clf.predict(huge).shape == (2,)


def test_many_threads_predict_with_one_model(fitted: MLPClassifier, iris: Data) -> None:
    X, _ = iris
    expected = fitted.predict_proba(X)
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            part = slice(number, None, 4)
            if not np.allclose(fitted.predict_proba(X[part]), expected[part], rtol=1e-12):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_hidden_activations(fitted: MLPClassifier, iris: Data) -> None:
    X, _ = iris
    first = np.tanh(X @ fitted.coefs_[0] + fitted.intercepts_[0])
    second = np.tanh(first @ fitted.coefs_[1] + fitted.intercepts_[1])
    np.testing.assert_allclose(fitted.hidden_activations(X), second, rtol=1e-12)
    np.testing.assert_allclose(fitted.hidden_activations(X, layer=0), first, rtol=1e-12)
    both = fitted.hidden_activations(scipy.sparse.csr_matrix(X), layer=None)
    assert [a.shape for a in both] == [(len(X), 6), (len(X), 5)]
    for layer in (2, -3, "a", 0.0):
        with pytest.raises(ValueError, match=f"layer must be None or the number of one of the 2 hidden layers, got {layer!r}"):
            fitted.hidden_activations(X, layer=layer)


def test_initialize_gives_the_weights_that_fit_starts_from(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((5,), random_state=3, solver="sgd", learning_rate_init=1e-12, max_iter=1).initialize(4, 3)
    fitted = MLPClassifier((5,), random_state=3, solver="sgd", learning_rate_init=1e-12, max_iter=1).fit(X, y)
    for ours, theirs in zip(clf.coefs_ + clf.intercepts_, fitted.coefs_ + fitted.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)
    assert clf.predict_proba(X).shape == (150, 3)
    clf.set_params(learning_rate_init=0.1).partial_fit(X, y)
    assert clf.t_ == 150


def test_initialize_with_classes_and_outputs() -> None:
    X = np.zeros((2, 3))
    clf = MLPClassifier((5,), dtype="float32", random_state=0).initialize(3, classes=["left", "right"])
    assert clf.predict_proba(X).shape == (2, 2)
    assert set(clf.predict(X)) <= {"left", "right"}
    assert clf.coefs_[0].dtype == np.float32
    assert MLPRegressor(hidden_layer_sizes=(5,)).initialize(3, 2).predict(X).shape == (2, 2)
    assert (MLPRegressor("poisson", (5,)).initialize(3).predict(X) > 0).all()
    assert MLPRegressor("quantile", (5,), quantile=[0.1, 0.9]).initialize(3).predict(X).shape == (2, 2)
    with pytest.raises(ValueError, match="alpha"):
        MLPClassifier(alpha=-1).initialize(3)


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor()])
@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((-1,), ValueError, "n_features must be at least 1, got -1"),
        (("a",), TypeError, "n_features must be an integer, got 'a'"),
        ((3, 0), ValueError, "n_outputs must be at least 1, got 0"),
        ((3, 1.5), TypeError, "n_outputs must be an integer, got 1.5"),
    ],
)
def test_initialize_with_bad_sizes(estimator: Any, sizes: tuple[Any, ...], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        estimator.initialize(*sizes)
    assert not hasattr(estimator, "n_features_in_")


def test_initialize_forgets_the_feature_names(iris: Data) -> None:
    pd = pytest.importorskip("pandas")
    X, y = iris
    clf = MLPClassifier((3,), max_iter=1).fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert hasattr(clf, "feature_names_in_")
    assert clf.initialize(2).predict(X[:, :2]).shape == y.shape
    assert not hasattr(clf, "feature_names_in_")


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_sparse_rows_stay_sparse(solver: str) -> None:
    """Training, its validation and predictions take a small part of the memory of the same rows when dense."""
    rng = np.random.RandomState(0)
    X = scipy.sparse.random(800, 20_000, density=1e-3, format="csr", random_state=rng)
    y = rng.randint(2, size=800)
    clf = MLPClassifier((2,), solver=solver, max_iter=2, max_fun=3, early_stopping=True, random_state=0)
    tracemalloc.start()
    try:
        clf.fit(X, y).predict_proba(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.15 * 8 * X.shape[0] * X.shape[1]


def test_several_passes_of_partial_fit(regression: Data) -> None:
    X, y = regression
    options = {"hidden_layer_sizes": (4,), "shuffle": False, "batch_size": 30, "random_state": 0}
    passes = MLPRegressor(partial_fit_epochs=3, **options).partial_fit(X, y).partial_fit(X, y)
    fit = MLPRegressor(max_iter=6, **options).fit(X, y)
    assert passes.n_iter_ == 3
    assert passes.t_ == fit.t_
    np.testing.assert_allclose(passes.coefs_[0], fit.coefs_[0], rtol=1e-12)
    np.testing.assert_allclose(passes.loss_curve_, fit.loss_curve_, rtol=1e-12)


def test_partial_fit_follows_a_dtype_and_starts_anew_on_other_memory(regression: Data) -> None:
    X, y = regression
    reg = MLPRegressor(hidden_layer_sizes=(4,), random_state=0).partial_fit(X.astype(np.float32), y)
    reg.partial_fit(X, y)
    assert reg.coefs_[0].dtype == np.float32
    reg.coefs_ = [coef.astype(np.float64) for coef in reg.coefs_]
    reg.partial_fit(X, y)
    assert reg._optimizer.step == 1
    assert reg.coefs_[0].dtype == np.float64


class TestRefusedFit:
    """A fit that is refused changes nothing that can be seen, neither by other threads during the checks nor afterwards."""

    @pytest.mark.parametrize("call", ["fit", "partial_fit"])
    @pytest.mark.parametrize("bad", ["nan", "labels", "weights", "features"])
    def test_is_checked_on_a_draft(self, call, bad, monkeypatch):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(40, 3)), np.arange(40) % 3
        clf = MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)
        before = dict(clf.__dict__)
        touched = []
        monkeypatch.setattr(MLPClassifier, "__setattr__", lambda self, name, value: _noted(self, clf, touched, name, value))
        weight = None
        if bad == "nan":
            X = np.where(np.eye(40, 3) == 1, np.nan, X)
        elif bad == "labels":
            y = y * 0.5
        elif bad == "weights":
            weight = -np.ones(40)
        else:
            X, weight = (X[:, :2], None) if call == "partial_fit" else (X[:, :2], np.ones(3))
        with pytest.raises(ValueError):
            getattr(clf, call)(X, y, weight)
        assert touched == []
        assert clf.__dict__ == before

    def test_a_state_is_replaced_without_a_gap(self):
        class Model:
            pass

        class Attributes(dict):
            def __delitem__(self, name):
                assert name != "coefs_"
                super().__delitem__(name)

            def clear(self):
                raise AssertionError("other threads would find no model")

        model = Model()
        model.__dict__ = Attributes(coefs_=1, other=2)
        replace_state(model, {"coefs_": 3, "new": 4})
        assert model.__dict__ == {"coefs_": 3, "new": 4}


def _noted(target, watched, touched, name, value):
    if target is watched:
        touched.append(name)
    object.__setattr__(target, name, value)
