"""scikit-learn's interface to any list of layers: the parameters and methods of the two perceptrons, and rows with positions."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from fastnet._drafts import draft_of
from fastnet.layers import Dense, EncoderDecoder, Graph, Inputs, Layer, chain
from fastnet.network import Network
from fastnet.ragged import Ragged, core_rows, numbers

from ._base import BaseMLP
from ._classifier import MLPClassifier
from ._docs import with_shared_parts
from ._parameters import CLASSIFIER_CONSTRAINTS, OUTPUT_ACTIVATIONS, REGRESSOR_CONSTRAINTS
from ._prediction import adopt, fitted_network, lengthened
from ._regressor import MLPRegressor
from ._rows import as_array_or_ragged, checked_columns

F = TypeVar("F", bound=Callable[..., Any])

_LAYERS: dict[str, list[Any]] = {"layers": [list, tuple, None]}


def _also_takes_those_of(parent: type) -> Callable[[F], F]:
    """A decorator of constructors ``(self, layers=None, **parameters)``: their signature names the parent's parameters."""

    def decorate(init: F) -> F:
        own, others = inspect.signature(init), inspect.signature(parent.__init__)  # type: ignore[misc]
        named = [p.replace(kind=p.KEYWORD_ONLY) for p in others.parameters.values() if p.name != "self"]
        kept = [p for p in own.parameters.values() if p.kind != p.VAR_KEYWORD]
        init.__signature__ = own.replace(parameters=[*kept, *named])  # type: ignore[attr-defined]
        return init

    return decorate


class OfLayers(BaseMLP):
    """A `BaseMLP` whose network is made of `layers`, where they are given, and of dense layers otherwise.

    `coefs_` then holds all arrays of `network_.parameters` in their order, and `intercepts_` none.
    """

    layers: Sequence[Layer] | None
    #: What a row is, where it has positions; None for flat rows.
    _inputs: Inputs | None = None
    #: Names of the columns of rows that are data frames.
    _columns: list[Any] | None = None
    #: Those of the fitted network; None if it is made of dense layers as the parameters of an MLP say.
    _layers: tuple[Layer, ...] | None = None

    @property
    def network_(self) -> Network:
        return fitted_network(self)

    @property
    def input_shape_(self) -> tuple[int, ...]:
        return (self.n_features_in_,) if self._inputs is None else self._inputs.shape

    def _flat_rows(self, X: Any, *, reset: bool) -> Any:
        _refuse_pairs(self.layers)
        columns, rows = checked_columns(X, None if reset else self._columns), as_array_or_ragged(X)
        if reset:
            self._inputs, self._columns = _inputs_of(rows), columns
        if self._inputs is not None and self._inputs.ragged:
            return self._ragged_rows(rows, reset=reset)
        if self._inputs is None or not (isinstance(rows, Ragged) or np.ndim(rows) > 2):
            return rows
        shape = self._inputs.shape
        if isinstance(rows, Ragged) or rows.shape[1:] != shape:
            given = "unequal length" if isinstance(rows, Ragged) else f"shape {rows.shape[1:]}"
            raise ValueError(f"X has rows of {given}, but {type(self).__name__} was fitted with rows of shape {shape}.")
        return rows.reshape(len(rows), math.prod(shape))

    def _ragged_rows(self, X: Any, *, reset: bool) -> np.ndarray:
        """Rows of unequal length in the core's form, of a dtype that scikit-learn takes and that holds lengths."""
        assert self._inputs is not None
        rows = X if isinstance(X, Ragged) else numbers(X, "X")
        given = (rows.flat if isinstance(rows, Ragged) else rows).dtype
        dtype = np.float32 if given == np.float32 else np.float64
        fewest = self._fewest_positions(reset=reset)
        flat = core_rows(rows, self._inputs.shape, fewest, dtype, for_longer="fit anew with rows as long as it")
        if isinstance(rows, np.ndarray) and flat.ndim == 1:
            raise ValueError(f"X must hold rows, got a single one of shape {rows.shape}: give [X].")
        return flat

    def _as_given(self, rows: Any) -> Any:
        if self._inputs is None or not self._inputs.ragged:
            return rows
        return Ragged.from_padded(rows[:, :-1].reshape(-1, *self._inputs.shape), rows[:, -1])

    def _for_rows(self, X: Any) -> BaseMLP:
        if self._inputs is None or not self._inputs.ragged or self._layers is None:
            return self
        longest = _positions_of_longest(as_array_or_ragged(X), self._inputs.shape)
        if longest <= self._inputs.shape[0]:
            return self
        network, longer = lengthened(self.network_, longest), draft_of(self)
        longer._inputs, longer.n_features_in_ = network._inputs, network.n_inputs
        adopt(longer, network)
        return longer

    def _fewest_positions(self, *, reset: bool) -> int:
        """How many positions a row must have for the layers that it goes through, those of `layers` where it is `reset`."""
        assert self._inputs is not None
        if reset:
            return 0 if self.layers is None else Graph.of(chain(self.layers), self._inputs)[0].shortest[0]
        return 0 if self._layers is None else self.network_._graph.shortest[0]

    def _initialize(self, sizes: list[int], out_activation: str, random_state: np.random.RandomState, dtype: np.dtype) -> None:
        if self.layers is None:
            self._layers = None
            super()._initialize(sizes, out_activation, random_state, dtype)
            return
        self._forget()
        self.out_activation_, self._layers = out_activation, self._with_output_layer(sizes[-1], out_activation)
        self.n_layers_ = len(self._layers) + 1
        network = Network(
            self._layers,
            input_shape=self.input_shape_,
            ragged=self._inputs is not None and self._inputs.ragged,
            dtype=dtype,
            random_state=random_state,
        )
        if network.n_outputs != sizes[-1]:
            raise ValueError(
                f"The output of the layers has the shape {network.output_shape}, and y asks for {sizes[-1]} numbers: put "
                "fastnet.Flatten() or fastnet.GlobalPool() last."
            )
        self.coefs_, self.intercepts_ = self._parameters_of(network)

    def _with_output_layer(self, n_outputs: int, out_activation: str) -> tuple[Layer, ...]:
        """`layers`, and an output layer behind them unless they end with it."""
        output, layers = Dense(n_outputs, OUTPUT_ACTIVATIONS[out_activation]), tuple(self.layers or ())
        last = layers[-1] if layers else None
        if isinstance(last, Dense) and (last.n_units, last.activation) == (output.n_units, output.activation):
            return chain(layers)
        if isinstance(last, Dense) and _is_another_output(last, output):
            raise ValueError(
                f"layers end with {_short(last)}, but y asks for {_short(output)}: end with that, or leave the output layer out."
            )
        return chain([*layers, output])

    def _check_same_network(self, wanted: list[int]) -> None:
        if self.layers is None and self._layers is None:
            super()._check_same_network(wanted)
        elif self.layers is None or self._with_output_layer(wanted[-1], self.out_activation_) != self._layers:
            raise ValueError(
                "The fitted network has other layers than `layers` and y ask for. Set layers back to continue training, or fit "
                "anew with warm_start=False."
            )
        else:
            self._check_same_dtype()

    def _start(self, n_features: int, n_outputs: int, out_activation: str) -> BaseMLP:
        self._inputs = self._columns = None
        return super()._start(n_features, n_outputs, out_activation)

    def _parameters_of(self, network: Network) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return super()._parameters_of(network) if self._layers is None else (list(network.parameters.values()), [])

    def _build_network(self, dtype: Any = None) -> Network:
        if self._layers is None:
            return super()._build_network(dtype)
        inputs = Inputs((self.n_features_in_,)) if self._inputs is None else self._inputs
        flat = np.zeros(sum(map(np.size, self.coefs_)), self._parameter_dtype() if dtype is None else dtype)
        network = Network._adopt(self._layers, inputs, flat)
        for view, values in zip(network.parameters.values(), self.coefs_, strict=True):
            view[...] = values
        return network

    def _takes(self, network: Network) -> bool:
        self._inputs = network._inputs if len(network.input_shape) > 1 or network.ragged else None
        of_dense_layers = self.layers is None and super()._takes(network)
        self._layers = None if of_dense_layers else network.layers  # `layers` may have been set after fit
        return isinstance(network.layers[-1], Dense)

    def _draws_in_training(self, network: Network) -> bool:
        return super()._draws_in_training(network) if self._layers is None else True

    def to_sklearn(self) -> Any:
        if self._layers is None:
            return super().to_sklearn()
        raise ValueError("scikit-learn has dense layers only: export the network with to_onnx or save instead.")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _inputs_of(rows: Any) -> Inputs | None:
    """What rows with positions are."""
    if isinstance(rows, Ragged):
        return Inputs((int(rows.lengths.max(initial=0)), *rows.flat.shape[1:]), ragged=True)
    return Inputs(rows.shape[1:]) if isinstance(rows, np.ndarray) and rows.ndim > 2 else None


def _positions_of_longest(rows: Any, shape: tuple[int, ...]) -> int:
    """How many positions the longest row has; 0 of what are no rows of this shape."""
    if isinstance(rows, Ragged):
        return int(rows.lengths.max(initial=0))
    return np.shape(rows)[1] if np.ndim(rows) == len(shape) + 1 else 0


def _refuse_pairs(layers: Any) -> None:
    if any(isinstance(layer, EncoderDecoder) for layer in layers or ()):
        raise ValueError(
            "fastnet.EncoderDecoder reads pairs (sources, rows), and an estimator's X has one row a sample: train "
            "fastnet.Network(layers, source_shape=..., input_shape=...) with fit((sources, rows), y)."
        )


def _is_another_output(last: Dense, output: Dense) -> bool:
    """Whether a layer is meant as the output layer, but differs from the one that y asks for: it has other classes, or one unit
    with another activation, such as the default ReLU."""
    one_probability = last.n_units == 1 and last.activation.name == "sigmoid"
    other_classes = last.activation.name == "softmax" or (one_probability and output.activation.name == "softmax")
    return other_classes or last.n_units == output.n_units == 1


def _short(layer: Dense) -> str:
    return f"Dense({layer.n_units}, {layer.activation.name!r})"


@with_shared_parts
class NetworkClassifier(OfLayers, MLPClassifier):
    """Any list of layers as a classifier of scikit-learn.

    X may have positions: (n_samples, length, channels) for series, (n_samples, height, width, channels) for images; series of
    unequal length, and rows of ids for `Embedding`, are a list of arrays or a `fastnet.Ragged`. Rows to predict may then
    be longer than those of `fit`, unless layers have parameters of each position. Everything else is as in `MLPClassifier`.

    Parameters
    ----------
    layers : list of Layer or None, default=None
        Layers before the output layer, which follows from y; they may also end with it. None: the network of `MLPClassifier`,
        made from `hidden_layer_sizes`, `activation` and `dropout`, which otherwise have no effect.
    {parameters}
    class_weight, label_smoothing, stratify
        As in `MLPClassifier`.
    {extras}

    Attributes
    ----------
    network_ : fastnet.Network
    input_shape_ : tuple of int
        Shape of a row.
    classes_ : ndarray of shape (n_classes,)
    {attributes}

    See Also
    --------
    NetworkRegressor : The same for values.
    SequenceClassifier, ImageClassifier : With nothing to configure.

    Examples
    --------
    >>> import fastnet as fn
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> images = X.reshape(-1, 8, 8, 1) / 16
    >>> layers = [fn.Conv2d(8, 3), fn.MaxPool(2), fn.Flatten()]
    >>> clf = fn.NetworkClassifier(layers, learning_rate_init=0.01, max_iter=20, random_state=0).fit(images, y)
    >>> clf.score(images, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _LAYERS | CLASSIFIER_CONSTRAINTS

    @_also_takes_those_of(MLPClassifier)
    def __init__(self, layers: Sequence[Layer] | None = None, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.layers = layers


@with_shared_parts
class NetworkRegressor(OfLayers, MLPRegressor):
    """Any list of layers as a regressor of scikit-learn.

    X may have positions: (n_samples, length, channels) for series, (n_samples, height, width, channels) for images; series of
    unequal length, and rows of ids for `Embedding`, are a list of arrays or a `fastnet.Ragged`. Rows to predict may then
    be longer than those of `fit`, unless layers have parameters of each position. Everything else is as in `MLPRegressor`.

    Parameters
    ----------
    layers : list of Layer or None, default=None
        Layers before the output layer, which follows from y; they may also end with it. None: the network of `MLPRegressor`,
        made from `hidden_layer_sizes`, `activation` and `dropout`, which otherwise have no effect.
    loss : str or Loss, default="squared_error"
        As in `MLPRegressor`.
    {parameters}
    quantile, huber_delta, scale_target, sort_quantiles
        As in `MLPRegressor`.
    {extras}

    Attributes
    ----------
    network_ : fastnet.Network
    input_shape_ : tuple of int
        Shape of a row.
    {attributes}

    See Also
    --------
    NetworkClassifier : The same for classes.
    SequenceRegressor : With nothing to configure.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> reg = fn.NetworkRegressor([fn.Dense(32, "tanh"), fn.LayerNorm()], solver="lbfgs", random_state=0)
    >>> reg.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _LAYERS | REGRESSOR_CONSTRAINTS

    @_also_takes_those_of(MLPRegressor)
    def __init__(self, layers: Sequence[Layer] | None = None, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.layers = layers
