"""What `fastnet compare` makes of the gradient boosting libraries that are installed; tests of others are skipped."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from commands import houses, pd, run

from fastnet.cli import _peers

#: Name -> parameter of the number of threads, and which columns a fitted model takes for categories.
BOOSTING = {
    "CatBoost": ("thread_count", lambda model: [model.feature_names_[number] for number in model.get_cat_feature_indices()]),
    "LightGBM": ("n_jobs", lambda model: [model.feature_name_[1]] if model.booster_.pandas_categorical else []),
    "XGBoost": (
        "n_jobs",
        lambda model: [
            name
            for name, kind in zip(model.get_booster().feature_names, model.get_booster().feature_types, strict=True)
            if kind == "c"
        ],
    ),
}


@pytest.fixture(params=BOOSTING)
def name(request):
    pytest.importorskip(_peers.PEERS[request.param][0])
    return request.param


def make(name, *, regression):
    return _peers.PEERS[name][1](regression, 0, 1)


@pytest.fixture
def categories(rng):
    """A frame of a number and a category of 40 names, some missing, and values that depend on the category alone."""
    numbers = rng.integers(0, 40, 800)
    of_category = rng.permutation(40) - 19.5
    towns = pd.Series([f"town {number}" for number in numbers]).where(rng.random(800) > 0.05)
    return pd.DataFrame({"x": rng.normal(size=800), "town": towns}), of_category[numbers]


@pytest.mark.parametrize("target", ["dear", "price"])
def test_a_row_of_the_comparison(table, name, target, monkeypatch):
    monkeypatch.setattr(_peers, "PEERS", {name: _peers.PEERS[name]})
    with warnings.catch_warnings(action="error"):
        out = run(f"compare houses.csv --target {target} --preset fast --threads 1")
    rows = [re.split(r"\s{2,}", line) for line in out.splitlines()[-2:]]
    assert [row[0] for row in rows] == ["fastnet, fast", name]
    assert len(rows[0]) == len(rows[1]) and np.isfinite([float(figure) for figure in rows[1][1:]]).all()
    assert "failed" not in out and "warning" not in out


def test_categories_are_no_numbers(name, categories):
    frame, values = categories
    threads, categorical = BOOSTING[name]
    model = make(name, regression=True).fit(frame[:600], values[:600])
    assert categorical(model.model) == ["town"]
    assert model.model.get_params()[threads] == 1
    known = frame["town"].notna()[600:]
    assert np.corrcoef(model.predict(frame[600:])[known], values[600:][known])[0, 1] > 0.9


def test_classes_and_their_probabilities(name, categories):
    frame, values = categories
    labels = np.where(values > 6, "high", np.where(values > -6, "middle", "low"))
    model = make(name, regression=False).fit(frame[:600], labels[:600])
    p = model.predict_proba(frame[600:])
    assert model.classes_.tolist() == ["high", "low", "middle"]
    assert p.shape == (200, 3) and p.sum(axis=1) == pytest.approx(1)
    known = frame["town"].notna()[600:]
    assert np.mean(model.classes_[p.argmax(axis=1)][known] == labels[600:][known]) > 0.9


def test_dates_unknown_categories_and_holes(name):
    frame = houses()
    X = frame[["area", "rooms", "plot", "sold"]].assign(alone=None)
    model = make(name, regression=True).fit(X[:90], frame["price"][:90])
    later = X[90:].assign(plot="another", sold=pd.NaT, rooms=np.nan)
    assert list(model.columns_) == ["area", "rooms", "plot", "sold"]
    assert np.isfinite(model.predict(later)).all()
    assert np.corrcoef(model.predict(X[90:]), frame["price"][90:])[0, 1] > 0.8
