"""Training of convolutional, recurrent and transformer networks beside PyTorch and JAX; single rows beside ONNX Runtime."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks import train
from benchmarks._layers import LayerInference, LayerTraining
from benchmarks._peers import PEERS
from benchmarks._pool import Entry, Pool
from benchmarks._results import Series, check, ratios, row

TITLE = "Layers"


def _goals(torch: float, jax: float) -> dict[str, float]:
    return {"PyTorch": torch, "JAX": jax}


_LENET = (
    *(("conv", 6, 5, 2), ("pool", 2), ("conv", 16, 5, 0), ("pool", 2), ("flatten",)),
    *(("dense", 120), ("dense", 84), ("output", 10)),
)
_DIGITS = (("conv", 16, 3, 1), ("pool", 2), ("conv", 32, 3, 1), ("pool", 2), ("flatten",), ("output", 10))
_CNN = (("conv", 64, 5, 2), ("pool", 2), ("conv", 64, 5, 2), ("pool", 2), ("conv", 64, 5, 2), ("mean",), ("output", 6))
_ENCODER = (("linear", 64), ("positions",), *2 * (("block", 4, 256),), ("norm",), ("mean",), ("output", 6))
_DECODER = (("embedding", 65, 128), ("positions",), *4 * (("causal", 4, 512),), ("norm",), ("output", 65))
_TABLE = (("tokens", 64), *3 * (("block", 4, 128),), ("last",), ("norm",), ("output", 2))

SHAPES = (
    LayerTraining("lenet", 4_096, 64, (28, 28, 1), _LENET, _goals(2.7, 5.4)),
    LayerTraining("digits", 1_792, 32, (8, 8, 1), _DIGITS, _goals(3.5, 2.2)),
    LayerTraining("cnn1d", 2_048, 64, (128, 9), _CNN, _goals(2.4, 1.3)),
    LayerTraining("lstm", 2_048, 64, (100, 9), (("lstm", 64), ("output", 6)), _goals(2.4, 2.4)),
    LayerTraining("gru", 2_048, 64, (100, 9), (("gru", 64), ("output", 6)), _goals(4.2, 2.5)),
    LayerTraining("lstmvar", 2_048, 64, (100, 9), (("lstm", 64), ("output", 6)), _goals(2.8, 3.7), (20, 100)),
    LayerTraining("enc", 1_024, 32, (64, 9), _ENCODER, _goals(1.9, 3.7)),
    LayerTraining("dec", 128, 16, (128,), _DECODER, _goals(1.5, 2.7)),
    LayerTraining("fttr", 4_096, 128, (20,), _TABLE, _goals(1.9, 2.8)),
)
QUICK = ("digits", "gru")
PEER_MODULES = {"PyTorch": "torch_layers", "JAX": "jax_layers", "ONNX Runtime": "onnx_layers"}
THREADS = (1, 2)


def run(pool: Pool) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for task in pool.options.chosen(SHAPES, QUICK):
        rows += [_trained(pool, task, threads) for threads in THREADS]
        if task.lengths is None:
            rows.append(_predicted(pool, LayerInference(f"{task.name}-row", task.input_shape, task.layers)))
    return {"rows": rows}


def _entries(task: Any, labels: Any, threads: int) -> list[Entry]:
    own = Entry("fastnet", "fastnet_layers", task, (threads,))
    return [own, *(Entry(label, PEER_MODULES[label], task, (threads,)) for label in labels if label in PEERS)]


def _trained(pool: Pool, task: LayerTraining, threads: int) -> dict[str, Any]:
    series = pool.compare([train.gemm(threads), *_entries(task, task.goals, threads)])
    limits = train.rates(series)
    timed = {label: one for label, one in series.items() if label != "GEMM"}
    own = timed["fastnet"]
    checks = [check(label, ratios(timed[label], own), task.goals[label]) for label in timed if label != "fastnet"]
    shares = [task.flops / limit / seconds for limit, seconds in zip(limits, own.seconds, strict=True)]
    for figure in checks:
        at_limit = (task.flops / limit for limit in limits)
        peer = timed[figure["what"]].seconds
        figure["at_limit"] = median(seconds / least for seconds, least in zip(peer, at_limit, strict=True))
    checks.append(check("share of GEMM limit", shares))
    name = f"{task.name}-{threads}"
    about = f"{task.n_rows:,} rows of {task.input_shape}, batches of {task.batch_size}"
    title = f"{task.name}: training on {about}, threads: {threads}"
    result = row(name, task.unit, task.scale, timed, checks, title=title, task=_about(task), gemm_flops=limits)
    pool.report(result)
    return result


def _predicted(pool: Pool, task: LayerInference) -> dict[str, Any]:
    series: dict[str, Series] = pool.compare(_entries(task, ("ONNX Runtime",), 1))
    checks = [check(label, ratios(one, series["fastnet"]), 1.0) for label, one in series.items() if label != "fastnet"]
    title = f"{task.name}: prediction of one row of {task.input_shape}"
    result = row(task.name, task.unit, task.scale, series, checks, title=title, task=_about(task))
    pool.report(result)
    return result


def _about(task: LayerTraining | LayerInference) -> dict[str, Any]:
    return {"rows": task.n_rows, "sizes": task.input_shape, "layers": task.layers, "dtype": "float32"}
