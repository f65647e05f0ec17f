"""The options of a run, and results as plain values: timings, spreads, ratios, comparisons with goals, rows of tables."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._timing import DISTURBED, Round
from fastnet._atomic import replacing


@dataclass(frozen=True)
class Options:
    """The options of a run."""

    quick: bool = False
    rounds: int = 5
    min_seconds: float = 0.1
    retries: int = 5
    shapes: tuple[str, ...] = ()
    train_rows: int | None = None
    methods: tuple[str, ...] = ()

    @classmethod
    def of(cls, quick: bool, rounds: int | None, **more: Any) -> Options:
        """The options of a full or a quick run."""
        protocol = {"rounds": 3, "min_seconds": 0.05, "retries": 1} if quick else {}
        return cls(**{"quick": quick} | protocol | ({"rounds": rounds} if rounds else {}) | more)

    def kept(self) -> dict[str, Any]:
        """As plain values for JSON. Methods are left out: results may hold those of several runs."""
        values = {key: value for key, value in asdict(self).items() if key != "methods"}
        return {**values, "shapes": list(self.shapes)}

    def wants(self, name: str) -> bool:
        """Whether `methods` has the beginning of the name; without `methods`, always."""
        return not self.methods or name.startswith(self.methods)

    def chosen(self, tasks: Sequence[Any], quick: Sequence[str]) -> list[Any]:
        """The tasks named in `shapes`, and their variants (such as tab-gelu); without `shapes`, all or in a quick run `quick`."""
        if not self.shapes:
            return [task for task in tasks if not self.quick or task.name in quick]
        return [task for task in tasks if any(task.name == shape or task.name.startswith(f"{shape}-") for shape in self.shapes)]


@dataclass
class Series:
    """Seconds for one unit of work in each round, and the share of a core that others used meanwhile."""

    seconds: list[float] = field(default_factory=list)
    threads: int | None = None
    others: list[float] = field(default_factory=list)
    withheld: list[float] = field(default_factory=list)

    def append(self, taken: Round) -> None:
        for values, value in zip((self.seconds, self.others, self.withheld), taken, strict=True):
            values.append(value)

    def result(self, scale: float) -> dict[str, Any]:
        """As plain values for JSON, in a unit of which a second has `scale`."""
        values = [scale * seconds for seconds in self.seconds]
        return {
            **spread(values),
            "rounds": values,
            "threads": self.threads,
            "disturbed": sum(others > DISTURBED for others in self.others),
            "others": [round(others, 3) for others in self.others],
            "withheld": [round(withheld, 3) for withheld in self.withheld],
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def ratios(numerator: Series, denominator: Series) -> list[float]:
    """Ratios of the two, round by round, since both were timed at nearly the same moment."""
    return [a / b for a, b in zip(numerator.seconds, denominator.seconds, strict=True)]


def check(what: str, values: Sequence[float], goal: float | None = None, *, at_most: bool = False) -> dict[str, Any]:
    """A figure with its spread and, if there is a goal, whether the median reaches it."""
    figure = {"what": what, **spread(values)}
    if goal is not None:
        reached = figure["median"] <= goal if at_most else figure["median"] >= goal
        figure |= {"goal": goal, "at_most": at_most, "reached": reached}
    return figure


def row(
    name: str, unit: str, scale: float, series: dict[str, Series], checks: Sequence[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """A row in the results of a group."""
    return {
        "name": name,
        "unit": unit,
        "times": {label: s.result(scale) for label, s in series.items()},
        "checks": list(checks),
        **more,
    }


def without_goals(row: dict[str, Any]) -> dict[str, Any]:
    """The row without goals, which concern only those who work on fastnet."""
    about_goals = {"goal", "at_most", "reached", "at_limit"}
    figures = [{key: value for key, value in one.items() if key not in about_goals} for one in row["checks"]]
    return {**row, "checks": figures}


def network_name(sizes: Sequence[int]) -> str:
    """The sizes of a network as text, such as 20-64-64-2."""
    return "-".join(map(str, sizes))


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of the straight line through the logarithms: 1 if y grows in proportion to x."""
    u, v = [math.log(value) for value in x], [math.log(value) for value in y]
    u_mean, v_mean = sum(u) / len(u), sum(v) / len(v)
    return sum((a - u_mean) * (b - v_mean) for a, b in zip(u, v, strict=True)) / sum((a - u_mean) ** 2 for a in u)


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def save(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n")


def merged(results: dict[str, Any], path: Path) -> dict[str, Any]:
    """`results`, which have no groups yet, with those of an earlier run in the same environment, if the file exists.

    Raises
    ------
    ValueError
        The file contains results of another environment or of other options.
    """
    if not path.exists():
        return results
    earlier = load(path)
    for key in ("environment", "options"):
        if earlier[key] != results[key]:
            raise ValueError(f"{path} holds results of other {key.removesuffix('s')}s: give another file, or remove it.")
    return earlier
