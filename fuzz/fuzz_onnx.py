"""Coverage-guided fuzzing of `from_onnx` with atheris; docs/fuzzing.md says how to run it.

A model is a valid one, mutated either by atheris itself (bytes), or a random graph of the test suite. Any exception but
ValueError is a finding, and so is a network that computes something else than ONNX's own evaluator.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fastnet"]):
    import fastnet as fn
    from fastnet.onnx import from_onnx, to_onnx

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "exchange"))
import graphs  # noqa: E402
import kinds  # noqa: E402


def load(raw: bytes) -> None:
    """Read a model, and predict with what comes out."""
    try:
        network = from_onnx(raw)
    except ValueError:
        return
    X = np.random.default_rng(0).normal(size=(4, network.n_inputs)).astype(network.dtype)
    output = network.forward(X)
    expected = evaluate(onnx.load_model_from_string(raw), X)
    if expected is not None and np.isfinite(expected).all() and expected.dtype == output.dtype:
        assert output.shape == expected.shape
        assert np.abs(output - expected).max() <= 1e-3 * max(1, np.abs(expected).max())


def evaluate(model: onnx.ModelProto, X: np.ndarray) -> np.ndarray | None:
    """What ONNX's own evaluator makes of X; None for models that it cannot run, or whose operators could do harm."""
    if not {node.op_type for node in model.graph.node} <= graphs.OPERATORS:
        return None
    try:
        with np.errstate(all="ignore"):
            return ReferenceEvaluator(model).run(None, {model.graph.input[0].name: X})[0]
    except Exception:
        return None


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the time a random graph, otherwise atheris's own mutation."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        return atheris.Mutate(data, max_size)
    return graphs.random_model(rng).SerializeToString()[:max_size]


def write_seeds(corpus: Path) -> None:
    """Small networks, in the forms that `to_onnx` gives them, and graphs in the forms that others do."""
    corpus.mkdir(parents=True, exist_ok=True)
    for name in ("relu", "leaky_relu", "gelu", "silu", "mish", "selu"):
        network = fn.Network([fn.Dense(3, name), fn.Dense(2, "softmax")], n_inputs=2, random_state=0)
        for opset in (13, 20):
            (corpus / f"{name}-{opset}").write_bytes(to_onnx(network, opset=opset).SerializeToString())
    for name, network in kinds.networks().items():
        (corpus / name).write_bytes(to_onnx(network).SerializeToString())
    for seed in range(50):
        (corpus / f"graph-{seed}").write_bytes(graphs.random_model(random.Random(seed), change=0).SerializeToString())


def main() -> None:
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and not Path(sys.argv[1]).is_file():
        write_seeds(Path(sys.argv[1]))
    atheris.Setup(sys.argv, load, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
