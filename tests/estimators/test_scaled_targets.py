"""`scale_target`: the network is trained on standardised targets, and everything outside it is in units of y."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from comparison import distance
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.validation import check_is_fitted

import fastnet as fn
from fastnet._models import model_view
from fastnet.estimators import MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]
MEAN, DEVIATION = 125.0, 7.0


@pytest.fixture(scope="module")
def shifted(regression: Data) -> Data:
    X, y = regression
    return X, DEVIATION * y + MEAN


def _pair(**options: Any) -> tuple[MLPRegressor, MLPRegressor]:
    """The regressor that scales its targets, and one that is to be given scaled targets."""
    options = {"hidden_layer_sizes": (6,), "learning_rate_init": 0.01, "max_iter": 20, "random_state": 0} | options
    return MLPRegressor(scale_target=True, **options), MLPRegressor(**options)


def _standardised(y: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, Any, Any]:
    mean = np.average(y, axis=0, weights=weights)
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    return (y - mean) / deviation, mean, deviation


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "sgd"},
        {"solver": "lbfgs"},
        {"dtype": "float32"},
        {"dtype": "float32", "solver": "lbfgs"},
        {"loss": "absolute_error"},
        {"loss": "huber", "huber_delta": 0.5},
        {"loss": fn.Huber(0.5)},
        {"loss": "quantile", "quantile": 0.9},
        {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
        {"restore_best": True, "alpha": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("columns", [1, 2])
def test_training_is_that_of_standardised_targets(shifted: Data, options: dict[str, Any], columns: int) -> None:
    X, y = shifted
    if columns == 2:
        y = np.c_[y, 0.03 * X[:, 0] - 2]
    scaling, plain = _pair(**options)
    t, mean, deviation = _standardised(y)
    scaling.fit(X, y)
    plain.fit(X, t)
    single = options.get("dtype") == "float32"
    for ours, theirs in zip(scaling.coefs_ + scaling.intercepts_, plain.coefs_ + plain.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3 if single else 1e-6, atol=1e-4 if single else 1e-8)
    assert scaling.loss_ == pytest.approx(plain.loss_, rel=1e-4 if single else 1e-8)
    n_each = scaling.n_outputs_ // columns
    predicted = plain.predict(X) * np.repeat(deviation, n_each) + np.repeat(mean, n_each)
    np.testing.assert_allclose(scaling.predict(X), predicted, rtol=1e-5 if single else 1e-8)
    assert scaling.predict(X.astype(scaling.coefs_[0].dtype)).dtype == scaling.coefs_[0].dtype
    np.testing.assert_allclose(scaling.target_scaler_.mean_, np.ravel(mean), rtol=1e-12)
    np.testing.assert_allclose(scaling.target_scaler_.scale_, np.ravel(deviation), rtol=1e-12)


@pytest.mark.parametrize(("mean", "deviation"), [(MEAN, DEVIATION), (0.5, 0.03), (-4e6, 1e3)])
def test_targets_of_any_scale_are_learnt(regression: Data, mean: float, deviation: float) -> None:
    X, y = regression
    scaling, plain = _pair(max_iter=200)
    expected = plain.fit(X, y).score(X, y)
    assert expected > 0.9
    assert scaling.fit(X, deviation * y + mean).score(X, deviation * y + mean) == pytest.approx(expected, abs=0.02)
    assert plain.fit(X, deviation * y + mean).score(X, deviation * y + mean) < expected - 0.1


def test_float32_keeps_small_differences_of_large_targets(regression: Data) -> None:
    """Targets about 1e6 with a deviation of 1 have a step of 1/16 in float32: they are scaled before they are rounded."""
    X, y = regression
    scaling, plain = _pair(dtype="float32")
    t, _, _ = _standardised(y + 1e6)
    np.testing.assert_allclose(scaling.fit(X, y + 1e6).coefs_[0], plain.fit(X, t).coefs_[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_of_rows_weigh_mean_and_deviation(shifted: Data, solver: str) -> None:
    X, y = shifted
    y = y.copy()
    y[:10] = 1e6
    weights = np.where(np.arange(len(y)) < 10, 0.0, np.linspace(1, 2, len(y)))
    scaling, plain = _pair(solver=solver)
    t, _, _ = _standardised(y, weights)
    scaling.fit(X, y, sample_weight=weights)
    plain.fit(X, t, sample_weight=weights)
    np.testing.assert_allclose(scaling.coefs_[0], plain.coefs_[0], rtol=1e-7, atol=1e-9)
    assert scaling.target_scaler_.mean_[0] == pytest.approx(np.average(y, weights=weights))


@pytest.mark.parametrize("scoring", [None, "loss", "neg_mean_absolute_error"])
def test_validation_data_are_scaled_alike(shifted: Data, scoring: Any) -> None:
    X, y = shifted
    train, held_out = np.arange(80), np.arange(80, 120)
    scaling, plain = _pair(early_stopping=True, scoring=scoring)
    t, mean, deviation = _standardised(y[train])
    scaling.fit(X[train], y[train], X_val=X[held_out], y_val=y[held_out])
    plain.fit(X[train], t, X_val=X[held_out], y_val=(y[held_out] - mean) / deviation)
    units = deviation if scoring == "neg_mean_absolute_error" else 1.0
    np.testing.assert_allclose(scaling.validation_scores_, np.array(plain.validation_scores_) * units, rtol=1e-7)
    np.testing.assert_allclose(scaling.validation_loss_curve_, plain.validation_loss_curve_, rtol=1e-7)
    assert scaling.best_epoch_ == plain.best_epoch_
    predicted = scaling.predict(X[held_out])
    expected = {
        None: lambda: r2_score(y[held_out], predicted),
        "loss": lambda: -0.5 * np.mean(((y[held_out] - predicted) / deviation) ** 2),
        "neg_mean_absolute_error": lambda: -mean_absolute_error(y[held_out], predicted),
    }[scoring]()
    assert scaling.best_validation_score_ == pytest.approx(expected, rel=1e-9)


def test_rows_set_aside_do_not_count(shifted: Data) -> None:
    X, y = shifted
    y = y.copy()
    y[100:] += 1000
    scaling, _ = _pair(early_stopping=True, validation_split=[(np.arange(100), np.arange(100, 120))])
    assert scaling.fit(X, y).target_scaler_.mean_[0] == pytest.approx(y[:100].mean())


def test_partial_fit_counts_all_rows_that_it_has_seen(shifted: Data) -> None:
    X, y = shifted
    weights = np.linspace(1, 3, len(y))
    scaling, _ = _pair()
    for part in (slice(0, 1), slice(1, 50), slice(50, None)):
        scaling.partial_fit(X[part], y[part], weights[part])
    assert scaling.target_scaler_.mean_[0] == pytest.approx(np.average(y, weights=weights))
    assert scaling.target_scaler_.var_[0] == pytest.approx(_standardised(y, weights)[2] ** 2)
    for _ in range(200):
        scaling.partial_fit(X, y)
    assert scaling.score(X, y) > 0.8


def test_partial_fit_of_all_rows_is_an_epoch_of_fit(shifted: Data) -> None:
    X, y = shifted
    fitted, parts = (_pair(shuffle=False, max_iter=3)[0] for _ in range(2))
    fitted.fit(X, y)
    for _ in range(3):
        parts.partial_fit(X, y)
    np.testing.assert_allclose(parts.coefs_[0], fitted.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(parts.predict(X), fitted.predict(X), rtol=1e-9)


def test_failed_partial_fit_leaves_mean_and_deviation(shifted: Data) -> None:
    X, y = shifted
    scaling, _ = _pair()
    scaling.partial_fit(X[:50], y[:50])
    expected = scaling.predict(X)
    with pytest.raises(ValueError, match="diverged"):
        scaling.partial_fit(1e200 * X[50:], y[50:] + 1000)
    np.testing.assert_array_equal(scaling.predict(X), expected)


def test_warm_start_goes_on(shifted: Data) -> None:
    X, y = shifted
    scaling, plain = _pair(warm_start=True, max_iter=5)
    t, _, _ = _standardised(y)
    for _ in range(3):
        scaling.fit(X, y)
        plain.fit(X, t)
    np.testing.assert_allclose(scaling.coefs_[0], plain.coefs_[0], rtol=1e-8)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("how", ["fit", "partial_fit"])
def test_networks_trained_on_other_targets_are_not_continued(shifted: Data, scaled: bool, how: str) -> None:
    X, y = shifted
    reg = _pair(warm_start=True)[0].set_params(scale_target=scaled).fit(X, y)
    expected = reg.predict(X)
    reg.set_params(scale_target=not scaled)
    with pytest.raises(ValueError, match=f"was trained with scale_target={scaled}, but scale_target={not scaled}. Set it back"):
        getattr(reg, how)(X, y)
    np.testing.assert_array_equal(reg.predict(X), expected)
    reg.set_params(warm_start=False).fit(X, y)
    assert hasattr(reg, "target_scaler_") != scaled


def test_initial_parameters_are_of_the_scaled_network(shifted: Data) -> None:
    X, y = shifted
    scaling, plain = _pair()
    scaling.initialize(5).partial_fit(X, y)
    plain.initialize(5).partial_fit(X, _standardised(y)[0])
    assert distance(scaling, plain) < 1e-12


def test_constant_targets(regression: Data) -> None:
    X, y = regression
    scaling, _ = _pair(learning_rate_init=0.1, max_iter=100)
    assert np.abs(scaling.fit(X, np.full(len(y), 1000.0)).predict(X) - 1000).max() < 1


def test_poisson_is_refused(shifted: Data) -> None:
    for loss in ("poisson", fn.losses.Poisson()):
        with pytest.raises(ValueError, match="scale_target=True standardises y, but loss='poisson' needs y >= 0"):
            MLPRegressor(loss, scale_target=True).fit(*shifted)


def test_targets_whose_variance_overflows_are_refused(shifted: Data) -> None:
    X, y = shifted
    with pytest.raises(ValueError, match="cannot standardise targets from .* their variance overflows"):
        MLPRegressor(scale_target=True).fit(X, 1e200 * y)


def test_bad_value_is_named(shifted: Data) -> None:
    with pytest.raises(ValueError, match="The 'scale_target' parameter of MLPRegressor must be"):
        MLPRegressor(scale_target="yes").fit(*shifted)


def test_copies_predict_the_same(shifted: Data) -> None:
    X, y = shifted
    scaling, _ = _pair()
    assert not hasattr(clone(scaling.fit(X, y)), "target_scaler_")
    for twin in (copy.deepcopy(scaling), pickle.loads(pickle.dumps(scaling))):
        np.testing.assert_array_equal(twin.predict(X), scaling.predict(X))
        np.testing.assert_array_equal(twin.partial_fit(X, y).predict(X), copy.deepcopy(scaling).partial_fit(X, y).predict(X))


def test_one_row_and_lists_and_other_types(shifted: Data) -> None:
    X, y = shifted
    scaling = _pair()[0].fit(X, y)
    expected = scaling.predict(X)
    np.testing.assert_allclose(scaling.predict(X[:1]), expected[:1], rtol=1e-12)
    np.testing.assert_allclose(scaling.predict(X.tolist()), expected, rtol=1e-12)
    whole = _pair()[0].fit(X, y.astype(int).tolist())
    np.testing.assert_allclose(whole.predict(X), _pair()[0].fit(X, y.astype(int).astype(float)).predict(X), rtol=1e-12)


def test_cross_validation_and_search(shifted: Data) -> None:
    X, y = shifted
    scaling, _ = _pair(max_iter=200)
    assert cross_val_score(scaling, X, y, cv=3).mean() > 0.8
    assert GridSearchCV(scaling, {"scale_target": [False, True]}, cv=3).fit(X, y).best_params_ == {"scale_target": True}


def test_pandas_output_of_transformers_does_not_matter(shifted: Data) -> None:
    pytest.importorskip("pandas")
    from sklearn import config_context

    X, y = shifted
    with config_context(transform_output="pandas"):
        scaled = _pair()[0].fit(X, y)
        check_is_fitted(scaled.target_scaler_)
        assert type(scaled.predict(X)) is np.ndarray


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_see_predictions_in_units_of_y(shifted: Data, solver: str) -> None:
    pytest.importorskip("sklearn.callback")

    class Recorder:
        def setup(self, estimator: Any, context: Any) -> None:
            self.errors: list[float] = []

        def teardown(self, estimator: Any, context: Any) -> None:
            pass

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            pass

        def on_fit_task_end(self, estimator: Any, context: Any, *, X: Any, y: Any, fitted_estimator: Any) -> None:
            if fitted_estimator is not None:
                self.errors.append(mean_absolute_error(y, fitted_estimator.predict(X)))

    X, y = shifted
    recorder = Recorder()
    scaling = _pair(solver=solver, max_iter=5)[0].set_callbacks(recorder).fit(X, y)
    assert max(recorder.errors) < 2 * DEVIATION
    assert recorder.errors[-1] == pytest.approx(mean_absolute_error(y, scaling.predict(X)))


def test_views_for_export_and_for_inspection(shifted: Data) -> None:
    X, y = shifted
    scaling = _pair()[0].fit(X, y)
    predicted, trained = model_view(scaling), model_view(scaling, as_trained=True)
    np.testing.assert_allclose(predicted.forward_pass(X)[1][-1][:, 0], scaling.predict(X), rtol=1e-12)
    np.testing.assert_array_equal(predicted.targets(y), y)
    np.testing.assert_allclose(trained.targets(y), _standardised(y)[0], rtol=1e-12)
    assert trained.weights[-1] is scaling.coefs_[-1]
    J, _ = trained.output_gradient(trained.forward_pass(X)[0][-1], y)
    assert pytest.approx(1 - scaling.score(X, y), rel=1e-9) == 2 * J


def test_scikit_learns_twin_predicts_in_units_of_y(shifted: Data) -> None:
    X, y = shifted
    scaling = _pair()[0].fit(X, np.c_[y, -y])
    twin = scaling.to_sklearn()
    np.testing.assert_allclose(twin.predict(X), scaling.predict(X), rtol=1e-12)
    assert not np.shares_memory(twin.coefs_[-1], scaling.coefs_[-1])
    np.testing.assert_allclose(MLPRegressor.from_sklearn(twin).predict(X), scaling.predict(X), rtol=1e-12)
