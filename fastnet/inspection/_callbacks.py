"""Inspection while training runs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from .._hints import takes_other_words
from .._models import model_view
from ..callbacks import Callback
from ..losses import Loss
from ._diagnosis import Diagnosis, diagnose
from ._snapshot import Snapshot, snapshot

if TYPE_CHECKING:
    from .._session import Session

__all__ = ["DiagnosisCallback", "DiagnosisWarning", "Recorder"]


class DiagnosisWarning(UserWarning):
    """Something keeps the network from learning."""


class DiagnosisCallback(Callback):
    """Diagnose the network during training, and warn once, at the first finding.

    Parameters
    ----------
    X, y : array-like
        Data to diagnose it on, as for `diagnose`; part of the training data is enough.
    loss : str or Loss, default=None
        The loss that is minimised; None takes the canonical one of the output activation.
    every : int, default=1
        Number of epochs from one diagnosis to the next.

    Attributes
    ----------
    diagnosis_ : Diagnosis
        The latest one; after a warning, the one that the warning is about.

    Notes
    -----
    The size of an update is measured: the change in a layer's weights since the previous diagnosis, divided by the square root
    of the number of updates (as if they were independent) and by the size of the weights.
    """

    @takes_other_words()
    def __init__(self, X: ArrayLike, y: ArrayLike | None = None, *, loss: str | Loss | None = None, every: int = 1) -> None:
        self.X = X
        self.y = y
        self.loss = loss
        self.every = _checks.positive_int(every, "every")
        self.diagnosis_: Diagnosis | None = None

    def on_train_begin(self, session: Session) -> None:
        """Remember where training starts."""
        self._warned = False
        self._remember(session)

    def on_epoch_end(self, session: Session) -> None:
        """Diagnose the network, and warn at the first finding.

        Warns
        -----
        DiagnosisWarning
            What was found and what to change.
        """
        if self._warned or session.epoch % self.every:
            return
        self.diagnosis_ = diagnose(session.network, self.X, self.y, loss=self.loss, update_ratios=self._update_ratios(session))
        self._remember(session)
        if not self.diagnosis_.healthy:
            self._warned = True
            warnings.warn(f"After epoch {session.epoch}: {_advice(self.diagnosis_)}", DiagnosisWarning, stacklevel=2)

    def _remember(self, session: Session) -> None:
        parts = model_view(session.network).parts
        weights = [part.weights(session.network.parameters) for part in parts]
        self._before = [None if W is None else (W, W.copy()) for W in weights]
        self._step = session.step

    def _update_ratios(self, session: Session) -> list[float | None]:
        n_updates = max(session.step - self._step, 1)

        def ratio(now: np.ndarray, before: np.ndarray) -> float:
            norm, move = (float(np.linalg.norm(W)) for W in (before, now - before))
            return move / norm / np.sqrt(n_updates) if norm else np.nan

        return [None if part is None else ratio(*part) for part in self._before]


class Recorder(Callback):
    """Keep snapshots of gradients and activations over training, for `fastnet.plotting`.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        Data to record the network on; if there are more than 1000 rows, 1000 of them are used.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        Needed for the gradients.
    loss : str or Loss, default=None
        None takes the canonical one of the output activation.
    every : int, default=1
        Number of epochs from one snapshot to the next.

    Attributes
    ----------
    snapshots : list of Snapshot
        The first is of the untrained network, as epoch 0.
    """

    @takes_other_words()
    def __init__(self, X: ArrayLike, y: ArrayLike | None = None, *, loss: str | Loss | None = None, every: int = 1) -> None:
        self.X = X
        self.y = y
        self.loss = loss
        self.every = _checks.positive_int(every, "every")
        self.snapshots: list[Snapshot] = []

    def record(self, model: Any, epoch: int | None = None) -> Snapshot:
        """Add a snapshot of any model, for loops of your own, for example over ``partial_fit``.

        Parameters
        ----------
        model : Network or fitted estimator
        epoch : int, default=None
            None takes the number after the last snapshot's.
        """
        if epoch is None:
            epoch = self.snapshots[-1].epoch + 1 if self.snapshots else 0
        self.snapshots.append(snapshot(model, self.X, self.y, loss=self.loss, epoch=epoch))
        return self.snapshots[-1]

    def on_train_begin(self, session: Session) -> None:
        """Record the network before training."""
        self.snapshots = []
        self.record(session.network, session.epoch)

    def on_epoch_end(self, session: Session) -> None:
        """Record the network after the epoch."""
        if session.epoch % self.every == 0:
            self.record(session.network, session.epoch)


def _advice(diagnosis: Diagnosis) -> str:
    findings = " ".join(f"{finding.what} {finding.change}" for finding in diagnosis.findings)
    return f"{diagnosis.verdict}. {findings} For details see the callback's diagnosis_."
