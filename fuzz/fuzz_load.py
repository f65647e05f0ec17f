"""Coverage-guided fuzzing of the readers with atheris; docs/fuzzing.md says how to run it.

A file is a valid one, mutated either by atheris itself (bytes) or by the structured mutations of the test suite. Any exception
but ValueError is a finding, and so is a model that does not predict.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fastnet", "json"]):
    import fastnet as fn
    from fastnet.persistence import _container, _format, _load, runs

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "exchange"))
import kinds  # noqa: E402
import mutations  # noqa: E402


def saved(network: fn.Network) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        network.save(path := Path(folder) / "network.safetensors")
        return path.read_bytes()


GOLDEN = [path.read_bytes() for path in sorted((ROOT / "tests" / "exchange" / "golden").glob("format-*/*.safetensors"))]
SEEDS = [*(raw for raw in GOLDEN if b'"fastnet"' in raw), *(saved(network) for network in kinds.networks().values())]


def load(raw: bytes) -> None:
    """Read a file as `fastnet.load` does, and predict with what comes out."""
    try:
        file = _container.read(bytearray(raw))
        kind, content = _format.parse(file.metadata)
        model = _load.build(file, kind, content)
        if kind == "checkpoint":
            runs.parts(file, kind, content)
    except ValueError:
        return
    if isinstance(model, fn.Network):
        kinds.assert_predicts(model)
    else:
        assert len(model.predict(np.full((2, model.n_features_in_), 0.5))) == 2


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the time a structured mutation, otherwise atheris's own."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        return atheris.Mutate(data, max_size)
    try:
        apart = mutations.take_apart(data)
        return rng.choice(mutations.MUTATIONS)(apart, rng)[:max_size]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # what is broken already cannot be taken apart
        return mutations.put_together(*mutations.take_apart(rng.choice(SEEDS)))[:max_size]


def write_seeds(corpus: Path) -> None:
    """The golden files and networks of every kind, as the corpus to start from."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(SEEDS):
        (corpus / f"seed-{number}").write_bytes(raw)


def main() -> None:
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and not Path(sys.argv[1]).is_file():
        write_seeds(Path(sys.argv[1]))
    atheris.Setup(sys.argv, load, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
