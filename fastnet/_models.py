"""One view of every model that inspection and plotting can handle.

A `Network` and a fitted estimator have the same contents under different names. `model_view` gives them a common interface, so
that a picture or a diagnosis is written only once::

    view = model_view(model)
    Z, A = view.forward_pass(X)                  # the lecture's forward equations
    J, dZ_L = view.output_gradient(Z[-1], y)
    G = view.backward_pass(Z, A, dZ_L)           # and the backward ones

References
----------
Kent, Introduction to Deep Learning (ISE 364/464 lecture slides).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _rows
from . import losses as _losses
from .activations import Activation
from .layers import Dense, Graph, Layer, Node
from .layers.dense import Linear
from .layers.embedding import Lookup, Places
from .layers.joins import Selection
from .layers.lengths import Trim
from .losses import Loss
from .network import Network

__all__ = ["Gradients", "ModelView", "dense_rows", "model_view"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Gradients:
    """Gradients of the mean loss.

    Attributes
    ----------
    dA : list of ndarray of shape (n_rows, n[l])
        With respect to the activations of the hidden operations only, l = 1..L-1: loss and output activation are
        differentiated together.
    dZ : list of ndarray of shape (n_rows, n[l])
        For all operations, l = 1..L (index 0 is operation 1).
    parameters : dict of str to ndarray
        Of all parameters, by name.
    dW, db : list of ndarray
        Of weights and biases, of the dense operations one after the other.
    """

    dA: list[Array]
    dZ: list[Array]
    parameters: dict[str, Array]
    dW: list[Array]
    db: list[Array]


class Part(NamedTuple):
    """An operation that is worth a look: with parameters that are trained, or an activation, or the output.

    Attributes
    ----------
    number : int
        Number of the operation, from 1.
    node : Node
        The operation itself.
    label : str
        Name of its activation, or of the operation if it has none.
    weight : str or None
        Name of its first parameter.
    only_way : bool
        Whether everything that reaches the output passes through this operation, and nothing bypasses it in another branch.
    """

    number: int
    node: Node
    label: str
    weight: str | None
    only_way: bool

    @property
    def path(self) -> str:
        """Number of its layer, and its place within that: "2", or "2.1" in a layer of layers."""
        return self.node.name

    def weights(self, arrays: Mapping[str, Array]) -> Array | None:
        """The entry of `arrays` under the name of its first parameter: the parameter itself, or for example its gradient."""
        return None if self.weight is None else self.node.own(arrays[self.weight])


@dataclass(frozen=True)
class ModelView:
    """What pictures and exports need to know about a model; created by `model_view`.

    Attributes
    ----------
    name : str
        Class name of the model.
    layers : tuple of Layer
        What the network is made of; an estimator amounts to dense layers.
    graph : Graph
        The operations; in a chain of dense layers, one per layer.
    ends : tuple of int
        Numbers of the operations that make each layer's output.
    parameters : mapping of str to ndarray
        The model's own arrays by name ("1.W", "1.b", ...), not copies.
    sizes : tuple of int
        Units of every layer, of one member, the inputs first: n[0], ..., n[L].
    loss : Loss
        The loss the model was trained on, or for a `Network` the canonical one of its output activation.
    ensemble_loss : str
        Whether it is the mean of the members' losses or the loss of their mean output; see `Network`.
    feature_names, output_names : tuple of str, or None
        Names of the inputs and outputs, where the model knows them.
    classes : ndarray or None
        The class labels of a classifier, in the order of its outputs.
    learning_rate : float or None
        The estimator's initial learning rate.
    has_normalised_steps : bool
        Whether the size of a step is about the learning rate, however large the gradient is, as with Adam.
    n_epochs : int or None
        Epochs (L-BFGS: iterations) that an estimator was trained for.
    tol : float or None
        An estimator's `tol`, if training ended because the loss no longer decreased by that much.
    target_scaler : StandardScaler or None
        What standardises the targets, if the view shows a network as trained on standardised targets.
    sorted_levels : tuple of float
        Levels of the quantiles that the model predicts for each target and then sorts; empty if it sorts nothing.
    network : Network or None
        What knows X in other forms than flat rows, and y of all positions.
    """

    name: str
    layers: tuple[Layer, ...]
    graph: Graph = field(repr=False)
    ends: tuple[int, ...] = field(repr=False)
    parameters: Mapping[str, Array] = field(repr=False)
    sizes: tuple[int, ...]
    loss: Loss
    ensemble_loss: str = "members"
    feature_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None
    classes: Array | None = field(default=None, repr=False)
    learning_rate: float | None = None
    has_normalised_steps: bool = False
    n_epochs: int | None = None
    tol: float | None = None
    target_scaler: Any = field(default=None, repr=False)
    sorted_levels: tuple[float, ...] = ()
    network: Network | None = field(default=None, repr=False)

    @property
    def n_layers(self) -> int:
        """Number of layers L, the inputs not counted."""
        return len(self.sizes) - 1

    @property
    def layer_names(self) -> list[str]:
        """The activation of each dense layer, and what the others are."""
        return [layer.activation.name if isinstance(layer, Dense) else type(layer).__name__ for layer in self.layers]

    @property
    def activations(self) -> tuple[Activation, ...]:
        """One an operation."""
        return tuple(node.operation.activation for node in self.graph.nodes)

    @property
    def weights(self) -> tuple[Array, ...]:
        """W[l] of shape (n[l-1], n[l]); TypeError unless the model is a chain of dense layers."""
        return self._of_dense_layers("W")

    @property
    def biases(self) -> tuple[Array, ...]:
        """b[l] of shape (n[l],); TypeError unless the model is a chain of dense layers."""
        return self._of_dense_layers("b")

    @property
    def parts(self) -> list[Part]:
        """The operations to look at, of dense layers all."""
        nodes = self.graph.nodes
        found = []
        for number, node in enumerate(nodes, start=1):
            operation, g = node.operation, node.operation.activation.name
            segments = () if isinstance(operation, Places) else operation.segments
            if segments or g != "identity" or number == len(nodes):
                label = g if isinstance(operation, Linear) or g != "identity" else operation.kind
                weight = f"{node.path}.{segments[0].name}" if segments else None
                only_way = all(source >= number for later in nodes[number:] for source in later.sources)
                found.append(Part(number, node, label, weight, only_way))
        return found

    @property
    def measured_inputs(self) -> Array:
        """Which inputs have a size that matters: not lengths, nor those that are only looked up in tables or sorted into bins."""
        measured = np.zeros(self.sizes[0], dtype=bool)
        inputs = {0: np.arange(self.sizes[0])}
        lengths = {self.graph.lengths_of(number) for number in range(len(self.graph.nodes) + 1)}
        for number, node in enumerate(self.graph.nodes, start=1):
            for source in inputs.keys() & set(node.sources) - lengths:
                if isinstance(node.operation, Selection):
                    inputs[number] = inputs[source][list(node.operation.columns)]
                elif isinstance(node.operation, Trim):
                    inputs[number] = inputs[source][: node.operation.n_out]
                elif not isinstance(node.operation, (Lookup, Places)):
                    measured[inputs[source]] = True
        return measured

    def assert_dense_chain(self) -> None:
        """Refuse, with a TypeError, models that are not a chain of dense layers."""
        if self.graph.n_members > 1 or not all(isinstance(layer, Dense) for layer in self.layers):
            raise TypeError(
                f"Expected a model of dense layers alone, without members; this {self.name} has others: its layers' outputs are "
                "those of net.activations(X), and its parameters net.parameters."
            )

    def _of_dense_layers(self, name: str) -> tuple[Array, ...]:
        self.assert_dense_chain()
        return tuple(self.parameters[f"{number}.{name}"] for number in range(1, self.n_layers + 1))

    def assert_finite(self) -> None:
        """Raise a ValueError if a parameter is NaN or infinite."""
        if not all(np.isfinite(array).all() for array in self.parameters.values()):
            raise ValueError(
                f"This {self.name} has parameters that are NaN or infinite, so there is nothing to draw: training diverged. "
                "fastnet.inspection.diagnose(model, X) says where."
            )

    def flat(self, X: Any, y: Any = None) -> tuple[Any, Any]:
        """X and y with flat rows, in whatever forms the network takes them."""
        return (X, y) if self.network is None else _rows.flat_with_labels(self.network, X, y)

    def inputs(self, X: ArrayLike) -> Array:
        """Return `X` as a float64 array of shape (n_rows, n[0]); a single datapoint becomes one row.

        Raises
        ------
        ValueError
            The number of features differs from the model's.
        """
        return self.checked(self.flat(X)[0])

    def checked(self, X: Any) -> Array:
        """`inputs` of what `flat` gave."""
        X = np.atleast_2d(dense_rows(X))
        if X.ndim != 2 or X.shape[1] != self.sizes[0]:
            raise ValueError(
                f"X has shape {X.shape}, but this {self.name} takes {self.sizes[0]} features: "
                f"give an array of shape (n_rows, {self.sizes[0]})."
            )
        return X

    def forward_pass(self, X: ArrayLike) -> tuple[list[Array], list[Array]]:
        """Compute ``Z[l] = A[l-1] @ W[l] + b[l]`` and ``A[l] = g[l](Z[l])``, or what other operations do, in float64.

        Parameters
        ----------
        X : array-like of shape (n_rows, n[0])

        Returns
        -------
        Z, A : list of ndarray of shape (n_rows, n[l])
            Pre-activations of the operations, and the activations with ``A[0] = X``.
        """
        return self.pass_of(self.inputs(X))

    def pass_of(self, rows: Array) -> tuple[list[Array], list[Array]]:
        """`forward_pass` of `checked` rows."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.graph.forward(self._wide_parameters(), rows)

    def layer_outputs(self, X: ArrayLike) -> list[Array]:
        """The output of each layer in float64, members side by side; of the last layer, of shape (n_rows, n[L]), their mean."""
        A = self.forward_pass(X)[1]
        return [*(self.graph.side_by_side(A, end) for end in self.ends[:-1]), self.mean_output(A[-1])]

    def mean_output(self, A_L: Array) -> Array:
        """The mean over the members of the last activations, of shape (n_rows, n[L])."""
        return A_L.reshape(len(A_L), -1, self.sizes[-1]).mean(axis=1)

    def _wide_parameters(self) -> dict[str, Array]:
        return {name: np.asarray(array, dtype=np.float64) for name, array in self.parameters.items()}

    def targets(self, y: ArrayLike) -> Array:
        """Return the labels or values `y` as the network's own targets.

        Raises
        ------
        ValueError
            `y` contains a label that the classifier was not fitted on.
        """
        y = np.asarray(y)
        if self.target_scaler is not None:
            return (y - self.target_scaler.mean_) / self.target_scaler.scale_
        if self.classes is None or y.ndim == 2 and y.shape[1] > 1:
            return y
        y = y.ravel()
        unknown = np.setdiff1d(y, self.classes)
        if unknown.size:
            raise ValueError(f"y holds the labels {list(unknown)}, but this {self.name} knows {list(self.classes)}.")
        codes = np.searchsorted(self.classes, y)
        return codes.astype(np.float64)[:, None] if self.sizes[-1] == 1 else codes

    def output_gradient(self, Z_L: Array, y: ArrayLike, loss: str | Loss | None = None) -> tuple[float, Array]:
        """Compute the mean loss J and its gradient with respect to the last pre-activations, ``dZ[L]``.

        The rows of ``Z[L]`` are given to the core as the weights of one layer whose input is the identity matrix:
        its ``dW[1] = I.T @ dZ[1]`` is then ``dZ[L]`` itself, for every pair of output activation and loss.

        Parameters
        ----------
        Z_L : ndarray of shape (n_rows, n[L])
        y : array-like of shape (n_rows,) or (n_rows, n[L])
            Class labels (for a `Network`, class numbers) or values; of outputs that have positions, a number for each or -1.
        loss : str, Loss or None
            None: the model's own.

        Returns
        -------
        J : float
        dZ_L : ndarray of shape (n_rows, n[L])
        """
        targets, n_positions = self.targets(y), self.graph.n_positions
        if n_positions == 1:
            return self._head_gradient(Z_L, targets, loss)
        labels, Z = np.ravel(targets), Z_L.reshape(len(Z_L) * n_positions, -1)
        dZ = np.zeros_like(Z)
        J, dZ[labels >= 0] = self._head_gradient(Z[labels >= 0], labels[labels >= 0], loss)
        return J, dZ.reshape(Z_L.shape)

    def _head_gradient(self, Z_L: Array, targets: Array, loss: str | Loss | None) -> tuple[float, Array]:
        n_rows, k = len(Z_L), self.graph.n_members
        n_outputs = Z_L.shape[1] // k
        layers = [Dense(n_outputs, self.activations[-1])]
        head = Network(layers, n_rows, n_members=k, ensemble_loss=self.ensemble_loss, dtype="float64", random_state=0)
        W = head.weights[0].reshape(k, n_rows, n_outputs)
        W[...] = Z_L.reshape(n_rows, k, n_outputs).swapaxes(0, 1)
        J, gradients = head.loss_and_grad(np.eye(n_rows), targets, loss=self.loss if loss is None else loss)
        return J, gradients.weights[0].reshape(W.shape).swapaxes(0, 1).reshape(Z_L.shape)

    def backward_pass(self, Z: list[Array], A: list[Array], dZ_L: Array) -> Gradients:
        """Run the backward equations from ``dZ[L]`` down to operation 1, those of dense layers being

        ::

            dW[l] = A[l-1].T @ dZ[l]        db[l] = sum over rows of dZ[l]
            dA[l-1] = dZ[l] @ W[l].T        dZ[l-1] = dA[l-1] * g'[l-1](Z[l-1])
        """
        nodes = self.graph.nodes
        with np.errstate(over="ignore", invalid="ignore"):
            gradients, dA = self.graph.backward(self._wide_parameters(), Z, A, dZ_L)
            dZ = [d * node.operation.activation.derivative(z) for d, node, z in zip(dA[1:-1], nodes, Z, strict=False)]
        paths = dict.fromkeys(node.path for node in nodes if isinstance(node.operation, Linear))
        dW, db = ([gradients[f"{path}.{name}"] for path in paths if f"{path}.{name}" in gradients] for name in "Wb")
        return Gradients(dA=dA[1:-1], dZ=[*dZ, dZ_L], parameters=gradients, dW=dW, db=db)


def dense_rows(X: Any) -> Array:
    """Return `X` (array-like, data frame or SciPy sparse) as a dense float64 array."""
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float64)


def model_view(model: Any, *, as_trained: bool = False) -> ModelView:
    """Give a `Network` or a fitted estimator the common interface of `ModelView`.

    Parameters
    ----------
    model : Network, or estimator with ``coefs_``, ``intercepts_``, ``activation`` and ``out_activation_``
        fastnet's estimators and scikit-learn's MLPs.
    as_trained : bool
        For an estimator that was trained on standardised targets: whether the outputs are in the standardised units of
        training, rather than predictions in the units of y.

    Returns
    -------
    ModelView

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The estimator has not been fitted.
    TypeError
        `model` is neither.
    """
    if isinstance(model, Network):
        return _network_view(model)
    if hasattr(model, "coefs_"):
        from .estimators import models

        return models.view(model, as_trained=as_trained)
    if hasattr(model, "steps"):
        raise TypeError(
            f"Got a {type(model).__name__}. Look at its last step, with the data that reaches it: "
            "model[-1] and model[:-1].transform(X)."
        )
    if hasattr(model, "network_"):
        raise TypeError(
            f"Got a {type(model).__name__}, which prepares what its network reads. Take the network itself, model.network_, with "
            "rows as it reads them."
        )
    if hasattr(model, "networks_"):
        raise TypeError(
            f"Got a {type(model).__name__}, which prepares what its networks read. Take one of these, model.networks_[0], with "
            "rows as it reads them, model.preprocessor_.transform(X)."
        )
    if hasattr(model, "hidden_layer_sizes"):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"This {type(model).__name__} is not fitted yet. Call fit before looking at it.")
    raise TypeError(f"Expected a fastnet.Network or a fitted MLP estimator, got {type(model).__name__}.")


def _network_view(network: Network) -> ModelView:
    return ModelView(
        name=type(network).__name__,
        layers=network.layers,
        graph=network._graph,
        ends=tuple(network._ends),
        parameters=network.parameters,
        sizes=network.sizes,
        loss=_losses.get(None, network.output_activation),
        ensemble_loss=network._together.loss,
        network=network,
    )
