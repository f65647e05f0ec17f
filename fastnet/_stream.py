"""Training on blocks of rows that do not fit into memory: two buffers, of which one is trained on while the other is filled."""

from __future__ import annotations

import math
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from operator import add
from threading import Event
from typing import Any

import numpy as np

from fastnet import _checks, _data
from fastnet._objective import loss_of
from fastnet._sampling import SeededOrder, order_of
from fastnet._session import Session
from fastnet.data import Blocks
from fastnet.losses import Loss
from fastnet.network import Network

#: Share of the rows that are shuffled together, by default.
_BUFFER = 0.1


class Buffer:
    """Rows in the core's form, in arrays that are used again.

    Parameters
    ----------
    network : Network
    loss : Loss
    capacity : int
        Most rows.

    Attributes
    ----------
    arrays : tuple
        Features, targets, and sample weights or None, of the capacity's length; empty before the first rows.
    rows : int
        Rows it holds.
    """

    def __init__(self, network: Network, loss: Loss, capacity: int) -> None:
        self._network, self._loss, self._capacity = network, loss, capacity
        self.arrays: tuple[Any, ...] = ()
        self.rows = 0

    def fill(self, data: Blocks, numbers: np.ndarray, stop: Event) -> None:
        """Hold the rows of some blocks, or of the first of them, once `stop` is set."""
        self.rows = 0
        for number in numbers:
            if stop.is_set():
                return
            self._add(core_form(data, int(number), self._network, self._loss))

    def take(self, other: Buffer, rows: np.ndarray) -> None:
        """Add some rows of another buffer."""
        if rows.size:
            self._add(tuple(None if array is None else array[rows] for array in other.arrays))

    def _add(self, parts: tuple[Any, ...]) -> None:
        if not self.arrays:
            self.arrays = tuple(map(self._empty, parts))
        if list(map(_form, self.arrays)) != list(map(_form, parts)):
            raise ValueError("All blocks must have targets of one shape, and either all of them sample weights or none.")
        end = self.rows + len(parts[0])
        for array, part in zip(self.arrays, parts, strict=True):
            if array is not None:
                array[self.rows : end] = part
        self.rows = end

    def _empty(self, part: np.ndarray | None) -> np.ndarray | None:
        return None if part is None else np.zeros((self._capacity, *part.shape[1:]), part.dtype)


def _form(array: np.ndarray | None) -> tuple[int, ...] | None:
    """Shape of a row."""
    return None if array is None else array.shape[1:]


def core_form(data: Blocks, number: int, network: Network, loss: Loss) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A block as the core takes it.

    Raises
    ------
    TypeError, ValueError
        Data that do not fit the network, with the number of the block.
    """
    _data.refuse_positions(network._plan.n_positions, "on blocks")
    X, y, sample_weight = data.read(number)
    try:
        features = _data.features(network._flat(X), network.n_inputs, network.dtype)
        if isinstance(features, tuple):
            raise TypeError("X of a block must be an array, got a sparse matrix.")
        if y is None:
            raise ValueError("the data have no targets to train on.")
        targets = _data.targets(y, len(features), network.n_outputs, loss, network.dtype)
        weights = None if sample_weight is None else _data.nonnegative(sample_weight, len(features), network.dtype)
    except (TypeError, ValueError) as error:
        raise type(error)(f"block {number}: {error}") from None
    return features, targets.astype(np.int32, copy=False) if targets.ndim == 1 else targets, weights


def mean_loss(network: Network, data: Blocks, loss: Loss, n_threads: int | None) -> float:
    """J of all blocks."""
    total = weight = 0.0
    for number in np.flatnonzero(data.sizes):
        X, y, w = core_form(data, int(number), network, loss)
        of_block = float(len(X) if w is None else w.sum(dtype=np.float64))
        if of_block:
            total += of_block * loss_of(network, X, y, loss, w, n_threads)
            weight += of_block
    return total / weight if weight else float("nan")


class StreamSession(Session):
    """A training run on blocks.

    Parameters
    ----------
    network : Network
    data : Blocks
    loss : Loss
    buffer : float or int, optional
        Share of the rows, or their number, that are shuffled together. Memory holds twice as many.
    **options
        Those of `Session`.
    """

    _sampler_type = SeededOrder
    _sampler: SeededOrder

    def __init__(self, network: Network, data: Blocks, *, loss: Loss, buffer: float | None = None, **options: Any) -> None:
        self._buffer_rows = _buffer_rows(buffer, len(data))
        super().__init__(network, data, None, loss=loss, **options)
        self._options["buffer"] = self._buffer_rows
        capacity = min(len(data), self._buffer_rows - 1 + int(data.sizes.max())) + self.batch_size - 1
        self._blocks = data
        self._buffers = [Buffer(network, loss, capacity) for _ in range(2)]

    def _start(self, seed: int, step: int) -> None:
        self._seed, self._first_step, self._trainer = seed, step, None

    @property
    def step(self) -> int:
        return self._trainer.step if self._trainer else self._first_step

    def _checksum(self) -> str:
        return self._blocks.checksum()

    def _run_rows(self, max_batches: int | None) -> Any:
        first, rate = self.step, math.nan
        sums: tuple[float, ...] = (0,) * 6
        with closing(self._parts()) as parts:
            for order in parts:
                if max_batches is not None:
                    order = order[: (max_batches - (self.step - first)) * self.batch_size]
                if order.size:
                    *of_part, rate = self._run_part(order, -(-order.size // self.batch_size), first)
                    sums = tuple(map(add, sums, of_part))
        return *sums, rate

    def _parts(self) -> Generator[np.ndarray]:
        """Orders of the rows of one buffer after another; those that do not fill a batch are carried on to the next one."""
        rng = self._sampler.of_epoch(self.epoch)
        groups = self._groups(rng)
        stop = Event()
        buffer, following = self._buffers
        carried = np.empty(0, np.uint32)
        with ThreadPoolExecutor(1, "fastnet-reader") as reader:
            try:
                filling = reader.submit(following.fill, self._blocks, groups[0], stop)
                for number in range(1, len(groups) + 1):
                    filling.result()
                    n_new = following.rows
                    following.take(buffer, carried)
                    buffer, following = following, buffer
                    last = number == len(groups)
                    if not last:
                        filling = reader.submit(following.fill, self._blocks, groups[number], stop)
                    order = _order(n_new, buffer.rows, rng)
                    order, carried = np.split(order, [order.size if last else order.size - order.size % self.batch_size])
                    if order.size:
                        self._train_on(buffer)
                        yield order
            finally:
                stop.set()

    def _groups(self, rng: np.random.Generator | None) -> list[np.ndarray]:
        """Numbers of the blocks that a buffer is filled with, buffer by buffer."""
        filled = np.flatnonzero(self._blocks.sizes)
        numbers = filled if rng is None else rng.permutation(filled)
        ends, rows = [], 0
        for end, size in enumerate(self._blocks.sizes[numbers], 1):
            rows += size
            if rows >= self._buffer_rows and end < len(numbers):
                ends.append(end)
                rows = 0
        return np.split(numbers, ends)

    def _train_on(self, buffer: Buffer) -> None:
        step = self.step
        X, y, sample_weight = buffer.arrays
        self._trainer = self._new_trainer(X=X, y=y, sample_weight=sample_weight, seed=self._seed)
        self._trainer.step = step


def _order(n_new: int, n_rows: int, rng: np.random.Generator | None) -> np.ndarray:
    """Order of the rows of a buffer, whose first `n_new` came after the others."""
    order = order_of(n_rows, rng)
    return np.roll(order, n_rows - n_new) if rng is None else order


def _buffer_rows(buffer: float | None, m: int) -> int:
    if isinstance(buffer, (int, np.integer)) and not isinstance(buffer, bool):
        return min(_checks.positive_int(buffer, "buffer"), m)
    share = _checks.real(_BUFFER if buffer is None else buffer, "buffer", above=0.0)
    if share > 1:
        raise ValueError(f"buffer must be a share of the rows from 0 to 1, or a whole number of rows, got {buffer!r}.")
    return max(1, round(share * m))
