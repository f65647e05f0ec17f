"""Data larger than memory: what `fastnet.data` reads, and training on it."""

from __future__ import annotations

import copy
import threading
import time
from collections import Counter
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from block_rows import arrays, build, uneven

import fastnet as fn
from fastnet import _stream, checkpoint
from fastnet.data import kept_rows


class OfSession(fn.Callback):
    """Looks at the arrays of features that the core has been given."""

    def on_epoch_end(self, session):
        self.features = [buffer.arrays[0] for buffer in session._buffers if len(buffer.places)]


class TestTraining:
    def test_rows_with_positions(self):
        X, y, _ = arrays()
        images = np.stack([X, -X], axis=2)
        layers = [fn.Conv1d(3, 2, "tanh"), fn.Flatten(), fn.Dense(3, "softmax")]
        one, other = (fn.Network(layers, input_shape=(5, 2), random_state=0) for _ in range(2))
        options = {"sampling": "sequential", "epochs": 2}
        one.fit(images, y, **options)
        for data in (fn.data.from_arrays(images, y), fn.data.from_arrays(np.asfortranarray(images), y)):
            trained = copy.deepcopy(other)
            trained.fit(data, **options)
            np.testing.assert_array_equal(one.params, trained.params)
        with pytest.raises(ValueError, match=r"X must have shape \(rows, features\)"):
            fn.data.from_arrays(X[:, 0], y)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("buffer", [1, 20, 0.3, 1.0])
    def test_in_sequence_it_gives_the_bits_of_arrays(self, dtype, weighted, buffer):
        """Whatever the blocks and buffers are: batches, dropout, schedules and history are those of one array."""
        X, y, w = arrays()
        w = w if weighted else None
        options = {"sampling": "sequential", "epochs": 3, "random_state": 1, "learning_rate": "cosine", "max_grad_norm": 1.0}
        one, other = build(dtype), build(dtype)
        mine = one.fit(X, y, sample_weight=w, track_grad_norm=True, **options)
        theirs = other.fit(uneven(X, y, w), buffer=buffer, track_grad_norm=True, **options)
        np.testing.assert_array_equal(one.params, other.params)
        for name in ("loss", "learning_rate", "grad_norm"):
            np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-12)
        assert mine.n_rows == theirs.n_rows

    def test_a_function_chooses_the_blocks_of_an_epoch(self):
        X, y, _ = arrays()
        one, other = build(), build()
        pieces = iter([[4, 0], [2, 5, 3]])
        history = one.fit(uneven(X, y), sampling=lambda session: next(pieces), epochs=2, buffer=20, random_state=0)
        assert history.n_rows == [107, 96]
        for chosen in ([1], [2, 2], [6], []):
            with pytest.raises(ValueError, match="numbers of blocks that have rows, each once"):
                other.fit(uneven(X, y), sampling=lambda session, chosen=chosen: chosen, epochs=1)

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("buffer", [1, 20, 0.3, 1.0])
    def test_rows_of_a_memory_map_are_trained_on_in_their_places(self, weighted, buffer, tmp_path):
        """With the bits of a copy of each buffer, and without one."""
        X, y, w = arrays()
        np.save(tmp_path / "X.npy", X)
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        in_place = fn.data.from_arrays(mapped, y, w if weighted else None, block_rows=7)
        copied = fn.data.from_batches(in_place.read, len(in_place.sizes), rows=in_place.sizes)
        one, other = build(), build()
        for net, data in ((one, in_place), (other, copied)):
            watch = OfSession()
            net.fit(data, buffer=buffer, batch_size=16, epochs=3, random_state=1, callbacks=[watch])
            assert all(np.shares_memory(mapped, X) == (data is in_place) for X in watch.features)
        np.testing.assert_array_equal(one.params, other.params)

    @pytest.mark.parametrize("on_disk", [False, True])
    @pytest.mark.parametrize("buffer", [1, 20, 1.0])
    def test_cached_blocks_are_read_once_and_give_the_same_bits(self, on_disk, buffer, tmp_path):
        X, y, w = arrays()
        numbers = []
        again = uneven(X, y, w)
        data = fn.data.from_batches(lambda number: numbers.append(number) or again.read(number), 6, rows=again.sizes)
        cached = data.cached(tmp_path if on_disk else 10_000)
        for dtype, times in (("float32", 1), ("float32", 1), ("float64", 2)):
            if dtype == "float64" and not on_disk:
                times = 5  # which ten thousand bytes are too few for
            one, other = build(dtype), build(dtype)
            options = {"buffer": buffer, "batch_size": 16, "random_state": 1, "validation_data": cached}
            mine = one.fit(again, epochs=2, **(options | {"validation_data": again}))
            theirs = other.fit(cached, epochs=2, **options)
            np.testing.assert_array_equal(one.params, other.params)
            assert mine.val_loss == theirs.val_loss
            assert Counter(numbers) == dict.fromkeys((0, 2, 3, 4, 5), times)
        assert not list(tmp_path.iterdir())

    def test_fits_at_the_same_time_share_a_cache(self):
        X, y, _ = arrays()
        data = uneven(X, y).cached(10_000)
        alone, *nets = (build() for _ in range(5))
        alone.fit(X, y, sampling="sequential", epochs=2, random_state=1)
        fn.fit_many(nets, data, None, sampling="sequential", epochs=2, random_state=1, n_threads=4)
        for net in nets:
            np.testing.assert_array_equal(net.params, alone.params)

    def test_fits_at_the_same_time_do_not_get_each_others_form_of_a_cache(self):
        X, y, _ = arrays()
        data = uneven(X, y).cached(2**20)

        class Form:
            """Another fit keeps rows of its own form while this one is compared."""

            def __eq__(self, other):
                data._kept = "another", None
                return isinstance(other, Form)

            __hash__ = None

        own = data._kept_in(Form(), 1)
        assert data._kept_in(Form(), 1) is own

    def test_updates_rather_than_epochs(self):
        X, y, _ = arrays()
        one, other = build(), build()
        options = {"sampling": "sequential", "iterations": 10, "random_state": 1}
        one.fit(X, y, **options)
        other.fit(uneven(X, y), buffer=20, **options)
        np.testing.assert_array_equal(one.params, other.params)

    @pytest.mark.parametrize("buffer", [1, 20, 0.3, 1.0])
    def test_every_row_is_trained_on_once_an_epoch(self, buffer):
        """And all batches but the last are full."""
        m = 203
        net = fn.Network([fn.Dense(1, "identity")], 203, dtype="float64", random_state=0)
        net.params[:] = 0.0
        data = uneven(np.eye(m), np.ones(m))
        history = net.fit(data, buffer=buffer, optimizer=fn.SGD(1e-9), batch_size=8, epochs=1, random_state=0)
        # Row i moves W[i] alone, by an amount that is divided by the rows of its batch: 8, and 3 of the last one.
        moved = Counter(np.round(net.weights[0][:, 0] / net.weights[0].max(), 6))
        assert history.n_rows == [m]
        assert moved == {0.375: 200, 1.0: 3}

    def test_another_order_each_epoch_and_for_each_seed(self):
        X, y, _ = arrays()
        data = uneven(X, y)

        def trained(seed):
            net = build()
            return net.fit(data, epochs=2, random_state=seed).loss, net.params

        (loss, params), (_, again), (_, other) = trained(0), trained(0), trained(1)
        np.testing.assert_array_equal(params, again)
        assert not np.array_equal(params, other)
        assert loss[0] != loss[1]

    def test_it_learns_from_sorted_labels(self):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1, 2], 2000)
        X = (rng.standard_normal((6000, 5)) + 2 * np.eye(3, 5)[y]).astype(np.float32)
        net = build()
        net.fit(fn.data.from_arrays(X, y), epochs=5, random_state=0)
        assert net.score(X, y) > 0.85

    def test_validation_data_in_blocks(self):
        X, y, w = arrays()
        one, other = build("float64"), build("float64")
        history = [
            net.fit(X, y, epochs=2, random_state=0, validation_data=validation).val_loss
            for net, validation in ((one, (X, y, w)), (other, uneven(X, y, w)))
        ]
        np.testing.assert_allclose(*history, rtol=1e-12)

    def test_a_checkpoint_continues_bit_for_bit(self, tmp_path):
        pytest.importorskip("safetensors")
        X, y, _ = arrays()
        data = uneven(X, y)
        options = {"buffer": 0.2, "random_state": 3}
        whole, part, rest = build(), build(), build()
        whole.fit(data, epochs=5, **options)
        part.fit(data, epochs=2, callbacks=[fn.Checkpoint(tmp_path)], **options)
        options |= {"callbacks": [fn.Checkpoint(tmp_path, keep_last=9)], "resume_from": checkpoint.latest(tmp_path)}
        rest.fit(data, epochs=5, **options)
        np.testing.assert_array_equal(whole.params, rest.params)
        with pytest.raises(ValueError, match="cannot resume"):
            build().fit(uneven(X + 1, y), epochs=6, **options)

    def test_a_checkpoint_of_frames_with_a_nullable_column_continues(self, tmp_path):
        pytest.importorskip("safetensors")
        pandas = pytest.importorskip("pandas")
        X, y, _ = arrays(100)

        def read(number, shift=1000):
            frame = pandas.DataFrame(X, columns=list("abcde"))
            return frame.assign(a=pandas.array(np.arange(100) + shift, "Int64"), b=X[:, 1] > 0), y

        options = {"random_state": 0, "callbacks": [fn.Checkpoint(tmp_path)]}
        build().fit(fn.data.from_batches(read, 3), epochs=1, **options)
        options["resume_from"] = checkpoint.latest(tmp_path)
        build().fit(fn.data.from_batches(read, 3), epochs=2, **options)
        options["resume_from"] = checkpoint.latest(tmp_path)
        with pytest.raises(ValueError, match="cannot resume"):
            build().fit(fn.data.from_batches(partial(read, shift=2000), 3), epochs=3, **options)

    def test_a_divergence_puts_the_parameters_back(self):
        X, y, _ = arrays()
        X[190] = 1e30  # in the last buffer
        net = fn.Network([fn.Dense(1, "identity")], 5, random_state=0)
        before = net.params.copy()
        options = {"batch_size": 8, "sampling": "sequential"}
        with pytest.raises(fn.DivergenceError) as of_arrays:
            net.fit(X, y, **options)
        with pytest.raises(fn.DivergenceError, match="epoch 1, batch 2[45]") as of_blocks:
            net.fit(uneven(X, y), buffer=20, **options)
        assert str(of_arrays.value) == str(of_blocks.value)
        np.testing.assert_array_equal(net.params, before)

    def test_reading_is_done_beside_the_training_and_ends_with_it(self):
        X, y, _ = arrays()
        threads = []

        def read(number):
            threads.append(threading.current_thread())
            if len(threads) > 30:
                raise OSError("the disk is gone")
            return X[number * 10 : number * 10 + 10], y[number * 10 : number * 10 + 10]

        data = fn.data.from_batches(read, 20, rows=[10] * 20)
        with pytest.raises(OSError, match="the disk is gone"):
            build().fit(data, epochs=5, random_state=0)
        assert threading.current_thread() not in threads
        assert not any(thread.is_alive() for thread in threads)

    def test_blocks_that_nobody_will_train_on_are_not_read(self):
        X, y = np.full((10, 5), 1e30, np.float32), np.zeros(10)
        numbers = []

        def read(number):
            numbers.append(number)
            time.sleep(0.1 if number >= 10 else 0)
            return X, y

        net = fn.Network([fn.Dense(1, "identity")], 5, random_state=0)
        with pytest.raises(fn.DivergenceError):
            net.fit(fn.data.from_batches(read, 20, rows=[10] * 20), buffer=100, sampling="sequential")
        assert max(numbers) < 19

    def test_blocks_after_the_last_update_are_not_read(self):
        X, y, _ = arrays(200)
        numbers = []

        def read(number):
            numbers.append(number)
            return X[10 * number : 10 * number + 10], y[10 * number : 10 * number + 10]

        build().fit(fn.data.from_batches(read, 20, rows=[10] * 20), iterations=2, batch_size=10, buffer=20, sampling="sequential")
        assert max(numbers) < 4  # those of the two updates, and of the next buffer


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"y": np.zeros(203)}, "Blocks bring their targets"),
            ({"sample_weight": np.ones(203)}, "Blocks bring their targets"),
            ({"optimizer": "lbfgs"}, "L-BFGS needs all rows in memory"),
            ({"sampling": "random"}, "'shuffle' or 'sequential', got 'random'"),
            ({"buffer": 1.5}, "buffer must be a share"),
            ({"buffer": 0}, "buffer"),
        ],
    )
    def test_options(self, options, message):
        X, y, _ = arrays()
        net = build()
        before = net.params.copy()
        with pytest.raises(ValueError, match=message):
            net.fit(uneven(X, y), **options)
        np.testing.assert_array_equal(net.params, before)

    def test_a_buffer_for_arrays(self):
        X, y, _ = arrays()
        with pytest.raises(ValueError, match="buffer is for data that are read in blocks"):
            build().fit(X, y, buffer=0.5)

    def test_arrays_without_targets(self):
        with pytest.raises(TypeError, match="fit needs y beside X"):
            build().fit(arrays()[0])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X, y: (X.__setitem__((30, 2), np.nan), y), "block 2: .*nan"),
            (lambda X, y: (X, y.__setitem__(70, 3)), "block 4: Class numbers must be integers from 0 to 2"),
        ],
    )
    def test_bad_values_name_their_block(self, change, message):
        X, y, _ = arrays()
        change(X, y)
        with pytest.raises(ValueError, match=message):
            build().fit(uneven(X, y), random_state=0)

    def test_bad_values_in_their_places_name_their_block(self):
        X, y, _ = arrays()
        X[30, 2] = np.inf
        with pytest.raises(ValueError, match="block 4: .*inf"):
            build().fit(fn.data.from_arrays(X, y, block_rows=7), random_state=0)

    def test_caches(self, tmp_path):
        data = uneven(*arrays()[:2])
        with pytest.raises(NotADirectoryError, match="a folder for the cache, or a number of bytes, got '.*nothing'"):
            data.cached(tmp_path / "nothing")
        with pytest.raises(ValueError, match="where, if it is no folder, must be at least 0, got -1"):
            data.cached(-1)
        for where in (0.0, None, False, 1e9):
            with pytest.raises(TypeError, match="where, if it is no folder, must be an integer, got"):
                data.cached(where)
        with pytest.raises(TypeError, match="cache, if it is no folder, must be an integer, got None"):
            fn.data.Blocks(data.read, data.sizes, cache=None)
        assert type(data.cached(np.int64(2**20)).cache) is int
        build().fit(data.cached(np.int64(2**20)), epochs=1)

    def test_weights_that_are_zero_everywhere(self):
        X, y, _ = arrays()
        net, zeros = build(), np.zeros(len(X))
        before = net.params.copy()
        with pytest.raises(ValueError, match="sample_weight must not be zero everywhere"):
            net.fit(fn.data.from_arrays(X, y, zeros), epochs=2)
        np.testing.assert_array_equal(net.params, before)
        with pytest.raises(ValueError, match="sample_weight must not be zero everywhere"):
            net.fit(X, y, validation_data=fn.data.from_arrays(X, y, zeros), epochs=2)
        some = np.where(np.arange(len(X)) < 150, 0, 1)
        history = net.fit(fn.data.from_arrays(X, y, some, block_rows=10), epochs=2, buffer=10, sampling="sequential")
        assert np.isfinite(history.loss).all()

    @pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
    def test_where_arrays_are_needed(self):
        pytest.importorskip("sklearn")
        X, y, _ = arrays()
        data = fn.data.from_arrays(X, y)
        tabular = fn.TabularClassifier(preset="fast", n_epochs=1, random_state=0).fit(X, y)
        for does in (
            build().forward,
            partial(build().score, y=y),
            fn.MLPClassifier((3,), max_iter=1).fit(data).predict,
            tabular.predict,
            partial(fn.inspection.diagnose, build()),
            fn.Forecaster().fit,
        ):
            with pytest.raises(TypeError, match="This takes arrays, got blocks of fastnet.data: predict them with"):
                does(data)
        for ready in (fn.ImageClassifier(), fn.TextClassifier()):
            with pytest.raises(TypeError, match=f"{type(ready).__name__} takes rows in memory, got blocks"):
                ready.fit(data)

    def test_no_targets(self):
        with pytest.raises(ValueError, match="no targets to train on"):
            build().fit(fn.data.from_arrays(arrays()[0]))


def test_teams_leave_a_core_to_reading_that_computes_and_none_to_reading_that_waits(monkeypatch):
    beside, beside_teams = [], _stream.core.beside_teams
    monkeypatch.setattr(_stream.core, "beside_teams", lambda read, room: beside.append(room) or beside_teams(read, room))
    times = iter([0.0, 0.0, 0.9, 1.0, 1.0, 1.0, 1.1, 2.0, 2.0, 2.0, 2.9, 3.0])
    monkeypatch.setattr(_stream, "perf_counter", lambda: next(times))
    monkeypatch.setattr(_stream, "thread_time", lambda: next(times))
    reading, reads, calls = _stream.Reading(), [], []
    for number in range(3):  # the first computes for 0.9 of a second, the second for 0.1
        reading.make_room()
        calls.append(_stream.core.running_calls())
        reading(partial(reads.append, number))
        reading.leave_room()
    assert reads == [0, 1, 2] and len(beside) == 2
    assert np.subtract(calls, calls[0]).tolist() == [0, 1, 0]  # nothing was known at first, and the second one had waited
    reading.make_room()
    reading.leave_room()
    reading.make_room()  # the last time there was nothing to read
    assert _stream.core.running_calls() == calls[0]


@pytest.mark.parametrize("ends", [None, "error", "stop"])
def test_a_fit_on_blocks_leaves_all_room_that_it_has_made(ends):
    X, y, _ = arrays()
    before, made, left = _stream.core.running_calls(), [], []

    class Ends(fn.Callback):
        def on_epoch_end(self, session):
            left.append(_stream.core.running_calls() - before)
            if ends == "stop":
                session.stop_requested = True

    def read(number):
        made.append(_stream.core.running_calls() - before)
        if ends == "error" and len(made) > 4:
            raise OSError("the disk is gone")
        return X[20 * number : 20 * number + 20], y[20 * number : 20 * number + 20]

    data = fn.data.from_batches(read, 10, rows=[20] * 10)
    with pytest.raises(OSError, match="disk is gone") if ends == "error" else nullcontext():
        build().fit(data, epochs=2, batch_size=10, buffer=40, callbacks=[Ends()])
    assert made[::10] == [1] * len(made[::10])  # the first block of an epoch, which nothing trains beside
    assert not any(left) and _stream.core.running_calls() == before


def test_the_system_is_asked_to_read_ahead_only_where_it_reads_from_a_disk(monkeypatch):
    asked = []
    mapping = type("Mapping", (), {"madvise": lambda self, *arguments: asked.append(arguments)})()
    monkeypatch.setattr(kept_rows, "_mapping", lambda array: (mapping, 0))
    usage = SimpleNamespace(ru_inblock=0, ru_majflt=0)
    monkeypatch.setattr(kept_rows.resource, "getrusage", lambda who: usage)
    kept = kept_rows.KeptRows(np.array([5, 5]), np.zeros((10, 2)))
    kept.keep(0, (np.zeros((5, 2)), np.zeros(5), None))
    counts = []
    for reads, faults in [(0, 0), (0, 0), (8, 0), (8, 0), (8, 1)]:
        usage.ru_inblock, usage.ru_majflt = reads, faults
        asked.clear()
        kept.announce(np.arange(2))
        counts.append(len(asked))
    assert counts == [2, 0, 2, 0, 2]
