"""Tables larger than memory: columns are surveyed block by block, and blocks are prepared as they are read for training."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from helpers import mixed_table, run_python

import fastnet as fn
from fastnet.tabular import _streamed, _survey
from fastnet.tabular._folds import Rows
from fastnet.tabular._recipe import Progress
from fastnet.tabular._survey import draws

pd = pytest.importorskip("pandas")


def table(n=300):
    """`mixed_table`, with dates that are missing, booleans, categories that begin in its middle, and a column of nothing."""
    frame, labels, values = mixed_table(n)
    known = np.random.default_rng(1).random(n) > 0.1
    frame = frame.assign(
        day=frame["day"].where(known),
        flag=frame["x"] > 0.5,
        late=[None] * (n // 2) + [f"group {number % 9}" for number in range(n - n // 2)],
        nothing=[None] * n,
    )
    return frame[["x", "colour", "town", "day", "flag", "late", "constant", "nothing"]], labels, values


X, LABELS, VALUES = table()
SIZES = (70, 0, 1, 129, 100)


def blocks(X, y=None, w=None, sizes=SIZES):
    """The same rows in blocks of these sizes."""
    ends = np.cumsum(sizes)

    def read(number):
        rows = slice(ends[number] - sizes[number], ends[number])
        return X[rows], None if y is None else y[rows], None if w is None else w[rows]

    return fn.data.from_batches(read, len(sizes), rows=sizes)


def polars():
    values = X.astype(object).where(X.notna(), None)
    return pytest.importorskip("polars").DataFrame(values.to_dict("list"), strict=False)


def arrow():
    return pytest.importorskip("pyarrow").Table.from_pandas(X)


class TestPreprocessor:
    @pytest.mark.parametrize("of", [lambda: X, lambda: X.to_numpy(dtype=object), lambda: X.convert_dtypes(), polars, arrow])
    def test_it_is_that_of_the_whole_table(self, of):
        rows = of()
        whole = fn.TabularPreprocessor(max_one_hot=3).fit(rows)
        data = blocks(rows)
        found = fn.TabularPreprocessor(max_one_hot=3).fit(data)
        assert found.summary() == whole.summary()
        kinds = ["number", "one_hot", "code", "moment", "sign", "code", "dropped", "dropped"]
        assert [column.kind for column in found.columns_] == kinds
        prepared = np.concatenate(list(fn.data.predict(found, data, method="transform")))
        np.testing.assert_array_equal(prepared, whole.transform(rows))

    def test_of_many_numbers_some_have_the_quartiles(self, monkeypatch, rng):
        monkeypatch.setattr(_survey, "MOST_VALUES", 300)
        x = rng.exponential(size=(5000, 1))
        x[rng.random(5000) < 0.3] = np.nan
        found = [fn.TabularPreprocessor().fit(data) for data in (x, blocks(x, sizes=(4000, 1000)), blocks(x, sizes=(100,) * 50))]
        assert found[0].summary() == found[1].summary() == found[2].summary()
        z = [one.transform(x) for one in found]
        np.testing.assert_array_equal(z[0], z[1])
        np.testing.assert_array_equal(z[0], z[2])
        assert found[0]._encoders[0].scaling.median == pytest.approx(np.nanmedian(x), rel=0.15)
        assert found[0]._encoders[0].scaling.median != np.nanmedian(x)

    def test_a_row_has_the_same_draw_in_any_block(self):
        whole = draws(0, 50, 3)
        np.testing.assert_array_equal(np.concatenate([draws(0, 7, 3), draws(7, 8, 3), draws(8, 50, 3)]), whole)
        assert len(set(whole)) == 50 and not set(whole) & set(draws(0, 50, 4))

    def test_rare_ones_of_very_many_categories_are_forgotten(self, monkeypatch):
        monkeypatch.setattr(_survey, "MOST_CATEGORIES", 20)
        names = [f"customer {number}" if number % 2 else f"town {number // 2 % 9}" for number in range(1800)]
        frame = pd.DataFrame({"name": names, "number": [f"{number}" for number in range(1800)]})
        with pytest.warns(UserWarning, match="differs in every row: 'number'. The text looks like numbers"):
            code, dropped = fn.TabularPreprocessor().fit(blocks(frame, sizes=(60,) * 30))._encoders
        assert set(code.categories) >= {f"town {number}" for number in range(9)}
        assert len(code.categories) <= 40
        assert str(dropped) == "left out: every row has a category of its own"

    @pytest.mark.parametrize(
        ("second", "message"),
        [
            ({"a": ["text"], "b": [1.0]}, "Column 'a' is a number in earlier rows and a category in later ones"),
            ({"b": [1.0], "a": [1.0]}, "feature names"),
            ({"a": [1.0]}, "feature names"),
        ],
    )
    def test_blocks_that_do_not_fit_each_other(self, second, message):
        frames = [pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]}), pd.DataFrame(second)]
        data = fn.data.from_batches(lambda number: (frames[number], None), 2)
        with pytest.raises(ValueError, match=message):
            fn.TabularPreprocessor().fit(data)

    def test_days_of_objects(self):
        days = pd.DataFrame({"day": [dt.date(2024, 1, 1 + number) for number in range(9)]}, dtype=object)
        assert fn.TabularPreprocessor().fit(blocks(days, sizes=(4, 5))).columns_[0].kind == "moment"


FEW = X[["x", "colour", "town"]]
QUICK = {"preset": "fast", "random_state": 0, "n_epochs": 20, "batch_size": 32}


class TestEstimators:
    def test_classification(self):
        model = fn.TabularClassifier(**QUICK | {"n_epochs": 25}).fit(blocks(FEW[:200], LABELS[:200], sizes=(70, 0, 1, 129)))
        assert model.score(FEW[200:], LABELS[200:]) > 0.85
        assert list(model.classes_) == ["cheap", "dear"]
        assert list(model.feature_names_in_) == list(FEW)
        assert 0.7 < model.validation_score_ <= 1
        assert [network.n_members for network in model.networks_] == [4]
        in_pieces = list(fn.data.predict(model, blocks(FEW), method="predict_proba"))
        np.testing.assert_allclose(np.concatenate(in_pieces), model.predict_proba(FEW), rtol=1e-6)

    def test_regression(self):
        targets = np.column_stack([VALUES, -VALUES])
        model = fn.TabularRegressor(**QUICK | {"n_epochs": 25}).fit(blocks(FEW[:200], targets[:200], sizes=(70, 0, 1, 129)))
        whole = fn.TabularRegressor(**QUICK | {"n_epochs": 1}).fit(FEW[:200], targets[:200])
        assert model.score(FEW[200:], targets[200:]) > 0.7
        np.testing.assert_allclose(model._shift, whole._shift, rtol=1e-12)
        np.testing.assert_allclose(model._spread, whole._spread, rtol=1e-12)
        np.testing.assert_array_equal(model._high, whole._high)

    def test_the_default_preset_has_the_members_of_all_folds(self):
        model = fn.TabularClassifier(n_epochs=1, random_state=0).fit(blocks(FEW, LABELS))
        assert {network.n_members for network in model.networks_} == {5}

    def test_same_seed_same_bits(self):
        one, same, other = (
            fn.TabularRegressor(n_epochs=1, random_state=seed, n_threads=n).fit(blocks(FEW, VALUES)).networks_[0].params
            for seed, n in ((0, 1), (0, 2), (1, 1))
        )
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_every_row_trains_or_is_held(self):
        numbers = np.arange(300.0)
        frame = X[["x", "town"]].assign(number=numbers)
        model = fn.TabularRegressor()
        model.preprocessor_ = fn.TabularPreprocessor()
        source = model._source(blocks(frame, numbers), None, None, None, 0.2, 0)
        training, held = source.parts(1)[0]()
        rows = Rows.joined([training.rows(number) for number in (0, 2, 3, 4)])
        assert len(training) == len(rows) == 240 and source.n_rows == 300
        assert sorted([*rows.y[:, 0], *held.y[:, 0]]) == numbers.tolist()
        prepared = model.preprocessor_.transform(frame)
        for part in (rows, held):
            np.testing.assert_array_equal(part.X, prepared[part.y[:, 0].astype(int)])
        np.testing.assert_array_equal(training.sample, rows.X)

    def test_given_validation_rows(self):
        model = fn.TabularRegressor(**QUICK)
        model.fit(blocks(FEW[:200], VALUES[:200], sizes=(150, 50)), X_val=FEW[200:], y_val=VALUES[200:])
        found = -np.sqrt(np.mean((model.predict(FEW[200:]) - VALUES[200:]) ** 2))
        assert model.validation_score_ == pytest.approx(found, rel=1e-5)
        assert sum(model.history_[0].n_rows) == 200 * model.n_iter_

    @pytest.mark.parametrize("zero", [False, True])
    def test_weights(self, zero):
        w = np.where(LABELS == "dear", 0.0, 1.0) if zero else np.random.default_rng(0).random(300) + 0.5
        given = {"X_val": FEW, "y_val": LABELS}
        quick = QUICK | {"n_epochs": 4}
        one, other = (fn.TabularClassifier(**quick).fit(blocks(FEW, LABELS, w * scale), **given) for scale in (1, 8))
        np.testing.assert_array_equal(one.networks_[0].params, other.networks_[0].params)
        assert (set(one.predict(FEW)) == {"cheap"}) == zero

    def test_weights_of_classes(self):
        y = np.where(np.arange(300) % 10, "many", "few")
        few = {}
        for weights in (None, "balanced", {"few": 1000}):
            model = fn.TabularClassifier(**QUICK | {"n_epochs": 10}, class_weight=weights).fit(blocks(FEW, y))
            few[str(weights)] = np.mean(model.predict(FEW) == "few")
        assert few["None"] < few["balanced"] < few["{'few': 1000}"] == 1

    def test_a_class_in_one_block(self):
        y = LABELS.astype("U9")
        y[250:280] = "priceless"
        frame = FEW.assign(x=np.where(y == "priceless", 9.0, X["x"]))
        model = fn.TabularClassifier(**QUICK).fit(blocks(frame, y))
        assert list(model.classes_) == ["cheap", "dear", "priceless"]
        assert np.mean(model.predict(frame[250:280]) == "priceless") > 0.9

    def test_few_rows_have_no_validation(self):
        model = fn.TabularClassifier(**QUICK).fit(blocks(FEW[:20], LABELS[:20], sizes=(20,)))
        assert np.isnan(model.validation_score_)

    def test_a_limit_of_time(self):
        model = fn.TabularRegressor(**QUICK | {"n_epochs": 100_000}, time_limit=0.5).fit(blocks(FEW, VALUES, sizes=(30,) * 10))
        assert model.n_iter_ < 100_000
        assert max(model.history_[0].n_rows) < len(FEW)

    def test_pieces_of_a_limited_time_are_whole_blocks(self):
        sizes = np.array([5, 0, 30, 10, 8])
        deadline = _streamed.BlocksDeadline(sizes, Progress(1.0, 1), 53, 9, 4, 9, np.inf, np.random.default_rng(0))
        seen = []
        while len(seen) < 4:
            piece = deadline.rows(None)
            assert deadline.size == sizes[piece].sum() and deadline.course.n_steps == -(-deadline.size // 4)
            seen += piece.tolist()
        assert sorted(seen) == [0, 2, 3, 4]

    @pytest.mark.parametrize(("room", "n_read"), [(2**28, 3), (700, 5), (0, 9)])
    def test_prepared_rows_are_kept_while_there_is_room(self, room, n_read, monkeypatch):
        monkeypatch.setattr(_streamed, "_KEPT_BYTES", room)
        data = blocks(FEW[["x"]].fillna(0), VALUES)
        read, numbers = data._read, []
        data._read = lambda number: numbers.append(number) or read(number)
        model = fn.TabularRegressor(**QUICK | {"n_epochs": 3}).fit(data)
        assert len(numbers) == 4 + n_read
        assert sum(model.history_[0].n_rows) == 3 * 240

    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_frames_of_numbers(self, library):
        """What is learnt of a frame is what is learnt of its blocks: names, and which columns are booleans."""
        frame = pd.DataFrame({"a": X["x"], "b": X["x"] > 0.5, "c": np.arange(300) % 7})
        y = pd.Series(VALUES, name="price")
        if library == "polars":
            pl = pytest.importorskip("polars")
            frame, y = pl.DataFrame(frame.to_dict("list")), pl.Series("price", VALUES)
        data = fn.data.from_arrays(frame, y, block_rows=70)
        model = fn.TabularRegressor(preset="fast", n_epochs=1, random_state=0).fit(data)
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        assert model.target_names_ == ["price"]
        assert model.summary().splitlines()[:3] == fn.TabularPreprocessor().fit(frame).summary().splitlines()
        assert np.array_equal(np.concatenate([*fn.data.predict(model, data)]), model.predict(frame))
        with pytest.raises(ValueError, match="order"):
            model.predict(frame[["b", "a", "c"]])

    def test_files(self, tmp_path):
        pytest.importorskip("pyarrow")
        frame = X.assign(price=VALUES, weight=np.where(X["flag"], 2.0, 1.0))
        for number, rows in enumerate(np.split(np.arange(300), [140, 150])):
            frame.iloc[rows].to_parquet(tmp_path / f"{number}.parquet", row_group_size=60)
        data = fn.data.from_parquet(tmp_path, "price", weight="weight")
        assert len(data.sizes) == 7
        quick = QUICK | {"n_epochs": 2}
        model = fn.TabularRegressor(**quick).fit(data)
        assert model.target_names_ == ["price"]
        assert list(model.feature_names_in_) == list(X)
        same = fn.TabularRegressor(**quick).fit(blocks(X, VALUES, frame["weight"], sizes=data.sizes))
        np.testing.assert_array_equal(same.predict(X), model.predict(X))
        new = fn.data.from_parquet(tmp_path, columns=list(X))
        fn.data.predict_to_file(model, new, tmp_path / "prices.npy")
        np.testing.assert_allclose(np.load(tmp_path / "prices.npy"), model.predict(X), rtol=1e-6)

    @pytest.mark.parametrize(
        ("data", "arguments", "message"),
        [
            (lambda: blocks(X), {}, "block 0: The data have no targets to train on"),
            (lambda: blocks(X, LABELS), {"y": LABELS}, "Blocks bring their targets"),
            (lambda: blocks(X, LABELS), {"sample_weight": np.ones(300)}, "Blocks bring their targets"),
            (lambda: blocks(X, LABELS), {"groups": np.ones(300)}, "groups= needs all rows in memory"),
            (lambda: blocks(X, LABELS), {"X_val": X}, "X_val and y_val belong together"),
            (lambda: blocks(X, VALUES), {}, "block 0: Unknown label type"),
            (lambda: blocks(X, np.zeros(300, int)), {}, "at least two classes in y, among the rows that have a weight; got one"),
            (lambda: blocks(X, LABELS, -np.arange(300)), {}, "block 0: sample_weight must not be negative, got -69"),
            (lambda: blocks(X, LABELS, np.zeros(300)), {}, "at least one non-zero"),
            (lambda: blocks(X, np.where(np.arange(300) == 80, None, LABELS)), {}, r"block 3: Labels in y are missing \(None\)"),
        ],
    )
    def test_what_cannot_be_done(self, data, arguments, message):
        with pytest.raises(ValueError, match=message):
            fn.TabularClassifier(**QUICK).fit(data(), **arguments)

    def test_blocks_without_weight(self):
        """Their rows do not count, but their classes are known."""
        order = np.argsort(LABELS, kind="stable")
        labels = LABELS[order]
        n = int((labels == labels[0]).sum())
        model = fn.TabularClassifier(**QUICK).fit(blocks(FEW.iloc[order], labels, labels == labels[0], sizes=(n, 100, 200 - n)))
        assert set(model.predict(FEW)) == {labels[0]}

    def test_blocks_without_weight_are_not_trained_on(self):
        """Nor are they the pieces of a limited time, whose loss would be 0 / 0."""
        w = np.repeat([0.0, 1.0, 0.0], [120, 60, 120])
        data = blocks(FEW, VALUES, w, sizes=(30,) * 10)
        model = fn.TabularRegressor(**QUICK | {"n_epochs": 100_000}, time_limit=0.3).fit(data, X_val=FEW[:50], y_val=VALUES[:50])
        assert np.isfinite(model.history_[0].loss).all()
        assert max(model.history_[0].n_rows) <= 60

    def test_blocks_with_and_without_weights(self):
        data = fn.data.from_batches(lambda number: (X, LABELS, np.ones(300) if number else None), 2)
        with pytest.raises(ValueError, match="block 1: Either all blocks must have sample weights, or none"):
            fn.TabularClassifier(**QUICK).fit(data)


def test_memory_stays_that_of_buffers_and_samples():
    """64 megabytes of rows in a process whose heap may grow by 40."""
    pytest.importorskip("resource")
    code = """
import resource
import numpy as np
import fastnet as fn
from fastnet.tabular import _streamed, _survey
_survey.MOST_VALUES, _streamed._BUFFER_BYTES, _streamed._KEPT_BYTES = 5000, 1 << 22, 1 << 20
rows, n = 10_000, 50
block = np.random.default_rng(0).standard_normal((rows, 16))
options = dict(n_members=1, hidden_layer_sizes=4, numeric_embedding="none", n_epochs=1, n_threads=1, random_state=0)
def read(number):
    return block, block[:, 0] > 0
def fitted(n):
    return fn.TabularClassifier(**options).fit(fn.data.from_batches(read, n, rows=[rows] * n))
fitted(2)
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + 40_000_000,) * 2)
print(fitted(n).history_[0].n_rows)
try:
    np.ones((rows * n, 16))
except MemoryError:
    print("limited")
"""
    result = run_python(code)
    assert result.stdout.split("\n")[:2] == ["[480000]", "limited"], result.stderr
