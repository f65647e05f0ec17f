"""Where graphs are computed, and what is done about lost workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask
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
    WorkerError
        No workers.
    """

    def __init__(self, client: Any) -> None:
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
        return list(dask.persist(*values) if self._client is None else self._client.persist(list(values)))

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


def _current_client() -> Any:
    try:
        from distributed import default_client
    except ImportError:
        return None
    try:
        return default_client()
    except ValueError:
        return None
