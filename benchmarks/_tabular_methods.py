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


def _with(name: str, kind: str | None = None, **options: Any) -> Recipe:
    return Recipe(name, ABLATION_SECTION, _preset("default", **options), kind)


#: The default preset, and with other values of its parameters: without one of its pieces, or with one that it had.
ABLATIONS = (
    Recipe(WHOLE, ABLATION_SECTION, _preset("default")),
    _with("no embedding of numbers", numeric_embedding="none"),
    _with("piecewise linear embeddings only", numeric_embedding="piecewise_linear"),
    _with("periodic embeddings only", numeric_embedding="pbld"),
    _with("no learnt factor for each input", scale_layer=False),
    _with("random initial values", data_init=False),
    _with("ReLU as activation", activation="relu"),
    _with("no dropout", "classification", dropout=0.0),
    _with("dropout in regressions", "regression", dropout=0.15),
    _with("no weight decay", weight_decay=0.0),
    _with("no label smoothing", "classification", label_smoothing=0.0),
    _with("a cosine schedule instead of four waves", schedule="cosine"),
    _with("beta_2 = 0.999", beta_2=0.999),
    _with("only the best epoch, not three averaged", "classification", n_best_epochs=1),
    _with("two members of each kind", "classification", n_members=2),
    _with("one member of each kind", "regression", n_members=1),
    _with("32 epochs", n_epochs=32),
    _with("one validation split instead of five folds", n_folds=1),
)
