"""What `fit` warns about: parameters without effect, training that diverges, too few epochs; and when it stays silent."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline

import fastnet as fn
from fastnet.estimators import MLPClassifier, MLPRegressor

Data = tuple[np.ndarray, np.ndarray]
CONVERGENCE = "Stochastic Optimizer: Maximum iterations"


def _warned(estimator: Any, *data: Any, method: str = "fit", **arguments: Any) -> list[str]:
    """The messages of all warnings except those about too few epochs."""
    return [str(w.message) for w in _caught(estimator, *data, method=method, **arguments) if w.category is not ConvergenceWarning]


def _caught(estimator: Any, *data: Any, method: str = "fit", **arguments: Any) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(estimator, method)(*data, **arguments)
    return caught


# parameters without effect

LBFGS = "has no effect with solver='lbfgs', which takes no mini-batches and never stops early."
EARLY = "has no effect without early_stopping=True."
UNUSED: list[tuple[dict[str, Any], str]] = [
    ({"quantile": 0.9}, "quantile=0.9 has no effect with loss='squared_error', only with loss='quantile'."),
    ({"quantile": [0.1, 0.9]}, "quantile=[0.1, 0.9] has no effect with loss='squared_error', only with loss='quantile'."),
    ({"quantile": 0.9, "loss": fn.Quantile(0.1)}, "quantile=0.9 has no effect with loss=Quantile(quantiles=0.1), only with"),
    ({"huber_delta": 2.0}, "huber_delta=2.0 has no effect with loss='squared_error', only with loss='huber'."),
    ({"scoring": "r2"}, f"scoring='r2' {EARLY}"),
    ({"validation_split": 5}, f"validation_split=5 {EARLY}"),
    ({"validation_split": GroupShuffleSplit()}, "validation_split=GroupShuff"),
    ({"solver": "lbfgs", "dropout": 0.1}, f"dropout=0.1 {LBFGS}"),
    ({"solver": "lbfgs", "dropout": [0.0, 0.1]}, f"dropout=[0.0, 0.1] {LBFGS}"),
    ({"solver": fn.LBFGS(), "learning_rate": "cosine"}, f"learning_rate='cosine' {LBFGS}"),
    ({"solver": "lbfgs", "learning_rate": [0.1, 0.2]}, f"learning_rate=[0.1, 0.2] {LBFGS}"),
    ({"solver": "lbfgs", "weight_decay": 0.1}, f"weight_decay=0.1 {LBFGS}"),
    ({"solver": "lbfgs", "max_grad_norm": 1.0}, f"max_grad_norm=1.0 {LBFGS}"),
    ({"solver": "lbfgs", "early_stopping": True, "scoring": "r2"}, f"scoring='r2' {LBFGS}"),
    ({"solver": fn.Adam(0.1), "learning_rate_init": 0.2}, "learning_rate_init=0.2 has no effect with solver=Adam("),
]


@pytest.mark.parametrize(("options", "message"), UNUSED, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_parameters_without_effect_are_named(regression: Data, options: dict[str, Any], message: str) -> None:
    regressor = MLPRegressor(hidden_layer_sizes=(3, 3), max_iter=2, **options)
    caught = [w for w in _caught(regressor, *regression) if w.category is not ConvergenceWarning]
    assert [str(w.message)[: len(message)] for w in caught] == [message]
    assert caught[0].category is UserWarning
    assert caught[0].filename.endswith("test_warnings.py")


def test_a_warning_points_to_the_caller_of_a_pipeline(regression: Data) -> None:
    caught = _caught(make_pipeline(MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, quantile=0.9)), *regression)
    assert {w.filename for w in caught if w.category is not ConvergenceWarning} == {__file__}


def test_stratify_needs_early_stopping(iris: Data) -> None:
    for stratify in (True, False):
        assert _warned(MLPClassifier((3,), max_iter=2, stratify=stratify), *iris) == [f"stratify={stratify} {EARLY}"]


def test_partial_fit_warns_too(regression: Data) -> None:
    assert _warned(MLPRegressor(hidden_layer_sizes=(3,), quantile=0.9), *regression, method="partial_fit")


SILENT: list[dict[str, Any]] = [
    {},
    {"solver": "sgd", "momentum": 0.5, "learning_rate": "adaptive"},
    {"solver": "lbfgs", "learning_rate": "invscaling", "momentum": 0.5, "early_stopping": True, "learning_rate_init": 0.1},
    {"solver": "lbfgs", "dropout": [0.0, np.float32(0)], "weight_decay": 0.0, "label_smoothing": 0.1, "restore_best": True},
    {"validation_fraction": 0.2, "n_iter_no_change": 3, "beta_1": 0.5},
    {"solver": fn.Adam(0.1)},
    {"early_stopping": True, "scoring": "accuracy", "validation_split": 5},
    {"early_stopping": True, "stratify": True},
    {"learning_rate": "cosine", "dropout": 0.1, "max_grad_norm": 1.0},
]


@pytest.mark.parametrize("options", SILENT, ids=str)
def test_parameters_of_scikit_learn_and_those_that_count_are_no_matter(iris: Data, options: dict[str, Any]) -> None:
    assert _warned(MLPClassifier((3, 3), max_iter=3, **options), *iris) == []


def test_losses_that_use_their_parameter(regression: Data) -> None:
    for options in (
        {"loss": "quantile", "quantile": [0.1, 0.9]},
        {"loss": "huber", "huber_delta": 2.0},
        {"sort_quantiles": False},
    ):
        assert _warned(MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, **options), *regression) == []


# training that diverges


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_growth_of_a_loss_that_stays_finite_is_said(regression: Data, method: str) -> None:
    X, y = regression
    options = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 3.0, "max_iter": 200, "partial_fit_epochs": 200}
    regressor = MLPRegressor(hidden_layer_sizes=(), alpha=0, tol=0, n_iter_no_change=200, random_state=0, **options)
    caught = _caught(regressor, X, y, method=method)
    assert 1e100 < regressor.loss_ < np.inf
    first, last = (f"{loss:.3g}" for loss in (regressor.loss_curve_[0], regressor.loss_))
    messages = [str(w.message) for w in caught if w.category is ConvergenceWarning]
    assert messages[0].startswith(
        f"Training diverged: the loss grew from {first} in the first epoch to {last} in the last. Lower"
    )


def test_a_rising_loss_is_not_yet_divergence(regression: Data) -> None:
    X, y = regression
    options = {"solver": "sgd", "learning_rate_init": 0.01, "max_iter": 3, "random_state": 0}
    regressor = MLPRegressor(hidden_layer_sizes=(4,), warm_start=True, **options)
    _caught(regressor, X, y)
    assert not [w for w in _caught(regressor, X, 10 * y) if "diverged" in str(w.message)]
    assert regressor.loss_curve_[-1] > 10 * regressor.loss_curve_[0]


# epochs that were too few


ALL_EPOCHS: list[dict[str, Any]] = [
    {"learning_rate": "cosine"},
    {"learning_rate": "one_cycle", "solver": "sgd"},
    {"learning_rate": fn.LinearWarmup(fn.Cosine(0.01), 2)},
    {"learning_rate": fn.Cosine(0.01, n_steps=3)},
    {"learning_rate": [0.1] * 4},
    {"solver": fn.Adam(fn.Cosine(0.01))},
    {"early_stopping": True, "n_iter_no_change": np.inf},
    {"restore_best": True, "n_iter_no_change": np.inf},
    {"early_stopping": True, "restore_best": False, "n_iter_no_change": np.inf},
]
FEWER: list[dict[str, Any]] = [
    {},
    {"learning_rate": "exponential"},
    {"learning_rate": fn.Cosine(0.01, n_steps=5)},
    {"learning_rate": [0.1] * 5},
    {"n_iter_no_change": 10**6, "early_stopping": True},
    {"n_iter_no_change": np.inf},
]


@pytest.mark.parametrize("options", ALL_EPOCHS, ids=str)
def test_all_epochs_were_asked_for(iris: Data, options: dict[str, Any]) -> None:
    classifier = MLPClassifier((3,), max_iter=4, random_state=0, **options)
    assert _caught(classifier, *iris) == []
    assert classifier.n_iter_ == 4


@pytest.mark.parametrize("options", FEWER, ids=str)
def test_more_epochs_might_help(iris: Data, options: dict[str, Any]) -> None:
    """``n_iter_no_change=np.inf`` alone warns as in scikit-learn, whose tests ask for it."""
    classifier = MLPClassifier((3,), max_iter=4, random_state=0, **options)
    (warning,) = _caught(classifier, *iris)
    assert warning.category is ConvergenceWarning and CONVERGENCE in str(warning.message)


# validation targets in other units


@pytest.mark.parametrize(
    ("y_val", "apart"),
    [
        (lambda y: y, False),
        (lambda y: y[:30], False),
        (lambda y: y[y > np.median(y)], False),
        (lambda y: 3 * y, False),
        (lambda y: 0.3 * y, False),
        (lambda y: 0 * y, False),
        (lambda y: 7 * y + 125, True),
        (lambda y: 0.03 * y, True),
        (lambda y: 0.03 * y[:10], False),
        (lambda y: 100 * y, True),
        (lambda y: np.full(3, 40.0), True),
    ],
)
@pytest.mark.parametrize("columns", [1, 2])
def test_validation_targets_in_other_units(regression: Data, y_val: Any, apart: bool, columns: int) -> None:
    X, y = regression
    held_out = y_val(y)
    arguments = {"X_val": X[: len(held_out)], "y_val": held_out}
    if columns == 2:
        y, arguments["y_val"] = np.c_[y, y], np.c_[np.resize(y, len(held_out)), held_out]
    messages = _warned(MLPRegressor(hidden_layer_sizes=(3,), early_stopping=True, max_iter=2), X, y, **arguments)
    assert [message[:40] for message in messages] == ["y_val seems to be in other units than y:"[:40]] * apart


def test_transformed_targets_with_validation_targets_as_they_are(regression: Data) -> None:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler

    X, y = regression
    inner = MLPRegressor(hidden_layer_sizes=(3,), early_stopping=True, max_iter=2)
    arguments = {"X_val": X, "y_val": 7 * y + 125}
    (message,) = _warned(TransformedTargetRegressor(inner, transformer=StandardScaler()), X, 7 * y + 125, **arguments)
    assert "TransformedTargetRegressor transforms y, but not y_val; scale_target=True standardises both." in message
    assert _warned(inner.set_params(scale_target=True), X, 7 * y + 125, **arguments) == []


def test_labels_are_not_compared(iris: Data) -> None:
    X, y = iris
    assert _warned(MLPClassifier((3,), early_stopping=True, max_iter=2), X, y, X_val=X[y == 2], y_val=y[y == 2]) == []
