"""Many Python threads at once: predicting from one network, training several."""

from __future__ import annotations

import os
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import network, run_python

import fastnet as fn
from fastnet import runtime


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
        with runtime.single_threaded_blas():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(60)
    with runtime.single_threaded_blas():
        assert all(lib.get() in (1, None) for lib in libraries)
    assert all(lib.get() in (1, None) for lib in libraries)
    assert runtime.thread_limit() >= 1
    leave.set()
    thread.join()
    assert [lib.get() for lib in libraries] == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads cannot be counted on this platform")
def test_teams_take_the_helpers_that_are_there():
    """Many calls, from one thread and from four, leave no more threads than took part at once; a forked child makes its own."""
    code = """
        import os
        from concurrent.futures import ThreadPoolExecutor
        import numpy as np
        import fastnet as fn
        from fastnet._core import engine

        X = np.ones((3000, 64), np.float32)
        net = fn.Network([fn.Dense(64, "relu"), fn.Dense(2, "softmax")], 64, random_state=0)

        def predict(_):
            out = np.empty((3000, 2), np.float32)
            engine.forward(net._plan, net.params, X, out, 3)
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
    """Whether a batch has weight decides which barriers its team meets at: one member must decide for all."""
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
        end = time.monotonic() + 2
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
