"""Folders of Parquet files, and the values that their names have."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

#: What the name of a folder of a partitioned data set says of a missing value.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def parquet_files(path: Path) -> list[Path]:
    files = _files_in(path) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise FileNotFoundError(f"{path} is no Parquet file and no folder with files *.parquet.")
    return files


def is_data_of(folder: Path, path: Path) -> bool:
    """Whether a file is one of a folder's Parquet files, or would be one if it were written."""
    folder, file = folder.resolve(), path.resolve()
    if file.is_relative_to(folder) and _is_data(folder, file):
        return True
    return path.exists() and any(path.samefile(other) for other in _files_in(folder))


def _files_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.parquet") if file.is_file() and _is_data(folder, file))


def _is_data(folder: Path, file: Path) -> bool:
    """Whether the name of a file below a folder is that of data."""
    return file.suffix == ".parquet" and not any(map(_is_hidden, _names_in(folder, file)))


def values_of_folders(path: Path, schemas: Mapping[Path, Any]) -> dict[Path, dict[str, Any]]:
    """For each file the columns that it lacks and the names of its folders give, such as ``city=Rome``: integers or text."""
    import pyarrow

    texts = {file: dict(name.split("=", 1) for name in _names_in(path, file)[:-1] if "=" in name) for file in schemas}
    values: dict[Path, dict[str, Any]] = {file: {} for file in schemas}
    for name in dict.fromkeys(name for of_file in texts.values() for name in of_file):
        files = [file for file in schemas if name in texts[file] and name not in schemas[file].names]
        column = pyarrow.array([None if texts[file][name] == _NO_VALUE else unquote(texts[file][name]) for file in files])
        with suppress(pyarrow.ArrowInvalid):
            column = column.cast(pyarrow.int64())
        for file, value in zip(files, column, strict=True):
            values[file][name] = value
    return values


def _names_in(folder: Path, file: Path) -> tuple[str, ...]:
    """Of the folders below this one, and of the file."""
    return file.relative_to(folder).parts


def _is_hidden(name: str) -> bool:
    """What Spark and Arrow write beside the data, or have not written to its end."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)
