"""Strict JSON: ambiguous JSON, in which a hostile file could hide something, is refused."""

from __future__ import annotations

import json
from typing import Any

#: Number of lists and objects that a file may hold: each takes about 200 bytes in Python, but only three in the file.
MAX_CONTAINERS = 200_000


def dumps(value: Any) -> str:
    """Return `value` as compact ASCII JSON text; NaN and Inf are not JSON and raise ValueError."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def loads(text: bytes | str, what: str) -> Any:
    """Parse JSON, refusing repeated keys, NaN and Inf, numbers beyond a float, nesting beyond Python's recursion limit, and more
    than 200,000 lists and objects.

    Parameters
    ----------
    text : bytes or str
        UTF-8 JSON.
    what : str
        What the text is, for error messages.

    Raises
    ------
    ValueError
        The text is not valid JSON of this kind.
    """
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        containers = text.count("[") + text.count("{")
        if containers > MAX_CONTAINERS:
            raise ValueError(f"it has {containers} lists and objects, at most {MAX_CONTAINERS} are allowed")
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} is not valid JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is beyond the range of a float")
    return number
