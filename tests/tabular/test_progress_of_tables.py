"""The progress bars of `verbose=True`: one for each network, with its rows, however training ends."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers import mixed_table

import fastnet as fn
from fastnet.tabular import _folds

tqdm = pytest.importorskip("tqdm.auto").tqdm

X, LABELS, VALUES = mixed_table()
QUICK = {"preset": "fast", "random_state": 0, "n_threads": 1}

#: The number of a bar's network, then the share, rows seen and planned, epochs, and the badness of validation rows.
_BAR = re.compile(r"network (\d+): +(\d+)%.* (\S+)/(\S+) \[.* rows/s, epoch=(\d+), loss=[^,\]]+(?:, val_loss=([^,\]]+))?\]")


@pytest.fixture(autouse=True)
def all_bars_are_closed():
    """`tqdm` keeps the bars that are open."""
    yield
    assert not tqdm._instances


def bars_of(captured):
    """What each network's bar shows at last, by the number of the network."""
    assert captured.out == ""
    found = _BAR.finditer(captured.err.replace("\r", "\n"))
    return {int(match[1]): match.groups()[1:] for match in found}


def test_a_bar_for_each_network(capsys):
    fn.TabularClassifier(**QUICK, verbose=True, n_epochs=3).fit(X, LABELS)
    assert bars_of(capsys.readouterr()) == dict.fromkeys(range(1, 5), ("100", "675", "675", "3", None))


def test_with_the_badness_of_validation_rows(capsys):
    options = {"n_best_epochs": 1, "n_folds": 2, "numeric_embedding": ["pbld", "none"]}
    model = fn.TabularRegressor(**QUICK, verbose=True, n_epochs=2, **options).fit(X, VALUES)
    bars = bars_of(capsys.readouterr())
    assert {bar[:4] for bar in bars.values()} == {("100", "300", "300", "2")}
    last = sorted(history.val_loss[-1] for history in model.history_)
    assert sorted(float(bar[4]) for bar in bars.values()) == pytest.approx(last, rel=1e-3)


def test_of_folds_that_train_side_by_side(capsys, monkeypatch):
    monkeypatch.setattr(_folds, "thread_limit", lambda n_threads: n_threads)
    fn.TabularClassifier(**{**QUICK, "n_threads": 2}, verbose=True, n_epochs=30).fit(X, LABELS)
    assert {number: bar[0] for number, bar in bars_of(capsys.readouterr()).items()} == dict.fromkeys(range(1, 5), "100")


def test_of_blocks(capsys):
    fn.TabularClassifier(**QUICK, verbose=True, n_epochs=2).fit(fn.data.from_arrays(X[["x"]], LABELS, block_rows=70))
    assert bars_of(capsys.readouterr()) == {1: ("100", "480", "480", "2", None)}


@pytest.mark.parametrize("planned", [10, 100_000])
def test_of_a_time_limit_are_full_at_the_end(capsys, row_clock, planned):
    """There is time for all that is planned, or for some of it."""
    model = fn.TabularRegressor(**QUICK, verbose=True, n_epochs=planned, time_limit=4.0).fit(X, VALUES)
    bars = bars_of(capsys.readouterr())
    assert list(bars) == [1, 2, 3, 4]
    for (share, seen, of_all, epoch, _), history in zip(bars.values(), model.history_, strict=True):
        assert share == "100" and seen == of_all
        assert int(epoch) == len(history)
    seconds = 2e-5 * sum(sum(history.n_rows) for history in model.history_)
    assert (seconds > 3.5) == (planned > 10)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_are_closed_after_an_error(capsys, monkeypatch, error, n_threads):
    def fail(self, session):
        if session.epoch == 2:
            raise error("in the second epoch")

    monkeypatch.setattr(_folds, "thread_limit", lambda n_threads: n_threads)
    monkeypatch.setattr(_folds.Until, "on_epoch_end", fail)
    with pytest.raises(error, match="in the second epoch"):
        fn.TabularClassifier(**{**QUICK, "n_threads": n_threads}, verbose=True, n_epochs=5).fit(X, LABELS)
    captured = capsys.readouterr()
    assert "network 1:" in captured.err and captured.err.endswith("\n")


@pytest.mark.parametrize("estimator", [fn.TabularClassifier(**QUICK, n_epochs=1), fn.TabularRegressor(**QUICK, time_limit=0.2)])
def test_nothing_by_default(capsys, estimator):
    estimator.fit(X, VALUES > np.median(VALUES)).predict(X)
    assert capsys.readouterr() == ("", "")
