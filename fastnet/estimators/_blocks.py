"""Estimators on data larger than memory: targets and weights are kept in memory, features are read block by block."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from fastnet._checks import numeric_array
from fastnet.data import Block, Blocks


def without_features(data: Blocks) -> tuple[csr_matrix, np.ndarray, np.ndarray | None]:
    """Read everything once: an empty matrix in the place of X, with its shape and dtype, and all of y and the sample weights.

    Raises
    ------
    ValueError
        No targets.
    """
    targets, weights = [], []
    for number in np.flatnonzero(data.sizes):
        features, y, sample_weight = data.read(int(number))
        if y is None:
            raise ValueError("The data have no targets to train on: give y to fastnet.data.")
        targets.append(np.asarray(y))
        weights.append(sample_weight)
    last = numeric_array(features, "X")
    X = csr_matrix((len(data), last.shape[1]), dtype=last.dtype)
    given = [weight is not None for weight in weights]
    if any(given) and not all(given):
        raise ValueError("Either all blocks must have sample weights, or none.")
    return X, np.concatenate(targets), np.concatenate(weights) if all(given) else None


def with_targets(data: Blocks, y: np.ndarray, sample_weight: np.ndarray | None) -> Blocks:
    """The same blocks with other targets and weights."""
    ends = np.cumsum(data.sizes)

    def read(number: int) -> Block:
        rows = slice(ends[number] - data.sizes[number], ends[number])
        return data.read(number)[0], y[rows], None if sample_weight is None else sample_weight[rows]

    return Blocks(read, data.sizes, features=data.features if y.ndim == 1 else None, cache=data.cache)
