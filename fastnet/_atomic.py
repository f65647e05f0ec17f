"""Writing files such that the old or the new one exists completely, whenever the process or the machine stops."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import secrets
import stat
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_SUFFIX = ".fastnet-tmp"

#: The name of a temporary file says which process of which machine writes it. It is short: it fits where the own name does.
_OF_WRITER = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX))
#: Seconds after which a temporary file of another machine counts as abandoned.
_A_DAY = 86_400


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a new temporary file that replaces `path` when the block ends without an error.

    The temporary file is in the same folder, because a rename cannot cross file systems. The file is flushed to the disk before
    the rename, and the folder after it, where the file system supports that. An error inside the block removes the temporary file
    and leaves `path` as it was. A process that is killed inside the block leaves the temporary file (see `remove_stale`).

    Parameters
    ----------
    path : path-like
        The file to create or replace. A symbolic link is followed: the file it points to is replaced.

    Yields
    ------
    Path
        An existing, empty file to write to. It has the permissions of the file it replaces, where the file system lets them
        be set, otherwise those of a new file.

    Raises
    ------
    OSError
        The folder does not exist or cannot be written to, the disk is full, or `path` is a folder, a device or a pipe, which must
        not be replaced. `path` is left untouched.
    """
    target = Path(os.path.realpath(os.fsdecode(path)))
    mode = _mode_of(target)
    temporary, new_mode = _create(target.parent, 0o666 if mode is None else mode)
    try:
        yield temporary
        _set_mode(temporary, new_mode if mode is None else mode)
        _flush(temporary, os.O_RDWR)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def remove_stale(folder: str | os.PathLike[str]) -> int:
    """Remove the temporary files that killed writers left in a folder; return how many there were.

    Files are kept if their writer is still running on this machine, or if another machine created them less than a day ago.
    """
    stale = [path for path in Path(folder).glob(f".*{TEMPORARY_SUFFIX}") if _left_behind(path)]
    for path in stale:
        with contextlib.suppress(PermissionError):  # Windows: a writer has it open
            path.unlink(missing_ok=True)
    return len(stale)


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _left_behind(path: Path) -> bool:
    """Whether nobody is writing the file any more; names without a writer come from earlier versions."""
    match = _OF_WRITER.fullmatch(path.name)
    if match is None:
        return True
    machine, process = match[1], int(match[2])
    if machine == _machine() and os.name == "posix":
        return not _is_running(process)
    try:
        return time.time() - path.stat().st_mtime > _A_DAY
    except FileNotFoundError:
        return False


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _mode_of(target: Path) -> int | None:
    """The permission bits of `target`, which must be a regular file; None if there is none."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, a pipe or a socket"
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(number, f"cannot save: this is {kind}. Give the path of a file, new or to be replaced", os.fspath(target))
    return stat.S_IMODE(status.st_mode)


def _create(folder: Path, mode: int) -> tuple[Path, int]:
    """A new file and the permissions that the umask gives it: reading the umask itself would change it for all threads."""
    temporary = folder / f".{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "the folder to save in does not exist: make it first", os.fspath(folder)) from None
    try:
        return temporary, stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _set_mode(path: Path, mode: int) -> None:
    """Set permissions where the file system supports them: network and FUSE mounts may refuse."""
    with contextlib.suppress(PermissionError, NotImplementedError):
        os.chmod(path, mode)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable, where folders can be opened and flushed. The file has already been replaced."""
    with contextlib.suppress(OSError):
        _flush(folder, os.O_RDONLY)
