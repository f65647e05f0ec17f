"""Initial weights: one small frozen class for each scheme, listed in `INITIALIZERS`. Biases start at zero.

Each scheme draws from a distribution of mean 0 whose variance depends on the layer's fan-in and fan-out. Values are drawn in
float64 and then rounded, so that the same seed gives the same network in both dtypes, except for rounding.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastnet import _checks
from fastnet._values import frozen


@frozen
class Initializer:
    """A distribution of mean 0 and variance `variance(n_in, n_out)`."""

    name: ClassVar[str]
    formula: ClassVar[str]
    uniform: ClassVar[bool] = False

    def variance(self, n_in: int, n_out: int) -> float:
        """Variance of one weight of a layer of shape (n_in, n_out)."""
        raise NotImplementedError

    def __call__(self, rng: np.random.Generator, n_in: int, n_out: int, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Draw the weights of a layer, a float64 array of a shape, by default (n_in, n_out)."""
        deviation = np.sqrt(self.variance(n_in, n_out))
        shape = (n_in, n_out) if shape is None else shape
        if self.uniform:
            bound = np.sqrt(3) * deviation
            return rng.uniform(-bound, bound, shape)
        return rng.normal(0.0, deviation, shape)


@frozen
class GlorotNormal(Initializer):
    """Variance ``2 / (n_in + n_out)``, normal (Glorot & Bengio 2010): for sigmoid, tanh and linear layers.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network(fn.Dense(300, "tanh", initializer=fn.GlorotNormal()), n_inputs=500, random_state=0)
    >>> round(float(net.weights[0].var() * 500), 2)
    1.25
    """

    name = "glorot_normal"
    formula = "N(0, 2 / (n_in + n_out))"

    def variance(self, n_in: int, n_out: int) -> float:
        return 2.0 / (n_in + n_out)


@frozen
class GlorotUniform(GlorotNormal):
    """Variance ``2 / (n_in + n_out)``, uniform (Glorot & Bengio 2010): for sigmoid, tanh and linear layers.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network(fn.Dense(300, "tanh", initializer=fn.GlorotUniform()), n_inputs=500, random_state=0)
    >>> round(float(net.weights[0].var() * 500), 2)
    1.25
    """

    name = "glorot_uniform"
    formula = "U(-c, c), c = sqrt(6 / (n_in + n_out))"
    uniform = True


@frozen
class HeNormal(Initializer):
    """Variance ``2 / n_in``, normal (He, Zhang, Ren & Sun 2015): for the ReLU family.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network(fn.Dense(300, "tanh", initializer=fn.HeNormal()), n_inputs=500, random_state=0)
    >>> round(float(net.weights[0].var() * 500), 2)
    2.01
    """

    name = "he_normal"
    formula = "N(0, 2 / n_in)"

    def variance(self, n_in: int, n_out: int) -> float:
        return 2.0 / n_in


@frozen
class HeUniform(HeNormal):
    """Variance ``2 / n_in``, uniform (He, Zhang, Ren & Sun 2015): for the ReLU family.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network(fn.Dense(300, "tanh", initializer=fn.HeUniform()), n_inputs=500, random_state=0)
    >>> round(float(net.weights[0].var() * 500), 2)
    2.0
    """

    name = "he_uniform"
    formula = "U(-c, c), c = sqrt(6 / n_in)"
    uniform = True


@frozen
class LeCunNormal(Initializer):
    """Variance ``1 / n_in``, normal (LeCun, Bottou, Orr & Müller 1998): for SELU.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network(fn.Dense(300, "tanh", initializer=fn.LeCunNormal()), n_inputs=500, random_state=0)
    >>> round(float(net.weights[0].var() * 500), 2)
    1.0
    """

    name = "lecun_normal"
    formula = "N(0, 1 / n_in)"

    def variance(self, n_in: int, n_out: int) -> float:
        return 1.0 / n_in


@frozen
class Zeros(Initializer):
    """All weights 0. Only for networks of one layer, whose loss is convex: the units of a hidden layer would remain equal.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network(fn.Dense(1, "sigmoid", initializer=fn.Zeros()), n_inputs=2)
    >>> net.forward([3.0, -1.0])
    array([0.5], dtype=float32)
    """

    name = "zeros"
    formula = "0"

    def variance(self, n_in: int, n_out: int) -> float:
        return 0.0

    def __call__(self, rng: np.random.Generator, n_in: int, n_out: int, shape: tuple[int, ...] | None = None) -> np.ndarray:
        return np.zeros((n_in, n_out) if shape is None else shape)


_ROWS = (GlorotUniform, GlorotNormal, HeUniform, HeNormal, LeCunNormal, Zeros)

#: Name -> class, one row for each scheme.
INITIALIZERS: dict[str, type[Initializer]] = {row.name: row for row in _ROWS}


def get(spec: str | Initializer | type[Initializer]) -> Initializer:
    """The initialiser of this name or class, or the object itself; ValueError or TypeError otherwise."""
    return _checks.lookup(spec, INITIALIZERS, Initializer, "initializer")
