"""Recurrent layers: each step of a row sees what the steps before it left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from fastnet import _checks, activations
from fastnet._core import core
from fastnet._hints import takes_other_words
from fastnet._values import frozen
from fastnet.activations import Activation
from fastnet.layers._base import Arrays, Layer, Operation, Segment
from fastnet.layers._graph import Graph
from fastnet.layers._nodes import State
from fastnet.layers.joins import Last, Side, select
from fastnet.layers.windows import as_image

#: More would have more parameters than the core can count.
MAX_UNITS = 2**15


@dataclass(frozen=True, init=False)
class Recurrent(Layer):
    """What recurrent layers share."""

    n_units: int
    return_sequences: bool

    @takes_other_words()
    def __init__(self, n_units: int, *, return_sequences: bool = False) -> None:
        object.__setattr__(self, "n_units", _checks.positive_int(n_units, "n_units", maximum=MAX_UNITS))
        object.__setattr__(self, "return_sequences", _checks.boolean(return_sequences, "return_sequences"))

    @property
    def cell(self) -> str:
        """Its name in `CELLS`."""
        return type(self).__name__.lower()

    def connect(self, graph: Graph, source: int) -> int:
        return self.run(graph, source, reverse=False)

    def run(self, graph: Graph, source: int, *, reverse: bool) -> int:
        """Append the recurrence, forward or from each row's last step to its first, and what takes its last state."""
        end = self._all_steps(graph, source, reverse=reverse)
        if self.return_sequences:
            return end
        if not reverse:
            return Last().connect(graph, end)
        return select(graph, end, range(self.n_units), shape=(self.n_units,))

    def _all_steps(self, graph: Graph, source: int, *, reverse: bool) -> int:
        _, steps, channels = as_image(graph, source, type(self).__name__, 1)
        carries = graph.steps > 0
        operation = Recurrence(
            cell=self.cell, steps=steps, channels=channels, n_units=self.n_units, reverse=reverse, carries=carries
        )
        shape = (steps, self.n_units)
        if carries:
            end = graph.add(operation, source, graph.state_before(operation.n_states), shape=(operation.n_out,))
            graph.states.append(State(end, self.n_units, operation.n_states))
            return select(graph, end, range(steps * self.n_units), shape=shape)
        lengths = graph.lengths_of(source)
        return graph.add(operation, source, *(() if lengths is None else (lengths,)), shape=shape)


@dataclass(frozen=True, init=False)
class RNN(Recurrent):
    """``h[t] = g(x[t] @ W + h[t-1] @ U + b)``, with h = 0 before the first step (Elman 1990).

    Rows have shape (steps, channels); a row becomes h after its last step, (n_units,), or that of all steps, (steps, n_units). W
    has shape (channels, n_units), U (n_units, n_units), b (n_units,); all are drawn from U(-a, a) with a = 1 / sqrt(n_units), as
    in PyTorch.

    Parameters
    ----------
    n_units : int
        Numbers of h.
    activation : {"tanh", "relu"} or Activation
        g.
    return_sequences : bool
        Whether the output is h of all steps, as needed if the next layer is recurrent or works on positions.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Network([fn.RNN(16), fn.Dense(1, "identity")], input_shape=(20, 3), random_state=0)
    <Network 20 x 3 -> RNN 16, 1 identity; 337 parameters, float32>
    """

    activation: Activation

    @takes_other_words()
    def __init__(
        self,
        n_units: int,
        activation: str | Activation | type[Activation] = "tanh",
        *,
        return_sequences: bool = False,
    ) -> None:
        super().__init__(n_units, return_sequences=return_sequences)
        g = activations.get(activation)
        object.__setattr__(self, "activation", activations.get(_checks.one_of(g.name, "activation", ("tanh", "relu"))))

    @property
    def cell(self) -> str:
        return self.activation.name


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000).

    ::

        i, f, g, o = x[t] @ W + h[t-1] @ U + b          then sigmoid of i, f and o, tanh of g
        c[t] = f * c[t-1] + i * g        h[t] = o * tanh(c[t])

    with h = c = 0 before the first step. Rows have shape (steps, channels); a row becomes h after its last step, (n_units,), or
    that of all steps, (steps, n_units). W has shape (channels, 4 n_units), U (n_units, 4 n_units), b (4 n_units,), with the gates
    in the order i, f, g, o; all are drawn from U(-a, a) with a = 1 / sqrt(n_units), as in PyTorch, which has two biases that are
    added.

    Parameters
    ----------
    n_units : int
        Numbers of h, and of c.
    return_sequences : bool
        Whether the output is h of all steps, as needed if the next layer is recurrent or works on positions.

    Examples
    --------
    >>> import fastnet as fn
    >>> layers = [fn.LSTM(16, return_sequences=True), fn.LSTM(16), fn.Dense(2, "softmax")]
    >>> fn.Network(layers, input_shape=(20, 3), random_state=0).output_shape
    (2,)
    """


class GRU(Recurrent):
    """Gated recurrent units (Cho et al. 2014), with the reset gate after the product, as PyTorch and Keras have them.

    ::

        P = x[t] @ W + b        Q = h[t-1] @ U + c        each with parts r, z, n
        r = sigmoid(P_r + Q_r)        z = sigmoid(P_z + Q_z)        n = tanh(P_n + r * Q_n)
        h[t] = (1 - z) * n + z * h[t-1]

    with h = 0 before the first step. Rows have shape (steps, channels); a row becomes h after its last step, (n_units,), or that
    of all steps, (steps, n_units). W has shape (channels, 3 n_units), U (n_units, 3 n_units), b and c (3 n_units,), with the
    gates in the order r, z, n; all are drawn from U(-a, a) with a = 1 / sqrt(n_units), as in PyTorch.

    Parameters
    ----------
    n_units : int
        Numbers of h.
    return_sequences : bool
        Whether the output is h of all steps, as needed if the next layer is recurrent or works on positions.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.GRU(16), fn.Dense(2, "softmax")], input_shape=(20, 3), random_state=0)
    >>> {name: p.shape for name, p in net.parameters.items() if name.startswith("1.")}
    {'1.W': (3, 48), '1.U': (16, 48), '1.b': (48,), '1.c': (48,)}
    """


@frozen
class Bidirectional(Layer):
    """A recurrent layer, and another that goes from each row's last step to its first, side by side (Schuster & Paliwal 1997).

    The output is (2 n_units,): h of the first after the last step, and h of the second after the first step; or, of all steps,
    (steps, 2 n_units). The second begins at the last step that a row has, however long others are. Their parameters are named
    "1.W" and "2.W".

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        The layer for each direction.

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Network([fn.Bidirectional(fn.GRU(16))], input_shape=(20, 3), random_state=0).output_shape
    (32,)
    """

    layer: Recurrent

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Recurrent):
            raise TypeError(f"Bidirectional takes a fastnet.RNN, GRU or LSTM, got {self.layer!r}.")

    def connect(self, graph: Graph, source: int) -> int:
        ends = []
        for name, reverse in (("1", False), ("2", True)):
            with graph.within(name):
                ends.append(self.layer.run(graph, source, reverse=reverse))
        *positions, n_units = graph.row_shapes[ends[0]]
        side = Side(widths=(graph.widths[ends[0]],) * 2, groups=positions[0] if positions else 1)
        return graph.add(side, *ends, shape=(*positions, 2 * n_units))


class Cell:
    """What happens in a step, in plain NumPy, on rows of P = x W + b and Q = h U (+ c); `memory` is c of an LSTM."""

    n_gates: ClassVar[int]
    has_memory: ClassVar[bool] = False
    two_biases: ClassVar[bool] = False

    def forward(
        self, P: np.ndarray, Q: np.ndarray, h: np.ndarray, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        """h and memory after the step, and what `backward` reads of it."""
        raise NotImplementedError

    def backward(self, values: tuple[np.ndarray, ...], dh: np.ndarray, dmemory: np.ndarray) -> tuple[np.ndarray, ...]:
        """dP, dQ, and dh (but for what comes through Q) and dmemory before the step."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Plain(Cell):
    n_gates: ClassVar[int] = 1
    g: Activation

    def forward(
        self, P: np.ndarray, Q: np.ndarray, h: np.ndarray, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        return self.g(P + Q), memory, (P + Q,)

    def backward(self, values: tuple[np.ndarray, ...], dh: np.ndarray, dmemory: np.ndarray) -> tuple[np.ndarray, ...]:
        slopes = dh * self.g.derivative(values[0])
        return slopes, slopes, np.zeros_like(dh), dmemory


class _LSTMCell(Cell):
    n_gates = 4
    has_memory = True

    def forward(
        self, P: np.ndarray, Q: np.ndarray, h: np.ndarray, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        i, f, g, o = np.split(P + Q, 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        after = f * memory + i * g
        return o * np.tanh(after), after, (i, f, g, o, memory, np.tanh(after))

    def backward(self, values: tuple[np.ndarray, ...], dh: np.ndarray, dmemory: np.ndarray) -> tuple[np.ndarray, ...]:
        i, f, g, o, memory, tanh = values
        dc = dmemory + dh * o * (1 - tanh**2)
        slopes = dc * g * i * (1 - i), dc * memory * f * (1 - f), dc * i * (1 - g**2), dh * tanh * o * (1 - o)
        dP = np.concatenate(slopes, axis=1)
        return dP, dP, np.zeros_like(dh), dc * f


class _GRUCell(Cell):
    n_gates = 3
    two_biases = True

    def forward(
        self, P: np.ndarray, Q: np.ndarray, h: np.ndarray, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        (P_r, P_z, P_n), (Q_r, Q_z, Q_n) = np.split(P, 3, axis=1), np.split(Q, 3, axis=1)
        r, z = _sigmoid(P_r + Q_r), _sigmoid(P_z + Q_z)
        n = np.tanh(P_n + r * Q_n)
        return (1 - z) * n + z * h, memory, (r, z, n, Q_n, h)

    def backward(self, values: tuple[np.ndarray, ...], dh: np.ndarray, dmemory: np.ndarray) -> tuple[np.ndarray, ...]:
        r, z, n, Q_n, h = values
        dn = dh * (1 - z) * (1 - n**2)
        slopes = dn * Q_n * r * (1 - r), dh * (h - n) * z * (1 - z)
        return np.concatenate([*slopes, dn], axis=1), np.concatenate([*slopes, dn * r], axis=1), dh * z, dmemory


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(activations.get("sigmoid")(x))


#: Name in the core -> cell.
CELLS: Mapping[str, Cell] = MappingProxyType(
    {
        "tanh": _Plain(activations.get("tanh")),
        "relu": _Plain(activations.get("relu")),
        "lstm": _LSTMCell(),
        "gru": _GRUCell(),
    }
)


@dataclass(frozen=True, kw_only=True)
class Recurrence(Operation):
    """h after all steps of rows (steps, channels), which may have lengths.

    Attributes
    ----------
    cell : str
        One of `CELLS`.
    reverse : bool
        From each row's last step to its first.
    carries : bool
        Whether it reads the states before the first step, and those after the last follow h in its rows: for predictions alone.
    """

    kind: ClassVar[str] = "recurrent"
    cell: str
    steps: int
    channels: int
    n_units: int
    reverse: bool = False
    carries: bool = False

    @property
    def n_states(self) -> int:
        """Numbers that go from step to step."""
        return self.n_units * (2 if CELLS[self.cell].has_memory else 1)

    @property
    def n_out(self) -> int:
        return self.steps * self.n_units + (self.n_states if self.carries else 0)

    @property
    def dims(self) -> tuple[int, ...]:
        code = core.CELL_CODES[self.cell]
        return code, self.steps, self.channels, self.n_units, int(self.reverse), int(self.carries)

    @property
    def segments(self) -> tuple[Segment, ...]:
        width = CELLS[self.cell].n_gates * self.n_units
        shapes = {"W": (self.channels, width), "U": (self.n_units, width), "b": (width,)}
        if CELLS[self.cell].two_biases:
            shapes["c"] = (width,)
        bound = self.n_units**-0.5
        return tuple(Segment(name, shape, partial(_uniform, bound, shape)) for name, shape in shapes.items())

    def _walk(self, lengths: np.ndarray | None, m: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of each step the rows that have it, and which of their positions it is."""
        n = np.full(m, self.steps) if lengths is None else np.floor(lengths[:, 0]).clip(0, self.steps).astype(int)
        for t in range(self.steps):
            rows = np.flatnonzero(n > t)
            yield rows, n[rows] - 1 - t if self.reverse else np.full(len(rows), t)

    def _run(self, params: Arrays, A: tuple[np.ndarray, ...]) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
        """Z, and of each step the rows' x and h before it, and the cell's values."""
        cell, m = CELLS[self.cell], len(A[0])
        x = A[0].reshape(m, self.steps, self.channels)
        states = A[1] if self.carries else np.zeros((m, self.n_states), A[0].dtype)
        h, memory = states[:, : self.n_units].copy(), states[:, self.n_units :].copy()
        Z, trace = np.zeros((m, self.steps, self.n_units), A[0].dtype), []
        for rows, places in self._walk(None if self.carries or len(A) == 1 else A[1], m):
            P, Q = x[rows, places] @ params["W"] + params["b"], h[rows] @ params["U"] + params.get("c", 0)
            before = h[rows]
            h[rows], memory[rows], values = cell.forward(P, Q, before, memory[rows])
            Z[rows, places] = h[rows]
            trace.append((rows, places, before, values))
        flat = Z.reshape(m, -1)
        return np.concatenate([flat, h, memory], axis=1) if self.carries else flat, trace

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        return self._run(params, A)[0]

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        cell, m = CELLS[self.cell], len(A[0])
        x, dz = A[0].reshape(m, self.steps, self.channels), dZ.reshape(m, self.steps, self.n_units)
        gradients = {name: np.zeros_like(params[name]) for name, *_ in self.segments}
        dx, dh = np.zeros_like(x), np.zeros((m, self.n_units), dZ.dtype)
        dmemory = np.zeros((m, self.n_states - self.n_units), dZ.dtype)
        for rows, places, before, values in reversed(self._run(params, A)[1]):
            dP, dQ, direct, dmemory[rows] = cell.backward(values, dh[rows] + dz[rows, places], dmemory[rows])
            dh[rows] = direct + dQ @ params["U"].T
            dx[rows, places] = dP @ params["W"].T
            for name, gradient in (("W", x[rows, places].T @ dP), ("U", before.T @ dQ), ("b", dP.sum(0)), ("c", dQ.sum(0))):
                if name in gradients:
                    gradients[name] += gradient
        return (dx.reshape(A[0].shape), *map(np.zeros_like, A[1:])), gradients


def _uniform(bound: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-bound, bound, shape)
