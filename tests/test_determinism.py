"""The same seed gives the same network, bit for bit: twice in one process, in two processes, and for any number of threads."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest
from helpers import DTYPES, assert_same_bits_by_any_team, run_python

import fastnet as fn

CODE = """
import sys
sys.path.insert(0, "tests")
from test_determinism import digests
print(*digests())
"""

SAMPLINGS = ("shuffle", "random")


def trained(dtype, sampling, max_grad_norm=1.0):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 40))
    y = (X[:, 0] > X[:, 1]).astype(int)
    net = fn.Network(
        [fn.Dense(64, "gelu", dropout=0.2), fn.Dense(32, "tanh"), fn.Dense(2, "softmax")], 40, dtype=dtype, random_state=1
    )
    net.fit(X, y, epochs=3, batch_size=128, sampling=sampling, random_state=2, max_grad_norm=max_grad_norm)
    return net, X


def digest(dtype, sampling):
    net, X = trained(dtype, sampling)
    return hashlib.sha256(net.params.tobytes() + net.forward(X).tobytes()).hexdigest()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_twice_in_one_process(dtype, sampling):
    assert digest(dtype, sampling) == digest(dtype, sampling)


def digests():
    return [digest(*options) for options in product(DTYPES, SAMPLINGS)]


def test_in_two_processes():
    result = run_python(CODE)
    assert result.stdout.split() == digests(), result.stderr


@pytest.mark.parametrize("max_grad_norm", [None, 1.0])
def test_whatever_the_number_of_threads(dtype, max_grad_norm):
    def compute():
        net, X = trained(dtype, "shuffle", max_grad_norm)
        return net.params, net.forward(X)

    assert_same_bits_by_any_team(compute)


@pytest.mark.parametrize("sizes", [(40, 96, 70, 3), (300, 48, 33)])
def test_predictions_of_many_rows_are_those_of_a_few(sizes, dtype):
    """Whether they are one block or many, and whoever computes them."""
    X = np.random.default_rng(0).standard_normal((3000, sizes[0])).astype(dtype)
    net = fn.Network([fn.Dense(n, "relu") for n in sizes[1:]], sizes[0], dtype=dtype, random_state=1)
    few = np.concatenate([net.forward(part) for part in np.split(X, 30)])
    np.testing.assert_array_equal(net.forward(X), few)
    assert_same_bits_by_any_team(lambda: [net.forward(X)])


def test_other_seeds_give_other_networks(dtype):
    results = set()
    X = np.random.default_rng(0).standard_normal((50, 3))
    for seed in (0, 1, None):
        net = fn.Network([fn.Dense(1, "identity")], 3, dtype=dtype, random_state=0)
        net.fit(X, X[:, 0], batch_size=4, epochs=2, random_state=seed)
        results.add(net.params.tobytes())
    assert len(results) == 3
    assert trained(dtype, "shuffle")[0].params.tobytes() != trained(dtype, "random")[0].params.tobytes()
