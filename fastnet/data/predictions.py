"""Predictions of data larger than memory: block by block, or into a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet._atomic import replacing

if TYPE_CHECKING:
    from .blocks import Blocks


def predict(model: Any, data: Blocks, *, method: str = "predict") -> Iterator[np.ndarray]:
    """Predictions block by block, in the order of the rows.

    Parameters
    ----------
    model : Network or fitted estimator
    data : Blocks
        With or without targets.
    method : str
        What is asked for: "predict", "predict_proba", or another method of the model that takes X.

    Yields
    ------
    ndarray
        What the method gives for the rows of one block.

    Raises
    ------
    TypeError
        Data that are no blocks.
    ValueError
        The data have columns of other names than those that the model was fitted on.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "softmax")], n_inputs=4, random_state=0)
    >>> data = fn.data.from_arrays(np.ones((1000, 4), np.float32), block_rows=400)
    >>> [len(labels) for labels in fn.data.predict(net, data)]
    [400, 400, 200]
    """
    _check_blocks(data, method)
    if _takes_tables(model):
        data = data.as_tables()
    have_names = names_agree(model, data)
    of_rows = getattr(model, method)
    for _, _, (X, _, _) in data.in_order():
        yield of_rows(_named(X, data.feature_names) if have_names else X)


def _check_blocks(data: Any, method: str) -> None:
    if not hasattr(data, "in_order"):
        raise TypeError(
            f"data must be blocks of fastnet.data, got {type(data).__name__}: give model.{method}(X) rows in memory, or this "
            "function fastnet.data.from_arrays(X)."
        )


def _takes_tables(model: Any) -> bool:
    """Whether the columns of X may be text."""
    return hasattr(model, "__sklearn_tags__") and bool(model.__sklearn_tags__().input_tags.string)


def names_agree(model: Any, data: Blocks) -> bool:
    """Whether model and data both know the names of columns, which are then the same.

    Raises
    ------
    ValueError
        They are not.
    """
    names = getattr(model, "feature_names_in_", None)
    if names is None or data.feature_names is None:
        return False
    if data.feature_names != list(names):
        raise ValueError(
            f"The feature names should match those of fit, {short(list(names))}, got {short(data.feature_names)}: open files "
            "with columns=list(model.feature_names_in_), or take these columns of a data frame."
        )
    return True


def _named(X: np.ndarray, names: list[str] | None) -> Any:
    """Rows with the names of their columns, which are those of fit, where pandas is installed; else scikit-learn misses them."""
    try:
        from pandas import DataFrame
    except ImportError:
        return X
    return DataFrame(X, columns=names)


def predict_to_file(model: Any, data: Blocks, path: str | os.PathLike[str], *, method: str = "predict") -> None:
    """Write predictions to a file; one block is in memory at a time.

    Parameters
    ----------
    model, data, method
        As for `predict`.
    path : path-like
        .npy: an array, which ``np.load(path, mmap_mode="r")`` reads. .parquet: a column "prediction", or "prediction_0",
        "prediction_1", ... where a row has several; needs pyarrow. The file appears when it is complete.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    ValueError
        A path that ends otherwise, predictions that have not an entry for each row, or for a .npy file, labels that are Python
        objects, or predictions of a block that the type of the first block's cannot hold.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "softmax")], n_inputs=4, random_state=0)
    >>> fn.data.predict_to_file(net, fn.data.from_arrays(np.ones((1000, 4), np.float32)), "labels.npy")
    >>> np.load("labels.npy", mmap_mode="r").shape
    (1000,)
    """
    _check_blocks(data, method)
    suffix = Path(path).suffix
    if suffix not in _WRITERS:
        raise ValueError(f"path must end in {' or '.join(_WRITERS)}, got {os.fspath(path)!r}.")
    with replacing(path) as temporary:
        _WRITERS[suffix](temporary, _as_arrays(predict(model, data, method=method), data), len(data))


def _as_arrays(predictions: Iterator[Any], data: Blocks) -> Iterator[np.ndarray]:
    """Predictions of each block that has rows, with an entry for each row."""
    sizes = data.sizes[data.sizes > 0].tolist()
    for rows, part in zip(sizes, predictions, strict=True):
        array = np.asarray(part)
        if array.shape[:1] != (rows,):
            raise ValueError(f"Predictions must have an entry for each of the {rows} rows of a block, got shape {array.shape}.")
        yield array


def _write_array(path: Path, parts: Iterator[np.ndarray], m: int) -> None:
    first = next(parts)
    if first.dtype.hasobject:
        raise ValueError("Predictions are Python objects, which a .npy file on a memory map cannot hold: write a .parquet file.")
    out = np.lib.format.open_memmap(path, "w+", first.dtype, (m, *first.shape[1:]))
    done = 0
    for part in chain([first], parts):
        if not np.can_cast(part.dtype, first.dtype):
            raise ValueError(
                f"Predictions have dtype {first.dtype} in the first block and {part.dtype} in a later one, which would be cut: "
                "let the model give one type, or write a .parquet file."
            )
        out[done : done + len(part)] = part
        done += len(part)
    out.flush()


def _write_parquet(path: Path, parts: Iterator[np.ndarray], m: int) -> None:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("A Parquet file needs pyarrow, which is not installed: pip install pyarrow") from error

    def table(part: np.ndarray) -> Any:
        columns = part.reshape(len(part), -1).T
        names = ["prediction"] if part.ndim == 1 else [f"prediction_{number}" for number in range(len(columns))]
        return pyarrow.table(dict(zip(names, columns, strict=True)))

    first = table(next(parts))
    with parquet.ParquetWriter(path, first.schema) as writer:
        for one in chain([first], map(table, parts)):
            writer.write_table(one)


#: Ending of a path -> what writes such a file.
_WRITERS: dict[str, Callable[[Path, Iterator[np.ndarray], int], None]] = {".npy": _write_array, ".parquet": _write_parquet}
