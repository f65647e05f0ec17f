"""How many workers a team has, by the times of simulated work: the choice in src_pyx/fastnet/_core/team_size.pxi."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import fastnet as fn
from fastnet._core import core

MILLISECOND = 1_000_000
ROWS = 100


@pytest.fixture(autouse=True)
def no_retreats():
    """Retreats are common to the process: simulated ones must not reach other tests, nor theirs these."""
    core.forget_retreats()
    yield
    core.forget_retreats()


class Simulation:
    """A clock, and work whose batches take as long as a function of size and time returns.

    Batches with a smaller team because of a retreat or another call are not simulated: the core does not count them.
    """

    clock = 0

    def __init__(self, limit: int) -> None:
        self.sizes = core.TeamSizes(limit)
        Simulation.clock += 60_000 * MILLISECOND
        self.spent: Counter[int] = Counter()

    def run(self, milliseconds: float, nanoseconds_of_batch) -> float:
        """Work for about this long; return nanoseconds per batch, including retreats."""
        start, batches = Simulation.clock, 0
        while Simulation.clock < start + milliseconds * MILLISECOND:
            chosen = self.sizes.size
            size = min(chosen, core.largest_team_at(64, Simulation.clock))
            took = nanoseconds_of_batch(size, Simulation.clock)
            Simulation.clock += took
            self.spent[size] += took
            batches += 1
            if size == chosen:
                self.sizes.falls_behind(took, ROWS)
                self.sizes.note(took, ROWS, Simulation.clock)
        return (Simulation.clock - start) / batches


@pytest.mark.parametrize("limit, sizes", [(1, {1}), (2, {1, 2}), (6, {1, 2, 4, 6}), (16, {1, 2, 4, 8, 16})])
def test_sizes_double_up_to_the_limit(limit, sizes):
    simulation = Simulation(limit)
    simulation.run(500, lambda size, now: 200_000 // size)
    assert set(simulation.spent) == sizes
    assert simulation.spent[limit] > 0.85 * sum(simulation.spent.values())


@pytest.mark.parametrize("batch", [20_000, 900_000, 30 * MILLISECOND])
@pytest.mark.parametrize(
    "speedups", [{1: 1, 2: 0.7, 4: 0.5}, {1: 1, 2: 1.8, 4: 1.5}, {1: 1, 2: 1.9, 4: 3.5}], ids=["one", "two", "four"]
)
def test_the_fastest_size_is_kept(batch, speedups):
    simulation = Simulation(4)
    best = max(speedups, key=speedups.get)
    each = simulation.run(60_000 if batch > MILLISECOND else 3_000, lambda size, now: int(batch / speedups[size]))
    assert simulation.spent[best] > 0.8 * sum(simulation.spent.values())
    assert each < 1.06 * batch / speedups[best]


def test_sizes_that_cannot_pay_are_not_tried():
    simulation = Simulation(64)
    simulation.run(2_000, lambda size, now: 50_000 * size)
    assert set(simulation.spent) == {1, 2}


def test_trials_are_bounded_by_time_not_by_batches():
    simulation = Simulation(2)
    simulation.run(9, lambda size, now: 20_000 if size == 1 else 400_000)
    assert simulation.spent[2] <= 5 * MILLISECOND


def put_aside(on: float, off: float):
    """Batches of 30 us, in 20 with a team; but its second worker waits `off` milliseconds for its core after each `on`."""

    def batch(size: int, now: int) -> int:
        if size == 1:
            return 30_000
        phase = now % int((on + off) * MILLISECOND) - on * MILLISECOND
        return 20_000 if phase < 0 else int(off * MILLISECOND - phase) + 20_000

    return batch


@pytest.mark.parametrize("on, off", [(0.5, 0.5), (3, 3), (4, 4), (3, 12), (6, 24)])
def test_a_busy_core_costs_a_team_little(on, off):
    assert Simulation(2).run(5_000, put_aside(on, off)) < 1.1 * 30_000


def test_a_team_gives_way_at_once_and_grows_again():
    simulation = Simulation(2)
    idle = lambda size, now: 30_000 if size == 1 else 20_000  # noqa: E731
    simulation.run(1_000, idle)
    assert simulation.sizes.size == 2
    assert simulation.run(100, put_aside(4, 4)) < 1.25 * 30_000
    simulation.run(500, idle)
    assert simulation.run(500, idle) < 1.05 * 20_000


def test_a_trial_that_a_hiccup_spoils_is_made_again_soon():
    simulation = Simulation(2)
    idle = lambda size, now: 30_000 if size == 1 else 20_000  # noqa: E731
    simulation.run(1_000, idle)
    simulation.run(30, lambda size, now: 30_000 * size)
    assert simulation.sizes.size == 1
    assert simulation.run(150, idle) < 1.25 * 20_000


def test_hiccups_cost_a_team_no_more_than_their_own_time():
    rng = np.random.default_rng(0)
    delay, apart = 1.5 * MILLISECOND, 30 * MILLISECOND

    def batch(size, now):
        work = 30_000 if size == 1 else 20_000
        return work + int(delay * (rng.random() < work / apart))

    assert Simulation(2).run(10_000, batch) < 1.08 * 20_000 * (1 + delay / apart)


def test_retreats_hold_for_all_work_of_the_process_and_become_longer():
    stalled = Simulation(2)
    stalled.run(1_000, lambda size, now: 100_000 // size)
    lengths = []
    for _ in range(3):
        while core.largest_team_at(64, Simulation.clock) == 64:
            stalled.run(1, lambda size, now: 100_000 if size == 1 else 50_000 + 5 * MILLISECOND * (stalled.sizes.size == 2))
        other = Simulation.clock
        while core.largest_team_at(64, Simulation.clock) == 1:
            Simulation.clock += MILLISECOND
        lengths.append(Simulation.clock - other)
        stalled.run(30, lambda size, now: 100_000 // size)
    assert lengths[0] < lengths[1] < lengths[2] < 500 * MILLISECOND


def test_a_function_beside_teams_returns_and_raises_as_alone():
    def fails():
        raise ValueError("of the function")

    made = object()
    assert core.beside_teams(lambda: made) is made
    for _ in range(2):
        with pytest.raises(ValueError, match="of the function"):
            core.beside_teams(fails)


def test_room_is_left_once_by_a_function_an_error_or_when_it_is_dropped():
    before = core.running_calls()
    room = core.Room()
    assert core.running_calls() == before + 1
    assert core.beside_teams(core.running_calls, room) == before + 1
    assert core.running_calls() == before
    room.leave()
    room = core.Room()
    with pytest.raises(ZeroDivisionError):
        core.beside_teams(lambda: 1 / 0, room)
    room = core.Room()
    del room
    assert core.running_calls() == before


def test_a_function_beside_teams_may_call_the_core():
    X = np.random.default_rng(0).standard_normal((50, 3))
    net, same = (fn.Network([fn.Dense(4), fn.Dense(1, "identity")], 3, random_state=0) for _ in range(2))
    core.beside_teams(lambda: net.fit(X, X[:, 0], epochs=2, random_state=0))
    same.fit(X, X[:, 0], epochs=2, random_state=0)
    np.testing.assert_array_equal(net.params, same.params)
