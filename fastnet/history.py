"""What happened in training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastnet._session import EpochResult

#: Growth of the loss that is called divergence; what lies below the second number counts as that.
_GROWTH, _SMALLEST_LOSS = 1e3, 1e-6


@dataclass(repr=False)
class History:
    """Lists with one value for each epoch.

    Attributes
    ----------
    loss : list of float
        Mean training loss (of each batch before its update), without the L2 term.
    penalty : list of float
        Mean L2 term.
    val_loss : list of float
        Loss on the validation data after the epoch; empty without validation data, NaN for epochs before there were any.
    val_score : list of float
        Score on the validation data after the epoch, by which an estimator stops early; empty where the loss decides.
    learning_rate : list of float
        Learning rate of the last update.
    grad_norm : list of float
        Root mean square of the batches' gradient norms; NaN where it was not tracked.
    seconds : list of float
        Time spent in the core.
    n_rows : list of int
        Datapoints seen.
    kept_epoch : int or None
        Index of the epoch whose parameters `EarlyStopping` put back; None where the last ones are kept.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> y = (X[:, 0] > 0).astype(int)
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(2, "softmax")], n_inputs=1, random_state=0)
    >>> history = net.fit(X, y, validation_data=(X, y), epochs=3, random_state=0)
    >>> len(history.loss), len(history.val_loss), history.n_rows
    (3, 3, [60, 60, 60])
    """

    loss: list[float] = field(default_factory=list)
    penalty: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_score: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    n_rows: list[int] = field(default_factory=list)
    kept_epoch: int | None = None

    def append(self, result: EpochResult) -> None:
        """Add one epoch."""
        self.loss.append(result.loss)
        self.penalty.append(result.penalty)
        self.learning_rate.append(result.learning_rate)
        self.grad_norm.append(result.grad_norm)
        self.seconds.append(result.seconds)
        self.n_rows.append(result.n_rows)

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def best_epoch(self) -> int:
        """Index of the best epoch, from 0: the one that was kept, or else that of the greatest validation score, of the least
        validation loss, or of the least training loss, whichever of these exists first; -1 without any."""
        if self.kept_epoch is not None:
            return self.kept_epoch
        values = -np.array(self.val_score) if self.val_score else np.array(self.val_loss or self.loss)
        return int(np.nanargmin(values)) if not np.isnan(values).all() else -1

    def as_dict(self) -> dict[str, list[float]]:
        """All lists, by name; ``History(**d)`` is the way back."""
        return {name: list(values) for name, values in vars(self).items() if isinstance(values, list)}

    def as_arrays(self) -> dict[str, np.ndarray]:
        """All lists as vectors, by name; `from_arrays` is the way back."""
        return {name: np.array(values) for name, values in self.as_dict().items()}

    @classmethod
    def from_arrays(cls, curves: Mapping[str, np.ndarray], kept_epoch: int | None = None) -> History:
        """The history with these vectors.

        Raises
        ------
        ValueError, TypeError
            A name that it does not have, or something other than a vector.
        """
        if not all(isinstance(values, np.ndarray) and values.ndim == 1 for values in curves.values()):
            raise ValueError("the curves of a history are vectors")
        return cls(**{name: values.tolist() for name, values in curves.items()}, kept_epoch=kept_epoch)

    def __repr__(self) -> str:
        from fastnet._summary import history_text

        return history_text(self)

    def _repr_html_(self) -> str:
        from fastnet._summary import history_html

        return history_html(self)


def growth(losses: Sequence[float]) -> str | None:
    """The warning to give if the last loss is far above the first; None if it is not."""
    if not losses or not losses[-1] > _GROWTH * max(losses[0], _SMALLEST_LOSS):
        return None
    return (
        f"Training diverged: the loss grew from {losses[0]:.3g} in the first epoch to {losses[-1]:.3g} in the last. Lower the "
        "learning rate, standardise the features (and the targets of a regression), or set max_grad_norm."
    )
