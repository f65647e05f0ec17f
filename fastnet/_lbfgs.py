"""L-BFGS on all data at once, through scipy, on the flat parameter vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fastnet import _data, runtime
from fastnet._clock import Clock
from fastnet._objective import loss_and_grad_of, refuse_statistics
from fastnet.exceptions import DivergenceError
from fastnet.losses import Loss
from fastnet.network import Network

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

#: ``(network, out) -> J``: the loss at the network's parameters, whose gradient is written into `out`.
Objective: TypeAlias = Callable[[Network, np.ndarray], float]

#: scipy's status if it found neither a minimum nor a limit: no step in the last direction lowers the loss enough.
LINE_SEARCH_FAILED = 2
#: Status of an end that the callback or the time has brought about.
STOPPED = 99


class _Point(NamedTuple):
    """Parameters w with their loss and gradient."""

    w: np.ndarray
    J: float
    grad: np.ndarray

    def is_finite(self) -> bool:
        return bool(np.isfinite(self.J) and np.isfinite(self.grad).all())

    def wall_at(self, w: np.ndarray) -> _Point:
        """Loss and gradient that a line search gets for a point where they are not finite, so that it goes back to a quarter.

        With infinity it would go back to its start, and take that for a minimum.
        """
        return _Point(w, self.J + abs(float(self.grad @ (w - self.w))), -self.grad)


def on_rows(
    X: _data.Features, y: np.ndarray, *, loss: Loss, sample_weight: np.ndarray | None = None, n_threads: int | None = None
) -> Objective:
    """The loss on rows in the core's form, computed by `n_threads` threads at most."""

    def objective(network: Network, out: np.ndarray) -> float:
        return loss_and_grad_of(network, X, y, loss, sample_weight, out, n_threads=n_threads)

    return objective


def minimise(
    network: Network,
    objective: Objective,
    *,
    l2: float = 0.0,
    max_iter: int = 200,
    max_fun: int = 15000,
    tol: float = 1e-4,
    ftol: float = 1e7 * 2.220446049250313e-16,
    max_time: float | None = None,
    callback: Callable[[OptimizeResult], Any] | None = None,
) -> OptimizeResult:
    """Minimise ``J(w) + l2 / 2 * ||W||^2`` from the network's parameters, which always are those of the last iterate.

    Parameters
    ----------
    network : Network
    objective : Objective
        J and its gradient.
    l2 : float
        Penalty on the weights, not on the biases.
    max_iter, max_fun : int
        Maximum number of iterations, and of evaluations of loss and gradient.
    tol : float
        Stop when no component of the gradient exceeds this.
    ftol : float
        Stop when an iteration lowers the loss by less than this share of it.
    max_time : float, optional
        Seconds: no iteration begins that would end later, if it took as long as the one before.
    callback : callable, optional
        Called after each iteration with scipy's intermediate result (``x``, ``fun``), when the network has the parameters of the
        iterate. Returning True stops.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` in float64, ``fun`` with the penalty, ``nit``, ``status`` (1: a limit was reached;
        `LINE_SEARCH_FAILED`; `STOPPED`), ``message``.

    Raises
    ------
    DivergenceError
        Loss or gradient are not finite at the start, or at all points that the last line search tried.
    RuntimeError
        The network is already being trained.
    ValueError
        The network has layers whose outputs depend on the batch.

    References
    ----------
    Liu & Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical Programming 45 (1989).
    """
    refuse_statistics(network, "L-BFGS", "take another optimizer, such as fastnet.Adam()")
    network._make_writable()
    from scipy.optimize import minimize

    params = network.params
    trial = Network._adopt(network.layers, network._inputs, params.copy(), network._together)
    gradient = np.empty_like(params)
    n_weights = network.n_weights
    iterations = 0
    iterate: _Point | None = None
    tried: _Point | None = None  # the last finite point
    overflowed = False  # since the last iterate
    stopped = False
    clock = Clock(max_time)

    def loss_and_grad(w: np.ndarray) -> _Point:
        with np.errstate(over="ignore"):
            trial.params[:] = w
            J = objective(trial, gradient)
            grad = gradient.astype(np.float64)
            if l2:
                grad[:n_weights] += l2 * w[:n_weights]
                J += 0.5 * l2 * float(w[:n_weights] @ w[:n_weights])
        return _Point(w.copy(), J, grad)

    def guarded(w: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal iterate, tried, overflowed
        point = loss_and_grad(w)
        if point.is_finite():
            tried = point
            iterate = iterate or point
        elif iterate is None:
            raise _divergence(1)
        else:
            overflowed = True
            point = iterate.wall_at(w)
        return point.J, point.grad.copy()

    def after_iteration(intermediate_result: OptimizeResult) -> None:
        nonlocal iterations, iterate, overflowed, stopped
        iterations, iterate, overflowed = iterations + 1, tried, False
        params[:] = intermediate_result.x
        stopped = bool(callback is not None and callback(intermediate_result)) or clock.ends()
        if stopped:
            raise StopIteration

    result = network._exclusive.updating(
        runtime.single_threaded_blas,  # scipy's own matrix products are small
        True,
        minimize,
        guarded,
        params.astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        callback=after_iteration,
        options={"maxiter": max_iter, "maxfun": max_fun, "gtol": tol, "ftol": ftol},
    )
    if stopped:
        result.status = STOPPED
    if result.status == LINE_SEARCH_FAILED and overflowed:
        raise _divergence(iterations + 1)
    return result


def _divergence(iteration: int) -> DivergenceError:
    return DivergenceError(
        f"L-BFGS diverged in iteration {iteration}: the loss or its gradient is not finite. Standardise the features (and the "
        "targets of a regression); in float64 numbers may be larger. The network has the parameters from before this iteration.",
        iteration,
        1,
    )
