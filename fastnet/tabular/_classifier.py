"""Classes of a table's rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, column_or_1d

from fastnet import losses
from fastnet._checks import is_text
from fastnet._values import options
from fastnet.tabular._base import BaseTabular
from fastnet.tabular._calibration import best_temperature, tempered
from fastnet.tabular._choices import Choices
from fastnet.tabular._class_weights import weights_of_classes
from fastnet.tabular._docs import with_parameters
from fastnet.tabular._findings import FEW, ClassCounts, refuse_moments
from fastnet.tabular._folds import Rows
from fastnet.tabular._frames import plain_labels
from fastnet.tabular._metrics import CLASSIFICATION, Metric


@with_parameters
@options
class TabularClassifier(ClassifierMixin, BaseTabular):
    """Classification of rows of a table: numbers, categories, text, dates and missing values, with no tuning.

    Parameters
    ----------
    metric : {"accuracy", "log_loss", "roc_auc"}, default="accuracy"
        What predictions are judged by: it decides which epochs are best. Labels are smoothed for accuracy.
    {parameters}
    label_smoothing : float in [0, 1), default=None
        Share of each target that is spread over all classes; by default 0.1 for accuracy, else 0.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn's classifiers: a class that a dict does not name has 1. They weigh the rows
        that are trained on and, in folds and with `X_val`, what the best epochs, the networks' weights and the temperature are
        chosen by; not `validation_score_` and `feature_importances_`. Rows of a class of weight 0 count for nothing but, of
        data in blocks, for what is learnt of columns.
    calibrate : bool, default=True
        Divide the logarithms of probabilities by the temperature that is best for log-loss on the validation rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    {attributes}
    temperature_ : float

    Examples
    --------
    >>> import fastnet as fn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = fn.TabularClassifier(preset="fast", random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _metrics = CLASSIFICATION
    _regression = False

    metric: str = "accuracy"
    label_smoothing: float | None = None
    class_weight: Any = None
    calibrate: bool = True

    def _labels(self, y: Any) -> Any:
        refuse_moments(y, "make them text, with y.astype(str) for example")
        return _check_y(plain_labels(y), multi_output=True, estimator=self)

    def _learn_targets(self, y: Any, weights: np.ndarray | None) -> np.ndarray:
        y = column_or_1d(self._labels(y), warn=True)
        check_classification_targets(y)
        classes, numbers, counts = np.unique(y, return_inverse=True, return_counts=True)
        self._take_classes(classes, counts)
        return numbers

    def _survey_targets(self, y: Any, weights: np.ndarray | None) -> ClassCounts:
        y = column_or_1d(self._labels(y), warn=True)
        found = ClassCounts(y)
        check_classification_targets(found.classes[:FEW])  # of more it warns where no class has many rows
        return found

    def _learn_from_survey(self, found: ClassCounts) -> None:
        self._take_classes(found.classes, found.counts)

    def _take_classes(self, classes: np.ndarray, counts: np.ndarray) -> None:
        """Learn the classes, and their weights from the rows of each."""
        self.classes_ = classes
        if len(classes) < 2:
            needs = f"{type(self).__name__} needs at least two classes in y, among the rows that have a weight"
            raise ValueError(f"{needs}; got one class: {classes.tolist()[0]!r}.")
        self._of_classes = None if self.class_weight is None else weights_of_classes(self.class_weight, classes, counts)

    def _check_targets(self, y: Any) -> np.ndarray:
        y = column_or_1d(self._labels(y))
        if is_text(y) != is_text(self.classes_):
            self._refuse_class(y[:1])
        numbers = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        self._refuse_class(y[self.classes_[numbers] != y])
        return numbers

    def _refuse_class(self, unknown: np.ndarray) -> None:
        """Refuse labels that are no classes, if there are any."""
        if len(unknown):
            known = ", ".join(map(repr, self.classes_[:5].tolist())) + (", ..." if len(self.classes_) > 5 else "")
            raise ValueError(
                f"y_val holds classes that y does not hold, such as {unknown[:1].tolist()[0]!r}: y holds {known}. Leave these "
                "rows out, or give the labels the type and the spelling they have in y."
            )

    def _network_targets(self, y: np.ndarray) -> np.ndarray:
        return y

    def _n_outputs(self) -> int:
        return len(self.classes_)

    def _loss(self, metric: Metric, choices: Choices) -> losses.Loss:
        return losses.CrossEntropy(choices.label_smoothing)

    def _in_units(self, outputs: np.ndarray) -> np.ndarray:
        return outputs

    def _with_class_weights(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        if self._of_classes is None:
            return weights
        return self._of_classes[y] if weights is None else weights * self._of_classes[y]

    def _without_class_weights(self, rows: Rows) -> Rows:
        if self._of_classes is None or rows.weights is None:
            return rows
        return replace(rows, weights=rows.weights / self._of_classes[rows.y])

    def _learn_from_held(self, held: Rows, outputs: np.ndarray) -> None:
        self.temperature_ = best_temperature(held.y, outputs, held.weights) if self.calibrate and len(held) else 1.0

    def _calibrated(self, outputs: np.ndarray) -> np.ndarray:
        return tempered(outputs, self.temperature_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self._calibrated(self._outputs(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        numbers = self._outputs(X).argmax(axis=1)
        return self.classes_[numbers]
