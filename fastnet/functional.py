"""Training in small pieces, for loops of one's own: an optimiser's memory, and one update.

With `Network.loss_and_grad` this is all that `Network.fit` does, a piece at a time::

    state = fastnet.init_state(net, "adam")
    for rows in batches:
        J, grads = net.loss_and_grad(X[rows], y[rows])
        fastnet.update(net, grads, state, "adam")
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet import _checks, optimizers, runtime
from fastnet._core import core
from fastnet._objective import refuse_statistics
from fastnet.layers import Gradients
from fastnet.network import Network
from fastnet.optimizers import GradientRule, Optimizer
from fastnet.schedules import LearningRate

__all__ = ["OptimizerState", "init_state", "update"]


@dataclass
class OptimizerState:
    """What an optimiser remembers between updates.

    Attributes
    ----------
    step : int
        Updates made.
    memory : tuple of ndarray
        Vectors of the parameters' length.
    """

    step: int
    memory: tuple[np.ndarray, ...]


def init_state(params: Network | np.ndarray, optimizer: str | Optimizer | type[Optimizer] = "adam") -> OptimizerState:
    """The memory of an optimiser before its first update.

    Parameters
    ----------
    params : Network or ndarray of shape (n_params,)
        What will be updated.
    optimizer : str or Optimizer

    Raises
    ------
    TypeError, ValueError
        Not a vector of float32 or float64, or not an optimiser that works on gradients of batches.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(1, "identity")], n_inputs=2, random_state=0)
    >>> state = fn.init_state(net, "adam")
    >>> J, grads = net.loss_and_grad([[1.0, 2.0]], [1.0])
    >>> fn.update(net, grads, state, "adam")
    >>> net.loss([[1.0, 2.0]], [1.0]) < J
    True
    """
    vector = _vector(params)
    return OptimizerState(0, tuple(_rule(optimizer).init_state(vector.size, vector.dtype)))


def update(
    params: Network | np.ndarray,
    grads: Gradients | np.ndarray,
    state: OptimizerState,
    optimizer: str | Optimizer | type[Optimizer] = "adam",
    *,
    learning_rate: LearningRate | None = None,
    l2: float = 0.0,
    weight_decay: float = 0.0,
    max_grad_norm: float | None = None,
    n_threads: int | None = None,
) -> None:
    """One update, in place, of parameters and of the optimiser's memory.

    Parameters
    ----------
    params : Network or ndarray of shape (n_params,)
        A network, of which only the weights are decayed, or any contiguous vector of float32 or float64, which is decayed as a
        whole. Not one with `BatchNorm`, whose running statistics would stay as they are.
    grads : Gradients or ndarray of shape (n_params,)
        d(loss) / d(params), of the same dtype.
    state : OptimizerState
        From `init_state` of the same optimiser.
    optimizer : str or Optimizer
    learning_rate : float, str, Schedule, sequence or callable, optional
        By default the optimiser's own.
    l2, weight_decay, max_grad_norm
        As for `Network.fit`.
    n_threads : int, optional
        Maximum number of threads to use.

    Raises
    ------
    TypeError, ValueError
        Vectors that do not fit each other or the optimiser; nothing has changed then.
    RuntimeError
        The network is being trained.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> w = np.array([1.0, -2.0])
    >>> state = fn.init_state(w, fn.SGD(0.5))
    >>> fn.update(w, 2 * w, state, fn.SGD(0.5))
    >>> w.tolist(), state.step
    ([0.0, 0.0], 1)
    """
    rule = _rule(optimizer)
    if isinstance(params, Network):
        refuse_statistics(params, "update", "train with Network.fit, or update net.params and set the statistics yourself")
        params._make_writable()
    vector = _vector(params)
    if not vector.flags.carray:
        raise ValueError("params must be contiguous and writable: an update changes it in place.")
    gradient = _gradient(grads, vector)
    _check_state(state, rule)
    options: dict[str, Any] = {
        "rate": float(rule.schedule(learning_rate).rates(state.step, 1)[0]),
        "l2": _checks.real(l2, "l2", minimum=0.0),
        "weight_decay": _checks.real(weight_decay, "weight_decay", minimum=0.0) or rule.decay(),
        "scale": clipping(gradient, max_grad_norm),
        "n_decayed": params.n_weights if isinstance(params, Network) else vector.size,
        "n_threads": runtime.thread_limit(n_threads),
    }

    def call() -> None:
        core.update(vector, gradient, rule.code, rule.hyper(), state.memory, step=state.step + 1, **options)

    if isinstance(params, Network):
        params._exclusive.updating(call)
    else:
        call()
    state.step += 1


def _rule(optimizer: str | Optimizer | type[Optimizer]) -> GradientRule:
    rule = optimizers.get(optimizer)
    if not isinstance(rule, GradientRule):
        raise TypeError(f"An update needs a rule that works on gradients of batches, got {rule.name!r}; Network.fit takes it.")
    return rule


def _vector(params: Any) -> np.ndarray:
    if isinstance(params, Network):
        return params.params
    if not isinstance(params, np.ndarray) or params.ndim != 1 or params.dtype not in (np.float32, np.float64):
        raise TypeError(f"params must be a Network or a vector of float32 or float64, got {type(params).__name__}.")
    return params


def _gradient(grads: Any, params: np.ndarray) -> np.ndarray:
    """The gradient as a vector that the core can read."""
    gradient = grads.flat if isinstance(grads, Gradients) else grads
    if not isinstance(gradient, np.ndarray):
        raise TypeError(f"grads must be the Gradients of loss_and_grad, or a vector, got {type(grads).__name__}.")
    if gradient.shape != params.shape:
        raise ValueError(f"grads must have shape {params.shape}, as params, got {gradient.shape}.")
    if gradient.dtype != params.dtype:
        raise TypeError(f"grads must have dtype {params.dtype}, as params, got {gradient.dtype}.")
    return np.require(gradient, requirements=["C", "A"])


def _check_state(state: Any, rule: GradientRule) -> None:
    if not isinstance(state, OptimizerState):
        raise TypeError(f"state must be what init_state gave, got {type(state).__name__}.")
    if len(state.memory) != rule.n_states:
        raise ValueError(
            f"{rule.name} keeps {rule.n_states} state vectors, got {len(state.memory)}: give the state that init_state made for "
            "the same optimizer."
        )


def clipping(gradient: np.ndarray, max_grad_norm: float | None) -> float:
    """Factor that brings the gradient's norm down to the largest one wanted."""
    if max_grad_norm is None:
        return 1.0
    most = _checks.real(max_grad_norm, "max_grad_norm", above=0.0)
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(gradient))
    if math.isinf(norm):
        norm = float(np.linalg.norm(gradient.astype(np.float64)))
    return most / norm if norm > most else 1.0
