"""Layers and their parameters' places in the flat vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from fastnet import _checks, activations, initializers
from fastnet._hints import takes_other_words
from fastnet.activations import Activation
from fastnet.initializers import Initializer


@dataclass(frozen=True, init=False)
class Dense:
    """A fully connected layer ``A[l] = g(A[l-1] @ W[l] + b[l])``.

    Parameters
    ----------
    n_units : int
        Neurons, at most 2^31 - 1.
    activation : str or Activation
        g.
    initializer : str or Initializer, optional
        How W[l] is drawn; by default what suits the activation (He for the ReLU family, Glorot otherwise, LeCun for SELU).
    dropout : float in [0, 1)
        Probability with which a unit is dropped in training; the others are scaled by ``1 / (1 - dropout)`` (Srivastava et al.
        2014).
    """

    n_units: int
    activation: Activation
    initializer: Initializer
    dropout: float

    @takes_other_words()
    def __init__(
        self,
        n_units: int,
        activation: str | Activation | type[Activation] = "relu",
        *,
        initializer: str | Initializer | type[Initializer] | None = None,
        dropout: float = 0.0,
    ) -> None:
        g = activations.get(activation)
        values = {
            "n_units": _checks.positive_int(n_units, "n_units", maximum=_checks.MAX_DIMENSION),
            "activation": g,
            "initializer": initializers.get(g.initializer if initializer is None else initializer),
            "dropout": _checks.real(dropout, "dropout", minimum=0.0, below=1.0),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)


def chain(layers: Any) -> tuple[Dense, ...]:
    """Layers that can follow each other, as a tuple; ValueError or TypeError otherwise."""
    layers = (layers,) if isinstance(layers, Dense) else tuple(layers)
    if not layers:
        raise ValueError("A network needs at least one layer, got none.")
    for number, layer in enumerate(layers, 1):
        if not isinstance(layer, Dense):
            raise TypeError(f"Layer {number} must be a fastnet.Dense, got {layer!r}; write Dense(n_units, activation).")
    for number, layer in enumerate(layers[:-1], 1):
        if layer.activation.name == "softmax":
            raise ValueError(f"softmax is for the output layer only; layer {number} of {len(layers)} has it.")
    if layers[-1].dropout:
        raise ValueError(f"The output layer must have no dropout, got {layers[-1].dropout}.")
    if layers[-1].activation.name == "softmax" and layers[-1].n_units == 1:
        raise ValueError("softmax of one unit is always 1: use 2 units, or one with 'sigmoid'.")
    return layers


class Gradients(NamedTuple):
    """Gradient of the loss: one flat vector, and views of it in the shapes of the weights and biases."""

    flat: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]


def count(sizes: tuple[int, ...]) -> int:
    """Parameters of layers of the given sizes."""
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))


def zeros(n_params: int, dtype: np.dtype) -> np.ndarray:
    """A parameter vector, or a MemoryError that says how large it would have been."""
    try:
        return np.zeros(n_params, dtype)
    except (MemoryError, ValueError, OverflowError):
        raise MemoryError(
            f"A network of {n_params:,} parameters needs {n_params * dtype.itemsize:,} bytes, and there is not enough memory: "
            "fewer or narrower layers need less."
        ) from None


def views(flat: np.ndarray, sizes: tuple[int, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Views W[l] (n[l-1], n[l]) and b[l] (n[l],) of a flat vector ``[all W | all b]``."""
    shapes = [*pairwise(sizes), *((n,) for n in sizes[1:])]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    parts = [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
    n_layers = len(sizes) - 1
    return parts[:n_layers], parts[n_layers:]
