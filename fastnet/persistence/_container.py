"""The safetensors container: a JSON header and raw tensors. Everything that is read is checked here before it is used.

A file is an unsigned 64-bit little-endian header length, the header (a JSON object with one entry per tensor, and
`__metadata__`, a map of strings to strings), and the data. See https://huggingface.co/docs/safetensors for the format. The
safetensors library does the writing. Reading is done here, on a buffer that may be a memory map: the library copies tensors, and
it accepts what fastnet never writes (holes filled by unknown tensors, types and ranks fastnet has no use for).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as short
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.lib.stride_tricks import as_strided

from fastnet import _atomic
from fastnet.persistence._json import loads

MAX_HEADER = 100_000_000  # bytes; the safetensors library's own limit
MAX_DIMENSIONS = 2
DTYPES: dict[str, np.dtype] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "U32": np.dtype("<u4"),
    "U64": np.dtype("<u8"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
METADATA = "__metadata__"


def write(path: str | os.PathLike[str], metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> None:
    """Write a file atomically; on any error the previous file stays as it was.

    Raises
    ------
    OSError
        The file could not be written: no such folder, no permission, disk full.
    """
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with _atomic.replacing(path) as temporary:
        try:
            safetensors.numpy.save_file(contiguous, temporary, metadata=metadata)
        except safetensors.SafetensorError as error:
            raise _as_os_error(path, error) from error


@dataclass(frozen=True)
class Container:
    """The checked content of a file.

    Attributes
    ----------
    metadata : dict of str to str
    tensors : dict of str to ndarray
        Views of the file's buffer, at most two dimensions each; writable if the buffer is.
    size : int
        Size of the whole file in bytes.
    """

    metadata: dict[str, str]
    tensors: dict[str, np.ndarray]
    size: int

    def flat(self, names: Sequence[str], dtype: str) -> np.ndarray:
        """Return the named tensors, of this dtype, as one aligned vector in native byte order: a view if they are adjacent."""
        if not names:
            return np.empty(0, dtype)
        parts = [self.tensors[name].ravel() for name in names]
        addresses = [part.ctypes.data for part in parts]
        ends = [part.ctypes.data + part.nbytes for part in parts]
        consecutive = addresses[1:] == ends[:-1]
        n = sum(part.size for part in parts)
        flat = as_strided(parts[0], (n,), (parts[0].itemsize,)) if consecutive else np.concatenate(parts)
        return np.require(flat, flat.dtype.newbyteorder("="), ["C", "A"])


def read(buffer: Any) -> Container:
    """Check a file's bytes and split them into metadata and tensors, without copying.

    Parameters
    ----------
    buffer : bytearray, mmap or another contiguous buffer
        The whole file.

    Raises
    ------
    ValueError
        The bytes are not a safetensors file as fastnet writes them.
    """
    view = memoryview(buffer)
    header, data_start = _header(view)
    metadata = _metadata(header.pop(METADATA, {}))
    data = view[data_start:]
    spans = {name: _span(name, entry, len(data)) for name, entry in header.items()}
    _check_tiling(spans, len(data))
    tensors = {
        name: np.frombuffer(data[begin:end], dtype).reshape(shape) if end > begin else np.empty(shape, dtype)
        for name, (dtype, shape, begin, end) in spans.items()
    }
    return Container(metadata, tensors, len(view))


#: The first bytes of pickles and archives.
_PICKLES_AND_ARCHIVES = (*(bytes((0x80, version)) for version in (2, 3, 4, 5)), b"PK", b"\x1f\x8b", b"\x78\x9c")


def _header(view: memoryview) -> tuple[dict[str, Any], int]:
    """Return the parsed header and the position where the data starts."""
    if len(view) < 8:
        raise ValueError(f"not a safetensors file: it has {len(view)} bytes, expected at least 8")
    length = int.from_bytes(view[:8], "little")
    limit = min(len(view) - 8, MAX_HEADER)
    if length > limit and bytes(view[:2]) in _PICKLES_AND_ARCHIVES:
        raise ValueError("not a safetensors file: a pickle or an archive, as joblib, pickle and torch write; load it with these")
    if length > limit:
        raise ValueError(f"not a safetensors file, or truncated: its header claims {length} bytes, at most {limit} are possible")
    header = loads(bytes(view[8 : 8 + length]), "the file's header")
    if not isinstance(header, dict):
        raise ValueError(f"broken file: its header is a JSON {type(header).__name__}, expected an object")
    return header, 8 + length


def _metadata(entry: Any) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(text, str) for text in entry.values()):
        raise ValueError(f"broken file: {METADATA} must map strings to strings")
    return entry


def _span(name: str, entry: Any, data_size: int) -> tuple[np.dtype, tuple[int, ...], int, int]:
    """Return the checked dtype, shape, first byte and end of one tensor."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"broken file: tensor {short(name)} must have exactly a dtype, a shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"tensor {short(name)} has dtype {short(code)}, expected one of {', '.join(DTYPES)}")
    if not _naturals(shape) or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"tensor {short(name)} has shape {short(shape)}, expected up to {MAX_DIMENSIONS} natural numbers")
    if not _naturals(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= data_size:
        raise ValueError(
            f"broken or truncated file: tensor {short(name)} has data_offsets {short(offsets)}, expected [begin, end] within "
            f"the {data_size} bytes of data"
        )
    dtype, (begin, end) = DTYPES[code], offsets
    expected = math.prod(shape) * dtype.itemsize
    if end - begin != expected:
        raise ValueError(f"tensor {short(name)} has {end - begin} bytes, its shape {shape} and dtype {code} need {expected}")
    return dtype, tuple(shape), begin, end


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 2**63 for number in value)


def _check_tiling(spans: dict[str, tuple[np.dtype, tuple[int, ...], int, int]], data_size: int) -> None:
    """Check that tensors follow each other without gaps or overlaps, up to the end of the file."""
    position = 0
    for name, (_, _, begin, end) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if begin != position:
            raise ValueError(f"broken file: tensor {short(name)} begins at byte {begin} of the data, expected {position}")
        position = end
    if position != data_size:
        raise ValueError(f"broken or truncated file: its tensors end at byte {position} of the data, the file at {data_size}")


def _as_os_error(path: str | os.PathLike[str], error: safetensors.SafetensorError) -> OSError:
    """Turn the library's error, which gives failed writes as text, into an OSError with the error number."""
    number = re.search(r"os error (\d+)", str(error))
    message = f"could not write the model ({error}); the previous file is unchanged"
    return OSError(int(number[1]), message, os.fspath(path)) if number else OSError(message)
