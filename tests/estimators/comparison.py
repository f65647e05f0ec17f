"""How two fitted estimators compare."""

from __future__ import annotations

from typing import Any

import numpy as np


def equal(a: Any, b: Any) -> bool:
    """Whether all parameters are the same."""
    return all(np.array_equal(x, y) for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True))


def distance(a: Any, b: Any) -> float:
    """Largest difference of two weights."""
    return max(float(np.abs(x - y).max()) for x, y in zip(a.coefs_, b.coefs_, strict=True))
