"""What the modules of this package take an estimator for: its parameters, what fitting sets, and what each kind decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from sklearn.preprocessing import LabelBinarizer, StandardScaler

from fastnet.activations import Activation
from fastnet.callbacks import Callback
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.optimizers import Optimizer

if TYPE_CHECKING:
    from ._prediction import FittedNetwork
    from ._solver import Solver
    from ._validation import Rows


class MLP(Protocol):
    """`MLPClassifier` or `MLPRegressor`; some attributes are None with `early_stopping`, or without it, and have no type here."""

    # Parameters, as they are given.
    loss: str | Loss
    hidden_layer_sizes: int | Sequence[int] | np.ndarray
    activation: str | Activation | Sequence[str | Activation]
    solver: str | Optimizer
    alpha: float
    batch_size: int | str
    learning_rate: Any
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | None
    tol: float
    verbose: bool | int | str
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: float | Sequence[float] | np.ndarray
    weight_decay: float | None
    max_grad_norm: float | None
    dtype: Any
    n_threads: int | None
    scoring: str | Callable[..., Any] | None
    validation_split: Any
    restore_best: bool | None
    partial_fit_epochs: int
    callbacks: Sequence[Callback] | None
    max_time: float | None

    # What fitting sets.
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    loss_: float
    best_loss_: Any
    loss_curve_: list[float]
    validation_scores_: Any
    best_validation_score_: Any
    validation_loss_curve_: Any
    t_: int
    n_iter_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    n_features_in_: int
    feature_names_in_: Any
    _no_improvement_count: int
    _scored_by: str | Callable[..., Any] | None
    _fitted: FittedNetwork
    _optimizer: Solver

    # What the two kinds decide.
    _numeric_targets: ClassVar[bool]
    _parameter_constraints: dict[str, list[Any]]

    @property
    def _default_metric(self) -> Callable[[np.ndarray, Rows], float] | None: ...
    def _core_loss(self, dtype: np.dtype) -> Loss: ...
    def _validation_loss(self, dtype: np.dtype) -> Loss: ...
    def _training_targets(self, targets: np.ndarray) -> np.ndarray: ...
    def _parameter_dtype(self) -> np.dtype: ...
    def _accepted_dtypes(self) -> Any: ...
    def _flat_rows(self, X: Any, *, reset: bool) -> Any: ...
    def _as_given(self, rows: Any) -> Any: ...
    def _for_rows(self, X: Any) -> MLP: ...
    def _build_network(self, dtype: Any = None) -> Network: ...
    def _parameters_of(self, network: Network) -> tuple[list[np.ndarray], list[np.ndarray]]: ...
    def _takes(self, network: Network) -> bool: ...
    def _draws_in_training(self, network: Network) -> bool: ...

    # What scikit-learn's base classes bring.
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def _validate_params(self) -> None: ...
    def _init_callback_context(self, *, max_subtasks: int) -> Any: ...


class Classifier(MLP, Protocol):
    """`MLPClassifier`."""

    class_weight: dict[Any, float] | list[dict[Any, float]] | str | None
    label_smoothing: float
    stratify: bool | str
    classes_: np.ndarray
    _label_binarizer: LabelBinarizer


class Regressor(MLP, Protocol):
    """`MLPRegressor`."""

    quantile: float | Sequence[float] | np.ndarray
    huber_delta: float
    scale_target: bool
    sort_quantiles: bool
    target_scaler_: StandardScaler
