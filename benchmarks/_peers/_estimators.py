"""What scikit-learn and fastnet's estimators share: the same calls, on either class."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._tasks import Inference
from benchmarks._timing import Job


def predictor(classifier: type, task: Inference) -> Job:
    """Calls of predict_proba. Two classes are one sigmoid unit, scikit-learn's form."""
    X = np.atleast_2d(task.data())
    y = np.arange(task.sizes[-1])
    rows = np.random.default_rng(2).standard_normal((len(y), task.sizes[0]), dtype=task.dtype)
    model: Any = classifier(task.sizes[1:-1], max_iter=1, random_state=0).fit(rows, y)

    def predict(n: int) -> np.ndarray:
        for _ in range(n):
            out = model.predict_proba(X)
        return out

    return predict
