"""How a checkpoint recognises its run: the options as text and a checksum of the data, the same in every process."""

from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np

from fastnet._data import Dataset, n_rows
from fastnet.schedules import Function

#: Bytes in each step. The checksum releases the GIL and takes about a second for a gigabyte.
_BLOCK = 1 << 24

#: Words in each step of `sum_of_rows`, which takes a third of a second for a gigabyte of float32.
_WORDS = 1 << 16


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


def sum_of_rows(data: Dataset) -> int:
    """A hash of each row, its target and its weight, added up: of rows in parts, the sum of the parts' sums modulo 2^64.

    Sparse rows have the hashes of the dense ones with the same numbers.
    """
    m = n_rows(data[0])
    if not m:
        return 0
    words = [_words(part) for part in data if part is not None]
    ends = np.cumsum([of_part.shape[1] for of_part in words])
    factors = np.split(np.random.SeedSequence(0).generate_state(ends[-1], np.uint64) | np.uint64(1), ends[:-1])
    width = sum(of_part.shape[1] for of_part in words if isinstance(of_part, np.ndarray))
    step, half, total = max(_WORDS // width, 1), np.uint64(32), 0
    for start in range(0, m, step):
        parts = [_products(of_part[start : start + step], own) for of_part, own in zip(words, factors, strict=True)]
        hashes = np.sum(parts, axis=0, dtype=np.uint64)
        hashes = (hashes ^ hashes >> half) * np.uint64(0xD6E8FEB86659FD93)
        total += int((hashes ^ hashes >> half).sum(dtype=np.uint64))
    return total % 2**64


def _words(part: Any) -> Any:
    """The numbers of each row as words of 32 bits: a matrix, which is sparse if they are."""
    if not isinstance(part, tuple):
        return part.reshape(len(part), -1).view(np.uint32)
    from scipy.sparse import csr_array

    numbers, columns, starts, (m, n) = part
    n_words = numbers.itemsize // 4
    places = columns[:, None] * np.int64(n_words) + np.arange(n_words)
    return csr_array((numbers.view(np.uint32), places.ravel(), n_words * starts), shape=(m, n_words * n))


def _products(words: Any, factors: np.ndarray) -> np.ndarray:
    """Sums of each row's words times these factors, modulo 2^64."""
    return np.einsum("ij,j->i", words, factors) if isinstance(words, np.ndarray) else words @ factors
