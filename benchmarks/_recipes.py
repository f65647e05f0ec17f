"""The documentation's recipes as estimators: ways to prepare a table, and networks with their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, QuantileTransformer, StandardScaler

import fastnet
from benchmarks._tables import Table

if TYPE_CHECKING:
    import pandas as pd

#: Makes the estimator for a classification (False) or regression (True) and a seed.
Make = Callable[[bool, int], BaseEstimator]


@dataclass(frozen=True)
class Recipe:
    """The estimator of `make` is fitted to all tables, or to those of one kind, and compared within its `section`."""

    name: str
    section: str
    make: Make
    kind: str | None = None
    library: str = "fastnet"

    def suits(self, table: Table) -> bool:
        return self.kind in (None, table.kind)

    def missing(self) -> str | None:
        """Why the recipe cannot be used; None if it can."""
        return None if find_spec(self.library) else f"{self.library} is not installed"


def preparation(**changes: Any) -> ColumnTransformer:
    """The preparation of features on the page about tables; `changes` set parameters of its steps, or replace steps."""
    numbers = Pipeline([
        ("fill", SimpleImputer(strategy="median", add_indicator=True)),
        ("scale", StandardScaler()),
        ("clip", FunctionTransformer(np.clip, kw_args={"a_min": -5, "a_max": 5}, feature_names_out="one-to-one")),
    ])  # fmt: skip
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = ColumnTransformer([
        ("numbers", numbers, make_column_selector(dtype_include="number")),
        ("categories", categories, make_column_selector(dtype_exclude="number")),
    ])  # fmt: skip
    return prepare.set_params(**changes)


def prepared(net: BaseEstimator, **changes: Any) -> Pipeline:
    """`net` behind the preparation of features."""
    return Pipeline([("prepare", preparation(**changes)), ("net", net)])


def network(options: dict[str, Any], members: int = 1, *, scale_target: bool = True, **preparing: Any) -> Make:
    """fastnet's estimator; of several members the average, each with a seed and validation rows of its own."""

    def make(regression: bool, seed: int) -> BaseEstimator:
        net: BaseEstimator = fastnet.MLPRegressor(scale_target=scale_target) if regression else fastnet.MLPClassifier()
        net.set_params(random_state=seed, n_threads=1, **options)
        if members > 1:
            averaging = BaggingRegressor if regression else BaggingClassifier
            net = averaging(net, n_estimators=members, bootstrap=False, random_state=seed)
        return prepared(net, **preparing)

    return make


def scikit_learn(regression: bool, seed: int) -> BaseEstimator:
    if not regression:
        return prepared(MLPClassifier(random_state=seed))
    return TransformedTargetRegressor(prepared(MLPRegressor(random_state=seed)), transformer=StandardScaler())


def lightgbm(regression: bool, seed: int) -> BaseEstimator:
    """LightGBM with its defaults, on the unprepared table: it accepts categories and missing values."""
    library = import_module("lightgbm")
    model = (library.LGBMRegressor if regression else library.LGBMClassifier)(random_state=seed, n_jobs=1, verbose=-1)
    return make_pipeline(FunctionTransformer(_with_categories), model)


def _with_categories(X: pd.DataFrame) -> pd.DataFrame:
    return X.astype(dict.fromkeys(X.select_dtypes(exclude="number").columns, "category"))


_QUANTILES = QuantileTransformer(output_distribution="normal", n_quantiles=200)
_CODES = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)

STOPPING = {"early_stopping": True, "scoring": "loss"}
_AUC = {"early_stopping": True, "scoring": "roc_auc_ovr", "stratify": True}
RECOMMENDED = {**STOPPING, "batch_size": 32, "dropout": 0.2}
_WHOLE_SCHEDULE = {"n_iter_no_change": np.inf, "max_iter": 50}

#: Parameters in addition to those of early stopping by loss.
_CHANGES: tuple[dict[str, Any], ...] = (
    {"activation": "leaky_relu"},
    {"activation": "gelu"},
    {"activation": "silu"},
    {"activation": "mish"},
    {"activation": "tanh"},
    {"activation": "selu"},
    {"solver": "adamw"},
    {"solver": "rmsprop"},
    {"solver": "nesterov", "learning_rate_init": 0.01},
    {"solver": "adagrad", "learning_rate_init": 0.01},
    {"learning_rate": "cosine", "learning_rate_init": 0.003, **_WHOLE_SCHEDULE},
    {"learning_rate": "one_cycle", "learning_rate_init": 0.01, **_WHOLE_SCHEDULE},
    {"hidden_layer_sizes": (64, 64)},
    {"hidden_layer_sizes": (256, 256)},
    {"alpha": 0.1},
    {"weight_decay": 0.05},
    {"max_grad_norm": 1.0},
    {"dtype": "float32"},
    {"dropout": 0.2},
    {"batch_size": 32},
    {"batch_size": 32, "dropout": 0.2},
)
_CHANGES_OF_CLASSIFIERS: tuple[dict[str, Any], ...] = ({"label_smoothing": 0.05}, {"class_weight": "balanced"})
_REGULARIZED: dict[str, Any] = {
    "hidden_layer_sizes": (64, 64),
    "solver": "adamw",
    "weight_decay": 0.05,
    "dropout": 0.2,
    "label_smoothing": 0.05,
    "batch_size": 32,
    "max_iter": 30,
}
_MANY_AT_ONCE: dict[str, Any] = {
    "hidden_layer_sizes": (64, 64),
    "activation": "gelu",
    "solver": "adamw",
    "dropout": 0.1,
    "label_smoothing": 0.05,
    "learning_rate": "one_cycle",
    "learning_rate_init": 0.02,
    "max_iter": 40,
    "n_iter_no_change": 40,
    "class_weight": "balanced",
}


def _named(options: dict[str, Any]) -> str:
    """The parameters as typed, in Markdown: `solver="adamw", dropout=0.2`."""
    return "`" + ", ".join(f"{name}={value!r}" for name, value in options.items()).replace("'", '"') + "`"


def _change(options: dict[str, Any], kind: str | None = None) -> Recipe:
    return Recipe(_named(options), "changes", network(STOPPING | options), kind)


def _alone(options: dict[str, Any], kind: str | None = None) -> Recipe:
    """These parameters alone, without early stopping."""
    return Recipe(_named({"early_stopping": False, **options}), "changes", network(options), kind)


def _step(name: str, kind: str | None = None, **preparing: Any) -> Recipe:
    return Recipe(name, "preparation", network(RECOMMENDED, **preparing), kind)


#: The recipe that the others of a section are compared with.
REFERENCES = {"stopping": "defaults", "changes": "early stopping by loss", "preparation": "recommended"}

RECIPES = (
    Recipe("defaults", "stopping", network({})),
    Recipe("early stopping by score", "stopping", network({"early_stopping": True})),
    Recipe("early stopping by AUC", "stopping", network(_AUC), "classification"),
    Recipe("early stopping by loss", "stopping", network(STOPPING)),
    Recipe("all epochs, the best by validation loss kept", "stopping", network({**STOPPING, "n_iter_no_change": np.inf})),
    Recipe("defaults, the best epoch by training loss kept", "stopping", network({"restore_best": True})),
    Recipe("recommended", "stopping", network(RECOMMENDED)),
    Recipe("recommended, average of five", "stopping", network(RECOMMENDED, members=5)),
    Recipe("scikit-learn, defaults", "stopping", scikit_learn, library="sklearn"),
    Recipe("LightGBM, defaults", "stopping", lightgbm, library="lightgbm"),
    *(_change(options) for options in _CHANGES),
    *(_change(options, "classification") for options in _CHANGES_OF_CLASSIFIERS),
    _alone({"activation": "tanh", "solver": "lbfgs"}),
    _alone({"hidden_layer_sizes": (16,), "activation": "tanh", "solver": "lbfgs", "alpha": 10}),
    _alone(_REGULARIZED, "classification"),
    _alone(_MANY_AT_ONCE, "classification"),
    _step("numbers not clipped", numbers__clip="passthrough"),
    _step("numbers neither scaled nor clipped", numbers__scale="passthrough", numbers__clip="passthrough"),
    _step("numbers to normal quantiles instead", numbers__scale=_QUANTILES, numbers__clip="passthrough"),
    _step("no indicators of missing values", numbers__fill__add_indicator=False),
    _step("categories as scaled codes", categories=make_pipeline(_CODES, StandardScaler())),
    _step("target as it is", "regression", scale_target=False),
    _step("gaps filled and categories as codes, no more", numbers=SimpleImputer(), categories=_CODES, scale_target=False),
)
