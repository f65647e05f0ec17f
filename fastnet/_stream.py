"""Training on blocks of rows that do not fit into memory: two buffers, of which one is trained on while the other is filled.

Rows of a memory map in the core's form are not copied, and rows that are kept are read once: a `Window` takes the buffer's place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from operator import add, is_
from threading import Event
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from fastnet import _checks, _data
from fastnet._core import core
from fastnet._objective import loss_of
from fastnet._rows import flat_rows
from fastnet._sampling import SeededOrder, shuffled
from fastnet._session import Session
from fastnet.data import Blocks
from fastnet.data.kept_rows import MOST_PLACES, Arrays, CoreForm, KeptRows
from fastnet.losses import Loss
from fastnet.network import Network

#: Share of the rows that are shuffled together, by default.
_BUFFER = 0.1

#: Share of its time that a reading thread must spend computing to count as busy.
_BUSY = 0.5


class Reading:
    """Reads rows in a thread beside training; teams leave it a core, unless it mostly waited for a disk or network last time."""

    def __init__(self) -> None:
        self._is_busy = True
        self._has_read = False
        self._room: core.Room | None = None

    def make_room(self) -> None:
        """Have teams leave a core free from now on, before the thread starts, if the last read shows that it will need one."""
        self._room = core.Room() if self._has_read and self._is_busy else None
        self._has_read = False

    def leave_room(self) -> None:
        """Let teams use all cores again: the thread has read what there was."""
        if self._room is not None:
            self._room.leave()

    def __call__(self, read: Callable[[], None]) -> None:
        self._has_read = True
        began, worked = perf_counter(), thread_time()
        if self._is_busy:
            core.beside_teams(read, self._room)
        else:
            read()
        self._is_busy = thread_time() - worked > _BUSY * (perf_counter() - began)


class Buffer:
    """Rows of some blocks, which are read into arrays that are used again.

    Parameters
    ----------
    read : callable
        ``(number of a block) -> its rows in the core's form``
    capacity : int
        Most rows.
    reading : Reading

    Attributes
    ----------
    places : ndarray of uint32
        Where its rows lie in the arrays.
    """

    def __init__(self, read: Callable[[int], CoreForm], capacity: int, reading: Reading) -> None:
        self._read, self._reading = read, reading
        self._rows = Arrays(capacity)
        self.places = np.empty(0, np.uint32)

    @property
    def arrays(self) -> tuple[Any, ...]:
        """Features, targets, and sample weights or None; empty before the first rows."""
        return self._rows.parts

    def fill(self, numbers: np.ndarray, stop: Event) -> None:
        """Hold the rows of some blocks, or of the first of them, once `stop` is set."""
        self._reading(partial(self._fill, numbers, stop))

    def _fill(self, numbers: np.ndarray, stop: Event) -> None:
        n_rows = 0
        for number in map(int, numbers):
            if stop.is_set():
                break
            parts = self._read(number)
            self._rows.write(n_rows, parts)
            n_rows += len(parts[0])
        self.places = np.arange(n_rows, dtype=np.uint32)

    def take(self, arrays: tuple[Any, ...], places: np.ndarray) -> None:
        """Add the rows in these places of another buffer's arrays."""
        if places.size:
            n_rows = len(self.places)
            self._rows.write(n_rows, tuple(None if array is None else array[places] for array in arrays))
            self.places = np.arange(n_rows + len(places), dtype=np.uint32)


class Window:
    """Rows of some blocks, which stay in their places among all rows; used as a `Buffer` is.

    Parameters
    ----------
    kept : KeptRows
        Which several windows share.
    read : callable
        ``(number of a block) -> its rows in the core's form``
    reading : Reading
    """

    def __init__(self, kept: KeptRows, read: Callable[[int], CoreForm], reading: Reading) -> None:
        self._kept, self._read, self._reading = kept, read, reading
        self.places = np.empty(0, np.uint32)

    @property
    def arrays(self) -> tuple[Any, ...]:
        return self._kept.arrays

    def fill(self, numbers: np.ndarray, stop: Event) -> None:
        self._kept.announce(numbers)
        unknown = self._kept.unknown(numbers)
        if unknown:
            self._reading(partial(self._keep, unknown, stop))
        self.places = self._kept.places(numbers)

    def _keep(self, numbers: list[int], stop: Event) -> None:
        for number in numbers:
            if stop.is_set():
                return
            self._kept.keep(number, self._read(number))

    def take(self, arrays: tuple[Any, ...], places: np.ndarray) -> None:
        self.places = np.concatenate([self.places, places])


def core_form(data: Blocks, network: Network, loss: Loss, number: int) -> CoreForm:
    """A block as the core takes it.

    Raises
    ------
    TypeError, ValueError
        Data that do not fit the network, with the number of the block.
    """
    _data.refuse_positions(network._plan.n_positions, "on blocks")
    X, y, sample_weight = data.read(number)
    with _checks.naming(f"block {number}"):
        features = _data.features(flat_rows(network, X), network.n_inputs, network.dtype)
        if isinstance(features, tuple):
            raise TypeError("X of a block must be an array, got a sparse matrix.")
        if y is None:
            raise ValueError("the data have no targets to train on.")
        targets = _data.targets(y, len(features), network.n_outputs, loss, network.dtype)
        weights = None if sample_weight is None else _data.nonnegative(sample_weight, len(features), network.dtype)
    return features, targets.astype(np.int32, copy=False) if targets.ndim == 1 else targets, weights


def kept_rows(data: Blocks, network: Network, loss: Loss) -> KeptRows | None:
    """Where rows are kept in the form that a network trains on, if they are."""
    n_numbers = network.n_inputs + loss.n_targets(network.n_outputs) + 1
    return data._kept_in((network._inputs, network.n_outputs, network.dtype, loss), n_numbers * network.dtype.itemsize)


def mean_loss(network: Network, data: Blocks, loss: Loss, n_threads: int | None) -> float:
    """J of all blocks.

    Raises
    ------
    ValueError
        Data that do not fit the network, or weights that are zero everywhere.
    """
    total = weight = 0.0
    read, kept = partial(core_form, data, network, loss), kept_rows(data, network, loss)
    for number in np.flatnonzero(data.sizes).tolist():
        X, y, w = read(number) if kept is None else kept.block(number, read)
        of_block = float(len(X) if w is None else w.sum(dtype=np.float64))
        if of_block:
            total += of_block * loss_of(network, X, y, loss, w, n_threads)
            weight += of_block
    _data.refuse_no_weight(weight)
    return total / weight


class BlockOrder(SeededOrder):
    """The order in which an epoch reads blocks, and where that of the rows of a buffer comes from.

    Parameters
    ----------
    sampling : {"shuffle", "sequential"} or callable
        A callable ``(session) -> numbers of blocks`` says which blocks an epoch reads, once each; their rows are shuffled.
    *rows
        The other parameters of `SeededOrder`.
    """

    def __init__(self, sampling: Any, *rows: Any) -> None:
        self._choose = sampling if callable(sampling) else None
        super().__init__("shuffle" if self._choose else sampling, *rows)

    def blocks(self, session: Session, sizes: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Numbers of the blocks of an epoch, those without rows left out."""
        filled = np.flatnonzero(sizes)
        if self._choose is None:
            return filled if rng is None else rng.permutation(filled)
        chosen = np.asarray(self._choose(session))
        if not chosen.size or not np.isin(chosen, filled).all() or len(np.unique(chosen)) != chosen.size:
            raise ValueError(f"sampling must return numbers of blocks that have rows, each once, got {chosen}.")
        return chosen


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

    _sampler_type = BlockOrder
    _sampler: BlockOrder

    def __init__(self, network: Network, data: Blocks, *, loss: Loss, buffer: float | None = None, **options: Any) -> None:
        self._buffer_rows = _buffer_rows(buffer, len(data))
        super().__init__(network, data, None, loss=loss, **options)
        self._options["buffer"] = self._buffer_rows
        self._blocks = data
        self._reading = Reading()
        self._buffers = self._two_buffers(loss)

    def _start(self, seed: int, step: int) -> None:
        self._seed, self._first_step, self._trainer = seed, step, None
        self._trained_on: tuple[Any, ...] = ()

    @property
    def step(self) -> int:
        return self._trainer.step if self._trainer else self._first_step

    def _checksum(self) -> str:
        return self._blocks.checksum()

    def _run_rows(self, max_batches: int | None) -> Any:
        first, rate, n_rows = self.step, math.nan, 0
        sums: tuple[float, ...] = (0,) * 6
        with closing(self._parts()) as parts:
            for order in parts:
                if max_batches is not None:
                    order = order[: (max_batches - (self.step - first)) * self.batch_size]
                if order.size:
                    *of_part, rate = self._run_part(order, -(-order.size // self.batch_size), first)
                    sums = tuple(map(add, sums, of_part))
                    n_rows += order.size
                if self.step - first == max_batches:
                    break
        if n_rows == len(self._blocks):
            _data.refuse_no_weight(sums[1])
        return *sums, rate

    def _two_buffers(self, loss: Loss) -> tuple[Buffer, Buffer] | tuple[Window, Window]:
        data, network = self._blocks, self.network
        read = partial(core_form, data, network, loss)
        kept = KeptRows(data.sizes, data.features) if _stays_in_place(data, network) else kept_rows(data, network, loss)
        if kept is not None:
            return Window(kept, read, self._reading), Window(kept, read, self._reading)
        capacity = min(len(data), self._buffer_rows - 1 + int(data.sizes.max())) + self.batch_size - 1
        return Buffer(read, capacity, self._reading), Buffer(read, capacity, self._reading)

    def _parts(self) -> Generator[np.ndarray]:
        """Places of the rows of one buffer after another, in the order of training; while the core trains, a thread prepares the
        next buffer."""
        rng = self._sampler.of_epoch(self.epoch)
        stop = Event()
        buffers = self._filled(self._groups(rng), rng, stop)
        with ThreadPoolExecutor(1, "fastnet-reader") as reader:
            try:
                following = reader.submit(self._next, buffers)
                while (filled := following.result()) is not None:
                    self._reading.make_room()
                    following = reader.submit(self._next, buffers)
                    buffer, order = filled
                    if order.size:
                        self._train_on(buffer)
                        yield order
            finally:
                stop.set()

    def _next(self, buffers: Iterator[tuple[Buffer | Window, np.ndarray]]) -> tuple[Buffer | Window, np.ndarray] | None:
        try:
            return next(buffers, None)
        finally:
            self._reading.leave_room()

    def _filled(
        self, groups: list[np.ndarray], rng: np.random.Generator | None, stop: Event
    ) -> Iterator[tuple[Buffer | Window, np.ndarray]]:
        """The buffers in turn, each filled with a group of blocks, and the order of its rows; those that do not fill a batch are
        carried on to the next one."""
        carried = np.empty(0, np.uint32)
        buffer, other = self._buffers
        for number, group in enumerate(groups, 1):
            buffer.fill(group, stop)
            n_new = len(buffer.places)
            buffer.take(other.arrays, carried)
            order = _order(buffer.places, n_new, rng)
            n_now = len(order) if number == len(groups) else len(order) - len(order) % self.batch_size
            yield buffer, order[:n_now]
            carried = order[n_now:]
            buffer, other = other, buffer

    def _groups(self, rng: np.random.Generator | None) -> list[np.ndarray]:
        """Numbers of the blocks that a buffer is filled with, buffer by buffer."""
        numbers = self._sampler.blocks(self, self._blocks.sizes, rng)
        ends, rows = [], 0
        for end, size in enumerate(self._blocks.sizes[numbers], 1):
            rows += size
            if rows >= self._buffer_rows and end < len(numbers):
                ends.append(end)
                rows = 0
        return np.split(numbers, ends)

    def _train_on(self, buffer: Buffer | Window) -> None:
        if self._trainer and all(map(is_, self._trained_on, buffer.arrays)):
            return
        step = self.step
        X, y, sample_weight = self._trained_on = buffer.arrays
        self._trainer = self._new_trainer(X=X, y=y, sample_weight=sample_weight, seed=self._seed)
        self._trainer.step = step


def _stays_in_place(data: Blocks, network: Network) -> bool:
    """Whether the core can take features from where they are."""
    X = data.features
    return X is not None and X.dtype == network.dtype and X.flags.c_contiguous and X.flags.aligned and len(X) <= MOST_PLACES


def _order(places: np.ndarray, n_new: int, rng: np.random.Generator | None) -> np.ndarray:
    """Places of the rows of a buffer in the order of training; in sequence the first `n_new` come after the others."""
    return np.roll(places, len(places) - n_new) if rng is None else shuffled(places.copy(), rng)


def _buffer_rows(buffer: float | None, m: int) -> int:
    if isinstance(buffer, (int, np.integer)) and not isinstance(buffer, bool):
        return min(_checks.positive_int(buffer, "buffer"), m)
    share = _checks.real(_BUFFER if buffer is None else buffer, "buffer", above=0.0)
    if share > 1:
        raise ValueError(f"buffer must be a share of the rows from 0 to 1, or a whole number of rows, got {buffer!r}.")
    return max(1, round(share * m))
