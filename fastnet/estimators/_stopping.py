"""scikit-learn's rules at the end of an epoch: what is recorded and printed, when training stops, which weights are kept."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnet.callbacks import Callback
from fastnet.exceptions import DivergenceError
from fastnet.history import History

from ._sklearn import EpochTasks
from ._solver import Solver
from ._types import MLP
from ._validation import Validation
from ._warnings import as_scikit_learn

#: scikit-learn's message.
NON_FINITE = "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."


def reset_curves(estimator: MLP) -> None:
    """Forget the training runs before: the attributes that grow with every epoch start anew."""
    for name in (
        "loss_curve_",
        "best_loss_",
        "validation_scores_",
        "best_validation_score_",
        "validation_loss_curve_",
        "_no_improvement_count",
    ):
        estimator.__dict__.pop(name, None)


def open_curves(estimator: MLP, *, incremental: bool) -> None:
    """Make the attributes that `EpochRules` continues, where they do not exist or belong to the other kind of stopping.

    Epochs without improvement are counted over the calls of `partial_fit`, and anew in every `fit`.
    """
    known = estimator.__dict__
    if known.get("loss_curve_") is None:
        estimator.loss_curve_ = []
    if estimator.early_stopping:
        if known.get("validation_scores_") is None or known.get("_scored_by", estimator.scoring) != estimator.scoring:
            estimator.validation_scores_, estimator.best_validation_score_ = [], -np.inf
        estimator._scored_by = estimator.scoring
        if known.get("validation_loss_curve_") is None:
            estimator.validation_loss_curve_ = []
        estimator.best_loss_ = None
    else:
        if known.get("best_loss_") is None:
            estimator.best_loss_ = np.inf
        estimator.validation_scores_ = estimator.best_validation_score_ = estimator.validation_loss_curve_ = None
    if not incremental or "_no_improvement_count" not in known:
        estimator._no_improvement_count = 0


def prints_lines(estimator: MLP) -> bool:
    """Whether `verbose` asks for a line an epoch or iteration."""
    return bool(estimator.verbose) and estimator.verbose != "progress"


class EpochRules(Callback):
    """Bookkeeping and stopping rules of a fit, as a callback of the core's training loop.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its attributes are kept up to date: t_, n_iter_, loss_, loss_curve_, best_loss_ and those of validation.
    solver : Solver
        Hears of each epoch's end, and may lower its rate instead of stopping.
    n_rows : int
        Rows of an epoch.
    loss_scale : float
        scikit-learn's loss over the core's.
    validation : Validation or None
        Given: the score on it decides, otherwise the training loss.
    best : ndarray of shape (n_params,) or None
        Room for the best parameters, holding the present ones; None keeps those of the last epoch.
    may_stop : bool
        False only counts and lowers the rate.
    tasks : EpochTasks or None
        scikit-learn's callbacks.
    """

    def __init__(
        self,
        estimator: MLP,
        solver: Solver,
        *,
        n_rows: int,
        loss_scale: float,
        validation: Validation | None = None,
        best: np.ndarray | None = None,
        may_stop: bool = True,
        tasks: EpochTasks | None = None,
    ) -> None:
        self._estimator, self._solver = estimator, solver
        self._n_rows, self._loss_scale = n_rows, loss_scale
        self._validation, self._best, self._may_stop, self._tasks = validation, best, may_stop, tasks
        self._prints = prints_lines(estimator)

    def on_train_begin(self, session: Any) -> None:
        self._estimator.n_iter_ = 0
        if self._tasks is not None:
            self._tasks.begin()

    def on_epoch_end(self, session: Any) -> bool:
        self._record(session.result.loss * self._loss_scale + session.result.penalty)
        if self._validation is None:
            improved = self._judge_training()
        else:
            improved = self._judge_validation(self._validation, session.history)
        if improved and self._best is not None:
            self._best[:] = session.network.params
        self._solver.epoch_ended(self._estimator.t_)
        stop = self._stalled() and self._may_stop
        if self._tasks is not None:
            stop |= self._tasks.end()
            if not stop and self._estimator.n_iter_ < self._estimator.max_iter:
                self._tasks.begin()
        return stop

    def on_train_end(self, session: Any) -> None:
        if self._best is not None:
            session.network.params[:] = self._best
        if self._tasks is not None:
            self._tasks.close()

    @property
    def scored_nothing(self) -> bool:
        """Whether the best weights are those before training, as every score was NaN."""
        return self._best is not None and self._validation is not None and self._estimator.best_validation_score_ == -np.inf

    def diverged(self, error: DivergenceError) -> None:
        """Training has met a loss that is not finite: go on with the best weights where such are kept.

        Raises
        ------
        ValueError
            No weights are kept.
        """
        if self._best is None:
            raise ValueError(f"{NON_FINITE} ({error})") from error
        self._record(np.nan)
        if self._validation is not None:
            self._estimator.validation_scores_.append(float("nan"))
            self._estimator.validation_loss_curve_.append(float("nan"))
        as_scikit_learn(warnings.warn, f"{error} The best weights before that are kept.", ConvergenceWarning)

    def _record(self, loss: float) -> None:
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.t_ += self._n_rows
        estimator.loss_ = np.float64(loss)
        estimator.loss_curve_.append(estimator.loss_)
        if self._prints:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")

    def _judge_training(self) -> bool:
        estimator = self._estimator
        self._count(not estimator.loss_ > estimator.best_loss_ - estimator.tol)
        improved = bool(estimator.loss_ < estimator.best_loss_)
        if improved:
            estimator.best_loss_ = estimator.loss_
        return improved

    def _judge_validation(self, validation: Validation, history: History) -> bool:
        estimator = self._estimator
        loss, score = validation.judge()
        estimator.validation_scores_.append(score)
        estimator.validation_loss_curve_.append(loss)
        history.val_loss.append(loss / self._loss_scale)
        if not validation.watches_loss:
            history.val_score.append(score)
        if self._prints:
            print(f"Validation score: {score:f}")
        self._count(not score < estimator.best_validation_score_ + estimator.tol)
        improved = score > estimator.best_validation_score_
        if improved:
            estimator.best_validation_score_ = score
        return improved

    def _count(self, enough: bool) -> None:
        self._estimator._no_improvement_count = 0 if enough else self._estimator._no_improvement_count + 1

    def _stalled(self) -> bool:
        estimator = self._estimator
        if estimator._no_improvement_count <= estimator.n_iter_no_change:
            return False
        stop, consequence = self._solver.stalled()
        if self._prints:
            what = "Training loss" if self._validation is None else "Validation score"
            print(
                f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change:d} "
                f"consecutive epochs. {consequence}"
            )
        if not stop:
            estimator._no_improvement_count = 0
        return stop
