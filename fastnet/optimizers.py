"""Optimisers: one small frozen class for each update rule, listed in `OPTIMIZERS`, in order of increasing complexity.

A class has hyperparameters only; the rule itself is one fused loop of the compiled core, and its state (`n_states` vectors of the
parameters' length) belongs to the training run. Formulas: parameters w, gradient g, learning rate lr, update number t = 1, 2,
and so on. To add one, write a kernel in the core, and a class and a row here.

References
----------
Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): all but L-BFGS.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnet import _checks, schedules
from fastnet._core import core
from fastnet._values import frozen
from fastnet.schedules import LearningRate, Schedule


@frozen
class Optimizer:
    """A way of minimising the loss.

    Attributes
    ----------
    name : str
        Name in `OPTIMIZERS`.
    formula : str
        The update, as text.
    """

    name: ClassVar[str]
    formula: ClassVar[str]


@frozen
class GradientRule(Optimizer):
    """An update from the gradient of a batch.

    Parameters
    ----------
    learning_rate : float, str, Schedule, sequence or callable
        Step size, or step sizes of the updates; see `fastnet.schedules.get`. It is stored as a `Schedule`.
    """

    learning_rate: Any = 0.01

    @property
    def kernel(self) -> str:
        """Name of the rule in the compiled core."""
        return self.name

    @property
    def code(self) -> int:
        """Number of the rule in the compiled core."""
        return _checks.core_code(self, OPTIMIZERS, core.OPTIMIZER_CODES)

    @property
    def n_states(self) -> int:
        """Number of vectors in the rule's state."""
        return 1

    def schedule(self, learning_rate: LearningRate | None = None) -> Schedule:
        """The schedule of a run: `learning_rate` if given (a name or class starts from the optimiser's rate), else the
        optimiser's own."""
        if learning_rate is None:
            return self.learning_rate
        return (
            schedules.get(learning_rate, self.first_rate)
            if isinstance(learning_rate, (str, type))
            else schedules.get(learning_rate)
        )

    @property
    def first_rate(self) -> float:
        """The optimiser's own learning rate of the first update; schedules may not know yet how long the run is."""
        return float(self.learning_rate.bound(1)(0))

    def hyper(self) -> tuple[float, ...]:
        """Hyperparameters, in the core's order."""
        return ()

    def decay(self) -> float:
        """Decoupled weight decay that belongs to the rule."""
        return 0.0

    def init_state(self, n_params: int, dtype: Any) -> list[np.ndarray]:
        """Initial state: `n_states` vectors of zeros."""
        return [np.zeros(n_params, dtype) for _ in range(self.n_states)]


def _set(optimizer: Optimizer, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(optimizer, name, value)


@frozen
class SGD(GradientRule):
    """Stochastic gradient descent: plain, with momentum (Polyak 1964), or Nesterov's accelerated form (Sutskever et al. 2013).

    Plain: ``w -= lr g``. Momentum: ``v = mu v - lr g; w += v``. Nesterov: ``v = mu v - lr g; w += mu v - lr g``.

    Parameters
    ----------
    learning_rate : float, Schedule, sequence or callable
    momentum : float in [0, 1]
        mu; 0 is plain gradient descent.
    nesterov : bool
        Nesterov's form of momentum.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(1, "identity")], n_inputs=1, random_state=0)
    >>> X = [[0.0], [0.5], [1.0]]
    >>> history = net.fit(X, [0.0, 0.25, 1.0], optimizer=fn.SGD(0.1, momentum=0.9, nesterov=True), epochs=200, random_state=0)
    >>> history.loss[-1] < 0.1 * history.loss[0]
    True
    """

    learning_rate: Any = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    name = "sgd"
    formula = "v = momentum v - lr g;  w += v  (nesterov: w += momentum v - lr g)"

    def __post_init__(self) -> None:
        _set(
            self,
            learning_rate=schedules.get(self.learning_rate),
            momentum=_checks.real(self.momentum, "momentum", minimum=0.0, maximum=1.0),
            nesterov=_checks.boolean(self.nesterov, "nesterov"),
        )

    @property
    def kernel(self) -> str:
        if self.momentum == 0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    @property
    def n_states(self) -> int:
        return int(self.momentum > 0)

    def hyper(self) -> tuple[float, ...]:
        return (self.momentum,) if self.momentum else ()


@frozen
class AdaGrad(GradientRule):
    """Learning rates that decrease with the sum of squared gradients (Duchi, Hazan & Singer 2011).

    ``G += g^2; w -= lr g / (sqrt(G) + epsilon)``.

    Parameters
    ----------
    learning_rate : float, str, Schedule, sequence or callable
    epsilon : float > 0
        Keeps the quotient finite.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(1, "identity")], n_inputs=1, random_state=0)
    >>> X = [[0.0], [0.5], [1.0]]
    >>> history = net.fit(X, [0.0, 0.25, 1.0], optimizer=fn.AdaGrad(0.1), epochs=200, random_state=0)
    >>> history.loss[-1] < 0.1 * history.loss[0]
    True
    """

    learning_rate: Any = 0.01
    epsilon: float = 1e-10
    name = "adagrad"
    formula = "G += g^2;  w -= lr g / (sqrt(G) + epsilon)"

    def __post_init__(self) -> None:
        _set(self, learning_rate=schedules.get(self.learning_rate), epsilon=_checks.real(self.epsilon, "epsilon", above=0.0))

    def hyper(self) -> tuple[float, ...]:
        return (self.epsilon,)


@frozen
class RMSprop(GradientRule):
    """Learning rates divided by a running mean of squared gradients (Tieleman & Hinton 2012).

    ``v = rho v + (1 - rho) g^2; w -= lr g / (sqrt(v) + epsilon)``.

    Parameters
    ----------
    learning_rate : float, str, Schedule, sequence or callable
    rho : float in [0, 1)
        Share of the running mean that is kept.
    epsilon : float > 0
        Keeps the quotient finite.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(1, "identity")], n_inputs=1, random_state=0)
    >>> X = [[0.0], [0.5], [1.0]]
    >>> history = net.fit(X, [0.0, 0.25, 1.0], optimizer=fn.RMSprop(0.01), epochs=200, random_state=0)
    >>> history.loss[-1] < 0.1 * history.loss[0]
    True
    """

    learning_rate: Any = 0.001
    rho: float = 0.9
    epsilon: float = 1e-8
    name = "rmsprop"
    formula = "v = rho v + (1 - rho) g^2;  w -= lr g / (sqrt(v) + epsilon)"

    def __post_init__(self) -> None:
        _set(
            self,
            learning_rate=schedules.get(self.learning_rate),
            rho=_checks.real(self.rho, "rho", minimum=0.0, below=1.0),
            epsilon=_checks.real(self.epsilon, "epsilon", above=0.0),
        )

    def hyper(self) -> tuple[float, ...]:
        return (self.rho, self.epsilon)


@frozen
class Adam(GradientRule):
    """Adaptive moments (Kingma & Ba 2015).

    ``m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2``, then with ``m' = m / (1 - beta1^t)`` and
    ``v' = v / (1 - beta2^t)``: ``w -= lr m' / (sqrt(v') + epsilon)``.

    Parameters
    ----------
    learning_rate : float, str, Schedule, sequence or callable
    beta1, beta2 : float in [0, 1)
        Shares of the running means of gradients and squared gradients that are kept.
    epsilon : float > 0
        Keeps the quotient finite.
    epsilon_hat : bool
        The variant at the end of the paper's section 2, in which epsilon is added to ``sqrt(v)`` before the bias correction, as
        scikit-learn does.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(1, "identity")], n_inputs=1, random_state=0)
    >>> X = [[0.0], [0.5], [1.0]]
    >>> history = net.fit(X, [0.0, 0.25, 1.0], optimizer=fn.Adam(0.01), epochs=200, random_state=0)
    >>> history.loss[-1] < 0.1 * history.loss[0]
    True
    """

    learning_rate: Any = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False
    name = "adam"
    formula = "m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  w -= lr m' / (sqrt(v') + epsilon)"

    @property
    def n_states(self) -> int:
        return 2

    def __post_init__(self) -> None:
        _set(
            self,
            learning_rate=schedules.get(self.learning_rate),
            beta1=_checks.real(self.beta1, "beta1", minimum=0.0, below=1.0),
            beta2=_checks.real(self.beta2, "beta2", minimum=0.0, below=1.0),
            epsilon=_checks.real(self.epsilon, "epsilon", above=0.0),
            epsilon_hat=_checks.boolean(self.epsilon_hat, "epsilon_hat"),
        )

    def hyper(self) -> tuple[float, ...]:
        return (self.beta1, self.beta2, self.epsilon, float(self.epsilon_hat))


@frozen
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): ``w -= lr weight_decay w``, in addition to Adam's step.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, epsilon_hat
        As for `Adam`.
    weight_decay : float >= 0
        Decay of weights, not of biases.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(1, "identity")], n_inputs=1, random_state=0)
    >>> X = [[0.0], [0.5], [1.0]]
    >>> history = net.fit(X, [0.0, 0.25, 1.0], optimizer=fn.AdamW(0.01, weight_decay=0.001), epochs=200, random_state=0)
    >>> history.loss[-1] < 0.1 * history.loss[0]
    True
    """

    weight_decay: float = 0.01
    name = "adamw"
    formula = "Adam's update, and w -= lr weight_decay w on weights"

    def __post_init__(self) -> None:
        super().__post_init__()
        _set(self, weight_decay=_checks.real(self.weight_decay, "weight_decay", minimum=0.0))

    @property
    def kernel(self) -> str:
        return "adam"

    def decay(self) -> float:
        return self.weight_decay


@frozen
class Lion(GradientRule):
    """The sign of a running mean of gradients (Chen et al. 2023): steps of one size, half of Adam's memory.

    ``c = beta1 m + (1 - beta1) g; w -= lr sign(c); m = beta2 m + (1 - beta2) g``, and ``w -= lr weight_decay w`` on weights.

    Parameters
    ----------
    learning_rate : float, str, Schedule, sequence or callable
        Choose a third to a tenth of Adam's.
    beta1, beta2 : float in [0, 1)
        Shares of the running mean that are kept, for the step and for the memory.
    weight_decay : float >= 0
        Decay of weights, not of biases; choose three to ten times AdamW's.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(1, "identity")], n_inputs=1, random_state=0)
    >>> X = [[0.0], [0.5], [1.0]]
    >>> history = net.fit(X, [0.0, 0.25, 1.0], optimizer=fn.Lion(0.003), epochs=200, random_state=0)
    >>> history.loss[-1] < 0.1 * history.loss[0]
    True
    """

    learning_rate: Any = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    name = "lion"
    formula = "c = beta1 m + (1 - beta1) g;  w -= lr sign(c);  m = beta2 m + (1 - beta2) g"

    def __post_init__(self) -> None:
        _set(
            self,
            learning_rate=schedules.get(self.learning_rate),
            beta1=_checks.real(self.beta1, "beta1", minimum=0.0, below=1.0),
            beta2=_checks.real(self.beta2, "beta2", minimum=0.0, below=1.0),
            weight_decay=_checks.real(self.weight_decay, "weight_decay", minimum=0.0),
        )

    def hyper(self) -> tuple[float, ...]:
        return (self.beta1, self.beta2)

    def decay(self) -> float:
        return self.weight_decay


@frozen
class LBFGS(Optimizer):
    """Limited-memory BFGS on all data at once, by scipy's L-BFGS-B (Liu & Nocedal 1989): for small data and smooth activations.

    Parameters
    ----------
    tol : float
        Stop when no component of the gradient exceeds this.
    ftol : float
        Stop when an iteration decreases the loss by less than this fraction of it.
    max_fun : int
        Maximum number of evaluations of loss and gradient.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(1, "identity")], n_inputs=1, random_state=0)
    >>> X = [[0.0], [0.5], [1.0]]
    >>> history = net.fit(X, [0.0, 0.25, 1.0], optimizer=fn.LBFGS(), epochs=200, random_state=0)
    >>> history.loss[-1] < 0.1 * history.loss[0]
    True
    """

    tol: float = 1e-4
    ftol: float = 1e7 * 2.220446049250313e-16
    max_fun: int = 15000
    name = "lbfgs"
    formula = "w += step p,  p = -H g with H the inverse Hessian as estimated from the last gradients"

    def __post_init__(self) -> None:
        _set(
            self,
            tol=_checks.real(self.tol, "tol", minimum=0.0),
            ftol=_checks.real(self.ftol, "ftol", minimum=0.0),
            max_fun=_checks.positive_int(self.max_fun, "max_fun"),
        )


_ROWS = (SGD, AdaGrad, RMSprop, Adam, AdamW, Lion, LBFGS)

#: Name -> class, one row for each rule.
OPTIMIZERS: dict[str, type[Optimizer]] = {row.name: row for row in _ROWS}


def get(spec: str | Optimizer | type[Optimizer]) -> Optimizer:
    """The optimiser of this name or class, or the object itself; ValueError or TypeError otherwise."""
    return _checks.lookup(spec, OPTIMIZERS, Optimizer, "optimizer")
