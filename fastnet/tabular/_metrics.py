"""What validation looks at: one row a metric, less is better for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

#: ``(targets, predictions, weights) -> badness``; predictions are probabilities of classes, or values in the targets' units.
Measure = Callable[[np.ndarray, np.ndarray, Any], float]
_TINY = 1e-7


def error_rate(y: np.ndarray, p: np.ndarray, w: Any) -> float:
    """Share of rows whose class is not the most probable one; among equals the less certain errors are better."""
    return float(np.average(p.argmax(axis=1) != y, weights=w)) + 1e-5 * log_loss(y, p, w)


def log_loss(y: np.ndarray, p: np.ndarray, w: Any) -> float:
    """Mean of ``-log p`` of the true classes."""
    return float(np.average(-np.log(np.maximum(p[np.arange(len(y)), y], _TINY)), weights=w))


def one_minus_auc(y: np.ndarray, p: np.ndarray, w: Any) -> float:
    """1 - area under the ROC curve; of more than two classes the mean of one against the rest, over those that occur."""
    classes = np.unique(y)
    if len(classes) < 2:
        return log_loss(y, p, w)
    if p.shape[1] == 2:
        return 1 - float(roc_auc_score(y, p[:, 1], sample_weight=w))
    return 1 - float(np.mean([roc_auc_score(y == k, p[:, k], sample_weight=w) for k in classes]))


def rmse(y: np.ndarray, a: np.ndarray, w: Any) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.average(np.mean((a - y) ** 2, axis=1), weights=w)))


def mae(y: np.ndarray, a: np.ndarray, w: Any) -> float:
    """Mean absolute error."""
    return float(np.average(np.mean(np.abs(a - y), axis=1), weights=w))


def poisson_deviance(y: np.ndarray, a: np.ndarray, w: Any) -> float:
    """Mean Poisson deviance."""
    a = np.maximum(a, _TINY)
    return float(np.average(np.mean(2 * (y * np.log(np.maximum(y, _TINY) / a) - y + a), axis=1), weights=w))


def pinball(levels: np.ndarray) -> Measure:
    """Mean pinball loss of quantiles; predictions hold all levels of each target."""

    def measure(y: np.ndarray, a: np.ndarray, w: Any) -> float:
        q = np.tile(levels, y.shape[1])
        d = np.repeat(y, len(levels), axis=1) - a
        return float(np.average(np.mean(np.maximum(q * d, (q - 1) * d), axis=1), weights=w))

    return measure


@dataclass(frozen=True)
class Metric:
    """How a metric's networks are trained and judged.

    Attributes
    ----------
    measure : callable
    loss : str
        What is minimised.
    smooths : bool
        Whether label smoothing helps.
    output : str
        Activation of the output layer.
    learning_rate : float
        The highest that a preset chooses.
    smooth : callable, optional
        A measure that every change of predictions changes, where `measure` is none.
    """

    measure: Measure
    loss: str
    smooths: bool = False
    output: str = "identity"
    learning_rate: float = 0.04
    smooth: Measure | None = None


CLASSIFICATION = {
    "accuracy": Metric(error_rate, "cross_entropy", True, "softmax", smooth=log_loss),
    "log_loss": Metric(log_loss, "cross_entropy", False, "softmax"),
    "roc_auc": Metric(one_minus_auc, "cross_entropy", False, "softmax", smooth=log_loss),
}
REGRESSION = {
    "rmse": Metric(rmse, "squared_error", learning_rate=0.2),
    "mae": Metric(mae, "absolute_error", learning_rate=0.2),
    "poisson": Metric(poisson_deviance, "poisson", output="exponential"),
}
