"""Preprocessing: every kind of column in every kind of table."""

from __future__ import annotations

import datetime as dt
import pickle
import warnings
from decimal import Decimal

import numpy as np
import pytest
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastnet as fn
from fastnet.tabular import _columns

pd = pytest.importorskip("pandas")


@parametrize_with_checks([fn.TabularPreprocessor()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def mixed(n=40):
    """Columns of every kind, with missing values."""
    rng = np.random.default_rng(0)
    whole = [None if i % 7 == 0 else int(v) for i, v in enumerate(rng.integers(0, 50, n))]
    return {
        "number": rng.standard_normal(n).tolist(),
        "whole": whole,
        "flag": [None if i % 9 == 0 else bool(i % 2) for i in range(n)],
        "colour": [None if i % 5 == 0 else ("red", "green", "blue")[i % 3] for i in range(n)],
        "town": [f"town {i % 12:02}" for i in range(n)],
        "day": [None if i == 3 else dt.datetime(2020, 1, 1, 6 * (i % 3)) + dt.timedelta(days=9 * i) for i in range(n)],
        "constant": [1.5] * n,
        "nothing": [None] * n,
    }


def tables():
    data = mixed()
    found = {
        "pandas": pd.DataFrame(data).astype({"nothing": float}),
        "nullable": pd.DataFrame(data).astype({"nothing": float}).convert_dtypes(),
        "objects": np.array([list(row) for row in zip(*data.values(), strict=True)], dtype=object),
        "categories": pd.DataFrame(data).astype({"nothing": float, "colour": "category", "town": "category", "flag": "category"}),
    }
    try:
        import polars as pl
    except ImportError:
        return found
    return found | {"polars": pl.DataFrame(data)}


TABLES = tables()


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_of_table_gives_the_same(kind):
    prepare = fn.TabularPreprocessor()
    Z = prepare.fit_transform(TABLES[kind])
    expected = fn.TabularPreprocessor().fit_transform(TABLES["pandas"])
    kinds = ["number", "number", "sign", "one_hot", "code", "moment", "dropped", "dropped"]
    assert [column.kind for column in prepare.columns_] == kinds
    assert Z.dtype == np.float32
    assert np.array_equal(Z, expected)
    assert np.isfinite(Z).all()
    assert prepare.n_categories_ == [12]


def test_numbers_are_scaled_by_quartiles_and_bent():
    x = np.array([0.0, 1, 2, 3, 4, np.nan, 1e300, np.inf])
    Z = fn.TabularPreprocessor().fit_transform(x[:, None])
    q25, median, q75 = np.quantile(x[np.isfinite(x)], (0.25, 0.5, 0.75))
    z = (x[:5] - median) / (q75 - q25)
    assert Z[:5, 0] == pytest.approx(z / np.sqrt(1 + (z / 3) ** 2))
    assert Z[5, 0] == 0
    assert Z[6:, 0] == pytest.approx(3)
    assert set(Z[:5, 1]) != set(Z[5:6, 1])


def test_categories():
    X = np.array([["a", "1"], ["b", "2"], ["c", "3"], [None, "4"]], dtype=object)
    prepare = fn.TabularPreprocessor(max_one_hot=3, min_category_count=1).fit(X)
    Z = prepare.transform(np.array([["a", "1"], ["c", "4"], ["unknown", "unknown"], [None, None]], dtype=object))
    assert (Z[0, :3] > 0).tolist() == [True, False, False]
    assert np.array_equal(Z[2, :3], Z[3, :3])
    assert Z[:, 3].tolist() == [1, 4, 0, 0]
    assert list(prepare.get_feature_names_out()) == ["x0_a", "x0_b", "x0_c", "x1"]


def test_rare_categories_count_as_unknown():
    values = np.array([f"{i // 2}" for i in range(40)] + ["once"], dtype=object)[:, None]
    assert fn.TabularPreprocessor(min_category_count=2).fit(values).n_categories_ == [20]
    names = np.array([f"name {i}" for i in range(40)], dtype=object)[:, None]
    assert fn.TabularPreprocessor(min_category_count=2).fit(names).columns_[0].kind == "dropped"


@pytest.mark.parametrize("said", [["b"], [1], [-1], [False, True]])
def test_numbers_that_are_categories(said):
    X = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [5, 6, 7, 6]})
    kinds = [column.kind for column in fn.TabularPreprocessor(categorical_features=said).fit(X).columns_]
    assert kinds == ["number", "one_hot"]


@pytest.mark.parametrize("said", [["c"], [2], [True], "dtype"])
def test_wrong_categorical_features(said):
    with pytest.raises(ValueError, match="categorical_features"):
        fn.TabularPreprocessor(categorical_features=said).fit([[1, 2], [3, 4]])


def test_text_for_true_or_false():
    with pytest.raises(TypeError, match="missing_indicator must be True or False, got 'no'"):
        fn.TabularPreprocessor(missing_indicator="no").fit([[1.0], [2.0]])


@pytest.mark.parametrize("fit", ["fit", "fit_transform"])
def test_a_refused_fit_leaves_the_transformer_as_it_was(fit):
    frame = pd.DataFrame({"a": [1.0, 2, 4], "b": ["x", "y", "y"]})
    prepare = fn.TabularPreprocessor().fit(frame)
    before = dict(vars(prepare))
    prepare.set_params(categorical_features=["another"])
    with pytest.raises(ValueError, match="another"):
        getattr(prepare, fit)(frame.assign(c=1))
    assert vars(prepare) == before | {"categorical_features": ["another"]}


def test_dates_show_the_periods_that_differ():
    day, hour = (pd.date_range("2024-01-01", periods=400, freq=freq) for freq in ("D", "h"))
    days = pd.DataFrame({"day": day, "hour": hour})
    names = list(fn.TabularPreprocessor().fit(days).get_feature_names_out())
    assert "day_sin_of_day" not in names
    assert {"day", "day_cos_of_year", "day_sin_of_week", "hour_sin_of_day"} <= set(names)


def test_text_where_numbers_were():
    prepare = fn.TabularPreprocessor().fit(pd.DataFrame({"age": [1.0, 2, 3]}))
    with pytest.raises(ValueError, match="Column 'age' held numbers in fit"):
        prepare.transform(pd.DataFrame({"age": ["old", "young"]}))


def test_columns_of_the_same_name():
    with pytest.raises(ValueError, match="Several columns of X have the same name"):
        fn.TabularPreprocessor().fit(pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]))


def test_tables_that_are_not_in_memory():
    pl = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"got a lazy LazyFrame: give X\.collect\(\)"):
        fn.TabularPreprocessor().fit(pl.LazyFrame({"a": [1, 2]}))


def test_pickles():
    prepare = fn.TabularPreprocessor().fit(TABLES["pandas"])
    again = pickle.loads(pickle.dumps(prepare))
    assert np.array_equal(again.transform(TABLES["pandas"]), prepare.transform(TABLES["pandas"]))
    assert again.summary() == prepare.summary()
    assert "colour: 3 categories ('blue', 'green', 'red'), a column each" in prepare.summary()


FLAGS = np.arange(40) % 2 == 0


@pytest.mark.parametrize(
    "spelt",
    [FLAGS.astype(int), FLAGS.astype(float), FLAGS.astype(str), np.char.upper(FLAGS.astype(str)), FLAGS.astype(object)],
)
def test_booleans_in_every_spelling(spelt):
    prepare = fn.TabularPreprocessor().fit(pd.DataFrame({"flag": FLAGS}))
    expected = prepare.transform(pd.DataFrame({"flag": FLAGS}))
    with warnings.catch_warnings(action="error"):
        assert np.array_equal(prepare.transform(pd.DataFrame({"flag": spelt})), expected)
        assert prepare.transform(pd.DataFrame({"flag": ["yes", None]})).tolist() == [[0], [0]]


class TestUnknownCategories:
    """A warning where none of many values is known, as with another spelling."""

    @pytest.mark.parametrize(
        ("fitted", "given", "message"),
        [
            (np.where(FLAGS, "1", "0"), FLAGS.astype(int), "Column 'c' has 40 values, .* got 1, known are '0', '1'. Give"),
            (FLAGS, np.where(FLAGS, "yes", None), "Column 'c' has 20 values, .* got 'yes', known are False, True."),
            (np.arange(40) % 3, np.where(FLAGS, "1", "0"), "known are 0, 1, 2."),
            ([f"town {i % 12}" for i in range(40)], [f"Town {i % 12}" for i in range(40)], "got 'Town 0', known are 'town 0'"),
        ],
    )
    def test_all_of_them(self, fitted, given, message):
        prepare = fn.TabularPreprocessor(categorical_features=["c"]).fit(pd.DataFrame({"c": fitted}))
        with pytest.warns(UserWarning, match=message) as caught:
            prepare.transform(pd.DataFrame({"c": given}))
        assert caught[0].filename == __file__

    def test_no_warning_of_few_or_where_one_is_known(self):
        prepare = fn.TabularPreprocessor().fit(pd.DataFrame({"c": np.where(FLAGS, "1", "0")}))
        with warnings.catch_warnings(action="error"):
            for values in (["2"] * 9, ["2"] * 9 + [None] * 9, [None] * 40, ["2"] * 200 + ["1"]):
                prepare.transform(pd.DataFrame({"c": values}))

    @pytest.mark.parametrize(("n_missing", "n_times"), [(0, 0), (100, 0), (1000, 1)])
    def test_a_column_is_read_once_at_most(self, n_missing, n_times, monkeypatch):
        (encoder,) = fn.TabularPreprocessor().fit(pd.DataFrame({"c": np.where(FLAGS, "1", "0")}))._encoders
        read = []
        monkeypatch.setattr(_columns, "labels", lambda column: read.append(column) or column.tolist())
        assert encoder.unknown(np.array([None] * n_missing + ["1"] * 1000, dtype=object)) == []
        assert len(read) == n_times

    def test_no_warning_in_fit(self):
        names = pd.DataFrame({"name": [f"name {i}" for i in range(100)] + ["common"] * 20})
        with warnings.catch_warnings(action="error"):
            fn.TabularPreprocessor().fit_transform(names)
            blocks = fn.data.from_batches(lambda number: (names[40 * number :][:40], np.arange(40.0)), 3, rows=(40, 40, 40))
            model = fn.TabularRegressor(preset="fast", n_epochs=1, random_state=0).fit(blocks)
        with pytest.warns(UserWarning, match="Column 'name'"):
            model.predict(names[:40])


class TestWhereWarningsPointTo:
    """To the caller's code, however many functions of fastnet and scikit-learn are between."""

    def given(self):
        return pd.DataFrame({"x": np.arange(40.0), "c": np.where(FLAGS, "one", "other"), "text": [str(i) for i in range(40)]})

    @pytest.mark.parametrize("wrap", [lambda model: model, lambda model: make_pipeline("passthrough", model)])
    def test_estimators(self, wrap):
        model = wrap(fn.TabularClassifier(preset="fast", n_epochs=1, random_state=0))
        with pytest.warns(UserWarning, match="Left out as text") as caught:
            model.fit(self.given(), FLAGS)
        assert caught[0].filename == __file__
        with pytest.warns(UserWarning, match="Column 'c' has 20 values") as caught:
            model.predict(self.given().assign(c=np.where(FLAGS, "another", None)))
        assert caught[0].filename == __file__

    def test_blocks(self):
        data = fn.data.from_batches(lambda number: (self.given(), FLAGS), 1)
        for model in (fn.TabularPreprocessor(), fn.TabularClassifier(preset="fast", n_epochs=1, random_state=0)):
            with pytest.warns(UserWarning, match="Left out as text") as caught:
                model.fit(data)
            assert caught[0].filename == __file__

    @pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
    def test_cross_validation(self):
        with pytest.warns(UserWarning, match="Left out as text") as caught:
            cross_val_predict(make_pipeline(fn.TabularPreprocessor(), fn.MLPClassifier(max_iter=1)), self.given(), FLAGS, cv=2)
        assert {warning.filename for warning in caught if "Left out" in str(warning.message)} == {__file__}


def test_a_common_category_among_rare_ones_is_not_constant():
    names = np.array([f"name {i}" for i in range(20)] + ["common"] * 20, dtype=object)[:, None]
    Z = fn.TabularPreprocessor().fit_transform(names)
    assert (Z[20:] > Z[:20]).all()


def test_record_batches_are_tables():
    pa = pytest.importorskip("pyarrow")
    batch = pa.RecordBatch.from_pydict({"a": [1.0, 2.0, 4.0], "b": ["x", "y", None]})
    prepare = fn.TabularPreprocessor().fit(batch)
    assert prepare.feature_names_in_.tolist() == ["a", "b"]
    assert np.array_equal(prepare.transform(batch), prepare.transform(pa.Table.from_batches([batch])))
    with pytest.raises(ValueError, match="feature names"):
        prepare.transform(batch.select(["b", "a"]))


def test_record_batches_as_blocks():
    pa = pytest.importorskip("pyarrow")
    x = np.arange(60.0)
    batches = [pa.RecordBatch.from_pydict({"a": rows, "b": rows % 7}) for rows in (x[:25], x[25:])]
    data = fn.data.from_batches(lambda number: (batches[number], x[:25] if number == 0 else x[25:]), 2, rows=(25, 35))
    model = fn.TabularRegressor(preset="fast", n_epochs=1, random_state=0).fit(data)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert model.predict(batches[0]).shape == (25,)


@pytest.mark.parametrize("dtype", ["Int128", "UInt128", "Decimal", "decimal128"])
def test_numbers_that_numpy_has_no_type_for(dtype):
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    values = [1, None, 2**90, 7, 5, 2]
    decimals = [value and Decimal(value) for value in values]
    if dtype == "decimal128":
        X = pd.DataFrame({"a": pd.array(decimals, dtype=pd.ArrowDtype(pa.decimal128(38, 2)))})
    elif dtype == "Decimal":
        X = pl.DataFrame({"a": pl.Series(decimals, dtype=pl.Decimal(38, 2))})
    elif hasattr(pl, dtype):
        X = pl.DataFrame({"a": pl.Series(values, dtype=getattr(pl, dtype))})
    else:
        pytest.skip(f"this Polars has no {dtype}")
    expected = fn.TabularPreprocessor().fit_transform(np.array(values, float)[:, None])
    assert np.array_equal(fn.TabularPreprocessor().fit_transform(X), expected)
    assert fn.TabularPreprocessor(categorical_features=["a"]).fit(X)._encoders[0].categories == (1, 2, 5, 7, 2**90)


def test_integers_that_are_the_same_float():
    prepare = fn.TabularPreprocessor().fit(pd.DataFrame({"a": [2**62, 2**62 + 100]}))
    assert prepare.summary() == "a: left out: constant as float64"


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_that_are_rounded_beside_missing_ones(dtype):
    pa = pytest.importorskip("pyarrow")
    values = [None, 2**60 + 1, 2**62 + 1, 5]
    column = pa.array(values, getattr(pa, dtype)())
    expected = fn.TabularPreprocessor().fit_transform(np.array(values, float)[:, None])
    for X in (pa.table({"a": column}), pd.DataFrame({"a": pd.array(column, dtype=f"{dtype}[pyarrow]")})):
        assert np.array_equal(fn.TabularPreprocessor().fit_transform(X), expected)


def test_integers_beyond_floats():
    prepare = fn.TabularPreprocessor()
    with pytest.raises(ValueError, match="Column 'a' has a number beyond the range of float64"):
        prepare.fit(pd.DataFrame({"a": [1, 2, 10**400]}, dtype=object))


def test_arrays_of_numpys_strings():
    words = [["red", "1"], ["blue", "2"], ["red", "2"]]
    prepare = fn.TabularPreprocessor()
    Z = prepare.fit_transform(np.array(words, np.dtypes.StringDType()))
    assert np.array_equal(Z, fn.TabularPreprocessor().fit_transform(np.array(words, object)))
    assert np.array_equal(prepare.transform(np.array(words)), Z)


def test_outputs_have_names_of_their_own():
    pl = pytest.importorskip("polars")
    columns = {"a": list("bcdb"), "a_b": [1.0, 2, 3, 4], "a_b_2": [1.0, 2, None, 4], "a_b_2_missing": [1.0, 2, 3, 4]}
    prepare = fn.TabularPreprocessor().fit(pd.DataFrame(columns))
    expected = ["a_b", "a_c", "a_d", "a_b_3", "a_b_2", "a_b_2_missing", "a_b_2_missing_2"]
    assert prepare.get_feature_names_out().tolist() == expected
    prepare.set_output(transform="polars")
    assert prepare.transform(pl.DataFrame(columns)).columns == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1.2e308, 1.2e308], [[-0.9487], [0.9487]]),
        ([-1.7e308, 0, 0, 0, 0, 1.7e308], [[-0.9487], [0], [0], [0], [0], [0.9487]]),
        ([0.0, 1e-310, 2e-310], [[-0.0045], [0], [0.0045]]),
        ([-np.inf, np.inf], [[-3], [3]]),
        ([1.0, 1.0, 1.0, np.inf], [[0], [0], [0], [3]]),
        ([np.inf, np.nan], [[3, -0.9487], [0, 0.9487]]),
        ([2.0, np.nan], [[0, -0.9487], [0, 0.9487]]),
        ([np.inf, np.inf], None),
        ([2.0, 2.0], None),
    ],
)
def test_extreme_numbers(values, expected):
    prepare = fn.TabularPreprocessor()
    with warnings.catch_warnings(action="error"):
        Z = prepare.fit_transform(np.array(values)[:, None])
    if expected is None:
        assert str(prepare.columns_[0]) == "x0: left out: constant"
    else:
        np.testing.assert_allclose(Z, expected, atol=1e-4)


DURATIONS = [dt.timedelta(days=1.5), None, dt.timedelta(seconds=3.25), dt.timedelta(0), dt.timedelta(days=-400)]


@pytest.mark.parametrize(
    "of",
    [
        lambda: pd.DataFrame({"a": pd.Series(DURATIONS)}),
        lambda: pd.DataFrame({"a": pd.Series(DURATIONS, dtype=object)}),
        lambda: pd.DataFrame({"a": pd.Series([value and np.timedelta64(value) for value in DURATIONS], dtype=object)}),
        lambda: np.array(DURATIONS, "m8[ms]")[:, None],
        lambda: pytest.importorskip("polars").DataFrame({"a": DURATIONS}),
        lambda: pytest.importorskip("pyarrow").table({"a": DURATIONS}),
    ],
)
def test_durations_are_numbers_of_seconds(of):
    seconds = np.array([[129600], [np.nan], [3.25], [0], [-34560000]])
    expected = fn.TabularPreprocessor().fit(seconds)
    prepare = fn.TabularPreprocessor()
    assert np.array_equal(prepare.fit_transform(of()), expected.transform(seconds))
    assert prepare.columns_[0].description == expected.columns_[0].description


def test_durations_where_dates_were():
    prepare = fn.TabularPreprocessor().fit(pd.DataFrame({"a": pd.date_range("2024-01-01", periods=5)}))
    with pytest.raises(ValueError, match="Column 'a' held dates or times in fit"):
        prepare.transform(pd.DataFrame({"a": DURATIONS}))
