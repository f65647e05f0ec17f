"""The ranks that train a network together: what they need of a communicator, and how they exchange."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, TypeVar

import numpy as np

from fastnet import _core

T = TypeVar("T")

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
        self.vector = np.zeros(1)
        self.shared: _core.core.SharedVectors | None = None
        self._is_over = False

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
        memory = self._memory_of_all(mmap.PAGESIZE + (self.size + 1) * row_bytes)
        if memory is None:
            self.vector = np.zeros(n + 1, dtype)
            return
        meeting = np.frombuffer(memory, np.uint8, mmap.PAGESIZE)
        rows = np.frombuffer(memory, dtype, offset=mmap.PAGESIZE).reshape(self.size + 1, -1)
        self.vector = rows[self.rank, : n + 1]
        self.shared = _core.core.SharedVectors(meeting, rows, self.rank)
        self._sum = self.shared.add_up

    def _memory_of_all(self, n_bytes: int) -> mmap.mmap | None:
        """Zeros that all ranks see, where they are on one machine and, as those of mpi4py, end together when one is killed."""
        if self.size == 1 or not hasattr(self._comm, "Barrier"):
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
        try:
            if self.size > 1:
                self._sum()
        finally:  # Ctrl-C, whose error comes when a call returns, changes nothing for the other ranks
            if self.vector[-1]:
                self.raise_for_others()

    def raise_for_others(self) -> None:
        """Raise an error for a rank that has failed, when all of them know.

        Raises
        ------
        RankError
        """
        self._raise_for(self._comm.allgather(None))

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


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
