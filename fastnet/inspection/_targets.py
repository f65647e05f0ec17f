"""What a diagnosis measures about the targets of a regression, and how well they are predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._models import Array, ModelView
from ..activations import Outputs
from ..losses import Loss, Quantile

__all__ = ["TargetStatistics", "target_statistics"]


@dataclass(frozen=True)
class TargetStatistics:
    """Targets of a regression, as the network is trained on them, and losses, averaged over rows and outputs.

    Attributes
    ----------
    means, deviations : ndarray of shape (n_targets,)
        Of each column of y.
    standardisable : bool
        Whether the targets may be rescaled, unlike the counts that the Poisson loss needs.
    model_loss : float
        Loss of the model on these rows.
    constant_loss : float
        Loss of the best prediction that is the same for all rows.
    n_epochs : int or None
        Epochs (L-BFGS: iterations) that the model was trained for, if it keeps that number.
    tol : float or None
        Training ended when the loss improved by less than this.
    """

    means: Array
    deviations: Array
    standardisable: bool
    model_loss: float
    constant_loss: float
    n_epochs: int | None
    tol: float | None


def target_statistics(view: ModelView, predicted: Array, y: Array | None, loss: Loss) -> TargetStatistics | None:
    """Measure targets and predictions (n_rows, n[L]); None without targets or for a classifier."""
    if y is None or loss.needs >= Outputs.UNIT or view.classes is not None:
        return None
    targets = np.asarray(view.targets(y), dtype=np.float64).reshape(len(predicted), -1)
    levels = loss.levels if isinstance(loss, Quantile) else (0.5,)
    n_each = predicted.shape[1] // targets.shape[1]
    of_outputs = np.repeat(targets, n_each, axis=1)
    quantiles = np.quantile(targets, levels[:n_each], axis=0).T.reshape(1, -1)
    with np.errstate(all="ignore"):
        constants = np.mean(of_outputs, axis=0, keepdims=True), quantiles
        return TargetStatistics(
            means=targets.mean(axis=0),
            deviations=targets.std(axis=0),
            standardisable=loss.name != "poisson",
            model_loss=_mean_loss(loss, predicted, of_outputs),
            constant_loss=float(
                np.nanmin([_mean_loss(loss, np.broadcast_to(c, predicted.shape), of_outputs) for c in constants])
            ),
            n_epochs=view.n_epochs,
            tol=view.tol,
        )


def _mean_loss(loss: Loss, predicted: Array, targets: Array) -> float:
    return float(np.mean(loss.elementwise(predicted, targets)))
