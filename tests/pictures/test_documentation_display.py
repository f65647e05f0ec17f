"""The page on pictures names everything that can be drawn and found (its code runs in tests/test_docs.py)."""

from __future__ import annotations

from pathlib import Path

import fastnet.plotting
from fastnet.inspection import _rules

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"


def test_page_names_every_display_and_finding():
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in fastnet.plotting.__all__)
    assert all(f"`{rule.__name__}`" in text for rule in _rules.RULES)
