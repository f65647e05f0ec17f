"""The libraries that fastnet is compared with, a module for each.

A module has a function for each kind of task that it can do: `trainer`, `predictor`, `table`, `gemm`, `kernel`,
`concurrent`, `spread`, `streamed` or `tabular_fit`. The function takes the task and a number of threads (None: the library's
default), prepares everything that a user would do once, and returns the job: a function of n that does the work n times. It
raises `Unsupported` for a task that the library cannot do. Predictors take and return NumPy arrays; their jobs return the last
one.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple


class Unsupported(Exception):
    """The library cannot do the task."""


class Peer(NamedTuple):
    """A module of this package, and the name of the library that it needs."""

    module: str
    library: str


#: Ends the label of a peer that runs at its default number of threads.
DEFAULT_THREADS = ", default threads"

PEERS = {
    "scikit-learn": Peer("sklearn", "sklearn"),
    "PyTorch": Peer("torch", "torch"),
    "JAX": Peer("jax", "jax"),
    "ONNX Runtime": Peer("onnx", "onnxruntime"),
    "NumPy": Peer("numpy", "numpy"),
    "LightGBM": Peer("lightgbm", "lightgbm"),
    "pytabkit": Peer("pytabkit", "pytabkit"),
    "fastnet, two ranks": Peer("fastnet_ranks", "mpi4py"),
    "fastnet on Dask": Peer("fastnet_dask", "distributed"),
    "PyTorch DDP, two ranks": Peer("torch_ranks", "torch"),
    "dask-ml Incremental": Peer("dask_ml", "dask_ml"),
    "one number between 2 machines": Peer("fastnet_machines", "torch"),
    "2 machines": Peer("fastnet_machines", "torch"),
    "3 machines": Peer("fastnet_machines", "torch"),
    "Parquet": Peer("fastnet", "pyarrow"),
    "Parquet with a cache on a disk": Peer("fastnet", "pyarrow"),
    "Parquet with a filled cache on a disk": Peer("fastnet", "pyarrow"),
    "reading Parquet alone": Peer("fastnet", "pyarrow"),
}


def missing(label: str) -> str | None:
    """Why a peer cannot take part; None if it can, or if it is a part of fastnet."""
    peer = PEERS.get(label.removesuffix(DEFAULT_THREADS))
    return None if peer is None or find_spec(peer.library) else f"{peer.library} is not installed"
