"""The state of a training run in a file, and the checks before it is used."""

from __future__ import annotations

import os
from collections.abc import Iterable
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.persistence import _container, _format, _load, _network
from fastnet.persistence._container import Container
from fastnet.persistence._values import pack, unpack

if TYPE_CHECKING:
    from fastnet._members import Ensemble
    from fastnet._session import Session
    from fastnet.network import Network


#: Entries that were added to positions after their first version, with the values for files that lack them.
_LATER = {"history.val_score": np.empty(0)}

#: What was added to how a run is recognised; files that lack it are not judged by it.
_LATER_OF_RUN = ("checksum",)


def save(session: Session, path: str | os.PathLike[str]) -> None:
    """Write the state of a session and its callbacks, atomically.

    Raises
    ------
    TypeError, ValueError
        A callback's state is not one that `resume` would restore.
    OSError
        The file could not be written; the previous one is unchanged.
    """
    content, tensors = _network.describe(session.network)
    position = session.position()
    del position["params"]
    content["position"] = pack(position, tensors, "position")
    content["run"] = session.identity
    content["callbacks"] = [_packed_state(callback, session.network, tensors) for callback in with_state(session.callbacks)]
    _container.write(path, _format.dump("checkpoint", content), tensors)


def _packed_state(callback: Any, network: Network, tensors: dict[str, np.ndarray]) -> Any:
    """Return the JSON form of a callback's name and state, whose arrays are added to `tensors`."""
    name, state = callback_name(callback), callback.state_dict()
    if not _is_state(state):
        raise TypeError(f"state_dict() of {name} must return a dictionary whose keys are strings, got {short(state)}.")
    for key, value in state.items():
        if _are_other_parameters(key, value, network):
            raise ValueError(
                f"The state of {name} has under {key!r} an array of shape {value.shape} and dtype {value.dtype}, and the "
                f"network's parameters have {network.params.shape} and {network.dtype}: give it a name that does not end in "
                "'params'."
            )
    try:
        return pack((name, state), tensors, f"callbacks.{name}")
    except TypeError as error:
        raise TypeError(
            f"The state of {name} cannot be saved: {error}. It may have numbers, bools, strings, None, arrays, and lists, tuples "
            "and dictionaries of these."
        ) from error


def load(path: str | os.PathLike[str]) -> tuple[Network, dict[str, Any], list[tuple[str, Any]]]:
    """Read a checkpoint.

    Returns
    -------
    network : Network
    position : dict
        As `Session.position` gives it.
    callbacks : list of (str, dict)
        Class name and state of each callback that has a state.

    Raises
    ------
    ValueError
        The file is not a checkpoint, or is broken.
    OSError
        It cannot be read.
    """
    return _load_parts(path)[:3]


def _load_parts(path: str | os.PathLike[str]) -> tuple[Network, dict[str, Any], list[tuple[str, Any]], Any]:
    """Return what `load` returns, and the identity of the run."""
    file, kind, content = _load.open_file(path, mmap=False)
    try:
        return *parts(file, kind, content), content.get("run")
    except ValueError as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from error


def parts(file: Container, kind: str, content: dict[str, Any]) -> tuple[Network, dict[str, Any], list[tuple[str, Any]]]:
    """Return the content of a checked container; see `load`."""
    if kind != "checkpoint":
        raise ValueError(f"it holds a {kind}, not a checkpoint: only files of the Checkpoint callback can be resumed from")
    network = _load.build(file, kind, content)
    try:
        position, callbacks = unpack(content.get("position"), file), unpack(content.get("callbacks"), file)
    except RecursionError:
        raise ValueError("broken file: its description is nested too deeply") from None
    if not isinstance(position, dict) or not _are_states(callbacks):
        raise ValueError("broken file: it holds no position")
    return network, {**_LATER, **position, "params": network.params}, callbacks


def resume(session: Session, path: str | os.PathLike[str]) -> None:
    """Restore a session and its callbacks to the state in which a checkpoint was written.

    Parameters
    ----------
    session : Session
        With the same architecture, data and options; only the length of the training may differ. Callbacks that have a state
        must be of the same classes, in the same order, as when the checkpoint was written.
    path : path-like

    Raises
    ------
    ValueError
        The checkpoint is broken, or belongs to another network or run; nothing is changed in that case.
    OSError
        The file cannot be read.
    """
    network, position, states, run = _load_parts(path)
    callbacks = with_state(session.callbacks)
    try:
        _check_network(session.network, network)
        _check_run(session, run)
        _check_states(session, callbacks, position, states)
        _check_position(position)
        _check_parameters(states, network)
    except ValueError as error:
        raise ValueError(f"cannot resume from {os.fspath(path)!r}: {error}") from error
    session.restore(position)
    for callback, (_, state) in zip(callbacks, states, strict=True):
        callback.load_state_dict(state)


def with_state(callbacks: Iterable[Any]) -> list[Any]:
    """Return the callbacks that have a state."""
    return [callback for callback in callbacks if hasattr(callback, "state_dict")]


def callback_name(callback: Any) -> str:
    """Return the name of a callback in files and messages."""
    return type(callback).__name__


def _are_states(callbacks: Any) -> bool:
    return isinstance(callbacks, list) and all(
        isinstance(pair, tuple) and len(pair) == 2 and _is_state(pair[1]) for pair in callbacks
    )


def _is_state(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(name, str) for name in state)


def _check_network(mine: Network, saved: Network) -> None:
    if (mine.sizes, mine.layers, mine.dtype, mine._inputs) != (saved.sizes, saved.layers, saved.dtype, saved._inputs):
        raise ValueError(f"it is a checkpoint of {saved!r}, not of {mine!r}.")
    if max(mine.n_members, saved.n_members) > 1 and mine._together != saved._together:
        raise ValueError(f"it is a checkpoint of members with {_shown(saved._together)}, not of {_shown(mine._together)}.")


def _shown(together: Ensemble) -> str:
    return f"n_members={together.n_members}, ensemble={together.kind!r}, ensemble_loss={together.loss!r}"


def _check_run(session: Session, saved: Any) -> None:
    """Check that options and data are those that the checkpoint was written with; files of older versions do not record them."""
    if saved is None:
        return
    mine = session.identity
    if not isinstance(saved, dict) or not all(isinstance(text, str) for text in saved.values()):
        raise ValueError("it is broken: it does not say which run it belongs to.")
    saved = {name: mine[name] for name in _LATER_OF_RUN if name in mine} | saved
    names = [name for name in mine | saved if mine.get(name) != saved.get(name)]
    other = [f"{name} was {_value_of(name, saved)}, is {_value_of(name, mine)}" for name in names]
    if other:
        raise ValueError(
            f"it belongs to another run ({'; '.join(other)}; data as a checksum of X, y and sample_weight). "
            "Continue with the same data and options, or start afresh in another folder."
        )


def _value_of(name: str, options: dict[str, str]) -> str:
    return short(options[name]) if name in options else "not given"


def _check_states(session: Session, callbacks: list[Any], position: dict[str, Any], states: list[tuple[str, Any]]) -> None:
    """Check that the saved values have the types of those that this run and fastnet's callbacks would save.

    Users' callbacks may save other types in another epoch, and get what they have saved.
    """
    names, written = [callback_name(callback) for callback in callbacks], [name for name, _ in states]
    if names != written:
        raise ValueError(f"it was written with the callbacks {written}, this run has {names}.")
    own = [(callback.state_dict(), state) for callback, (_, state) in zip(callbacks, states, strict=True) if _is_own(callback)]
    if not all(_alike(template, saved) for template, saved in [(session.position(), position), *own]):
        raise ValueError("it does not hold what this run would save: it is broken, or belongs to another run.")


def _check_position(position: dict[str, Any]) -> None:
    """Refuse values that the core cannot work with."""
    counters, order = [position[name] for name in ("epoch", "step", "seed")], position["order"]
    if not all(type(counter) is int and 0 <= counter < 2**63 for counter in counters):
        raise ValueError(f"it is broken: its counters are {counters}, expected natural numbers below 2^63.")
    if not np.array_equal(np.sort(order), np.arange(order.size)) or not position["rng"].any():
        raise ValueError("it is broken: its row order is no permutation, or its random state is zero.")
    if any(np.isnan(memory).any() for memory in position["state"]):  # infinity is accepted: an infinite moment makes steps of 0
        raise ValueError("it is broken: the optimiser's memory holds NaN.")


def _check_parameters(states: list[tuple[str, Any]], network: Network) -> None:
    """Check arrays of callbacks whose names end in params: each must be a parameter vector of the network."""
    if any(_are_other_parameters(name, value, network) for _, state in states for name, value in state.items()):
        raise ValueError(f"it is broken: a callback's parameters are not those of {network!r}.")


def _are_other_parameters(name: str, value: Any, network: Network) -> bool:
    """Whether a value of a callback's state is called parameters, and is an array that cannot be the network's."""
    is_array = name.endswith("params") and isinstance(value, np.ndarray)
    return is_array and (value.shape, value.dtype) != (network.params.shape, network.dtype)


def _is_own(callback: Any) -> bool:
    return type(callback).__module__.partition(".")[0] == "fastnet"


def _alike(template: Any, saved: Any) -> bool:
    """Whether a saved value can replace `template`; a template of None, a value not known yet, takes an array."""
    if isinstance(template, dict):
        same_keys = isinstance(saved, dict) and template.keys() == saved.keys()
        return same_keys and all(_alike(template[key], saved[key]) for key in template)
    if isinstance(template, list):
        return isinstance(saved, list) and len(saved) == len(template) and all(map(_alike, template, saved))
    if template is None:
        return saved is None or (isinstance(saved, np.ndarray) and saved.dtype.kind == "f" and bool(np.isfinite(saved).all()))
    if isinstance(template, np.ndarray):
        same_dtype = isinstance(saved, np.ndarray) and (saved.dtype == template.dtype or not template.size)
        return same_dtype and saved.ndim == template.ndim
    return _is_number(saved) if _is_number(template) else type(saved) is type(template)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
