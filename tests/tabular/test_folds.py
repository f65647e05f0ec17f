"""Folds of tables: which rows they have, the networks of each, and how much these count."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import mixed_table

import fastnet as fn
from fastnet.tabular import _choices, _folds
from fastnet.tabular._mixture import Mixture, greedy_weights
from fastnet.tabular._splits import splits

pd = pytest.importorskip("pandas")

X, LABELS, VALUES = mixed_table()
QUICK = {"preset": "fast", "random_state": 0}


def test_groups_are_not_parted():
    groups = np.repeat(np.arange(30), 10)
    train, held = next(splits(300, None, groups, n_folds=1, fraction=0.2, seed=0))
    assert not set(groups[train]) & set(groups[held])
    assert len(list(splits(300, None, groups, n_folds=5, fraction=0.2, seed=0))) == 5
    fn.TabularClassifier(**QUICK, n_epochs=2).fit(X, LABELS, groups=groups)


def test_of_few_groups_there_are_fewer_folds():
    groups = pd.Series(np.where(np.arange(300) % 3, "a", "b"))
    model = fn.TabularRegressor(**QUICK, n_epochs=1).fit(X, VALUES, groups=groups)
    assert [network.n_members for network in model.networks_] == [1, 1]
    with pytest.raises(ValueError, match=r"n_folds=5 are more than the 2 rows or groups: set n_folds=2, or fewer"):
        fn.TabularRegressor(**QUICK, n_folds=5).fit(X, VALUES, groups=groups)
    with pytest.raises(ValueError, match=r"All rows are of one group, none can be set aside: give X_val"):
        fn.TabularRegressor(**QUICK).fit(X, VALUES, groups=groups, sample_weight=groups == "a")
    fn.TabularRegressor(**QUICK, n_epochs=1).fit(X, VALUES, groups=np.ones(300), X_val=X, y_val=VALUES)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.arange(200), r"the group of each of the 300 rows of X, got an array of shape \(200,\)"),
        ([None, "a", "b"] * 100, "groups must name the group of each row, got 100 missing"),
        (np.where(np.arange(300) < 2, np.nan, 1), "got 2 missing"),
        (np.array(["NaT", "2024-01-01"] * 150, dtype="datetime64[ns]"), "got 150 missing"),
        (np.array([1, "a", "b"] * 100, dtype=object), "several types"),
    ],
)
def test_wrong_groups(groups, message):
    with pytest.raises(ValueError, match=message):
        fn.TabularClassifier(**QUICK).fit(X, LABELS, groups=groups)


@pytest.mark.parametrize("given", [True, False])
def test_kinds_of_networks_count_by_how_good_they_are(given, rng):
    x = rng.uniform(-1, 1, (300, 1))
    y = np.sign(np.sin(40 * x[:, 0]))
    validation = {"X_val": x[200:], "y_val": y[200:]} if given else {}
    kinds = ("none", "piecewise_linear")
    model = fn.TabularRegressor(
        n_members=2, n_folds=2, numeric_embedding=kinds, n_epochs=60, hidden_layer_sizes=(128, 128, 128), random_state=0
    ).fit(x[:200], y[:200], **validation)
    shares = {kind: 0.0 for kind in ("piecewise", "none")}
    for network, weight in zip(model.networks_, model.weights_, strict=True):
        kind = "piecewise" if any(node.operation.kind == "piecewise" for node in network._graph.nodes) else "none"
        shares[kind] += weight
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["piecewise"] > 0.7
    outputs = [network.forward(model.preprocessor_.transform(x)) for network in model.networks_]
    mean = np.average(outputs, axis=0, weights=model.weights_)
    assert model.predict(x) == pytest.approx(model._in_units(mean.astype(float))[:, 0], abs=1e-6)


def test_predictions_that_do_not_help_have_no_weight(rng):
    truth = rng.standard_normal(100)
    noise = rng.standard_normal((3, 100))
    weights = greedy_weights(
        [truth + noise[0], truth + noise[1], 9 * noise[2]], lambda mean: float(np.mean((mean - truth) ** 2))
    )
    assert weights.sum() == pytest.approx(1) and weights[2] == 0
    assert 0.3 < weights[0] < 0.7


@pytest.mark.parametrize(("n_folds", "n_train"), [(1, 80_000), (4, 75_000)])
def test_of_many_rows_few_validate(n_folds, n_train):
    rows, held = next(splits(100_000, None, None, n_folds=n_folds, fraction=0.5, seed=0))
    assert (len(rows), len(held)) == (n_train, 20_000)
    assert not set(rows) & set(held)


def test_folds():
    model = fn.TabularRegressor(**QUICK, n_folds=3, n_epochs=3).fit(X, VALUES)
    assert len(model.networks_) == len(model.history_) == 3
    outputs = [network.forward(model.preprocessor_.transform(X)) for network in model.networks_]
    assert model.predict(X) == pytest.approx(model._in_units(np.mean(outputs, axis=0).astype(float))[:, 0])


def test_folds_train_side_by_side_and_have_the_same_bits(monkeypatch):
    one_by_one = fn.TabularClassifier(**QUICK, n_folds=4, n_epochs=2, n_threads=1).fit(X, LABELS)
    together, train = threading.Barrier(2, timeout=60), _folds.train

    def meeting(*arguments, **options):
        together.wait()
        return train(*arguments, **options)

    monkeypatch.setattr(_folds, "thread_limit", lambda n_threads: n_threads)
    monkeypatch.setattr(_folds, "train", meeting)
    model = fn.TabularClassifier(**QUICK, n_folds=4, n_epochs=2, n_threads=2).fit(X, LABELS)
    assert np.array_equal(model.predict_proba(X), one_by_one.predict_proba(X))


def test_an_error_in_one_fold_ends_the_others(monkeypatch):
    monkeypatch.setattr(_folds, "thread_limit", lambda n_threads: n_threads)

    class Failing(fn.Callback):
        def __init__(self, desc):
            self.fails = desc == "network 2"

        def on_epoch_end(self, session):
            if self.fails:
                raise KeyboardInterrupt

    monkeypatch.setattr(_folds, "ProgressBar", Failing)
    with pytest.raises(KeyboardInterrupt):
        fn.TabularClassifier(**QUICK, n_folds=4, n_epochs=10**6, n_threads=2, verbose=True).fit(X, LABELS)


def test_given_validation_rows_leave_the_number_of_members():
    model = fn.TabularRegressor(n_members=2, n_folds=3, n_epochs=1)
    model.fit(X[:200], VALUES[:200], X_val=X[200:], y_val=VALUES[200:])
    assert {network.n_members for network in model.networks_} == {6}


@pytest.mark.parametrize("given", [True, False])
def test_fewer_folds_are_fewer_networks_or_members(given, monkeypatch):
    few = {"default": {0: {"n_members": 1}, 100: {"n_trained_folds": 3}}}
    monkeypatch.setattr(_choices, "ABOVE_ROWS", few)
    validation = {"X_val": X[200:], "y_val": VALUES[200:]} if given else {}
    model = fn.TabularRegressor(n_epochs=1, numeric_embedding="none", random_state=0).fit(X[:200], VALUES[:200], **validation)
    assert [network.n_members for network in model.networks_] == ([3] if given else [1, 1, 1])


def test_weighing_outputs_takes_little_memory(rng):
    """No more than the outputs: with 1,000 classes, it is memory that takes time."""
    y = rng.integers(0, 100, 4000)
    outputs = rng.random((2, 2, 4000, 100), dtype=np.float32)
    held = _folds.Rows(np.zeros((4000, 1), np.float32), y)
    folds = [
        _folds.Fold(kind, part, None, None, held, outputs[kind, part]) for kind, part in itertools.product(range(2), range(2))
    ]
    task = SimpleNamespace(smooth_badness=lambda rows, mean: -float(mean[np.arange(len(rows)), rows.y].mean()))
    tracemalloc.start()
    mixture = Mixture.of(task, folds)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    shares = [mixture.weights[[fold.kind == kind for fold in mixture.folds]].sum() for kind in range(2)]
    expected = np.concatenate(np.average(outputs, axis=0, weights=shares))
    np.testing.assert_allclose(mixture.outputs, expected, rtol=1e-6)
    assert peak < 1.5 * outputs.nbytes


class TestShareOfValidationRows:
    @pytest.mark.parametrize(
        ("options", "given", "message"),
        [
            ({}, False, "validation_fraction=0.1 has no effect with 8 folds, each of which is validated on once: set n_folds=1"),
            ({"n_folds": 2}, False, "no effect with 2 folds"),
            ({}, True, "validation_fraction=0.1 has no effect beside X_val: leave it out"),
        ],
    )
    def test_a_warning_where_it_has_no_effect(self, options, given, message):
        held = {"X_val": X[:30], "y_val": VALUES[:30]} if given else {}
        with pytest.warns(UserWarning, match=message) as caught:
            fn.TabularRegressor(**QUICK, n_epochs=1, validation_fraction=0.1, **options).fit(X, VALUES, **held)
        assert caught[0].filename == __file__

    @pytest.mark.parametrize("options", [{"n_folds": 1}, {"validation_fraction": 0.0}, {"validation_fraction": 0.2}])
    def test_no_warning(self, options):
        with warnings.catch_warnings(action="error"):
            fn.TabularRegressor(**{**QUICK, "n_epochs": 1, "validation_fraction": 0.1, **options}).fit(X, VALUES)
            blocks = fn.data.from_arrays(X[["x"]], VALUES)
            fn.TabularRegressor(**QUICK, n_epochs=1, validation_fraction=0.1).fit(blocks)

    @pytest.mark.parametrize("data", ["rows", "groups", "blocks"])
    def test_none_left_to_train_on(self, data):
        model = fn.TabularRegressor(**QUICK, n_folds=1, validation_fraction=0.999)
        what = "30 groups" if data == "groups" else "300 rows"
        message = f"validation_fraction=0.999 leaves none of the {what} to train on: set a smaller one, such as 0.2"
        with pytest.raises(ValueError, match=message):
            if data == "blocks":
                model.fit(fn.data.from_arrays(X[["x"]], VALUES))
            else:
                model.fit(X, VALUES, groups=np.repeat(np.arange(30), 10) if data == "groups" else None)

    @pytest.mark.parametrize("fraction", [0.1, 0.9])
    def test_of_many_classes_not_all_are_on_both_sides(self, fraction):
        rows, held = next(splits(200, np.repeat(np.arange(40), 5), None, n_folds=1, fraction=fraction, seed=0))
        assert len(held) == 200 * fraction and len(rows) + len(held) == 200

    def test_no_group_to_hold_of_one(self):
        groups = np.repeat([0, 1], 150)
        rows, held = next(splits(300, None, groups, n_folds=1, fraction=0.001, seed=0))
        assert len(rows) == len(held) == 150
