"""Tables larger than memory: columns are surveyed block by block, and blocks are prepared as they are read for training."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

import fastnet as fn
from fastnet.tabular import _survey
from fastnet.tabular._survey import draws

pd = pytest.importorskip("pandas")


def table(n=300):
    """Columns of every kind, and a class and values that depend on them."""
    rng = np.random.default_rng(0)
    x, colour, town = rng.standard_normal(n), rng.choice(["red", "green", "blue"], n), rng.integers(0, 12, n)
    values = 3 * np.sin(2 * x) + np.where(colour == "red", 4.0, 0.0) + town + 100
    frame = pd.DataFrame({
        "x": np.where(rng.random(n) < 0.1, np.nan, x),
        "colour": pd.Series(colour).where(rng.random(n) > 0.1),
        "town": [f"town {number}" for number in town],
        "day": pd.date_range("2024-01-01", periods=n, freq="7h").where(rng.random(n) > 0.1),
        "flag": x > 0.5,
        "late": [None] * (n // 2) + [f"group {number % 9}" for number in range(n - n // 2)],
        "constant": 1,
        "nothing": [None] * n,
    })  # fmt: skip
    return frame, np.where(values > np.median(values), "dear", "cheap"), values


X, LABELS, VALUES = table()
SIZES = (70, 0, 1, 129, 100)


def blocks(X, y=None, w=None, sizes=SIZES):
    """The same rows in blocks of these sizes."""
    ends = np.cumsum(sizes)

    def read(number):
        rows = slice(ends[number] - sizes[number], ends[number])
        return X[rows], None if y is None else y[rows], None if w is None else w[rows]

    return fn.data.from_batches(read, len(sizes), rows=sizes)


def polars():
    values = X.astype(object).where(X.notna(), None)
    return pytest.importorskip("polars").DataFrame(values.to_dict("list"), strict=False)


def arrow():
    return pytest.importorskip("pyarrow").Table.from_pandas(X)


class TestPreprocessor:
    @pytest.mark.parametrize("of", [lambda: X, lambda: X.to_numpy(dtype=object), lambda: X.convert_dtypes(), polars, arrow])
    def test_it_is_that_of_the_whole_table(self, of):
        rows = of()
        whole = fn.TabularPreprocessor(max_one_hot=3).fit(rows)
        data = blocks(rows)
        found = fn.TabularPreprocessor(max_one_hot=3).fit(data)
        assert found.summary() == whole.summary()
        kinds = ["number", "one_hot", "code", "moment", "sign", "code", "dropped", "dropped"]
        assert [column.kind for column in found.columns_] == kinds
        prepared = np.concatenate(list(fn.data.predict(found, data, method="transform")))
        np.testing.assert_array_equal(prepared, whole.transform(rows))

    def test_of_many_numbers_some_have_the_quartiles(self, monkeypatch, rng):
        monkeypatch.setattr(_survey, "MOST_VALUES", 300)
        x = rng.exponential(size=(5000, 1))
        x[rng.random(5000) < 0.3] = np.nan
        found = [fn.TabularPreprocessor().fit(data) for data in (x, blocks(x, sizes=(4000, 1000)), blocks(x, sizes=(100,) * 50))]
        assert found[0].summary() == found[1].summary() == found[2].summary()
        z = [one.transform(x) for one in found]
        np.testing.assert_array_equal(z[0], z[1])
        np.testing.assert_array_equal(z[0], z[2])
        assert found[0]._encoders[0].scaling.median == pytest.approx(np.nanmedian(x), rel=0.15)
        assert found[0]._encoders[0].scaling.median != np.nanmedian(x)

    def test_a_row_has_the_same_draw_in_any_block(self):
        whole = draws(0, 50, 3)
        np.testing.assert_array_equal(np.concatenate([draws(0, 7, 3), draws(7, 8, 3), draws(8, 50, 3)]), whole)
        assert len(set(whole)) == 50 and not set(whole) & set(draws(0, 50, 4))

    def test_rare_ones_of_very_many_categories_are_forgotten(self, monkeypatch):
        monkeypatch.setattr(_survey, "MOST_CATEGORIES", 20)
        names = [f"customer {number}" if number % 2 else f"town {number // 2 % 9}" for number in range(1800)]
        frame = pd.DataFrame({"name": names, "number": [f"{number}" for number in range(1800)]})
        code, dropped = fn.TabularPreprocessor().fit(blocks(frame, sizes=(60,) * 30))._encoders
        assert set(code.categories) >= {f"town {number}" for number in range(9)}
        assert len(code.categories) <= 40
        assert str(dropped) == "left out: every row has a category of its own"

    @pytest.mark.parametrize(
        ("second", "message"),
        [
            ({"a": ["text"], "b": [1.0]}, "Column 'a' is a number in earlier rows and a category in later ones"),
            ({"b": [1.0], "a": [1.0]}, "feature names"),
            ({"a": [1.0]}, "feature names"),
        ],
    )
    def test_blocks_that_do_not_fit_each_other(self, second, message):
        frames = [pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]}), pd.DataFrame(second)]
        data = fn.data.from_batches(lambda number: (frames[number], None), 2)
        with pytest.raises(ValueError, match=message):
            fn.TabularPreprocessor().fit(data)

    def test_days_of_objects(self):
        days = pd.DataFrame({"day": [dt.date(2024, 1, 1 + number) for number in range(9)]}, dtype=object)
        assert fn.TabularPreprocessor().fit(blocks(days, sizes=(4, 5))).columns_[0].kind == "moment"
