"""Fitted estimators with a network of their own choice as plain values and a network, for files."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from fastnet.history import History
from fastnet.network import Network

from ._forecast import Forecaster
from ._image import ImageClassifier
from ._ready import ReadyClassifier, ReadyNetwork, ReadyRegressor, StandardisedEstimator
from ._sequence import SequenceClassifier, SequenceRegressor
from ._series import Form
from ._text import END, READING, TextClassifier

#: Kind of file -> class.
KINDS: dict[str, type[ReadyNetwork]] = {
    "forecaster": Forecaster,
    "image_classifier": ImageClassifier,
    "sequence_classifier": SequenceClassifier,
    "sequence_regressor": SequenceRegressor,
    "text_classifier": TextClassifier,
}
#: Class -> the attributes that it and those derived from it have after fit, beside network, history, target scaler and forms.
_FITTED: dict[type, tuple[str, ...]] = {
    ReadyNetwork: ("input_shape_", "n_iter_"),
    StandardisedEstimator: ("n_features_in_", "mean_", "scale_"),
    ReadyClassifier: ("classes_",),
    ReadyRegressor: ("_one_column",),
    TextClassifier: ("vocabulary_", "_reading"),
    Forecaster: ("window_", "horizon_", "season_", "quantiles_", "levels_", "scale_", "_past", "_several"),
}
#: Attributes that they have of some forms of X alone.
_NAMES = ("feature_names_in_", "_columns")
_SCALER = ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_")


def networks_of(estimator: ReadyNetwork) -> list[Network]:
    """The network of a fitted estimator."""
    return [estimator.network_]


def _names(estimator: ReadyNetwork) -> list[str]:
    return [name for cls, names in _FITTED.items() if isinstance(estimator, cls) for name in names]


def state_of(estimator: ReadyNetwork) -> dict[str, Any]:
    """What fit found out, but for the network: numbers, text, arrays, and lists, tuples and dicts of them."""
    fitted = vars(estimator)
    state = {name: fitted[name] for name in _names(estimator)}
    state |= {name: fitted[name] for name in _NAMES if fitted.get(name) is not None}
    if "target_scaler_" in fitted:
        state["target_scaler"] = {name: getattr(estimator.target_scaler_, name) for name in _SCALER}
    if "_forms" in fitted:
        state["forms"] = [form.as_dict() for form in fitted["_forms"]]
    return {**state, "history": estimator.history_.as_arrays(), "kept_epoch": estimator.history_.kept_epoch}


def estimator_of(kind: str, parameters: dict[str, Any], state: dict[str, Any], networks: list[Network]) -> ReadyNetwork:
    """The estimator whose `state_of` is `state`.

    Raises
    ------
    ValueError, TypeError, KeyError
        The state is not one, or does not fit the network.
    """
    estimator = KINDS[kind](**parameters)
    estimator._validate_params()
    if isinstance(estimator, TextClassifier):
        state = {"_reading": {name: parameters[name] for name in READING}, **state}  # older files have the parameters alone
    known = [*_names(estimator), *(name for name in _NAMES if name in state)]
    estimator.__dict__.update({name: state[name] for name in known})
    estimator.history_ = History.from_arrays(state["history"], state["kept_epoch"])
    if isinstance(estimator, ReadyRegressor):
        estimator.__dict__["target_scaler_"] = _scaler(state["target_scaler"])
    if isinstance(estimator, Forecaster):
        estimator.__dict__["_forms"] = [Form.from_dict(plain) for plain in state["forms"]]
    (estimator.network_,) = networks
    _check(estimator)
    return estimator


def _scaler(state: dict[str, Any]) -> StandardScaler:
    """What standardised the targets of a regressor."""
    scaler: Any = StandardScaler()
    vars(scaler).update({name: state[name] for name in _SCALER})
    _check_scale(scaler.mean_, scaler.scale_, (scaler.n_features_in_,))
    return scaler


def _check(estimator: ReadyNetwork) -> None:
    """Refuse, with a ValueError, what does not fit the network."""
    network, channels = estimator.network_, estimator.input_shape_[-1]
    if estimator._output_layer().n_units != network.n_outputs or tuple(estimator.input_shape_) != network.input_shape:
        raise ValueError("the network does not have the estimator's inputs and outputs")
    if isinstance(estimator, StandardisedEstimator):
        if estimator.n_features_in_ != np.prod(network.input_shape):
            raise ValueError(f"{estimator.n_features_in_} features are not those of its network")
        _check_scale(estimator.mean_, estimator.scale_, (channels,))
    if isinstance(estimator, TextClassifier):
        _check_vocabulary(estimator.vocabulary_, network)
        _check_reading(estimator._reading)
    if isinstance(estimator, Forecaster):
        _check_past(estimator, channels)


def _check_scale(mean: np.ndarray, scale: np.ndarray, shape: tuple[int, ...]) -> None:
    if mean.shape != shape or scale.shape != shape or not np.isfinite(mean).all() or not (scale > 0).all():
        raise ValueError(f"it needs finite means and positive deviations of shape {shape}")


def _check_vocabulary(vocabulary: dict[str, int], network: Network) -> None:
    known = range(END + 1, network.layers[0].n_ids)  # type: ignore[attr-defined]
    words = all(isinstance(token, str) for token in vocabulary)
    if not words or not network.ragged or sorted(vocabulary.values()) != list(known):
        raise ValueError("the vocabulary is not that of the network")


def _check_reading(reading: dict[str, Any]) -> None:
    if reading.keys() != set(READING):
        raise ValueError("it does not say how texts are read")
    TextClassifier(**reading)._validate_params()


def _check_past(estimator: Forecaster, channels: int) -> None:
    past, forms, scale = estimator._past, estimator._forms, estimator.scale_
    _check_scale(np.zeros(scale.shape), scale, (len(past), channels))
    least = max(estimator.window_, estimator.season_ or 0)
    if not {*estimator.quantiles_} <= {*estimator.levels_}:
        raise ValueError("the quantiles are not among those of its network")
    if not past or len(forms) != len(past) or any(v.shape[1:] != (channels,) or len(v) < least for v in past):
        raise ValueError("the values before the forecasts are not those of its series")
    for form in forms:
        form.check(estimator.horizon_, channels)
