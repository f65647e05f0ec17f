"""The benchmarks: what they compute from times, print and draw, and tiny runs. Nothing here depends on speed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from statistics import median

import numpy as np
import pytest

import fastnet as fn

ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of the installed package", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks import (  # noqa: E402
    _layers_report,
    _report,
    _timing,
    distributed,
    ensembles,
    inference,
    layers,
    outofcore,
    train,
    trees,
    variants,
)
from benchmarks.__main__ import GROUPS, ON_REQUEST  # noqa: E402
from benchmarks._environment import FORCING, header  # noqa: E402
from benchmarks._layers import LayerInference, LayerTraining, products  # noqa: E402
from benchmarks._links import Link  # noqa: E402
from benchmarks._peers import DEFAULT_THREADS, PEERS, Unsupported  # noqa: E402
from benchmarks._pool import Entry, Pool, peers  # noqa: E402
from benchmarks._results import Options, Series, check, merged, ratios, row, save, slope, spread, without_goals  # noqa: E402
from benchmarks._tasks import Kernel, Table, Training  # noqa: E402
from benchmarks._timing import DISTURBED, Round, _others, calibrate, time_round  # noqa: E402

TINY = Training("tiny", 50, 3, (4,), 2, 16, goals={"PyTorch": 2.0}, limit_goal=0.5)
FAST = Options(rounds=2, min_seconds=1e-4, retries=0)


def _series(*seconds: float) -> Series:
    series = Series()
    for value in seconds:
        series.append(Round(value, others=0.0))
    return series


@pytest.fixture
def results(monkeypatch):
    """Results with every kind of row, from made-up times."""
    for name in FORCING:
        monkeypatch.delenv(name, raising=False)
    own, peer = _series(0.002, 0.001, 0.004), _series(0.02, 0.03, 0.02)
    share = check("share of GEMM limit", [0.5, 0.6, 0.7], 0.75)
    about = {"rows": 50, "sizes": (3, 4, 2), "batch_size": 16, "dtype": "float32"}
    trained = row(
        "tiny",
        "ms per epoch",
        1e3,
        {"fastnet": own, "PyTorch": peer},
        [check("PyTorch", ratios(peer, own), 8.0), share],
        task=about,
    )
    one = row(
        "one", "us per call", 1e6, {"fastnet": own, "NumPy": peer}, [check("NumPy", ratios(peer, own))], task={**about, "rows": 1}
    )
    swept = row(
        "rows", "ms per epoch", 1e3, {"10": own}, [check("log-log slope", [1.0])], axis="rows", points=[[10, 1.0], [100, 10.0]]
    )
    groups = {"train": {"gemm_flops": 2e11, "rows": [trained]}, "inference": {"rows": [one]}, "scaling": {"rows": [swept]}}
    results = {
        "environment": header(),
        "options": asdict(FAST),
        "notes": ["JAX: skipped, jax is not installed"],
        "groups": groups,
    }
    return json.loads(json.dumps(results))


class TestFigures:
    def test_spread(self):
        assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}

    def test_ratios_are_taken_round_by_round(self):
        assert ratios(_series(6.0, 2.0), _series(2.0, 4.0)) == [3.0, 0.5]
        with pytest.raises(ValueError):
            ratios(_series(6.0), _series(2.0, 4.0))

    @pytest.mark.parametrize(
        ("at_most", "goal", "reached"), [(False, 2, True), (False, 2.1, False), (True, 2, True), (True, 1.9, False)]
    )
    def test_a_goal_is_held_against_the_median(self, at_most, goal, reached):
        assert check("x", [1.0, 2.0, 9.0], goal, at_most=at_most)["reached"] is reached

    def test_slope_of_a_power(self):
        x = [1, 10, 100, 1000]
        assert slope(x, [3 * value**1.5 for value in x]) == pytest.approx(1.5)

    def test_flops_of_an_epoch(self):
        # forward, dW and dA of (3, 4) and (4, 2), without dA of the first: 2 * 50 * (12 * 2 + 8 * 3)
        assert TINY.flops == 2 * 50 * (12 * 2 + 8 * 3)

    def test_variants_keep_the_goals_less_a_margin(self):
        base = train.SHAPES[2]
        assert {task.name for task in variants.tasks(base)} >= {
            "tab200-gelu",
            "tab200-5x64",
            "tab200-regression",
            "tab200-float64",
        }
        assert set(variants.QUICK) <= {task.name for task in variants.tasks(base)}
        for task in variants.tasks(base):
            assert task.goals and all(goal == pytest.approx(0.85 * base.goals[peer]) for peer, goal in task.goals.items())

    def test_tasks_are_chosen_by_shape(self):
        tasks = [*train.SHAPES, *variants.tasks(train.SHAPES[1])]
        chosen = Options(shapes=("tab",)).chosen(tasks, train.QUICK)
        assert [task.name for task in chosen][:2] == ["tab", "tab-tanh"] and len(chosen) == 10
        assert [task.name for task in Options(quick=True).chosen(tasks, train.QUICK)] == list(train.QUICK)


class TestTiming:
    def test_others_are_what_the_machine_used_beyond_this_process_and_the_ticks(self):
        assert _others(busy=1.0, own=1.0, elapsed=1.0) == 0.0
        assert _others(busy=101.5, own=1.0, elapsed=100.0) == pytest.approx(1.0, abs=0.02)

    def test_a_disturbed_round_is_taken_again_and_the_least_disturbed_kept(self, monkeypatch):
        taken = iter([Round(1.0, 0.9), Round(2.0, 0.3), Round(3.0, 0.6), Round(4.0, DISTURBED / 2), Round(5.0, 0.0)])
        monkeypatch.setattr("benchmarks._timing._round", lambda job, n: next(taken))
        assert time_round(lambda n: None, 1, retries=2) == Round(2.0, 0.3)
        assert time_round(lambda n: None, 1, retries=2) == Round(4.0, DISTURBED / 2)

    def test_what_the_host_withholds_is_a_part_of_what_others_took(self, monkeypatch):
        machine = iter([_timing._Machine(10.0, 1.0), _timing._Machine(21.5, 3.0)])
        monkeypatch.setattr(_timing, "_machine", lambda: next(machine))
        monkeypatch.setattr(_timing, "_elapsed", lambda job, n: 10.0)
        taken = time_round(lambda n: None, 2, retries=0)
        assert taken.seconds == 5.0 and taken.others == pytest.approx(1.15, abs=0.1) and taken.withheld == pytest.approx(0.2)

    def test_calibration_fills_the_time(self, monkeypatch):
        monkeypatch.setattr("benchmarks._timing._elapsed", lambda job, n: n * 0.001)
        n, seconds = calibrate(lambda n: None, 0.05)
        assert 50 <= n <= 100 and seconds == pytest.approx(0.001)


class TestReport:
    def test_readme_table(self, results):
        table = _report.readme_tables(results, "here.json")["benchmark table"]
        assert "| tiny | 50, 3-4-2, 16 | 2 | 10 (5-30) | 60 % |" in table
        assert "| 3-4-2 | 1 | 2,000 | 20,000 |" in table
        assert "`benchmarks/results/here.json`" in table

    def test_the_table_goes_between_the_markers_and_nowhere_else(self):
        begin, end = "<!-- benchmark table: begin -->", "<!-- benchmark table: end -->"
        text = f"before\n{begin}\nold\n{end}\nafter\n"
        assert _report.with_table(text, "benchmark table", "new") == f"before\n{begin}\nnew\n{end}\nafter\n"
        with pytest.raises(ValueError, match="benchmark table: begin"):
            _report.with_table("no markers", "benchmark table", "new")

    def test_markdown_counts_goals_and_names_the_missed(self, results):
        text = _report.markdown(results)
        assert "1 of 2 goals reached\n- missed tiny: share of GEMM limit 0.6 (0.5-0.7) [goal >= 0.75: MISSED]" in text
        assert "PyTorch 10 (5-30) [goal >= 8: reached]" in text
        assert "- JAX: skipped, jax is not installed" in text

    def test_goals_are_shown_only_where_they_are_asked_for(self, results):
        rows = results["groups"]["train"]["rows"]
        results["groups"]["train"]["rows"] = list(map(without_goals, rows))
        text = _report.markdown(results)
        assert "goal" not in text and "PyTorch 10 (5-30)" in text
        assert rows[0]["checks"][0]["goal"] == 8.0

    def test_a_row_of_contestants_says_how_many_times_as_long_each_took(self):
        series = {"fastnet": _series(0.002), "PyTorch": _series(0.02), "PyTorch" + DEFAULT_THREADS: _series(0.03)}
        series["PyTorch"].threads = 1
        figures = [check(label, ratios(one, series["fastnet"])) for label, one in series.items() if label != "fastnet"]
        assert _report.measured(row("tiny", "ms", 1e3, series, figures, title="tiny: training")).splitlines() == [
            "tiny: training",
            "  fastnet  ms: 2",
            "  PyTorch  ms: 20 on 1 thread, 10 times as long; default threads: 30, 15 times as long",
        ]

    def test_disturbance_is_told(self, results):
        times = results["groups"]["train"]["rows"][0]["times"]["fastnet"]
        assert _report.disturbance(results).startswith("None of 15 timings was disturbed")
        times["others"], times["withheld"] = [0.5, 0.0, 0.8], [0.1, 0.0, 0.3]
        text = _report.disturbance(results)
        assert text.startswith("Other programs disturbed 2 of 15 timings: they took 65 % of a core (median; 80 % at most, 30 % ")
        results["environment"]["system"] = "Windows AMD64"
        assert "not known" in _report.disturbance(results)

    def test_plots(self, results, tmp_path):
        pytest.importorskip("matplotlib")
        from benchmarks._plots import draw

        files = draw(results, tmp_path)
        assert [file.name for file in files] == ["ratios.png", "gemm-share.png", "scaling.png", "one-row.png"]
        assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)

    def test_results_of_one_environment_are_kept_together(self, results, tmp_path):
        path = tmp_path / "results.json"
        fresh = {**results, "notes": [], "groups": {}}
        assert merged(fresh, path) is fresh
        save(results, path)
        assert merged(fresh, path) == results
        fresh["environment"] = {**fresh["environment"], "cpu": "another"}
        with pytest.raises(ValueError, match="environment"):
            merged(fresh, path)

    @pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.name)
    def test_committed_results_can_be_reported(self, path):
        results = json.loads(path.read_text())
        groups, long = set(results["groups"]), {"tabular", "held_out", "realmlp", "realmlp_time"}
        # An ablation fits all tables fifteen times; its uncertainty is that from table to table.
        assert results["options"]["rounds"] >= (1 if groups == {"ablation"} else 3 if groups <= long else 5)
        assert not results["options"]["quick"]
        assert not set(FORCING) & set(results["environment"]["variables"])
        assert _report.markdown(results)
        elsewhere = {*ON_REQUEST, "ensembles", "layers", "many"}
        assert set(results["groups"]) <= elsewhere or _report.readme_tables(results, path.name)

    @pytest.mark.parametrize("marker", ["benchmark table", "LightGBM table"])
    def test_the_readme_shows_the_committed_results(self, marker):
        readme = ROOT / "README.md"
        if not readme.exists():
            pytest.skip("not in a source tree")
        text = readme.read_text()
        source = re.search(rf"<!-- {marker}: begin -->.*?Source: `benchmarks/results/(.+?\.json)`", text, re.DOTALL)[1]
        results = json.loads((ROOT / "benchmarks" / "results" / source).read_text())
        assert _report.with_table(text, marker, _report.readme_tables(results, source)[marker]) == text


def test_the_tables_of_layers():
    checks = [check("PyTorch", [2.0]), check("share of GEMM limit", [0.5])]
    rows = [
        row("tiny-2", "ms per epoch", 1e3, {"fastnet": _series(0.002)}, checks, task={}),
        row("tiny-row", "us per call", 1e6, {"fastnet": _series(3e-5)}, [check("ONNX Runtime", [1.5])], task={}),
    ]
    results = {"environment": header(), "options": asdict(FAST), "groups": {"layers": {"rows": rows}}}
    results["environment"]["engine_level"] = "v3"
    tables = _layers_report.tables(results, "x.json")
    assert "| tiny, 2 | 2 | 2 |  |" in tables["training at v3"]
    assert "| tiny | 30 | 1.5 |" in tables["predictions at v3"] and "x.json" in tables["predictions at v3"]


class TestNetworksOfLayers:
    def test_products_of_blocks(self):
        # queries, keys and values, the linear map after them, two dense layers, scores and their sums; half of these if causal
        rest = 5 * (6 * 3 * 6 + 6 * 6 + 2 * 6 * 7)
        layers = (("tokens", 6), ("block", 2, 7), ("causal", 2, 7), ("output", 3))
        assert products((4,), layers) == [rest + 2 * 5 * 5 * 6, rest + 2 * 15 * 6, 5 * 6 * 3]

    def test_flops_count_the_positions_that_rows_have(self):
        full = LayerTraining("x", 40, 8, (10, 2), (("lstm", 3), ("output", 4)))
        part = replace(full, lengths=(2, 10))
        lengths = part.row_lengths()
        assert lengths.min() >= 2 and lengths.max() <= 10 and len(set(lengths)) > 5
        # the weights' product and gradient, and of the states also what goes back
        assert full.flops == pytest.approx(2 * 40 * (10 * 12 * (2 * 2 + 3 * 3) + 3 * 12))
        assert part.flops == pytest.approx(2 * (lengths.sum() * 12 * (2 * 2 + 3 * 3) + 40 * 3 * 12))

    @pytest.mark.parametrize("task", layers.SHAPES, ids=lambda task: task.name)
    @pytest.mark.parametrize("peer", ["torch_layers", "jax_layers"])
    def test_each_peer_trains_each_network(self, peer, task):
        pytest.importorskip(peer.removesuffix("_layers"))
        module = import_module(f"benchmarks._peers.{peer}")
        module.trainer(replace(task, n_rows=4, batch_size=2), 1)(1)

    @pytest.mark.parametrize("task", layers.SHAPES, ids=lambda task: task.name)
    def test_fastnet_learns_from_all_rows_in_each_epoch(self, task, monkeypatch):
        from benchmarks._peers import fastnet_layers

        fit, histories = fn.Network.fit, []
        monkeypatch.setattr(fn.Network, "fit", lambda *given, **options: histories.append(fit(*given, **options)))
        fastnet_layers.trainer(replace(task, n_rows=4, batch_size=2), 1)(3)
        (history,) = histories
        assert history.n_rows == [4, 4, 4] and len(set(history.loss)) == 3

    @pytest.mark.parametrize("task", layers.SHAPES, ids=lambda task: task.name)
    def test_what_is_predicted_of_a_row(self, task):
        from benchmarks._peers import fastnet_layers

        row = LayerInference(task.name, task.input_shape, task.layers)
        assert fastnet_layers.predictor(row, 1)(1).shape == task.output_shape


def test_a_goal_says_what_the_products_alone_would_allow():
    figure = _report.figure(check("JAX", [1.9, 2.0, 2.1], 7.0) | {"at_limit": 6.04})
    assert figure == "2 (1.9-2.1) [goal >= 7, at the GEMM limit 6.04: MISSED]"


@pytest.fixture(scope="module")
def workers():
    """The processes of the pools below, which keep them for each other."""
    with Pool(FAST) as pool:
        yield pool._workers


@pytest.fixture
def pool(workers, monkeypatch):
    """A pool that waits for nothing between its timings."""
    monkeypatch.setattr("benchmarks._pool._PAUSE", 0.0)
    pool = Pool(FAST)
    pool._workers = workers
    return pool


class TestRun:
    def test_a_tiny_run_of_training_and_inference(self, pool, monkeypatch, capsys):
        monkeypatch.setattr("benchmarks._pool.n_cores", lambda: 1)
        monkeypatch.setattr("benchmarks._peers.find_spec", lambda name: None if name == "torch" else name)
        trained = train.run(pool, [TINY])
        predicted = inference.run(pool, [inference.Inference("few", (3, 4, 2), 5)], labels=("NumPy", "PyTorch"))
        failing = Entry("fails", "numpy", Kernel("negation", ("no size",)), (1,))
        with pytest.raises(RuntimeError, match="cannot be interpreted as an integer"):
            pool.compare([failing])
        assert pool.notes == ["PyTorch: skipped, torch is not installed"]
        assert "PyTorch: skipped" in capsys.readouterr().out
        (result,) = trained["rows"]
        assert result["name"] == "tiny" and set(result["times"]) == {"fastnet"}
        assert len(result["times"]["fastnet"]["rounds"]) == FAST.rounds
        rounds = zip(result["gemm_flops"], result["times"]["fastnet"]["rounds"], strict=True)
        shares = [TINY.flops / limit / (milliseconds / 1e3) for limit, milliseconds in rounds]
        assert result["checks"] == [pytest.approx(check("share of GEMM limit", shares, TINY.limit_goal))]
        row = predicted["rows"][0]
        best = next(figure for figure in row["checks"] if figure["what"] == "best peer (NumPy)")
        rounds = zip(row["gemm_flops"], row["times"]["NumPy"]["rounds"], strict=True)
        at_limit = [microseconds / 1e6 * limit / (2 * 5 * (3 * 4 + 4 * 2)) for limit, microseconds in rounds]
        assert best["at_limit"] == pytest.approx(median(at_limit))
        times = row["times"]
        assert set(times) == {"fastnet", "fastnet estimator", "NumPy"} and times["NumPy"]["threads"] == 1
        json.dumps([trained, predicted])

    def test_a_quick_run_has_peers_at_their_default_threads_too(self):
        labels = [entry.label for entry in peers(["NumPy"], TINY, Options(quick=True))]
        assert labels == ["NumPy", "NumPy" + DEFAULT_THREADS]
        assert peers(["NumPy"], TINY, Options(quick=True))[1].threads == (None,)
        assert [entry.label for entry in peers(["NumPy"], TINY, FAST)] == ["NumPy"]

    def test_a_tiny_run_beside_trees(self, pool, results, monkeypatch):
        monkeypatch.setattr("benchmarks._peers.find_spec", lambda name: None)
        monkeypatch.setattr(trees, "WORK", {"fit": None, "one row": 1})
        rows = trees.run(pool, ["iris"])["rows"]
        assert pool.notes == ["LightGBM: skipped, lightgbm is not installed"]
        assert [row["name"] for row in rows] == ["iris, fit", "iris, one row"]
        assert set(rows[0]["times"]) == {trees.PIPELINE, trees.NETWORK}
        table = _report.readme_tables({**results, "groups": {"trees": {"rows": rows}}}, "some.json")["LightGBM table"]
        assert table.splitlines()[0] == f"| table and work | unit | {trees.PIPELINE} | {trees.NETWORK} |"
        assert json.dumps(rows)

    def test_a_tiny_run_of_ensembles(self, pool, monkeypatch):
        monkeypatch.setattr(ensembles, "MEMBERS", (3,))
        rows = ensembles.run(pool, TINY)["rows"]
        assert [row["name"] for row in rows] == ["3 members, one thread", "3 members, default threads"]
        for result in rows:
            rounds = {label: np.array(time["rounds"]) for label, time in result["times"].items()}
            assert list(rounds) == ["tiny", "packed", "batch", "mini"]
            for kind, figure in zip(("packed", "batch", "mini"), result["checks"], strict=True):
                assert figure == pytest.approx(check(f"3 fits / {kind}", list(3 * rounds["tiny"] / rounds[kind])))

    def test_forced_kernels_are_cleared_before_numpy_is_loaded(self):
        code = """
import os, sys
from benchmarks import _environment
_environment.restart_without_forced_kernels()
assert "numpy" not in sys.modules and not set(_environment.FORCING) & set(os.environ)
print("restarted")
"""
        env = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "512", "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[0].startswith("cleared OPENBLAS_CORETYPE=Haswell and OPENBLAS_L2_SIZE=512")
        assert done.stdout.splitlines()[-1] == "restarted"

    def test_no_figure_is_taken_with_forced_kernels(self, monkeypatch):
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
        with pytest.raises(RuntimeError, match="OPENBLAS_CORETYPE"):
            header()


class TestSeveralProcesses:
    def test_exchanges_of_the_cost_model(self):
        link = Link("slow", 1e-3, 8e6)  # a microsecond a byte
        assert link.exchange(1, 1000) == 0
        assert link.exchange(2, 1000) == pytest.approx(2e-3)  # one message
        assert link.exchange(4, 100) == pytest.approx(2 * 1.1e-3)  # two along a tree
        assert link.exchange(4, 100_000) == pytest.approx(4e-3 + 0.15)  # around a ring
        assert link.step(0.3, 3, 100) == pytest.approx(0.1 + 2.2e-3)

    def test_a_tiny_run(self, pool, monkeypatch):
        monkeypatch.setattr("benchmarks._peers.find_spec", lambda name: None)
        monkeypatch.setattr(distributed, "SEVERAL_EPOCHS", FAST.min_seconds)
        monkeypatch.setattr(pool, "end_workers", lambda: None)
        rows = distributed.run(pool, [TINY], [TINY], [TINY], [])["rows"]
        assert [row["name"] for row in rows] == ["tiny, one rank", "tiny, two ranks", "tiny, 1 Gbit/s"]
        assert [set(row["times"]) for row in rows] == [
            {"fit", "one rank"}, {"one thread", "threads", "two processes apart"}, {"one rank"}
        ]  # fmt: skip
        assert rows[1]["checks"][-1]["what"] == "one thread / two processes apart, the limit"
        assert json.dumps(rows)

    def test_a_tiny_run_of_data_larger_than_memory(self, pool, monkeypatch):
        monkeypatch.setattr("benchmarks._peers.find_spec", lambda name: None)
        (result,) = outofcore.run(pool, [TINY])["rows"]
        assert set(result["times"]) == {"memory", "memory map"}
        assert [check["what"] for check in result["checks"]] == ["memory / memory map"]


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_can_be_asked_for(group):
    assert import_module(f"benchmarks.{group}").TITLE


SLOW_PEERS = [pytest.param(module, marks=pytest.mark.slow) for module in ("torch", "jax")]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("module", ["fastnet", "sklearn", *SLOW_PEERS])
def test_every_variant_trains_or_is_refused_with_a_reason(module):
    pytest.importorskip(module)
    peer = import_module(f"benchmarks._peers.{module}")
    refused = {}
    for task in [TINY, *variants.tasks(TINY)]:
        try:
            peer.trainer(task, 1)(2)
        except Unsupported as reason:
            refused[task.name] = str(reason)
    expected = {"sklearn": {"tiny-leaky_relu", "tiny-gelu", "tiny-adamw"}, "jax": {"tiny-float64"}}
    assert set(refused) == expected.get(module, set()) and all(refused.values())


@pytest.mark.parametrize("module", ["numpy", "onnx", *SLOW_PEERS])
def test_peers_predict_what_fastnet_predicts(module):
    pytest.importorskip(next(peer.library for peer in PEERS.values() if peer.module == module))
    task = inference.Inference("few", (3, 4, 2), 5)
    expected, got = (np.asarray(import_module(f"benchmarks._peers.{name}").predictor(task, 1)(1)) for name in ("fastnet", module))
    np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-5)


@pytest.mark.parametrize("module", ["fastnet_estimator", "lightgbm"])
@pytest.mark.parametrize("n_rows", [1, 7])
def test_tables_are_predicted_by_probabilities(module, n_rows):
    pytest.importorskip("lightgbm" if module == "lightgbm" else "sklearn")
    out = import_module(f"benchmarks._peers.{module}").table(Table("iris", n_rows), 1)(2)
    assert out.shape == (n_rows, 3) and np.allclose(out.sum(axis=1), 1)
