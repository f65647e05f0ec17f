"""The page on pictures and the examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import fastnet.inspection
import fastnet.plotting

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (fastnet.inspection, fastnet.plotting)
    for module in pkgutil.iter_modules(package.__path__)
]

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.filterwarnings("error::fastnet.inspection.DiagnosisWarning")
def test_page(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    namespace = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), namespace)
    healthy, sick = re.findall(r"^Diagnosis of .*$", capsys.readouterr().out, re.MULTILINE)
    assert "nothing wrong" in healthy
    assert "vanishing gradient" in sick


def test_page_names_every_display_and_finding():
    from fastnet.inspection import _rules

    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in fastnet.plotting.__all__)
    assert all(f"`{rule.__name__}`" in text for rule in _rules.RULES)
