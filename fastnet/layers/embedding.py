"""Embeddings of numbers, of categories and of ids: each number of a row becomes several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnet import _checks, activations
from fastnet._hints import takes_other_words
from fastnet._values import frozen
from fastnet.activations import Activation
from fastnet.layers._base import Arrays, Layer, Operation, Segment
from fastnet.layers._graph import Graph
from fastnet.layers.dense import FanIn, Linear
from fastnet.layers.joins import Side, column_numbers, refuse_lengths, select

NUMERIC_KINDS = ("pbld", "plr", "piecewise_linear")


@dataclass(frozen=True, init=False)
class NumericEmbedding(Layer):
    """Each number x of a row becomes `n_units` numbers, by functions of its own.

    "pbld": ``[cos(2 pi w x + phase) @ W + b, x]`` (Holzmüller, Grinsztajn & Steinwart 2024).
    "plr": ``relu([cos(2 pi w x), sin(2 pi w x)] @ W + b)`` (Gorishniy, Rubachev & Babenko 2022).
    "piecewise_linear": ``g(e(x) @ W + b)``, where e(x) has one entry for each bin: 1 for those below x, 0 for those above it, and
    in between the place of x in its bin (Gorishniy, Rubachev & Babenko 2022).

    Parameters
    ----------
    kind : {"pbld", "plr", "piecewise_linear"}
    n_units : int, optional
        Numbers that each number becomes; by default 4 for pbld and 16 for the others.
    n_frequencies : int
        Number of frequencies w for each number.
    frequency_scale : float > 0
        Initial standard deviation of w.
    columns : sequence of int, optional
        Which numbers of the row; by default all.
    bins : sequence of sequences of float
        Edges of the bins of each number, ascending; `fastnet.quantile_bins` makes them from data. For "piecewise_linear" only.
    activation : str or Activation, optional
        g; by default "relu" for plr and "identity" for piecewise_linear. Not for pbld.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.NumericEmbedding("pbld"), fn.Dense(1, "identity")], n_inputs=3, random_state=0)
    >>> net.sizes
    (3, 12, 1)
    """

    kind: str
    n_units: int
    n_frequencies: int
    frequency_scale: float
    columns: tuple[int, ...] | None
    bins: tuple[tuple[float, ...], ...] | None
    activation: Activation

    @takes_other_words()
    def __init__(
        self,
        kind: str = "pbld",
        *,
        n_units: int | None = None,
        n_frequencies: int = 16,
        frequency_scale: float = 0.1,
        columns: Iterable[int] | None = None,
        bins: Iterable[Iterable[float]] | None = None,
        activation: str | Activation | type[Activation] | None = None,
    ) -> None:
        kind = _checks.one_of(kind, "kind", NUMERIC_KINDS)
        if (bins is None) != (kind != "piecewise_linear"):
            raise ValueError(
                "bins are for kind='piecewise_linear', which needs them: give bins=fastnet.quantile_bins(X), with X the training "
                "rows."
            )
        if kind == "pbld" and activation not in (None, "identity", activations.Identity()):
            raise ValueError(f"kind='pbld' has no activation, got {activation!r}.")
        if activation is None:
            activation = "relu" if kind == "plr" else "identity"
        values = {
            "kind": kind,
            "n_units": _checks.integer(
                (4 if kind == "pbld" else 16) if n_units is None else n_units,
                "n_units",
                minimum=2 if kind == "pbld" else 1,
                maximum=_checks.MAX_DIMENSION,
            ),
            "n_frequencies": _checks.positive_int(n_frequencies, "n_frequencies", maximum=1 << 20),
            "frequency_scale": _checks.real(frequency_scale, "frequency_scale", above=0.0),
            "columns": None if columns is None else column_numbers(columns),
            "bins": None if bins is None else _edges(bins),
            "activation": activations.get(activation),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def connect(self, graph: Graph, source: int) -> int:
        refuse_lengths(graph, source, type(self).__name__)
        x = select(graph, graph.own_of_members(source), self.columns)
        n_features = graph.widths[x]
        functions = self._functions(graph, x)
        inputs = graph.widths[functions] // n_features
        n_units = self.n_units - 1 if self.kind == "pbld" else self.n_units
        bound = 1 / math.sqrt(inputs)
        linear = Linear(
            n_in=inputs,
            n_units=n_units,
            groups=n_features,
            initializer=FanIn(),
            initial_biases=lambda rng, shape: rng.uniform(-bound, bound, shape),
            activation=self.activation,
        )
        with graph.within("linear"):
            values = graph.add(linear, functions)
        if self.kind != "pbld":
            return values
        return graph.add(Side(widths=(graph.widths[values], n_features), groups=n_features), values, x)

    def _functions(self, graph: Graph, x: int) -> int:
        """The functions of each number that come before the linear map."""
        n_features = graph.widths[x]
        if self.bins is None:
            periodic = Waves(
                n_in=n_features, n_frequencies=self.n_frequencies, scale=self.frequency_scale, sines=self.kind == "plr"
            )
            with graph.within("periodic"):
                return graph.add(periodic, x)
        members = graph.members_of(x)
        if len(self.bins) * members != n_features:
            raise ValueError(f"bins has edges for {len(self.bins)} numbers, the layer reads {n_features // members} of each row.")
        with graph.within("bins"):
            return graph.add(Places(n_in=n_features, edges=self.bins * members), x)


def _edges(bins: Iterable[Iterable[float]]) -> tuple[tuple[float, ...], ...]:
    edges = tuple(tuple(float(edge) for edge in of_feature) for of_feature in bins)
    for number, of_feature in enumerate(edges):
        if len(of_feature) < 2 or not all(map(math.isfinite, of_feature)) or list(of_feature) != sorted(set(of_feature)):
            raise ValueError(f"bins[{number}] must be at least two finite edges in ascending order, got {of_feature!r}.")
    if not edges:
        raise ValueError("bins must hold the edges of at least one number, got none.")
    return edges


def quantile_bins(X: Any, n_bins: int = 48) -> list[np.ndarray]:
    """Edges of bins that hold about as many rows each, for `NumericEmbedding`.

    Parameters
    ----------
    X : array-like of shape (m, n_features)
        Training rows.
    n_bins : int
        Maximum number of bins of a feature; features with few values have fewer.

    Returns
    -------
    list of ndarray
        Ascending edges of each feature, at least two; those of a constant feature are its value and its value plus 1.

    Raises
    ------
    ValueError, TypeError
        Not a matrix of finite numbers.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.quantile_bins([[1.0], [2.0], [3.0], [4.0]], n_bins=2)
    [array([1. , 2.5, 4. ])]
    """
    X = _checks.numeric_array(X, "X")
    if X.ndim != 2 or not len(X):
        raise ValueError(f"X must have shape (m, n_features) with at least one row, got {X.shape}.")
    _checks.assert_finite(X, "X")
    shares = np.linspace(0, 1, _checks.positive_int(n_bins, "n_bins") + 1)
    ascending = np.sort(np.array(X.T, np.float64, order="C"))  # np.quantile takes 0.3 of the time, sorting included
    edges = [_distinct(column) for column in np.quantile(ascending, shares, axis=1).T]
    return [of_feature if len(of_feature) > 1 else np.array([of_feature[0], of_feature[0] + 1.0]) for of_feature in edges]


def _distinct(values: np.ndarray) -> np.ndarray:
    """Ascending values without those that float32 cannot tell from the one before: interpolation rounds equal ones apart."""
    values = np.unique(values)
    return values[np.append(True, np.diff(values.astype(np.float32)) > 0)]


@dataclass(frozen=True, init=False)
class CategoryEmbedding(Layer):
    """Each code of a row is replaced by a row of a trained table: `n_units` numbers, N(0, 1) at first.

    Parameters
    ----------
    n_categories : sequence of int
        Number of known categories of each code, which are numbered from 1. Zero, NaN and codes out of range stand for an
        unknown category, which has a row of its own in the table.
    n_units : int
        Numbers that each code becomes.
    columns : sequence of int, optional
        Which numbers of the row are the codes; by default all.

    Examples
    --------
    >>> import fastnet as fn
    >>> tables = fn.Network([fn.CategoryEmbedding([3, 7], n_units=4)], n_inputs=2, random_state=0)
    >>> tables.forward([[1, 7], [2, 99]]).shape                  # 99 is unknown, and becomes the table's row 0
    (2, 8)
    """

    n_categories: tuple[int, ...]
    n_units: int
    columns: tuple[int, ...] | None

    @takes_other_words()
    def __init__(self, n_categories: Sequence[int], n_units: int = 8, *, columns: Iterable[int] | None = None) -> None:
        if not isinstance(n_categories, Iterable):
            raise TypeError(f"n_categories must be a list, one number a column, got {n_categories!r}: put it into a list.")
        sizes = tuple(_checks.integer(n, "n_categories", minimum=0, maximum=2**24 - 2) for n in n_categories)
        if not sizes:
            raise ValueError("n_categories must hold a number for at least one code, got none.")
        values = {
            "n_categories": sizes,
            "n_units": _checks.positive_int(n_units, "n_units", maximum=_checks.MAX_DIMENSION),
            "columns": None if columns is None else column_numbers(columns),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def connect(self, graph: Graph, source: int) -> int:
        refuse_lengths(graph, source, type(self).__name__)
        codes = select(graph, graph.own_of_members(source), self.columns)
        members = graph.members_of(codes)
        if graph.widths[codes] != len(self.n_categories) * members:
            raise ValueError(
                f"n_categories has {len(self.n_categories)} entries, the layer reads {graph.widths[codes] // members} "
                "codes a row."
            )
        rows = tuple(n + 1 for n in self.n_categories) * members
        return graph.add(Lookup(rows=rows, codes=len(rows), n_units=self.n_units), codes)


@frozen
class Embedding(Layer):
    """Each id of a row is replaced by its row of one table: ``A[l][t] = E[id[t]]``, (length, width) from (length,).

    Ids are the integers 0, 1, ... as numbers of X; one that the table does not have (negative, too large, NaN) counts as 0. E
    has the shape (n_ids, width).

    Parameters
    ----------
    n_ids : int
        Number of ids, at most 2^24, as float32 holds all integers up to that.
    width : int
        Numbers that each id becomes.
    deviation : float > 0
        E is ``N(0, deviation^2)`` at first; 1 is PyTorch's. A smaller one leaves less noise where most ids are rare, as those of
        words are.

    Examples
    --------
    >>> import fastnet as fn
    >>> layers = [fn.Embedding(100, 8), fn.GRU(16), fn.Dense(2, "softmax")]
    >>> net = fn.Network(layers, input_shape=(20,), ragged=True, random_state=0)
    >>> net.predict_proba([[5, 17, 3], [99, 0]]).shape
    (2, 2)
    """

    n_ids: int
    width: int
    deviation: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_ids", _checks.positive_int(self.n_ids, "n_ids", maximum=2**24))
        object.__setattr__(self, "width", _checks.positive_int(self.width, "width", maximum=_checks.MAX_DIMENSION))
        object.__setattr__(self, "deviation", _checks.real(self.deviation, "deviation", above=0.0))

    def connect(self, graph: Graph, source: int) -> int:
        shape = graph.row_shapes[source]
        lookup = Lookup(rows=(self.n_ids,), codes=graph.widths[source], n_units=self.width, deviation=self.deviation)
        return graph.add(lookup, source, shape=(*shape, self.width), lengths=graph.lengths_of(source))


@dataclass(frozen=True, kw_only=True)
class Waves(Operation):
    """Cosines of each number at several frequencies: with phases, or with the sines after them."""

    kind: ClassVar[str] = "periodic"
    n_in: int
    n_frequencies: int
    scale: float
    sines: bool

    @property
    def n_out(self) -> int:
        return self.n_in * self.n_frequencies * (2 if self.sines else 1)

    @property
    def dims(self) -> tuple[int, ...]:
        return self.n_frequencies, int(self.sines)

    @property
    def segments(self) -> tuple[Segment, ...]:
        shape = (self.n_in, self.n_frequencies)
        w = Segment("w", shape, lambda rng: rng.normal(0.0, self.scale, shape))
        return (w,) if self.sines else (w, Segment("phase", shape, lambda rng: rng.uniform(-math.pi, math.pi, shape)))

    def _angles(self, params: Arrays, A: np.ndarray) -> np.ndarray:
        """(m, n_in, n_frequencies)"""
        angles = 2 * np.pi * params["w"] * A[:, :, None]
        return angles if self.sines else angles + params["phase"]

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        angles = self._angles(params, A[0])
        functions = [np.cos(angles), np.sin(angles)] if self.sines else [np.cos(angles)]
        return np.concatenate(functions, axis=2).reshape(len(A[0]), self.n_out)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        angles = self._angles(params, A[0])
        d = dZ.reshape(len(dZ), self.n_in, -1)
        slopes = -np.sin(angles) * d[:, :, : self.n_frequencies]
        gradients = {"w": (2 * np.pi * slopes * A[0][:, :, None]).sum(axis=0)}
        if self.sines:
            slopes = slopes + np.cos(angles) * d[:, :, self.n_frequencies :]
            gradients = {"w": (2 * np.pi * slopes * A[0][:, :, None]).sum(axis=0)}
        else:
            gradients["phase"] = slopes.sum(axis=0)
        return ((2 * np.pi * params["w"] * slopes).sum(axis=2),), gradients


@dataclass(frozen=True, kw_only=True)
class Places(Operation):
    """The place of each number among the edges of its bins; features of fewer bins have zeros in the rest."""

    kind: ClassVar[str] = "piecewise"
    n_in: int
    edges: tuple[tuple[float, ...], ...]

    @property
    def n_bins(self) -> int:
        """Most bins of a feature."""
        return max(len(edges) for edges in self.edges) - 1

    @property
    def n_out(self) -> int:
        return self.n_in * self.n_bins

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.n_bins,)

    @property
    def constants(self) -> tuple[int, ...]:
        return tuple(len(edges) - 1 for edges in self.edges)

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (Segment("edges", (self.n_in, self.n_bins + 1), lambda rng: self._table()),)

    def _table(self) -> np.ndarray:
        table = np.zeros((self.n_in, self.n_bins + 1))
        for row, edges in zip(table, self.edges, strict=True):
            row[: len(edges)] = edges
        return table

    def _places(self, params: Arrays, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, n_in, n_bins) places in each bin, and their derivatives."""
        t, last = np.arange(self.n_bins), np.array(self.constants)[:, None] - 1
        left, right = params["edges"][:, :-1], params["edges"][:, 1:]
        width = np.where(t <= last, np.maximum(right - left, np.finfo(np.float32).tiny), 1)
        x = A[:, :, None]
        inside = ((t == 0) | (x > left)) & ((t == last) | (x <= right)) & (t <= last)
        beyond = (x > right) & (t < last)
        return np.where(inside, (x - left) / width, np.where(beyond, 1.0, 0.0)), np.where(inside, 1 / width, 0.0)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        places, _ = self._places(params, A[0])
        return places.reshape(len(A[0]), self.n_out).astype(A[0].dtype)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        _, slopes = self._places(params, A[0])
        dA = (dZ.reshape(slopes.shape) * slopes).sum(axis=2)
        return (dA,), {"edges": np.zeros_like(params["edges"])}


@dataclass(frozen=True, kw_only=True)
class Lookup(Operation):
    """The row of each of `codes` in its table, or in the one that all share; row 0 for codes that the table does not have.

    Attributes
    ----------
    rows : tuple of int
        Of each table.
    codes, n_units : int
    table : str
        What the tables' parameters are called.
    deviation : float
        Of their initial values.
    """

    kind: ClassVar[str] = "embedding"
    rows: tuple[int, ...]
    codes: int
    n_units: int
    table: str = "E"
    deviation: float = 1.0

    @property
    def n_out(self) -> int:
        return self.codes * self.n_units

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.n_units,)

    @property
    def constants(self) -> tuple[int, ...]:
        return self.rows

    @property
    def segments(self) -> tuple[Segment, ...]:
        shape = (sum(self.rows), self.n_units)
        return (Segment(self.table, shape, lambda rng: rng.normal(0.0, self.deviation, shape)),)

    def _places(self, A: np.ndarray) -> np.ndarray:
        """Rows of E (m, codes)."""
        known = (A > 0) & (A < np.array(self.rows))
        return np.where(known, A, 0).astype(np.int64) + np.cumsum([0, *self.rows[:-1]])

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return params[self.table][self._places(A[0])].reshape(len(A[0]), self.n_out)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        E = np.zeros_like(params[self.table])
        np.add.at(E, self._places(A[0]), dZ.reshape(len(dZ), self.codes, self.n_units))
        return (np.zeros_like(A[0]),), {self.table: E}
