"""CSV files on the command line: what pandas and Polars make of the same file."""

from __future__ import annotations

import io
import re

import pytest

import fastnet as fn

pd = pytest.importorskip("pandas")

from commands import run  # noqa: E402

from fastnet.cli._files import NULLS, READERS  # noqa: E402


@pytest.fixture(params=["pandas", "polars"])
def reader(request, monkeypatch):
    """The library that reads CSV files."""
    pytest.importorskip(request.param)
    monkeypatch.setitem(READERS, "CSV", (READERS["CSV"][request.param == "polars"],))


@pytest.mark.usefixtures("reader")
class TestCSV:
    """What pandas and Polars make of the same file."""

    @pytest.mark.parametrize(
        "text",
        [
            "y,a,b\n1,0.2,0.3,\n0,0.1,0.2,\n",
            "y,a,b\n1,0.2,0.3,4\n0,0.1,0.2,5\n",
            "y,a,b\n1,0.2,0.3\n0,0.1,0.2,5\n",
            "y;a;b\n1;0,2;3,4\n0;1,2;3,4\n",
            "y;a;b\n1;0;3\n0;1,2;3\n",
        ],
    )
    def test_rows_with_more_fields_than_the_header_are_refused(self, text, folder):
        (folder / "t.csv").write_text(text)
        out = run("fit t.csv --target y -o m", 2)
        assert out.count("\n") == 1
        assert re.search("t.csv cannot be read as CSV: (line .|a row) has more fields than the header; expected .+ by ','", out)

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
            ('y,"a ""b"" c",y,', ['a "b" c', "y.1", "Unnamed: 3"]),
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
