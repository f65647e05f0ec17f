"""Series that arrive step by step: a network whose rows are one step, and the states of its recurrences before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _checks, runtime
from fastnet._core import core
from fastnet.layers import (
    GRU,
    LSTM,
    RNN,
    Concat,
    Dense,
    Dropout,
    Graph,
    Inputs,
    Last,
    Layer,
    LayerNorm,
    Parametric,
    PReLU,
    Residual,
    Scale,
)  # fmt: skip
from fastnet.layers.recurrent import Recurrence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnet.network import Network

#: Layers whose output at a step depends on no later one, and on earlier ones by states alone.
_STEP_BY_STEP = (RNN, GRU, LSTM, Last, Dense, LayerNorm, Dropout, Residual, Concat, Parametric, PReLU, Scale)


def step(self: Network, x: ArrayLike, state: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A[L] after one more step of series that arrive step by step, of a network with recurrent layers.

    After all steps of a series, the output is that of `forward` for the whole series, except for rounding. There may be more
    steps than `input_shape` says.

    Parameters
    ----------
    x : array-like of shape (channels,) or (streams, channels)
        The next step of one series, or of several side by side.
    state : array-like of shape (n_states,) or (streams, n_states), optional
        What the step before gave; None before the first.

    Returns
    -------
    A : ndarray of shape (n_outputs,) or (streams, n_outputs)
        With ``return_sequences`` up to the output layer, the output of this step.
    state : ndarray of shape (n_states,) or (streams, n_states)
        h of each recurrent layer, and c of each LSTM, one after the other.

    Raises
    ------
    ValueError
        Layers that need other steps than the states of recurrent ones (`Bidirectional`, convolutions, pools), or arrays that
        do not fit.

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
    if self._step_by_step is None:
        self._step_by_step = Steps(self)
    return self._step_by_step(self._params, x, state)


class Steps:
    """The plan of a network that takes one step at a time, with the network's own parameters.

    Parameters
    ----------
    network : Network

    Raises
    ------
    ValueError
        A network without recurrent layers, or with layers that need more than the states of earlier steps.
    """

    def __init__(self, network: Network) -> None:
        recurrences = [node.operation for node in network._graph.nodes if isinstance(node.operation, Recurrence)]
        if not recurrences:
            raise ValueError("step is for networks with fastnet.RNN, GRU or LSTM, this one has none: use forward.")
        _check_layers(network.layers)
        self.n_states = sum(recurrence.n_states for recurrence in recurrences)
        self.channels = network.input_shape[-1]
        inputs = Inputs((1, self.channels), n_states=self.n_states)
        self._graph, _ = Graph.of(network.layers, inputs)
        if self._graph.shapes() != network._graph.shapes():
            raise ValueError("step needs layers with the same parameters at every step; this network has some of single steps.")
        self._plan = self._graph.plan()

    def __call__(self, params: np.ndarray, x: Any, state: Any) -> tuple[np.ndarray, np.ndarray]:
        """What `Network.step` gives."""
        x = _checks.numeric_array(x, "x").astype(params.dtype)
        if x.ndim not in (1, 2) or x.shape[-1] != self.channels:
            raise ValueError(f"x must have shape ({self.channels},), or (streams, {self.channels}), got {x.shape}.")
        of_state = (*x.shape[:-1], self.n_states)
        state = np.zeros(of_state, params.dtype) if state is None else _checks.numeric_array(state, "state").astype(params.dtype)
        if state.shape != of_state:
            raise ValueError(f"state must have shape {of_state}, as the step before gave it, got {state.shape}.")
        rows = np.concatenate([x, state], axis=-1).reshape(-1, self.channels + self.n_states)
        outs = [np.empty((len(rows), n), params.dtype) for n in self._plan.sizes[1:]]
        runtime.single_threaded_blas(self._plan.uses_blas, core.activations, self._plan, params, rows, outs)
        return outs[-1].reshape(*x.shape[:-1], -1), self._states(outs).reshape(of_state)

    def _states(self, outs: list[np.ndarray]) -> np.ndarray:
        """The states after the step, which lie behind h in the rows of each recurrence."""
        assert self._graph.states is not None
        ends = [(outs[number - 1], self._graph.nodes[number - 1].operation) for number in self._graph.states]
        return np.concatenate([A[:, operation.n_units :] for A, operation in ends if isinstance(operation, Recurrence)], axis=1)


def _check_layers(layers: Iterable[Layer]) -> None:
    for layer in layers:
        if not isinstance(layer, _STEP_BY_STEP):
            raise ValueError(
                f"step goes through recurrent layers and those that treat every step alike, got {type(layer).__name__}: give "
                "forward the whole series."
            )
        if isinstance(layer, Residual):
            _check_layers(layer.layers)
        if isinstance(layer, Concat):
            for branch in layer.branches:
                _check_layers(branch)
