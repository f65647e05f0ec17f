"""The command ``fastnet``: tables of every format in, models and predictions out, and one line for whatever is wrong."""

from __future__ import annotations

import io
import re
import shutil
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import fastnet as fn

pd = pytest.importorskip("pandas")
pytest.importorskip("click")

from click.testing import CliRunner  # noqa: E402
from sklearn.metrics import mean_pinball_loss  # noqa: E402

from fastnet import cli  # noqa: E402
from fastnet.cli import _commands, _peers  # noqa: E402
from fastnet.cli._files import NULLS, READERS  # noqa: E402
from fastnet.tabular._choices import PRESETS  # noqa: E402


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def three_epochs(monkeypatch):
    """Presets that take no time."""
    for preset in PRESETS.values():
        monkeypatch.setitem(preset, "least_updates", 30)


def run(line, status=0):
    """What a command line prints, of a command that ends with this status."""
    result = CliRunner().invoke(_commands.fastnet, line.split())
    assert result.exit_code == status, result.output
    return result.output


def houses(n=120):
    rng = np.random.default_rng(0)
    area = rng.gamma(9, 16, n)
    return pd.DataFrame({
        "area": area,
        "rooms": np.where(rng.random(n) < 0.1, np.nan, rng.integers(1, 9, n)),
        "plot": rng.choice(["1", "2", "b"], n),
        "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, n), "D"),
        "price": 3 * area + rng.normal(0, 20, n),
        "dear": np.where(area > np.median(area), "yes", "no"),
    })  # fmt: skip


@pytest.fixture
def table(folder):
    houses().to_csv(folder / "houses.csv", index=False)
    return folder / "houses.csv"


class TestFit:
    def test_the_model_is_what_python_makes_of_the_same_table(self, table):
        out = run("fit houses.csv --target price -o model.safetensors --preset fast --seed 3")
        assert "houses.csv: 120 rows, 5 columns; regression of price" in out
        model = fn.load("model.safetensors")
        kinds = {column.name: column.kind for column in model.columns_}
        assert kinds == {"area": "number", "rooms": "number", "plot": "one_hot", "sold": "moment", "dear": "sign"}
        frame = houses()
        same = fn.TabularRegressor(preset="fast", random_state=3).fit(frame.drop(columns="price"), frame["price"])
        assert model.predict(frame.drop(columns="price")) == pytest.approx(same.predict(frame.drop(columns="price")), rel=1e-4)
        assert f"validation rmse: {-model.validation_score_:.4g}" in out

    def test_shares_are_printed_as_they_are(self):
        pd.DataFrame({"x": [0, 1] * 50, "y": ["low", "high"] * 50}).to_csv("t.csv", index=False)
        assert "validation accuracy: 1;" in run("fit t.csv --target y -o model --preset fast")
        assert fn.load("model").validation_score_ == 1

    @pytest.mark.parametrize(
        ("target", "options", "task"),
        [
            (["a", "b"], "", "classification"),
            ([True, False], "", "classification"),
            ([1, 2, 3], "", "classification"),
            ([1, 2, 3], "--task regression", "regression"),
            ([1, 2, 3], "--metric mae", "regression"),
            ([1, 2, 3], "--metric roc_auc", "classification"),
            ([1.5, 2, 3], "", "regression"),
            (range(21), "", "regression"),
        ],
    )
    def test_the_task_is_what_the_target_looks_like(self, target, options, task):
        pd.DataFrame({"x": range(42), "y": list(target) * (42 // len(target))}).to_csv("t.csv", index=False)
        assert f"; {task} of y" in run(f"fit t.csv --target y -o m --preset fast --time-limit 0.2 {options}")

    def test_rows_without_a_target_are_left_out(self):
        pd.DataFrame({"x": range(40), "y": [0, 1, None, 1] * 10}).to_csv("t.csv", index=False)
        assert "30 rows, 10 more without a target left out, 1 column; classification of y, 2 classes" in run(
            "fit t.csv --target y -o m --preset fast"
        )
        assert fn.load("m").classes_.tolist() == [0, 1]

    @pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.zip", "t.csv.xz", "t.tsv", "t.parquet", "t.feather", "parts"])
    def test_every_format(self, name, folder):
        frame = houses(40)
        if not name.startswith(("t.csv", "t.tsv")):
            pytest.importorskip("pyarrow")
        if name == "parts":
            (folder / name).mkdir()
            for number in range(2):
                frame[number::2].to_parquet(f"parts/{number}.parquet")
        elif name.endswith("parquet"):
            frame.to_parquet(name)
        elif name.endswith("feather"):
            frame.to_feather(name)
        else:
            frame.to_csv(name, index=False, sep="\t" if name.endswith("tsv") else ",")
        assert f"{name}: 40 rows, 5 columns; regression of price" in run(
            f"fit {name} --target price -o m --preset fast --time-limit 0.2"
        )
        assert "sold: time passed" in fn.load("m").summary()

    def test_a_folder_is_read_in_pieces(self, folder, monkeypatch):
        pytest.importorskip("pyarrow")
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
        pytest.importorskip("pyarrow")
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

    @pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "t.feather"])
    def test_polars_reads_where_pandas_is_missing(self, name, monkeypatch):
        pl = pytest.importorskip("polars")
        frame = pl.DataFrame(houses(40).to_dict("list"))
        write = {"t.parquet": frame.write_parquet, "t.feather": frame.write_ipc}
        write.get(name, lambda path: houses(40).to_csv(path, index=False))(name)
        monkeypatch.setitem(sys.modules, "pandas", None)
        assert "regression of price" in run(f"fit {name} --target price -o m --preset fast --time-limit 0.2")
        assert "sold: time passed" in fn.load("m").summary()
        assert len(run(f"predict m {name}").splitlines()) == 41


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


class TestPredict:
    @pytest.fixture(autouse=True)
    def model(self, table):
        run("fit houses.csv --target dear -o model --preset fast")

    def test_columns_in_any_order_and_more_of_them(self):
        new = houses().drop(columns="dear")
        new[[*new.columns[::-1]]].assign(more=1).to_csv("new.csv", index=False)
        assert "120 predictions written to out.csv" in run("predict model new.csv -o out.csv --proba")
        found, model = pd.read_csv("out.csv"), fn.load("model")
        assert list(found.columns) == ["dear", "dear_no", "dear_yes"]
        assert found["dear"].tolist() == model.predict(new).tolist()
        assert found[["dear_no", "dear_yes"]].to_numpy() == pytest.approx(model.predict_proba(new), abs=1e-6)

    def test_text_stays_text_where_all_of_it_looks_like_numbers(self):
        new = houses().query("plot != 'b'")
        new.to_csv("new.csv", index=False)
        run("predict model new.csv -o out.csv --proba")
        expected = fn.load("model").predict_proba(new.drop(columns="dear"))
        assert pd.read_csv("out.csv")["dear_no"].to_numpy() == pytest.approx(expected[:, 0], abs=1e-6)

    def test_predictions_are_printed_without_a_file(self):
        lines = run("predict model houses.csv").splitlines()
        assert lines[0] == "dear"
        assert set(lines[1:]) == {"yes", "no"} and len(lines) == 121

    def test_parquet(self):
        pytest.importorskip("pyarrow")
        run("predict model houses.csv -o out.parquet")
        assert pd.read_parquet("out.parquet")["dear"].tolist() == fn.load("model").predict(houses().drop(columns="dear")).tolist()

    def test_quantiles_have_a_column_each(self):
        frame = houses()
        model = fn.TabularRegressor(metric="quantile", quantiles=[0.1, 0.9], preset="fast", n_epochs=1)
        model.fit(frame[["area"]], frame["price"]).save("bounds")
        assert run("predict bounds houses.csv").splitlines()[0] == "price_0.1,price_0.9"


class TestEvaluate:
    def test_classes(self, table):
        run("fit houses.csv --target dear -o model --preset fast")
        frame, model = houses(), fn.load("model")
        p = model.predict_proba(frame.drop(columns="dear"))
        out = run("evaluate model houses.csv")
        assert f"error: {1 - model.score(frame.drop(columns='dear'), frame['dear']):.4g}" in out
        log_loss = -np.log(p[np.arange(120), (frame["dear"] == "yes").astype(int)]).mean()
        assert float(re.search("log-loss: (.+)", out).group(1)) == pytest.approx(log_loss, rel=1e-3)

    def test_classes_that_training_did_not_have(self, table):
        run("fit houses.csv --target dear -o model --preset fast")
        houses().assign(dear="maybe").to_csv("new.csv", index=False)
        assert "error: 1\nlog-loss: -\n" in run("evaluate model new.csv")

    def test_values(self, table):
        run("fit houses.csv --target price -o model --preset fast")
        frame = houses()
        score = fn.load("model").score(frame.drop(columns="price"), frame["price"])
        assert float(re.search("R2: (.+)", run("evaluate model houses.csv")).group(1)) == pytest.approx(score, rel=1e-3)
        frame.rename(columns={"price": "paid"}).to_csv("sold.csv", index=False)
        assert run("evaluate model sold.csv --target paid") == run("evaluate model houses.csv").replace("houses", "sold")

    def test_quantiles(self, table):
        frame = houses()
        X, y = frame.drop(columns="price"), frame["price"]
        model = fn.TabularRegressor(metric="quantile", quantiles=(0.9, 0.1), preset="fast", n_epochs=2, random_state=0)
        model.fit(X, y).save("model")
        low, high = model.predict(X).T
        found = dict(line.split(": ") for line in run("evaluate model houses.csv").splitlines()[1:])
        losses = [mean_pinball_loss(y, low, alpha=0.1), mean_pinball_loss(y, high, alpha=0.9)]
        assert float(found["pinball loss"]) == pytest.approx(np.mean(losses), rel=1e-3)
        assert float(found["share up to quantile 0.9"]) == pytest.approx(np.mean(y <= high), rel=1e-3)


class TestCompare:
    @pytest.fixture(autouse=True)
    def scikit_learn_alone(self, monkeypatch):
        chosen = {name: peer for name, peer in _peers.PEERS.items() if peer[0] == "sklearn"}
        monkeypatch.setattr(_peers, "PEERS", chosen | {"absent": ("no_such_library", None)})

    @pytest.mark.parametrize(("target", "heading"), [("dear", "error  log-loss"), ("price", "RMSE    MAE      R2")])
    def test_a_row_for_each_library_that_is_installed(self, table, target, heading):
        out = run(f"compare houses.csv --target {target} --preset fast --threads 1")
        assert "90 rows to train on, 30 held out" in out
        lines = out.splitlines()[-4:]
        assert re.search(heading.replace(" ", r"\s+") + r"\s.*fit s\s+predict s", lines[0])
        names = ["fastnet, fast", "HistGradientBoosting", "scikit-learn's MLP"]
        assert [line.startswith(name) for line, name in zip(lines[1:], names, strict=True)] == [True] * 3

    def test_durations(self):
        pytest.importorskip("pyarrow")
        houses(40).assign(sold=lambda frame: frame["sold"] - frame["sold"].min()).to_parquet("t.parquet")
        assert "failed" not in run("compare t.parquet --target price --preset fast --threads 1")

    @pytest.mark.parametrize("value", [1, "few", "2024-01-01", True])
    def test_a_column_without_values_in_the_training_rows(self, value):
        frame = houses(40).assign(rooms=None)
        frame.loc[2, "rooms"] = value  # held out
        frame.to_csv("t.csv", index=False)
        out = run("compare t.csv --target price --preset fast --threads 1 --held-out 0.5")
        assert "HistGradientBoosting  " in out and "scikit-learn's MLP  " in out
        assert "warning" not in out and "failed" not in out

    def test_a_library_that_fails_does_not_end_it(self, table, monkeypatch):
        def fail(*arguments):
            raise RuntimeError("no\nluck")

        monkeypatch.setitem(_peers.PEERS, "other", ("sklearn", fail))
        out = run("compare houses.csv --target dear --preset fast --threads 1")
        assert "other failed: no luck\n" in out
        assert "fastnet, fast" in out


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files of a network, and of a model of a frame and of an array."""
    folder, frame = tmp_path_factory.mktemp("models"), houses(40)
    fn.Network([fn.Dense(1)], 1).save(folder / "network")
    quick = fn.TabularRegressor(preset="fast", n_epochs=1)
    quick.fit(frame.drop(columns="price"), frame["price"]).save(folder / "model")
    quick.fit(frame[["area"]].to_numpy(), frame["price"].to_numpy()).save(folder / "array")
    return folder


BAD_FILES = {
    "empty.csv": "",
    "head.csv": "x,y\n",
    "holes.csv": "x,y\n1,\n2,\n",
    "alone.csv": "y\n1\n2\n",
    "words.csv": "area,rooms,plot,sold,dear\nlarge,1,1,2024-01-01,no\n",
    "constant.csv": "x,y\n1,1\n2,1\n",
    "late.csv": "area,rooms,plot,sold,dear\n9,1,1,2024-01-01,no\n9,1,1,soon,no\n",
    "broken.parquet": "nothing",
    "table.xls": "nothing",
}
_FIT = "--target y -o new"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fit", "Missing argument 'TABLE'"),
        (f"fit nothing.csv {_FIT}", "'nothing.csv' does not exist"),
        ("fit houses.csv --target prise -o new", "houses.csv has no column 'prise'; did you mean 'price'?"),
        (f"fit houses.csv {_FIT}", "has no column 'y'; it has 'area', 'rooms', 'plot', 'sold', 'price', 'dear'"),
        (f"fit empty.csv {_FIT}", "empty.csv is empty"),
        (f"fit head.csv {_FIT}", "head.csv is empty: it has 0 rows and 2 columns"),
        (f"fit holes.csv {_FIT}", "all 2 values of 'y' in holes.csv are missing"),
        (f"fit alone.csv {_FIT}", "no column but the target 'y'"),
        (f"fit constant.csv {_FIT}", "the target 'y' holds one class, 1: classification needs at least two"),
        (f"fit broken.parquet {_FIT}", "broken.parquet cannot be read"),
        (f"fit table.xls {_FIT}", "in no known format: expected a name that ends in .csv"),
        ("fit houses.csv --target price -o absent/new", "absent/new cannot be written: No such file or directory"),
        ("fit houses.csv --target price -o .", "is a folder: give the name of a file"),
        ("fit houses.csv --target price -o ./houses.csv", "houses.csv is a file to read: give the output another name"),
        ("predict model houses.csv -o houses.csv", "houses.csv is a file to read: give the output another name"),
        ("predict model.csv houses.csv -o model.csv", "model.csv is a file to read: give the output another name"),
        ("fit houses.csv --target price --metric accuracy -o new", "fractions or integers above 64 bits: classification needs"),
        ("fit houses.csv --target dear --metric rmse -o new", "regression needs numbers"),
        ("fit houses.csv --target price --metric rmse --task classification -o new", "leave one of them out"),
        ("fit houses.csv --target sold -o new", "holds dates or times"),
        ("fit houses.csv --target price --preset quick -o new", "'quick' is not one of 'fast', 'default', 'best'"),
        ("predict empty.csv houses.csv", "cannot load 'empty.csv'"),
        ("predict network houses.csv", "network holds a Network: expected a TabularClassifier or TabularRegressor"),
        ("predict array houses.csv", "whose columns have no names"),
        ("predict model head.csv", "head.csv is empty"),
        ("predict model constant.csv", "lacks the columns 'area', 'rooms', 'plot', 'sold', 'dear'"),
        ("predict model words.csv", "Column 'area' held numbers in fit"),
        ("predict model late.csv", "Column 'sold' held dates or times in fit; now it holds something else: text such as 'soon'."),
        ("predict model houses.csv --proba", "leave --proba out"),
        ("predict model houses.csv -o new.xls", "predictions are written as .csv or .parquet"),
        ("predict model houses.csv -o absent/new.csv", "cannot be written"),
        ("evaluate model words.csv", "words.csv has no column 'price'"),
        ("evaluate array houses.csv", "the model's target has no name: say with --target which column"),
        ("compare houses.csv --target prices", "did you mean 'price'?"),
        ("train houses.csv", "fastnet has no command 'train'; it has 'fit', 'predict', 'evaluate', 'compare'"),
        ("fot houses.csv", "fastnet has no command 'fot'; did you mean 'fit'?"),
    ],
)
def test_bad_input_is_one_line_and_status_2(line, message, table, models, folder):
    for name, text in BAD_FILES.items():
        (folder / name).write_text(text)
    shutil.copytree(models, folder, dirs_exist_ok=True)
    shutil.copy("model", "model.csv")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = run(line, status=2)
    assert message in out.splitlines()[-1]
    assert out.splitlines()[-1].startswith("fastnet: ")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_warning_is_one_line(folder):
    (folder / "t.csv").write_text("x,y\n" + "".join(f"{n},c{n}\n" for n in range(30)))
    lines = run("fit t.csv --target y -o m --preset fast").splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("fastnet: warning: The number of unique classes is greater than 50%")


def test_an_output_that_cannot_be_written_is_refused_before_training(table, monkeypatch):
    monkeypatch.setattr(fn.TabularRegressor, "fit", lambda *arguments: pytest.fail("it trains"))
    run("fit houses.csv --target price -o absent/new", status=2)


def test_help_and_version():
    assert re.search(r"compare.+evaluate.+fit.+predict", run(""), re.DOTALL)
    assert "--time-limit" in run("fit --help")
    assert run("--version") == f"fastnet {fn.__version__}\n"


def test_the_extra_is_named_where_click_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "click", None)
    monkeypatch.delitem(sys.modules, "fastnet.cli._commands")
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert "pip install 'fastnet-cpu[cli]'" in capsys.readouterr().err
