"""What validation looks at: one row a metric. Measures are less where they are better, scores are greater."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

#: ``(targets, predictions, weights) -> badness``; predictions are probabilities of classes, or values in the targets' units.
Measure = Callable[[np.ndarray, np.ndarray, Any], float]
_TINY = 1e-7


def accuracy(y: np.ndarray, p: np.ndarray, w: Any) -> float:
    """Share of rows whose class is the most probable one."""
    return float(np.average(p.argmax(axis=1) == y, weights=w))


def error_rate(y: np.ndarray, p: np.ndarray, w: Any) -> float:
    """Share of rows whose class is not the most probable one; among equals the less certain errors are better."""
    return float(np.average(p.argmax(axis=1) != y, weights=w)) + 1e-5 * log_loss(y, p, w)


def log_loss(y: np.ndarray, p: np.ndarray, w: Any) -> float:
    """Mean of ``-log p`` of the true classes."""
    return float(np.average(-np.log(np.maximum(p[np.arange(len(y)), y], _TINY)), weights=w))


def auc(y: np.ndarray, p: np.ndarray, w: Any) -> float:
    """Area under the ROC curve; of more than two classes the mean of one against the rest, over those that occur.

    NaN where only one occurs.
    """
    classes = np.unique(y)
    if len(classes) < 2:
        return np.nan
    if p.shape[1] == 2:
        return float(roc_auc_score(y, p[:, 1], sample_weight=w))
    return float(np.mean([roc_auc_score(y == k, p[:, k], sample_weight=w) for k in classes]))


def one_minus_auc(y: np.ndarray, p: np.ndarray, w: Any) -> float:
    """1 - area under the ROC curve; where only one class occurs, the log-loss."""
    area = auc(y, p, w)
    return log_loss(y, p, w) if np.isnan(area) else 1 - area


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
        What the best epochs are chosen by.
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
    share : callable, optional
        The score of predictions, where this is not minus `measure`.
    """

    measure: Measure
    loss: str
    smooths: bool = False
    output: str = "identity"
    learning_rate: float = 0.04
    smooth: Measure | None = None
    share: Measure | None = None

    def score(self, y: np.ndarray, predictions: np.ndarray, weights: Any) -> float:
        """The metric itself, greater is better."""
        if self.share is not None:
            return self.share(y, predictions, weights)
        return -self.measure(y, predictions, weights)


CLASSIFICATION = {
    "accuracy": Metric(error_rate, "cross_entropy", True, "softmax", smooth=log_loss, share=accuracy),
    "log_loss": Metric(log_loss, "cross_entropy", False, "softmax"),
    "roc_auc": Metric(one_minus_auc, "cross_entropy", False, "softmax", smooth=log_loss, share=auc),
}
REGRESSION = {
    "rmse": Metric(rmse, "squared_error", learning_rate=0.2),
    "mae": Metric(mae, "absolute_error", learning_rate=0.2),
    "poisson": Metric(poisson_deviance, "poisson", output="exponential"),
}
