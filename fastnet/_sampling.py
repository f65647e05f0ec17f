"""The order in which an epoch visits the rows of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from fastnet._core import core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnet._session import Session

_Name = Literal["shuffle", "random", "sequential"]
#: An order by name, or a callable ``(session) -> row numbers of the next epoch``.
Sampling: TypeAlias = "_Name | Callable[[Session], ArrayLike]"
SAMPLINGS: tuple[str, ...] = get_args(_Name)

_MOST_ROWS = 2**32


def order_of(n: int, rng: np.random.Generator | None) -> np.ndarray:
    """Row numbers 0 to n - 1, of dtype uint32, in an order that `rng` draws; None: as they are."""
    order = np.arange(n, dtype=np.uint32)
    return order if rng is None else shuffled(order, rng)


def shuffled(order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row numbers of dtype uint32, shuffled in place."""
    # in a twelfth of the time of the generator's own permutation, which was 5 % of an epoch of small networks
    core.shuffle(order, core.words(rng, 4))
    return order


def check_sampling(sampling: Any) -> None:
    """Refuse, with a ValueError, what is no order of rows."""
    if not callable(sampling) and sampling not in SAMPLINGS:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLINGS)}, or a callable, got {sampling!r}.")


class Sampler:
    """Row numbers of each epoch.

    "shuffle" visits every row once in each epoch, in a new order. "random" draws a new random batch for each update,
    without repetition within the batch; an epoch has as many updates as it takes to draw m rows. "sequential" keeps the order of
    the data.

    Parameters
    ----------
    sampling : {"shuffle", "random", "sequential"} or callable
    m : int
        Rows of the data.
    batch_size : int
        At most m.
    rng : ndarray of shape (4,), uint64
        State of the core's generator, which orders advance.
    """

    def __init__(self, sampling: Sampling, m: int, batch_size: int, rng: np.ndarray) -> None:
        check_sampling(sampling)
        if m > _MOST_ROWS and sampling != "sequential":
            raise ValueError(
                f"X has {m} rows; row numbers have 32 bits, so {_MOST_ROWS} rows can be put in another order at most: "
                f"give sampling='sequential', or parts of X one after the other."
            )
        self._sampling = sampling
        self._m = m
        self._batch_size = batch_size
        self.rng = rng
        self.permutation = np.arange(m, dtype=np.uint32) if sampling in ("shuffle", "random") else np.empty(0, np.uint32)
        self._batches = np.empty(-(-m // batch_size) * batch_size, np.uint32) if sampling == "random" else self.permutation

    @property
    def rows_per_epoch(self) -> int:
        """Number of rows in an epoch; with a callable, the number of rows of the data."""
        return self._batches.size if self._sampling == "random" else self._m

    def next_order(self, session: Session) -> np.ndarray | None:
        """Row numbers of the next epoch, of dtype uint32; None: all rows as they are."""
        if callable(self._sampling):
            return self._checked(self._sampling(session))
        if self._sampling == "sequential":
            return None
        if self._sampling == "random":
            return self._draw_batches()
        core.shuffle(self.permutation, self.rng)
        return self.permutation

    def _draw_batches(self) -> np.ndarray:
        B = self._batch_size
        for start in range(0, self._batches.size, B):
            core.draw(self.permutation, B, self.rng)
            self._batches[start : start + B] = self.permutation[:B]
        return self._batches

    def _checked(self, order: Any) -> np.ndarray:
        order = np.array(order)  # the function could change its array while the core reads it
        if order.ndim != 1 or order.size == 0 or order.dtype.kind not in "iu":
            raise ValueError(f"sampling must return a vector of row numbers, got shape {order.shape} and dtype {order.dtype}.")
        if order.min() < 0 or order.max() >= self._m:
            raise ValueError(f"sampling must return row numbers from 0 to {self._m - 1}, got {order.min()} to {order.max()}.")
        return np.ascontiguousarray(order, np.uint32)


class SeededOrder:
    """Where the orders of an epoch come from if they are a function of the seed and the number of the epoch alone.

    Parameters
    ----------
    sampling : {"shuffle", "sequential"}
    m : int
        Rows of the data.
    batch_size : int
    rng : ndarray of shape (4,), uint64
        Seed of all orders.
    """

    def __init__(self, sampling: Any, m: int, batch_size: int, rng: np.ndarray) -> None:
        if sampling not in ("shuffle", "sequential"):
            raise ValueError(f"Rows that are not in one array need sampling='shuffle' or 'sequential', got {sampling!r}.")
        self._shuffles = sampling == "shuffle"
        self.rows_per_epoch = m
        self.rng = rng
        self.permutation = np.empty(0, np.uint32)

    def of_epoch(self, *place: int) -> np.random.Generator | None:
        """What to draw the orders of an epoch from, by its number and further ones; None: everything stays as it is."""
        return np.random.default_rng([*self.rng, *place]) if self._shuffles else None
