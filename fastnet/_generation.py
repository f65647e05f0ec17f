"""Sequences of ids that a network goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _checks
from fastnet._steps import steps_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnet._checks import Seed
    from fastnet.network import Network


def generate(
    self: Network,
    prompt: ArrayLike,
    n: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    random_state: Seed = None,
) -> np.ndarray:
    """Ids that follow a prompt, each drawn from the network's softmax after all that came before it: a language model writes.

    The network reads ids of shape (length,) and has a softmax over the ids at each position, which depends on no later one.
    It sees the last `length` ids. While there are no more than that, each id takes one `step`, if the network's layers go step by
    step; otherwise all positions are computed anew for each id.

    Parameters
    ----------
    prompt : array-like of shape (at least 1,)
        Ids to begin with.
    n : int
        How many ids to draw.
    temperature : float
        Probabilities are those of the network to the power of ``1 / temperature``, normalised; 0: always the likeliest id.
    top_k : int, optional
        Draw from the `top_k` likeliest ids alone.
    random_state : int, SeedSequence, Generator or RandomState, optional

    Returns
    -------
    ndarray of int64, of shape (n,)

    Raises
    ------
    ValueError, TypeError
        A network of another kind, or ids that it does not have.
    """
    longest, n_ids = _sizes(self)
    ids = _prompt(prompt, n_ids)
    n = _checks.integer(n, "n", minimum=0)
    temperature = _checks.real(temperature, "temperature", minimum=0.0)
    top_k = n_ids if top_k is None else min(_checks.positive_int(top_k, "top_k"), n_ids)
    rng = _checks.generator(random_state)
    following = _following(self, ids, longest)
    for _ in range(n):
        ids.append(_choice(next(following), temperature, top_k, rng))
    return np.array(ids[len(ids) - n :], np.int64)


def _sizes(network: Network) -> tuple[int, int]:
    """Most ids that the network reads, and how many there are to choose from."""
    shape = network.input_shape
    if len(shape) != 1 or network.output_shape[:-1] != shape or network.output_activation.name != "softmax":
        raise ValueError(
            "generate needs a network that reads ids (length,) and has a softmax at each position, got one from "
            f"{shape} to {network.output_shape} with {network.output_activation.name!r}."
        )
    return shape[0], network.output_shape[-1]


def _prompt(prompt: Any, n_ids: int) -> list[int]:
    ids = _checks.numeric_array(prompt, "prompt")
    if ids.ndim != 1 or not len(ids) or not ((ids >= 0) & (ids < n_ids) & (ids == np.floor(ids))).all():
        raise ValueError(f"prompt must be at least one id from 0 to {n_ids - 1}, in a sequence; got {prompt!r}.")
    return [int(number) for number in ids]


def _following(network: Network, ids: list[int], longest: int) -> Iterator[np.ndarray]:
    """Probabilities of the id that follows; before they are asked for again, the id that was drawn has been appended."""
    try:
        steps = steps_of(network)
    except ValueError:
        _refuse_foresight(network, ids[-longest:])
        steps = None
    state, n_read = None, 0
    while True:
        if steps is None or len(ids) > longest:
            yield _next(network, ids[-longest:])
            continue
        for number in ids[n_read:]:
            A, state = steps(network.params, number, state)
        n_read = len(ids)
        yield A


def _next(network: Network, ids: list[int], filled_with: int = 0) -> np.ndarray:
    """Probabilities of the id that follows."""
    if network.ragged:
        return np.asarray(network.forward([ids])[0, len(ids) - 1])
    row = np.full(network.input_shape, filled_with, network.dtype)
    row[: len(ids)] = ids
    return np.asarray(network.forward(row)[len(ids) - 1])


def _refuse_foresight(network: Network, ids: list[int]) -> None:
    """ValueError if an output depends on what comes after its position, which generation does not know."""
    if not network.ragged and not np.array_equal(_next(network, ids, 0), _next(network, ids, 1), equal_nan=True):
        raise ValueError(
            "generate needs outputs that depend on no later position: give Attention and TransformerBlock causal=True, and "
            "Conv1d padding='causal'."
        )


def _choice(probabilities: np.ndarray, temperature: float, top_k: int, rng: np.random.Generator) -> int:
    if temperature == 0:
        return int(probabilities.argmax())
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities.astype(np.float64)) / temperature
    logits[np.argsort(-logits, kind="stable")[top_k:]] = -np.inf
    weights = np.exp(logits - logits.max())
    return int(rng.choice(len(weights), p=weights / weights.sum()))
