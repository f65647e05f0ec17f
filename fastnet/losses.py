"""Losses: one small frozen class for each loss, listed in `LOSSES`.

With predictions ``A = A[L]`` of shape (m, n_outputs) and targets Y, a loss gives one value for each datapoint, summed over the
outputs; J is its weighted mean over the datapoints. A class states its name, its formula, the predictions for which it is
defined, the targets that it accepts, and the loss and its derivative with respect to A in NumPy. To add one, write a kernel in
the core, and a class and a row here.

References
----------
Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): half the squared error, binary and multi-class cross-entropy.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnet import _checks
from fastnet._core import core
from fastnet._values import fieldless, frozen
from fastnet.activations import Activation, Outputs


@frozen
class Loss:
    """A loss per datapoint.

    Attributes
    ----------
    name : str
        Name in `LOSSES` and in the core.
    formula : str
        The loss of one output, as text; ``a`` is the prediction and ``y`` the target.
    needs : Outputs
        The range of predictions for which the loss is defined.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    needs: ClassVar[Outputs] = Outputs.REAL

    @property
    def code(self) -> int:
        """Number of the loss in the compiled core."""
        return _checks.core_code(self, LOSSES, core.LOSS_CODES, ("__call__", "elementwise", "derivative"))

    @property
    def parameter(self) -> float:
        """The loss's parameter; 0 if it has none."""
        return 0.0

    def per_output(self, n_outputs: int) -> np.ndarray | None:
        """Parameters for each output, as float64, or None."""
        return None

    def n_targets(self, n_outputs: int) -> int:
        """Number of columns of y for a network with `n_outputs` outputs."""
        return n_outputs

    def core_form(self, n_outputs: int) -> tuple[int, float, np.ndarray | None]:
        """The loss as the core takes it."""
        return self.code, self.parameter, self.per_output(n_outputs)

    def check_targets(self, y: np.ndarray) -> None:
        """Raise a ValueError for finite targets for which the loss is not defined."""

    def check_pairing(self, activation: Activation) -> None:
        """Refuse an output activation whose outputs can be outside the loss's domain.

        Raises
        ------
        ValueError
            The message names the activation, what the loss needs, and activations that provide it.
        """
        if activation.outputs < self.needs:
            wanted = {
                Outputs.POSITIVE: "positive outputs: 'exponential' or 'softplus'",
                Outputs.UNIT: "outputs in (0, 1): 'sigmoid'",
            }
            need = wanted.get(self.needs, "probabilities that sum to 1: 'softmax'")
            raise ValueError(f"loss {self.name!r} needs {need}; the output layer's activation is {activation.name!r}.")

    def __call__(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Loss of each datapoint, of shape (m,), for a and y of shape (m, n_outputs)."""
        return self.elementwise(a, y).sum(axis=-1)

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Loss of each output of each datapoint."""
        raise NotImplementedError

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Derivative of `elementwise` with respect to a."""
        raise NotImplementedError


@fieldless
class SquaredError(Loss):
    """Half the squared error ``(a - y)^2 / 2``: outputs learn means.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> fn.SquaredError()(np.array([[1.0], [5.0]]), np.array([[0.0], [2.0]])).round(3)
    array([0.5, 4.5])
    """

    name = "squared_error"
    formula = "(a - y)^2 / 2"

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 0.5 * (a - y) ** 2

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return a - y


@fieldless
class BinaryCrossEntropy(Loss):
    """``-y log a - (1 - y) log(1 - a)``: binary and multi-label classification; targets in [0, 1].

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> fn.BinaryCrossEntropy()(np.array([[0.5], [0.9]]), np.array([[0.0], [1.0]])).round(3)
    array([0.693, 0.105])
    """

    name = "binary_cross_entropy"
    formula = "-y log(a) - (1 - y) log(1 - a)"
    needs = Outputs.UNIT

    def check_targets(self, y: np.ndarray) -> None:
        if y.min() < 0 or y.max() > 1:
            raise ValueError(
                f"Targets of binary_cross_entropy must be 0 or 1 (or between), got values from {y.min():g} to {y.max():g}. For "
                "more than two classes, end the network with 'softmax' and one unit per class."
            )

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        from scipy.special import xlog1py, xlogy

        return -xlogy(y, a) - xlog1py(1 - y, -a)

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (a - y) / (a * (1 - a))


@frozen
class CrossEntropy(Loss):
    """``-sum_j y_j log a_j``: multi-class classification, with softmax outputs.

    Parameters
    ----------
    label_smoothing : float in [0, 1)
        Share s of each target that is distributed over all K classes: ``y <- (1 - s) y + s / K`` (Szegedy et al. 2016).

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> fn.CrossEntropy()(np.array([[0.2, 0.7, 0.1]]), np.array([[0.0, 1.0, 0.0]])).round(3)
    array([0.357])
    """

    label_smoothing: float = 0.0
    name = "cross_entropy"
    formula = "-y log(a)"
    needs = Outputs.SIMPLEX

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_smoothing", _checks.real(self.label_smoothing, "label_smoothing", minimum=0.0, below=1.0))

    @property
    def parameter(self) -> float:
        return self.label_smoothing

    def check_targets(self, y: np.ndarray) -> None:
        sums = y.sum(axis=1)
        if y.min() < 0 or np.abs(sums - 1).max() > 1e-3:
            raise ValueError(
                "Targets of cross_entropy must be class numbers (m,) or rows of probabilities that sum to 1 (one-hot rows); "
                f"got entries from {y.min():g} and row sums from {sums.min():g} to {sums.max():g}."
            )

    def _smooth(self, y: np.ndarray) -> np.ndarray:
        return (1 - self.label_smoothing) * y + self.label_smoothing / y.shape[-1]

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        from scipy.special import xlogy

        return -xlogy(self._smooth(y), a)

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return -self._smooth(y) / a


@fieldless
class Poisson(Loss):
    """Half the Poisson deviance ``y log(y / a) - y + a``: counts and rates; targets at least 0.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> fn.Poisson()(np.array([[1.0], [5.0]]), np.array([[0.0], [2.0]])).round(3)
    array([1.   , 1.167])
    """

    name = "poisson"
    formula = "y log(y / a) - y + a"
    needs = Outputs.POSITIVE

    def check_targets(self, y: np.ndarray) -> None:
        if y.min() < 0:
            raise ValueError(f"Targets of poisson must be at least 0, got {y.min():g}.")

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        from scipy.special import xlogy

        return xlogy(y, y / a) - y + a

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1 - y / a


@fieldless
class AbsoluteError(Loss):
    """``|a - y|``, derivative 0 at 0: regression to the median.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> fn.AbsoluteError()(np.array([[1.0], [5.0]]), np.array([[0.0], [2.0]])).round(3)
    array([1., 3.])
    """

    name = "absolute_error"
    formula = "|a - y|"

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.abs(a - y)

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.sign(a - y)


@frozen
class Huber(Loss):
    """Squared error near the target, absolute error beyond `delta` (Huber 1964): regression with outliers.

    Parameters
    ----------
    delta : float > 0
        Residual, in units of y, at which the loss turns from quadratic to linear.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> fn.Huber(2.0)(np.array([[1.0], [5.0]]), np.array([[0.0], [2.0]])).round(3)
    array([0.5, 4. ])
    """

    delta: float = 1.0
    name = "huber"
    formula = "(a - y)^2 / 2 if |a - y| <= delta else delta (|a - y| - delta / 2)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", _checks.real(self.delta, "delta", above=0.0))

    @property
    def parameter(self) -> float:
        return self.delta

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        d = np.abs(a - y)
        return np.where(d <= self.delta, 0.5 * d * d, self.delta * (d - 0.5 * self.delta))

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.clip(a - y, -self.delta, self.delta)


@fieldless
class LogCosh(Loss):
    """``log cosh(a - y)``: half the squared error near the target, the absolute error far from it, smooth in between.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> fn.LogCosh()(np.array([[1.0], [5.0]]), np.array([[0.0], [2.0]])).round(3)
    array([0.434, 2.309])
    """

    name = "log_cosh"
    formula = "log(cosh(a - y))"

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        d = np.abs(a - y)
        return d + np.log1p(np.exp(-2 * d)) - np.log(2)

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.tanh(a - y)


@frozen
class Quantile(Loss):
    """Pinball loss ``max(q (y - a), (q - 1) (y - a))`` (Koenker & Bassett 1978): outputs learn quantiles.

    Parameters
    ----------
    quantiles : float or sequence of float in (0, 1)
        Levels q. With k levels, a network for t targets has ``t * k`` outputs: all levels of the first target, then those of the
        second, and so on. Each column of y is used for its k levels.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> fn.Quantile([0.1, 0.9])(np.array([[1.0, 5.0]]), np.array([[2.0, 2.0]])).round(3)
    array([0.4])
    """

    quantiles: Any = 0.5
    name = "quantile"
    formula = "max(q (y - a), (q - 1) (y - a))"

    def __post_init__(self) -> None:
        many = np.ndim(self.quantiles) > 0
        levels = tuple(_checks.real(q, "quantiles", above=0.0, below=1.0) for q in (self.quantiles if many else [self.quantiles]))
        if not levels:
            raise ValueError("quantiles must hold at least one level, got none.")
        object.__setattr__(self, "quantiles", levels if many else levels[0])

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels as a tuple."""
        return self.quantiles if isinstance(self.quantiles, tuple) else (self.quantiles,)

    def n_targets(self, n_outputs: int) -> int:
        if n_outputs % len(self.levels):
            raise ValueError(
                f"{len(self.levels)} quantiles need a multiple of {len(self.levels)} outputs, the network has {n_outputs}."
            )
        return n_outputs // len(self.levels)

    def per_output(self, n_outputs: int) -> np.ndarray:
        return np.tile(np.array(self.levels), self.n_targets(n_outputs))

    def elementwise(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        q, d = self.per_output(a.shape[-1]), y - a
        return np.maximum(q * d, (q - 1) * d)

    def derivative(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        q = self.per_output(a.shape[-1])
        return np.where(y > a, -q, np.where(y < a, 1 - q, 0.0))


_ROWS = (SquaredError, BinaryCrossEntropy, CrossEntropy, Poisson, AbsoluteError, Huber, LogCosh, Quantile)

#: Name -> class, one row for each loss.
LOSSES: dict[str, type[Loss]] = {row.name: row for row in _ROWS}

#: Output activation -> the loss that forms a canonical pair with it; squared_error for all others.
CANONICAL: dict[str, str] = {"sigmoid": "binary_cross_entropy", "softmax": "cross_entropy", "exponential": "poisson"}


def get(spec: str | Loss | type[Loss] | None, activation: Activation) -> Loss:
    """The loss of this name or class, or the object itself, checked against the output activation; None: the one that suits it.

    Raises
    ------
    ValueError
        Unknown name, or a loss that is not defined for all outputs of `activation`.
    TypeError
        Neither name nor loss.
    """
    if spec is None:
        spec = CANONICAL.get(activation.name, "squared_error")
    loss = _checks.lookup(spec, LOSSES, Loss, "loss")
    loss.check_pairing(activation)
    return loss
