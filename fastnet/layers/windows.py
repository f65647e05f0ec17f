"""Windows over the positions of a row: of convolutions and pools, of series and images alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from fastnet import _checks
from fastnet.layers._base import Arrays, Operation
from fastnet.layers._graph import Graph

PADDINGS = ("valid", "same")

T = TypeVar("T")


@dataclass(frozen=True)
class Windows:
    """Windows over images (height, width, channels); a series is an image of one line.

    Attributes
    ----------
    shape : tuple of int
        Height, width and channels of what they lie on.
    kernel, stride, dilation : tuple of int
        Down and across.
    """

    shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)

    @property
    def places(self) -> tuple[int, int]:
        """Windows down and across."""
        down, across = (
            (n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(self.shape, self.kernel, self.stride, self.dilation, strict=False)
        )
        return down, across

    @property
    def constants(self) -> tuple[int, ...]:
        """As the core takes them."""
        return *self.shape, *self.kernel, *self.stride, *self.dilation

    def slices(self) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
        """(k, l, where position (k, l) of all windows lies in rows (m, height, width, channels)), position by position."""
        for k, l in np.ndindex(self.kernel):
            first = k * self.dilation[0], l * self.dilation[1]
            down, across = (slice(a, a + s * n, s) for a, s, n in zip(first, self.stride, self.places, strict=True))
            yield k, l, (slice(None), down, across)


@dataclass(frozen=True, kw_only=True)
class Border(Operation):
    """Zeros around images."""

    kind: ClassVar[str] = "border"
    shape: tuple[int, int, int]
    sides: tuple[tuple[int, int], tuple[int, int]]

    @property
    def shape_out(self) -> tuple[int, int, int]:
        """Height, width and channels with the border."""
        height, width, channels = self.shape
        return height + sum(self.sides[0]), width + sum(self.sides[1]), channels

    @property
    def n_out(self) -> int:
        return int(np.prod(self.shape_out, dtype=object))

    @property
    def constants(self) -> tuple[int, ...]:
        return *self.shape, *self.sides[0], *self.sides[1]

    def forward(self, params: Arrays, *A: np.ndarray) -> np.ndarray:
        images = A[0].reshape(-1, *self.shape)
        return np.pad(images, ((0, 0), *self.sides, (0, 0))).reshape(len(A[0]), -1)

    def backward(self, params: Arrays, A: tuple[np.ndarray, ...], dZ: np.ndarray) -> tuple[tuple[np.ndarray, ...], Arrays]:
        (above, _), (left, _) = self.sides
        inner = dZ.reshape(-1, *self.shape_out)[:, above : above + self.shape[0], left : left + self.shape[1]]
        return (inner.reshape(A[0].shape),), {}


def sizes(value: Any, name: str, n_axes: int, minimum: int = 1) -> tuple[int, ...]:
    """One int for each axis, from one for all of them or a sequence."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n_axes
    if len(values) != n_axes:
        raise ValueError(f"{name} must be an int, or {n_axes} of them, got {value!r}.")
    return tuple(_checks.integer(n, name, minimum=minimum, maximum=_checks.MAX_DIMENSION) for n in values)


def down_and_across(values: Sequence[T], missing: T) -> tuple[T, T]:
    """What belongs to the axes of an image, from what belongs to those of an image or of a series."""
    return (values[0] if len(values) > 1 else missing), values[-1]


def as_image(graph: Graph, source: int, layer: str, n_axes: int | None = None) -> tuple[int, int, int]:
    """What a layer over positions reads, as height, width and channels; ValueError if these are not rows of such a kind."""
    shape = graph.row_shapes[source]
    if len(shape) not in ((2, 3) if n_axes is None else (n_axes + 1,)):
        wanted = [f"({axes}, channels)" for n, axes in ((1, "length"), (2, "height, width")) if n_axes in (None, n)]
        raise ValueError(
            f"{layer} takes rows of shape {' or '.join(wanted)}, got {shape}: give the network input_shape, or put "
            "fastnet.Reshape before."
        )
    length, channels = shape[-2:]
    return (shape[0] if len(shape) == 3 else 1), length, channels


def refuse_unequal_images(graph: Graph, source: int, layer: str, instead: str) -> None:
    """ValueError of a layer over height and width, where rows have unequal numbers of positions."""
    if len(graph.row_shapes[source]) > 2 and graph.lengths_of(source) is not None:
        raise ValueError(f"{layer} takes images of one size, got rows of unequal length: {instead}.")


def border(padding: Any, sizes: tuple[int, ...], reach: tuple[int, ...], stride: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each axis of `sizes` for windows that reach over `reach` positions."""
    if padding == "causal":
        return tuple((n - 1, 0) for n in reach)
    if padding == "same":
        totals = [max((-(-n // s) - 1) * s + r - n, 0) for n, r, s in zip(sizes, reach, stride, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in ((0,) * len(sizes) if padding == "valid" else padding))
