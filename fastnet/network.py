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
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastnet import _checks, _data, _fit, _generation, _members, _objective, _predictions, _rows, _steps, runtime
from fastnet._core import core
from fastnet._core.guards import Exclusive
from fastnet._hints import called_here, takes_other_words
from fastnet._members import Ensemble
from fastnet._saving import Saving
from fastnet.activations import Activation
from fastnet.layers import Dense, Graph, Inputs, Layer, chain, zeros
from fastnet.layers.dense import Linear

if TYPE_CHECKING:

    from numpy.typing import ArrayLike, DTypeLike

    from fastnet._checks import Seed
    from fastnet._data import MatrixLike

T = TypeVar("T")

_forward_row = core.forward_row

#: Multiplications below which a second thread, and finding out how many there may be, costs more than it gains.
_WORTH_THREADS = 1 << 20


class Network(Saving):
    """A network of layers; of dense layers alone, a multilayer perceptron.

    Parameters
    ----------
    layers : sequence of Layer
        Layers 1 to L, the output layer last: `fastnet.Dense` and others. One dense layer is a perceptron.
    n_inputs : int, optional
        Number of features, n[0].
    input_shape : sequence of int, optional
        Shape of a row, in place of `n_inputs`, where rows have positions: (length, channels) for a series, (height, width,
        channels) for an image. X then has shape ``(m, *input_shape)``, or is flat.
    ragged : bool
        Whether rows may have fewer positions along the first axis than `input_shape` says: X is then a `fastnet.Ragged`, a list
        of arrays (or an array or column of objects), or an array of rows that are all of one length. A row's outputs do not
        depend on how long others are.
    source_shape : sequence of int, optional
        Shape of the sources that the encoder of a `fastnet.EncoderDecoder` reads, like `input_shape`. X is then a tuple (sources,
        rows), both of them ragged if either is.
    n_members : int
        Number of models in an ensemble that is trained and used in one pass; `forward` gives the mean of their outputs.
    ensemble : {"packed", "batch", "mini"}
        What the members share. "packed": nothing. "batch": the weights of dense layers, ``A[l] = g(((A[l-1] * r) @ W) * s + b)``
        where each member has its own r, s and b (Wen, Tran & Ba 2020; TabM, Gorishniy, Kotelnikov & Babenko 2024). "mini":
        everything except the output layer and the factors r on the inputs of the first dense layer (TabM-mini). If rows have
        positions, only "packed" is possible.
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
        All parameters, ``[all W | all b]`` for dense layers; write into it to change them.
    parameters : mapping of str to ndarray
        Writable views of `params` by name: the number of the layer, a point, and the parameter's name in the layer's
        documentation, as in "1.W"; for a layer inside another layer, as in "2.1.W".
    weights, biases : tuple of ndarray
        Weights and biases of the dense layers, of shapes (n[l-1], n[l]) and (n[l],), with the members as first axis if each
        has its own. Change them in place, as in ``net.weights[0][:] = W``.

    Raises
    ------
    TypeError
        Neither `n_inputs` nor `input_shape`, or both; something that is no layer; a parameter of another type.
    ValueError
        No layers, layers that do not fit together or not to the inputs, or a parameter out of its range.

    Notes
    -----
    Predicting never writes to the network, so any number of threads may do it at once. Only one fit at a time can train it.

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
        source_shape: Sequence[int] | None = None,
        n_members: int = 1,
        ensemble: str = "packed",
        ensemble_loss: str = "members",
        dtype: DTypeLike = "float32",
        random_state: Seed = None,
    ) -> None:
        layers = chain(layers)
        inputs = _rows.inputs_of(n_inputs, input_shape, source_shape, ragged)
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
        self._step_by_step: _steps.Steps | None = None
        self._set_views()

    def _set_views(self) -> None:
        self._parameters = self.views(self._params)
        self._weights, self._biases = map(tuple, self._dense_views(self._params))

    def views(self, flat: np.ndarray) -> Mapping[str, np.ndarray]:
        """Views of a vector of `n_params` numbers, such as a gradient, by the names of `parameters`."""
        return self._graph.parameters(self._plan, flat)

    def _dense_views(self, flat: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Those of the weights and of the biases of dense layers."""
        views = self.views(flat)
        linear = dict.fromkeys(node.path for node in self._graph.nodes if isinstance(node.operation, Linear))
        weights, biases = ([views[f"{path}.{name}"] for path in linear if f"{path}.{name}" in views] for name in "Wb")
        return weights, biases

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
        TypeError
            Layers that are not dense.
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
        """Shape of a row of X; for ragged rows, that of the longest."""
        return self._inputs.shape

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Shape of a source that an encoder reads; () if there is none."""
        return self._inputs.source

    @property
    def ragged(self) -> bool:
        """Whether rows of X may be of unequal length."""
        return self._inputs.ragged

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a row of A[L], of one member."""
        return self._graph.row_shapes[-1]

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
        """Length of the prefix of `params` that holds the weights, to which the L2 penalty applies."""
        return self._plan.n_penalised

    def forward(self, X: MatrixLike) -> np.ndarray:
        """A[L] for one datapoint or for a batch.

        X is not checked for NaN and infinity, which enter the computation as they are.

        Parameters
        ----------
        X : array-like of shape (n_inputs,) or (m, n_inputs), or scipy.sparse matrix of shape (m, n_inputs)
            Fastest in the network's dtype and C order, as nothing is copied then.

        Returns
        -------
        ndarray of shape (n_outputs,) or (m, n_outputs), of the network's dtype
            With a softmax at each position ``(m, *output_shape)``, 0 at positions that a row does not have.

        Raises
        ------
        TypeError, ValueError
            Not real numbers, or a wrong shape.
        """
        if self._inputs.ragged:
            return self._forward(X, check_finite=False)
        try:
            return _forward_row(self._plan, self._params, X, runtime.thread_limit)
        except (TypeError, ValueError):
            return self._forward(X, check_finite=False)

    def __call__(self, X: MatrixLike) -> np.ndarray:
        """The same as `forward`."""
        return self.forward(X)

    def _forward(self, X: Any, *, check_finite: bool, n_threads: int | None = None, batch: bool = False) -> np.ndarray:
        X, single = _data.batch(_rows.flat_rows(self, X) if batch else self._flat(X), self.n_inputs)
        A = self._outputs(_data.features(X, self.n_inputs, self.dtype, check_finite=check_finite), n_threads)
        if self._plan.n_positions > 1:
            A = A.reshape(len(A), *self.output_shape)
            if self.ragged:
                A[~_rows.outputs_there(self, X)] = 0
        return A[0] if single else A

    _flat = _rows.flat

    def _outputs(self, X: _data.Features, n_threads: int | None = None) -> np.ndarray:
        """A[L] of data in the core's form."""
        m = _data.n_rows(X)
        if m == 1 and isinstance(X, np.ndarray) and not self._plan.needs_panel:
            return _forward_row(self._plan, self._params, X[0], runtime.thread_limit, n_threads)[np.newaxis]
        out = np.empty((m, self.n_outputs), self.dtype)
        self._compute(core.forward, X, out, self._threads(m, n_threads))
        return out

    def _compute(self, kernel: Callable[..., T], *args: Any) -> T:
        """A call into the core with the network's parameters."""
        return runtime.single_threaded_blas(self._plan.uses_blas, kernel, self._plan, self._params, *args)

    def _threads(self, m: int, n_threads: int | None = None) -> int:
        return 1 if m * self._plan.cost < _WORTH_THREADS else runtime.thread_limit(n_threads)

    # Methods that have files of their own.
    forward_members = _members.forward_members
    _forward_members = _members._forward_members
    member = _members.member
    parts_of = _members.parts_of
    predict = _predictions.predict
    predict_proba = _predictions.predict_proba
    score = _predictions.score
    loss = _objective.loss
    loss_and_grad = _objective.loss_and_grad
    fit = _fit.fit
    step = _steps.step
    generate = _generation.generate

    def activations(self, X: MatrixLike) -> list[np.ndarray]:
        """Outputs of all layers, A[0], ..., A[L], without dropout.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (m, n_inputs), or a single row
            As for `forward`.

        Returns
        -------
        list of L + 1 arrays of shape (m, n[l]), or (m, n_members, n[l]) where members have their own
            A[0] is X itself where it is of the network's dtype and C-contiguous already. Without the axis m for a single row.

        Raises
        ------
        TypeError, ValueError
            Not real numbers, or a wrong shape.
        """
        return self._activations(X)

    def _activations(self, X: MatrixLike, n_threads: int | None = None) -> list[np.ndarray]:
        X, single = _data.batch(self._flat(X), self.n_inputs)
        A0 = _data.features(X, self.n_inputs, self.dtype, check_finite=False)
        layers = [X if isinstance(A0, tuple) else A0, *self._layer_outputs(A0, n_threads)]
        return [A[0] for A in layers] if single else layers

    def _layer_outputs(self, X: _data.Features, n_threads: int | None = None) -> list[np.ndarray]:
        """A[1], ..., A[L] of data in the core's form."""
        outs = [X, *self._all_outputs(X, n_threads)]
        return [self._by_members(outs, end) for end in self._ends]

    def _all_outputs(self, X: _data.Features, n_threads: int | None = None) -> list[np.ndarray]:
        """What all operations make of data in the core's form."""
        m = _data.n_rows(X)
        outs = [np.empty((m, n), self.dtype) for n in self._plan.sizes[1:]]
        self._compute(core.activations, X, outs, self._threads(m, n_threads))
        return outs

    def _by_members(self, outs: Sequence[Any], operation: int) -> np.ndarray:
        A, shape = self._graph.side_by_side(outs, operation), self._graph.row_shapes[operation]
        members = A.shape[1] // math.prod(shape)
        return A.reshape(len(A), *((members,) if members > 1 else ()), *shape)

    def summary(self) -> str:
        """A table of the layers: shapes, activations, parameters and memory."""
        from fastnet._summary import text

        return text(self)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            hint = called_here(name, vars(Network))
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)

    def __repr__(self) -> str:
        layers = ", ".join(
            f"{layer.n_units} {layer.activation.name}" if isinstance(layer, Dense) else f"{type(layer).__name__} {size}"
            for layer, size in zip(self.layers, self.sizes[1:], strict=True)
        )
        members = f"{self.n_members} {self._together.kind} members, " if self.n_members > 1 else ""
        shapes = filter(None, (self.source_shape, self.input_shape))
        inputs = " and ".join(" x ".join(map(str, shape)) for shape in shapes)
        return f"<Network {inputs} -> {layers}; {members}{self.n_params} parameters, {self.dtype.name}>"

    def _repr_html_(self) -> str:
        from fastnet._summary import html

        return html(self)


#: Attributes that `Network._build` sets.
_BUILT = frozenset(
    {"layers", "n_inputs", "sizes", "_inputs", "dtype", "_together", "_graph", "_ends", "_params", "_plan", "_exclusive"}
    | {"_parameters", "_weights", "_biases", "_step_by_step"}
)


def _rebuild(
    cls: type[Network],
    layers: tuple[Layer, ...],
    inputs: Inputs,
    params: np.ndarray,
    together: Ensemble | None = None,
) -> Network:
    """Undo `Network.__reduce__`."""
    return cls._adopt(layers, inputs, params, together)
