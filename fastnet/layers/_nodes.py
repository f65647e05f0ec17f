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
        Whose it is, where each member of an ensemble has operations of its own. Their parameters are stacked under one name.
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
        """What belongs to this operation of an array that goes by the name of its parameters."""
        return array if self.member is None else array[self.member]


@dataclass(frozen=True)
class Inputs:
    """What a row of X is.

    Attributes
    ----------
    shape : tuple of int
        Positions first, the numbers of a position (channels, features) last; or the number of features alone.
    ragged : bool
        Whether rows may have fewer positions along the first axis. In a row of the core's X the number of them follows.
    source : tuple of int
        Shape of the sequence that an encoder reads, which comes after that; () if there is none.
    """

    shape: tuple[int, ...]
    ragged: bool = False
    source: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Numbers of a row of the core's X."""
        return sum(math.prod(shape) + self.ragged for shape in (self.shape, self.source) if shape)


class State(NamedTuple):
    """Numbers that go from step to step: where they are after a step.

    Attributes
    ----------
    operation, first, n : int
        The operation in whose rows they are, where they begin, and how many they are.
    given : int, optional
        Of what stays the same in all steps, the operation of the whole rows' graph that makes it.
    """

    operation: int
    first: int
    n: int
    given: int | None = None
