"""Callbacks between epochs.

A callback has three methods, called with the running session: ``on_train_begin``, ``on_epoch_end`` (True stops training) and
``on_train_end``, which is called however training ends. They can read the session's `network`, `epoch`, `step`, `result` and
`history`. A callback with a state of its own returns it from ``state_dict()`` and restores it in ``load_state_dict(d)``, so that
checkpoints can contain it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _checks
from fastnet._hints import takes_other_words

if TYPE_CHECKING:
    from fastnet._session import Session


class Callback:
    """Does nothing; override the methods that you need.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> y = (X[:, 0] > 0).astype(int)
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(2, "softmax")], n_inputs=1, random_state=0)
    >>> class GoodEnough(fn.Callback):
    ...     def on_epoch_end(self, session):
    ...         return session.history.loss[-1] < 0.3
    >>> history = net.fit(X, y, optimizer=fn.Adam(0.02), epochs=500, callbacks=[GoodEnough()], random_state=0)
    >>> len(history) < 500
    True
    """

    def on_train_begin(self, session: Session) -> None:
        """Called before the first epoch."""

    def on_epoch_end(self, session: Session) -> bool | None:
        """Called after each epoch; return True to stop training."""

    def on_train_end(self, session: Session) -> None:
        """Called after the last epoch, also after an error or an interrupt."""


class EarlyStopping(Callback):
    """Stop when a loss no longer decreases, and restore the best parameters.

    Parameters
    ----------
    monitor : {"val_loss", "loss"}
        The loss that is watched, by its name in the session's history.
    patience : int
        Number of epochs without improvement after which training stops.
    min_delta : float
        Smallest decrease of the loss that counts as an improvement.
    restore_best : bool
        End with the parameters of the best epoch.
    each_member : bool
        For a packed ensemble: keep for each member the parameters of its own best epoch by validation loss, and stop when no
        member has improved for `patience` epochs.

    Attributes
    ----------
    best_epoch : int
        Index of the best epoch, counted from 0; -1 before the first one.
    best_value : float
        Its loss; with `each_member` the mean of the members' least losses.
    best_values : ndarray of shape (n_members,) or None
        Least loss of each member, with `each_member`.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> y = (X[:, 0] > 0).astype(int)
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(2, "softmax")], n_inputs=1, random_state=0)
    >>> stopping = fn.EarlyStopping(patience=5)
    >>> history = net.fit(X[::2], y[::2], validation_data=(X[1::2], y[1::2]), epochs=20, callbacks=[stopping], random_state=0)
    >>> stopping.best_epoch == history.val_loss.index(min(history.val_loss))
    True
    """

    @takes_other_words()
    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        restore_best: bool = True,
        each_member: bool = False,
    ) -> None:
        if monitor not in ("val_loss", "loss"):
            raise ValueError(f"monitor must be 'val_loss' or 'loss', got {monitor!r}.")
        self.monitor = monitor
        self.patience = _checks.positive_int(patience, "patience")
        self.min_delta = _checks.real(min_delta, "min_delta", minimum=0.0)
        self.restore_best = _checks.boolean(restore_best, "restore_best")
        self.each_member = _checks.boolean(each_member, "each_member")
        if each_member and (monitor != "val_loss" or not restore_best):
            raise ValueError(
                "each_member=True keeps each member's best epoch by val_loss: leave monitor and restore_best as they are."
            )
        self._forget()

    def _forget(self) -> None:
        self.best_epoch = -1
        self.best_value = math.inf
        self.best_values: np.ndarray | None = None
        self._waited = 0
        self._best_params: np.ndarray | None = None

    def on_train_begin(self, session: Session) -> None:
        if session.epoch == 0:
            self._forget()
        elif self._waited >= self.patience:  # restored from the state just before training stopped
            session.stop_requested = True

    def on_epoch_end(self, session: Session) -> bool:
        values = getattr(session.history, self.monitor)
        if not values:
            raise ValueError(
                "EarlyStopping watches val_loss, but there is none: give Network.fit validation_data=(X, y), or an estimator "
                "early_stopping=True, or use monitor='loss'."
            )
        self._waited += 1
        if self.each_member:
            self._judge_members(session)
        elif values[-1] < self.best_value - self.min_delta:
            self.best_epoch, self.best_value, self._waited = session.epoch - 1, values[-1], 0
            if self.restore_best:
                self._keep(session.network.params)
        return self._waited >= self.patience

    def _judge_members(self, session: Session) -> None:
        """Keep the parameters of each member whose validation loss is its least so far."""
        network = session.network
        losses = session.member_losses()
        if self.best_values is None:
            self.best_values = np.full(network.n_members, np.inf)
            self._keep(network.params)
        better = losses < self.best_values - self.min_delta
        if better.any():
            self.best_epoch, self._waited = session.epoch - 1, 0
            assert self._best_params is not None
            for kept, view in zip(network.views(self._best_params).values(), network.parameters.values(), strict=True):
                network.parts_of(kept)[better] = network.parts_of(view)[better]
        self.best_values = np.where(better, losses, self.best_values)
        self.best_value = float(self.best_values.mean())

    def _keep(self, params: np.ndarray) -> None:
        if self._best_params is None:
            self._best_params = np.empty_like(params)
        np.copyto(self._best_params, params)

    def on_train_end(self, session: Session) -> None:
        if self._best_params is not None:
            np.copyto(session.network.params, self._best_params)
            session.history.kept_epoch = self.best_epoch

    def state_dict(self) -> dict[str, Any]:
        """The state that has to survive a restart."""
        return {
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            **({"best_values": self.best_values} if self.each_member else {}),
            "waited": self._waited,
            "best_params": None if self._best_params is None else self._best_params.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a `state_dict`."""
        self.best_epoch, self.best_value, self._waited = state["best_epoch"], state["best_value"], state["waited"]
        self.best_values = state.get("best_values")
        self._best_params = None if state["best_params"] is None else np.array(state["best_params"])


class ProgressBar(Callback):
    """A tqdm bar of the rows seen, with losses, validation score, rows per second and time left.

    Parameters
    ----------
    **options
        Passed to ``tqdm.auto.tqdm``: ``desc``, ``leave``, ``file``, ....
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._bar: Any = None

    def on_train_begin(self, session: Session) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("A progress bar needs tqdm: pip install tqdm, or leave progress=True out.") from None
        options = {"desc": "training", "unit": " rows", "unit_scale": True, **self._options}
        self._bar = tqdm(total=session.planned_rows, initial=sum(session.history.n_rows), **options)

    def on_epoch_end(self, session: Session) -> None:
        history = session.history
        curves = {name: getattr(history, name) for name in ("loss", "val_loss", "val_score")}
        last = {name: f"{values[-1]:.4g}" for name, values in curves.items() if values}
        self._bar.set_postfix({"epoch": session.epoch, **last}, refresh=False)
        self._bar.total = session.planned_rows  # which a callback before may have changed
        self._bar.update(history.n_rows[-1])

    def on_train_end(self, session: Session) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
