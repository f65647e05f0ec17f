"""Training of one network of several members: best epochs, and a limit of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnet import optimizers
from fastnet.callbacks import Callback
from fastnet.history import History
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.tabular._choices import Choices
from fastnet.tabular._recipe import SHAPES, OfProgress, Progress, flat_then_cosine, rate_factors

#: The network's part of a split: prepared rows, targets as the network takes them, weights.
Part = tuple[np.ndarray, np.ndarray, "np.ndarray | None"]


class Deadline(Callback):
    """Ends training at `end`, a time of `time.monotonic`, with a schedule that is over by then.

    After each epoch the rest of the schedule is spread over the epochs there is time for, at most those that were planned.
    """

    def __init__(self, progress: Progress, n_epochs: int, end: float) -> None:
        self.progress, self.n_epochs, self.end = progress, n_epochs, end
        self.started = time.monotonic()

    def on_epoch_end(self, session: Any) -> bool:
        """Set the pace of the next epoch; True if there is none."""
        progress, now = self.progress, time.monotonic()
        progress.done = min(progress.done + progress.epoch, 1.0)
        progress.first_step = session.step
        left = self.n_epochs - session.epoch
        if np.isfinite(self.end):
            mean = (now - self.started) / session.epoch
            left = min(left, int((self.end - now) / mean))
        progress.epoch = (1 - progress.done) / max(left, 1)
        return left <= 0


@dataclass
class BestEpochs(Callback):
    """Keeps the parameters of each member's best epoch, the last of equals, and stops when none has improved for long.

    Attributes
    ----------
    judge : callable
        ``(network) -> badness of each member`` on validation rows.
    patience : float
        Epochs without improvement of any member that are waited for.
    scores : list of ndarray
        What `judge` said after each epoch.
    """

    judge: Callable[[Network], np.ndarray]
    patience: float = np.inf
    scores: list[np.ndarray] = field(default_factory=list)

    def on_train_begin(self, session: Any) -> None:
        """Before the first epoch nothing is good."""
        self.best = np.full(session.network.n_members, np.inf)
        self.params = session.network.params.copy()
        self.waited = 0

    def on_epoch_end(self, session: Any) -> bool:
        """Judge the members and keep those that are better than they were."""
        network = session.network
        found = self.judge(network)
        self.scores.append(found)
        session.history.val_loss.append(float(found.mean()))
        better = found <= self.best
        self.waited = 0 if (found < self.best).any() else self.waited + 1
        self.best = np.where(better, found, self.best)
        if network._together.kind == "packed":
            for kept, view in zip(network.views(self.params).values(), network.parameters.values(), strict=True):
                kept.reshape(network.n_members, -1)[better] = view.reshape(network.n_members, -1)[better]
        elif found.mean() <= np.min([scores.mean() for scores in self.scores]):
            self.params[:] = network.params
        return self.waited > self.patience

    def on_train_end(self, session: Any) -> None:
        """Put the best parameters back."""
        if self.scores:
            session.network.params[:] = self.params


def train(
    network: Network,
    part: Part,
    judge: Callable[[Network], np.ndarray] | None,
    choices: Choices,
    *,
    loss: Loss,
    end: float,
    seed: int,
    n_threads: int | None,
    progress: bool,
) -> History:
    """Train a network by the recipe.

    Parameters
    ----------
    network : Network
    part : (X, y, sample_weight)
    judge : callable, optional
        ``(network) -> badness of each member``; the best epochs are kept.
    choices : Choices
    loss : Loss
    end : float
        When training must be over, as `time.monotonic` says it.
    seed : int
    n_threads : int, optional
    progress : bool
        Show a progress bar.
    """
    X, y, sample_weight = part
    n_steps = -(-len(X) // min(choices.batch_size, len(X)))
    course = Progress(1 / choices.n_epochs, n_steps)
    watchers: list[Callback] = [] if judge is None else [BestEpochs(judge, choices.patience)]
    fading = {
        name: OfProgress(1.0, flat_then_cosine, course)
        for name, value in (("weight_decay", choices.weight_decay), ("dropout", choices.dropout))
        if value
    }
    return network.fit(
        X,
        y,
        loss=loss,
        sample_weight=sample_weight,
        optimizer=optimizers.Adam(beta2=choices.beta_2),
        learning_rate=OfProgress(choices.learning_rate, SHAPES[choices.schedule], course),
        learning_rate_factors=rate_factors(network),
        schedules=fading,
        weight_decay=choices.weight_decay,
        batch_size=choices.batch_size,
        epochs=choices.n_epochs,
        callbacks=[*watchers, Deadline(course, choices.n_epochs, end)],
        progress=progress,
        random_state=seed,
        n_threads=n_threads,
    )
