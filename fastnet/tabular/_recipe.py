"""What networks for tables are made of: layers, rates of their parts, and what changes in the course of training.

The choices are those of RealMLP (Holzmüller, Grinsztajn & Steinwart 2024), with members that are trained together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs

from fastnet.layers import (
    CategoryEmbedding,
    Columns,
    Concat,
    Dense,
    Layer,
    NumericEmbedding,
    Parametric,
    Scale,
    quantile_bins,
)
from fastnet.network import Network
from fastnet.runtime import single_threaded_blas
from fastnet.schedules import Schedule
from fastnet.tabular._choices import Choices, category_units
from fastnet.tabular._columns import BEND, sampled

#: Rows that initial values are taken from.
_ROWS = 256
#: Rows that edges of bins are taken from.
ROWS_OF_BINS = 10_000
#: Bins of each number, with the two beyond the data a vector of the processor's, and the most and fewest units that it becomes,
#: where it is embedded piecewise.
N_BINS, N_PIECE_UNITS, LEAST_PIECE_UNITS = 14, 8, 2
#: Units whose pre-activations differ less keep their weights: their inputs are constant.
_LEAST_DEVIATION = 1e-4


@dataclass(frozen=True)
class Inputs:
    """What the columns of a prepared table are.

    Attributes
    ----------
    n : int
        Columns.
    continuous, codes : list of int
        Columns of scaled numbers, and of numbers of categories.
    n_categories : list of int
        Categories of each of `codes`.
    """

    n: int
    continuous: list[int]
    codes: list[int]
    n_categories: list[int]


def layers(inputs: Inputs, X: np.ndarray, n_rows: int, embedding: str, output: Dense, choices: Choices) -> list[Layer]:
    """The layers of one member.

    Parameters
    ----------
    inputs : Inputs
    X : ndarray of shape (m, inputs.n)
        Training rows, or some of them, whose quantiles are the edges of bins.
    n_rows : int
        All training rows.
    embedding : str
        What numbers become, one of `choices.numeric_embedding`.
    output : Dense
    choices : Choices
    """
    found = _front(inputs, X, n_rows, embedding, choices)
    if choices.scale_layer:
        found.append(Scale())
    for n_units in choices.hidden_layer_sizes:
        found += [Dense(n_units, "identity", scale="ntk"), Parametric(choices.activation, dropout=choices.dropout)]
    return [*found, output]


def _front(inputs: Inputs, X: np.ndarray, n_rows: int, embedding: str, choices: Choices) -> list[Layer]:
    """Embeddings of numbers and categories beside what stays as it is; no layer if all of it does."""
    embedded = inputs.continuous if embedding != "none" else []
    plain = sorted(set(range(inputs.n)) - {*embedded, *inputs.codes})
    branches: list[list[Layer]] = []
    if embedded:
        branches.append([_embedding(embedding, X, embedded, choices.numeric_width)])
    if plain:
        branches.append([Columns(plain)])
    for n_units, places in _by_units(inputs.n_categories, n_rows, choices.category_units).items():
        n_categories, columns = ([values[place] for place in places] for values in (inputs.n_categories, inputs.codes))
        branches.append([CategoryEmbedding(n_categories, n_units, columns=columns)])
    return [Concat(*branches)] if embedded or inputs.codes else []


def _by_units(n_categories: list[int], n_rows: int, most: int) -> dict[int, list[int]]:
    """Which columns of categories get how many units: what few rows say of a category fits into few."""
    found: dict[int, list[int]] = {}
    for place, n in enumerate(n_categories):
        found.setdefault(category_units(n, n_rows, most), []).append(place)
    return found


def _embedding(kind: str, X: np.ndarray, columns: list[int], width: float) -> NumericEmbedding:
    """Of numbers that are scaled and bent; the bins at both ends reach as far as these can."""
    if kind != "piecewise_linear":
        return NumericEmbedding(kind, columns=columns)
    quantiles = quantile_bins(sampled(X, ROWS_OF_BINS)[:, columns], N_BINS)
    bins = [np.unique(np.array([-BEND, *edges, BEND], np.float32)) for edges in quantiles]
    n_units = int(min(N_PIECE_UNITS, max(LEAST_PIECE_UNITS, width / len(columns))))
    return NumericEmbedding(kind, n_units=n_units, columns=columns, bins=bins)


def rate_factors(network: Network) -> dict[str, float]:
    """Learning-rate factors by names of parameters: less for embeddings of numbers, biases and activations, more for scales."""
    of_kind = {"s": 6.0, "b": 0.1, "p": 0.1}
    found = {}
    for name in network.parameters:
        of_embedding = ".periodic." in name or ".linear." in name or ".bins." in name
        factor = 0.1 if of_embedding else of_kind.get(name.rpartition(".")[2], 1.0)
        if factor != 1.0:
            found[name] = factor
    return found


def initialise_from(network: Network, X: np.ndarray, rng: np.random.Generator, n_threads: int) -> None:
    """Set the weights and biases of dense layers so that their units suit the data.

    Each unit's weights are divided by the standard deviation of its pre-activation over the rows, and its bias is minus a random
    average of its pre-activations of five rows: its kink is inside the data. Layer by layer.

    Parameters
    ----------
    network : Network
        Of members that share nothing.
    X : ndarray of shape (m, n_inputs)
    rng : Generator
    n_threads : int
    """
    rows = X[rng.permutation(len(X))[:_ROWS]]
    for number, layer in enumerate(network.layers, 1):
        if not isinstance(layer, Dense):
            continue
        A = network._activations(rows, n_threads)[number - 1]
        W, b = network.parameters[f"{number}.W"], network.parameters[f"{number}.b"]
        Z = _products(A, W) / np.sqrt(W.shape[-2])
        deviation = Z.std(axis=0)
        divisor = np.where(deviation > _LEAST_DEVIATION, deviation, 1.0).astype(W.dtype)
        W /= divisor[..., None, :]
        Z /= divisor
        if number < len(network.layers):
            chosen = rng.integers(len(rows), size=(5, *b.shape))
            shares = rng.exponential(size=chosen.shape)
            shares /= shares.sum(axis=0)
            b[...] = -(shares * np.take_along_axis(Z, chosen, axis=0)).sum(axis=0)


def _products(A: np.ndarray, W: np.ndarray) -> np.ndarray:
    """A @ W of shape (m, n[l]), or (m, n_members, n[l]) where members have their own.

    By SciPy's BLAS on one thread. NumPy's threads spin for some 20 ms after a product, on the cores that folds are trained on:
    with them the preset "fast" takes 1.2 times as long on two cores.
    """
    gemm = get_blas_funcs("gemm", (A, W))
    if W.ndim == 2:
        return single_threaded_blas(True, gemm, 1.0, W.T, A.T).T
    by_member = [A] * len(W) if A.ndim == 2 else A.swapaxes(0, 1)
    return np.stack([_products(of_member, weights) for of_member, weights in zip(by_member, W, strict=True)], axis=1)


@dataclass
class Progress:
    """How far training is: `done` of 1, and how far it comes in the running epoch.

    Attributes
    ----------
    done, epoch : float
        Progress before the running epoch, and in it.
    first_step, n_steps : int
        Number of its first update, and its updates.
    """

    epoch: float
    n_steps: int
    done: float = 0.0
    first_step: int = 0

    def at(self, j: Any) -> Any:
        """Progress at update j of the running epoch."""
        return np.minimum(np.maximum(self.done + self.epoch / self.n_steps * (j - self.first_step), 0.0), 1.0)


def of_progress(rate: float, shape: Callable[[Any], Any], progress: Progress | None) -> Schedule:
    """A rate times a function of the progress of training; if none is given, of the share of its updates made."""
    return OfUpdates(rate, shape) if progress is None else OfProgress(rate, shape, progress)


@dataclass(frozen=True)
class OfProgress(Schedule):
    """A rate times a function of the progress of training."""

    rate: float
    shape: Callable[[Any], Any]
    progress: Progress = field(repr=False, compare=False)
    name = "of_progress"
    formula = "rate shape(progress)"

    def __call__(self, j: Any) -> Any:
        return self.rate * self.shape(self.progress.at(j))


@dataclass(frozen=True)
class OfUpdates(Schedule):
    """A rate times a function of the share of a run's updates that are made.

    All values are made when the run begins. Asked in each epoch, the three schedules of a run take 80 microseconds, those of a
    `Sequence` 60, these 2.
    """

    rate: float
    shape: Callable[[Any], Any]
    values: np.ndarray | None = field(default=None, repr=False, compare=False)
    name = "of_updates"
    formula = "rate shape(j / n_steps)"

    def bound(self, n_steps: int) -> Schedule:
        return replace(self, values=self.rate * self.shape(np.arange(n_steps) / n_steps))

    def __call__(self, j: Any) -> Any:
        return self._known[j]

    def rates(self, start: int, n: int) -> np.ndarray:
        return self._known[start : start + n]

    @property
    def _known(self) -> np.ndarray:
        if self.values is None:
            raise ValueError("The schedule does not know how many updates the run has: it must be bound to that first.")
        return self.values


def four_cycles(t: Any) -> Any:
    """Four waves from 0 up to 1 and down, each longer than the one before."""
    return (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2


def flat_then_cosine(t: Any) -> Any:
    """1 in the first half, then half a cosine down to 0."""
    return np.where(t < 0.5, 1.0, (1 + np.cos(np.pi * (2 * t - 1))) / 2)


def cosine(t: Any) -> Any:
    """Half a cosine from 1 to 0."""
    return (1 + np.cos(np.pi * t)) / 2


#: Shapes of the learning rate by name.
SHAPES: dict[str, Callable[[Any], Any]] = {"cycles": four_cycles, "flat_cosine": flat_then_cosine, "cosine": cosine}
