"""Estimators of other libraries that take tables as they are, with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.metaestimators import available_if

if TYPE_CHECKING:
    import pandas as pd

#: ``(regression, seed, n_threads) -> estimator``
Make = Callable[[bool, int, "int | None"], Any]

#: Most categories of a column that scikit-learn's trees take as such, and that its network gets a column each for.
_MOST_CATEGORIES = 255


class Prepared(BaseEstimator):
    """A model of another library, with class numbers for labels, and categories and dates in the form that the library takes.

    Columns without values in fit are left out, as scikit-learn's trees fail on them.

    Parameters
    ----------
    model : estimator
    text : bool
        Whether categories are text, and named in the parameter ``cat_features``; else they have pandas' type.
    most_categories : int, optional
        Columns of more categories become numbers.
    """

    def __init__(self, model: Any, text: bool = False, most_categories: int | None = None) -> None:
        self.model = model
        self.text = text
        self.most_categories = most_categories

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        """Learn the categories, then fit the model."""
        self.columns_ = X.columns[X.notna().any()]
        others = _times_as_numbers(X[self.columns_]).select_dtypes(exclude="number").columns
        self.categories_ = {name: sorted(set(_as_text(X[name]).dropna())) for name in others}
        if self.text:
            self.model.set_params(cat_features=list(others))
        if hasattr(self.model, "predict_proba"):
            self.classes_, y = np.unique(y, return_inverse=True)
        self.model.fit(self._prepared(X), y)
        return self

    def _prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        X = _times_as_numbers(X[self.columns_])
        return X.assign(**{name: self._categories(_as_text(X[name]), known) for name, known in self.categories_.items()})

    def _categories(self, column: pd.Series, known: list[str]) -> Any:
        import pandas as pd

        if self.text:
            return column.fillna("missing")
        found = pd.Categorical(column.where(column.isin(known)), known)
        if self.most_categories is None or len(known) <= self.most_categories:
            return found
        return np.where(found.codes < 0, np.nan, found.codes)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Values, or numbers of classes."""
        return np.asarray(self.model.predict(self._prepared(X)))

    @available_if(lambda self: hasattr(self.model, "predict_proba"))
    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities of the classes, in the order of ``classes_``."""
        p = np.asarray(self.model.predict_proba(self._prepared(X)), dtype=np.float64)
        return p / p.sum(axis=1, keepdims=True)


def _times_as_numbers(X: pd.DataFrame) -> pd.DataFrame:
    times = X.select_dtypes(include=["datetime", "datetimetz", "timedelta"])
    return X.assign(**{name: column.astype("int64").where(column.notna()) for name, column in times.items()})


def _as_text(column: pd.Series) -> pd.Series:
    return column.astype(object).map(str, na_action="ignore")


def _library(module: str, prefix: str, threads: str, **options: Any) -> Make:
    def make(regression: bool, seed: int, n_threads: int | None) -> Any:
        cls = getattr(import_module(module), f"{prefix}{'Regressor' if regression else 'Classifier'}")
        limit = {} if n_threads is None else {threads: n_threads}
        return Prepared(cls(random_state=seed, **limit, **options), text=module == "catboost")

    return make


def _histogram(regression: bool, seed: int, n_threads: int | None) -> Any:
    from sklearn import ensemble

    cls = ensemble.HistGradientBoostingRegressor if regression else ensemble.HistGradientBoostingClassifier
    return Prepared(cls(random_state=seed), most_categories=_MOST_CATEGORIES)


def _network(regression: bool, seed: int, n_threads: int | None) -> Any:
    """Numbers filled, with indicators, and standardised; categories a column each."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=_MOST_CATEGORIES)
    columns = [
        ("numbers", numbers, make_column_selector(dtype_include="number")),
        ("categories", categories, make_column_selector(dtype_exclude="number")),
    ]
    network = make_pipeline(ColumnTransformer(columns), (MLPRegressor if regression else MLPClassifier)(random_state=seed))
    return Prepared(TransformedTargetRegressor(network, transformer=StandardScaler()) if regression else network)


#: Name -> the module that it needs, and what makes it.
PEERS: dict[str, tuple[str, Make]] = {
    "CatBoost": ("catboost", _library("catboost", "CatBoost", "thread_count", verbose=0, allow_writing_files=False)),
    "LightGBM": ("lightgbm", _library("lightgbm", "LGBM", "n_jobs", verbose=-1)),
    "XGBoost": ("xgboost", _library("xgboost", "XGB", "n_jobs", enable_categorical=True)),
    "HistGradientBoosting": ("sklearn", _histogram),
    "scikit-learn's MLP": ("sklearn", _network),
}


def installed() -> dict[str, Make]:
    """The peers whose modules are there."""
    return {name: make for name, (module, make) in PEERS.items() if find_spec(module) is not None}
