"""Estimators that choose their network for series and images, beside MiniRocket and scikit-learn's classifiers; one thread each.

Series are trained and tested on as their archive splits them, with another seed in each round; images in folds. Methods of an
earlier run with the same options stay in the results.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks._pool import Pool
from benchmarks._results import check, row
from benchmarks._series import DATA, METHODS, Data, Method

TITLE = "Series and images"
QUICK = ("digits", "JapaneseVowels", "GunPoint")


def run(pool: Pool, methods: Sequence[Method] = METHODS, data: Sequence[Data] = DATA) -> dict[str, Any]:
    """A row for each method, with its accuracy and seconds in every round on all data of its kind."""
    chosen = pool.usable([method for method in methods if pool.options.wants(method.name)])
    available = pool.usable(pool.options.chosen(data, QUICK))
    rows = []
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # warnings about convergence do not matter here
        for method in chosen:
            rows.append(_row(method, [one for one in available if one.kind == method.kind], pool.options.rounds))
            pool.report(rows[-1])
    found = {result["name"]: result for result in (*(pool.earlier["rows"] if pool.earlier else ()), *rows)}
    in_order = [found[method.name] for method in methods if method.name in found]
    return {"data": {one.name: described(one) for one in available}, "rows": in_order}


def described(data: Data) -> dict[str, Any]:
    """Its kind, and the numbers of rows and of classes."""
    X, y, X_test, _ = data.split(0)
    return {"kind": data.kind, "train": len(X), "test": len(X_test), "classes": len(np.unique(y))}


def _row(method: Method, data: Sequence[Data], rounds: int) -> dict[str, Any]:
    scores = {}
    for one in data:
        if method.compiles:
            score(method, one, 0)
        measured = [score(method, one, number) for number in range(rounds)]
        scores[one.name] = {key: [values[key] for values in measured] for key in measured[0]}
    figures = [check(f"accuracy, {name}", values["accuracy"]) for name, values in scores.items()]
    return row(method.name, "", 1, {}, figures, section=method.kind, scores=scores)


def score(method: Method, data: Data, number: int) -> dict[str, float]:
    """Accuracy, and the CPU seconds of the fit and of the predictions."""
    X, y, X_test, y_test = data.split(number)
    model = method.make(number)
    start = time.process_time()
    model.fit(X, y)
    fitted = time.process_time()
    accuracy = np.mean(model.predict(X_test) == y_test)
    found = {"accuracy": accuracy, "seconds": fitted - start, "seconds, predictions": time.process_time() - fitted}
    return {key: float(f"{value:.5g}") for key, value in found.items()}
