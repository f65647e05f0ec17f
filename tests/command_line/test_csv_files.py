"""CSV files on the command line: what pandas and Polars make of the same file."""

from __future__ import annotations

import gzip
import io
import re

import narwhals.stable.v2 as nw
import pytest

import fastnet as fn

pd = pytest.importorskip("pandas")

from commands import run  # noqa: E402

from fastnet.cli._files import NULLS, READERS, read_table  # noqa: E402


@pytest.fixture(params=["pandas", "polars"])
def reader(request, monkeypatch):
    """The library that reads CSV files."""
    pytest.importorskip(request.param)
    for format_ in ("CSV", "TSV"):
        monkeypatch.setitem(READERS, format_, (READERS[format_][request.param == "polars"],))


@pytest.mark.usefixtures("reader")
class TestCSV:
    """What pandas and Polars make of the same file."""

    @pytest.mark.parametrize(
        "text",
        [
            "y,a,b\n1,0.2,0.3,\n0,0.1,0.2,\n",
            "y,a,b\n1,0.2,0.3,4\n0,0.1,0.2,5\n",
            "y,a,b\n1,0.2,0.3\n0,0.1,0.2,5\n",
        ],
    )
    def test_rows_with_more_fields_than_the_header_are_refused(self, text, folder):
        (folder / "t.csv").write_text(text)
        out = run("fit t.csv --target y -o m", 2)
        assert out.count("\n") == 1
        assert re.search("t.csv cannot be read as CSV: (line .|a row) has more fields than the header; expected .+ by ','", out)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("y;a;b\n1;0,2;3,4\n0;1,2;3,4\n", "the fields of its header are separated by ';', expected ','"),
            ("y;a;b\n1;0;3\n0;1,2;3\n", "expected ',': separate them by ',', and write numbers with a decimal point"),
            ("y;a;b\n1;0;3\n0;1;3\n", "the fields of its header are separated by ';', expected ','"),
            ("y\ta\n1\t2\n", "its header are separated by tabs, expected ',': give the file a name that ends in .tsv"),
            ("sep=,\ny,a,b\n1,2,3\n0,2,3\n", "its first line, 'sep=,', is for spreadsheet programs: delete it"),
            ("sep=;\ny;a;b\n1;2;3\n", "its first line, 'sep=;', is for spreadsheet programs: delete it"),
        ],
    )
    def test_other_separators_are_refused(self, text, message, folder):
        (folder / "t.csv").write_text(text)
        out = run("fit t.csv --target y -o m", 2)
        assert out.startswith("fastnet: t.csv cannot be read as CSV: ") and message in out and out.count("\n") == 1

    def test_a_target_that_is_named_twice_is_refused(self, folder):
        (folder / "t.csv").write_text("y,a,y\n0,1,0\n1,2,1\n")
        out = run("fit t.csv --target y -o m", 2)
        assert "t.csv cannot be read as CSV: its header names the target 'y' 2 times, expected once: remove" in out
        assert read_table(folder / "t.csv", target="a").columns == ["y", "a", "y.1"]

    @pytest.mark.parametrize(
        "text",
        [
            "x,y\n1,2\n\n3,4\n\n",
            "x,y\r\n1,2\r\n\r\n3,4\r\n\r\n",
            "\n \nx,y\n\n1,2\n \t\n3,4\n ",
            'x,y\n1,"2\n\nb"\n\n3,"2 ""a"""\n',
            "x\n1\n\n3\n",
            'x\n1\n""\n',
        ],
    )
    @pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
    def test_blank_lines_are_no_rows(self, text, name, folder):
        write = gzip.open if name.endswith("gz") else open
        with write(name, "wb") as file:
            file.write(text.encode())
        frame = read_table(folder / name)
        assert frame.shape == (2, 1 + text.count("y"))
        assert frame["y"].to_list() == ["2\n\nb", '2 "a"'] if '"2' in text else 1 in frame["x"].to_list()

    def test_a_line_of_tabs_is_a_row_without_values(self, folder):
        (folder / "t.tsv").write_text("x\ty\n1\t2\n\t\n \n3\t4\n")
        frame = read_table(folder / "t.tsv")
        assert frame.shape == (3, 2) and frame["y"].sum() == 6

    @pytest.mark.parametrize(
        ("texts", "values"),
        [
            (["2020-01", "2021-12"], ["2020-01-01", "2021-12-01"]),
            (["2020-01", "2021-12-05", ""], ["2020-01-01", "2021-12-05", None]),
            (["2020-01-05T10:00:00Z", "2020-01-05T10:00"], ["2020-01-05 10:00"] * 2),
            (["2020-01-05T10:00:00Z", "2020-01-05 10:00:00.5+0200"], ["2020-01-05 10:00", "2020-01-05 08:00:00.5"]),
            (["2020-01-05", "2020-01-05T10", "NA"], ["2020-01-05", "2020-01-05 10:00", None]),
            (["2020/01/05", "2020-1-5"], ["2020-01-05"] * 2),
            (["2020-01-05", "soon"], None),
            (["05/01/2020", "06/01/2020"], None),
            (["10:30:00", "10:31:00"], None),
            (["2020-01-05T10:00:00Z", "2020-13-05T10:00:00Z"], None),
        ],
    )
    def test_columns_of_dates_are_the_same(self, texts, values, folder):
        (folder / "t.csv").write_text("x,d\n" + "".join(f"1,{text}\n" for text in texts))
        found = read_table(folder / "t.csv")["d"]
        if values is None:
            assert found.to_list() == texts
        else:
            assert found.dtype == nw.Datetime and found.dtype.time_zone is None
            assert [None if pd.isna(value) else pd.Timestamp(value) for value in found.to_list()] == [
                None if value is None else pd.Timestamp(value) for value in values
            ]

    @pytest.mark.parametrize("word", NULLS)
    def test_columns_of_numbers_dates_and_booleans_may_have_words_for_missing_values(self, word, folder):
        rows = [f"{n},2024-01-{n + 1:02},{n % 3 == 0},{n % 2}" for n in range(30)]
        (folder / "t.csv").write_text("\n".join(["a,b,c,y", *rows, f"{word},{word},{word},{word}"]))
        out = run("fit t.csv --target y -o m --preset fast")
        assert "30 rows, 1 more without a target left out, 3 columns; classification of y, 2 classes" in out
        assert [column.kind for column in fn.load("m").columns_] == ["number", "moment", "sign"]
        assert fn.load("m").classes_.tolist() == [0, 1]

    def test_words_for_missing_values_are_classes_among_other_words(self, folder):
        (folder / "t.csv").write_text("x,y\n" + "1,None\n2,Mild\n3,NA\n4,\n" * 10)
        assert "30 rows, 10 more without a target left out, 1 column; classification of y, 3 classes" in run(
            "fit t.csv --target y -o m --preset fast"
        )
        assert fn.load("m").classes_.tolist() == ["Mild", "NA", "None"]
        (folder / "new.csv").write_text("x,y\n1,None\n1,None\n2,\n")
        assert "2 rows with a target\nerror: " in run("evaluate m new.csv")

    def test_booleans_with_missing_ones_are_booleans(self, folder):
        (folder / "t.csv").write_text("x,y\n" + "1,true\n2,false\n3,\n" * 10)
        assert "20 rows, 10 more without a target" in run("fit t.csv --target y -o m --preset fast")
        assert fn.load("m").classes_.tolist() == [False, True]
        assert "20 rows with a target\nerror: " in run("evaluate m t.csv")

    def test_booleans_stay_such_beside_fields_that_are_none(self, folder):
        (folder / "t.csv").write_text("b,x,y\n" + "True,1,p\nFalse,2,q\n" * 20)
        run("fit t.csv --target y -o m --preset fast")
        for number, third in enumerate(("", "maybe")):
            (folder / f"{number}.csv").write_text(f"x,b\n1,TRUE\n2,false\n1,{third}\n")
        assert run("predict m 1.csv --proba") == run("predict m 0.csv --proba")
        assert run("predict m 1.csv").split()[:3] == ["y", "p", "q"]

    @pytest.mark.parametrize(
        ("header", "names"),
        [
            (",b,y,", ["Unnamed: 0", "b", "Unnamed: 3"]),
            ("a,a,y,a.1", ["a", "a.2", "a.1"]),
            (",Unnamed: 0,y,", ["Unnamed: 0.1", "Unnamed: 0", "Unnamed: 3"]),
            ('y,"a ""b"" c","a ""b"" c",', ['a "b" c', 'a "b" c.1', "Unnamed: 3"]),
        ],
    )
    def test_columns_without_a_name_and_of_the_same_name(self, header, names, folder):
        rows = [f"{n % 3},{n % 4},{n % 2},{n % 5}" for n in range(30)]
        (folder / "t.csv").write_text("\n".join([header, *rows]))
        run("fit t.csv --target y -o m --preset fast")
        assert list(fn.load("m").feature_names_in_) == names
        assert len(run("predict m t.csv").splitlines()) == 31

    def test_text_in_columns_without_a_name(self, folder):
        (folder / "t.csv").write_text(",,y\n" + "1,a,0\nb,2,1\n" * 20)
        run("fit t.csv --target y -o m --preset fast")
        (folder / "new.csv").write_text(",\n1,2\n1,2\n")
        model = fn.load("m")
        expected = model.predict_proba(pd.DataFrame([["1", "2"]] * 2, columns=model.feature_names_in_))[:, 0]
        assert pd.read_csv(io.StringIO(run("predict m new.csv --proba")))["y_0"].to_numpy() == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("numbers", ["1", "-2", "1.5", ""])
    def test_integers_of_more_than_64_bits_are_numbers(self, numbers, folder):
        (folder / "t.csv").write_text("x,y\n" + f"{10**25},10\n{2**63},1\n{numbers},2\n" * 10)
        run("fit t.csv --target y -o m --preset fast")
        assert fn.load("m").columns_[0].kind == "number"
        (folder / "big.csv").write_text("x,y\n" + "".join(f"{n},{10**25 + n % 3 * 10**24}\n" for n in range(30)))
        assert "regression of y" in run("fit big.csv --target y -o m --preset fast")
        assert "RMSE" in run("evaluate m big.csv")
