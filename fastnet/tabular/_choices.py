"""What the presets choose, for classification and regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from fastnet.tabular._metrics import Metric

#: Rows above which presets train for fewer epochs, half as many with four times the rows, and most epochs of few rows. (With 50
#: and 120 rows of five of scikit-learn's tables, 256 epochs were as good as 400 and 1,000.)
MANY_ROWS, MOST_EPOCHS = 8_000, 256

#: What differs above so many rows: fewer networks, in larger batches or of wider layers.
ABOVE_ROWS: dict[str, dict[int, dict[str, Any]]] = {
    "fast": {
        2_000: {"n_folds": 8, "n_trained_folds": 2, "batch_size": 64, "dropout": 0.05, "batch_of_rate": 10},
        20_000: {"hidden_layer_sizes": (96, 96)},
    },
    "default": {2_000: {"n_members": 1}, 4_000: {"n_trained_folds": 3}},
}

#: Most numbers that are embedded where the choice is left open.
MOST_EMBEDDED = 500


@dataclass(frozen=True)
class Choices:
    """Everything about the networks that a preset decides; the estimators document the fields that are their parameters.

    Attributes
    ----------
    numeric_width : float
        Most units that piecewise linear embeddings give all numbers together, as long as each has two.
    least_epochs, least_updates : int
        Epochs of very many rows, and updates of few rows, of few batches, which get more epochs for that.
    keeps_best : bool
        Whether the best epochs are kept, else the last.
    batch_of_rate : float
        Rows of the batch that has the metric's learning rate; others have more or less, as the root of their rows.
    """

    n_members: int = 1
    n_folds: int = 5
    n_trained_folds: int = 5
    ensemble: str = "packed"
    hidden_layer_sizes: tuple[int, ...] = (128, 128, 128)
    activation: str = "selu"
    numeric_embedding: tuple[str, ...] = ("piecewise_linear", "pbld")
    numeric_width: float = np.inf
    category_units: int = 8
    scale_layer: bool = True
    data_init: bool = True
    dropout: float = 0.15
    weight_decay: float = 0.02
    learning_rate: float = 0.04
    beta_2: float = 0.95
    schedule: str = "cycles"
    n_epochs: int = 48
    least_epochs: int = 16
    least_updates: int = 1000
    batch_size: int = 64
    keeps_best: bool = True
    n_best_epochs: int = 3
    patience: float = np.inf
    label_smoothing: float = 0.1
    batch_of_rate: float = 64


NAMES = tuple(field.name for field in fields(Choices))

#: What differs from the defaults of `Choices`.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {
        "n_folds": 4,
        "n_trained_folds": 4,
        "n_epochs": 14,
        "least_epochs": 8,
        "least_updates": 300,
        "batch_size": 32,
        "hidden_layer_sizes": (64, 64),
        "activation": "mish",
        "numeric_embedding": ("piecewise_linear",),
        "numeric_width": 64,
        "dropout": 0.1,
        "schedule": "flat_cosine",
        "keeps_best": False,
        "batch_of_rate": 14,
    },
    "default": {},
    "best": {"n_members": 2, "n_epochs": 128, "least_updates": 2000},
}

#: What differs in regressions. With dropout the default preset's RMSE was 1.02 times as large with 1,000 rows, 1.06 to 1.16 times
#: on smooth tables (mortgage, treasury) and the same on noisy ones (benchmarks/ablation.py); with 7,500, 1.07 times.
OF_REGRESSIONS: dict[str, Any] = {"activation": "mish", "dropout": 0.0, "n_best_epochs": 1, "batch_of_rate": 256}

#: What differs further, by preset.
REGRESSIONS: dict[str, dict[str, Any]] = {
    "fast": {"n_folds": 8, "n_epochs": 18, "batch_size": 16, "schedule": "cycles"},
    "default": {"n_members": 2},
    "best": {},
}

#: Rows of a category for each unit that it becomes, and the fewest units.
ROWS_A_UNIT, LEAST_UNITS = 8, 2

#: Numbers of embedded categories for each row of a batch, where the updates of embeddings take about as long as the rows, and the
#: largest batch that is chosen for them.
NUMBERS_A_ROW, LARGEST_BATCH = 2000, 1024


def category_units(n_categories: int, n_rows: int, most: int) -> int:
    """Numbers that a category of a column becomes."""
    return min(most, max(LEAST_UNITS, n_rows // n_categories // ROWS_A_UNIT))


def resolved(
    estimator: Any, n_rows: int, n_numbers: int, n_categories: Sequence[int], metric: Metric, *, regression: bool
) -> Choices:
    """The choices of an estimator's preset, with what its parameters say in their place.

    Parameters
    ----------
    estimator : estimator
    n_rows, n_numbers : int
        Training rows, and their columns of numbers.
    n_categories : sequence of int
        Categories of each column that is embedded.
    metric : Metric
    regression : bool
        Whether targets are numbers.
    """
    preset = estimator.preset
    of_rows: dict[str, Any] = {}
    for rows, different in ABOVE_ROWS.get(preset, {}).items():
        of_rows |= different if n_rows > rows else {}
    of_kind, of_all = (REGRESSIONS[preset], OF_REGRESSIONS) if regression else ({}, {})
    chosen = replace(Choices(), **PRESETS[preset] | of_kind | of_rows | of_all)
    if not 0 < n_numbers <= MOST_EMBEDDED:
        chosen = replace(chosen, numeric_embedding=("none",))
    if not metric.smooths:
        chosen = replace(chosen, label_smoothing=0.0)
    given = {name: getattr(estimator, name) for name in NAMES if getattr(estimator, name, None) is not None}
    for name in {"hidden_layer_sizes", "numeric_embedding"} & set(given):
        given[name] = tuple(np.atleast_1d(given[name]).tolist())
    chosen = replace(chosen, **given, keeps_best=chosen.keeps_best or bool({"n_best_epochs", "patience"} & set(given)))
    n_trained = chosen.n_folds if "n_folds" in given and "n_trained_folds" not in given else chosen.n_trained_folds
    chosen = replace(chosen, n_trained_folds=min(n_trained, chosen.n_folds))
    if "batch_size" not in given:
        chosen = replace(chosen, batch_size=_batch_size(chosen, n_rows, n_categories))
    if "learning_rate" not in given:
        factor = (min(chosen.batch_size, n_rows) / chosen.batch_of_rate) ** 0.5
        chosen = replace(chosen, learning_rate=metric.learning_rate * factor)
    if "n_epochs" not in given:
        chosen = replace(chosen, n_epochs=_epochs(chosen, n_rows))
    return chosen


def _batch_size(chosen: Choices, n_rows: int, n_categories: Sequence[int]) -> int:
    """The preset's batch, doubled as long as most of the time would go to updates of embedded categories."""
    embedded = chosen.n_members * sum(n * category_units(n, n_rows, chosen.category_units) for n in n_categories)
    size = chosen.batch_size
    while size < LARGEST_BATCH and embedded > NUMBERS_A_ROW * size:
        size *= 2
    return size


def _epochs(chosen: Choices, n_rows: int) -> int:
    """The preset's epochs, for few rows more and for many rows fewer."""
    of_many = max(chosen.least_epochs, math.ceil(chosen.n_epochs * (MANY_ROWS / n_rows) ** 0.5))
    of_few = min(MOST_EPOCHS, -(-chosen.least_updates // -(-n_rows // chosen.batch_size)))
    return max(min(chosen.n_epochs, of_many), of_few)
