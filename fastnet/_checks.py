"""Input validation with NumPy alone. The error messages say what was got, what was expected and what to do."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from fastnet._hints import NO_NUMBER_OF_INPUTS, did_you_mean

#: What `generator` takes.
Seed: TypeAlias = int | np.random.SeedSequence | np.random.Generator | np.random.RandomState | None

#: Kinds of dtypes that are real numbers.
_NUMBERS = "biuf"

#: What to do with text in place of numbers, by what the numbers are.
_WHAT_TO_DO_WITH_TEXT = {
    "y": "number the classes, with np.unique(y, return_inverse=True)[1] for example; MLPClassifier takes text",
    "sample_weight": "sklearn.utils.class_weight.compute_sample_weight('balanced', y) makes weights of classes",
}

#: Dimensions are handed to 32-bit BLAS.
MAX_DIMENSION = 2**31 - 1


def lookup(spec: Any, table: Mapping[str, type], base: type, kind: str, *args: Any) -> Any:
    """Resolve a name, a class or an object of `base` to an object.

    Parameters
    ----------
    spec : str, type or object
        A key of `table`, a subclass of `base` or an instance of it.
    table : mapping of str to type
        The known names.
    base : type
        Class that every row of the table derives from.
    kind : str
        What `spec` is, for the error message.
    *args
        Arguments of the constructor, if `spec` is a name or a class.

    Raises
    ------
    ValueError
        Unknown name.
    TypeError
        Neither a name, a class nor an object of `base`.
    """
    if isinstance(spec, base):
        return spec
    if isinstance(spec, str):
        if spec not in table:
            raise ValueError(f"Unknown {kind} {spec!r}; known are: {', '.join(sorted(table))}.{did_you_mean(spec, table)}")
        return table[spec](*args) if args else _default(table[spec])
    if isinstance(spec, type) and issubclass(spec, base):
        return spec(*args)
    hint = f" {NO_NUMBER_OF_INPUTS}." if kind == "activation" and isinstance(spec, int) else did_you_mean(str(spec), table)
    raise TypeError(
        f"{kind} must be a name or an object of class {base.__name__}, got {spec!r}; known names are: {', '.join(sorted(table))}."
        f"{hint}"
    )


@cache
def _default(kind: type) -> Any:
    """What a name stands for, a frozen object; kept, since making and checking it takes the time of five small batches."""
    return kind()


def core_code(choice: Any, table: Mapping[str, type], codes: Mapping[str, int], computed: tuple[str, ...] = ()) -> int:
    """Number in the compiled core of an activation, a loss or an optimiser.

    Parameters
    ----------
    choice : object
        Of a class in `table`, or derived from one.
    table : mapping of str to type
    codes : mapping of str to int
        The core's numbers.
    computed : tuple of str
        Methods whose work the compiled core does itself, so that it would ignore an override in a derived class.

    Raises
    ------
    TypeError
        A class that is not in the table, or that overrides one of `computed`.
    """
    kind, name = type(choice), getattr(choice, "name", "")
    row = table.get(name)
    if row is None or not issubclass(kind, row):
        raise TypeError(
            f"{kind.__name__} is not in the compiled core, which has {', '.join(sorted(table))}: use one of these, or add "
            "yours to the core (CONTRIBUTING.md)."
        )
    changed = [method for method in computed if getattr(kind, method) is not getattr(row, method)]
    if changed:
        raise TypeError(
            f"{kind.__name__} overrides {', '.join(changed)} of {row.__name__}, but the compiled core computes {name!r} "
            "itself and would not call it: add the function to the core (CONTRIBUTING.md)."
        )
    return codes[getattr(choice, "kernel", name)]


def boolean(value: Any, name: str) -> bool:
    """`value` as a bool; numbers and text are refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def positive_int(value: Any, name: str, *, maximum: int | None = None) -> int:
    """`value` as an int of at least 1."""
    return integer(value, name, minimum=1, maximum=maximum)


def integer(value: Any, name: str, *, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int in [minimum, maximum]; bools and floats are refused."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got the bool {value!r}.")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}.") from None
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}.")
    if maximum is not None and number > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {number}.")
    return number


def real(
    value: Any,
    name: str,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """`value` as a finite float with ``minimum <= value <= maximum`` and ``above < value < below``."""
    is_number = isinstance(value, numbers.Real) or (isinstance(value, np.generic) and value.dtype.kind in "iuf")
    if isinstance(value, (bool, np.bool_)) or not is_number:
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}.")
    number = float(value)
    if not (math.isfinite(number) and minimum <= number <= maximum and above < number < below):
        limits = {"at least": minimum, "at most": maximum, "above": above, "below": below}
        bounds = [f"{words} {limit:g}" for words, limit in limits.items() if math.isfinite(limit)]
        raise ValueError(f"{name} must be {' and '.join(['finite', *bounds])}, got {number!r}.")
    return number


def below_one(value: Any, name: str, *, above: float = -math.inf) -> float:
    """`value` as a float below 1, of a layer for which other libraries first want a number of inputs."""
    number = real(value, name, above=above)
    if number >= 1:
        raise ValueError(f"{name} must be below 1, got {value!r}. {NO_NUMBER_OF_INPUTS}.")
    return number


def sequence(value: Any, name: str, example: str) -> tuple[Any, ...]:
    """`value` as a tuple."""
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list, as in {example}, got {value!r}.")
    return tuple(value)


def mapping(value: Any, name: str, example: str) -> dict[Any, Any]:
    """`value` as a dict; None is an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, as in {example}, got {value!r}.")
    return dict(value or {})


def one_of(value: Any, name: str, choices: Iterable[str]) -> str:
    """`value`, if it is one of the choices."""
    choices = tuple(choices)
    if isinstance(value, str) and value in choices:
        return value
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.{hint}")


def float_dtype(dtype: Any) -> np.dtype:
    """`dtype` as one of the two that the core computes in.

    Raises
    ------
    ValueError
        Anything but float32 and float64.
    """
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError, SyntaxError):  # NumPy parses some strings
        name = ""
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}.")
    return np.dtype(name)


def generator(random_state: Seed) -> np.random.Generator:
    """A generator from None, an int, a SeedSequence, a Generator or a RandomState (which is advanced by one draw)."""
    if isinstance(random_state, np.random.RandomState):
        random_state = int(random_state.randint(2**32, dtype=np.uint64))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"random_state must be None, a non-negative int or a numpy.random.Generator, got {random_state!r}."
        ) from None


def numeric_array(values: Any, name: str) -> np.ndarray:
    """`values` as an array of bools, integers or floats, without a copy if it is one already.

    Columns and frames of pandas and polars may mix bools and numbers, of nullable dtypes too. Missing values become NaN.

    Raises
    ------
    TypeError
        Text, objects, complex numbers or dates.
    ValueError
        Rows of unequal length.
    """
    if type(values) is np.ndarray and values.dtype.kind in _NUMBERS:
        return values
    refuse_silent_conversion(values, name)
    try:
        array = table(values) if hasattr(values, "to_numpy") else np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array of numbers: {error}") from None
    if array.dtype.kind not in _NUMBERS:
        what_to_do = "convert it, with astype(float) for example"
        if array.dtype == object and not array.ndim:
            what_to_do = (
                f"give an array or a list, not a {type(values).__name__}; rows in batches are for fastnet.data.from_batches"
            )
        elif array.dtype.kind in "USTO":
            what_to_do = _WHAT_TO_DO_WITH_TEXT.get(name, "turn text into numbers, with scikit-learn's OneHotEncoder for example")
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; {what_to_do}.")
    return array


def table(values: Any) -> np.ndarray:
    """A column or a frame as an array; of float64 if its dtypes are numbers or bools for which NumPy has no common dtype."""
    array = np.asarray(values)
    if array.dtype.kind != "O":
        return array
    dtypes = list(values.dtypes) if hasattr(values, "columns") else [getattr(values, "dtype", None)]
    if all(getattr(dtype, "kind", "O") in _NUMBERS for dtype in dtypes):  # pandas, unlike polars and PyArrow
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return array


_DATES = ("date", "time", "duration", "period")


def refuse_silent_conversion(values: Any, name: str) -> None:
    """Refuse what NumPy would turn into other numbers: dates, times and spans of time, in arrays, lists, columns and frames; and
    masked entries.

    Raises
    ------
    TypeError
        Dates, times or spans of time.
    ValueError
        A masked array some of whose entries are masked.
    """
    if is_masked(values):
        got = f"{name} is a masked array with {values.mask.sum()} masked entries, which are missing values"
        raise ValueError(f"{got}: fill them first, with {name}.filled(0) for example.")
    if isinstance(values, np.ndarray):
        found = [str(values.dtype)] if values.dtype.kind in "mM" else []
    elif hasattr(values, "columns") and hasattr(values, "dtypes"):
        found = [str(dtype) for dtype in values.dtypes]
    elif hasattr(values, "dtype"):
        found = [str(values.dtype)]
    elif isinstance(values, (list, tuple)) and values:
        first = values[0][0] if isinstance(values[0], (list, tuple)) and values[0] else values[0]
        found = [str(first.dtype)] if isinstance(first, (np.generic, np.ndarray)) else []
    else:
        found = []
    dates = [dtype for dtype in found if dtype.lower().startswith(_DATES) or dtype[1:].startswith(("M8", "m8"))]
    if dates:
        raise TypeError(
            f"{name} must hold numbers, got {dates[0]}: turn dates and times into numbers that mean something, such as "
            "(t - t.min()) / np.timedelta64(1, 'D'), or the year, the month and the weekday as columns of their own."
        )


@contextmanager
def naming(part: str) -> Iterator[None]:
    """Put the name of a part of the data before what is wrong with it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{part}: {error}") from error


def is_masked(values: Any) -> bool:
    """Whether entries of a masked array of NumPy are masked."""
    return isinstance(values, np.ma.MaskedArray) and bool(np.ma.is_masked(values))


def is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)) and bool(value != value)


#: Types of labels that are never missing.
_PRESENT = {str, int, bool, bytes, list, tuple}


def refuse_missing_labels(y: Any) -> None:
    """Refuse labels of which some are missing, in arrays of objects, masked arrays, lists, columns and frames.

    Raises
    ------
    ValueError
    """
    if not isinstance(y, (list, tuple)):
        # NumPy gets labels for those that are missing from a column of PyArrow with a dictionary.
        unread, n_missing = y, getattr(y, "null_count", 0)
        array = np.asarray(y)
        y = array.ravel().tolist() if array.dtype.kind == "O" and array.ndim else []
        if is_masked(unread) or (isinstance(n_missing, int) and n_missing):
            y.append(None)
    if _PRESENT.issuperset(map(type, y)):
        return
    missing = next((label for label in y if is_missing(label)), ...)
    if missing is not ...:
        raise ValueError(f"Labels in y are missing ({missing}) in some rows: leave these rows out.")


def joined_labels(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Labels of several parts of the rows, one after another.

    Raises
    ------
    ValueError
        Text in some parts and numbers in others, which NumPy would turn into text.
    """
    parts = list(parts)
    if len({is_text(part) for part in parts if part.size}) > 1:
        raise ValueError("Labels in y are text in some rows and numbers in others: make all of them text, or all numbers.")
    return np.concatenate(parts)


def is_text(labels: np.ndarray) -> bool:
    """Whether labels, one at least, are text."""
    return labels.dtype.kind in "UST" or (labels.dtype.kind == "O" and isinstance(labels.flat[0], str))


def assert_finite(array: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity, in one pass over the memory and without a temporary of its size.

    A sum is NaN or infinite if any of its terms is. Only then are the elements checked one by one, in blocks.

    Raises
    ------
    ValueError
        Names the first bad element.
    """
    if array.dtype.kind != "f" or array.size == 0:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if math.isfinite(np.add.reduce(array, axis=None)):
            return
    block = max(1, 65536 // max(1, array[0].size))
    for start in range(0, len(array), block):
        bad = np.argwhere(~np.isfinite(array[start : start + block]))
        if len(bad):
            where = (start + bad[0][0], *bad[0][1:])
            raise ValueError(
                f"{name} holds {array[where]} at index [{', '.join(map(str, where))}] (as {array.dtype}); "
                "every value must be finite: impute, drop or rescale such rows."
            )
