"""Importances of a table's columns: how much worse a network is where one of them is shuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fastnet.network import Network
from fastnet.tabular._folds import Rows, outputs_of
from fastnet.tabular._preprocessor import ColumnSummary

#: Rows that they are measured on, and multiplications that this may take.
MOST_ROWS, _MOST_MULTIPLICATIONS = 500, 5e10


def sample_of(held: Rows) -> Rows:
    """A copy of the rows, or of `MOST_ROWS` of them, drawn at random."""
    n = len(held)
    return held[np.arange(n) if n <= MOST_ROWS else np.random.default_rng(0).choice(n, MOST_ROWS, replace=False)]


def importances(
    network: Network,
    rows: Rows,
    columns: Sequence[ColumnSummary],
    badness: Callable[[Rows, np.ndarray], float],
    n_threads: int | None,
) -> np.ndarray:
    """How much worse the network is on the rows where a column of the table is shuffled.

    Parameters
    ----------
    network : Network
    rows : Rows
    columns : sequence of ColumnSummary
        The table's columns.
    badness : callable
        ``(rows, outputs) -> badness``.
    n_threads : int or None

    Returns
    -------
    ndarray of shape (n_columns,)
        NaN where there are no rows, or so many columns and parameters that it would take long.
    """
    if not len(rows) or len(rows) * network.n_params * len(columns) > _MOST_MULTIPLICATIONS:
        return np.full(len(columns), np.nan)
    found = np.zeros(len(columns))
    X, order = rows.X.copy(), np.random.default_rng(0).permutation(len(rows))
    reference = badness(rows, outputs_of(network, X, n_threads))
    for number, column in enumerate(columns):
        if column.outputs:
            outputs = list(column.outputs)
            kept = X[:, outputs]
            X[:, outputs] = kept[order]
            found[number] = badness(rows, outputs_of(network, X, n_threads)) - reference
            X[:, outputs] = kept
    return found
