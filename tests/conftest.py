"""Fixtures for all tests."""

from __future__ import annotations

import gc

import numpy as np
import pytest

# A million objects of modules and tests stay to the end: they are not looked through for garbage while they are made, nor later.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """float32, then float64."""
    return request.param
