"""Ctrl-C in the middle of an epoch: noticed soon, with a usable network of the last completed batch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import ROOT, python_environment

#: One epoch of this run takes hours, so that only the interrupt can end it.
CODE = """
import signal, sys
import numpy as np
import fastnet as fn

signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
m = 20_000
X = rng.standard_normal((m, 100), dtype=np.float32)
y = (X[:, 0] > 0).astype(int)
net = fn.Network([fn.Dense(200, "relu"), fn.Dense(2, "softmax")], 100, random_state=0)
before = net.params.copy()
order = np.tile(np.arange(m, dtype=np.uint32), 2000)
ended = []

class Ends(fn.Callback):
    def on_train_begin(self, session):
        self.session = session
        print("training", flush=True)
    def on_train_end(self, session):
        ended.append(True)

callback = Ends()
try:
    net.fit(X, y, epochs=1, sampling=lambda session: order, callbacks=[callback])
except KeyboardInterrupt:
    pass
else:
    sys.exit("the epoch ended")
assert ended == [True]
assert callback.session.step > 0
assert np.isfinite(net.params).all()
assert not np.array_equal(net.params, before)
assert np.isfinite(net.forward(X[:5])).all()
net.fit(X[:1000], y[:1000], epochs=1)
print("usable", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be sent to one child there")
def test_interrupt_leaves_a_usable_network():
    environment = {**python_environment(), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    try:
        assert process.stdout.readline() == "training\n", process.stderr.read()
        wait_for_batches(process)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert out == "usable\n"


def wait_for_batches(process, cpu_seconds=0.5):
    """Wait until the child has computed for a while, however busy the machine is."""
    try:
        tick = os.sysconf("SC_CLK_TCK")
        start = cpu_time(process.pid)
        for _ in range(600):
            if (cpu_time(process.pid) - start) / tick > cpu_seconds or process.poll() is not None:
                return
            time.sleep(0.1)
    except FileNotFoundError:  # no /proc on this platform
        time.sleep(2.0)


def cpu_time(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
