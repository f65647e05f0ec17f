"""Saving: a model becomes a kind, a JSON description and tensors, written atomically."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastnet.network import Network
from fastnet.persistence import _container, _estimators, _format, _load, _network, _states


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Save a network or a fitted estimator as a safetensors file that `load` reads.

    The file is written beside `path`, flushed to disk and renamed: even if the process is killed at any moment, either the old or
    the new file is there, complete.

    Parameters
    ----------
    model : Network, or any estimator of fastnet, or TabularPreprocessor
        Estimators must be fitted.
    path : path-like
        The file to create or replace; its name usually ends in `.safetensors`.

    Raises
    ------
    TypeError
        The model is of another kind, or holds something that only pickle could store (for example a function as parameter).
    ValueError
        `load` would refuse the file: a parameter that was set after fit is not valid, or does not fit the model.
    sklearn.exceptions.NotFittedError
        The estimator is not fitted.
    OSError
        The file could not be written; the previous one is unchanged.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(1, "identity")], n_inputs=2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     net.save(path)
    ...     same = fn.load(path, mmap=False)
    >>> bool((same.params == net.params).all())
    True
    """
    if isinstance(model, Network):
        kind, (content, tensors) = "network", _network.describe(model)
    elif (known := _states.kind(model)) is not None:
        kind, (content, tensors) = known, _states.describe(model)
    else:
        kind, (content, tensors) = _estimators.kind(model), _estimators.describe(model)
    metadata = _format.dump(kind, content)
    if kind != "network":
        _refuse_what_load_refuses(model, metadata, tensors)
    _container.write(path, metadata, tensors)


def _refuse_what_load_refuses(model: Any, metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> None:
    size = sum(tensor.nbytes for tensor in tensors.values()) + sum(map(len, metadata.values()))
    try:
        _load.build(_container.Container(metadata, tensors, size), *_format.parse(metadata), check_finite=False)
    except ValueError as error:
        reason = str(error).removeprefix("broken file: ")
        raise ValueError(f"cannot save a {type(model).__name__} that load would refuse: {reason}") from error
