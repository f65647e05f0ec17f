"""What the tests of engines share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def expected():
    """Parameters of the small classifier on Dask."""
    from dask_models import arrays, classifier, fitted, parameters

    return parameters(fitted(classifier(), *arrays()[:2]))
