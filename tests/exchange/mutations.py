"""Mutations of valid files: hostile input for the tests and the fuzzer.

A mutation takes a file apart into header and data, changes something that a reader might trust, and puts it back together.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

File = tuple[dict[str, Any], bytes]
HOSTILE_NUMBERS = (0, 1, -1, 2, 3, 7, 2**16, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 1.5, 1e308, True)
HOSTILE_TEXTS = ("", "x", "\x00", "\ud800", "W1", "F32", "float64", "A" * 5000)
HOSTILE_VALUES = (*HOSTILE_NUMBERS, *HOSTILE_TEXTS, None, [], {}, [[]], [0], {"a": 0})
DTYPES = ("F32", "F64", "F16", "BF16", "I8", "U8", "I16", "I32", "I64", "U64", "BOOL", "C64", "f32", "")


def take_apart(raw: bytes) -> File:
    """Header and data of a valid file."""
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), raw[end:]


def put_together(header: Any, data: bytes) -> bytes:
    """The bytes of a file with this header, JSON or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _copy(value: Any) -> Any:
    """Copy JSON data, faster than `copy.deepcopy` does."""
    return json.loads(json.dumps(value))


def _paths(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all values inside a JSON value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in children for found in _paths(child, (*path, key)))]


def _at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value


def _change(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one item in it replaced, removed, duplicated or moved."""
    value = _copy(value)
    path = rng.choice(_paths(value)[1:] or [()])
    if not path:
        return rng.choice(HOSTILE_VALUES)
    parent, key = _at(value, path[:-1]), path[-1]
    kind = rng.randrange(6)
    if kind == 0:
        parent[key] = rng.choice(HOSTILE_VALUES)
    elif kind == 1:
        del parent[key]
    elif kind == 2 and isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), _copy(parent[key]))
    elif kind == 2:
        parent[rng.choice(("x", "tensor", "object", "dtype", f"{key}0"))] = _copy(parent[key])
    elif kind == 3:
        parent[key] = _copy(_at(value, rng.choice(_paths(value))))
    elif kind == 4 and type(parent[key]) in (int, float):
        parent[key] = rng.choice((parent[key] + 1, parent[key] - 1, -parent[key], parent[key] * 2, *HOSTILE_NUMBERS))
    else:
        parent[key] = [parent[key]] if rng.random() < 0.5 else {"object": parent[key]}
    return value


def header_json(file: File, rng: random.Random) -> bytes:
    """Change the table of tensors or the metadata."""
    return put_together(_change(file[0], rng), file[1])


def description_json(file: File, rng: random.Random) -> bytes:
    """Change the model's description, one to three times."""
    header = _copy(file[0])
    about = json.loads(header["__metadata__"]["fastnet"])
    for _ in range(rng.randint(1, 3)):
        about = _change(about, rng)
    header["__metadata__"]["fastnet"] = json.dumps(about)
    return put_together(header, file[1])


def tensor_entry(file: File, rng: random.Random) -> bytes:
    """Change dtype, shape or offsets of a tensor, keeping the number of bytes plausible."""
    header = _copy(file[0])
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    kind = rng.randrange(5)
    if kind == 0:
        entry["dtype"] = rng.choice(DTYPES)
    elif kind == 1:
        entry["shape"] = entry["shape"][::-1] if rng.random() < 0.5 else [*entry["shape"], rng.choice((0, 1, 2, 2**40))]
    elif kind == 2:
        entry["data_offsets"] = [offset + rng.choice((-4, -1, 0, 1, 4, 2**40)) for offset in entry["data_offsets"]]
    elif kind == 3:
        entry["data_offsets"] = list(rng.choice([e for n, e in header.items() if n != "__metadata__"])["data_offsets"])
    else:
        entry["shape"] = [rng.choice((0, 2**31, 2**33, 2**62)), rng.choice((0, 2**31, 2**33, 4))]
    return put_together(header, file[1])


def tensor_names(file: File, rng: random.Random) -> bytes:
    """Drop, rename, swap or add tensors."""
    header = _copy(file[0])
    names = [name for name in header if name != "__metadata__"]
    one, other = rng.choice(names), rng.choice(names)
    kind = rng.randrange(4)
    if kind == 0:
        del header[one]
    elif kind == 1:
        header[rng.choice(("", "w1", "W01", "b1\x00", "../W1", one + "x"))] = header.pop(one)
    elif kind == 2:
        header[one], header[other] = header[other], header[one]
    else:
        size = len(file[1])
        header["more"] = {"dtype": "U8", "shape": [4], "data_offsets": [size, size + 4]}
        return put_together(header, file[1] + b"more")
    return put_together(header, file[1])


def repeated_key(file: File, rng: random.Random) -> bytes:
    """The same tensor twice, which JSON readers treat differently."""
    text = json.dumps(file[0])
    name = rng.choice(list(file[0]))
    return put_together((text[:-1] + f",{json.dumps(name)}:{json.dumps(file[0][name])}}}").encode(), file[1])


def nesting(file: File, rng: random.Random) -> bytes:
    """JSON nested deeper than any model, in the header or in the description."""
    depth = rng.choice((50, 900, 3000, 20_000))
    brackets = (("[", "]"), ('{"a":', "}"), ('{"tuple":[', "]}"), ('{"object":["LinearWarmup",{"schedule":', "}]}"))
    opening, closing = rng.choice(brackets)
    deep = opening * depth + "0" + closing * depth
    if rng.random() < 0.3:
        return put_together(deep.encode(), file[1])
    header = _copy(file[0])
    text = header["__metadata__"]["fastnet"]
    cut = text.index('"layers":') + len('"layers":')
    header["__metadata__"]["fastnet"] = text[:cut] + deep + rng.choice(("", "}", text[cut:]))
    return put_together(header, file[1])


def truncation(file: File, rng: random.Random) -> bytes:
    """A file that ends too early or too late."""
    raw = put_together(*file)
    return raw[: rng.randrange(len(raw))] if rng.random() < 0.8 else raw + bytes(rng.randrange(1, 100))


def length_field(file: File, rng: random.Random) -> bytes:
    """A header length that is not the header's."""
    raw = put_together(*file)
    length = int.from_bytes(raw[:8], "little")
    wrong = rng.choice((0, 1, length - 1, length + 1, len(raw), len(raw) - 8, 2**31, 2**63, 2**64 - 1, rng.randrange(2 * length)))
    return struct.pack("<Q", wrong) + raw[8:]


def header_bytes(file: File, rng: random.Random) -> bytes:
    """Random bytes of the header, overwritten."""
    raw = bytearray(put_together(*file))
    for _ in range(rng.choice((1, 1, 2, 8))):
        raw[rng.randrange(8 + int.from_bytes(raw[:4], "little"))] = rng.randrange(256)
        if int.from_bytes(raw[:8], "little") > len(raw):
            break
    return bytes(raw)


def parameters(file: File, rng: random.Random) -> bytes:
    """Random bytes of the data, overwritten by random ones or by NaN and Inf."""
    data = bytearray(file[1])
    for _ in range(rng.choice((1, 4, 64))):
        at = rng.randrange(max(1, len(data) - 4)) // 4 * 4
        data[at : at + 4] = rng.choice((b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\xff\xff", rng.randbytes(4)))
    return put_together(file[0], bytes(data[: len(file[1])]))


MUTATIONS: tuple[Callable[[File, random.Random], bytes], ...] = (
    header_json,
    description_json,
    tensor_entry,
    tensor_names,
    repeated_key,
    nesting,
    truncation,
    length_field,
    header_bytes,
    parameters,
)
