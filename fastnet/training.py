"""Training as users call it: the function behind `Network.fit`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from fastnet import _checks, _data, losses, optimizers
from fastnet._hints import did_you_mean
from fastnet._lbfgs import LINE_SEARCH_FAILED, minimise
from fastnet._loop import CallbackProtocol, train
from fastnet._session import EpochResult, Session
from fastnet.callbacks import Callback, ProgressBar
from fastnet.history import History
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.optimizers import LBFGS, Optimizer

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

_DEFAULT_EPOCHS = 20


def fit(
    network: Network,
    X: Any,
    y: Any,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    batch_size: int = 32,
    epochs: int | None = None,
    iterations: int | None = None,
    learning_rate: Any = None,
    sampling: str | Callable[[Session], Any] = "shuffle",
    sample_weight: Any = None,
    validation_data: Sequence[Any] | None = None,
    l2: float = 0.0,
    weight_decay: float = 0.0,
    max_grad_norm: float | None = None,
    track_grad_norm: bool = False,
    callbacks: Iterable[CallbackProtocol] = (),
    progress: bool = False,
    random_state: Any = None,
    n_threads: int | None = None,
    resume_from: str | os.PathLike[str] | None = None,
) -> History:
    """Train a network in place.

    Each update takes the next batch of rows, goes forward and backward through the network, and lets the optimiser change the
    parameters; an epoch runs in the compiled core as one call. All arguments are checked before the first update.

    Parameters
    ----------
    network : Network
    X : array-like or scipy.sparse matrix of shape (m, n_inputs)
        Not copied where it is a C-contiguous array of the network's dtype.
    y : array-like of shape (m,) or (m, n_targets)
        Class numbers 0, 1, ... for cross_entropy (or rows of probabilities), 0 or 1 for binary_cross_entropy, values
        otherwise.
    loss : str or Loss, optional
        By default the one that suits the output activation: cross_entropy for softmax, binary_cross_entropy for sigmoid, poisson
        for exponential, squared_error otherwise.
    optimizer : str or Optimizer
    batch_size : int
        Rows of a batch, B; all rows where there are fewer.
    epochs, iterations : int, optional
        Passes over the data, or updates T. Give at most one; 20 epochs by default.
    learning_rate : float, str, Schedule, sequence or callable, optional
        The learning rates ``{alpha_j}``: a number, a schedule or its name, one number for each update, or a function of the
        update's number. By default the optimiser's own.
    sampling : {"shuffle", "random", "sequential"} or callable
        "shuffle": every row once an epoch, in random order. "random": a fresh random batch for each update. Or a function of the
        session that gives the row numbers of the next epoch.
    sample_weight : array-like of shape (m,), optional
    validation_data : (X, y) or (X, y, sample_weight), optional
        Its loss is recorded after each epoch.
    l2 : float
        Adds ``l2 / 2 * ||W||^2`` to the loss.
    weight_decay : float
        Decoupled decay of the weights, ``w -= learning rate * weight_decay * w``; 0: the optimiser's own (AdamW).
    max_grad_norm : float, optional
        Longest gradient; longer ones are scaled down to it.
    track_grad_norm : bool
        Record the gradient norm of each epoch.
    callbacks : iterable of Callback
        Called between epochs; see `fastnet.callbacks`.
    progress : bool
        Show a progress bar.
    random_state : None, int, SeedSequence, Generator or RandomState
        Seed of the order of rows and of dropout. The same seed on the same machine gives the same network, bit for bit.
    n_threads : int, optional
        Most threads to use.
    resume_from : path, optional
        A file written by `fastnet.Checkpoint`: continue from there, bit for bit, with the same data and options.

    Returns
    -------
    History
        One value an epoch (L-BFGS: an iteration).

    Raises
    ------
    ValueError, TypeError
        Arguments or data that do not fit; nothing has changed then.
    DivergenceError
        A loss or parameter became NaN or infinite; the network keeps the parameters of the last epoch that ended finite.
    KeyboardInterrupt
        Ctrl-C, which is noticed within a tenth of a second; the network keeps the parameters of the last completed batch. Of more
        than eight million parameters some may be those after the update that was interrupted, the others those before.
    RuntimeError
        The network is being trained already.

    Warns
    -----
    RuntimeWarning
        L-BFGS stopped before it reached a minimum, as rounding hides how to go on.
    """
    loss = losses.get(loss, network.layers[-1].activation)
    optimizer = optimizers.get(optimizer)
    data = _validated(network, X, y, sample_weight, loss)
    validation = None if validation_data is None else _validation(network, validation_data, loss)
    limit = _limit(epochs, iterations)
    callbacks = _checked_callbacks(callbacks)
    if isinstance(optimizer, LBFGS):
        _refuse_with_lbfgs(
            network,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            track_grad_norm=track_grad_norm,
            callbacks=callbacks,
            progress=progress,
            resume_from=resume_from,
        )
        return _fit_lbfgs(network, data, loss, optimizer, validation, l2, max(limit.values()), n_threads)

    X, y, sample_weight = data
    session = Session(
        network,
        X,
        y,
        loss=loss,
        optimizer=optimizer,
        batch_size=batch_size,
        learning_rate=learning_rate,
        sampling=sampling,
        sample_weight=sample_weight,
        l2=l2,
        weight_decay=weight_decay,
        max_grad_norm=max_grad_norm,
        track_grad_norm=track_grad_norm,
        random_state=random_state,
        n_threads=n_threads,
    )
    session.schedule = session.schedule.bound(limit.get("iterations") or limit["epochs"] * session.steps_per_epoch)
    watchers = () if validation is None else (_Validation(validation, loss, n_threads),)
    bars = (ProgressBar(),) if progress else ()
    callbacks = (*watchers, *bars, *callbacks)
    if resume_from is not None:
        from fastnet.checkpoint import resume

        session.callbacks = callbacks
        resume(session, resume_from)
    train(session, callbacks=callbacks, **limit)
    return session.history


#: What options of `fit` are called by the estimators and elsewhere.
_ELSEWHERE = {
    "lr": "learning_rate",
    "learning_rate_init": "learning_rate",
    "alpha": "l2",
    "max_iter": "epochs",
    "n_epochs": "epochs",
    "solver": "optimizer",
    "verbose": "progress",
    "X_val": "validation_data=(X_val, y_val)",
    "y_val": "validation_data=(X_val, y_val)",
    "early_stopping": "callbacks=[fastnet.EarlyStopping()]",
    "shuffle": "sampling",
    "seed": "random_state",
    "n_jobs": "n_threads",
}


def refuse_unknown(options: dict[str, Any]) -> None:
    """Refuse keyword arguments that `fit` does not have, with the word for them that it has."""
    known = [name for name, parameter in signature(fit).parameters.items() if parameter.kind is Parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            meant = _ELSEWHERE.get(name)
            hint = f" Did you mean {meant}?" if meant else did_you_mean(name, known)
            raise TypeError(f"fit has no option {name!r}; it has {', '.join(known)}.{hint}")


def _checked_callbacks(callbacks: Iterable[CallbackProtocol]) -> tuple[CallbackProtocol, ...]:
    """Callbacks as a tuple of objects: not one alone, and no classes."""
    if hasattr(callbacks, "on_epoch_end"):
        raise TypeError(f"callbacks must be a list, got {callbacks!r} alone: give callbacks=[...].")
    callbacks = tuple(callbacks)
    classes = [callback.__name__ for callback in callbacks if isinstance(callback, type)]
    if classes:
        raise TypeError(f"callbacks must be objects, got the class {classes[0]}: give {classes[0]}(...), with parentheses.")
    return callbacks


def _limit(epochs: int | None, iterations: int | None) -> dict[str, int]:
    """The one of `epochs` and `iterations` that ends training."""
    if epochs is not None and iterations is not None:
        raise ValueError(f"Give either epochs or iterations, got epochs={epochs} and iterations={iterations}.")
    if iterations is not None:
        return {"iterations": _checks.positive_int(iterations, "iterations")}
    return {"epochs": _checks.positive_int(_DEFAULT_EPOCHS if epochs is None else epochs, "epochs")}


def _validated(network: Network, X: Any, y: Any, sample_weight: Any, loss: Loss) -> _data.Dataset:
    return _data.validated(X, y, sample_weight, network.n_inputs, network.n_outputs, loss, network.dtype)


def _validation(network: Network, validation_data: Sequence[Any], loss: Loss) -> _data.Dataset:
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError("validation_data must be (X, y) or (X, y, sample_weight).")
    X, y, sample_weight = (*validation_data, None)[:3]
    try:
        return _validated(network, X, y, sample_weight, loss)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from None


class _Validation(Callback):
    """Adds the loss on validation data to the session's history."""

    def __init__(self, data: _data.Dataset, loss: Loss, n_threads: int | None) -> None:
        self._data = data
        self._loss = loss
        self._n_threads = n_threads

    def on_epoch_end(self, session: Session) -> None:
        session.history.val_loss.append(_loss(session.network, self._data, self._loss, self._n_threads))


def _loss(network: Network, data: _data.Dataset, loss: Loss, n_threads: int | None) -> float:
    X, y, sample_weight = data
    return network._loss(X, y, loss, sample_weight, n_threads)


def _refuse_with_lbfgs(network: Network, **options: Any) -> None:
    given = sorted(name for name, value in options.items() if value)
    if given:
        raise ValueError(f"L-BFGS works on all data at once and cannot use {', '.join(given)}: leave that out.")
    if any(layer.dropout for layer in network.layers):
        raise ValueError("L-BFGS needs a loss that does not change from call to call: build the network without dropout.")


def _fit_lbfgs(
    network: Network,
    data: _data.Dataset,
    loss: Loss,
    optimizer: LBFGS,
    validation: _data.Dataset | None,
    l2: float,
    max_iter: int,
    n_threads: int | None,
) -> History:
    X, y, sample_weight = data
    l2 = _checks.real(l2, "l2", minimum=0.0)
    history = History()

    def record(intermediate_result: OptimizeResult) -> None:
        penalty = network._penalty(l2)
        nan = float("nan")
        history.append(EpochResult(float(intermediate_result.fun) - penalty, penalty, nan, nan, _data.n_rows(X), nan))
        if validation is not None:
            history.val_loss.append(_loss(network, validation, loss, n_threads))

    result = minimise(
        network,
        X,
        y,
        loss=loss,
        sample_weight=sample_weight,
        l2=l2,
        max_iter=max_iter,
        max_fun=optimizer.max_fun,
        tol=optimizer.tol,
        ftol=optimizer.ftol,
        callback=record,
        n_threads=n_threads,
    )
    if result.status == LINE_SEARCH_FAILED:
        warnings.warn(
            f"L-BFGS stopped after {result.nit} iterations before it reached a minimum: no step along its direction lowers the "
            "loss enough to be told from rounding. Standardise the features, or use a network of float64.",
            RuntimeWarning,
            stacklevel=4,
        )
    return history
