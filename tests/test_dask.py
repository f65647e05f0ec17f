"""Estimators on Dask: what they give does not depend on partitions, workers or lost workers, and nothing waits for ever."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnet as fn

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
da = pytest.importorskip("dask.array")
base = pytest.importorskip("sklearn.base")

from fastnet._rounds import Model, average, deal  # noqa: E402
from fastnet.dask import (  # noqa: E402
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularRegressor,
    WorkerError,
    _tabular,  # noqa: E402
)
from fastnet.dask._engine import Engine  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:Port 8787 is already in use"),
    pytest.mark.filterwarnings("ignore:A shard makes"),
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
    pytest.mark.filterwarnings("ignore:lbfgs failed to converge"),
]

cloudpickle.register_pickle_by_value(sys.modules[__name__])

PATIENCE = 120
OPTIONS = {"n_shards": 3, "max_iter": 3, "batch_size": 20, "learning_rate_init": 0.02, "random_state": 0}


def arrays(m=600, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, 5))
    return X, np.array(["left", "middle", "right"])[X[:, :3].argmax(axis=1)], rng.random(m)


def classifier(**options):
    return MLPClassifier((8,), **OPTIONS | options)


def parameters(model):
    return np.concatenate([array.ravel() for array in (*model.coefs_, *model.intercepts_)])


def divided(array, sizes):
    return da.from_array(array, chunks=(tuple(sizes), *array.shape[1:]))


def fitted(model, X, y, *weight, sizes=(200, 200, 200)):
    return model.fit(*(divided(array, sizes) for array in (X, y, *weight)))


TABULAR = {"n_members": 2, "hidden_layer_sizes": 8, "numeric_embedding": "none", "n_epochs": 3, "batch_size": 20}


def table(m=300):
    """A data frame of numbers, text, dates and missing values, with a class and a value that depend on them."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    x, town = rng.standard_normal(m), rng.integers(0, 12, m)
    value = 3 * x + town
    return pandas.DataFrame({
        "x": np.where(rng.random(m) < 0.1, np.nan, x),
        "town": [None if number % 7 == 3 else f"town {town}" for number, town in enumerate(town)],
        "day": pandas.date_range("2024-01-01", periods=m, freq="7h"),
        "late": [None] * (m // 2) + ["early", "late"] * (m // 4),
        "class": np.where(value > 6, "dear", "cheap").astype(object),
        "value": value,
    })  # fmt: skip


COLUMNS = ["x", "town", "day", "late"]


def in_frames(frame, sizes):
    """The rows in partitions of these sizes."""
    frames = pytest.importorskip("dask.dataframe")
    ends = np.cumsum([0, *sizes])
    parts = [dask.delayed(frame[start:end]) for start, end in zip(ends[:-1], ends[1:], strict=True)]
    return frames.from_delayed(parts, meta=frame[:0])


def of_table(frame, sizes=(100, 100, 100), estimator=TabularClassifier, target="class", **options):
    """A small estimator, trained on a table."""
    model = estimator(**{"n_shards": 3, "random_state": 0} | TABULAR | options)
    return model.fit(in_frames(frame[[*dict.fromkeys([*COLUMNS, target])]], sizes), target)


def of_networks(model):
    return np.concatenate([network.params for network in model.networks_])


def soon(function, *args, **kwargs):
    """The function's result, which is not waited for for ever."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *args, **kwargs).result(PATIENCE)
    finally:
        pool.shutdown(wait=False)


@pytest.fixture(scope="module")
def expected():
    return parameters(fitted(classifier(), *arrays()[:2]))


class TestDealing:
    @pytest.mark.parametrize("n_shards", [1, 3, 4, 5])
    def test_partitions_do_not_matter_and_shares_are_fair(self, n_shards):
        whole = deal(0, 97, n_shards, 7)
        for ends in ([0, 97], [0, 1, 2, 2, 50, 97], range(98)):
            parts = [deal(start, stop, n_shards, 7) for start, stop in zip(ends[:-1], ends[1:], strict=True)]
            np.testing.assert_array_equal(np.concatenate(parts), whole)
        for start in range(0, 97 - n_shards, n_shards):
            assert sorted(whole[start : start + n_shards]) == list(range(n_shards))
        assert n_shards == 1 or not np.array_equal(whole, deal(0, 97, n_shards, 8))


class TestAveraging:
    def test_it_is_weighted_by_rows(self):
        start = Model(np.zeros(2), (np.zeros(2),))
        one = start._replace(params=np.array([1.0, 2.0]), state=(np.array([0.0, 4.0]),), rows=30, losses=(3.0, 1.0))
        two = start._replace(params=np.array([5.0, 2.0]), state=(np.array([8.0, 4.0]),), rows=10, losses=(1.0, 1.0))
        mean = average([one, start, two])
        np.testing.assert_array_equal(mean.params, [2, 2])
        np.testing.assert_array_equal(mean.state[0], [2, 4])
        assert (mean.rows, mean.losses) == (40, (4.0, 2.0))

    def test_it_counts_the_rounds_before(self):
        start = Model(np.zeros(2), (), before=(40, (4.0, 2.0)))
        trained = start._replace(params=np.ones(2), rows=10, losses=(1.0, 1.0))
        for models, rows, losses in [([trained, start], 50, (5.0, 3.0)), ([start, start], 40, (4.0, 2.0))]:
            mean = average(models)
            assert (mean.rows, mean.losses) == (rows, losses)

    def test_levels_must_agree(self):
        start = Model(np.zeros(2), ())
        models = [start._replace(level=level, rows=1) for level in ("v3", "v4")]
        with pytest.raises(ValueError, match="v3 and v4.*FASTNET_CPU"):
            average(models)

    def test_one_shard_in_sequence_is_one_machine(self):
        X, y, w = arrays()
        options = {"shuffle": False, "n_shards": 1, "alpha": 0.01}
        model = fitted(classifier(**options), X, y, w, sizes=(200, 7, 0, 393))
        local = fn.MLPClassifier((8,), **{k: v for k, v in (OPTIONS | options).items() if k != "n_shards"}).fit(X, y, w)
        np.testing.assert_array_equal(parameters(model), parameters(local))
        np.testing.assert_allclose(model.loss_curve_, local.loss_curve_, rtol=1e-12)
        assert model.t_ == local.t_

    @pytest.mark.parametrize("rate", [0.002, 0.02])
    def test_accuracy_is_that_of_one_machine(self, rate):
        """With the learning rate of one machine, whether it is low or high."""
        X, y, _ = arrays(4000)
        X_test, y_test, _ = arrays(2000, seed=1)
        model = fitted(classifier(n_shards=4, max_iter=10, learning_rate_init=rate), X, y, sizes=(1000,) * 4)
        local = fn.MLPClassifier((8,), batch_size=20, max_iter=10, learning_rate_init=rate, random_state=0).fit(X, y)
        assert model.score(X_test, y_test) > local.score(X_test, y_test) - 0.01


class TestData:
    @pytest.mark.parametrize("sizes", [(600,), (590, 7, 0, 3), (0, 100, 500)])
    def test_partitions_do_not_matter(self, sizes, expected):
        np.testing.assert_array_equal(parameters(fitted(classifier(), *arrays()[:2], sizes=sizes)), expected)

    def test_delayed_partitions(self, expected):
        X, y, _ = arrays()
        rows = [slice(0, 10), slice(10, 10), slice(10, 600)]
        parts = [[dask.delayed(array[part]) for part in rows] for array in (X, y)]
        model = classifier().fit(*parts)
        np.testing.assert_array_equal(parameters(model), expected)
        np.testing.assert_array_equal(model.predict(parts[0]).compute(), model.predict(X))
        assert model.score(*parts) == model.score(X, y)

    def test_data_frames(self, expected):
        pandas = pytest.importorskip("pandas")
        frames = pytest.importorskip("dask.dataframe")
        X, y, w = arrays()
        frame = pandas.DataFrame(X, columns=list("abcde"))
        dX = frames.from_pandas(frame.assign(y=y, w=w), npartitions=4)
        model = classifier().fit(dX[list("abcde")], dX["y"])
        np.testing.assert_array_equal(parameters(model), expected)
        assert list(model.feature_names_in_) == list("abcde")
        p = model.predict_proba(dX[list("abcde")])
        assert p.shape[1] == 3
        np.testing.assert_array_equal(p.compute(), model.predict_proba(frame))

    def test_sources_that_are_drawn_anew_stay_in_step(self):
        draws = []

        def draw():
            draws.append(None)
            X = np.random.default_rng().standard_normal((300, 5))
            return X, X[:, 0] > 0

        pairs = [dask.delayed(draw, pure=False)() for _ in range(2)]
        model = classifier(n_shards=2, max_iter=10).fit([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        X, y = draw()
        assert len(draws) == 3 and model.score(X, y) > 0.9

    def test_sorted_labels_and_a_class_in_one_partition(self):
        X, y, _ = arrays()
        order = np.argsort(y)
        model = fitted(classifier(max_iter=10), X[order], y[order])
        assert list(model.classes_) == ["left", "middle", "right"]
        assert model.score(X, y) > 0.9

    def test_weights(self):
        X, y, w = arrays()
        w[y == "left"] = 0
        model = fitted(classifier(max_iter=10), X, y, w)
        assert "left" not in model.predict(X)
        balanced = fitted(classifier(class_weight="balanced"), X, y)
        counts = {label: 600 / (3 * count) for label, count in zip(*np.unique(y, return_counts=True), strict=True)}
        np.testing.assert_array_equal(parameters(balanced), parameters(fitted(classifier(class_weight=counts), X, y)))

    def test_regression_and_sparse_rows(self):
        sparse = pytest.importorskip("scipy.sparse")
        X, _, _ = arrays()
        Y = np.column_stack([X[:, 0] - X[:, 1], X[:, 2]])
        model = MLPRegressor(hidden_layer_sizes=(8,), **OPTIONS | {"max_iter": 20})
        dense = base.clone(model).fit(divided(X, (300, 300)), divided(Y, (300, 300)))
        assert dense.score(X, Y) > 0.9
        assert dense.score(divided(X, (300, 300)), divided(Y, (300, 300))) == pytest.approx(dense.score(X, Y))
        assert dense.predict(divided(X, (300, 300))).shape == (600, 2)
        parts = [dask.delayed(sparse.csr_matrix(part)) for part in np.split(X, [250, 250])]
        of_sparse = base.clone(model).fit(parts, [dask.delayed(part) for part in np.split(Y, [250, 250])])
        np.testing.assert_allclose(parameters(of_sparse), parameters(dense), rtol=1e-9, atol=1e-12)

    def test_validation_data_and_float32(self):
        X, y, _ = arrays()
        X_val, y_val, _ = arrays(100, seed=1)
        X = X.astype(np.float32)
        model = classifier(early_stopping=True)
        model.fit(*(divided(a, (300, 300)) for a in (X, y)), X_val=divided(X_val, (0, 100)), y_val=divided(y_val, (0, 100)))
        assert len(model.validation_scores_) == 3
        assert model.best_validation_score_ == model.score(X_val, y_val)
        p = model.predict_proba(divided(X, (300, 300)))
        assert p.dtype == p.compute().dtype == np.float32

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            ({"y": np.arange(5)}, {}, "partitions of X"),
            ({"X": np.full((600, 5), np.nan)}, {}, "contains NaN"),
            ({"w": np.zeros(600)}, {}, "at least one non-zero"),
            ({"w": np.full(600, -1.0)}, {}, "must not be negative"),
            ({}, {"early_stopping": True}, "give X_val and y_val"),
            ({}, {"n_shards": 0}, "n_shards"),
            ({}, {"rounds_per_epoch": 0}, "rounds_per_epoch"),
            ({"X": np.empty((0, 5)), "y": np.empty(0), "w": np.empty(0)}, {}, "no rows"),
        ],
    )
    def test_errors(self, change, options, message):
        given = dict(zip("Xyw", arrays(), strict=True)) | change
        chunks = {name: da.from_array(array, chunks=(200, *array.shape[1:])) for name, array in given.items()}
        with pytest.raises(ValueError, match=message):
            classifier(**options).fit(chunks["X"], chunks["y"], chunks["w"])

    def test_partitions_of_other_lengths(self):
        parts = [[dask.delayed(np.ones((3, 2)))], [dask.delayed(np.ones(4))]]
        with pytest.raises(ValueError, match="Partition 0 has 3 rows of X, 4 of y"):
            classifier().fit(*parts)

    def test_few_updates_between_exchanges(self):
        with pytest.warns(UserWarning, match="A shard makes 1.25 updates between two exchanges"):
            fitted(classifier(), *arrays()[:2])

    def test_divergence(self):
        X, y, _ = arrays()
        model = MLPRegressor(hidden_layer_sizes=(8,), **OPTIONS | {"solver": "sgd", "learning_rate_init": 1e10})
        with pytest.raises(ValueError, match="diverged in epoch 1, batch"):
            fitted(model, X, X.sum(axis=1))
        assert not hasattr(model, "coefs_")


class TestLBFGS:
    """Sums over shards give what one machine gives."""

    OPTIONS = {"solver": "lbfgs", "max_iter": 15, "alpha": 0.1, "random_state": 0}

    @pytest.mark.parametrize("weighted", [False, True])
    def test_it_is_that_of_one_machine(self, weighted):
        X, y, w = arrays()
        w[:300] *= y[:300] == "left"
        weights = (w,) if weighted else ()
        balanced = {"class_weight": "balanced"} if not weighted else {}
        local = fn.MLPClassifier((8,), **self.OPTIONS | balanced).fit(X, y, *weights)
        for sizes in ((200, 200, 200), (0, 590, 10)):
            model = MLPClassifier((8,), n_shards=3, **self.OPTIONS | balanced)
            fitted(model, X, y, *weights, sizes=sizes)
            np.testing.assert_allclose(parameters(model), parameters(local), rtol=1e-6, atol=1e-6)
            assert (model.n_iter_, model.loss_) == (local.n_iter_, pytest.approx(local.loss_, rel=1e-9))

    def test_partitions_change_no_bit(self):
        X, y, _ = arrays()
        models = [fitted(MLPClassifier((8,), **self.OPTIONS), X, y, sizes=sizes) for sizes in ((600,), (7, 0, 593))]
        np.testing.assert_array_equal(*map(parameters, models))

    def test_float32_and_regression(self):
        X, _, _ = arrays()
        X, y = X.astype(np.float32), X[:, 0] - X[:, 1]
        local = fn.MLPRegressor(hidden_layer_sizes=(8,), **self.OPTIONS).fit(X, y)
        model = fitted(MLPRegressor(hidden_layer_sizes=(8,), **self.OPTIONS), X, y)
        assert model.coefs_[0].dtype == np.float32
        np.testing.assert_allclose(parameters(model), parameters(local), rtol=1e-6, atol=1e-6)

    def test_shards_without_weight_do_not_count(self):
        X, y, _ = arrays(6)
        w = np.array([1.0, 0, 0, 0, 0, 2.0])
        local = fn.MLPRegressor(hidden_layer_sizes=(2,), **self.OPTIONS).fit(X, X[:, 0], w)
        model = fitted(MLPRegressor(hidden_layer_sizes=(2,), n_shards=6, **self.OPTIONS), X, X[:, 0], w, sizes=(3, 3))
        np.testing.assert_allclose(parameters(model), parameters(local), rtol=1e-6, atol=1e-6)


class TestEstimator:
    def test_parameters(self):
        model = MLPClassifier((4,), alpha=0.1, n_shards=2)
        assert model.get_params().keys() == fn.MLPClassifier().get_params().keys() | {"client", "n_shards", "rounds_per_epoch"}
        copy = base.clone(model.set_params(rounds_per_epoch=2))
        assert (copy.hidden_layer_sizes, copy.alpha, copy.n_shards, copy.rounds_per_epoch) == ((4,), 0.1, 2, 2)
        with pytest.raises(TypeError):
            MLPClassifier(nonsense=1)

    def test_to_local_shares_nothing(self):
        X, y, _ = arrays()
        model = fitted(classifier(), X, y)
        local = model.to_local()
        assert type(local) is fn.MLPClassifier
        np.testing.assert_array_equal(local.predict(X), model.predict(X))
        before = parameters(local)
        model.coefs_[0][:] = 0
        np.testing.assert_array_equal(parameters(local), before)
        np.testing.assert_array_equal(parameters(pickle.loads(pickle.dumps(model))), parameters(model))

    def test_arrays_are_trained_here(self):
        X, y, _ = arrays()
        own = {name: value for name, value in OPTIONS.items() if name != "n_shards"}
        np.testing.assert_array_equal(parameters(classifier().fit(X, y)), parameters(fn.MLPClassifier((8,), **own).fit(X, y)))

    def test_checkpoints_continue(self, tmp_path):
        pytest.importorskip("safetensors")
        from fastnet import checkpoint

        X, y, _ = arrays()
        whole = fitted(classifier(), X, y)
        fitted(classifier(max_iter=2, callbacks=[fn.Checkpoint(tmp_path)]), X, y)
        assert checkpoint.latest(tmp_path) is not None
        continued = fitted(classifier(max_iter=2), X, y)
        fitted(continued.set_params(warm_start=True, max_iter=1), X, y)
        assert len(continued.loss_curve_) == len(whole.loss_curve_)


class TestTables:
    @pytest.mark.parametrize("sizes", [(300,), (1, 0, 199, 0, 100)])
    def test_partitions_do_not_matter(self, sizes):
        frame = table()
        expected, model = of_table(frame), of_table(frame, sizes)
        assert model.summary() == expected.summary()
        np.testing.assert_array_equal(of_networks(model), of_networks(expected))
        whole = fn.TabularPreprocessor().fit(frame[COLUMNS])
        assert model.preprocessor_.summary() == whole.summary()
        assert model.target_names_ == ["class"]
        assert list(model.feature_names_in_) == COLUMNS

    def test_classes(self):
        """Sorted, and one of them in one partition alone."""
        frame = table().sort_values("class", ignore_index=True)
        frame.loc[290:, "class"] = "priceless"
        frame.loc[290:, "x"] = 9.0
        model = of_table(frame, n_epochs=40)
        X = in_frames(frame[COLUMNS], (150, 0, 150))
        assert list(model.classes_) == ["cheap", "dear", "priceless"]
        assert model.score(frame[COLUMNS], frame["class"]) > 0.9
        assert model.score(X, in_frames(frame, (150, 0, 150))["class"]) == model.score(frame[COLUMNS], frame["class"])
        p = model.predict_proba(X)
        assert p.dtype == np.float64 and p.shape[1] == 3
        np.testing.assert_allclose(p.compute(), model.predict_proba(frame[COLUMNS]), rtol=1e-5)
        assert list(model.predict(X).compute()) == list(model.predict(frame[COLUMNS]))

    def test_values_of_delayed_partitions(self):
        frame = table()
        rows = [slice(0, 10), slice(10, 10), slice(10, 300)]
        X, y = ([dask.delayed(frame[names][part]) for part in rows] for names in (COLUMNS, ["value", "x"]))
        y = [dask.delayed(np.nan_to_num)(part) for part in y]
        model = TabularRegressor(n_shards=2, random_state=0, **TABULAR | {"n_epochs": 40}).fit(X, y)
        assert model.score(frame[COLUMNS], np.nan_to_num(frame[["value", "x"]])) > 0.5
        assert model.predict(X).compute().shape == (300, 2)

    def test_weights_and_validation_rows(self):
        frame = table()
        X, y = in_frames(frame[COLUMNS], (150, 150)), in_frames(frame[["class"]], (150, 150))["class"]
        w = (y == "cheap").astype(float)
        model = TabularClassifier(n_shards=3, random_state=0, **TABULAR).fit(X, y, w)
        assert set(model.predict(frame[COLUMNS])) == {"cheap"}
        model = TabularClassifier(n_shards=3, random_state=0, metric="log_loss", **TABULAR).fit(X, y, X_val=X, y_val=y)
        p = model._outputs(frame[COLUMNS])[np.arange(300), (frame["class"] == "dear").astype(int)]
        assert model.validation_score_ == pytest.approx(np.log(p).mean(), rel=1e-5)
        assert np.isnan(of_table(frame[:20], (12, 8)).validation_score_)

    def test_to_local_shares_nothing(self):
        frame = table()
        model = of_table(frame)
        local = model.to_local()
        assert type(local) is fn.TabularClassifier
        expected = model.predict_proba(frame[COLUMNS])
        model.networks_[0].params[:] = 0
        np.testing.assert_array_equal(local.predict_proba(frame[COLUMNS]), expected)
        assert base.clone(model).get_params() == model.get_params()

    def test_tables_in_memory_are_trained_here(self):
        frame = table()
        given = frame[COLUMNS], frame["class"]
        model, local = (make(random_state=0, **TABULAR).fit(*given) for make in (TabularClassifier, fn.TabularClassifier))
        np.testing.assert_array_equal(of_networks(model), of_networks(local))

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            ({"x": [1.0] * 200 + [np.nan] * 100}, {"estimator": TabularRegressor, "target": "x"}, "partition 1: .* NaN"),
            ({"class": "one"}, {}, "at least two classes in y, got one class"),
            ({}, {"time_limit": 9.0}, "time_limit is not kept on Dask"),
            ({}, {"sizes": (0, 0)}, "The partitions have no rows"),
            ({}, {"n_shards": 0}, "n_shards"),
        ],
    )
    def test_errors(self, change, options, message):
        with pytest.raises(ValueError, match=message):
            of_table(table().assign(**change), **{"sizes": (150, 150), **options})

    def test_groups_are_refused(self):
        with pytest.raises(ValueError, match="groups= needs all rows in memory"):
            TabularClassifier().fit(in_frames(table(), (300,)), "class", groups=np.ones(300))


class Rate:
    """A learning rate that writes down which process asks for which update, and does something in a process of Dask's once."""

    def __init__(self, folder, at=None, forever=False):
        self.folder, self.at, self.forever, self.client = str(folder), at, forever, os.getpid()

    def __call__(self, step):
        if os.getpid() != self.client:
            with open(f"{self.folder}/log", "a") as log:
                log.write(f"{os.getpid()} {step}\n")
            marker = f"{self.folder}/killed"
            if step == self.at and (self.forever or not os.path.exists(marker)):
                with open(marker, "w") as file:
                    file.write(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
        return 0.02

    def asked(self):
        with open(f"{self.folder}/log") as log:
            return [tuple(map(int, line.split())) for line in log]


@pytest.fixture(scope="module")
def processes():
    """A cluster of three processes, which is made smaller from test to test, as starting one takes seconds."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def with_workers(client, n):
    """The client, when its cluster has n workers."""
    client.cluster.scale(n)
    deadline = time.monotonic() + PATIENCE
    while len(client.nthreads()) != n:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return client


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="workers are killed by a signal")
class TestProcesses:
    @pytest.mark.parametrize("n", [3, 2])
    def test_the_number_of_workers_does_not_matter(self, n, processes, expected):
        client = with_workers(processes, n)
        model = soon(fitted, classifier(client=client), *arrays()[:2])
        np.testing.assert_array_equal(parameters(model), expected)
        of_workers, here = soon(of_table, table(), client=client), of_table(table())
        np.testing.assert_array_equal(of_networks(of_workers), of_networks(here))

    def test_a_worker_that_is_killed_between_epochs_changes_nothing(self, processes, monkeypatch):
        client = with_workers(processes, 2)
        train, killed = _tabular.train, []

        class Kill(fn.Callback):
            def on_epoch_end(self, session):
                if not killed:
                    killed.append(next(iter(client.run(os.getpid).values())))
                    os.kill(killed[0], signal.SIGKILL)

        def with_kill(session, *, callbacks, **options):
            return train(session, callbacks=[*callbacks, Kill()], **options)

        here = of_table(table())
        monkeypatch.setattr(_tabular, "train", with_kill)
        model = soon(of_table, table(), client=client)
        np.testing.assert_array_equal(of_networks(model), of_networks(here))
        assert killed and killed[0] not in client.run(os.getpid).values()

    def test_a_killed_worker_changes_nothing(self, processes, tmp_path):
        X, y, _ = arrays()
        rate = Rate(tmp_path, at=15)
        model = soon(fitted, classifier(client=with_workers(processes, 2), learning_rate=rate), X, y)
        np.testing.assert_array_equal(parameters(model), parameters(fitted(classifier(learning_rate=lambda step: 0.02), X, y)))
        killed = int((tmp_path / "killed").read_text())
        of_killed = [step for pid, step in rate.asked() if pid == killed]
        of_others = [step for pid, step in rate.asked() if pid != killed]
        assert of_killed[-1] == 15
        assert of_others.count(15) == OPTIONS["n_shards"], "the work that was cut off was not done again"

    def test_one_worker_is_enough(self, processes, expected):
        model = soon(fitted, classifier(client=with_workers(processes, 1)), *arrays()[:2])
        np.testing.assert_array_equal(parameters(model), expected)

    def test_work_that_kills_every_worker_ends_with_an_error(self, processes, tmp_path):
        model = classifier(client=with_workers(processes, 1), learning_rate=Rate(tmp_path, at=15, forever=True))
        with pytest.raises(WorkerError, match=r"fastnet epoch 2 round 5 shard \d.*allowed-failures"):
            soon(fitted, model, *arrays()[:2])
        assert not hasattr(model, "coefs_")


@pytest.fixture
def client():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


class TestClient:
    def test_fits_at_once(self, client, expected):
        X, y, _ = arrays()
        with ThreadPoolExecutor(3) as pool:
            fits = [pool.submit(fitted, classifier(client=client, random_state=seed), X, y) for seed in (0, 1, 0)]
            models = [fit.result(PATIENCE) for fit in fits]
        np.testing.assert_array_equal(parameters(models[0]), expected)
        np.testing.assert_array_equal(parameters(models[2]), expected)
        assert not np.array_equal(parameters(models[1]), expected)

    def test_a_cluster_that_loses_all_workers(self, client, monkeypatch):
        class Leave(fn.Callback):
            def on_epoch_end(self, session):
                monkeypatch.setattr("fastnet.dask._engine.PATIENCE", 0.5)
                with_workers(client, 0)

        with pytest.raises(WorkerError, match="All workers were lost, and none has come back in 0.5 seconds"):
            soon(fitted, classifier(client=client, callbacks=[Leave()]), *arrays()[:2])
        with pytest.raises(WorkerError, match="The cluster has no workers, after 0.5 seconds"):
            soon(fitted, classifier(client=client), *arrays()[:2])

    @pytest.mark.parametrize("error", [None, TimeoutError("the task's own")])
    def test_what_ends_while_it_is_looked_at_is_not_late(self, error):
        class Future:
            over = False

            def done(self):
                return self.over

            def exception(self, timeout):
                self.over = True
                raise TimeoutError(f"timed out after {timeout} s")

            def result(self):
                if error:
                    raise error
                return 7

        class Client:
            def wait_for_workers(self, n, timeout):
                pass

            def compute(self, value):
                return Future()

            def nthreads(self):
                return {"worker": 1}

        engine = Engine(Client())
        if error is None:
            assert engine.compute(None) == 7
        else:
            with pytest.raises(TimeoutError, match="the task's own"):
                engine.compute(None)

    def test_errors_of_workers_keep_their_type(self, client):
        X, y, _ = arrays()
        X[590] = np.inf
        with pytest.raises(ValueError, match="contains infinity"):
            soon(fitted, classifier(client=client), X, y)

    def test_clients_are_not_copied(self, client):
        model = classifier(client=client)
        assert base.clone(model).client is client
        assert pickle.loads(pickle.dumps(model)).client is None
