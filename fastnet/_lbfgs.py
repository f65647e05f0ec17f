"""L-BFGS on all data at once, through scipy, on the flat parameter vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _data, runtime
from fastnet.losses import Loss
from fastnet.network import Network

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult


def minimise(
    network: Network,
    X: _data.Features,
    y: np.ndarray,
    *,
    loss: Loss,
    sample_weight: np.ndarray | None = None,
    l2: float = 0.0,
    max_iter: int = 200,
    max_fun: int = 15000,
    tol: float = 1e-4,
    ftol: float = 1e7 * 2.220446049250313e-16,
    callback: Callable[[OptimizeResult], Any] | None = None,
    n_threads: int | None = None,
) -> OptimizeResult:
    """Minimise ``J(w) + l2 / 2 * ||W||^2`` from the network's parameters, which end at the last accepted iterate.

    Parameters
    ----------
    network : Network
    X, y, sample_weight
        Data in the core's form.
    loss : Loss
    l2 : float
        Penalty on the weights, not on the biases.
    max_iter, max_fun : int
        Most iterations, and most evaluations of loss and gradient.
    tol : float
        Stop when no component of the gradient exceeds this.
    ftol : float
        Stop when an iteration lowers the loss by less than this share of it.
    callback : callable, optional
        Called after each iteration with scipy's intermediate result (``x``, ``fun``), the network's parameters being those of the
        iterate; True stops.
    n_threads : int, optional
        Most threads to use.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` in float64, ``fun`` with the penalty, ``nit``, ``status`` (1: a limit was reached), ``message``.

    References
    ----------
    Liu & Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical Programming 45 (1989).
    """
    from scipy.optimize import minimize

    params = network.params
    accepted = params.copy()
    gradient = np.empty_like(params)
    n_weights = network.n_weights

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        params[:] = w
        J = network._loss_and_grad(X, y, loss, sample_weight, gradient, n_threads=n_threads)
        grad = gradient.astype(np.float64)
        if l2:
            grad[:n_weights] += l2 * w[:n_weights]
            J += 0.5 * l2 * float(w[:n_weights] @ w[:n_weights])
        return J, grad

    def after_iteration(intermediate_result: OptimizeResult) -> None:
        params[:] = accepted[:] = intermediate_result.x
        if callback is not None and callback(intermediate_result):
            raise StopIteration

    options = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol, "ftol": ftol}
    try:
        result = network._exclusive.updating(
            runtime.single_threaded_blas,  # scipy's own products are small
            True,
            minimize,
            objective,
            params.astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=after_iteration,
            options=options,
        )
        accepted[:] = result.x
    finally:
        params[:] = accepted
    return result
