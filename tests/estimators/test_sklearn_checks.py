"""scikit-learn's checks of third-party estimators, with one failure expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sklearn
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from sklearn.utils.fixes import parse_version

from fastnet.estimators import (
    Forecaster,
    ImageClassifier,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    SequenceClassifier,
    SequenceRegressor,
    TextClassifier,
)
from fastnet.layers import Dense, PReLU

#: Of estimators that choose their own network.
_OF_READY = {"check_sample_weight_equivalence_on_dense_data": "batches are drawn: repeating rows is not weighting them"}


def _expected_failures(estimator: Any) -> dict[str, str]:
    return _OF_READY if isinstance(estimator, (ImageClassifier, SequenceClassifier, SequenceRegressor)) else {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        MLPClassifier(max_iter=100),
        MLPRegressor(max_iter=100),
        MLPRegressor(max_iter=100, scale_target=True),
        ImageClassifier(max_iter=60),
        NetworkClassifier([Dense(50, "identity"), PReLU()], max_iter=100),
        NetworkRegressor([Dense(50, "identity"), PReLU()], max_iter=100),
        SequenceClassifier(max_iter=30),
        SequenceRegressor(max_iter=100),
    ],
    expected_failed_checks=_expected_failures,
)
def test_estimator_check(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.skipif(parse_version(sklearn.__version__) < parse_version("1.9"), reason="earlier versions have fewer checks")
@pytest.mark.parametrize(("estimator", "n_checks"), [(MLPClassifier(), 67), (MLPRegressor(), 60), (ImageClassifier(), 55)])
def test_no_check_is_left_out(estimator: Any, n_checks: int) -> None:
    assert len(list(estimator_checks_generator(estimator, mark="skip"))) >= n_checks


@pytest.mark.parametrize("estimator", [Forecaster(), TextClassifier()], ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_mixin_order,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_set_params,
        estimator_checks.check_valid_tag_types,
    ],
)
def test_checks_that_need_no_table(estimator: Any, check: Callable[[str, Any], None]) -> None:
    """scikit-learn leaves out estimators whose X is not two-dimensional."""
    check(type(estimator).__name__, estimator)
