"""scikit-learn's random stream: initial parameters and the order of rows, drawn from `random_state` in its order."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet.activations import Activation, Sigmoid


def initial_parameters(
    sizes: Sequence[int], activations: Sequence[Activation], random_state: np.random.RandomState, dtype: np.dtype
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw weights and biases, layer by layer, uniform in ``[-c, c]`` with ``c = sqrt(6 / (n_in + n_out))``.

    For the logistic function the 6 is a 2. The output layer follows the last hidden one; biases are drawn from the same
    interval as weights (Glorot & Bengio 2010 start them at zero; scikit-learn does not). Values are drawn in float64 and
    then rounded to `dtype`.

    Parameters
    ----------
    sizes : sequence of L + 1 int
        Units of each layer, the input layer included.
    activations : sequence of Activation
        Those that decide the 6 or 2, one a layer.
    random_state : RandomState
        Advanced by the draws.
    dtype : dtype

    Returns
    -------
    weights : list of L ndarray of shape (n[l-1], n[l])
    biases : list of L ndarray of shape (n[l],)
    """
    weights, biases = [], []
    for n_in, n_out, activation in zip(sizes[:-1], sizes[1:], activations, strict=True):
        c = np.sqrt((2.0 if isinstance(activation, Sigmoid) else 6.0) / (n_in + n_out))
        weights.append(random_state.uniform(-c, c, (n_in, n_out)).astype(dtype, copy=False))
        biases.append(random_state.uniform(-c, c, n_out).astype(dtype, copy=False))
    return weights, biases


class EpochOrder:
    """The order of rows of the next epoch: each epoch permutes the order of the one before.

    Parameters
    ----------
    n_rows : int
    random_state : RandomState
        Advanced by one permutation an epoch.
    """

    def __init__(self, n_rows: int, random_state: np.random.RandomState) -> None:
        self._order = np.arange(n_rows, dtype=np.uint32)
        self._random_state = random_state

    def __call__(self, session: Any) -> np.ndarray:
        permutation = np.arange(len(self._order), dtype=np.uint32)
        self._random_state.shuffle(permutation)
        self._order = self._order[permutation]
        return self._order


def side_seed(random_state: np.random.RandomState, n_seen: int) -> int:
    """A seed for what scikit-learn does not draw (dropout): the stream of `random_state` itself is left as it is.

    `n_seen`, the number of rows trained on so far, keeps the calls of `partial_fit` apart, which all start from one seed.
    """
    return int(copy.deepcopy(random_state).randint(2**31)) ^ (n_seen & 0x7FFFFFFF)
