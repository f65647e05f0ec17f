"""The classifier."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from fastnet._checks import positive_int, refuse_missing_labels
from fastnet._data import MatrixLike
from fastnet._hints import takes_other_words
from fastnet._outputs import both_classes
from fastnet.callbacks import Callback
from fastnet.losses import Loss

from . import _targets
from ._base import BaseMLP
from ._docs import with_shared_parts
from ._losses import CappedBinaryCrossEntropy, CappedCrossEntropy, largest_cross_entropy
from ._parameters import (
    CLASSIFIER_CONSTRAINTS,
    BatchSize,
    ClassWeight,
    Dropout,
    HiddenActivation,
    HiddenLayerSizes,
    Precision,
    RandomState,
    RatePolicy,
    Scoring,
    Solver,
    Stratify,
    ValidationSplit,
    Verbose,
)
from ._prediction import outputs
from ._sklearn import unchanged_on_error
from ._solver import partial_fit_available
from ._validation import Rows, accuracy
from ._warnings import warn_of_one_hot_classes
from ._weights import with_class_weight


@with_shared_parts
class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron for two or more classes, or for sets of labels; it minimises the cross-entropy.

    It takes the place of `sklearn.neural_network.MLPClassifier`: the same parameters, methods and attributes, the same model
    for the same `random_state`. Parameters from `class_weight` on are fastnet's own.

    Parameters
    ----------
    {parameters}
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weight of each class, 1 where a dict does not name it; "balanced" makes all classes count the same. For multilabel
        targets, a list with one dict for each label.
    label_smoothing : float in [0, 1), default=0.0
        Share of each target that is spread over all classes.
    stratify : bool or "auto", default="auto"
        Whether the split by `validation_fraction` keeps the shares of the classes: "auto" does so for two classes, as
        scikit-learn does; True does so for any number of classes, and for sets of labels.
    {extras}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; label numbers for multilabel targets.
    {attributes}

    See Also
    --------
    MLPRegressor : The same for values.
    fastnet.Network : The same network without scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnet import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier((16,), solver="lbfgs", random_state=0).fit(X, y)
    >>> clf.predict(X[:2])
    array([0, 0])
    >>> clf.score(X, y) > 0.95
    True
    """

    #: Not a parameter, as in scikit-learn.
    loss = "log_loss"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CLASSIFIER_CONSTRAINTS
    _numeric_targets = False

    @takes_other_words()
    def __init__(
        self,
        hidden_layer_sizes: HiddenLayerSizes = (100,),
        activation: HiddenActivation = "relu",
        *,
        solver: Solver = "adam",
        alpha: float = 0.0001,
        batch_size: BatchSize = "auto",
        learning_rate: RatePolicy = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: float = 1e-4,
        verbose: Verbose = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: ClassWeight = None,
        label_smoothing: float = 0.0,
        stratify: Stratify = "auto",
        dropout: Dropout = 0.0,
        weight_decay: float | None = None,
        max_grad_norm: float | None = None,
        dtype: Precision = None,
        n_threads: int | None = None,
        scoring: Scoring = None,
        validation_split: ValidationSplit = None,
        restore_best: bool | None = None,
        partial_fit_epochs: int = 1,
        callbacks: list[Callback] | tuple[Callback, ...] | None = None,
        max_time: float | None = None,
    ) -> None:
        self._store(locals())

    @available_if(partial_fit_available)
    @takes_other_words()
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> MLPClassifier:
        """Continue training for one pass over the rows (or `partial_fit_epochs`), with the optimiser of the call before.

        Parameters
        ----------
        {fit_arguments}
        classes : array-like of shape (n_classes,), default=None
            All classes that may occur; required in the first call.

        Returns
        -------
        self : MLPClassifier

        Raises
        ------
        ValueError
            Data or parameters that `fit` would refuse, no `classes` in the first call, or a class that is not among them.
        AttributeError
            The solver is "lbfgs", which needs all rows at once.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, which sees only part of the rows. Pass the dict that "
                "sklearn.utils.class_weight.compute_class_weight gives for all of them."
            )
        with unchanged_on_error(self):
            if _check_partial_fit_first_call(self, classes):
                refuse_missing_labels(y)
                known = y if type_of_target(y).startswith("multilabel") else classes
                self._label_binarizer = LabelBinarizer().fit(known)
            return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: MatrixLike) -> np.ndarray:
        """Most probable classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) for multilabel targets

        Raises
        ------
        ValueError
            Data that scikit-learn would refuse, or other features than those of `fit`.
        sklearn.exceptions.NotFittedError
            The estimator has no parameters yet.
        """
        return _targets.decode_labels(self, outputs(self, X))

    def predict_proba(self, X: MatrixLike) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.

        Raises
        ------
        ValueError
            Data that scikit-learn would refuse, or other features than those of `fit`.
        sklearn.exceptions.NotFittedError
            The estimator has no parameters yet.
        """
        p = outputs(self, X)
        return p if p.shape[1] > 1 else both_classes(p)

    def predict_log_proba(self, X: MatrixLike) -> np.ndarray:
        """Logarithms of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)

        Raises
        ------
        ValueError
            Data that scikit-learn would refuse, or other features than those of `fit`.
        sklearn.exceptions.NotFittedError
            The estimator has no parameters yet.
        """
        p = self.predict_proba(X)
        return np.log(p, out=p)

    def initialize(self, n_features: int, n_outputs: int = 2, *, classes: ArrayLike | None = None) -> MLPClassifier:
        """Set initial parameters without data, for `predict`, `partial_fit`, or parameters set by hand.

        Parameters
        ----------
        n_features : int
        n_outputs : int, default=2
            Number of classes, if `classes` is not given; they are then 0, 1, ....
        classes : array-like of shape (n_classes,), default=None

        Returns
        -------
        self : MLPClassifier
        """
        with unchanged_on_error(self):
            labels = np.arange(positive_int(n_outputs, "n_outputs")) if classes is None else classes
            self._label_binarizer = LabelBinarizer().fit(labels)
            self.classes_ = self._label_binarizer.classes_
            units = _targets.n_outputs(self)
            return self._start(n_features, units, "logistic" if units == 1 else "softmax")

    def _checked_targets(self, y: np.ndarray, role: _targets.Role) -> np.ndarray:
        y = _targets.as_indicators(y)
        _targets.check_classes(self, y, role)
        if role == "fit" and _targets.is_multilabel(self):
            warn_of_one_hot_classes(y)
        return y

    def _encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return _targets.encode_labels(self, y, dtype)

    def _training_targets(self, targets: np.ndarray) -> np.ndarray:
        smooth = self.label_smoothing and self.out_activation_ == "logistic"
        return _targets.smooth_labels(targets, self.label_smoothing) if smooth else targets

    def _row_weights(self, y: np.ndarray, sample_weight: np.ndarray | None, dtype: np.dtype) -> np.ndarray | None:
        return with_class_weight(self.class_weight, y, self.classes_, sample_weight, dtype)

    def _output_layer(self, y: np.ndarray) -> tuple[int, str]:
        units = _targets.n_outputs(self)
        return units, "softmax" if units > 1 and not _targets.is_multilabel(self) else "logistic"

    def _core_loss(self, dtype: np.dtype) -> Loss:
        return self._cross_entropy(dtype, self.label_smoothing)

    def _validation_loss(self, dtype: np.dtype) -> Loss:
        return self._cross_entropy(dtype, 0.0)

    def _cross_entropy(self, dtype: np.dtype, label_smoothing: float) -> Loss:
        ceiling = largest_cross_entropy(dtype)
        if self.out_activation_ == "softmax":
            return CappedCrossEntropy(label_smoothing, ceiling)
        return CappedBinaryCrossEntropy(ceiling)

    def _default_metric(self, outputs: np.ndarray, rows: Rows) -> float:
        return accuracy(outputs, rows, len(self.classes_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
