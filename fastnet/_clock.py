"""The time that a training run may take."""

from __future__ import annotations

import math
from time import monotonic

from fastnet._core import core


class Clock:
    """Starts when it is made.

    Parameters
    ----------
    seconds : float or None
        What the run may take; None for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        self._last = monotonic()
        self._end = math.inf if seconds is None else self._last + seconds

    def ends(self) -> bool:
        """Asked after each step of the run: whether another one that takes as long as the last would end too late.

        Raises
        ------
        KeyboardInterrupt
            The main thread has been interrupted.
        """
        interrupted = core.interrupt.get()
        if interrupted is not None and interrupted.is_set():
            raise KeyboardInterrupt
        now = monotonic()
        step, self._last = now - self._last, now
        return now + step > self._end
