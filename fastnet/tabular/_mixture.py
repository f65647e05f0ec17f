"""The networks of an estimator as one: how much each of them counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fastnet.tabular._folds import Fold, Rows, Task

#: Predictions that are chosen, one after the other.
_N_STEPS = 20

#: Most numbers of a prediction that they are chosen by.
_MOST_NUMBERS = 200_000


@dataclass(frozen=True)
class Mixture:
    """Networks that count, how much each does, the rows that none of them was trained on, and their mean outputs for these."""

    folds: list[Fold]
    weights: np.ndarray
    held: Rows
    outputs: np.ndarray

    @classmethod
    def of(cls, task: Task, folds: Sequence[Fold]) -> Mixture:
        """Weigh the kinds of networks by their outputs for validation rows; without such rows all are equal."""
        kinds = sorted({fold.kind for fold in folds})
        of_kinds = [{fold.part: fold for fold in folds if fold.kind == kind} for kind in kinds]
        parts = sorted(set.intersection(*map(set, of_kinds)))
        held = Rows.joined([of_kinds[0][part].held for part in parts])
        shares = np.full(len(kinds), 1 / len(kinds))
        if len(held) and len(kinds) > 1:
            few = slice(None, None, -(-sum(of_kinds[0][part].outputs.size for part in parts) // _MOST_NUMBERS))
            rows = Rows.joined([of_kinds[0][part].held[few] for part in parts])
            of_few = [np.concatenate([of_kind[part].outputs[few] for part in parts]) for of_kind in of_kinds]
            shares = greedy_weights(of_few, lambda mean: task.smooth_badness(rows, mean))
        counting = [(fold, share / len(of_kind)) for share, of_kind in zip(shares, of_kinds, strict=True) if share
                    for fold in of_kind.values()]  # fmt: skip
        # np.average would hold all outputs twice more, in float64: of 1,000 classes it takes longer than all other work here
        means = [sum(share * of_kind[part].outputs for share, of_kind in zip(shares.tolist(), of_kinds, strict=True) if share)
                 for part in parts]  # fmt: skip
        return cls([fold for fold, _ in counting], np.array([weight for _, weight in counting]), held, np.concatenate(means))


def greedy_weights(predictions: Sequence[np.ndarray], badness: Callable[[np.ndarray], float]) -> np.ndarray:
    """Weights of predictions whose average is good, by greedy selection (Caruana, Niculescu-Mizil, Crew & Ksikes 2004).

    The prediction with which the average of those chosen so far is best is chosen again and again; how often it was chosen is its
    weight.

    Parameters
    ----------
    predictions : sequence of ndarray
    badness : callable
        ``(average) -> badness``.

    Returns
    -------
    ndarray of shape (len(predictions),)
        They sum to 1.
    """
    chosen, total = np.zeros(len(predictions)), np.zeros_like(predictions[0])
    for step in range(1, _N_STEPS + 1):
        best = int(np.argmin([badness((total + prediction) / step) for prediction in predictions]))
        chosen[best] += 1
        total = total + predictions[best]
    return chosen / _N_STEPS
