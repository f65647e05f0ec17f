"""How a checkpoint recognises its run: the options as text and a checksum of the data, the same in every process."""

from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np

from fastnet._data import Dataset
from fastnet.schedules import Function

#: Bytes in each step. The checksum releases the GIL and takes about a second for a gigabyte.
_BLOCK = 1 << 24


def text(option: Any) -> str:
    """An option as text; a function is represented by its name."""
    if isinstance(option, Function):
        option = option.function
    if callable(option) and hasattr(option, "__qualname__"):
        return f"{option.__module__}.{option.__qualname__}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(option))


def checksum(data: Dataset) -> str:
    """CRC-32 of features, targets and sample weights in the core's form, with their shapes and dtypes."""
    X, y, sample_weight = data
    arrays = [*(X[:3] if isinstance(X, tuple) else (X,)), y, *(() if sample_weight is None else (sample_weight,))]
    code = 0
    for array in arrays:
        code = zlib.crc32(f"{array.dtype.str}{array.shape}".encode(), code)
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        for start in range(0, len(content), _BLOCK):
            code = zlib.crc32(content[start : start + _BLOCK], code)
    return f"{code:08x}"
