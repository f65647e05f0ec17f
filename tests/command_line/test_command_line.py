"""The command ``fastnet``: tables of every format in, models and predictions out, and one line for whatever is wrong."""

from __future__ import annotations

import re
import shutil
import sys

import numpy as np
import pytest

import fastnet as fn

pd = pytest.importorskip("pandas")
pytest.importorskip("click")

from commands import houses, run  # noqa: E402
from sklearn.metrics import mean_pinball_loss  # noqa: E402

from fastnet import cli  # noqa: E402
from fastnet.cli import _peers  # noqa: E402


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

    def test_quantiles_that_are_close_have_names_of_their_own(self):
        frame = houses()
        model = fn.TabularRegressor(metric="quantile", quantiles=[0.5, 0.9999991, 0.9999992], preset="fast", n_epochs=1)
        model.fit(frame[["area"]], frame["price"]).save("bounds")
        assert run("predict bounds houses.csv").splitlines()[0] == "price_0.5,price_0.9999991,price_0.9999992"
        assert run("evaluate bounds houses.csv").count("share up to quantile 0.999999") == 2


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
    classifier = fn.TabularClassifier(preset="fast", n_epochs=1)
    classifier.fit(frame.drop(columns="price"), frame["area"] > 144).save(folder / "booleans")
    return folder


BAD_FILES = {
    "empty.csv": "",
    "head.csv": "x,y\n",
    "holes.csv": "x,y\n1,\n2,\n",
    "alone.csv": "y\n1\n2\n",
    "unknown.csv": "area,rooms,plot,sold,dear,price\n9,1,1,2024-01-01,no,\n9,1,1,2024-01-01,no,\n",
    "one.csv": "x,y\n1,0.5\n",
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
        ("evaluate model houses.csv --target dear", "'dear' in houses.csv holds String values, but the model predicts numbers"),
        ("evaluate model houses.csv --target sold", "'sold' in houses.csv holds Datetime"),
        ("evaluate model unknown.csv", "all 2 values of 'price' in unknown.csv are missing: at least one is needed"),
        ("evaluate booleans houses.csv --target dear", "holds values like 'yes', but the model's classes are False, True"),
        ("evaluate array houses.csv", "the model's target has no name: say with --target which column"),
        ("compare houses.csv --target price --held-out 0.999", "--held-out 0.999 leaves 0 of 120 rows to train on and 120"),
        ("compare houses.csv --target dear --held-out 0.001", "and 1 to test on: each needs at least 2, one of each class"),
        ("compare one.csv --target y", "--held-out 0.25 leaves 0 of 1 row to train on and 1 to test on: each needs at least 1"),
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
