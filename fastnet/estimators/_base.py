"""What both estimators share: the frame of `fit` and `partial_fit`, with scikit-learn's contract around the core."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, column_or_1d

from fastnet._checks import positive_int, refuse_missing_labels, refuse_silent_conversion
from fastnet._data import MatrixLike, features
from fastnet._drafts import draft_of, replace_state
from fastnet._hints import takes_other_words
from fastnet._set_params import NamedParameters
from fastnet.data import Blocks
from fastnet.data.blocks import refuse_beside_blocks
from fastnet.layers import Dense
from fastnet.losses import Loss
from fastnet.network import Network

from . import _fit
from ._blocks import without_features
from ._docs import with_shared_parts
from ._exchange import Exchange
from ._initialization import initial_parameters
from ._parameters import check_names, dropouts, hidden_sizes, initialization_activations, layers
from ._prediction import adopt, build_network, network_for
from ._sklearn import CallbackSupport, check_sample_weight, checked_data, unchanged_on_error
from ._solver import uses_lbfgs
from ._stopping import reset_curves
from ._targets import Role
from ._validation import Rows, split
from ._warnings import as_scikit_learn, warn_of_other_units, warn_of_unused_parameters


@with_shared_parts
class BaseMLP(CallbackSupport, Exchange, NamedParameters, ABC):
    """Base of `MLPClassifier` and `MLPRegressor`; the model is its attributes `coefs_` and `intercepts_`."""

    #: Whether targets are numbers, and no labels.
    _numeric_targets: ClassVar[bool]

    def _store(self, parameters: dict[str, Any]) -> None:
        """Keep the constructor's arguments as they are, one attribute each."""
        for name, value in parameters.items():
            if name != "self":
                setattr(self, name, value)

    @abstractmethod
    def _checked_targets(self, y: np.ndarray, role: Role) -> np.ndarray:
        """Learn or check the kind of targets; they come back in the form that scorers see."""

    @abstractmethod
    def _encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Targets in the core's form."""

    @abstractmethod
    def _output_layer(self, y: np.ndarray) -> tuple[int, str]:
        """Units and scikit-learn's name of the activation of the output layer."""

    @abstractmethod
    def _core_loss(self, dtype: np.dtype) -> Loss:
        """The loss that is minimised."""

    def _validation_loss(self, dtype: np.dtype) -> Loss:
        """The loss that validation reports."""
        return self._core_loss(dtype)

    def _training_targets(self, targets: np.ndarray) -> np.ndarray:
        """What the network is trained on, for targets in the core's form."""
        return targets

    def _scale_targets(self, rows: Rows, validation: Rows | None, *, incremental: bool) -> tuple[Rows, Rows | None]:
        """The rows, with targets on the scale that the network is trained on."""
        return rows, validation

    def _row_weights(self, y: np.ndarray, sample_weight: np.ndarray | None, dtype: np.dtype) -> np.ndarray | None:
        """Weights of the rows of y."""
        return sample_weight

    def _validate_params(self) -> None:
        check_names(self)
        super()._validate_params()

    def _accepted_dtypes(self) -> Any:
        return np.dtype(self.dtype) if self.dtype is not None else (np.float64, np.float32)

    @takes_other_words()
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike | Blocks,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        {fit_arguments}
        X_val, y_val : array-like, default=None
            Validation data of `early_stopping`, in place of rows set aside. In a `Pipeline`, ``transform_input=["X_val"]``
            transforms `X_val` as `X`.
        sample_weight_val : array-like, default=None
            Weights of the rows of `X_val`.
        groups : array-like of shape (n_samples,), default=None
            Group of each row, for a `validation_split` that keeps the rows of a group together.

        Returns
        -------
        self : MLPClassifier or MLPRegressor

        Raises
        ------
        ValueError
            Parameters or data out of range, or training that diverges; a model that was fitted before is left as it was.
        RuntimeError
            Another thread is fitting this estimator.
        """
        return self._fit(X, y, sample_weight, X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val, groups=groups)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        incremental: bool = False,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
    ) -> Self:
        with unchanged_on_error(self):
            draft = draft_of(self)
            rows, validation, random_state = draft._prepared(
                X, y, sample_weight, incremental, (X_val, y_val, sample_weight_val), groups
            )
            replace_state(self, draft.__dict__)
            if uses_lbfgs(self):
                _fit.minimise(self, rows, data=(X, y, sample_weight))
            else:
                _fit.train_epochs(
                    self, rows, random_state, validation=validation, incremental=incremental, data=(X, y, sample_weight)
                )
            _fit.check_finite(self)
        return self

    def _prepared(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, validation_data: tuple[Any, Any, Any], groups: Any
    ) -> tuple[Rows, Rows | None, np.random.RandomState]:
        """Check everything that a fit can refuse and set the initial parameters; rows to train on, to validate on, and draws."""
        warn_of_unused_parameters(self)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        units = hidden_sizes(self)
        rows = self._checked_rows(X, y, sample_weight, role="partial_fit" if incremental else "fit", reset=first)
        random_state = check_random_state(self.random_state)
        self.n_outputs_, out_activation = self._output_layer(rows.y)
        if first:
            sizes = [rows.X.shape[1], *units, self.n_outputs_]
            self._initialize(sizes, out_activation, random_state, rows.X.dtype)
        else:
            self._check_same_network([*units, self.n_outputs_])
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        validation = self._given_validation(*validation_data)
        if validation is not None and self._numeric_targets:
            warn_of_other_units(rows.labels, validation.labels)
        if groups is not None:
            self._check_groups_are_used(validation)
        if self.early_stopping and validation is None and not rows.are_in_memory:
            raise ValueError(
                "No rows are set aside of data that are not in memory: give X_val and y_val to fit, or early_stopping=False."
            )
        if self.early_stopping and validation is None and not uses_lbfgs(self):
            rows, validation = split(self, rows, random_state, groups)
        return *self._scale_targets(rows, validation, incremental=incremental), random_state

    def _checked_rows(self, X: Any, y: Any, sample_weight: Any, *, role: Role, reset: bool) -> Rows:
        blocks = names = None
        if isinstance(X, Blocks):
            blocks = self._checked_blocks(X, y, sample_weight, role)
            X, y, sample_weight = without_features(blocks, self, learn_names=reset)
            names = self.__dict__.pop("feature_names_in_", None)  # which the empty matrix does not have
        if self._numeric_targets:
            refuse_silent_conversion(y, "y")
        elif y is not None and blocks is None:
            refuse_missing_labels(y)
        X, labels = checked_data(self, X, y, multi_output=True, y_numeric=self._numeric_targets, reset=reset)
        if names is not None:
            self.feature_names_in_ = names
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = as_scikit_learn(column_or_1d, labels, warn=True)
        labels = self._checked_targets(labels, role)
        dtype = X.dtype if reset else self._parameter_dtype()
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X, dtype)
        weights = self._row_weights(labels, sample_weight, dtype)
        return Rows(X, self._encode(labels, dtype), labels, weights, sample_weight, blocks)

    def _checked_blocks(self, data: Blocks, y: Any, sample_weight: Any, role: Role) -> Blocks:
        """Data larger than memory, for which not everything is possible."""
        if role != "fit":
            raise ValueError("Data of fastnet.data can only be the X of fit: give arrays, such as those of data.read(0).")
        refuse_beside_blocks(y, sample_weight)
        if uses_lbfgs(self):
            raise ValueError("solver='lbfgs' needs all rows in memory, got blocks: set another solver, or give arrays.")
        return data

    def _parameter_dtype(self) -> np.dtype:
        dtype = np.result_type(*self.coefs_, *self.intercepts_)
        return dtype if dtype == np.float32 else np.dtype(np.float64)

    def _given_validation(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> Rows | None:
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val is provided, but X_val and y_val were not provided.")
            return None
        if y_val is None and not isinstance(X_val, Blocks):  # which are refused below
            raise ValueError("X_val is provided, but y_val was not provided.")
        if X_val is None:
            raise ValueError("y_val is provided, but X_val was not provided.")
        if uses_lbfgs(self):
            raise ValueError("X_val and y_val are passed to fit, but solver='lbfgs' trains on all rows and never stops early.")
        if not self.early_stopping:
            raise ValueError(
                "X_val and y_val are passed to fit while at the same time early_stopping is False. When passing X_val and "
                "y_val to fit, early_stopping should be set to True (with n_iter_no_change=np.inf to never stop early)."
            )
        rows = self._checked_rows(X_val, y_val, sample_weight_val, role="validation", reset=False)
        if rows.y.ndim == 2 and rows.y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y_val must have as many columns as y, got targets for {rows.y.shape[1]} outputs of {self.n_outputs_}."
            )
        return rows

    def _check_groups_are_used(self, validation: Rows | None) -> None:
        if not self.early_stopping or self.validation_split is None or uses_lbfgs(self) or validation is not None:
            raise ValueError(
                "groups are passed to fit, but nothing is split by them: they need early_stopping=True, a validation_split such "
                "as GroupShuffleSplit(), a solver other than 'lbfgs', and no X_val. Set these, or leave groups out."
            )

    def _initialize(self, sizes: list[int], out_activation: str, random_state: np.random.RandomState, dtype: np.dtype) -> None:
        """Draw initial parameters and forget what belonged to those before."""
        self._forget()
        self.n_layers_, self.out_activation_ = len(sizes), out_activation
        activations = initialization_activations(self, len(sizes) - 2)
        self.coefs_, self.intercepts_ = initial_parameters(sizes, activations, random_state, dtype)

    def _forget(self) -> None:
        """Forget what belongs to the parameters so far."""
        for name in ("_optimizer", "target_scaler_"):
            self.__dict__.pop(name, None)
        reset_curves(self)
        self.n_iter_ = self.t_ = 0

    def _flat_rows(self, X: Any, *, reset: bool) -> Any:
        """X with one axis for the numbers of a row."""
        return X

    def _as_given(self, rows: Any) -> Any:
        """Flat rows in a form that `predict` takes."""
        return rows

    def _for_rows(self, X: Any) -> BaseMLP:
        """The estimator, or one with its parameters for rows of X that are longer than those of fit."""
        return self

    def _build_network(self, dtype: Any = None) -> Network:
        """A network with copies of the parameters."""
        sizes = [coef.shape[1] for coef in self.coefs_]
        return Network.from_parameters(layers(self, sizes, self.out_activation_), self.coefs_, self.intercepts_, dtype=dtype)

    def _parameters_of(self, network: Network) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """What of a network `coefs_` and `intercepts_` are views of."""
        return list(network.weights), list(network.biases)

    def _takes(self, network: Network) -> bool:
        """Whether the parameters ask for this network, whose output activation is `out_activation_`."""
        wanted = [layer.activation for layer in layers(self, list(network.sizes[1:]), self.out_activation_)]
        given = [layer.activation for layer in network.layers if isinstance(layer, Dense)]
        return wanted == given and len(given) == network.n_layers

    def _draws_in_training(self, network: Network) -> bool:
        """Whether training draws random numbers beside the order of rows."""
        return any(dropouts(self, network.n_layers - 1))

    def _check_same_network(self, wanted: list[int]) -> None:
        sizes = [coef.shape[1] for coef in self.coefs_]
        if sizes != wanted:
            raise ValueError(
                f"The fitted network has layers of {sizes} units, but hidden_layer_sizes={self.hidden_layer_sizes!r} and y ask "
                f"for {wanted}. Set hidden_layer_sizes back to continue training, or fit anew with warm_start=False."
            )
        self._check_same_dtype()

    def _check_same_dtype(self) -> None:
        dtype = self._parameter_dtype()
        if self.dtype is not None and np.dtype(self.dtype) != dtype:
            raise ValueError(
                f"The fitted network has parameters of {dtype.name}, but dtype={self.dtype!r}. Set dtype back to continue "
                "training, or fit anew with warm_start=False."
            )

    def _loss_grad_lbfgs(
        self, packed: np.ndarray, X: Any, y: np.ndarray, sample_weight: np.ndarray | None, *buffers: Any
    ) -> tuple[float, np.ndarray]:
        """Loss and gradient at the parameters ``[all coefs | all intercepts]``; buffers of scikit-learn's are not used."""
        network = build_network(self, np.float64)
        network.params[:] = packed
        weight = X.shape[0] if sample_weight is None else np.sum(sample_weight)
        loss, gradients = network.loss_and_grad(
            X, y, loss=self._core_loss(network.dtype), sample_weight=sample_weight, l2=self.alpha / weight
        )
        return loss, gradients.flat

    @property
    def best_epoch_(self) -> int:
        """Number of the epoch with the best validation score, or else the least training loss."""
        if not hasattr(self, "loss_curve_"):
            raise AttributeError("best_epoch_ is known after a fit with a mini-batch solver, which sets loss_curve_.")
        scored = self.validation_scores_ is not None
        best, curve = (self.best_validation_score_, self.validation_scores_) if scored else (self.best_loss_, self.loss_curve_)
        return curve.index(best) + 1 if best in curve and np.isfinite(best) else 0

    def hidden_activations(self, X: MatrixLike, layer: int | None = -1) -> np.ndarray | list[np.ndarray]:
        """Activations of hidden layers: what the network has made of the features.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        layer : int or None
            Number of the hidden layer, from 0; negative numbers count from the last. None gives all of them.

        Returns
        -------
        ndarray of shape (n_samples, n_units), or a list of them

        Raises
        ------
        ValueError
            No hidden layer of that number.
        """
        check_is_fitted(self)
        fitted = self._for_rows(X)
        X = checked_data(fitted, X, reset=False)
        network = network_for(fitted, X.dtype)
        hidden = network._layer_outputs(features(X, network.n_inputs, network.dtype, check_finite=False), self.n_threads)[:-1]
        if layer is None:
            return hidden
        if not (isinstance(layer, Integral) and -len(hidden) <= layer < len(hidden)):
            raise ValueError(f"layer must be None or the number of one of the {len(hidden)} hidden layers, got {layer!r}.")
        return hidden[layer]

    def _start(self, n_features: int, n_outputs: int, out_activation: str) -> BaseMLP:
        """Initial parameters without data."""
        self._validate_params()
        dtype = np.dtype(np.float64 if self.dtype is None else self.dtype)
        self.n_features_in_ = positive_int(n_features, "n_features")
        self.n_outputs_ = n_outputs
        self.__dict__.pop("feature_names_in_", None)
        sizes = [self.n_features_in_, *hidden_sizes(self), n_outputs]
        self._initialize(sizes, out_activation, check_random_state(self.random_state), dtype)
        adopt(self, build_network(self))
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_fitted", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "coefs_" in state and all(coef.flags.writeable for coef in self.coefs_):
            adopt(self, build_network(self))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
