"""One training run at a time."""

from __future__ import annotations

import threading


class Exclusive:
    """A context that only one thread can be in; a second one is refused, not made to wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "This network is being trained already: train a copy (copy.deepcopy), or wait for the other fit to end."
            )

    def __exit__(self, *exception: object) -> None:
        self._lock.release()
