"""Rows of blocks in the core's form that stay in their places, in memory or in a file, once they have been read."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, TypeAlias

import numpy as np

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: Features, targets, and sample weights or None, in the core's form.
CoreForm: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray | None]

#: Rows that have a place, which is a number of 32 bits.
MOST_PLACES = 2**32


class Arrays:
    """Arrays of features, targets and sample weights in the core's form, or some of these, that rows are written into.

    Parameters
    ----------
    capacity : int
        Rows of the arrays.
    folder : path-like, optional
        Where the arrays are on a disk, in files that nobody else sees; by default they are in memory.
    """

    def __init__(self, capacity: int, folder: str | os.PathLike[str] | None = None) -> None:
        self._capacity, self._folder = capacity, folder
        self.parts: tuple[Any, ...] = ()

    def write(self, start: int, parts: tuple[Any, ...]) -> None:
        """Hold these rows from number `start` on."""
        if not self.parts:
            self.parts = tuple(map(self._empty, parts))
        if list(map(_form, self.parts)) != list(map(_form, parts)):
            raise ValueError("All blocks must have targets of one shape, and either all of them sample weights or none.")
        for array, part in zip(self.parts, parts, strict=True):
            if array is not None:
                array[start : start + len(part)] = part

    def _empty(self, part: np.ndarray | None) -> np.ndarray | None:
        if part is None:
            return None
        shape = self._capacity, *part.shape[1:]
        return np.zeros(shape, part.dtype) if self._folder is None else _on_disk(self._folder, shape, part.dtype)


def _form(array: np.ndarray | None) -> tuple[int, ...] | None:
    """Shape of a row."""
    return None if array is None else array.shape[1:]


def _on_disk(folder: str | os.PathLike[str], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of zeros in a file of its own, which is gone when the array is."""
    with TemporaryFile(dir=folder, prefix="fastnet-") as file:
        if hasattr(os, "posix_fallocate"):  # a disk without room raises an error here, and not a signal when rows are written
            os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)) * dtype.itemsize)
        return np.memmap(file, dtype, "w+", shape=shape).view(np.ndarray)


class KeptRows:
    """All rows of some blocks in the core's form. A block is read when it is first wanted.

    Several trainings may share them, each with a thread that reads.

    Parameters
    ----------
    sizes : ndarray of int64
        Rows of each block.
    features : ndarray, optional
        The features of all rows, where there is such an array; the other parts are kept beside it.
    folder : path-like, optional
        As of `Arrays`.
    """

    def __init__(
        self, sizes: np.ndarray, features: np.ndarray | None = None, folder: str | os.PathLike[str] | None = None
    ) -> None:
        self._sizes, self._ends, self._features = sizes, np.cumsum(sizes), features
        self._rows = Arrays(int(sizes.sum()), folder)
        self._known = np.zeros(len(sizes), bool)
        self._writing, self._disk = Lock(), _DiskReads()

    @property
    def arrays(self) -> tuple[Any, ...]:
        """Features, targets, and sample weights or None; empty before the first rows."""
        return self._rows.parts if self._features is None else (self._features, *self._rows.parts)

    def unknown(self, numbers: np.ndarray) -> list[int]:
        """Those of these blocks that have not been read."""
        return numbers[~self._known[numbers]].tolist()

    def keep(self, number: int, parts: CoreForm) -> None:
        """Take the rows of a block."""
        with self._writing:
            self._rows.write(int(self._ends[number] - self._sizes[number]), parts if self._features is None else parts[1:])
            self._known[number] = True

    def block(self, number: int, read: Callable[[int], CoreForm]) -> CoreForm:
        """The rows of a block, which are read if they have not been."""
        if not self._known[number]:
            self.keep(number, read(number))
        rows = slice(self._ends[number] - self._sizes[number], self._ends[number])
        X, y, sample_weight = self.arrays
        return X[rows], y[rows], None if sample_weight is None else sample_weight[rows]

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """Where the rows of these blocks lie, one block after the other, as uint32."""
        sizes = self._sizes[numbers]
        places = np.arange(sizes.sum(), dtype=np.uint32)
        places += np.repeat((self._ends[numbers] - np.cumsum(sizes)).astype(np.uint32), sizes)  # modulo 2^32, as differences are
        return places

    def announce(self, numbers: np.ndarray) -> None:
        """Let the system read the features of these blocks, which are wanted soon, from the disk if that is where they are."""
        if not self.arrays or not self._disk.went_on():
            return
        found = _mapping(self.arrays[0])
        if found is None:
            return
        mapping, offset = found
        width = self.arrays[0].strides[0]
        stops = offset + self._ends[numbers] * width
        starts = (stops - self._sizes[numbers] * width) // mmap.PAGESIZE * mmap.PAGESIZE
        for start, length in zip(starts.tolist(), (stops - starts).tolist(), strict=True):
            mapping.madvise(mmap.MADV_WILLNEED, start, length)


class _DiskReads:
    """Whether this process reads from a disk."""

    def __init__(self) -> None:
        self._last = -1

    def went_on(self) -> bool:
        """Whether it has read since the last question, as far as the system says; at first the answer is yes."""
        if resource is None:
            return True
        usage = resource.getrusage(resource.RUSAGE_SELF)
        before, self._last = self._last, usage.ru_inblock + usage.ru_majflt
        return self._last != before


def _mapping(array: np.ndarray) -> tuple[Any, int] | None:
    """The memory map that an array lies in, and where in it the array begins; None: in none, or in one that takes no advice."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_WILLNEED"):
        return None
    return base, array.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
