"""What the outputs of a network say: probabilities of two classes, and how well values meet their targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def both_classes(p: np.ndarray) -> np.ndarray:
    """Probabilities of class 0 and class 1, (m, 2), from those of class 1, (m, 1)."""
    both = np.empty((len(p), 2), p.dtype)
    both[:, 1:] = p
    np.subtract(1, p, out=both[:, :1])
    return both


def r2(outputs: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None) -> float:
    """Coefficient of determination, averaged over the outputs; a constant target counts 1 where it is met and 0 otherwise.

    Parameters
    ----------
    outputs : ndarray of shape (m, n_outputs)
    y : ndarray of shape (m,) or (m, n_outputs)
    sample_weight : ndarray of shape (m,) or None
    """
    y = y.reshape(len(y), -1).astype(np.float64)
    weights = np.ones(len(y)) if sample_weight is None else sample_weight
    spread = weights @ (y - np.average(y, axis=0, weights=weights)) ** 2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        residual = weights @ (y - outputs) ** 2
        scores = np.where(spread > 0, 1 - residual / spread, residual == 0)
    return float(scores.mean())


def d2_of_quantiles(
    outputs: np.ndarray, y: ArrayLike, levels: Sequence[float] | np.ndarray, sample_weight: ArrayLike | None
) -> float:
    """D2 pinball score, averaged over levels and targets: 1 at best, 0 for the quantiles of y.

    Parameters
    ----------
    outputs : ndarray of shape (m, n_targets * n_levels)
        All levels of a target together.
    y : array-like of shape (m,) or (m, n_targets)
    levels : sequence of float
    sample_weight : array-like of shape (m,) or None
    """
    from sklearn.metrics import d2_pinball_score

    of_levels = (outputs[:, number :: len(levels)] for number in range(len(levels)))
    scores = [
        d2_pinball_score(y, of_level, sample_weight=sample_weight, alpha=level)
        for of_level, level in zip(of_levels, levels, strict=True)
    ]
    return float(np.mean(scores))
