"""Factors of learning rates and decays for parts of a network, and schedules of further hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnet import _checks, schedules
from fastnet._hints import did_you_mean
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.optimizers import GradientRule
from fastnet.schedules import Schedule

#: Hyperparameters that schedules may be given for, in the order of the core's table of settings, after the learning rate.
SCHEDULED = ("weight_decay", "dropout", "momentum", "label_smoothing")


def by_segment(network: Network, factors: Mapping[str, float] | None, name: str) -> list[float] | None:
    """A factor for each segment of a network.

    Parameters
    ----------
    network : Network
    factors : mapping of str to float, optional
        By names of parameters ("2.W"), of layers ("2", and "2.1" within it), or of parameters in all layers ("b"); the most
        specific one counts.
    name : str
        What the factors are called, for errors.

    Returns
    -------
    list of float, or None where no factors are given
        Segments that are not named have 1; of `decay_factors`, those that are penalised have 1 and the others 0.

    Raises
    ------
    ValueError, TypeError
        A name that nothing has, or a factor that is negative or no number.
    """
    if not factors:
        return None
    checked = {str(key): _checks.real(value, f"{name}[{key!r}]", minimum=0.0) for key, value in factors.items()}
    penalised = [is_penalised for *_, is_penalised, _ in network._plan.segment_table()]
    found, used = [], set()
    for (parameter, *_), is_penalised in zip(network._graph.segments(), penalised, strict=True):
        keys = [key for key in _names_of(parameter) if key in checked]
        used.update(keys)
        default = 1.0 if name != "decay_factors" else float(is_penalised)
        found.append(checked[keys[0]] if keys else default)
    unknown = sorted(checked.keys() - used)
    if unknown:
        known = sorted({key for parameter in network.parameters for key in _names_of(parameter)})
        raise ValueError(
            f"{name} names {unknown[0]!r}, which is no part of the network; it has {', '.join(known)}."
            f"{did_you_mean(unknown[0], known)}"
        )
    return found


def _names_of(parameter: str) -> list[str]:
    """The names that a parameter goes by, the most specific one first: "2.1.W", "2.1", "2", "W"."""
    *path, letter = parameter.split(".")
    return [parameter, *(".".join(path[:end]) for end in range(len(path), 0, -1)), letter]


def scheduled(given: Mapping[str, Any] | None, optimizer: GradientRule) -> dict[str, Schedule]:
    """Schedules of hyperparameters by their names.

    Raises
    ------
    ValueError, TypeError
        A name that is not in `SCHEDULED`, or no schedule, or one of a momentum that the optimiser does not have.
    """
    checked = {}
    for name, schedule in (given or {}).items():
        if name not in SCHEDULED:
            raise ValueError(
                f"schedules names {name!r}; it may name {', '.join(SCHEDULED)} (the learning rate's is `learning_rate`)."
                f"{did_you_mean(str(name), SCHEDULED)}"
            )
        checked[name] = schedules.get(schedule)
    if "momentum" in checked and not _has_momentum(optimizer):
        raise ValueError(
            "schedules['momentum'] needs an optimiser with momentum, such as SGD(momentum=0.9), RMSprop, Adam or Lion, got "
            f"{optimizer!r}."
        )
    return checked


def _has_momentum(optimizer: GradientRule) -> bool:
    return optimizer.kernel not in ("sgd", "adagrad")


def settings(rates: np.ndarray, given: Mapping[str, Schedule], start: int, n: int) -> np.ndarray:
    """The core's table of n updates from number `start`: learning rates and the factors of `SCHEDULED`."""
    table = np.ones((n, 1 + len(SCHEDULED)))
    table[:, 0] = rates
    for column, name in enumerate(SCHEDULED, 1):
        if name in given:
            table[:, column] = given[name].rates(start, n)
    return table


def check_scheduled(table: np.ndarray, network: Network, loss: Loss, optimizer: GradientRule) -> None:
    """Refuse, with a ValueError, factors that take a hyperparameter to 1 or beyond where it must stay below."""
    most = dict(zip(SCHEDULED, table[:, 1:].max(axis=0).tolist(), strict=True))
    if max(most.values()) <= 1:
        return
    limits = {
        "dropout": max((node.operation.dropout for node in network._graph.nodes), default=0.0),
        "momentum": optimizer.hyper()[0] if _has_momentum(optimizer) else 0.0,
        "label_smoothing": loss.parameter if loss.name == "cross_entropy" else 0.0,
    }
    for name, value in limits.items():
        if most[name] > 1 and value * most[name] >= 1:
            raise ValueError(f"schedules[{name!r}] times {value:g} must stay below 1, got {value * most[name]:g}.")
