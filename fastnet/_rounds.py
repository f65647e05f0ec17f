"""Averaging rounds: shards of the rows train apart for a while, and the mean of their models is where the next round begins."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from fastnet import _checks, _core
from fastnet._sampling import SeededOrder, order_of
from fastnet._session import Session
from fastnet.exceptions import DivergenceError
from fastnet.network import Network
from fastnet.schedules import Schedule

#: Updates of a shard in a round, below which the exchange may take longer than the training.
_FEW_UPDATES = 100

#: Features, targets, and sample weights or None, in the core's form.
Shard: TypeAlias = tuple[Any, np.ndarray, np.ndarray | None]


class Model(NamedTuple):
    """Where a round begins or ends.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
    state : tuple of ndarray of shape (n_params,)
        The optimiser's.
    rows : int
        Rows that it has been trained on, by a shard in its round or by all since the epoch began.
    losses : tuple of float
        Sums over these rows, of the loss and of the penalty.
    diverged_at : int or None
        Number of the first batch with a loss that is not finite.
    level : str or None
        Level of vector instructions it has been trained with.
    before : (int, tuple of float)
        Of a shard's model: rows and losses of all shards in earlier rounds of the epoch.
    """

    params: np.ndarray
    state: tuple[np.ndarray, ...]
    rows: int = 0
    losses: tuple[float, ...] = (0.0, 0.0)
    diverged_at: int | None = None
    level: str | None = None
    before: tuple[int, tuple[float, ...]] = (0, (0.0, 0.0))


class Round(NamedTuple):
    """What all shards do in a round, whatever process they are in.

    Attributes
    ----------
    network : tuple
        Layers, inputs and kind of ensemble.
    options : dict
        Those of `Session`.
    sampler : SeededOrder
    epoch, step : int
        Number of the epoch, and updates before it.
    batches : tuple of int
        Number of the first batch of the epoch, and of the one after the last.
    """

    network: tuple[Any, ...]
    options: dict[str, Any]
    sampler: SeededOrder
    epoch: int
    step: int
    batches: tuple[int, int]


@dataclass(frozen=True)
class Scaled(Schedule):
    """A schedule times a number.

    The mean of n shards moves as far in a pass over the rows as one machine does if each shard, which makes one in n of its
    updates, has n times its learning rate.

    References
    ----------
    Goyal, Dollar, Girshick, Noordhuis, Wesolowski, Kyrola, Tulloch, Jia and He, "Accurate, large minibatch SGD: training ImageNet
    in 1 hour" (2017), section 2.1: the linear scaling rule.
    """

    schedule: Schedule
    factor: int

    def __call__(self, j: Any) -> Any:
        return self.factor * self.schedule(j)


class Shards(Protocol):
    """Rows on some engine. Its length is that of all shards' rows."""

    @property
    def sizes(self) -> Sequence[int]:
        """Most rows of each shard."""

    def __len__(self) -> int: ...

    def checksum(self) -> int:
        """Of their rows, however these are divided."""

    def run(self, rounds: Sequence[Round], start: Model) -> Model:
        """The model after these rounds."""


def deal(start: int, stop: int, n_shards: int, seed: int) -> np.ndarray:
    """Number of the shard of each row from number `start` to `stop`: of any `n_shards` rows in turn, one comes to each.

    What a row gets does not depend on how the rows are divided into partitions.
    """
    first, last = start // n_shards, -(-stop // n_shards)
    n_draws = -(-n_shards // 4) * 4
    generator = np.random.Philox(seed).advance(first * n_draws // 4)  # which counts four draws at a time
    draws = generator.random_raw((last - first) * n_draws).reshape(last - first, n_draws)
    return draws[:, :n_shards].argsort(axis=1, kind="stable").ravel()[start - first * n_shards : stop - first * n_shards]


def train(work: Round, number: int, shard: Shard, models: Sequence[Model]) -> Model:
    """Train the mean of the last round's models on the batches of a round of shard `number`."""
    start = average(models)
    X, y, sample_weight = aligned(shard)
    first, last = work.batches
    rng, batch_size = work.sampler.of_epoch(work.epoch, number), work.options["batch_size"]
    order = order_of(len(y), rng)[first * batch_size : last * batch_size]
    level = common_level([start.level, _core.level])
    model = start._replace(rows=0, losses=(0.0, 0.0), level=level, before=(start.rows, start.losses))
    if start.diverged_at is not None or not order.size:
        return model
    layers, inputs, together = work.network
    network = Network._adopt(layers, inputs, start.params.copy(), together)
    state = tuple(memory.copy() for memory in start.state)
    session = Session(
        network,
        X,
        y,
        sample_weight=sample_weight,
        sampling=lambda session: order,
        random_state=np.random.SeedSequence([*map(int, work.sampler.rng), work.epoch, first, number]),
        optimizer_state=state,
        step=work.step + first,
        **work.options,
    )
    try:
        result = session.run_epoch()
    except DivergenceError as error:
        return model._replace(diverged_at=first + error.batch)
    if not result.n_rows:
        return model
    losses = (result.loss * result.n_rows, result.penalty * result.n_rows)
    return model._replace(params=network.params, state=state, rows=result.n_rows, losses=losses)


def aligned(part: Any) -> Any:
    """A shard or a part of it as the core takes it: what has come from another process may begin at any byte."""
    if isinstance(part, tuple):
        return tuple(map(aligned, part))
    return np.require(part, requirements=("C", "A")) if isinstance(part, np.ndarray) else part


def average(models: Sequence[Model]) -> Model:
    """The mean of the shards' models, weighted by the rows they were trained on, summed in the order of the shards.

    Raises
    ------
    ValueError
        They were trained with different vector instructions, and the bits depend on where a shard was.
    """
    level = common_level([model.level for model in models])
    rows_before, losses_before = models[0].before
    unchanged = models[0]._replace(rows=rows_before, losses=losses_before)
    diverged = [model.diverged_at for model in models if model.diverged_at is not None]
    if diverged:
        return unchanged._replace(diverged_at=min(diverged))
    rows = sum(model.rows for model in models)
    if not rows:
        return unchanged
    shares = [model.rows / rows for model in models]

    def mean(vectors: Sequence[np.ndarray]) -> np.ndarray:
        total, term = np.zeros(vectors[0].shape), np.empty(vectors[0].shape)
        for share, vector in zip(shares, vectors, strict=True):
            total += np.multiply(vector, share, out=term, dtype=np.float64)
        return total.astype(vectors[0].dtype)

    return Model(
        params=mean([model.params for model in models]),
        state=tuple(map(mean, zip(*(model.state for model in models), strict=True))),
        rows=rows_before + rows,
        losses=tuple(map(math.fsum, zip(losses_before, *(model.losses for model in models), strict=True))),
        level=level,
    )


def common_level(levels: Sequence[str | None]) -> str | None:
    """The level of vector instructions that results of several processes were computed with; None: there are no results.

    Raises
    ------
    ValueError
        There are several.
    """
    found = sorted({level for level in levels if level is not None})
    if len(found) > 1:
        raise ValueError(
            f"Workers use different levels of vector instructions, {' and '.join(found)}, and results would depend on which of "
            "them computes what: set FASTNET_CPU to the lowest of them on all."
        )
    return next(iter(found), None)


class RoundsSession(Session):
    """A training run on shards, which come together several times an epoch; each has the learning rate times their number.

    Parameters
    ----------
    network : Network
    shards : Shards
    rounds_per_epoch : int
    **options
        Those of `Session`; `batch_size` is that of a shard.
    """

    _sampler_type = SeededOrder
    _sampler: SeededOrder

    def __init__(self, network: Network, shards: Shards, *, rounds_per_epoch: int, batch_size: int, **options: Any) -> None:
        self._shards = shards
        self._rounds = _checks.positive_int(rounds_per_epoch, "rounds_per_epoch")
        batch_size = min(batch_size, max(shards.sizes))
        super().__init__(network, shards, None, batch_size=batch_size, **options)
        of_the_run = ("random_state", "optimizer_state", "step", "sampling")
        self._shard_options = {name: option for name, option in options.items() if name not in of_the_run}
        # One thread, unless told otherwise: the bits of BLAS depend on how many there are, and an engine fills the cores itself.
        self._shard_options |= {"batch_size": batch_size, "n_threads": options.get("n_threads") or 1}
        if len(shards.sizes) > 1 and self.steps_per_epoch < _FEW_UPDATES * self._rounds:
            warnings.warn(
                f"A shard makes {self.steps_per_epoch / self._rounds:.3g} updates between two exchanges, which may take longer "
                f"than the updates: from {_FEW_UPDATES} on it is worth while. Give fewer n_shards or rounds_per_epoch, or fit on "
                "one machine.",
                stacklevel=2,
            )

    def _start(self, seed: int, step: int) -> None:
        self._seed, self._step = seed, step

    @property
    def step(self) -> int:
        return self._step

    @property
    def steps_per_epoch(self) -> int:
        return -(-max(self._shards.sizes) // self.batch_size)

    @cached_property
    def identity(self) -> dict[str, str]:
        """As of `Session`, with a checksum of the rows of all shards."""
        return {**super().identity, "checksum": str(self._shards.checksum())}

    def _checksum(self) -> str:
        return f"{len(self._shards)} rows in {len(self._shards.sizes)} shards"

    def _run_rows(self, max_batches: int | None) -> Any:
        n_batches = self.steps_per_epoch if max_batches is None else min(self.steps_per_epoch, max_batches)
        return self._run_part(None, n_batches, self.step)

    def _train(self, order: np.ndarray | None, n_batches: int, settings: np.ndarray) -> tuple[Any, ...]:
        ends = np.unique(np.minimum(np.arange(self._rounds + 1) * self.steps_per_epoch // self._rounds, n_batches))
        network = self.network
        structure = network.layers, network._inputs, network._together
        rate = Scaled(self.schedule, len(self._shards.sizes))
        options = {**self._shard_options, "learning_rate": rate, "schedules": self._scheduled}  # which know the end of the run
        rounds = [
            Round(structure, options, self._sampler, self.epoch, self._step, (int(first), int(last)))
            for first, last in pairwise(ends)
        ]
        start = Model(network.params.copy(), tuple(memory.copy() for memory in self.state))
        end = self._shards.run(rounds, start)
        diverged = end.diverged_at is not None
        if not diverged:
            network.params[:] = end.params
            for mine, theirs in zip(self.state, end.state, strict=True):
                mine[:] = theirs
            self._step += n_batches
        return diverged, (end.diverged_at or n_batches + 1) - 1, n_batches, end.rows, *end.losses, 0.0
