"""TabularClassifier and TabularRegressor: scikit-learn's contract, every kind of target, what is stored and what is refused."""

from __future__ import annotations

import pickle
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import mixed_table
from sklearn import config_context, metrics
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastnet as fn
from fastnet.history import History
from fastnet.tabular._calibration import best_temperature, tempered
from fastnet.tabular._recipe import cosine, of_progress
from fastnet.tabular._training import BestEpochs, EveryEpoch

pd = pytest.importorskip("pandas")

#: Checks that fail for any estimator that sets validation rows aside and draws batches.
_WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "validation rows and batches are drawn: repeating rows is not weighting them"
}


@parametrize_with_checks(
    [fn.TabularClassifier(preset="fast", n_epochs=20), fn.TabularRegressor(preset="fast", n_epochs=20)],
    expected_failed_checks=lambda estimator: _WEIGHTS,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


X, LABELS, VALUES = mixed_table()
QUICK = {"preset": "fast", "random_state": 0}


class TestLearning:
    def test_classification(self):
        model = fn.TabularClassifier(**QUICK).fit(X[:200], LABELS[:200])
        assert model.score(X[200:], LABELS[200:]) > 0.85
        assert model.predict_proba(X).sum(axis=1) == pytest.approx(1)
        assert list(model.classes_) == ["cheap", "dear"]
        assert 0.8 < model.validation_score_ <= 1

    def test_regression(self):
        model = fn.TabularRegressor(**QUICK, n_epochs=60).fit(X[:200], VALUES[:200])
        predicted = model.predict(X[200:])
        assert model.score(X[200:], VALUES[200:]) > 0.8
        assert VALUES[:200].min() <= predicted.min() and predicted.max() <= VALUES[:200].max()
        assert model.validation_score_ < 0

    def test_importances_find_what_matters(self):
        model = fn.TabularRegressor(**QUICK, n_epochs=60).fit(X, VALUES)
        important = dict(zip(model.feature_names_in_, model.feature_importances_, strict=True))
        assert max(important, key=important.get) in ("town", "x")
        assert important["constant"] == 0

    def test_importances_are_those_of_the_last_fit(self):
        model = fn.TabularRegressor(**QUICK, n_epochs=2).fit(X, VALUES)
        before = model.feature_importances_
        assert model.feature_importances_ is before
        assert not np.array_equal(model.fit(X[::-1], VALUES[::-1]).feature_importances_, before)
        assert not hasattr(clone(model), "feature_importances_")

    def test_importances_of_rows_in_order(self):
        """Of many validation rows, those that they are measured on may be any."""
        x = np.repeat(np.arange(2.0), 600)
        frame = pd.DataFrame({"group": x, "constant": 1.0})
        model = fn.TabularClassifier(**QUICK, n_epochs=20).fit(frame, x > 0, X_val=frame, y_val=x > 0)
        assert model.feature_importances_[0] > 0.3

    @pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
    def test_metrics_of_classification(self, metric):
        model = fn.TabularClassifier(**QUICK, metric=metric).fit(X, np.digitize(VALUES, [102, 106]))
        assert model.predict_proba(X).shape == (300, 3)

    def test_mean_absolute_error_is_that_of_the_median(self, rng):
        y = np.where(rng.random(400) < 0.3, 10.0, 0.0)
        model = fn.TabularRegressor(**QUICK, metric="mae").fit(np.ones((400, 1)), y)
        assert model.predict(np.ones((1, 1)))[0] < 1

    def test_poisson(self, rng):
        x = rng.uniform(-1, 1, (500, 1))
        y = rng.poisson(np.exp(1 + x[:, 0]))
        predicted = fn.TabularRegressor(**QUICK, metric="poisson").fit(x, y).predict(x)
        assert (predicted >= 0).all()
        assert predicted.mean() == pytest.approx(y.mean(), rel=0.15)
        with pytest.raises(ValueError, match="at least 0"):
            fn.TabularRegressor(metric="poisson").fit(x, -y)

    def test_quantiles_do_not_cross(self, rng):
        x = rng.uniform(-1, 1, (600, 1))
        y = x[:, 0] + (1 + x[:, 0]) * rng.standard_normal(600)
        model = fn.TabularRegressor(**QUICK, metric="quantile", quantiles=[0.9, 0.1, 0.5]).fit(x, y)
        low, median, high = model.predict(x).T
        assert (low <= median).all() and (median <= high).all()
        assert np.mean(y < low) == pytest.approx(0.1, abs=0.07)
        assert np.mean(y < high) == pytest.approx(0.9, abs=0.07)

    @pytest.mark.parametrize("levels", [0.5, [0.5], [0.9, 0.1, 0.5]])
    @pytest.mark.parametrize("n_targets", [1, 2])
    def test_score_of_quantiles(self, levels, n_targets):
        Y, w = np.column_stack([VALUES, -2 * VALUES])[:, :n_targets], 1 + np.arange(300) % 3
        y = Y[:, 0] if n_targets == 1 else Y
        model = fn.TabularRegressor(**QUICK, n_epochs=2, metric="quantile", quantiles=levels).fit(X, y)
        predicted = model.predict(X).reshape(300, n_targets, -1)
        scores = [
            metrics.d2_pinball_score(Y, predicted[..., number], alpha=level, sample_weight=w)
            for number, level in enumerate(np.sort(np.atleast_1d(levels)))
        ]
        expected = metrics.r2_score(Y, predicted[..., 0], sample_weight=w) if len(scores) == 1 else np.mean(scores)
        assert model.score(X, y, w) == pytest.approx(expected)

    @pytest.mark.parametrize("fitted", [{"metric": "quantile", "quantiles": [0.9, 0.1]}, {"metric": "quantile"}, {}])
    @pytest.mark.parametrize(
        "later", [{"metric": "quantile", "quantiles": [0.1, 0.5, 0.9]}, {"metric": "mae"}, {"metric": "quantile", "quantiles": 7}]
    )
    def test_metric_and_quantiles_set_after_fit_change_nothing(self, fitted, later, tmp_path):
        model = fn.TabularRegressor(**QUICK, n_epochs=1, **fitted).fit(X, VALUES)
        before = model.predict(X), model.score(X, VALUES), model.quantiles_
        model.set_params(**later).save(tmp_path / "model.safetensors")
        for same in (model, fn.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
            assert np.array_equal(same.predict(X), before[0])
            assert (same.score(X, VALUES), same.quantiles_) == before[1:]

    def test_several_targets(self):
        Y = np.column_stack([VALUES, -VALUES])
        model = fn.TabularRegressor(**QUICK).fit(X, Y)
        assert model.predict(X).shape == Y.shape
        assert model.score(X, Y) > 0.5

    def test_temperature_lowers_the_log_loss_of_validation_rows(self):
        kept = {calibrate: fn.TabularClassifier(**QUICK, calibrate=calibrate) for calibrate in (False, True)}
        losses = {}
        for calibrate, model in kept.items():
            model.fit(X[:200], LABELS[:200], X_val=X[200:], y_val=LABELS[200:])
            p = model.predict_proba(X[200:])
            losses[calibrate] = -np.log(p[np.arange(100), (LABELS[200:] == "dear").astype(int)]).mean()
        assert losses[True] <= losses[False] + 1e-6
        assert kept[True].temperature_ != kept[False].temperature_ == 1

    @pytest.mark.parametrize("metric", ["accuracy", "log_loss", "roc_auc"])
    def test_the_score_is_of_the_model_that_predicts(self, metric):
        """Weights of classes decide the temperature, but not the score."""
        y = np.where(X["colour"] == "red", "red", LABELS)
        held, y_held = X[200:], y[200:]
        model = fn.TabularClassifier(**QUICK, metric=metric, class_weight={"red": 5})
        p = model.fit(X[:200], y[:200], X_val=held, y_val=y_held).predict_proba(held)
        expected = {
            "accuracy": metrics.accuracy_score(y_held, model.predict(held)),
            "log_loss": -metrics.log_loss(y_held, p),
            "roc_auc": metrics.roc_auc_score(y_held, p, multi_class="ovr"),
        }
        assert model.temperature_ != 1
        assert model.validation_score_ == pytest.approx(expected[metric], rel=1e-5)

    def test_a_temperature_of_many_classes(self, rng):
        p = rng.dirichlet(np.ones(1000), 200).astype(np.float32)
        powers = p.astype(float) ** 2
        np.testing.assert_allclose(tempered(p, 0.5), powers / powers.sum(axis=1, keepdims=True), rtol=1e-12, atol=1e-58)

    def test_few_rows_that_are_all_right_do_not_make_predictions_certain(self):
        y, p = np.arange(20) % 2, np.where(np.arange(2) == (np.arange(20) % 2)[:, None], 0.9, 0.1)
        few = best_temperature(y, p, None)
        many = best_temperature(np.tile(y, 500), np.tile(p, (500, 1)), None)
        assert many < 0.25 < few < 0.7
        wrong = np.where(np.arange(20) < 8, 1 - y, y)
        assert best_temperature(wrong, p, None) > 2

    def test_no_number_is_far_outside_of_the_bins(self, rng):
        x = rng.uniform(-1, 1, (200, 1))
        network = fn.TabularClassifier(**QUICK, n_epochs=1).fit(x, x[:, 0] > 0).networks_[0]
        embedded = [abs(network.activations(np.float32([[value]]))[1]).max() for value in (*x[:20, 0], -3, 3)]
        assert max(embedded[-2:]) < 2 * max(embedded[:-2])

    @pytest.mark.parametrize("ensemble", ["packed", "batch", "mini"])
    @pytest.mark.parametrize("numeric_embedding", ["pbld", "plr", "piecewise_linear", "none"])
    def test_choices(self, ensemble, numeric_embedding):
        model = fn.TabularClassifier(**QUICK, ensemble=ensemble, numeric_embedding=numeric_embedding, n_epochs=30)
        network = model.fit(X, LABELS).networks_[0]
        assert network._together.kind == ensemble
        operations = {node.operation.kind for node in network._graph.nodes}
        kinds = {"pbld": {"periodic"}, "plr": {"periodic"}, "piecewise_linear": {"piecewise"}, "none": set()}
        assert operations & {"periodic", "piecewise"} == kinds[numeric_embedding]
        assert model.score(X, LABELS) > 0.85
        assert 0.8 < model.validation_score_ <= 1


class TestFitting:
    def test_same_seed_same_bits(self):
        first, second, other = (
            fn.TabularClassifier(preset="fast", random_state=seed, n_epochs=3, n_threads=threads).fit(X, LABELS).predict_proba(X)
            for seed, threads in ((0, 1), (0, 2), (1, 1))
        )
        assert np.array_equal(first, second)
        assert not np.array_equal(first, other)

    def test_best_epochs_of_members_are_kept(self):
        model = fn.TabularRegressor(**QUICK, n_epochs=12, patience=12)
        model.fit(X[:200], VALUES[:200], X_val=X[200:], y_val=VALUES[200:])
        network, Z = model.networks_[0], model.preprocessor_.transform(X[200:])
        members = [model._in_units(network.forward_members(Z)[:, i].astype(float))[:, 0] for i in range(network.n_members)]
        reached = np.mean([np.sqrt(np.mean((values - VALUES[200:]) ** 2)) for values in members])
        assert reached <= min(model.history_[0].val_loss) * (1 + 1e-5)

    @pytest.mark.parametrize(("ensemble", "means"), [("packed", [1.0, 2.0]), ("batch", [2.0])])
    def test_parameters_of_the_best_epochs_are_averaged(self, ensemble, means):
        network = fn.Network([fn.Dense(1)], 2, n_members=2, ensemble=ensemble)
        badness = iter(np.array([[1, 9], [2, 3], [7, 2], [9, 1], [8, 9]], dtype=float))
        kept = BestEpochs(lambda _: next(badness), EveryEpoch(), n_best=3)
        session = SimpleNamespace(network=network, history=History())
        kept.on_train_begin(session)
        for epoch in range(5):
            network.params[:] = epoch
            kept.on_epoch_end(session)
        kept.on_train_end(session)
        assert np.allclose(network.parameters["1.W"].reshape(len(means), -1).T, means)

    def test_many_columns_have_no_importances_and_no_embeddings(self, rng):
        wide = rng.standard_normal((60, 6000))
        model = fn.TabularClassifier(n_folds=2, n_epochs=1, random_state=0).fit(wide, wide[:, 0] > 0)
        assert np.isnan(model.feature_importances_).all()
        assert not any("periodic" in name for name in model.networks_[0].parameters)

    def test_rare_categories_become_fewer_numbers(self, rng):
        towns = rng.integers(0, 20, (2, 800))
        frame = pd.DataFrame({"rare": rng.permutation(800) // 2, "town": towns[0], "more": towns[1]})
        model = fn.TabularClassifier(**QUICK, n_epochs=1, categorical_features=list(frame)).fit(frame, towns[0] > 9)
        tables = [branch[0] for branch in model.networks_[0].layers[0].branches if branch]
        found = [(table.n_categories, table.n_units, table.columns) for table in tables]
        assert found == [((400,), 2, (0,)), ((20, 20), 5, (1, 2))]

    @pytest.mark.parametrize(("n_columns", "n_units"), [(3, 8), (16, 4), (200, 2)])
    def test_the_fast_preset_gives_many_numbers_few_units_each(self, n_columns, n_units, rng):
        wide = rng.standard_normal((60, n_columns))
        model = fn.TabularClassifier(**QUICK, n_epochs=1).fit(wide, wide[:, 0] > 0)
        assert model.networks_[0].layers[0].branches[0][0].n_units == n_units

    @pytest.mark.parametrize(
        ("options", "n_judged"), [({}, 0), ({"patience": 9}, 3), ({"n_best_epochs": 2}, 3), ({"preset": "default"}, 3)]
    )
    def test_the_fast_preset_keeps_the_last_epochs(self, options, n_judged):
        model = fn.TabularClassifier(**QUICK | {"n_epochs": 3} | options).fit(X, LABELS)
        assert {len(history.val_loss) for history in model.history_} == {n_judged}
        assert not np.isnan(model.validation_score_)

    @pytest.mark.parametrize(
        ("metric", "score"),
        [
            ("accuracy", lambda y, p: metrics.accuracy_score(y, p[:, 1] > 0.5)),
            ("roc_auc", lambda y, p: metrics.roc_auc_score(y, p[:, 1])),
            ("log_loss", lambda y, p: -metrics.log_loss(y, p)),
        ],
    )
    def test_validation_score_of_classes_is_the_metric(self, metric, score):
        model = fn.TabularClassifier(**QUICK, metric=metric, calibrate=False)
        model.fit(X[:200], LABELS[:200], X_val=X[200:], y_val=LABELS[200:])
        expected = score(LABELS[200:] == "dear", model.predict_proba(X[200:]))
        assert model.validation_score_ == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize(
        ("metric", "loss"),
        [
            ("rmse", metrics.root_mean_squared_error),
            ("mae", metrics.mean_absolute_error),
            ("poisson", metrics.mean_poisson_deviance),
            ("quantile", partial(metrics.mean_pinball_loss, alpha=0.5)),
        ],
    )
    def test_validation_score_of_values_is_minus_the_metric(self, metric, loss):
        model = fn.TabularRegressor(**QUICK, metric=metric).fit(X[:200], VALUES[:200], X_val=X[200:], y_val=VALUES[200:])
        assert model.validation_score_ == pytest.approx(-loss(VALUES[200:], model.predict(X[200:])), rel=1e-4)

    def test_of_one_class_there_is_no_area_under_the_curve(self):
        model = fn.TabularClassifier(**QUICK, metric="roc_auc", n_best_epochs=1, n_epochs=2)
        model.fit(X[:200], LABELS[:200], X_val=X[200:][LABELS[200:] == "dear"], y_val=LABELS[200:][LABELS[200:] == "dear"])
        assert np.isnan(model.validation_score_)
        assert np.isfinite(model.history_[0].val_loss).all()

    def test_few_rows_have_no_validation(self):
        model = fn.TabularClassifier(**QUICK).fit(X[:20], LABELS[:20])
        assert np.isnan(model.validation_score_)

    def test_rows_of_no_weight_do_not_count(self):
        weights = np.zeros(300)
        weights[:60] = 1
        few = fn.TabularRegressor(**QUICK, n_folds=1, n_epochs=1).fit(X, VALUES, sample_weight=weights)
        assert few.history_[0].n_rows == [48]
        three = fn.TabularRegressor(**QUICK, n_epochs=2).fit(X, VALUES, sample_weight=np.arange(300) < 3)
        assert np.isnan(three.validation_score_)

    @pytest.mark.parametrize(
        ("labels", "kind"),
        [
            (pd.Series([0, 1] * 20, dtype="Int64"), "i"),
            (pd.Series([False, True] * 20, dtype="boolean"), "b"),
            (np.array([False, True] * 20, dtype=object), "b"),
            (np.array([3, 7] * 20, dtype=object), "i"),
            (pd.Series(["no", "yes"] * 20, dtype="string"), "O"),
            (pd.Series(pd.Categorical(["no", "yes"] * 20, ["yes", "no", "perhaps"])), "O"),
        ],
    )
    def test_types_of_labels(self, labels, kind):
        model = fn.TabularClassifier(**QUICK, n_epochs=1).fit(X[:40], labels)
        assert model.classes_.dtype.kind == kind
        assert model.classes_.tolist() == sorted(set(labels))

    def test_labels_of_several_types(self):
        with pytest.raises(ValueError, match=r"several types \(int, str\): make all of them text, or all numbers"):
            fn.TabularClassifier().fit(X[:4], np.array([1, "one", 1, "one"], dtype=object))

    @pytest.mark.parametrize(
        "moments",
        [
            lambda days: pd.Series(days).where(np.arange(40) > 3),
            lambda days: (days - days[0]).to_numpy(),
            lambda days: [None, *(days - days[0]).to_pytimedelta()[1:]],
            lambda days: pd.Series(days, dtype="category"),
            lambda days: days.tz_localize("UTC"),
            lambda days: [None, *(day.date() for day in days[1:])],
            lambda days: pd.DataFrame({"day": days}),
        ],
    )
    def test_dates_are_no_targets(self, moments):
        y = moments(pd.to_datetime(["2024-01-01", "2024-01-02"] * 20))
        with pytest.raises(TypeError, match=r"y holds dates or times \((date|[Tt]ime).*\), which are no targets: make them num"):
            fn.TabularRegressor(**QUICK).fit(X[:40], y)
        with pytest.raises(TypeError, match=r"y holds dates or times \(.*\), which are no targets: make them text"):
            fn.TabularClassifier(**QUICK).fit(X[:40], y)

    @pytest.mark.parametrize("estimator", [fn.TabularClassifier(), fn.TabularRegressor()])
    def test_fits_that_would_go_on(self, estimator):
        assert not hasattr(estimator, "partial_fit")
        name = type(estimator).__name__
        with pytest.raises(AttributeError, match=f"^{name} has no partial_fit, .* fit on old and new rows together, or"):
            estimator.partial_fit(X, VALUES)
        anew = "all other fits start anew, so give them old and new rows together"
        with pytest.raises(TypeError, match=f"^{name} has no option 'warm_start'; .*{anew}"):
            type(estimator)(warm_start=True)
        with pytest.raises(ValueError, match=f"^Invalid parameter 'warm_start' for estimator {name}.*{anew}"):
            estimator.set_params(warm_start=True)

    def test_names_of_targets(self):
        model = fn.TabularRegressor(**QUICK, n_epochs=1)
        assert model.fit(X, pd.Series(VALUES, name="price")).target_names_ == ["price"]
        assert model.fit(X, pd.DataFrame({"low": VALUES, "high": VALUES})).target_names_ == ["low", "high"]
        assert model.fit(X, VALUES).target_names_ is None

    def test_weights_of_classes_and_rows(self):
        balanced = fn.TabularClassifier(**QUICK, class_weight={"cheap": 20, "dear": 1}).fit(X[["day"]], LABELS)
        assert np.mean(balanced.predict(X[["day"]]) == "cheap") > 0.9
        weighted = fn.TabularClassifier(**QUICK).fit(X[["day"]], LABELS, sample_weight=np.where(LABELS == "cheap", 20, 1))
        assert np.mean(weighted.predict(X[["day"]]) == "cheap") > 0.9

    @pytest.mark.parametrize("cheap", [-1, np.nan, np.inf, 0])
    @pytest.mark.parametrize("blocks", [False, True])
    def test_wrong_weights_of_classes(self, cheap, blocks):
        data = (X[["x"]], LABELS)
        model = fn.TabularClassifier(**QUICK, class_weight={"cheap": cheap, "dear": 0})
        with pytest.raises(ValueError, match="class_weight must be finite and at least 0, and above 0 for a class, got {'cheap'"):
            model.fit(*([fn.data.from_arrays(*data)] if blocks else data))

    def test_weights_of_classes_and_rows_that_leave_none(self):
        model = fn.TabularClassifier(**QUICK, class_weight={"cheap": 0, "dear": 1})
        with pytest.raises(ValueError, match="class_weight and sample_weight together leave no row a weight"):
            model.fit(X, LABELS, sample_weight=np.where(LABELS == "cheap", 1, 1e-60))  # which is 0 in float32

    def test_unseen_categories_and_missing_values(self):
        model = fn.TabularRegressor(**QUICK, n_epochs=2).fit(X, VALUES)
        new = X.head(2).assign(town="another", colour=None, x=np.nan, day=pd.NaT)
        assert np.isfinite(model.predict(new)).all()

    def test_networks_learn_what_to_make_of_categories_that_they_do_not_know(self, rng):
        towns = np.where(np.arange(400) < 200, "once " + np.arange(400).astype(str).astype(object), "often")
        towns[300:] = [f"town {number}" for number in np.arange(100) % 20]
        model = fn.TabularClassifier(**QUICK).fit(pd.DataFrame({"town": towns}), np.arange(400) < 200)
        assert model.predict(pd.DataFrame({"town": ["another", "often"]})).tolist() == [True, False]

    def test_columns_of_constants_alone(self):
        assert fn.TabularClassifier(**QUICK).fit(np.ones((40, 2)), np.arange(40) % 2).predict(np.ones((3, 2))).shape == (3,)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"preset": "slow"}, "preset"),
            ({"metric": "auc"}, "metric"),
            ({"time_limit": -1}, "time_limit"),
            ({"validation_fraction": 1.0}, "validation_fraction"),
            ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes must be at least 1, got 0"),
            ({"hidden_layer_sizes": ()}, "hidden_layer_sizes must name at least one"),
            ({"learning_rate": -0.05}, "learning_rate must be finite and above 0"),
            ({"weight_decay": -1}, "weight_decay must be finite and at least 0"),
            ({"beta_2": 1}, "beta_2 must be finite and at least 0 and below 1"),
            ({"schedule": "cosin"}, "schedule must be one of 'cycles', 'flat_cosine', 'cosine', got 'cosin'"),
            ({"numeric_embedding": []}, r"numeric_embedding must name at least one, got \[\]"),
            ({"numeric_embedding": ["pbld", "x"]}, "numeric_embedding must be one of"),
            ({"n_members": 0}, "n_members must be at least 1"),
            ({"n_best_epochs": 0}, "n_best_epochs must be at least 1"),
            ({"n_trained_folds": 0}, "n_trained_folds must be at least 1"),
            ({"n_folds": 0}, "n_folds must be at least 1"),
            ({"n_folds": 301}, "n_folds=301 are more than the 300 rows or groups: set n_folds=300"),
            ({"n_epochs": 0}, "n_epochs must be at least 1"),
            ({"batch_size": 0}, "batch_size must be at least 1"),
            ({"category_units": 0}, "category_units must be at least 1"),
            ({"patience": -1}, "patience must be finite and at least 0"),
        ],
    )
    def test_wrong_parameters(self, parameters, message):
        with pytest.raises(ValueError, match=message):
            fn.TabularClassifier(**parameters).fit(X, LABELS)

    @pytest.mark.parametrize("name", ["scale_layer", "data_init", "clip", "calibrate"])
    def test_text_for_true_or_false(self, name):
        model = (fn.TabularRegressor if name == "clip" else fn.TabularClassifier)(**QUICK, **{name: "no"})
        with pytest.raises(TypeError, match=f"{name} must be True or False, got 'no'"):
            model.fit(X, VALUES > 103)

    @pytest.mark.parametrize(
        "refused",
        [
            {"y": np.append(np.nan, VALUES[1:])},
            {"y": VALUES, "sample_weight": -np.ones(300)},
            {"y": VALUES, "groups": np.ones(300)},
            {"y": VALUES, "X_val": X[["x"]], "y_val": VALUES},
            {"y": VALUES[1:]},
        ],
    )
    def test_a_refused_fit_leaves_the_model_as_it_was(self, refused):
        model = fn.TabularRegressor(**QUICK, n_epochs=1).fit(X, VALUES)
        before, predicted, importances = dict(vars(model)), model.predict(X), model.feature_importances_
        with pytest.raises(ValueError):
            model.fit(X.assign(x=9 * X["x"] + 5, another=X["x"]), **refused)
        assert np.array_equal(model.predict(X), predicted)
        assert vars(model) == before | {"feature_importances_": importances}

    def test_an_interrupted_fit_leaves_the_model_as_it_was(self, monkeypatch):
        model = fn.TabularClassifier(**QUICK, n_epochs=1).fit(X, LABELS)
        predicted = model.predict_proba(X)

        def interrupted(*arguments):
            assert np.array_equal(model.predict_proba(X), predicted)  # as other threads see it
            raise KeyboardInterrupt

        monkeypatch.setattr("fastnet.tabular._base.train_folds", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X[["x", "town"]], VALUES > 103)
        assert np.array_equal(model.predict_proba(X), predicted)

    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_frames_as_scikit_learns_output_change_nothing(self, library):
        pytest.importorskip(library)
        expected = fn.TabularRegressor(**QUICK, n_epochs=1).fit(X, VALUES, X_val=X, y_val=VALUES)
        with config_context(transform_output=library):
            model = fn.TabularRegressor(**QUICK, n_epochs=1).fit(X, VALUES, X_val=X, y_val=VALUES)
            predicted = model.predict(X)
        assert np.array_equal(predicted, expected.predict(X))
        assert np.array_equal(model.feature_importances_, expected.feature_importances_)

    def test_wrong_validation_data(self):
        with pytest.raises(ValueError, match="belong together"):
            fn.TabularClassifier().fit(X, LABELS, X_val=X)
        with pytest.raises(ValueError, match="y_val holds classes"):
            fn.TabularClassifier().fit(X, LABELS, X_val=X[:1], y_val=["free"])


def test_a_schedule_knows_its_values_once_the_run_has_a_length():
    schedule = of_progress(0.1, cosine, None)
    with pytest.raises(ValueError, match="how many updates"):
        schedule(0)
    assert np.array_equal(schedule.bound(4).rates(1, 2), 0.1 * cosine(np.arange(1, 3) / 4))
