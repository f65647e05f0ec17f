"""Rows that are dealt to shards on the workers, and what is computed there: rounds of training, and sums for L-BFGS."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import uuid4

import numpy as np
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph

from fastnet import _checks, _core, _identity
from fastnet._lbfgs import Objective
from fastnet._objective import loss_and_grad_of
from fastnet._rounds import Model, Round, Shard, aligned, average, common_level, deal, train
from fastnet.dask._engine import Engine
from fastnet.dask._partitions import Partition, gathered
from fastnet.losses import Loss
from fastnet.network import Network

#: Rows of a shard, as the caller gave them, in the core's form.
Encode = Callable[[Partition], Shard]


class DealtRows:
    """The rows of all partitions, which are dealt to shards of equal size when training begins.

    Parameters
    ----------
    engine : Engine
    parts : list of Delayed
        Of `Partition`.
    sizes : sequence of int
        Rows of each.
    n_shards : int
    """

    def __init__(self, engine: Engine, parts: list[Delayed], sizes: Sequence[int], n_shards: int) -> None:
        self._engine, self._parts = engine, parts
        self._starts = np.cumsum([0, *sizes]).tolist()
        self._n_shards = min(_checks.positive_int(n_shards, "n_shards"), len(self))

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def sizes(self) -> list[int]:
        """Most rows of each shard; dealing gives the last rows that are left to any of them."""
        return [-(-len(self) // self._n_shards)] * self._n_shards

    def steps_per_epoch(self, batch_size: int) -> int:
        """Updates of a shard in a pass over its rows."""
        return -(-self.sizes[0] // min(batch_size, self.sizes[0]))

    def deal(self, encode: Encode, seed: int) -> Shards:
        """The shards, which the workers make and keep; the partitions are let go."""
        n = self._n_shards
        dealt = [delayed(_dealt, nout=n)(part, start, n, seed) for part, start in zip(self._parts, self._starts, strict=False)]
        sent = delayed(encode, traverse=False)
        shards = [delayed(_encoded)(sent, [one[number] for one in dealt]) for number in range(n)]
        self._parts = []
        return Shards(self._engine, self._engine.persist(shards), self.sizes, len(self))


def _dealt(part: Partition, start: int, n_shards: int, seed: int) -> list[Partition]:
    """The rows of a partition, whose first row is number `start` of all, for each shard."""
    shards = deal(start, start + len(part.y), n_shards, seed)
    return [part.take(np.flatnonzero(shards == shard)) for shard in range(n_shards)]


def _encoded(encode: Encode, parts: Sequence[Partition]) -> Shard:
    return encode(gathered(parts))


class Shards:
    """Shards as `RoundsSession` takes them; rounds become one graph."""

    def __init__(self, engine: Engine, shards: list[Delayed], sizes: list[int], m: int) -> None:
        self._engine, self._shards, self.sizes, self._m = engine, shards, sizes, m

    def __len__(self) -> int:
        return self._m

    def checksum(self) -> int:
        """Of the rows, however they are dealt."""
        parts: list[int] = self._engine.compute(delayed([delayed(_checksum)(shard) for shard in self._shards]))
        return sum(parts) % 2**64

    def run(self, rounds: Sequence[Round], start: Model) -> Model:
        """The model after these rounds."""
        self._engine.spread(self._shards)
        first, last = delayed(start, traverse=False), f"average-{uuid4().hex}"
        tasks: dict[Any, tuple[Any, ...]] = {}  # for which `delayed` takes milliseconds each
        models = [first.key]
        for number, work in enumerate(rounds, 1):
            of_shard, trained = partial(train, work), [_key(work, number, i) for i in range(len(self._shards))]
            tasks |= {key: (of_shard, i, self._shards[i].key, models) for i, key in enumerate(trained)}
            models = trained
        tasks[last] = average, models
        collections: Any = [first, *self._shards]
        graph = HighLevelGraph.from_collections(last, tasks, collections)
        return cast(Model, self._engine.compute(Delayed(last, graph)))

    def objective(self, loss: Loss, n_threads: int | None) -> tuple[Objective, float]:
        """The mean loss of all rows, each evaluation of which is one graph; and their weight."""
        weights = self._engine.compute(delayed([delayed(_weight)(shard) for shard in self._shards]))
        total = sum(weights)
        terms = [(shard, weight / total) for shard, weight in zip(self._shards, weights, strict=True) if weight]

        def objective(network: Network, out: np.ndarray) -> float:
            self._engine.spread(self._shards)
            sent = delayed((network.layers, network._inputs, network.params.copy(), network._together), traverse=False)
            found = self._engine.compute(delayed([delayed(_term)(sent, loss, shard, n_threads or 1) for shard, _ in terms]))
            common_level([term.level for term in found])
            out[:] = 0
            for (_, share), term in zip(terms, found, strict=True):
                out += share * term.gradient
            return math.fsum(share * term.J for (_, share), term in zip(terms, found, strict=True))

        return objective, total


class _Term(NamedTuple):
    """A shard's mean loss with its gradient, and the level of vector instructions it was computed with."""

    J: float
    gradient: np.ndarray
    level: str


def _checksum(shard: Shard) -> int:
    return _identity.sum_of_rows(aligned(shard))


def _weight(shard: Shard) -> float:
    _, y, sample_weight = shard
    return float(len(y) if sample_weight is None else sample_weight.sum(dtype=np.float64))


def _term(structure: tuple[Any, ...], loss: Loss, shard: Shard, n_threads: int) -> _Term:
    layers, inputs, params, together = structure
    network = Network._adopt(layers, inputs, params.copy(), together)
    X, y, sample_weight = aligned(shard)
    gradient = np.empty_like(network.params)
    J = loss_and_grad_of(network, X, y, loss, sample_weight, gradient, n_threads=n_threads)
    return _Term(J, gradient, _core.level)


def _key(work: Round, number: int, shard: int) -> str:
    """Name of a task, which errors show. Up to the hyphen all have the same, for which Dask remembers how long they take."""
    return f"fastnet-epoch {work.epoch + 1} round {number} shard {shard} {uuid4().hex}"
