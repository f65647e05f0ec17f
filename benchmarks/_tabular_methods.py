"""Estimators that accept unprepared tables: fastnet's presets and pieces of them, and other libraries', with their defaults."""

from __future__ import annotations

from functools import partial
from typing import Any

from sklearn.base import BaseEstimator

import fastnet
from benchmarks._recipes import Make, Recipe
from fastnet.cli._peers import PEERS

SECTION, REFERENCE = "tables", "CatBoost, defaults"
ABLATION_SECTION, WHOLE = "pieces", "the default preset"


def _preset(name: str, **options: Any) -> Make:
    def make(regression: bool, seed: int) -> BaseEstimator:
        cls = fastnet.TabularRegressor if regression else fastnet.TabularClassifier
        return cls(preset=name, random_state=seed, n_threads=1, **options)

    return make


METHODS = (
    *(Recipe(f"fastnet {name}", SECTION, _preset(name)) for name in ("fast", "default", "best")),
    *(
        Recipe(f"{name}, defaults", SECTION, partial(make, n_threads=1), library=library)
        for name, (library, make) in PEERS.items()
    ),
)


def _without(name: str, kind: str | None = None, **options: Any) -> Recipe:
    return Recipe(name, ABLATION_SECTION, _preset("default", **options), kind)


#: The default preset, and without one of its pieces, or with one that it had.
ABLATIONS = (
    Recipe(WHOLE, ABLATION_SECTION, _preset("default")),
    _without("numbers as they are", numeric_embedding="none"),
    _without("pieces of numbers alone", numeric_embedding="piecewise_linear"),
    _without("waves of numbers alone", numeric_embedding="pbld"),
    _without("no factor of each input", scale_layer=False),
    _without("random initial values", data_init=False),
    _without("ReLU", activation="relu"),
    _without("no dropout", "classification", dropout=0.0),
    _without("dropout in regressions", "regression", dropout=0.15),
    _without("no weight decay", weight_decay=0.0),
    _without("no label smoothing", "classification", label_smoothing=0.0),
    _without("one wave of the learning rate", schedule="cosine"),
    _without("beta_2 = 0.999", beta_2=0.999),
    _without("the best epoch alone", "classification", n_best_epochs=1),
    _without("two members", "classification", n_members=2),
    _without("one member", "regression", n_members=1),
    _without("32 epochs", n_epochs=32),
    _without("one fold", n_folds=1),
)
