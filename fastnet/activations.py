"""Activation functions ``A = g(Z)``: one small frozen class for each function, listed in `ACTIVATIONS`.

A class states its name (the key of the compiled core's code table), its formula, the function and its derivative in NumPy,
which values its outputs can take, and the initialiser that suits it. To add one, write a kernel in the core, and a class and a
row here.

References
----------
Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): sigmoid, tanh, ReLU, LeakyReLU, identity, softmax.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

import numpy as np

from fastnet import _checks
from fastnet._core import core
from fastnet._values import fieldless, frozen


class Outputs(enum.IntEnum):
    """The range of an activation's outputs; each member implies the ones before it."""

    REAL = 0
    POSITIVE = 1
    UNIT = 2  #: inside (0, 1)
    SIMPLEX = 3  #: each row a probability distribution


@frozen
class Activation:
    """An elementwise function and its derivative.

    Attributes
    ----------
    name : str
        Name in `ACTIVATIONS` and in the core.
    formula : str
        The function, as text.
    outputs : Outputs
        Which values the outputs can take, and so which losses the activation can be paired with.
    derivable : bool
        Whether `derivative` exists; softmax mixes the units of a layer and has a Jacobian instead.
    initializer : str
        Default initialiser of a layer with this activation.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    outputs: ClassVar[Outputs] = Outputs.REAL
    derivable: ClassVar[bool] = True
    initializer: ClassVar[str] = "glorot_uniform"

    @property
    def code(self) -> int:
        """Number of the function in the compiled core."""
        return _checks.core_code(self, ACTIVATIONS, core.ACTIVATION_CODES, ("__call__", "derivative"))

    @property
    def parameter(self) -> float:
        """The function's parameter (alpha); 0 if it has none."""
        return 0.0

    def __call__(self, z: Any) -> np.ndarray:
        """``g(z)``, elementwise (softmax: along the last axis).

        Parameters
        ----------
        z : array-like of float

        Returns
        -------
        ndarray
            Of z's shape and, if that is floating, of its dtype; otherwise float64.
        """
        raise NotImplementedError

    def derivative(self, z: Any) -> np.ndarray:
        """``g'(z)``, elementwise.

        Parameters
        ----------
        z : array-like of float

        Returns
        -------
        ndarray
            Of z's shape and, if that is floating, of its dtype; otherwise float64.

        Raises
        ------
        TypeError
            Softmax, which has none (`derivable` is False).
        """
        raise NotImplementedError


def _float(z: Any) -> np.ndarray:
    z = np.asarray(z)
    return z if z.dtype.kind == "f" else z.astype(np.float64)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(z))  # never overflows
    return np.where(z >= 0, 1, e) / (1 + e)


@fieldless
class Identity(Activation):
    """``g(z) = z``: regression outputs.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Identity()([-1.0, 0.0, 2.0]).round(3)
    array([-1.,  0.,  2.])
    """

    name = "identity"
    formula = "z"

    def __call__(self, z: Any) -> np.ndarray:
        return _float(z).copy()

    def derivative(self, z: Any) -> np.ndarray:
        return np.ones_like(_float(z))


@fieldless
class Sigmoid(Activation):
    """``g(z) = 1 / (1 + exp(-z))``: binary outputs; its gradient vanishes for large ``|z|``.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Sigmoid()([-1.0, 0.0, 2.0]).round(3)
    array([0.269, 0.5  , 0.881])
    """

    name = "sigmoid"
    formula = "1 / (1 + exp(-z))"
    outputs = Outputs.UNIT

    def __call__(self, z: Any) -> np.ndarray:
        return _sigmoid(_float(z))

    def derivative(self, z: Any) -> np.ndarray:
        a = _sigmoid(_float(z))
        return a * (1 - a)


@fieldless
class Tanh(Activation):
    """``g(z) = tanh(z)``: zero-centred; its gradient vanishes for large ``|z|``.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Tanh()([-1.0, 0.0, 2.0]).round(3)
    array([-0.762,  0.   ,  0.964])
    """

    name = "tanh"
    formula = "tanh(z)"

    def __call__(self, z: Any) -> np.ndarray:
        return np.tanh(_float(z))

    def derivative(self, z: Any) -> np.ndarray:
        return 1 - np.tanh(_float(z)) ** 2


@fieldless
class ReLU(Activation):
    """``g(z) = max(0, z)`` with ``g'(0) = 0``: a unit that is 0 for all data is dead, and gets no gradient.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.ReLU()([-1.0, 0.0, 2.0]).round(3)
    array([0., 0., 2.])
    """

    name = "relu"
    formula = "max(0, z)"
    initializer = "he_normal"

    def __call__(self, z: Any) -> np.ndarray:
        return np.maximum(_float(z), 0)

    def derivative(self, z: Any) -> np.ndarray:
        z = _float(z)
        return (z > 0).astype(z.dtype)


@frozen
class _WithAlpha(Activation):
    """An activation with a slope or scale ``alpha >= 0`` for negative z."""

    alpha: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", _checks.real(self.alpha, "alpha", minimum=0.0))

    @property
    def parameter(self) -> float:
        return self.alpha


@frozen
class LeakyReLU(_WithAlpha):
    """``g(z) = z`` for ``z > 0``, ``alpha z`` otherwise: no unit dies (Maas, Hannun & Ng 2013).

    Parameters
    ----------
    alpha : float >= 0
        Slope for negative z.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.LeakyReLU(0.1)([-1.0, 0.0, 2.0]).round(3)
    array([-0.1,  0. ,  2. ])
    """

    alpha: float = 0.01
    name = "leaky_relu"
    formula = "z if z > 0 else alpha z"
    initializer = "he_normal"

    def __call__(self, z: Any) -> np.ndarray:
        z = _float(z)
        return np.where(z > 0, z, self.alpha * z)

    def derivative(self, z: Any) -> np.ndarray:
        z = _float(z)
        return np.where(z > 0, 1, self.alpha).astype(z.dtype)


@frozen
class ELU(_WithAlpha):
    """``g(z) = z`` for ``z > 0``, ``alpha (exp(z) - 1)`` otherwise (Clevert, Unterthiner & Hochreiter 2016).

    Parameters
    ----------
    alpha : float >= 0
        The function approaches ``-alpha`` for negative z.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.ELU()([-1.0, 0.0, 2.0]).round(3)
    array([-0.632,  0.   ,  2.   ])
    """

    alpha: float = 1.0
    name = "elu"
    formula = "z if z > 0 else alpha (exp(z) - 1)"
    initializer = "he_normal"

    def __call__(self, z: Any) -> np.ndarray:
        z = _float(z)
        return np.where(z > 0, z, self.alpha * np.expm1(np.minimum(z, 0)))

    def derivative(self, z: Any) -> np.ndarray:
        z = _float(z)
        return np.where(z > 0, 1, self.alpha * np.exp(np.minimum(z, 0)))


@fieldless
class SELU(Activation):
    """``g(z) = scale * ELU(z; alpha)`` with the self-normalising constants (Klambauer et al. 2017).

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.SELU()([-1.0, 0.0, 2.0]).round(3)
    array([-1.111,  0.   ,  2.101])
    """

    name = "selu"
    formula = "1.0507 z if z > 0 else 1.7581 (exp(z) - 1)"
    initializer = "lecun_normal"
    scale: ClassVar[float] = 1.0507009873554805
    alpha: ClassVar[float] = 1.6732632423543772

    def __call__(self, z: Any) -> np.ndarray:
        return self.scale * ELU(self.alpha)(z)

    def derivative(self, z: Any) -> np.ndarray:
        return self.scale * ELU(self.alpha).derivative(z)


@fieldless
class GELU(Activation):
    """``g(z) = z Phi(z)`` with the normal distribution function (Hendrycks & Gimpel 2016), exact, not the tanh approximation.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.GELU()([-1.0, 0.0, 2.0]).round(3)
    array([-0.159,  0.   ,  1.954])
    """

    name = "gelu"
    formula = "z (1 + erf(z / sqrt(2))) / 2"
    initializer = "he_normal"

    def __call__(self, z: Any) -> np.ndarray:
        from scipy.special import ndtr

        z = _float(z)
        return z * ndtr(z)

    def derivative(self, z: Any) -> np.ndarray:
        from scipy.special import ndtr

        z = _float(z)
        return ndtr(z) + z * np.exp(-0.5 * z * z) / z.dtype.type(np.sqrt(2 * np.pi))


@fieldless
class SiLU(Activation):
    """``g(z) = z sigmoid(z)``, also called swish (Elfwing, Uchibe & Doya 2018).

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.SiLU()([-1.0, 0.0, 2.0]).round(3)
    array([-0.269,  0.   ,  1.762])
    """

    name = "silu"
    formula = "z / (1 + exp(-z))"
    initializer = "he_normal"

    def __call__(self, z: Any) -> np.ndarray:
        z = _float(z)
        return z * _sigmoid(z)

    def derivative(self, z: Any) -> np.ndarray:
        z = _float(z)
        s = _sigmoid(z)
        return s * (1 + z * (1 - s))


@fieldless
class Mish(Activation):
    """``g(z) = z tanh(log(1 + exp(z)))`` (Misra 2020).

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Mish()([-1.0, 0.0, 2.0]).round(3)
    array([-0.303,  0.   ,  1.944])
    """

    name = "mish"
    formula = "z tanh(log(1 + exp(z)))"
    initializer = "he_normal"

    def __call__(self, z: Any) -> np.ndarray:
        z = _float(z)
        return z * np.tanh(np.logaddexp(0, z))

    def derivative(self, z: Any) -> np.ndarray:
        z = _float(z)
        t = np.tanh(np.logaddexp(0, z))
        return t + z * (1 - t * t) * _sigmoid(z)


@fieldless
class Softplus(Activation):
    """``g(z) = log(1 + exp(z))``: a smooth ReLU, with positive outputs (Dugas et al. 2001).

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Softplus()([-1.0, 0.0, 2.0]).round(3)
    array([0.313, 0.693, 2.127])
    """

    name = "softplus"
    formula = "log(1 + exp(z))"
    outputs = Outputs.POSITIVE
    initializer = "he_normal"

    def __call__(self, z: Any) -> np.ndarray:
        return np.logaddexp(0, _float(z))

    def derivative(self, z: Any) -> np.ndarray:
        return _sigmoid(_float(z))


@fieldless
class Exponential(Activation):
    """``g(z) = exp(z)``: rates of a Poisson regression.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Exponential()([-1.0, 0.0, 2.0]).round(3)
    array([0.368, 1.   , 7.389])
    """

    name = "exponential"
    formula = "exp(z)"
    outputs = Outputs.POSITIVE

    def __call__(self, z: Any) -> np.ndarray:
        return np.exp(_float(z))

    def derivative(self, z: Any) -> np.ndarray:
        return np.exp(_float(z))


@fieldless
class HardSwish(Activation):
    """``g(z) = z min(max(z + 3, 0), 6) / 6``: silu without exponentials (Howard et al. 2019).

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.HardSwish()([-1.0, 0.0, 2.0]).round(3)
    array([-0.333,  0.   ,  1.667])
    """

    name = "hardswish"
    formula = "z min(max(z + 3, 0), 6) / 6"
    initializer = "he_normal"

    def __call__(self, z: Any) -> np.ndarray:
        z = _float(z)
        return z * (np.clip(z + 3, 0, 6) / 6)

    def derivative(self, z: Any) -> np.ndarray:
        z = _float(z)
        return np.clip(z + 3, 0, 6) / 6 + np.where(np.abs(z) < 3, z, 0) / 6


@fieldless
class Softmax(Activation):
    """``g(z)_j = exp(z_j) / sum_k exp(z_k)``: class probabilities; for the output layer only.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Softmax()([-1.0, 0.0, 2.0]).round(3)
    array([0.042, 0.114, 0.844])
    """

    name = "softmax"
    formula = "exp(z_j) / sum_k exp(z_k)"
    outputs = Outputs.SIMPLEX
    derivable = False

    def __call__(self, z: Any) -> np.ndarray:
        z = _float(z)
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def derivative(self, z: Any) -> np.ndarray:
        raise TypeError("softmax has no elementwise derivative: its Jacobian is diag(a) - a a'.")


_ROWS = (Identity, Sigmoid, Tanh, ReLU, LeakyReLU, ELU, SELU, GELU, SiLU, Mish, Softplus, Exponential, HardSwish, Softmax)

#: Name -> class, one row for each function.
ACTIVATIONS: dict[str, type[Activation]] = {row.name: row for row in _ROWS}

#: Other names that `get` accepts.
ALIASES: dict[str, str] = {"logistic": "sigmoid"}


def get(spec: str | Activation | type[Activation]) -> Activation:
    """The activation of this name (or alias) or class, or the object itself.

    Raises
    ------
    ValueError
        Unknown name; the message lists the known ones.
    TypeError
        Neither name nor activation.
    """
    if isinstance(spec, str):
        spec = ALIASES.get(spec, spec)
    return _checks.lookup(spec, ACTIVATIONS, Activation, "activation")
