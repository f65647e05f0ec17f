"""Fixtures of the estimators' tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification, make_regression
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_blas_thread() -> Iterator[None]:
    """The networks here are small: more threads only wait for each other when the machine is busy."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def global_random_seed() -> int:
    """What scikit-learn's own tests take from its conftest."""
    return 42


@pytest.fixture(scope="session")
def iris() -> tuple[np.ndarray, np.ndarray]:
    """Standardised features and three classes."""
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


@pytest.fixture(scope="session")
def binary() -> tuple[np.ndarray, np.ndarray]:
    """Two classes with labels that are text."""
    X, y = make_classification(n_samples=120, n_features=6, random_state=0)
    return X, np.array(["no", "yes"])[y]


@pytest.fixture(scope="session")
def regression() -> tuple[np.ndarray, np.ndarray]:
    """One target of unit scale."""
    X, y = make_regression(n_samples=120, n_features=5, noise=5.0, random_state=0)
    return X, y / y.std()
