"""Tables of the documentation's pages that are made from results.

In a page they stand between `<!-- GROUP: NAME -->` and `<!-- end of GROUP -->`, where NAME is a key of what the group's function
in `TABLES` returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import _distributed_report, _layers_report, _realmlp_report, _recipes_report, _series_report, _tabular_report

#: ``(results, file name) -> {name: table in Markdown}`` for each group.
TABLES: dict[str, Callable[[dict[str, Any], str], dict[str, str]]] = {
    "recipes": _recipes_report.tables,
    "tabular": _tabular_report.methods,
    "held_out": _tabular_report.held_out,
    "ablation": _tabular_report.pieces,
    "realmlp": _realmlp_report.accuracy,
    "realmlp_time": _realmlp_report.fits,
    "series": _series_report.tables,
    "layers": _layers_report.tables,
    "ensembles": _layers_report.ensembles,
    "distributed": _distributed_report.tables,
    "shards": _distributed_report.shards,
    "outofcore": _distributed_report.outofcore,
    "many": _distributed_report.many,
}
_PLACE = re.compile(rf"(<!-- ({'|'.join(TABLES)}): (.+?) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def update_docs(folder: Path, results: dict[str, Any], name: str) -> None:
    """Fill the places for tables in the pages of `folder`; `name` is the file of benchmarks/results that they come from."""
    for page in folder.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        if (new := filled(text, results, name)) != text:
            page.write_text(new, encoding="utf-8")


def filled(text: str, results: dict[str, Any], name: str) -> str:
    """`text` with a new table in each place for one of the groups that there are results of."""

    def table(place: re.Match[str]) -> str:
        tables = TABLES[place[2]](results, name) if place[2] in results["groups"] else {}
        return f"{place[1]}{tables[place[3]]}\n{place[4]}" if place[3] in tables else place[0]

    return _PLACE.sub(table, text)
