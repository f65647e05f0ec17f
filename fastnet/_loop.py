"""The loop over epochs, and what is called between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fastnet._session import Session


class CallbackProtocol(Protocol):
    """What `train` calls."""

    def on_train_begin(self, session: Session) -> None: ...

    def on_epoch_end(self, session: Session) -> bool | None: ...

    def on_train_end(self, session: Session) -> None: ...


def train(
    session: Session, *, epochs: int | None = None, iterations: int | None = None, callbacks: Iterable[CallbackProtocol] = ()
) -> None:
    """Run epochs until the session has done `epochs` of them, or `iterations` updates, or until a callback stops it.

    Epochs and updates that the session did before count. All callbacks see the end of every epoch, in the order given.

    Parameters
    ----------
    session : Session
    epochs, iterations : int
        Exactly one of them.
    callbacks : iterable of callbacks
        ``on_epoch_end`` returns True to stop; ``on_train_end`` is called however training ends.

    Raises
    ------
    DivergenceError
        See `Session.run_epoch`.
    RuntimeError
        The network is being trained already.
    """
    if (epochs is None) == (iterations is None):
        raise ValueError(f"Give either epochs or iterations, got epochs={epochs} and iterations={iterations}.")
    with session.network._exclusive:
        session.callbacks = tuple(callbacks)
        session.stop_requested = False
        session.planned_rows = session.rows_of(epochs=epochs, iterations=iterations)
        begun = []
        try:
            for callback in session.callbacks:
                begun.append(callback)
                callback.on_train_begin(session)
            while not session.stop_requested and not _done(session, epochs, iterations):
                session.run_epoch(None if iterations is None else iterations - session.step)
                stops = [callback.on_epoch_end(session) for callback in session.callbacks]
                if any(stops):
                    break
        finally:
            for callback in begun:
                callback.on_train_end(session)


def _done(session: Session, epochs: int | None, iterations: int | None) -> bool:
    return (epochs is not None and session.epoch >= epochs) or (iterations is not None and session.step >= iterations)
