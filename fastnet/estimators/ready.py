"""Fitted estimators with a network of their own choice as plain values and a network, for files."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from fastnet.history import History
from fastnet.network import Network

from ._image import ImageClassifier
from ._ready import ReadyNetwork, StandardisedNetwork
from ._sequence import SequenceClassifier, SequenceRegressor
from ._text import END, TextClassifier

#: Kind of file -> class.
KINDS: dict[str, type[ReadyNetwork]] = {
    "image_classifier": ImageClassifier,
    "sequence_classifier": SequenceClassifier,
    "sequence_regressor": SequenceRegressor,
    "text_classifier": TextClassifier,
}
_FITTED = (
    "input_shape_",
    "n_iter_",
    "n_features_in_",
    "feature_names_in_",
    "mean_",
    "scale_",
    "vocabulary_",
    "classes_",
    "_one_column",
)
_SCALER = ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_")


def networks_of(estimator: ReadyNetwork) -> list[Network]:
    """The network of a fitted estimator."""
    return [estimator.network_]


def state_of(estimator: ReadyNetwork) -> dict[str, Any]:
    """What fit found out, but for the network: numbers, text, arrays, and lists, tuples and dicts of them."""
    fitted = vars(estimator)
    state = {name: fitted[name] for name in _FITTED if name in fitted}
    if "target_scaler_" in fitted:
        state["target_scaler"] = {name: getattr(estimator.target_scaler_, name) for name in _SCALER}
    curves = {name: np.array(values) for name, values in estimator.history_.as_dict().items()}
    return {**state, "history": {**curves, "kept_epoch": estimator.history_.kept_epoch}}


def estimator_of(kind: str, parameters: dict[str, Any], state: dict[str, Any], networks: list[Network]) -> ReadyNetwork:
    """The estimator whose `state_of` is `state`.

    Raises
    ------
    ValueError, TypeError, KeyError
        The state is not one, or does not fit the network.
    """
    estimator = KINDS[kind](**parameters)
    estimator.__dict__.update({name: state[name] for name in _FITTED if name in state})
    curves = {name: values.tolist() if isinstance(values, np.ndarray) else values for name, values in state["history"].items()}
    estimator.history_ = History(**curves)
    (estimator.network_,) = networks
    n_outputs = len(estimator.classes_) if "classes_" in state else _restore_scaler(estimator, state["target_scaler"])
    if n_outputs != estimator.network_.n_outputs or tuple(estimator.input_shape_) != estimator.network_.input_shape:
        raise ValueError("the network does not have the estimator's inputs and outputs")
    if isinstance(estimator, StandardisedNetwork):
        _check_scale(estimator.mean_, estimator.scale_, estimator.input_shape_[-1])
    if isinstance(estimator, TextClassifier):
        _check_vocabulary(estimator.vocabulary_, estimator.network_)
    return estimator


def _restore_scaler(estimator: Any, state: dict[str, Any]) -> int:
    """The scaler of a regressor's targets, and their number."""
    scaler: Any = StandardScaler()
    vars(scaler).update({name: state[name] for name in _SCALER})
    _check_scale(scaler.mean_, scaler.scale_, scaler.n_features_in_)
    estimator.target_scaler_ = scaler
    return len(scaler.mean_)


def _check_scale(mean: np.ndarray, scale: np.ndarray, n: int) -> None:
    if mean.shape != (n,) or scale.shape != (n,) or not np.isfinite(mean).all() or not (scale > 0).all():
        raise ValueError(f"it needs {n} finite means and {n} positive deviations")


def _check_vocabulary(vocabulary: dict[str, int], network: Network) -> None:
    known = range(END + 1, network.layers[0].n_ids)  # type: ignore[attr-defined]
    if not all(isinstance(token, str) for token in vocabulary) or sorted(vocabulary.values()) != list(known):
        raise ValueError("the vocabulary is not that of the network")
