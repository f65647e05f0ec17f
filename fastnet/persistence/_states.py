"""A fitted estimator as its parameters, what fit learned, and its networks, whose tensors are numbered.

The modules of `KINDS` know the classes: each has a table `KINDS` of them, and `state_of`, `networks_of` and `estimator_of`.
"""

from __future__ import annotations

from importlib import import_module
from reprlib import repr as short
from typing import Any

import numpy as np

from fastnet.persistence import _network
from fastnet.persistence._container import Container
from fastnet.persistence._values import pack, pack_parameter, unpack

#: Kind of file -> the module that knows its class, which is imported when it is needed.
KINDS = {
    **dict.fromkeys(("tabular_classifier", "tabular_regressor", "tabular_preprocessor"), "fastnet.tabular.state"),
    **dict.fromkeys(
        ("forecaster", "image_classifier", "sequence_classifier", "sequence_regressor", "text_classifier"),
        "fastnet.estimators.ready",
    ),
}


def kind(model: Any) -> str | None:
    """Return the kind of file that holds `model`; None if none of the modules knows it."""
    package = type(model).__module__.rpartition(".")[0]
    module = next((module for module in KINDS.values() if module.rpartition(".")[0] == package), None)
    if module is None:
        return None
    return next((name for name, cls in import_module(module).KINDS.items() if type(model) is cls), None)


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
    module = import_module(KINDS[str(kind(estimator))])
    tensors: dict[str, np.ndarray] = {}
    content: dict[str, Any] = {
        "parameters": {name: pack_parameter(name, value, tensors) for name, value in estimator.get_params(deep=False).items()},
        "state": pack(module.state_of(estimator), tensors, "state"),
        "networks": [],
    }
    for number, network in enumerate(module.networks_of(estimator)):
        architecture, of_network = _network.describe(network)
        content["networks"].append(architecture)
        tensors |= {f"{number}/{name}": tensor for name, tensor in of_network.items()}
    return content, tensors


def build(content: dict[str, Any], file: Container) -> Any:
    """Return the estimator that `describe` described.

    Raises
    ------
    ValueError
        The description is invalid, or does not fit the networks.
    """
    parameters, architectures = content.get("parameters"), content.get("networks")
    if not isinstance(parameters, dict) or not isinstance(architectures, list):
        raise ValueError("broken file: it has no parameters or no networks")
    if not all(isinstance(architecture, dict) for architecture in architectures):
        raise ValueError(f"broken file: networks are {short(architectures)}, expected JSON objects")
    networks = [_network.build(of_one, _part(file, f"{number}/")) for number, of_one in enumerate(architectures)]
    if not all(np.isfinite(network.params).all() for network in networks):
        raise ValueError("a network holds NaN or Inf")
    given = {name: unpack(value, file) for name, value in parameters.items()}
    kind, state = content["kind"], unpack(content.get("state"), file)
    try:
        return import_module(KINDS[kind]).estimator_of(kind, given, state, networks)
    except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
        raise ValueError(f"broken file: the estimator cannot be made: {error!r}") from error


def _part(file: Container, prefix: str) -> Container:
    """Return the tensors whose names begin with `prefix`, by the rest of the name."""
    tensors = {name.removeprefix(prefix): tensor for name, tensor in file.tensors.items() if name.startswith(prefix)}
    return Container(file.metadata, tensors, file.size)
