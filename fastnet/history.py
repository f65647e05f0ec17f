"""What happened in training, epoch by epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastnet._session import EpochResult


@dataclass
class History:
    """Lists with one value for each epoch.

    Attributes
    ----------
    loss : list of float
        Mean training loss (of each batch before its update), without the L2 term.
    penalty : list of float
        Mean L2 term.
    val_loss : list of float
        Loss on the validation data after the epoch; empty without validation data.
    learning_rate : list of float
        Learning rate of the last update.
    grad_norm : list of float
        Root mean square of the batches' gradient norms; NaN where it was not tracked.
    seconds : list of float
        Time spent in the core.
    n_rows : list of int
        Number of rows that were trained on.
    """

    loss: list[float] = field(default_factory=list)
    penalty: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    n_rows: list[int] = field(default_factory=list)

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
        """Index of the epoch with the smallest validation loss (training loss if there is none); -1 for an empty history."""
        values = self.val_loss or self.loss
        return int(np.argmin(values)) if values else -1

    def as_dict(self) -> dict[str, list[float]]:
        """All lists by name; ``History(**d)`` makes a history from them."""
        return asdict(self)
