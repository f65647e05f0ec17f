"""Blocks of tables: Parquet files and tables of PyArrow."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastnet import _checks

from ._arrays import share_of
from ._roles import Roles
from .blocks import CACHE_BYTES, Blocks, NamedBlocks
from .folders import parquet_files, values_of_folders


def from_parquet(
    path: str | os.PathLike[str],
    target: str | Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
) -> Blocks:
    """Rows of Parquet files, whose row groups are the blocks.

    The smaller the row groups are, the better training shuffles: a few thousand rows
    (``frame.to_parquet(path, row_group_size=5000)``). Training decodes them once if all rows need at most 256 MB of memory, or
    fit into what `Blocks.cached` allows, and otherwise in every epoch.

    Parameters
    ----------
    path : path-like
        A file, or a folder of files, which are taken in the order of their names. Folders in it with names such as
        ``city=Rome`` give their rows a column "city", after the others. Names that begin with "." or "_" are left out.
    target : str or sequence of str, optional
        Column or columns of y.
    columns : sequence of str, optional
        Columns of X, in that order; by default all others, which must then be the same in all files. They must hold numbers,
        except for estimators of tables.
    weight : str, optional
        Column of the sample weights.

    Returns
    -------
    Blocks

    Raises
    ------
    ImportError
        pyarrow is not installed.
    FileNotFoundError
        No such file, or no Parquet file in the folder.
    ValueError
        A file is none of Parquet, lacks a column or, without `columns`, has one that the first lacks, or there are no rows.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("from_parquet needs pyarrow, which is not installed: pip install pyarrow") from error
    path = Path(path).absolute()  # by which they are found from another folder, too
    files = parquet_files(path)
    metadata = {}
    for file in files:
        with _checks.naming(str(file)):
            metadata[file] = parquet.read_metadata(file)
    schemas = {file: metadata[file].schema.to_arrow_schema() for file in files}
    of_folders = values_of_folders(path, schemas)
    names_in = {file: [*_columns_of(schemas[file]), *of_folders[file]] for file in files}
    roles = Roles(names_in[files[0]], target, columns, weight)
    for file in files:
        roles.check([*schemas[file].names, *of_folders[file]], file)
        if columns is None:
            _refuse_more(names_in[file], roles.names, file, files[0])
    groups = [(file, group) for file in files for group in range(metadata[file].num_row_groups)]
    opened = threading.local()  # files are not for several threads

    def read(number: int) -> Any:
        file, group = groups[number]
        if getattr(opened, "path", None) != file:
            opened.path, opened.file = file, parquet.ParquetFile(file, metadata=metadata[file], memory_map=True)
        constant = {name: value for name, value in of_folders[file].items() if name in roles.names}
        names = [name for name in roles.names if name not in constant]
        try:
            table = opened.file.read_row_group(group, columns=names, use_threads=False)
        except (OSError, ValueError) as error:
            raise OSError(f"Row group {group} of {file} is broken, or the file has changed since: {error}") from error
        for name, value in constant.items():
            table = table.append_column(name, pyarrow.repeat(value, metadata[file].row_group(group).num_rows))
        return table

    return _of_tables(roles, read, [metadata[file].row_group(group).num_rows for file, group in groups])


def _refuse_more(names: Sequence[str], known: Sequence[str], file: Path, first: Path) -> None:
    """Refuse a file with columns that the first one lacks."""
    more = [name for name in names if name not in known]
    if more:
        raise ValueError(
            f"{file} has the column{'s' * (len(more) > 1)} {', '.join(map(repr, more))}, which {first} lacks: give all files the "
            "same columns, or choose columns=[...]."
        )


def from_arrow(
    table: Any,
    target: str | Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
) -> Blocks:
    """Rows of an Arrow table, such as one on a memory map.

    Parameters
    ----------
    table : pyarrow.Table
        ``pyarrow.ipc.open_file(pyarrow.memory_map(path)).read_all()`` reads nothing yet.
    target, columns, weight
        As for `from_parquet`.

    Returns
    -------
    Blocks
        Each of adjacent rows of the table: a thousandth of all rows, but at least 32.

    Raises
    ------
    ValueError
        The table lacks a column, or has no rows.
    """
    roles = Roles(table.column_names, target, columns, weight)
    roles.check(table.column_names, "The table")
    batches = table.select(roles.names).to_batches(max_chunksize=share_of(table.num_rows))
    read = type(table).from_batches
    return _of_tables(roles, lambda number: read([batches[number]]), [batch.num_rows for batch in batches])


def _of_tables(roles: Roles, read: Callable[[int], Any], sizes: Sequence[int]) -> Blocks:
    """Blocks of tables of PyArrow, which `read` gives by the numbers of their blocks."""
    return NamedBlocks(
        lambda number: roles.block(read(number)),
        lambda number: roles.table(read(number)),
        sizes,
        feature_names=roles.feature_names,
        target_names=roles.target_names,
        cache=CACHE_BYTES,
    )


def _columns_of(schema: Any) -> list[str]:
    """Names of the columns but for the index of a data frame of pandas."""
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name not in index]
