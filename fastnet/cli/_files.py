"""Tables in files: CSV, Parquet and Feather, read and written by pandas or Polars, whichever is installed."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import click
import narwhals.stable.v2 as nw
import narwhals.stable.v2.selectors as selectors

from fastnet._atomic import replacing
from fastnet.cli import INSTALL
from fastnet.cli._errors import one_line
from fastnet.data.folders import is_data_of

#: Endings of compressed CSV files.
COMPRESSIONS = (".gz", ".zip", ".xz")
#: Ending -> format.
FORMATS = {".csv": "CSV", ".tsv": "TSV", ".parquet": "Parquet", ".pq": "Parquet", ".feather": "Feather", ".arrow": "Feather"}

#: What stands for a missing value in a CSV file, but in a target whose other values are words.
NULLS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "NULL", "null", "None")

#: Separator of fields -> what messages call it.
_SEPARATORS = {",": "','", "\t": "tabs"}


def format_of(path: Path) -> str:
    """The format of a table by its name; of a folder Parquet, in as many files as there are."""
    if path.is_dir():
        return "Parquet"
    name = path.name.lower()
    plain = next((name.removesuffix(end) for end in COMPRESSIONS if name.endswith(end)), name)
    found = FORMATS.get(Path(plain).suffix)
    if found is None or (plain != name and found not in ("CSV", "TSV")):
        endings = f"{', '.join(FORMATS)}, or .csv with {', '.join(COMPRESSIONS)}"
        raise click.ClickException(f"{path} is in no known format: expected a name that ends in {endings}")
    return found


def read_table(path: Path, text: Iterable[str] = (), target: str | None = None) -> nw.DataFrame[Any]:
    """The table in a file, of at least one row and one column.

    Parameters
    ----------
    path : Path
    text : iterable of str
        Columns of a CSV file that are text even where all of it looks like numbers.
    target : str, optional
        Column in which only an empty field of a CSV file is missing if the others are words.

    Raises
    ------
    click.ClickException
        The file does not hold such a table, or what reads it is not installed.
    """
    format_, text = format_of(path), tuple(text)
    if path.is_file() and not path.stat().st_size:
        raise click.ClickException(f"{path} is empty: expected a table with at least one row and one column")
    for reader in READERS[format_]:
        try:
            frame = nw.from_native(reader(path, text, target), eager_only=True)
        except ImportError:
            continue
        except OSError as error:
            raise click.ClickException(f"{path} cannot be read: {error.strerror or one_line(error)}") from error
        except Exception as error:  # each library has its own errors for broken files
            raise click.ClickException(f"{path} cannot be read as {format_}: {_reason(error, format_)}") from error
        if not all(frame.shape):
            m, n = frame.shape
            raise click.ClickException(f"{path} is empty: it has {m} rows and {n} columns, expected one of each at least")
        return frame.with_columns(selectors.by_dtype(nw.Int128, nw.UInt128).cast(nw.Float64))  # NumPy has no such integers
    raise click.ClickException(f"{path}: no library that reads {format_} is installed: {INSTALL}")


def _reason(error: Exception, format_: str) -> str:
    """Why a file is broken, in the words of the library, or in plainer ones for rows that are longer than the header."""
    found = re.search(r"fields in (line \d+)|more fields than", str(error))
    if not found:
        return one_line(error)
    separator = _SEPARATORS["\t" if format_ == "TSV" else ","]
    return (
        f"{found[1] or 'a row'} has more fields than the header; expected fields separated by {separator}, one for each name in "
        "the header: leave no separator at the end of a row, and put quotes around text that holds one"
    )


def _pandas_csv(path: Path, text: tuple[str, ...], target: str | None, separator: str = ",") -> Any:
    import pandas as pd

    read = partial(pd.read_csv, path, sep=separator, keep_default_na=False)
    _check_header(read(header=None, nrows=1, dtype=str).iloc[0].to_list(), separator, target)
    read(header=None, nrows=2)  # fails if the first row is longer than the header, which is cut below
    frame = read(index_col=False, dtype=dict.fromkeys(text, str), na_values=NULLS, low_memory=False)
    others = [name for name in frame.select_dtypes(exclude=["number", "bool"]).columns if name not in text]
    frame = frame.assign(**{name: _typed(frame[name]) for name in others})
    if target in frame and frame[target].hasnans and pd.api.types.infer_dtype(frame[target].dropna()) in ("string", "empty"):
        frame[target] = read(usecols=[frame.columns.get_loc(target)], dtype=str, na_values=[""]).iloc[:, 0]
    return frame


def _typed(column: Any) -> Any:
    """Text as dates where all of it is such, as ISO 8601 writes them.

    Booleans with missing ones and integers above 64 bits, which pandas leaves as objects or text, get a type of their own.
    """
    import pandas as pd

    if pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return column.astype("boolean")
    try:
        pd.to_numeric(column[~column.isin(NULLS)].head(1))  # of text, the first value says so in a hundredth of the time
        return pd.to_numeric(column.mask(column.isin(NULLS))).astype("float64")
    except (ValueError, TypeError):
        pass
    try:
        return pd.to_datetime(column, format="ISO8601", utc=True).dt.tz_localize(None) if column.notna().any() else column
    except (ValueError, TypeError):
        return column


def _polars_csv(path: Path, text: tuple[str, ...], target: str | None, separator: str = ",") -> Any:
    import polars as pl

    if path.suffix.lower() in (".zip", ".xz"):
        raise ImportError("Polars reads neither")
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        content = _without_blank_lines(file.read(), separator)
    read = partial(pl.read_csv, content, separator=separator, infer_schema_length=None)
    header = _polars_header(content, separator)
    _check_header(header, separator, target)
    theirs = dict(zip(_names(header), read(n_rows=0).columns, strict=True))
    are_text = {theirs[name]: pl.String for name in text if name in theirs}
    frame = read(schema_overrides=are_text, null_values=list(NULLS))
    others = [name for name in frame.columns if frame[name].dtype == pl.String and name not in are_text]
    frame = frame.with_columns(_as_moments(frame[name]) for name in others)
    column = theirs.get(target or "")
    if column is not None and frame[column].dtype == pl.String and frame[column].null_count():
        words = read(schema_overrides={column: pl.String}, null_values=[""], columns=[column])
        frame = frame.with_columns(words[column])
    return frame.rename({given: name for name, given in theirs.items()})


def _polars_header(content: bytes, separator: str) -> list[str]:
    import polars as pl

    read = partial(pl.read_csv, content, separator=separator, has_header=False, infer_schema=False)
    return [name or "" for name in read(n_rows=1, truncate_ragged_lines=True).row(0)]


def _without_blank_lines(content: bytes, separator: str) -> bytes:
    """A CSV file without blank lines, which pandas skips, but with those within quotes."""
    blank = rb"[ \t]" if separator == "," else b" "
    line = rb"^(?:%b*\r?\n|%b+\Z)" % (blank, blank)
    if not re.search(line, content, re.MULTILINE):
        return content
    return re.sub(rb'("[^"]*")|' + line, lambda found: found[1] or b"", content, flags=re.MULTILINE)


def _as_moments(column: Any) -> Any:
    """The same as `_typed` for text of Polars: dates where all of it is such."""
    import polars as pl

    try:
        moments = {text: _moment(text) for text in column.unique().drop_nulls()}
    except (ValueError, OverflowError):
        return column
    return column.replace_strict(moments, return_dtype=pl.Datetime("us")) if moments else column


def _moment(text: str) -> datetime:
    """A date, with or without a time, as pandas reads ISO 8601: also without the day, and in UTC where it has an offset."""
    found = re.fullmatch(r"(\d{4})[-/.](\d\d?)(?:[-/.](\d\d?)([T ].+)?)?", text)
    if not found:
        raise ValueError(f"{text!r} is no date")
    year, month, day, time = found.groups(default="")
    moment = datetime.fromisoformat(f"{year}-{month:0>2}-{day or 1:0>2}{time}")
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _check_header(names: list[str], separator: str, target: str | None) -> None:
    """Refuse a first line whose fields are separated otherwise, which only says how, or which names the target twice.

    Raises
    ------
    ValueError
    """
    line, expected = separator.join(names), _SEPARATORS[separator]
    if re.fullmatch("sep=.?", line):
        raise ValueError(f"its first line, {line!r}, is for spreadsheet programs: delete it")
    if len(names) == 1 and ";" in line:
        what_to_do = f"separate them by {expected}, and write numbers with a decimal point"
        raise ValueError(f"the fields of its header are separated by ';', expected {expected}: {what_to_do}")
    if len(names) == 1 and "\t" in line:
        what_to_do = "give the file a name that ends in .tsv"
        raise ValueError(f"the fields of its header are separated by tabs, expected {expected}: {what_to_do}")
    if target is not None and (n := names.count(target)) > 1:
        raise ValueError(f"its header names the target {target!r} {n} times, expected once: remove the other columns")


def _names(header: list[str]) -> list[str]:
    """Names of columns as pandas gives them: "Unnamed: 3" where there is none, "name.1" for a second one of a name."""
    found, given, taken = header.copy(), set(header), set[str]()
    for place in sorted(range(len(header)), key=lambda place: not header[place]):
        name = header[place] or f"Unnamed: {place}"
        if name in taken:
            name = next(other for n in count(1) if (other := f"{name}.{n}") not in taken and other not in given)
        found[place] = name
        taken.add(name)
    return found


def _pandas_parquet(path: Path, *_: Any) -> Any:
    import pandas as pd

    return _typed_objects(pd.read_parquet(path))


def _typed_objects(frame: Any) -> Any:
    """A table whose booleans with missing ones, decimals and dates have types of their own, not that of objects."""
    import pandas as pd

    types = {"boolean": "boolean", "decimal": "float64", "date": "datetime64[s]"}
    found = {name: pd.api.types.infer_dtype(column, skipna=True) for name, column in frame.items() if column.dtype == object}
    return frame.astype({name: types[kind] for name, kind in found.items() if kind in types})


def _polars_parquet(path: Path, *_: Any) -> Any:
    import polars as pl

    frame = pl.read_parquet(path)
    if not hasattr(pl, "read_parquet_metadata"):  # an older Polars, with which the index of a data frame of pandas is a column
        return frame
    about = json.loads(pl.read_parquet_metadata(path).get("pandas", "{}"))
    return frame.drop([name for name in about.get("index_columns", []) if name in frame.columns])


def _pandas_feather(path: Path, *_: Any) -> Any:
    import pandas as pd

    return _typed_objects(pd.read_feather(path))


def _polars_feather(path: Path, *_: Any) -> Any:
    import polars as pl

    return pl.read_ipc(path)


#: Format -> what reads it: the first whose libraries are installed.
READERS: dict[str, tuple[Callable[[Path, tuple[str, ...], str | None], Any], ...]] = {
    "CSV": (_pandas_csv, _polars_csv),
    "TSV": (partial(_pandas_csv, separator="\t"), partial(_polars_csv, separator="\t")),
    "Parquet": (_pandas_parquet, _polars_parquet),
    "Feather": (_pandas_feather, _polars_feather),
}


def check_writable(path: Path, *read: Path) -> None:
    """Refuse a file that could not be written, before any work is done for it.

    Parameters
    ----------
    path : Path
    *read : Path
        What is read.

    Raises
    ------
    click.ClickException
        It is a folder, or one of the files that are read, or would be one of a folder's, or no file can be made beside it.
    """
    if path.is_dir():
        raise click.ClickException(f"{path} is a folder: give the name of a file to write")
    for other in read:
        if not (is_data_of(other, path) if other.is_dir() else path.exists() and path.samefile(other)):
            continue
        if path.exists():
            raise click.ClickException(f"{path} is a file to read: give the output another name")
        raise click.ClickException(f"{path} would be read as data of {other}: write it elsewhere")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}: {str(path.parent)!r}") from error


def check_written_format(path: Path) -> None:
    """Refuse a name whose format is not written."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise click.ClickException(f"{path}: predictions are written as .csv or .parquet")


def write_table(pieces: Iterable[nw.DataFrame[Any]], path: Path) -> int:
    """Write a table piece by piece: the old file or the new one is there, whole, whatever happens. How many rows it has."""
    sizes = []

    def counted() -> Iterator[nw.DataFrame[Any]]:
        for piece in pieces:
            sizes.append(len(piece))
            yield piece

    with replacing(path) as temporary:
        (_write_parquet if path.suffix.lower() == ".parquet" else _write_csv)(counted(), temporary)
    return sum(sizes)


def csv_of(pieces: Iterable[nw.DataFrame[Any]]) -> Iterator[str]:
    """The text of a CSV file, piece by piece; the first has the header."""
    header = ""
    for piece in pieces:
        yield piece.write_csv().removeprefix(header)
        header = header or piece[:0].write_csv()


def _write_csv(pieces: Iterator[nw.DataFrame[Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(csv_of(pieces))


def _write_parquet(pieces: Iterator[nw.DataFrame[Any]], path: Path) -> None:
    first, second = next(pieces), next(pieces, None)
    if second is None:
        first.write_parquet(path)
        return
    from pyarrow.parquet import ParquetWriter

    with ParquetWriter(path, first.to_arrow().schema) as writer:
        for piece in chain([first, second], pieces):
            writer.write_table(piece.to_arrow())
