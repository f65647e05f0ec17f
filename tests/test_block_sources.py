"""Where `fastnet.data` reads blocks from, and predictions of them."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from block_rows import arrays, build, uneven
from helpers import run_python

import fastnet as fn


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

    @pytest.mark.parametrize(
        ("first", "later", "message"),
        [
            ("by", "aby", "b.parquet has the column 'a', which .*a.parquet lacks: give all files the same columns, or choose"),
            ("aby", "by", r"b.parquet has no column 'a': it has 'b', 'y'\."),
            ("y", "aby", "b.parquet has the columns 'a', 'b', which .*a.parquet lacks"),
        ],
    )
    def test_parquet_files_whose_columns_differ(self, first, later, message, tmp_path):
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        for file, names in (("a", first), ("b", later)):
            parquet.write_table(pyarrow.table({name: np.arange(4.0) for name in names}), tmp_path / f"{file}.parquet")
        with pytest.raises(ValueError, match=message):
            fn.data.from_parquet(tmp_path)
        common = [name for name in first if name in later]
        assert len(fn.data.from_parquet(tmp_path, columns=common)) == 8

    def test_parquet_files_whose_columns_have_another_order_or_index(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
        frame.to_parquet(tmp_path / "a.parquet")
        frame[["b", "a"]].set_index(pandas.Index([7, 5], name="number")).to_parquet(tmp_path / "b.parquet")
        assert fn.data.from_parquet(tmp_path).read(1)[0].tolist() == [[1, 3], [2, 4]]

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
