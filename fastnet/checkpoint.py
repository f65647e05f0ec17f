"""Checkpoints: everything needed to continue a killed training run with identical bits, as safetensors files in a folder.

A checkpoint is a network file (`fastnet.load` returns its network) that also contains the optimiser's state, the random state,
the order of the rows, the step number for learning-rate schedules, the history, and the state of all callbacks.
"""

from __future__ import annotations

import math
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnet import _atomic, _checks
from fastnet._hints import takes_other_words
from fastnet.callbacks import Callback
from fastnet.persistence.runs import callback_name, load, resume, save, with_state

if TYPE_CHECKING:
    from fastnet._session import Session

__all__ = ["Checkpoint", "latest", "load", "resume", "save"]

BEST = "best.safetensors"
_NUMBERED = re.compile(r"epoch-(\d+)\.safetensors")


class Checkpoint(Callback):
    """Save the state of training every few epochs or seconds.

    The folder contains files such as `epoch-000012.safetensors`, the state after 12 epochs, and `best.safetensors` if asked for.
    To continue, call ``fit(..., resume_from=fastnet.checkpoint.latest(folder))`` with the same data, options and callbacks. If
    the folder has no checkpoint yet, training starts from the beginning, so that the same script can start and continue a run.

    Parameters
    ----------
    folder : path-like
        Created if it does not exist.
    every_epochs : int, optional
        Save after this number of epochs; 1 if neither this nor `every_seconds` is given.
    every_seconds : float, optional
        Save at the end of the first epoch after this number of seconds.
    keep_last : int
        Number of newest checkpoints to keep.
    keep_best : bool
        Also keep the state of the epoch with the smallest validation loss (training loss if there is no validation data).

    Notes
    -----
    Give it as the last callback: the state of callbacks after it would be saved before they have seen the epoch. A file has the
    size of the parameters and of the optimiser's state, and is flushed to the disk.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> y = (X[:, 0] > 0).astype(int)
    >>> def train(epochs):
    ...     net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(2, "softmax")], n_inputs=1, random_state=0)
    ...     saving, last = [fn.Checkpoint("run")], fn.checkpoint.latest("run")
    ...     return net.fit(X, y, epochs=epochs, callbacks=saving, resume_from=last, random_state=0)
    >>> len(train(2)), len(train(5))
    (2, 5)
    """

    @takes_other_words()
    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every_epochs: int | None = None,
        every_seconds: float | None = None,
        keep_last: int = 1,
        keep_best: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.every_epochs = None if every_epochs is None else _checks.positive_int(every_epochs, "every_epochs")
        self.every_seconds = None if every_seconds is None else _checks.real(every_seconds, "every_seconds", above=0.0)
        if every_epochs is None and every_seconds is None:
            self.every_epochs = 1
        self.keep_last = _checks.positive_int(keep_last, "keep_last")
        self.keep_best = keep_best
        self._best_value = math.inf
        self._saved_at = time.monotonic()

    def on_train_begin(self, session: Session) -> None:
        """Create the folder, and refuse one that contains another run's checkpoints."""
        after = session.callbacks[session.callbacks.index(self) + 1 :]
        if with_state(after):
            raise ValueError(f"Checkpoint must be the last callback, {', '.join(map(callback_name, after))} came after it.")
        self.folder.mkdir(parents=True, exist_ok=True)
        later = [path.name for epoch, path in _numbered(self.folder) if epoch > session.epoch]
        if later:
            raise FileExistsError(
                f"{self.folder} holds {later[-1]}, this run is at epoch {session.epoch}: give another folder, or continue with "
                "Network.fit(..., resume_from=fastnet.checkpoint.latest(folder)), which estimators do not have."
            )
        _atomic.remove_stale(self.folder)
        _ = session.identity  # of the data before any callback changes it
        self._saved_at = time.monotonic()

    def on_epoch_end(self, session: Session) -> None:
        """Save what is due; the best one first, so that a resumed run never relies on a best file that was not written."""
        values = session.history.val_loss or session.history.loss
        if all(map(math.isnan, values[:-1])):
            self._best_value = math.inf
        if self.keep_best and values[-1] < self._best_value:
            self._best_value = values[-1]
            save(session, self.folder / BEST)
        if self._due(session):
            save(session, self.folder / f"epoch-{session.epoch:06d}.safetensors")
            self._saved_at = time.monotonic()
            for _, path in _numbered(self.folder)[: -self.keep_last]:
                path.unlink(missing_ok=True)

    def _due(self, session: Session) -> bool:
        by_epochs = self.every_epochs is not None and session.epoch % self.every_epochs == 0
        by_seconds = self.every_seconds is not None and time.monotonic() - self._saved_at >= self.every_seconds
        return by_epochs or by_seconds

    def state_dict(self) -> dict[str, Any]:
        """The state that has to survive a restart."""
        return {"best_value": self._best_value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a `state_dict`."""
        self._best_value = state["best_value"]


def latest(folder: str | os.PathLike[str]) -> Path | None:
    """The newest checkpoint of a folder; None if it has none, or does not exist."""
    numbered = _numbered(Path(folder))
    return numbered[-1][1] if numbered else None


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """Epoch and path of each checkpoint except the best, oldest first."""
    if not folder.is_dir():
        return []
    matches = ((_NUMBERED.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in matches if match)
