"""Parquet files on the command line: types of targets, and folders that are read piece by piece."""

from __future__ import annotations

import io
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import fastnet as fn

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from commands import houses, run  # noqa: E402

from fastnet.cli import _commands  # noqa: E402
from fastnet.cli._files import READERS  # noqa: E402


@pytest.fixture(params=["pandas", "polars", "folder"])
def parquet(request, monkeypatch):
    """Writes a table of PyArrow; the name of what is read by pandas, by Polars or piece by piece."""
    write = pytest.importorskip("pyarrow.parquet").write_table
    if request.param == "folder":
        Path("t").mkdir()
        return lambda table: write(table, "t/part.parquet", row_group_size=25) or "t"
    pytest.importorskip(request.param)
    monkeypatch.setitem(READERS, "Parquet", (READERS["Parquet"][request.param == "polars"],))
    return lambda table: write(table, "t.parquet") or "t.parquet"


class TestTypesOfTargets:
    """What pandas, Polars and PyArrow make of the same Parquet file."""

    @pytest.mark.parametrize(
        ("type_", "values", "task"),
        [
            ("decimal128(10, 2)", [None, *(Decimal(n % 41) / 4 for n in range(59))], "regression of y"),
            ("decimal128(10, 0)", [Decimal(n % 2) for n in range(60)], "classification of y, 2 classes"),
            ("bool_()", [None if n % 7 == 0 else n % 2 == 0 for n in range(60)], "classification of y, 2 classes"),
            ("float16()", [np.float16(n / 4) for n in range(60)], "regression of y"),
            ("uint64()", [2**63 + 2**40 * n + 1 for n in range(60)], "regression of y"),
            ("int64()", [None, *(2**60 + 2**40 * n for n in range(59))], "regression of y"),
        ],
    )
    def test_that_are_numbers_or_booleans(self, type_, values, task, parquet):
        import pyarrow as pa

        known = [value for value in values if value is not None]
        columns = {"x": np.array([float(value or 0) for value in values]), "y": pa.array(values, eval(f"pa.{type_}"))}
        name = parquet(pa.table(columns))
        out = run(f"fit {name} --target y -o m --preset fast")
        assert f"; {task}\n" in out and f"{len(known)} rows" in out and "warning" not in out
        scores = run(f"evaluate m {name}")
        assert re.search(r"R2: 0.9|R2: 1|error: 0\n", scores)

    @pytest.mark.parametrize("values", [[3, 7], [False, True], ["3", "7"]])
    def test_that_are_categories_are_of_their_type(self, values, parquet):
        import pyarrow as pa

        x = np.arange(60.0)
        y = pa.array([None, *(values * 30)[1:]]).dictionary_encode()
        name = parquet(pa.table({"x": x % 2, "y": y}))
        run(f"fit {name} --target y -o m --preset fast")
        assert fn.load("m").classes_.tolist() == values
        assert {type(label) for label in fn.load("m").classes_.tolist()} == {type(values[0])}
        assert "error: 0\n" in run(f"evaluate m {name}")

    def test_that_are_numbers_of_a_model_of_text_are_refused(self, parquet):
        import pyarrow as pa

        x = np.arange(60.0) % 2
        pd.DataFrame({"x": x, "y": np.where(x, "3", "7")}).to_parquet("text.parquet")
        run("fit text.parquet --target y -o m --preset fast")
        name = parquet(pa.table({"x": x, "y": np.where(x, 3, 7)}))
        message = "'y' in .* holds values like 7, but the model's classes are '3', '7'"
        assert re.search(message, run(f"evaluate m {name}", 2))

    @pytest.mark.parametrize("values", [[b"a", b"b"], [[1], [2]], [{"a": 1}, {"a": 2}]])
    def test_that_are_neither_numbers_nor_classes(self, values, parquet):
        import pyarrow as pa

        name = parquet(pa.table({"x": np.arange(60.0), "y": pa.array(values * 30)}))
        assert re.search("the target 'y' holds .*: give a column of numbers or classes", run(f"fit {name} --target y -o m", 2))

    def test_that_are_dates(self, parquet):
        import pyarrow as pa

        name = parquet(pa.table({"x": np.arange(60.0), "y": [date(2024, 1, 1 + n % 2) for n in range(60)]}))
        assert "the target 'y' holds dates or times: give" in run(f"fit {name} --target y -o m", 2)

    @pytest.mark.parametrize("index", [None, "number"])
    def test_the_index_of_a_data_frame_is_no_column(self, index, parquet):
        import pyarrow as pa

        frame = houses().set_index(pd.Index(np.arange(120)[::-1] ** 2, name=index))
        run(f"fit {parquet(pa.Table.from_pandas(frame))} --target price -o m --preset fast")
        assert list(fn.load("m").feature_names_in_) == ["area", "rooms", "plot", "sold", "dear"]


class TestFolders:
    def test_a_folder_is_read_in_pieces(self, folder, monkeypatch):
        (folder / "parts").mkdir()
        frame = houses()
        frame.loc[:9, "dear"] = None
        for number, rows in enumerate(np.split(np.arange(120), [8, 60])):
            frame.iloc[rows].to_parquet(f"parts/{number}.parquet", row_group_size=25)
        read, longest = fn.data.Blocks.read, []
        monkeypatch.setattr(fn.data.Blocks, "read", lambda *number: longest.append(read(*number)) or longest[-1])
        out = run("fit parts --target dear -o m --preset fast --seed 3")
        assert "parts: 110 rows, 10 more without a target left out, 5 columns; classification of dear, 2 classes" in out
        assert max(len(X) for X, _, _ in longest) == 25
        assert fn.load("m").target_names_ == ["dear"]
        assert "has no column 'dare'; did you mean 'dear'?" in run("fit parts --target dare -o m", 2)
        (folder / "empty").mkdir()
        assert "no folder with files *.parquet" in run("fit empty --target dear -o m", 2)

    @pytest.mark.parametrize("target", ["dear", "price"])
    def test_predictions_and_scores_of_a_folder_are_those_of_the_whole(self, target, folder, monkeypatch):
        (folder / "parts").mkdir()
        frame = houses().astype({"dear": object})
        frame.loc[30:34, target] = None
        frame.to_parquet("whole.parquet")
        for number, rows in enumerate(np.split(np.arange(120), [8, 60])):
            frame.iloc[rows].to_parquet(f"parts/{number}.parquet", row_group_size=25)
        run(f"fit whole.parquet --target {target} -o m --preset fast")
        proba = "--proba" if target == "dear" else ""
        run(f"predict m whole.parquet -o whole.csv {proba}")
        of_whole = run("evaluate m whole.parquet").removeprefix("whole.parquet")
        assert ": 115 rows with a target" in of_whole
        monkeypatch.setattr(_commands, "read_table", None)
        assert run("evaluate m parts").removeprefix("parts") == of_whole
        printed = io.StringIO(run(f"predict m parts {proba}"))
        for name in ("out.csv", "out.parquet"):
            assert f"120 predictions written to {name}" in run(f"predict m parts -o {name} {proba}")
        expected = pd.read_csv("whole.csv")
        for found in (pd.read_csv(printed), pd.read_csv("out.csv"), pd.read_parquet("out.parquet")):
            pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("fit data --target price -o data/a.parquet", "data/a.parquet is a file to read: give the output another name"),
            ("fit data --target price -o data/new.parquet", "data/new.parquet would be read as data of data: write it elsewhere"),
            ("predict m data -o data/a.parquet", "data/a.parquet is a file to read: give the output another name"),
            ("predict m data -o data/new.parquet", "data/new.parquet would be read as data of data: write it elsewhere"),
            ("predict m data -o data/city=Rome/new.parquet", "would be read as data of data"),
            ("predict m data -o link/new.parquet", "link/new.parquet would be read as data of data"),
            ("predict m data -o outside.parquet", "outside.parquet is a file to read"),
        ],
    )
    def test_an_output_among_the_files_that_are_read_is_refused(self, line, message, folder):
        (folder / "data" / "city=Rome").mkdir(parents=True)
        houses(40).to_parquet("data/a.parquet")
        houses(40).to_parquet("outside.parquet")
        (folder / "data" / "b.parquet").symlink_to(folder / "outside.parquet")
        (folder / "link").symlink_to("data")
        run("fit outside.parquet --target price -o m --preset fast --time-limit 0.2")
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        out = run(line, 2)
        assert message in out and out.count("\n") == 1
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    @pytest.mark.parametrize("name", ["data/new.csv", "data/_new.parquet", "new.parquet"])
    def test_an_output_that_is_no_data_may_lie_in_the_folder(self, name, folder):
        (folder / "data").mkdir()
        houses(40).to_parquet("data/a.parquet")
        run("fit data --target price -o data/model --preset fast --time-limit 0.2")
        assert f"40 predictions written to {name}" in run(f"predict data/model data -o {name}")

    def test_files_with_other_columns_are_refused_where_all_are_learnt(self, folder):
        (folder / "parts").mkdir()
        houses(40).drop(columns="rooms").to_parquet("parts/a.parquet")
        houses(40).to_parquet("parts/b.parquet")
        for command in ("fit parts --target price -o m", "compare parts --target price"):
            out = run(command, 2)
            assert re.search("^fastnet: parts: .*b.parquet has the column 'rooms', which .*a.parquet lacks: give all files", out)
            assert out.count("\n") == 1

    def test_files_with_other_columns_are_predicted_if_they_have_those_of_the_model(self, folder):
        (folder / "parts").mkdir()
        houses(40).to_parquet("whole.parquet")
        run("fit whole.parquet --target price -o m --preset fast --time-limit 0.2")
        houses(40).to_parquet("parts/a.parquet")
        houses(40).assign(more=1).to_parquet("parts/b.parquet")
        assert len(run("predict m parts").splitlines()) == 81
        assert "80 rows with a target" in run("evaluate m parts")
        houses(40).drop(columns="rooms").to_parquet("parts/b.parquet")
        assert "b.parquet has no column 'rooms'" in run("predict m parts", 2)

    @pytest.mark.parametrize(("later", "types"), [(["a", "b"], r"int64 and (large_)?string"), ([True, False], "int64 and bool")])
    def test_a_target_of_several_types_is_refused(self, later, types, folder):
        (folder / "parts").mkdir()
        frame = pd.DataFrame({"x": np.arange(40.0), "y": [0, 1] * 20})
        frame.to_parquet("whole.parquet")
        run("fit whole.parquet --target y -o m --preset fast")
        frame.to_parquet("parts/a.parquet")
        frame.assign(y=later * 20).to_parquet("parts/b.parquet")
        for command in ("fit parts --target y -o new", "evaluate m parts"):
            out = run(command, 2)
            assert re.search(f"^fastnet: column 'y' of parts holds {types} values: write all files with one type", out)
            assert out.count("\n") == 1

    def test_a_target_that_is_text_in_one_file_and_a_category_in_another(self, folder):
        (folder / "parts").mkdir()
        frame = pd.DataFrame({"x": np.arange(40.0), "y": ["a", "b"] * 20})
        frame.to_parquet("parts/a.parquet")
        frame.astype({"y": "category"}).to_parquet("parts/b.parquet")
        assert "80 rows, 1 column; classification of y, 2 classes" in run("fit parts --target y -o m --preset fast")
        assert "80 rows with a target" in run("evaluate m parts")
