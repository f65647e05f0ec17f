"""Forecaster: what it learns, what it must not see, the forms of series and of forecasts, and series that it refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastnet as fn
from fastnet import Forecaster


@pytest.fixture(scope="module")
def waves():
    """A season of 20, with noise."""
    rng = np.random.default_rng(0)
    return 100 + 10 * np.sin(2 * np.pi * np.arange(500) / 20) + rng.normal(0, 2, 500)


@pytest.fixture(scope="module")
def fitted(waves):
    return Forecaster(horizon=8, season=20, random_state=0).fit(waves[:400])


@pytest.fixture(scope="module")
def quick():
    """A small Forecaster, trained for as little as possible."""
    return Forecaster(window=6, horizon=3, max_iter=1, random_state=0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_waves_beat_the_seasonal_forecast(fitted, waves):
    errors = fitted.errors(waves[400:])
    assert errors["forecaster"] < 0.85 * errors["seasonal_naive"]
    assert errors["forecaster"] < 0.5 * errors["naive"]
    assert fitted.score(waves[400:]) == pytest.approx(1 - errors["forecaster"] / errors["seasonal_naive"])
    assert np.abs(fitted.predict() - (100 + 10 * np.sin(2 * np.pi * np.arange(400, 408) / 20))).mean() < 2


def test_errors_are_those_of_forecasts_from_each_point(fitted, waves):
    new = waves[400:412]
    known = [waves[:n] for n in range(400, 405)]
    truth = np.array([waves[n : n + 8] for n in range(400, 405)])
    own = np.abs(np.array([fitted.predict(series) for series in known]) - truth).mean()
    naive = np.abs(waves[399:404, None] - truth).mean()
    seasonal = np.abs(np.array([waves[n - 20 : n - 12] for n in range(400, 405)]) - truth).mean()
    errors = {name: error * fitted.scale_[0, 0] for name, error in fitted.errors(new).items()}
    assert errors == pytest.approx({"forecaster": own, "naive": naive, "seasonal_naive": seasonal}, rel=1e-5)
    longer = Forecaster(5, horizon=5, season=2, max_iter=1).fit(np.arange(60.0))
    assert longer.errors(np.arange(60.0, 70))["seasonal_naive"] * longer.scale_[0, 0] == pytest.approx((2 + 2 + 4 + 4 + 6) / 5)


def test_score_where_a_naive_forecast_is_perfect(quick, waves):
    constant = clone(quick).fit(np.full(100, 3.0))
    assert constant.errors(np.full(10, 3.0)) == {"forecaster": 0.0, "naive": 0.0}
    assert constant.score(np.full(10, 3.0)) == 1.0
    forecaster = clone(quick).fit(waves)
    assert forecaster.errors(np.full(10, waves[-1]))["naive"] == 0.0
    assert forecaster.score(np.full(10, waves[-1])) == 0.0


def test_a_trend_goes_on():
    line = 5.0 * np.arange(200)
    forecaster = Forecaster(horizon=4, max_iter=60, random_state=0).fit(line[:150])
    np.testing.assert_allclose(forecaster.predict(line), 1000 + 5.0 * np.arange(4), atol=4)
    np.testing.assert_allclose(forecaster.predict(line + 1e5) - 1e5, forecaster.predict(line), atol=0.1)


def test_training_starts_with_the_naive_forecast(waves, monkeypatch):
    monkeypatch.setattr(fn.Network, "fit", lambda *args, **options: fn.History())
    np.testing.assert_allclose(Forecaster(horizon=3).fit(waves).predict(), waves[-1])


def test_nothing_is_learnt_from_the_tail(quick):
    """Values set aside change nothing but when training ends; those before them change the model."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(206, 2))
    later, earlier = series.copy(), series.copy()
    later[-20:] = rng.normal(7, 100, (20, 2))
    earlier[-21] += 1
    fits = [clone(quick).fit(X) for X in (series, later, earlier)]
    np.testing.assert_array_equal(fits[1].network_.params, fits[0].network_.params)
    np.testing.assert_array_equal(fits[1].scale_, fits[0].scale_)
    assert not np.array_equal(fits[2].network_.params, fits[0].network_.params)
    assert fits[1].history_.val_loss[0] > 100 * fits[0].history_.val_loss[0]


def test_what_is_set_aside(quick):
    forecaster = clone(quick).fit(np.arange(206.0))
    train, validation = forecaster._set_aside([206, 12], [20, 3])
    n = 206 - 6 - 3 + 1
    assert train.tolist() == [*range(n - 20), n]
    assert validation.tolist() == [*range(n - 20 + 2, n), n + 3]
    assert not clone(quick).fit(np.arange(50.0)).history_.val_loss


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer"])
def test_kinds_of_networks(kind, waves):
    forecaster = Forecaster(20, 4, kind=kind, max_iter=4, random_state=0).fit(waves[:250])
    assert forecaster.score(waves[300:]) > 0.3


def test_quantiles(waves):
    forecaster = Forecaster(20, 4, quantiles=[0.9, 0.1], max_iter=20, random_state=0).fit(waves[:400])
    rows = [waves[:n] for n in range(400, 496)]
    truth = np.array([waves[n : n + 4] for n in range(400, 496)])
    found = np.array(forecaster.predict_quantiles(rows))
    assert found.shape == (96, 4, 2)
    assert (found[..., 0] <= found[..., 1]).all()
    inside = (found[..., 0] < truth) & (truth < found[..., 1])
    assert 0.65 < inside.mean() < 0.92
    middle = np.array(forecaster.predict(rows))
    assert ((found[..., 0] <= middle) & (middle <= found[..., 1])).all()
    with_median = Forecaster(6, 2, quantiles=(0.5, 0.7), max_iter=1).fit(waves)
    assert with_median.levels_ == (0.5, 0.7)
    np.testing.assert_array_equal(with_median.predict_quantiles()[:, 0], with_median.predict())


def test_several_series_of_unequal_length(quick, waves):
    parts = [waves[:90], 1000 * waves[90:150], waves[150:300]]
    forecaster = clone(quick).fit(parts)
    assert [values.shape for values in forecaster.predict()] == [(3,)] * 3
    assert forecaster.scale_.shape == (3, 1)
    large, small = forecaster.predict([parts[1], parts[1] / 1000])
    np.testing.assert_allclose(large, 1000 * small, rtol=1e-5)
    assert set(forecaster.errors([waves[:5]] * 3)) == {"forecaster", "naive"}
    alone = clone(quick).fit([waves])
    np.testing.assert_array_equal(alone.predict()[0], clone(quick).fit(waves).predict())


def test_shapes(quick, waves):
    two = np.column_stack([waves, -waves])
    assert clone(quick).fit(two).predict().shape == (3, 2)
    assert clone(quick).fit(two).predict(two[:50]).shape == (3, 2)
    assert clone(quick).fit(waves[:, None]).predict().shape == (3, 1)
    assert clone(quick).fit(waves.tolist()).predict().shape == (3,)
    assert clone(quick).set_params(quantiles=(0.2, 0.5, 0.8)).fit(two).predict_quantiles().shape == (3, 2, 3)
    assert clone(quick).set_params(window=None, season=30, horizon=7).fit(waves).window_ == 60
    assert clone(quick).set_params(window=None).fit(waves[:23]).window_ == 10


INDICES = {
    "days": pd.date_range("2024-02-20", periods=60, freq="D"),
    "months": pd.date_range("2019-01-31", periods=60, freq="ME", tz="Europe/Berlin", name="month"),
    "working days": pd.DatetimeIndex([d for d in pd.date_range("2024-01-01", periods=90) if d.day_of_week < 5][:60]),
    "every other month": pd.period_range("2001-01", periods=120, freq="M")[::2],
    "two days": pd.period_range("2001-01", periods=60, freq="2D"),
    "quarters": pd.period_range("2001Q1", periods=60, freq="Q"),
    "numbers": pd.Index(np.arange(60) * 5 + 1900),
    "rows": pd.RangeIndex(60),
    "spans": pd.timedelta_range("1h", periods=60, freq="15min", name="after"),
    "thousandths": pd.Index(7 + np.arange(60) * 0.001),
    "sums": pd.Index(np.cumsum(np.full(60, 0.1))),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_pandas(index, quick, waves, path):
    series, now = pd.Series(waves[:50], index[:50], name="y"), slice(50, 53)
    forecaster = clone(quick).set_params(quantiles=(0.1, 0.9)).fit(series)
    found = forecaster.predict()
    expected = pd.Series(clone(forecaster).fit(waves[:50]).predict(), index[now], name="y")
    pd.testing.assert_series_equal(found, expected, check_freq=False, rtol=1e-14)
    earlier = forecaster.predict(series[:40])
    pd.testing.assert_series_equal(earlier, pd.Series(earlier.array, index[40:43], name="y"), check_freq=False, rtol=1e-14)
    forecaster.save(path)
    pd.testing.assert_series_equal(fn.load(path).predict(), found)
    pd.testing.assert_frame_equal(fn.load(path).predict_quantiles(), forecaster.predict_quantiles())
    assert forecaster.predict_quantiles().columns.tolist() == [0.1, 0.9]
    frame = pd.DataFrame({"a": waves[:50], "b": 1.0}, index[:50])
    of_frame = clone(forecaster).fit(frame)
    assert of_frame.predict().columns.tolist() == ["a", "b"]
    pd.testing.assert_series_equal(of_frame.predict()["a"].set_axis(found.index), of_frame.predict()["a"], check_freq=False)
    assert of_frame.predict_quantiles().columns.tolist() == [("a", 0.1), ("a", 0.9), ("b", 0.1), ("b", 0.9)]


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("n", [1, 2])
def test_errors_of_the_values_that_come_next(n, index, quick, waves):
    """One or two dates without a frequency do not say how they go on, and nothing asks for that."""
    forecaster = clone(quick).set_params(horizon=1).fit(pd.Series(waves[:50], index[:50]))
    coming = pd.Series(waves[50 : 50 + n], pd.Index(index[50 : 50 + n].to_numpy()))
    assert forecaster.errors(coming) == forecaster.errors(coming.to_numpy())
    with pytest.raises(ValueError, match="resample it"):
        forecaster.errors(pd.Series(waves[50:53], index[[50, 52, 53]]))


@pytest.mark.parametrize(
    "columns",
    [
        pd.Index(["a", "b"], name="place"),
        pd.Index([("a", 1), ("a", 2)], tupleize_cols=False),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["place", None]),
    ],
)
def test_columns_in_levels_and_with_a_name(columns, quick, waves, path):
    frame = pd.DataFrame({0: waves, 1: -waves}).set_axis(columns, axis=1)
    forecaster = clone(quick).set_params(quantiles=(0.1, 0.9)).fit(frame)
    forecaster.save(path)
    for model in (forecaster, fn.load(path)):
        pd.testing.assert_index_equal(model.predict().columns, columns)
        quantiles = model.predict_quantiles().columns
        assert quantiles.names == [*columns.names, None]
        pd.testing.assert_index_equal(quantiles.droplevel(-1)[::2], columns)


@pytest.mark.parametrize("several", [False, True])
def test_columns_must_be_those_of_fit(several, quick, waves, path):
    frame = pd.DataFrame({"a": waves, "b": -waves})
    form = (lambda *frames: list(frames)) if several else lambda first, *others: first
    forecaster = clone(quick).fit(form(frame, frame))
    assert forecaster.feature_names_in_.tolist() == ["a", "b"]
    forecaster.save(path)
    quantiles = clone(quick).set_params(quantiles=(0.1,)).fit(form(frame, frame))
    uses = [forecaster.predict, quantiles.predict_quantiles, forecaster.errors, forecaster.score, fn.load(path).predict]
    for use in uses:
        use(form(frame, frame))
        for other in (frame[["b", "a"]], frame.rename(columns={"a": "c"})):
            with pytest.raises(ValueError, match="feature names should match"):
                use([frame, other] if several else other)
    assert not hasattr(forecaster.fit(form(waves, waves)), "feature_names_in_")


@pytest.mark.parametrize("columns", [[0, 1], pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])])
def test_columns_that_are_not_named_by_text(columns, quick, waves):
    frame = pd.DataFrame({0: waves, 1: -waves}).set_axis(columns, axis=1)
    forecaster = clone(quick).fit(frame)
    np.testing.assert_array_equal(forecaster.predict(frame.to_numpy()), forecaster.predict(frame))
    other, message = frame[frame.columns[::-1]], "the same columns in the same order"
    for use in (forecaster.predict, forecaster.errors, forecaster.score, lambda X: forecaster.fit([frame, X])):
        with pytest.raises(ValueError, match=message):
            use(other)


def test_the_first_of_several_frames_names_the_columns(quick, waves):
    frame = pd.DataFrame({"a": waves, "b": -waves})
    with pytest.raises(ValueError, match="feature names should match"):
        clone(quick).fit([frame, frame[["b", "a"]]])
    forecaster = clone(quick).fit([frame, frame])
    assert not hasattr(forecaster.fit(frame["a"]), "feature_names_in_")


def test_copies_threads_and_files(fitted, waves, path):
    one, two = (clone(fitted).set_params(n_threads=n, max_iter=1).fit(waves[:400]) for n in (1, 2))
    np.testing.assert_array_equal(one.predict(), two.predict())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(), fitted.predict())
    fitted.save(path)
    loaded = fn.load(path)
    assert loaded.get_params() == fitted.get_params()
    assert {name for name in vars(loaded) if name.endswith("_")} == {name for name in vars(fitted) if name.endswith("_")}
    np.testing.assert_array_equal(loaded.predict(), fitted.predict())
    assert loaded.errors(waves[400:]) == fitted.errors(waves[400:])
    assert repr(clone(fitted)) == "Forecaster(horizon=8, random_state=0, season=20)"


@pytest.mark.parametrize("of_fit", [{}, {"season": 4, "quantiles": (0.3, 0.1)}], ids=["without", "with"])
def test_parameters_set_after_fit_change_nothing(of_fit, quick, waves, path):
    def found(forecaster):
        quantiles = forecaster.predict_quantiles() if of_fit else 0
        return [forecaster.predict(), forecaster.predict(waves[:90]), forecaster.score(waves[:30]), quantiles]

    forecaster = clone(quick).set_params(**of_fit).fit(waves)
    before = found(forecaster)
    for season in (None, 50, 2):
        for quantiles in (None, (0.2,)):
            forecaster.set_params(horizon=9, window=40, season=season, quantiles=quantiles, kind="gru")
            forecaster.save(path)
            for one in (forecaster, pickle.loads(pickle.dumps(forecaster)), fn.load(path)):
                for value, expected in zip(found(one), before, strict=True):
                    np.testing.assert_array_equal(value, expected)
                if not of_fit:
                    with pytest.raises(ValueError, match=r"fit it with quantiles=\(0.1, 0.9\)"):
                        one.predict_quantiles()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([1.0, 2.0, np.nan, *range(20)], "NaN or infinite at position 2: fill missing values"),
        ([np.arange(20), np.append(np.arange(20.0), np.inf)], "series 1 of X has a value .* at position 20"),
        (pd.Series([1.0, None] * 10), "at position 1"),
        (pd.DataFrame(np.zeros((20, 2)), columns=["a", "a"]), "several columns named 'a': rename them"),
        (np.arange(8), "To fit with window 6, a series needs at least 9 values; series 0 has 8"),
        ([np.arange(20), np.arange(3)], "series 1 has 3"),
        (np.zeros((2, 20, 1)), r"got shape \(2, 20, 1\): list\(X\)"),
        ([np.zeros((20, 2)), np.zeros(20)], "same number of channels, got 1 and 2"),
        (["a"] * 20, "not compatible with arrays of bytes/strings"),
        ([], "minimum of 1 is required"),
        (pd.Series(np.arange(20.0), pd.date_range("2024", periods=21).delete(7)), "resample it and fill what is missing"),
        (pd.Series(np.arange(20.0), pd.date_range("2024", periods=20)[::-1]), "does not go up by a regular step"),
        (pd.Series(np.arange(20.0), pd.period_range("2024", periods=20, freq="D")[::-1]), "does not go up by a regular step"),
        (pd.Series(np.arange(20.0), pd.period_range("2024", periods=21, freq="D").delete(7)), "not go up by a regular step"),
        (pd.Series(np.arange(20.0), pd.timedelta_range("1h", periods=21, freq="h").delete(7)), "not go up by a regular step"),
        (pd.Series(np.arange(20.0), np.arange(20) * 0.1 + 1e-9 * (np.arange(20) == 7)), "not go up by a regular step"),
        (pd.Series(np.arange(20.0), np.zeros(20)), "does not go up by a regular step"),
        (pd.Series(np.arange(20.0), list("abcdefghijklmnopqrst")), "does not go up by a regular step"),
    ],
)
def test_what_cannot_be_continued(X, message, quick):
    with pytest.raises(ValueError, match=message):
        clone(quick).fit(X)


def test_a_channel_that_does_not_change_leaves_the_others_alone(quick, waves):
    """The deviation of equal numbers is a rounding error."""
    series = np.column_stack([waves[:300], np.full(300, 0.1)])
    assert series[:, 1].std() > 0
    forecaster = clone(quick).fit(series)
    assert forecaster.scale_[0, 1] == 1
    series[-1, 1] += 1
    assert np.abs(forecaster.predict(series)[:, 0] - 100).max() < 30


def test_numbers_too_large_to_standardise(quick, waves):
    with pytest.raises(ValueError, match=r"values from 0 to 8.9e\+301: their variance overflows. Divide X by a constant first"):
        clone(quick).fit(np.arange(99.0) * 1e300)
    with pytest.raises(ValueError, match="variance overflows"):
        clone(quick).fit([waves, 2 * waves]).predict(waves * 1e300)
    forecaster = clone(quick).fit(waves)
    for use in (forecaster.predict, forecaster.score):
        with pytest.raises(ValueError, match="X changes by more than 3e38 standard deviations of its series"):
            use(waves * 1e300)
    with pytest.raises(ValueError, match="X changes by more than 3e38"):
        forecaster.fit([*np.ones(99), 1e300])


@pytest.mark.parametrize("form", [np.asarray, pd.Series, lambda dates: [dates, dates], lambda dates: dates - dates[0]])
def test_dates_are_no_values(form, quick):
    with pytest.raises(TypeError, match="X must hold numbers, got (datetime|timedelta)64"):
        clone(quick).fit(form(np.arange(20).astype("M8[D]")))


def test_wrong_use(quick, waves):
    with pytest.raises(NotFittedError):
        Forecaster().predict()
    with pytest.raises(NotFittedError):
        Forecaster().score(waves)
    forecaster = clone(quick).fit(waves)
    with pytest.raises(ValueError, match="series of 2 channels, but Forecaster was fitted with 1"):
        forecaster.predict(np.zeros((10, 2)))
    with pytest.raises(ValueError, match="To predict, a series needs at least 6 values; series 0 has 5"):
        forecaster.predict(waves[:5])
    with pytest.raises(ValueError, match="must continue the 1 series of fit, got 2"):
        forecaster.score([waves, waves])
    with pytest.raises(ValueError, match="compare with forecasts of 3 values, a series needs at least 3"):
        forecaster.score(waves[:2])
    with pytest.raises(ValueError, match="quantiles must be"):
        Forecaster(quantiles=(0.1, 1.5)).fit(waves)
    with pytest.raises(ValueError, match="'horizon' parameter of Forecaster"):
        Forecaster(horizon=0).fit(waves)
    before = forecaster.predict()
    with pytest.raises(ValueError, match="NaN"):
        forecaster.fit([np.nan] * 50)
    np.testing.assert_array_equal(forecaster.predict(), before)


@pytest.mark.parametrize(("index", "following"), [(None, 1), (pd.RangeIndex(4, 10, 6), 10)])
def test_a_window_of_one_value_whose_index_says_its_step(index, following, rng):
    model = Forecaster(horizon=1, window=1, max_iter=1, random_state=0).fit(pd.Series(rng.normal(size=40)))
    assert model.predict(pd.Series([1.0], index=index)).index.tolist() == [following]
    with pytest.raises(ValueError, match="does not go up by a regular step"):
        model.predict(pd.Series([1.0], index=pd.RangeIndex(4, 3, -1)))
