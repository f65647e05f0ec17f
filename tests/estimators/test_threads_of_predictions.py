"""`n_threads` of an estimator is a limit of its predictions too."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn

ROWS, CLASSES, VALUES = np.random.default_rng(0).random((60, 36)), np.arange(60) % 2, np.arange(60.0)
TEXTS = ["one two", "three"] * 30

#: An estimator, what it is fitted to, and predictions for several rows.
PREDICTIONS = {
    "images": (fn.ImageClassifier(max_iter=1), (ROWS, CLASSES), lambda clf: clf.predict_proba(ROWS)),
    "series": (fn.SequenceRegressor(max_iter=1), (ROWS, VALUES), lambda reg: reg.predict(ROWS)),
    "texts": (fn.TextClassifier(max_iter=1), (TEXTS, CLASSES), lambda clf: clf.predict(TEXTS)),
    "forecasts": (fn.Forecaster(6, 2, max_iter=1), (VALUES,), lambda forecaster: forecaster.errors(VALUES)),
    "tables": (fn.TabularClassifier(preset="fast", n_epochs=1), (ROWS, CLASSES), lambda clf: clf.predict(ROWS)),
    "importances": (fn.TabularRegressor(preset="fast", n_epochs=1), (ROWS, VALUES), lambda reg: reg.feature_importances_),
    "layers": (fn.MLPClassifier((5,), solver="lbfgs"), (ROWS, CLASSES), lambda clf: clf.hidden_activations(ROWS)),
}


@pytest.mark.parametrize(("estimator", "data", "predict"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_number_of_threads(estimator, data, predict, monkeypatch):
    estimator.set_params(n_threads=3, random_state=0).fit(*data)
    asked = []
    monkeypatch.setattr(fn.Network, "_threads", lambda network, m, n_threads=None: asked.append(n_threads) or 1)
    predict(estimator)
    assert set(asked) == {3}


@pytest.mark.parametrize(("n_threads", "of_each"), [(1, {1}), (2, {1, 2}), (4, {2, 4})])
def test_folds_share_the_threads(n_threads, of_each, monkeypatch):
    asked = []
    monkeypatch.setattr(fn.Network, "_threads", lambda network, m, n_threads=None: asked.append(n_threads) or 1)
    monkeypatch.setattr("fastnet.tabular._folds.thread_limit", lambda n_threads: n_threads)
    fn.TabularRegressor(preset="fast", n_epochs=1, n_folds=2, n_best_epochs=1, n_threads=n_threads).fit(ROWS, VALUES)
    assert set(asked) == of_each
