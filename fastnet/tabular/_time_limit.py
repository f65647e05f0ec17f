"""A limit of time: how it is divided among folds, and how training keeps to it."""

from __future__ import annotations

import time
from threading import Lock
from typing import Any

import numpy as np

from fastnet.callbacks import Callback
from fastnet.tabular._recipe import Progress

#: Share of the limit in which training must be over.
_TRAINING = 0.94

#: How many pieces of training tell the time of a row: the first may have been held up by other programs.
_TRUSTED = 2

#: Share of the time in which the members are trained before they are judged for the first time; how many times as long as judging
#: takes they are trained before they are judged again; and how many times as long it takes to judge what was trained at the end.
_BEFORE_JUDGING, _TRAINING_TO_JUDGING, _JUDGINGS_AT_THE_END = 0.05, 4, 3

#: How long it takes to judge a row, of the time it takes to train on one, as long as it is not known.
_JUDGED_TO_TRAINED = 0.5


class TimeLimit:
    """When training must be over, and what a fold takes beside its training.

    Parameters
    ----------
    seconds : float, optional
        From now on.

    Attributes
    ----------
    end_of_training : float
        A time of `time.monotonic`; infinite without a limit.
    beside_training : float
        Seconds in which the last fold made its network and was judged.
    """

    def __init__(self, seconds: float | None) -> None:
        self.end_of_training = np.inf if seconds is None else time.monotonic() + _TRAINING * seconds
        self.beside_training = 0.0
        self._lock = Lock()  # folds end in threads of their own

    def judged(self, seconds_before: float, seconds: float) -> None:
        """A fold took so long before it was trained, and to be judged; to weigh what it was judged by takes as long again."""
        with self._lock:
            self.beside_training = seconds_before + seconds
            self.end_of_training -= seconds


class Turn:
    """The time of one fold, which begins now.

    Parameters
    ----------
    limit : TimeLimit
    """

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._begun = time.monotonic()

    def is_possible(self) -> bool:
        """Whether there is time for the fold."""
        return self._limit.end_of_training - self._begun >= 2 * self._limit.beside_training

    def end_of_training(self, n_folds: int) -> float:
        """When its training must be over, if its network is ready now and there is time left for so many folds, one by one."""
        self._seconds_before = time.monotonic() - self._begun
        least = max(self._seconds_before, self._limit.beside_training)
        return self._begun + fold_seconds(self._limit.end_of_training - self._begun, n_folds, least)

    def trained(self) -> None:
        """The fold is trained now."""
        self._trained = time.monotonic()

    def judged(self) -> None:
        """The fold is judged now."""
        self._limit.judged(self._seconds_before, time.monotonic() - self._trained)


def fold_seconds(left: float, n_folds: int, beside_training: float) -> float:
    """How long the next fold may take of the seconds that are left for so many.

    Each trains for at least as long as it takes to make its network and to judge it, so that there may be time for fewer; the
    last one that there is time for has all that is left.
    """
    least = 2 * beside_training
    share = max(left / n_folds, least)
    return share if left - share >= least else left


class Deadline(Callback):
    """Spreads the schedule over the time there is, and ends training with it, or when all planned epochs are done.

    What counts as an epoch is a piece of one, so long that it takes about a twentieth of the time, and at most a whole epoch.
    Pieces that take less time than judging them would are judged together.

    Parameters
    ----------
    course : Progress
    n_rows, n_held, batch_size, n_epochs : int
        What is planned, and the rows that the members are judged on.
    end : float
        A time of `time.monotonic`.
    rng : Generator
        Of the order of rows.
    """

    def __init__(
        self, course: Progress, n_rows: int, n_held: int, batch_size: int, n_epochs: int, end: float, rng: np.random.Generator
    ) -> None:
        self.course, self.end, self.rng = course, end, rng
        self.n_rows, self.n_held, self.batch_size = n_rows, n_held, min(batch_size, n_rows)
        self.rows_done, self.rows_left = 0, n_rows * n_epochs
        self.order = np.empty(0, np.int64)
        self.size = self.batch_size
        self.seconds_a_row = self.seconds_of_judging = self.since_judging = 0.0
        self.n_pieces, self.ends, self.has_judged = 0, False, False
        self.last = time.monotonic()
        self.least_before_judging = _BEFORE_JUDGING * (end - self.last)
        course.epoch = self.size / self.rows_left

    def on_train_begin(self, session: Any) -> None:
        """All that is planned may be done, as far as is known."""
        session.planned_rows = self.rows_left

    def rows(self, session: Any) -> np.ndarray:
        """Row numbers of the next piece; every row once before any comes again."""
        if len(self.order) < min(self.size, self.batch_size):
            self.order = self.rng.permutation(self.n_rows)
        piece, self.order = self.order[: self.size], self.order[self.size :]
        self._begin(len(piece))
        return piece

    def _begin(self, size: int) -> None:
        """A piece of so many rows begins; with the first the clock starts, as what came before it was done once."""
        if not self.seconds_a_row:
            self.last = time.monotonic()
        self.size = size
        self.course.n_steps = -(-size // self.batch_size)

    def wants_judgement(self) -> bool:
        """Whether judging takes little beside the training since the members were last judged, and that still to come."""
        return self.ends or min(self.since_judging, self.seconds_left) >= self.least_before_judging

    def judged(self) -> None:
        """The members are judged now."""
        now = time.monotonic()
        self.seconds_of_judging, self.since_judging, self.last = now - self.last, 0.0, now
        self.has_judged = True
        self.least_before_judging = _TRAINING_TO_JUDGING * self.seconds_of_judging

    def on_epoch_end(self, session: Any) -> bool:
        """Choose the next piece; True if there is no time for one."""
        now = time.monotonic()
        course, seconds = self.course, now - self.last
        self.since_judging += seconds
        of_row = seconds / self.size
        self.n_pieces += 1
        if self.n_pieces > _TRUSTED:
            self.seconds_a_row = (self.seconds_a_row + of_row) / 2
        else:
            self.seconds_a_row = min(self.seconds_a_row or of_row, of_row)
        self.last = now
        if not self.has_judged:
            self.seconds_of_judging = _JUDGED_TO_TRAINED * self.n_held * self.seconds_a_row
        self.rows_done += self.size
        self.rows_left -= self.size
        course.done, course.first_step = min(course.done + course.epoch, 1.0), session.step
        possible = self._rows_within(self.end - now)
        if self.n_pieces < _TRUSTED:
            possible = max(possible, int((self.end - now) / self.seconds_a_row))
        possible = min(self.rows_left, possible)
        self.ends, self.seconds_left = possible < self.batch_size, possible * self.seconds_a_row
        session.planned_rows = self.rows_done + (0 if self.ends else possible)
        if self.ends:
            return True
        batches = max(1, min(possible // 20, 2 * self.size, self.n_rows) // self.batch_size)
        self.size = min(batches * self.batch_size, self.n_rows)
        course.epoch = (1 - course.done) * self.size / possible
        return False

    def _rows_within(self, seconds: float) -> int:
        """Rows that can be trained on in that time, with the judging between them and at the end."""
        judging = self.seconds_of_judging
        between = max(self.seconds_a_row * self.size, self.least_before_judging)
        share = between / (between + judging)
        return int(max(seconds - _JUDGINGS_AT_THE_END * judging, 0.0) * share / self.seconds_a_row)
