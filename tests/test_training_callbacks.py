"""Callbacks: when they are called, how they stop training, and what early stopping and the progress bar do."""

from __future__ import annotations

import io
import itertools
import pickle
import warnings

import numpy as np
import pytest
from helpers import network

import fastnet as fn
from fastnet._loop import train
from fastnet._session import Session


def small():
    return network([fn.Dense(3, "tanh"), fn.Dense(1, "identity")], 2)


X, Y = np.arange(20.0).reshape(10, 2) / 10, np.arange(10.0) / 10


class Recorder(fn.Callback):
    def __init__(self, log, name="", stop_after=None, fail_in=None):
        self.log, self.name, self.stop_after, self.fail_in = log, name, stop_after, fail_in

    def note(self, what, session):
        self.log.append(f"{self.name}{what} {session.epoch}")
        if what == self.fail_in:
            raise RuntimeError(what)

    def on_train_begin(self, session):
        self.note("begin", session)

    def on_epoch_end(self, session):
        self.note("epoch", session)
        return session.epoch == self.stop_after

    def on_train_end(self, session):
        self.note("end", session)


def test_order_of_calls():
    log = []
    small().fit(X, Y, epochs=2, callbacks=[Recorder(log, "a "), Recorder(log, "b ")])
    assert log == ["a begin 0", "b begin 0", "a epoch 1", "b epoch 1", "a epoch 2", "b epoch 2", "a end 2", "b end 2"]


def test_objects_that_lack_a_method_of_callbacks():
    class Half:
        def on_epoch_end(self, session):
            raise AssertionError

    net = small()
    before = net.params.copy()
    message = (
        "callbacks must be objects of classes derived from fastnet.Callback, got .*Half.* without on_train_begin, on_train_end"
    )
    with pytest.raises(TypeError, match=message):
        net.fit(X, Y, callbacks=[Half()])
    with pytest.raises(TypeError, match=message):
        fn.MLPRegressor(callbacks=[Half()]).fit(X, Y)
    np.testing.assert_array_equal(net.params, before)


def test_true_stops_training_and_all_see_the_epoch():
    log = []
    history = small().fit(X, Y, epochs=9, callbacks=[Recorder(log, "a ", stop_after=2), Recorder(log, "b ")])
    assert len(history) == 2
    assert log[-4:] == ["a epoch 2", "b epoch 2", "a end 2", "b end 2"]


@pytest.mark.parametrize(("fail_in", "last"), [("begin", "end 0"), ("epoch", "end 1")])
def test_the_end_is_seen_after_an_error(fail_in, last):
    log = []
    net = small()
    with pytest.raises(RuntimeError, match=fail_in):
        net.fit(X, Y, epochs=9, callbacks=[Recorder(log, fail_in=fail_in)])
    assert log[-1] == last
    net.fit(X, Y, epochs=1)  # the lock is free again


class EndBadly(fn.Callback):
    def __init__(self, error):
        self.error = error

    def on_train_end(self, session):
        raise self.error


def test_the_end_is_seen_by_all_whatever_others_raise():
    log, net = [], small()
    stopping = fn.EarlyStopping("loss", patience=100)
    first, second = OSError("the log server is away"), ValueError("another")
    with pytest.raises(OSError) as raised:
        net.fit(
            X,
            Y,
            epochs=20,
            optimizer=fn.SGD(1.5),
            random_state=0,
            callbacks=[EndBadly(first), stopping, EndBadly(second), Recorder(log)],
        )
    assert raised.value is first
    assert first.__notes__ == ["EndBadly.on_train_end then raised ValueError('another')."]
    assert log[-1] == "end 20"
    assert stopping.best_epoch < 19
    assert np.array_equal(net.params, stopping._best_params)
    net.fit(X, Y, epochs=1)


@pytest.mark.parametrize("fail_in", ["begin", "epoch"])
def test_an_error_of_training_is_not_hidden_by_one_at_the_end(fail_in):
    log, of_end = [], OSError("cannot be closed")
    with pytest.raises(RuntimeError, match=fail_in) as raised:
        small().fit(X, Y, epochs=2, callbacks=[EndBadly(of_end), Recorder(log, fail_in=fail_in)])
    assert raised.value.__notes__ == ["EndBadly.on_train_end then raised OSError('cannot be closed')."]
    assert log[-1].startswith("end")


def test_the_session_can_be_read_and_asked_to_stop():
    seen = []

    class Reader(fn.Callback):
        def on_epoch_end(self, session):
            seen.append((session.epoch, session.step, session.result.loss, session.history.val_loss[-1], session.network))
            session.stop_requested = session.epoch == 3

    net = small()
    history = net.fit(X, Y, epochs=9, batch_size=4, validation_data=(X, Y), callbacks=[Reader()])
    assert [row[:2] for row in seen] == [(1, 3), (2, 6), (3, 9)]
    assert [row[2] for row in seen] == history.loss
    assert [row[3] for row in seen] == history.val_loss
    assert seen[0][4] is net


class Scripted(fn.Callback):
    """Replaces the validation loss by given values, and marks the parameters with the epoch."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, session):
        session.history.val_loss.append(self.values[session.epoch - 1])
        session.network.params[:] = session.epoch


@pytest.mark.parametrize(
    ("values", "options", "n_epochs", "best"),
    [
        ([5, 4, 3, 4, 4, 4, 4], {"patience": 3}, 6, 3),
        ([5, 4, 3, 2, 1], {"patience": 3}, 5, 5),
        ([5, 4, 3.95, 3.9, 3.85, 3.8], {"patience": 2, "min_delta": 0.3}, 4, 2),
        ([5, np.nan, np.nan, 1], {"patience": 2}, 3, 1),
        ([1, 2, 0.5, 2, 2, 2], {"patience": 2}, 5, 3),
    ],
)
def test_early_stopping(values, options, n_epochs, best):
    net = small()
    stopping = fn.EarlyStopping(**options)
    history = net.fit(X, Y, epochs=len(values), callbacks=[Scripted(values), stopping])
    assert len(history) == n_epochs
    assert stopping.best_epoch == best - 1
    assert stopping.best_value == values[best - 1]
    assert (net.params == best).all()


def test_early_stopping_without_restoring():
    net = small()
    net.fit(X, Y, epochs=9, callbacks=[Scripted([1, 2, 3, 4]), fn.EarlyStopping(patience=3, restore_best=False)])
    assert (net.params == 4).all()


def test_early_stopping_on_data_restores_the_best_parameters():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 10)), rng.integers(0, 2, 40)  # noise: the validation loss must rise
    net = fn.Network([fn.Dense(32, "relu"), fn.Dense(2, "softmax")], 10, random_state=0)
    validation = (X[30:], y[30:])
    history = net.fit(
        X[:30], y[:30], optimizer=fn.Adam(0.01), epochs=300, validation_data=validation, callbacks=[fn.EarlyStopping(patience=5)]
    )
    assert len(history) < 300
    assert len(history) == history.best_epoch + 1 + 5
    assert net.loss(*validation) == pytest.approx(min(history.val_loss), rel=1e-6)


def test_early_stopping_on_the_training_loss_and_again():
    stopping = fn.EarlyStopping("loss", patience=1, min_delta=1e6)
    for _ in range(2):  # the same object in a second fit starts anew
        assert len(small().fit(X, Y, epochs=9, callbacks=[stopping])) == 2


def test_early_stopping_needs_something_to_watch():
    with pytest.raises(ValueError, match="EarlyStopping watches val_loss, but there is none: give Network.fit validation_data"):
        small().fit(X, Y, callbacks=[fn.EarlyStopping()])
    with pytest.raises(ValueError, match="monitor must be 'val_loss' or 'loss', got 'accuracy'"):
        fn.EarlyStopping("accuracy")
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        fn.EarlyStopping(patience=0)


def new_session(net):
    return Session(net, X.copy(), Y[:, None].copy(), loss="squared_error", optimizer="sgd", batch_size=5)


def test_early_stopping_survives_a_restart():
    values = [5, 4, 3, 4, 4, 4, 4]
    net = small()
    session, stopping = new_session(net), fn.EarlyStopping(patience=3)
    train(session, epochs=4, callbacks=[Scripted(values), stopping])
    state = pickle.loads(pickle.dumps(stopping.state_dict()))
    again, fresh = new_session(small()), fn.EarlyStopping(patience=3)
    again.restore(session.position())
    fresh.load_state_dict(state)
    train(again, epochs=7, callbacks=[Scripted(values), fresh])
    assert again.epoch == 6
    assert fresh.best_epoch == 2
    assert (again.network.params == 3).all()
    fresh.load_state_dict({**fresh.state_dict(), "waited": 3})
    train(again, epochs=9, callbacks=[Scripted(values), fresh])
    assert again.epoch == 6  # it had stopped: no further epoch


def test_progress_bar_shows_loss_speed_and_time_left():
    pytest.importorskip("tqdm")
    stream = io.StringIO()
    bar = fn.ProgressBar(file=stream, mininterval=0, ascii=True)
    small().fit(X, Y, iterations=7, batch_size=4, validation_data=(X, Y), callbacks=[bar])
    last = stream.getvalue().replace("\n", "\r").strip("\r").split("\r")[-1]
    assert "100%" in last
    assert "24.0/24.0" in last
    assert "rows/s" in last
    assert "epoch=3" in last
    assert "loss=" in last
    assert "val_loss=" in last
    assert "<00:00" in last


def test_progress_is_quiet_by_default(capsys):
    small().fit(X, Y, epochs=1)
    assert capsys.readouterr() == ("", "")
    pytest.importorskip("tqdm")
    small().fit(X, Y, epochs=1, progress=True)
    assert "100%" in capsys.readouterr().err


@pytest.mark.parametrize(("max_time", "n_epochs"), [(0.1, 1), (3, 3), (3.5, 3), (4.0, 4), (None, 6)])
@pytest.mark.parametrize("limit", [{"epochs": 6}, {"iterations": 18}])
def test_no_epoch_begins_that_would_end_too_late(monkeypatch, max_time, n_epochs, limit):
    seconds = itertools.count()  # one an epoch
    monkeypatch.setattr("fastnet._clock.monotonic", lambda: float(next(seconds)))
    log = []
    timed, counted = small(), small()
    options = {"batch_size": 4, "random_state": 0, "optimizer": fn.SGD(0.1)}
    history = timed.fit(X, Y, max_time=max_time, callbacks=[Recorder(log)], **limit, **options)
    assert len(history) == n_epochs
    assert log[-1] == f"end {n_epochs}"
    counted.fit(X, Y, epochs=n_epochs, **options)
    assert np.array_equal(timed.params, counted.params)


def test_time_ends_lbfgs(monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr("fastnet._clock.monotonic", lambda: float(next(seconds)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(small().fit(X, Y, optimizer="lbfgs", epochs=50, max_time=3.5)) == 3


@pytest.mark.parametrize("max_time", [0, -1, np.inf, "1"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_times_that_are_none(max_time, optimizer):
    with pytest.raises((TypeError, ValueError), match="max_time must be"):
        small().fit(X, Y, optimizer=optimizer, max_time=max_time)
