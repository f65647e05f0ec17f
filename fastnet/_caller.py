"""Where a warning points to."""

from __future__ import annotations

import sys

#: Packages whose functions may be between the one that warns and the caller whom it concerns.
_BETWEEN = ("fastnet", "joblib", "sklearn")


def to_the_caller() -> int:
    """The `stacklevel` by which a warning of the calling function points to the first one outside of fastnet and scikit-learn."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    return level
