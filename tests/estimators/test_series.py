"""SequenceClassifier and SequenceRegressor: forms of series, and what they do by themselves."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import fastnet as fn
from fastnet import Ragged, SequenceClassifier, SequenceRegressor


@pytest.fixture(scope="module")
def waves():
    """Series of 2 channels, one of which is a wave; its frequency is the class, and its phase says nothing."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    wave = np.sin(np.linspace(0, 6, 30) * (2 + 3 * y[:, None]) + rng.uniform(0, 6, (80, 1)))
    return np.stack([5 + wave, rng.normal(0, 100, (80, 30))], axis=2), np.array(["slow", "fast"])[y]


@pytest.fixture(scope="module")
def cut(waves):
    X, y = waves
    lengths = np.random.default_rng(1).integers(18, 30, len(X))
    return [row[:n] for row, n in zip(X, lengths, strict=True)], y


def test_waves(waves):
    X, y = waves
    clf = SequenceClassifier(max_iter=15, random_state=0).fit(X[:50], y[:50])
    assert clf.score(X[50:], y[50:]) > 0.9
    assert clf.input_shape_ == (30, 2)
    assert clf.classes_.tolist() == ["fast", "slow"]
    assert np.allclose(clf.mean_, X[:50].mean(axis=(0, 1)))


def test_channels_first(waves):
    X, y = waves
    last = SequenceClassifier(max_iter=2, random_state=0).fit(X, y)
    first = SequenceClassifier(max_iter=2, random_state=0, channels="first").fit(X.transpose(0, 2, 1), y)
    assert np.array_equal(last.network_.params, first.network_.params)
    assert np.array_equal(last.predict_proba(X), first.predict_proba(X.transpose(0, 2, 1)))


def test_one_channel_needs_no_axis(waves):
    X, y = waves
    flat = SequenceClassifier(max_iter=2, random_state=0).fit(X[..., 0], y)
    deep = SequenceClassifier(max_iter=2, random_state=0).fit(X[..., :1], y)
    assert np.array_equal(flat.predict_proba(X[..., 0]), deep.predict_proba(X[..., :1]))
    assert flat.input_shape_ == (30, 1)


def test_series_of_unequal_length_in_all_their_forms(cut):
    X, y = cut
    padded = np.full((len(X), 40, 2), 1e6)
    for row, values in zip(padded, X, strict=True):
        row[: len(values)] = values
    forms = [
        (X, "last"),
        (Ragged.from_rows(X), "last"),
        (Ragged.from_padded(padded, [len(row) for row in X]), "last"),
        ([row.T for row in X], "first"),
        (np.fromiter(X, dtype=object, count=len(X)), "last"),
    ]
    fits = [SequenceClassifier(max_iter=2, random_state=0, channels=channels).fit(form, y) for form, channels in forms]
    for clf, (form, _) in zip(fits, forms, strict=True):
        assert np.array_equal(clf.predict_proba(form), fits[0].predict_proba(X))


def test_longer_and_shorter_series_than_those_of_training(cut):
    X, y = cut
    clf = SequenceClassifier(max_iter=15, random_state=0).fit(X[:50], y[:50])
    assert clf.score(X[50:], y[50:]) > 0.9
    longest = max(map(len, X[:50]))
    twice = np.concatenate([X[0], X[0]])
    assert len(twice) > longest
    p = clf.predict_proba([X[0], twice])
    assert np.allclose(p[0], clf.predict_proba([X[0], X[1]])[0], atol=1e-6)
    assert np.allclose(p[1], clf.predict_proba(twice[None])[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer"])
def test_kinds_of_networks(kind, rng):
    y = np.arange(80) % 2
    X = [label + rng.standard_normal((n, 1)) for label, n in zip(y, rng.integers(20, 30, 80), strict=True)]
    clf = SequenceClassifier(kind, max_iter=20, random_state=0).fit(X[:50], y[:50])
    assert clf.score(X[50:], y[50:]) > 0.8
    assert clf.predict_proba([np.concatenate([X[0], X[0]])]).shape == (1, 2)


def test_values_in_their_own_units(waves):
    sizes = np.random.default_rng(2).uniform(1, 3, 80)
    X, y = (waves[0] - [5, 0]) * sizes[:, None, None], 1000 + 50 * sizes
    reg = SequenceRegressor(max_iter=20, random_state=0).fit(X, y)
    assert reg.score(X, y) > 0.5
    two = SequenceRegressor(max_iter=2, random_state=0).fit(X, np.column_stack([y, -y]))
    assert two.predict(X).shape == (80, 2)


@pytest.mark.parametrize("unequal", [False, True])
def test_a_large_offset_hides_nothing(waves, cut, unequal):
    X, y = cut if unequal else waves
    far = [0.01 * row + 1e6 for row in X]
    plain, moved = (SequenceClassifier(max_iter=3, random_state=0).fit(form, y) for form in (list(X), far))
    np.testing.assert_allclose(moved.predict_proba(far), plain.predict_proba(list(X)), atol=1e-3)
    numbers = SequenceClassifier(max_iter=1, random_state=0).fit(np.full(waves[0].shape, 0.1), waves[1])
    assert numbers.scale_.tolist() == [1, 1]


def test_numbers_too_large_for_the_network(waves):
    X, y = waves
    with pytest.raises(ValueError, match="variance overflows"):
        SequenceClassifier().fit(1e300 * X, y)
    with pytest.raises(ValueError, match="X contains infinity or a value too large"):
        SequenceClassifier(max_iter=1).fit(X, y).predict(1e300 * X)


def test_long_series_have_no_more_features():
    X, y = np.random.default_rng(0).random((4, 1000)), [0, 1, 0, 1]
    wide, narrow = (SequenceClassifier(max_iter=1, random_state=0).fit(X[:, :n], y).network_ for n in (1000, 100))
    assert wide.sizes[-2] <= narrow.sizes[-2]


def test_threads_and_pickles(cut):
    X, y = cut
    fits = [SequenceClassifier(max_iter=2, random_state=0, n_threads=n).fit(X, y) for n in (1, 2)]
    assert np.array_equal(fits[0].network_.params, fits[1].network_.params)
    assert np.array_equal(pickle.loads(pickle.dumps(fits[0])).predict_proba(X), fits[0].predict_proba(X))


@pytest.mark.parametrize("channels", ["last", "first"])
@pytest.mark.parametrize("unequal", [False, True])
def test_flat_rows_are_series_of_one_channel(channels, unequal, waves, cut):
    X, y = cut if unequal else waves
    X = X if channels == "last" else [np.transpose(row) for row in X]
    clf = SequenceClassifier(max_iter=1, channels=channels).fit(X, y)
    length, _ = clf.input_shape_
    expected = rf"\(n_samples, {length}, 2\)" if channels == "last" else rf"\(n_samples, 2, {length}\)"
    flat = waves[0][:, :length].reshape(80, -1)
    for rows in (flat, flat.tolist(), pd.DataFrame(flat)):
        with pytest.raises(ValueError, match=f"2 channels as an array of shape {expected}, got flat rows of {2 * length}"):
            clf.predict(rows)


def test_dates_are_no_numbers():
    dates = np.zeros((40, 30), "M8[ns]")
    numbers, y = dates.astype(float), np.arange(40) % 2
    forms = [dates, dates[..., None], list(dates[..., None]), pd.DataFrame(dates), dates - dates, list(map(list, dates))]
    unequal = [row[: 20 + n % 5] for n, row in enumerate(dates)]
    clf = SequenceClassifier(max_iter=1).fit(numbers, y)
    for X in [*forms, unequal]:
        for use in (clf.predict, lambda X: SequenceClassifier().fit(X, y)):
            with pytest.raises(TypeError, match="numbers"):
                use(X)
    with pytest.raises(TypeError, match="y must hold numbers"):
        SequenceRegressor().fit(numbers, dates[:, 0])


def test_wrong_series(waves, cut):
    X, y = waves
    clf = SequenceClassifier(max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match=r"rows of shape \(30, 1\), but SequenceClassifier was fitted with \(30, 2\)"):
        clf.predict(X[..., :1])
    with pytest.raises(ValueError, match="fitted with rows of one length"):
        clf.predict(cut[0])
    with pytest.raises(ValueError, match="NaN"):
        SequenceClassifier().fit([np.full((3, 2), np.nan), *cut[0]], [y[0], *y])
    with pytest.raises(ValueError, match="must agree in all axes but the first"):
        SequenceClassifier().fit([X[0], X[1, :, :1]], y[:2])


@pytest.mark.parametrize("estimator", [SequenceClassifier, SequenceRegressor])
def test_one_row_of_one_position(estimator):
    """It has the shape of a single datapoint of the network."""
    X, y = np.random.default_rng(0).normal(size=(30, 1, 2)), np.arange(30) % 3
    model = estimator(max_iter=2, random_state=0).fit(X, y)
    np.testing.assert_allclose([model.predict(row[None])[0] for row in X], model.predict(X), rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_targets_whose_variance_overflows(rng):
    X, y = rng.normal(size=(20, 5, 2)), rng.normal(size=(20, 2)) * [1, 1e300]
    with pytest.raises(ValueError, match=r"y cannot be standardised, .* from -\S+e\+300 to \S+e\+300: .* Divide y by a constant"):
        SequenceRegressor(max_iter=1).fit(X, y)


class TestDataFrames:
    """Lists of frames: their columns are the channels, by name."""

    @staticmethod
    def frames(rng, names, lengths=(5, 6, 7) * 5):
        return [pd.DataFrame(rng.normal(size=(n, len(names))), columns=names) for n in lengths]

    @pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
    @pytest.mark.parametrize("lengths", [(5, 6, 7) * 5, (6,) * 15])
    @pytest.mark.parametrize(
        "estimator",
        [fn.SequenceClassifier(max_iter=1), fn.SequenceRegressor(max_iter=1), fn.NetworkClassifier([fn.GRU(2)], max_iter=1)],
        ids=lambda each: type(each).__name__,
    )
    def test_columns_in_another_order_are_refused(self, estimator, lengths, rng, tmp_path):
        frames, y = self.frames(rng, ["a", "b"], lengths), np.arange(15) % 2
        model = clone(estimator).fit(frames, y)
        model.save(tmp_path / "model")
        swapped = [frame[["b", "a"]] for frame in frames]
        message = r"X has a data frame with the columns \['b', 'a'\], but those of the first one of fit are \['a', 'b'\]: give"
        for each in (model, pickle.loads(pickle.dumps(model)), fn.load(tmp_path / "model")):
            np.testing.assert_array_equal(each.predict(frames), each.predict([frame.to_numpy() for frame in frames]))
            with pytest.raises(ValueError, match=message):
                each.predict(swapped)
        with pytest.raises(ValueError, match=message):
            clone(estimator).fit([*frames[:-1], swapped[-1]], y)
        model.fit(swapped, y).predict(swapped)
        model.fit([frame.to_numpy() for frame in frames], y).predict(swapped)

    def test_columns_are_steps_where_channels_come_first(self, rng):
        frames = [frame.T for frame in self.frames(rng, ["a", "b"])]
        SequenceClassifier(channels="first", max_iter=1).fit(frames, np.arange(15) % 2).predict(frames)
