"""Workers of Dask: their number and their loss change no bit, and nothing waits for ever."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from dask_models import (
    EXPECTED_WARNINGS,
    OPTIONS,
    PATIENCE,
    arrays,
    base,
    classifier,
    cloudpickle,
    dask,
    distributed,
    fitted,
    of_networks,
    of_table,
    parameters,
    soon,
    table,
)

import fastnet as fn
from fastnet.dask import WorkerError, _tabular
from fastnet.dask._engine import Engine

pytestmark = EXPECTED_WARNINGS

cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Rate:
    """A learning rate that writes down which process asks for which update, and does something in a process of Dask's once."""

    def __init__(self, folder, at=None, forever=False):
        self.folder, self.at, self.forever, self.client = str(folder), at, forever, os.getpid()

    def __call__(self, step):
        if os.getpid() != self.client:
            with open(f"{self.folder}/log", "a") as log:
                log.write(f"{os.getpid()} {step}\n")
            if step == self.at and (self.forever or self._is_first()):
                os.kill(os.getpid(), signal.SIGKILL)
        return 0.02

    def _is_first(self):
        """Whether no other process has come this far, of which two may at the same time."""
        try:
            with open(f"{self.folder}/killed", "x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True

    def asked(self):
        with open(f"{self.folder}/log") as log:
            return [tuple(map(int, line.split())) for line in log]


@pytest.fixture(scope="module")
def processes():
    """A cluster of three processes, which is made smaller from test to test, as starting one takes seconds."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def with_workers(client, n):
    """The client, when its cluster has n workers."""
    client.cluster.scale(n)
    deadline = time.monotonic() + PATIENCE
    while len(client.nthreads()) != n:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return client


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="workers are killed by a signal")
class TestProcesses:
    @pytest.mark.parametrize("n", [3, 2])
    def test_the_number_of_workers_does_not_matter(self, n, processes, expected):
        client = with_workers(processes, n)
        model = soon(fitted, classifier(client=client), *arrays()[:2])
        np.testing.assert_array_equal(parameters(model), expected)
        of_workers, here = soon(of_table, table(), client=client), of_table(table())
        np.testing.assert_array_equal(of_networks(of_workers), of_networks(here))

    def test_a_worker_that_is_killed_between_epochs_changes_nothing(self, processes, monkeypatch):
        client = with_workers(processes, 2)
        train, killed = _tabular.train, []

        class Kill(fn.Callback):
            def on_epoch_end(self, session):
                if not killed:
                    killed.append(next(iter(client.run(os.getpid).values())))
                    os.kill(killed[0], signal.SIGKILL)

        def with_kill(session, *, callbacks, **options):
            return train(session, callbacks=[*callbacks, Kill()], **options)

        here = of_table(table())
        monkeypatch.setattr(_tabular, "train", with_kill)
        model = soon(of_table, table(), client=client)
        np.testing.assert_array_equal(of_networks(model), of_networks(here))
        assert killed and killed[0] not in client.run(os.getpid).values()

    def test_a_killed_worker_changes_nothing(self, processes, tmp_path):
        X, y, _ = arrays()
        rate = Rate(tmp_path, at=15)
        model = soon(fitted, classifier(client=with_workers(processes, 2), learning_rate=rate), X, y)
        np.testing.assert_array_equal(parameters(model), parameters(fitted(classifier(learning_rate=lambda step: 0.02), X, y)))
        killed = int((tmp_path / "killed").read_text())
        of_killed = [step for pid, step in rate.asked() if pid == killed]
        of_others = [step for pid, step in rate.asked() if pid != killed]
        assert of_killed[-1] == 15
        assert of_others.count(15) == OPTIONS["n_shards"], "the work that was cut off was not done again"

    def test_one_worker_is_enough(self, processes, expected):
        model = soon(fitted, classifier(client=with_workers(processes, 1)), *arrays()[:2])
        np.testing.assert_array_equal(parameters(model), expected)

    def test_work_that_kills_every_worker_ends_with_an_error(self, processes, tmp_path):
        model = classifier(client=with_workers(processes, 1), learning_rate=Rate(tmp_path, at=15, forever=True))
        with pytest.raises(WorkerError, match=r"fastnet-epoch 2 round 5 shard \d.*allowed-failures"):
            soon(fitted, model, *arrays()[:2])
        assert not hasattr(model, "coefs_")


@pytest.fixture
def client():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


class TestClient:
    def test_futures(self):
        X, y, _ = arrays()
        with distributed.Client(processes=False, n_workers=1, dashboard_address=None, set_as_default=False) as client:
            sent = client.scatter([X, y])
            parts = [[dask.delayed(one)] for one in sent]
            expected = parameters(classifier(client=client).fit(*parts))
            for given in (sent, [[one] for one in sent], [sent[:1], [y]]):
                model = classifier(client=client).fit(*given)
                np.testing.assert_array_equal(parameters(model), expected)
                assert client.compute(model.predict(given[0])).result().tolist() == model.predict(X).tolist()
                assert model.score(*given) == model.score(X, y)

    def test_fits_at_once(self, client, expected):
        X, y, _ = arrays()
        with ThreadPoolExecutor(3) as pool:
            fits = [pool.submit(fitted, classifier(client=client, random_state=seed), X, y) for seed in (0, 1, 0)]
            models = [fit.result(PATIENCE) for fit in fits]
        np.testing.assert_array_equal(parameters(models[0]), expected)
        np.testing.assert_array_equal(parameters(models[2]), expected)
        assert not np.array_equal(parameters(models[1]), expected)

    def test_shards_are_spread_over_the_workers(self, client):
        first, second = client.nthreads()
        with dask.annotate(workers=[first]):
            shards = client.persist([dask.delayed(np.full, pure=False)(10, number) for number in range(5)])
        Engine(client).spread(shards)
        held = client.who_has(shards)
        assert all(first in where for where in held.values())
        assert sum(second in where for where in held.values()) == 2

    def test_shards_that_cannot_be_made_are_not_waited_for(self, client):
        shards = client.persist([dask.delayed(len, pure=False)(5), dask.delayed(len, pure=False)([])])
        soon(Engine(client).spread, shards)
        assert [future.status for future in distributed.futures_of(shards)] == ["error", "finished"]

    def test_a_cluster_that_loses_all_workers(self, client, monkeypatch):
        class Leave(fn.Callback):
            def on_epoch_end(self, session):
                monkeypatch.setattr("fastnet.dask._engine.PATIENCE", 0.5)
                with_workers(client, 0)

        with pytest.raises(WorkerError, match="All workers were lost, and none has come back in 0.5 seconds"):
            soon(fitted, classifier(client=client, callbacks=[Leave()]), *arrays()[:2])
        with pytest.raises(WorkerError, match="The cluster has no workers, after 0.5 seconds"):
            soon(fitted, classifier(client=client), *arrays()[:2])

    @pytest.mark.parametrize("error", [None, TimeoutError("the task's own")])
    def test_what_ends_while_it_is_looked_at_is_not_late(self, error):
        class Future:
            over = False

            def done(self):
                return self.over

            def exception(self, timeout):
                self.over = True
                raise TimeoutError(f"timed out after {timeout} s")

            def result(self):
                if error:
                    raise error
                return 7

            def release(self):
                pass

        class Client:
            def wait_for_workers(self, n, timeout):
                pass

            def compute(self, value):
                return Future()

            def nthreads(self):
                return {"worker": 1}

        engine = Engine(Client())
        if error is None:
            assert engine.compute(None) == 7
        else:
            with pytest.raises(TimeoutError, match="the task's own"):
                engine.compute(None)

    def test_errors_of_workers_keep_their_type(self, client):
        X, y, _ = arrays()
        X[590] = np.inf
        with pytest.raises(ValueError, match="contains infinity"):
            soon(fitted, classifier(client=client), X, y)

    def test_workers_let_go_of_the_data_of_a_fit_that_failed(self, client):
        X, y, _ = arrays()
        X[590] = np.inf
        before = len(client.who_has())
        with pytest.raises(ValueError, match="contains infinity"):
            fitted(classifier(client=client), X, y)
        deadline = time.monotonic() + PATIENCE / 10
        while len(client.who_has()) > before and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.05)
        assert len(client.who_has()) <= before

    def test_clients_are_not_copied(self, client):
        model = classifier(client=client)
        assert base.clone(model).client is client
        assert pickle.loads(pickle.dumps(model)).client is None
