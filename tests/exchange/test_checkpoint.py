"""Checkpoints: what they contain, which are kept, and that a killed run continues bit for bit."""

from __future__ import annotations

import os

import numpy as np
import pytest

import fastnet as fn
from fastnet import checkpoint
from fastnet.persistence import _container, _format, _load

X = np.random.default_rng(0).normal(size=(50, 4))
Y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
VALIDATION = (X[:20], Y[:20])


def _network() -> fn.Network:
    return fn.Network([fn.Dense(6, "gelu", dropout=0.3), fn.Dense(3, "softmax")], n_inputs=4, random_state=0)


class _Killed(BaseException):
    """Stands in for a kill."""


class _KillAfter(fn.Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_end(self, session) -> None:
        if session.epoch == self.epoch:
            raise _Killed


OPTIONS = {
    "adam": {"optimizer": "adam"},
    "sgd": {"optimizer": fn.SGD(0.1)},
    "nesterov": {"optimizer": fn.SGD(0.1, momentum=0.9, nesterov=True)},
    "adagrad": {"optimizer": "adagrad"},
    "rmsprop": {"optimizer": "rmsprop", "sampling": "random"},
    "adamw": {"optimizer": "adamw", "l2": 0.01, "max_grad_norm": 1.0},
    "one cycle": {"learning_rate": fn.LinearWarmup(fn.OneCycle(0.05), n_steps=7)},
    "sequential": {"sampling": "sequential", "track_grad_norm": True},
    "sequence": {"learning_rate": list(np.linspace(0.1, 0.001, 42))},
    "weights": {"sample_weight": np.linspace(0.5, 1.5, 50)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("killed_after", [1, 4])
def test_resumed_training_ends_with_the_same_bits(options, killed_after, tmp_path):
    options = {"epochs": 6, "batch_size": 8, "random_state": 1, "validation_data": VALIDATION, **options}
    whole, resumed = _network(), _network()
    history = whole.fit(X, Y, **options)
    with pytest.raises(_Killed):
        _network().fit(X, Y, callbacks=[_KillAfter(killed_after), fn.Checkpoint(tmp_path)], **options)
    latest = checkpoint.latest(tmp_path)
    assert (latest is None) == (killed_after == 1)  # the kill came before the checkpoint of its epoch
    again = resumed.fit(X, Y, callbacks=[fn.Checkpoint(tmp_path)], resume_from=latest, **options)
    assert resumed.params.tobytes() == whole.params.tobytes()
    for name, values in history.as_dict().items():
        if name != "seconds":
            assert np.array_equal(values, again.as_dict()[name], equal_nan=name == "grad_norm"), name


@pytest.mark.parametrize("killed_after", range(2, 9))
def test_early_stopping_remembers_across_a_kill(killed_after, tmp_path):
    options = {"epochs": 30, "batch_size": 8, "random_state": 1, "validation_data": VALIDATION, "learning_rate": 0.05}
    whole, resumed = _network(), _network()
    history = whole.fit(X, Y, callbacks=[fn.EarlyStopping(patience=3)], **options)
    assert 8 <= len(history) < 30
    with pytest.raises(_Killed):
        callbacks = [fn.EarlyStopping(patience=3), fn.Checkpoint(tmp_path), _KillAfter(killed_after)]
        resumed.fit(X, Y, callbacks=callbacks, **options)
    resumed = _network()
    callbacks = [fn.EarlyStopping(patience=3), fn.Checkpoint(tmp_path)]
    again = resumed.fit(X, Y, callbacks=callbacks, resume_from=checkpoint.latest(tmp_path), **options)
    assert again.loss == history.loss
    assert resumed.params.tobytes() == whole.params.tobytes()


def test_a_run_killed_after_it_had_stopped_trains_no_further(tmp_path):
    """Between the last checkpoint and the end of fit: resuming restores the best parameters and stops at once."""
    options = {"epochs": 30, "batch_size": 8, "random_state": 1, "validation_data": VALIDATION, "learning_rate": 0.05}
    whole, resumed = _network(), _network()
    history = whole.fit(X, Y, callbacks=[fn.EarlyStopping(patience=3), fn.Checkpoint(tmp_path)], **options)
    callbacks = [fn.EarlyStopping(patience=3), fn.Checkpoint(tmp_path)]
    again = resumed.fit(X, Y, callbacks=callbacks, resume_from=checkpoint.latest(tmp_path), **options)
    assert len(again) == len(history)
    assert resumed.params.tobytes() == whole.params.tobytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("n_kills", [20, pytest.param(50, marks=pytest.mark.slow)])
def test_sigkills_change_nothing(tmp_path, run_script, n_kills):
    """Training killed at random moments, and continued each time, ends with the weights of an uninterrupted run."""
    kills, restarts_from_scratch, equal = run_script("_kill_training.py", tmp_path, n_kills).split()
    assert int(kills) >= n_kills
    assert int(restarts_from_scratch) < n_kills
    assert equal == "equal"


def test_files_kept(tmp_path):
    _network().fit(X, Y, epochs=7, random_state=0, callbacks=[fn.Checkpoint(tmp_path, every_epochs=2, keep_last=2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-000004.safetensors", "epoch-000006.safetensors"]
    assert checkpoint.latest(tmp_path) == tmp_path / "epoch-000006.safetensors"


def test_the_best_is_kept(tmp_path):
    seen = []

    class Watch(fn.Callback):
        def on_epoch_end(self, session) -> None:
            seen.append(session.network.params.copy())

    callbacks = [Watch(), fn.Checkpoint(tmp_path, keep_best=True)]
    history = _network().fit(X, Y, epochs=12, learning_rate=0.1, random_state=0, validation_data=VALIDATION, callbacks=callbacks)
    assert history.best_epoch < 11  # not simply the last
    assert np.array_equal(fn.load(tmp_path / "best.safetensors").params, seen[history.best_epoch])
    assert checkpoint.latest(tmp_path).name == "epoch-000012.safetensors"


def test_validation_data_may_be_added(tmp_path):
    """Epochs without validation data have NaN, so that the others keep their places."""
    _network().fit(X, Y, epochs=5, random_state=1, callbacks=[fn.Checkpoint(tmp_path, keep_best=True)])
    history = _network().fit(
        X,
        Y,
        epochs=7,
        random_state=1,
        validation_data=(X, 2 - Y),
        callbacks=[fn.Checkpoint(tmp_path, keep_last=7, keep_best=True)],
        resume_from=checkpoint.latest(tmp_path),
    )
    assert np.isnan(history.val_loss).tolist() == [True] * 5 + [False] * 2
    assert history.best_epoch == 5 + int(np.argmin(history.val_loss[5:]))
    assert f"val_loss {history.val_loss[5]:.4g} -> {history.val_loss[6]:.4g}" in repr(history)
    of_best = tmp_path / f"epoch-{history.best_epoch + 1:06d}.safetensors"
    assert of_best.read_bytes() == (tmp_path / "best.safetensors").read_bytes()


def test_the_best_survives_a_resumption(tmp_path):
    """A resumed run knows the best value so far, and does not replace its file by a worse one."""
    options = {"learning_rate": 0.1, "random_state": 0, "validation_data": VALIDATION}
    history = _network().fit(X, Y, epochs=12, callbacks=[fn.Checkpoint(tmp_path, keep_best=True)], **options)
    best = (tmp_path / "best.safetensors").read_bytes()
    callbacks = [fn.Checkpoint(tmp_path, keep_best=True)]
    again = _network().fit(X, Y, epochs=13, callbacks=callbacks, resume_from=checkpoint.latest(tmp_path), **options)
    assert again.val_loss[-1] > min(history.val_loss)
    assert (tmp_path / "best.safetensors").read_bytes() == best


def test_by_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    saved = []

    class Clock(fn.Callback):
        def on_epoch_end(self, session) -> None:
            now[0] += 4

    monkeypatch.setattr(checkpoint, "save", lambda session, path: saved.append(session.epoch))
    _network().fit(X, Y, epochs=9, callbacks=[Clock(), fn.Checkpoint(tmp_path, every_seconds=10)])
    assert saved == [3, 6, 9]


def test_a_checkpoint_is_a_network_file(tmp_path):
    network = _network()
    network.fit(X, Y, epochs=2, callbacks=[fn.Checkpoint(tmp_path)])
    assert np.array_equal(fn.load(checkpoint.latest(tmp_path)).forward(X), network.forward(X))


def test_nothing_to_resume_from(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.latest(tmp_path / "none") is None
    with pytest.raises(FileNotFoundError):
        _network().fit(X, Y, resume_from=tmp_path / "none")
    _network().fit(X, Y, epochs=1, resume_from=None)


def test_a_folder_of_another_run_is_refused(tmp_path):
    _network().fit(X, Y, epochs=3, callbacks=[fn.Checkpoint(tmp_path)])
    network = _network()
    with pytest.raises(FileExistsError, match=r"epoch-000003.*this run is at epoch 0.*latest"):
        network.fit(X, Y, epochs=3, callbacks=[fn.Checkpoint(tmp_path)])
    assert np.array_equal(network.params, _network().params)
    with pytest.raises(
        FileExistsError, match=r"epoch-000003.*give another folder, or continue with Network\.fit\(.*resume_from="
    ):
        fn.MLPClassifier(callbacks=[fn.Checkpoint(tmp_path)]).fit(X, Y)


def test_checkpoints_come_last(tmp_path):
    with pytest.raises(ValueError, match="last callback, EarlyStopping came after it"):
        _network().fit(X, Y, callbacks=[fn.Checkpoint(tmp_path), fn.EarlyStopping(monitor="loss")])
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_refused_and_nothing_changes(tmp_path):
    _network().fit(X, Y, epochs=2, callbacks=[fn.Checkpoint(tmp_path / "run")])
    path = checkpoint.latest(tmp_path / "run")
    _network().save(tmp_path / "network")
    other = fn.Network([fn.Dense(6, "relu", dropout=0.3), fn.Dense(3, "softmax")], n_inputs=4, random_state=0)
    cases = [
        (other, X, {}, "it is a checkpoint of"),
        (_network(), X[:40], {}, "another run .data was"),
        (_network(), 2 * X, {}, "another run .data was"),
        (_network(), X, {"sample_weight": np.ones(len(X))}, "another run .data was"),
        (_network(), X, {"optimizer": "sgd"}, "another run .optimizer was"),
        (_network(), X, {"optimizer": fn.Adam(beta1=0.5)}, "another run .optimizer was"),
        (_network(), X, {"optimizer": "adamw"}, "another run .optimizer was"),
        (_network(), X, {"batch_size": 7}, "batch_size was '32', is '7'"),
        (_network(), X, {"learning_rate": 0.5}, "learning_rate was 'Constant.*', is 'Constant"),
        (_network(), X, {"sampling": "random"}, "sampling was"),
        (_network(), X, {"l2": 0.1, "weight_decay": 0.1}, "l2 was '0.0', is '0.1'; weight_decay was"),
        (_network(), X, {"max_grad_norm": 1.0}, "max_grad_norm was 'None', is '1.0'"),
        (_network(), X, {"callbacks": [fn.EarlyStopping(monitor="loss")]}, "written with the callbacks"),
        (_network(), X, {"resume_from": tmp_path / "network"}, "holds a network, not a checkpoint"),
    ]
    for network, rows, options, message in cases:
        before = network.params.copy()
        options = {"callbacks": [fn.Checkpoint(tmp_path / "next")], "resume_from": path, **options}
        with pytest.raises(ValueError, match=message):
            network.fit(rows, Y[: len(rows)], epochs=3, **options)
        assert np.array_equal(network.params, before)


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ({"ensemble": "batch"}, {"ensemble": "mini"}, "ensemble='batch', .*not of .* ensemble='mini'"),
        ({}, {"ensemble_loss": "mean"}, "ensemble_loss='members', not of .* ensemble_loss='mean'"),
        ({}, {"n_members": 2}, "not of"),
    ],
)
def test_another_ensemble_is_another_network(one, other, shown, tmp_path):
    def network(**options):
        return fn.Network([fn.Scale(), fn.Dense(2, "softmax")], n_inputs=4, random_state=0, **{"n_members": 3, **options})

    network(**one).fit(X[:, :4], Y > 0, epochs=1, callbacks=[fn.Checkpoint(tmp_path)])
    net = network(**other)
    before = net.params.copy()
    with pytest.raises(ValueError, match=f"cannot resume from .*it is a checkpoint of .*{shown}"):
        net.fit(X[:, :4], Y > 0, epochs=2, resume_from=checkpoint.latest(tmp_path))
    assert np.array_equal(net.params, before)


def test_an_ensemble_of_one_is_a_network(tmp_path):
    for epochs in (1, 2):
        net = fn.Network([fn.Dense(2, "softmax")], 4, ensemble="mini", ensemble_loss="mean", random_state=0)
        latest = checkpoint.latest(tmp_path)
        history = net.fit(X, Y > 0, epochs=epochs, callbacks=[fn.Checkpoint(tmp_path)], resume_from=latest)
    assert len(history) == 2


def test_stale_temporary_files_are_cleared(tmp_path):
    (tmp_path / ".epoch-000001.safetensors.abc.fastnet-tmp").touch()
    _network().fit(X, Y, epochs=1, callbacks=[fn.Checkpoint(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000001.safetensors"]


@pytest.mark.parametrize("options", [{"every_epochs": 0}, {"every_seconds": 0.0}, {"keep_last": 0}])
def test_options_out_of_range(options, tmp_path):
    with pytest.raises(ValueError, match=next(iter(options))):
        fn.Checkpoint(tmp_path, **options)


def test_runs_whose_memories_have_the_same_shapes_are_told_apart(tmp_path):
    for number, (one, other) in enumerate([("rmsprop", "adagrad"), ("adagrad", fn.SGD(momentum=0.9))]):
        folder = tmp_path / str(number)
        _network().fit(X, Y, epochs=1, optimizer=one, callbacks=[fn.Checkpoint(folder)])
        with pytest.raises(ValueError, match="another run .*optimizer was"):
            _network().fit(X, Y, epochs=2, optimizer=other, resume_from=checkpoint.latest(folder))


def test_another_loss_is_another_run(tmp_path):
    def network():
        return fn.Network([fn.Dense(1, "identity")], n_inputs=4, random_state=0)

    network().fit(X, X[:, 0], epochs=1, callbacks=[fn.Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match="loss was 'SquaredError.*', is 'Huber"):
        network().fit(X, X[:, 0], epochs=2, loss="huber", resume_from=checkpoint.latest(tmp_path))


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ({"augment": fn.augment.Jitter(0.1)}, r"'Jitter\(deviation=0.1\)'"),
        ({"learning_rate_factors": {"1.W": 0.5}}, "\"{'1.W': 0.5}\""),
    ],
)
def test_an_option_that_is_left_out_or_added_is_named(option, shown, tmp_path):
    (name,) = option
    for folder, first, then, difference in [
        ("left out", option, {}, f"{name} was {shown}, is not given"),
        ("added", {}, option, f"{name} was not given, is {shown}"),
    ]:
        _network().fit(X, Y, epochs=1, callbacks=[fn.Checkpoint(tmp_path / folder)], **first)
        with pytest.raises(ValueError, match=rf"another run \({difference}; data .* Continue with the same data and options"):
            _network().fit(X, Y, epochs=2, resume_from=checkpoint.latest(tmp_path / folder), **then)


def test_functions_go_by_their_names(tmp_path):
    def rate(j):
        return 0.01

    for epochs in (1, 2):
        resume_from = checkpoint.latest(tmp_path)
        options = {"learning_rate": rate, "callbacks": [fn.Checkpoint(tmp_path)], "resume_from": resume_from}
        history = _network().fit(X, Y, epochs=epochs, **options)
    assert len(history.loss) == 2


def test_files_that_do_not_say_their_run_are_resumed(tmp_path):
    """Checkpoints of earlier versions are resumed."""
    _network().fit(X, Y, epochs=1, callbacks=[fn.Checkpoint(tmp_path)])
    path = checkpoint.latest(tmp_path)
    file, kind, content = _load.open_file(path, mmap=False)
    del content["run"]
    _container.write(path, _format.dump(kind, content), dict(file.tensors))
    history = _network().fit(X, Y, epochs=2, callbacks=[fn.Checkpoint(tmp_path)], resume_from=path)
    assert len(history.loss) == 2


def test_a_moment_that_overflows_is_resumed(tmp_path):
    rows = np.ones((8, 1), np.float32)
    rows[0] = 1e12

    def fit(epochs, **options):
        net = fn.Network([fn.Dense(1, "identity")], 1, random_state=0)
        with np.errstate(over="ignore"):
            net.fit(rows, rows[:, 0] * 1e10, epochs=epochs, random_state=0, **options)
        return net.params

    fit(1, callbacks=[fn.Checkpoint(tmp_path)])
    _, position, _ = checkpoint.load(checkpoint.latest(tmp_path))
    assert np.isinf(position["state"][1]).any()
    resumed = fit(3, callbacks=[fn.Checkpoint(tmp_path)], resume_from=checkpoint.latest(tmp_path))
    assert np.array_equal(resumed, fit(3))
