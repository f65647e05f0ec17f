"""How many positions each row has, on its way through a graph: methods of `Graph`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnet.layers.lengths import Count, Trim

if TYPE_CHECKING:
    from fastnet.layers._graph import Graph


def have_the_same_lengths(self: Graph, sources: Sequence[int]) -> bool:
    """Whether each row has as many positions in all of these sources."""
    first, *others = {self._lengths[source] for source in sources}
    if not others:
        return True
    if None in (first, *others):
        return False
    for start in self.starts:
        counts = self._counts(start, np.arange(1, self.row_shapes[start][0] + 1))
        if first in counts:
            there = np.logical_and.reduce([count >= 1 for count in counts.values()])
            return all(other in counts and np.array_equal(counts[first][there], counts[other][there]) for other in others)
    return False


def trimmed(self: Graph, source: int) -> int:
    """An operation whose rows are zero beyond their lengths; the source itself where all rows have all positions."""
    lengths, shape = self._lengths[source], self.row_shapes[source]
    if lengths is None or isinstance(self.nodes[source - 1].operation, Trim):
        return source
    return self.add(Trim(n_positions=shape[0], n_numbers=math.prod(shape[1:])), source, lengths)


def counted(self: Graph, source: int, reach: int, stride: int, zeros: int, most: int) -> int | None:
    """The operation that gives how many windows fit into each row of the source (see `Count`).

    It is that of the source's own lengths where windows do not change them, and None if all rows have all positions.
    """
    lengths = self._lengths[source]
    if lengths is None or (stride == 1 and zeros == reach - 1):
        return lengths
    return self.add(Count(reach=reach, stride=stride, zeros=zeros, most=most), lengths, shape=(1,))


def shortest(self: Graph) -> list[int]:
    """Fewest positions with which a row still has one position in all layers, for each of `starts`."""
    return [self._shortest(start) for start in self.starts]


def _shortest(self: Graph, start: int) -> int:
    counts = self._counts(start, np.arange(1, self.row_shapes[start][0] + 1))
    enough = np.logical_and.reduce([count >= 1 for count in counts.values()])
    return int(enough.argmax()) + 1


def output_lengths(self: Graph, lengths: np.ndarray) -> np.ndarray | None:
    """Positions of the outputs (m,) of ragged rows that have `lengths` (m,); None if all rows have all positions."""
    source = self._lengths[-1]
    return None if source is None else self._counts(self.starts[0], lengths)[source]


def _counts(self: Graph, start: int, lengths: np.ndarray) -> dict[int, np.ndarray]:
    """Outputs of all operations that give lengths, by number, for rows that have `lengths` positions at a start."""
    of_rows = self._lengths[start]
    assert of_rows is not None
    made = {of_rows: lengths}
    for number, node in enumerate(self.nodes, 1):
        if isinstance(node.operation, Count) and node.sources[0] in made:
            made[number] = node.operation.forward({}, made[node.sources[0]])
    return made
