"""How much accuracy averaging costs: shards that are averaged eight times an epoch, after equal passes over the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks._peers import missing
from benchmarks._pool import Pool
from benchmarks._results import check, row
from benchmarks.distributed import DASK, INCREMENTAL

TITLE = "Averaging of shards"

SHARDS = (1, 2, 4, 8)
#: Averaging so many may cost a point.
FEW_SHARDS = (2, 4)
#: Every method gets the one that is best for it, on average over the seeds.
RATES = (1e-3, 2e-3, 4e-3)
#: Fits of a full run, each with rows and initial weights of its own.
SEEDS = 3
N_ROWS, N_EPOCHS, BATCH_SIZE, HIDDEN = 30_000, 10, 32, (64, 64)

Rows = tuple[Any, Any, np.ndarray, np.ndarray]


def run(pool: Pool, n_rows: int = N_ROWS, rates: Sequence[float] = RATES) -> dict[str, Any]:
    fits: dict[str, Callable[..., float]] = {_name(n): partial(_on_shards, n) for n in SHARDS}
    needed = {**dict.fromkeys(fits, DASK), INCREMENTAL: INCREMENTAL}
    fits[INCREMENTAL] = _incremental
    for name, library in needed.items():
        if absent := missing(library):
            pool.note(f"{name}: skipped, {absent}")
            del fits[name]
    n_seeds = pool.options.rounds if pool.options.quick else SEEDS
    data = [_ten_classes(seed, n_rows) for seed in range(n_seeds)]
    rows, one = [], None
    for name, fit in fits.items():
        found = {rate: [100 * fit(rate, seed, *of_seed) for seed, of_seed in enumerate(data)] for rate in rates}
        rate, values = max(found.items(), key=lambda item: np.mean(item[1]))
        one = one or values
        goal = 1.0 if name in map(_name, FEW_SHARDS) else None
        behind = check("points behind one shard", [a - b for a, b in zip(one, values, strict=True)], goal, at_most=True)
        rows.append(row(name, "%", 1, {}, [check("accuracy, %", values), behind], learning_rate=rate))
        pool.report(rows[-1])
    return {"rows": rows}


def _name(n_shards: int) -> str:
    return f"{n_shards} shard{'s' * (n_shards > 1)}"


def _ten_classes(seed: int, n_rows: int) -> Rows:
    """Rows to train on, as Dask arrays, and as many to test on."""
    import dask.array as da
    from sklearn.datasets import make_classification

    X, y = make_classification(
        2 * n_rows, 40, n_informative=12, n_redundant=8, n_classes=10, n_clusters_per_class=3, class_sep=1.2, random_state=seed
    )
    X, size = X.astype(np.float32), -(-n_rows // 8)
    trained = da.from_array(X[:n_rows], chunks=(size, 40)), da.from_array(y[:n_rows], chunks=size)
    return *trained, X[n_rows:], y[n_rows:]


def _on_shards(n_shards: int, rate: float, seed: int, X: Any, y: Any, X_test: np.ndarray, y_test: np.ndarray) -> float:
    from fastnet.dask import MLPClassifier

    model = MLPClassifier(HIDDEN, n_shards=n_shards, max_iter=N_EPOCHS, **_options(rate, seed))
    return model.fit(X, y).score(X_test, y_test)


def _incremental(rate: float, seed: int, X: Any, y: Any, X_test: np.ndarray, y_test: np.ndarray) -> float:
    from dask_ml.wrappers import Incremental
    from sklearn.neural_network import MLPClassifier

    model = Incremental(MLPClassifier(HIDDEN, **_options(rate, seed)), assume_equal_chunks=True)
    for _ in range(N_EPOCHS):
        model.partial_fit(X, y, classes=np.arange(10))
    return float((model.estimator_.predict(X_test) == y_test).mean())


def _options(rate: float, seed: int) -> dict[str, Any]:
    return {"batch_size": BATCH_SIZE, "learning_rate_init": rate, "random_state": seed}
