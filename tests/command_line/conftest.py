"""Each test runs in a folder of its own, with presets that take no time."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def three_epochs(monkeypatch):
    """Presets that take no time."""
    from fastnet.tabular._choices import PRESETS

    for preset in PRESETS.values():
        monkeypatch.setitem(preset, "least_updates", 30)


@pytest.fixture
def table(folder):
    from commands import houses

    houses().to_csv(folder / "houses.csv", index=False)
    return folder / "houses.csv"
