"""TabularClassifier and TabularRegressor: scikit-learn's contract, every kind of target, what is kept and what is refused."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastnet as fn

#: What no estimator fulfils that sets validation rows aside and draws batches.
_WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "validation rows and batches are drawn: repeating rows is not weighting them"
}


@parametrize_with_checks(
    [fn.TabularClassifier(preset="fast"), fn.TabularRegressor(preset="fast")], expected_failed_checks=lambda estimator: _WEIGHTS
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
