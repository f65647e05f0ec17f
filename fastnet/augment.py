"""Random changes of rows while they are trained on, for the `augment` option of `Network.fit`.

Each row of a batch is changed anew every time, inside the core, where it is copied anyway; X and the targets stay as they are.
So networks with a class for each position take `Jitter` alone, which moves none. The same seed gives the same changes, for any
number of threads and after a checkpoint. Rows must have the network's `input_shape`: channels last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from fastnet import _checks
from fastnet._values import frozen

if TYPE_CHECKING:
    from fastnet.network import Network

__all__ = ["Augmentation", "Crop", "Flip", "Jitter", "Shift"]


class Augmentation:
    """A random change of rows: `Shift`, `Crop`, `Flip` or `Jitter`."""

    needs_positions: ClassVar[bool] = True


@frozen
class Shift(Augmentation):
    """Images or series moved by a uniformly random number of positions, with zeros in the places that become empty.

    It is a random crop of the row with `most` zeros around it. Standardise X, so that zero is its mean.

    Parameters
    ----------
    most : int or (int, int)
        Maximum number of positions, in either direction; for images, down and across.
    """

    most: int | tuple[int, int] = 1

    def __post_init__(self) -> None:
        most = tuple(self.most) if isinstance(self.most, (tuple, list)) else (self.most, self.most)
        if len(most) != 2:
            raise ValueError(f"most must be an int, or one down and one across, got {self.most!r}.")
        down, across = (_checks.integer(n, "most", minimum=0, maximum=_checks.MAX_DIMENSION) for n in most)
        object.__setattr__(self, "most", (down, across))


@frozen
class Crop(Augmentation):
    """A part of each image or series at its full size: a window at a random place, stretched by linear interpolation.

    The window covers a share of each side that is uniformly distributed from `smallest` to 1, and the same for both sides of an
    image. That is window slicing of series (Le Guennec, Malinowski & Tavenard 2016), and for images a crop that keeps their
    proportions. The crop of an image with zeros around it, at its own scale, is `Shift`.

    Parameters
    ----------
    smallest : float in (0, 1]
        Smallest share of a side that a window can cover.
    """

    smallest: float = 0.8

    def __post_init__(self) -> None:
        object.__setattr__(self, "smallest", _checks.real(self.smallest, "smallest", above=0.0, maximum=1.0))


@frozen
class Flip(Augmentation):
    """Left and right of images, or beginning and end of series, change places.

    Parameters
    ----------
    probability : float in [0, 1]
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", _checks.real(self.probability, "probability", minimum=0.0, maximum=1.0))


@frozen
class Jitter(Augmentation):
    """Normal noise on every number, after the other changes; for rows without positions too.

    Parameters
    ----------
    deviation : float >= 0
        Its standard deviation.
    """

    needs_positions = False
    deviation: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "deviation", _checks.real(self.deviation, "deviation", minimum=0.0))


def core_form(network: Network, augment: Any) -> tuple[float, ...] | None:
    """What the core takes for one augmentation or several of different kinds; None if there are none.

    Raises
    ------
    TypeError, ValueError
        Something else, two of a kind, or positions that the network's rows do not have.
    """
    input_shape = network.input_shape
    given: Sequence[Any] = augment if isinstance(augment, (tuple, list)) else [] if augment is None else [augment]
    by_kind: dict[type, Any] = {}
    for change in given:
        if not isinstance(change, Augmentation):
            raise TypeError(f"augment must be one of fastnet.augment's, or a list of them, got {change!r}.")
        if type(change) in by_kind:
            raise ValueError(f"augment has two of {type(change).__name__}: give one.")
        if change.needs_positions and len(input_shape) not in (2, 3):
            raise ValueError(
                f"{type(change).__name__} moves positions, and rows of shape {input_shape} have none: give the network "
                "input_shape=(length, channels) or (height, width, channels)."
            )
        if change.needs_positions and network._plan.n_positions > 1:
            raise ValueError(
                f"{type(change).__name__} moves positions, and y has a class number for each of them, which would stay where it "
                "is: leave it out. Jitter moves none."
            )
        by_kind[type(change)] = change
    if not by_kind:
        return None
    if network.source_shape:
        raise ValueError("augment is for networks without an encoder: leave it out.")
    if network.ragged:
        raise ValueError("augment takes rows of one length, got a network with ragged=True.")
    shape = (
        input_shape if len(input_shape) == 3 else (1, *input_shape) if len(input_shape) == 2 else (1, 1, math.prod(input_shape))
    )
    down, across = by_kind[Shift].most if Shift in by_kind else (0, 0)
    flip = by_kind[Flip].probability if Flip in by_kind else 0.0
    noise = by_kind[Jitter].deviation if Jitter in by_kind else 0.0
    smallest = by_kind[Crop].smallest if Crop in by_kind else 1.0
    return (*shape, down if shape[0] > 1 else 0, across, flip, noise, smallest)
