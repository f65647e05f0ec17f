"""The parameters that fastnet adds for what is minimised: losses of the regressor, weights of classes, label smoothing."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from comparison import distance, equal
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import d2_pinball_score
from sklearn.utils.class_weight import compute_sample_weight

import fastnet as fn
from fastnet.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]


# losses of the regressor


def _constant_fit(**options: Any) -> Any:
    """The best constant for 0, ..., 9 and 90: no hidden layer, no feature."""
    y = np.r_[np.arange(10.0), 90.0]
    X = np.zeros((len(y), 1))
    options = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05, "learning_rate": "step", "max_iter": 6000} | options
    reg = MLPRegressor(hidden_layer_sizes=(), alpha=0, tol=0, n_iter_no_change=np.inf, **options).fit(X, y)
    return reg.predict(X[:1])


def test_losses_estimate_what_they_should() -> None:
    rate = {"learning_rate": "inverse_scaling", "learning_rate_init": 2.0, "max_iter": 6000}
    lbfgs = {"solver": "lbfgs", "learning_rate": "constant"}
    assert _constant_fit(**lbfgs) == pytest.approx([135 / 11], abs=1e-3)
    assert _constant_fit(**lbfgs, loss="poisson") == pytest.approx([135 / 11], abs=1e-2)
    assert _constant_fit(loss="absolute_error", **rate) == pytest.approx([5.0], abs=0.05)
    # 11 residuals clipped at 2: c with sum of clip(c - y, -2, 2) = 0
    c = _constant_fit(loss="huber", huber_delta=2.0, **rate)
    assert np.clip(c - np.r_[np.arange(10.0), 90.0], -2, 2).sum() == pytest.approx(0, abs=0.05)
    # tanh clips smoothly
    c = _constant_fit(**lbfgs, loss="log_cosh")
    assert np.tanh(c - np.r_[np.arange(10.0), 90.0]).sum() == pytest.approx(0, abs=1e-3)
    low, high = _constant_fit(loss="quantile", quantile=[0.2, 0.75], **rate)[0]
    assert low == pytest.approx(2.0, abs=0.1)
    assert high == pytest.approx(8.0, abs=0.1)


def test_quantiles_of_several_targets(regression: Data) -> None:
    X, y = regression
    both = np.c_[y, -y]
    reg = MLPRegressor("quantile", (16,), quantile=[0.1, 0.5, 0.9], learning_rate_init=0.01, max_iter=300, random_state=0).fit(
        X, both
    )
    predicted = reg.predict(X)
    assert reg.n_outputs_ == 6
    assert predicted.shape == (len(X), 6)
    for column in (0, 1):
        shares = [np.mean(both[:, column] <= predicted[:, 3 * column + level]) for level in range(3)]
        assert shares == pytest.approx([0.1, 0.5, 0.9], abs=0.12)
    assert 0.3 < reg.score(X, both) < 1


@pytest.fixture(scope="module")
def crossing() -> tuple[MLPRegressor, Data]:
    """Quantiles of two targets, given out of order, and trained so briefly that they cross in some rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    y = np.c_[X[:, 0] + 0.1 * rng.normal(size=300), 3 * X[:, 1]]
    options = {"learning_rate_init": 0.01, "max_iter": 20, "random_state": 0}
    return MLPRegressor("quantile", (16,), quantile=[0.9, 0.1, 0.5], **options).fit(X, y), (X, y)


def _crossed(predicted: np.ndarray) -> float:
    """Share of rows in which the quantiles 0.9, 0.1, 0.5 of a target are not in order."""
    high, low, middle = np.moveaxis(predicted.reshape(len(predicted), 2, 3), 2, 0)
    return float(((low > middle) | (middle > high)).any(axis=1).mean())


def test_predicted_quantiles_do_not_cross(crossing: tuple[MLPRegressor, Data]) -> None:
    reg, (X, y) = crossing
    unsorted = clone(reg).set_params(sort_quantiles=False).fit(X, y)
    assert equal(reg, unsorted)
    assert _crossed(unsorted.predict(X)) > 0.02
    assert _crossed(reg.predict(X)) == 0
    by_target = [predicted.reshape(len(X), 2, 3) for predicted in (reg.predict(X), unsorted.predict(X))]
    np.testing.assert_array_equal(*(np.sort(predicted, axis=2) for predicted in by_target))
    np.testing.assert_array_equal(reg.predict(X[:1]), reg.predict(X)[:1])
    for column in (0, 1):
        for number, level in enumerate((0.9, 0.1, 0.5)):
            below = y[:, column] <= reg.predict(X)[:, 3 * column + number]
            assert below.mean() == pytest.approx(level, abs=0.2)


def test_scores_are_of_sorted_quantiles(crossing: tuple[MLPRegressor, Data]) -> None:
    reg, (X, y) = crossing
    scores = [d2_pinball_score(y, reg.predict(X)[:, number::3], alpha=level) for number, level in enumerate((0.9, 0.1, 0.5))]
    assert reg.score(X, y) == pytest.approx(np.mean(scores))
    unsorted = clone(reg).set_params(sort_quantiles=False).fit(X, y)
    assert reg.score(X, y) > unsorted.score(X, y)
    seen = []

    def remember(estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
        seen.append(_crossed(estimator.predict(X)))
        return 0.0

    clone(reg).set_params(early_stopping=True, scoring=remember).fit(X, y)
    assert max(seen) == 0


@pytest.mark.parametrize(
    "change", [{"quantile": [0.1, 0.5, 0.9]}, {"quantile": [0.1, 0.2, 0.3, 0.4]}, {"loss": "squared_error"}, {"quantile": 0.3}]
)
def test_quantiles_are_those_of_fit_until_the_next(crossing: tuple[MLPRegressor, Data], change: Any, tmp_path: Any) -> None:
    reg, (X, y) = crossing
    predicted, score = reg.predict(X), reg.score(X, y)
    changed = pickle.loads(pickle.dumps(reg)).set_params(**change)
    models = [changed, pickle.loads(pickle.dumps(changed))]
    if len(np.atleast_1d(change.get("quantile", 0.5))) != 4:  # six outputs cannot be four quantiles, so no file can say so
        changed.save(tmp_path / "model")
        models.append(fn.load(tmp_path / "model"))
    for model in models:
        np.testing.assert_array_equal(model.predict(X), predicted)
        assert model.score(X, y) == score
    changed.set_params(**{"quantile": 0.5} | change).fit(X, y)
    assert changed.predict(X).shape == (len(X), 2 * np.size(change.get("quantile", 0.5)))


def test_quantiles_of_initialize_and_of_training_that_goes_on(crossing: tuple[MLPRegressor, Data]) -> None:
    _, (X, y) = crossing
    reg = MLPRegressor("quantile", (4,), quantile=[0.1, 0.5], random_state=0).initialize(5)
    predicted = reg.predict(X)
    np.testing.assert_array_equal(reg.set_params(quantile=[0.5, 0.1]).predict(X), predicted)
    reg.partial_fit(X, y[:, 0])
    high, low = reg.predict(X).T
    assert (high >= low).all()


def test_networks_that_do_not_sort_are_not_made_of_those_that_do(crossing: tuple[MLPRegressor, Data]) -> None:
    reg, (X, y) = crossing
    with pytest.raises(ValueError, match="does not sort the quantiles that it predicts: set sort_quantiles=False first"):
        reg.to_sklearn()
    unsorted = clone(reg).set_params(sort_quantiles=False).fit(X, y)
    np.testing.assert_allclose(unsorted.to_sklearn().predict(X), unsorted.predict(X), rtol=1e-12)


def test_one_quantile_has_the_shape_of_the_targets(regression: Data) -> None:
    X, y = regression
    assert MLPRegressor("quantile", (4,), quantile=0.5, max_iter=2, random_state=0).fit(X, y).predict(X).shape == y.shape


def test_median_is_half_the_absolute_error(regression: Data) -> None:
    """Half the loss and twice the learning rate give the same steps."""
    X, y = regression
    options = {"hidden_layer_sizes": (4,), "solver": "sgd", "alpha": 0, "max_iter": 20, "random_state": 0}
    median = MLPRegressor("quantile", quantile=0.5, learning_rate_init=0.02, **options).fit(X, y)
    absolute = MLPRegressor("absolute_error", learning_rate_init=0.01, **options).fit(X, y)
    np.testing.assert_allclose(2 * np.array(median.loss_curve_), absolute.loss_curve_, rtol=1e-12)
    assert absolute.loss_curve_[-1] < 0.9 * absolute.loss_curve_[0]


def test_names_and_objects_of_losses_agree(regression: Data) -> None:
    X, y = regression
    pairs: list[tuple[dict[str, Any], Any]] = [
        ({"loss": "huber", "huber_delta": 0.5}, fn.Huber(0.5)),
        ({"loss": "quantile", "quantile": (0.2, 0.8)}, fn.Quantile((0.2, 0.8))),
        ({"loss": "squared_error"}, fn.SquaredError()),
    ]
    for options, loss in pairs:
        a = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0, **options).fit(X, y)
        b = MLPRegressor(loss, hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(X, y)
        assert equal(a, b)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantile", 0.0),
        ("quantile", 1),
        ("quantile", [0.5, 1.5]),
        ("quantile", []),
        ("sort_quantiles", "ascending"),
        ("huber_delta", 0),
        ("loss", "hinge"),
        ("loss", fn.CrossEntropy()),
    ],
)
def test_bad_loss_parameter_is_named(regression: Data, name: str, value: Any) -> None:
    options = {"loss": "huber" if name == "huber_delta" else "quantile", name: value}
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPRegressor must be"):
        MLPRegressor(**options).fit(*regression)


# class_weight, label_smoothing


@pytest.mark.parametrize("class_weight", [{"yes": 3.0}, {"yes": 0.5, "no": 2.0}, "balanced"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_class_weight_is_sample_weight(binary: Data, class_weight: Any, solver: str) -> None:
    X, y = binary
    X, y = X[20:], y[20:]
    options = {"hidden_layer_sizes": (4,), "solver": solver, "max_iter": 10, "random_state": 0}
    rows = np.linspace(0.5, 1.5, len(y))
    weighted = MLPClassifier(class_weight=class_weight, **options).fit(X, y, sample_weight=rows)
    expected = MLPClassifier(**options).fit(X, y, sample_weight=rows * compute_sample_weight(class_weight, y))
    assert distance(weighted, expected) < 1e-12


def test_class_weight_of_multilabel_targets(binary: Data) -> None:
    X, _ = binary
    Y = np.c_[X[:, 0] > 0, X[:, 1] > 0.5].astype(int)
    weights = [{0: 1, 1: 2}, {0: 1, 1: 5}]
    a = MLPClassifier((4,), class_weight=weights, max_iter=5, random_state=0).fit(X, Y)
    b = MLPClassifier((4,), max_iter=5, random_state=0).fit(X, Y, sample_weight=compute_sample_weight(weights, Y))
    assert distance(a, b) < 1e-12


def test_class_weight_may_name_classes_that_some_rows_lack(iris: Data) -> None:
    """Batches of `partial_fit` and validation rows, with and without weights for the others."""
    X, y = iris
    two = y < 2
    options = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
    weighted, expected = MLPClassifier(class_weight={0: 2.0, 2: 3.0}, **options), MLPClassifier(**options)
    weighted.partial_fit(X[two], y[two], classes=[0, 1, 2])
    expected.partial_fit(X[two], y[two], np.where(y[two] == 0, 2.0, 1.0), classes=[0, 1, 2])
    assert equal(weighted, expected)
    weighted.set_params(early_stopping=True).fit(X, y, X_val=X[two], y_val=y[two])
    assert len(weighted.validation_scores_) == 2
    labels = np.eye(3, dtype=int)[y]
    for Y in (labels, scipy.sparse.csr_matrix(labels)):
        weighted = MLPClassifier(class_weight=[{1: 2.0}] * 3, **options).partial_fit(X[~two], Y[~two], classes=range(3))
        expected = MLPClassifier(**options).partial_fit(X[~two], Y[~two], np.full(50, 2.0), classes=range(3))
        assert equal(weighted, expected)


def test_class_weight_finds_the_rare_class() -> None:
    X, y = make_classification(n_samples=400, weights=[0.95], class_sep=0.5, random_state=1)
    plain, balanced = (
        MLPClassifier((4,), class_weight=w, solver="lbfgs", alpha=10, max_iter=50, random_state=0).fit(X, y)
        for w in (None, "balanced")
    )
    assert balanced.predict(X)[y == 1].mean() > plain.predict(X)[y == 1].mean() + 0.2


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"maybe": 2.0}, r"class_weight has weights for \['maybe'\], but the classes are \['no', 'yes'\]"),
        ({"no": -1.0}, r"class_weight must hold finite weights >= 0, got \{'no': -1.0\}"),
        ({"no": 0.0, "yes": 0.0}, "give every row the weight 0"),
        ({"no": "a"}, r"class_weight must hold finite weights >= 0, got \{'no': 'a'\}"),
        ({"no": np.nan}, r"class_weight must hold finite weights >= 0, got \{'no': nan\}"),
        ([{"no": 1.0}], r"class_weight must be a dict of class weights or 'balanced' for these targets, got \[\{"),
        ("even", "The 'class_weight' parameter of MLPClassifier must be"),
    ],
)
def test_bad_class_weight(binary: Data, class_weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight=class_weight).fit(*binary)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({0: 1.0}, "class_weight must be a list of 2 dicts, one for each label, or 'balanced' for these targets"),
        ([{0: 1.0}], "class_weight must be a list of 2 dicts, one for each label, or 'balanced' for these targets"),
        ([1.0, 2.0], "class_weight must be a list of 2 dicts, one for each label, or 'balanced' for these targets"),
        ([{0: 1.0}, {5: 1.0}], r"class_weight has weights for \[5\], but the classes are \[0, 1\]"),
    ],
)
def test_bad_class_weight_of_multilabel_targets(binary: Data, class_weight: Any, message: str) -> None:
    X, _ = binary
    Y = np.c_[X[:, 0] > 0, X[:, 1] > 0.5].astype(int)
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight=class_weight).fit(X, Y)


def test_balanced_weights_are_refused_in_partial_fit(binary: Data) -> None:
    X, y = binary
    with pytest.raises(ValueError, match="class_weight 'balanced' is not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=["no", "yes"])
    clf = MLPClassifier((3,), class_weight={"no": 2.0}, random_state=0).partial_fit(X, y, classes=["no", "yes"])
    assert equal(clf, MLPClassifier((3,), random_state=0).partial_fit(X, y, np.where(y == "no", 2.0, 1.0), classes=["no", "yes"]))


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_label_smoothing_moves_the_optimum(solver: str) -> None:
    options = {"solver": solver, "alpha": 0, "tol": 1e-10, "max_iter": 3000, "learning_rate_init": 1.0, "label_smoothing": 0.2}
    X = np.eye(3)
    three = MLPClassifier((), n_iter_no_change=np.inf, random_state=0, **options).fit(X, [0, 1, 2])
    np.testing.assert_allclose(three.predict_proba(X), np.full((3, 3), 0.2 / 3) + 0.8 * np.eye(3), atol=1e-3)
    two = MLPClassifier((), n_iter_no_change=np.inf, random_state=0, **options).fit(X[:2], [0, 1])
    np.testing.assert_allclose(two.predict_proba(X[:2]), [[0.9, 0.1], [0.1, 0.9]], atol=1e-3)
