"""NetworkClassifier and NetworkRegressor on rows of unequal length, in all the forms that these may have."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score

import fastnet as fn

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning")
OPTIONS = {"max_iter": 2, "random_state": 0}
LENGTHS = [5 + k % 5 for k in range(20)]


@pytest.fixture
def series(rng):
    return [rng.normal(size=(n, 2)) for n in LENGTHS], np.arange(len(LENGTHS)) % 2


@pytest.fixture
def texts(rng):
    return [rng.integers(0, 9, n) for n in LENGTHS], np.arange(len(LENGTHS)) % 2


READER = [fn.Embedding(9, 4), fn.GRU(4)]


@pytest.mark.parametrize("estimator", [fn.NetworkClassifier, fn.NetworkRegressor])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32"])
def test_lengths_are_not_in_the_dtype_of_the_data(estimator, dtype, rng):
    lengths = [300, 200, 5, 4, 3, 2]
    rows = [rng.integers(0, 2, (n, 2)).astype(dtype) for n in lengths]
    wide = np.float32 if dtype == "float32" else np.float64
    model, expected = (
        estimator([fn.GRU(4)], **OPTIONS).fit([row.astype(kind) for row in rows], np.arange(6) % 2) for kind in (dtype, wide)
    )
    assert_array_equal(model.predict(rows), expected.predict([row.astype(wide) for row in rows]))
    for a, b in zip(model.coefs_, expected.coefs_, strict=True):
        assert_array_equal(a, b)
    assert_array_equal(model.predict(np.stack([rows[0]] * 2)), model.predict([rows[0]] * 2))


@pytest.mark.parametrize("length", [0, -3, 100, 2.5, np.nan])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_flat_rows_whose_length_cannot_be(series, length, dtype):
    clf = fn.NetworkClassifier([fn.GRU(4)], **OPTIONS).fit([row.astype(dtype) for row in series[0]], series[1])
    flat = np.ones((3, clf.n_features_in_), dtype)
    flat[:, -1] = 5
    assert_array_equal(clf.predict_proba(flat), clf.predict_proba(np.ones((3, 5, 2), dtype)))
    flat[1, -1] = length
    with pytest.raises(ValueError, match="Row 1 of X has .* positions; the network takes 1 to 9"):
        clf.predict(flat)


def test_a_row_alone_is_no_list_of_rows(series):
    clf = fn.NetworkClassifier([fn.GRU(4)], **OPTIONS).fit(*series)
    with pytest.raises(ValueError, match=r"X must hold rows, got a single one of shape \(5, 2\): give \[X\]"):
        clf.predict(series[0][0])


class TestIds:
    def test_of_unequal_length(self, texts):
        ids, y = texts
        clf = fn.NetworkClassifier(READER, early_stopping=True, **OPTIONS).fit(ids, y)
        assert clf.input_shape_ == (9,)
        network = clf.network_
        assert_allclose(clf.predict_proba(ids)[:, 1], network.forward(ids)[:, 0], rtol=1e-12)
        assert_array_equal(clf.hidden_activations(ids, 0), network.activations(ids)[1])
        short = np.stack([row[:5] for row in ids])
        assert_array_equal(clf.predict_proba(short), clf.predict_proba(list(short)))
        assert_array_equal(clf.predict_proba(short.astype(float)), clf.predict_proba(short))

    @pytest.mark.parametrize("scoring", ["accuracy", lambda model, X, y: model.score(X, y)])
    def test_scores_of_rows_set_aside(self, texts, scoring):
        ids, y = texts
        clf = fn.NetworkClassifier(READER, early_stopping=True, scoring=scoring, **OPTIONS)
        clf.fit(ids, y, X_val=ids, y_val=y)
        assert clf.best_validation_score_ == clf.score(ids, y)

    def test_as_many_as_a_row_and_its_length_would_be(self, texts):
        """Ten ids are no row of nine with its length."""
        ids, y = texts
        clf = fn.NetworkClassifier(READER, **OPTIONS).fit(ids, y)
        X = np.full((2, 10), 9.0)
        X[:, :9] = 3
        assert_array_equal(clf.predict_proba(X), clf.predict_proba([row.astype(int) for row in X]))


class TestRowsLongerThanThoseOfFit:
    @pytest.mark.parametrize("dtype", [None, "float32"])
    def test_are_as_they_are_alone(self, series, dtype, rng):
        rows, y = series
        layers = [fn.Dense(4, "tanh"), fn.Positions("sinusoidal"), fn.GRU(4)]
        clf = fn.NetworkClassifier(layers, dtype=dtype, **OPTIONS).fit(rows, y)
        long = [rng.normal(size=(n, 2)) for n in (12, 3)]
        whole = fn.Network(clf.network_.layers, input_shape=(12, 2), ragged=True, dtype=clf.network_.dtype)
        for name, view in clf.network_.parameters.items():
            if whole.parameters[name].shape == view.shape:
                whole.parameters[name][...] = view
        assert_allclose(clf.predict_proba(long)[:, 1], whole.forward(long)[:, 0], rtol=1e-6)
        assert_allclose(clf.hidden_activations(long), whole.activations(long)[-2], rtol=1e-6)
        assert_allclose(clf.predict_proba(np.stack([long[0]] * 2))[1], clf.predict_proba(long)[0], rtol=1e-6)
        assert clf.input_shape_ == (9, 2)

    def test_in_cross_validation(self, texts):
        ids, y = texts
        ids[3] = np.tile(ids[3], 3)
        scores = cross_val_score(fn.NetworkClassifier(READER, **OPTIONS), fn.Ragged.from_rows(ids), y, cv=4)
        assert np.isfinite(scores).all()

    @pytest.mark.parametrize("layer", [fn.Positions(), fn.Scale()])
    def test_need_parameters_that_there_are_none_of(self, series, layer):
        clf = fn.NetworkClassifier([layer, fn.GRU(4)], **OPTIONS).fit(*series)
        message = r"X has a row of 12 positions, the longest row of fit had 9, and the layers have parameters of each .* \(1\."
        with pytest.raises(ValueError, match=message):
            clf.predict([np.ones((12, 2))])

    def test_are_not_trained_on(self, series):
        clf = fn.NetworkClassifier([fn.GRU(4)], **OPTIONS).fit(*series)
        with pytest.raises(ValueError, match="Row 0 of X has 12 positions; the network takes 1 to 9.* fit anew with rows"):
            clf.partial_fit([np.ones((12, 2)), np.ones((3, 2))], [0, 1])
