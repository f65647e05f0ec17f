"""Learning-rate schedules: known points, agreement of scalar and array calls, and what `learning_rate` accepts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastnet as fn
from fastnet import schedules

SCHEDULES = [
    fn.Constant(0.1),
    fn.StepDecay(0.1, 0.5, 10),
    fn.ExponentialDecay(0.1, 0.9),
    fn.InverseScaling(0.1, 0.5),
    fn.Cosine(0.1, 0.01, n_steps=50),
    fn.OneCycle(0.1, n_steps=50),
    fn.LinearWarmup(fn.Cosine(0.1, n_steps=40), 10),
    schedules.Sequence(tuple(np.linspace(0.1, 0.2, 100))),
    schedules.Function(lambda j: 1 / (j + 10)),
]


def name(schedule):
    return schedule.name


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_scalar_and_array_calls_agree(schedule):
    rates = schedule.rates(5, 60)
    assert rates.dtype == np.float64
    assert rates.shape == ((1,) if schedule.name == "constant" else (60,))
    np.testing.assert_allclose(rates * np.ones(60), [schedule(j) for j in range(5, 65)], rtol=1e-14)


def test_every_schedule_of_the_table_is_tested():
    assert set(schedules.SCHEDULES) <= {schedule.name for schedule in SCHEDULES}


POINTS = [
    (fn.Constant(0.1), {0: 0.1, 1000: 0.1}),
    (fn.StepDecay(0.1, 0.5, 10), {0: 0.1, 9: 0.1, 10: 0.05, 25: 0.025}),
    (fn.ExponentialDecay(0.1, 0.9), {0: 0.1, 1: 0.09, 2: 0.081}),
    (fn.InverseScaling(0.1, 0.5), {0: 0.1, 3: 0.05, 99: 0.01}),
    (fn.Cosine(0.1, 0.02, n_steps=41), {0: 0.1, 20: 0.06, 40: 0.02, 100: 0.02}),
    (fn.OneCycle(0.1, warmup=0.25, n_steps=41), {0: 0.004, 10: 0.1, 25: (0.1 + 1e-5) / 2, 40: 1e-5, 50: 1e-5}),
    (fn.LinearWarmup(0.1, 4), {0: 0.02, 1: 0.04, 3: 0.08, 4: 0.1, 100: 0.1}),
    (fn.LinearWarmup(fn.ExponentialDecay(0.1, 0.5), 4), {3: 0.08, 4: 0.1, 5: 0.05}),
    (schedules.get([0.3, 0.2, 0.1]), {0: 0.3, 2: 0.1}),
    (schedules.get(lambda j: 0.1 * j), {0: 0.0, 7: 0.7}),
]


@pytest.mark.parametrize(("schedule", "points"), POINTS, ids=lambda value: getattr(value, "name", ""))
def test_known_points(schedule, points):
    for j, rate in points.items():
        assert schedule(j) == pytest.approx(rate, rel=1e-12)


def test_open_ends_are_bound_by_the_run():
    assert fn.Cosine(0.1).bound(50) == fn.Cosine(0.1, n_steps=50)
    assert fn.Cosine(0.1, n_steps=20).bound(50) == fn.Cosine(0.1, n_steps=20)
    assert fn.LinearWarmup(fn.OneCycle(0.1), 10).bound(50).schedule.n_steps == 40
    with pytest.raises(ValueError, match="Cosine does not know when to end"):
        fn.Cosine(0.1)(3)


@pytest.mark.parametrize("learning_rate", ["cosine", "one_cycle", fn.Cosine(0.05), fn.LinearWarmup(fn.Cosine(0.05), 3)])
def test_fit_binds_open_ends(learning_rate):
    net = fn.Network([fn.Dense(1, "identity")], 2, random_state=0)
    X, y = np.eye(2), [1.0, 2.0]
    for length in ({"epochs": 10}, {"iterations": 20}):
        history = net.fit(X, y, batch_size=1, optimizer=fn.SGD(0.05), learning_rate=learning_rate, **length)
        assert history.learning_rate[-1] < 1e-5
        assert max(history.learning_rate) > 0.03


def test_fit_with_a_sequence_uses_each_rate_once():
    """With one input and target 0, w is multiplied by 1 - rate in each update."""
    rates = [0.1, 0.2, 0.3, 0.4, 0.5]
    net = fn.Network.from_parameters([fn.Dense(1, "identity")], [[[1.0]]], [[0.0]])
    seen = []
    for learning_rate in (rates, np.array(rates), lambda j: seen.append(j) or rates[j]):
        net.params[:] = [1.0, 0.0]
        net.fit([[1.0]], [0.0], optimizer="sgd", learning_rate=learning_rate, iterations=5)
        w, b = 1.0, 0.0
        for rate in rates:
            w, b = w - rate * (w + b), b - rate * (w + b)
        assert net.params == pytest.approx([w, b], rel=1e-12)
    assert seen == [0, 1, 2, 3, 4]


def test_get():
    assert schedules.get(0.1) == fn.Constant(0.1)
    assert schedules.get(np.float32(0.5)) == fn.Constant(0.5)
    assert schedules.get("cosine", 0.3) == fn.Cosine(0.3)
    assert schedules.get(fn.Cosine(0.2)) == fn.Cosine(0.2)
    assert schedules.get((0.1, 0.2)).values == (0.1, 0.2)
    assert fn.Adam(0.2).schedule("exponential") == fn.ExponentialDecay(0.2)
    assert fn.Adam("cosine").learning_rate == fn.Cosine(0.001)


@pytest.mark.parametrize("schedule", SCHEDULES[:-1], ids=name)
def test_schedules_can_be_pickled(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("sawtooth", ValueError, "Unknown learning_rate schedule 'sawtooth'; known are: constant, cosine"),
        (-1.0, ValueError, "learning_rate must be finite and at least 0, got -1.0"),
        (float("nan"), ValueError, "learning_rate must be finite"),
        ([0.1, -0.1], ValueError, "learning_rate must be finite and at least 0, got -0.1"),
        (True, TypeError, "learning_rate must be a number, got True"),
        (None, TypeError, "learning_rate must be a number, got None"),
    ],
)
def test_bad_rates(spec, error, message):
    with pytest.raises(error, match=message):
        schedules.get(spec)


@pytest.mark.parametrize(
    "build",
    [
        lambda: fn.StepDecay(0.1, every=0),
        lambda: fn.ExponentialDecay(0.1, 0.0),
        lambda: fn.InverseScaling(0.1, -1),
        lambda: fn.Cosine(0.0),
        lambda: fn.Cosine(0.1, n_steps=0),
        lambda: fn.OneCycle(0.1, warmup=1.0),
        lambda: fn.LinearWarmup(0.1, 0),
    ],
)
def test_bad_parameters(build):
    with pytest.raises(ValueError, match="must be"):
        build()


def test_bad_rates_of_a_function_stop_the_run_before_it_changes_anything():
    net = fn.Network([fn.Dense(1, "identity")], 2, random_state=0)
    before = net.params.copy()
    with pytest.raises(ValueError, match="Learning rates must be finite and at least 0"):
        net.fit(np.eye(2), [1.0, 2.0], learning_rate=lambda j: float("nan"))
    with pytest.raises(ValueError, match="holds 3 learning rates, the run makes 20 updates"):
        net.fit(np.eye(2), [1.0, 2.0], learning_rate=[0.1] * 3)
    assert np.array_equal(net.params, before)


@pytest.mark.parametrize("rate", [0.1 + 0j, np.complex128(0.1 + 1j), [0.1, np.complex64(1j)], np.str_("0.1")])
def test_rates_that_are_no_real_numbers_are_refused(rate):
    with pytest.raises((TypeError, ValueError), match="number|known are"):
        fn.Adam(rate)
    with pytest.raises((TypeError, ValueError), match="number|known are"):
        schedules.get(rate)


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "exponential", "step"])
def test_a_class_is_taken_as_its_name(name):
    assert schedules.get(schedules.SCHEDULES[name], 0.5) == schedules.get(name, 0.5)
    assert fn.Adam(0.5).schedule(schedules.SCHEDULES[name]) == fn.Adam(0.5).schedule(name)


def test_other_classes_are_refused():
    with pytest.raises(TypeError, match="Schedule"):
        schedules.get(fn.Adam)
