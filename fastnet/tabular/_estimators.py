"""The estimators: a table in, predictions out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, _check_y, check_consistent_length, check_is_fitted, column_or_1d

from fastnet import _checks, losses
from fastnet.history import History
from fastnet.layers import Dense
from fastnet.network import Network
from fastnet.tabular import _recipe
from fastnet.tabular._choices import PRESETS, Choices, resolved
from fastnet.tabular._docs import with_parameters
from fastnet.tabular._metrics import CLASSIFICATION, REGRESSION, Metric, pinball
from fastnet.tabular._preprocessor import ColumnSummary, TabularPreprocessor
from fastnet.tabular._splits import splits
from fastnet.tabular._training import train

#: Validation rows that importances of features are measured on, and multiplications that this may take.
_IMPORTANCE_ROWS, _IMPORTANCE_COST = 500, 5e10

#: Most probabilities that a temperature is fitted to.
_CALIBRATION_SIZE = 1_000_000


class BaseTabular(BaseEstimator, ABC):
    """What both estimators share: preparing, splitting, training, judging."""

    _metrics: ClassVar[dict[str, Metric]]
    _regression: ClassVar[bool]

    def _store(self, parameters: dict[str, Any]) -> None:
        for name, value in parameters.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    @abstractmethod
    def _learn_targets(self, y: Any) -> np.ndarray:
        """Check y and learn what is to be known of it; the targets in the form that `Metric.measure` sees."""

    @abstractmethod
    def _check_targets(self, y: Any) -> np.ndarray:
        """Targets of validation rows in the same form."""

    @abstractmethod
    def _network_targets(self, y: np.ndarray) -> np.ndarray:
        """Targets in the form that the network sees."""

    @abstractmethod
    def _n_outputs(self) -> int:
        """Units of the output layer."""

    @abstractmethod
    def _loss(self, metric: Metric, choices: Choices) -> losses.Loss:
        """What is minimised."""

    @abstractmethod
    def _in_units(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of networks as predictions that `Metric.measure` sees."""

    def _finish(self, y: np.ndarray, outputs: np.ndarray, weights: np.ndarray | None) -> None:
        """Learn from the outputs of validation rows."""

    def _chosen_metric(self) -> Metric:
        return self._metrics[_checks.one_of(self.metric, "metric", tuple(self._metrics))]

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Prepare the columns and train.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            A data frame of pandas, Polars, PyArrow or another that Narwhals knows, or an array.
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) for a regression
        sample_weight : array-like of shape (n_samples,), optional
        X_val, y_val : optional
            Rows to validate on, in place of rows of X.
        groups : array-like of shape (n_samples,), optional
            Rows of a group are not parted when rows are set aside.

        Returns
        -------
        self : TabularClassifier or TabularRegressor

        Raises
        ------
        ValueError, TypeError
            Parameters or data that do not fit.
        """
        started = time.monotonic()
        end = np.inf if self.time_limit is None else started + 0.97 * _checks.real(self.time_limit, "time_limit", above=0.0)
        _checks.one_of(self.preset, "preset", tuple(PRESETS))
        fraction = _checks.real(self.validation_fraction, "validation_fraction", minimum=0.0, below=1.0)
        metric = self._chosen_metric()
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together: give both, or neither.")
        prepare = TabularPreprocessor(
            categorical_features=self.categorical_features,
            max_one_hot=self.max_one_hot,
            min_category_count=self.min_category_count,
        )
        features = self._prepared(prepare.fit(X), X)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(prepare, name):
                setattr(self, name, getattr(prepare, name))
        self.preprocessor_ = prepare
        targets = self._learn_targets(y)
        check_consistent_length(features, targets)
        weights = self._weights(features, targets, sample_weight)
        given = None
        if X_val is not None:
            given = self._prepared(prepare, X_val), self._check_targets(y_val)
            check_consistent_length(*given)
        random_state = check_random_state(self.random_state)
        seed = int(random_state.randint(2**31 - 1))
        choices = resolved(self, len(features), metric, regression=self._regression)
        if choices.hidden_layer_sizes == () or min(choices.hidden_layer_sizes) < 1:
            raise ValueError(f"hidden_layer_sizes must hold positive integers, got {self.hidden_layer_sizes!r}.")
        parts = (
            [(np.arange(len(features)), None)]
            if given
            else list(
                splits(
                    len(features),
                    None if self._regression else targets,
                    groups,
                    n_folds=choices.n_folds,
                    fraction=fraction,
                    seed=seed,
                )
            )
        )
        if len(parts) < choices.n_folds:
            choices = replace(choices, n_members=choices.n_members * choices.n_folds)
        self.networks_: list[Network] = []
        self.history_: list[History] = []
        judged: list[tuple[Any, ...]] = []
        for number, (rows, held) in enumerate(parts):
            if self.networks_ and time.monotonic() > end:
                break
            validation = given or (None if held is None else (features[held], targets[held]))
            held_weights = weights[held] if weights is not None and held is not None else None
            share = (end - time.monotonic()) / (len(parts) - number)
            network, history = self._train_one(
                features[rows], targets[rows], None if weights is None else weights[rows], validation, held_weights,
                metric, choices, seed + number, time.monotonic() + share,
            )  # fmt: skip
            self.networks_.append(network)
            self.history_.append(history)
            if validation is not None:
                judged.append((*validation, network.forward(validation[0]), held_weights))
        self.n_iter_ = max(map(len, self.history_))
        self._judge_all(judged, metric)
        return self

    def _prepared(self, prepare: TabularPreprocessor, X: Any) -> np.ndarray:
        """The columns as numbers, one at least."""
        features = prepare.transform(X)
        return features if features.shape[1] else np.zeros((len(features), 1), np.float32)

    def _weights(self, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> np.ndarray | None:
        if sample_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weights < 0).any() or not weights.any():
            raise ValueError("Sample weights must be at least 0 and contain at least one non-zero number.")
        return np.asarray(weights / weights.mean(), np.float32)

    def _train_one(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        validation: tuple[np.ndarray, np.ndarray] | None,
        held_weights: np.ndarray | None,
        metric: Metric,
        choices: Choices,
        seed: int,
        end: float,
    ) -> tuple[Network, Any]:
        rng = np.random.default_rng(seed)
        prepare = self.preprocessor_
        inputs = _recipe.Inputs(X.shape[1], prepare.continuous_, prepare.codes_, prepare.n_categories_)
        output = Dense(self._n_outputs(), metric.output, scale="ntk")
        network = Network(
            _recipe.layers(inputs, list(choices.hidden_layer_sizes), output, choices),
            X.shape[1],
            n_members=choices.n_members,
            ensemble=choices.ensemble,
            random_state=rng,
        )
        if choices.data_init and choices.ensemble == "packed":
            _recipe.initialise_from(network, X, rng)

        def judge(network: Network) -> np.ndarray:
            assert validation is not None
            outputs = network.forward_members(validation[0])
            members = [self._in_units(outputs[:, member]) for member in range(network.n_members)]
            return np.array([metric.measure(validation[1], predicted, held_weights) for predicted in members])

        history = train(
            network,
            (X, self._network_targets(y), weights),
            None if validation is None else judge,
            choices,
            loss=self._loss(metric, choices),
            end=end,
            seed=seed,
            n_threads=self.n_threads,
            progress=bool(self.verbose),
        )
        return network, history

    def _judge_all(self, judged: list[tuple[Any, ...]], metric: Metric) -> None:
        """Score, calibrate, and measure importances on the rows that networks did not train on."""
        self.validation_score_ = np.nan
        self.feature_importances_ = np.full(self.n_features_in_, np.nan)
        if not judged:
            self._finish(np.empty(0), np.empty((0, self._n_outputs())), None)
            return
        X, y, outputs = (np.concatenate([part[i] for part in judged]) for i in range(3))
        weights = None if judged[0][3] is None else np.concatenate([part[3] for part in judged])
        self._finish(y, outputs, weights)
        self.validation_score_ = -metric.measure(y, self._in_units(outputs), weights)
        self._measure_importances(judged[0][0], judged[0][1], metric)

    def _measure_importances(self, X: np.ndarray, y: np.ndarray, metric: Metric) -> None:
        """How much worse the first network is on validation rows where a column of the table is shuffled."""
        X, y = X[:_IMPORTANCE_ROWS].copy(), y[:_IMPORTANCE_ROWS]
        network = self.networks_[0]
        if len(X) * network.n_params * self.n_features_in_ > _IMPORTANCE_COST:
            return
        self.feature_importances_[:] = 0
        order = np.random.default_rng(0).permutation(len(X))

        def badness() -> float:
            return metric.measure(y, self._in_units(network.forward(X)), None)

        reference = badness()
        for number, column in enumerate(self.preprocessor_.columns_):
            if column.outputs:
                outputs = list(column.outputs)
                kept = X[:, outputs]
                X[:, outputs] = kept[order]
                self.feature_importances_[number] = badness() - reference
                X[:, outputs] = kept

    def _outputs(self, X: Any) -> np.ndarray:
        """Mean of the networks' outputs."""
        check_is_fitted(self, "networks_")
        features = self._prepared(self.preprocessor_, X)
        return np.mean([network.forward(features) for network in self.networks_], axis=0)

    @property
    def columns_(self) -> list[ColumnSummary]:
        """What each column of the table became."""
        check_is_fitted(self, "networks_")
        return self.preprocessor_.columns_

    def summary(self) -> str:
        """What was done to each column, a line each, and the networks."""
        check_is_fitted(self, "networks_")
        first = self.networks_[0]
        networks = f"{len(self.networks_)} network{'s' * (len(self.networks_) > 1)} of {first.n_members} members"
        return f"{self.preprocessor_.summary()}\n{networks}, {first.n_params:,} parameters each"

    def save(self, path: Any) -> None:
        """Write the fitted estimator to a safetensors file, which `fastnet.load` reads; no pickle.

        Parameters
        ----------
        path : str or path-like
        """
        from fastnet.persistence import save

        save(self, path)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "networks_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


@with_parameters
class TabularClassifier(ClassifierMixin, BaseTabular):
    """Classification of rows of a table: numbers, categories, text, dates and missing values, with no tuning.

    Parameters
    ----------
    metric : {"accuracy", "log_loss", "roc_auc"}, default="accuracy"
        What matters: the best epochs are those that are best in it, and labels are smoothed for accuracy.
    {parameters}
    label_smoothing : float in [0, 1), default=None
        Share of each target that is spread over all classes; by default 0.1 for accuracy, else 0.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as scikit-learn's classifiers have them.
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

    def __init__(
        self,
        *,
        preset: str = "default",
        metric: str = "accuracy",
        time_limit: float | None = None,
        n_members: int | None = None,
        n_folds: int | None = None,
        ensemble: str | None = None,
        hidden_layer_sizes: Any = None,
        activation: Any = None,
        numeric_embedding: str | None = None,
        category_units: int | None = None,
        scale_layer: bool | None = None,
        data_init: bool | None = None,
        dropout: float | None = None,
        weight_decay: float | None = None,
        learning_rate: float | None = None,
        beta_2: float | None = None,
        schedule: str | None = None,
        n_epochs: int | None = None,
        batch_size: int | None = None,
        patience: float | None = None,
        label_smoothing: float | None = None,
        class_weight: Any = None,
        calibrate: bool = True,
        validation_fraction: float = 0.2,
        categorical_features: Any = "from_dtype",
        max_one_hot: int = 8,
        min_category_count: int = 1,
        n_threads: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self._store(locals())

    def _learn_targets(self, y: Any) -> np.ndarray:
        y = column_or_1d(_check_y(y, multi_output=True, estimator=self), warn=True)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"{type(self).__name__} needs at least two classes in y, got one class: {self.classes_[0]!r}.")
        return numbers

    def _check_targets(self, y: Any) -> np.ndarray:
        y = column_or_1d(_check_y(y, multi_output=True, estimator=self))
        numbers = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (self.classes_[numbers] != y).any():
            raise ValueError("y_val holds classes that y does not hold.")
        return numbers

    def _network_targets(self, y: np.ndarray) -> np.ndarray:
        return y

    def _n_outputs(self) -> int:
        return len(self.classes_)

    def _loss(self, metric: Metric, choices: Choices) -> losses.Loss:
        return losses.CrossEntropy(choices.label_smoothing)

    def _in_units(self, outputs: np.ndarray) -> np.ndarray:
        return outputs

    def _weights(self, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> np.ndarray | None:
        weights = super()._weights(X, y, sample_weight)
        if self.class_weight is None:
            return weights
        of_classes = compute_sample_weight(self.class_weight, self.classes_[y]).astype(np.float32)
        return of_classes if weights is None else weights * of_classes

    def _finish(self, y: np.ndarray, outputs: np.ndarray, weights: np.ndarray | None) -> None:
        self.temperature_ = best_temperature(y, outputs, weights) if self.calibrate and len(y) else 1.0

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return tempered(self._outputs(X), self.temperature_)

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


def tempered(p: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities proportional to ``p^(1 / temperature)``."""
    logits = np.log(np.maximum(p.astype(np.float64), 1e-30)) / temperature
    q = np.exp(logits - logits.max(axis=1, keepdims=True))
    return q / q.sum(axis=1, keepdims=True)


def best_temperature(y: np.ndarray, p: np.ndarray, weights: np.ndarray | None) -> float:
    """The temperature of least log-loss, within a tenth and ten; of many classes, on some of the rows."""
    rows = slice(None, None, -(-p.size // _CALIBRATION_SIZE))
    y, p, weights = y[rows], p[rows], None if weights is None else weights[rows]

    def badness(log_temperature: float) -> float:
        q = tempered(p, np.exp(log_temperature))
        return float(np.average(-np.log(np.maximum(q[np.arange(len(y)), y], 1e-15)), weights=weights))

    return float(np.exp(minimize_scalar(badness, bounds=(np.log(0.1), np.log(10)), method="bounded").x))


@with_parameters
class TabularRegressor(RegressorMixin, BaseTabular):
    """Regression on rows of a table: numbers, categories, text, dates and missing values, with no tuning.

    Targets are standardised, and predictions stay within the range of the training targets.

    Parameters
    ----------
    metric : {"rmse", "mae", "poisson", "quantile"}, default="rmse"
        What matters: it is minimised, and the best epochs are those that are best in it.
    quantiles : float or sequence of float, default=0.5
        Levels of metric "quantile"; the predicted quantiles never cross.
    {parameters}
    clip : bool, default=True
        Keep predictions within the range of the training targets.

    Attributes
    ----------
    {attributes}

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

    def __init__(
        self,
        *,
        preset: str = "default",
        metric: str = "rmse",
        quantiles: Any = 0.5,
        time_limit: float | None = None,
        n_members: int | None = None,
        n_folds: int | None = None,
        ensemble: str | None = None,
        hidden_layer_sizes: Any = None,
        activation: Any = None,
        numeric_embedding: str | None = None,
        category_units: int | None = None,
        scale_layer: bool | None = None,
        data_init: bool | None = None,
        dropout: float | None = None,
        weight_decay: float | None = None,
        learning_rate: float | None = None,
        beta_2: float | None = None,
        schedule: str | None = None,
        n_epochs: int | None = None,
        batch_size: int | None = None,
        patience: float | None = None,
        clip: bool = True,
        validation_fraction: float = 0.2,
        categorical_features: Any = "from_dtype",
        max_one_hot: int = 8,
        min_category_count: int = 1,
        n_threads: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self._store(locals())

    def _chosen_metric(self) -> Metric:
        metric = super()._chosen_metric()
        return metric if self.metric != "quantile" else Metric(pinball(self._levels()), "quantile", learning_rate=0.2)

    def _levels(self) -> np.ndarray:
        return np.sort(np.atleast_1d(np.asarray(losses.Quantile(self.quantiles).levels)))

    def _values(self, y: Any) -> np.ndarray:
        values = np.asarray(_check_y(y, multi_output=True, y_numeric=True, estimator=self), np.float64)
        if self.metric == "poisson" and values.min() < 0:
            raise ValueError(f"Targets of metric='poisson' must be at least 0, got {values.min():g}.")
        if values.ndim == 2 and values.shape[1] == 1:
            values = column_or_1d(values, warn=True)
        return values.reshape(len(values), -1)

    def _learn_targets(self, y: Any) -> np.ndarray:
        values = self._values(y)
        self._one_target = values.shape[1] == 1
        self._low, self._high = values.min(axis=0), values.max(axis=0)
        poisson = self.metric == "poisson"
        self._shift = np.zeros(values.shape[1]) if poisson else values.mean(axis=0)
        spread = values.mean(axis=0) if poisson else values.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        return values

    def _check_targets(self, y: Any) -> np.ndarray:
        values = self._values(y)
        if values.shape[1] != len(self._shift):
            raise ValueError(f"y_val must have {len(self._shift)} columns as y has, got {values.shape[1]}.")
        return values

    def _network_targets(self, y: np.ndarray) -> np.ndarray:
        return ((y - self._shift) / self._spread).astype(np.float32)

    def _of_each_target(self) -> int:
        return len(self._levels()) if self.metric == "quantile" else 1

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
        if self.metric == "quantile" and np.ndim(self.quantiles):
            values = values.reshape(len(values), -1, self._of_each_target())
            return values[:, 0] if self._one_target else values
        return values[:, 0] if self._one_target else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
