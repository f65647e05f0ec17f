"""Fitted estimators of tables as plain values and networks, for files."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from fastnet.history import History
from fastnet.network import Network
from fastnet.tabular._base import BaseTabular
from fastnet.tabular._classifier import TabularClassifier
from fastnet.tabular._columns import ENCODERS, Encoder, Number, Scaling
from fastnet.tabular._preprocessor import TabularPreprocessor
from fastnet.tabular._regressor import TabularRegressor

#: Kind of file -> class.
KINDS: dict[str, type] = {
    "tabular_classifier": TabularClassifier,
    "tabular_regressor": TabularRegressor,
    "tabular_preprocessor": TabularPreprocessor,
}
_FITTED = ("n_features_in_", "feature_names_in_")
_OF_ESTIMATORS = ("target_names_", "weights_", "n_iter_", "validation_score_", "feature_importances_")
_OF_KIND: dict[type, tuple[str, ...]] = {
    TabularClassifier: ("classes_", "temperature_"),
    TabularRegressor: ("quantiles_", "_one_target", "_low", "_high", "_shift", "_spread"),
}


def state_of(estimator: Any) -> dict[str, Any]:
    """What fit found out, but for the networks: numbers, text, arrays, and lists, tuples and dicts of them.

    Parameters
    ----------
    estimator : TabularPreprocessor, TabularClassifier or TabularRegressor
        A fitted one.
    """
    fitted = vars(estimator)
    state = {name: fitted[name] for name in _FITTED if name in fitted}
    if isinstance(estimator, TabularPreprocessor):
        return {**state, "names": estimator._names, "encoders": [_plain_encoder(encoder) for encoder in estimator._encoders]}
    names = (*_OF_ESTIMATORS, *_OF_KIND[type(estimator)])
    return {
        **state,
        **{name: getattr(estimator, name) for name in names},
        "preprocessor": state_of(estimator.preprocessor_),
        "history": [of_one.as_arrays() for of_one in estimator.history_],
    }


def networks_of(estimator: Any) -> list[Network]:
    """The networks of a fitted estimator; a preprocessor has none."""
    return getattr(estimator, "networks_", [])


def estimator_of(kind: str, parameters: dict[str, Any], state: dict[str, Any], networks: list[Network]) -> Any:
    """The estimator whose `state_of` is `state`.

    Raises
    ------
    ValueError, TypeError, KeyError
        The state is not one, or does not fit the networks.
    """
    estimator = KINDS[kind](**parameters)
    vars(estimator).update({name: state[name] for name in _FITTED if name in state})
    if isinstance(estimator, TabularPreprocessor):
        encoders = [_encoder(plain) for plain in state["encoders"]]
        if len(encoders) != state["n_features_in_"] or len(state["names"]) != len(encoders):
            raise ValueError(f"{len(encoders)} columns do not fit {state['n_features_in_']} features")
        estimator._adopt(list(state["names"]), encoders)
        return estimator
    assert isinstance(estimator, BaseTabular)
    given = {name: getattr(estimator, name) for name in ("categorical_features", "max_one_hot", "min_category_count")}
    estimator.preprocessor_ = estimator_of("tabular_preprocessor", given, state["preprocessor"], [])
    if isinstance(estimator, TabularRegressor) and "quantiles_" not in state:  # earlier versions asked the parameters
        state = {**state, "quantiles_": estimator._chosen_quantiles()}
    estimator.__dict__.update({name: state[name] for name in (*_OF_ESTIMATORS, *_OF_KIND[type(estimator)])})
    estimator.history_ = [History.from_arrays(curves) for curves in state["history"]]
    n_inputs, n_outputs = max(estimator.preprocessor_.n_features_out_, 1), estimator._n_outputs()
    if not networks or any((network.n_inputs, network.n_outputs) != (n_inputs, n_outputs) for network in networks):
        raise ValueError(f"the networks do not have {n_inputs} inputs and {n_outputs} outputs")
    estimator.networks_ = networks
    return estimator


def _plain_encoder(encoder: Encoder) -> dict[str, Any]:
    return {"kind": encoder.kind, **{field.name: _plain(getattr(encoder, field.name)) for field in fields(encoder)}}


def _plain(value: Any) -> Any:
    if isinstance(value, Encoder):
        return _plain_encoder(value)
    if isinstance(value, Scaling):
        return {"median": value.median, "factor": value.factor}
    if isinstance(value, tuple) and value and isinstance(value[0], Scaling):
        return {"scalings": np.array([[scaling.median, scaling.factor] for scaling in value])}
    return {"values": np.array([*value, None], dtype=object)[:-1]} if isinstance(value, tuple) else value


def _encoder(plain: dict[str, Any]) -> Encoder:
    values = {name: _value(value) for name, value in plain.items() if name != "kind"}
    return ENCODERS[plain["kind"]](**values)


def _value(plain: Any) -> Any:
    if not isinstance(plain, dict):
        return plain
    if "kind" in plain:
        encoder = _encoder(plain)
        if not isinstance(encoder, Number):
            raise ValueError(f"a column within a column cannot be {encoder.kind!r}")
        return encoder
    if "values" in plain:
        return tuple(plain["values"].tolist())
    if "scalings" in plain:
        return tuple(Scaling(*pair) for pair in plain["scalings"].tolist())
    return Scaling(float(plain["median"]), float(plain["factor"]))
