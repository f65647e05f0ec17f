"""Shared by several test files: tolerances, networks with random parameters, valid targets for losses, finite differences."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import reference

import fastnet as fn
from fastnet import runtime
from fastnet._core import core, supported_levels
from fastnet.activations import ACTIVATIONS
from fastnet.losses import LOSSES

ROOT = Path(__file__).resolve().parents[1]


def spread(every, *axes):
    """All combinations of the axes' values, as parameters of a test; one in `every` of them runs, the others are marked slow.

    Those run whose positions on their axes have a sum that `every` divides. So each value meets each value of every other axis,
    if the positions on the remaining axes have at least `every` different sums.
    """
    combinations = product(*(enumerate(axis) for axis in axes))
    return [
        pytest.param(*(value for _, value in pairs), marks=[pytest.mark.slow] if sum(place for place, _ in pairs) % every else [])
        for pairs in combinations
    ]


DTYPES = ("float32", "float64")

#: Tolerance of comparisons with the reference in the same dtype, relative to the largest value.
RTOL = {"float32": 2e-5, "float64": 1e-12}

#: Objects to test: each row of the tables, and some with other parameters.
ACTIVATION_OBJECTS = [*(row() for row in ACTIVATIONS.values()), fn.LeakyReLU(0.3), fn.ELU(0.5)]
LOSS_OBJECTS = [*(row() for row in LOSSES.values()), fn.CrossEntropy(0.1), fn.Huber(0.3), fn.Quantile((0.1, 0.5, 0.9))]


def pairable(activation, loss):
    """Whether the loss accepts the output activation."""
    try:
        loss.check_pairing(activation)
    except ValueError:
        return False
    return True


PAIRS = [(a, l) for a in ACTIVATION_OBJECTS for l in LOSS_OBJECTS if pairable(a, l)]
HIDDEN = [a for a in ACTIVATION_OBJECTS if a.name != "softmax"]


def label(value):
    """Short id of a test's parameter."""
    parameter = getattr(value, "parameter", None)
    return f"{value.name}-{parameter:g}" if parameter else getattr(value, "name", None)


def network(layers, n_inputs, dtype="float64", seed=0, scale=1.0):
    """A network whose weights and biases are random."""
    net = fn.Network(layers, n_inputs, dtype=dtype, random_state=seed)
    net.params[:] += scale * 0.3 * np.random.default_rng(seed + 1).standard_normal(net.n_params)
    return net


def targets(loss, m, n_outputs, rng):
    """Random targets (m, n_targets) in the loss's domain, as floats."""
    if loss.name == "binary_cross_entropy":
        return rng.integers(0, 2, (m, n_outputs)).astype(float)
    if loss.name == "cross_entropy":
        return np.eye(n_outputs)[rng.integers(0, n_outputs, m)]
    if loss.name == "poisson":
        return rng.poisson(2.0, (m, n_outputs)).astype(float)
    return rng.standard_normal((m, loss.n_targets(n_outputs)))


def reference_form(net, loss):
    """Layers and loss in the form that tests/reference.py needs."""
    layers = [(layer.activation.name, layer.activation.parameter) for layer in net.layers]
    levels = loss.per_output(net.n_outputs)
    return layers, (loss.name, loss.parameter if levels is None else levels)


def expand(loss, y, n_outputs):
    """Targets with a column for each output."""
    return np.repeat(y, n_outputs // y.shape[1], axis=1)


def reference_loss_and_grad(net, loss, X, y, w=None, l2=0.0):
    """J and the flat gradient from the reference, in float64."""
    layers, form = reference_form(net, loss)
    weights, biases = reference.unflat(net.params.astype(np.float64), net.sizes)
    y = expand(loss, np.asarray(y, np.float64), net.n_outputs)
    w = None if w is None else np.asarray(w, np.float64)
    J, dW, db = reference.loss_and_grad(layers, weights, biases, form, np.asarray(X, np.float64), y, w, l2)
    return J, reference.flat(dW, db)


def finite_difference(f, p, h=2e-4):
    """Gradient of f() with respect to the vector p that it reads, by the symmetric formula of fourth order."""
    gradient = np.empty_like(p)
    for i in range(p.size):
        old = p[i]
        values = []
        for k in (-2, -1, 1, 2):
            p[i] = old + k * h
            values.append(f())
        p[i] = old
        gradient[i] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    return gradient


@contextmanager
def teams_of(n):
    """Every team has n workers, or as many as it has rows: also on a machine with fewer CPUs, and where fewer would be faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "thread_limit", lambda n_threads=None: n if n_threads is None else min(n, n_threads))
        patch.setattr("fastnet.network._WORTH_THREADS", 0)
        core.fix_team(n)
        try:
            yield
        finally:
            core.fix_team(0)


def assert_same_bits_by_any_team(compute):
    """Whether ``compute()`` trains or predicts, it returns arrays, which must not depend on who works on them.

    It is called until helpers have worked: predictions may be over before they are awake, training waits for them.
    """
    with teams_of(1):
        expected = compute()
    for n in (2, 3, 5):
        begun, calls = core.helpers_begun(), 0
        while core.helpers_begun() - begun < n - 1:
            assert calls < 1000, "nobody has helped"
            with teams_of(n):
                found = compute()
            for array, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(array, other, f"{n} workers")
            calls += 1


def distance(a, b):
    """Largest difference, relative to the largest value of b."""
    return np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)


def assert_agree(arrays, expected):
    """Arrays are the expected ones to 1e-10 of each array's largest number; those that are zero but for rounding, to 1e-14 of the
    largest number of all arrays. Both are dicts, or single arrays."""
    if not isinstance(expected, dict):
        arrays, expected = {"": arrays}, {"": expected}
    assert arrays.keys() == expected.keys()
    most = max(np.abs(array).max() for array in expected.values())
    for name, array in expected.items():
        assert arrays[name].shape == array.shape, name
        error, largest = np.abs(arrays[name] - array).max(), np.abs(array).max()
        assert error <= 1e-10 * largest + 1e-14 * most, f"{name}: {error:.1e} of {largest:.1e}"


def run_python(code, *arguments, timeout=120, **environment):
    """Run code in a new interpreter that finds fastnet, and return the completed process. If it does not end within `timeout`
    seconds, the test fails with what each of its threads was doing."""
    command = [sys.executable, "-X", "faulthandler", "-c", code, *arguments]
    variables = {**python_environment(), **environment}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=variables) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            out, err = process.communicate(timeout=10)
            pytest.fail(f"The child did not end within {timeout} s.\n{out}\n{err}")
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def level_with_blas():
    """The best level below v4, as `FASTNET_CPU` names it: BLAS makes long products there."""
    levels = [level for level in supported_levels() if level != "v4"]
    return levels[-1] if levels else pytest.skip("needs a build of a level below v4")


def python_environment():
    """The environment for a child process that finds the same fastnet as this process."""
    path = os.pathsep.join([str(Path(fn.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def mixed_table(n=300):
    """A frame with numbers, some missing, categories, dates and a constant; a class and values that depend on them."""
    import pandas as pd

    rng = np.random.default_rng(0)
    x, colour, town = rng.standard_normal(n), rng.choice(["red", "green", "blue"], n), rng.integers(0, 12, n)
    values = 3 * np.sin(2 * x) + np.where(colour == "red", 4.0, 0.0) + town + 100
    frame = pd.DataFrame({
        "x": np.where(rng.random(n) < 0.1, np.nan, x),
        "colour": pd.Series(colour).where(rng.random(n) > 0.1),
        "town": [f"town {number}" for number in town],
        "day": pd.date_range("2024-01-01", periods=n, freq="7h"),
        "constant": 1,
    })  # fmt: skip
    return frame, np.where(values > np.median(values), "dear", "cheap"), values
