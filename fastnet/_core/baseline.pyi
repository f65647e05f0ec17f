"""What every compiled level of the core offers: baseline, v2, v3 and v4 are one source."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from threading import Event
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Array: TypeAlias = NDArray[Any]  # float32 or float64, one width in a call
CSR: TypeAlias = tuple[Array, NDArray[np.int32], NDArray[np.int64], tuple[int, int]]  # data, indices, indptr, shape
LossSpec: TypeAlias = tuple[Any, ...]  # code, parameter, levels of a quantile loss or None[, ceiling[, of_mean]]

ACTIVATION_CODES: dict[str, int]
LOSS_CODES: dict[str, int]
OPTIMIZER_CODES: dict[str, int]
LAYER_CODES: dict[str, int]
CELL_CODES: dict[str, int]

interrupt: ContextVar[Event | None]

class Plan:
    kind: tuple[int, int, int]
    n_inputs: int
    n_layers: int
    n_segments: int
    n_params: int
    n_penalised: int
    n_frozen: int
    n_cuts: int
    n_members: int
    n_positions: int
    n_outputs: int
    n_folded: int
    n_slots: int
    slopes: int
    widest: int
    cost: float
    uses_blas: bool
    takes_sparse: bool
    needs_panel: bool
    sizes: tuple[int, ...]
    def __init__(
        self,
        n_inputs: int,
        layers: Sequence[tuple[Any, ...]],
        *,
        n_members: int = 1,
        n_positions: int = 1,
        lengths: Sequence[tuple[int, int]] | None = None,
        share: tuple[int, int] | None = None,
    ) -> None: ...
    def segment_table(self) -> list[tuple[int, int, int, int, int, bool, bool]]: ...

class SharedVectors:
    share: slice
    def __init__(self, meeting: NDArray[np.uint8], rows: Array, rank: int) -> None: ...
    def add_up(self) -> None: ...

class Trainer:
    """See `fastnet._session.Session`, which makes it."""

    plan: Plan
    n_rows: int
    n_threads: int
    workspace_bytes: int
    step: int
    others_failed: bool
    def __init__(
        self,
        plan: Plan,
        params: Array,
        loss: LossSpec,
        X: Array | CSR,
        y: Array,
        sample_weight: Array | None,
        batch_size: int,
        optimizer: int,
        hyper: tuple[float, ...],
        state: Sequence[Array],
        *,
        l2: float = 0.0,
        l2_per_batch: bool = False,
        weight_decay: float = 0.0,
        max_grad_norm: float = 0.0,
        track_grad_norm: bool = False,
        seed: int = 0,
        n_threads: int = 1,
        gradient: Array | None = None,
        dropout: bool = True,
        rate_factors: Sequence[float] | None = None,
        decay_factors: Sequence[float] | None = None,
        exchange: tuple[Callable[[], None], Array, SharedVectors | None] | None = None,
        augmentation: tuple[float, ...] | None = None,
    ) -> None: ...
    def run(
        self, order: NDArray[np.uint32] | None, settings: NDArray[np.float64], bounds: NDArray[np.int64] | None = None
    ) -> tuple[bool, int, int, int, float, float, float]: ...

def train_members(
    trainers: tuple[Trainer, ...], order: NDArray[np.uint32] | None, settings: NDArray[np.float64], n_threads: int
) -> tuple[bool, int, int, int, float, float, float]: ...
def train_many(
    runs: tuple[
        tuple[
            Trainer, Array, int, NDArray[np.uint32] | None, NDArray[np.uint64], NDArray[np.float64], Array, NDArray[np.float64]
        ],
        ...,
    ],
) -> list[tuple[int, bool, int]]: ...
def forward(plan: Plan, params: Array, X: Array | CSR, out: Array, n_threads: int = 1, *, of_each: bool = False) -> None: ...
def forward_row(plan: Plan, params: Array, x: Any, limit: Callable[[], int], n_threads: int | None = None) -> Array: ...
def activations(plan: Plan, params: Array, X: Array | CSR, outs: list[Array], n_threads: int = 1) -> None: ...
def loss(
    plan: Plan, params: Array, loss: LossSpec, X: Array | CSR, y: Array, sample_weight: Array | None = None, n_threads: int = 1
) -> float: ...
def loss_and_grad(
    plan: Plan,
    params: Array,
    loss: LossSpec,
    X: Array | CSR,
    y: Array,
    sample_weight: Array | None,
    grads: Array,
    n_threads: int = 1,
    seed: int | None = None,
) -> float: ...
def update(
    params: Array,
    gradient: Array,
    optimizer: int,
    hyper: tuple[float, ...],
    state: Sequence[Array],
    *,
    step: int,
    rate: float,
    l2: float = 0.0,
    weight_decay: float = 0.0,
    n_decayed: int = 0,
    scale: float = 1.0,
    n_threads: int = 1,
) -> None: ...
def running_calls() -> int: ...

class Room:
    def leave(self) -> None: ...

def beside_teams(function: Callable[[], T], room: Room | None = None) -> T: ...
def fix_team(size: int) -> None: ...
def helpers_begun() -> int: ...
def forget_retreats() -> None: ...
def words(rng: np.random.Generator, n: int) -> NDArray[np.uint64]: ...
def shuffle(order: NDArray[np.uint32], state: NDArray[np.uint64]) -> None: ...
def draw(order: NDArray[np.uint32], n: int, state: NDArray[np.uint64]) -> None: ...
def exp(x: Array, out: Array) -> None: ...
def tanh(x: Array, out: Array) -> None: ...
def sigmoid(x: Array, out: Array) -> None: ...
def log(x: Array, out: Array) -> None: ...
def apply_activation(code: int, alpha: float, Z: Array, A: Array) -> None: ...
def apply_derivative(code: int, alpha: float, Z: Array, D: Array) -> None: ...
def product(
    A: Array,
    B: Array,
    C: Array,
    transpose_a: bool = False,
    transpose_b: bool = False,
    *,
    accumulate: bool = False,
    blas: bool | None = None,
    panels: bool = False,
) -> None: ...
