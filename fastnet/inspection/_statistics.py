"""What a diagnosis measures of each layer and of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._models import Array, Gradients, ModelView, Part, dense_rows
from ..layers.dense import Linear
from ..losses import Loss
from ._targets import TargetStatistics

__all__ = ["InputStatistics", "LayerStatistics", "layer_statistics", "input_scales", "sample_rows"]

MAX_ROWS = 1000
MIN_ROWS = 20

_SATURATING = {"sigmoid": 0.25, "tanh": 1.0}  # activation -> its largest derivative
_CAN_DIE = ("relu", "elu", "selu", "gelu", "silu", "mish", "hardswish", "softplus")
_SATURATED_BELOW = 0.05  # share of the largest derivative
_ROWS_OF_A_SATURATED_UNIT = 0.95
_DEAD_BELOW = 1e-3


@dataclass(frozen=True)
class InputStatistics:
    """Scales of the features, and the targets.

    Attributes
    ----------
    n_rows : int
        Number of rows that were used.
    scales : ndarray of shape (n_features,)
        Root mean square of each feature, except features that are only table indices or only sorted into bins.
    targets : TargetStatistics or None
        Of a regression.
    """

    n_rows: int
    scales: Array
    targets: TargetStatistics | None


@dataclass(frozen=True)
class LayerStatistics:
    """One layer on the data. Norms are root mean squares over all elements unless stated otherwise.

    Attributes
    ----------
    layer : int or str
        From 1 to L; for an operation inside a layer also its position there, as in "2.1".
    activation : str
        Name of the activation, or of the operation if it has none.
    n_units : int
        In an ensemble, the units of all members.
    dead_share : float or None
        Share of units whose derivative is 0 (below 0.001) on every row: ReLU and its smooth relatives, hidden layers
        only, on at least 20 rows.
    saturated_share : float or None
        Share of units whose derivative is below 5 % of its maximum on 95 % of the rows: sigmoid and tanh, hidden layers
        only, on at least 20 rows.
    weight_scale : float or None
        Size of its first parameter, if it has any.
    activation_scale : float
    activation_spread : float
        Standard deviation over the rows, as root mean square over the units: how much of the inputs' variation is left.
    signal_gradient : float
        Euclidean norm of ``dZ[l]``: of the loss where targets are given, of a random sum of the outputs otherwise.
    gradient_scale : float or None
        Size of ``dW[l]``, or of the gradient of its first parameter, if targets are given.
    update_ratio : float or None
        Size of one update of the weights relative to the weights, where it is known.
    finite : bool
        Whether parameters and activations are all finite.
    identical_units : bool
        Whether the layer has several units, all with the same weights and bias.
    only_way : bool
        Whether everything that reaches the output passes through this layer, and nothing bypasses it in another branch.
    """

    layer: int | str
    activation: str
    n_units: int
    dead_share: float | None
    saturated_share: float | None
    weight_scale: float | None
    activation_scale: float
    activation_spread: float
    signal_gradient: float
    gradient_scale: float | None
    update_ratio: float | None
    finite: bool
    identical_units: bool
    only_way: bool


def sample_rows(X: Any, y: Any, max_rows: int = MAX_ROWS) -> tuple[Array, Array | None]:
    """Return at most `max_rows` rows of `X` (made dense) and `y`, evenly spaced.

    Raises
    ------
    ValueError
        If there are no rows, or `X` and `y` have different numbers of rows.
    """
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if n_rows == 0:
        raise ValueError("X has no rows: give the data to examine the network on.")
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
    update_ratios: Sequence[float | None] | None = None,
) -> list[LayerStatistics]:
    """Measure every part of the model.

    Parameters
    ----------
    view : ModelView
    Z, A : list of ndarray of shape (n_rows, n[l])
        Its `forward_pass`.
    y : ndarray of shape (n_rows,) or (n_rows, n[L]), or None
    loss : str, Loss or None
    learning_rate : float or None
        None takes the estimator's own.
    update_ratios : sequence of float or None, or None
        Measured ratios of the parts, where they are known; otherwise they follow from the learning rate.

    Returns
    -------
    list of LayerStatistics
    """
    parts = view.parts
    weights = [part.weights(view.parameters) for part in parts]
    finite = [_finite(*_own_parameters(view, part), A[part.number]) for part in parts]
    G = _gradients(view, Z, A, y, loss) if all(finite) and np.isfinite(Z[-1]).all() else None
    slopes = [None if G is None or y is None else part.weights(G.parameters) for part in parts]
    if update_ratios is None:
        update_ratios = _update_ratios(view, weights, slopes, learning_rate)
    return [
        LayerStatistics(
            layer=int(part.path) if part.path.isdecimal() else part.path,
            activation=part.label,
            n_units=A[part.number].shape[1],
            dead_share=_dead_share(view, part, Z) if finite[k] else None,
            saturated_share=_saturated_share(view, part, Z) if finite[k] else None,
            weight_scale=_rms_if_any(weights[k]),
            activation_scale=_rms(A[part.number]),
            activation_spread=_rms(A[part.number].std(axis=0)) if finite[k] else np.nan,
            signal_gradient=np.nan if G is None else float(np.linalg.norm(G.dZ[part.number - 1])),
            gradient_scale=_rms_if_any(slopes[k]),
            update_ratio=update_ratios[k],
            finite=finite[k],
            identical_units=_identical_units(view, part),
            only_way=part.only_way,
        )
        for k, part in enumerate(parts)
    ]


def _own_parameters(view: ModelView, part: Part) -> list[Array]:
    return list(view.graph.arrays(part.node, view.parameters).values())


def _gradients(view: ModelView, Z: list[Array], A: list[Array], y: Array | None, loss: str | Loss | None) -> Gradients:
    if y is None:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=Z[-1].shape)
        return view.backward_pass(Z, A, signs / len(signs))
    return view.backward_pass(Z, A, view.output_gradient(Z[-1], y, loss)[1])


def _update_ratios(
    view: ModelView, weights: Sequence[Array | None], slopes: Sequence[Array | None], learning_rate: float | None
) -> list[float | None]:
    """Estimate one step's size: that of plain gradient descent, or the learning rate itself for normalised steps."""
    rate = view.learning_rate if learning_rate is None else learning_rate

    def ratio(W: Array | None, dW: Array | None) -> float | None:
        if rate is None or W is None or dW is None:
            return None
        step, scale = (1.0 if view.has_normalised_steps else _rms(dW)), _rms(W)
        return rate * step / scale if scale else np.nan

    return [ratio(W, dW) for W, dW in zip(weights, slopes, strict=True)]


def _dead_share(view: ModelView, part: Part, Z: list[Array]) -> float | None:
    activation, z = view.activations[part.number - 1], Z[part.number - 1]
    if part.number == len(Z) or activation.name not in _CAN_DIE or len(z) < MIN_ROWS:
        return None
    return float(np.mean(np.abs(activation.derivative(z)).max(axis=0) < _DEAD_BELOW))


def _saturated_share(view: ModelView, part: Part, Z: list[Array]) -> float | None:
    activation, z = view.activations[part.number - 1], Z[part.number - 1]
    if part.number == len(Z) or activation.name not in _SATURATING or len(z) < MIN_ROWS:
        return None
    small = activation.derivative(z) < _SATURATED_BELOW * _SATURATING[activation.name]
    return float(np.mean(small.mean(axis=0) >= _ROWS_OF_A_SATURATED_UNIT))


def _identical_units(view: ModelView, part: Part) -> bool:
    """Tell whether a dense layer, whose weights have units as last axis, has several units that are all the same."""
    if not isinstance(part.node.operation, Linear):
        return False
    arrays = _own_parameters(view, part)
    return all(array.shape[-1] > 1 and (array == array[..., :1]).all() for array in arrays)


def _finite(*arrays: Array) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays)


def _rms_if_any(values: ArrayLike | None) -> float | None:
    return None if values is None else _rms(values)


def _rms(values: ArrayLike) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=np.float64)))))
