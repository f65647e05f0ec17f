"""Warnings: those that come under the name of scikit-learn's module, and those about arguments that fastnet adds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterator
from numbers import Real
from reprlib import repr as short
from types import FunctionType
from typing import Any

import numpy as np

from fastnet._caller import to_the_caller
from fastnet.network import Network
from fastnet.optimizers import Optimizer

from ._parameters import RATE_POLICIES
from ._solver import uses_lbfgs
from ._types import MLP

#: Quartiles of fewer targets than this are not compared.
_FEWEST_TARGETS = 20
#: Ratio of the spreads of y and y_val from which they are not in the same units.
_OTHER_UNITS = 10.0
_WITH_LBFGS = "with solver='lbfgs', which takes no mini-batches and never stops early"


def _call(warn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return warn(*args, **kwargs)


#: ``as_scikit_learn(warn, ...)`` calls a function that warns, `warnings.warn` or one of scikit-learn's own, as if from there.
#: Python takes a warning's module, and what it has shown already, from the globals of the caller; scripts filter by it, as in
#: ``module="sklearn"``.
as_scikit_learn = FunctionType(_call.__code__, {"__name__": "sklearn.neural_network._multilayer_perceptron"})


def warn_of_unused_parameters(estimator: MLP) -> None:
    """Warn about each of fastnet's own parameters that is set and has no effect, given the others."""
    for name, reason in _unused(estimator):
        message = f"{name}={short(getattr(estimator, name))} has no effect {reason}."
        warnings.warn(message, UserWarning, stacklevel=to_the_caller())


def warn_of_dropout_in_layers(estimator: MLP, network: Network) -> None:
    """Warn where `layers` have dropout, which L-BFGS leaves out."""
    if getattr(estimator, "layers", None) is not None and any(node.operation.dropout for node in network._graph.nodes):
        warnings.warn(f"Dropout in layers has no effect {_WITH_LBFGS}.", UserWarning, stacklevel=to_the_caller())


def _unused(estimator: MLP) -> Iterator[tuple[str, str]]:
    lbfgs, own_rate = uses_lbfgs(estimator), isinstance(estimator.solver, Optimizer)
    validation: dict[str, Container[Any]] = {"scoring": (None,), "validation_split": (None,)}
    mini_batches: dict[str, Container[Any]] = {
        "dropout": (0,),
        "learning_rate": RATE_POLICIES,
        "weight_decay": (None, 0),
        "max_grad_norm": (None,),
        "callbacks": (None,),
    }
    rules: list[tuple[bool, dict[str, Container[Any]], str]] = [
        (lbfgs, mini_batches | validation, _WITH_LBFGS),
        (not (lbfgs or estimator.early_stopping), validation | {"stratify": ("auto",)}, "without early_stopping=True"),
        (own_rate, {"learning_rate_init": (0.001,)}, f"with solver={estimator.solver!r}, which has a learning rate of its own"),
        (estimator.loss != "quantile", {"quantile": (0.5,)}, f"with loss={estimator.loss!r}, only with loss='quantile'"),
        (estimator.loss != "huber", {"huber_delta": (1.0,)}, f"with loss={estimator.loss!r}, only with loss='huber'"),
    ]
    for applies, parameters, reason in rules:
        for name, unset in parameters.items():
            if applies and hasattr(estimator, name) and not _is_among(getattr(estimator, name), unset):
                yield name, reason


def _is_among(value: Any, unset: Container[Any]) -> bool:
    """Whether the value, or each in a list of them, is among those that ask for nothing."""
    values = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
    return all(isinstance(item, (Real, str, type(None))) and item in unset for item in values)


def warn_of_one_hot_classes(y: Any) -> None:
    """Warn about sets of labels that are one label in each row: most likely classes as one-hot vectors."""
    n_rows, n_labels = y.shape
    if n_rows > 1 and n_labels > 1 and (np.asarray(y.sum(axis=1)) == 1).all():
        message = (
            f"y has exactly one label in each of its {n_rows} rows, but is fitted as sets of labels: predictions may have "
            "several labels or none. Pass y.argmax(axis=1) if each row has one class."
        )
        warnings.warn(message, UserWarning, stacklevel=to_the_caller())


def warn_of_other_units(y: np.ndarray, y_val: np.ndarray) -> None:
    """Warn where the validation targets are far outside the range of the others, or spread far more or less."""
    for target, validation in zip(np.atleast_2d(y.T), np.atleast_2d(y_val.T), strict=True):
        if _is_far_outside(target, validation) or _differs_in_spread(target, validation):
            of_y, of_y_val = (" to ".join(f"{q:.4g}" for q in _quartiles(values)) for values in (target, validation))
            message = (
                f"y_val seems to be in other units than y: half of its values are from {of_y_val}, half of y's from {of_y}. Pass "
                "both in the same. TransformedTargetRegressor transforms y, but not y_val; scale_target=True standardises both."
            )
            warnings.warn(message, UserWarning, stacklevel=to_the_caller())
            return


def _quartiles(values: np.ndarray) -> np.ndarray:
    return np.quantile(values.astype(np.float64), [0.25, 0.75])


def _is_far_outside(y: np.ndarray, y_val: np.ndarray) -> bool:
    low, high = float(y.min()), float(y.max())
    return not 2 * low - high <= np.median(y_val) <= 2 * high - low


def _differs_in_spread(y: np.ndarray, y_val: np.ndarray) -> bool:
    if min(len(y), len(y_val)) < _FEWEST_TARGETS:
        return False
    spreads = sorted(float(np.diff(_quartiles(values))[0]) for values in (y, y_val))
    return 0 < _OTHER_UNITS * spreads[0] < spreads[1]
