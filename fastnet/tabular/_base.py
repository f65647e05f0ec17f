"""What the estimators of tables share: parameters, preparing, splitting, training, judging."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastnet import _checks, losses
from fastnet._atomic import replacing
from fastnet._caller import to_the_caller
from fastnet._drafts import draft_of, replace_state
from fastnet._hints import takes_other_words
from fastnet._saving import Saving
from fastnet._set_params import NamedParameters
from fastnet.history import History
from fastnet.layers import Dense
from fastnet.network import Network
from fastnet.tabular import _recipe
from fastnet.tabular._choices import PRESETS, Choices, resolved
from fastnet.tabular._findings import Findings, Prepare
from fastnet.tabular._folds import Part, Rows, Task, outputs_of, train_folds
from fastnet.tabular._importances import importances, sample_of
from fastnet.tabular._metrics import Metric
from fastnet.tabular._mixture import Mixture
from fastnet.tabular._parameters import check_given
from fastnet.tabular._preprocessor import ColumnSummary, TabularPreprocessor
from fastnet.tabular._sources import Source, read_held, source_of, with_a_column
from fastnet.tabular._time_limit import TimeLimit
from fastnet.tabular._training import Trainable


@dataclass(kw_only=True, eq=False, repr=False)
class BaseTabular(Saving, NamedParameters, ABC):
    """An estimator whose `fit` takes a table as it is; subclasses know their targets."""

    preset: str = "default"
    metric: str
    time_limit: float | None = None
    n_members: int | None = None
    n_folds: int | None = None
    n_trained_folds: int | None = None
    ensemble: str | None = None
    hidden_layer_sizes: Any = None
    activation: Any = None
    numeric_embedding: Any = None
    category_units: int | None = None
    scale_layer: bool | None = None
    data_init: bool | None = None
    dropout: float | None = None
    weight_decay: float | None = None
    learning_rate: float | None = None
    beta_2: float | None = None
    schedule: str | None = None
    n_epochs: int | None = None
    batch_size: int | None = None
    n_best_epochs: int | None = None
    patience: float | None = None
    validation_fraction: float = 0.2
    categorical_features: Any = "from_dtype"
    max_one_hot: int = 8
    min_category_count: int = 2
    n_threads: int | None = None
    verbose: bool = False
    random_state: Any = None

    _metrics: ClassVar[dict[str, Metric]]
    _regression: ClassVar[bool]

    @abstractmethod
    def _learn_targets(self, y: Any, weights: np.ndarray | None) -> np.ndarray:
        """Check y and learn what is to be known of it; the targets in the form that `Metric.measure` sees."""

    @abstractmethod
    def _check_targets(self, y: Any) -> np.ndarray:
        """Targets of validation rows in the same form."""

    @abstractmethod
    def _survey_targets(self, y: Any, weights: np.ndarray | None) -> Any:
        """Check y of some rows; what is to be known of it, which can be merged with that of others."""

    @abstractmethod
    def _learn_from_survey(self, found: Any) -> None:
        """Learn from what is known of the targets of all rows."""

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

    def _learn_from_held(self, held: Rows, outputs: np.ndarray) -> None:
        """Learn from the networks' outputs for the rows that they were validated on."""

    def _calibrated(self, outputs: np.ndarray) -> np.ndarray:
        """The networks' outputs after what was learnt from the rows that they were validated on."""
        return outputs

    def _chosen_metric(self) -> Metric:
        return self._metrics[_checks.one_of(self.metric, "metric", tuple(self._metrics))]

    @takes_other_words()
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Prepare the columns and train.

        Parameters
        ----------
        X : DataFrame, array-like of shape (n_samples, n_features), or Blocks
            A data frame of pandas, Polars, PyArrow or another that Narwhals knows, or an array. Data larger than memory come from
            `fastnet.data`, with their targets and sample weights.
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) for a regression
        sample_weight : array-like of shape (n_samples,), optional
            Rows of weight 0 are left out.
        X_val, y_val : optional
            Rows to validate on, in place of rows of X.
        groups : array-like of shape (n_samples,), optional
            Rows of the same group stay together when rows are set aside; a preset chooses no more folds than there are groups.

        Returns
        -------
        self : TabularClassifier or TabularRegressor

        Raises
        ------
        ValueError, TypeError
            Parameters or data that do not fit; a model that was fitted before is left as it was.
        """
        draft = draft_of(self)
        draft._fit(X, y, sample_weight, X_val, y_val, groups)
        replace_state(self, draft.__dict__)
        return self

    @property
    def partial_fit(self) -> NoReturn:
        """There is none: call `fit` with old and new rows together.

        Raises
        ------
        AttributeError
        """
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit, because columns, folds and schedules belong to one fit: fit on old and "
            "new rows together, or put a TabularPreprocessor before an MLPClassifier or MLPRegressor and use its partial_fit."
        )

    def _fit(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, groups: Any) -> None:
        limit = TimeLimit(None if self.time_limit is None else _checks.real(self.time_limit, "time_limit", above=0.0))
        _checks.one_of(self.preset, "preset", tuple(PRESETS))
        check_given(self)
        metric = self._chosen_metric()
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together: give both, or neither.")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        fraction = _checks.real(self.validation_fraction, "validation_fraction", minimum=0.0, below=1.0)
        self.preprocessor_ = TabularPreprocessor(
            categorical_features=self.categorical_features,
            max_one_hot=self.max_one_hot,
            min_category_count=self.min_category_count,
        )
        source = self._source(X, y, sample_weight, groups, fraction if X_val is None else 0.0, seed)
        given = None if X_val is None else read_held(self, X_val, y_val)
        prepare = self.preprocessor_
        n_numbers, n_categories = len(prepare.continuous_), prepare.n_categories_
        choices = resolved(self, source.n_rows, n_numbers, n_categories, metric, regression=self._regression)
        choices = self._with_folds(source.most_folds, choices)
        parts = source.parts(choices.n_folds)
        self._warn_of_fraction(len(parts), given is not None)
        if given is not None:
            parts = [partial(_with_held, part, given) for part in parts]
        if len(parts) < choices.n_folds:
            choices = replace(choices, n_members=choices.n_members * choices.n_trained_folds)
        tasks = [self._task(metric, choices, kind, source) for kind in choices.numeric_embedding]
        mixture = Mixture.of(tasks[0], train_folds(tasks, parts[: choices.n_trained_folds], limit, seed))
        self.networks_: list[Network] = [fold.network for fold in mixture.folds]
        self.history_: list[History] = [fold.history for fold in mixture.folds]
        self.weights_ = mixture.weights
        self.n_iter_ = max(map(len, self.history_))
        self._judge(tasks[0], mixture)

    _source = source_of

    def _with_folds(self, most: int | None, choices: Choices) -> Choices:
        """Choices of no more folds than there are rows or groups of rows."""
        if most is None or most >= max(choices.n_folds, 2):
            return choices
        if most == 1:
            raise ValueError("All rows are of one group, none can be set aside: give X_val and y_val, or validation_fraction=0.")
        if self.n_folds is not None:
            raise ValueError(f"n_folds={self.n_folds} are more than the {most} rows or groups: set n_folds={most}, or fewer.")
        return replace(choices, n_folds=most, n_trained_folds=min(choices.n_trained_folds, most))

    def _warn_of_fraction(self, n_folds: int, given: bool) -> None:
        """Warn where a share of validation rows was set that decides nothing."""
        if self.validation_fraction in (0, BaseTabular.validation_fraction) or not (given or n_folds > 1):
            return
        why = f"with {n_folds} folds, each of which is validated on once: set n_folds=1, or leave it out"
        if given:
            why = "beside X_val: leave it out"
        warnings.warn(f"validation_fraction={self.validation_fraction:g} has no effect {why}.", stacklevel=to_the_caller())

    def _learn(self, found: Findings) -> Prepare:
        """Learn columns and targets from what is known of all rows."""
        if found.weight == 0:
            raise ValueError("Sample weights must contain at least one non-zero number.")
        self.preprocessor_._learn(found.columns)
        self._take_names()
        self.target_names_ = found.target_names
        self._learn_from_survey(found.targets)
        mean_weight = 1.0 if found.weight is None else found.weight / found.columns.n
        return Prepare(self, mean_weight)

    def _take_names(self) -> None:
        """Take the number and the names of columns from the preprocessor."""
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(self.preprocessor_, name):
                setattr(self, name, getattr(self.preprocessor_, name))

    def _prepared(self, X: Any) -> np.ndarray:
        return with_a_column(self.preprocessor_._transformed(X))

    def _prepared_known(self, X: Any) -> np.ndarray:
        """Rows of fit."""
        return with_a_column(self.preprocessor_._transformed_known(X))

    def _with_class_weights(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        """Weights of rows, times those of their classes if these have any."""
        return weights

    def _without_class_weights(self, rows: Rows) -> Rows:
        """The rows with the weights that they have of their own."""
        return rows

    def _task(self, metric: Metric, choices: Choices, embedding: str, source: Source) -> Task:
        prepare = self.preprocessor_
        inputs = _recipe.Inputs(max(prepare.n_features_out_, 1), prepare.continuous_, prepare.codes_, prepare.n_categories_)
        output = Dense(self._n_outputs(), metric.output, scale="ntk")
        return Task(
            inputs.n,
            _recipe.layers(inputs, source.sample, source.n_rows, embedding, output, choices),
            metric,
            choices,
            self._loss(metric, choices),
            self._network_targets,
            self._in_units,
            self.n_threads,
            bool(self.verbose),
        )

    def _judge(self, task: Task, mixture: Mixture) -> None:
        """Calibrate and score on the rows that networks did not train on, and keep some for the importances."""
        self._learn_from_held(mixture.held, mixture.outputs)
        held = self._without_class_weights(mixture.held)
        self.validation_score_ = task.score(held, self._calibrated(mixture.outputs)) if len(held) else np.nan
        self.__dict__.pop("feature_importances_", None)  # those of an earlier fit
        first = mixture.folds[0]
        rows = self._without_class_weights(sample_of(first.held))
        self._measure_importances = partial(
            importances, first.network, rows, self.preprocessor_.columns_, task.badness, self.n_threads
        )

    def _outputs(self, X: Any) -> np.ndarray:
        """Weighted mean of the networks' outputs."""
        check_is_fitted(self, "networks_")
        features = self._prepared(X)
        weighted = zip(self.networks_, self.weights_.tolist(), strict=True)
        outputs = (weight * outputs_of(network, features, self.n_threads) for network, weight in weighted)
        return sum(outputs, np.zeros((), np.float32))

    @cached_property
    def feature_importances_(self) -> np.ndarray:
        """How much worse the metric gets on validation rows when a column is shuffled."""
        check_is_fitted(self, "networks_")
        return self._measure_importances()

    @property
    def columns_(self) -> list[ColumnSummary]:
        """What each column of the table became."""
        check_is_fitted(self, "networks_")
        return self.preprocessor_.columns_

    def summary(self) -> str:
        """What was done to each column, a line each, and the networks."""
        check_is_fitted(self, "networks_")
        n, of_each = len(self.networks_), self.networks_[0].n_members
        networks = f"{n} network{'s' * (n > 1)} of {of_each} member{'s' * (of_each > 1)}"
        n_params = sum(network.n_params for network in self.networks_)
        return f"{self.preprocessor_.summary()}\n{networks}, {n_params:,} parameters"

    def to_onnx(self, path: Any = None, **options: Any) -> Any:
        """The fitted estimator as an ONNX model, which includes the preparation of columns.

        The model has an input of shape (n_rows, 1) for each column that is used, with the column's name: strings where categories
        are text, else float64. Missing numbers are NaN; missing text is any string that is not a category, such as "".
        Values of a regressor are float64.

        Parameters
        ----------
        path : str or path-like, optional
            File to which the model is also written.
        **options
            ``dtype``, ``opset``, ``zipmap``: those of `fastnet.onnx.to_onnx`.

        Returns
        -------
        onnx.ModelProto

        Raises
        ------
        ValueError
            A column holds dates or times, or text beside numbers: ONNX has no type for them; or categories that
            float64 cannot tell apart; or its name is "".

        Warns
        -----
        UserWarning
            A column has the category "", so that missing values must be given as another text.
        """
        from fastnet.onnx import to_onnx

        check_is_fitted(self, "networks_")
        model = to_onnx(self, **options)
        if path is not None:
            with replacing(path) as temporary:
                temporary.write_bytes(model.SerializeToString())
        return model

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the importances, and not the rows that they are measured on."""
        if "_measure_importances" in vars(self):
            self.feature_importances_  # noqa: B018
        state = super().__getstate__()
        state.pop("_measure_importances", None)
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "networks_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _with_held(part: Part, held: Rows) -> tuple[Trainable, Rows]:
    return part()[0], held
