"""Rows of unequal length: how many positions of a row there are is a number of the row, made by an operation of width 1.

Operations that mix positions read it as their last source. What lies beyond a row's length never matters to them, and gets no
gradient from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnet.layers._base import Arrays, Operation


@dataclass(frozen=True, kw_only=True)
class _Positions(Operation):
    """What reads rows of `n_positions` of `n_numbers` each, and lengths."""

    n_positions: int
    n_numbers: int

    @property
    def dims(self) -> tuple[int, ...]:
        return self.n_positions, self.n_numbers

    def _split(self, A: np.ndarray) -> np.ndarray:
        """(m, positions, numbers); a row may have more numbers than that after them."""
        return A[:, : self.n_positions * self.n_numbers].reshape(len(A), self.n_positions, self.n_numbers)


@dataclass(frozen=True, kw_only=True)
class Trim(_Positions):
    """Zeros in place of what lies beyond a row's length."""

    kind: ClassVar[str] = "trim"

    @property
    def n_out(self) -> int:
        return self.n_positions * self.n_numbers

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        there = positions_there(A[1], self.n_positions)
        return np.where(there[:, :, None], self._split(A[0]), 0).reshape(len(A[0]), self.n_out)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        dA = np.zeros_like(A[0])
        dA[:, : self.n_out] = self.forward(params, dZ, A[1])
        return (dA, np.zeros_like(A[1])), {}


@dataclass(frozen=True, kw_only=True)
class Count(Operation):
    """How many windows of positions fit into a row.

    Attributes
    ----------
    reach, stride : int
        Positions that a window reaches over, and from one to the next.
    zeros : int
        Positions that are put before and after the row, together.
    most : int
        Windows of the longest row.
    """

    kind: ClassVar[str] = "count"
    reach: int
    stride: int
    zeros: int
    most: int

    @property
    def n_out(self) -> int:
        return 1

    @property
    def dims(self) -> tuple[int, ...]:
        return self.reach, self.stride, self.zeros, self.most

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return np.clip((np.floor(A[0]) + self.zeros - self.reach) // self.stride + 1, 0, self.most)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        return (np.zeros_like(A[0]),), {}


@dataclass(frozen=True, kw_only=True)
class LastPosition(_Positions):
    """The last position that there is."""

    kind: ClassVar[str] = "last"

    @property
    def n_out(self) -> int:
        return self.n_numbers

    def _where(self, lengths: np.ndarray) -> np.ndarray:
        """(m, positions, 1): 1 at the last position of each row."""
        last = np.floor(lengths).clip(0, self.n_positions) - 1
        return (np.arange(self.n_positions) == last).astype(lengths.dtype)[:, :, None]

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return np.asarray((self._split(A[0]) * self._where(A[1])).sum(axis=1))

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        dA = (dZ[:, None, :] * self._where(A[1])).reshape(len(dZ), -1)
        return (dA, np.zeros_like(A[1])), {}


def positions_there(lengths: np.ndarray, n_positions: int) -> np.ndarray:
    """(m, positions): whether each position is one that its row has; `lengths` is (m, 1)."""
    return np.asarray(np.arange(n_positions) < np.floor(lengths))
