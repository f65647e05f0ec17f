"""Folders of Parquet files, which are read piece by piece, as they may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import narwhals.stable.v2 as nw
import numpy as np

from fastnet.cli._data import Data, has_value, refuse_target_alone, refuse_unknown, target_and_task
from fastnet.cli._errors import refusing
from fastnet.data import Blocks, from_parquet
from fastnet.data.blocks import Block
from fastnet.tabular.parts import rows_of


def is_read_in_pieces(path: Path) -> bool:
    """Whether a table is a folder, and what reads its files piece by piece is installed."""
    return path.is_dir() and find_spec("pyarrow") is not None


def read_folder(path: Path, target: str, task: str | None, metric: str | None) -> Data:
    """A table to learn, of which only the target is in memory; parameters and errors are those of `read_data`."""
    names = column_names(path)
    refuse_unknown(target, names, path)
    features = [name for name in names if name != target]
    refuse_target_alone(features, path, target)
    with refusing(OSError, ValueError, about=str(path)):
        y = column_of(path, target)
    known = has_value(y, path)
    y, task = target_and_task(y.filter(known), task, metric)
    blocks = _with_targets(from_parquet(path, columns=features).as_tables(), y, known.to_numpy())
    return Data(blocks, y, len(features), task, int((~known).sum()))


def column_names(path: Path) -> list[str]:
    """Names of the columns, which are those of all files.

    Raises
    ------
    click.ClickException
        Some files lack a column.
    """
    with refusing(OSError, ValueError, about=str(path)):
        return from_parquet(path).feature_names or []


def pieces_of(path: Path, columns: list[str] | None = None) -> Iterator[nw.DataFrame[Any]]:
    """The rows of a folder, one row group after the other."""
    with refusing(OSError, ValueError, about=str(path)):
        rows = from_parquet(path, columns=columns).as_tables()
        for _, _, (X, _, _) in rows.in_order():
            yield nw.from_native(X)


def column_of(path: Path, name: str) -> nw.Series[Any]:
    """One column of all rows.

    Raises
    ------
    click.ClickException
        It has types in different files that do not go together.
    """
    import pyarrow

    tables = [_without_dictionary(piece.to_native()) for piece in pieces_of(path, [name])]
    try:
        return nw.from_native(pyarrow.concat_tables(tables, promote_options="permissive"))[name]
    except (pyarrow.ArrowTypeError, pyarrow.ArrowInvalid) as error:
        types = " and ".join(dict.fromkeys(str(table.schema.field(name).type) for table in tables))
        raise click.ClickException(
            f"column {name!r} of {path} holds {types} values: write all files with one type of this column"
        ) from error


def _without_dictionary(table: Any) -> Any:
    """A table of one column, with its values where it has numbers of them."""
    import pyarrow

    column, (name,) = table.column(0), table.column_names
    if pyarrow.types.is_dictionary(column.type):
        return table.set_column(0, name, column.cast(column.type.value_type))
    return table


def _with_targets(data: Blocks, y: nw.Series[Any], known: np.ndarray) -> Blocks:
    """The rows that have a target, with these targets."""
    ends = np.cumsum(data.sizes)
    n_known = np.concatenate([[0], np.cumsum(known)])
    first, last = n_known[ends - data.sizes], n_known[ends]

    def read(number: int) -> Block:
        rows = np.flatnonzero(known[ends[number] - data.sizes[number] : ends[number]])
        return rows_of(data.read(number)[0], rows), y[int(first[number]) : int(last[number])].to_native(), None

    return Blocks(read, last - first, target_names=[y.name])
