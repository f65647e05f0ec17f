"""From checked data to a run of the core, and from its result to the fitted attributes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.optimize import _check_optimize_result

from fastnet import _data, _lbfgs
from fastnet._loop import train
from fastnet._objective import penalty_of
from fastnet._session import Session
from fastnet._stream import StreamSession
from fastnet.callbacks import ProgressBar
from fastnet.exceptions import DivergenceError
from fastnet.history import growth
from fastnet.losses import Loss
from fastnet.network import Network

from ._blocks import with_targets
from ._initialization import EpochOrder, side_seed
from ._losses import reported_scale
from ._prediction import adopt, build_network
from ._sklearn import EpochTasks, has_callbacks
from ._solver import Solver, lbfgs_options, new_solver
from ._stopping import NON_FINITE, EpochRules, open_curves, prints_lines
from ._types import MLP
from ._validation import Rows, Validation
from ._warnings import as_scikit_learn, warn_of_dropout_in_layers

#: Batch size "auto": all rows, but no more than these.
AUTO_BATCH_SIZE = 200


def train_epochs(
    estimator: MLP,
    rows: Rows,
    random_state: np.random.RandomState,
    *,
    validation: Rows | None,
    incremental: bool,
    data: tuple[Any, Any, Any],
) -> None:
    """Train with a mini-batch solver.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Initialised; ends with the fitted attributes.
    rows : Rows
    random_state : RandomState
        Advanced by one permutation an epoch.
    validation : Rows or None
        Given with `early_stopping`.
    incremental : bool
        `partial_fit`: continue the optimiser, do not stop early.
    data : (X, y, sample_weight)
        As the caller gave them, for scikit-learn's callbacks.
    """
    network = build_network(estimator)
    adopt(estimator, network)
    open_curves(estimator, incremental=incremental)
    epochs = estimator.partial_fit_epochs if incremental else estimator.max_iter
    batch_size = _batch_size(estimator, len(rows))
    n_steps = None if incremental else epochs * rows.steps_per_epoch(batch_size)
    solver = _solver(estimator, network, n_steps)
    session = _session(estimator, network, rows, random_state, solver, batch_size)
    rules = EpochRules(
        estimator,
        solver,
        n_rows=len(rows),
        loss_scale=reported_scale(estimator._core_loss(network.dtype), network.n_outputs),
        validation=None if validation is None else Validation(estimator, network, validation),
        best=None if incremental or not _keeps_best(estimator) else network.params.copy(),
        may_stop=not incremental,
        tasks=None if incremental else _tasks(estimator, estimator.max_iter, data),
    )
    bars = [ProgressBar(desc=type(estimator).__name__)] if estimator.verbose == "progress" else []
    own, max_time = ((), None) if incremental else (estimator.callbacks or (), estimator.max_time)
    try:
        stopped = train(session, epochs=epochs, max_time=max_time, callbacks=[rules, *bars, *own])
    except DivergenceError as error:
        rules.diverged(error)
    except KeyboardInterrupt:
        as_scikit_learn(warnings.warn, "Training interrupted by user.")
    else:
        _warn_of_failure(estimator, rules, incremental or stopped or _asks_for_all_epochs(estimator, solver, session.step))
    solver.state, solver.step = session.state, session.step
    estimator._optimizer = solver


def _asks_for_all_epochs(estimator: MLP, solver: Solver, n_steps: int) -> bool:
    """Whether `max_iter` is meant to be reached, by `n_steps` updates.

    The learning rate has come to its end, or epochs are watched without an end; ``n_iter_no_change=np.inf`` alone does not keep
    scikit-learn from warning.
    """
    watched = bool(estimator.early_stopping or estimator.restore_best)
    return solver.rate.ends_by(n_steps) or (estimator.n_iter_no_change == np.inf and watched)


def _warn_of_failure(estimator: MLP, rules: EpochRules, complete: bool) -> None:
    """Say what is wrong with a run that has ended without an error; one that is not `complete` had too few epochs."""
    messages = [growth(estimator.loss_curve_)]
    if not complete:
        messages.append(
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization hasn't converged yet."
        )
    if rules.scored_nothing:
        messages.append(
            "Every score on the validation rows was NaN, so the weights are those before training. Use another scoring."
        )
    for message in filter(None, messages):
        as_scikit_learn(warnings.warn, message, ConvergenceWarning)


def _batch_size(estimator: MLP, n_rows: int) -> int:
    if isinstance(estimator.batch_size, str):
        return min(AUTO_BATCH_SIZE, n_rows)
    if estimator.batch_size > n_rows:
        as_scikit_learn(warnings.warn, "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(int(estimator.batch_size), n_rows)


def _keeps_best(estimator: MLP) -> bool:
    return estimator.early_stopping if estimator.restore_best is None else estimator.restore_best


def _solver(estimator: MLP, network: Network, n_steps: int | None) -> Solver:
    """A new solver for a run of `n_steps`; None: the one of the call before, if it can go on."""
    before = getattr(estimator, "_optimizer", None)
    if n_steps is None and before is not None and before.can_continue(network.params):
        return before.copy()
    return new_solver(estimator, n_steps)


def _session(
    estimator: MLP,
    network: Network,
    rows: Rows,
    random_state: np.random.RandomState,
    solver: Solver,
    batch_size: int,
) -> Session:
    targets, loss = estimator._training_targets(rows.y), estimator._core_loss(network.dtype)
    options: dict[str, Any] = {
        "loss": loss,
        "optimizer": solver.optimizer,
        "batch_size": batch_size,
        "learning_rate": solver.rate,
        "l2": float(estimator.alpha),
        "l2_per_batch": True,
        "weight_decay": estimator.weight_decay or 0.0,
        "max_grad_norm": estimator.max_grad_norm,
        "n_threads": estimator.n_threads,
        "optimizer_state": solver.state,
        "step": solver.step,
    }
    order: dict[str, Any] = {"sampling": "shuffle" if estimator.shuffle else "sequential", "random_state": random_state}
    if rows.elsewhere is not None:
        return rows.elsewhere.session(estimator, network, **order, **options)
    if rows.blocks is not None:
        if targets.ndim == 2:
            targets = targets[:, :: network.n_outputs // loss.n_targets(network.n_outputs)]
        data = with_targets(rows.blocks, targets, rows.sample_weight)
        return StreamSession(network, data, **order, **options)
    return Session(
        network,
        _data.features(rows.X, network.n_inputs, network.dtype, check_finite=False),
        targets,
        sampling=EpochOrder(len(rows), random_state) if estimator.shuffle else "sequential",
        sample_weight=rows.sample_weight,
        random_state=side_seed(random_state, estimator.t_) if estimator._draws_in_training(network) else 0,
        **options,
    )


def _tasks(estimator: MLP, max_tasks: int, data: tuple[Any, Any, Any]) -> EpochTasks | None:
    if not has_callbacks(estimator):
        return None
    X, y, sample_weight = data

    def state() -> dict[str, Any]:
        return {
            "coefs_": [coef.copy() for coef in estimator.coefs_],
            "intercepts_": [intercept.copy() for intercept in estimator.intercepts_],
        }

    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    return EpochTasks(estimator, max_tasks, X, y, metadata, state)


def minimise(estimator: MLP, rows: Rows, *, data: tuple[Any, Any, Any]) -> None:
    """Train with L-BFGS on all rows: computed in float64, whose last digits its line search needs, and then rounded."""
    dtype = estimator._parameter_dtype()
    network = build_network(estimator, np.float64)
    warn_of_dropout_in_layers(estimator, network)
    adopt(estimator, network)
    loss = estimator._core_loss(network.dtype)
    objective, weight = _objective(estimator, network, rows, loss)
    progress = LBFGSProgress(estimator, _tasks(estimator, estimator.max_iter + 1, data))
    try:
        result = _lbfgs.minimise(
            network,
            objective,
            l2=estimator.alpha / weight,
            max_iter=estimator.max_iter,
            max_time=estimator.max_time,
            callback=progress,
            **lbfgs_options(estimator),
        )
    except DivergenceError as error:
        raise ValueError(f"{NON_FINITE} ({error})") from error
    finally:
        progress.close()
    if result.status == _lbfgs.STOPPED:
        estimator.n_iter_ = result.nit
    else:
        estimator.n_iter_ = as_scikit_learn(_check_optimize_result, "lbfgs", result, estimator.max_iter)
    penalty = penalty_of(network, estimator.alpha / weight)
    estimator.loss_ = np.float64((result.fun - penalty) * reported_scale(loss, network.n_outputs) + penalty)
    if dtype != network.dtype:
        adopt(estimator, build_network(estimator, dtype))


def _objective(estimator: MLP, network: Network, rows: Rows, loss: Loss) -> tuple[_lbfgs.Objective, float]:
    """The mean loss of all rows, and their weight."""
    if rows.elsewhere is not None:
        return rows.elsewhere.objective(estimator, network, loss)
    y = estimator._training_targets(rows.y)
    weights = None if rows.sample_weight is None else rows.sample_weight.astype(np.float64)
    objective = _lbfgs.on_rows(
        _data.features(rows.X, network.n_inputs, network.dtype, check_finite=False),
        y if y.dtype == np.int32 else y.astype(np.float64),
        loss=loss,
        sample_weight=weights,
        n_threads=estimator.n_threads,
    )
    return objective, len(rows) if weights is None else float(weights.sum())


def _bar(estimator: MLP) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=estimator.max_iter, desc=type(estimator).__name__, unit=" iterations")


class LBFGSProgress:
    """Called after each iteration of L-BFGS: scikit-learn's callbacks, and the line or progress bar that `verbose` asks for.

    Attributes
    ----------
    n_iter : int
        Iterations done.
    """

    def __init__(self, estimator: MLP, tasks: EpochTasks | None) -> None:
        self._prints, self._tasks = prints_lines(estimator), tasks
        self._bar = _bar(estimator) if estimator.verbose == "progress" else None
        self.n_iter = 0
        if tasks is not None:
            tasks.begin()

    def __call__(self, result: Any) -> bool:
        self.n_iter += 1
        if self._prints:
            print(f"Iteration {self.n_iter}, loss = {result.fun:.8f}")
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{result.fun:.4g}", refresh=False)
            self._bar.update()
        if self._tasks is None:
            return False
        stop = self._tasks.end()
        if not stop:
            self._tasks.begin()
        return stop

    def close(self) -> None:
        """Training has ended."""
        if self._bar is not None:
            self._bar.close()
        if self._tasks is not None:
            self._tasks.close()


def check_finite(estimator: MLP) -> None:
    """Raise ValueError if a parameter is NaN or infinite."""
    if not all(np.isfinite(parameters).all() for parameters in (*estimator.coefs_, *estimator.intercepts_)):
        raise ValueError(NON_FINITE)
