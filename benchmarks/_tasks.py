"""What is measured: networks, data and work, as plain values that are sent to a worker process, which makes the data."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from benchmarks import _tables
from benchmarks._links import Link

MOMENTUM = 0.9
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01

#: Sources of rows: Parquet files that are decoded in every epoch, once into a cache, or into a cache before.
PARQUET, CACHED, FILLED = "Parquet", "Parquet with a cache on a disk", "Parquet with a filled cache on a disk"

_FOLDERS = ExitStack()
atexit.register(_FOLDERS.close)


@dataclass(frozen=True)
class Training:
    """Epochs of a network with softmax and cross-entropy, or with `regression` of one output; `goals` are peer / fastnet."""

    kind: ClassVar[str] = "trainer"
    unit: ClassVar[str] = "ms per epoch"
    scale: ClassVar[float] = 1e3

    name: str
    n_rows: int
    n_features: int
    hidden: tuple[int, ...]
    n_outputs: int
    batch_size: int
    goals: dict[str, float] = field(default_factory=dict)
    limit_goal: float | None = None
    activation: str = "relu"
    optimizer: str = "adam"
    regression: bool = False
    dtype: str = "float32"
    #: fastnet only: further arguments of `fit` and of `Network`, whether the core is called for each batch, whether a loop of
    #: `loss_and_grad` and `update` takes the place of `fit`, and how many cores it must take the machine to have.
    fit_options: tuple[tuple[str, object], ...] = ()
    network_options: tuple[tuple[str, object], ...] = ()
    call_a_batch: bool = False
    own_loop: bool = False
    assumed_cores: int | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.n_features, *self.hidden, self.n_outputs)

    @property
    def n_params(self) -> int:
        return sum((n_in + 1) * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    @property
    def n_batches(self) -> int:
        """Of an epoch."""
        return -(-self.n_rows // self.batch_size)

    @property
    def flops(self) -> float:
        """Floating-point operations of an epoch's products (forward, dW, dA), without dA of the first layer."""
        weights = [n_in * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True)]
        return 2.0 * self.n_rows * (3 * sum(weights) - weights[0])

    @property
    def n_bytes(self) -> int:
        return self.n_rows * self.n_features * np.dtype(self.dtype).itemsize

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X (m, n_features), C-contiguous, and class numbers or values y (m,)."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.n_rows, self.n_features), dtype=self.dtype)
        scores = X[:, :2] @ rng.standard_normal((2, self.n_outputs), dtype=self.dtype)
        return X, scores[:, 0] if self.regression else scores.argmax(axis=1)

    def changed(self, suffix: str, margin: float, **changes: object) -> Training:
        """The same with another activation, optimiser or the like, and with `margin` times this network's goals."""
        goals = {peer: margin * goal for peer, goal in self.goals.items()}
        return replace(self, name=f"{self.name}-{suffix}", goals=goals, limit_goal=None, **changes)


@dataclass(frozen=True)
class Inference:
    """Predictions of a network for a block of rows. `best_goal` is the goal for best peer / fastnet."""

    kind: ClassVar[str] = "predictor"
    unit: ClassVar[str] = "us per call"
    scale: ClassVar[float] = 1e6

    name: str
    sizes: tuple[int, ...]
    n_rows: int
    best_goal: float | None = None
    most_microseconds: float | None = None
    estimator_goal: float | None = None
    dtype: str = "float32"

    @property
    def n_bytes(self) -> int:
        """Bytes of X and of the widest activations."""
        return self.n_rows * (self.sizes[0] + 2 * max(self.sizes[1:])) * np.dtype(self.dtype).itemsize

    @property
    def flops(self) -> float:
        """Floating-point operations of the products."""
        return 2.0 * self.n_rows * sum(n_in * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def data(self) -> np.ndarray:
        """X: one row as a vector, more rows as a matrix."""
        shape = (self.n_rows, self.sizes[0]) if self.n_rows > 1 else self.sizes[:1]
        return np.random.default_rng(0).standard_normal(shape, dtype=self.dtype)

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """W[l] (n[l-1], n[l]) and b[l] (n[l],) of ReLU layers and a softmax output."""
        rng = np.random.default_rng(1)
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        weights = [rng.standard_normal(pair, dtype=self.dtype) * self.weight_scale(pair[0]) for pair in pairs]
        return weights, [np.zeros(n_out, self.dtype) for _, n_out in pairs]

    def weight_scale(self, n_in: int) -> np.floating:
        return np.dtype(self.dtype).type((2.0 / n_in) ** 0.5)


@dataclass(frozen=True)
class Table:
    """Fits to one of scikit-learn's data sets or, with `n_rows`, calls of predict_proba for that many rows.

    `scaled`: the features are standardised beforehand, which is not timed.
    """

    kind: ClassVar[str] = "table"
    n_bytes: ClassVar[int] = 10_000_000

    dataset: str
    n_rows: int | None = None
    scaled: bool = False

    @property
    def unit(self) -> str:
        return "ms" if self.n_rows is None else "us"

    @property
    def scale(self) -> float:
        return 1e3 if self.n_rows is None else 1e6

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X (m, n_features), float32, and class numbers y (m,)."""
        from sklearn import datasets
        from sklearn.preprocessing import StandardScaler

        X, y = getattr(datasets, f"load_{self.dataset}")(return_X_y=True)
        return (StandardScaler().fit_transform(X) if self.scaled else X).astype(np.float32), y


@dataclass(frozen=True)
class Gemm:
    """C = A B of square matrices by BLAS, whose rate is the limit of products."""

    kind: ClassVar[str] = "gemm"

    n: int = 1024
    dtype: str = "float32"
    n_bytes: ClassVar[int] = 0

    @property
    def flops(self) -> float:
        return 2.0 * self.n**3


@dataclass(frozen=True)
class Kernel:
    """One kernel of the compiled core: `function` names the kind of work, `arguments` its shape."""

    kind: ClassVar[str] = "kernel"

    function: str
    arguments: tuple[object, ...]
    dtype: str = "float32"
    n_bytes: ClassVar[int] = 0


@dataclass(frozen=True)
class Concurrent:
    """Simultaneous fits: `fits` training runs in as many Python threads, or a grid search with as many jobs."""

    kind: ClassVar[str] = "concurrent"

    training: Training
    fits: int
    grid_search: bool = False

    @property
    def n_bytes(self) -> int:
        return self.training.n_bytes


@dataclass(frozen=True)
class Many:
    """`fits` networks of one shape, trained for `epochs`: one after the other, or `together` by `fit_many`."""

    kind: ClassVar[str] = "many"

    training: Training
    fits: int
    epochs: int
    together: bool

    @property
    def n_bytes(self) -> int:
        return self.training.n_bytes


@dataclass(frozen=True)
class Spread:
    """Training on `processes` processes at the same time; `rounds` an epoch where they exchange models and not gradients."""

    kind: ClassVar[str] = "spread"

    training: Training
    processes: int
    rounds: int = 1

    @property
    def n_bytes(self) -> int:
        return self.training.n_bytes


@dataclass(frozen=True)
class Linked:
    """Training on `processes` machines with links between them; `only_exchanges`: as many exchanges of a single number."""

    kind: ClassVar[str] = "linked"

    training: Training
    processes: int
    link: Link
    only_exchanges: bool = False

    @property
    def n_bytes(self) -> int:
        return self.training.n_bytes


@dataclass(frozen=True)
class Streamed:
    """Training on rows in "memory", in a "memory map" or in Parquet files, which the system has in its cache.

    A call opens the files anew and is a fit of several epochs, the first of which checks the rows of a memory map, or decodes
    those for a cache; unless the cache has been filled before. `only_read`: reading all blocks once an epoch, without training.
    """

    kind: ClassVar[str] = "streamed"
    n_epochs: ClassVar[int] = 5

    training: Training
    source: str
    block_rows: int = 4_000
    only_read: bool = False

    @property
    def n_bytes(self) -> int:
        return self.training.n_bytes

    def written(self) -> Any:
        """Arrays X and y, or the path of a Parquet file with the columns of X and "y". Files live as long as the process."""
        X, y = self.training.data()
        if self.source == "memory":
            return X, y
        folder = Path(_FOLDERS.enter_context(TemporaryDirectory(prefix="fastnet-benchmark-")))
        if self.source == "memory map":
            np.save(folder / "X.npy", X)
            return np.load(folder / "X.npy", mmap_mode="r"), y
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {f"x{j}": X[:, j] for j in range(X.shape[1])} | {"y": y}
        pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=self.block_rows)
        return folder / "rows.parquet"


@dataclass(frozen=True)
class TabularFit:
    """A fit of `n_epochs` to at most `n_rows` rows of a table, with the preparing of its columns."""

    kind: ClassVar[str] = "tabular_fit"
    unit: ClassVar[str] = "s"
    scale: ClassVar[float] = 1.0
    n_epochs: ClassVar[int] = 256
    n_bytes: ClassVar[int] = 100_000_000

    table: _tables.Table
    n_rows: int = 1_000

    @property
    def name(self) -> str:
        return self.table.name

    def missing(self) -> str | None:
        """Why the table is not available; None if it is."""
        return self.table.missing()

    def rows(self) -> tuple[Any, Any]:
        """Features and target."""
        from sklearn.model_selection import train_test_split

        X, y = self.table.load()
        stratify = None if self.table.regression else y
        X_train, _, y_train, _ = train_test_split(X, y, train_size=self.n_rows, stratify=stratify, random_state=0)
        return X_train, y_train
