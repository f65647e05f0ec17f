"""The documentation's tables of convolutional and recurrent networks."""

from __future__ import annotations

from typing import Any

from benchmarks._layers import LayerInference, LayerTraining
from benchmarks._report import figure, table_lines
from benchmarks._results import without_goals

PEERS = ("PyTorch", "JAX")


def tables(results: dict[str, Any], name: str) -> dict[str, str]:
    """Training and predictions in Markdown: fastnet's time, and the peers' as multiples of it."""
    training = _lines(results, LayerTraining.unit, PEERS)
    predictions = _lines(results, LayerInference.unit, ("ONNX Runtime",))
    env = results["environment"]
    about = f"{env['cores']} cores of {env['cpu']}; median of {results['options']['rounds']} interleaved rounds (least to most)."
    source = f"{about} Source: `benchmarks/results/{name}`."
    return {"training": "\n".join([*training, "", source]), "predictions": "\n".join([*predictions, "", source])}


def _lines(results: dict[str, Any], unit: str, peers: tuple[str, ...]) -> list[str]:
    rows = []
    for row in results["groups"]["layers"]["rows"]:
        if row["unit"] != unit:
            continue
        found = {check["what"]: figure(check) for check in without_goals(row)["checks"]}
        shape, _, threads = row["name"].rpartition("-")
        rows.append((shape, threads, f"{row['times']['fastnet']['median']:.4g}", *(found.get(peer, "") for peer in peers)))
    return table_lines(("network", "threads", f"fastnet, {unit}", *(f"{peer} / fastnet" for peer in peers)), rows)
