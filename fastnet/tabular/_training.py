"""Training of one network of several members: best epochs, and a limit of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fastnet import optimizers
from fastnet.callbacks import Callback
from fastnet.history import History
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.tabular._choices import Choices
from fastnet.tabular._recipe import SHAPES, Progress, flat_then_cosine, of_progress, rate_factors
from fastnet.tabular._time_limit import Deadline


class Trainable(Protocol):
    """Rows that a network can be trained on."""

    @property
    def sample(self) -> np.ndarray:
        """Features that show what all are like."""

    def __len__(self) -> int: ...

    def steps_per_epoch(self, batch_size: int) -> int:
        """Updates in a pass over the rows."""

    def deadline(self, *course: Any) -> Deadline:
        """What keeps training on them to a limit of time, with the parameters of `Deadline`."""

    def fit(self, network: Network, as_targets: Callable[[np.ndarray], np.ndarray], **options: Any) -> History:
        """Train a network on them, with these options of `Network.fit`."""


class EveryEpoch(Callback):
    """The members are judged after every epoch."""

    def wants_judgement(self) -> bool:
        """After every epoch."""
        return True

    def judged(self) -> None:
        """The members are judged now."""


@dataclass
class BestEpochs(Callback):
    """Averages the parameters of each member's best epochs and stops when none has improved for long.

    Attributes
    ----------
    judge : callable
        ``(network) -> badness of each member`` on validation rows.
    pace : EveryEpoch or Deadline
        Called before; it says after which epochs the members are judged.
    patience : float
        Epochs without improvement of any member that are waited for.
    n_best : int
        Epochs that are averaged.
    scores : list of ndarray
        What `judge` said after each epoch that was judged.
    """

    judge: Callable[[Network], np.ndarray]
    pace: EveryEpoch | Deadline
    patience: float = np.inf
    n_best: int = 1
    scores: list[np.ndarray] = field(default_factory=list)

    def on_train_begin(self, session: Any) -> None:
        """Before the first epoch nothing is good."""
        network = session.network
        self.waited, self.best = 0, np.full(network.n_members, np.inf)
        self.copies = [network.params.copy() for _ in range(self.n_best)]
        self.kept = [self._by_members(network, copy) for copy in self.copies]
        self.current = self._by_members(network, network.params)
        self.badness = np.full((self.n_best, len(self.current[0])), np.inf)

    @staticmethod
    def _by_members(network: Network, params: np.ndarray) -> list[np.ndarray]:
        """Views of all parameters, one for each member along the first axis; members that share parameters are one."""
        if network._together.kind != "packed":
            return [params[None]]
        return [network.parts_of(view) for view in network.views(params).values()]

    def on_epoch_end(self, session: Any) -> bool:
        """Judge the members, and keep those that are better than the worst that is kept of them."""
        if not self.pace.wants_judgement():
            session.history.val_loss.append(np.nan)
            return False
        found = self.judge(session.network)
        self.pace.judged()
        self.waited = 0 if (found < self.best).any() else self.waited + 1
        self.best = np.fmin(self.best, found)
        self.scores.append(found)
        session.history.val_loss.append(float(found.mean()))
        self._keep(found if len(found) == self.badness.shape[1] else found.mean(keepdims=True))
        return self.waited > self.patience

    def _keep(self, found: np.ndarray) -> None:
        """Keep the members that are so bad in place of the worst that are kept, where they are not worse than these."""
        worst = self.badness.argmax(axis=0)
        for place, kept in enumerate(self.kept):
            better = (worst == place) & (found <= self.badness[place])
            self.badness[place, better] = found[better]
            for of_kept, of_current in zip(kept, self.current, strict=True):
                of_kept[better] = of_current[better]

    def on_train_end(self, session: Any) -> None:
        """Average the best parameters."""
        if self.scores:
            session.network.params[:] = np.mean(self.copies[: len(self.scores)], axis=0)


def train(
    network: Network,
    rows: Trainable,
    judge: Callable[[Network], np.ndarray] | None,
    n_held: int,
    choices: Choices,
    *,
    loss: Loss,
    as_targets: Callable[[np.ndarray], np.ndarray],
    end: float,
    seed: int,
    n_threads: int | None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train a network by the recipe.

    Parameters
    ----------
    network : Network
    rows : Trainable
    judge : callable, optional
        ``(network) -> badness of each member``; the best epochs are kept.
    n_held : int
        Rows that the members are judged on.
    choices : Choices
    loss : Loss
    as_targets : callable
        Targets as metrics see them -> as the network does.
    end : float
        When training must be over, as `time.monotonic` says it.
    seed : int
    n_threads : int, optional
    callbacks : sequence of Callback
        Further ones.
    """
    sampling: Any = "shuffle"
    pace: EveryEpoch | Deadline = EveryEpoch()
    n_epochs, progress = choices.n_epochs, None
    if np.isfinite(end):
        n_steps = rows.steps_per_epoch(choices.batch_size)
        progress = Progress(1 / n_epochs, n_steps)
        rng = np.random.default_rng(seed)
        pace = rows.deadline(progress, len(rows), n_held, choices.batch_size, n_epochs, end, rng)
        n_epochs, sampling = n_epochs * n_steps, pace.rows
    watchers = [] if judge is None else [BestEpochs(judge, pace, choices.patience, choices.n_best_epochs)]
    fading = {
        name: of_progress(1.0, flat_then_cosine, progress)
        for name, value in (("weight_decay", choices.weight_decay), ("dropout", choices.dropout))
        if value
    }
    return rows.fit(
        network,
        as_targets,
        loss=loss,
        optimizer=optimizers.Adam(beta2=choices.beta_2),
        learning_rate=of_progress(choices.learning_rate, SHAPES[choices.schedule], progress),
        learning_rate_factors=rate_factors(network),
        schedules=fading,
        weight_decay=choices.weight_decay,
        batch_size=choices.batch_size,
        epochs=n_epochs,
        sampling=sampling,
        callbacks=[pace, *watchers, *callbacks],
        random_state=seed,
        n_threads=n_threads,
    )
