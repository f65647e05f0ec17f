"""To scikit-learn's estimators and back: fitted models for software that knows only those."""

from __future__ import annotations

import copy
import inspect
from typing import Any, TypeVar

import numpy as np
from sklearn import neural_network
from sklearn.base import ClassifierMixin

from ._parameters import hidden_activations
from ._scaling import parameters_in_units_of_y

Twin = TypeVar("Twin")

#: Activations that scikit-learn has: the core's name, and its own.
ACTIVATIONS = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
FITTED = (
    "loss_",
    "best_loss_",
    "loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "t_",
    "n_iter_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "n_features_in_",
    "feature_names_in_",
    "classes_",
    "_label_binarizer",
    "_no_improvement_count",
)


def _twin(cls: type) -> Any:
    """scikit-learn's class in the place of fastnet's, or of a class derived from it."""
    return neural_network.MLPClassifier if issubclass(cls, ClassifierMixin) else neural_network.MLPRegressor


def to_sklearn(estimator: Any) -> Any:
    """A fitted scikit-learn estimator with copies of the parameters of `estimator`."""
    twin = _twin(type(estimator))()
    parameters = {name: value for name, value in estimator.get_params(deep=False).items() if name in twin.get_params()}
    parameters["activation"] = _activation(estimator)
    for name in ("solver", "learning_rate", "loss", "verbose"):  # what scikit-learn does not have, and predictions do not need
        if name in parameters and not _accepts(twin, name, parameters[name]):
            del parameters[name]
    if estimator.out_activation_ == "exp":
        if "loss" not in twin.get_params():
            raise ValueError(
                "scikit-learn has networks with an exponential output (loss='poisson') from version 1.7 on: upgrade it."
            )
        parameters["loss"] = "poisson"
    if getattr(estimator, "sort_quantiles", False) and len(estimator._levels()) > 1:
        raise ValueError(
            "scikit-learn's network does not sort the quantiles that it predicts: set sort_quantiles=False first, and sort its "
            "predictions where they must not cross."
        )
    twin.set_params(**parameters)
    _copy_model(estimator, twin)
    return twin


def _copy_model(source: Any, target: Any) -> None:
    """Copy the fitted attributes that both libraries have."""
    target.__dict__.update(copy.deepcopy({name: value for name, value in vars(source).items() if name in FITTED}))
    coefs, intercepts = parameters_in_units_of_y(source)
    target.coefs_ = [np.array(coef) for coef in coefs]
    target.intercepts_ = [np.array(intercept) for intercept in intercepts]


def _activation(estimator: Any) -> str:
    names = {activation.name for activation in hidden_activations(estimator, len(estimator.coefs_) - 1)} or {"relu"}
    if len(names) > 1 or not names <= ACTIVATIONS.keys():
        raise ValueError(
            f"scikit-learn's networks have one activation for all hidden layers, among {sorted(ACTIVATIONS.values())}; this one "
            f"has {sorted(names)}. Export it with to_onnx or save instead."
        )
    return ACTIVATIONS[names.pop()]


def _accepts(twin: Any, name: str, value: Any) -> bool:
    return isinstance(value, (str, bool, int)) and any(
        constraint == "verbose" and not isinstance(value, str) or value in getattr(constraint, "options", ())
        for constraint in twin._parameter_constraints[name]
    )


def from_sklearn(cls: type[Twin], estimator: Any) -> Twin:
    """An estimator of `cls` with the parameters and copies of the fitted attributes of scikit-learn's `estimator`."""
    expected = _twin(cls)
    if not isinstance(estimator, expected):
        raise TypeError(
            f"{cls.__name__}.from_sklearn takes a sklearn.neural_network.{expected.__name__}, got {type(estimator).__name__}."
        )
    known = inspect.signature(cls).parameters
    twin = cls(**{name: value for name, value in estimator.get_params(deep=False).items() if name in known})
    if hasattr(estimator, "coefs_"):
        _copy_model(estimator, twin)
    return twin
