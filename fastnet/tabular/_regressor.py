"""Values of a table's rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import _check_y, column_or_1d

from fastnet import losses
from fastnet._outputs import d2_of_quantiles
from fastnet._values import options
from fastnet.tabular._base import BaseTabular
from fastnet.tabular._choices import Choices
from fastnet.tabular._docs import with_parameters
from fastnet.tabular._findings import Spread, refuse_moments
from fastnet.tabular._frames import plain_values
from fastnet.tabular._metrics import REGRESSION, Metric, pinball


@with_parameters
@options
class TabularRegressor(RegressorMixin, BaseTabular):
    """Regression on rows of a table: numbers, categories, text, dates and missing values, with no tuning.

    Targets are standardised by their weighted mean and deviation (for metric "poisson" divided by the mean), and predictions stay
    within the range of the training targets unless ``clip=False``.

    Parameters
    ----------
    metric : {"rmse", "mae", "poisson", "quantile"}, default="rmse"
        What predictions are judged by: it is minimised in training, and decides which epochs are best.
    quantiles : float or sequence of float, default=0.5
        Levels of metric "quantile"; the predicted quantiles never cross.
    {parameters}
    clip : bool, default=True
        Keep predictions within the range of the training targets.

    Attributes
    ----------
    {attributes}
    quantiles_ : float, tuple of float or None
        Levels of the predicted quantiles, in ascending order; None where the metric is another.

    Examples
    --------
    >>> import fastnet as fn
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = fn.TabularRegressor(preset="fast", random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.4)
    True
    """

    _metrics = {**REGRESSION, "quantile": REGRESSION["mae"]}
    _regression = True

    metric: str = "rmse"
    quantiles: Any = 0.5
    clip: bool = True

    def _chosen_metric(self) -> Metric:
        metric = super()._chosen_metric()
        self.quantiles_ = self._chosen_quantiles()
        return metric if self.quantiles_ is None else Metric(pinball(self._levels()), "quantile", learning_rate=0.2)

    def _chosen_quantiles(self) -> float | tuple[float, ...] | None:
        if self.metric != "quantile":
            return None
        levels = losses.Quantile(self.quantiles).quantiles
        return tuple(sorted(levels)) if isinstance(levels, tuple) else levels

    def _levels(self) -> np.ndarray:
        """Levels of the predicted quantiles; none where these are no quantiles."""
        return np.array([] if self.quantiles_ is None else self.quantiles_, ndmin=1)

    def _values(self, y: Any) -> np.ndarray:
        refuse_moments(y, "make them numbers, with (y - y.min()) / np.timedelta64(1, 'D') for days")
        values = np.asarray(_check_y(plain_values(y), multi_output=True, y_numeric=True, estimator=self), np.float64)
        if self.metric == "poisson" and values.min() < 0:
            raise ValueError(f"Targets of metric='poisson' must be at least 0, got {values.min():g}.")
        if values.ndim == 2 and values.shape[1] == 1:
            values = column_or_1d(values, warn=True)
        return values.reshape(len(values), -1)

    def _learn_targets(self, y: Any, weights: np.ndarray | None) -> np.ndarray:
        values = self._values(y)
        self._learn_from_survey(Spread(values, weights))
        return values

    def _survey_targets(self, y: Any, weights: np.ndarray | None) -> Spread:
        return Spread(self._values(y), weights)

    def _learn_from_survey(self, found: Spread) -> None:
        self._one_target = len(found.mean) == 1
        self._low, self._high = found.low, found.high
        poisson = self.metric == "poisson"
        self._shift = np.zeros(len(found.mean)) if poisson else found.mean
        spread = found.mean if poisson else np.sqrt(found.variance)
        self._spread = np.where(spread > 0, spread, 1.0)

    def _check_targets(self, y: Any) -> np.ndarray:
        values = self._values(y)
        if values.shape[1] != len(self._shift):
            raise ValueError(f"Targets must have {len(self._shift)} columns as those of fit have, got {values.shape[1]}.")
        return values

    def _network_targets(self, y: np.ndarray) -> np.ndarray:
        return ((y - self._shift) / self._spread).astype(np.float32)

    def _of_each_target(self) -> int:
        return max(len(self._levels()), 1)

    def _n_outputs(self) -> int:
        return len(self._shift) * self._of_each_target()

    def _loss(self, metric: Metric, choices: Choices) -> losses.Loss:
        return losses.Quantile(tuple(self._levels())) if metric.loss == "quantile" else losses.LOSSES[metric.loss]()

    def _in_units(self, outputs: np.ndarray) -> np.ndarray:
        k = self._of_each_target()
        values = outputs.reshape(len(outputs), -1, k) * self._spread[:, None] + self._shift[:, None]
        if self.clip:
            values = np.clip(values, self._low[:, None], self._high[:, None])
        return np.sort(values, axis=2).reshape(outputs.shape)

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            With several quantiles these are the last axis, in ascending order.
        """
        values = self._in_units(self._outputs(X).astype(np.float64))
        if isinstance(self.quantiles_, tuple):
            values = values.reshape(len(values), -1, self._of_each_target())
        return values[:, 0] if self._one_target else values

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination R2; with several quantiles, their mean D2 pinball score.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            1 at best.
        """
        return self._score(y, self.predict(X), sample_weight=sample_weight)

    def _score(self, y: Any, predicted: np.ndarray, *, sample_weight: Any = None) -> float:
        if self._of_each_target() == 1:
            return float(r2_score(y, predicted.reshape(len(predicted), -1), sample_weight=sample_weight))
        return d2_of_quantiles(predicted.reshape(len(predicted), -1), y, self._levels(), sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
