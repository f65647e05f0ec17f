"""Cross-entropies whose reported value is capped as scikit-learn's is: it clips probabilities to ``[eps, 1 - eps]``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet.losses import BinaryCrossEntropy, CrossEntropy, Loss


def largest_cross_entropy(dtype: np.dtype) -> float:
    """``-log(eps)``: the loss of a right answer that is given probability 0, with the `eps` of `dtype`."""
    return -math.log(np.finfo(dtype).eps)


class _Capped(Loss):
    """A loss of at most `ceiling` an output; its gradient is that of the uncapped loss."""

    ceiling: float

    def core_form(self, n_outputs: int) -> tuple[Any, ...]:
        return (*super().core_form(n_outputs), self.ceiling)


@dataclass(frozen=True)
class CappedBinaryCrossEntropy(_Capped, BinaryCrossEntropy):
    """Binary cross-entropy, capped."""

    ceiling: float = math.inf


@dataclass(frozen=True)
class CappedCrossEntropy(_Capped, CrossEntropy):
    """Cross-entropy, capped."""

    ceiling: float = math.inf


def reported_scale(loss: Loss, n_outputs: int) -> float:
    """The loss that scikit-learn reports over the core's, which is summed over the outputs.

    scikit-learn reports the mean over the outputs for squared errors, and the sum for the others that it has; the losses
    that fastnet adds for regression follow the squared error.
    """
    return 1.0 if loss.name in _REPORTED_AS_SUM else 1.0 / n_outputs


_REPORTED_AS_SUM = {"binary_cross_entropy", "cross_entropy", "poisson"}
