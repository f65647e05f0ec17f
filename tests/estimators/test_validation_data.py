"""Validation data, scores, stopping and the best weights."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, r2_score

import fastnet as fn
from fastnet.estimators import MLPClassifier, MLPRegressor
from fastnet.estimators._validation import Rows, r2

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]


def test_given_validation_data_is_scored(iris: Data) -> None:
    X, y = iris
    weights = np.linspace(0.1, 1.0, 50)
    clf = MLPClassifier((5,), early_stopping=True, n_iter_no_change=np.inf, max_iter=7, random_state=0, restore_best=False)
    clf.fit(X[::3], y[::3], X_val=X[1::3], y_val=y[1::3], sample_weight_val=weights)
    assert len(clf.validation_scores_) == len(clf.validation_loss_curve_) == 7
    proba = clf.predict_proba(X[1::3])
    expected = accuracy_score(y[1::3], proba.argmax(axis=1), sample_weight=weights)
    assert clf.validation_scores_[-1] == pytest.approx(expected, rel=1e-12)
    assert clf.validation_loss_curve_[-1] == pytest.approx(log_loss(y[1::3], proba, sample_weight=weights), rel=1e-9)
    assert clf.best_validation_score_ == max(clf.validation_scores_)


def test_given_validation_data_leaves_all_rows_for_training(regression: Data) -> None:
    X, y = regression
    reg = MLPRegressor(
        hidden_layer_sizes=(5,), early_stopping=True, n_iter_no_change=np.inf, max_iter=3, random_state=0, restore_best=False
    )
    reg.fit(X, y, X_val=X[:10], y_val=y[:10])
    plain = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, y)
    assert reg.t_ == 3 * len(X)
    assert all(np.array_equal(a, b) for a, b in zip(reg.coefs_, plain.coefs_, strict=True))
    assert reg.validation_scores_[-1] == pytest.approx(r2_score(y[:10], plain.predict(X[:10])), rel=1e-12)
    loss = 0.5 * np.mean((y[:10] - plain.predict(X[:10])) ** 2)
    assert reg.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({}, {"X_val": 1}, "X_val is provided, but y_val was not provided"),
        ({}, {"y_val": 1}, "y_val is provided, but X_val was not provided"),
        ({}, {"sample_weight_val": 1}, "sample_weight_val is provided, but X_val and y_val were not provided"),
        ({"early_stopping": False}, {"X_val": 1, "y_val": 1}, "while at the same time early_stopping is False"),
        ({"solver": "lbfgs"}, {"X_val": 1, "y_val": 1}, "solver='lbfgs' trains on all rows"),
    ],
)
def test_wrong_combinations_of_validation_arguments(
    iris: Data, options: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    X, y = iris
    data = {"X_val": X, "y_val": y, "sample_weight_val": np.ones(len(y))}
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**{"early_stopping": True, **options}).fit(X, y, **{name: data[name] for name in arguments})


def test_validation_data_that_does_not_fit(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((5,), early_stopping=True, max_iter=2)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4 features"):
        clf.fit(X, y, X_val=X[:, :3], y_val=y)
    with pytest.raises(ValueError, match="`y` has classes not in `self.classes_`"):
        clf.fit(X, y, X_val=X, y_val=y + 1)
    with pytest.raises(ValueError, match=r"not fitted with multilabel input. Expected one class a row.*got \(150, 3\)"):
        clf.fit(X, y, X_val=X, y_val=np.eye(3, dtype=int)[y])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clf.fit(X, y, X_val=X, y_val=y[:10])
    assert not hasattr(clf, "coefs_")


def test_validation_targets_with_other_columns(regression: Data) -> None:
    X, y = regression
    with pytest.raises(ValueError, match="y_val must have as many columns as y, got targets for 2 outputs of 1"):
        MLPRegressor(early_stopping=True).fit(X, y, X_val=X, y_val=np.c_[y, y])


def test_r2_needs_more_than_one_validation_row(regression: Data) -> None:
    """It would be 0 after every epoch, and training would stop without having improved."""
    X, y = regression
    reg = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0, early_stopping=True)
    with pytest.raises(ValueError, match=r"R2 is not defined on one row.*at least 2.*scoring='loss'"):
        reg.fit(X, y, X_val=X[:1], y_val=y[:1])
    assert not hasattr(reg, "coefs_")
    for other in ({"scoring": "loss"}, {"scoring": "neg_mean_absolute_error"}, {"loss": "quantile", "quantile": [0.1, 0.9]}):
        fitted = clone(reg).set_params(**other).fit(X, y, X_val=X[:1], y_val=y[:1])
        assert np.isfinite(fitted.validation_scores_).all()


def test_scores_of_another_measure_start_anew_under_warm_start(iris: Data) -> None:
    """An accuracy is above every negative loss: no epoch would be better than those before, and none be kept."""
    X, y = iris
    clf = MLPClassifier((5,), early_stopping=True, warm_start=True, max_iter=5, random_state=0).fit(X, y)
    before = clf.coefs_[0].copy()
    clf.set_params(scoring="loss").fit(X, y)
    assert not np.array_equal(clf.coefs_[0], before)
    assert len(clf.validation_scores_) == 5 and clf.best_validation_score_ == max(clf.validation_scores_) < 0
    clf.fit(X, y)
    assert len(clf.validation_scores_) == 10


def test_validation_data_may_lack_a_class_under_warm_start(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((5,), early_stopping=True, warm_start=True, max_iter=2, random_state=0)
    clf.fit(X, y, X_val=X[:60], y_val=y[:60]).fit(X, y, X_val=X[:60], y_val=y[:60])
    assert len(clf.validation_scores_) == 4


@pytest.mark.parametrize("scoring", ["neg_log_loss", "loss"])
def test_scoring_by_the_loss(iris: Data, scoring: str) -> None:
    X, y = iris
    clf = MLPClassifier((5,), early_stopping=True, scoring=scoring, max_iter=8, random_state=0).fit(X, y)
    np.testing.assert_allclose(clf.validation_scores_, -np.array(clf.validation_loss_curve_), rtol=1e-9)


def test_scoring_by_name_and_by_function(binary: Data) -> None:
    X, y = binary

    def recall_of_yes(estimator: Any, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        assert sample_weight is not None
        return float(np.average(estimator.predict(X)[y == "yes"] == "yes", weights=sample_weight[y == "yes"]))

    curves = []
    for scoring in ("recall_macro", recall_of_yes):
        clf = MLPClassifier((5,), early_stopping=True, scoring=scoring, max_iter=5, random_state=0)
        curves.append(clf.fit(X, y, sample_weight=np.linspace(1, 2, len(y))).validation_scores_)
    assert all(isinstance(score, float) and 0 <= score <= 1 for curve in curves for score in curve)
    assert curves[0] != curves[1]


@pytest.mark.parametrize("score", [None, "high", {"accuracy": 1.0}])
def test_scorer_that_gives_no_number_leaves_the_model(iris: Data, score: Any) -> None:
    clf = MLPClassifier((3,), max_iter=2, random_state=0).fit(*iris)
    expected = clf.predict_proba(iris[0])
    clf.set_params(early_stopping=True, scoring=lambda estimator, X, y: score)
    with pytest.raises(TypeError, match=f"scoring must return a number, got {score!r} from <function"):
        clf.fit(*iris)
    np.testing.assert_array_equal(clf.predict_proba(iris[0]), expected)


def test_scores_that_are_all_nan_are_pointed_out(iris: Data) -> None:
    options = {"early_stopping": True, "scoring": lambda estimator, X, y: np.nan, "max_iter": 3, "random_state": 0}
    with pytest.warns(ConvergenceWarning, match="Every score on the validation rows was NaN, so the weights are those before"):
        clf = MLPClassifier((3,), **options).fit(*iris)
    start = MLPClassifier((3,), random_state=0).initialize(4, 3)
    assert equal(clf, start)
    assert not equal(clf.set_params(restore_best=False).fit(*iris), start)


def test_unknown_scorer(iris: Data) -> None:
    with pytest.raises(ValueError, match="scoring"):
        MLPClassifier(early_stopping=True, scoring="beauty").fit(*iris)


def test_best_weights_of_early_stopping(iris: Data) -> None:
    X, y = iris
    options = {
        "early_stopping": True,
        "scoring": "loss",
        "solver": "sgd",
        "learning_rate_init": 0.9,
        "max_iter": 30,
        "random_state": 0,
    }
    clf = MLPClassifier((5,), n_iter_no_change=np.inf, **options)
    clf.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    best = min(clf.validation_loss_curve_)
    assert clf.validation_loss_curve_[-1] > best
    assert log_loss(y[1::2], clf.predict_proba(X[1::2])) == pytest.approx(best, rel=1e-9)


def test_best_weights_without_early_stopping(regression: Data) -> None:
    """The epoch of the least training loss: with one batch of all rows, its loss is that of the weights before it."""
    X, y = regression
    options = {"hidden_layer_sizes": (5,), "solver": "sgd", "learning_rate_init": 0.5, "batch_size": len(y), "random_state": 0}
    reg = MLPRegressor(max_iter=40, n_iter_no_change=np.inf, restore_best=True, **options).fit(X, y)
    epoch = int(np.argmin(reg.loss_curve_))
    assert epoch < 39
    shorter = MLPRegressor(max_iter=epoch + 1, n_iter_no_change=np.inf, **options).fit(X, y)
    assert all(np.array_equal(a, b) for a, b in zip(reg.coefs_, shorter.coefs_, strict=True))


def test_number_of_the_best_epoch(iris: Data) -> None:
    """Counted from 1, as `n_iter_`: of the kept weights with early stopping, else of the least training loss."""
    X, y = iris
    scores = iter([0.1, 0.7, 0.3, 0.7, np.nan, 0.2])
    kept: list[np.ndarray] = []

    def scripted(estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
        kept.append(estimator.coefs_[0].copy())
        return next(scores)

    options = {"n_iter_no_change": np.inf, "max_iter": 6, "random_state": 0}
    clf = MLPClassifier((5,), early_stopping=True, scoring=scripted, **options).fit(X, y)
    assert clf.best_epoch_ == 2
    np.testing.assert_array_equal(clf.coefs_[0], kept[1])
    plain = MLPClassifier((5,), solver="sgd", learning_rate_init=5.0, **options).fit(X, y)
    assert plain.best_epoch_ == np.argmin(plain.loss_curve_) + 1 < 6
    assert plain.loss_curve_[plain.best_epoch_ - 1] == plain.best_loss_


def test_best_epoch_over_several_calls(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((5,), early_stopping=True, scoring="loss", warm_start=True, max_iter=3, random_state=0)
    for _ in range(3):
        clf.fit(X, y, X_val=X, y_val=y)
    assert len(clf.validation_scores_) == 9
    assert clf.best_epoch_ == np.argmax(clf.validation_scores_) + 1 > 3
    clf.set_params(early_stopping=False, scoring=None, solver="sgd", learning_rate_init=5.0).fit(X, y)
    assert clf.best_epoch_ > 9, "one of those that were judged by the training loss"


def test_no_best_epoch(iris: Data) -> None:
    X, y = iris
    nothing = {"early_stopping": True, "scoring": lambda estimator, X, y: np.nan, "max_iter": 3}
    assert MLPClassifier((3,), **nothing).fit(X, y).best_epoch_ == 0
    for without in (MLPClassifier((3,), solver="lbfgs", max_iter=3).fit(X, y), MLPClassifier()):
        with pytest.raises(AttributeError, match="best_epoch_ is known after a fit with a mini-batch solver"):
            without.best_epoch_  # noqa: B018


def test_best_epoch_of_models_from_elsewhere(iris: Data, tmp_path: Path) -> None:
    from sklearn.neural_network import MLPClassifier as Theirs

    X, y = iris
    options = {"early_stopping": True, "max_iter": 8, "random_state": 0}
    clf = MLPClassifier((5,), **options).fit(X, y)
    clf.save(tmp_path / "model.safetensors")
    for twin in (fn.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(clf))):
        assert twin.best_epoch_ == clf.best_epoch_ > 0
    assert MLPClassifier.from_sklearn(Theirs((5,), **options).fit(X, y)).best_epoch_ == clf.best_epoch_


def test_restore_best_survives_divergence(regression: Data) -> None:
    X, y = regression
    options = {
        "hidden_layer_sizes": (5,),
        "activation": "identity",
        "solver": "sgd",
        "learning_rate_init": 2.0,
        "random_state": 0,
    }
    reg = MLPRegressor(restore_best=True, n_iter_no_change=np.inf, **options)
    with pytest.warns(ConvergenceWarning, match="The best weights before that are kept"):
        reg.fit(X, y)
    assert np.isnan(reg.loss_curve_[-1])
    assert np.isfinite(reg.predict(X)).all()


def test_last_weights_on_request(iris: Data) -> None:
    X, y = iris
    options = {"early_stopping": True, "max_iter": 15, "solver": "sgd", "learning_rate_init": 0.9, "random_state": 0}
    kept, last = (MLPClassifier((5,), n_iter_no_change=np.inf, restore_best=b, **options).fit(X, y) for b in (None, False))
    assert kept.validation_scores_ == last.validation_scores_
    assert not np.array_equal(kept.coefs_[0], last.coefs_[0])


def test_r2_is_scikit_learns() -> None:
    rng = np.random.RandomState(0)
    for n_outputs in (1, 3):
        y, predicted, weights = rng.normal(size=(9, n_outputs)), rng.normal(size=(9, n_outputs)), rng.uniform(size=9)
        y[:, 0] = 2.0 if n_outputs == 3 else y[:, 0]
        for w in (None, weights):
            rows = Rows(np.zeros((9, 1)), y, y, w)
            assert r2(predicted, rows) == pytest.approx(r2_score(y, predicted, sample_weight=w), rel=1e-12)
            assert r2(y, rows) == 1.0


def test_single_class_is_scored() -> None:
    X = np.arange(20.0).reshape(-1, 2)
    clf = MLPClassifier((3,), early_stopping=True, validation_fraction=0.3, max_iter=3, random_state=0).fit(
        X, np.full(10, "only")
    )
    assert clf.validation_scores_ == [1.0] * clf.n_iter_
    assert clf.predict(X).tolist() == ["only"] * 10


def test_interrupt_leaves_the_best_model(iris: Data) -> None:
    X, y = iris

    def interrupt(estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
        calls.append(estimator.coefs_[0].copy())
        if len(calls) == 4:
            raise KeyboardInterrupt
        return -float(len(calls))

    calls: list[np.ndarray] = []
    clf = MLPClassifier((5,), early_stopping=True, scoring=interrupt, n_iter_no_change=np.inf, random_state=0)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.coefs_[0], calls[0])
    assert clf.predict(X).shape == y.shape


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_progress_bar_instead_of_lines(iris: Data, solver: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    X, y = iris
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MLPClassifier((5,), solver=solver, verbose="progress", max_iter=3, early_stopping=True, random_state=0).fit(X, y)
    captured = capsys.readouterr()
    assert "Iteration" not in captured.out
    assert "MLPClassifier" in captured.err
