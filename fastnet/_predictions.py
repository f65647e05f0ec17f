"""Predictions in the form of y, and how good they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnet import losses
from fastnet._outputs import both_classes, r2
from fastnet._rows import dataset
from fastnet.activations import Outputs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnet._data import MatrixLike
    from fastnet.network import Network


def predict(self: Network, X: MatrixLike) -> np.ndarray:
    """Predictions in the form of y.

    Parameters
    ----------
    X : array-like or scipy.sparse matrix
        As for `forward`, but NaN and infinity are refused.

    Returns
    -------
    ndarray of shape (m,), or (m, n_outputs) where there are several outputs that are no class probabilities
        softmax: class numbers, of each position if the outputs have positions (-1 of those that a row does not have);
        sigmoid: 0 or 1; otherwise A[L]. One datapoint gives one entry.
    """
    A = _decide(self, self._forward(X, check_finite=True))
    return A[..., 0] if self.n_outputs == 1 else A


def predict_proba(self: Network, X: MatrixLike) -> np.ndarray:
    """Probabilities of the classes.

    Parameters
    ----------
    X : array-like or scipy.sparse matrix
        As for `predict`.

    Returns
    -------
    ndarray of shape (m, n_outputs), or (m, 2) of one sigmoid output, of the network's dtype
        softmax: the probability of each class. One sigmoid output: of the classes 0 and 1. Several: each output's own
        probability of being 1. One datapoint gives one row.

    Raises
    ------
    ValueError
        Outputs that are no probabilities.
    """
    if self.output_activation.outputs < Outputs.UNIT:
        raise ValueError(
            f"predict_proba needs 'softmax' or 'sigmoid' outputs, got a network with {self.output_activation.name!r}: "
            "predict gives its values."
        )
    A = self._forward(X, check_finite=True)
    return A if self.n_outputs > 1 else both_classes(np.atleast_2d(A)).reshape(*A.shape[:-1], 2)


def score(self: Network, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """How well predictions meet targets: accuracy of softmax and sigmoid outputs, R2 of all others.

    Parameters
    ----------
    X : array-like or scipy.sparse matrix of shape (m, n_inputs)
    y : array-like of shape (m,) or (m, n_outputs)
        As for `fit`. Of rows of probabilities, the largest is the class.
    sample_weight : array-like of shape (m,), optional

    Returns
    -------
    float
        1 at best. Accuracy: the share of rows (or of positions with a target) whose class is predicted, or all of whose
        labels are, with several sigmoid outputs. R2: ``1 - sum (y - A[L])^2 / sum (y - mean y)^2``, averaged over the
        outputs.

    Raises
    ------
    ValueError, TypeError
        Data that does not fit.
    """
    loss = losses.get(None, self.output_activation)
    X, y, w = dataset(self, X, y, sample_weight, loss, np.dtype(np.float64))
    A = self._outputs(X)
    if self._plan.n_positions > 1:
        right = (A.reshape(*y.shape, -1).argmax(axis=-1) == y).sum(axis=1)
        return float(np.average(right / (y >= 0).sum(axis=1).clip(1), weights=w))
    if self.output_activation.outputs < Outputs.UNIT:
        return r2(A, y, w)
    wrong = _decide(self, A) != (_decide(self, y) if y.ndim == 2 else y)
    return float(np.average(~wrong.reshape(len(y), -1).any(axis=1), weights=w))


def _decide(network: Network, A: np.ndarray) -> np.ndarray:
    """Class numbers from probabilities of classes (-1 where all are 0: a position that a row does not have), 0 or 1 from
    single ones, and values as they are."""
    if network.output_activation.outputs is Outputs.SIMPLEX:
        numbers = A.argmax(axis=-1)
        return np.where(A.any(axis=-1), numbers, -1) if network.ragged else numbers
    return (A > 0.5).astype(np.int64) if network.output_activation.outputs is Outputs.UNIT else A
