"""How people use the estimators: pipelines, searches, meta-estimators, data frames, memory maps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.ensemble import BaggingRegressor, StackingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.fixes import parse_version

from fastnet.estimators import MLPClassifier, MLPRegressor

VERSION = parse_version(sklearn.__version__)


@pytest.fixture(autouse=True)
def no_warning_but_convergence() -> Iterator[None]:
    """Nothing here may warn, in particular not about feature names."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, y[:600]


@pytest.fixture(scope="module")
def diabetes_like() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_regression(n_samples=300, n_features=8, noise=5.0, random_state=0)
    return X, y


def _classifier(**options: Any) -> MLPClassifier:
    return MLPClassifier((16,), learning_rate_init=0.01, batch_size=32, random_state=0, **{"max_iter": 15, **options})


def _regressor(**options: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", alpha=0.1, max_iter=60, random_state=0, **options)


def _frame(library: str) -> tuple[Any, np.ndarray]:
    """A data frame with numbers and a column of names, and two classes."""
    frames = pytest.importorskip(library)
    if library == "polars" and VERSION < parse_version("1.9"):
        pytest.skip("older scikit-learn does not see the column names of polars 2")
    rng = np.random.RandomState(0)
    city = rng.choice(["Basel", "Oslo", "Turin"], 200)
    columns = {"age": rng.normal(40, 10, 200), "pay": rng.normal(3000, 500, 200), "city": city}
    return frames.DataFrame(columns), ((columns["age"] > 40) ^ (city == "Oslo")).astype(int)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_pipeline_with_column_transformer_on_frames(library: str) -> None:
    frame, y = _frame(library)
    columns = ColumnTransformer([("numbers", StandardScaler(), ["age", "pay"]), ("names", OneHotEncoder(), ["city"])])
    model = make_pipeline(columns, _classifier(max_iter=150, early_stopping=False)).fit(frame, y)
    assert model.score(frame, y) > 0.85
    assert model.predict(frame[:1]).shape == (1,)
    if library == "pandas":
        columns = ColumnTransformer(
            [("numbers", StandardScaler(), ["age", "pay"]), ("names", OneHotEncoder(sparse_output=False), ["city"])]
        )
        named = make_pipeline(columns, _classifier(early_stopping=True)).set_output(transform="pandas").fit(frame, y)
        assert named[-1].feature_names_in_.tolist()[:2] == ["numbers__age", "numbers__pay"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_without_a_pipeline(library: str) -> None:
    frame, y = _frame(library)
    numbers = frame[["age", "pay"]]
    clf = _classifier(early_stopping=True).fit(numbers, y)
    assert clf.feature_names_in_.tolist() == ["age", "pay"]
    assert clf.predict_proba(numbers).shape == (200, 2)
    with pytest.raises(UserWarning, match="X does not have valid feature names, but MLPClassifier was fitted with feature names"):
        clf.predict(numbers.to_numpy())
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[["pay", "age"]])


def test_validation_data_through_a_pipeline(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    X, X_val, y, y_val = train_test_split(100 * X, y, random_state=0)
    model = Pipeline([("scale", StandardScaler()), ("clf", _classifier(early_stopping=True))], transform_input=["X_val"])
    with sklearn.config_context(enable_metadata_routing=True):
        model[-1].set_fit_request(X_val=True, y_val=True, sample_weight=False, sample_weight_val=False)
        model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model[-1].best_validation_score_ == pytest.approx(model.score(X_val, y_val))


def _parallel(backend: str) -> joblib.parallel_config:
    """Worker processes see the data as read-only memory maps. Calls with the same options share the processes."""
    return joblib.parallel_config(backend, **({"max_nbytes": 1000} if backend == "loky" else {}))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_searches_in_parallel(digits: tuple[np.ndarray, np.ndarray], backend: str) -> None:
    """Data in Fortran order."""
    X, y = np.asfortranarray(digits[0]), digits[1]
    grid = {"alpha": [1e-4, 1.0], "activation": ["relu", "gelu"]}
    search = GridSearchCV(_classifier(early_stopping=True), grid, cv=2, n_jobs=2)
    alone = GridSearchCV(_classifier(early_stopping=True), grid, cv=2).fit(X, y)
    with _parallel(backend):
        search.fit(X, y)
        scores = cross_val_score(_classifier(), X, y, cv=2, n_jobs=2)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert search.best_score_ > 0.75
    assert scores.min() > 0.75


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_permutation_importance_in_parallel(diabetes_like: tuple[np.ndarray, np.ndarray], backend: str) -> None:
    X, y = diabetes_like
    X = np.c_[X, np.random.RandomState(1).normal(size=len(X))]
    reg = _regressor().fit(X, y)
    with _parallel(backend):
        importance = permutation_importance(reg, X, y, n_repeats=3, n_jobs=2, random_state=0).importances_mean
    alone = permutation_importance(reg, X, y, n_repeats=3, random_state=0).importances_mean
    np.testing.assert_allclose(importance, alone, rtol=1e-10)
    assert importance[:8].max() > 20 * abs(importance[8])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_calibration(digits: tuple[np.ndarray, np.ndarray], dtype: type) -> None:
    if VERSION < parse_version("1.7"):
        pytest.skip("calibration in scikit-learn 1.6 fails with float32 probabilities and weights, whatever the classifier")
    X, y = digits[0].astype(dtype), digits[1]
    calibrated = CalibratedClassifierCV(_classifier(), cv=2, method="sigmoid").fit(X, y, sample_weight=np.linspace(1, 2, len(y)))
    assert log_loss(y, calibrated.predict_proba(X)) < 0.6


def test_ensembles(digits: tuple[np.ndarray, np.ndarray], diabetes_like: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    members = [("mlp", _classifier()), ("logistic", LogisticRegression())]
    assert StackingClassifier(members, cv=2).fit(X, y).score(X, y) > 0.9
    assert VotingClassifier(members, voting="soft").fit(X, y).score(X, y) > 0.9
    X, y = diabetes_like
    bag = BaggingRegressor(_regressor(), n_estimators=3, random_state=0).fit(X, y, sample_weight=np.linspace(1, 2, len(y)))
    assert bag.score(X, y) > 0.9


def test_many_labels(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    assert OneVsRestClassifier(_classifier()).fit(X, y).score(X, y) > 0.9
    Y = np.c_[y % 2, y > 4]
    assert MultiOutputClassifier(_classifier()).fit(X, Y).score(X, Y) > 0.8
    stacked = StackingClassifier([("mlp", _classifier())], final_estimator=_classifier(), cv=2).fit(X, Y)
    assert stacked.predict(X).shape == Y.shape


def test_transformed_target(diabetes_like: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = diabetes_like
    model = TransformedTargetRegressor(_regressor(), transformer=StandardScaler()).fit(X, 1e3 * y)
    assert model.score(X, 1e3 * y) > 0.95


def test_incremental_learning_curve(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    sizes, _, scores = learning_curve(
        _classifier(), X, y, train_sizes=[0.2, 0.6, 1.0], cv=2, exploit_incremental_learning=True, shuffle=True, random_state=0
    )
    assert scores.shape == (3, 2)
    assert scores[-1].mean() > scores[0].mean()


def test_random_search_over_the_new_parameters(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    space = {
        "solver": ["adamw", "nesterov"],
        "learning_rate": ["cosine", "constant"],
        "dropout": [0.0, 0.2],
        "class_weight": [None, "balanced"],
        "dtype": ["float32", None],
    }
    search = RandomizedSearchCV(_classifier(), space, n_iter=6, cv=2, random_state=0).fit(X, y)
    assert search.best_score_ > 0.8


def test_cross_validated_probabilities_with_weights_routed(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    with sklearn.config_context(enable_metadata_routing=True):
        clf = _classifier().set_fit_request(sample_weight=True)
        proba = cross_val_predict(clf, X, y, cv=2, method="predict_proba", params={"sample_weight": np.ones(len(y))})
    assert log_loss(y, proba) < 0.8


def test_sparse_text() -> None:
    texts = [f"{word} number {i % 7}" for i, word in enumerate(["spam offer", "meeting notes"] * 60)]
    model = make_pipeline(TfidfVectorizer(), _classifier(max_iter=60)).fit(texts, ["spam", "ham"] * 60)
    assert model.predict(["an offer", "the meeting"]).tolist() == ["spam", "ham"]


def test_iris_in_the_readme_style() -> None:
    X, y = load_iris(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=300, random_state=0)).fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.9
