"""Attention: each position of a row takes from others what its query finds in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnet import _checks
from fastnet._hints import takes_other_words
from fastnet._values import frozen
from fastnet.initializers import GlorotUniform, Initializer
from fastnet.layers._base import Arrays, Layer, Operation
from fastnet.layers._graph import Graph
from fastnet.layers._nodes import State
from fastnet.layers.dense import Dense, FanIn, Linear
from fastnet.layers.joins import Residual, Side, select
from fastnet.layers.lengths import positions_there
from fastnet.layers.norm import LayerNorm
from fastnet.layers.windows import as_image


@frozen
class Attention(Layer):
    """Multi-head self-attention (Vaswani et al. 2017) on rows of shape (length, d); the output has the same shape.

    With H = A[l-1], of which each position has a query, a key and a value in each of h heads::

        [Q, K, V] = H @ Wqkv + bqkv                 (length, 3 d); of a head (length, d / h) each
        P = softmax(Q @ K.T / sqrt(d / h))          over the keys, in each head: (length, length)
        A[l] = [P @ V of all heads] @ Wo + bo       (length, d)

    In rows of unequal length, positions that a row does not have are not used as keys. Without `fastnet.Positions` before it,
    attention does not know in which order positions come. Wqkv and bqkv are called ``qkv.W`` and ``qkv.b`` in a network's
    `parameters`, Wo and bo ``out.W`` and ``out.b``. Initial values are those of PyTorch's `nn.MultiheadAttention`.

    Parameters
    ----------
    n_heads : int
        h; d must be a multiple of it.
    causal : bool
        Whether a position sees no position that comes after it.
    dropout : float in [0, 1)
        Of the output.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Attention(n_heads=2, causal=True)], input_shape=(5, 8), random_state=0)
    >>> net.output_shape, list(net.parameters)
    ((5, 8), ['1.qkv.W', '1.qkv.b', '1.out.W', '1.out.b'])
    """

    n_heads: int
    causal: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _set_checked(self)
        object.__setattr__(self, "causal", _checks.boolean(self.causal, "causal"))

    def connect(self, graph: Graph, source: int) -> int:
        _, width = _positions_of(graph, source, self)
        qkv = _linear(graph, "qkv", source, 3 * width)
        values = self._of_step(graph, qkv, width) if graph.steps else self._of_all(graph, qkv, width)
        return _linear(graph, "out", values, width, FanIn(), self.dropout)

    def _of_all(self, graph: Graph, qkv: int, width: int) -> int:
        length, lengths = graph.row_shapes[qkv][0], graph.lengths_of(qkv)
        heads = Attending(n_heads=self.n_heads, n_queries=length, n_keys=length, width=width, causal=self.causal)
        return graph.add(heads, qkv, *(() if lengths is None else (lengths,)), shape=(length, width))

    def _of_step(self, graph: Graph, qkv: int, width: int) -> int:
        """Of one position, which sees itself and those before it; their keys and values, the newest first, are a state."""
        if not self.causal:
            raise ValueError("step needs outputs that depend on no later step: give Attention and TransformerBlock causal=True.")
        _, n_keys = graph.step_numbers()
        n = 2 * width * graph.steps
        query = select(graph, qkv, range(width))
        newest = select(graph, qkv, range(width, 3 * width))
        keys = graph.add(Side(widths=(2 * width, n)), newest, graph.state_before(n))
        graph.states.append(State(keys, 0, n))
        heads = Attending(n_heads=self.n_heads, n_queries=1, n_keys=graph.steps + 1, width=width, alone=False)
        return graph.add(heads, query, keys, n_keys, shape=(1, width))


@frozen
class CrossAttention(Layer):
    """Multi-head attention (Vaswani et al. 2017) from rows of shape (length, d), whose shape it keeps, to what the encoder of
    a `fastnet.EncoderDecoder` has made of the same row's source, (source length, e).

    With H = A[l-1], of which each position has a query, and E of the encoder, of which each position has a key and a value::

        Q = H @ Wq + bq        [K, V] = E @ Wkv + bkv
        A[l] = [softmax(Q @ K.T / sqrt(d / h)) @ V of all h heads] @ Wo + bo

    Positions that a source does not have are not used as keys. The parameters are called ``q.W``, ``q.b``, ``kv.W``, ``kv.b``,
    ``out.W`` and ``out.b`` in a network's `parameters`.

    Parameters
    ----------
    n_heads : int
        h; d must be a multiple of it.
    dropout : float in [0, 1)
        Of the output.

    Examples
    --------
    >>> import fastnet as fn
    >>> layers = [fn.EncoderDecoder([fn.Dense(6, "relu")], [fn.CrossAttention(n_heads=2)])]
    >>> net = fn.Network(layers, source_shape=(5, 3), input_shape=(4, 8), random_state=0)
    >>> net.output_shape
    (4, 8)
    """

    n_heads: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _set_checked(self)

    def connect(self, graph: Graph, source: int) -> int:
        length, width = _positions_of(graph, source, self)
        queries = _linear(graph, "q", source, width)
        keys, lengths = self._of_step(graph) if graph.steps else self._of_all(graph, width)
        n_keys = graph.widths[keys] // (2 * width)
        heads = Attending(n_heads=self.n_heads, n_queries=length, n_keys=n_keys, width=width, alone=False)
        values = graph.add(heads, queries, keys, *lengths, shape=(length, width))
        return _linear(graph, "out", values, width, FanIn(), self.dropout)

    def _of_all(self, graph: Graph, width: int) -> tuple[int, list[int]]:
        """Keys and values of the source's positions, and how many there are."""
        if graph.encoded is None:
            raise ValueError("CrossAttention reads what an encoder makes: put it into the decoder of a fastnet.EncoderDecoder.")
        as_image(graph, graph.encoded, "CrossAttention", 1)
        keys = _linear(graph, "kv", graph.encoded, 2 * width)
        lengths = graph.lengths_of(graph.encoded)
        counts = [] if lengths is None else [lengths]
        graph.given += [keys, *counts]
        return keys, counts

    def _of_step(self, graph: Graph) -> tuple[int, list[int]]:
        """The same, which all steps are given."""
        assert graph.whole is not None
        keys = graph.given_state()
        ragged = graph.whole.lengths_of(graph.whole.given[len(graph.given) - 1]) is not None
        return keys, [graph.given_state()] if ragged else []


@dataclass(frozen=True, init=False)
class TransformerBlock(Layer):
    """Attention, then two dense layers at each position, on rows (length, d); each of these two parts is added to its input.

    The norms come first, which trains without warm-up (Xiong et al. 2020)::

        H = A[l-1] + Attention(LayerNorm(A[l-1]))
        A[l] = H + gelu(LayerNorm(H) @ W1 + b1) @ W2 + b2

    It is ``Residual([LayerNorm(), Attention(n_heads, causal)])`` and then ``Residual([LayerNorm(), Dense(feed_forward, "gelu"),
    Dense(d, "identity")])``; PyTorch's `nn.TransformerEncoderLayer` with ``norm_first=True``. With `cross`, there is
    ``Residual([LayerNorm(), CrossAttention(n_heads)])`` between them: PyTorch's `nn.TransformerDecoderLayer`. Add a
    `LayerNorm` after the last block of a network.

    Parameters
    ----------
    n_heads : int
    feed_forward : int, optional
        Units of the first dense layer, by default ``4 * d``.
    dropout : float in [0, 1)
        Of the outputs of attention and of the second dense layer.
    causal : bool
        Whether a position sees no position that comes after it, as language models need.
    activation : str or Activation
        Of the first dense layer.
    cross : bool
        Whether there is attention to the output of an encoder, for the decoder of a `fastnet.EncoderDecoder`.

    Examples
    --------
    >>> import fastnet as fn
    >>> inside = [fn.Dense(32, "identity"), fn.Positions(), fn.TransformerBlock(4), fn.LayerNorm()]
    >>> net = fn.Network([*inside, fn.GlobalPool(), fn.Dense(3, "softmax")], input_shape=(12, 2), random_state=0)
    >>> net.sizes
    (24, 384, 384, 384, 384, 32, 3)
    """

    n_heads: int
    feed_forward: int | None
    dropout: float
    causal: bool
    activation: Any
    cross: bool = False

    @takes_other_words()
    def __init__(
        self,
        n_heads: int,
        feed_forward: int | None = None,
        dropout: float = 0.0,
        causal: bool = False,
        activation: Any = "gelu",
        cross: bool = False,
    ) -> None:
        attention = Attention(n_heads, causal, dropout)
        dense = Dense(1 if feed_forward is None else feed_forward, activation)
        values = {
            "n_heads": attention.n_heads,
            "feed_forward": None if feed_forward is None else dense.n_units,
            "dropout": attention.dropout,
            "causal": attention.causal,
            "activation": dense.activation,
            "cross": _checks.boolean(cross, "cross"),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def connect(self, graph: Graph, source: int) -> int:
        _, _, width = as_image(graph, source, "TransformerBlock", 1)
        units = 4 * width if self.feed_forward is None else self.feed_forward
        attention = Attention(self.n_heads, self.causal, self.dropout)
        cross = [Residual([LayerNorm(), CrossAttention(self.n_heads, self.dropout)])] if self.cross else []
        dense = Dense(units, self.activation), Dense(width, "identity", dropout=self.dropout)
        return graph.chain([Residual([LayerNorm(), attention]), *cross, Residual([LayerNorm(), *dense])], source)


def _set_checked(layer: Attention | CrossAttention) -> None:
    object.__setattr__(layer, "n_heads", _checks.positive_int(layer.n_heads, "n_heads", maximum=_checks.MAX_DIMENSION))
    object.__setattr__(layer, "dropout", _checks.real(layer.dropout, "dropout", minimum=0.0, below=1.0))


def _positions_of(graph: Graph, source: int, layer: Attention | CrossAttention) -> tuple[int, int]:
    """Length and width of the rows that attention reads."""
    name = type(layer).__name__
    _, length, width = as_image(graph, source, name, 1)
    if width % layer.n_heads:
        raise ValueError(
            f"{name} divides the {width} numbers of each position among its heads, got n_heads={layer.n_heads}: take a "
            f"divisor of {width}, or put fastnet.Dense before it."
        )
    return length, width


def _linear(
    graph: Graph, name: str, source: int, n_units: int, initializer: Initializer | None = None, dropout: float = 0.0
) -> int:
    """A linear map of each position, Glorot uniform at first unless another initialiser is given."""
    length, width = graph.row_shapes[source]
    maps = Linear(n_in=width, n_units=n_units, positions=length, initializer=initializer or GlorotUniform(), dropout=dropout)
    with graph.within(name):
        return graph.add(maps, source, shape=(length, n_units))


@dataclass(frozen=True, kw_only=True)
class Attending(Operation):
    """``softmax(Q K^T / sqrt(width / n_heads)) V`` of each head.

    Its sources are rows of Q, K and V side by side (positions, 3 width) if it is `alone`, else of Q (n_queries, width) and of K
    and V (n_keys, 2 width); perhaps also the number of keys, which is that of queries if it is alone.
    """

    kind: ClassVar[str] = "attention"
    n_heads: int
    n_queries: int
    n_keys: int
    width: int
    causal: bool = False
    alone: bool = True

    @property
    def n_out(self) -> int:
        return self.n_queries * self.width

    @property
    def dims(self) -> tuple[int, ...]:
        return self.n_heads, self.n_queries, self.n_keys, self.width, int(self.causal), int(self.alone)

    @property
    def option(self) -> float:
        return 1 / math.sqrt(self.width // self.n_heads)

    def _by_heads(self, A: np.ndarray, kinds: int) -> np.ndarray:
        """(kinds, m, n_heads, positions, width / n_heads)"""
        return A.reshape(len(A), -1, kinds, self.n_heads, self.width // self.n_heads).transpose(2, 0, 3, 1, 4)

    def _side_by_side(self, parts: list[np.ndarray]) -> np.ndarray:
        """The way back of `_by_heads`."""
        return np.stack(parts).transpose(1, 3, 0, 2, 4).reshape(len(parts[0]), -1)

    def _operands(self, A: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Q, K, V and probabilities, each by heads."""
        Q, K, V = self._by_heads(A[0], 3) if self.alone else (self._by_heads(A[0], 1)[0], *self._by_heads(A[1], 2))
        seen = np.ones((self.n_queries, self.n_keys), bool)
        if self.causal:
            seen = np.tri(self.n_queries, dtype=bool)
        seen = np.broadcast_to(seen, (len(Q), 1, *seen.shape))
        if len(A) > (1 if self.alone else 2):
            there = positions_there(A[-1], self.n_keys)
            seen = seen & there[:, None, None, :]
            if self.alone:
                seen = seen & there[:, None, :, None]
        scores = np.where(seen, self.option * (Q @ K.swapaxes(2, 3)), -np.inf)
        most = scores.max(axis=3, keepdims=True)
        exponentials = np.exp(scores - np.where(np.isfinite(most), most, 0))
        return Q, K, V, exponentials / np.maximum(exponentials.sum(axis=3, keepdims=True), np.finfo(A[0].dtype).tiny)

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        *_, V, P = self._operands(A)
        return self._side_by_side([P @ V])

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        Q, K, V, P = self._operands(A)
        d = self._by_heads(dZ, 1)[0]
        D = d @ V.swapaxes(2, 3)
        dS = self.option * P * (D - (P * D).sum(axis=3, keepdims=True))
        dQ, dK, dV = dS @ K, dS.swapaxes(2, 3) @ Q, P.swapaxes(2, 3) @ d
        parts = [[dQ, dK, dV]] if self.alone else [[dQ], [dK, dV]]
        of_lengths = (np.zeros_like(lengths) for lengths in A[len(parts) :])
        return (*map(self._side_by_side, parts), *of_lengths), {}
