"""Rows of X and y as users give them, in the shapes of a network, and as its core takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _checks, _data
from fastnet.layers import Inputs
from fastnet.layers.lengths import positions_there
from fastnet.ragged import check_label_shape, core_labels, core_rows

if TYPE_CHECKING:
    from fastnet.losses import Loss
    from fastnet.network import Network


def inputs_of(
    n_inputs: int | None, input_shape: Sequence[int] | None, source_shape: Sequence[int] | None, ragged: bool
) -> Inputs:
    """What a row of X is: a number of features, or their shape."""
    ragged = _checks.boolean(ragged, "ragged")
    if (n_inputs is None) == (input_shape is None):
        raise TypeError(f"Give either n_inputs or input_shape, got n_inputs={n_inputs!r} and input_shape={input_shape!r}.")
    if input_shape is None and ragged:
        raise TypeError("ragged=True needs the input_shape of the longest row, as in input_shape=(100, 3), got n_inputs.")
    if input_shape is None and source_shape is not None:
        raise TypeError("source_shape needs the input_shape of the rows beside the sources, as in (20,), got n_inputs.")
    if input_shape is None:
        return Inputs((_checks.positive_int(n_inputs, "n_inputs", maximum=_checks.MAX_DIMENSION),))
    source = () if source_shape is None else _shape(source_shape, "source_shape")
    return Inputs(_shape(input_shape, "input_shape"), ragged, source)


def _shape(given: Sequence[int], name: str) -> tuple[int, ...]:
    given = _checks.sequence(given, name, "(100, 3)")
    if None in given:
        raise TypeError(
            f"{name} must be integers, got {given!r}: in place of None give the length of the longest row, and ragged=True if "
            "others are shorter."
        )
    shape = tuple(_checks.positive_int(n, name, maximum=_checks.MAX_DIMENSION) for n in given)
    _checks.positive_int(math.prod(shape) if shape else 0, f"the numbers of {name}", maximum=_checks.MAX_DIMENSION)
    return shape


def flat(network: Network, X: Any) -> Any:
    """Rows (m, *input_shape) or ragged ones, or one row, as (m, n_inputs) or (n_inputs,); anything else as it is."""
    if network.source_shape:
        return _beside_sources(network, X)
    return _flat(network, X, network.input_shape, 0)


def flat_rows(network: Network, X: Any) -> Any:
    """The same of a batch: an array (m, n_inputs) is one, also where a single row has that shape."""
    is_flat = isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == network.n_inputs and not network.ragged
    return X if is_flat else flat(network, X)


def _beside_sources(network: Network, X: Any) -> Any:
    """Rows with their sources after them."""
    if isinstance(X, np.ndarray) and X.shape[-1:] == (network.n_inputs,):
        return X
    if not isinstance(X, tuple) or len(X) != 2:
        raise TypeError(f"X must be a tuple (sources, rows), as the network has a source_shape, got {short(X)}.")
    sources = _checks.numeric_array(_flat(network, X[0], network.source_shape, 1), "the sources of X")
    rows = _checks.numeric_array(_flat(network, X[1], network.input_shape, 0), "the rows of X")
    for part, shape, name in ((sources, network.source_shape, "sources"), (rows, network.input_shape, "rows")):
        if part.shape[-1:] != (math.prod(shape) + network.ragged,):
            raise ValueError(f"X must be (sources, rows) of {name} of shape {shape}, got an array of shape {part.shape}.")
    if sources.shape[:-1] != rows.shape[:-1]:
        raise ValueError(f"X must have as many sources as rows, got arrays of shapes {sources.shape} and {rows.shape}.")
    return np.concatenate([rows, sources], axis=-1)


def _flat(network: Network, X: Any, shape: tuple[int, ...], sequence: int) -> Any:
    """Rows of one of the network's sequences."""
    if network.ragged:
        return core_rows(X, shape, network._graph.shortest[sequence], network.dtype)
    if _data.is_sparse(X) and not network._plan.takes_sparse:
        raise ValueError(
            "X is sparse, which only networks of one member can read, where it is read by Dense layers: give X.toarray()."
        )
    if len(shape) == 1 or _data.is_sparse(X):
        return X
    try:
        X = _checks.numeric_array(X, "X")
    except ValueError as error:
        raise ValueError(f"{error} Rows of unequal length need a network with ragged=True.") from None
    if X.shape == shape:
        return X.reshape(-1)
    if X.shape[1:] == shape:
        return X.reshape(len(X), math.prod(shape))
    if X.ndim > 2:
        raise ValueError(f"X must have shape (rows, {', '.join(map(str, shape))}), got {X.shape}.")
    return X


def dataset(
    network: Network, X: Any, y: Any, sample_weight: Any, loss: Loss, target_dtype: np.dtype | None = None
) -> _data.Dataset:
    """X, y and sample weights in the core's form."""
    X, y = flat_with_labels(network, X, y)
    n_positions = network._plan.n_positions
    sizes = network.n_inputs, network.n_outputs
    return _data.validated(X, y, sample_weight, *sizes, loss, network.dtype, target_dtype, n_positions)


def flat_with_labels(network: Network, X: Any, y: Any) -> tuple[Any, Any]:
    """X as of `flat`, and y; class numbers of rows of unequal length with -1 at positions that a row does not have."""
    X = flat_rows(network, X)
    if y is not None and network._plan.n_positions > 1:
        if network.ragged:
            return X, core_labels(y, outputs_there(network, X))
        y = _checks.numeric_array(y, "y")
        if y.ndim > 2:
            check_label_shape(y.shape, (len(y), *network.output_shape[:-1]))
    return X, y


def outputs_there(network: Network, X: np.ndarray) -> np.ndarray:
    """Which positions of the output rows X in the core's form have, (m, *output_shape) without the last axis."""
    shape = len(X), *network.output_shape[:-1]
    lengths = network._graph.output_lengths(X[:, math.prod(network.input_shape)])
    if lengths is None:
        return np.ones(shape, bool)
    there = positions_there(lengths[:, None], shape[1])
    return np.broadcast_to(there.reshape(*there.shape, *(1,) * (len(shape) - 2)), shape)
