"""Factors of learning rates and decays for parts of a network, schedules of further hyperparameters, and updates of one's own."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from helpers import DTYPES, RTOL, distance

import fastnet as fn
from fastnet._factors import by_segment

LAYERS = [fn.Scale(), fn.Dense(6, "tanh"), fn.Residual([fn.Dense(6, "silu")]), fn.Dense(2, "identity")]


def build(dtype="float64", layers=LAYERS, **options):
    return fn.Network(layers, 4, dtype=dtype, random_state=0, **options)


def data(dtype="float64", m=40):
    rng = np.random.default_rng(3)
    return rng.standard_normal((m, 4)).astype(dtype), rng.random((m, 2)).astype(dtype)


class TestFactors:
    def test_the_most_specific_name_counts(self):
        net = build()
        assert list(net.parameters) == ["1.s", "2.W", "2.b", "3.1.W", "3.1.b", "4.W", "4.b"]
        factors = {"b": 0.1, "3": 2.0, "3.1.b": 5.0, "4": 7.0, "4.b": 0.0, "s": 3.0}
        assert by_segment(net, factors, "learning_rate_factors") == [3.0, 1.0, 0.1, 2.0, 5.0, 7.0, 0.0]

    def test_decays_are_on_weights_unless_they_are_named(self):
        assert by_segment(build(), {"1": 0.5, "4.W": 0.0}, "decay_factors") == [0.5, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_training(self, dtype):
        """SGD with both kinds of factors, with l2 and weight decay, against the same in NumPy."""
        net, (X, y) = build(dtype), data(dtype)
        rates = {"1": 6.0, "b": 0.1, "3.1.W": 0.0}
        decays = {"b": 0.5, "1.s": 2.0, "2": 0.0}
        p = net.params.copy()
        net.fit(
            X,
            y,
            optimizer=fn.SGD(0.05),
            batch_size=8,
            epochs=1,
            sampling="sequential",
            l2=0.1,
            weight_decay=0.2,
            learning_rate_factors=rates,
            decay_factors=decays,
        )
        twin, r, d = build(dtype), np.zeros_like(p), np.zeros_like(p)
        for vector, factors, name in ((r, rates, "learning_rate_factors"), (d, decays, "decay_factors")):
            for view, factor in zip(twin.views(vector).values(), by_segment(twin, factors, name), strict=True):
                view[...] = factor
        for start in range(0, 40, 8):
            twin.params[:] = p
            g = twin.loss_and_grad(X[start : start + 8], y[start : start + 8])[1].flat + 0.1 * d * p
            p = p - 0.05 * r * g - 0.05 * r * 0.2 * d * p
        assert distance(net.params, p) < RTOL[dtype]

    @pytest.mark.parametrize("name", ["learning_rate_factors", "decay_factors"])
    @pytest.mark.parametrize(
        ("factors", "message"),
        [({"5": 1.0}, "names '5', which is no part"), ({"2.w": 1.0}, "Did you mean '2.W'"), ({"b": -1.0}, r"\['b'\] must be")],
    )
    def test_bad_factors(self, name, factors, message):
        net, (X, y) = build(), data()
        before = net.params.copy()
        with pytest.raises(ValueError, match=message):
            net.fit(X, y, **{name: factors})
        assert np.array_equal(net.params, before)


class TestSchedules:
    def test_of_factors_one_change_nothing(self):
        layers = [fn.Dense(9, "tanh", dropout=0.3), fn.Dense(2, "softmax")]
        (X, y), ones = data(), {name: 1.0 for name in ("weight_decay", "dropout", "momentum", "label_smoothing")}
        options = {"loss": fn.CrossEntropy(0.1), "optimizer": fn.AdamW(0.01), "random_state": 0, "epochs": 3}
        nets = [build(layers=layers) for _ in range(2)]
        for net, schedules in zip(nets, (None, ones), strict=True):
            net.fit(X, y.argmax(axis=1), schedules=schedules, **options)
        assert np.array_equal(nets[0].params, nets[1].params)

    @pytest.mark.parametrize("rule", [fn.SGD(0.1, momentum=0.9), fn.SGD(0.1, momentum=0.9, nesterov=True), fn.RMSprop(0.01)])
    def test_momentum_and_weight_decay(self, rule):
        net, (X, y) = build(layers=[fn.Dense(2, "identity")]), data()
        factors = np.linspace(1, 0.2, 10)
        p, memory = net.params.copy(), {}
        net.fit(
            X,
            y,
            optimizer=rule,
            batch_size=8,
            epochs=2,
            sampling="sequential",
            weight_decay=0.3,
            schedules={"momentum": factors, "weight_decay": lambda j: 1 / (1 + j)},
        )
        for t in range(10):
            rows = slice(8 * (t % 5), 8 * (t % 5) + 8)
            twin = build(layers=[fn.Dense(2, "identity")])
            twin.params[:] = p
            g = twin.loss_and_grad(X[rows], y[rows])[1].flat
            lr = rule.learning_rate(t)
            decay = np.where(np.arange(10) < 8, lr * 0.3 / (1 + t) * p, 0)
            first, *rest = rule.hyper()
            p = reference.RULES[rule.kernel](p, g, t + 1, memory, lr, first * factors[t], *rest) - decay
        assert distance(net.params, p) < 1e-12

    def test_dropout_and_label_smoothing_that_end(self):
        layers = [fn.Dense(9, "tanh", dropout=0.5), fn.Dense(2, "softmax")]
        (X, y), plain = data(), [fn.Dense(9, "tanh"), fn.Dense(2, "softmax")]
        options = {"optimizer": fn.SGD(0.1), "random_state": 0, "epochs": 2}
        with_schedules, without = build(layers=layers), build(layers=plain)
        with_schedules.fit(
            X, y.argmax(axis=1), loss=fn.CrossEntropy(0.2), schedules={"dropout": 0.0, "label_smoothing": 0.0}, **options
        )
        without.fit(X, y.argmax(axis=1), loss="cross_entropy", **options)
        assert distance(with_schedules.params, without.params) < 1e-13

    def test_schedules_end_with_the_run(self):
        net, (X, y) = build(), data()
        seen = []

        class Falling(fn.Cosine):
            def rates(self, start, n):
                seen.append(super().rates(start, n))
                return seen[-1]

        net.fit(X, y, batch_size=20, epochs=3, schedules={"weight_decay": Falling(1.0)})
        factors = np.concatenate(seen)
        assert factors[0] == 1 and factors[-1] < 0.3 and (np.diff(factors) < 0).all()

    @pytest.mark.parametrize(
        ("schedules", "message"),
        [
            ({"learning_rate": 1.0}, "its? may name|may name weight_decay"),
            ({"momentun": 1.0}, "Did you mean 'momentum'"),
            ({"dropout": 2.0}, r"schedules\['dropout'\] times 0.5 must stay below 1, got 1"),
            ({"weight_decay": -1.0}, "at least 0"),
            ({"momentum": 0.5}, r"schedules\['momentum'\] needs an optimiser with momentum, .* got SGD\(learning_rate="),
        ],
    )
    def test_bad_schedules(self, schedules, message):
        net, (X, y) = build(layers=[fn.Dense(3, "relu", dropout=0.5), fn.Dense(2, "identity")]), data()
        before = net.params.copy()
        with pytest.raises(ValueError, match=message):
            net.fit(X, y, schedules=schedules, optimizer=fn.SGD())
        assert np.array_equal(net.params, before)
        if "momentum" in schedules:
            with pytest.raises(ValueError, match="needs an optimiser with momentum"):
                net.fit(X, y, schedules=schedules, optimizer="adagrad")


class TestUpdates:
    RULES = ("sgd", fn.SGD(0.1, momentum=0.9), "adagrad", "rmsprop", "adam", fn.AdamW(0.01, weight_decay=0.1), "lion")

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("rule", RULES, ids=str)
    def test_a_loop_of_ones_own_is_fit(self, rule, weighted, dtype):
        """Bit for bit: loss_and_grad and update do what an epoch of the core does."""
        (X, y), nets = data(dtype), [build(dtype), build(dtype)]
        given = {"sample_weight": np.random.default_rng(0).uniform(0.5, 2, 40)} if weighted else {}
        nets[0].fit(X, y, optimizer=rule, batch_size=10, epochs=2, sampling="sequential", **given)
        state = fn.init_state(nets[1], rule)
        for _ in range(2):
            for start in range(0, 40, 10):
                rows = slice(start, start + 10)
                _, grads = nets[1].loss_and_grad(X[rows], y[rows], **{name: weights[rows] for name, weights in given.items()})
                fn.update(nets[1], grads, state, rule)
        assert state.step == 8
        assert np.array_equal(nets[0].params, nets[1].params)

    @pytest.mark.parametrize("n_threads", [1, 3])
    def test_vectors_of_any_origin(self, n_threads, dtype="float64"):
        rng = np.random.default_rng(0)
        p = rng.standard_normal(500_000).astype(dtype)
        expected, memory = p.astype("float64"), {}
        state = fn.init_state(p, "adam")
        for t in range(1, 4):
            g = rng.standard_normal(p.size).astype(dtype)
            fn.update(p, g, state, "adam", learning_rate=0.1, l2=0.01, weight_decay=0.02, max_grad_norm=10.0, n_threads=n_threads)
            clipped = g * (10.0 / np.linalg.norm(g.astype("float64"))) + 0.01 * expected
            expected = reference.adam(expected, clipped, t, memory, 0.1, 0.9, 0.999, 1e-8) - 0.1 * 0.02 * expected
        assert distance(p, expected) < 1e-12

    @pytest.mark.parametrize(
        ("params", "grads", "optimizer", "error", "message"),
        [
            (np.ones(3), np.ones(4), "adam", ValueError, r"must have shape \(3,\)|shape"),
            (np.ones(3), np.ones(3, "float32"), "adam", TypeError, "dtype"),
            (np.ones(3, int), np.ones(3), "adam", TypeError, "vector of float32 or float64"),
            ([1.0], np.ones(1), "adam", TypeError, "got list"),
            (np.ones(3), np.ones(3), "lbfgs", TypeError, "gradients of batches"),
        ],
    )
    def test_what_does_not_fit(self, params, grads, optimizer, error, message):
        with pytest.raises(error, match=message):
            fn.update(params, grads, fn.init_state(params, optimizer), optimizer)

    @pytest.mark.parametrize(
        ("wrong", "error", "message"),
        [
            ({"grads": [1.0, 1.0, 1.0]}, TypeError, "grads must be the Gradients of loss_and_grad, or a vector, got list"),
            ({"grads": (0.5, np.ones(3))}, TypeError, "grads must be the Gradients of loss_and_grad, or a vector, got tuple"),
            ({"grads": np.ones(2)}, ValueError, r"grads must have shape \(3,\), as params, got \(2,\)"),
            ({"grads": np.ones(3, "float32")}, TypeError, "grads must have dtype float64, as params, got float32"),
            ({"params": np.ones(6)[::2]}, ValueError, "params must be contiguous and writable"),
            ({"params": np.broadcast_to(1.0, 3)}, ValueError, "params must be contiguous and writable"),
            ({"state": fn.init_state(np.ones(3), "sgd")}, ValueError, "adam keeps 2 state vectors, got 0"),
            ({"state": fn.Adam()}, TypeError, "state must be what init_state gave, got Adam"),
            ({"state": fn.init_state(np.ones(3, "float32"))}, TypeError, r"state\[0\] must have dtype float64"),
        ],
    )
    def test_errors_name_the_argument(self, wrong, error, message):
        given = {"params": np.ones(3), "grads": np.ones(3), "state": fn.init_state(np.ones(3)), **wrong}
        before = given["params"].copy()
        with pytest.raises(error, match=message):
            fn.update(**given)
        assert np.array_equal(given["params"], before)

    def test_gradients_may_be_strided(self):
        p, q, g = np.ones(3), np.ones(3), np.arange(6.0)[::2]
        fn.update(p, g, fn.init_state(p))
        fn.update(q, g.copy(), fn.init_state(q))
        assert np.array_equal(p, q)
        assert (p[1:] < 1).all()

    def test_the_memory_of_another_rule(self):
        p = np.ones(3)
        with pytest.raises(ValueError, match="state vectors"):
            fn.update(p, p.copy(), fn.init_state(p, "sgd"), "adam")
        assert (p == 1).all()
