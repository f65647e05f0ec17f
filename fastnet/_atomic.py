"""Writing a file so that, whenever the process or the machine stops, the old file or the new one is there, whole."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_SUFFIX = ".fastnet-tmp"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a new temporary file that takes the place of `path` when the block ends without an error.

    The temporary file lies in the same folder (a rename does not cross file systems), is flushed to the disk before the
    rename, and the folder after it. An error inside the block removes the temporary file and leaves `path` as it was; a
    process killed inside the block leaves the temporary file behind (`remove_stale` clears such files).

    Parameters
    ----------
    path : path-like
        The file to create or replace. A symbolic link is followed: the file it points to is replaced.

    Yields
    ------
    Path
        An existing, empty file to write to. It has the permissions of the file it replaces, or those of a new file.

    Raises
    ------
    OSError
        The folder does not exist or cannot be written to, or the disk is full; `path` is untouched.
    """
    target = Path(os.path.realpath(path))
    mode = _permissions(target)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=TEMPORARY_SUFFIX)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, mode)
        _flush(temporary, os.O_RDWR)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def remove_stale(folder: str | os.PathLike[str]) -> int:
    """Remove the temporary files that killed writers left in a folder; return how many there were.

    Only for callers who know that nobody is writing there at this moment.
    """
    stale = list(Path(folder).glob(f".*{TEMPORARY_SUFFIX}"))
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def _permissions(target: Path) -> int:
    """The permission bits of `target`, or those a new file gets under this process's umask."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable; Windows cannot open folders and needs no such step."""
    if os.name == "posix":
        _flush(folder, os.O_RDONLY)
