"""Runs the commands, and makes a table for them."""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("click")

from click.testing import CliRunner  # noqa: E402

from fastnet.cli import _commands  # noqa: E402


def run(line, status=0):
    """What a command line prints, of a command that ends with this status."""
    result = CliRunner().invoke(_commands.fastnet, line.split())
    assert result.exit_code == status, result.output
    return result.output


def houses(n=120):
    rng = np.random.default_rng(0)
    area = rng.gamma(9, 16, n)
    return pd.DataFrame({
        "area": area,
        "rooms": np.where(rng.random(n) < 0.1, np.nan, rng.integers(1, 9, n)),
        "plot": rng.choice(["1", "2", "b"], n),
        "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, n), "D"),
        "price": 3 * area + rng.normal(0, 20, n),
        "dear": np.where(area > np.median(area), "yes", "no"),
    })  # fmt: skip
