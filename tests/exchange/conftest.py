"""What the tests of files, exchange and faults share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fastnet as fn
from fastnet.activations import ACTIVATIONS

HERE = Path(__file__).parent


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def network() -> fn.Network:
    """Two hidden layers with everything that an architecture can have: a parameter, dropout, an initialiser."""
    layers = [fn.Dense(5, fn.LeakyReLU(0.1), dropout=0.25), fn.Dense(4, "tanh", initializer="he_uniform"), fn.Dense(3, "softmax")]
    return fn.Network(layers, n_inputs=6, random_state=0)


@pytest.fixture(params=list(ACTIVATIONS))
def every_network(request: pytest.FixtureRequest) -> fn.Network:
    """A network for each activation, as hidden layer (if it can be one) and as output."""
    name = request.param
    hidden = "tanh" if name in ("softmax", "exponential") else name
    network = fn.Network([fn.Dense(7, hidden), fn.Dense(3, name)], n_inputs=4, random_state=1)
    network.params[:] *= 0.5
    return network


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Run Python with these arguments in a process of its own, for at most two minutes, and return what it printed."""

    def run(*arguments: object) -> str:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=_environment())
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run


@pytest.fixture
def run_script(run_python: Callable[..., str]) -> Callable[..., str]:
    """Run a script of this folder, see `run_python`."""
    return lambda name, *arguments: run_python(HERE / name, *arguments)


def _environment() -> dict[str, str]:
    """The environment of this process, with the source tree on the path if fastnet is imported from there."""
    path = [os.environ.get("PYTHONPATH"), str(HERE.parents[1]) if _in_place() else None]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def _in_place() -> bool:
    """Whether fastnet is imported from the source tree, which a script elsewhere would not find by itself."""
    return Path(fn.__file__).parents[1] == HERE.parents[1]
