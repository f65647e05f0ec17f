"""Standardised targets: what a network with `scale_target` is trained on, and the way back to the units of y."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from ._targets import encode_values
from ._types import Regressor
from ._validation import Rows


def learn(known: StandardScaler | None, rows: Rows) -> StandardScaler:
    """A scaler that knows the mean and deviation of the targets of `rows`, and of those that `known` has seen.

    Raises
    ------
    ValueError
        Targets whose variance is too large a number.
    """
    scaler = StandardScaler() if known is None else copy.deepcopy(known)
    weights = np.ones(len(rows)) if rows.sample_weight is None else rows.sample_weight.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        scaler.partial_fit(_columns(rows.labels), sample_weight=weights)
    if not (np.isfinite(scaler.mean_) & np.isfinite(scaler.scale_)).all():
        raise ValueError(
            f"scale_target=True cannot standardise targets from {rows.labels.min():g} to {rows.labels.max():g}: their variance "
            "overflows. Divide y by a constant first."
        )
    return scaler


def standardised(scaler: StandardScaler, rows: Rows, loss: Any) -> Rows:
    """The rows with standardised targets."""
    y = (_columns(rows.labels) - scaler.mean_) / scaler.scale_
    return replace(rows, y=encode_values(y, loss, rows.y.dtype))


def _columns(y: np.ndarray) -> np.ndarray:
    return y.reshape(len(y), -1).astype(np.float64)


def in_units_of_y(estimator: Regressor, outputs: np.ndarray) -> np.ndarray:
    """What the outputs (m, n_outputs) of the estimator's network predict, rounded once."""
    if not hasattr(estimator, "target_scaler_"):
        return outputs
    mean, scale = _per_output(estimator)
    return (outputs * scale + mean).astype(outputs.dtype, copy=False)


def parameters_in_units_of_y(estimator: Regressor) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights and biases of a network whose outputs are in the units of y: the estimator's own, but for the last layer."""
    if not hasattr(estimator, "target_scaler_"):
        return estimator.coefs_, estimator.intercepts_
    (*coefs, W), (*intercepts, b) = estimator.coefs_, estimator.intercepts_
    W, b = output_in_units_of_y(estimator, W, b)
    return [*coefs, W], [*intercepts, b]


def output_in_units_of_y(estimator: Regressor, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of the last layer, for outputs in the units of y."""
    mean, scale = _per_output(estimator)
    return (W * scale).astype(W.dtype), (b * scale + mean).astype(b.dtype)


def _per_output(estimator: Regressor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation for each output; a target has several, where several quantiles are predicted."""
    scaler = estimator.target_scaler_
    n_each = estimator.n_outputs_ // len(scaler.mean_)
    return np.repeat(scaler.mean_, n_each), np.repeat(scaler.scale_, n_each)
