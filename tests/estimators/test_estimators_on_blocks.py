"""Estimators on data larger than memory."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastnet as fn

pytest.importorskip("sklearn")

from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from fastnet.estimators import _base  # noqa: E402
from fastnet.estimators._blocks import without_features  # noqa: E402

REGRESSIONS = [{}, {"loss": "quantile"}, {"loss": "poisson"}, {"scale_target": True}]


def arrays(m=230, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((m, 4)).astype(dtype)
    return X, np.array(["a", "b", "c"])[rng.integers(0, 3, m)], rng.random(m)


def blocks(X, y, w=None, sizes=(50, 0, 100, 3, 77)):
    ends = np.cumsum(sizes)

    def read(number):
        rows = slice(ends[number] - sizes[number], ends[number])
        return X[rows], y[rows], None if w is None else w[rows]

    return fn.data.from_batches(read, len(sizes), rows=sizes)


def assert_same(model, other):
    for mine, theirs in zip(model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(model.loss_curve_, other.loss_curve_, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
class TestInSequence:
    """Without shuffling the model is that of arrays, bit for bit."""

    OPTIONS = {"hidden_layer_sizes": 6, "shuffle": False, "max_iter": 4, "random_state": 0, "batch_size": 32}

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("options", [{}, {"class_weight": "balanced"}, {"label_smoothing": 0.1}])
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_classes(self, dtype, options, n_classes):
        X, y, w = arrays(dtype=dtype)
        y = np.where(y == "c", "a", y) if n_classes == 2 else y
        model = fn.MLPClassifier(**self.OPTIONS, **options).fit(blocks(X, y, w))
        other = fn.MLPClassifier(**self.OPTIONS, **options).fit(X, y, sample_weight=w)
        assert_same(model, other)
        assert model.coefs_[0].dtype == dtype
        assert model.classes_.tolist() == other.classes_.tolist()
        np.testing.assert_array_equal(np.concatenate(list(fn.data.predict(model, blocks(X, y)))), other.predict(X))

    @pytest.mark.parametrize("options", REGRESSIONS)
    @pytest.mark.parametrize("n_targets", [1, 2])
    def test_values(self, options, n_targets):
        X, _, w = arrays()
        y = np.exp(X[:, :n_targets]) if n_targets > 1 else np.exp(X[:, 0])
        if options.get("loss") == "quantile":
            options = {"loss": fn.Quantile([0.1, 0.9])}
        model = fn.MLPRegressor(**self.OPTIONS, **options).fit(blocks(X, y, w))
        assert_same(model, fn.MLPRegressor(**self.OPTIONS, **options).fit(X, y, sample_weight=w))

    def test_early_stopping_on_given_rows(self):
        X, y, _ = arrays()
        options = self.OPTIONS | {"early_stopping": True, "max_iter": 30}
        model = fn.MLPClassifier(**options).fit(blocks(X, y), X_val=X, y_val=y)
        other = fn.MLPClassifier(**options).fit(X, y, X_val=X, y_val=y)
        assert_same(model, other)
        assert model.validation_scores_ == other.validation_scores_


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_shuffling_is_a_function_of_the_seed():
    X, y, _ = arrays()
    one, same, other = (
        fn.MLPClassifier(6, max_iter=3, random_state=seed, batch_size=32).fit(blocks(X, y)).coefs_[0] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "error:X ")
class TestNames:
    """Columns have the names that data frames give them."""

    @pytest.fixture
    def frame(self):
        pandas = pytest.importorskip("pandas")
        return pandas.DataFrame(arrays(dtype=np.float32)[0], columns=list("pqrs"))

    def read(self, frame, sizes=(50, 0, 100, 80), **changed):
        """Blocks of the rows, and for some numbers of a block what its features are."""
        ends = np.cumsum(sizes)
        parts = [frame[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        y = arrays()[1]
        targets = [y[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        parts = [changed.get(f"block_{number}", lambda part: part)(part) for number, part in enumerate(parts)]
        return fn.data.from_batches(lambda number: (parts[number], targets[number]), len(sizes), rows=sizes)

    def test_of_data_frames(self, frame):
        data = self.read(frame)
        model = fn.MLPClassifier(6, max_iter=2, random_state=0).fit(data)
        assert model.feature_names_in_.tolist() == list("pqrs")
        np.testing.assert_array_equal(np.concatenate(list(fn.data.predict(model, data))), model.predict(frame))
        model.set_params(warm_start=True).fit(data)
        with pytest.raises(ValueError, match="block 0: The feature names should match"):
            model.fit(self.read(frame[list("qprs")]))
        assert model.feature_names_in_.tolist() == list("pqrs")
        assert not hasattr(model.set_params(warm_start=False).fit(blocks(*arrays())), "feature_names_in_")

    def test_blocks_of_other_columns(self, frame):
        data = self.read(frame, block_3=lambda part: part[list("qprs")])
        with pytest.raises(ValueError, match="block 3: The feature names should match.*\n.*same order"):
            fn.MLPClassifier(6, max_iter=2).fit(data)
        with pytest.raises(ValueError, match="The feature names should match"):
            list(fn.data.predict(fn.MLPClassifier(6, max_iter=2).fit(self.read(frame)), data))

    @pytest.mark.parametrize("source", ["parquet", "arrow"])
    def test_of_files_and_tables(self, frame, source, tmp_path):
        parquet = pytest.importorskip("pyarrow.parquet")
        path = tmp_path / "rows.parquet"
        frame.assign(y=frame["p"] - frame["q"], z="text").to_parquet(path, row_group_size=60)
        given = path if source == "parquet" else parquet.read_table(path)
        opened = getattr(fn.data, f"from_{source}")
        data = opened(given, "y", columns=list("pqrs"))
        model = fn.MLPRegressor(hidden_layer_sizes=6, max_iter=2, random_state=0).fit(data)
        assert model.feature_names_in_.tolist() == list("pqrs")
        values, expected = np.concatenate(list(fn.data.predict(model, data))), model.predict(frame)
        np.testing.assert_allclose(values, expected, rtol=1e-5)
        assert values.dtype == expected.dtype == np.float32
        with pytest.raises(ValueError, match=r"The feature names should match.* columns=list\(model.feature_names_in_\)"):
            next(fn.data.predict(model, opened(given, columns=list("qprs"))))
        with pytest.raises(ValueError, match="Column 'z' holds .*, no numbers"):
            model.fit(opened(given, "y"))

    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_of_frames_in_memory(self, frame, library):
        frame = pytest.importorskip(library).DataFrame({name: frame[name].to_numpy() for name in frame})
        y = arrays()[1]
        swapped = fn.data.from_arrays(frame[list("qprs")], y)
        model = fn.MLPClassifier(6, max_iter=2, random_state=0).fit(fn.data.from_arrays(frame, y))
        assert model.feature_names_in_.tolist() == list("pqrs")
        labels = np.concatenate(list(fn.data.predict(model, fn.data.from_arrays(frame))))
        np.testing.assert_array_equal(labels, model.predict(frame))
        with pytest.raises(ValueError, match="The feature names should match.* or take these columns of a data frame"):
            next(fn.data.predict(model, swapped))
        with pytest.raises(ValueError, match="The feature names should match"):
            model.set_params(warm_start=True).fit(swapped)
        assert model.feature_names_in_.tolist() == list("pqrs")

    def test_that_are_numbers(self, frame):
        data = fn.data.from_arrays(frame.set_axis(range(4), axis=1), arrays()[1])
        assert not hasattr(fn.MLPClassifier(6, max_iter=2).fit(data), "feature_names_in_")

    def test_of_pipelines(self, frame, tmp_path):
        pytest.importorskip("pyarrow")
        frame.to_parquet(tmp_path / "rows.parquet", row_group_size=60)
        model = make_pipeline(StandardScaler(), fn.MLPClassifier(6, max_iter=2, random_state=0)).fit(frame, arrays()[1])
        labels = np.concatenate(list(fn.data.predict(model, fn.data.from_parquet(tmp_path / "rows.parquet"))))
        np.testing.assert_array_equal(labels, model.predict(frame))
        with pytest.raises(ValueError, match="The feature names should match"):
            next(fn.data.predict(model, fn.data.from_parquet(tmp_path / "rows.parquet", columns=list("qprs"))))


    def test_steps_that_choose_columns_by_name(self, frame):
        chosen = make_column_transformer((StandardScaler(), ["s", "q"]))
        model = make_pipeline(chosen, fn.MLPClassifier(6, max_iter=2, random_state=0)).fit(frame, arrays()[1])
        labels = np.concatenate(list(fn.data.predict(model, fn.data.from_arrays(frame))))
        np.testing.assert_array_equal(labels, model.predict(frame))

    def test_warnings_of_other_threads_are_left_alone(self, frame, monkeypatch):
        """Python's filters of warnings belong to the process."""
        model = fn.MLPClassifier(6, max_iter=2, random_state=0).fit(frame, arrays()[1])
        before, predict = list(warnings.filters), model.predict

        def watched(X):
            assert warnings.filters == before
            return predict(X)

        monkeypatch.setattr(model, "predict", watched)
        assert len(next(fn.data.predict(model, fn.data.from_arrays(frame, block_rows=60)))) == 60


def test_each_block_is_read_once_for_the_targets():
    X, y, _ = arrays()
    numbers = []

    def read(number):
        numbers.append(number)
        return X[100 * number : 100 * number + 100], y[100 * number : 100 * number + 100]

    data = fn.data.from_batches(read, 3, rows=[100, 100, 30])
    without_features(data, fn.MLPClassifier(), learn_names=True)
    assert numbers == [0, 1, 2]


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({}, {"y": np.zeros(230)}, "Blocks bring their targets"),
        ({"solver": "lbfgs"}, {}, "solver='lbfgs' needs all rows in memory"),
        ({"early_stopping": True}, {}, "No rows are set aside of data that are not in memory: give X_val and y_val"),
    ],
)
def test_what_cannot_be_done(parameters, arguments, message):
    X, y, _ = arrays()
    with pytest.raises(ValueError, match=message):
        fn.MLPClassifier(**parameters).fit(blocks(X, y), **arguments)


@pytest.mark.parametrize("estimator", [fn.MLPClassifier(max_iter=1), fn.TabularClassifier(n_epochs=1)])
@pytest.mark.parametrize("dtype", [str, object])
@pytest.mark.parametrize("first", [0, 1])
def test_labels_that_are_text_in_one_block_and_numbers_in_another(estimator, dtype, first):
    X, y, _ = arrays(200)

    def read(number):
        return X[:100], y[:100].astype(dtype) if number == first else np.arange(100) % 2

    with pytest.raises(ValueError, match="Labels in y are text in some rows and numbers in others: make all of them text"):
        estimator.fit(fn.data.from_batches(read, 2))


@pytest.mark.parametrize("wrong", ["y", "sample_weight"])
def test_targets_and_weights_of_other_rows(wrong):
    """Two blocks that together have as many targets, or weights, as rows."""
    X, y, w = arrays(200)

    def read(number):
        rows = slice(100 * number, 100 * number + 100)
        moved = slice(99 * number, 99 * number + 99 + 2 * number)
        return X[rows], y[moved if wrong == "y" else rows], w[moved if wrong == "sample_weight" else rows]

    message = rf"^block 0: {wrong} must have one entry for each of the 100 rows of X, got shape \(99,\)"
    with pytest.raises(ValueError, match=message):
        fn.MLPClassifier(max_iter=1).fit(fn.data.from_batches(read, 2))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("first", [0, 1])
def test_the_dtype_is_that_of_all_blocks(first):
    X, y, _ = arrays(200)

    def read(number):
        rows = slice(100 * number, 100 * number + 100)
        return X[rows].astype(np.float32 if number == first else np.float64), y[rows]

    assert fn.MLPClassifier(max_iter=1).fit(fn.data.from_batches(read, 2)).coefs_[0].dtype == np.float64


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_blocks_that_are_read_into_the_same_memory():
    X, y, w = arrays(200)
    memory = np.empty((50, 6))

    def read(number):
        rows = slice(50 * number, 50 * number + 50)
        memory[:, :4], memory[:, 4], memory[:, 5] = X[rows], y[rows] == "a", w[rows]
        return memory[:, :4], memory[:, 4], memory[:, 5]

    options = {"shuffle": False, "max_iter": 2, "random_state": 0}
    assert_same(
        fn.MLPClassifier(**options).fit(fn.data.from_batches(read, 4)),
        fn.MLPClassifier(**options).fit(X, (y == "a").astype(float), sample_weight=w),
    )


def test_where_blocks_have_no_place():
    X, y, _ = arrays()
    data = blocks(X, y)
    with pytest.raises(ValueError, match="can only be the X of fit"):
        fn.MLPRegressor().partial_fit(data, None)
    with pytest.raises(ValueError, match="can only be the X of fit"):
        fn.MLPClassifier(early_stopping=True).fit(data, X_val=data, y_val=y)
    with pytest.raises(ValueError, match="can only be the X of fit: give arrays"):
        fn.MLPClassifier(early_stopping=True).fit(data, X_val=data)
    with pytest.raises(ValueError, match="no targets to train on"):
        fn.MLPClassifier().fit(fn.data.from_arrays(X))


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize("form", [list, lambda y: np.array(y, dtype=object), lambda y: pytest.importorskip("pandas").Series(y)])
@pytest.mark.parametrize("estimator", [fn.MLPClassifier, fn.TabularClassifier])
def test_missing_labels(estimator, form, missing):
    X, _, _ = arrays()
    data = fn.data.from_batches(lambda number: (X[:3], form(["u", "v", missing if number else "u"])), 2)
    with pytest.raises(ValueError, match=r"block 1: Labels in y are missing \((None|nan)\) in some rows: leave these rows out"):
        estimator().fit(data)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_labels_that_are_text_are_checked_by_their_type_and_once(monkeypatch):
    X, y, _ = arrays()
    monkeypatch.setattr("fastnet._checks.is_missing", None)
    fn.MLPClassifier(6, max_iter=1).fit(X, y.tolist())
    monkeypatch.setattr(_base, "refuse_missing_labels", None)
    fn.MLPClassifier(6, max_iter=1).fit(blocks(X, y.astype(object)))


def test_arrays_need_targets():
    with pytest.raises(ValueError, match="requires y to be passed"):
        fn.MLPClassifier().fit(arrays()[0])
