"""Fixtures of the tests of tables."""

from __future__ import annotations

import pytest

from fastnet.tabular._time_limit import Deadline


@pytest.fixture
def row_clock(monkeypatch):
    """The time, in a list of one, by a clock that training alone moves on: a row takes 20 us."""
    clock, drawn = [0.0], Deadline.rows

    def rows(deadline, session):
        piece = drawn(deadline, session)
        clock[0] += 2e-5 * len(piece)
        return piece

    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr(Deadline, "rows", rows)
    return clock
