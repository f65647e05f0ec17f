"""Training as users call it: what `Network.fit` does."""

from __future__ import annotations

import inspect
import math
import os
import warnings
from collections.abc import Iterable
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _checks, _data, losses, optimizers, runtime
from fastnet._caller import to_the_caller
from fastnet._lbfgs import LINE_SEARCH_FAILED, minimise, on_rows
from fastnet._loop import CallbackProtocol, checked_callbacks, train
from fastnet._objective import loss_of, penalty_of
from fastnet._rows import dataset
from fastnet._sampling import check_sampling
from fastnet._session import EpochResult, Session
from fastnet._stream import StreamSession, mean_loss
from fastnet.callbacks import Callback, ProgressBar
from fastnet.data import Blocks
from fastnet.data.blocks import refuse_beside_blocks
from fastnet.exceptions import DivergenceWarning
from fastnet.history import History, growth
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.optimizers import LBFGS, Optimizer

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

_DEFAULT_EPOCHS = 20

#: How L-BFGS would go through the rows, if it did not use all of them at once and drew anything; such options do not matter.
_HARMLESS_WITH_LBFGS = {"batch_size", "random_state", "sampling"}


def fit_network(
    network: Network,
    X: Any,
    y: Any,
    *,
    loss: str | Loss | type[Loss] | None,
    optimizer: str | Optimizer | type[Optimizer],
    epochs: int | None,
    iterations: int | None,
    sample_weight: Any,
    validation_data: Any,
    callbacks: Iterable[CallbackProtocol],
    progress: bool,
    max_time: float | None,
    resume_from: str | os.PathLike[str] | None,
    l2: float,
    n_threads: int | None,
    buffer: float | None,
    **of_session: Any,
) -> History:
    """Do the work of `Network.fit`, which documents the options and has their defaults; `of_session` are the session's."""
    loss = losses.get(loss, network.output_activation)
    optimizer = optimizers.get(optimizer)
    data = X if isinstance(X, Blocks) else _validated(network, X, y, sample_weight, loss)
    if isinstance(data, tuple):
        _warn_of_negative_targets(network, data[1])
    validation = validation_of(network, validation_data, loss)
    limit = limit_of(epochs, iterations)
    callbacks = checked_callbacks(callbacks)
    max_time = None if max_time is None else _checks.real(max_time, "max_time", above=0.0)
    if isinstance(data, Blocks):
        refuse_beside_blocks(y, sample_weight)
        if isinstance(optimizer, LBFGS):
            raise ValueError("L-BFGS needs all rows in memory, got blocks: give another optimizer, or arrays.")
    elif buffer is not None:
        raise ValueError("buffer is for data that are read in blocks (fastnet.data): leave it out for arrays.")
    elif isinstance(optimizer, LBFGS):
        _refuse_with_lbfgs(network, callbacks=callbacks, progress=progress, resume_from=resume_from, **of_session)
        _check_harmless(n_threads, **{name: of_session[name] for name in _HARMLESS_WITH_LBFGS})
        return _fit_lbfgs(network, data, loss, optimizer, validation, l2, max(limit.values()), max_time, n_threads)

    options = {"loss": loss, "optimizer": optimizer, "l2": l2, "n_threads": n_threads, **of_session}
    session = _session(network, data, buffer, options)
    session.bind(limit.get("iterations") or limit["epochs"] * session.steps_per_epoch)
    session.validation = validation if isinstance(validation, tuple) else None
    callbacks = (*watchers(validation, loss, n_threads, progress), *callbacks)
    if resume_from is not None:
        from fastnet.checkpoint import resume

        session.callbacks = callbacks
        resume(session, resume_from)
    train(session, max_time=max_time, callbacks=callbacks, **limit)
    grown = growth(session.history.loss)
    if grown is not None:
        warnings.warn(grown, DivergenceWarning, stacklevel=to_the_caller())
    return session.history


def watchers(
    validation: Blocks | _data.Dataset | None, loss: Loss, n_threads: int | None, progress: bool
) -> tuple[CallbackProtocol, ...]:
    """The callbacks that options ask for: the loss on validation data, and the progress bar."""
    of_validation = () if validation is None else (_Validation(validation, loss, n_threads),)
    return (*of_validation, *((ProgressBar(),) if progress else ()))


def limit_of(epochs: int | None, iterations: int | None) -> dict[str, int]:
    """The one of `epochs` and `iterations` that ends training."""
    if epochs is not None and iterations is not None:
        raise ValueError(f"Give either epochs or iterations, got epochs={epochs} and iterations={iterations}.")
    if iterations is not None:
        return {"iterations": _checks.positive_int(iterations, "iterations")}
    return {"epochs": _checks.positive_int(_DEFAULT_EPOCHS if epochs is None else epochs, "epochs")}


def _session(network: Network, data: Blocks | _data.Dataset, buffer: float | None, options: dict[str, Any]) -> Session:
    if isinstance(data, Blocks):
        return StreamSession(network, data, buffer=buffer, **options)
    X, y, sample_weight = data
    return Session(network, X, y, sample_weight=sample_weight, **options)


def _validated(network: Network, X: Any, y: Any, sample_weight: Any, loss: Loss) -> _data.Dataset:
    if y is None:
        raise TypeError("fit needs y beside X, unless X is data of fastnet.data.")
    return dataset(network, X, y, sample_weight, loss)


def _warn_of_negative_targets(network: Network, y: np.ndarray) -> None:
    """Say so if the output layer's ReLU, which `Dense` has by default, keeps predictions away from some of the targets."""
    if network.output_activation.name == "relu" and y.min(initial=0) < 0:
        warnings.warn(
            f"The output layer's 'relu' gives no negative numbers, but y goes down to {y.min():g}: end the network with "
            f"Dense({network.n_outputs}, 'identity') to predict such values.",
            UserWarning,
            stacklevel=to_the_caller(),
        )


def validation_of(network: Network, validation_data: Any, loss: Loss) -> Blocks | _data.Dataset | None:
    """Validation data in the core's form, or in blocks."""
    if validation_data is None or isinstance(validation_data, Blocks):
        return validation_data
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError(
            f"validation_data must be (X, y) or (X, y, sample_weight), got {short(validation_data)}. To set a share of the rows "
            "aside, split them first, with scikit-learn's train_test_split for example."
        )
    X, y, sample_weight = (*validation_data, None)[:3]
    try:
        return _validated(network, X, y, sample_weight, loss)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from None


class _Validation(Callback):
    """Adds the loss on validation data to the session's history."""

    def __init__(self, data: Blocks | _data.Dataset, loss: Loss, n_threads: int | None) -> None:
        self._data = data
        self._loss = loss
        self._n_threads = n_threads

    def on_epoch_end(self, session: Session) -> None:
        values = session.history.val_loss
        values += [math.nan] * (session.epoch - 1 - len(values))  # of a run that is continued, and had no validation data
        values.append(_loss(session.network, self._data, self._loss, self._n_threads))


def _loss(network: Network, data: Blocks | _data.Dataset, loss: Loss, n_threads: int | None) -> float:
    if isinstance(data, Blocks):
        return mean_loss(network, data, loss, n_threads)
    X, y, sample_weight = data
    return loss_of(network, X, y, loss, sample_weight, n_threads)


def _refuse_with_lbfgs(network: Network, **options: Any) -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(Network.fit).parameters.items()}
    given = sorted(name for name in options.keys() - _HARMLESS_WITH_LBFGS if _is_given(options[name], defaults[name]))
    if given:
        raise ValueError(f"L-BFGS works on all data at once and cannot use {', '.join(given)}: leave that out.")
    if any(node.operation.dropout for node in network._graph.nodes):
        raise ValueError("L-BFGS needs a loss that does not change from call to call: build the network without dropout.")


def _check_harmless(n_threads: int | None, *, batch_size: Any, random_state: Any, sampling: Any) -> None:
    """Refuse, with a ValueError or TypeError, values that no other optimiser takes either, and functions that choose rows."""
    runtime.thread_limit(n_threads)
    _checks.positive_int(batch_size, "batch_size")
    _checks.generator(random_state)
    check_sampling(sampling)
    if callable(sampling):
        raise ValueError("L-BFGS works on all data at once and cannot use a function as sampling: leave that out.")


def _is_given(option: Any, default: Any) -> bool:
    """Whether an option asks for something: arrays, which cannot be compared, do, and empty collections do not."""
    if isinstance(option, (dict, list, tuple)) and not option:
        return False
    return isinstance(option, np.ndarray) or option != default


def _fit_lbfgs(
    network: Network,
    data: _data.Dataset,
    loss: Loss,
    optimizer: LBFGS,
    validation: Blocks | _data.Dataset | None,
    l2: float,
    max_iter: int,
    max_time: float | None,
    n_threads: int | None,
) -> History:
    X, y, sample_weight = data
    l2 = _checks.real(l2, "l2", minimum=0.0)
    history = History()

    def record(intermediate_result: OptimizeResult) -> None:
        penalty = penalty_of(network, l2)
        nan = float("nan")
        history.append(EpochResult(float(intermediate_result.fun) - penalty, penalty, nan, nan, _data.n_rows(X), nan))
        if validation is not None:
            history.val_loss.append(_loss(network, validation, loss, n_threads))

    result = minimise(
        network,
        on_rows(X, y, loss=loss, sample_weight=sample_weight, n_threads=n_threads),
        l2=l2,
        max_iter=max_iter,
        max_fun=optimizer.max_fun,
        tol=optimizer.tol,
        ftol=optimizer.ftol,
        max_time=max_time,
        callback=record,
    )
    if result.status == LINE_SEARCH_FAILED:
        warnings.warn(
            f"L-BFGS stopped after {result.nit} iterations before it reached a minimum: no step along its direction lowers the "
            "loss enough to be told from rounding. Standardise the features, or use a network of float64.",
            RuntimeWarning,
            stacklevel=to_the_caller(),
        )
    return history


#: `Network.fit` as a function, whose first argument is the network.
fit = Network.fit
