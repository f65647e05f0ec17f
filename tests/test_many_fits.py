"""Many fits at once: the models are those of single fits."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import fastnet as fn
from fastnet import runtime


def arrays(m=120):
    X = np.random.default_rng(0).standard_normal((m, 4))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def networks(n=6):
    return [fn.Network([fn.Dense(5, "tanh"), fn.Dense(2, "softmax")], 4, random_state=seed) for seed in range(n)]


def test_networks_are_those_of_single_fits():
    X, y = arrays()
    each = [{"random_state": seed, "learning_rate": 0.01 * (seed + 1)} for seed in range(6)]
    models = networks()
    many = fn.fit_many(models, X, y, each=each, epochs=3, batch_size=8)
    for model, same, net, options in zip(many, models, networks(), each, strict=True):
        assert model is same
        net.fit(X, y, epochs=3, batch_size=8, n_threads=1, **options)
        np.testing.assert_array_equal(model.params, net.params)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_are_those_of_single_fits():
    pytest.importorskip("sklearn")
    X, y = arrays()
    options = [{"alpha": 10.0**-k, "learning_rate_init": 0.01 * (k + 1), "random_state": k} for k in range(4)]
    many = fn.fit_many([fn.MLPClassifier((5,), max_iter=4, n_threads=2, **of_one) for of_one in options], X, y)
    for model, of_one in zip(many, options, strict=True):
        single = fn.MLPClassifier((5,), max_iter=4, n_threads=1, **of_one).fit(X, y)
        np.testing.assert_array_equal(model.coefs_[0], single.coefs_[0])
        assert model.n_threads == 2


def test_as_many_at_a_time_as_threads_are_given(monkeypatch):
    monkeypatch.setattr(runtime, "thread_limit", lambda n_threads: n_threads)
    X, y = arrays()
    together = threading.Barrier(2, timeout=20)

    class Meeting(fn.Callback):
        def on_train_begin(self, session):
            together.wait()

    fn.fit_many(networks(4), X, y, epochs=1, n_threads=2, callbacks=[Meeting()])


def test_the_first_error_is_raised():
    X, y = arrays()
    models = networks(3)
    before = models[2].params.copy()
    each = [{}, {"optimizer": "sgd", "learning_rate": -1.0}, {}]
    with pytest.raises(ValueError, match="learning_rate|rate"):
        fn.fit_many(models, X, y, each=each, epochs=1, n_threads=1)
    np.testing.assert_array_equal(models[2].params, before)


def test_what_cannot_be_shared():
    X, y = arrays()
    net = networks(1)[0]
    with pytest.raises(ValueError, match="the same model"):
        fn.fit_many([net, net], X, y)
    with pytest.raises(ValueError, match="the same generator"):
        fn.fit_many(networks(2), X, y, random_state=np.random.default_rng(0))
    with pytest.raises(ValueError, match="each must hold the options of 2 models, got 1"):
        fn.fit_many(networks(2), X, y, each=[{}])
