"""fastnet on Dask: rounds of shards that are on the workers already, one worker a process."""

from __future__ import annotations

import dask
import dask.array as da
from distributed import Client, LocalCluster

import fastnet as fn
from benchmarks._peers.fastnet import network
from benchmarks._tasks import LEARNING_RATE, Spread
from benchmarks._timing import Job
from fastnet._rounds import RoundsSession, Shard
from fastnet.dask._engine import Engine
from fastnet.dask._partitions import Partition, partitions
from fastnet.dask._shards import DealtRows

#: The documentation's advice for short rounds (docs/guide/dask.md): Dask looks at its own processes less often. A cluster of two
#: workers that has nothing to do takes 0.06 of a core in place of 0.18.
QUIET = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "500ms"}


def spread(task: Spread, n_threads: int | None) -> Job:
    with dask.config.set({"distributed.worker.daemon": True, "logging.distributed": "error", **QUIET}):
        cluster = LocalCluster(n_workers=task.processes, threads_per_worker=1, dashboard_address=None)
    engine = Engine(Client(cluster, set_as_default=False))
    X, y = (da.from_array(array, chunks=(-(-len(array) // 8), *array.shape[1:])) for array in task.training.data())
    rows = DealtRows(engine, engine.persist(partitions(X, y, None)), X.chunks[0], task.processes)
    net = network(task.training)
    session = RoundsSession(
        net,
        rows.deal(_encoded, 0),
        rounds_per_epoch=task.rounds,
        loss=fn.CrossEntropy(),
        optimizer=fn.Adam(LEARNING_RATE),
        batch_size=task.training.batch_size,
        random_state=0,
    )

    def train(n: int) -> None:
        for _ in range(n):
            session.run_epoch()

    return train


def _encoded(part: Partition) -> Shard:
    return part.X, part.y.astype("i4"), None
