"""Weights of a table's rows and classes: what they decide, in memory and in blocks."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import mixed_table

import fastnet as fn
from fastnet.tabular._findings import Spread

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
