"""What each piece of the tabular estimators' recipe gains on real tables, and what it costs.

The default preset without the piece is fitted to the same random splits as the preset itself, on one thread. Its figures are its
scores divided by the preset's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import recipes
from benchmarks._pool import Pool
from benchmarks._recipes import Recipe
from benchmarks._tables import DEVELOPMENT, Table
from benchmarks._tabular_methods import ABLATION_SECTION, ABLATIONS, WHOLE

TITLE = "Pieces of the tabular recipe"
QUICK = ("segment", "quake")


def run(pool: Pool, methods: Sequence[Recipe] = ABLATIONS, tables: Sequence[Table] = DEVELOPMENT) -> dict[str, Any]:
    """A row for the recipe and for each piece that is left out, with the scores on every split of every table."""
    return recipes.run(pool, methods, pool.options.chosen(tables, QUICK), {ABLATION_SECTION: WHOLE})
