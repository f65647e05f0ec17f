"""The networks of an estimator: one for each part of the rows, made, trained and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any

import numpy as np

from fastnet._many import side_by_side
from fastnet.callbacks import Callback, ProgressBar
from fastnet.history import History
from fastnet.layers import Layer
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.runtime import thread_limit
from fastnet.tabular import _recipe
from fastnet.tabular._choices import Choices
from fastnet.tabular._metrics import Metric
from fastnet.tabular._time_limit import Deadline, TimeLimit, Turn
from fastnet.tabular._training import Trainable, train


@dataclass(frozen=True)
class Rows:
    """Prepared rows of a table, their targets as metrics see them, and their weights if they have any."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.X)

    @property
    def counting(self) -> Rows:
        """Those that have a weight."""
        return self if self.weights is None else self[self.weights > 0]

    @property
    def sample(self) -> np.ndarray:
        """Features that show what all are like."""
        return self.X

    def steps_per_epoch(self, batch_size: int) -> int:
        """Updates in a pass over the rows."""
        return -(-len(self) // min(batch_size, len(self)))

    def deadline(self, *course: Any) -> Deadline:
        """What keeps training on them to a limit of time."""
        return Deadline(*course)

    def fit(self, network: Network, as_targets: Callable[[np.ndarray], np.ndarray], **options: Any) -> History:
        """Train a network."""
        return network.fit(self.X, as_targets(self.y), sample_weight=self.weights, **options)

    def __getitem__(self, chosen: Any) -> Rows:
        return Rows(self.X[chosen], self.y[chosen], None if self.weights is None else self.weights[chosen])

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of all parts, in their order."""
        weights = [part.weights for part in parts if part.weights is not None]
        of_all = np.concatenate(weights) if weights else None
        return cls(np.concatenate([part.X for part in parts]), np.concatenate([part.y for part in parts]), of_all)


#: What gives the rows that a network trains on, and those that it is validated on.
Part = Callable[[], tuple[Trainable, Rows]]


@dataclass(frozen=True)
class Task:
    """What networks are to learn, and how.

    Attributes
    ----------
    n_inputs : int
    layers : list of Layer
        Of a member.
    metric : Metric
    choices : Choices
    loss : Loss
    as_targets : callable
        Targets as metrics see them -> as networks do.
    in_units : callable
        Outputs of networks -> predictions as metrics see them.
    n_threads : int or None
    progress : bool
    """

    n_inputs: int
    layers: list[Layer]
    metric: Metric
    choices: Choices
    loss: Loss
    as_targets: Callable[[np.ndarray], np.ndarray]
    in_units: Callable[[np.ndarray], np.ndarray]
    n_threads: int | None
    progress: bool

    def network(self, rows: Trainable, seed: int, n_threads: int) -> Network:
        """An untrained network of the members, with its initial values."""
        rng = np.random.default_rng(seed)
        choices = self.choices
        network = Network(
            self.layers, self.n_inputs, n_members=choices.n_members, ensemble=choices.ensemble, random_state=rng
        )
        if choices.data_init and choices.ensemble == "packed":
            _recipe.initialise_from(network, rows.sample, rng, n_threads)
        return network

    def badness(self, rows: Rows, outputs: np.ndarray) -> float:
        """How bad the outputs are for the rows."""
        return self.metric.measure(rows.y, self.in_units(outputs), rows.weights)

    def score(self, rows: Rows, outputs: np.ndarray) -> float:
        """The metric of the outputs for the rows, greater is better."""
        return self.metric.score(rows.y, self.in_units(outputs), rows.weights)

    def smooth_badness(self, rows: Rows, outputs: np.ndarray) -> float:
        """The same in a measure that every change of the outputs changes."""
        return (self.metric.smooth or self.metric.measure)(rows.y, self.in_units(outputs), rows.weights)

    def badness_of_members(self, network: Network, rows: Rows, n_threads: int) -> np.ndarray:
        """How bad each member is for the rows."""
        outputs = network._forward_members(rows.X, n_threads)
        return np.array([self.badness(rows, outputs[:, member]) for member in range(network.n_members)])


@dataclass(frozen=True)
class Fold:
    """A trained network, the rows it was validated on, which may be none, and its outputs for them.

    Attributes
    ----------
    kind : int
        Number of its task.
    part : int
        Number of the part of the rows that it was trained on.
    network : Network
    history : History
    held : Rows
    outputs : ndarray of shape (len(held), n_outputs)
    """

    kind: int
    part: int
    network: Network
    history: History
    held: Rows
    outputs: np.ndarray


def outputs_of(network: Network, X: np.ndarray, n_threads: int | None) -> np.ndarray:
    """The network's outputs for prepared rows, by so many threads at most."""
    return network._forward(X, check_finite=False, n_threads=n_threads)


class Until(Callback):
    """Ends training when an event is set."""

    def __init__(self, event: Event) -> None:
        self.event = event

    def on_epoch_end(self, session: Any) -> bool:
        """True if it is set."""
        return self.event.is_set()


def train_folds(
    tasks: Sequence[Task],
    parts: Sequence[Part],
    limit: TimeLimit,
    seed: int,
) -> list[Fold]:
    """Train a network for each task on each part, or as many as there is time for, as many at a time as there are threads.

    Parameters
    ----------
    tasks : sequence of Task
        They differ in what numbers become.
    parts : sequence of Part
    limit : TimeLimit
    seed : int
        Of the first network; each further one has the next.
    """
    n_threads = thread_limit(tasks[0].n_threads)
    n_networks = len(parts) * len(tasks)
    n_workers = min(n_threads, n_networks)
    over = Event()

    def fold(number: int) -> Fold | None:
        turn, n_left = Turn(limit), n_networks - number
        if number >= n_workers and not turn.is_possible():
            return None
        part, kind = divmod(number, len(tasks))
        (rows, held), task = parts[part](), tasks[kind]
        n_of_fold = n_threads // min(n_workers, n_left)
        network = task.network(rows, seed + number, n_of_fold)
        n_judged = len(held) if task.choices.keeps_best else 0
        history = train(
            network,
            rows,
            partial(task.badness_of_members, rows=held, n_threads=n_of_fold) if n_judged else None,
            n_judged,
            task.choices,
            loss=task.loss,
            as_targets=task.as_targets,
            end=turn.end_of_training(-(-n_left // n_workers)),
            seed=seed + number,
            n_threads=n_of_fold,
            callbacks=[Until(over), *([ProgressBar(desc=f"network {number + 1}")] if task.progress else [])],
        )
        turn.trained()
        outputs = outputs_of(network, held.X, n_of_fold)
        turn.judged()
        return Fold(kind, part, network, history, held, outputs)

    found = side_by_side(fold, range(n_networks), n_workers, over)
    return [one for one in found if one is not None]
