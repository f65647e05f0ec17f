"""Estimators of tables in ONNX: what ONNX Runtime makes of the columns as they are."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn

pd = pytest.importorskip("pandas")
onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

QUICK = {"preset": "fast", "n_epochs": 2, "random_state": 0}


def table(n=150):
    """Numbers with holes and outliers, categories of every size and type, and columns that say nothing."""
    rng = np.random.default_rng(0)
    text = pd.Series(rng.choice(["red", "green", "blue"], n))
    return pd.DataFrame({
        "x": np.where(rng.random(n) < 0.1, np.nan, rng.standard_normal(n)),
        "large": 1e9 + rng.standard_normal(n),
        "whole": rng.integers(0, 50, n),
        "colour": text.where(rng.random(n) > 0.1),
        "constant": 1.0,
        "town": [f"town {number}" for number in rng.integers(0, 12, n)],
        "side": rng.choice(["left", "right"], n),
        "flag": rng.random(n) < 0.5,
        "few": rng.choice([1.5, 2.5, 4.0], n),
        "many": rng.integers(0, 30, n),
        "wide": rng.standard_normal(n) ** 3,
        "vast": rng.choice([-1.7e308, 0, 1.7e308, np.inf], n),
    })  # fmt: skip


X = table()
CATEGORIES = ["few", "many"]
#: New rows: outlying, missing and unknown values.
NEW = pd.concat([X, X.head(4).assign(
    x=[np.inf, -np.inf, np.nan, 1e300], large=np.nan, colour=["violet", None, "red", ""], town=None, side="middle",
    few=[np.nan, 1.6, 2.5, 1.5], many=[99, -1, 3, 4],
)])  # fmt: skip
CLASSES = np.digitize(X["x"].fillna(0), [-0.5, 0.5])


def run(model, frame):
    """The outputs of a model by name, for a frame or an array."""
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def values(declared):
        if isinstance(frame, np.ndarray):
            return frame.astype(float)
        column = frame[declared.name]
        text = declared.type == "tensor(string)"
        return (column.astype(object).fillna("") if text else column.astype(float)).to_numpy().reshape(-1, 1)

    found = session.run(None, {declared.name: values(declared) for declared in session.get_inputs()})
    return dict(zip((output.name for output in session.get_outputs()), found, strict=True))


@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize(
    "options",
    [{}, {"n_folds": 2}, {"ensemble": "batch"}, {"numeric_embedding": "plr"}, {"numeric_embedding": "none", "calibrate": False}],
)
def test_classifier(options, opset):
    model = fn.TabularClassifier(**QUICK, categorical_features=CATEGORIES, **options).fit(X, np.array(["a", "b", "c"])[CLASSES])
    found = run(model.to_onnx(opset=opset), NEW)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(NEW), rtol=1e-5, atol=1e-5)
    assert found["label"].tolist() == model.predict(NEW).tolist()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clip": False},
        {"metric": "mae", "n_folds": 2},
        {"metric": "poisson"},
        {"metric": "quantile", "quantiles": [0.9, 0.1, 0.5]},
    ],
)
@pytest.mark.parametrize("n_targets", [1, 2])
def test_regressor(options, n_targets):
    y = np.column_stack([X["whole"] + 0.0, 1000 + 30.0 * CLASSES])[:, :n_targets]
    model = fn.TabularRegressor(**QUICK, categorical_features=CATEGORIES, **options).fit(X, y.squeeze())
    expected = model.predict(NEW).reshape(len(NEW), -1)
    np.testing.assert_allclose(run(model.to_onnx(), NEW)["variable"], expected, rtol=1e-5, atol=1e-5 * np.ptp(y))


@pytest.mark.parametrize("quantiles", [0.5, (0.1, 0.9)])
def test_targets_that_differ_by_little_beside_their_size(quantiles, rng):
    x = rng.standard_normal((200, 2))
    model = fn.TabularRegressor(**QUICK, metric="quantile", quantiles=quantiles).fit(x, x[:, 0] + 1e8)
    expected = model.predict(x).reshape(200, -1)
    np.testing.assert_allclose(run(model.to_onnx(), x)["variable"], expected, rtol=0, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 0.5


def test_an_array_of_numbers_is_one_input(rng):
    numbers = np.where(rng.random((60, 4)) < 0.1, np.nan, rng.standard_normal((60, 4)))
    numbers[:, 2] = 1
    model = fn.TabularClassifier(**QUICK).fit(numbers, numbers[:, 0] > 0)
    found = run(model.to_onnx(), numbers)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(numbers), rtol=1e-5, atol=1e-5)


def test_only_columns_that_are_used_are_inputs():
    model = fn.TabularClassifier(**QUICK).fit(X, CLASSES)
    assert [value.name for value in model.to_onnx().graph.input] == [name for name in X if name != "constant"]


def test_written_files_and_options(tmp_path):
    model = fn.TabularClassifier(**QUICK).fit(X[["x", "side"]], CLASSES)
    written = model.to_onnx(tmp_path / "model.onnx", zipmap=True)
    assert onnx.load(tmp_path / "model.onnx") == written
    assert set(run(written, X)["output_probability"][0]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (X.assign(day=pd.date_range("2024-01-01", periods=len(X))), "Column 'day' holds dates or times, which ONNX has"),
        (X.assign(mixed=[1, "one", 2] * 50), "Column 'mixed' holds both text and numbers"),
        (X.assign(number=pd.Categorical(2**53 + np.arange(150) % 3)), "Column 'number' has categories that float64 cannot"),
        (X.assign(label=X["x"]), "Column 'label' has the name of another part"),
        (X.rename(columns={"side": ""}), "The name of a column is '', .* rename it before fit"),
        (X[["constant"]], "All columns were left out"),
    ],
)
def test_what_onnx_cannot_say(frame, message):
    model = fn.TabularClassifier(**QUICK).fit(frame, CLASSES)
    with pytest.raises(ValueError, match=message):
        model.to_onnx()


def test_a_category_of_empty_text_is_told_from_a_missing_one_by_another_text():
    frame = X[["x"]].assign(side=np.resize(["", "left", None], len(X)))
    model = fn.TabularClassifier(**QUICK).fit(frame, frame["side"] == "")
    with pytest.warns(UserWarning, match="""Column 'side' has the category "", which a missing value""") as caught:
        written = model.to_onnx()
    assert caught[0].filename == __file__
    found = run(written, frame.fillna({"side": "missing"}))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(frame), rtol=1e-5, atol=1e-5)
