"""The documentation's tables of convolutional and recurrent networks, and of ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks._layers import LayerInference, LayerTraining
from benchmarks._report import figure, table_lines
from benchmarks._results import without_goals


def tables(results: dict[str, Any], name: str) -> dict[str, str]:
    """Training and predictions in Markdown, by name with the level of vector instructions: fastnet's time, and the peers' as
    multiples of it."""
    rows = results["groups"]["layers"]["rows"]
    training = [row for row in rows if row["unit"] == LayerTraining.unit]
    predictions = [row for row in rows if row["unit"] == LayerInference.unit]
    source, level = _source(results, name), results["environment"]["engine_level"]
    return {
        f"training at {level}": "\n".join([*_lines(training, "network, threads", ("PyTorch", "JAX")), "", source]),
        f"predictions at {level}": "\n".join([*_lines(predictions, "network", ("ONNX Runtime",)), "", source]),
    }


def ensembles(results: dict[str, Any], name: str) -> dict[str, str]:
    """The time of k fits as a multiple of that of an ensemble, for each kind."""
    rows = results["groups"]["ensembles"]["rows"]
    kinds = [check["what"].split(" / ")[1] for check in rows[0]["checks"]]
    cells = [(row["name"], *map(figure, row["checks"])) for row in rows]
    return {"gains": "\n".join([*table_lines(("members, threads", *kinds), cells), "", _source(results, name)])}


def _source(results: dict[str, Any], name: str) -> str:
    env = results["environment"]
    about = f"{env['cores']} cores of {env['cpu']}; median of {results['options']['rounds']} interleaved rounds (least to most)."
    return f"{about} Source: `benchmarks/results/{name}`."


def _lines(rows: Sequence[dict[str, Any]], what: str, peers: tuple[str, ...]) -> list[str]:
    cells = []
    for row in rows:
        found = {check["what"]: figure(check) for check in without_goals(row)["checks"]}
        name = row["name"].removesuffix("-row").replace("-", ", ")
        cells.append((name, f"{row['times']['fastnet']['median']:.4g}", *(found.get(peer, "") for peer in peers)))
    return table_lines((what, f"fastnet, {rows[0]['unit']}", *(f"{peer} / fastnet" for peer in peers)), cells)
