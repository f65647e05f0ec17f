"""Tables that are large or small in one way: rows, columns, categories, classes; rare classes; frames of every library."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import mixed_table
from sklearn.metrics import log_loss, roc_auc_score

import fastnet as fn

pd = pytest.importorskip("pandas")

QUICK = {"preset": "fast", "random_state": 0}


def test_a_hundred_thousand_categories(rng):
    of_category = rng.permutation(100_000) % 2
    known = np.repeat(np.arange(100_000), 2)
    ids = pd.DataFrame({"id": [f"id {number}" for number in range(100_000)]})
    model = fn.TabularClassifier(**QUICK, n_epochs=3, n_folds=1, validation_fraction=0).fit(ids.iloc[known], of_category[known])
    assert model.preprocessor_.n_categories_ == [100_000]
    assert model.score(ids, of_category) > 0.9
    with pytest.warns(UserWarning, match="Column 'id' has 20 values, and none is a category known from fit"):
        assert np.ptp(model.predict_proba(ids[:20] + "!")[:, 0]) == 0


def test_thousands_of_columns(rng):
    y = np.arange(200) % 2
    X = rng.normal(size=(200, 6000)) + 0.2 * y[:, None]
    model = fn.TabularClassifier(**QUICK, n_epochs=4).fit(X[:100], y[:100])
    assert len(model.columns_) == 6000
    assert model.score(X[100:], y[100:]) > 0.95


def test_a_thousand_classes(rng):
    y = np.repeat(np.arange(1000), 8)
    X = np.column_stack([y // 32, y % 32]) + rng.normal(0, 0.05, (8000, 2))
    model = fn.TabularClassifier(**QUICK, n_epochs=12).fit(X[::2], y[::2])
    assert model.predict_proba(X[1::2]).shape == (4000, 1000)
    assert model.score(X[1::2], y[1::2]) > 0.95


@pytest.mark.parametrize("preset", ["fast", "default"])
def test_twenty_rows_of_two_columns(rng, preset):
    X = pd.DataFrame({"x": rng.normal(size=220), "colour": rng.choice(["red", "blue"], 220)})
    values = X["x"] + 2.0 * (X["colour"] == "red")
    classifier = fn.TabularClassifier(preset=preset, random_state=0).fit(X[:20], values[:20] > 1)
    regressor = fn.TabularRegressor(preset=preset, random_state=0).fit(X[:20], values[:20])
    assert classifier.score(X[20:], values[20:] > 1) > 0.85
    assert regressor.score(X[20:], values[20:]) > 0.7
    assert np.isnan([classifier.validation_score_, regressor.validation_score_]).all()  # no row is set aside


@pytest.mark.parametrize(
    ("metric", "of_area", "of_loss"), [("accuracy", 0.02, 0.5), ("log_loss", 0.01, 0.15), ("roc_auc", 0.01, 0.15)]
)
def test_a_class_of_one_percent(rng, metric, of_area, of_loss):
    """Not much worse than the true probabilities, of what these gain on the class's share; labels are smoothed for accuracy."""
    X = rng.normal(size=(40_000, 2))
    p = 1 / (1 + np.exp(6.7 - 2 * X[:, 0] - X[:, 1]))
    y = rng.random(40_000) < p
    model = fn.TabularClassifier(**QUICK, metric=metric).fit(X[:20_000], y[:20_000])
    y, p, found = y[20_000:], p[20_000:], model.predict_proba(X[20_000:])[:, 1]
    assert p.mean() == pytest.approx(0.011, abs=0.001)
    assert found.mean() == pytest.approx(p.mean(), rel=0.3)
    assert roc_auc_score(y, found) > roc_auc_score(y, p) - of_area
    least, most = log_loss(y, p), log_loss(y, np.full(len(y), p.mean()))
    assert log_loss(y, found) < least + of_loss * (most - least)
    if metric == "roc_auc":
        assert model.validation_score_ == pytest.approx(roc_auc_score(y, found), abs=0.02)


class TestFramesOfOtherLibraries:
    """The model and its predictions are those of the same frame of pandas, in every bit."""

    X, LABELS, VALUES = mixed_table()

    @pytest.fixture(params=["polars", "pyarrow", "record batch"])
    def convert(self, request):
        if request.param == "polars":
            return pytest.importorskip("polars").from_pandas
        arrow = pytest.importorskip("pyarrow")
        cls = arrow.Table if request.param == "pyarrow" else arrow.RecordBatch
        return lambda frame: cls.from_pandas(frame, preserve_index=False)

    def test_classification(self, convert):
        theirs, ours = (
            fn.TabularClassifier(**QUICK, n_epochs=2).fit(form(self.X[:200]), self.LABELS[:200])
            for form in (convert, lambda frame: frame)
        )
        assert theirs.columns_ == ours.columns_
        np.testing.assert_array_equal(theirs.predict_proba(convert(self.X)), ours.predict_proba(self.X))
        np.testing.assert_array_equal(theirs.predict(convert(self.X)), ours.predict(self.X))

    def test_regression(self, convert):
        """With rows to validate on, and targets that are a column of the library."""
        targets = pd.DataFrame({"price": self.VALUES})
        y = convert(targets)["price"]
        fits = [
            fn.TabularRegressor(**QUICK, n_epochs=2).fit(form(self.X), of_all, X_val=form(self.X[:50]), y_val=of_all[:50])
            for form, of_all in ((convert, y), (lambda frame: frame, targets["price"]))
        ]
        theirs, ours = fits
        assert theirs.validation_score_ == ours.validation_score_
        np.testing.assert_array_equal(theirs.predict(convert(self.X)), ours.predict(self.X))
