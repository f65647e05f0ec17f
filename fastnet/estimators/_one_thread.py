"""One thread at a time fits an estimator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

#: The id of an estimator that is being fitted -> the thread that does it, and what tells the block that it entered first.
_fitting: dict[int, tuple[int, object]] = {}


@contextmanager
def by_one_thread(estimator: Any) -> Iterator[None]:
    """A block in which an estimator is fitted, and which only one thread can be in; that thread may enter it again.

    Raises
    ------
    RuntimeError
        Another thread is in it.
    """
    entry = get_ident(), object()
    entered = _fitting.setdefault(id(estimator), entry)
    if entered[0] != entry[0]:
        raise RuntimeError(
            f"This {type(estimator).__name__} is being fitted already, by another thread: fit a copy (sklearn.base.clone), or "
            "wait for the other fit to end."
        )
    try:
        yield
    finally:
        if entered is entry:
            del _fitting[id(estimator)]
