"""Validation data of a fit: where the rows come from, and how the model is scored on them after each epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv, train_test_split
from sklearn.utils import _safe_indexing

from fastnet import _data, _outputs
from fastnet._drafts import draft_of
from fastnet._lbfgs import Objective
from fastnet._objective import loss_of
from fastnet._session import Session
from fastnet.data import Blocks
from fastnet.losses import Loss
from fastnet.network import Network

from ._losses import reported_scale
from ._targets import class_numbers
from ._types import MLP

SMALLEST_VALIDATION_SET = 2


class RowsElsewhere(Protocol):
    """Rows that are in the memory of other processes."""

    def __len__(self) -> int: ...

    def steps_per_epoch(self, batch_size: int) -> int:
        """Updates of the network in a pass over all rows."""

    def session(self, estimator: MLP, network: Network, *, random_state: Any, **options: Any) -> Session:
        """A training run on them."""

    def objective(self, estimator: MLP, network: Network, loss: Loss) -> tuple[Objective, float]:
        """Their mean loss, and their weight."""


@dataclass(frozen=True)
class Rows:
    """Checked data of a fit.

    Attributes
    ----------
    X : ndarray or CSR/CSC matrix of shape (m, n_features)
    y : ndarray of shape (m, n_outputs) or (m,)
        Targets in the core's form.
    labels : ndarray of shape (m,) or (m, n_targets)
        Targets as the caller gave them.
    sample_weight : ndarray of shape (m,) or None
        What the rows weigh, by the caller's weights and those of their classes.
    caller_weight : ndarray of shape (m,) or None
        The caller's weights alone.
    blocks : Blocks or None
        Where the features are read from, if they are not in memory; X is then an empty matrix of their shape.
    elsewhere : RowsElsewhere or None
        All rows, if this process has but a few of them, one of each class.
    """

    X: Any
    y: np.ndarray
    labels: Any
    sample_weight: np.ndarray | None
    caller_weight: np.ndarray | None = None
    blocks: Blocks | None = None
    elsewhere: RowsElsewhere | None = None

    def __len__(self) -> int:
        return self.X.shape[0] if self.elsewhere is None else len(self.elsewhere)

    @property
    def are_in_memory(self) -> bool:
        return self.blocks is None and self.elsewhere is None

    def steps_per_epoch(self, batch_size: int) -> int:
        """Updates in a pass over all rows."""
        return -(-len(self) // batch_size) if self.elsewhere is None else self.elsewhere.steps_per_epoch(batch_size)

    def take(self, index: np.ndarray) -> Rows:
        """The rows with numbers `index`."""
        given = {"sample_weight": self.sample_weight, "caller_weight": self.caller_weight}
        weights = {name: None if weight is None else weight[index] for name, weight in given.items()}
        return replace(self, X=_safe_indexing(self.X, index), y=self.y[index], labels=self.labels[index], **weights)


def split(estimator: MLP, rows: Rows, random_state: np.random.RandomState, groups: Any = None) -> tuple[Rows, Rows]:
    """Set validation rows aside, by `validation_split` or else by `validation_fraction` with scikit-learn's draws.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    rows : Rows
    random_state : RandomState
        Advanced unless `validation_split` is given.
    groups : array-like of shape (m,) or None
        Group of each row, for the splitter.

    Returns
    -------
    train, validation : Rows

    Raises
    ------
    ValueError
        Fewer than two validation rows; classes too small to be stratified; a splitter that cannot split these rows, or gives no
        rows for training; row numbers that do not exist; groups that are not one a row; a part whose rows all have weight zero.
    """
    if estimator.validation_split is None:
        try:
            train, validation = train_test_split(
                np.arange(len(rows)),
                random_state=random_state,
                test_size=estimator.validation_fraction,
                stratify=_strata(estimator, rows),
            )
        except ValueError as error:
            if "least populated class" not in str(error):
                raise
            raise ValueError(f"{error}. Validation rows are drawn from each class; stratify=False ignores classes.") from error
        if len(validation) < SMALLEST_VALIDATION_SET:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    else:
        train, validation = _last_split(estimator, rows, groups)
    parts = rows.take(train), rows.take(validation)
    for name, part in zip(("training", "validation"), parts, strict=True):
        if part.sample_weight is not None and not part.sample_weight.any():
            raise ValueError(f"All {name} rows of the split have the weight 0. Set others aside, with validation_split.")
    return parts


def _last_split(estimator: MLP, rows: Rows, groups: Any) -> list[np.ndarray]:
    """Row numbers of training and validation by `validation_split`; of several splits the last."""
    spec, m = estimator.validation_split, len(rows)
    splitter = check_cv(spec, rows.labels, classifier=is_classifier(estimator))
    arguments = {} if groups is None else {"groups": _checked_groups(groups, m)}
    try:
        ((train, validation),) = deque(splitter.split(rows.X, rows.labels, **arguments), maxlen=1)
        numbers = [_row_numbers(part, m) for part in (train, validation)]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"validation_split={spec!r} gives no split of these {m} rows: {str(error).rstrip('.')}. Pass a splitter of "
            "scikit-learn, with fit(X, y, groups=groups) where it needs groups, or a list of (train, validation) row numbers."
        ) from error
    n_train, n_validation = map(len, numbers)
    if n_train < 1 or n_validation < SMALLEST_VALIDATION_SET:
        raise ValueError(
            f"validation_split={spec!r} leaves {n_train} rows to train on and {n_validation} to validate on; at least 1 and "
            f"{SMALLEST_VALIDATION_SET} are needed."
        )
    return numbers


def _checked_groups(groups: Any, m: int) -> np.ndarray:
    """The group of each of the m rows."""
    groups = np.asarray(groups)
    if groups.shape != (m,):
        raise ValueError(f"groups must name the group of each of the {m} rows of X, got an array of shape {groups.shape}.")
    return groups


def _row_numbers(part: Any, m: int) -> np.ndarray:
    """Row numbers, or a mask of the m rows, as row numbers."""
    index = np.asarray(part)
    if index.dtype == bool and index.shape == (m,):
        return np.flatnonzero(index)
    if index.ndim != 1 or (index.size and not (index.dtype.kind in "iu" and -m <= index.min() and index.max() < m)):
        raise ValueError(f"Row numbers must be integers from 0 to {m - 1}, got {part!r}.")
    return index.astype(np.intp)


def _strata(estimator: MLP, rows: Rows) -> np.ndarray | None:
    """What the split is stratified by: scikit-learn does so for two classes, `stratify=True` for classes and sets of labels."""
    stratify = getattr(estimator, "stratify", False)  # regressors have none
    if stratify is False:
        return None
    if estimator.n_outputs_ == 1:
        return rows.y.astype(bool)
    return rows.y if stratify is True else None


class Validation:
    """Loss and score of a network on validation rows.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its parameters are views of the network's.
    network : Network
    rows : Rows

    Attributes
    ----------
    watches_loss : bool
        Whether the score is the loss with its sign changed.
    """

    def __init__(self, estimator: MLP, network: Network, rows: Rows) -> None:
        self._estimator, self._network, self._rows = estimator, network, rows
        self._loss = estimator._validation_loss(network.dtype)
        self._X = _data.features(rows.X, network.n_inputs, network.dtype, check_finite=False)
        self._score = self._scorer()
        self.watches_loss = self._score is None

    def judge(self) -> tuple[float, float]:
        """Mean loss, without penalties and label smoothing, on scikit-learn's scale; and the score."""
        J = loss_of(self._network, self._X, self._rows.y, self._loss, self._rows.sample_weight, self._estimator.n_threads)
        loss = J * reported_scale(self._loss, self._network.n_outputs)
        return loss, -loss if self._score is None else self._score()

    def _scorer(self) -> Callable[[], float] | None:
        """What gives the score; None where that is the loss."""
        scoring = self._estimator.scoring
        if scoring is None:
            metric = self._estimator._default_metric
            return None if metric is None else partial(self._default_score, metric)
        if scoring == "loss":
            return None
        if scoring == "roc_auc" and self._network.n_outputs > 2 and self._rows.y.ndim == 1:
            raise ValueError("scoring='roc_auc' is for two classes: use 'roc_auc_ovr' or 'roc_auc_ovo' for more.")
        scorer = check_scoring(self._estimator, scoring)
        # A function of the caller's own may take no weights: it gets those that the caller has given.
        own = callable(scoring) and not hasattr(scoring, "_score_func")
        sample_weight = self._rows.caller_weight if own else self._rows.sample_weight
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        X = self._estimator._as_given(self._rows.X)

        def score() -> float:
            value = scorer(_without_feature_names(self._estimator), X, self._rows.labels, **weights)
            try:
                return float(value)
            except (TypeError, ValueError) as error:
                raise TypeError(f"scoring must return a number, got {value!r} from {scoring!r}.") from error

        return score

    def _default_score(self, metric: Callable[[np.ndarray, Rows], float]) -> float:
        outputs = self._network._outputs(self._X, self._estimator.n_threads)
        if not np.isfinite(outputs).all():
            return float("nan")
        return metric(outputs, self._rows)


def _without_feature_names(estimator: MLP) -> Any:
    """A view of the estimator, with the same parameters, that takes arrays without a warning."""
    nameless = draft_of(estimator)
    nameless.__dict__.pop("feature_names_in_", None)
    return nameless


def accuracy(outputs: np.ndarray, rows: Rows, n_classes: int) -> float:
    """Weighted share of rows that get their class (for multilabel targets: all their labels)."""
    if rows.y.ndim == 2 and rows.y.shape[1] > 1:
        right = ((outputs > 0.5) == (rows.y > 0.5)).all(axis=1)
    else:
        right = class_numbers(outputs, n_classes) == rows.y.reshape(-1)
    return float(np.average(right, weights=rows.sample_weight))


def r2(outputs: np.ndarray, rows: Rows) -> float:
    """Weighted coefficient of determination, averaged over the outputs."""
    return _outputs.r2(outputs, rows.labels, rows.sample_weight)
