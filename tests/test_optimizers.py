"""Every optimiser compared with its published update (tests/reference.py), and on a convex problem."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from helpers import RTOL, distance, network, reference_form

import fastnet as fn
from fastnet import optimizers
from fastnet._data import validated
from fastnet._session import Session

M, N_IN, N_OUT, BATCH, STEPS = 40, 4, 2, 8, 50

RULES = [
    fn.SGD(0.05),
    fn.SGD(0.05, momentum=0.9),
    fn.SGD(0.05, momentum=0.9, nesterov=True),
    fn.AdaGrad(0.05),
    fn.RMSprop(0.005),
    fn.RMSprop(0.005, rho=0.99, epsilon=1e-3),
    fn.Lion(0.002),
    fn.Adam(0.01),
    fn.Adam(0.01, beta1=0.8, beta2=0.95, epsilon=1e-2),
    fn.Adam(0.01, epsilon=1e-2, epsilon_hat=True),
    fn.AdamW(0.01, weight_decay=0.1),
]


def rule_label(rule):
    return f"{rule.kernel}-{'-'.join(f'{h:g}' for h in rule.hyper())}-{rule.decay():g}"


def run_both(rule, dtype, *, schedule=None, weights=False, **options):
    """Parameters after 50 updates, by fastnet and by the reference, and the mean loss of each epoch by both."""
    rng = np.random.default_rng(1)
    net = network([fn.Dense(6, "tanh"), fn.Dense(N_OUT, "identity")], N_IN, dtype)
    X, y = rng.standard_normal((M, N_IN)).astype(dtype), rng.standard_normal((M, N_OUT)).astype(dtype)
    w = rng.uniform(0.2, 2, M).astype(dtype) if weights else None
    layers, form = reference_form(net, fn.SquaredError())
    batches = [np.arange(s, s + BATCH) for s in range(0, M, BATCH)] * (STEPS * BATCH // M)
    rates = rule.schedule(schedule).rates(0, STEPS) * np.ones(STEPS)
    wide = [a.astype(np.float64) for a in (net.params, X, y)]
    expected, losses = reference.train(
        layers,
        net.sizes,
        wide[0],
        form,
        *wide[1:],
        rule=rule.kernel,
        hyper=rule.hyper(),
        rates=rates,
        batches=batches,
        w=None if w is None else w.astype(np.float64),
        **{"weight_decay": rule.decay(), **options},
    )
    history = net.fit(
        X,
        y,
        optimizer=rule,
        learning_rate=schedule,
        batch_size=BATCH,
        iterations=STEPS,
        sampling="sequential",
        sample_weight=w,
        **options,
    )
    return net.params, expected, history.loss, np.reshape(losses, (-1, M // BATCH)).mean(axis=1)


def assert_same(dtype, params, expected, losses, expected_losses):
    assert distance(params, expected) < 50 * RTOL[dtype]
    np.testing.assert_allclose(losses, expected_losses, rtol=50 * RTOL[dtype])


@pytest.mark.parametrize("rule", RULES, ids=rule_label)
def test_fifty_updates(rule, dtype):
    assert_same(dtype, *run_both(rule, dtype))


@pytest.mark.parametrize("rule", RULES, ids=rule_label)
def test_with_weights_penalty_decay_and_clipping(rule, dtype):
    options = {"l2": 0.05, "weight_decay": 0.3, "max_grad_norm": 0.5}
    assert_same(dtype, *run_both(rule, dtype, schedule=fn.InverseScaling(0.02), weights=True, **options))


def test_every_rule_of_the_table_is_tested():
    assert {type(rule) for rule in RULES} | {fn.LBFGS} == set(optimizers.OPTIMIZERS.values())
    assert {rule.kernel for rule in RULES} == set(reference.RULES)


def test_clipping_keeps_short_gradients_and_limits_long_ones(dtype):
    kept = run_both(fn.SGD(0.05), dtype, max_grad_norm=1e6)[0]
    assert np.array_equal(kept, run_both(fn.SGD(0.05), dtype)[0])
    rng = np.random.default_rng(0)
    net = network([fn.Dense(N_OUT, "identity")], N_IN, dtype)
    before = net.params.copy()
    X, y = rng.standard_normal((8, N_IN)), 100 * rng.standard_normal((8, N_OUT))
    net.fit(X, y, optimizer=fn.SGD(1.0), batch_size=8, iterations=1, max_grad_norm=0.25)
    assert np.linalg.norm(net.params - before) == pytest.approx(0.25, rel=1e-5)


CONVEX = [
    fn.SGD(0.1),
    fn.SGD(0.02, momentum=0.9),
    fn.SGD(0.02, momentum=0.9, nesterov=True),
    fn.AdaGrad(0.5),
    fn.RMSprop(fn.ExponentialDecay(0.1, 0.99)),
    fn.Adam(fn.ExponentialDecay(0.2, 0.99)),
    fn.AdamW(fn.ExponentialDecay(0.2, 0.99), weight_decay=1e-8),
    fn.LBFGS(tol=1e-9, ftol=0),
]


@pytest.mark.parametrize("rule", CONVEX, ids=lambda rule: f"{rule.name}-{getattr(rule, 'nesterov', '')}")
def test_convex_problem(rule):
    """Least squares with full batches: every rule reaches the solution of the normal equations."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    y = X @ [[1.0], [-2.0], [0.5]] + 3 + 0.1 * rng.standard_normal((60, 1))
    solution = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), y, rcond=None)[0].ravel()
    net = fn.Network([fn.Dense(1, "identity")], 3, dtype="float64", random_state=0)
    net.fit(X, y, optimizer=rule, batch_size=60, epochs=1500)
    np.testing.assert_allclose(net.params, solution, atol=1e-4)


def test_state_stays_exactly_zero_where_gradients_do(dtype):
    """Inputs that are always 0 do not change their weights, whatever the rule divides by."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 1))
    X[:, 1] = 0
    for rule in RULES[:-1]:
        net = network([fn.Dense(1, "identity")], 3, dtype)
        before = net.weights[0][1].copy()
        net.fit(X, y, optimizer=rule, epochs=3)
        assert np.array_equal(net.weights[0][1], before)
        assert np.isfinite(net.params).all()


def test_memory_of_the_rule_is_kept_between_sessions(dtype):
    """Two sessions that share state and step are one longer session."""
    X, y, w = None, None, None
    results = []
    for split in (False, True):
        net = network([fn.Dense(5, "tanh"), fn.Dense(1, "identity")], 3, dtype)
        rng = np.random.default_rng(0)
        loss = fn.SquaredError()
        X, y, w = validated(rng.standard_normal((20, 3)), rng.standard_normal(20), None, 3, 1, loss, net.dtype)
        options = {"loss": loss, "optimizer": "adam", "batch_size": 7, "sampling": "sequential", "sample_weight": w}
        session = Session(net, X, y, **options)
        for _ in range(2):
            session.run_epoch()
        if split:
            session = Session(net, X, y, **options, optimizer_state=session.state, step=session.step)
        for _ in range(2):
            session.run_epoch()
        results.append((session.step, net.params.copy()))
    assert results[0][0] == results[1][0] == 12
    assert np.array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: fn.SGD(-0.1), "learning_rate must be finite and at least 0, got -0.1"),
        (lambda: fn.SGD(momentum=1.1), "momentum must be finite and at least 0 and at most 1, got 1.1"),
        (lambda: fn.Adam(beta1=1.0), "beta1 must be finite and at least 0 and below 1, got 1.0"),
        (lambda: fn.RMSprop(epsilon=0), "epsilon must be finite and above 0"),
        (lambda: fn.AdamW(weight_decay=-1), "weight_decay must be finite and at least 0"),
        (lambda: fn.LBFGS(max_fun=0), "max_fun must be at least 1"),
        (lambda: optimizers.get("adamax"), "'adamax'; known are: adagrad, adam, adamw, lbfgs, lion, rmsprop, sgd"),
    ],
)
def test_bad_hyper_parameters(build, message):
    with pytest.raises(ValueError, match=message):
        build()
