"""`sample_weight` of the estimators that choose their own network."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn

SHORT = {"max_iter": 20, "random_state": 0, "n_threads": 1}


@pytest.fixture
def series(rng):
    """Two kinds of series, in which the second kind has a step."""
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 12, 1)) * 0.3
    X[:, 6:, 0] += 2 * y[:, None]
    return X, y


def parameters(estimator):
    return estimator.network_.params


@pytest.mark.parametrize("kind", [fn.SequenceClassifier, fn.SequenceRegressor])
def test_only_ratios_of_weights_count(kind, series):
    X, y = series
    weights = 1 + np.arange(60) % 3
    assert np.array_equal(*(parameters(kind(**SHORT).fit(X, y, scale * weights)) for scale in (1, 4)))
    assert not np.array_equal(parameters(kind(**SHORT).fit(X, y)), parameters(kind(**SHORT).fit(X, y, weights)))


def test_rows_of_weight_0_are_not_trained_on(series):
    X, y = series
    wrong = np.where(np.arange(60) < 20, 1 - y, y)
    weights = (np.arange(60) >= 20).astype(float)
    model = fn.SequenceClassifier(**SHORT).fit(X, wrong, weights)
    assert model.score(X, y) == 1
    other = np.where(np.arange(60) < 20, y, wrong)
    assert np.array_equal(parameters(fn.SequenceClassifier(**SHORT).fit(X, other, weights)), parameters(model))


def test_targets_of_weight_0_do_not_scale_the_others(series):
    X, y = series
    marked = np.where(np.arange(60) < 10, -1e6, y + 5.0)
    weights = (np.arange(60) >= 10).astype(float)
    model = fn.SequenceRegressor(**SHORT).fit(X, marked, weights)
    assert model.target_scaler_.mean_ == pytest.approx(np.mean(y[10:] + 5.0))
    assert np.abs(model.predict(X[10:]) - marked[10:]).max() < 1.5


def test_rows_of_unequal_length(series):
    X, y = series
    rows = [row[: 9 + k % 4] for k, row in enumerate(X)]
    wrong = np.where(np.arange(60) < 20, 1 - y, y)
    model = fn.SequenceClassifier("gru", **SHORT).fit(rows, wrong, np.arange(60) >= 20)
    assert model.score(rows, y) > 0.9


def test_images_and_texts(rng):
    y = np.arange(40) % 2
    wrong, weights = np.where(np.arange(40) < 10, 1 - y, y), np.arange(40) >= 10
    images = rng.normal(size=(40, 6, 6, 1)) * 0.3 + y[:, None, None, None]
    assert fn.ImageClassifier(**SHORT).fit(images, wrong, weights).score(images, y) == 1
    texts = [f"{'good' if label else 'bad'} thing {k}" for k, label in enumerate(y)]
    assert fn.TextClassifier(**SHORT).fit(texts, wrong, weights).score(texts, y) == 1


def test_rows_set_aside_are_weighted():
    """Of 400 rows a tenth decides when training ends: rows without weight are not among them."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    X = rng.normal(size=(400, 8)) * 0.3 + y[:, None]
    weights = np.where(np.arange(400) < 150, 0.0, 1.0)
    model = fn.SequenceClassifier(**SHORT).fit(X, y, weights)
    assert len(model.history_.val_loss) == model.n_iter_
    assert np.isfinite(model.history_.val_loss).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(60), "must not be negative"),
        (np.zeros(60), "at least one non-zero"),
        (np.ones(59), "shape"),
        (np.full(60, np.nan), "NaN"),
    ],
)
def test_wrong_weights_are_refused(weights, message, series):
    model = fn.SequenceClassifier(**SHORT).fit(*series)
    before = model.network_
    with pytest.raises(ValueError, match=message):
        model.fit(*series, weights)
    assert model.network_ is before
