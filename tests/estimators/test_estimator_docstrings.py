"""Docstrings and types name every parameter, including those that are put together from shared parts."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from fastnet.estimators import MLPClassifier, MLPRegressor
from fastnet.estimators._types import Classifier, Regressor


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_every_parameter_and_attribute_is_documented(cls: type) -> None:
    doc = inspect.getdoc(cls) or ""
    parameters, attributes = doc.split("Attributes\n----------")
    documented = set(re.findall(r"\w+", " ".join(re.findall(r"^([\w, ]+) : ", parameters, re.M))))
    assert documented == set(inspect.signature(cls).parameters)
    fitted = cls(max_iter=2, early_stopping=True, hidden_layer_sizes=(2,))
    with pytest.warns(UserWarning):
        fitted.fit([[float(i)] for i in range(20)], [0, 1] * 10)
    public = {name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(re.findall(r"^(\w+_) : ", attributes, re.M))


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_methods_are_documented(cls: type) -> None:
    for name, method in inspect.getmembers(cls, callable):
        if name.startswith("_") or not method.__module__.startswith("fastnet"):
            continue
        doc = inspect.getdoc(method) or ""
        assert not re.search(r"^\{\w+\}$", doc, re.M), name
        for parameter in inspect.signature(method).parameters:
            if parameter not in ("self", "cls", "args", "options"):
                assert re.search(rf"^[\w, *]*\b{parameter}\b[\w, ]* : ", doc, re.M), f"{name}: {parameter}"


@pytest.mark.parametrize(("cls", "protocol"), [(MLPClassifier, Classifier), (MLPRegressor, Regressor)])
def test_types_name_every_parameter(cls: Any, protocol: Any) -> None:
    typed = {name for base in protocol.__mro__ for name in vars(base).get("__annotations__", {})}
    assert set(cls().get_params()) <= typed
