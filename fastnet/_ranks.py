"""The ranks that train a network together: what they need of a communicator, and how they exchange."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from fastnet import _core

T = TypeVar("T")

#: Bytes of a cache line: parts of a vector that ranks add up begin with one.
_LINE = 64

#: Where files of Linux are memory.
_MEMORY = "/dev/shm"


class Communicator(Protocol):
    """What `fit` needs of a communicator: mpi4py's, or another object."""

    @property
    def rank(self) -> int:
        """Number of this rank, from 0."""

    @property
    def size(self) -> int:
        """Number of ranks."""

    def allreduce(self, sendobj: Any) -> Any:
        """The sum of the ranks' vectors, the same bits on each."""

    def allgather(self, sendobj: Any) -> list[Any]:
        """The objects of all ranks, in their order."""


class RankError(RuntimeError):
    """Another rank has failed, and the training has ended on all of them."""


class Shared(NamedTuple):
    """Memory that all ranks see, in the core's form.

    Attributes
    ----------
    leave : callable
        Waits until all ranks have done their part.
    rows : ndarray of shape (size + 1, columns)
        The ranks' vectors, and the parameters that they share.
    start, stop : int
        Columns of this rank's part.
    """

    leave: Callable[[], None]
    rows: np.ndarray
    start: int
    stop: int


class Ranks:
    """A communicator, and one way of using it that leaves no rank waiting for one that has failed.

    Parameters
    ----------
    comm : Communicator

    Raises
    ------
    TypeError
        It lacks something.
    """

    def __init__(self, comm: Communicator) -> None:
        missing = [name for name in ("rank", "size", "allreduce", "allgather") if not hasattr(comm, name)]
        if missing:
            raise TypeError(f"comm must have rank, size, allreduce and allgather, as mpi4py's have; {comm!r} lacks {missing}.")
        self._comm = comm
        self.rank, self.size = int(comm.rank), int(comm.size)
        self._sum = self._sum_in_place if hasattr(comm, "Allreduce") else self._sum_by_object
        self._wait = getattr(comm, "Barrier", None)
        self.vector = np.zeros(1)
        self.shared: Shared | None = None
        self._is_over = False
        self._late_error: BaseException | None = None
        self._has_failed = False

    def together(self, make: Callable[[], tuple[T, Any]]) -> tuple[T, list[Any]]:
        """What `make` gives: one thing for this rank, and another that all ranks get of each. If it fails on one, all raise."""
        try:
            own, shared = make()
        except BaseException as error:
            self._comm.allgather((_text(error), None))
            raise
        answers = self._comm.allgather((None, shared))
        self._raise_for([text for text, _ in answers])
        return own, [value for _, value in answers]

    def make_room(self, n: int, dtype: np.dtype) -> None:
        """Make `vector`, of the n numbers that ranks exchange from now on and one more that says whether a rank has failed."""
        row_bytes = -(-(n + 1) * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = self._memory_of_all((self.size + 1) * row_bytes)
        rows = np.frombuffer(memory or mmap.mmap(-1, row_bytes), dtype).reshape(-1, row_bytes // dtype.itemsize)
        self.vector = rows[self.rank if memory else 0, : n + 1]
        if memory and self._wait:
            line = _LINE // dtype.itemsize
            start, stop = (rows.shape[1] // line * rank // self.size * line for rank in (self.rank, self.rank + 1))
            self._sum = partial(_sum_in_memory, self._wait, partial(_core.core.add_up, rows[:-1], start, stop))
            self.shared = Shared(self.leave, rows, start, stop)
            self._failures = rows[:-1, n]

    def _memory_of_all(self, n_bytes: int) -> mmap.mmap | None:
        """Zeros that all ranks see, where they can wait for each other and are on one machine."""
        if self.size == 1 or self._wait is None:
            return None
        file, names = self.together(lambda: _shared_file(n_bytes) if self.rank == 0 else (None, None))
        memory, found = self.together(lambda: _mapped(names[0], n_bytes))
        if file is not None:
            file.close()
        return memory if all(found) else None

    def exchange(self) -> None:
        """Replace `vector` by the sum of the ranks' vectors.

        Raises
        ------
        RankError
            A rank has failed.
        """
        if self.size > 1:
            self._sum()
        if self.vector[-1]:
            self._raise_for(self._comm.allgather(None))

    def arrive(self) -> None:
        """Wait until all ranks have their numbers in `shared`, and have not failed.

        An error on the way, of Ctrl-C, is raised by `leave`, as the other ranks count on this one until then.
        """
        try:
            self._wait()
        except BaseException as error:
            self._late_error = error
        self._has_failed = bool(self._failures.any())

    def leave(self) -> None:
        """Wait until all ranks have done what they met for.

        Raises
        ------
        RankError
            A rank has failed.
        """
        try:
            self._wait()
        finally:
            if self._has_failed:
                self._raise_for(self._comm.allgather(None))
        if self._late_error is not None:
            raise self._late_error

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """Let the other ranks know, at their next exchange, of an error on this one."""
        try:
            yield
        except RankError:
            raise
        except BaseException as error:
            if not self._is_over:
                self.vector[:] = 0
                self.vector[-1] = 1
                self._sum()
                self._comm.allgather(_text(error))
            raise

    def last_exchange(self) -> None:
        """The same as `exchange`, after which no rank waits for another."""
        self._is_over = True
        self.exchange()

    def _sum_in_place(self) -> None:
        from mpi4py import MPI

        self._comm.Allreduce(MPI.IN_PLACE, self.vector)  # type: ignore[attr-defined]

    def _sum_by_object(self) -> None:
        self.vector[:] = self._comm.allreduce(self.vector)

    def _raise_for(self, texts: list[str | None]) -> None:
        failed = [f"rank {rank}: {text}" for rank, text in enumerate(texts) if text is not None]
        if failed:
            raise RankError(f"Training has ended on all ranks, because of an error on {'; '.join(failed)}")


def _shared_file(n_bytes: int) -> tuple[Any, str | None]:
    """A file of zeros in memory, which is gone when it is closed, and its name; None if there cannot be one."""
    try:
        file = NamedTemporaryFile(dir=_MEMORY, prefix="fastnet-")
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    except OSError:
        return None, None
    return file, file.name


def _mapped(name: str | None, n_bytes: int) -> tuple[mmap.mmap | None, bool]:
    """The memory of a file, and whether there is one of this name here."""
    try:
        with open(name or "", "r+b") as file:
            return mmap.mmap(file.fileno(), n_bytes), True
    except (OSError, ValueError):
        return None, False


def _sum_in_memory(wait: Callable[[], Any], add_up: Callable[[], None]) -> None:
    """Add up this rank's part of the ranks' vectors, while they wait for each other before and after.

    Ctrl-C, which raises when a call returns, leaves out none of the three: the other ranks get the whole sum.
    """
    try:
        wait()
    finally:
        try:
            add_up()
        finally:
            wait()


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
