"""Loading: a file is mapped into memory, checked, and becomes the kind of model that it says it is."""

from __future__ import annotations

import mmap as _mmap
import os
import stat
from collections.abc import Callable
from reprlib import repr as short
from typing import Any

import numpy as np

from fastnet.network import Network
from fastnet.persistence import _container, _estimators, _format, _network, _states

FINITE_CHECK_LIMIT = 16 << 20  # bytes; in files up to this size, checking every parameter takes next to no time

#: kind -> builder; a checkpoint is a network with further content.
_BUILDERS: dict[str, Callable[[dict[str, Any], _container.Container], Any]] = {
    "network": _network.build,
    "checkpoint": _network.build,
    "classifier": _estimators.build,
    "regressor": _estimators.build,
    "network classifier": _estimators.build,
    "network regressor": _estimators.build,
    **dict.fromkeys(_states.KINDS, _states.build),
}


def load(path: str | os.PathLike[str], *, mmap: bool = True, check_finite: bool | None = None) -> Any:
    """Load what `save` or a `Checkpoint` callback wrote. Nothing in the file is executed; every field is checked before use.

    Parameters
    ----------
    path : path-like
        A file on a file system (not a pipe).
    mmap : bool
        True maps the file copy-on-write: opening is quick whatever the file's size, processes that load the same file share
        its pages, and the parameters can be changed as usual. Changes (by `fit`, or by hand) go to private copies of the
        pages, never to the file. The file must not be truncated or edited in place while the model exists; replacing it, as
        `save` does, is fine (Windows refuses to replace a mapped file: use False there). False reads the file into memory.
    check_finite : bool, optional
        Whether to refuse parameters that are NaN or infinite, which means reading all of them. None does so for files of
        at most 16 MiB.

    Returns
    -------
    Network, or one of fastnet's estimators, or TabularPreprocessor

    Raises
    ------
    ValueError
        The file is not one of fastnet's, is broken or truncated, or has a later format; the message says what is wrong.
    OSError
        The file does not exist or cannot be read.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(1, "identity")], n_inputs=2, random_state=0)
    >>> net.save("net.safetensors")
    >>> bool((fn.load("net.safetensors").params == net.params).all())
    True
    """
    file, kind, content = open_file(path, mmap=mmap)
    try:
        return build(file, kind, content, check_finite)
    except ValueError as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from error


def open_file(path: str | os.PathLike[str], *, mmap: bool) -> tuple[_container.Container, str, dict[str, Any]]:
    """Return the checked container of a file, its kind and its description."""
    try:
        file = _container.read(_buffer(path, mmap))
        return file, *_format.parse(file.metadata)
    except ValueError as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from error


def build(file: _container.Container, kind: str, content: dict[str, Any], check_finite: bool | None = None) -> Any:
    """Return the model of a checked container; see `load`."""
    if kind not in _BUILDERS:
        raise ValueError(f"the file holds a {short(kind)}, expected one of {', '.join(_BUILDERS)}")
    try:
        model = _BUILDERS[kind](content, file)
    except RecursionError:
        raise ValueError("broken file: its description is nested too deeply") from None
    checks_itself = kind in _states.KINDS
    if not checks_itself and (check_finite or (check_finite is None and file.size <= FINITE_CHECK_LIMIT)):
        _check_finite(model)
    return model


def _buffer(path: str | os.PathLike[str], mmap: bool) -> Any:
    """Return the whole file as a writable buffer whose changes are never written to the file."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("not a regular file")
    with open(path, "rb") as source:
        size = os.fstat(source.fileno()).st_size
        if mmap and size > 0:
            return _mmap.mmap(source.fileno(), 0, access=_mmap.ACCESS_COPY)
        return bytearray(source.read())


def _check_finite(model: Any) -> None:
    network = model if isinstance(model, Network) else _estimators.network_of(model)
    for name, parameter in network.parameters.items():
        if not np.isfinite(parameter).all():
            raise ValueError(f"parameter {name!r} holds NaN or Inf; load with check_finite=False to look at it")
