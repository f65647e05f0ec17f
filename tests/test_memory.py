"""Memory: nothing is allocated within an epoch, and data in the right form is not copied."""

from __future__ import annotations

import math
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import run_python

import fastnet as fn
from fastnet._session import Session

resource = pytest.importorskip("resource", reason="peak memory cannot be read on this platform")


def assert_epochs_allocate_nothing(net, X, y, **options):
    """Python's and NumPy's allocators provide only a few kilobytes, whatever the size of data and network."""
    session = Session(net, X, y, batch_size=len(X) // 10, random_state=0, max_grad_norm=1.0, **options)
    session.run_epoch()
    tracemalloc.start()
    session.run_epoch()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000


@pytest.mark.parametrize("optimizer", [fn.SGD(0.01), fn.Adam(), fn.SGD(0.01, momentum=0.9)])
@pytest.mark.parametrize("sampling", ["shuffle", "random", "sequential"])
def test_an_epoch_allocates_nothing_of_the_size_of_anything(optimizer, sampling):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2000, 100), dtype=np.float32), rng.standard_normal((2000, 50), dtype=np.float32)
    net = fn.Network([fn.Dense(300, "relu", dropout=0.1), fn.Dense(50, "identity")], 100, random_state=0)
    assert_epochs_allocate_nothing(net, X, y, loss="squared_error", optimizer=optimizer, sampling=sampling)


#: The shape of rows of 20,480 bytes, and layers: a copy of one row would be more than is allowed.
KINDS = {
    "convolutions": ((40, 32, 4), [fn.Conv2d(8, 3, "identity", dropout=0.1), fn.BatchNorm("relu"), fn.MaxPool(2)]),
    "recurrences": ((320, 16), [fn.Bidirectional(fn.LSTM(8, return_sequences=True)), fn.GRU(8, return_sequences=True)]),
    "a transformer": ((320, 16), [fn.Positions(), fn.TransformerBlock(4)]),
    "tokens of features": ((5120,), [fn.Columns(range(100)), fn.FeatureTokens(8), fn.Attention(2), fn.LayerNorm()]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_of_other_layers_allocates_nothing_either(kind):
    shape, layers = KINDS[kind]
    X = np.random.default_rng(0).standard_normal((20, math.prod(shape)), dtype=np.float32)
    net = fn.Network([*layers, fn.GlobalPool(), fn.Dense(2, "softmax")], input_shape=shape, random_state=0)
    assert_epochs_allocate_nothing(net, X, np.arange(20) % 2, loss="cross_entropy", optimizer="adam")


PEAK = """
import resource, sys
import numpy as np
import fastnet as fn
from fastnet._session import Session

def peak():  # in kilobytes, on macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)

m, n = 250_000, 100
X = np.zeros((m, n), np.float32)
X[:, 0] = 1
y = np.zeros((m, 1), np.float32)
warm = fn.Network([fn.Dense(8, "relu"), fn.Dense(1, "identity")], n, random_state=0)
warm.fit(X[:500], y[:500], epochs=2, validation_data=(X[:500], y[:500]))
warm.predict(X[:500])
"""

FIT = (
    PEAK
    + """
before = peak()
warm.fit(X, y, epochs=1, batch_size=500, random_state=0)
warm.predict(X), warm.loss(X, y)
print(peak() - before)
"""
)

EPOCHS = (
    PEAK
    + """
net = fn.Network([fn.Dense(500, "tanh"), fn.Dense(500, "gelu", dropout=0.1), fn.Dense(1, "identity")], n, random_state=0)
session = Session(net, X[:3000], y[:3000], loss="squared_error", optimizer="adam", batch_size=300, random_state=0)
session.run_epoch()
before = peak()
for _ in range(4):
    session.run_epoch()
print(peak() - before)
"""
)


def growth(code):
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="no peak of the resident set")
def test_fit_and_predict_do_not_copy_the_data():
    """100 MB of features: only the order of the rows (2 MB), outputs and workspace are added."""
    assert growth(FIT) < 15_000


@pytest.mark.skipif(sys.platform == "win32", reason="no peak of the resident set")
def test_the_peak_does_not_rise_after_the_first_epoch():
    """350,000 parameters are 1.4 MB: no second set of gradients or activations is allocated, by whatever allocator."""
    assert growth(EPOCHS) < 500
