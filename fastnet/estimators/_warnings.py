"""Warnings that come from scikit-learn's module, by name: scripts filter them by it, as in ``module="sklearn"``."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from types import FunctionType
from typing import Any


def _call(warn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return warn(*args, **kwargs)


#: ``as_scikit_learn(warn, ...)`` calls a function that warns, `warnings.warn` or one of scikit-learn's own, as if from there.
#: Python takes a warning's module, and what it has shown already, from the globals of the caller; from 3.13 on its builtins too.
as_scikit_learn = FunctionType(
    _call.__code__, {"__name__": "sklearn.neural_network._multilayer_perceptron", "__builtins__": builtins}
)
