"""Tabular estimators, as in the group `tabular`, on tables on which none of their choices was made."""

from __future__ import annotations

from typing import Any

from benchmarks import tabular
from benchmarks._pool import Pool
from benchmarks._tables import HELD_OUT

TITLE = "Tabular estimators on held-out tables"
QUICK = ("vehicle", "concrete")


def run(pool: Pool) -> dict[str, Any]:
    """Rows as those of `tabular`."""
    return tabular.run(pool, tables=HELD_OUT, quick=QUICK)
