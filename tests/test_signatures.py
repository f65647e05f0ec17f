"""Signatures: every parameter named and typed, and documented where it is explained."""

from __future__ import annotations

import inspect
import re

import pytest

import fastnet as fn
from fastnet import training
from fastnet._session import Session

METHODS = [name for name, member in vars(fn.Network).items() if inspect.isfunction(member) and not name.startswith("_")]


@pytest.mark.parametrize("name", ["__init__", *METHODS])
def test_parameters_of_networks_are_named_and_typed(name):
    for parameter in list(inspect.signature(getattr(fn.Network, name)).parameters.values())[1:]:
        assert parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        assert parameter.annotation not in (parameter.empty, "Any"), parameter


def test_every_option_of_fit_is_documented_with_its_default():
    doc = inspect.getdoc(fn.Network.fit)
    for name, parameter in inspect.signature(fn.Network.fit).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = "optional" if parameter.default is None else f"default={parameter.default!r}".replace("'", '"')
            assert re.search(rf"^[\w, ]*\b{name}\b[\w, ]* : .*, {re.escape(default)}$", doc, re.M), name


def test_every_option_of_fit_reaches_its_place():
    options = inspect.signature(fn.Network.fit).parameters.keys() - {"self", "X", "y"}
    named = inspect.signature(training.fit_network).parameters.keys()
    assert options - named <= inspect.signature(Session).parameters.keys()
