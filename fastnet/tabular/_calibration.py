"""Calibration of probabilities by a temperature."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

#: Standard deviation of the logarithm of temperatures, before any row is seen.
_LOG_TEMPERATURE_DEVIATION = 0.5

#: Probabilities that are tempered together, so that they stay in the cache.
_AT_ONCE = 65_536

#: Most probabilities that a temperature is fitted to.
_MOST_PROBABILITIES = 200_000


def tempered(p: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities proportional to ``p^(1 / temperature)``, float64."""
    found = np.empty(p.shape)
    n_rows = max(1, _AT_ONCE // p.shape[1])
    for start in range(0, len(p), n_rows):
        rows = slice(start, start + n_rows)
        logits = np.log(np.maximum(p[rows].astype(np.float64), 1e-30)) / temperature
        q = np.exp(logits - logits.max(axis=1, keepdims=True))
        found[rows] = q / q.sum(axis=1, keepdims=True)
    return found


def best_temperature(y: np.ndarray, p: np.ndarray, weights: np.ndarray | None) -> float:
    """The most probable temperature, within a tenth and ten, if its logarithm is N(0, 0.5^2) before any row is seen.

    Few rows that are all predicted rightly would otherwise make every prediction certain. Of many classes, on some of the rows.
    """
    rows = slice(None, None, -(-p.size // _MOST_PROBABILITIES))
    y, p, weights = y[rows], p[rows], None if weights is None else weights[rows]

    def badness(log_temperature: float) -> float:
        q = tempered(p, np.exp(log_temperature))
        log_loss = np.average(-np.log(np.maximum(q[np.arange(len(y)), y], 1e-15)), weights=weights)
        return float(log_loss + log_temperature**2 / (2 * _LOG_TEMPERATURE_DEVIATION**2 * len(y)))

    return float(np.exp(minimize_scalar(badness, bounds=(np.log(0.1), np.log(10)), method="bounded").x))
