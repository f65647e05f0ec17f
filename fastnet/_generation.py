"""Sequences of ids that a network goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import _checks
from fastnet._rows import flat
from fastnet._steps import Steps, steps_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnet._checks import Seed
    from fastnet.network import Network


def generate(
    self: Network,
    prompt: ArrayLike,
    n: int,
    *,
    source: ArrayLike | None = None,
    end: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    random_state: Seed = None,
) -> np.ndarray:
    """Write with a language model: ids that follow a prompt, each drawn from the network's softmax given those before it.

    The network reads ids of shape (length,) and has a softmax over the ids at each position, which depends on no later one.
    It sees the last `length` ids. While there are no more than that, each id takes one `step`, if the network's layers go step by
    step; otherwise all positions are computed anew for each id.

    Parameters
    ----------
    prompt : array-like of shape (at least 1,)
        Ids to begin with.
    n : int
        How many ids to draw, at most.
    source : array-like of shape `source_shape`, optional
        What the encoder reads, of a network with a `fastnet.EncoderDecoder`; shorter if the network is ragged.
    end : int, optional
        An id that ends what is written, and is not part of it.
    temperature : float
        Probabilities are those of the network to the power of ``1 / temperature``, normalised; 0: always the likeliest id.
    top_k : int, optional
        Draw from the `top_k` likeliest ids alone.
    random_state : int, SeedSequence, Generator or RandomState, optional

    Returns
    -------
    ndarray of int64, of shape (n,), or shorter if `end` was drawn

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
    end = None if end is None else _checks.integer(end, "end", minimum=0, maximum=n_ids - 1)
    n_given, following = len(ids), _following(self, _source(self, source), ids, longest)
    for _ in range(n):
        drawn = _choice(next(following), temperature, top_k, rng)
        if drawn == end:
            break
        ids.append(drawn)
    return np.array(ids[n_given:], np.int64)


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


def _source(network: Network, source: Any) -> np.ndarray | None:
    if (source is None) == bool(network.source_shape):
        raise ValueError(
            "generate needs the source that the encoder reads, source=..., got none."
            if source is None
            else "source is for networks with a fastnet.EncoderDecoder, this one has none: leave it out."
        )
    return None if source is None else _checks.numeric_array(source, "source")


def _following(network: Network, source: np.ndarray | None, ids: list[int], longest: int) -> Iterator[np.ndarray]:
    """Probabilities of the id that follows; before they are asked for again, the id that was drawn has been appended."""
    try:
        steps = steps_of(network)
    except ValueError:
        _refuse_foresight(network, source, ids[-longest:])
    else:
        stepwise = _by_steps(network, source, ids, steps)
        while len(ids) <= longest:
            yield next(stepwise)
    while True:
        yield _next(network, source, ids[-longest:])


def _by_steps(network: Network, source: np.ndarray | None, ids: list[int], steps: Steps) -> Iterator[np.ndarray]:
    """`_following`, one step for each id."""
    params, state, n_read = steps.parameters_of(network), None, 0
    if source is not None:
        state = steps.first_state(network, flat(network, _row(network, source, ids)))[0]
    while True:
        for number in ids[n_read:]:
            A, state = steps(params, number, state)
        n_read = len(ids)
        yield A


def _row(network: Network, source: np.ndarray | None, ids: list[int], filled_with: int = 0) -> Any:
    """X of one row with these ids."""
    row = np.array(ids, network.dtype)
    if not network.ragged:
        row = np.pad(row, (0, network.input_shape[0] - len(ids)), constant_values=filled_with)
    return [row] if source is None else ([source], [row])


def _next(network: Network, source: np.ndarray | None, ids: list[int], filled_with: int = 0) -> np.ndarray:
    """Probabilities of the id that follows."""
    return np.asarray(network.forward(_row(network, source, ids, filled_with)).reshape(network.output_shape)[len(ids) - 1])


def _refuse_foresight(network: Network, source: np.ndarray | None, ids: list[int]) -> None:
    """ValueError if an output depends on what comes after its position, which generation does not know."""
    zeros, ones = (_next(network, source, ids, filler) for filler in (0, 1))
    if not np.array_equal(zeros, ones, equal_nan=True):
        raise ValueError(
            "generate needs outputs that depend on no later position: give Attention and TransformerBlock causal=True, and "
            "Conv1d padding='causal'."
        )


def _choice(probabilities: np.ndarray, temperature: float, top_k: int, rng: np.random.Generator) -> int:
    if temperature == 0:
        return int(probabilities.argmax())
    with np.errstate(divide="ignore", over="ignore"):
        logits = np.log(probabilities.astype(np.float64))
        logits = (logits - logits.max()) / temperature
    logits[np.argsort(-logits, kind="stable")[top_k:]] = -np.inf
    weights = np.exp(logits)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
