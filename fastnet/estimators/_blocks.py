"""Estimators on data larger than memory: targets and weights are kept in memory, features are read block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.utils.validation import _check_feature_names

from fastnet._checks import joined_labels, naming, numeric_array, refuse_missing_labels
from fastnet.data import Blocks
from fastnet.data.blocks import Block
from fastnet.data.predictions import names_agree

from ._types import MLP


def without_features(data: Blocks, estimator: MLP, *, learn_names: bool) -> tuple[csr_matrix, np.ndarray, np.ndarray | None]:
    """Read everything once: an empty matrix in the place of X, with its shape and dtype, and all of y and the sample weights.

    Parameters
    ----------
    data : Blocks
    estimator : MLPClassifier or MLPRegressor
        Its `feature_names_in_` are compared with the columns of the data, or of each block.
    learn_names : bool
        Whether they are first set to those of the data, or of the first block.

    Raises
    ------
    ValueError
        No targets, labels that are missing or of several types, or blocks of other columns, or with other numbers of targets or
        weights than rows.
    """
    named = data.feature_names is not None
    if named and learn_names:
        estimator.feature_names_in_ = np.array(data.feature_names, dtype=object)
    names_agree(estimator, data)
    targets, dtypes = [], set()
    weights: list[Any] = []
    for number, start, (features, y, sample_weight) in data.in_order():
        if y is None:
            raise ValueError("The data have no targets to train on: give y to fastnet.data.")
        with naming(f"block {number}"):
            if not named:
                _check_feature_names(estimator, features, reset=learn_names and not start)
            if not estimator._numeric_targets:
                refuse_missing_labels(y)
            _check_lengths(int(data.sizes[number]), y, sample_weight)
            X = numeric_array(features, "X")
        dtypes.add(X.dtype)
        # Copies: these may be views of the whole block, or of memory that the next one is read into.
        targets.append(np.array(y))
        weights.append(None if sample_weight is None else np.array(sample_weight))
    given = [weight is not None for weight in weights]
    if any(given) and not all(given):
        raise ValueError("Either all blocks must have sample weights, or none.")
    X = csr_matrix((len(data), X.shape[1]), dtype=np.result_type(*dtypes))
    join = np.concatenate if estimator._numeric_targets else joined_labels
    return X, join(targets), np.concatenate(weights) if all(given) else None


def _check_lengths(rows: int, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
    """Refuse targets or weights that would be taken for those of other rows."""
    for name, part in (("y", y), ("sample_weight", sample_weight)):
        if part is not None and np.shape(part)[:1] != (rows,):
            raise ValueError(f"{name} must have one entry for each of the {rows} rows of X, got shape {np.shape(part)}.")


def with_targets(data: Blocks, y: np.ndarray, sample_weight: np.ndarray | None) -> Blocks:
    """The same blocks with other targets and weights."""
    ends = np.cumsum(data.sizes)

    def read(number: int) -> Block:
        rows = slice(ends[number] - data.sizes[number], ends[number])
        return data.read(number)[0], y[rows], None if sample_weight is None else sample_weight[rows]

    return Blocks(read, data.sizes, features=data.features if y.ndim == 1 else None, cache=data.cache)
