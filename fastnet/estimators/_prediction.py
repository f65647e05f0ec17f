"""From the fitted attributes to outputs of the network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastnet._data import features
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
    estimator = estimator._for_rows(X)
    X = checked_data(estimator, X, reset=False)
    network = network_for(estimator, X.dtype)
    return network._outputs(features(X, network.n_inputs, network.dtype, check_finite=False), estimator.n_threads)


def network_for(estimator: MLP, dtype: np.dtype) -> Network:
    """The fitted network, in float64 where the data is and its parameters are not."""
    network = fitted_network(estimator)
    if estimator.dtype is None and dtype == np.float64 and network.dtype != np.float64:
        return build_network(estimator, np.float64)
    return network


def lengthened(network: Network, longest: int) -> Network:
    """A network for rows of up to `longest` positions, with the parameters of one for shorter ragged rows.

    Raises
    ------
    ValueError
        There are parameters of each position, which later ones lack.
    """
    shape = (longest, *network.input_shape[1:])
    longer = Network(network.layers, input_shape=shape, ragged=True, dtype=network.dtype, random_state=0)
    copy_parameters(network, longer)
    return longer


def copy_parameters(network: Network, longer: Network) -> None:
    """Give a network for longer rows the parameters of one for shorter rows; the sines of positions are its own."""
    frozen = [is_frozen for *_, is_frozen in longer._plan.segment_table()]
    for (name, _, _), is_frozen in zip(longer._graph.segments(), frozen, strict=True):
        if longer.parameters[name].shape == network.parameters[name].shape:
            longer.parameters[name][...] = network.parameters[name]
        elif not is_frozen:
            raise ValueError(
                f"X has a row of {longer.input_shape[0]} positions, the longest row of fit had {network.input_shape[0]}, and the "
                f"layers have parameters of each position ({name}): cut it."
            )


def plain_outputs(estimator: MLP, X: Any) -> np.ndarray | None:
    """`outputs` of plain arrays that need no conversion; None leaves all other data, and every error, to validation.

    For one row, validation takes ten times as long as the network.
    """
    attributes = estimator.__dict__
    kept = attributes.get("_fitted")
    if kept is None or type(X) is not np.ndarray or X.ndim != 2 or "feature_names_in_" in attributes:
        return None
    network = kept.network
    if network.ragged or X.dtype != network.dtype or X.shape[1] != network.n_inputs or not kept.serves(attributes):
        return None
    flags = X.flags
    if not (flags.c_contiguous and flags.aligned):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if not math.isfinite(np.add.reduce(X, axis=None)):
            return None
    return network._outputs(X, estimator.n_threads) if len(X) else None
