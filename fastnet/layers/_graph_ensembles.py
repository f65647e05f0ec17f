"""The members of an ensemble in a graph: methods of `Graph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.activations import Identity

if TYPE_CHECKING:
    from fastnet.layers._graph import Graph

#: Most numbers of a row's copies for members: a list of their columns is made before any parameter.
MAX_COPIES = 2**22

#: Most operations of members that have some each: they take Python's memory and time before any parameter does.
MAX_OPERATIONS = 2**12


def _add_members(self: Graph, alone: Graph, ensemble: str) -> None:
    """Append the operations of a single network once for each member, and one that puts the members' outputs side by side.

    Members share operations without parameters that read nothing of a member's own.
    """
    if ensemble != "packed":
        raise ValueError(
            f"The members of a {ensemble!r} ensemble share dense layers over flat rows, and this network's rows have "
            "positions: take ensemble='packed'."
        )
    if alone.n_positions > 1:
        raise ValueError(
            f"The members of an ensemble have one softmax each, and this network has {alone.n_positions} a row: put "
            "fastnet.GlobalPool() or fastnet.Last() before the last layer, or train networks one by one."
        )
    if self.n_members * len(alone.nodes) > MAX_OPERATIONS:
        raise ValueError(
            f"{self.n_members} members with {len(alone.nodes)} operations each are too many: together they can have at "
            f"most {MAX_OPERATIONS}."
        )
    from fastnet.layers.joins import Side

    shared, last, lengths = len(self.nodes) + 1, alone.nodes[-1].operation, alone.lengths_of(len(alone.nodes))
    numbers = [list(range(shared)) for _ in range(self.n_members)]
    for member, own in enumerate(numbers):
        for number in range(shared, len(alone.nodes) + 1):
            own.append(self._add_own(alone, number, member, own, numbers[0]))
    self.copies = {of_all[0]: of_all[1:] for of_all in zip(*numbers, strict=True) if of_all[0] != of_all[-1]}
    ends = [own[-1] for own in numbers]
    side = Side(widths=(last.n_out,) * self.n_members, activation=last.activation)
    with self.within(alone.nodes[-1].path):
        shape = alone.row_shapes[-1]
        self.add(side, *ends, of_members=True, shape=shape, lengths=0 if lengths is None else numbers[0][lengths])


def _add_own(self: Graph, alone: Graph, number: int, member: int, own: list[int], first: list[int]) -> int:
    """Add a member's copy of operation `number` of a single network, and return its number.

    `own` and `first` have the numbers of the earlier operations, of this member and of the first one.
    """
    node, lengths = alone.nodes[number - 1], alone.lengths_of(number)
    operation, sources = node.operation, [own[source] for source in node.sources]
    shareable = not operation.segments and operation.dropout == 0
    if member > 0 and shareable and sources == [first[source] for source in node.sources]:
        return first[number]
    if number == len(alone.nodes):
        operation = replace(operation, activation=Identity())
    shape = alone.row_shapes[number]
    added = self.add(operation, *sources, shape=shape, lengths=0 if lengths is None else own[lengths])
    self.nodes[-1] = replace(self.nodes[-1], path=node.path, member=member)
    return added


def for_each_member(self: Graph, source: int) -> int:
    """An operation whose rows hold a copy of the source's for each member; the source itself if they do already."""
    if self._of_members[source]:
        return source
    from fastnet.layers.joins import Selection

    if self.widths[source] * self.n_members > MAX_COPIES:
        raise ValueError(
            f"{self.n_members} members with parameters of their own read {self.widths[source]} numbers a row each: together "
            f"they can read at most {MAX_COPIES}."
        )
    everything = tuple(range(self.widths[source])) * self.n_members
    return self.add(Selection(n_in=self.widths[source], columns=everything), source, of_members=True)


def own_of_members(self: Graph, source: int) -> int:
    """`for_each_member` in packed ensembles, whose members share nothing, so that each gets parameters of its own next."""
    return self.for_each_member(source) if self.ensemble == "packed" else source


def side_by_side(self: Graph, A: Sequence[Any], number: int) -> np.ndarray:
    """Rows of an operation, those of all members side by side, from the rows of X and all operations."""
    numbers = (number, *self.copies.get(number, ()))
    return A[number] if len(numbers) == 1 else np.concatenate([A[n] for n in numbers], axis=1)


def members_of(self: Graph, source: int) -> int:
    """Members whose numbers stand side by side in a row of `source`."""
    return self.n_members if self._of_members[source] else 1
