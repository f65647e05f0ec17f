"""A fitted estimator: its network, its parameters, and the fitted attributes that are not the network's.

What follows from the network (`n_features_in_`, `n_outputs_`, `n_layers_`, `out_activation_`) is not stored, so that it cannot
contradict it. The optimiser's memory is not stored either: `partial_fit` on a loaded estimator starts with a fresh one.
"""

from __future__ import annotations

from reprlib import repr as short
from typing import Any

import numpy as np

from fastnet.losses import Quantile
from fastnet.network import Network
from fastnet.persistence import _network
from fastnet.persistence._container import Container
from fastnet.persistence._values import pack, pack_labels, pack_parameter, unpack

NUMBERS = ("n_iter_", "t_", "loss_", "best_loss_", "best_validation_score_", "_no_improvement_count")
CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")
TARGET_SCALER = ("mean_", "var_", "scale_", "n_samples_seen_")
TARGET_TYPES = ("binary", "multiclass", "multilabel-indicator")


def kind(model: Any) -> str:
    """Return the kind of file that holds `model`.

    Raises
    ------
    TypeError
        It is not one of fastnet's estimators that files hold.
    """
    for name, cls in _classes().items():
        if type(model) is cls:
            return name
    if hasattr(model, "to_local"):
        raise TypeError(f"cannot save a {type(model).__name__} on Dask: save its copy without Dask, model.to_local().save(path)")
    known = ", ".join(cls.__name__ for cls in _classes().values())
    raise TypeError(f"cannot save a {type(model).__name__}, expected a Network, or a fitted {known}")


def describe(estimator: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the description of a fitted estimator as a JSON object, and its tensors.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        It is not fitted.
    TypeError
        A parameter is of a type that files do not hold.
    """
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(estimator)
    content, tensors = _network.describe(network_of(estimator))
    fitted = vars(estimator)
    parameters = {**estimator.get_params(deep=False), "callbacks": None}  # they belong to one training, and may hold anything
    content["parameters"] = {name: _parameter(name, value, tensors) for name, value in parameters.items()}
    content["numbers"] = {name: pack(fitted[name], tensors, name) for name in NUMBERS if name in fitted}
    content["curves"] = {name: _curve(fitted[name], tensors, name) for name in CURVES if name in fitted}
    if "feature_names_in_" in fitted:
        content["feature_names"] = pack_labels(estimator.feature_names_in_)
    if fitted.get("_columns") is not None:
        content["columns"] = pack(estimator._columns, tensors, "columns")
    if "target_scaler_" in fitted:
        scaler = estimator.target_scaler_
        content["target_scaler"] = {name: _vector(getattr(scaler, name), tensors, name) for name in TARGET_SCALER}
    if hasattr(estimator, "_levels"):
        content["levels"] = pack(estimator._levels(), tensors, "levels")
    if "classes_" in fitted:
        binarizer = estimator._label_binarizer
        content["classes"] = pack_labels(estimator.classes_)
        content["target_type"] = binarizer.y_type_
        content["sparse_targets"] = bool(binarizer.sparse_input_)
    return content, tensors


def network_of(estimator: Any) -> Network:
    """Return the network of a fitted estimator."""
    from fastnet.estimators.models import fitted_network

    return fitted_network(estimator)


def build(content: dict[str, Any], file: Container) -> Any:
    """Return the estimator that `describe` described, with parameters in the file's own memory.

    Raises
    ------
    ValueError
        The description is invalid, or does not fit the network.
    """
    from fastnet.estimators.models import install

    network = _network.build(content, file)
    parameters = {name: unpack(value, file) for name, value in _object(content, "parameters").items()}
    cls = _classes()[content["kind"]]
    unknown = sorted(parameters.keys() - cls().get_params(deep=False).keys())
    if unknown:
        raise ValueError(f"broken file: {cls.__name__} has no parameters {short(unknown)}")
    estimator = cls(**parameters)
    if "levels" in content:
        estimator._fitted_levels = _levels(unpack(content["levels"], file), network.n_outputs)
    try:
        install(estimator, network)
    except (TypeError, ValueError) as error:
        raise ValueError(f"broken file: {error}") from error
    vars(estimator).update(_numbers(_object(content, "numbers"), file), **_curves(_object(content, "curves"), file))
    if "feature_names" in content:
        estimator.feature_names_in_ = _labels(content["feature_names"], file, network.n_inputs, "feature names")
    if "columns" in content:
        estimator._columns = unpack(content["columns"], file)
    if content["kind"].endswith("classifier"):
        _restore_classes(estimator, content, file)
    if "target_scaler" in content:
        estimator.target_scaler_ = _target_scaler(_object(content, "target_scaler"), file, network.n_outputs)
    return estimator


def _classes() -> dict[str, type]:
    from fastnet.estimators import MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor

    return {
        "classifier": MLPClassifier,
        "regressor": MLPRegressor,
        "network classifier": NetworkClassifier,
        "network regressor": NetworkRegressor,
    }


def _parameter(name: str, value: Any, tensors: dict[str, np.ndarray]) -> Any:
    if name == "dtype" and value is not None:
        value = np.dtype(value).name
    return pack_parameter(name, value, tensors)


def _curve(values: Any, tensors: dict[str, np.ndarray], name: str) -> Any:
    return None if values is None else _vector(values, tensors, name)


def _vector(values: Any, tensors: dict[str, np.ndarray], name: str) -> Any:
    return pack(np.atleast_1d(np.asarray(values, np.float64)), tensors, name)


def _object(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"broken file: {name} is not a JSON object")
    return value


def _numbers(packed: dict[str, Any], file: Container) -> dict[str, Any]:
    values = {name: unpack(value, file) for name, value in packed.items() if name in NUMBERS}
    numeric = (int, float, np.number, type(None))
    if len(values) < len(packed) or not all(isinstance(value, numeric) for value in values.values()):
        raise ValueError(f"broken file: numbers must be among {', '.join(NUMBERS)}")
    return values


def _curves(packed: dict[str, Any], file: Container) -> dict[str, Any]:
    values = {name: unpack(value, file) for name, value in packed.items() if name in CURVES}
    if len(values) < len(packed) or not all(value is None or _is_curve(value) for value in values.values()):
        raise ValueError(f"broken file: curves must be float64 vectors among {', '.join(CURVES)}")
    return {name: value if value is None else _as_list(name, value) for name, value in values.items()}


def _is_curve(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.str == "<f8"


def _as_list(name: str, curve: np.ndarray) -> list[Any]:
    """Return the curves as fit makes them: the training curve holds NumPy's floats, the others Python's."""
    return [np.float64(value) for value in curve] if name == "loss_curve_" else curve.tolist()


def _labels(packed: Any, file: Container, n: int, what: str) -> np.ndarray:
    labels = unpack(packed, file)
    if not isinstance(labels, np.ndarray) or labels.shape != (n,):
        raise ValueError(f"broken file: expected {n} {what}")
    return labels


def _levels(levels: Any, n_outputs: int) -> tuple[float, ...]:
    try:
        loss = Quantile(levels)
        loss.n_targets(n_outputs)
    except (TypeError, ValueError) as error:
        raise ValueError(f"broken file: its levels are no quantiles of its network: {error}") from error
    return loss.levels


def _restore_classes(estimator: Any, content: dict[str, Any], file: Container) -> None:
    from sklearn.preprocessing import LabelBinarizer

    classes, kind, sparse = unpack(content.get("classes"), file), content.get("target_type"), content.get("sparse_targets")
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or kind not in TARGET_TYPES or not isinstance(sparse, bool):
        raise ValueError("broken file: it holds no class labels")
    n, units = len(classes), estimator.n_outputs_
    fits = units == n if kind == "multilabel-indicator" or n > 2 else units == 1 and n > 0
    softmax = kind != "multilabel-indicator" and units > 1
    if not fits or estimator.out_activation_ != ("softmax" if softmax else "logistic"):
        raise ValueError(f"broken file: {n} classes ({kind}) do not fit {units} outputs with {estimator.out_activation_}")
    binarizer = LabelBinarizer()
    binarizer.classes_, binarizer.y_type_, binarizer.sparse_input_ = classes, kind, sparse
    estimator.classes_, estimator._label_binarizer = classes, binarizer


def _target_scaler(packed: dict[str, Any], file: Container, n_outputs: int) -> Any:
    from sklearn.preprocessing import StandardScaler

    vectors = {name: unpack(value, file) for name, value in packed.items() if name in TARGET_SCALER}
    if len(vectors) < len(TARGET_SCALER) or not all(_is_curve(v) and np.isfinite(v).all() for v in vectors.values()):
        raise ValueError(f"broken file: the target scaler must have finite float64 vectors {', '.join(TARGET_SCALER)}")
    mean, variance, scale, n_seen = (vectors[name].copy() for name in TARGET_SCALER)
    fits = len(mean) == len(variance) == len(scale) > 0 and n_outputs % len(mean) == 0 and len(n_seen) == 1
    if not fits or (variance < 0).any() or not (scale > 0).all() or n_seen[0] <= 0:
        raise ValueError(f"broken file: the target scaler does not fit a network of {n_outputs} outputs")
    scaler = StandardScaler()
    scaler.mean_, scaler.var_, scaler.scale_, scaler.n_samples_seen_ = mean, variance, scale, n_seen[0]
    scaler.n_features_in_ = len(mean)
    return scaler
