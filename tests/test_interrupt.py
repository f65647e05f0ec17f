"""Ctrl-C within an epoch takes effect soon and leaves a usable network; handlers may raise, or compute, at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import ROOT, level_with_blas, python_environment, run_python

#: One epoch of each of these runs takes a minute, so that only the interrupt can end it.
CODE = """
import signal, sys
import numpy as np
import fastnet as fn

signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
m = 500
order = np.tile(np.arange(m, dtype=np.uint32), 20_000)
KINDS = {
    "dense": ((100,), [fn.Dense(200, "relu")]),
    "convolutions": ((10, 10, 1), [fn.Conv2d(8, 3, "identity"), fn.BatchNorm("relu"), fn.MaxPool(2), fn.Flatten()]),
    "recurrences": ((25, 4), [fn.Bidirectional(fn.LSTM(16)), fn.Dropout(0.1)]),
    "a transformer": ((10, 10), [fn.Positions(), fn.TransformerBlock(2), fn.GlobalPool()]),
}

class Ends(fn.Callback):
    ended = False
    def on_train_begin(self, session):
        self.session = session
        print("training", flush=True)
    def on_train_end(self, session):
        self.ended = True

for name, (shape, layers) in KINDS.items():
    X = rng.standard_normal((m, *shape), dtype=np.float32)
    y = (X.reshape(m, -1)[:, 0] > 0).astype(int)
    net = fn.Network([*layers, fn.Dense(2, "softmax")], input_shape=shape, random_state=0)
    before, callback = net.params.copy(), Ends()
    try:
        net.fit(X, y, epochs=1, sampling=lambda session: order, callbacks=[callback])
    except KeyboardInterrupt:
        pass
    else:
        sys.exit("the epoch ended")
    assert callback.ended and callback.session.step > 0
    assert np.isfinite(net.params).all()
    assert not np.array_equal(net.params, before)
    assert np.isfinite(net.forward(X[:5])).all()
    net.fit(X, y, epochs=1)
    print("usable:", name, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be sent to one child there")
def test_interrupts_leave_usable_networks():
    environment = {**python_environment(), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    try:
        for kind in ("dense", "convolutions", "recurrences", "a transformer"):
            assert process.stdout.readline() == "training\n", process.stderr.read()
            wait_for_batches(process)
            os.kill(process.pid, signal.SIGINT)
            assert process.stdout.readline() == f"usable: {kind}\n", process.stderr.read()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err


#: Signals after random times, whose handler raises. They interrupt `repeat`; `check` is called after each.
ALARMS = """
import random, signal
# In the threads of BLAS, too: Python
# notices a signal that one of these takes only when the GIL is released, which no loop here does.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
import numpy as np
import fastnet as fn
from fastnet import runtime
from fastnet._core.guards import Exclusive

class Alarm(BaseException):
    pass

rung = []

def raise_alarm(*_):
    rung.append(True)
    raise Alarm

def until_it_rings(repeat, seconds):  # a function: in Python 3.13 a signal in the loop itself can escape from a `try` around it
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while not rung:  # an alarm within a destructor goes no further
            repeat()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)

def alarms(count, shortest, longest, repeat, check):
    rng = random.Random(0)
    signal.signal(signal.SIGALRM, raise_alarm)
    for _ in range(count):
        rung.clear()
        try:
            until_it_rings(repeat, rng.uniform(shortest, longest))
        except Alarm:
            pass
        check()

for library in runtime._libraries():
    library.set(2)
before = [library.get() for library in runtime._blas()]
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

def blas_is_as_before():
    now = [library.get() for library in runtime._blas()]
    assert now == before, now
"""

needs_timers = pytest.mark.skipif(sys.platform == "win32", reason="there are no timers that send signals")


@needs_timers
def test_exceptions_at_any_moment_leave_no_guard_behind():
    code = """
exclusive = Exclusive()

def work():
    exclusive.updating(sum, range(20))

def check():
    exclusive.training(work)
    blas_is_as_before()

alarms(1500, 5e-5, 4e-4, lambda: exclusive.training(runtime.single_threaded_blas, True, work), check)
"""
    done = run_python(ALARMS + code)
    assert done.returncode == 0, done.stderr


@needs_timers
def test_exceptions_at_any_moment_leave_networks_that_can_be_trained():
    code = """
X, y = np.ones((4, 2)), np.ones(4)
net = fn.Network([fn.Dense(1, "identity")], 2, random_state=0)
wide = fn.Network([fn.Dense(1024, "relu"), fn.Dense(1, "identity")], 1024, random_state=0)
assert wide._plan.uses_blas
rows = np.ones((2, 1024), np.float32)
net.fit(X, y, optimizer="lbfgs", epochs=1)  # imports what it needs
alarms(500, 5e-5, 5e-4, lambda: net.fit(X, y, epochs=1), lambda: net.fit(X, y, epochs=1))
alarms(60, 1e-4, 4e-3, lambda: net.fit(X, y, optimizer="lbfgs", epochs=2), lambda: net.fit(X, y, epochs=1))
alarms(150, 1e-4, 4e-3, lambda: wide.forward(rows), blas_is_as_before)
"""
    done = run_python(ALARMS + code, FASTNET_CPU=level_with_blas())
    assert done.returncode == 0, done.stderr


@needs_timers
def test_a_handler_may_predict_with_the_network_that_it_interrupts():
    code = """
wide = fn.Network([fn.Dense(1024, "relu"), fn.Dense(1, "identity")], 1024, random_state=0)
rows = np.random.default_rng(0).standard_normal((2, 1024), dtype=np.float32)
expected = wide.forward(rows)
rng, left = random.Random(0), [150]

def predict(*_):
    assert np.array_equal(wide.forward(rows), expected)
    left[0] -= 1
    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 2e-3) if left[0] else 0)

signal.signal(signal.SIGALRM, predict)
signal.setitimer(signal.ITIMER_REAL, 1e-3)
while left[0]:
    assert np.array_equal(wide.forward(rows), expected)
blas_is_as_before()
"""
    done = run_python(ALARMS + code, FASTNET_CPU=level_with_blas())
    assert done.returncode == 0, done.stderr


def wait_for_batches(process, cpu_seconds=0.3):
    """Wait until the child has computed for a while, however busy the machine is."""
    try:
        tick = os.sysconf("SC_CLK_TCK")
        start = cpu_time(process.pid)
        for _ in range(3000):
            if (cpu_time(process.pid) - start) / tick > cpu_seconds or process.poll() is not None:
                return
            time.sleep(0.02)
    except FileNotFoundError:  # no /proc on this platform
        time.sleep(2.0)


def cpu_time(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
