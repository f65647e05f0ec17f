"""RealMLP-TD in fastnet and in pytabkit, on real tables: the same recipe, and TabM with pytabkit's defaults.

Every method is fitted to the same random splits of every table, on one thread. Its figures are its scores divided by those of
pytabkit's RealMLP-TD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import recipes
from benchmarks._peers import pytabkit
from benchmarks._pool import Pool
from benchmarks._realmlp import RealMLP, filled
from benchmarks._recipes import Make, Recipe
from benchmarks._tables import DEVELOPMENT, Table

TITLE = "RealMLP-TD in fastnet and in pytabkit"
QUICK = ("segment", "quake")
SECTION, OWN, REFERENCE = "realmlp", "RealMLP-TD in fastnet", "RealMLP-TD in pytabkit"


def _pytabkit(name: str) -> Make:
    return lambda regression, seed: pytabkit.estimator(name, regression, seed, n_threads=1)


METHODS = (
    Recipe(OWN, SECTION, lambda regression, seed: filled(RealMLP(regression, seed))),
    Recipe(REFERENCE, SECTION, _pytabkit("RealMLP_TD"), library="pytabkit"),
    Recipe("TabM-D in pytabkit", SECTION, _pytabkit("TabM_D"), library="pytabkit"),
)


def run(pool: Pool, methods: Sequence[Recipe] = METHODS, tables: Sequence[Table] = DEVELOPMENT) -> dict[str, Any]:
    """A row for each method, with its scores on every split of every table."""
    return recipes.run(pool, methods, pool.options.chosen(tables, QUICK), {SECTION: REFERENCE})
