"""Which units of a wide layer are shown, and at which position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks

__all__ = ["Column", "elide"]


@dataclass(frozen=True)
class Column:
    """The visible units of one layer, stacked around height 0 from top to bottom.

    Attributes
    ----------
    units : ndarray of int of shape (n_shown,)
        Numbers of the units that are shown.
    heights : ndarray of float of shape (n_shown,)
        Their vertical positions, one apart.
    gap : float or None
        Height of the elision mark, None when every unit is shown.
    """

    units: np.ndarray
    heights: np.ndarray
    gap: float | None

    @property
    def n_slots(self) -> int:
        """Number of positions in the column, including the elision mark."""
        return len(self.units) + (self.gap is not None)


def elide(n_units: int, max_units: int, name: str = "max_units") -> Column:
    """Show all of `n_units`, or the first and last of them around an elision mark when there are more than `max_units`.

    Raises
    ------
    ValueError, TypeError
        If `max_units`, which users know by `name`, is less than 2 or no integer.
    """
    max_units = _checks.integer(max_units, name, minimum=2)
    if n_units <= max_units:
        return Column(np.arange(n_units), (n_units - 1) / 2 - np.arange(n_units), None)
    n_first = (max_units + 1) // 2
    units = np.r_[np.arange(n_first), np.arange(n_units - (max_units - n_first), n_units)]
    slots = np.r_[np.arange(n_first), np.arange(n_first + 1, max_units + 1)]
    return Column(units, max_units / 2 - slots, max_units / 2 - n_first)
