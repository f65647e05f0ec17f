"""What trains a network: a trainer of the core, or one for each group of an ensemble's members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet._core import core
from fastnet.layers import Graph

if TYPE_CHECKING:
    from fastnet.network import Network

#: Groups that the members of an ensemble are divided into, at most, whatever the number of threads.
_MOST_GROUPS = 16

#: Multiply-adds of a batch of all members up to which they are trained apart. Threads share the rows of larger batches.
_MOST_WORK = 3e7


class Apart:
    """Trainers of the groups of members of one ensemble, which are used as one `Trainer` is."""

    def __init__(self, trainers: tuple[core.Trainer, ...], n_threads: int) -> None:
        self._trainers = trainers
        self._n_threads = n_threads

    @property
    def step(self) -> int:
        return self._trainers[0].step

    @step.setter
    def step(self, step: int) -> None:
        for trainer in self._trainers:
            trainer.step = step

    def run(self, order: np.ndarray | None, settings: np.ndarray) -> tuple[Any, ...]:
        return core.train_members(self._trainers, order, settings, self._n_threads)


def trainer_of(
    network: Network, plans: list[core.Plan], loss: tuple[Any, ...], *, n_threads: int, **options: Any
) -> core.Trainer | Apart:
    """What trains a network, given its `plans_of`, with this loss in the core's form; the options are those of `Trainer`."""
    if len(plans) == 1 or "exchange" in options:
        return core.Trainer(network._plan, network.params, loss, n_threads=n_threads, **options)
    return Apart(tuple(core.Trainer(plan, network.params, loss, n_threads=1, **options) for plan in plans), n_threads)


def plans_of(network: Network, batch_size: int, max_grad_norm: float) -> list[core.Plan]:
    """The plan of a network, or those of the groups of its members that train apart, unless the norm of all gradients counts."""
    if max_grad_norm > 0 or not members_train_apart(network, batch_size):
        return [network._plan]
    n_members = network.n_members
    groups = np.array_split(np.arange(n_members), min(n_members, _MOST_GROUPS))
    graphs = {n: Graph.of_group(network.layers, network._inputs, n) for n in {len(group) for group in groups}}
    return [graphs[len(group)].plan((int(group[0]), n_members)) for group in groups]


def members_train_apart(network: Network, batch_size: int) -> bool:
    """Whether the members of a network have nothing in common, and batches so little work that threads had better share members
    than rows."""
    together, graph = network._together, network._graph
    return (
        together.n_members > 1
        and together.kind == "packed"
        and together.loss == "members"
        and network._plan.cost * batch_size <= _MOST_WORK
        and all(
            node.member is None and (node.operation.dropout == 0 or graph.members_of(number) > 1)
            for number, node in enumerate(graph.nodes, 1)
        )
    )
