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
    "layers": (fn.MLPClassifier((5,), solver="lbfgs"), (ROWS, CLASSES), lambda clf: clf.hidden_activations(ROWS)),
}


@pytest.mark.parametrize(("estimator", "data", "predict"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_number_of_threads(estimator, data, predict, monkeypatch):
    estimator.set_params(n_threads=3, random_state=0).fit(*data)
    asked = []
    monkeypatch.setattr(fn.Network, "_threads", lambda network, m, n_threads=None: asked.append(n_threads) or 1)
    predict(estimator)
    assert set(asked) == {3}
