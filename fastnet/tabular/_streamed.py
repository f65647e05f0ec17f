"""Tables that do not fit into memory: read once to learn what is to be known of them, and then for every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet._checks import naming
from fastnet.data import Blocks
from fastnet.data.blocks import Block
from fastnet.history import History
from fastnet.network import Network
from fastnet.tabular._findings import Findings, Prepare
from fastnet.tabular._folds import Rows
from fastnet.tabular._frames import rows_of
from fastnet.tabular._recipe import ROWS_OF_BINS
from fastnet.tabular._splits import LEAST_ROWS, n_held
from fastnet.tabular._time_limit import Deadline

if TYPE_CHECKING:
    from fastnet.tabular._base import BaseTabular

#: Most bytes of the rows that are shuffled together, of which memory holds twice as many for each network; and of prepared rows
#: that are kept from one epoch to the next.
_BUFFER_BYTES, _KEPT_BYTES = 1 << 27, 1 << 28


class BlocksDeadline(Deadline):
    """A deadline whose pieces of an epoch are whole blocks.

    Parameters
    ----------
    sizes : ndarray of int
        Rows of each block.
    *course
        The parameters of `Deadline`.
    """

    def __init__(self, sizes: np.ndarray, *course: Any) -> None:
        super().__init__(*course)
        self._sizes = sizes

    def rows(self, session: Any) -> np.ndarray:
        """Numbers of the next piece's blocks; every block once before any comes again."""
        if not len(self.order):
            self.order = self.rng.permutation(np.flatnonzero(self._sizes))
        n_blocks = int(np.searchsorted(np.cumsum(self._sizes[self.order]), self.size)) + 1
        piece, self.order = self.order[:n_blocks], self.order[n_blocks:]
        self._begin(int(self._sizes[piece].sum()))
        return piece


class StreamedRows:
    """Rows to train on, which are prepared when they are read, and kept as long as there is room.

    Parameters
    ----------
    read : callable
        ``(number of a block) -> Rows``
    sizes : ndarray of int
        Rows of each block.
    sample : ndarray of shape (m, n_inputs)
        Features of some of the rows.

    Attributes
    ----------
    sample : ndarray
    """

    def __init__(self, read: Callable[[int], Rows], sizes: np.ndarray, sample: np.ndarray) -> None:
        self._read, self._sizes, self.sample = read, sizes, sample
        self._kept: dict[int, Rows] = {}
        self._room = _KEPT_BYTES

    def __len__(self) -> int:
        return int(self._sizes.sum())

    def steps_per_epoch(self, batch_size: int) -> int:
        """Updates in a pass over the rows."""
        return -(-len(self) // min(batch_size, len(self)))

    def rows(self, number: int) -> Rows:
        """The rows of a block."""
        rows = self._kept.get(number)
        if rows is None:
            rows = self._read(number)
            if rows.X.nbytes <= self._room:
                self._room -= rows.X.nbytes
                self._kept[number] = rows
        return rows

    def deadline(self, *course: Any) -> Deadline:
        """What keeps training on them to a limit of time."""
        return BlocksDeadline(self._sizes, *course)

    def fit(self, network: Network, as_targets: Callable[[np.ndarray], np.ndarray], **options: Any) -> History:
        """Train a network."""

        def read(number: int) -> Block:
            rows = self.rows(number)
            return rows.X, as_targets(rows.y), rows.weights

        buffer = max(1, _BUFFER_BYTES // self.sample[0].nbytes)
        return network.fit(Blocks(read, self._sizes), buffer=buffer, **options)


class Choice:
    """Which rows are held, and which others show what all are like, by their numbers.

    Parameters
    ----------
    m : int
        Rows.
    fraction : float
        Share that is held, at most `MOST_HELD` rows; none of few rows.
    seed : int
    """

    def __init__(self, m: int, fraction: float, seed: int) -> None:
        most = n_held(m, fraction) if m >= LEAST_ROWS else 0
        n_shown = min(m - most, ROWS_OF_BINS)
        chosen = np.random.default_rng(seed).choice(m, most + n_shown, replace=False)
        self.held, self.shown = np.sort(chosen[:most]), np.sort(chosen[most:])

    def sizes(self, sizes: np.ndarray) -> np.ndarray:
        """Rows of each block that are not held."""
        ends = np.cumsum(sizes)
        return np.asarray(sizes - np.searchsorted(self.held, ends) + np.searchsorted(self.held, ends - sizes))


def within(chosen: np.ndarray, start: int, size: int) -> np.ndarray:
    """Places of the chosen rows in a block whose first row is number `start`."""
    first, last = np.searchsorted(chosen, [start, start + size])
    return np.asarray(chosen[first:last] - start)


def read_blocks(estimator: BaseTabular, data: Blocks, fraction: float, seed: int) -> tuple[StreamedRows, Rows]:
    """Read everything once; an estimator learns its columns and targets.

    Parameters
    ----------
    estimator : BaseTabular
        With a preprocessor that has not learnt anything.
    data : Blocks
    fraction : float
        Share of the rows that are held.
    seed : int

    Returns
    -------
    tuple of StreamedRows and Rows
        To train on, and those that are held, which are prepared.
    """
    data, choice = data.as_tables(), Choice(len(data), fraction, seed)
    total: Findings | None = None
    held, shown, without_weight = list[Block](), list[Block](), list[int]()
    for number, start, (X, y, sample_weight) in data.in_order():
        with naming(f"block {number}"):
            found = Findings.of(estimator, X, y, sample_weight, start)
            if found.weight == 0:
                without_weight.append(number)
            if total is None:
                total = found
            else:
                total.merge(found)
        for kept, chosen in ((held, choice.held), (shown, choice.shown)):
            rows = within(chosen, start, len(y))
            kept.append((rows_of(X, rows), rows_of(y, rows), rows_of(sample_weight, rows)))
    assert total is not None
    total.target_names = data.target_names or total.target_names
    prepare = estimator._learn(total)
    starts = np.cumsum(data.sizes) - data.sizes

    def training_rows(number: int) -> Rows:
        X, y, sample_weight = data.read(number)
        with naming(f"block {number}"):
            rows = prepare(X, y, sample_weight)
        return rows[np.delete(np.arange(len(rows)), within(choice.held, starts[number], len(rows)))]

    of_sample = _joined(prepare, shown)
    of_held = _joined(prepare, held).counting if len(choice.held) else of_sample[:0]
    sizes = choice.sizes(data.sizes)
    sizes[without_weight] = 0  # these blocks need not be read again
    return StreamedRows(training_rows, sizes, of_sample.X), of_held


def _joined(prepare: Prepare, pieces: Sequence[Block]) -> Rows:
    """The rows of pieces of blocks, prepared."""
    return Rows.joined([prepare(*piece) for piece in pieces if len(piece[1])])
