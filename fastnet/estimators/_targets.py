"""Targets in the form the core takes, and back: labels of a classifier, values of a regressor."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy.sparse import issparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from fastnet._checks import assert_finite
from fastnet.losses import Quantile

from ._sklearn import WHAT_TO_DO_WITH_TEXT
from ._types import Classifier

#: What rows are for.
Role = Literal["fit", "partial_fit", "validation"]


def as_indicators(y: Any) -> Any:
    """Sets of labels as zeros and ones, from masks such as 0 / 255 or 0 / 2; all other targets as they are.

    scikit-learn takes every two-dimensional array of at most two whole numbers for sets of labels, and what is not 0 for true.

    Raises
    ------
    ValueError
        Two numbers of which none is 0, as in -1 / 1: all labels would be true.
    """
    if y.ndim != 2 or type_of_target(y) != "multilabel-indicator":
        return y
    values = np.unique(y.data if issparse(y) else y)
    if len(values) > 1 and (values != 0).all():
        raise ValueError(
            f"y holds the values {values[0]} and {values[1]} in several columns: sets of labels are marked by 0 and another "
            f"value. Pass y == {values[1]} for the labels that are marked by {values[1]}."
        )
    return (y != 0).astype(y.dtype)


def check_classes(estimator: Classifier, y: np.ndarray, role: Role) -> None:
    """Learn the classes of `y`, or check them against those that are known (warm start, `partial_fit`, validation).

    Sets `classes_` and `_label_binarizer`.

    Raises
    ------
    ValueError
        Targets that are no class labels; other classes than those of the call before, or sets of labels after single ones.
    """
    if not hasattr(estimator, "classes_") or (role == "fit" and not estimator.warm_start):
        try:
            estimator._label_binarizer = LabelBinarizer().fit(y)
        except ValueError:
            check_classification_targets(y)  # explains what is wrong, where LabelBinarizer shows all values
            raise
        estimator.classes_ = estimator._label_binarizer.classes_
        return
    classes = unique_labels(y)
    if role == "fit" and set(classes) != set(estimator.classes_):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
            f"Previously got {estimator.classes_}, `y` has {classes}"
        )
    if len(np.setdiff1d(classes, estimator.classes_, assume_unique=True)):
        raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {estimator.classes_}. 'y' has {classes}.")
    if y.ndim == 2 and not is_multilabel(estimator):
        raise ValueError(
            f"The object was not fitted with multilabel input. "
            f"Expected one class a row, in a `y` of shape (n_samples,), got {y.shape}."
        )


def is_multilabel(estimator: Classifier) -> bool:
    """Whether the classifier predicts a set of labels for each row."""
    return estimator._label_binarizer.y_type_.startswith("multilabel")


def n_outputs(estimator: Classifier) -> int:
    """Units of a classifier's output layer: 1 for two classes (or one), otherwise one a class."""
    n_classes = len(estimator.classes_)
    return n_classes if is_multilabel(estimator) or n_classes > 2 else 1


def encode_labels(estimator: Classifier, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Labels as the core's targets.

    Returns
    -------
    ndarray
        Class numbers, int32 of shape (m,), for three classes and more; zeros and ones of shape (m, n_outputs) and `dtype`
        otherwise.
    """
    if is_multilabel(estimator) or n_outputs(estimator) == 1:
        return np.ascontiguousarray(estimator._label_binarizer.transform(y), dtype=dtype)
    return np.searchsorted(estimator.classes_, y).astype(np.int32)


def decode_labels(estimator: Classifier, outputs: np.ndarray) -> np.ndarray:
    """Labels of the most probable classes.

    Parameters
    ----------
    outputs : ndarray of shape (m, n_outputs)
        Activations of the output layer.

    Returns
    -------
    ndarray of shape (m,), or (m, n_classes) for multilabel targets (sparse if the estimator was fitted on sparse ones)
    """
    if is_multilabel(estimator):
        return estimator._label_binarizer.inverse_transform(outputs)
    return estimator.classes_[class_numbers(outputs, len(estimator.classes_))]


def class_numbers(outputs: np.ndarray, n_classes: int) -> np.ndarray:
    """Number of the most probable class of each row, intp of shape (m,)."""
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    return ((outputs[:, 0] > 0.5) & (n_classes > 1)).astype(np.intp)


def smooth_labels(targets: np.ndarray, smoothing: float) -> np.ndarray:
    """Move zeros and ones by half of `smoothing` towards 1/2: label smoothing of sigmoid outputs."""
    return targets * targets.dtype.type(1 - smoothing) + targets.dtype.type(0.5 * smoothing)


def checked_values(y: Any) -> Any:
    """Targets of a regressor as numbers, converted if they are text such as "1.5".

    Raises
    ------
    TypeError
        Sparse targets, which scikit-learn's validation accepts.
    ValueError
        Text that is not a number.
    """
    if issparse(y):
        raise TypeError(
            "Sparse data was passed for y, but dense data is required. Use '.toarray()' to convert to a dense numpy array."
        )
    if y.dtype.kind not in "US":
        return y
    try:
        return y.astype(np.float64)
    except ValueError as error:
        raise ValueError(f"{error}. {WHAT_TO_DO_WITH_TEXT}") from error


def encode_values(y: np.ndarray, loss: Any, dtype: np.dtype) -> np.ndarray:
    """Values as the core's targets: of shape (m, n_outputs).

    With k quantiles each column of y stands k times side by side.

    Raises
    ------
    ValueError
        Values that are not finite, which scikit-learn overlooks in objects and text, or that `dtype` does not hold; negative
        values for the Poisson loss.
    """
    with np.errstate(over="ignore"):
        y = np.ascontiguousarray(y.reshape(len(y), -1), dtype=dtype)
    assert_finite(y, "y")
    if loss.name == "poisson" and (y < 0).any():
        raise ValueError(
            f"loss='poisson' needs y >= 0, got a minimum of {y.min():g}. Use another loss, or shift or clip the targets."
        )
    if isinstance(loss, Quantile):
        y = np.repeat(y, len(loss.levels), axis=1)
    return y


def in_order(y: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Predicted quantiles (m, n_targets * k), sorted within each target so that they rise with their k levels.

    References
    ----------
    Chernozhukov, Fernandez-Val and Galichon, Quantile and probability curves without crossing (2010): sorted, they are no
    further from the true quantiles.
    """
    rank = np.argsort(np.argsort(levels))
    by_target = y.reshape(len(y), Quantile(levels).n_targets(y.shape[1]), len(levels))
    return np.sort(by_target, axis=2)[:, :, rank].reshape(y.shape)
