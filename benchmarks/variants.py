"""Training with other activations, optimisers, depths, losses and dtypes; the goals are 85 % of the plain networks'."""

from __future__ import annotations

from typing import Any

from benchmarks import train
from benchmarks._pool import Pool
from benchmarks._tasks import Training

TITLE = "Variants of training"
BASES = ("tab200", "med")
QUICK = ("tab200-tanh", "tab200-momentum", "tab200-float64")
MARGIN = 0.85


def tasks(base: Training) -> list[Training]:
    """All variants of a network."""
    in_float64 = {peer: goal for peer, goal in base.goals.items() if peer != "JAX"}
    deep = 5 * base.hidden[:1]
    return [
        *(base.changed(name, MARGIN, activation=name) for name in ("tanh", "sigmoid", "leaky_relu", "gelu")),
        *(base.changed(name, MARGIN, optimizer=name) for name in ("momentum", "adamw")),
        base.changed(f"5x{deep[0]}", MARGIN, hidden=deep),
        base.changed("regression", MARGIN, n_outputs=1, regression=True),
        Training(**{**vars(base), "goals": in_float64}).changed("float64", MARGIN, dtype="float64"),
    ]


def run(pool: Pool) -> dict[str, Any]:
    variants = [task for base in train.SHAPES if base.name in BASES for task in tasks(base)]
    chosen = pool.options.chosen(variants, QUICK)
    return train.compared(pool, chosen)
