"""From the fitted attributes to outputs of the network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastnet.network import Network

from ._sklearn import checked_data
from ._types import MLP


class FittedNetwork:
    """The network whose parameters the attributes of an estimator are views of.

    Kept between calls to save building it. The attributes stay the model: as soon as one of them is another object than
    the view of this network, `serves` says no, and the network is not used.
    """

    __slots__ = ("activation", "biases", "network", "weights")

    def __init__(self, estimator: MLP, network: Network) -> None:
        self.network, self.activation = network, estimator.activation
        self.weights, self.biases = map(tuple, estimator._parameters_of(network))

    def serves(self, attributes: dict[str, Any]) -> bool:
        """Whether the attributes are still those of this network."""
        for ours, theirs in ((self.weights, attributes["coefs_"]), (self.biases, attributes["intercepts_"])):
            if len(ours) != len(theirs):
                return False
            for a, b in zip(ours, theirs):  # noqa: B905  lengths are equal, and a keyword costs time
                if a is not b:
                    return False
        activation = attributes["activation"]
        return activation is self.activation or (type(activation) is type(self.activation) and activation == self.activation)


def adopt(estimator: MLP, network: Network) -> None:
    """Make the network's parameters the attributes of `estimator`."""
    fitted = FittedNetwork(estimator, network)
    estimator.coefs_, estimator.intercepts_ = list(fitted.weights), list(fitted.biases)
    estimator._fitted = fitted


def build_network(estimator: MLP, dtype: Any = None) -> Network:
    """A network with copies of the estimator's parameters."""
    return estimator._build_network(dtype)


def fitted_network(estimator: MLP) -> Network:
    """The network of the fitted estimator."""
    kept = estimator.__dict__.get("_fitted")
    return kept.network if kept is not None and kept.serves(estimator.__dict__) else build_network(estimator)


def outputs(estimator: MLP, X: Any) -> np.ndarray:
    """Activations of the output layer for data as a user gives it.

    Returns
    -------
    ndarray of shape (m, n_outputs)
        float64, unless both `X` and the parameters are float32 or `dtype` asks for it.

    Raises
    ------
    NotFittedError
        The estimator has no parameters yet.
    ValueError
        Data that scikit-learn would refuse.
    """
    result = plain_outputs(estimator, X)
    if result is not None:
        return result
    check_is_fitted(estimator)
    X = checked_data(estimator, X, reset=False)
    return network_for(estimator, X.dtype)._forward(X, check_finite=False, n_threads=estimator.n_threads, batch=True)


def network_for(estimator: MLP, dtype: np.dtype) -> Network:
    """The fitted network, in float64 where the data is and its parameters are not."""
    network = fitted_network(estimator)
    if estimator.dtype is None and dtype == np.float64 and network.dtype != np.float64:
        return build_network(estimator, np.float64)
    return network


def plain_outputs(estimator: MLP, X: Any) -> np.ndarray | None:
    """`outputs` of plain arrays that need no conversion; None leaves all other data, and every error, to validation.

    For one row, validation takes ten times as long as the network.
    """
    attributes = estimator.__dict__
    kept = attributes.get("_fitted")
    if kept is None or type(X) is not np.ndarray or X.ndim != 2 or "feature_names_in_" in attributes:
        return None
    network = kept.network
    if X.dtype != network.dtype or X.shape[1] != network.n_inputs or not kept.serves(attributes):
        return None
    flags = X.flags
    if not (flags.c_contiguous and flags.aligned):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if not math.isfinite(np.add.reduce(X, axis=None)):
            return None
    return network._outputs(X, estimator.n_threads) if len(X) else None
