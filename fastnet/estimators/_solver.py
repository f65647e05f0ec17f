"""Which optimiser and learning rate an estimator trains with, and the memory that `partial_fit` continues with."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from fastnet import optimizers
from fastnet.optimizers import LBFGS, GradientRule
from fastnet.schedules import Constant, Schedule

from ._parameters import RATE_POLICIES
from ._types import MLP

MINI_BATCH_RULES: dict[str, type[GradientRule]] = {
    name: rule for name, rule in optimizers.OPTIMIZERS.items() if issubclass(rule, GradientRule)
}
#: The adaptive rule stops instead of dividing a rate that is not above this.
SMALLEST_RATE = 1e-6


class EpochRate(Schedule):
    """scikit-learn's learning rates: one for all updates of an epoch, changed between epochs.

    Parameters
    ----------
    policy : {"constant", "invscaling", "adaptive"}
    initial : float
        Learning rate of the first epoch.
    power : float
        Exponent of "invscaling": ``initial / (n_seen + 1)^power`` after n_seen rows.
    """

    name = "epoch"
    formula = "one rate an epoch"

    def __init__(self, policy: str, initial: float, power: float) -> None:
        self.policy, self.initial, self.power = policy, initial, power
        self.current = float(initial)

    def __call__(self, j: Any) -> Any:
        return self.current if np.ndim(j) == 0 else np.full(np.shape(j), self.current)

    def rates(self, start: int, n: int) -> np.ndarray:
        return np.array([self.current])

    def epoch_ended(self, n_seen: int) -> None:
        """An epoch has ended, after `n_seen` rows in the estimator's life."""
        if self.policy == "invscaling":
            self.current = float(self.initial) / (n_seen + 1) ** self.power

    def stalled(self) -> tuple[bool, str]:
        """Training has stopped improving: whether to stop, and what to say about it."""
        if self.policy != "adaptive":
            return True, "Stopping."
        if self.current <= SMALLEST_RATE:
            return True, "Learning rate too small. Stopping."
        self.current /= 5.0
        return False, f"Setting learning rate to {self.current:f}"


class Solver:
    """An optimiser with its learning rate and its memory.

    Parameters
    ----------
    optimizer : GradientRule
    rate : Schedule
    for_one_run : bool
        Whether the rate ends with the run it was made for, and has nothing left for `partial_fit`.

    Attributes
    ----------
    state : list of ndarray of shape (n_params,), or None
        Memory of the optimiser after the last update; None before the first.
    step : int
        Batches so far.
    """

    def __init__(self, optimizer: GradientRule, rate: Schedule, *, for_one_run: bool = False) -> None:
        self.optimizer, self.rate, self.for_one_run = optimizer, rate, for_one_run
        self.state: tuple[np.ndarray, ...] | None = None
        self.step = 0

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next update."""
        return float(self.rate(self.step))

    def copy(self) -> Solver:
        """A solver that continues from here without touching the memory of this one."""
        other = copy.copy(self)
        other.rate = copy.copy(self.rate)
        other.state = None if self.state is None else tuple(memory.copy() for memory in self.state)
        return other

    def can_continue(self, params: np.ndarray) -> bool:
        """Whether the memory belongs to parameters of this number and dtype, and the rate goes on after the run before."""
        if self.state is None or self.for_one_run:
            return False
        return all(memory.shape == params.shape and memory.dtype == params.dtype for memory in self.state)

    def epoch_ended(self, n_seen: int) -> None:
        """An epoch has ended, after `n_seen` rows in the estimator's life."""
        if isinstance(self.rate, EpochRate):
            self.rate.epoch_ended(n_seen)

    def stalled(self) -> tuple[bool, str]:
        """Training has stopped improving: whether to stop, and what to say about it."""
        return self.rate.stalled() if isinstance(self.rate, EpochRate) else (True, "Stopping.")


def uses_lbfgs(estimator: MLP) -> bool:
    """Whether the estimator trains on all rows at once, through L-BFGS."""
    return isinstance(estimator.solver, LBFGS) or (isinstance(estimator.solver, str) and estimator.solver == "lbfgs")


def lbfgs_options(estimator: MLP) -> dict[str, Any]:
    """Tolerances and limits of L-BFGS: those of the object given as solver, or the estimator's `tol` and `max_fun`."""
    if isinstance(estimator.solver, LBFGS):
        return {"tol": estimator.solver.tol, "ftol": estimator.solver.ftol, "max_fun": estimator.solver.max_fun}
    return {"tol": estimator.tol, "max_fun": estimator.max_fun}


def new_solver(estimator: MLP, n_steps: int | None) -> Solver:
    """The solver that the estimator's parameters ask for.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    n_steps : int or None
        Most updates of the run; None if there will be more calls.

    Raises
    ------
    ValueError
        A schedule that ends with the run, where `n_steps` is None.
    """
    optimizer = mini_batch_optimizer(estimator)
    rate = learning_rate(estimator, optimizer)
    ends_with_run = not isinstance(rate, EpochRate) and rate.bound(1) != rate
    if n_steps is not None:
        return Solver(optimizer, rate.bound(n_steps), for_one_run=ends_with_run)
    if ends_with_run:
        raise ValueError(
            f"The learning rate {rate!r} ends with the run, and partial_fit does not know how long that is. Give a schedule with "
            "its number of updates, such as learning_rate=fastnet.Cosine(0.01, n_steps=1000)."
        )
    return Solver(optimizer, rate)


def mini_batch_optimizer(estimator: MLP) -> GradientRule:
    """The object given as solver, or that for its name and the parameters that go with it; not for L-BFGS."""
    if isinstance(estimator.solver, GradientRule):
        return estimator.solver
    rate, momentum = estimator.learning_rate_init, estimator.momentum
    adam: dict[str, Any] = {"beta1": estimator.beta_1, "beta2": estimator.beta_2, "epsilon": estimator.epsilon}
    match estimator.solver:
        case "sgd":
            return optimizers.SGD(rate, momentum=momentum, nesterov=estimator.nesterovs_momentum)
        case "momentum":
            return optimizers.SGD(rate, momentum=momentum)
        case "nesterov":
            return optimizers.SGD(rate, momentum=momentum, nesterov=True)
        case "adam":
            return optimizers.Adam(rate, **adam, epsilon_hat=True)
        case "adamw":
            decay: dict[str, Any] = {} if estimator.weight_decay is None else {"weight_decay": estimator.weight_decay}
            return optimizers.AdamW(rate, **adam, **decay)
        case name:
            return MINI_BATCH_RULES[str(name)](rate)


def learning_rate(estimator: MLP, optimizer: GradientRule) -> Schedule:
    """The learning rate that `learning_rate` and `learning_rate_init` ask for.

    An optimiser object brings its own initial rate, or its own schedule, which a `learning_rate` other than "constant" replaces.
    With solver "adam", the policies "invscaling" and "adaptive" change nothing, as in scikit-learn.
    """
    spec = estimator.learning_rate
    if not (isinstance(spec, str) and spec in RATE_POLICIES):
        return optimizer.schedule(spec)
    own = optimizer.learning_rate
    policy = "constant" if isinstance(estimator.solver, str) and estimator.solver == "adam" else spec
    if policy == "constant" and not isinstance(own, Constant):
        return own
    return EpochRate(policy, optimizer.first_rate, estimator.power_t)


def partial_fit_available(estimator: MLP) -> bool:
    """Whether the solver can train in pieces; AttributeError otherwise."""
    if uses_lbfgs(estimator):
        raise AttributeError(f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic.")
    return True
