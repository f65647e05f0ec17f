"""Weights of a table's rows and classes: what they decide, in memory and in blocks."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import mixed_table
from sklearn.base import clone

import fastnet as fn
from fastnet.tabular._findings import Spread
from fastnet.tabular.parts import rows_of

pd = pytest.importorskip("pandas")

X, LABELS, VALUES = mixed_table()
QUICK = {"preset": "fast", "random_state": 0, "n_epochs": 3, "n_threads": 1}


class TestTargetsWithoutWeight:
    """Targets of rows of weight 0 are not learnt from, whatever they are."""

    W = (np.arange(300) >= 10).astype(float)
    WRONG = np.where(W, VALUES, 1e6)

    @pytest.mark.parametrize("options", [{}, {"metric": "mae"}, {"metric": "poisson"}, {"metric": "quantile"}, {"n_folds": 1}])
    def test_in_memory(self, options):
        right, wrong = (fn.TabularRegressor(**QUICK, **options).fit(X, y, self.W) for y in (VALUES, self.WRONG))
        np.testing.assert_array_equal(wrong.predict(X), right.predict(X))
        assert wrong._high == [VALUES[10:].max()]

    @pytest.mark.parametrize("block_rows", [300, 70, 5])
    def test_in_blocks(self, block_rows):
        models = [
            fn.TabularRegressor(**QUICK).fit(fn.data.from_arrays(X[["x"]], y, sample_weight=self.W, block_rows=block_rows))
            for y in (VALUES, self.WRONG)
        ]
        np.testing.assert_allclose(models[1].predict(X[["x"]]), models[0].predict(X[["x"]]), rtol=1e-6)
        assert models[1]._high == [VALUES[10:].max()]

    def test_small_weights_count_little(self):
        model = fn.TabularRegressor(**QUICK).fit(X, self.WRONG, np.where(self.W, 1.0, 1e-12))
        assert model._shift == pytest.approx(VALUES[10:].mean(), rel=1e-3)
        assert model._spread == pytest.approx(VALUES[10:].std(), rel=1e-2)

    def test_targets_of_another_number_than_weights(self):
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[300, 299\]"):
            fn.TabularRegressor(**QUICK).fit(X, VALUES[1:], self.W)


class TestRowsWithoutWeight:
    """The model is that of the other rows, in every bit."""

    THERE = np.arange(300) % 3 > 0
    W = np.where(THERE, 1.0 + np.arange(300) % 4, 0.0)

    #: The table and the targets, with something else in rows of weight 0.
    FRAME = X.assign(
        x=X["x"].where(THERE, 1e9),
        colour=X["colour"].where(THERE, "none"),
        town=X["town"].where(THERE),
        day=X["day"].where(THERE, pd.Timestamp("1900-01-01 11:00")),
        constant=np.where(THERE, 1, 2),
    )
    CLASSES = np.where(THERE, LABELS, "free")
    FORMS = {
        "pandas": lambda frame: frame,
        "polars": lambda frame: pytest.importorskip("polars").from_pandas(frame),
        "pyarrow": lambda frame: pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False),
        "array": lambda frame: frame.astype(object).to_numpy(),
        "list": lambda frame: frame.astype(object).to_numpy().tolist(),
    }

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        ("estimator", "y"),
        [
            (fn.TabularClassifier(**QUICK), CLASSES),
            (fn.TabularClassifier(**QUICK, class_weight="balanced"), CLASSES.tolist()),
            (fn.TabularRegressor(**QUICK), pd.Series(np.where(THERE, VALUES, np.nan))),
            (fn.TabularRegressor(**QUICK, n_folds=3, n_trained_folds=3), np.where(THERE, VALUES, -9999)),
        ],
    )
    def test_in_memory(self, form, estimator, y):
        table = self.FORMS[form]
        fit = {"sample_weight": self.W, "groups": np.arange(300) % 40}
        with_them = clone(estimator).fit(table(self.FRAME), y, **fit)
        others = {name: values[self.THERE] for name, values in fit.items()}
        without = clone(estimator).fit(table(self.FRAME[self.THERE]), rows_of(y, np.flatnonzero(self.THERE)), **others)
        assert with_them.columns_ == without.columns_
        assert with_them.validation_score_ == without.validation_score_
        np.testing.assert_array_equal(with_them.predict(table(X)), without.predict(table(X)))

    def test_of_a_class_without_weight(self):
        """It stays a class, so one of its rows is left to compare with."""

        def fitted(rows):
            return fn.TabularClassifier(**QUICK, class_weight={"free": 0}).fit(self.FRAME[rows], self.CLASSES[rows])

        with_them, without = fitted(slice(None)), fitted(self.THERE | (np.arange(300) == 0))
        assert with_them.columns_ == fn.TabularPreprocessor().fit(X[self.THERE]).columns_
        assert with_them.classes_.tolist() == ["cheap", "dear", "free"]
        assert with_them.validation_score_ == without.validation_score_
        np.testing.assert_array_equal(with_them.predict_proba(X), without.predict_proba(X))

    @pytest.mark.parametrize("block_rows", [300, 70, 1])
    def test_columns_of_blocks(self, block_rows):
        def fitted(frame):
            def read(number):
                rows = slice(number * block_rows, (number + 1) * block_rows)
                return frame[rows], VALUES[rows], self.W[rows]

            return fn.TabularRegressor(**QUICK).fit(fn.data.from_batches(read, -(-300 // block_rows)))

        found = fitted(self.FRAME).columns_
        assert found == fitted(X).columns_
        assert found == fn.TabularPreprocessor().fit(X[self.THERE]).columns_

    def test_that_leave_one_class(self):
        with pytest.raises(ValueError, match=r"two classes in y, among the rows that have a weight; got one class: 'cheap'\."):
            fn.TabularClassifier(**QUICK).fit(X, LABELS, LABELS == "cheap")


def test_weighted_spread_in_parts(rng):
    values, weights = rng.normal(size=(50, 2)), rng.integers(0, 3, 50).astype(float)
    weights[20:30] = 0
    repeated = np.repeat(values, weights.astype(int), axis=0)
    found = Spread(values[:20], weights[:20])
    for part in (slice(20, 30), slice(30, 50)):
        found.merge(Spread(values[part], weights[part]))
    for mine, expected in (
        (found.mean, repeated.mean(axis=0)),
        (found.variance, repeated.var(axis=0)),
        (found.low, repeated.min(axis=0)),
        (found.high, repeated.max(axis=0)),
    ):
        np.testing.assert_allclose(mine, expected)
    first = Spread(values[20:30], weights[20:30])
    first.merge(found)
    np.testing.assert_allclose(first.mean, found.mean)


class TestJudgingWithWeightsOfClasses:
    """They weigh what epochs are chosen by, in folds and with X_val; the score is the metric itself."""

    @pytest.mark.parametrize("weights", [{"cheap": 9.0}, {"cheap": 9.0, "dear": 1e-3}, "balanced"])
    @pytest.mark.parametrize("given", [True, False])
    @pytest.mark.parametrize("blocks", [True, False])
    def test_score(self, weights, given, blocks):
        seen = []
        model = fn.TabularClassifier(**QUICK, class_weight=weights)
        model._learn_from_held = lambda held, outputs: seen.append((held, outputs))
        model.temperature_ = 1.0
        data = (fn.data.from_arrays(X[["x"]], LABELS),) if blocks else (X[["x"]], LABELS)
        model.fit(*data, **({"X_val": X[["x"]][:90], "y_val": LABELS[:90]} if given else {}))
        ((held, outputs),) = seen
        assert model.validation_score_ == pytest.approx(np.mean(outputs.argmax(axis=1) == held.y), rel=1e-6)
        of_classes = np.array([np.unique(held.weights[held.y == k]) for k in range(2)])
        assert of_classes.shape == (2, 1)
        if weights != "balanced":
            np.testing.assert_allclose(of_classes[:, 0], [weights["cheap"], weights.get("dear", 1)])

    def test_of_rows_with_weights_of_their_own(self):
        w = np.where(np.arange(300) % 3, 1.0, 4.0)
        seen = []
        model = fn.TabularClassifier(**QUICK, class_weight={"cheap": 9.0})
        model._learn_from_held = lambda held, outputs: seen.append((held, outputs))
        model.temperature_ = 1.0
        model.fit(X, LABELS, w)
        ((held, outputs),) = seen
        own = held.weights / np.where(held.y == 0, 9.0, 1.0)
        expected = np.average(outputs.argmax(axis=1) == held.y, weights=own)
        assert model.validation_score_ == pytest.approx(expected, rel=1e-6)

    def test_classes_of_weight_0_are_not_judged(self):
        y = np.where(np.arange(300) % 5, LABELS, "free")
        model = fn.TabularClassifier(**QUICK, class_weight={"free": 0})
        rows = y[:100] != "free"
        scores = [model.fit(X, y, X_val=X[:100][few], y_val=y[:100][few]).validation_score_ for few in (rows, rows | True)]
        assert scores[0] == scores[1]


class TestClassWeight:
    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ("auto", ValueError, "class_weight must be a dict, as in {'a': 2.0}, 'balanced' or None, got 'auto'"),
            ([1, 2], TypeError, r"class_weight must be a dict, as in {'a': 2.0}, 'balanced' or None, got \[1, 2\]"),
            (np.ones(2), TypeError, r"class_weight must be a dict, .* got array\(\[1., 1.\]\)"),
            ({7: 5}, ValueError, "class_weight names 7, which is no class of y, and not 'cheap', 'dear', which are"),
            ({"cheap": 1, "Dear": 5}, ValueError, "class_weight names 'Dear', which is no class of y, and not 'dear', which"),
            ({"cheap": "2"}, ValueError, "class_weight must be finite and at least 0, and above 0 for a class, got {'cheap'"),
        ],
    )
    @pytest.mark.parametrize("blocks", [True, False])
    def test_what_is_refused(self, given, error, message, blocks):
        data = (fn.data.from_arrays(X[["x"]], LABELS),) if blocks else (X[["x"]], LABELS)
        with pytest.raises(error, match=message):
            fn.TabularClassifier(**QUICK, class_weight=given).fit(*data)

    def test_classes_that_these_rows_do_not_have(self):
        """As in a fold of a cross-validation."""
        fn.TabularClassifier(**QUICK, class_weight={"cheap": 1, "dear": 5, "free": 2}).fit(X[["x"]], LABELS)


def test_importances_count_rows_by_their_weights():
    """Of a column that matters only in rows of little weight."""
    x, group = np.random.default_rng(0).normal(size=(2, 400))
    frame = pd.DataFrame({"x": x, "group": group > 0})
    y, w = np.where(group > 0, 9 * x, 0), np.where(group > 0, 1e-4, 1.0)
    light, even = (fn.TabularRegressor(**QUICK | {"n_epochs": 30}).fit(frame, y, weights) for weights in (w, None))
    assert light.feature_importances_[0] < 0.1 * even.feature_importances_[0]
