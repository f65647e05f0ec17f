"""What a diagnosis measures of each layer and of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._models import Array, Gradients, ModelView, dense_rows
from ..losses import Loss
from ._targets import TargetStatistics

__all__ = ["InputStatistics", "LayerStatistics", "layer_statistics", "input_scales", "sample_rows"]

MAX_ROWS = 1000
MIN_ROWS = 20

_SATURATING = {"sigmoid": 0.25, "tanh": 1.0}  # activation -> its largest derivative
_CAN_DIE = ("relu", "elu", "selu", "gelu", "silu", "mish", "softplus")
_SATURATED_BELOW = 0.05  # share of the largest derivative
_ROWS_OF_A_SATURATED_UNIT = 0.95
_DEAD_BELOW = 1e-3


@dataclass(frozen=True)
class InputStatistics:
    """Scales of the features, and the targets.

    Attributes
    ----------
    n_rows : int
        Rows that were looked at.
    scales : ndarray of shape (n_features,)
        Root mean square of each feature.
    targets : TargetStatistics or None
        Of a regression.
    """

    n_rows: int
    scales: Array
    targets: TargetStatistics | None


@dataclass(frozen=True)
class LayerStatistics:
    """One layer on the data, norms being root mean squares over all elements unless said otherwise.

    Attributes
    ----------
    layer : int
        From 1 to L.
    activation : str
    n_units : int
    dead_share : float or None
        Share of units whose derivative is 0 (below 0.001) on every row: ReLU and its smooth relatives, hidden layers
        only, on at least 20 rows.
    saturated_share : float or None
        Share of units whose derivative is below 5 % of its maximum on 95 % of the rows: sigmoid and tanh, hidden layers
        only, on at least 20 rows.
    weight_scale : float
    activation_scale : float
    activation_spread : float
        Root mean square over the units of the standard deviation over the rows: what is left of the inputs' variation.
    signal_gradient : float
        Euclidean norm of ``dZ[l]``: of the loss where targets are given, of a random sum of the outputs otherwise.
    gradient_scale : float or None
        ``dW[l]``, where targets are given.
    update_ratio : float or None
        Size of one update of the weights relative to the weights, where it is known.
    finite : bool
        Whether parameters and activations are all finite.
    identical_units : bool
        Whether all units of a layer of several have the same weights and bias.
    """

    layer: int
    activation: str
    n_units: int
    dead_share: float | None
    saturated_share: float | None
    weight_scale: float
    activation_scale: float
    activation_spread: float
    signal_gradient: float
    gradient_scale: float | None
    update_ratio: float | None
    finite: bool
    identical_units: bool


def sample_rows(X: Any, y: Any, max_rows: int = MAX_ROWS) -> tuple[Array, Array | None]:
    """Return at most `max_rows` rows of `X` (made dense) and `y`, evenly spaced.

    Raises
    ------
    ValueError
        If there are no rows, or `y` has another number of them.
    """
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if n_rows == 0:
        raise ValueError("X has no rows: give the data that the network is to be looked at with.")
    if y is not None and len(y) != n_rows:
        raise ValueError(f"X has {n_rows} rows, but y has {len(y)}.")
    if n_rows <= max_rows:
        return dense_rows(X), None if y is None else np.asarray(y)
    rows = np.linspace(0, n_rows - 1, max_rows).astype(np.intp)
    picked = X.iloc[rows] if hasattr(X, "iloc") else (X if hasattr(X, "shape") else np.asarray(X))[rows]
    return dense_rows(picked), None if y is None else np.asarray(y)[rows]


def input_scales(X: Array) -> Array:
    """Root mean square of each feature."""
    with np.errstate(over="ignore"):
        return np.sqrt(np.mean(X**2, axis=0))


def layer_statistics(
    view: ModelView,
    Z: list[Array],
    A: list[Array],
    y: Array | None,
    *,
    loss: str | Loss | None = None,
    learning_rate: float | None = None,
    update_ratios: Sequence[float] | None = None,
) -> list[LayerStatistics]:
    """Measure every layer of the model.

    Parameters
    ----------
    view : ModelView
    Z, A : list of ndarray of shape (n_rows, n[l])
        Its `forward_pass`.
    y : ndarray of shape (n_rows,) or (n_rows, n[L]), or None
    loss : str, Loss or None
    learning_rate : float or None
        None takes the estimator's own.
    update_ratios : sequence of float, or None
        Measured ratios of the layers, where they are known; otherwise they follow from the learning rate.

    Returns
    -------
    list of LayerStatistics
    """
    finite = [_finite(W, b, a) for W, b, a in zip(view.weights, view.biases, A[1:], strict=True)]
    G = _gradients(view, Z, A, y, loss) if all(finite) and np.isfinite(Z[-1]).all() else None
    if update_ratios is None and y is not None and G is not None:
        update_ratios = _update_ratios(view, G, learning_rate)
    return [
        LayerStatistics(
            layer=l + 1,
            activation=view.activations[l].name,
            n_units=view.sizes[l + 1],
            dead_share=_dead_share(view, l, Z[l]) if finite[l] else None,
            saturated_share=_saturated_share(view, l, Z[l]) if finite[l] else None,
            weight_scale=_rms(view.weights[l]),
            activation_scale=_rms(A[l + 1]),
            activation_spread=_rms(A[l + 1].std(axis=0)) if finite[l] else np.nan,
            signal_gradient=np.nan if G is None else float(np.linalg.norm(G.dZ[l])),
            gradient_scale=None if G is None or y is None else _rms(G.dW[l]),
            update_ratio=None if update_ratios is None else float(update_ratios[l]),
            finite=finite[l],
            identical_units=_identical_units(view, l),
        )
        for l in range(view.n_layers)
    ]


def _gradients(view: ModelView, Z: list[Array], A: list[Array], y: Array | None, loss: str | Loss | None) -> Gradients:
    if y is None:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=Z[-1].shape)
        return view.backward_pass(Z, A, signs / len(signs))
    return view.backward_pass(Z, A, view.output_gradient(Z[-1], y, loss)[1])


def _update_ratios(view: ModelView, G: Gradients, learning_rate: float | None) -> list[float] | None:
    """Estimate one step's size: that of plain gradient descent, or the learning rate itself for normalised steps."""
    rate = view.learning_rate if learning_rate is None else learning_rate
    if rate is None:
        return None
    steps = [1.0 if view.has_normalised_steps else _rms(dW) for dW in G.dW]
    scales = [_rms(W) for W in view.weights]
    return [rate * step / scale if scale else np.nan for step, scale in zip(steps, scales, strict=True)]


def _dead_share(view: ModelView, l: int, Z: Array) -> float | None:
    activation = view.activations[l]
    if l == view.n_layers - 1 or activation.name not in _CAN_DIE or len(Z) < MIN_ROWS:
        return None
    return float(np.mean(np.abs(activation.derivative(Z)).max(axis=0) < _DEAD_BELOW))


def _saturated_share(view: ModelView, l: int, Z: Array) -> float | None:
    activation = view.activations[l]
    if l == view.n_layers - 1 or activation.name not in _SATURATING or len(Z) < MIN_ROWS:
        return None
    small = activation.derivative(Z) < _SATURATED_BELOW * _SATURATING[activation.name]
    return float(np.mean(small.mean(axis=0) >= _ROWS_OF_A_SATURATED_UNIT))


def _identical_units(view: ModelView, l: int) -> bool:
    W, b = view.weights[l], view.biases[l]
    return bool(W.shape[1] > 1 and (W == W[:, :1]).all() and (b == b[0]).all())


def _finite(*arrays: Array) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays)


def _rms(values: ArrayLike) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=np.float64)))))
