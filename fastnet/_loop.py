"""The loop over epochs, and the callbacks between them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from fastnet._clock import Clock

if TYPE_CHECKING:
    from fastnet._session import Session


class CallbackProtocol(Protocol):
    """The methods that `train` calls."""

    def on_train_begin(self, session: Session) -> None: ...

    def on_epoch_end(self, session: Session) -> bool | None: ...

    def on_train_end(self, session: Session) -> None: ...


#: Those of `CallbackProtocol`.
_METHODS = ("on_train_begin", "on_epoch_end", "on_train_end")


def checked_callbacks(callbacks: Any) -> tuple[CallbackProtocol, ...]:
    """Callbacks as a tuple of objects.

    Raises
    ------
    TypeError
        One callback alone, a class, or an object that is no callback of fastnet's.
    """
    if hasattr(callbacks, "on_epoch_end"):
        name = getattr(callbacks, "__name__", type(callbacks).__name__)
        raise TypeError(f"callbacks must be a list, got {name} alone: give callbacks=[...].")
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list of callbacks, got {callbacks!r}.")
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if isinstance(callback, type):
            name = callback.__name__
            raise TypeError(f"callbacks must be objects, got the class {name}: give {name}(...), with parentheses.")
        if hasattr(callback, "on_fit_task_begin"):
            raise TypeError(f"callbacks are those of fastnet, got {callback!r} of scikit-learn: give it to set_callbacks.")
        missing = [name for name in _METHODS if not hasattr(callback, name)]
        if missing:
            lacks = "" if len(missing) == len(_METHODS) else f" without {', '.join(missing)}"
            raise TypeError(f"callbacks must be objects of classes derived from fastnet.Callback, got {callback!r}{lacks}.")
    return callbacks


def train(
    session: Session,
    *,
    epochs: int | None = None,
    iterations: int | None = None,
    max_time: float | None = None,
    callbacks: Iterable[CallbackProtocol] = (),
) -> bool:
    """Run epochs until the session has done `epochs` of them, or `iterations` updates, or until a callback or the time stops it.

    Earlier epochs and updates of the session count. All callbacks are called after every epoch, in the order given.

    Parameters
    ----------
    session : Session
    epochs, iterations : int
        Exactly one of them.
    max_time : float, optional
        Seconds: no epoch begins that would end later, if it took as long as the one before.
    callbacks : iterable of callbacks
        ``on_epoch_end`` returns True to stop; ``on_train_end`` is always called, whatever ends training or other callbacks raise.

    Returns
    -------
    bool
        Whether it was stopped.

    Raises
    ------
    DivergenceError
        See `Session.run_epoch`.
    RuntimeError
        The network is already being trained.
    """
    if (epochs is None) == (iterations is None):
        raise ValueError(f"Give either epochs or iterations, got epochs={epochs} and iterations={iterations}.")
    return session.network._exclusive.training(_train, session, epochs, iterations, max_time, tuple(callbacks))


def _train(
    session: Session,
    epochs: int | None,
    iterations: int | None,
    max_time: float | None,
    callbacks: tuple[CallbackProtocol, ...],
) -> bool:
    session.callbacks = callbacks
    session.stop_requested = False
    session.planned_rows = session.rows_of(epochs=epochs, iterations=iterations)
    begun: list[CallbackProtocol] = []
    clock = Clock(max_time)
    try:
        for callback in callbacks:
            begun.append(callback)
            callback.on_train_begin(session)
        while not session.agreed(session.stop_requested) and not _done(session, epochs, iterations):
            session.run_epoch(None if iterations is None else iterations - session.step)
            stops = [callback.on_epoch_end(session) for callback in callbacks]
            if any(stops) or clock.ends():
                session.stop_requested = True
    finally:
        _end(begun, session)
    return session.stop_requested


def _end(callbacks: list[CallbackProtocol], session: Session) -> None:
    """End training for every callback. The first error, of training or of a callback, is raised, with notes about later ones."""
    first = of_training = sys.exception()
    for callback in callbacks:
        try:
            callback.on_train_end(session)
        except BaseException as error:
            if first is None:
                first = error
            else:
                first.add_note(f"{type(callback).__name__}.on_train_end then raised {error!r}.")
    try:
        if first is not None and first is not of_training:
            raise first
    finally:
        del first, of_training  # a frame that refers to its own error would live until the next garbage collection


def _done(session: Session, epochs: int | None, iterations: int | None) -> bool:
    return (epochs is not None and session.epoch >= epochs) or (iterations is not None and session.step >= iterations)
