"""Ensembles: how the members of a network are put together, and each of them alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fastnet import _checks, _data
from fastnet._core import core
from fastnet.layers import ENSEMBLES, zeros

if TYPE_CHECKING:
    from fastnet._data import MatrixLike
    from fastnet.network import Network


@dataclass(frozen=True)
class Ensemble:
    """How the members of a network are put together."""

    n_members: int = 1
    kind: str = "packed"
    loss: str = "members"

    def __post_init__(self) -> None:
        _checks.positive_int(self.n_members, "n_members", maximum=1 << 16)
        _checks.one_of(self.kind, "ensemble", ENSEMBLES)
        _checks.one_of(self.loss, "ensemble_loss", ("members", "mean"))


def forward_members(self: Network, X: MatrixLike) -> np.ndarray:
    """Outputs A[L] of each member of an ensemble.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (m, n_inputs), or a single row
        As for `forward`.

    Returns
    -------
    ndarray of shape (m, n_members, n_outputs), of the network's dtype
        (n_members, n_outputs) for a single row. There is one member where there is no ensemble.

    Raises
    ------
    TypeError, ValueError
        Not real numbers, or a wrong shape.
    """
    return self._forward_members(X)


def _forward_members(self: Network, X: MatrixLike, n_threads: int | None = None) -> np.ndarray:
    X, single = _data.batch(self._flat(X), self.n_inputs)
    features = _data.features(X, self.n_inputs, self.dtype, check_finite=False)
    m = _data.n_rows(features)
    out = np.empty((m, self.n_members * self.n_outputs), self.dtype)
    self._compute(partial(core.forward, of_each=True), features, out, self._threads(m, n_threads))
    A = out.reshape(m, self.n_members, self.n_outputs)
    return A[0] if single else A


def member(self: Network, number: int) -> Network:
    """A member of a packed ensemble, from 0, as a network of its own with a copy of its parameters.

    Raises
    ------
    ValueError
        No such member, or members that share parameters.
    """
    if self.n_members > 1 and self._together.kind != "packed":
        kind = self._together.kind
        raise ValueError(f"Members of a {kind!r} ensemble share parameters; forward_members gives their outputs.")
    _checks.integer(number, "number", minimum=0, maximum=self.n_members - 1)
    single = type(self)._adopt(self.layers, self._inputs, zeros(self.n_params // self.n_members, self.dtype))
    for name, view in single.parameters.items():
        view[...] = self.parts_of(self.parameters[name])[number].reshape(view.shape)
    return single


def parts_of(self: Network, view: np.ndarray) -> np.ndarray:
    """Parameters of a packed ensemble, as in `parameters`, as (n_members, numbers of each); a view."""
    return view.reshape(self.n_members, -1)
