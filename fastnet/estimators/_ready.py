"""Estimators with a network of their own choice: what those for images, series and texts share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, check_random_state, gen_batches
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnet._checks import refuse_missing_labels, refuse_silent_conversion
from fastnet._hints import takes_other_words
from fastnet._saving import Saving
from fastnet._set_params import NamedParameters
from fastnet.callbacks import EarlyStopping
from fastnet.data import Blocks
from fastnet.layers import Dense, Layer
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.optimizers import AdamW
from fastnet.ragged import Ragged
from fastnet.schedules import Cosine

from ._prediction import copy_parameters, lengthened
from ._sklearn import check_sample_weight, unchanged_on_error

#: Flat rows, or rows of unequal length.
Rows: TypeAlias = np.ndarray | Ragged

#: Numbers of the rows to train on, and of those that decide when training ends.
Split: TypeAlias = tuple[np.ndarray, np.ndarray]

#: Numbers are standardised in float64, this many positions at a time.
POSITIONS_AT_ONCE = 65536


def deviations(values: np.ndarray) -> np.ndarray:
    """Standard deviation of each column of X; 1 where it does not change, but for what scikit-learn takes for rounding errors.

    Raises
    ------
    ValueError
        Numbers whose variance is too large a number.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean, variance = (np.asarray(of(values, axis=0, dtype=np.float64)) for of in (np.mean, np.var))
        rounding = len(values) * np.finfo(np.float64).eps
        constant = variance <= rounding * variance + (rounding * mean) ** 2
    if not np.isfinite(variance).all():
        raise ValueError(
            f"X cannot be standardised, as it has values from {values.min():g} to {values.max():g}: their variance overflows. "
            "Divide X by a constant first."
        )
    return np.where(constant, 1.0, np.sqrt(variance))


class ReadyNetwork(Saving, NamedParameters, ABC):
    """Base of estimators that choose a network, and decide when training ends.

    Attributes
    ----------
    network_ : Network
    input_shape_ : tuple of int
        Of a row, channels last; of the longest, where rows differ in length.
    history_ : History
    n_iter_ : int
        Epochs.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "verbose": ["boolean"],
    }
    _learning_rate: ClassVar[float] = 0.002
    _batch_size: ClassVar[int] = 32
    #: Training ends after so many epochs in which the loss on the rows set aside did not fall.
    _patience: ClassVar[int] = 15

    max_iter: int | None
    random_state: int | np.random.RandomState | None
    n_threads: int | None
    verbose: bool

    @abstractmethod
    def _layers(self, *, ragged: bool) -> list[Layer]:
        """Layers before the output layer."""

    def _epochs(self, n_rows: int) -> int:
        """Most epochs, with so many rows to train on."""
        assert self.max_iter is not None
        return self.max_iter

    def _augmentations(self) -> Any:
        """Random changes of rows in training, as `Network.fit` takes them."""
        return None

    @abstractmethod
    def _output_layer(self) -> Dense: ...

    def _loss(self) -> Loss | None:
        """What is minimised, if not the loss that suits the output layer."""
        return None

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31))

    def _train(
        self, rows: Rows, targets: np.ndarray, aside: Split | None, seed: int, weights: np.ndarray | None = None
    ) -> None:
        """Make the network and train it, with the numbers of the rows to train on and of those set aside; None: on all."""
        ragged = isinstance(rows, Ragged)
        self.network_ = Network(
            [*self._layers(ragged=ragged), self._output_layer()],
            input_shape=self.input_shape_,
            ragged=ragged,
            random_state=seed,
        )
        options: dict[str, Any] = {"learning_rate": Cosine(self._learning_rate)}
        if aside is not None:
            train, validation = aside
            options = {
                "validation_data": (rows[validation], targets[validation], None if weights is None else weights[validation]),
                "callbacks": [EarlyStopping(patience=self._patience)],
            }
            rows, targets, weights = rows[train], targets[train], None if weights is None else weights[train]
        self.history_ = self.network_.fit(
            rows,
            targets,
            sample_weight=weights,
            loss=self._loss(),
            optimizer=AdamW(self._learning_rate),
            batch_size=self._batch_size,
            epochs=self._epochs(len(rows)),
            random_state=seed,
            n_threads=self.n_threads,
            progress=self.verbose,
            augment=self._augmentations(),
            **options,
        )
        self.n_iter_ = len(self.history_)

class ReadyEstimator(ReadyNetwork):
    """Base of those that learn the targets of rows."""

    #: With fewer rows than this for each class (or in all, of values), none are set aside.
    _fewest_to_set_aside: ClassVar[int]
    _y_options: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def _learn_rows(self, X: Any, y: Any) -> tuple[Rows, np.ndarray]:
        """Rows as the network reads them, and checked targets; sets `input_shape_`, and all else that predictions need."""

    @abstractmethod
    def _known_rows(self, X: Any) -> Rows:
        """Rows as the network reads them, made with what was learnt."""

    @abstractmethod
    def _learn_targets(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """Targets in the form that the network is trained on."""

    @abstractmethod
    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        """What the rows set aside are stratified by."""

    @takes_other_words()
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : rows in any of the forms that the class describes
        y : array-like of shape (n_samples,)
            Targets; those of a regressor may have several columns.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows in the loss, in training and on the rows set aside; a regressor also standardises y with them.
            All rows count alike when X is standardised, and for the vocabulary of texts.

        Returns
        -------
        self : object
            The estimator itself.

        Raises
        ------
        TypeError
            Blocks of `fastnet.data`, or rows of another kind than the class describes.
        ValueError
            Parameters, rows, targets or weights that do not fit, or values that are missing.
        RuntimeError
            Another thread is fitting this estimator.
        """
        if isinstance(X, Blocks):
            name = type(self).__name__
            raise TypeError(f"{name} takes rows in memory, got blocks of fastnet.data: give arrays, or fit a Network to them.")
        self._refuse_targets(y)
        with unchanged_on_error(self):
            rows, y = self._learn_rows(X, y)
            weights = self._weights(y, sample_weight)
            targets, seed = self._learn_targets(y, weights), self._seed()
            if weights is not None:
                counting = np.flatnonzero(weights)
                rows, targets, weights = rows[counting], targets[counting], weights[counting]
            self.__dict__.pop("_longer", None)
            self._train(rows, targets, self._set_aside(targets, seed), seed, weights)
        return self

    @staticmethod
    def _weights(y: np.ndarray, sample_weight: Any) -> np.ndarray | None:
        """Checked weights of rows, whose mean is 1."""
        if sample_weight is None:
            return None
        weights = check_sample_weight(sample_weight, y, np.dtype(np.float64))
        return np.asarray(weights / weights.mean(), np.float32)

    def _refuse_targets(self, y: Any) -> None:
        """Refuse, with a ValueError, targets that scikit-learn takes for others, or refuses without saying why."""

    def _checked_targets(self, rows: Ragged, y: Any) -> np.ndarray:
        """Targets of rows that scikit-learn does not know."""
        y = validate_data(self, y=y, **self._y_options)
        check_consistent_length(rows, y)
        return np.asarray(y)

    def _set_aside(self, targets: np.ndarray, seed: int) -> Split | None:
        """A tenth of the rows at random, where there are enough."""
        strata = self._strata(targets)
        sizes = [len(targets)] if strata is None else np.bincount(strata)
        if len(targets) < self._fewest_to_set_aside * len(sizes) or min(sizes) < 2:
            return None
        train, validation = train_test_split(np.arange(len(targets)), test_size=0.1, stratify=strata, random_state=seed)
        return train, validation

    def _outputs(self, X: Any) -> np.ndarray:
        """Activations of the output layer (m, n_outputs)."""
        check_is_fitted(self)
        rows = self._known_rows(X)
        return np.asarray(self._network_for(rows)._forward(rows, check_finite=False, n_threads=self.n_threads, batch=True))

    def _network_for(self, rows: Rows) -> Network:
        """The network, or one with its parameters for rows that are longer than those of `fit`."""
        network = self.network_
        longest = int(rows.lengths.max(initial=0)) if isinstance(rows, Ragged) else 0
        if longest <= network.input_shape[0]:
            return network
        longer: Network | None = self.__dict__.get("_longer")
        if longer is None or longest > longer.input_shape[0]:
            self._longer = longer = lengthened(network, longest)
        copy_parameters(network, longer)  # which may have changed since
        return longer

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_longer"}


class StandardisedEstimator(ReadyEstimator):
    """Base of those that read numbers, which they standardise by channel.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (channels,)
        Of the training rows.
    """

    channels: str
    n_features_in_: int

    @abstractmethod
    def _rows(self, X: Any) -> tuple[Any, tuple[int, ...] | None]:
        """Flat or ragged rows, and their shape where X has one; anything else as it is."""

    @abstractmethod
    def _shape_of_rows(self, n_features: int) -> tuple[int, ...]:
        """Shape of flat rows."""

    def _takes_flat_rows(self) -> bool:
        """Whether rows of several channels may be flat: with the channels last, that is."""
        return self.channels == "last"

    def _check_flat(self, n_features: int) -> None:
        """Refuse, with a ValueError, flat rows whose order is not that of rows of `input_shape_`."""
        *lengths, channels = self.input_shape_
        if channels > 1 and not self._takes_flat_rows():
            row = (*lengths, channels) if self.channels == "last" else (channels, *lengths)
            shape = ", ".join(map(str, ("n_samples", *row)))
            raise ValueError(
                f"{type(self).__name__} takes rows of {channels} channels as an array of shape ({shape}), got flat rows of "
                f"{n_features} numbers: reshape X."
            )

    def _learn_rows(self, X: Any, y: Any) -> tuple[Rows, np.ndarray]:
        rows, shape = self._rows(X)
        refuse_silent_conversion(rows, "X")
        rows, y = self._checked(rows, y)
        self.input_shape_ = self._shape_of_rows(self.n_features_in_) if shape is None else shape
        if isinstance(rows, Ragged):
            self.n_features_in_ = int(np.prod(self.input_shape_))
        if shape is None:
            self._check_flat(self.n_features_in_)
        positions = self._positions(rows)
        self.scale_ = deviations(positions)
        self.mean_ = positions.mean(axis=0, dtype=np.float64)
        return self._standardised(rows), y

    def _checked(self, rows: Any, y: Any) -> tuple[Rows, np.ndarray]:
        if not isinstance(rows, Ragged):
            return validate_data(self, rows, y, order="C", ensure_min_samples=2, **self._y_options)
        assert_all_finite(rows.flat, input_name="X")
        return rows, self._checked_targets(rows, y)

    def _positions(self, rows: Rows) -> np.ndarray:
        """The channels of all positions of all rows."""
        return (rows.flat if isinstance(rows, Ragged) else rows).reshape(-1, self.input_shape_[-1])

    def _standardised(self, rows: Rows) -> Rows:
        positions = self._positions(rows)
        scaled = np.empty(positions.shape, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in gen_batches(len(positions), POSITIONS_AT_ONCE):
                scaled[part] = (positions[part] - self.mean_) / self.scale_
            assert_all_finite(scaled, input_name="X")
        return Ragged(scaled, rows.starts) if isinstance(rows, Ragged) else scaled.reshape(rows.shape)

    def _known_rows(self, X: Any) -> Rows:
        rows, shape = self._rows(X)
        refuse_silent_conversion(rows, "X")
        name = type(self).__name__
        if isinstance(rows, Ragged) and not self.network_.ragged:
            raise ValueError(f"{name} was fitted with rows of one length, got rows of unequal length. Fit it with such rows.")
        if self.network_.ragged and not isinstance(rows, Ragged):
            rows, shape = self._as_ragged(rows, shape)
        if shape is not None and shape[isinstance(rows, Ragged) :] != self.input_shape_[isinstance(rows, Ragged) :]:
            raise ValueError(f"X has rows of shape {shape}, but {name} was fitted with {self.input_shape_}.")
        if isinstance(rows, Ragged):
            assert_all_finite(rows.flat, input_name="X")
        else:
            rows = validate_data(self, rows, order="C", reset=False)
            if shape is None:
                self._check_flat(self.n_features_in_)
        return self._standardised(rows)

    def _as_ragged(self, rows: Any, shape: tuple[int, ...] | None) -> tuple[Ragged, tuple[int, ...]]:
        """Rows of one length, for a network that was fitted with rows of unequal length."""
        rows = check_array(rows)
        if shape is None:
            self._check_flat(rows.shape[1])
            shape = rows.shape[1], 1
        return Ragged.from_padded(rows.reshape(-1, *shape), np.full(len(rows), shape[0])), shape

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class ReadyClassifier(ClassifierMixin, ReadyEstimator):
    """A network of its own choice for classes.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    """

    def _refuse_targets(self, y: Any) -> None:
        refuse_missing_labels(y)

    def _learn_targets(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes, got {len(self.classes_)} class: {self.classes_[0]!r}."
            )
        return codes

    def _output_layer(self) -> Dense:
        return Dense(len(self.classes_), "softmax")

    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        return targets

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : rows in any of the forms that the class describes

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        return self._outputs(X)

    def predict(self, X: Any) -> np.ndarray:
        """Most probable classes.

        Parameters
        ----------
        X : rows in any of the forms that the class describes

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        p = self.predict_proba(X)
        return np.asarray(self.classes_[p.argmax(axis=1)])


class ReadyRegressor(RegressorMixin, ReadyEstimator):
    """A network of its own choice for values, which it standardises for training.

    Attributes
    ----------
    target_scaler_ : StandardScaler
        Mean and deviation of each column of y, weighted by `sample_weight`.
    """

    _y_options: ClassVar[dict[str, Any]] = {"multi_output": True, "y_numeric": True}

    def _learn_targets(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        refuse_silent_conversion(y, "y")
        columns = y.reshape(len(y), -1)
        self._one_column = y.ndim == 1
        with np.errstate(over="ignore", invalid="ignore"):
            self.target_scaler_ = StandardScaler().fit(columns, sample_weight=weights)
        if not (np.isfinite(self.target_scaler_.mean_) & np.isfinite(self.target_scaler_.scale_)).all():
            raise ValueError(
                f"y cannot be standardised, as it has values from {y.min():g} to {y.max():g}: their variance overflows. Divide y "
                "by a constant first."
            )
        return np.asarray(self.target_scaler_.transform(columns), np.float32)

    def _output_layer(self) -> Dense:
        return Dense(len(self.target_scaler_.mean_), "identity")

    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        return None

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values.

        Parameters
        ----------
        X : rows in any of the forms that the class describes

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        outputs = self._outputs(X).astype(np.float64)
        y = np.asarray(self.target_scaler_.inverse_transform(outputs))
        return y.ravel() if self._one_column else y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
