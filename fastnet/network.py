"""The network: layer descriptions, one flat parameter vector, and the lecture's mathematics on it.

Notation, all row-major: a batch X of shape (m, n[0]); layer l = 1, ..., L with weights W[l] of shape (n[l-1], n[l]) and biases
b[l] of shape (n[l],)::

    A[0] = X        Z[l] = A[l-1] @ W[l] + b[l]        A[l] = g[l](Z[l])        J = mean loss of A[L] against y

The parameters are one vector ``[W[1] ... W[L] | b[1] ... b[L]]``; weights and biases are views of it.

References
----------
Kent, Introduction to Deep Learning (ISE 364/464 lecture slides).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastnet import _checks, _data, losses, runtime
from fastnet._core import engine
from fastnet._core.guards import Exclusive
from fastnet.activations import Outputs
from fastnet.layers import Dense, Gradients, chain, count, views, zeros
from fastnet.losses import Loss

if TYPE_CHECKING:
    import os

    from fastnet.history import History

T = TypeVar("T")

_forward_row = engine.forward_row

#: Multiplications below which a second thread, and finding out how many there may be, costs more than it gains.
_WORTH_THREADS = 1 << 20


class Network:
    """A multilayer perceptron.

    Parameters
    ----------
    layers : sequence of Dense
        Layers 1 to L, the output layer last. One layer is a perceptron.
    n_inputs : int
        Features n[0].
    dtype : {"float32", "float64"}
        Type of the parameters; everything is computed in it.
    random_state : None, int, SeedSequence, Generator or RandomState
        Seed of the initial weights. Biases start at 0.

    Attributes
    ----------
    layers : tuple of Dense
    n_inputs, n_outputs, n_layers, n_params : int
    sizes : tuple of int
        n[0], ..., n[L].
    dtype : dtype
    params : ndarray of shape (n_params,)
        All parameters, ``[all W | all b]``: write into it to change them.
    weights, biases : tuple of ndarray
        Writable views of `params`, of shapes (n[l-1], n[l]) and (n[l],): change them in place, as in ``net.weights[0][:] = W``.

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

    def __init__(self, layers: Sequence[Dense], n_inputs: int, *, dtype: Any = "float32", random_state: Any = None) -> None:
        layers = chain(layers)
        n_inputs = _checks.positive_int(n_inputs, "n_inputs", maximum=_checks.MAX_DIMENSION)
        rng = _checks.generator(random_state)
        self._build(layers, n_inputs, _checks.float_dtype(dtype))
        for W, layer in zip(self.weights, self.layers, strict=True):
            W[...] = layer.initializer(rng, *W.shape)

    def _build(self, layers: tuple[Dense, ...], n_inputs: int, params: np.ndarray | np.dtype) -> None:
        """Set all attributes, with the given parameter vector, or with zeros of the given dtype."""
        self.layers = layers
        self.n_inputs = n_inputs
        self.sizes = (n_inputs, *(layer.n_units for layer in layers))
        self._params = params if isinstance(params, np.ndarray) else zeros(count(self.sizes), params)
        self.dtype = self._params.dtype
        self._plan = engine.Plan(
            self.sizes,
            tuple(layer.activation.code for layer in layers),
            tuple(layer.activation.parameter for layer in layers),
            tuple(layer.dropout for layer in layers),
        )
        self._exclusive = Exclusive()
        self._set_views()

    def _set_views(self) -> None:
        self._weights, self._biases = map(tuple, views(self._params, self.sizes))

    def _make_writable(self) -> None:
        """Take a copy of parameters that are read-only, as those on joblib's and Ray's memory maps are."""
        if not self._params.flags.writeable:
            self._params = self._params.copy()
            self._set_views()

    @classmethod
    def from_parameters(
        cls, layers: Sequence[Dense], weights: Sequence[Any], biases: Sequence[Any], *, dtype: Any = None
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
        layers = chain(layers)
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
        network._build(layers, n_inputs, _checks.float_dtype(dtype))
        for name, own in (("weights", network.weights), ("biases", network.biases)):
            for number, (view, array) in enumerate(zip(own, arrays[name], strict=True)):
                if array.shape != view.shape:
                    raise ValueError(f"{name}[{number}] must have shape {view.shape}, got {array.shape}.")
                view[...] = array
        return network

    @classmethod
    def _adopt(cls, layers: Sequence[Dense], n_inputs: int, params: np.ndarray) -> Network:
        """A network on an existing flat vector, which becomes its `params` without a copy and may be read-only.

        Raises
        ------
        ValueError
            Not a contiguous vector of float32 or float64, or of the wrong length.
        """
        layers = chain(layers)
        n_params = count((n_inputs, *(layer.n_units for layer in layers)))
        _checks.float_dtype(params.dtype)
        if params.shape != (n_params,) or not params.flags.c_contiguous:
            raise ValueError(f"params must be a contiguous vector of {n_params} values, got shape {params.shape}.")
        network = cls.__new__(cls)
        network._build(layers, n_inputs, params)
        return network

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles: built anew around the parameters, with what users and subclasses have set besides."""
        state = object.__getstate__(self)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        own = {name: value for name, value in attributes.items() if name not in _BUILT}
        rebuilt = _rebuild, (type(self), self.layers, self.n_inputs, self._params)
        return (*rebuilt, own if slots is None else (own, slots))

    @property
    def params(self) -> np.ndarray:
        return self._params

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
    def n_outputs(self) -> int:
        return self.sizes[-1]

    @property
    def n_params(self) -> int:
        return self._params.size

    @property
    def n_weights(self) -> int:
        """Length of the prefix of `params` that holds the weights: what the L2 penalty is on."""
        return self._plan.n_weights

    def forward(self, X: Any) -> np.ndarray:
        """A[L] for one datapoint or for a batch.

        NaN and infinity are not looked for here: they come out as they must.

        Parameters
        ----------
        X : array-like of shape (n_inputs,) or (m, n_inputs), or scipy.sparse matrix of shape (m, n_inputs)
            Fastest in the network's dtype and C order, for which nothing is copied.

        Returns
        -------
        ndarray of shape (n_outputs,) or (m, n_outputs), of the network's dtype

        Raises
        ------
        TypeError, ValueError
            Not real numbers, or a wrong shape.
        """
        try:
            return _forward_row(self._plan, self._params, X)
        except (TypeError, ValueError):
            return self._forward(X, check_finite=False)

    def _forward(self, X: Any, *, check_finite: bool, n_threads: int | None = None) -> np.ndarray:
        X, single = _data.batch(X, self.n_inputs)
        X = _data.features(X, self.n_inputs, self.dtype, check_finite=check_finite)
        m = _data.n_rows(X)
        out = np.empty((m, self.n_outputs), self.dtype)
        self._compute(engine.forward, X, out, self._threads(m, n_threads))
        return out[0] if single else out

    def _compute(self, kernel: Callable[..., T], *args: Any) -> T:
        """A call into the core with the network's parameters."""
        return runtime.single_threaded_blas(self._plan.uses_blas, kernel, self._plan, self._params, *args)

    def _threads(self, m: int, n_threads: int | None = None) -> int:
        return 1 if m * self.n_weights < _WORTH_THREADS else runtime.thread_limit(n_threads)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions in the form of y.

        Parameters
        ----------
        X : array-like or scipy.sparse matrix
            As for `forward`, but NaN and infinity are refused.

        Returns
        -------
        ndarray of shape (m,), or (m, n_outputs) where there are several outputs that are no class probabilities
            softmax: class numbers; sigmoid: 0 or 1; otherwise A[L]. One datapoint gives one entry.
        """
        A = self._forward(X, check_finite=True)
        output = self.layers[-1].activation.outputs
        if output is Outputs.SIMPLEX:
            return A.argmax(axis=-1)
        if output is Outputs.UNIT:
            A = (A > 0.5).astype(np.int64)
        return A[..., 0] if self.n_outputs == 1 else A

    def activations(self, X: Any) -> list[np.ndarray]:
        """A[0], ..., A[L] of a batch (or of one datapoint), without dropout.

        Returns
        -------
        list of L + 1 arrays of shape (m, n[l])
            A[0] is X itself where it is of the network's dtype and C-contiguous already.
        """
        X, single = _data.batch(X, self.n_inputs)
        A0 = _data.features(X, self.n_inputs, self.dtype, check_finite=False)
        m = _data.n_rows(A0)
        outs = [np.empty((m, n), self.dtype) for n in self.sizes[1:]]
        self._compute(engine.activations, A0, outs, self._threads(m))
        layers = [X if isinstance(A0, tuple) else A0, *outs]
        return [A[0] for A in layers] if single else layers

    def loss(self, X: Any, y: Any, *, loss: str | Loss | None = None, sample_weight: Any = None, l2: float = 0.0) -> float:
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
        loss = losses.get(loss, self.layers[-1].activation)
        return loss, *_data.validated(X, y, sample_weight, self.n_inputs, self.n_outputs, loss, self.dtype)

    def _loss(
        self, X: _data.Features, y: np.ndarray, loss: Loss, sample_weight: np.ndarray | None, n_threads: int | None = None
    ) -> float:
        """`loss` of data in the core's form."""
        form = loss.engine_form(self.n_outputs)
        return self._compute(engine.loss, form, X, y, sample_weight, self._threads(_data.n_rows(X), n_threads))

    def _penalty(self, l2: float) -> float:
        W = self._params[: self.n_weights]
        return 0.5 * l2 * float(W @ W) if l2 else 0.0

    def loss_and_grad(
        self,
        X: Any,
        y: Any,
        *,
        loss: str | Loss | None = None,
        sample_weight: Any = None,
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
            ``flat`` of shape (n_params,), ``weights`` and ``biases`` views of it.
        """
        loss, X, y, w = self._checked(X, y, loss, sample_weight)
        l2 = _checks.real(l2, "l2", minimum=0.0)
        flat = np.empty_like(self._params)
        J = self._loss_and_grad(X, y, loss, w, flat, seed=dropout_seed)
        if l2:
            flat[: self.n_weights] += l2 * self._params[: self.n_weights]
        return J + self._penalty(l2), Gradients(flat, *views(flat, self.sizes))

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
        form = loss.engine_form(self.n_outputs)
        threads = self._threads(_data.n_rows(X), n_threads)
        return self._compute(engine.loss_and_grad, form, X, y, sample_weight, out, threads, seed)

    def fit(self, X: Any, y: Any, **options: Any) -> History:
        """Train the network; see `fastnet.training.fit` for all options.

        Examples
        --------
        >>> import fastnet as fn
        >>> net = fn.Network([fn.Dense(4, "tanh"), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=0)
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> history = net.fit(X, y, optimizer=fn.Adam(0.05), batch_size=4, epochs=300, random_state=0)
        >>> net.predict(X).tolist()
        [0, 1, 1, 0]
        """
        from fastnet.training import fit, refuse_unknown

        refuse_unknown(options)
        return fit(self, X, y, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write architecture and parameters to a safetensors file, which `fastnet.load` reads."""
        from fastnet.persistence import save

        save(self, path)

    def summary(self) -> str:
        """A table of the layers: shapes, activations, parameters and memory."""
        from fastnet._summary import text

        return text(self)

    def __repr__(self) -> str:
        layers = ", ".join(f"{layer.n_units} {layer.activation.name}" for layer in self.layers)
        return f"<Network {self.n_inputs} -> {layers}; {self.n_params} parameters, {self.dtype.name}>"

    def _repr_html_(self) -> str:
        from fastnet._summary import html

        return html(self)


#: Attributes that `Network._build` sets.
_BUILT = frozenset({"layers", "n_inputs", "sizes", "dtype", "_params", "_plan", "_exclusive", "_weights", "_biases"})


def _rebuild(cls: type[Network], layers: tuple[Dense, ...], n_inputs: int, params: np.ndarray) -> Network:
    """Undo `Network.__reduce__`."""
    return cls._adopt(layers, n_inputs, params)
