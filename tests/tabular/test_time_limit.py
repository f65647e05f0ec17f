"""What a time limit does to fits of tables: epochs, folds and the weighing of outputs."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import mixed_table

import fastnet as fn
from fastnet.tabular._recipe import Progress
from fastnet.tabular._time_limit import Deadline, TimeLimit, Turn, fold_seconds

pd = pytest.importorskip("pandas")

X, LABELS, VALUES = mixed_table()
QUICK = {"preset": "fast", "random_state": 0}


def test_time_limit_compresses_the_schedule(row_clock):
    model = fn.TabularRegressor(**QUICK, n_epochs=100_000, time_limit=1.0, n_threads=1).fit(X, VALUES)
    assert 0.9 < row_clock[0] < 1.0
    assert model.n_iter_ < 100_000
    assert model.history_[0].learning_rate[-1] < 0.1 * max(model.history_[0].learning_rate)


def test_time_before_the_first_rows_is_not_theirs(monkeypatch):
    """A clock by which training is made ready in 100 s and a row is trained on in 0.1 s."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    deadline = Deadline(Progress(1.0, 1), 1000, 80, 10, 100, 1000.0, np.random.default_rng(0))
    session, trained, ends = SimpleNamespace(step=0), 0, False
    clock[0] = 100.0
    while not ends:
        n_rows = len(deadline.rows(session))
        clock[0] += 0.1 * n_rows
        trained += n_rows
        ends = deadline.on_epoch_end(session)
    assert 8000 < trained < 9000


def test_judging_takes_little_of_a_limited_time(monkeypatch):
    """A clock by which a row is trained on in 1 s and judging takes 40 s."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    deadline = Deadline(Progress(1.0, 1), 1000, 80, 10, 100, 2000.0, np.random.default_rng(0))
    session, judged, ends = SimpleNamespace(step=0), [], False
    while not ends:
        clock[0] += len(deadline.rows(session))
        ends = deadline.on_epoch_end(session)
        if deadline.wants_judgement():
            clock[0] += 40
            judged.append(clock[0])
            deadline.judged()
    assert judged[0] > 0.05 * 2000
    assert min(np.diff(judged[:-1])) >= 5 * 40
    assert 0.85 * 2000 < judged[-1] <= 2000 - 2 * 40  # the outputs and their score follow


def test_a_first_batch_that_is_held_up_does_not_end_training(monkeypatch):
    """A clock by which a row is trained on in 1 ms, but in the first batch in 20 ms."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    deadline = Deadline(Progress(1.0, 1), 1000, 80, 10, 100, 2.0, np.random.default_rng(0))
    session, trained, ends = SimpleNamespace(step=0), 0, False
    while not ends:
        n_rows = len(deadline.rows(session))
        clock[0] += (0.001 if trained else 0.02) * n_rows
        trained += n_rows
        ends = deadline.on_epoch_end(session)
    assert trained > 1000
    assert clock[0] < 2.0


@pytest.mark.parametrize(
    ("left", "n_folds", "beside_training", "expected"),
    [(10, 5, 0.5, 2), (10, 5, 2, 4), (10, 2, 3, 10), (10, 1, 0.1, 10), (np.inf, 5, 0.1, np.inf)],
)
def test_seconds_of_a_fold(left, n_folds, beside_training, expected):
    assert fold_seconds(left, n_folds, beside_training) == expected


def test_no_time_for_all_folds(monkeypatch):
    """A clock that goes on by a second whenever it is read."""
    clock = iter(range(10**6))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    model = fn.TabularRegressor(n_folds=5, n_epochs=1000, time_limit=60, random_state=0, n_threads=1).fit(X, VALUES)
    assert next(clock) <= 66
    assert 1 <= len(model.networks_) < 10
    assert not np.isnan(model.validation_score_)


def test_time_to_weigh_outputs_is_left_at_the_end(monkeypatch):
    """A clock by which outputs take 5 s."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    limit = TimeLimit(100.0)
    turn = Turn(limit)
    turn.end_of_training(2)
    turn.trained()
    clock[0] += 5
    turn.judged()
    assert limit.end_of_training == 89


def test_folds_that_end_together_all_leave_time(monkeypatch):
    """A clock by which outputs take 5 s, and a limit of which another fold can be told while one subtracts."""

    class Slow(float):
        def __sub__(self, other):
            sleep(0.05)
            return Slow(float(self) - other)

    clock, sleep = [0.0], time.sleep
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    limit = TimeLimit(100.0)
    limit.end_of_training = Slow(94)
    turns = [Turn(limit) for _ in range(4)]
    for turn in turns:
        turn.end_of_training(4)
        turn.trained()
    clock[0] += 5
    threads = [threading.Thread(target=turn.judged) for turn in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limit.end_of_training == 74
