"""External faults: too little memory, forks, callbacks that raise, Ctrl-C, many threads at once."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import fastnet as fn

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits, fork and signals")


def _network(n_units: int = 8) -> fn.Network:
    return fn.Network([fn.Dense(n_units, "tanh"), fn.Dense(1, "identity")], n_inputs=4, random_state=0)


@pytest.fixture
def data(rng):
    return rng.normal(size=(100, 4)), rng.normal(size=100)


@posix
def test_no_memory_for_the_workspace(run_script):
    """A batch that does not fit: MemoryError with the bytes requested and the remedy; the model is unchanged and usable."""
    message, state = run_script("_out_of_memory.py", "workspace").splitlines()
    assert "bytes" in message and "smaller batch_size" in message
    assert state == "unchanged, trains on"


@posix
def test_no_memory_for_the_parameters(run_script):
    message, state = run_script("_out_of_memory.py", "network").splitlines()
    assert "bytes" in message and "narrower" in message
    assert state == "unchanged, trains on"


@posix
def test_forked_processes_train(run_script):
    """After training with two threads, forked children train and predict as the parent does, and exit."""
    assert run_script("_fork_after_training.py", 4).split() == ["equal"] * 4


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's memory accounting")
def test_teams_that_shrink_end_whole(run_script):
    """If other programs occupy the cores, a team continues with one thread: same results, and the other threads are joined."""
    different, stacks_left = map(int, run_script("_busy_team.py", 20).split())
    assert different == 0
    assert stacks_left <= 4  # the allocator may have taken some more memory


class _Fails(fn.Callback):
    def __init__(self, method: str) -> None:
        self.method, self.ended = method, 0

    def _maybe(self, method: str) -> None:
        if method == self.method:
            raise RuntimeError(f"in {method}")

    def on_train_begin(self, session) -> None:
        self._maybe("on_train_begin")

    def on_epoch_end(self, session) -> None:
        self._maybe("on_epoch_end")

    def on_train_end(self, session) -> None:
        self.ended += 1
        self._maybe("on_train_end")


@pytest.mark.parametrize("method", ["on_train_begin", "on_epoch_end", "on_train_end"])
def test_a_callback_that_raises(method, data):
    """Its error is raised unchanged, all callbacks that began are told of the end, and the network can be used and trained."""
    network, first, fails = _network(), _Fails(""), _Fails(method)
    with pytest.raises(RuntimeError, match=f"in {method}"):
        network.fit(*data, epochs=3, callbacks=[first, fails])
    assert first.ended == fails.ended == 1
    assert np.isfinite(network.forward(data[0])).all()
    assert len(network.fit(*data, epochs=2)) == 2


def test_a_learning_rate_that_raises_in_an_estimator(data):
    """A learning rate may be user code inside fit: an error in it leaves the fitted estimator as it was."""
    from fastnet import MLPRegressor

    def rate(step: int) -> float:
        if step > 20:
            raise RuntimeError("no more")
        return 0.01

    estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, tol=0.0, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        estimator.fit(*data)
    before = estimator.predict(data[0])
    with pytest.raises(RuntimeError, match="no more"):
        estimator.set_params(learning_rate=rate, batch_size=10).fit(*data)
    assert np.array_equal(estimator.predict(data[0]), before)


def test_a_second_fit_of_one_network_at_once_is_refused(data):
    network, inside, release = _network(), threading.Event(), threading.Event()

    class Waits(fn.Callback):
        def on_epoch_end(self, session) -> None:
            inside.set()
            release.wait(30)

    thread = threading.Thread(target=network.fit, args=data, kwargs={"epochs": 1, "callbacks": [Waits()]}, daemon=True)
    thread.start()
    try:
        assert inside.wait(30)
        with pytest.raises(RuntimeError, match="being trained already"):
            network.fit(*data, epochs=1)
    finally:
        release.set()
        thread.join(30)
    assert not thread.is_alive()
    network.fit(*data, epochs=1)


@posix
@pytest.mark.parametrize("n_interrupts", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_interrupts(run_script, n_interrupts):
    """SIGINT at random moments of a fit: each raises KeyboardInterrupt, and the parameters are those after a whole batch."""
    interrupted, whole, latest = map(int, run_script("_interrupt_training.py", n_interrupts).split())
    assert interrupted == whole == n_interrupts
    assert latest > 10  # the moments were spread over many batches


@posix
def test_thirty_two_threads(tmp_path, run_script):
    """Fitting, predicting and saving in 32 threads at once: nothing hangs, and every result is that of one thread alone."""
    _check_threads(run_script("_many_threads.py", tmp_path, 1.5))


@posix
@pytest.mark.slow
def test_thirty_two_threads_for_thirty_seconds(tmp_path, run_script):
    _check_threads(run_script("_many_threads.py", tmp_path, 30))


def _check_threads(printed: str) -> None:
    fits, predictions, files, different = map(int, printed.split())
    assert min(fits, predictions, files) >= 32
    assert different == 0
