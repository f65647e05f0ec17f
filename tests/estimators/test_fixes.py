"""The deliberate differences from scikit-learn that docs/compatibility.md lists, one test each."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from comparison import equal
from scipy.special import softplus
from sklearn.datasets import make_regression
from sklearn.exceptions import ConvergenceWarning

from fastnet import DivergenceError
from fastnet.estimators import MLPClassifier, MLPRegressor
from fastnet.estimators._fit import LBFGSProgress

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]
DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"


def test_every_fix_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    here = Path(__file__).read_text(encoding="utf-8")
    tests = [line.split("(")[0].removeprefix("def ") for line in here.splitlines() if line.startswith("def test_")]
    missing = [name for name in tests if name != "test_every_fix_is_documented" and name not in text]
    assert not missing


def test_regressor_with_lbfgs_has_no_partial_fit() -> None:
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")
    assert hasattr(MLPRegressor(), "partial_fit")


def test_float32_regression_stays_float32(regression: Data) -> None:
    X, y = regression
    reg = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2)
    reg.fit(X.astype(np.float32), y)
    assert {memory.dtype for memory in reg._optimizer.state} == {np.dtype(np.float32)}
    assert reg.predict(X.astype(np.float32)).dtype == np.float32


def test_float32_lbfgs_gives_float32_parameters(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((4,), solver="lbfgs", random_state=0).fit(X.astype(np.float32), y)
    assert {p.dtype for p in clf.coefs_ + clf.intercepts_} == {np.dtype(np.float32)}
    assert clf.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_batches_of_zero_weight_are_skipped(regression: Data) -> None:
    X, y = regression
    weights = np.ones(len(X))
    weights[:40] = 0
    options: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 3, "batch_size": 20, "shuffle": False, "random_state": 0}
    adam = MLPRegressor(**options).fit(X, y, sample_weight=weights)
    assert adam._optimizer.step == 3 * 6  # skipped batches count: schedules and Adam's correction follow the data
    reg = MLPRegressor(solver="sgd", **options).fit(X, y, sample_weight=weights)
    only = MLPRegressor(solver="sgd", **options).fit(X[40:], y[40:])
    assert reg.loss_ == pytest.approx(only.loss_, rel=1e-12)
    for ours, expected in zip(reg.coefs_, only.coefs_, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_weights_that_are_all_zero_are_refused(regression: Data) -> None:
    X, y = regression
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        MLPRegressor().fit(X, y, sample_weight=np.zeros(len(X)))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_negative_weights_are_refused(regression: Data, solver: str) -> None:
    X, y = regression
    for weights in (np.full(len(X), -1.0), np.where(np.arange(len(X)) % 2, 1.0, -1.0)):
        with pytest.raises(ValueError, match="sample_weight must not be negative, got -1"):
            MLPRegressor(solver=solver).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("heavy", ["training", "validation"])
def test_weights_that_leave_a_part_of_the_split_without_any_are_refused(regression: Data, heavy: str) -> None:
    X, y = regression
    rows = np.arange(len(X))
    reg = MLPRegressor(early_stopping=True, validation_split=[(rows[20:], rows[:20])])
    weights = np.where((rows >= 20) == (heavy == "training"), 1.0, 0.0)
    light = "validation" if heavy == "training" else "training"
    with pytest.raises(ValueError, match=f"All {light} rows of the split have the weight 0"):
        reg.fit(X, y, sample_weight=weights)


def test_warm_start_counts_epochs_without_improvement_anew(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((4,), tol=1.0, n_iter_no_change=3, max_iter=50, warm_start=True, random_state=0).fit(X, y)
    assert clf.n_iter_ < 50
    clf.fit(X, y)
    assert clf.n_iter_ == 4


def test_warm_start_with_early_stopping_keeps_the_best_weights(regression: Data) -> None:
    X, y = regression
    options = {"early_stopping": True, "warm_start": True, "max_iter": 300, "random_state": 0, "learning_rate_init": 0.01}
    reg = MLPRegressor(hidden_layer_sizes=(8,), **options)
    before = [coef.copy() for coef in reg.fit(X, y).coefs_]
    score = reg.best_validation_score_
    reg.set_params(max_iter=2).fit(X, -y)
    assert max(reg.validation_scores_[-2:]) < score
    for now, then in zip(reg.coefs_, before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_warm_start_with_other_layer_sizes_is_refused(iris: Data, solver: str) -> None:
    X, y = iris
    clf = MLPClassifier((4,), solver=solver, warm_start=True, max_iter=2, random_state=0).fit(X, y)
    expected = clf.predict_proba(X)
    clf.set_params(hidden_layer_sizes=(5,))
    with pytest.raises(ValueError, match=r"layers of \[4, 3\] units, but hidden_layer_sizes=\(5,\) and y ask for \[5, 3\]"):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


@pytest.mark.parametrize("first", [{"solver": "lbfgs"}, {"early_stopping": True}, {}])
@pytest.mark.parametrize("second", [{"solver": "sgd"}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_warm_start_with_another_solver_or_stopping_works(iris: Data, first: dict[str, Any], second: dict[str, Any]) -> None:
    X, y = iris
    defaults = {"solver": "adam", "early_stopping": False, "max_iter": 5}
    clf = MLPClassifier((4,), warm_start=True, random_state=0, **{**defaults, **first})
    loss = clf.fit(X, y).loss_
    assert clf.set_params(**{**defaults, **second, "max_iter": 60}).fit(X, y).loss_ < loss


def test_partial_fit_with_warm_start_takes_batches_that_lack_a_class(iris: Data) -> None:
    X, y = iris
    models = [MLPClassifier((4,), warm_start=warm_start, random_state=0) for warm_start in (False, True)]
    for model in models:
        model.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X[:50], y[:50])
    assert equal(*models)


def test_warm_start_with_another_dtype_is_refused(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier((4,), warm_start=True, max_iter=2, random_state=0).fit(X, y).set_params(dtype="float32")
    for train in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError, match="The fitted network has parameters of float64, but dtype='float32'"):
            train(X, y)
    assert clf.set_params(dtype=np.float64).fit(X, y).coefs_[0].dtype == np.float64


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_regressor_refuses_sparse_targets(regression: Data, solver: str) -> None:
    X, y = regression
    for columns in (y[:, None], np.c_[y, y]):
        with pytest.raises(TypeError, match="Sparse data was passed.*toarray"):
            MLPRegressor(solver=solver).fit(X, scipy.sparse.csr_matrix(columns))


def test_poisson_refuses_negative_targets(regression: Data) -> None:
    X, y = regression
    with pytest.raises(ValueError, match=r"loss='poisson' needs y >= 0, got a minimum of -\d"):
        MLPRegressor("poisson").fit(X, y)


def test_lbfgs_minimises_one_function_for_several_outputs() -> None:
    """scikit-learn pairs the mean over the outputs with the gradient of their sum, which misleads its line search."""
    X, y = make_regression(n_samples=100, n_features=6, n_targets=4, noise=1.0, random_state=0)
    y /= y.std()
    options = {
        "hidden_layer_sizes": (10,),
        "activation": "tanh",
        "solver": "lbfgs",
        "max_iter": 100,
        "random_state": 0,
        "alpha": 0.1,
    }
    ours = MLPRegressor(**options).fit(X, y)
    theirs = sklearn.neural_network.MLPRegressor(**options).fit(X, y)

    def objective(model: Any) -> float:
        squares = 0.5 * ((model.predict(X) - y) ** 2).sum(axis=1).mean()
        return squares + 0.5 * 0.1 * sum((coef**2).sum() for coef in model.coefs_) / len(X)

    assert objective(ours) < objective(theirs)
    packed = np.hstack([p.ravel() for p in ours.coefs_ + ours.intercepts_])
    loss, gradient = ours._loss_grad_lbfgs(packed, X, y, None)
    assert loss == pytest.approx(objective(ours), rel=1e-12)
    step = 1e-6 * np.random.default_rng(0).normal(size=packed.size)
    numeric = ours._loss_grad_lbfgs(packed + step, X, y, None)[0] - ours._loss_grad_lbfgs(packed - step, X, y, None)[0]
    assert numeric == pytest.approx(2 * gradient @ step, rel=1e-5)


def test_diverging_training_names_the_epoch_and_leaves_the_model(regression: Data) -> None:
    X, y = regression
    reg = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=20, random_state=0).fit(X, y)
    expected, state = reg.predict(X), set(vars(reg))
    reg.set_params(solver="sgd", learning_rate_init=1e6, max_iter=100)
    with pytest.raises(ValueError, match=r"Solver produced non-finite parameter weights.*diverged in epoch \d+"):
        reg.fit(X, y)
    np.testing.assert_array_equal(reg.predict(X), expected)
    assert set(vars(reg)) == state


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_lbfgs_that_cannot_start_is_an_error_and_leaves_the_model(regression: Data, loss: str) -> None:
    X, y = regression
    y = abs(y)
    reg = MLPRegressor(hidden_layer_sizes=(3,), loss=loss, solver="lbfgs", max_iter=20, random_state=0).fit(X, y)
    expected = reg.predict(X)
    message = r"Solver produced non-finite parameter weights.*L-BFGS diverged in iteration 1"
    with pytest.raises(ValueError, match=message) as raised:
        reg.fit(1e200 * X, y)
    assert isinstance(raised.value.__cause__, DivergenceError)
    np.testing.assert_array_equal(reg.predict(X), expected)


def test_early_stopping_ends_with_the_first_epoch_that_is_not_finite(regression: Data) -> None:
    X, y = regression
    options = {"activation": "identity", "solver": "sgd", "learning_rate_init": 1.0, "max_iter": 100, "random_state": 0}
    reg = MLPRegressor(hidden_layer_sizes=(50,), early_stopping=True, n_iter_no_change=np.inf, **options)
    with pytest.warns(ConvergenceWarning, match="Training diverged in epoch"):
        reg.fit(X, y)
    assert reg.n_iter_ == len(reg.loss_curve_) < 100
    assert np.isnan(reg.loss_curve_[-1])
    assert np.isnan(reg.validation_scores_[-1])
    assert np.isfinite(reg.loss_curve_[:-1]).all()
    assert np.isfinite(reg.predict(X)).all()


BAD_FITS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"alpha": -1}, {}),
    ({}, {"y": np.array([[1.5], [2.5]] * 75)}),
    ({}, {"X": np.full((150, 4), np.nan)}),
    ({}, {"sample_weight": np.ones(3)}),
    ({"early_stopping": True, "validation_fraction": 0.001}, {}),
    ({"hidden_layer_sizes": (3, 0)}, {}),
    ({"activation": ["relu", "tanh"]}, {}),
    ({"class_weight": {7: 2.0}}, {}),
]


@pytest.mark.parametrize(("parameters", "data"), BAD_FITS)
def test_failed_fit_leaves_the_model(iris: Data, parameters: dict[str, Any], data: dict[str, Any]) -> None:
    X, y = iris
    clf = MLPClassifier((4,), max_iter=3, random_state=0).fit(X, y)
    expected, attributes = clf.predict_proba(X), dict(vars(clf))
    fresh = MLPClassifier((4,), max_iter=3, random_state=0).set_params(**parameters)
    with pytest.raises(ValueError):
        fresh.fit(**{"X": X, "y": y, **data})
    assert not [name for name in vars(fresh) if name.endswith("_")]
    clf.set_params(**parameters)
    with pytest.raises(ValueError):
        clf.fit(**{"X": X, "y": y, **data})
    clf.set_params(**{name: value for name, value in attributes.items() if name in clf.get_params()})
    assert vars(clf).keys() == attributes.keys()
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


def test_interrupted_lbfgs_leaves_the_model(iris: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Acts like Ctrl-C in the third iteration."""

    def interrupt(progress: LBFGSProgress, result: Any) -> bool:
        progress.n_iter += 1
        if progress.n_iter == 3:
            raise KeyboardInterrupt
        return False

    X, y = iris
    clf = MLPClassifier((4,), solver="lbfgs", max_iter=10, random_state=0).fit(X, y)
    expected, attributes = clf.predict_proba(X), set(vars(clf))
    monkeypatch.setattr(LBFGSProgress, "__call__", interrupt)
    for model in (clf.set_params(random_state=1), MLPClassifier((4,), solver="lbfgs")):
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    assert set(vars(clf)) == attributes


def test_failed_partial_fit_leaves_model_and_optimiser(regression: Data) -> None:
    X, y = regression
    reg = MLPRegressor(hidden_layer_sizes=(4,), random_state=0).partial_fit(X, y).partial_fit(X, y)
    again = pickle.loads(pickle.dumps(reg))
    with pytest.raises(ValueError, match="diverged"):
        reg.partial_fit(1e200 * X, y)
    assert len(reg.loss_curve_) == 2
    for model in (reg, again):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(reg.coefs_[0], again.coefs_[0])


def test_failed_first_partial_fit_leaves_nothing(iris: Data) -> None:
    X, y = iris
    clf = MLPClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes not in"):
        clf.partial_fit(X, y, classes=[0, 1])
    assert not hasattr(clf, "classes_")
    assert clf.partial_fit(X, y, classes=[0, 1, 2]).t_ == 150


def test_verbose_lbfgs_prints_a_line_an_iteration(iris: Data, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = iris
    clf = MLPClassifier((4,), solver="lbfgs", max_iter=5, verbose=True, random_state=0).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"Iteration 5, loss = {clf.loss_:.8f}"
    assert len(lines) == 5


def test_loss_of_wrong_and_certain_predictions_is_exact() -> None:
    """scikit-learn rounds ``1 - p`` before it takes the logarithm: at z = 33 a third of the digits are gone."""
    z = 33.0
    losses = {}
    for library, cls in (("ours", MLPClassifier), ("theirs", sklearn.neural_network.MLPClassifier)):
        clf = cls((), solver="sgd", alpha=0, max_iter=1, learning_rate_init=1e-9, warm_start=True, random_state=0)
        clf.fit([[1.0], [0.0]], [0, 1])
        clf.coefs_, clf.intercepts_ = [np.array([[z]])], [np.array([0.0])]
        losses[library] = clf.fit([[1.0], [0.0]], [0, 1]).loss_
    exact = (softplus(z) + np.log(2)) / 2
    assert losses["ours"] == pytest.approx(exact, rel=1e-14)
    assert losses["theirs"] == pytest.approx(exact, rel=1e-3)


def test_pickles_hold_no_second_copy_of_the_weights(iris: Data) -> None:
    X, y = iris
    sizes = {}
    for library, cls in (("ours", MLPClassifier), ("theirs", sklearn.neural_network.MLPClassifier)):
        for solver in ("lbfgs", "sgd", "adam"):
            clf = cls((200, 200), solver=solver, max_iter=1, random_state=0).fit(X, y)
            n_values = sum(p.size for p in clf.coefs_ + clf.intercepts_)
            sizes[library, solver] = len(pickle.dumps(clf)) / (8 * n_values)
    assert sizes["ours", "lbfgs"] < 1.1
    assert sizes["ours", "sgd"] < 2.1
    assert sizes["ours", "adam"] < 3.1
    assert all(sizes["ours", solver] < sizes["theirs", solver] - 0.9 for solver in ("lbfgs", "sgd", "adam"))


def test_early_stopping_scores_make_no_warning_about_feature_names(iris: Data) -> None:
    pd = pytest.importorskip("pandas")
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    for scoring in (None, "balanced_accuracy", "loss"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            MLPClassifier((4,), max_iter=3, early_stopping=True, scoring=scoring).fit(frame, y).predict(frame)


def test_stratify_keeps_the_shares_of_many_classes() -> None:
    """scikit-learn stratifies for two classes only; here the rare class is in the validation rows with `stratify=True`."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(100, 2)), np.repeat([0, 1, 2], [60, 30, 10])
    seen: dict[Any, np.ndarray] = {}
    for stratify in ("auto", True):

        def remember(estimator: Any, X: np.ndarray, y: np.ndarray, key: Any = stratify) -> float:
            seen[key] = np.bincount(y, minlength=3)
            return 0.0

        MLPClassifier(
            (2,), max_iter=1, early_stopping=True, validation_fraction=0.2, stratify=stratify, scoring=remember, random_state=1
        ).fit(X, y)
    assert seen[True].tolist() == [12, 6, 2]
    assert seen["auto"].tolist() != [12, 6, 2]
