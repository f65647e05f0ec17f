"""Training on many ranks: threads with a communicator of the protocol, and processes of mpi4py where it is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import ROOT

import fastnet as fn
from fastnet import _ranks, checkpoint
from fastnet.distributed import RankError

#: Seconds after which a test counts a rank that waits as one that waits for ever.
PATIENCE = 60
LAYERS = [fn.Dense(8, "tanh"), fn.Dense(3, "softmax")]


class Threads:
    """Communicators of ranks that are threads; they add up in the order of the ranks."""

    def __init__(self, size, kind=None):
        self.size, self.barrier, self.board = size, threading.Barrier(size, timeout=PATIENCE), [None] * size
        self._kind = kind or Rank

    def rank(self, number):
        return self._kind(self, number)

    def run(self, function):
        """What ``function(comm)`` gives or raises on each rank."""

        def call(number):
            try:
                return function(self.rank(number))
            except BaseException as error:
                return error

        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(call, range(self.size)))


class Rank:
    def __init__(self, ranks, rank):
        self._ranks, self.rank, self.size = ranks, rank, ranks.size

    def allgather(self, value):
        self._ranks.board[self.rank] = value
        self._ranks.barrier.wait()
        values = list(self._ranks.board)
        self._ranks.barrier.wait()
        return values

    def allreduce(self, vector):
        return sum(self.allgather(vector.copy()))


class Neighbour(Rank):
    """A rank that shares memory with the others."""

    def Barrier(self):
        raise AssertionError("ranks wait for each other in memory")

    def allreduce(self, vector):
        raise AssertionError("sums are made in memory")


def build(dtype="float64", layers=LAYERS, seed=0):
    return fn.Network(layers, 5, dtype=dtype, random_state=seed)


def arrays(m=240, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, 5)), rng.integers(0, 3, m), rng.random(m)


def dealt(sizes, *arrays):
    """Rows of each rank."""
    ends = np.cumsum(sizes)
    return [[array[end - size : end] for array in arrays] for size, end in zip(sizes, ends, strict=True)]


def trained(sizes, *, kind=None, weighted=False, of_rank=None, layers=LAYERS, dtype="float64", **options):
    """Networks and histories of all ranks, of which rank r has ``sizes[r]`` rows; or the errors."""
    parts = dealt(sizes, *arrays(sum(sizes)))

    def train(comm):
        X, y, w = parts[comm.rank]
        net = build(dtype, layers, seed=comm.rank)
        own = {} if of_rank is None else of_rank(comm.rank)
        kwargs = {"random_state": 0, "sample_weight": w if weighted else None} | options | own
        return net, fn.distributed.fit(net, X, y, comm=comm, **kwargs)

    return Threads(len(sizes), kind).run(train)


def interleaved(sizes, batch_size):
    """Row numbers, in one array, of the batches that ranks make of rows in their order."""
    m, starts = sum(sizes), np.cumsum([0, *sizes])
    K = -(-m // batch_size)
    return [
        np.concatenate([start + np.arange(n * k // K, n * (k + 1) // K) for n, start in zip(sizes, starts[:-1], strict=True)])
        for k in range(K)
    ]


class TestUpdates:
    @pytest.mark.parametrize("sizes", [(240,), (120, 120), (200, 7, 0, 33)])
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("optimizer", ["adam", fn.SGD(0.1, momentum=0.9), fn.AdamW(0.01)])
    def test_they_are_those_of_one_process(self, sizes, weighted, optimizer):
        options = {"batch_size": 24, "epochs": 2, "sampling": "sequential"}
        options |= {"l2": 0.01, "max_grad_norm": 0.5, "learning_rate": "cosine"}
        results = trained(sizes, weighted=weighted, optimizer=optimizer, **options)
        X, y, w = arrays()
        one, rule = build(), fn.optimizers.get(optimizer)
        state = fn.init_state(one, rule)
        schedule = rule.schedule("cosine").bound(20)
        losses, batches = [], interleaved(sizes, 24)
        for _ in range(2):
            for rows in batches:
                rate = float(schedule(state.step))
                J, grads = one.loss_and_grad(X[rows], y[rows], sample_weight=w[rows] if weighted else None)
                losses.append(J)
                fn.update(one, grads, state, rule, learning_rate=rate, l2=0.01, max_grad_norm=0.5)
        for net, history in results:
            np.testing.assert_allclose(net.params, one.params, rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(net.params, results[0][0].params)
            means = np.average(np.reshape(losses, (2, -1)), axis=1, weights=list(map(len, batches)))
            np.testing.assert_allclose(history.loss, means, rtol=1e-9)
            assert history.n_rows == [240, 240]

    def test_the_same_seed_gives_the_same_bits(self):
        layers = [fn.Dense(8, "tanh", dropout=0.2), fn.Dense(3, "softmax")]
        runs = [trained((100, 140), layers=layers, epochs=2, batch_size=16, random_state=seed)[1][0].params for seed in (0, 0, 1)]
        np.testing.assert_array_equal(runs[0], runs[1])
        assert not np.array_equal(runs[0], runs[2])

    def test_a_seed_of_rank_0_is_enough(self):
        a, b = (trained((100, 140), epochs=1, of_rank=lambda rank: {"random_state": None if rank else 7}) for _ in range(2))
        np.testing.assert_array_equal(a[0][0].params, b[1][0].params)

    def test_updates_rather_than_epochs(self):
        (net, history), _ = trained((100, 140), iterations=13, batch_size=24)
        assert history.n_rows == [240, 72]

    def test_the_batch_grows_with_the_ranks(self):
        assert trained((100, 140), epochs=1)[0][1].n_rows == [240]
        with pytest.warns(UserWarning, match="batch_size is 544, 32 for each of 17 ranks"):
            trained((20,) * 17, epochs=1)

    def test_a_class_on_one_rank_and_sorted_labels(self):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1, 2], 200)
        X = rng.standard_normal((600, 5)) + 3 * np.eye(3, 5)[y]
        parts = dealt((200, 200, 200), X, y)
        results = Threads(3).run(
            lambda comm: (net := build(), fn.distributed.fit(net, *parts[comm.rank], comm=comm, epochs=10, learning_rate=0.05))
        )
        assert results[0][0].score(X, y) > 0.9


class TestCallbacks:
    def test_rank_0_stops_all(self):
        class Third(fn.Callback):
            def on_epoch_end(self, session):
                return session.epoch == 3

        results = trained((100, 140), epochs=9, of_rank=lambda rank: {"callbacks": [] if rank else [Third()]})
        assert [len(history) for _, history in results] == [3, 3]

    def test_parameters_that_a_callback_puts_back_reach_all_ranks(self):
        X, y, _ = arrays(50, seed=9)
        stopping = fn.EarlyStopping(patience=2)
        own = {"validation_data": (X, y), "callbacks": [stopping]}
        (net, history), (other, _) = trained((100, 140), epochs=60, of_rank=lambda rank: {} if rank else own, learning_rate=0.1)
        assert history.kept_epoch is not None and history.kept_epoch < len(history) - 1
        np.testing.assert_array_equal(net.params, other.params)
        assert net.loss(X, y) == pytest.approx(min(history.val_loss), rel=1e-12)

    def test_a_checkpoint_continues_on_another_number_of_ranks(self, tmp_path):
        pytest.importorskip("safetensors")
        options = {"batch_size": 24, "sampling": "sequential"}

        def saving(rank):
            return {} if rank else {"callbacks": [fn.Checkpoint(tmp_path)]}

        def resuming(rank):
            return {} if rank else {"callbacks": [fn.Checkpoint(tmp_path)], "resume_from": checkpoint.latest(tmp_path)}

        whole = trained((120, 120), epochs=4, **options)[0]
        trained((120, 120), epochs=2, of_rank=saving, **options)
        results = trained((120, 120), epochs=4, of_rank=resuming, **options)
        for net, history in results:
            np.testing.assert_array_equal(net.params, whole[0].params)
            assert history.loss == whole[1].loss
        three = trained((80, 80, 80), epochs=6, of_rank=resuming, **options)
        assert [len(history) for _, history in three] == [6, 6, 6]

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("changed", ["X", "y", "sample_weight", "a row for another"])
    def test_a_checkpoint_of_other_rows_is_refused(self, changed, dtype, tmp_path):
        pytest.importorskip("safetensors")
        X, y, w = arrays()

        def fit(parts, **of_first):
            def train(comm):
                X, y, w = parts[comm.rank]
                own = {} if comm.rank else {"callbacks": [fn.Checkpoint(tmp_path)], **of_first}
                return fn.distributed.fit(build(dtype), X, y, comm=comm, sample_weight=w, batch_size=24, epochs=1, **own)

            return Threads(len(parts)).run(train)

        fit(dealt((120, 120), X, y, w))
        from_there = {"resume_from": checkpoint.latest(tmp_path)}
        mixed = np.random.default_rng(0).permutation(240)
        resumed = fit(dealt((200, 0, 40), X[mixed], y[mixed], w[mixed]), **from_there)
        assert all(isinstance(result, fn.History) for result in resumed)
        if changed == "X":
            X[17, 3] += 0.25
        elif changed == "y":
            y[17] = (y[17] + 1) % 3
        elif changed == "sample_weight":
            w[17] += 0.25
        else:
            X[17], y[17], w[17] = X[18], y[18], w[18]
        first, other = fit(dealt((120, 120), X, y, w), **from_there)
        assert isinstance(first, ValueError) and "belongs to another run (checksum was" in str(first)
        assert isinstance(other, RankError) and "belongs to another run" in str(other)

    def test_a_checkpoint_without_a_checksum_continues(self, tmp_path, monkeypatch):
        pytest.importorskip("safetensors")

        def older(session, identity=fn.distributed.Session.identity.func):
            return {name: text for name, text in identity(session).items() if name != "checksum"}

        def own(rank):
            return {} if rank else {"callbacks": [fn.Checkpoint(tmp_path)], "resume_from": checkpoint.latest(tmp_path)}

        with monkeypatch.context() as patch:
            patch.setattr(fn.distributed.RankSession, "identity", property(older))
            trained((120, 120), of_rank=own, batch_size=24, epochs=1)
        assert [len(history) for _, history in trained((120, 120), of_rank=own, batch_size=24, epochs=2)] == [2, 2]


class TestFailures:
    """None of them leaves a rank waiting: `Threads` gives up on its barriers after a minute."""

    @pytest.mark.parametrize("failing", [0, 1, 2])
    @pytest.mark.parametrize("error", [OSError("the disk is gone"), KeyboardInterrupt()])
    def test_an_error_between_updates(self, failing, error, monkeypatch):
        calls = {}
        exchange = fn.distributed.RankSession._exchange

        def failing_exchange(session):
            rank = session._part.ranks.rank
            calls[rank] = calls.get(rank, 0) + 1
            if rank == failing and calls[rank] == 5:
                raise error
            exchange(session)

        monkeypatch.setattr(fn.distributed.RankSession, "_exchange", failing_exchange)
        results = trained((80, 80, 80), epochs=9, batch_size=24)
        for rank, result in enumerate(results):
            if rank == failing:
                assert result is error
            else:
                assert isinstance(result, RankError) and f"rank {failing}: {type(error).__name__}" in str(result)

    def test_a_callback_that_raises(self):
        class Broken(fn.Callback):
            def on_epoch_end(self, session):
                raise OSError("no space left")

        first, other = trained((100, 140), of_rank=lambda rank: {} if rank else {"callbacks": [Broken()]})
        assert isinstance(first, OSError)
        assert isinstance(other, RankError) and "rank 0: OSError: no space left" in str(other)

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"sample_weight": np.ones(3)}, "sample_weight must have shape"),
            ({"epochs": 1, "iterations": 1}, "either epochs or iterations"),
        ],
    )
    def test_arguments_of_one_rank(self, option, message):
        first, other = trained((100, 140), of_rank=lambda rank: option if rank else {})
        assert isinstance(other, (ValueError, TypeError)) and message in str(other)
        assert isinstance(first, RankError) and f"rank 1: ValueError: {other}" in str(first)

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"optimizer": "lbfgs"}, "a rule that works on batches, such as fastnet.Adam(), got 'lbfgs'"),
            ({"layers": [fn.BatchNorm(), *LAYERS]}, "train in one process, with Network.fit, or put fastnet.LayerNorm"),
            ({"sampling": "random"}, "sampling='shuffle' or 'sequential'"),
            ({"max_grad_norm": -1}, "max_grad_norm"),
        ],
    )
    def test_arguments_of_all_ranks(self, option, message):
        for result in trained((100, 140), **option):
            assert isinstance(result, (ValueError, TypeError)) and message in str(result)

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"batch_size": 9}, "same batch_size: rank 0 has 24, rank 1 has 9"),
            ({"l2": 0.1}, "same l2"),
            ({"optimizer": fn.Adam(0.5)}, "same optimizer"),
            ({"epochs": 3}, "same epochs"),
        ],
    )
    def test_options_that_differ(self, option, message):
        for result in trained((100, 140), of_rank=lambda rank: option if rank else {"batch_size": 24}):
            assert isinstance(result, ValueError)
        both = {"batch_size": 24, "epochs": 2}
        results = trained((100, 140), of_rank=lambda rank: both | option if rank else both)
        assert all(isinstance(result, ValueError) and message in str(result) for result in results)

    @pytest.mark.parametrize("of_optimizer", [False, True])
    def test_learning_rates_that_differ(self, of_optimizer):
        def own(rank):
            rates = fn.schedules.LinearWarmup(lambda j: 0.1 / (1 + j * (rank == 2)), 2)
            return {"optimizer": fn.SGD(rates)} if of_optimizer else {"learning_rate": rates}

        for result in trained((80, 80, 80), of_rank=own, batch_size=24, epochs=1):
            assert isinstance(result, ValueError)
            assert "same learning_rate: for update 3 rank 0 has 0.1, rank 2 has 0.05." in str(result)

    def test_learning_rates_of_functions_with_the_same_values(self):
        results = trained((80, 80), of_rank=lambda rank: {"learning_rate": lambda j: 0.1 / (1 + j)}, batch_size=24, iterations=3)
        assert np.array_equal(results[0][0].params, results[1][0].params)

    def test_networks_that_differ(self):
        X, y, _ = arrays()
        results = Threads(2).run(
            lambda comm: fn.distributed.fit(build(layers=[fn.Dense(4 + comm.rank), *LAYERS]), X, y, comm=comm)
        )
        assert all(isinstance(result, ValueError) and "the same network" in str(result) for result in results)

    def test_an_estimator(self):
        pytest.importorskip("sklearn")
        X, y, _ = arrays()
        for result in Threads(2).run(lambda comm: fn.distributed.fit(fn.MLPRegressor(), X, y, comm=comm)):
            assert isinstance(result, TypeError) and "must be a fastnet.Network, got MLPRegressor()" in str(result)

    def test_blocks(self):
        data = fn.data.from_arrays(*arrays()[:2])
        for result in Threads(2).run(lambda comm: fn.distributed.fit(build(), data, None, comm=comm)):
            assert isinstance(result, TypeError) and "an array with the rows of this rank, got <Blocks 240 rows" in str(result)

    def test_divergence_ends_all_alike(self):
        X, y, _ = arrays()
        parts = dealt((100, 140), X, X.sum(1))
        parts[1][0][:] *= 1e200

        def train(comm):
            net = fn.Network([fn.Dense(1, "identity")], 5, dtype="float64", random_state=0)
            fn.distributed.fit(net, *parts[comm.rank], comm=comm, optimizer="sgd", random_state=0)

        results = Threads(2).run(train)
        assert all(isinstance(result, fn.DivergenceError) for result in results)

    @pytest.mark.parametrize("sizes", [(100, 140), (240, 0)])
    def test_weights_that_are_zero_everywhere(self, sizes):
        X, y, _ = arrays(240)

        def train(comm, weights):
            fn.distributed.fit(
                fn.Network(LAYERS, X.shape[1], random_state=0), *parts[comm.rank], comm=comm, sample_weight=weights[comm.rank]
            )

        parts = dealt(sizes, X, y)
        zeros, ones = [[np.full(size, weight) for size in sizes] for weight in (0.0, 1.0)]
        for result in Threads(2).run(lambda comm: train(comm, zeros)):
            assert isinstance(result, ValueError) and "sample_weight must not be zero everywhere" in str(result)
        assert Threads(2).run(lambda comm: train(comm, (ones[0], zeros[1]))) == [None, None]

    def test_no_rows_anywhere(self):
        for result in trained((0, 0)):
            assert isinstance(result, ValueError) and "No rank has rows" in str(result)

    def test_no_communicator(self):
        with pytest.raises(TypeError, match="comm must have rank, size, allreduce and allgather"):
            fn.distributed.fit(build(), *arrays()[:2], comm=object())


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="files of this system are no memory")
class TestOneMachine:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("sizes", [(120, 120), (200, 7, 0, 33)])
    @pytest.mark.parametrize("max_grad_norm", [None, 0.5])
    def test_ranks_add_up_in_their_memory_to_the_same_bits(self, sizes, dtype, max_grad_norm):
        layers = [fn.Dense(40, "tanh"), fn.Dense(3, "softmax")]
        options = {"batch_size": 24, "epochs": 2, "weighted": True, "dtype": dtype, "layers": layers, "l2": 0.01}
        options["max_grad_norm"] = max_grad_norm
        (net, history), *_ = trained(sizes, **options)
        for other, losses in trained(sizes, kind=Neighbour, **options):
            assert np.array_equal(other.params, net.params)
            np.testing.assert_allclose(losses.loss, history.loss, rtol=1e-6)

    def test_each_has_the_state_of_the_whole_optimizer(self):
        def states(kind):
            found = []

            class Look(fn.Callback):
                def on_epoch_end(self, session):
                    found.append([memory.copy() for memory in session.state])

            trained((100, 140), kind=kind, epochs=2, batch_size=24, of_rank=lambda rank: {} if rank else {"callbacks": [Look()]})
            return found

        assert np.array_equal(states(Neighbour), states(Rank))

    def test_batches_without_weight_change_nothing(self):
        X, y, _ = arrays()
        parts = dealt((120, 120), X, y, np.tile(np.repeat([1.0, 0.0], 60), 2))

        def train(comm):
            net, (X, y, w) = build(), parts[comm.rank]
            options = {"batch_size": 24, "epochs": 1, "sampling": "sequential"}
            return net.params, fn.distributed.fit(net, X, y, comm=comm, sample_weight=w, **options)

        of_memory, of_messages = (Threads(2, kind).run(train) for kind in (Neighbour, Rank))
        for (params, history), (expected, _) in zip(of_memory, of_messages, strict=True):
            assert np.array_equal(params, expected) and history.n_rows == [120]

    @pytest.mark.parametrize("missing", ["no file", "a file that one rank does not see"])
    def test_without_memory_in_common_the_communicator_adds_up(self, missing, monkeypatch, tmp_path):
        class Anywhere(Neighbour):
            allreduce = Rank.allreduce

        if missing == "no file":
            monkeypatch.setattr(_ranks, "_MEMORY", tmp_path / "nowhere")
        else:
            answers = iter([(None, False)])
            mapped = _ranks._mapped
            monkeypatch.setattr(_ranks, "_mapped", lambda *args: next(answers, None) or mapped(*args))
        options = {"batch_size": 24, "epochs": 2}
        (net, _), _ = trained((100, 140), **options)
        for other, _ in trained((100, 140), kind=Anywhere, **options):
            assert np.array_equal(other.params, net.params)

    def test_no_file_is_left(self, monkeypatch, tmp_path):
        monkeypatch.setattr(_ranks, "_MEMORY", tmp_path)
        trained((100, 140), kind=Neighbour, batch_size=24, epochs=1)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("failing", [0, 2])
    @pytest.mark.parametrize("error", [OSError("the disk is gone"), KeyboardInterrupt()])
    def test_an_error_ends_all_ranks_after_whole_updates(self, failing, error, monkeypatch):
        options = {"kind": Neighbour, "batch_size": 24}
        expected = trained((80, 80, 80), epochs=1, **options)[0][0].params
        train = fn.distributed.RankSession._train

        def failing_train(session, *args):
            if session.epoch == 1 and session._part.ranks.rank == failing:
                raise error
            return train(session, *args)

        monkeypatch.setattr(fn.distributed.RankSession, "_train", failing_train)
        nets = [build() for _ in range(3)]
        parts = dealt((80, 80, 80), *arrays()[:2])
        results = Threads(3, Neighbour).run(
            lambda comm: fn.distributed.fit(
                nets[comm.rank], *parts[comm.rank], comm=comm, epochs=9, batch_size=24, random_state=0
            )
        )
        for rank, (result, net) in enumerate(zip(results, nets, strict=True)):
            assert np.array_equal(net.params, expected)
            if rank == failing:
                assert result is error
            else:
                assert isinstance(result, RankError) and f"rank {failing}: {type(error).__name__}" in str(result)


SCRIPT = """
import os, signal, sys
import numpy as np
import fastnet as fn
from fastnet import _ranks
from mpi4py import MPI

comm, what, out = MPI.COMM_WORLD, sys.argv[1], sys.argv[2]
rng = np.random.default_rng(0)
X, y = rng.standard_normal((240, 5)), rng.integers(0, 3, 240)
if what == "messages":
    _ranks._MEMORY = "nowhere"
ends = np.cumsum([0, *((200, 7, 33)[: comm.size] if what == "uneven" else [240 // comm.size] * comm.size)])
rows = slice(ends[comm.rank], ends[comm.rank + 1])

def hurt(session, *args, train=fn.distributed.RankSession._train):
    if comm.rank == comm.size - 1 and session.epoch == 3:
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "interrupt":  # soon, while the core trains
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
        if what == "raise":
            raise OSError("no space left")
    return train(session, *args)

fn.distributed.RankSession._train = hurt
epochs = 10**6 if what == "interrupt" else 9
net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(3, "softmax")], 5, dtype="float64", random_state=comm.rank)
history = fn.distributed.fit(net, X[rows], y[rows], comm=comm, batch_size=24, epochs=epochs, sampling="sequential", n_threads=1)
np.save(f"{out}/{comm.rank}.npy", net.params)
"""


def mpiexec():
    beside = os.path.join(os.path.dirname(sys.executable), "mpiexec")
    return beside if os.path.exists(beside) else shutil.which("mpiexec")


@pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None or mpiexec() is None, reason="mpi4py and an MPI are not installed")
class TestMPI:
    def run(self, n, what, folder):
        (folder / "train.py").write_text(SCRIPT)
        command = [mpiexec(), "-n", str(n), sys.executable, "-m", "mpi4py", "train.py", what, str(folder)]
        is_open_mpi = "Open" in subprocess.run([mpiexec(), "--version"], capture_output=True, text=True).stdout
        if is_open_mpi and os.getuid() == 0:
            command[1:1] = ["--allow-run-as-root", "--oversubscribe"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)

    @pytest.mark.parametrize(("n", "what"), [(2, "even"), (3, "uneven"), (4, "even"), (2, "messages")])
    def test_it_is_the_same_training_as_in_threads(self, n, what, tmp_path):
        result = self.run(n, what, tmp_path)
        assert result.returncode == 0, result.stderr
        sizes = (200, 7, 33) if what == "uneven" else (240 // n,) * n
        expected = trained(sizes, batch_size=24, epochs=9, sampling="sequential")[0][0].params
        for rank in range(n):
            np.testing.assert_allclose(np.load(tmp_path / f"{rank}.npy"), expected, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize(
        ("what", "message"), [("raise", "OSError: no space left"), ("interrupt", "KeyboardInterrupt"), ("kill", "")]
    )
    def test_a_rank_that_fails_ends_all(self, what, message, tmp_path):
        result = self.run(2, what, tmp_path)
        assert result.returncode != 0 and message in result.stderr
        assert not list(tmp_path.glob("*.npy"))
