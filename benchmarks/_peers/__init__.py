"""What fastnet is compared with, one module each.

A module has a function for each kind of task it can do: `trainer`, `predictor`, `gemm`, `kernel` or `concurrent`. The function
takes the task and a number of threads (None: the library's own choice), prepares everything that a user would do once, and
returns the job: a function of n that does the work n times. It raises `Unsupported` for a task that the library cannot do.
Predictors take NumPy arrays and end with NumPy arrays; their jobs return the last.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple


class Unsupported(Exception):
    """The library has nothing that does the task."""


class Peer(NamedTuple):
    """A module of this package, and the name of the library that it needs."""

    module: str
    library: str


#: The label of a peer that takes the number of threads it takes by itself, after the peer's own.
DEFAULT_THREADS = ", default threads"

PEERS = {
    "scikit-learn": Peer("sklearn", "sklearn"),
    "PyTorch": Peer("torch", "torch"),
    "JAX": Peer("jax", "jax"),
    "ONNX Runtime": Peer("onnx", "onnxruntime"),
    "NumPy": Peer("numpy", "numpy"),
    "LightGBM": Peer("lightgbm", "lightgbm"),
}


def missing(label: str) -> str | None:
    """Why a peer cannot take part; None if it can, or is no peer but a part of fastnet."""
    peer = PEERS.get(label.removesuffix(DEFAULT_THREADS))
    return None if peer is None or find_spec(peer.library) else f"{peer.library} is not installed"
