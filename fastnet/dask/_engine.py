"""Where graphs are computed, and what is done about lost workers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dask.base import persist
from dask.delayed import Delayed

#: Seconds to wait for the first worker, or for another one after the last was lost.
PATIENCE = 60.0
#: Seconds between two looks at the workers.
INTERVAL = 2.0


class WorkerError(RuntimeError):
    """Dask has given up: work has cost too many workers, or there are none."""


class Engine:
    """Where graphs are computed: by a client of Dask's distributed scheduler, or else in this process.

    Parameters
    ----------
    client : distributed.Client or None
        None: the current one, if there is one.

    Raises
    ------
    TypeError
        No client.
    WorkerError
        No workers.
    """

    def __init__(self, client: Any) -> None:
        if client is not None and not hasattr(client, "wait_for_workers"):
            raise TypeError(f"client must be a distributed.Client or None, got {client!r}.")
        self._client = _current_client() if client is None else client
        if self._client is not None:
            try:
                self._client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                raise WorkerError(
                    f"The cluster has no workers, after {PATIENCE:g} seconds: start some, with cluster.scale(2) for example."
                ) from None

    def persist(self, values: Sequence[Delayed]) -> list[Delayed]:
        """The same values, computed and kept by the workers, which compute them again where one is lost."""
        return list(persist(*values) if self._client is None else self._client.persist(list(values)))

    def spread(self, values: Sequence[Delayed]) -> None:
        """See that each worker has as many of some persisted values as its threads are of all.

        Tasks go to the workers that have their data. Dask's scheduler may have had one worker make most of the values, as it has
        what they are made of, and that worker would do most of the work.
        """
        if self._client is None:
            return
        from distributed import futures_of

        futures = futures_of(list(values))
        for future in futures:
            self._wait(future)
        threads, holders = self._client.nthreads(), self._client.who_has(futures)
        free = {address: len(futures) * n / sum(threads.values()) for address, n in threads.items()}
        to_move = []
        for future in futures:
            having_room = [address for address in holders[future.key] if free.get(address, 0) > 0]
            if having_room:
                free[max(having_room, key=free.__getitem__)] -= 1
            elif free and holders[future.key]:  # else it has failed, or is made again
                to_move.append(future)
        moves = []
        for future in to_move:
            place = max(free, key=free.__getitem__)
            free[place] -= 1
            moves.append((place, self._client.submit(_fetched, future, workers=[place], allow_other_workers=True, pure=False)))
        for place, move in moves:
            # A task for a worker that was lost may wait for it for ever, although others may do it.
            while not move.done() and place in self._client.nthreads():
                with suppress(TimeoutError):
                    move.exception(timeout=INTERVAL)

    def compute(self, value: Delayed) -> Any:
        """The value itself."""
        if self._client is None:
            return value.compute()
        from distributed import KilledWorker

        future = self._client.compute(value)
        self._wait(future)
        try:
            return future.result()
        except KilledWorker as error:
            raise WorkerError(
                f"{error.task} has cost more workers than Dask allows (distributed.scheduler.allowed-failures); the last was "
                f"{error.last_worker.address}. Give the workers more memory, or the data more partitions and n_shards."
            ) from error
        finally:
            future.release()  # the client would keep an error, and by its traceback all that has been persisted, on the workers

    def _wait(self, future: Any) -> None:
        """Wait for a result or an error, as long as there are workers or may be some soon."""
        without_workers = 0.0
        while not future.done():
            try:
                future.exception(timeout=INTERVAL)
            except TimeoutError:
                without_workers = 0.0 if self._client.nthreads() else without_workers + INTERVAL
            if without_workers >= PATIENCE:
                raise WorkerError(f"All workers were lost, and none has come back in {PATIENCE:g} seconds.")


def _fetched(value: Any) -> None:
    """A worker that runs this has the value, and the one that had it before may let it go."""


def _current_client() -> Any:
    try:
        from distributed import default_client
    except ImportError:
        return None
    try:
        return default_client()
    except ValueError:
        return None
