"""Parts of a graph: an operation in its place, what a row of X is, and what goes from step to step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastnet.layers._base import Operation


@dataclass(frozen=True)
class Node:
    """An operation in its place.

    Attributes
    ----------
    operation : Operation
    sources : tuple of int
        Numbers of the operations that it reads, from 1; 0 is X.
    path : str
        Number of its layer, and where it is within that, as in "2.1": the beginning of its parameters' names.
    member : int, optional
        Number of the member that it belongs to, if members have operations of their own; their parameters are stacked under one
        name.
    """

    operation: Operation
    sources: tuple[int, ...]
    path: str
    member: int | None = None

    @property
    def name(self) -> str:
        """The path, with the member after a colon."""
        return self.path if self.member is None else f"{self.path}:{self.member}"

    def own(self, array: np.ndarray) -> np.ndarray:
        """This operation's part of an array that is stored under the name of its parameters: its member's, or all of it."""
        return array if self.member is None else array[self.member]


@dataclass(frozen=True)
class Inputs:
    """What a row of X is.

    Attributes
    ----------
    shape : tuple of int
        Positions first, the numbers of a position (channels, features) last; or the number of features alone.
    ragged : bool
        Whether rows may have fewer positions along the first axis. A row of the core's X then also holds how many it has.
    source : tuple of int
        Shape of the sequence that an encoder reads, which follows in the core's X; () if there is none.
    """

    shape: tuple[int, ...]
    ragged: bool = False
    source: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Numbers of a row of the core's X."""
        return sum(math.prod(shape) + self.ragged for shape in (self.shape, self.source) if shape)


class State(NamedTuple):
    """Where to find, after a step, numbers that the next step needs.

    Attributes
    ----------
    operation, first, n : int
        The operation whose output holds them, the place of the first one there, and how many there are.
    given : int, optional
        For numbers that stay the same in all steps: the operation that computes them in the graph for whole rows.
    """

    operation: int
    first: int
    n: int
    given: int | None = None
