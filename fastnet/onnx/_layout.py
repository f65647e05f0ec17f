"""Where the numbers of an ONNX tensor lie in a row of fastnet's, whose channels come last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MERGED = -1  #: the batch and the first axis of `Layout.places` are one axis of the tensor
NOTHING = -1  #: a place of a number that is 0 because a border was added
_MOST_NUMBERS = 1 << 24


@dataclass(frozen=True)
class Layout:
    """What reshapes, transpositions and borders have made of rows.

    Attributes
    ----------
    places : ndarray of int
        For each number of a row of the tensor its place in the flat row, or `NOTHING`; of the tensor's shape without the batch.
    batch : int
        The tensor's axis that counts the rows, or `MERGED`.
    """

    places: np.ndarray
    batch: int = 0

    @classmethod
    def of(cls, shape: Sequence[int], channels: int | None = None) -> Layout:
        """Of rows in the order of a tensor of this shape; of channels last, if axis `channels` of the shape has them."""
        size = math.prod(shape)
        if size < 1 or size > _MOST_NUMBERS:
            raise ValueError(f"rows of shape {tuple(shape)} are no rows of 1 to {_MOST_NUMBERS:,} numbers")
        if channels is None:
            return cls(np.arange(size).reshape(shape))
        last = [n for axis, n in enumerate(shape) if axis != channels]
        return cls(np.moveaxis(np.arange(size).reshape(*last, shape[channels]), -1, channels))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.places.shape

    @property
    def in_order(self) -> bool:
        """Whether the tensor's numbers lie in the order of the row."""
        return self.batch in (0, MERGED) and bool(np.array_equal(self.places.ravel(), np.arange(self.places.size)))

    def reshaped(self, dims: Sequence[int], n_rows: int | None = None) -> Layout:
        """By ONNX's Reshape to `dims`, for so many rows if the model fixes that."""
        kept = self.shape[: max(self.batch, 0)]
        if self.batch > 0 and all(n in (0, own) for n, own in zip(dims, (*kept, n_rows), strict=False)):  # 0 keeps an axis
            rest = [self.shape[axis - 1] if n == 0 else n for axis, n in enumerate(dims) if axis > self.batch]
            return Layout(self.places.reshape(*kept, *rest), self.batch)
        if self.batch not in (0, MERGED) or not dims:
            raise ValueError(f"it reshapes a tensor, whose axis {self.batch} counts the rows, to {list(dims)}")
        first, rest = dims[0], list(dims[1:])
        keeps_rows = first in (0, n_rows) and self.batch == 0
        if first not in (-1, n_rows) and not keeps_rows:
            raise ValueError(f"it reshapes to {list(dims)}, which fixes the number of rows")
        for axis, n in enumerate(rest):
            if n == 0 and self.batch == 0 and axis < self.places.ndim:
                rest[axis] = self.places.shape[axis]
        if keeps_rows and -1 in rest:
            return Layout(self.places.reshape(rest))
        if any(n < 1 for n in rest):
            raise ValueError(f"it reshapes to {list(dims)}")
        size = math.prod(rest)
        if size == self.places.size:
            return Layout(self.places.reshape(rest))
        if first == -1 and self.places.size % size == 0:
            return Layout(self.places.reshape(-1, *rest), MERGED)
        raise ValueError(f"it reshapes rows of {self.places.size} numbers to {list(dims)}")

    def transposed(self, perm: Sequence[int]) -> Layout:
        """By ONNX's Transpose."""
        if self.batch == MERGED:
            raise ValueError("it transposes a tensor whose first axis counts more than the rows")
        if sorted(perm) != list(range(self.places.ndim + 1)):
            raise ValueError(f"its perm is {list(perm)}, of a tensor with {self.places.ndim + 1} axes")
        batch = list(perm).index(self.batch)
        whole = np.expand_dims(self.places, self.batch).transpose(perm)
        return Layout(np.squeeze(whole, batch), batch)

    def axis(self, axis: int) -> int:
        """The axis of `places` that an axis of the tensor is."""
        n_axes = self.places.ndim + (self.batch != MERGED)
        axis = axis + n_axes if axis < 0 else axis
        if not 0 <= axis < n_axes or axis == self.batch or (self.batch == MERGED and axis == 0):
            raise ValueError(f"its axis {axis} is none of a row's")
        return axis if self.batch == MERGED or axis < self.batch else axis - 1

    def squeezed(self, axes: Sequence[int]) -> Layout:
        """Without these axes of length 1."""
        if self.batch == MERGED:
            raise ValueError("it squeezes a tensor whose first axis counts more than the rows")
        own = [self.axis(axis) for axis in axes]
        before = sum(axis < self.batch for axis in own)
        return Layout(np.squeeze(self.places, tuple(own)), self.batch - before)

    def unsqueezed(self, axes: Sequence[int]) -> Layout:
        """With further axes of length 1, at these places of the result."""
        n_axes = self.places.ndim + 1 + len(axes)
        new = sorted(axis + n_axes if axis < 0 else axis for axis in axes)
        if self.batch == MERGED or len(set(new)) != len(new) or not all(0 <= axis < n_axes for axis in new):
            raise ValueError(f"it adds the axes {list(axes)} to a tensor with {self.places.ndim + 1}")
        rows = [axis for axis in range(n_axes) if axis not in new][self.batch]
        own = tuple(axis - (axis > rows) for axis in new)
        return Layout(np.expand_dims(self.places, own), rows)

    def taken(self, axis: int, numbers: np.ndarray) -> Layout:
        """Some numbers along an axis of the tensor; one, without dimensions, takes the axis away."""
        own = self.axis(axis)
        places = np.take(self.places, numbers, axis=own)
        gone = numbers.ndim == 0 and own < self.batch
        return Layout(places, self.batch - gone)

    def bordered(self, pads: Sequence[int]) -> Layout:
        """With zeros around, by ONNX's Pad: so many before each axis of the tensor, then so many after each."""
        n_axes = self.places.ndim + 1
        if self.batch != 0 or len(pads) != 2 * n_axes or pads[0] or pads[n_axes] or min(pads) < 0:
            raise ValueError(f"its pads are {list(pads)}, of a tensor with {n_axes} axes, the rows first")
        sides = list(zip(pads[1:n_axes], pads[n_axes + 1 :], strict=True))
        if math.prod(n + sum(side) for n, side in zip(self.shape, sides, strict=True)) > _MOST_NUMBERS:
            raise ValueError(f"its pads {list(pads)} make rows of more than {_MOST_NUMBERS:,} numbers")
        return Layout(np.pad(self.places, sides, constant_values=NOTHING))

    def without_border(self) -> tuple[Layout, list[tuple[int, int]]]:
        """What lies inside of the border, and its widths before and after each axis of `places`."""
        inside = self.places != NOTHING
        sides, box = [], []
        for axis, n in enumerate(self.shape):
            there = np.flatnonzero(inside.any(axis=tuple(other for other in range(self.places.ndim) if other != axis)))
            if not len(there):
                raise ValueError("there is nothing inside of its border")
            sides.append((int(there[0]), int(n - 1 - there[-1])))
            box.append(slice(there[0], there[-1] + 1))
        inner = self.places[tuple(box)]
        if (inner == NOTHING).any():
            raise ValueError("zeros lie between its numbers")
        return Layout(inner, self.batch), sides
