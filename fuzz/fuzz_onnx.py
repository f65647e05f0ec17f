"""Coverage-guided fuzzing of `from_onnx` with atheris; docs/fuzzing.md says how to run it."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fastnet"]):
    import fastnet as fn
    from fastnet.onnx import from_onnx, to_onnx

import numpy as np


def load(raw: bytes) -> None:
    """Read a model, and predict with what comes out; any exception but ValueError is a finding."""
    try:
        network = from_onnx(raw)
    except ValueError:
        return
    assert network.forward(np.zeros((2, network.n_inputs), network.dtype)).shape == (2, network.n_outputs)


def write_seeds(corpus: Path) -> None:
    """Small networks, in the forms that `to_onnx` gives them."""
    corpus.mkdir(parents=True, exist_ok=True)
    for name in ("relu", "leaky_relu", "gelu", "silu", "mish", "selu"):
        network = fn.Network([fn.Dense(3, name), fn.Dense(2, "softmax")], n_inputs=2, random_state=0)
        for opset in (13, 20):
            (corpus / f"{name}-{opset}").write_bytes(to_onnx(network, opset=opset).SerializeToString())


def main() -> None:
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and not Path(sys.argv[1]).is_file():
        write_seeds(Path(sys.argv[1]))
    atheris.Setup(sys.argv, load)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
