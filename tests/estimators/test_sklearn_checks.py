"""scikit-learn's checks of third-party estimators, with no failure expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnet.estimators import MLPClassifier, MLPRegressor


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
def test_estimator_check(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
