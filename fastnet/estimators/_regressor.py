"""The regressor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils.metaestimators import available_if

from fastnet._checks import positive_int
from fastnet._data import MatrixLike
from fastnet._hints import takes_other_words
from fastnet._outputs import d2_of_quantiles
from fastnet.callbacks import Callback
from fastnet.losses import Loss, Quantile

from ._base import BaseMLP
from ._docs import with_shared_parts
from ._parameters import (
    REGRESSOR_CONSTRAINTS,
    BatchSize,
    Dropout,
    HiddenActivation,
    HiddenLayerSizes,
    Precision,
    Quantiles,
    RandomState,
    RatePolicy,
    RegressionLoss,
    Scoring,
    Solver,
    ValidationSplit,
    Verbose,
    regression_loss,
)
from ._prediction import outputs
from ._scaling import in_units_of_y, learn, standardised
from ._sklearn import unchanged_on_error
from ._solver import partial_fit_available
from ._targets import Role, checked_values, encode_values, in_order
from ._validation import Rows, r2


@with_shared_parts
class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron for regression, with one or more targets.

    It takes the place of `sklearn.neural_network.MLPRegressor`: the same parameters, methods and attributes, the same model for
    the same `random_state`. Parameters from `quantile` on, and losses beside the first two, are fastnet's own.

    Parameters
    ----------
    loss : str or Loss, default="squared_error"
        "squared_error" (half the squared error), "poisson" (half the deviance; the output is an exponential, ``y >= 0``),
        "absolute_error", "huber", "log_cosh", "quantile", or an object of these in `fastnet.losses`.
    {parameters}
    quantile : float in (0, 1) or list of them, default=0.5
        Levels of loss "quantile". With k levels, `predict` gives k columns for each column of y.
    huber_delta : float > 0, default=1.0
        Residual at which loss "huber" turns from quadratic to linear, in units of y (of its deviation with `scale_target`).
    scale_target : bool, default=False
        Train on standardised targets. Predictions, scores and scorers remain in units of y; losses, `tol` and `coefs_`
        belong to the standardised targets. Mean and deviation are those of the rows that `fit` trains on, or of all that
        `partial_fit` has seen. Not for loss "poisson".
    sort_quantiles : bool, default=True
        Sort the predicted quantiles of each row, so that they do not cross; this never makes their mean loss larger.
    {extras}

    Attributes
    ----------
    {attributes}
    target_scaler_ : StandardScaler
        Mean and deviation of each column of y, with `scale_target`.

    See Also
    --------
    MLPClassifier : The same for classes.
    fastnet.Network : The same network without scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastnet import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", alpha=1.0, max_iter=1000, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.5
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = REGRESSOR_CONSTRAINTS
    _numeric_targets = True
    #: Those of the quantile loss of the last fit.
    _fitted_levels: tuple[float, ...] | None = None

    @takes_other_words()
    def __init__(
        self,
        loss: RegressionLoss = "squared_error",
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
        quantile: Quantiles = 0.5,
        huber_delta: float = 1.0,
        scale_target: bool = False,
        sort_quantiles: bool = True,
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
    def partial_fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> MLPRegressor:
        """Continue training for one pass over the rows (or `partial_fit_epochs`), with the optimiser of the call before.

        Parameters
        ----------
        {fit_arguments}

        Returns
        -------
        self : MLPRegressor
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: MatrixLike) -> np.ndarray:
        """Predicted values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        y = self._predictions(outputs(self, X))
        return y.ravel() if y.shape[1] == 1 else y

    def _predictions(self, outputs: np.ndarray) -> np.ndarray:
        """What the outputs (m, n_outputs) of the network predict: in units of y, quantiles in their order."""
        y = in_units_of_y(self, outputs)
        return in_order(y, self._levels()) if self.sort_quantiles and y.shape[1] > 1 else y

    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination R2; with several quantiles, their mean D2 pinball score.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
            1 at best.
        """
        levels = self._levels()
        if len(levels) == 1:
            return super().score(X, y, sample_weight)
        return d2_of_quantiles(np.asarray(self.predict(X)), y, levels, sample_weight)

    def initialize(self, n_features: int, n_outputs: int = 1) -> MLPRegressor:
        """Set initial parameters without data, for `predict`, `partial_fit`, or parameters set by hand.

        Parameters
        ----------
        n_features : int
        n_outputs : int, default=1
            Columns of y.

        Returns
        -------
        self : MLPRegressor
        """
        with unchanged_on_error(self):
            self._fitted_levels = self._asked_levels()
            units = positive_int(n_outputs, "n_outputs") * len(self._fitted_levels)
            return self._start(n_features, units, self._out_activation())

    def _checked_targets(self, y: np.ndarray, role: Role) -> np.ndarray:
        y = checked_values(y)
        if role != "validation":
            self._fitted_levels = self._asked_levels()
        if self.scale_target and regression_loss(self).name == "poisson":
            raise ValueError(
                "scale_target=True standardises y, but loss='poisson' needs y >= 0, such as counts. Use scale_target=False, or "
                "another loss."
            )
        return y

    def _check_same_network(self, wanted: list[int]) -> None:
        super()._check_same_network(wanted)
        scaled = hasattr(self, "target_scaler_")
        if scaled != self.scale_target and getattr(self, "n_iter_", 0) > 0:
            raise ValueError(
                f"The fitted network was trained with scale_target={scaled}, but scale_target={self.scale_target}. Set it back "
                "to continue training, or fit anew with warm_start=False."
            )

    def _given_validation(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> Rows | None:
        rows = super()._given_validation(X_val, y_val, sample_weight_val)
        if rows is not None and len(rows) == 1 and self.scoring is None and self._default_metric is not None:
            raise ValueError("R2 is not defined on one row: give at least 2 rows as X_val and y_val, or set scoring='loss'.")
        return rows

    def _scale_targets(self, rows: Rows, validation: Rows | None, *, incremental: bool) -> tuple[Rows, Rows | None]:
        if not self.scale_target:
            return rows, validation
        self.target_scaler_ = learn(getattr(self, "target_scaler_", None) if incremental else None, rows)
        scale = partial(standardised, self.target_scaler_, loss=regression_loss(self))
        return scale(rows), None if validation is None else scale(validation)

    def _encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return encode_values(y, regression_loss(self), dtype)

    def _output_layer(self, y: np.ndarray) -> tuple[int, str]:
        return y.shape[1], self._out_activation()

    def _out_activation(self) -> str:
        return "exp" if regression_loss(self).name == "poisson" else "identity"

    def _levels(self) -> tuple[float, ...]:
        """Levels of the quantile loss of fit; one entry for every other loss."""
        return self._asked_levels() if self._fitted_levels is None else self._fitted_levels

    def _asked_levels(self) -> tuple[float, ...]:
        """Those that the parameters ask for."""
        loss = regression_loss(self)
        return loss.levels if isinstance(loss, Quantile) else (0.5,)

    def _core_loss(self, dtype: np.dtype) -> Loss:
        return regression_loss(self)

    @property
    def _default_metric(self) -> Callable[[np.ndarray, Rows], float] | None:
        """R2 of the predictions; None where there are several for each target."""
        return None if len(self._levels()) > 1 else lambda outputs, rows: r2(self._predictions(outputs), rows)
