"""What columns of a table are taken for, by their types in fit, and what is refused where they are of other types later."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

import fastnet as fn

pd = pytest.importorskip("pandas")

DAYS = pd.date_range("2024-01-01", periods=40, freq="31h")


def frame(column, **columns):
    return pd.DataFrame({"a": column, **columns})


def kinds(X, **parameters):
    return [column.kind for column in fn.TabularPreprocessor(**parameters).fit(X).columns_]


class TestColumnsOfTypeCategory:
    """Of numbers, they are categories unless `categorical_features` says otherwise; as in scikit-learn."""

    X = frame(
        pd.Series(np.arange(40) % 3, dtype="category"),
        ordered=pd.Categorical(np.arange(40) % 4, ordered=True),
        floats=pd.Categorical(np.where(np.arange(40) % 5, np.arange(40) % 4 / 2, np.nan)),
        text=pd.Categorical(list("xyz1") * 10),
        flags=pd.Categorical([True, False] * 20),
        days=pd.Categorical(DAYS),
    )

    @pytest.mark.filterwarnings("ignore:Left out as text")
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("from_dtype", ["one_hot", "one_hot", "one_hot", "one_hot", "sign", "dropped"]),
            (None, ["number", "number", "number", "one_hot", "sign", "moment"]),
            (["a"], ["one_hot", "number", "number", "one_hot", "sign", "moment"]),
            ([False, True] + [False] * 4, ["number", "one_hot", "number", "one_hot", "sign", "moment"]),
        ],
    )
    def test_kinds(self, said, expected):
        assert kinds(self.X, categorical_features=said) == expected

    def test_values(self):
        plain = frame(self.X["floats"].astype(float), b=DAYS)
        expected = fn.TabularPreprocessor().fit_transform(plain)
        found = fn.TabularPreprocessor(categorical_features=None).fit_transform(self.X[["floats", "days"]])
        np.testing.assert_array_equal(found, expected)

    def test_of_pyarrow(self):
        pa = pytest.importorskip("pyarrow")
        X = pa.table({"a": pa.array(np.arange(40) % 3).dictionary_encode()})
        assert kinds(X) == ["one_hot"] and kinds(X, categorical_features=None) == ["number"]


@pytest.mark.parametrize(("dtype", "nothing"), [(int, np.nan), (str, None)])
def test_masked_entries_are_missing(dtype, nothing):
    values = (np.arange(120).reshape(40, 3) % 7).astype(dtype)
    masked = np.ma.masked_equal(values, dtype(3))
    missing = np.where(masked.mask, nothing, values if dtype is int else values.astype(object))
    expected = fn.TabularPreprocessor().fit_transform(missing)
    np.testing.assert_array_equal(fn.TabularPreprocessor().fit_transform(masked), expected)


PERIODS = pd.period_range("2024-01", periods=40, freq="M")


@pytest.mark.parametrize("X", [frame(PERIODS), frame(pd.Series(PERIODS, dtype=object)), np.array(PERIODS, object)[:, None]])
def test_periods_are_the_moments_that_they_begin_at(X):
    expected = fn.TabularPreprocessor().fit_transform(frame(PERIODS.start_time))
    np.testing.assert_array_equal(fn.TabularPreprocessor().fit_transform(X), expected)


def test_a_missing_period():
    Z = fn.TabularPreprocessor().fit(frame(PERIODS)).transform(frame(pd.PeriodIndex(["2024-03", None], freq="M")))
    assert Z[1, 0] == 0 and np.isfinite(Z).all()


@pytest.mark.parametrize("dtype", [complex, object])
def test_complex_numbers(dtype):
    X = frame(np.arange(40) + 1j).astype(dtype)
    with pytest.raises(ValueError, match="Column 'a': Complex data not supported, got .39.1j.: give real and imaginary parts"):
        fn.TabularPreprocessor().fit(X)
    with pytest.raises(ValueError, match="Column 'a' held numbers in fit; now it holds something else"):
        fn.TabularPreprocessor().fit(frame(np.arange(40.0))).transform(X)


@pytest.mark.parametrize(
    "X",
    [
        frame(["1_000"] * 40),
        frame(["infinity"] * 40),
        frame(["1.5", None] * 20),
        np.array([["1.5"]] * 40),
        np.array([["1.5"]] * 40, object),
        np.array(DAYS, "M8[ns]")[:, None],
        np.array(DAYS, "M8[D]")[:, None],
        frame(DAYS),
        frame(DAYS.date),
    ],
)
def test_what_is_no_number_where_numbers_were(X):
    numbers = np.arange(40.0)
    prepare = fn.TabularPreprocessor().fit(frame(numbers) if isinstance(X, pd.DataFrame) else numbers[:, None])
    with pytest.raises(ValueError, match="Column '(a|x0)' held numbers in fit; now it holds .*(text such as|date|Time)"):
        prepare.transform(X)


class TestZones:
    """Dates with a time zone are moments in UTC; those without are none that could be compared with them."""

    AWARE = DAYS.tz_localize("Europe/Rome")

    @pytest.mark.parametrize("convert", [lambda X: X, lambda X: X.astype(object), lambda X: X.astype(object).to_numpy()])
    def test_with_and_without(self, convert):
        for fitted, given, missing in ((self.AWARE, DAYS, "with a time zone"), (DAYS, self.AWARE, "without a time zone")):
            prepare = fn.TabularPreprocessor().fit(convert(frame(fitted)))
            with pytest.raises(ValueError, match=f"Column '(a|x0)' held dates {missing} in fit, now .*: .*tz_localize"):
                prepare.transform(convert(frame(given)))
            prepare.transform(convert(frame(fitted)))

    def test_another_zone_is_the_same_moment(self):
        prepare = fn.TabularPreprocessor().fit(frame(self.AWARE))
        given = frame(self.AWARE.tz_convert("Asia/Tokyo"))
        np.testing.assert_array_equal(prepare.transform(given), prepare.transform(frame(self.AWARE)))

    def test_some_with_and_some_without(self):
        mixed = frame(pd.Series([*DAYS[:5], *self.AWARE[5:]], dtype=object))
        with pytest.raises(ValueError, match="Column 'a': Some dates have a time zone and some have none"):
            fn.TabularPreprocessor().fit(mixed)
        blocks = [frame(DAYS), frame(self.AWARE)]
        data = fn.data.from_batches(lambda number: (blocks[number], None), 2)
        with pytest.raises(ValueError, match="Column 'a': Some dates have a time zone and some have none"):
            fn.TabularPreprocessor().fit(data)

    def test_of_times_there_is_none(self):
        times = frame(pd.Series([dt.time(number % 24) for number in range(40)], dtype=object))
        fn.TabularPreprocessor().fit(times).transform(times)

    def test_files(self, tmp_path):
        prepare = fn.TabularPreprocessor().fit(frame(self.AWARE))
        prepare.save(tmp_path / "prepare.safetensors")
        with pytest.raises(ValueError, match="held dates with a time zone in fit"):
            fn.load(tmp_path / "prepare.safetensors").transform(frame(DAYS))
