"""Estimators that accept unprepared tables: fastnet's, and those of gradient boosting libraries, with their defaults."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import fastnet
from benchmarks._recipes import Make, Recipe, scikit_learn

if TYPE_CHECKING:
    import pandas as pd

SECTION, REFERENCE = "tables", "CatBoost, defaults"
ABLATION_SECTION, WHOLE = "pieces", "the default preset"


class Boosting(BaseEstimator):
    """A gradient boosting model that gets class numbers as labels, and non-numeric columns in its library's form."""

    def __init__(self, model: Any, text: bool = False) -> None:
        self.model = model
        self.text = text

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        others = X.select_dtypes(exclude="number").columns
        self.categories_ = {name: X[name].astype("category").cat.categories for name in others}
        if self.text:
            self.model.set_params(cat_features=list(others))
        if hasattr(self.model, "predict_proba"):
            self.classes_, y = np.unique(y, return_inverse=True)
        self.model.fit(self._prepared(X), y)
        return self

    def _prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        if self.text:
            return X.assign(**{name: X[name].astype(object).fillna("missing").astype(str) for name in self.categories_})
        kept = {name: X[name].where(X[name].isin(known)) for name, known in self.categories_.items()}
        return X.assign(**{name: pd.Categorical(kept[name], known) for name, known in self.categories_.items()})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict(self._prepared(X))

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        p = np.asarray(self.model.predict_proba(self._prepared(X)), dtype=np.float64)
        return p / p.sum(axis=1, keepdims=True)


def _library(module: str, prefix: str, text: bool = False, **options: Any) -> Make:
    def make(regression: bool, seed: int) -> BaseEstimator:
        cls = getattr(import_module(module), f"{prefix}{'Regressor' if regression else 'Classifier'}")
        return Boosting(cls(random_state=seed, **options), text)

    return make


def _histogram(regression: bool, seed: int) -> BaseEstimator:
    return Boosting((HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier)(random_state=seed))


def _preset(name: str, **options: Any) -> Make:
    def make(regression: bool, seed: int) -> BaseEstimator:
        cls = fastnet.TabularRegressor if regression else fastnet.TabularClassifier
        return cls(preset=name, random_state=seed, n_threads=1, **options)

    return make


METHODS = (
    *(Recipe(f"fastnet {name}", SECTION, _preset(name)) for name in ("fast", "default", "best")),
    Recipe(REFERENCE, SECTION, _library("catboost", "CatBoost", True, thread_count=1, verbose=0, allow_writing_files=False), None,
           "catboost"),
    Recipe("LightGBM, defaults", SECTION, _library("lightgbm", "LGBM", n_jobs=1, verbose=-1), library="lightgbm"),
    Recipe("XGBoost, defaults", SECTION, _library("xgboost", "XGB", n_jobs=1, enable_categorical=True), library="xgboost"),
    Recipe("HistGradientBoosting, defaults", SECTION, _histogram, library="sklearn"),
    Recipe("scikit-learn's network, prepared", SECTION, scikit_learn, library="sklearn"),
)  # fmt: skip


def _without(name: str, kind: str | None = None, **options: Any) -> Recipe:
    return Recipe(name, ABLATION_SECTION, _preset("default", **options), kind)


#: The default preset, and without one of its pieces.
ABLATIONS = (
    Recipe(WHOLE, ABLATION_SECTION, _preset("default")),
    _without("numbers as they are", numeric_embedding="none"),
    _without("waves in place of pieces of numbers", numeric_embedding="pbld"),
    _without("no factor of each input", scale_layer=False),
    _without("random initial values", data_init=False),
    _without("ReLU", activation="relu"),
    _without("no dropout", dropout=0.0),
    _without("no weight decay", weight_decay=0.0),
    _without("no label smoothing", "classification", label_smoothing=0.0),
    _without("one wave of the learning rate", schedule="cosine"),
    _without("beta_2 = 0.999", beta_2=0.999),
    _without("one fold", n_folds=1),
    _without("batches of 256 rows", batch_size=256),
)
