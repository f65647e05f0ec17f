"""Distributions of gradients and activations at one moment of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._models import Array, model_view
from ..losses import Loss
from ._statistics import sample_rows

__all__ = ["Snapshot", "snapshot"]

_MAX_VALUES = 2000


@dataclass(frozen=True)
class Snapshot:
    """Samples of the layers' activations and gradients, at most 2000 numbers per layer.

    Attributes
    ----------
    epoch : int
    layer_names : tuple of str
        Number and activation of each layer; for layers made of layers, and embeddings, of each operation that has parameters.
    activations : tuple of ndarray
        Values of A[l], flat.
    gradients : tuple of ndarray, or None
        Values of dW[l], flat, or of the gradient of an operation's first parameter; None without targets.
    """

    epoch: int
    layer_names: tuple[str, ...]
    activations: tuple[Array, ...]
    gradients: tuple[Array, ...] | None


def snapshot(model: Any, X: ArrayLike, y: ArrayLike | None = None, *, loss: str | Loss | None = None, epoch: int = 0) -> Snapshot:
    """Take the distributions of a model on given data.

    Parameters
    ----------
    model : Network or fitted estimator
    X : array-like of shape (n_rows, n_features)
        If there are more than 1000 rows, 1000 evenly spaced ones are used.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        Needed for the gradients.
    loss : str or Loss, default=None
        None takes the model's own.
    epoch : int, default=0
        The epoch that the snapshot is labelled with.

    Returns
    -------
    Snapshot
    """
    view = model_view(model, as_trained=True)
    view.assert_finite()
    rows, targets = sample_rows(*view.flat(X, y))
    Z, A = view.pass_of(view.checked(rows))
    parts = [part for part in view.parts if part.weight is not None]
    gradients = None
    if targets is not None:
        G = view.backward_pass(Z, A, view.output_gradient(Z[-1], targets, loss)[1])
        slopes = [part.weights(G.parameters) for part in parts]
        gradients = tuple(_thin(dW) for dW in slopes if dW is not None)
    names = tuple(f"{part.path}: {part.label}" for part in parts)
    return Snapshot(epoch, names, tuple(_thin(A[part.number]) for part in parts), gradients)


def _thin(values: Array) -> Array:
    """Return at most 2000 of the values, evenly spaced in size, the extremes included."""
    values = np.sort(values, axis=None)
    if values.size <= _MAX_VALUES:
        return values
    return values[np.linspace(0, values.size - 1, _MAX_VALUES).astype(np.intp)]
