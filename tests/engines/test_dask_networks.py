"""Networks on Dask: what they give does not depend on partitions, and is right whatever these hold."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from dask_models import (
    EXPECTED_WARNINGS,
    OPTIONS,
    arrays,
    base,
    classifier,
    da,
    dask,
    divided,
    fitted,
    parameters,
)
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError

import fastnet as fn
from fastnet._rounds import Model, average, deal
from fastnet.dask import MLPClassifier, MLPRegressor, TabularClassifier

pytestmark = EXPECTED_WARNINGS


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

    @pytest.mark.parametrize("dtype", ["Float64", "Float32", "float32", "double[pyarrow]", "object"])
    def test_types_of_columns(self, dtype):
        pandas = pytest.importorskip("pandas")
        frames = pytest.importorskip("dask.dataframe")
        pytest.importorskip("pyarrow")
        X, y, _ = arrays()
        frame = pandas.DataFrame(X, columns=list("abcde")).astype(dtype)
        dX = frames.from_pandas(frame, npartitions=3)
        left = frames.from_pandas(pandas.Series(y == "left").astype("boolean"), npartitions=3)
        model = classifier().fit(dX, left)
        p = model.predict_proba(dX)
        assert p.dtype == p.compute().dtype
        np.testing.assert_array_equal(p.compute(), model.predict_proba(frame))
        assert model.score(dX, left) == model.score(frame, y == "left")

    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("form", ["array", "frame", "sparse"])
    def test_the_dtype_is_that_of_all_partitions(self, form, first):
        X, y, _ = arrays()
        of_form = {"array": np.asarray, "frame": pytest.importorskip("pandas").DataFrame, "sparse": csr_matrix}[form]
        parts = [of_form(part.astype(np.float32 if n == first else np.float64)) for n, part in enumerate(np.split(X, 2))]
        model = classifier(max_iter=1).fit([dask.delayed(part) for part in parts], np.split(y, 2))
        assert parameters(model).dtype == np.float64

    def test_one_delayed_partition(self, expected):
        X, y, _ = arrays()
        dX, dy = dask.delayed(X), dask.delayed(y)
        model = classifier().fit(dX, dy)
        np.testing.assert_array_equal(parameters(model), expected)
        np.testing.assert_array_equal(parameters(classifier().fit(dX, da.from_array(y))), expected)
        np.testing.assert_array_equal(parameters(classifier().fit(dask.delayed(X.tolist()), dask.delayed(y.tolist()))), expected)
        np.testing.assert_array_equal(model.predict(dX).compute(), model.predict(X))
        assert model.score(dask.delayed(X.tolist()), dask.delayed(y.tolist())) == model.score(X, y)

    def test_targets_and_weights_in_memory(self, expected):
        X, y, w = arrays()
        dX = divided(X, (200, 0, 400))
        for given in (y, y.tolist()):
            np.testing.assert_array_equal(parameters(classifier().fit(dX, given)), expected)
        model = classifier().fit(dX, y, w)
        np.testing.assert_array_equal(parameters(model), parameters(fitted(classifier(), X, y, w)))
        assert model.score(dX, y, w) == pytest.approx(model.score(X, y, w))

    def test_partitions_of_targets_and_weights_in_memory(self):
        X, y, w = arrays()
        ends = [200, 200]
        expected = parameters(fitted(classifier(), X, y, w))
        of_y, of_w = np.split(y, ends), np.split(w, ends)
        for dX in (divided(X, (200, 0, 400)), [dask.delayed(part) for part in np.split(X, ends)]):
            model = classifier().fit(dX, of_y, tuple(of_w))
            np.testing.assert_array_equal(parameters(model), expected)
            assert model.score(dX, of_y, of_w) == pytest.approx(model.score(X, y, w))

    def test_one_column_is_a_vector(self):
        X, y, w = arrays()
        columns = [divided(array.reshape(600, 1), (200, 400)) for array in (y, w)]
        model = classifier().fit(divided(X, (200, 400)), *columns)
        assert model.score(divided(X, (200, 400)), *columns) == pytest.approx(model.score(X, y, w))

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
        model = fitted(classifier(max_iter=1, rounds_per_epoch=1, batch_size=4), X[order], y[order])
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

    @pytest.mark.parametrize("mark", [1, 255])
    def test_balanced_sets_of_labels(self, mark):
        X, _, _ = arrays()
        y = (X[:, :3] > [0.5, 2.0, 9.0]) * mark
        n = np.count_nonzero(y, axis=0)
        counts = [{0: 600 / (2 * (600 - n[0])), 1: 300 / n[0]}, {0: 600 / (2 * (600 - n[1])), 1: 300 / n[1]}, {0: 1.0}]
        balanced, weighted = (fitted(classifier(class_weight=weight, n_shards=40), X, y) for weight in ("balanced", counts))
        np.testing.assert_array_equal(parameters(balanced), parameters(weighted))

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

    @pytest.mark.parametrize("levels", [(0.5,), (0.1, 0.5, 0.9)])
    def test_quantiles(self, levels):
        X, _, w = arrays()
        y = X[:, 0] - X[:, 1]
        dX, dy, dw = (divided(array, (300, 300)) for array in (X, y, w))
        model = MLPRegressor(loss=fn.losses.Quantile(levels), hidden_layer_sizes=(8,), **OPTIONS).fit(dX, dy)
        assert model.score(dX, dy, dw) == pytest.approx(model.score(X, y, w))

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

    @pytest.mark.parametrize(
        ("X", "y", "w", "error", "message"),
        [
            ("parts", "array", None, TypeError, "y must be on Dask as X is, in the same partitions, got ndarray in memory"),
            ("parts", "parts", "array", TypeError, "sample_weight must be on Dask as X is, .* got ndarray in memory"),
            ("chunks", "few", None, ValueError, r"y must have one entry for each of the 600 rows of X, got shape \(5,\)"),
            ("chunks", "name", None, ValueError, r"y must have one entry for each of the 600 rows of X, got shape \(\)"),
            ("nothing", "parts", None, TypeError, "A partition must hold rows, as an array, a data frame or a list, got dict"),
            ("parts", "nothing", None, TypeError, "A partition must hold rows, as an array, a data frame or a list, got dict"),
        ],
    )
    def test_arguments_that_do_not_fit(self, X, y, w, error, message):
        features, targets, _ = arrays()
        forms = {
            "array": lambda values: values,
            "few": lambda values: values[:5],
            "name": lambda values: "delayed",
            "parts": lambda values: [dask.delayed(values)],
            "chunks": lambda values: divided(values, (200, 400)),
            "nothing": lambda values: [dask.delayed({})],
        }
        given = [forms[X](features), forms[y](targets), None if w is None else forms[w](np.ones(600))]
        with pytest.raises(error, match=message):
            classifier().fit(*given)
        if X != "nothing":
            with pytest.raises(error, match=message):
                fitted(classifier(max_iter=1), features, targets).score(*given)

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
    @pytest.mark.parametrize("model", [MLPClassifier(), MLPRegressor(), TabularClassifier()])
    def test_it_must_be_fitted_first(self, model):
        X = da.ones((4, 2))
        with pytest.raises(NotFittedError, match="not fitted yet"):
            model.predict(X)
        with pytest.raises(NotFittedError, match="not fitted yet"):
            model.score(X, X[:, 0])

    def test_clients(self):
        with pytest.raises(TypeError, match="client must be a distributed.Client or None, got 'scheduler:8786'"):
            classifier(client="scheduler:8786").fit(da.ones((4, 2)), da.arange(4))

    @pytest.mark.parametrize("model", [MLPClassifier(), TabularClassifier()])
    def test_files_hold_what_is_local(self, model, tmp_path):
        with pytest.raises(TypeError, match=rf"cannot save a {type(model).__name__} on Dask: .*to_local\(\).save\(path\)"):
            model.save(tmp_path / "model.safetensors")

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

    @pytest.mark.parametrize("kind", ["dense", "sparse"])
    @pytest.mark.parametrize("changed", [None, "X", "y", "sample_weight"])
    def test_a_checkpoint_of_other_rows_is_refused(self, changed, kind, tmp_path):
        pytest.importorskip("safetensors")
        from fastnet import checkpoint

        class Resume(fn.callbacks.Callback):
            def on_train_begin(self, session):
                checkpoint.resume(session, checkpoint.latest(tmp_path))

        X, y, w = arrays()
        of_kind = np.asarray if kind == "dense" else csr_matrix

        def fit(*callbacks, sizes, **options):
            ends = np.cumsum([0, *sizes])
            rows = [slice(*pair) for pair in pairwise(ends)]
            parts = [[dask.delayed(of_part)[part] for part in rows] for of_part in (of_kind(X), y, w)]
            return classifier(callbacks=[*callbacks, fn.Checkpoint(tmp_path)], **options).fit(*parts)

        fit(max_iter=1, sizes=(200, 400))
        if changed is None:
            assert len(fit(Resume(), max_iter=2, sizes=(50, 0, 550), random_state=1).loss_curve_) == 1  # one more
            return
        if changed == "X":
            X[17, 3] += 0.25
        elif changed == "y":
            y[17] = {"left": "right"}.get(y[17], "left")
        else:
            w[17] += 0.25
        with pytest.raises(ValueError, match=r"belongs to another run \(checksum was"):
            fit(Resume(), max_iter=2, sizes=(200, 400))
