"""What is minimised: the loss of a network on data, and its gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _checks, _data, losses
from fastnet._core import core
from fastnet._rows import dataset
from fastnet.layers import Gradients
from fastnet.losses import Loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnet._data import MatrixLike
    from fastnet.network import Network


def loss(
    self: Network,
    X: MatrixLike,
    y: ArrayLike,
    *,
    loss: str | Loss | type[Loss] | None = None,
    sample_weight: ArrayLike | None = None,
    l2: float = 0.0,
) -> float:
    """J, the (weighted) mean loss, without dropout.

    Parameters
    ----------
    X : array-like or scipy.sparse matrix of shape (m, n_inputs)
    y : array-like of shape (m,) or (m, n_targets)
        Class numbers for cross_entropy.
    loss : str or Loss, optional
        By default the one that suits the output activation.
    sample_weight : array-like of shape (m,), optional
    l2 : float
        Adds ``l2 / 2 * ||W||^2``, over the weights and not the biases.

    Raises
    ------
    ValueError, TypeError
        Data that does not fit, or a loss that is not defined for the network's outputs.
    """
    loss = losses.get(loss, self.output_activation)
    X, y, w = dataset(self, X, y, sample_weight, loss)
    return loss_of(self, X, y, loss, w) + penalty_of(self, _checks.real(l2, "l2", minimum=0.0))


def loss_and_grad(
    self: Network,
    X: MatrixLike,
    y: ArrayLike,
    *,
    loss: str | Loss | type[Loss] | None = None,
    sample_weight: ArrayLike | None = None,
    l2: float = 0.0,
    dropout_seed: int | None = None,
) -> tuple[float, Gradients]:
    """J and its gradient by backpropagation.

    Row-major, ``*`` elementwise::

        dZ[L] = dJ/dA[L] * g'(Z[L])      dW[l] = A[l-1].T @ dZ[l]      db[l] = sum over rows of dZ[l]
        dZ[l-1] = dZ[l] @ W[l].T * g'(Z[l-1])

    Parameters
    ----------
    X, y, loss, sample_weight, l2
        As for `loss`.
    dropout_seed : int, optional
        Turn dropout on, with the masks of the first update under this seed.

    Returns
    -------
    J : float
    grads : Gradients
        ``flat`` of shape (n_params,), ``weights`` and ``biases`` views of it; ``net.views(grads.flat)`` gives all of them by
        name. With `BatchNorm`, J and the gradient use the statistics of these rows, as in training.
    """
    loss = losses.get(loss, self.output_activation)
    X, y, w = dataset(self, X, y, sample_weight, loss)
    l2 = _checks.real(l2, "l2", minimum=0.0)
    if dropout_seed is not None:
        dropout_seed = _checks.integer(dropout_seed, "dropout_seed", minimum=0, maximum=2**64 - 1)
    flat = np.empty_like(self._params)
    J = loss_and_grad_of(self, X, y, loss, w, flat, seed=dropout_seed)
    if l2:
        flat[: self.n_weights] += l2 * self._params[: self.n_weights]
    return J + penalty_of(self, l2), Gradients(flat, *self._dense_views(flat))


def loss_of(
    network: Network, X: _data.Features, y: np.ndarray, loss: Loss, sample_weight: np.ndarray | None, n_threads: int | None = None
) -> float:
    """`loss` of data in the core's form."""
    form = form_of(network, loss)
    return network._compute(core.loss, form, X, y, sample_weight, network._threads(_data.n_rows(X), n_threads))


def loss_and_grad_of(
    network: Network,
    X: _data.Features,
    y: np.ndarray,
    loss: Loss,
    sample_weight: np.ndarray | None,
    out: np.ndarray,
    *,
    seed: int | None = None,
    n_threads: int | None = None,
) -> float:
    """`loss_and_grad` of data in the core's form, the gradient written into `out`."""
    form = form_of(network, loss)
    threads = network._threads(_data.n_rows(X), n_threads)
    return network._compute(core.loss_and_grad, form, X, y, sample_weight, out, threads, seed)


def form_of(network: Network, loss: Loss) -> tuple[Any, ...]:
    """The loss as the core takes it, for this network's outputs."""
    form = loss.core_form(network.n_outputs)
    if network._together.loss == "members":
        return form
    ceiling = form[3] if len(form) > 3 else math.inf
    return (*form[:3], ceiling, True)


def penalty_of(network: Network, l2: float) -> float:
    """What `l2` adds to the loss."""
    W = network._params[: network.n_weights]
    return 0.5 * l2 * float(W @ W) if l2 else 0.0


def refuse_statistics(network: Network, trained_by: str, instead: str) -> None:
    """ValueError if layers keep running statistics, for training that does not update them."""
    if network._plan.n_cuts > 0:
        raise ValueError(
            f"{trained_by} does not update the running statistics of BatchNorm: {instead}, or put fastnet.LayerNorm in its place."
        )
