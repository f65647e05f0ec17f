"""Atomic replacement of files, including when the writer is killed or the disk is full."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import fastnet as fn
from fastnet import _atomic

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals, limits and permissions")


def _leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(_atomic.TEMPORARY_SUFFIX)]


def test_replaces_the_content(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with _atomic.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert _leftovers(tmp_path) == []


def test_an_error_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), _atomic.replacing(path) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half way")
    assert path.read_text() == "old"
    assert _leftovers(tmp_path) == []


def test_an_error_on_the_first_write_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), _atomic.replacing(tmp_path / "file"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@posix
def test_new_files_follow_the_umask_and_old_ones_keep_their_permissions(tmp_path):
    path = tmp_path / "file"
    old = os.umask(0o027)
    try:
        with _atomic.replacing(path):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    with _atomic.replacing(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@posix
def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with _atomic.replacing(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), _atomic.replacing(tmp_path / "no" / "file"):
        pass


def test_flushes_file_and_folder_before_and_after_the_rename(tmp_path, monkeypatch):
    """The order that makes it durable: file to disk, rename, folder to disk."""
    calls = []
    replace = os.replace

    def fsync(descriptor: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")

    monkeypatch.setattr(_atomic.os, "fsync", fsync)
    monkeypatch.setattr(_atomic.os, "replace", lambda *paths: (calls.append("rename"), replace(*paths)))
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to tell what is flushed")
    with _atomic.replacing(tmp_path / "file"):
        pass
    assert calls == ["file", "rename", "folder"]


def test_only_temporary_files_are_stale(tmp_path):
    for name in (".model.a1" + _atomic.TEMPORARY_SUFFIX, "model" + _atomic.TEMPORARY_SUFFIX, ".model", "model"):
        (tmp_path / name).touch()
    assert _atomic.remove_stale(tmp_path) == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".model", "model", "model" + _atomic.TEMPORARY_SUFFIX]
    assert _atomic.remove_stale(tmp_path / "no") == 0


@posix
@pytest.mark.parametrize("n_kills", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_leave_a_whole_file(tmp_path, run_script, n_kills):
    """A process that saves without pause is killed many times: the file always loads, and is one model, not a mixture."""
    kills, loads, stale = map(int, run_script("_kill_writer.py", tmp_path, n_kills).split())
    assert kills == loads == n_kills
    assert stale > 0  # some were killed in the middle of writing


@posix
def test_a_full_disk_keeps_the_old_file(tmp_path, run_script):
    """A limit on file sizes stands in for a full disk: the OSError says so, the old model stays, no temporary file is left."""
    path = tmp_path / "model.safetensors"
    fn.Network([fn.Dense(1, "identity")], n_inputs=1, random_state=0).save(path)
    before = path.read_bytes()
    message = run_script("_full_disk.py", path)
    assert "OSError" in message and "File too large" in message and "unchanged" in message
    assert path.read_bytes() == before
    assert _leftovers(tmp_path) == []


def save(path, text="new"):
    with _atomic.replacing(path) as temporary:
        temporary.write_text(text)


def test_names_as_long_as_the_system_takes(tmp_path):
    path = tmp_path / ("m" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    save(path)
    assert path.read_text() == "new"


@pytest.mark.parametrize("call", ["chmod", "flush of the folder"])
def test_what_the_file_system_refuses_after_writing_is_no_error(call, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_text("old")
    opened = os.open

    def refuse(*arguments, **options):
        raise PermissionError(1, "Operation not permitted")

    if call == "chmod":
        monkeypatch.setattr(os, "chmod", refuse)
    else:
        monkeypatch.setattr(os, "open", lambda name, *rest: refuse() if os.path.isdir(name) else opened(name, *rest))
    save(path)
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name on this system")
def test_pipes_and_devices_are_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/null"):
        with pytest.raises(OSError, match="a device, a pipe or a socket. Give the path of a file"):
            save(path)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_folders_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="this is a folder"):
        save(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="the folder to save in does not exist.*nowhere"):
        save(tmp_path / "nowhere" / "model")


@pytest.mark.skipif(os.name != "posix", reason="no umask")
def test_the_umask_is_never_changed(tmp_path, monkeypatch):
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", None)
        save(tmp_path / "model")
        assert (tmp_path / "model").stat().st_mode & 0o777 == 0o640
    finally:
        monkeypatch.undo()
        os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="processes are not looked for on this system")
def test_files_of_writers_at_work_are_not_stale(tmp_path):
    with _atomic.replacing(tmp_path / "model") as temporary:
        assert _atomic.remove_stale(tmp_path) == 0
        assert temporary.exists()
    child = os.fork()
    if child == 0:
        with _atomic.replacing(tmp_path / "other"):
            os._exit(0)
    os.waitpid(child, 0)
    assert _atomic.remove_stale(tmp_path) == 1


def test_files_of_other_machines_are_stale_after_a_day(tmp_path):
    path = tmp_path / f".00000000-1-00000000{_atomic.TEMPORARY_SUFFIX}"
    path.touch()
    assert _atomic.remove_stale(tmp_path) == 0
    os.utime(path, (0, 0))
    assert _atomic.remove_stale(tmp_path) == 1
