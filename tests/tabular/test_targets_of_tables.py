"""Targets of tables: types that are taken, and those that are refused with words of fastnet's own."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import mixed_table

import fastnet as fn

pd = pytest.importorskip("pandas")

X, LABELS, VALUES = mixed_table()
QUICK = {"preset": "fast", "random_state": 0, "n_epochs": 1}


@pytest.mark.parametrize(
    ("y", "y_val", "message"),
    [
        (LABELS, ["free"], "y_val holds classes that y does not hold, such as 'free': y holds 'cheap', 'dear'"),
        (LABELS == "dear", ["dear"], "y_val holds classes that y does not hold, such as 'dear': y holds False, True"),
        (LABELS, [1], "y_val holds classes that y does not hold, such as 1: y holds 'cheap', 'dear'"),
        (np.arange(300) % 7, np.array(["1"], object), r"such as '1': y holds 0, 1, 2, 3, 4, \.\.\.\. Leave"),
    ],
)
def test_validation_targets_of_other_classes(y, y_val, message):
    with pytest.raises(ValueError, match=message):
        fn.TabularClassifier(**QUICK).fit(X, y, X_val=X[:1], y_val=y_val)


def test_integers_beyond_64_bits():
    with pytest.raises(ValueError, match=r"Labels in y are integers beyond 64 bits, such as 1180591620717411303424: make"):
        fn.TabularClassifier(**QUICK).fit(X[:40], np.array([2**70, 1] * 20, dtype=object))


def test_integers_of_128_bits():
    pl = pytest.importorskip("polars")
    if not hasattr(pl, "Int128"):
        pytest.skip("this Polars has none")
    y = pl.Series("y", np.arange(300) % 2 * 3).cast(pl.Int128)
    classes = fn.TabularClassifier(**QUICK).fit(X, y).classes_
    assert classes.dtype == np.int64 and classes.tolist() == [0, 3]
    expected = fn.TabularRegressor(**QUICK).fit(X, np.arange(300) % 2 * 3).predict(X)
    np.testing.assert_array_equal(fn.TabularRegressor(**QUICK).fit(X, y).predict(X), expected)
    both = fn.TabularRegressor(**QUICK).fit(X, pl.DataFrame({"y": y, "z": y}))
    assert both.predict(X).shape == (300, 2) and both.target_names_ == ["y", "z"]
    with pytest.raises(ValueError, match="Labels in y are integers beyond 64 bits"):
        fn.TabularClassifier(**QUICK).fit(X[:40], pl.Series("y", [2**70, 1] * 20, dtype=pl.Int128))


class TestValuesOfRegressions:
    X = np.arange(120.0).reshape(40, 3)
    Y = np.arange(40) % 4

    @pytest.mark.parametrize("missing", [True, False])
    def test_in_a_dictionary_of_pyarrow(self, missing):
        pa = pytest.importorskip("pyarrow")
        y = pa.chunked_array([pa.array([None if missing else 0, *self.Y[1:].tolist()]).dictionary_encode()])
        model = fn.TabularRegressor(preset="fast", n_epochs=1, random_state=0)
        if missing:
            with pytest.raises(ValueError, match="Input y contains NaN"):
                model.fit(self.X, y)
        else:
            expected = fn.TabularRegressor(preset="fast", n_epochs=1, random_state=0).fit(self.X, self.Y).predict(self.X)
            np.testing.assert_array_equal(model.fit(self.X, y).predict(self.X), expected)

    def test_masked_ones_are_missing(self):
        with pytest.raises(ValueError, match="Input y contains NaN"):
            fn.TabularRegressor(preset="fast").fit(self.X, np.ma.masked_equal(self.Y, 2))
