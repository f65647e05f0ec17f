"""What the constructor's parameters may be, and what they stand for in the core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
from sklearn.utils._param_validation import Interval, InvalidParameterError, Options, StrOptions

from fastnet import activations, losses
from fastnet._hints import did_you_mean
from fastnet._loop import checked_callbacks
from fastnet.activations import ACTIVATIONS, Activation
from fastnet.layers import Dense
from fastnet.losses import Loss
from fastnet.optimizers import Optimizer
from fastnet.schedules import SCHEDULES, LearningRate, Schedule

from ._types import MLP, Regressor

#: scikit-learn's names of output activations, and the core's.
OUTPUT_ACTIVATIONS = {"identity": "identity", "exp": "exponential", "softmax": "softmax", "logistic": "sigmoid"}
HIDDEN_ACTIVATIONS = (ACTIVATIONS.keys() - {"softmax"}) | {"logistic"}
DTYPES = {np.dtype(np.float32), np.dtype(np.float64)}

_SolverName = Literal["lbfgs", "sgd", "adam", "adamw", "rmsprop", "adagrad", "momentum", "nesterov"]
_RatePolicy = Literal["constant", "invscaling", "adaptive"]
_RegressionLossName = Literal["squared_error", "poisson", "absolute_error", "huber", "log_cosh", "quantile"]
SOLVERS: set[str] = set(get_args(_SolverName))
RATE_POLICIES: set[str] = set(get_args(_RatePolicy))
REGRESSION_LOSSES: set[str] = set(get_args(_RegressionLossName))

# Types of the constructors' parameters. Names that come from a table which grows (activations, schedules) are strings.
HiddenLayerSizes: TypeAlias = int | Sequence[int] | np.ndarray
HiddenActivation: TypeAlias = str | Activation | Sequence[str | Activation]
Solver: TypeAlias = _SolverName | Optimizer
BatchSize: TypeAlias = int | Literal["auto"]
RatePolicy: TypeAlias = _RatePolicy | LearningRate
RegressionLoss: TypeAlias = _RegressionLossName | Loss
RandomState: TypeAlias = int | np.random.RandomState | None
Verbose: TypeAlias = bool | int | Literal["progress"]
Dropout: TypeAlias = float | Sequence[float] | np.ndarray
Quantiles: TypeAlias = float | Sequence[float] | np.ndarray
Precision: TypeAlias = Literal["float32", "float64"] | type[np.float32] | type[np.float64] | np.dtype | None
Scoring: TypeAlias = str | Callable[..., float] | None
ValidationSplit: TypeAlias = int | BaseCrossValidator | BaseShuffleSplit | Iterable[tuple[ArrayLike, ArrayLike]] | None
ClassWeight: TypeAlias = Mapping[Any, float] | Sequence[Mapping[Any, float]] | Literal["balanced"] | None
Stratify: TypeAlias = bool | Literal["auto"]

SHARED_CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(HIDDEN_ACTIVATIONS)), Activation, list, tuple],
    "solver": [StrOptions(SOLVERS), Optimizer],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions(RATE_POLICIES | SCHEDULES.keys()), Schedule, callable, "array-like"],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose", StrOptions({"progress"})],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "weight_decay": [Interval(Real, 0, None, closed="left"), None],
    "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
    "dtype": [StrOptions({"float32", "float64"}), Options(type, {np.float32, np.float64}), Options(np.dtype, DTYPES), None],
    "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    "scoring": [str, callable, None],
    "validation_split": ["cv_object", None],
    "restore_best": ["boolean", None],
    "partial_fit_epochs": [Interval(Integral, 1, None, closed="left")],
    "callbacks": [list, tuple, None],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
}

CLASSIFIER_CONSTRAINTS: dict[str, list[Any]] = SHARED_CONSTRAINTS | {
    "class_weight": [dict, list, StrOptions({"balanced"}), None],
    "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    "stratify": ["boolean", StrOptions({"auto"})],
}

REGRESSOR_CONSTRAINTS: dict[str, list[Any]] = (
    {"loss": [StrOptions(REGRESSION_LOSSES), Loss]}
    | SHARED_CONSTRAINTS
    | {
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "scale_target": ["boolean"],
        "sort_quantiles": ["boolean"],
    }
)


def invalid(estimator: MLP, name: str, expected: str, hint: str = "") -> InvalidParameterError:
    """The error that scikit-learn raises for a parameter out of its range, for what its tables cannot express."""
    value = getattr(estimator, name)
    return InvalidParameterError(
        f"The {name!r} parameter of {type(estimator).__name__} must be {expected}.{hint} Got {value!r} instead."
    )


def check_names(estimator: MLP) -> None:
    """Refuse values that are often given to the wrong parameter, and names that no table has, with the right word.

    Raises
    ------
    InvalidParameterError
    TypeError
        Callbacks that are none.
    """
    for name, value in estimator.get_params(deep=False).items():
        constraints = estimator._parameter_constraints.get(name, [])  # derived classes add parameters
        known = {option for c in constraints if isinstance(c, StrOptions) for option in c.options}
        if isinstance(value, str) and known and value not in known:
            hint = did_you_mean(value, known)
            if hint or len(known) > 1:
                raise invalid(estimator, name, f"a str among {', '.join(sorted(known))}", hint)
    if _is_number(estimator.learning_rate):
        raise invalid(estimator, "learning_rate", "a policy or a schedule", " The number goes to learning_rate_init.")
    loss = getattr(estimator, "loss", None)
    if isinstance(loss, (list, tuple, Integral)):
        hint = f" Name the layers: {type(estimator).__name__}(hidden_layer_sizes={loss!r})."
        raise invalid(estimator, "loss", "a loss (it is the first parameter, as in scikit-learn)", hint)
    if isinstance(estimator.validation_split, float):
        hint = " The share of the rows goes to validation_fraction."
        raise invalid(estimator, "validation_split", "a number of folds or a splitter of scikit-learn", hint)
    if estimator.callbacks is not None:
        checked_callbacks(estimator.callbacks)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def hidden_sizes(estimator: MLP) -> list[int]:
    """Units of each hidden layer.

    Raises
    ------
    ValueError
        Sizes that are no integers, or below 1.
    """
    sizes = estimator.hidden_layer_sizes
    sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    if not all(isinstance(size, Integral) for size in sizes):
        raise invalid(estimator, "hidden_layer_sizes", "an integer, or a list with one for each hidden layer")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def _per_layer(estimator: MLP, name: str, n_hidden: int) -> list[Any]:
    """The parameter `name` as a list with one entry a hidden layer."""
    value = getattr(estimator, name)
    if isinstance(value, np.ndarray):
        value = value.tolist()  # one value, if it has no dimensions
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return [value] * n_hidden
    if len(value) != n_hidden:
        raise invalid(estimator, name, f"one value, or a list with one value for each of the {n_hidden} hidden layers")
    return list(value)


def hidden_activations(estimator: MLP, n_hidden: int) -> list[Activation]:
    """The activation of each hidden layer."""
    specs = _per_layer(estimator, "activation", n_hidden)
    try:
        resolved = [activations.get(spec) for spec in specs]
    except TypeError as error:
        raise invalid(estimator, "activation", "made of names of activations and Activation objects") from error
    except ValueError as error:
        raise invalid(estimator, "activation", f"made of names among {sorted(HIDDEN_ACTIVATIONS)}") from error
    if any(activation.name == "softmax" for activation in resolved):
        raise invalid(estimator, "activation", "an elementwise function (softmax is for output layers)")
    return resolved


def initialization_activations(estimator: MLP, n_hidden: int) -> list[Activation]:
    """The activations that decide the initial weights of each layer: the output layer follows the last hidden one."""
    hidden = hidden_activations(estimator, n_hidden)
    spec = estimator.activation
    last = activations.get(spec) if isinstance(spec, (str, Activation)) else (hidden or [activations.get("relu")])[-1]
    return [*hidden, last]


def dropouts(estimator: MLP, n_hidden: int) -> list[float]:
    """The dropout probability of each hidden layer."""
    rates = _per_layer(estimator, "dropout", n_hidden)
    if not all(isinstance(rate, Real) and 0 <= float(rate) < 1 for rate in rates):
        raise invalid(estimator, "dropout", "made of numbers in the range [0.0, 1.0)")
    return [float(rate) for rate in rates]


def layers(estimator: MLP, sizes: list[int], out_activation: str) -> list[Dense]:
    """The core's layers for units `sizes` (hidden and output) and scikit-learn's name of the output activation."""
    n_hidden = len(sizes) - 1
    hidden = zip(sizes, hidden_activations(estimator, n_hidden), dropouts(estimator, n_hidden), strict=False)
    output = Dense(sizes[-1], OUTPUT_ACTIVATIONS[out_activation])
    return [*(Dense(int(size), activation, dropout=rate) for size, activation, rate in hidden), output]


def regression_loss(estimator: Regressor) -> Loss:
    """The loss object that `loss`, `quantile` and `huber_delta` name."""
    if isinstance(estimator.loss, Loss):
        if estimator.loss.name not in REGRESSION_LOSSES:
            raise invalid(estimator, "loss", f"a loss among {sorted(REGRESSION_LOSSES)}")
        return estimator.loss
    arguments: dict[str, Callable[[], Loss]] = {
        "huber": lambda: losses.Huber(float(estimator.huber_delta)),
        "quantile": lambda: _quantile_loss(estimator),
    }
    return arguments.get(estimator.loss, losses.LOSSES[estimator.loss])()


def _quantile_loss(estimator: Regressor) -> Loss:
    try:
        return losses.Quantile(estimator.quantile)
    except (TypeError, ValueError) as error:
        raise invalid(estimator, "quantile", "a float in the range (0.0, 1.0), or a list of such floats") from error
