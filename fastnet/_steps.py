"""Rows that arrive step by step: a network whose rows are one step, and the states that the steps before it left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _checks, runtime
from fastnet._core import core
from fastnet.layers import (
    GRU,
    LSTM,
    RNN,
    Attention,
    Concat,
    CrossAttention,
    Dense,
    Dropout,
    Embedding,
    EncoderDecoder,
    Graph,
    Inputs,
    Last,
    Layer,
    LayerNorm,
    Parametric,
    Positions,
    PReLU,
    Residual,
    Scale,
    TransformerBlock,
)  # fmt: skip

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnet.network import Network

#: Layers whose output at a step depends on no later one, and on earlier ones by states alone.
_STEP_BY_STEP = (
    *(RNN, GRU, LSTM, Last, Attention, CrossAttention, TransformerBlock, EncoderDecoder, Embedding, Positions),
    *(Dense, LayerNorm, Dropout, Residual, Concat, Parametric, PReLU, Scale),
)


def step(
    self: Network, x: ArrayLike, state: ArrayLike | None = None, *, source: ArrayLike | Sequence[ArrayLike] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A[L] after one more step of series that arrive step by step, of a network with recurrent layers or causal attention.

    After all steps of a series, the output is that of `forward` for the whole series, except for rounding. Recurrent layers can
    take more steps than `input_shape` says. Attention keeps the keys and values of the steps before, so that they are not
    computed again.

    Parameters
    ----------
    x : array-like of shape (channels,) or (streams, channels)
        The next step of one series, or of several side by side; of a network that reads ids (length,), an id, or (streams,).
    state : array-like of shape (n_states,) or (streams, n_states), optional
        What the step before gave; None before the first.
    source : array-like of shape `source_shape`, or of several such for as many streams, or list of arrays, optional
        What the encoder of a `fastnet.EncoderDecoder` reads, shorter if the network is ragged. It is given before the first
        step only; the state then contains what the encoder made of it.

    Returns
    -------
    A : ndarray of shape (n_outputs,) or (streams, n_outputs)
        With ``return_sequences`` up to the output layer, the output of this step.
    state : ndarray of shape (n_states,) or (streams, n_states)
        h of each recurrent layer, and c of each LSTM, one after the other; keys and values of attention, and the number of steps.

    Raises
    ------
    ValueError
        Layers that need more than the states of earlier steps (`Bidirectional`, attention that is not causal, convolutions,
        pools), more steps than attention and `Positions` have positions, a source that is missing or not expected, or arrays
        that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> net = fn.Network([fn.GRU(4), fn.Dense(1, "identity")], input_shape=(3, 2), dtype="float64", random_state=0)
    >>> series, state = np.ones((3, 2)), None
    >>> for x in series:
    ...     A, state = net.step(x, state)
    >>> bool(np.allclose(A, net.forward(series)))
    True
    """
    steps = steps_of(self)
    if (source is not None) != (bool(self.source_shape) and state is None):
        raise ValueError(
            "The first step of a network with an encoder needs what it reads, source=..., and has got none."
            if source is None
            else "source is for the first step of a network with a fastnet.EncoderDecoder, without a state: leave it out."
        )
    if source is not None:
        state = steps.state_of_source(self, x, source)
    return steps(steps.parameters_of(self), x, state)


def steps_of(network: Network) -> Steps:
    """The network's plan for single steps, which is made when it is asked for."""
    if network._step_by_step is None:
        network._step_by_step = Steps(network)
    return network._step_by_step


class Steps:
    """The plan of a network that takes one step at a time, with the network's own parameters.

    Parameters
    ----------
    network : Network

    Raises
    ------
    ValueError
        A network whose layers have no states, or need more than the states of earlier steps.
    """

    def __init__(self, network: Network) -> None:
        if network.n_members > 1:
            raise ValueError("step is for one network, got an ensemble: take net.member(i), and the mean of what members give.")
        _check_layers(network.layers)
        self._shape = network.input_shape[1:]
        self._graph, _ = Graph.of(network.layers, Inputs((1, *self._shape)), whole=network._graph)
        if not self._graph.states:
            raise ValueError("step is for networks with fastnet.RNN, GRU, LSTM or Attention, this one has none: use forward.")
        if not self._graph.shapes().items() <= network._graph.shapes().items():
            raise ValueError("step needs layers with the same parameters at every step; this network has some of single steps.")
        self._plan = self._graph.plan()
        self._rooms: list[list[np.ndarray]] = []

    def parameters_of(self, network: Network) -> np.ndarray:
        """The parameters of layers that take part in steps: the network's own, or a copy of some of them."""
        if self._plan.n_params == network.n_params:
            return network.params
        flat = np.empty(self._plan.n_params, network.dtype)
        for name, view in self._graph.parameters(self._plan, flat).items():
            view[...] = network.parameters[name]
        return flat

    def first_state(self, network: Network, rows: np.ndarray) -> np.ndarray:
        """The states before the first step, from rows (m, n_inputs) whose sources an encoder reads."""
        outs = network._all_outputs(rows.astype(network.dtype))
        m = len(rows)
        parts = (np.zeros((m, n)) if given is None else outs[given - 1] for *_, n, given in self._graph.states)
        return np.concatenate([*parts], axis=1, dtype=network.dtype)

    def state_of_source(self, network: Network, x: Any, source: Any) -> np.ndarray:
        """The state before the first step x of one row or several, whose sources are given."""
        streams = self._streams(_checks.numeric_array(x, "x"))
        m = streams[0] if streams else 1
        sources = source if streams else [source]
        if len(sources) != m:
            raise ValueError(f"source must be one for each of the {m} streams of x, got {len(sources)}.")
        rows = network._flat((sources, np.zeros((m, *network.input_shape))))
        return self.first_state(network, rows).reshape(*streams, -1)

    def _streams(self, x: np.ndarray) -> tuple[int, ...]:
        """(streams,) of x, or () of one."""
        streams = x.shape[: x.ndim - len(self._shape)]
        if len(streams) > 1 or x.shape != (*streams, *self._shape):
            several = ", ".join(map(str, ("streams", *self._shape)))
            raise ValueError(f"x must have shape {self._shape}, or ({several}), got {x.shape}.")
        return streams

    def __call__(self, params: np.ndarray, x: Any, state: Any) -> tuple[np.ndarray, np.ndarray]:
        """What `Network.step` gives."""
        x = _checks.numeric_array(x, "x").astype(params.dtype, copy=False)
        streams = self._streams(x)
        n_states = sum(state.n for state in self._graph.states)
        state = self._checked((*streams, n_states), state, params.dtype)
        m = streams[0] if streams else 1
        rows = np.concatenate([x.reshape(m, math.prod(self._shape)), state.reshape(m, n_states)], axis=1)
        outs = self._room(m, params.dtype)
        runtime.single_threaded_blas(self._plan.uses_blas, core.activations, self._plan, params, rows, outs)
        after = np.concatenate([outs[number - 1][:, first : first + n] for number, first, n, _ in self._graph.states], axis=1)
        A = outs[-1].reshape(*streams, self._plan.n_outputs).copy()
        self._rooms.append(outs)
        return A, after.reshape(state.shape)

    def _room(self, m: int, dtype: np.dtype) -> list[np.ndarray]:
        """Room for the outputs of all operations: a finished call's, as fresh memory costs as much as a step."""
        try:
            outs = self._rooms.pop()
        except IndexError:
            outs = []
        fits = bool(outs) and outs[0].shape[0] == m and outs[0].dtype == dtype
        return outs if fits else [np.empty((m, n), dtype) for n in self._plan.sizes[1:]]

    def _checked(self, shape: tuple[int, ...], state: Any, dtype: np.dtype) -> np.ndarray:
        """The state before a step."""
        if state is None:
            return np.zeros(shape, dtype)
        state = _checks.numeric_array(state, "state").astype(dtype, copy=False)
        if state.shape != shape:
            raise ValueError(f"state must have shape {shape}, as the step before gave it, got {state.shape}.")
        if self._counter is not None and (state[..., self._counter] >= self._graph.steps).any():
            raise ValueError(
                f"The network's positions end after {self._graph.steps} steps, and this is another: begin anew with "
                "state=None, or build the network with a longer input_shape."
            )
        return state

    @cached_property
    def _counter(self) -> int | None:
        """Where in the state the number of steps is; None if layers do not ask for it."""
        numbers = [state.operation for state in self._graph.states]
        count = self._graph.step_count
        return None if count is None else sum(state.n for state in self._graph.states[: numbers.index(count)])


def _check_layers(layers: Iterable[Layer]) -> None:
    for layer in layers:
        if not isinstance(layer, _STEP_BY_STEP):
            raise ValueError(
                f"step goes through recurrent layers, causal attention and layers that treat every step alike, got "
                f"{type(layer).__name__}: give forward the whole series."
            )
        if isinstance(layer, Residual):
            _check_layers(layer.layers)
        if isinstance(layer, EncoderDecoder):
            _check_layers(layer.decoder)
        if isinstance(layer, Concat):
            for branch in layer.branches:
                _check_layers(branch)
