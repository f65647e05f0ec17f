"""Two threads that fit one estimator: the second is refused, and the first ends as if it were alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from sklearn.base import clone

import fastnet as fn

X, Y = np.random.default_rng(0).random((60, 16)), np.arange(60) % 2

ESTIMATORS = [
    fn.MLPClassifier((5,), max_iter=2),
    fn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, solver="lbfgs"),
    fn.NetworkRegressor([fn.Dense(4)], max_iter=2),
    fn.SequenceRegressor(max_iter=1),
    fn.ImageClassifier(max_iter=1),
    fn.Forecaster(3, 4, max_iter=1),
]


class Waiting:
    """Rows that an array is made of only when they may be read."""

    def __init__(self, rows):
        self.rows, self.wanted, self.may_be_read = rows, Event(), Event()

    def __array__(self, *_, **__):
        self.wanted.set()
        assert self.may_be_read.wait(60)
        return self.rows


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_the_second_is_refused(estimator):
    estimator = clone(estimator).set_params(random_state=0)
    rows, targets = (X[:, :2], []) if isinstance(estimator, fn.Forecaster) else (X, [Y])
    expected, waiting = clone(estimator).fit(rows, *targets).predict(rows), Waiting(rows)
    name = type(estimator).__name__
    with ThreadPoolExecutor() as pool:
        first = pool.submit(estimator.fit, waiting, *targets)
        try:
            assert waiting.wanted.wait(60)
            for _ in range(2):
                with pytest.raises(RuntimeError, match=rf"This {name} is being fitted already, by another thread: fit a copy"):
                    estimator.fit(rows[:, :1], *targets)
            clone(estimator).fit(rows, *targets)
        finally:
            waiting.may_be_read.set()
        first.result()
    np.testing.assert_array_equal(estimator.predict(rows), expected)
    np.testing.assert_array_equal(estimator.fit(rows, *targets).predict(rows), expected)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_failed_does_not_block_others():
    estimator = fn.MLPRegressor(max_iter=1)
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.fit(X * np.nan, Y)
    with ThreadPoolExecutor() as pool:
        pool.submit(estimator.fit, X, Y).result()
