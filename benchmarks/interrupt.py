"""Ctrl-C: how long until training, or a prediction, of a large network ends with KeyboardInterrupt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks._pool import Pool
from benchmarks._results import Series, check, row

TITLE = "Ctrl-C"

_ROOT = Path(__file__).resolve().parent.parent
_MOST_MILLISECONDS = 100.0
_TIMES = 30

#: Calls with networks for which a batch takes a large part of a second, or several seconds.
_CALLS = {
    "big": "net.fit(X, y, batch_size=1024, epochs=10**6)",
    "big, one thread": "net.fit(X, y, batch_size=1024, epochs=10**6, n_threads=1)",
    "big, clipping": "net.fit(X, y, batch_size=1024, epochs=10**6, max_grad_norm=1.0)",
    "big, batches of 8192": "net.fit(X, y, batch_size=8192, epochs=10**6)",
    "big, predictions": "net.forward(many)",
    "100 million parameters, sparse": "wide.fit(few, y, batch_size=32, epochs=10**6)",
    "100 million parameters, sparse, one thread": "wide.fit(few, y, batch_size=32, epochs=10**6, n_threads=1)",
    "convolutions": "images.fit(pixels, y[:512], batch_size=512, epochs=10**6)",
    "convolutions, predictions": "images.forward(pixels)",
    "recurrences": "series.fit(steps, y[:256], batch_size=256, epochs=10**6)",
    "recurrences, one thread": "series.fit(steps, y[:256], batch_size=256, epochs=10**6, n_threads=1)",
    "attention": "texts.fit(tokens, y[:64], batch_size=64, epochs=10**6)",
    "attention, predictions": "texts.forward(tokens)",
}

#: Preparation for the calls that name its network: some take gigabytes.
_NETWORKS = {
    "wide": """
from scipy import sparse
wide = fn.Network([fn.Dense(1000, "relu"), fn.Dense(10, "softmax")], 100_000, random_state=0)
few = sparse.random(len(X), 100_000, 1e-4, "csr", np.float32, random_state=0)
""",
    "images": """
layers = [fn.Conv2d(32, 3), fn.BatchNorm(), fn.Conv2d(64, 5), fn.MaxPool(2), fn.Conv2d(64, 3), fn.GlobalPool()]
images = fn.Network([*layers, fn.Dense(10, "softmax")], input_shape=(64, 64, 3), random_state=0)
pixels = rng.standard_normal((512, 64, 64, 3), dtype=np.float32)
""",
    "series": """
layers = [fn.Bidirectional(fn.LSTM(256, return_sequences=True)), fn.GRU(256)]
series = fn.Network([*layers, fn.Dense(10, "softmax")], input_shape=(500, 16), random_state=0)
steps = rng.standard_normal((256, 500, 16), dtype=np.float32)
""",
    "texts": """
layers = [fn.Dense(256, "identity"), fn.TransformerBlock(8), fn.TransformerBlock(8, causal=True), fn.GlobalPool()]
texts = fn.Network([*layers, fn.Dense(10, "softmax")], input_shape=(1000, 16), random_state=0)
tokens = rng.standard_normal((64, 1000, 16), dtype=np.float32)
""",
}

# Runs in a process of its own, whose main thread is inside the call when the signal arrives.
_CODE = """
import os, random, signal, sys, threading, time
import numpy as np, fastnet as fn

signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
X = rng.standard_normal((8192, 1024), dtype=np.float32)
y = rng.integers(10, size=len(X))
many = np.tile(X, (16, 1))
net = fn.Network([fn.Dense(2048, "relu"), fn.Dense(2048, "relu"), fn.Dense(10, "softmax")], 1024, random_state=0)
{setup}
random.seed(0)

def interrupt():
    global sent
    sent = time.perf_counter()
    os.kill(os.getpid(), signal.SIGINT)

for _ in range({times}):
    timer = threading.Timer(random.uniform(1.0, 1.6), interrupt)
    timer.start()
    try:
        while True:
            {call}
    except KeyboardInterrupt:
        print(time.perf_counter() - sent)
    timer.join()
"""


def run(pool: Pool) -> dict[str, Any]:
    if os.name == "nt":
        pool.note("interrupt: skipped, a process cannot send itself Ctrl-C on Windows")
        return {"rows": []}
    return {"rows": [_latency(pool, name, call) for name, call in _CALLS.items()]}


def _latency(pool: Pool, name: str, call: str) -> dict[str, Any]:
    setup = next((code for name, code in _NETWORKS.items() if call.startswith(f"{name}.")), "")
    code = _CODE.format(times=5 if pool.options.quick else _TIMES, call=call, setup=setup)
    done = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True)
    series = Series([float(line) for line in done.stdout.split()])
    longest = check("longest, ms", [1e3 * max(series.seconds)], _MOST_MILLISECONDS, at_most=True)
    result = row(name, "ms until KeyboardInterrupt", 1e3, {"fastnet": series}, [longest])
    pool.report(result)
    return result
