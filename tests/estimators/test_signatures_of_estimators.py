"""Signatures of the estimators: typed, the same in both, and consistent with what is accepted."""

from __future__ import annotations

import inspect
from typing import get_args, get_type_hints

import pytest
from sklearn.utils._param_validation import make_constraint

from fastnet.estimators import MLPClassifier, MLPRegressor, _parameters

ESTIMATORS = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])


@ESTIMATORS
@pytest.mark.parametrize("method", ["__init__", "fit", "partial_fit", "predict", "score", "initialize", "hidden_activations"])
def test_parameters_are_named_and_typed(cls, method):
    for parameter in list(inspect.signature(getattr(cls, method)).parameters.values())[1:]:
        if method == "score" and cls is MLPClassifier:
            continue  # scikit-learn's
        assert parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        assert parameter.annotation not in (parameter.empty, "Any"), parameter


@ESTIMATORS
def test_annotations_of_constructors_can_be_resolved(cls):
    hints = get_type_hints(cls.__init__)
    assert hints.keys() - {"return"} == inspect.signature(cls).parameters.keys()


def test_shared_parameters_are_declared_alike():
    first, second = (inspect.signature(cls).parameters for cls in (MLPClassifier, MLPRegressor))
    shared = first.keys() & second.keys()
    assert len(shared) > 30
    for name in shared:
        assert first[name] == second[name]


def accepts(cls, name, value):
    return any(make_constraint(constraint).is_satisfied_by(value) for constraint in cls._parameter_constraints[name])


@pytest.mark.parametrize(
    "cls, name, values",
    [
        (MLPClassifier, "solver", _parameters.SOLVERS),
        (MLPClassifier, "learning_rate", _parameters.RATE_POLICIES),
        (MLPClassifier, "batch_size", {"auto"}),
        (MLPClassifier, "verbose", {"progress"}),
        (MLPClassifier, "dtype", {"float32", "float64"}),
        (MLPClassifier, "class_weight", {"balanced"}),
        (MLPClassifier, "stratify", {"auto"}),
        (MLPRegressor, "loss", _parameters.REGRESSION_LOSSES),
    ],
)
def test_names_in_types_are_those_accepted(cls, name, values):
    def names(hint):
        arguments = get_args(hint)
        return {a for a in arguments if isinstance(a, str)}.union(*(names(a) for a in arguments if not isinstance(a, str)))

    assert names(get_type_hints(cls.__init__)[name]) == values
    assert all(accepts(cls, name, value) for value in values)
    assert not accepts(cls, name, "zebra")
