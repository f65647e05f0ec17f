"""The loop over epochs, and the callbacks between them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fastnet._session import Session


class CallbackProtocol(Protocol):
    """The methods that `train` calls."""

    def on_train_begin(self, session: Session) -> None: ...

    def on_epoch_end(self, session: Session) -> bool | None: ...

    def on_train_end(self, session: Session) -> None: ...


def train(
    session: Session, *, epochs: int | None = None, iterations: int | None = None, callbacks: Iterable[CallbackProtocol] = ()
) -> None:
    """Run epochs until the session has completed `epochs` of them, or `iterations` updates, or until a callback stops it.

    Earlier epochs and updates of the session count. All callbacks are called after every epoch, in the order given.

    Parameters
    ----------
    session : Session
    epochs, iterations : int
        Exactly one of them.
    callbacks : iterable of callbacks
        ``on_epoch_end`` returns True to stop; ``on_train_end`` is always called, whatever ends training or other callbacks raise.

    Raises
    ------
    DivergenceError
        See `Session.run_epoch`.
    RuntimeError
        The network is already being trained.
    """
    if (epochs is None) == (iterations is None):
        raise ValueError(f"Give either epochs or iterations, got epochs={epochs} and iterations={iterations}.")
    session.network._exclusive.training(_train, session, epochs, iterations, tuple(callbacks))


def _train(session: Session, epochs: int | None, iterations: int | None, callbacks: tuple[CallbackProtocol, ...]) -> None:
    session.callbacks = callbacks
    session.stop_requested = False
    session.planned_rows = session.rows_of(epochs=epochs, iterations=iterations)
    begun: list[CallbackProtocol] = []
    try:
        for callback in callbacks:
            begun.append(callback)
            callback.on_train_begin(session)
        while not session.stop_requested and not _done(session, epochs, iterations):
            session.run_epoch(None if iterations is None else iterations - session.step)
            stops = [callback.on_epoch_end(session) for callback in callbacks]
            if any(stops):
                break
    finally:
        _end(begun, session)


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
