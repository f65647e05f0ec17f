"""Data larger than memory: what `fastnet.data` reads, and training on it."""

from __future__ import annotations

import copy
import threading
import time
from collections import Counter
from contextlib import nullcontext
from decimal import Decimal
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import run_python

import fastnet as fn
from fastnet import _stream, checkpoint
from fastnet.data import kept_rows

LAYERS = [fn.Dense(8, "tanh", dropout=0.1), fn.Dense(3, "softmax")]


def build(dtype="float32"):
    return fn.Network(LAYERS, 5, dtype=dtype, random_state=0)


def arrays(m=203, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, 5)).astype(np.float32)
    return X, rng.integers(0, 3, m), rng.random(m).astype(np.float32)


def uneven(X, y, w=None, sizes=(7, 0, 60, 1, 100, 35)):
    """The same rows in blocks of these sizes."""
    ends = np.cumsum(sizes)

    def read(number):
        rows = slice(ends[number] - sizes[number], ends[number])
        return X[rows], y[rows], None if w is None else w[rows]

    return fn.data.from_batches(read, len(sizes), rows=sizes)


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


class TestSources:
    def test_memory_maps(self, tmp_path):
        X, y, w = arrays()
        np.save(tmp_path / "X.npy", X)
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        data = fn.data.from_arrays(mapped, y, w, block_rows=50)
        assert data.sizes.tolist() == [50, 50, 50, 50, 3]
        parts = [np.concatenate(part) for part in zip(*map(data.read, range(5)), strict=True)]
        for part, whole in zip(parts, (X, y, w), strict=True):
            np.testing.assert_array_equal(part, whole)

    def test_the_size_of_blocks(self):
        assert fn.data.from_arrays(np.zeros((1000, 4))).sizes.tolist() == [32] * 31 + [8]
        assert len(fn.data.from_arrays(np.zeros((100_000, 4))).sizes) == 1000
        wide = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (10_000_000, 256), (0, 0))
        assert fn.data.from_arrays(wide).sizes[0] == 1024

        class Chunked(np.ndarray):
            chunks = (30, 4)

        assert fn.data.from_arrays(np.zeros((100, 4)).view(Chunked)).sizes.tolist() == [30, 30, 30, 10]

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (([[1.0]],), TypeError, "X must be an array or a memory map, got list"),
            ((np.zeros(3),), ValueError, r"X must have shape \(rows, features\), .*, got \(3,\)"),
            ((np.zeros((0, 3)),), ValueError, "The data have no rows"),
            ((np.zeros((4, 3)), np.zeros(5)), ValueError, "y must have one entry for each of the 4 rows"),
        ],
    )
    def test_arrays_that_do_not_fit(self, arguments, error, message):
        with pytest.raises(error, match=message):
            fn.data.from_arrays(*arguments)

    @pytest.mark.parametrize("frames", ["pandas", "polars"])
    def test_frames(self, frames):
        library = pytest.importorskip(frames)
        X, y, w = arrays()
        frame = library.DataFrame({f"x{j}": X[:, j] for j in range(5)})
        nets = build(), build()
        nets[0].fit(fn.data.from_arrays(X, y, w), epochs=1, random_state=0)
        nets[1].fit(fn.data.from_arrays(frame, library.Series(y), library.Series(w)), epochs=1, random_state=0)
        np.testing.assert_array_equal(nets[0].params, nets[1].params)
        with pytest.raises(TypeError, match="X must hold real numbers"):
            fn.data.from_arrays(library.DataFrame({"a": ["u", "v"]}), y[:2])

    def test_dask_arrays(self):
        da = pytest.importorskip("dask.array")
        X, y, _ = arrays()
        dX, dy = da.from_array(X, chunks=((100, 3, 100), 5)), da.from_array(y, chunks=60)
        data = fn.data.from_arrays(dX, dy)
        assert data.sizes.tolist() == [100, 100, 3]
        one, other = build(), build()
        one.fit(data, epochs=1, sampling="sequential", random_state=0)
        other.fit(X, y, epochs=1, sampling="sequential", random_state=0)
        np.testing.assert_array_equal(one.params, other.params)
        with pytest.raises(ValueError, match=r"does not know how many rows it has: give X.compute_chunk_sizes\(\)"):
            fn.data.from_arrays(dX[dy > 0])

    def test_columns_of_arrow(self):
        pyarrow = pytest.importorskip("pyarrow")
        X, _, _ = arrays(4)
        assert fn.data.from_arrays(X, pyarrow.array([*"uvwu"])).read(0)[1].tolist() == [*"uvwu"]

    def test_frames_of_nullable_columns(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"a": pandas.array([1, 2, 3], "Int64"), "b": [0.5, 1.5, 2.5]}, index=[7, 1, 2])
        X, y, _ = fn.data.from_arrays(frame, frame.a, block_rows=2).read(1)
        assert X.tolist() == [[3.0, 2.5]] and y.tolist() == [3.0]

    @pytest.mark.parametrize(
        ("rows", "error", "message"),
        [
            ([-1, 2], ValueError, "rows must hold numbers of rows of at least 0, got -1"),
            ([1.5, 2], TypeError, r"rows must hold whole numbers of rows, got \[1.5, 2\]"),
            ([0, 0], ValueError, "The data have no rows"),
            ([3], ValueError, "one number for each of the 2 batches, got 1"),
        ],
    )
    def test_rows_of_batches_that_cannot_be(self, rows, error, message):
        with pytest.raises(error, match=message):
            fn.data.from_batches(lambda number: None, 2, rows=rows)

    @pytest.mark.parametrize("source", ["arrow", "parquet"])
    @pytest.mark.parametrize(
        ("names", "options", "error", "message"),
        [
            ("aay", {}, ValueError, "has several columns 'a': rename them, or choose others with columns"),
            ("abyy", {}, ValueError, "has several columns 'y'"),
            ("y", {}, ValueError, r"X has no columns: the table has \['y'\], of which \['y'\] are targets or weights\."),
            ("ay", {"columns": []}, ValueError, r"X has no columns: .* and columns is \[\]"),
            ("ay", {"columns": "a"}, TypeError, r"columns must be a list of names, got 'a': give columns=\['a'\]"),
        ],
    )
    def test_columns_that_cannot_be(self, source, names, options, error, message, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.Table.from_arrays([pyarrow.array(np.arange(4.0)) for _ in names], names=list(names))
        if source == "parquet":
            pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
        with pytest.raises(error, match=message):
            if source == "arrow":
                fn.data.from_arrow(table, "y", **options)
            else:
                fn.data.from_parquet(tmp_path / "a.parquet", "y", **options)

    def test_a_column_that_others_have_too_may_be_left_out(self):
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.Table.from_arrays([pyarrow.array(np.arange(4.0)) for _ in "aaby"], names=list("aaby"))
        assert fn.data.from_arrow(table, "y", columns=["b"]).read(0)[0].tolist() == [[0.0], [1.0], [2.0], [3.0]]

    def test_batches_are_counted(self):
        X, y, _ = arrays()
        data = fn.data.from_batches(lambda k: (X[: k + 1], y[: k + 1]), 4)
        assert data.sizes.tolist() == [1, 2, 3, 4] and len(data) == 10
        with pytest.raises(ValueError, match="one number for each of the 4 batches, got 2"):
            fn.data.from_batches(lambda k: (X, y), 4, rows=[1, 2])
        with pytest.raises(ValueError, match="Block 1 has 203 rows, but had 5"):
            fn.data.from_batches(lambda k: (X, y), 4, rows=[5] * 4).read(1)
        with pytest.raises(ValueError, match=r"A batch must be \(X, y\)"):
            fn.data.from_batches(lambda k: X, 4)

    def test_predictions_in_pieces(self):
        X, y, _ = arrays()
        net = build()
        parts = list(fn.data.predict(net, uneven(X, y)))
        assert [len(part) for part in parts] == [7, 60, 1, 100, 35]
        np.testing.assert_array_equal(np.concatenate(parts), net.predict(X))
        probabilities = np.concatenate(list(fn.data.predict(net, uneven(X, y), method="predict_proba")))
        np.testing.assert_allclose(probabilities, net.predict_proba(X), rtol=1e-6)

    def test_predictions_of_arrays(self, tmp_path):
        X, _, _ = arrays()
        with pytest.raises(TypeError, match=r"data must be blocks of fastnet.data, got ndarray: give model.predict\(X\)"):
            next(fn.data.predict(build(), X))
        with pytest.raises(TypeError, match="data must be blocks of fastnet.data, got list"):
            fn.data.predict_to_file(build(), X.tolist(), tmp_path / "a.npy")

    @pytest.mark.parametrize("method", ["predict", "predict_proba"])
    def test_predictions_in_a_file(self, method, tmp_path):
        X, y, _ = arrays()
        net = build()
        expected = np.concatenate(list(fn.data.predict(net, uneven(X, y), method=method)))
        fn.data.predict_to_file(net, uneven(X, y), tmp_path / "a.npy", method=method)
        written = np.load(tmp_path / "a.npy", mmap_mode="r")
        assert written.dtype == expected.dtype
        np.testing.assert_array_equal(written, expected)
        parquet = pytest.importorskip("pyarrow.parquet")
        fn.data.predict_to_file(net, uneven(X, y), str(tmp_path / "a.parquet"), method=method)
        table = parquet.read_table(tmp_path / "a.parquet")
        names = ["prediction"] if method == "predict" else ["prediction_0", "prediction_1", "prediction_2"]
        assert table.column_names == names
        np.testing.assert_array_equal(np.column_stack([table[name] for name in names]).reshape(expected.shape), expected)

    @pytest.mark.parametrize("ending", ["npy", "parquet"])
    @pytest.mark.parametrize(
        ("of_few", "of_many", "message"),
        [
            (np.array(["a"] * 7), np.array(["longer"] * 60), "dtype <U1 in the first block and <U6 in a later one"),
            (np.ones(7, int), np.full(60, 1.5), "dtype int64 in the first block and float64 in|schema does not match"),
            (np.ones(7), np.ones(59), r"an entry for each of the 60 rows of a block, got shape \(59,\)"),
            ([[1.0] * 7] * 2, None, r"an entry for each of the 7 rows of a block, got shape \(2, 7\)"),
        ],
    )
    def test_predictions_that_a_file_cannot_hold(self, of_few, of_many, message, ending, tmp_path):
        parquet = pytest.importorskip("pyarrow.parquet")
        X, y, _ = arrays(67)
        model = SimpleNamespace(predict=lambda X: of_few if len(X) == 7 else of_many)
        path = tmp_path / f"a.{ending}"
        if "U6" in message and ending == "parquet":
            fn.data.predict_to_file(model, uneven(X, y, sizes=(7, 60)), path)
            assert parquet.read_table(path)["prediction"].to_pylist() == [*of_few, *of_many]
            return
        with pytest.raises(ValueError, match=message):
            fn.data.predict_to_file(model, uneven(X, y, sizes=(7, 60)), path)
        assert not path.exists()

    def test_predictions_that_are_columns_or_lists(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        X, y, _ = arrays()
        for form in (pandas.Series, list):
            fn.data.predict_to_file(SimpleNamespace(predict=lambda X, form=form: form(X[:, 0])), uneven(X, y), tmp_path / "a.npy")
            np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), X[:, 0])

    def test_a_file_of_predictions_is_complete_or_not_there(self, tmp_path):
        X, y, _ = arrays()

        def read(number):
            if number == 1:
                raise OSError("the disk is gone")
            return X, y

        with pytest.raises(OSError, match="the disk is gone"):
            fn.data.predict_to_file(build(), fn.data.from_batches(read, 2, rows=[203, 203]), tmp_path / "a.npy")
        with pytest.raises(ValueError, match=r"path must end in \.npy or \.parquet, got 'a.csv'"):
            fn.data.predict_to_file(build(), uneven(X, y), "a.csv")

        class Labels:
            def predict(self, X):
                return np.full(len(X), "label", dtype=object)

        with pytest.raises(ValueError, match="Python objects.*write a .parquet file"):
            fn.data.predict_to_file(Labels(), uneven(X, y), tmp_path / "a.npy")
        assert not list(tmp_path.iterdir())

    def test_zarr(self, tmp_path):
        zarr = pytest.importorskip("zarr")
        X, y, w = arrays()
        group = zarr.open_group(tmp_path / "rows.zarr", mode="w")
        for name, values in (("X", X), ("labels", y), ("w", w)):
            group.create_array(name, shape=values.shape, chunks=(40, *values.shape[1:]), dtype=values.dtype)[:] = values
        data = fn.data.from_zarr(tmp_path / "rows.zarr", y="labels", sample_weight="w")
        assert data.sizes.tolist() == [40, 40, 40, 40, 40, 3]
        one, other = build(), build()
        options = {"sampling": "sequential", "epochs": 2, "random_state": 0}
        one.fit(data, **options)
        other.fit(X, y, sample_weight=w, **options)
        np.testing.assert_array_equal(one.params, other.params)
        assert len(fn.data.from_zarr(zarr.open_group(tmp_path / "rows.zarr", mode="r"))) == len(X)
        assert fn.data.from_zarr(tmp_path / "rows.zarr", block_rows=100).sizes.tolist() == [100, 100, 3]
        with pytest.raises(ValueError, match="no array 'y': it has 'X', 'labels', 'w'"):
            fn.data.from_zarr(tmp_path / "rows.zarr", y="y")

    def test_parquet(self, tmp_path):
        parquet = pytest.importorskip("pyarrow.parquet")
        import pyarrow

        X, y, w = arrays()
        columns = {f"x{j}": X[:, j] for j in range(5)} | {"y": y, "w": w}
        for name, rows in (("a", slice(0, 120)), ("b", slice(120, 203))):
            table = pyarrow.table({key: value[rows] for key, value in columns.items()})
            parquet.write_table(table, tmp_path / f"{name}.parquet", row_group_size=50)
        data = fn.data.from_parquet(tmp_path, "y", weight="w")
        assert data.sizes.tolist() == [50, 50, 20, 50, 33]
        for k, whole in enumerate((X, y, w)):
            np.testing.assert_array_equal(np.concatenate([data.read(block)[k] for block in range(5)]), whole)
        chosen = fn.data.from_parquet(tmp_path / "a.parquet", ["y", "w"], columns=["x3", "x1"]).read(0)
        np.testing.assert_array_equal(chosen[0], X[:50, [3, 1]])
        assert chosen[1].shape == (50, 2) and chosen[2] is None
        with pytest.raises(ValueError, match="has no column 'z'"):
            fn.data.from_parquet(tmp_path, "z")
        with pytest.raises(FileNotFoundError, match="no folder with files"):
            fn.data.from_parquet(tmp_path / "nothing", "y")
        (tmp_path / "c.parquet").write_bytes(b"")
        with pytest.raises(ValueError, match=r"c\.parquet: Parquet file size is 0 bytes"):
            fn.data.from_parquet(tmp_path, "y")

    @pytest.mark.parametrize("source", ["arrow", "parquet"])
    def test_types_of_columns(self, source, tmp_path):
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        columns = {
            "numbers": pyarrow.array([1, None, 3]).dictionary_encode(),
            "booleans": pyarrow.array([True, None, False]),
            "booleans of a dictionary": pyarrow.array([True, None, False]).dictionary_encode(),
            "decimals": pyarrow.array([Decimal("1.5"), None, Decimal(2)]),
            "y": pyarrow.array(["a", None, "b"]).dictionary_encode(),
        }
        table = pyarrow.table(columns)
        if source == "parquet":
            parquet.write_table(table, tmp_path / "a.parquet")
            data = fn.data.from_parquet(tmp_path / "a.parquet", "y", weight="decimals", columns=[*columns][:4])
        else:
            data = fn.data.from_arrow(table, "y", weight="decimals", columns=[*columns][:4])
        X, y, w = data.read(0)
        np.testing.assert_array_equal(X, [[1, 1, 1, 1.5], [np.nan] * 4, [3, 0, 0, 2]])
        assert y.tolist() == ["a", None, "b"]
        np.testing.assert_array_equal(w, [1.5, np.nan, 2])

    def test_partitioned_parquet(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow.parquet")
        X, _, _ = arrays(60)
        frame = pandas.DataFrame(X[:, :2], columns=["a", "b"]).assign(year=[2001, 2002, 2003] * 20, city=["u", "v w"] * 30)
        frame.to_parquet(tmp_path / "rows", partition_cols=["city", "year"])
        data = fn.data.from_parquet(tmp_path / "rows", "city")
        sorted_frame = frame.sort_values(["city", "year"], kind="stable")
        read = [data.read(number) for number in range(len(data.sizes))]
        np.testing.assert_array_equal(np.concatenate([X for X, *_ in read]), sorted_frame[["a", "b", "year"]])
        np.testing.assert_array_equal(np.concatenate([y for _, y, _ in read]), sorted_frame.city)
        assert data.as_tables().read(0)[0].column_names == ["a", "b", "year"]
        only = fn.data.from_parquet(tmp_path / "rows", "a", columns=["year"]).read(1)[0]
        assert only.tolist() == [[2002]] * len(only)
        with pytest.raises(ValueError, match="Column 'city' holds string, no numbers"):
            fn.data.from_parquet(tmp_path / "rows", "a").read(0)
        from_folders = fn.data.from_parquet(tmp_path / "rows", columns=["year"]).read(2)[0]
        assert from_folders.tolist() == [[2003]] * 10

    def test_a_column_in_the_files_counts_more_than_the_folder(self, tmp_path):
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        (tmp_path / "a=1").mkdir()
        parquet.write_table(pyarrow.table({"a": [5], "y": [0]}), tmp_path / "a=1" / "rows.parquet")
        assert fn.data.from_parquet(tmp_path, "y").read(0)[0].tolist() == [[5]]

    def test_parquet_files_of_a_relative_path_are_found_from_elsewhere(self, tmp_path, monkeypatch):
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        (tmp_path / "elsewhere").mkdir()
        parquet.write_table(pyarrow.table({"a": [5.0], "y": [0]}), tmp_path / "rows.parquet")
        monkeypatch.chdir(tmp_path)
        data = fn.data.from_parquet("rows.parquet", "y").cached(".")
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert data.read(0)[0].tolist() == [[5]]
        assert data.cache == tmp_path

    def test_folders_whose_names_are_those_of_parquet_files(self, tmp_path):
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        (tmp_path / "rows.parquet").mkdir()  # as Spark names them
        parquet.write_table(pyarrow.table({"a": [5.0], "y": [0]}), tmp_path / "rows.parquet" / "part.parquet")
        for path in (tmp_path, tmp_path / "rows.parquet"):
            assert fn.data.from_parquet(path, "y").read(0)[0].tolist() == [[5]]

    def test_a_parquet_file_that_has_changed_is_named(self, tmp_path):
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pyarrow.table({"a": np.arange(100.0), "y": np.arange(100)})
        parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=10)
        data = fn.data.from_parquet(tmp_path / "rows.parquet", "y")
        content = (tmp_path / "rows.parquet").read_bytes()
        (tmp_path / "rows.parquet").write_bytes(content[:4] + b"\xff" * 400 + content[404:])
        with pytest.raises(OSError, match=r"Row group 0 of .*rows.parquet is broken, or the file has changed since: "):
            data.read(0)

    def test_hidden_parquet_files_are_left_out(self, tmp_path):
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        for name in ("a/x", "_b=1/x", ".tmp/x", "_temporary/0/x", "_x", ".x"):
            file = tmp_path / f"{name}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(pyarrow.table({"a": [1.0], "y": [0]}), file)
        assert len(fn.data.from_parquet(tmp_path, "y", columns=["a"])) == 2
        assert len(fn.data.from_parquet(tmp_path / ".tmp", "y")) == 1
        assert len(fn.data.from_parquet(tmp_path / "_x.parquet", "y")) == 1

    def test_arrow_tables_on_a_memory_map(self, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        X, y, w = arrays()
        table = pyarrow.table({f"x{j}": X[:, j] for j in range(5)} | {"y": y, "w": w})
        with pyarrow.OSFile(str(tmp_path / "rows.arrow"), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=70)
        mapped = pyarrow.ipc.open_file(pyarrow.memory_map(str(tmp_path / "rows.arrow"))).read_all()
        data = fn.data.from_arrow(mapped, "y", weight="w")
        assert data.sizes.max() == 32 and len(data) == 203
        for k, whole in enumerate((X, y, w)):
            np.testing.assert_array_equal(np.concatenate([data.read(block)[k] for block in range(len(data.sizes))]), whole)
        with pytest.raises(ValueError, match="The table has no column 'z'"):
            fn.data.from_arrow(mapped, "z")
        text = fn.data.from_arrow(table.append_column("town", pyarrow.array(["a"] * 203)), "y")
        with pytest.raises(ValueError, match=r"Column 'town' holds string, no numbers: choose columns=\[...\], or take Tabular"):
            build().fit(text)
        assert text.as_tables().read(0)[0].column_names[-1] == "town"

    def test_pyarrow_is_named_where_it_is_missing(self):
        result = run_python("import sys; sys.modules['pyarrow'] = None; import fastnet as fn; fn.data.from_parquet('x', 'y')")
        assert "ImportError: from_parquet needs pyarrow, which is not installed: pip install pyarrow" in result.stderr


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
    before, made = _stream.core.running_calls(), []

    class Ends(fn.Callback):
        def on_epoch_end(self, session):
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
    assert max(made) > 0
    assert _stream.core.running_calls() == before


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
