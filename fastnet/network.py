"""The network: layer descriptions, one flat parameter vector, and the lecture's mathematics on it.

Notation, all row-major: a batch X of shape (m, n[0]); layer l = 1, ..., L with weights W[l] of shape (n[l-1], n[l]) and biases
b[l] of shape (n[l],)::

    A[0] = X        Z[l] = A[l-1] @ W[l] + b[l]        A[l] = g[l](Z[l])        J = mean loss of A[L] against y

That is a chain of dense layers; docs/mathematics.md has the equations of the others. The parameters are one vector,
``[W[1] ... W[L] | b[1] ... b[L]]`` for dense layers; weights and biases are views of it.

References
----------
Kent, Introduction to Deep Learning (ISE 364/464 lecture slides).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastnet import _checks, _data, losses, runtime
from fastnet._core import core
from fastnet._core.guards import Exclusive
from fastnet._generation import generate
from fastnet._hints import takes_other_words
from fastnet._outputs import both_classes, r2
from fastnet.activations import Activation, Outputs
from fastnet.layers import ENSEMBLES, Dense, Gradients, Graph, Inputs, Layer, chain, zeros
from fastnet.layers.dense import Linear
from fastnet.layers.lengths import positions_there
from fastnet.losses import Loss
from fastnet.ragged import core_labels, core_rows

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, DTypeLike

    from fastnet._checks import Seed
    from fastnet._data import MatrixLike
    from fastnet._loop import CallbackProtocol
    from fastnet._sampling import Sampling
    from fastnet._steps import Steps
    from fastnet.augment import Augmentation
    from fastnet.data import Blocks
    from fastnet.history import History
    from fastnet.optimizers import Optimizer
    from fastnet.schedules import LearningRate

T = TypeVar("T")

_forward_row = core.forward_row

#: Multiplications below which a second thread, and finding out how many there may be, costs more than it gains.
_WORTH_THREADS = 1 << 20


@dataclass(frozen=True)
class Ensemble:
    """How the members of a network are put together."""

    n_members: int = 1
    kind: str = "packed"
    loss: str = "members"

    def __post_init__(self) -> None:
        _checks.positive_int(self.n_members, "n_members", maximum=1 << 16)
        _checks.one_of(self.kind, "ensemble", ENSEMBLES)
        _checks.one_of(self.loss, "ensemble_loss", ("members", "mean"))


class Network:
    """A network of layers; of dense layers alone, a multilayer perceptron.

    Parameters
    ----------
    layers : sequence of Layer
        Layers 1 to L, the output layer last: `fastnet.Dense` and others. One dense layer is a perceptron.
    n_inputs : int, optional
        Features n[0].
    input_shape : sequence of int, optional
        Their shape instead, where a row has positions: (length, channels) of a series, (height, width, channels) of an image. X
        is then ``(m, *input_shape)``, or flat.
    ragged : bool
        Whether rows may have fewer positions along the first axis than `input_shape` says: X is then a `fastnet.Ragged`, a list
        of arrays, or an array of rows that are all of one length. A row's outputs do not depend on how long others are.
    n_members : int
        Models side by side, an ensemble that is trained and used in one pass; `forward` gives the mean of their outputs.
    ensemble : {"packed", "batch", "mini"}
        What the members share. "packed": nothing. "batch": the weights of dense layers, ``A[l] = g(((A[l-1] * r) @ W) * s + b)``
        with r, s, b of each member (Wen, Tran & Ba 2020; TabM, Gorishniy, Kotelnikov & Babenko 2024). "mini": all but factors r
        of the first dense layer's inputs and the output layer (TabM-mini).
    ensemble_loss : {"members", "mean"}
        What is minimised: the mean of the members' losses, or the loss of the mean of their outputs.
    dtype : {"float32", "float64"}
        Type of the parameters; everything is computed in it.
    random_state : None, int, SeedSequence, Generator or RandomState
        Seed of the initial weights. Biases start at 0.

    Attributes
    ----------
    layers : tuple of Layer
    n_inputs, n_outputs, n_layers, n_params, n_members : int
    sizes : tuple of int
        n[0], ..., n[L] of one member.
    dtype : dtype
    params : ndarray of shape (n_params,)
        All parameters, ``[all W | all b]`` of dense layers: write into it to change them.
    parameters : mapping of str to ndarray
        Writable views of `params` by name: the number of the layer, a point, and what its documentation calls them, as in "1.W";
        inside of layers of layers "2.1.W".
    weights, biases : tuple of ndarray
        Those of dense layers, of shapes (n[l-1], n[l]) and (n[l],), with the members as first axis if each has its own: change
        them in place, as in ``net.weights[0][:] = W``.

    Notes
    -----
    Predicting never writes to the network, so any number of threads may do it at once. One fit at a time can train it.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(8, "tanh"), fn.Dense(3, "softmax")], n_inputs=4, random_state=0)
    >>> net.n_params
    67
    >>> net.forward([1.0, 2.0, 3.0, 4.0]).shape
    (3,)
    """

    @takes_other_words()
    def __init__(
        self,
        layers: Sequence[Layer],
        n_inputs: int | None = None,
        *,
        input_shape: Sequence[int] | None = None,
        ragged: bool = False,
        n_members: int = 1,
        ensemble: str = "packed",
        ensemble_loss: str = "members",
        dtype: DTypeLike = "float32",
        random_state: Seed = None,
    ) -> None:
        layers = chain(layers)
        inputs = _inputs(n_inputs, input_shape, ragged)
        rng = _checks.generator(random_state)
        together = Ensemble(n_members, ensemble, ensemble_loss)
        self._build(layers, inputs, _checks.float_dtype(dtype), together)
        self._graph.initialise(self.parameters, rng)

    def _build(
        self,
        layers: tuple[Layer, ...],
        inputs: Inputs,
        params: np.ndarray | np.dtype,
        together: Ensemble | None = None,
    ) -> None:
        """Set all attributes, with the given parameter vector, or with zeros of the given dtype."""
        self.layers = layers
        self._together = Ensemble() if together is None else together
        self._inputs = inputs
        self._graph, self._ends = Graph.of(layers, inputs, self._together.n_members, self._together.kind)
        self.n_inputs = self._graph.widths[0]
        if not isinstance(params, np.ndarray):
            params = zeros(sum(map(math.prod, self._graph.shapes().values())), params)
        if self._graph.lengths_of(len(self._graph.nodes)) is not None and self.output_activation.name != "softmax":
            raise ValueError(
                f"The output of rows of unequal length has positions, its shape is {self.output_shape}: put "
                "fastnet.GlobalPool() or fastnet.Last() before the last layer, or let it have 'softmax'."
            )
        self._plan = self._graph.plan()
        widths = [self._graph.widths[end] // self._graph.members_of(end) for end in self._ends]
        self.sizes = (self.n_inputs, *widths)
        if params.shape != (self._plan.n_params,) or not params.flags.c_contiguous:
            raise ValueError(f"params must be a contiguous vector of {self._plan.n_params} values, got shape {params.shape}.")
        self._params = params
        self.dtype = params.dtype
        self._exclusive = Exclusive()
        self._steps: Steps | None = None
        self._set_views()

    def _set_views(self) -> None:
        self._parameters = self.views(self._params)
        linear = [node.path for node in self._graph.nodes if isinstance(node.operation, Linear)]
        self._weights = tuple(self._parameters[f"{path}.W"] for path in linear)
        self._biases = tuple(self._parameters[f"{path}.b"] for path in linear if f"{path}.b" in self._parameters)

    def views(self, flat: np.ndarray) -> Mapping[str, np.ndarray]:
        """Views of a vector of `n_params` numbers, such as a gradient, by the names of `parameters`."""
        return self._graph.parameters(self._plan, flat)

    def _make_writable(self) -> None:
        """Take a copy of parameters that are read-only, as those on joblib's and Ray's memory maps are."""
        if not self._params.flags.writeable:
            self._params = self._params.copy()
            self._set_views()

    @classmethod
    def from_parameters(
        cls,
        layers: Sequence[Dense],
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        *,
        dtype: DTypeLike | None = None,
    ) -> Network:
        """A network with given parameters, which are copied.

        Parameters
        ----------
        layers : sequence of Dense
        weights, biases : sequence of array-like
            W[l] of shape (n[l-1], n[l]) and b[l] of shape (n[l],), one for each layer.
        dtype : {"float32", "float64"}, optional
            By default float32 if all parameters are, else float64.

        Raises
        ------
        ValueError
            Shapes that do not fit the layers.
        """
        given_layers = chain(layers)
        layers = [layer for layer in given_layers if isinstance(layer, Dense)]
        if len(layers) != len(given_layers):
            raise TypeError("from_parameters takes dense layers; for others make a Network and write into its `parameters`.")
        arrays = {
            name: [_checks.numeric_array(p, name) for p in given] for name, given in (("weights", weights), ("biases", biases))
        }
        for name, given in arrays.items():
            if len(given) != len(layers):
                raise ValueError(f"{name} must hold one array for each of the {len(layers)} layers, got {len(given)}.")
        if arrays["weights"][0].ndim != 2:
            raise ValueError(f"weights[0] must have shape (n_inputs, {layers[0].n_units}), got {arrays['weights'][0].shape}.")
        if dtype is None:
            dtype = "float32" if all(p.dtype == np.float32 for given in arrays.values() for p in given) else "float64"
        network = cls.__new__(cls)
        n_inputs = _checks.positive_int(arrays["weights"][0].shape[0], "n_inputs", maximum=_checks.MAX_DIMENSION)
        network._build(tuple(layers), Inputs((n_inputs,)), _checks.float_dtype(dtype))
        for name, own in (("weights", network.weights), ("biases", network.biases)):
            for number, (view, array) in enumerate(zip(own, arrays[name], strict=True)):
                if array.shape != view.shape:
                    raise ValueError(f"{name}[{number}] must have shape {view.shape}, got {array.shape}.")
                view[...] = array
        return network

    @classmethod
    def _adopt(cls, layers: Sequence[Layer], inputs: Inputs, params: np.ndarray, together: Ensemble | None = None) -> Network:
        """A network on an existing flat vector, which becomes its `params` without a copy and may be read-only.

        Raises
        ------
        ValueError
            Not a contiguous vector of float32 or float64, or of the wrong length.
        """
        network = cls.__new__(cls)
        _checks.float_dtype(params.dtype)
        network._build(chain(layers), inputs, params, together)
        return network

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles: built anew around the parameters, with what users and subclasses have set besides."""
        state = object.__getstate__(self)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        own = {name: value for name, value in attributes.items() if name not in _BUILT}
        rebuilt = _rebuild, (type(self), self.layers, self._inputs, self._params, self._together)
        return (*rebuilt, own if slots is None else (own, slots))

    @property
    def params(self) -> np.ndarray:
        return self._params

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a row of X, of ragged rows of the longest."""
        return self._inputs.shape

    @property
    def ragged(self) -> bool:
        """Whether rows of X may be of unequal length."""
        return self._inputs.ragged

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a row of A[L], of one member."""
        return self._graph.row_shapes[-1]

    def _flat(self, X: Any) -> Any:
        """Rows (m, *input_shape) or ragged ones, or one row, as (m, n_inputs) or (n_inputs,); anything else as it is."""
        shape = self.input_shape
        if self.ragged:
            return core_rows(X, shape, self._graph.shortest, self.dtype)
        if len(shape) == 1 or _data.is_sparse(X):
            return X
        X = _checks.numeric_array(X, "X")
        if X.shape == shape:
            return X.reshape(-1)
        if X.shape[1:] == shape:
            return X.reshape(len(X), -1)
        if X.ndim > 2:
            raise ValueError(f"X must have shape (rows, {', '.join(map(str, shape))}), got {X.shape}.")
        return X

    @property
    def parameters(self) -> Mapping[str, np.ndarray]:
        return self._parameters

    @property
    def weights(self) -> tuple[np.ndarray, ...]:
        return self._weights

    @property
    def biases(self) -> tuple[np.ndarray, ...]:
        return self._biases

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def n_members(self) -> int:
        return self._together.n_members

    @property
    def n_outputs(self) -> int:
        return self._plan.n_outputs

    @property
    def output_activation(self) -> Activation:
        """g[L]"""
        return self._graph.nodes[-1].operation.activation

    @property
    def n_params(self) -> int:
        return self._params.size

    @property
    def n_weights(self) -> int:
        """Length of the prefix of `params` that holds the weights: what the L2 penalty is on."""
        return self._plan.n_penalised

    def forward(self, X: MatrixLike) -> np.ndarray:
        """A[L] for one datapoint or for a batch.

        NaN and infinity are not looked for here: they come out as they must.

        Parameters
        ----------
        X : array-like of shape (n_inputs,) or (m, n_inputs), or scipy.sparse matrix of shape (m, n_inputs)
            Fastest in the network's dtype and C order, for which nothing is copied.

        Returns
        -------
        ndarray of shape (n_outputs,) or (m, n_outputs), of the network's dtype
            softmax at each position: ``(m, *output_shape)``, 0 at positions that a row does not have.

        Raises
        ------
        TypeError, ValueError
            Not real numbers, or a wrong shape.
        """
        try:
            return _forward_row(self._plan, self._params, X)
        except (TypeError, ValueError):
            return self._forward(X, check_finite=False)

    def __call__(self, X: MatrixLike) -> np.ndarray:
        """The same as `forward`."""
        return self.forward(X)

    def _forward(self, X: Any, *, check_finite: bool, n_threads: int | None = None) -> np.ndarray:
        X, single = _data.batch(self._flat(X), self.n_inputs)
        A = self._outputs(_data.features(X, self.n_inputs, self.dtype, check_finite=check_finite), n_threads)
        if self._plan.n_positions > 1:
            A = A.reshape(len(A), *self.output_shape)
            if self.ragged:
                A[~self._positions_there(X)] = 0
        return A[0] if single else A

    def _positions_there(self, X: np.ndarray) -> np.ndarray:
        """Which positions of the output rows X in the core's form have, (m, *output_shape) without the last axis."""
        shape = len(X), *self.output_shape[:-1]
        lengths = self._graph.output_lengths(X[:, -1])
        if lengths is None:
            return np.ones(shape, bool)
        there = positions_there(lengths[:, None], shape[1])
        return np.broadcast_to(there.reshape(*there.shape, *(1,) * (len(shape) - 2)), shape)

    def _outputs(self, X: _data.Features, n_threads: int | None = None) -> np.ndarray:
        """A[L] of data in the core's form."""
        m = _data.n_rows(X)
        out = np.empty((m, self.n_outputs), self.dtype)
        self._compute(core.forward, X, out, self._threads(m, n_threads))
        return out

    def _compute(self, kernel: Callable[..., T], *args: Any) -> T:
        """A call into the core with the network's parameters."""
        return runtime.single_threaded_blas(self._plan.uses_blas, kernel, self._plan, self._params, *args)

    def _threads(self, m: int, n_threads: int | None = None) -> int:
        return 1 if m * self._plan.cost < _WORTH_THREADS else runtime.thread_limit(n_threads)

    def forward_members(self, X: MatrixLike) -> np.ndarray:
        """A[L] of each member of an ensemble, of shape (m, n_members, n_outputs), for X as for `forward`."""
        X, single = _data.batch(self._flat(X), self.n_inputs)
        features = _data.features(X, self.n_inputs, self.dtype, check_finite=False)
        m = _data.n_rows(features)
        out = np.empty((m, self.n_members * self.n_outputs), self.dtype)
        self._compute(partial(core.forward, of_each=True), features, out, self._threads(m))
        A = out.reshape(m, self.n_members, self.n_outputs)
        return A[0] if single else A

    def step(self, x: ArrayLike, state: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
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
        if self._steps is None:
            from fastnet._steps import Steps

            self._steps = Steps(self)
        return self._steps(self._params, x, state)

    def member(self, number: int) -> Network:
        """A member of a packed ensemble, from 0, as a network of its own with a copy of its parameters.

        Raises
        ------
        ValueError
            No such member, or members that share parameters.
        """
        if self.n_members > 1 and self._together.kind != "packed":
            kind = self._together.kind
            raise ValueError(f"Members of a {kind!r} ensemble share parameters; forward_members gives their outputs.")
        _checks.integer(number, "number", minimum=0, maximum=self.n_members - 1)
        single = type(self)._adopt(self.layers, self._inputs, zeros(self.n_params // self.n_members, self.dtype))
        for name, view in single.parameters.items():
            view[...] = self.parts_of(self.parameters[name])[number].reshape(view.shape)
        return single

    def parts_of(self, view: np.ndarray) -> np.ndarray:
        """Parameters of a packed ensemble, as in `parameters`, as (n_members, numbers of each); a view."""
        return view.reshape(self.n_members, -1)

    def predict(self, X: MatrixLike) -> np.ndarray:
        """Predictions in the form of y.

        Parameters
        ----------
        X : array-like or scipy.sparse matrix
            As for `forward`, but NaN and infinity are refused.

        Returns
        -------
        ndarray of shape (m,), or (m, n_outputs) where there are several outputs that are no class probabilities
            softmax: class numbers, of each position if the outputs have positions (-1 of those that a row does not have);
            sigmoid: 0 or 1; otherwise A[L]. One datapoint gives one entry.
        """
        A = self._decide(self._forward(X, check_finite=True))
        return A[..., 0] if self.n_outputs == 1 else A

    def _decide(self, A: np.ndarray) -> np.ndarray:
        """Class numbers from probabilities of classes (-1 where all are 0: a position that a row does not have), 0 or 1 from
        single ones, and values as they are."""
        if self._range is Outputs.SIMPLEX:
            numbers = A.argmax(axis=-1)
            return np.where(A.any(axis=-1), numbers, -1) if self.ragged else numbers
        return (A > 0.5).astype(np.int64) if self._range is Outputs.UNIT else A

    @property
    def _range(self) -> Outputs:
        return self.output_activation.outputs

    def predict_proba(self, X: MatrixLike) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or scipy.sparse matrix
            As for `predict`.

        Returns
        -------
        ndarray of shape (m, n_outputs), or (m, 2) of one sigmoid output, of the network's dtype
            softmax: the probability of each class. One sigmoid output: of the classes 0 and 1. Several: each output's own
            probability of being 1. One datapoint gives one row.

        Raises
        ------
        ValueError
            Outputs that are no probabilities.
        """
        if self._range < Outputs.UNIT:
            raise ValueError(
                f"predict_proba needs 'softmax' or 'sigmoid' outputs, got a network with {self.output_activation.name!r}: "
                "predict gives its values."
            )
        A = self._forward(X, check_finite=True)
        return A if self.n_outputs > 1 else both_classes(np.atleast_2d(A)).reshape(*A.shape[:-1], 2)

    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """How well predictions meet targets: accuracy of softmax and sigmoid outputs, R2 of all others.

        Parameters
        ----------
        X : array-like or scipy.sparse matrix of shape (m, n_inputs)
        y : array-like of shape (m,) or (m, n_outputs)
            As for `fit`. Of rows of probabilities, the largest is the class.
        sample_weight : array-like of shape (m,), optional

        Returns
        -------
        float
            1 at best. Accuracy: the share of rows (or of positions with a target) whose class is predicted, or all of whose
            labels are, with several sigmoid outputs. R2: ``1 - sum (y - A[L])^2 / sum (y - mean y)^2``, averaged over the
            outputs.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.
        """
        loss = losses.get(None, self.output_activation)
        X, y, w = self._dataset(X, y, sample_weight, loss, np.dtype(np.float64))
        A = self._outputs(X)
        if self._plan.n_positions > 1:
            right = (A.reshape(*y.shape, -1).argmax(axis=-1) == y).sum(axis=1)
            return float(np.average(right / (y >= 0).sum(axis=1).clip(1), weights=w))
        if self._range < Outputs.UNIT:
            return r2(A, y, w)
        wrong = self._decide(A) != (self._decide(y) if y.ndim == 2 else y)
        return float(np.average(~wrong.reshape(len(y), -1).any(axis=1), weights=w))

    def generate(
        self,
        prompt: ArrayLike,
        n: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        random_state: Seed = None,
    ) -> np.ndarray:
        """Ids that follow a prompt, each drawn from the network's softmax after all that came before it: a language model writes.

        The network reads ids of shape (length,) and has a softmax over the ids at each position, which depends on no later one.
        It sees the last `length` ids. All positions are computed anew for each id.

        Parameters
        ----------
        prompt : array-like of shape (at least 1,)
            Ids to begin with.
        n : int
            How many ids to draw.
        temperature : float
            Probabilities are those of the network to the power of ``1 / temperature``, normalised; 0: always the likeliest id.
        top_k : int, optional
            Draw from the `top_k` likeliest ids alone.
        random_state : int, SeedSequence, Generator or RandomState, optional

        Returns
        -------
        ndarray of int64, of shape (n,)

        Raises
        ------
        ValueError, TypeError
            A network of another kind, or ids that it does not have.
        """
        return generate(self, prompt, n, temperature, top_k, random_state)

    def activations(self, X: MatrixLike) -> list[np.ndarray]:
        """A[0], ..., A[L] of a batch (or of one datapoint), without dropout.

        Returns
        -------
        list of L + 1 arrays of shape (m, n[l]), or (m, n_members, n[l]) where members have their own
            A[0] is X itself where it is of the network's dtype and C-contiguous already.
        """
        X, single = _data.batch(self._flat(X), self.n_inputs)
        A0 = _data.features(X, self.n_inputs, self.dtype, check_finite=False)
        m = _data.n_rows(A0)
        outs = [np.empty((m, n), self.dtype) for n in self._plan.sizes[1:]]
        self._compute(core.activations, A0, outs, self._threads(m))
        layers = [X if isinstance(A0, tuple) else A0, *(self._by_members(outs[end - 1], end) for end in self._ends)]
        return [A[0] for A in layers] if single else layers

    def _by_members(self, A: np.ndarray, operation: int) -> np.ndarray:
        members, shape = self._graph.members_of(operation), self._graph.row_shapes[operation]
        return A.reshape(len(A), *((members,) if members > 1 else ()), *shape)

    def loss(
        self,
        X: MatrixLike,
        y: ArrayLike,
        *,
        loss: str | Loss | type[Loss] | None = None,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
    ) -> float:
        """J, the (weighted) mean loss, without dropout.

        Parameters
        ----------
        X : array-like or scipy.sparse matrix of shape (m, n_inputs)
        y : array-like of shape (m,) or (m, n_targets)
            Class numbers for cross_entropy.
        loss : str or Loss, optional
            By default the one that suits the output activation.
        sample_weight : array-like of shape (m,), optional
        l2 : float
            Adds ``l2 / 2 * ||W||^2``, over the weights and not the biases.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit, or a loss that is not defined for the network's outputs.
        """
        loss, X, y, w = self._checked(X, y, loss, sample_weight)
        J = self._loss(X, y, loss, w)
        return J + self._penalty(_checks.real(l2, "l2", minimum=0.0))

    def _checked(
        self, X: Any, y: Any, loss: Any, sample_weight: Any
    ) -> tuple[Loss, _data.Features, np.ndarray, np.ndarray | None]:
        loss = losses.get(loss, self.output_activation)
        return loss, *self._dataset(X, y, sample_weight, loss)

    def _dataset(self, X: Any, y: Any, sample_weight: Any, loss: Loss, target_dtype: np.dtype | None = None) -> _data.Dataset:
        """X, y and sample weights in the core's form."""
        X, n_positions = self._flat(X), self._plan.n_positions
        if n_positions > 1 and self.ragged:
            y = core_labels(y, self._positions_there(X))
        return _data.validated(X, y, sample_weight, self.n_inputs, self.n_outputs, loss, self.dtype, target_dtype, n_positions)

    def _loss(
        self, X: _data.Features, y: np.ndarray, loss: Loss, sample_weight: np.ndarray | None, n_threads: int | None = None
    ) -> float:
        """`loss` of data in the core's form."""
        form = self._form(loss)
        return self._compute(core.loss, form, X, y, sample_weight, self._threads(_data.n_rows(X), n_threads))

    def _form(self, loss: Loss) -> tuple[Any, ...]:
        """The loss as the core takes it, for this network's outputs."""
        form = loss.core_form(self.n_outputs)
        if self._together.loss == "members":
            return form
        ceiling = form[3] if len(form) > 3 else math.inf
        return (*form[:3], ceiling, True)

    def _refuse_statistics(self, trained_by: str) -> None:
        """ValueError if layers keep running statistics, for training that does not update them."""
        if self._plan.n_cuts > 0:
            raise ValueError(
                f"{trained_by} does not update the running statistics of BatchNorm: take another optimizer in one process, or "
                "fastnet.LayerNorm."
            )

    def _penalty(self, l2: float) -> float:
        W = self._params[: self.n_weights]
        return 0.5 * l2 * float(W @ W) if l2 else 0.0

    def loss_and_grad(
        self,
        X: MatrixLike,
        y: ArrayLike,
        *,
        loss: str | Loss | type[Loss] | None = None,
        sample_weight: ArrayLike | None = None,
        l2: float = 0.0,
        dropout_seed: int | None = None,
    ) -> tuple[float, Gradients]:
        """J and its gradient by backpropagation.

        Row-major, ``*`` elementwise::

            dZ[L] = dJ/dA[L] * g'(Z[L])      dW[l] = A[l-1].T @ dZ[l]      db[l] = sum over rows of dZ[l]
            dZ[l-1] = dZ[l] @ W[l].T * g'(Z[l-1])

        Parameters
        ----------
        X, y, loss, sample_weight, l2
            As for `loss`.
        dropout_seed : int, optional
            Turn dropout on, with the masks of the first update under this seed.

        Returns
        -------
        J : float
        grads : Gradients
            ``flat`` of shape (n_params,), ``weights`` and ``biases`` views of it; ``net.views(grads.flat)`` gives all of them by
            name. With `BatchNorm`, J and the gradient go by the statistics of these rows, as in training.
        """
        loss, X, y, w = self._checked(X, y, loss, sample_weight)
        l2 = _checks.real(l2, "l2", minimum=0.0)
        flat = np.empty_like(self._params)
        J = self._loss_and_grad(X, y, loss, w, flat, seed=dropout_seed)
        if l2:
            flat[: self.n_weights] += l2 * self._params[: self.n_weights]
        return J + self._penalty(l2), self._gradients(flat)

    def _gradients(self, flat: np.ndarray) -> Gradients:
        views = self.views(flat)
        linear = [node.path for node in self._graph.nodes if isinstance(node.operation, Linear)]
        weights, biases = ([views[f"{path}.{name}"] for path in linear if f"{path}.{name}" in views] for name in "Wb")
        return Gradients(flat, weights, biases)

    def _loss_and_grad(
        self,
        X: _data.Features,
        y: np.ndarray,
        loss: Loss,
        sample_weight: np.ndarray | None,
        out: np.ndarray,
        *,
        seed: int | None = None,
        n_threads: int | None = None,
    ) -> float:
        """`loss_and_grad` of data in the core's form, the gradient written into `out`."""
        form = self._form(loss)
        threads = self._threads(_data.n_rows(X), n_threads)
        return self._compute(core.loss_and_grad, form, X, y, sample_weight, out, threads, seed)

    @takes_other_words(learning_rate_init="learning_rate", max_iter="epochs", verbose="progress")
    def fit(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        *,
        loss: str | Loss | type[Loss] | None = None,
        optimizer: str | Optimizer | type[Optimizer] = "adam",
        batch_size: int = 32,
        epochs: int | None = None,
        iterations: int | None = None,
        learning_rate: LearningRate | None = None,
        sampling: Sampling = "shuffle",
        buffer: float | None = None,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[MatrixLike, ArrayLike] | tuple[MatrixLike, ArrayLike, ArrayLike | None] | Blocks | None = None,
        l2: float = 0.0,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = None,
        track_grad_norm: bool = False,
        learning_rate_factors: Mapping[str, float] | None = None,
        decay_factors: Mapping[str, float] | None = None,
        schedules: Mapping[str, LearningRate] | None = None,
        augment: Augmentation | Sequence[Augmentation] | None = None,
        callbacks: Iterable[CallbackProtocol] = (),
        progress: bool = False,
        max_time: float | None = None,
        random_state: Seed = None,
        n_threads: int | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train the network in place.

        Each update takes the next batch of rows, goes forward and backward through the network, and lets the optimiser change the
        parameters; an epoch runs in the compiled core as one call. All arguments are checked before the first update.

        Parameters
        ----------
        X : array-like or scipy.sparse matrix of shape (m, n_inputs), or Blocks
            Not copied where it is a C-contiguous array of the network's dtype. Data larger than memory come from `fastnet.data`,
            with their targets and sample weights.
        y : array-like of shape (m,) or (m, n_targets)
            Class numbers 0, 1, ... for cross_entropy (or rows of probabilities), 0 or 1 for binary_cross_entropy, values
            otherwise. Where the output has a softmax at each position, class numbers of all positions, of shape ``(m,
            *output_shape[:-1])`` or as ragged as X; -1 is no target. The loss is the mean over all positions that have one.
        loss : str or Loss, optional
            By default the one that suits the output activation: cross_entropy for softmax, binary_cross_entropy for sigmoid,
            poisson for exponential, squared_error otherwise.
        optimizer : str or Optimizer, default="adam"
            One of `fastnet.optimizers`, by its name or as an object: ``fn.SGD(0.1, momentum=0.9)``.
        batch_size : int, default=32
            Rows of a batch, B; all rows where there are fewer.
        epochs, iterations : int, optional
            Passes over the data, or updates T. Give at most one; 20 epochs by default.
        learning_rate : float, str, Schedule, sequence or callable, optional
            The learning rates ``{alpha_j}``: a number, a schedule or its name, one number for each update, or a function of the
            update's number. By default the optimiser's own.
        sampling : {"shuffle", "random", "sequential"} or callable, default="shuffle"
            "shuffle": every row once an epoch, in random order. "random": a fresh random batch for each update. "sequential": the
            rows as they are. Or a function of the session that gives the row numbers of the next epoch.
        buffer : float or int, optional
            Of blocks: the share of the rows, or their number, that are shuffled together, 0.1 by default. Memory holds twice as
            many.
        sample_weight : array-like of shape (m,), optional
        validation_data : (X, y) or (X, y, sample_weight) or Blocks, optional
            Its loss is recorded after each epoch.
        l2 : float, default=0.0
            Adds ``l2 / 2 * ||W||^2`` to the loss.
        weight_decay : float, default=0.0
            Decoupled decay of the weights, ``w -= learning rate * weight_decay * w``; 0: the optimiser's own (AdamW).
        max_grad_norm : float, optional
            Longest gradient; longer ones are scaled down to it.
        track_grad_norm : bool, default=False
            Record the gradient norm of each epoch.
        learning_rate_factors : mapping of str to float, optional
            Factors of the learning rate for parts of the network, by names of layers ("2"), of parameters in all layers ("b") or
            of single ones ("2.W"), as in `parameters`; the most specific name counts, and what is not named has 1.
        decay_factors : mapping of str to float, optional
            Factors of `l2` and `weight_decay` likewise; what is not named has 1 if it is a dense layer's weights and 0 otherwise.
        schedules : mapping of str to float, Schedule, sequence or callable, optional
            Factors, update by update, of "weight_decay", "dropout" (of all layers), "momentum" (Adam's and Lion's beta1,
            RMSprop's rho) and "label_smoothing", as in ``{"dropout": lambda j: 1 - j / n_updates}``.
        augment : Augmentation or sequence of them, optional
            Random changes of rows, anew whenever they are trained on: `fastnet.augment.Shift`, ``Flip``, ``Jitter``.
        callbacks : iterable of Callback, default=()
            Called between epochs; see `fastnet.callbacks`.
        progress : bool, default=False
            Show a progress bar.
        max_time : float, optional
            Most seconds of training: it ends after the epoch (L-BFGS: iteration) that another one would take beyond them, judged
            by the time of the last.
        random_state : int, SeedSequence, Generator or RandomState, optional
            Seed of the order of rows, of dropout and of `augment`. The same seed on the same machine gives the same network, bit
            for bit.
        n_threads : int, optional
            Most threads to use.
        resume_from : path, optional
            A file written by `fastnet.Checkpoint`: continue from there, bit for bit, with the same data and options.

        Returns
        -------
        History
            One value an epoch (L-BFGS: an iteration).

        Raises
        ------
        ValueError, TypeError
            Arguments or data that do not fit, or options that there are not; nothing has changed then.
        DivergenceError
            A loss or parameter became NaN or infinite; the network keeps the parameters of the last epoch that ended finite.
        KeyboardInterrupt
            Ctrl-C, which is noticed within a tenth of a second; the network keeps the parameters of the last completed batch. Of
            more than eight million parameters some may be those after the update that was interrupted, the others those before.
        RuntimeError
            The network is being trained already.

        Warns
        -----
        RuntimeWarning
            L-BFGS stopped before it reached a minimum, as rounding hides how to go on.
        DivergenceWarning
            The loss is finite, but ends far above that of the first epoch.

        Notes
        -----
        Three options may have the names that the estimators give them: ``learning_rate_init`` for `learning_rate`, ``max_iter``
        for `epochs` and ``verbose`` for `progress`. Their `alpha` is ``l2 * batch_size``.

        Examples
        --------
        >>> import fastnet as fn
        >>> net = fn.Network([fn.Dense(4, "tanh"), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=0)
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> history = net.fit(X, y, optimizer=fn.Adam(0.05), batch_size=4, epochs=300, random_state=0)
        >>> net.predict(X).tolist()
        [0, 1, 1, 0]
        """
        return _fit(**locals())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write architecture and parameters to a safetensors file, which `fastnet.load` reads."""
        from fastnet.persistence import save

        save(self, path)

    def summary(self) -> str:
        """A table of the layers: shapes, activations, parameters and memory."""
        from fastnet._summary import text

        return text(self)

    def __repr__(self) -> str:
        layers = ", ".join(
            f"{layer.n_units} {layer.activation.name}" if isinstance(layer, Dense) else f"{type(layer).__name__} {size}"
            for layer, size in zip(self.layers, self.sizes[1:], strict=True)
        )
        members = f"{self.n_members} {self._together.kind} members, " if self.n_members > 1 else ""
        inputs = " x ".join(map(str, self.input_shape))
        return f"<Network {inputs} -> {layers}; {members}{self.n_params} parameters, {self.dtype.name}>"

    def _repr_html_(self) -> str:
        from fastnet._summary import html

        return html(self)


#: Attributes that `Network._build` sets.
_BUILT = frozenset(
    {"layers", "n_inputs", "sizes", "_inputs", "dtype", "_together", "_graph", "_ends", "_params", "_plan", "_exclusive"}
    | {"_parameters", "_weights", "_biases", "_steps"}
)


def _fit(self: Network, **arguments: Any) -> History:
    """Import the layer above, and let it do the work of `Network.fit`."""
    from fastnet.training import fit_network

    return fit_network(self, **arguments)


def _rebuild(
    cls: type[Network],
    layers: tuple[Layer, ...],
    inputs: Inputs,
    params: np.ndarray,
    together: Ensemble | None = None,
) -> Network:
    """Undo `Network.__reduce__`."""
    return cls._adopt(layers, inputs, params, together)


def _inputs(n_inputs: int | None, input_shape: Sequence[int] | None, ragged: bool) -> Inputs:
    """What a row of X is: a number of features, or their shape."""
    if (n_inputs is None) == (input_shape is None):
        raise TypeError(f"Give either n_inputs or input_shape, got n_inputs={n_inputs!r} and input_shape={input_shape!r}.")
    if input_shape is None and ragged:
        raise TypeError("ragged=True needs the input_shape of the longest row, as in input_shape=(100, 3), got n_inputs.")
    if input_shape is None:
        return Inputs((_checks.positive_int(n_inputs, "n_inputs", maximum=_checks.MAX_DIMENSION),))
    shape = tuple(_checks.positive_int(n, "input_shape", maximum=_checks.MAX_DIMENSION) for n in input_shape)
    _checks.positive_int(math.prod(shape) if shape else 0, "the numbers of input_shape", maximum=_checks.MAX_DIMENSION)
    return Inputs(shape, bool(ragged))
