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

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import losses as _losses
from .activations import Activation
from .layers import Dense
from .losses import Loss
from .network import Network

__all__ = ["Gradients", "ModelView", "dense_rows", "model_view"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Gradients:
    """Gradients of the mean loss, as lists over the layers l = 1..L (index 0 is layer 1).

    Attributes
    ----------
    dA : list of ndarray of shape (n_rows, n[l])
        With respect to the activations of the hidden layers only: loss and output activation are differentiated together.
    dZ : list of ndarray of shape (n_rows, n[l])
        With respect to the pre-activations.
    dW : list of ndarray of shape (n[l-1], n[l])
    db : list of ndarray of shape (n[l],)
    """

    dA: list[Array]
    dZ: list[Array]
    dW: list[Array]
    db: list[Array]


@dataclass(frozen=True)
class ModelView:
    """What pictures need to know about a model; created by `model_view`.

    Attributes
    ----------
    name : str
        Class name of the model.
    weights, biases : tuple of ndarray of shape (n[l-1], n[l]) and (n[l],)
        The model's own arrays, not copies.
    activations : tuple of Activation
        One a layer.
    dropouts : tuple of float
        Probability with which a unit is dropped in training, one a layer.
    feature_names, output_names : tuple of str, or None
        Names of the inputs and outputs, if the model has them.
    loss : Loss
        The loss the model was trained on, or for a `Network` the canonical one of its output activation.
    classes : ndarray or None
        The class labels of a classifier, in the order of its outputs.
    learning_rate : float or None
        The estimator's initial learning rate.
    has_normalised_steps : bool
        Whether a step's size is about the learning rate whatever the gradient's, as Adam's is.
    n_epochs : int or None
        Epochs (L-BFGS: iterations) that an estimator was trained for.
    tol : float or None
        An estimator's `tol`, where training ended because the loss no longer fell by so much.
    target_scaler : StandardScaler or None
        What standardises the targets, where the view is of a network trained on such.
    sorted_levels : tuple of float
        Levels of the quantiles that the model predicts of each target and sorts; empty where it sorts nothing.
    """

    name: str
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[Activation, ...]
    dropouts: tuple[float, ...]
    loss: Loss
    feature_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None
    classes: Array | None = field(default=None, repr=False)
    learning_rate: float | None = None
    has_normalised_steps: bool = False
    n_epochs: int | None = None
    tol: float | None = None
    target_scaler: Any = field(default=None, repr=False)
    sorted_levels: tuple[float, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of every layer, the inputs first: n[0], ..., n[L]."""
        return (self.weights[0].shape[0], *(W.shape[1] for W in self.weights))

    @property
    def n_layers(self) -> int:
        """Number of layers L, the inputs not counted."""
        return len(self.weights)

    @property
    def parameters(self) -> dict[str, Array]:
        """Weights and biases by the names that a `Network` gives them ("1.W", "1.b", ...)."""
        pairs = enumerate(zip(self.weights, self.biases, strict=True), start=1)
        return {f"{number}.{name}": array for number, pair in pairs for name, array in zip("Wb", pair, strict=True)}

    def assert_finite(self) -> None:
        """Raise a ValueError if a parameter is NaN or infinite."""
        if not all(np.isfinite(array).all() for array in (*self.weights, *self.biases)):
            raise ValueError(
                f"This {self.name} has parameters that are NaN or infinite, so there is nothing to draw: training diverged. "
                "fastnet.inspection.diagnose(model, X) says where."
            )

    def inputs(self, X: ArrayLike) -> Array:
        """Return `X` as a float64 array of shape (n_rows, n[0]); a single datapoint becomes one row.

        Raises
        ------
        ValueError
            The number of features differs from the model's.
        """
        X = np.atleast_2d(dense_rows(X))
        if X.ndim != 2 or X.shape[1] != self.sizes[0]:
            raise ValueError(
                f"X has shape {X.shape}, but this {self.name} takes {self.sizes[0]} features: "
                f"give an array of shape (n_rows, {self.sizes[0]})."
            )
        return X

    def forward_pass(self, X: ArrayLike) -> tuple[list[Array], list[Array]]:
        """Compute ``Z[l] = A[l-1] @ W[l] + b[l]`` and ``A[l] = g[l](Z[l])`` in float64.

        Parameters
        ----------
        X : array-like of shape (n_rows, n[0])

        Returns
        -------
        Z, A : list of ndarray of shape (n_rows, n[l])
            L pre-activations, and the L + 1 activations with ``A[0] = X``.
        """
        Z: list[Array] = []
        A = [self.inputs(X)]
        with np.errstate(over="ignore", invalid="ignore"):
            for W, b, g in zip(self.weights, self.biases, self.activations, strict=True):
                Z.append(A[-1] @ np.asarray(W, dtype=np.float64) + b)
                A.append(np.asarray(g(Z[-1])))
        return Z, A

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
            Class labels (for a `Network`, class numbers) or values.
        loss : str, Loss or None
            None: the model's own.

        Returns
        -------
        J : float
        dZ_L : ndarray of shape (n_rows, n[L])
        """
        n_rows, n_outputs = Z_L.shape
        head = Network.from_parameters([Dense(n_outputs, self.activations[-1])], [Z_L], [np.zeros(n_outputs)], dtype="float64")
        J, gradients = head.loss_and_grad(np.eye(n_rows), self.targets(y), loss=self.loss if loss is None else loss)
        return J, np.asarray(gradients.weights[0])

    def backward_pass(self, Z: Sequence[Array], A: Sequence[Array], dZ_L: Array) -> Gradients:
        """Run the backward equations from ``dZ[L]`` down to layer 1.

        ::

            dW[l] = A[l-1].T @ dZ[l]        db[l] = sum over rows of dZ[l]
            dA[l-1] = dZ[l] @ W[l].T        dZ[l-1] = dA[l-1] * g'[l-1](Z[l-1])
        """
        dZ: list[Array] = [dZ_L]
        dA: list[Array] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for l in range(self.n_layers - 1, 0, -1):
                dA.insert(0, dZ[0] @ np.asarray(self.weights[l], dtype=np.float64).T)
                dZ.insert(0, dA[0] * self.activations[l - 1].derivative(Z[l - 1]))
            dW = [A_in.T @ d for A_in, d in zip(A[:-1], dZ, strict=True)]
        return Gradients(dA=dA, dZ=dZ, dW=dW, db=[d.sum(axis=0) for d in dZ])


def dense_rows(X: Any) -> Array:
    """Return `X` (array-like, data frame or SciPy sparse) as a dense float64 array."""
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float64)


def model_view(model: Any, *, as_trained: bool = False) -> ModelView:
    """Look at a `Network` or at a fitted estimator in one way.

    Parameters
    ----------
    model : Network, or estimator with ``coefs_``, ``intercepts_``, ``activation`` and ``out_activation_``
        fastnet's estimators and scikit-learn's MLPs.
    as_trained : bool
        Of an estimator that was trained on standardised targets, whether the outputs are those of its training, or else
        predictions in the units of y.

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
    if hasattr(model, "hidden_layer_sizes"):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"This {type(model).__name__} is not fitted yet. Call fit before looking at it.")
    raise TypeError(f"Expected a fastnet.Network or a fitted MLP estimator, got {type(model).__name__}.")


def _network_view(network: Network) -> ModelView:
    dense = [layer for layer in network.layers if isinstance(layer, Dense)]
    if len(dense) != network.n_layers or network.n_members > 1:
        raise TypeError(
            f"Expected a network of dense layers alone, without members, got {network!r}: its layers' outputs are those of "
            "net.activations(X), and its parameters net.parameters."
        )
    return ModelView(
        name=type(network).__name__,
        weights=tuple(network.weights),
        biases=tuple(network.biases),
        activations=tuple(layer.activation for layer in dense),
        dropouts=tuple(layer.dropout for layer in dense),
        loss=_losses.get(None, dense[-1].activation),
    )
