"""Python values as JSON and tensors, and back, for a closed list of types.

`None`, bools, ints, finite floats, strings and lists are JSON as they are. Everything else is an object with one key, its tag::

    {"float": "nan"}                          a float that JSON has no word for
    {"tuple": [...]}, {"dict": [[k, v], ...]}
    {"scalar": ["float32", 0.5]}              a NumPy scalar
    {"labels": ["str", ["no", "yes"]]}        a vector of class labels or names
    {"tensor": "position.3"}                  an array, stored as the file's tensor of that name
    {"object": ["Adam", {"beta1": 0.9, ...}]}

The objects are fastnet's own frozen dataclasses (layers, activations, initialisers, losses, optimisers, schedules,
augmentations), found by their names in those modules' tables, never by import.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from reprlib import repr as short
from typing import Any

import numpy as np

from fastnet.persistence._container import DTYPES, MAX_DIMENSIONS, Container

MAX_LABEL_BYTES_FACTOR = 64  # every string in a vector takes as much as the longest: limits what a small file can ask for
MIN_LABEL_BYTES = 1 << 20
MAX_EQUAL_HASHES = 16  # in a dict: Python's own numbers have few (-1 and -2), and many make building it quadratic
_NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
SCALARS = {name: np.dtype(name) for name in ("bool", *_NUMBERS)}
LABEL_TYPES = {**SCALARS, "str": np.dtype(str), "object": np.dtype(object)}


@cache
def object_types() -> dict[str, type]:
    """Return the classes that a file may name: fastnet's public frozen dataclasses of layers and choices."""
    from fastnet.activations import ACTIVATIONS
    from fastnet.augment import Crop, Flip, Jitter, Shift
    from fastnet.initializers import INITIALIZERS
    from fastnet.layers import LAYERS
    from fastnet.losses import LOSSES
    from fastnet.optimizers import OPTIMIZERS
    from fastnet.schedules import SCHEDULES, Sequence

    tables = (ACTIVATIONS, INITIALIZERS, LAYERS, LOSSES, OPTIMIZERS, SCHEDULES)
    rows = [Sequence, Shift, Crop, Flip, Jitter, *(row for table in tables for row in table.values())]
    return {row.__name__: row for row in rows}


def pack(value: Any, tensors: dict[str, np.ndarray], name: str) -> Any:
    """Return the JSON form of `value`; arrays in it are added to `tensors` under `name` and a number.

    Columns and frames become arrays, and sequences of any other kind lists.

    Raises
    ------
    TypeError
        The value, or one inside it, has a type that files do not hold (for example a function).
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, np.str_):
        return str(value)
    if type(value) is float:
        return value if np.isfinite(value) else {"float": repr(value)}
    if type(value) is list:
        return [pack(item, tensors, name) for item in value]
    if type(value) is tuple:
        return {"tuple": [pack(item, tensors, name) for item in value]}
    if type(value) is dict:
        return {"dict": [[pack(key, tensors, name), pack(item, tensors, name)] for key, item in value.items()]}
    if isinstance(value, np.generic) and value.dtype.name in SCALARS:
        return {"scalar": [value.dtype.name, pack(value.item(), tensors, name)]}
    if isinstance(value, np.ndarray):
        return _pack_array(value, tensors, name)
    if dataclasses.is_dataclass(value) and object_types().get(type(value).__name__) is type(value):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        return {"object": [type(value).__name__, {field: pack(getattr(value, field), tensors, name) for field in fields}]}
    if hasattr(value, "__array__"):  # of pandas, Polars, PyArrow
        return pack(np.asarray(value), tensors, name)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return pack(list(value), tensors, name)
    raise TypeError(f"{name} holds {value!r}, a {type(value).__name__}, which a file cannot hold without pickle")


def pack_parameter(name: str, value: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Return the JSON form of an estimator's parameter.

    Raises
    ------
    TypeError
        Its type is one that files do not hold; the message says what to do.
    """
    try:
        return pack(value, tensors, name)
    except TypeError as error:
        what_to_do = f"use set_params({name}={'None' if name == 'random_state' else '...'}) before saving"
        raise TypeError(f"the parameter {error}: {what_to_do}, or pickle the estimator") from error


def unpack(data: Any, file: Container) -> Any:
    """Return the value whose JSON form is `data`.

    Parameters
    ----------
    data : JSON value
    file : Container
        Its tensors become the arrays; its size limits the memory that vectors of labels may take.

    Raises
    ------
    ValueError
        `data` is not a form that `pack` gives.
    """
    if isinstance(data, list):
        return [unpack(item, file) for item in data]
    if not isinstance(data, dict):
        return data
    if len(data) != 1:
        raise ValueError(f"broken file: a value has the tags {short(sorted(data))}, expected one")
    ((tag, content),) = data.items()
    if tag not in _UNPACKERS:
        raise ValueError(f"broken file: unknown kind of value {short(tag)}, expected one of {', '.join(_UNPACKERS)}")
    return _UNPACKERS[tag](content, file)


def pack_labels(labels: np.ndarray) -> dict[str, Any]:
    """Return the JSON form of a vector of labels.

    Raises
    ------
    TypeError
        The labels are neither numbers, booleans nor strings.
    ValueError
        One label is so long that loading would take the file for a hostile one.
    """
    kind = "str" if labels.dtype.kind == "U" else labels.dtype.name
    values = [label.item() if isinstance(label, np.generic) else label for label in labels.tolist()]
    if kind not in LABEL_TYPES or not all(isinstance(value, (bool, int, float, str)) for value in values):
        raise TypeError(f"labels of dtype {labels.dtype} cannot be saved, expected numbers, booleans or strings")
    if kind == "str":
        _check_label_size(values, file_size=sum(map(len, values)))
    return {"labels": [kind, [pack(value, {}, "labels") for value in values]]}


def _pack_array(array: np.ndarray, tensors: dict[str, np.ndarray], name: str) -> Any:
    if array.ndim == 1 and array.dtype.kind in "UO":
        return pack_labels(array)
    if array.ndim > MAX_DIMENSIONS or array.dtype.newbyteorder("<") not in DTYPES.values():
        raise TypeError(f"{name} holds an array of dtype {array.dtype} and {array.ndim} dimensions, which a file cannot hold")
    key = f"{name}.{len(tensors)}"
    tensors[key] = array
    return {"tensor": key}


def _check_label_size(values: list[str], file_size: int) -> None:
    needed = 4 * len(values) * max(map(len, values), default=0)
    allowed = max(MIN_LABEL_BYTES, MAX_LABEL_BYTES_FACTOR * file_size)
    if needed > allowed:
        raise ValueError(f"{len(values)} labels would take {needed} bytes because of the longest, at most {allowed} are allowed")


def _pairs(content: Any) -> list[list[Any]]:
    if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        raise ValueError("broken file: expected a list of pairs")
    return content


def _two(content: Any) -> list[Any]:
    return _pairs([content])[0]


def _unpack_float(content: Any, file: Container) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise ValueError(f"broken file: {short(content)} is not one of nan, inf, -inf")
    return float(content)


def _unpack_tuple(content: Any, file: Container) -> tuple[Any, ...]:
    if not isinstance(content, list):
        raise ValueError("broken file: a tuple must be a list")
    return tuple(unpack(content, file))


def _unpack_dict(content: Any, file: Container) -> dict[Any, Any]:
    pairs = [(unpack(key, file), unpack(value, file)) for key, value in _pairs(content)]
    hashes = _built(set, [_built(hash, key) for key, _ in pairs])
    if len(pairs) > len(hashes) + MAX_EQUAL_HASHES:
        raise ValueError("broken file: so many keys of a dict have equal hashes that it was made to take long")
    return _built(dict, pairs)


def _unpack_scalar(content: Any, file: Container) -> Any:
    name, value = _two(content)
    if not isinstance(name, str) or name not in SCALARS:
        raise ValueError(f"broken file: unknown scalar type {short(name)}")
    value = unpack(value, file)
    if not isinstance(value, (bool, int, float)):
        raise ValueError(f"broken file: {short(value)} is not a number")
    return _built(SCALARS[name].type, value)


def _unpack_labels(content: Any, file: Container) -> np.ndarray:
    kind, values = _two(content)
    if not isinstance(kind, str) or kind not in LABEL_TYPES:
        raise ValueError(f"broken file: unknown label type {short(kind)}")
    python_types: dict[str, tuple[type, ...]] = {"str": (str,), "object": (bool, int, float, str), "bool": (bool,)}
    expected = python_types.get(kind, (int, float))
    values = unpack(values, file)
    if not isinstance(values, list) or not all(isinstance(value, expected) for value in values):
        raise ValueError(f"broken file: labels of type {kind} expected")
    if kind == "str":
        _check_label_size(values, file.size)
    return _built(np.array, values, LABEL_TYPES[kind])


def _unpack_tensor(content: Any, file: Container) -> np.ndarray:
    if not isinstance(content, str) or content not in file.tensors:
        raise ValueError(f"broken file: there is no tensor {short(content)}")
    return file.tensors[content]


def _unpack_object(content: Any, file: Container) -> Any:
    name, fields = _two(content)
    if not isinstance(name, str) or name not in object_types():
        raise ValueError(f"broken file: unknown object {short(name)}")
    if not isinstance(fields, dict):
        raise ValueError(f"broken file: the fields of {name} are not a JSON object")
    return _built(object_types()[name], **{field: unpack(value, file) for field, value in fields.items()})


def _built(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a constructor with values from a file; if it does not accept them, the file is broken."""
    try:
        return make(*args, **kwargs)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"broken file: {getattr(make, '__name__', make)} cannot be made: {error}") from error


_UNPACKERS: dict[str, Callable[[Any, Container], Any]] = {
    "float": _unpack_float,
    "tuple": _unpack_tuple,
    "dict": _unpack_dict,
    "scalar": _unpack_scalar,
    "labels": _unpack_labels,
    "tensor": _unpack_tensor,
    "object": _unpack_object,
}
