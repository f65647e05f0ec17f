"""Many Python threads at once: predicting from one network, training several."""

from __future__ import annotations

import os
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import network, run_python

import fastnet as fn
from fastnet import runtime
from fastnet._core import core
from fastnet._session import Session


def test_eight_threads_predict_from_one_network(dtype):
    rng = np.random.default_rng(0)
    net = network([fn.Dense(80, "relu"), fn.Dense(200, "tanh"), fn.Dense(10, "softmax")], 50, dtype, scale=0.1)
    parts = [rng.standard_normal((n, 50)).astype(dtype) for n in (1, 2, 5, 30, 64, 100, 333, 1000)]
    expected = [net.forward(part) for part in parts]
    singles = [net.forward(part[0]) for part in parts]
    barrier = threading.Barrier(8)

    def predict(k):
        barrier.wait(60)
        for _ in range(20):
            if not np.array_equal(net.forward(parts[k]), expected[k]) or not np.array_equal(net.forward(parts[k][0]), singles[k]):
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(predict, range(8)))


#: Of more than half a million multiply-adds; dense layers that are divided stand before and after layers that are not.
LARGE = {
    "dense": [fn.Dense(700, "tanh"), fn.Dense(720, "relu"), fn.Dense(3, "softmax")],
    "ntk": [fn.Dense(1000, "relu", scale="ntk"), fn.Dense(500, "gelu", scale="ntk"), fn.Dense(2, "identity")],
    "joined": [fn.Dense(600, "relu"), fn.Residual([fn.LayerNorm(), fn.Dense(600, "silu")]), fn.PReLU(), fn.Dense(600)],
}


@pytest.mark.parametrize("layers", LARGE)
@pytest.mark.parametrize("n_threads", [2, 5, 64])
def test_one_row_by_a_team_has_the_same_bits(layers, n_threads, dtype):
    net = network(LARGE[layers], 300, dtype, scale=0.05)
    x = np.random.default_rng(0).standard_normal(300).astype(dtype)

    def predict(n):
        return [core.forward_row(net._plan, net.params, x, lambda: 64, n) for _ in range(40)]

    expected = net.forward(np.tile(x, (2, 1)))[0]
    assert all(np.array_equal(row, expected) for n in (1, n_threads) for row in predict(n))
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(row, expected) for rows in pool.map(predict, [n_threads] * 4) for row in rows)


def test_rows_that_follow_each_other_may_have_a_team():
    net, x = network(LARGE["dense"], 300, "float32", scale=0.05), np.zeros(300, np.float32)
    asked = []

    def limit():
        asked.append(None)
        return 1

    time.sleep(0.05)
    core.forward_row(net._plan, net.params, x, limit)
    assert not asked, "helpers sleep after a pause"
    for _ in range(20):
        core.forward_row(net._plan, net.params, x, limit)
    assert asked


def fitted(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((500, 30)), rng.integers(0, 4, 500)
    net = fn.Network([fn.Dense(100, "relu"), fn.Dense(4, "softmax")], 30, random_state=seed)
    net.fit(X, y, epochs=4, batch_size=100, random_state=seed)
    return net.params


def test_two_threads_fit_two_networks():
    alone = [fitted(seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(fitted, range(2)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not say which cores a thread may use")
def test_a_fit_that_begins_on_another_ones_core_may_use_all_cores_afterwards():
    cores = os.sched_getaffinity(0)
    begun, over = threading.Event(), threading.Event()

    class Watch(fn.Callback):
        def on_epoch_end(self, session):
            begun.set()
            session.stop_requested = over.is_set()

    def fit(callbacks, epochs):
        os.sched_setaffinity(0, {min(cores)})
        net = fn.Network([fn.Dense(64, "relu"), fn.Dense(2, "softmax")], 20, random_state=0)
        os.sched_setaffinity(0, cores)
        net.fit(np.zeros((1000, 20)), np.zeros(1000, int), epochs=epochs, n_threads=1, callbacks=callbacks)
        return os.sched_getaffinity(0)

    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(fit, [Watch()], 100_000)
        assert begun.wait(20)
        short = [pool.submit(fit, [], 1).result() for _ in range(3)]
        over.set()
        assert [long.result(), *short] == [cores] * 4


def test_threads_and_gradients_do_not_disturb_each_other(dtype):
    rng = np.random.default_rng(0)
    net = network([fn.Dense(150, "tanh"), fn.Dense(3, "identity")], 60, dtype, scale=0.1)
    X, y = rng.standard_normal((700, 60)).astype(dtype), rng.standard_normal((700, 3)).astype(dtype)
    J, grads = net.loss_and_grad(X, y)

    def same(_):
        other, flat = net.loss_and_grad(X, y)
        return other == J and np.array_equal(flat.flat, grads.flat)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same, range(24)))


def test_blas_has_one_thread_until_the_last_caller_leaves():
    libraries = runtime._blas()
    before = [lib.get() for lib in libraries]
    entered, leave = threading.Event(), threading.Event()

    def hold():
        entered.set()
        leave.wait(60)

    def threads():
        return [lib.get() for lib in libraries]

    thread = threading.Thread(target=runtime.single_threaded_blas, args=(True, hold))
    thread.start()
    assert entered.wait(60)
    assert runtime.single_threaded_blas(True, threads) == [1] * len(libraries)
    assert threads() == [1] * len(libraries)
    assert runtime.thread_limit() >= 1
    leave.set()
    thread.join()
    assert [lib.get() for lib in libraries] == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads cannot be counted on this platform")
def test_teams_take_the_helpers_that_are_there():
    """Many calls, from one thread and from four, leave no more threads than were used at once; forks create their own."""
    code = """
        import os
        from concurrent.futures import ThreadPoolExecutor
        import numpy as np
        import fastnet as fn
        from fastnet._core import core

        X = np.ones((3000, 64), np.float32)
        net = fn.Network([fn.Dense(64, "relu"), fn.Dense(2, "softmax")], 64, random_state=0)

        def predict(_):
            out = np.empty((3000, 2), np.float32)
            core.forward(net._plan, net.params, X, out, 3)
            return out

        threads = lambda: len(os.listdir("/proc/self/task"))
        expected = net.forward(X)
        before = threads()
        assert all(np.array_equal(predict(i), expected) for i in range(100))
        assert threads() <= before + 2, (before, threads())
        with ThreadPoolExecutor(4) as pool:
            assert all(np.array_equal(out, expected) for out in pool.map(predict, range(400)))
        assert threads() <= before + 8, (before, threads())
        child = os.fork()
        if child == 0:
            before = threads()
            right = all(np.array_equal(predict(i), expected) for i in range(20))
            os._exit(0 if right and threads() <= before + 2 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """
    done = run_python(textwrap.dedent(code))
    assert done.returncode == 0, done.stderr


def test_weights_that_change_while_a_team_trains_hang_nobody():
    """Whether a batch has weight decides which barriers its team meets at: one worker must decide for all."""
    code = """
        import threading
        import time
        import numpy as np
        import fastnet as fn

        X = np.random.default_rng(0).standard_normal((4000, 64)).astype(np.float32)
        weight = np.ones(4000, np.float32)
        net = fn.Network([fn.Dense(256, "relu"), fn.Dense(1, "identity")], 64, random_state=0)
        done = threading.Event()

        def change():
            while not done.is_set():
                weight[:] = 0
                weight[:] = 1

        thread = threading.Thread(target=change)
        thread.start()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                net.fit(X, X[:, :1].copy(), epochs=10, batch_size=200, sample_weight=weight, max_grad_norm=1.0, n_threads=2)
            except ValueError as error:  # all zero when they are checked
                assert "zero everywhere" in str(error)
        done.set()
        thread.join()
    """
    done = run_python(textwrap.dedent(code), timeout=60)
    assert done.returncode == 0, done.stderr


FORKS = """
import os, signal, sys, threading
import numpy as np
import fastnet as fn
from fastnet import runtime

for library in runtime._libraries():
    library.set(2)

def blas():
    return {library.get() for library in runtime._blas()}

def in_child(function):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            function()
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

X, y = np.ones((4, 2)), np.ones(4)
net = fn.Network([fn.Dense(1, "identity")], 2, random_state=0)
outside = blas()
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked on this platform")


@needs_fork
def test_a_forked_child_is_free_of_what_other_threads_were_doing():
    code = """
inside, leave = threading.Event(), threading.Event()

class Hold(fn.Callback):
    def on_epoch_end(self, session):
        inside.set()
        leave.wait(60)

def hold():
    runtime.single_threaded_blas(True, net.fit, X, y, epochs=1, callbacks=[Hold()])

def child():
    assert blas() == outside, blas()
    assert runtime.single_threaded_blas(True, blas) <= {1}
    assert blas() == outside, blas()
    net.fit(X, y, epochs=1)

thread = threading.Thread(target=hold)
thread.start()
assert inside.wait(60)
in_child(child)
in_child(lambda: in_child(child))
leave.set()
thread.join()
child()
"""
    done = run_python(FORKS + code)
    assert done.returncode == 0, done.stderr


@needs_fork
def test_a_forked_child_goes_on_with_what_its_own_thread_was_doing():
    code = """
class Fork(fn.Callback):
    def on_epoch_end(self, session):
        in_child(lambda: self.child(session))
        self.child(session)

    def child(self, session):
        assert blas() <= {1}, blas()
        session.run_epoch()
        try:
            session.network.fit(X, y, epochs=1)
        except RuntimeError as error:
            assert "is being trained already" in str(error)
        else:
            raise AssertionError("two trainings at once")

runtime.single_threaded_blas(True, net.fit, X, y, epochs=1, callbacks=[Fork()])
assert blas() == outside, blas()
pid = os.fork()
net.fit(X, y, epochs=1)
assert pid == 0 or os.waitpid(pid, 0)[1] == 0
"""
    done = run_python(FORKS + code)
    assert done.returncode == 0, done.stderr


#: A handler that forks while two threads work; in the child the interrupted call continues.
FORK_IN_HANDLER = """
import threading

runtime.thread_limit = lambda n_threads=None: 2
wide = fn.Network([fn.Dense(900, "relu"), fn.Dense(900, "relu"), fn.Dense(1, "identity")], 900, random_state=0)
X = np.random.default_rng(0).standard_normal((3_000, 900), dtype=np.float32)
y = X[:, 0]
expected = wide.forward(X)
pids = []

def fork(*_):
    pids.append(os.fork())
    if pids[0] == 0:
        signal.alarm(60)

signal.signal(signal.SIGUSR1, fork)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
"""


@needs_fork
def test_a_prediction_goes_on_in_the_child_of_a_handler_that_forks():
    code = """
while not pids:
    out = wide.forward(X)
assert np.array_equal(out, expected)
assert np.array_equal(wide.forward(X), expected)
assert pids[0] == 0 or os.waitpid(pids[0], 0)[1] == 0
"""
    done = run_python(FORKS + FORK_IN_HANDLER + code)
    assert done.returncode == 0, done.stderr


@needs_fork
def test_training_by_several_threads_ends_in_the_child_of_a_handler_that_forks():
    """loss_and_grad always has a team of two; an epoch may run with one member."""
    code = """
error = None
while not pids:
    try:
        wide.loss_and_grad(X, y)
    except RuntimeError as raised:
        error = raised
if pids[0] == 0:
    assert error is None or "forked by a signal handler while several threads computed" in str(error), error
    print("child", "ended" if error else "went on", flush=True)
assert np.isfinite(wide.loss_and_grad(X, y)[1].flat).all()
wide.fit(X[:500], y[:500], epochs=1, batch_size=500)
assert pids[0] == 0 or os.waitpid(pids[0], 0)[1] == 0
"""
    done = run_python(FORKS + FORK_IN_HANDLER + code)
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("child ended\n", "child went on\n")  # the fork may fall between two calls


def test_the_parameters_are_updated_by_one_thread_at_a_time():
    """Other threads, and code that is called within an epoch, are refused; the training's callbacks are not."""
    refused = "This network is being trained already"
    X, y = np.ones((8, 2)), np.ones((8, 1))
    net = network([fn.Dense(1, "identity")], 2)
    other = session_on(net, X, y)

    def sampling(session):
        for update in (session.run_epoch, other.run_epoch, lambda: other.restore(position), lambda: net.fit(X, y, epochs=1)):
            with pytest.raises(RuntimeError, match=refused):
                update()
        return np.arange(8)

    class Elsewhere(fn.Callback):
        def on_epoch_end(self, session):
            with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match=refused):
                pool.submit(session.run_epoch).result()
            if session.epoch == 1:
                session.run_epoch()

    position = other.position()
    assert len(net.fit(X, y, epochs=2, sampling=sampling, callbacks=[Elsewhere()])) == 2
    session = session_on(net, X, y, sampling=sampling)
    session.run_epoch()
    session.run_epoch()
    assert session.epoch == 2


def session_on(net, X, y, **options):
    return Session(net, X, y, **{"loss": "squared_error", "optimizer": "sgd", "batch_size": 4, "random_state": 0, **options})
