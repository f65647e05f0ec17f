"""Estimators on Dask: shards of the rows train on the workers, and their models are averaged several times an epoch.

::

    clf = fastnet.dask.MLPClassifier((64, 64), n_shards=8, rounds_per_epoch=4)
    clf.fit(dX, dy)  # Dask arrays, data frames, or lists of delayed partitions
    clf.predict(dX)  # lazy

All work is in Dask's graphs: what a lost worker has done is done again, with the same result, and fastnet opens no connection.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, cast
from uuid import uuid4

import numpy as np
from scipy import sparse
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import Interval

from fastnet import _data, estimators
from fastnet._rounds import Model, Round, RoundsSession, Shard, average, deal, train
from fastnet.network import Network
from fastnet.optimizers import LBFGS

try:
    import dask
    from dask.base import is_dask_collection
    from dask.delayed import Delayed, delayed
except ImportError as error:
    raise ImportError("fastnet.dask needs Dask, which is not installed: pip install dask distributed") from error

__all__ = ["MLPClassifier", "MLPRegressor", "WorkerError"]

T = TypeVar("T", bound=type)

#: Seconds to wait for the first worker, or for another one after the last was lost.
_PATIENCE = 60.0
#: Seconds between two looks at the workers.
_INTERVAL = 2.0
#: Parameters that are not those of the estimators without Dask.
_OWN = ("client", "n_shards", "rounds_per_epoch")


class WorkerError(RuntimeError):
    """Dask has given up: work has cost too many workers, or there are none."""


class Engine:
    """Where graphs are computed: by a client of Dask's distributed scheduler, or else in this process.

    Parameters
    ----------
    client : distributed.Client or None
        None: the current one, if there is one.

    Raises
    ------
    WorkerError
        No workers.
    """

    def __init__(self, client: Any) -> None:
        self._client = _current_client() if client is None else client
        if self._client is not None:
            try:
                self._client.wait_for_workers(1, timeout=_PATIENCE)
            except TimeoutError:
                raise WorkerError(
                    f"The cluster has no workers, after {_PATIENCE:g} seconds: start some, with cluster.scale(2) for example."
                ) from None

    def persist(self, values: Sequence[Delayed]) -> list[Delayed]:
        """The same values, computed and kept by the workers, which compute them again where one is lost."""
        return list(dask.persist(*values) if self._client is None else self._client.persist(list(values)))

    def compute(self, value: Delayed) -> Any:
        """The value itself."""
        if self._client is None:
            return value.compute()
        from distributed import KilledWorker

        future = self._client.compute(value)
        without_workers = 0.0
        while True:
            try:
                return future.result(timeout=_INTERVAL)
            except KilledWorker as error:
                raise WorkerError(
                    f"{error.task} has cost more workers than Dask allows (distributed.scheduler.allowed-failures); the last was "
                    f"{error.last_worker.address}. Give the workers more memory, or the data more partitions and n_shards."
                ) from error
            except TimeoutError:
                if future.done():
                    raise
                without_workers = 0.0 if self._client.nthreads() else without_workers + _INTERVAL
            if without_workers >= _PATIENCE:
                raise WorkerError(f"All workers were lost, and none has come back in {_PATIENCE:g} seconds.")


def _current_client() -> Any:
    try:
        from distributed import default_client
    except ImportError:
        return None
    try:
        return default_client()
    except ValueError:
        return None


def _is_on_dask(data: Any) -> bool:
    return is_dask_collection(data) or (isinstance(data, (list, tuple)) and bool(data) and isinstance(data[0], Delayed))


def _pieces(data: Any, rows: Any = None) -> list[Any]:
    """Delayed rows of each partition; those of an array divided as `rows` are, where both know their lengths.

    The graph is left as it is: pieces of X and y that come of one source share its tasks, and cannot fall out of step.
    """
    if isinstance(data, Delayed):
        return [data]
    if isinstance(data, (list, tuple)):
        return list(data)
    if hasattr(data, "chunks"):
        if data.ndim > 1:
            data = data.rechunk(dict.fromkeys(range(1, data.ndim), -1))
        if hasattr(rows, "chunks") and not np.isnan([*data.shape[:1], *rows.shape[:1]]).any() and len(data) == len(rows):
            data = data.rechunk({0: rows.chunks[0]})
    return list(np.ravel(np.array(data.to_delayed(optimize_graph=False), dtype=object)))


class Partition(NamedTuple):
    """Rows as the caller gave them."""

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None


class Description(NamedTuple):
    """What the client knows of a partition.

    Attributes
    ----------
    size : int
    X : array-like of shape (1, n_features)
        Its first row.
    y : ndarray
        Its classes, or the first target.
    counts : ndarray of int
        How often each of them comes.
    weight : float
        Sum of the sample weights.
    """

    size: int
    X: Any
    y: np.ndarray
    counts: np.ndarray
    weight: float


def _partitions(X: Any, y: Any, sample_weight: Any) -> list[Delayed]:
    """Each a `Partition`."""
    if y is None:
        raise TypeError("fit needs y beside X.")
    given = {"X": _pieces(X), "y": _pieces(y, X)}
    if sample_weight is not None:
        given["sample_weight"] = _pieces(sample_weight, X)
    for name, pieces in given.items():
        if len(pieces) != len(given["X"]):
            raise ValueError(f"{name} must have the {len(given['X'])} partitions of X, got {len(pieces)}.")
    return [delayed(_partition)(number, *pieces) for number, pieces in enumerate(zip(*given.values(), strict=True))]


def _partition(number: int, X: Any, y: Any, sample_weight: Any = None) -> Partition:
    y, sample_weight = _as_vector(y), None if sample_weight is None else _as_vector(sample_weight)
    lengths = [X.shape[0], len(y), *([] if sample_weight is None else [len(sample_weight)])]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"Partition {number} has {lengths[0]} rows of X, {lengths[1]} of y"
            + ("." if sample_weight is None else f" and {lengths[2]} sample weights.")
        )
    return Partition(X, y, sample_weight)


def _as_vector(values: Any) -> np.ndarray:
    """An array, of one dimension where there is one column."""
    array = np.asarray(values)
    return array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array


def _distinct(values: np.ndarray, **options: Any) -> Any:
    return np.unique(values, axis=None if values.ndim == 1 else 0, **options)


def _described(partition: Partition, of_classes: bool) -> Description | None:
    """None: no rows."""
    X, y, sample_weight = partition
    if not len(y):
        return None
    values, counts = _distinct(y, return_counts=True) if of_classes else (y[:1], np.ones(1, int))
    weight = float(len(y) if sample_weight is None else np.sum(sample_weight, dtype=np.float64))
    return Description(len(y), _safe_indexing(X, [0]), values, counts, weight)


def _dealt(partition: Partition, start: int, n_shards: int, seed: int) -> list[Partition]:
    """The rows of a partition, whose first row is number `start` of all, for each shard."""
    X, y, sample_weight = partition
    shards = deal(start, start + len(y), n_shards, seed)
    numbers = [np.flatnonzero(shards == shard) for shard in range(n_shards)]
    return [
        Partition(_safe_indexing(X, rows), y[rows], None if sample_weight is None else sample_weight[rows]) for rows in numbers
    ]


def _shard(estimator: Any, dtype: np.dtype, parts: Sequence[Partition]) -> Shard:
    """Rows of all partitions in the core's form. A shard without weight has no rows."""
    parts = [part for part in parts if len(part.y)]
    y = np.concatenate([part.y for part in parts])
    weights = [part.sample_weight for part in parts if part.sample_weight is not None]
    sample_weight = np.concatenate(weights) if weights else None
    X = _stacked([part.X for part in parts])
    has_weight = sample_weight is None or bool(sample_weight.any())
    rows = estimator._checked_rows(X, y, sample_weight if has_weight else None, role="validation", reset=False)
    if not has_weight:
        rows = rows.take(np.empty(0, np.intp))
    features = _data.features(rows.X, estimator.n_features_in_, dtype, check_finite=False)
    weights_in_form = None if rows.sample_weight is None else rows.sample_weight.astype(dtype, copy=False)
    targets = estimator._training_targets(rows.y)
    return features, targets if targets.dtype.kind == "i" else targets.astype(dtype, copy=False), weights_in_form


def _stacked(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    if hasattr(parts[0], "iloc"):
        import pandas

        return pandas.concat(parts)
    return np.concatenate(parts)


class DealtRows:
    """The rows of all partitions, which are dealt to shards of equal size when training begins.

    Parameters
    ----------
    engine : Engine
    partitions : list of Delayed
        Of `Partition`.
    sizes : sequence of int
        Rows of each.
    n_shards : int
    rounds_per_epoch : int
    class_counts : dict of class to int, optional
    """

    def __init__(
        self,
        engine: Engine,
        partitions: list[Delayed],
        sizes: Sequence[int],
        n_shards: int,
        rounds_per_epoch: int,
        class_counts: dict[Any, int] | None,
    ) -> None:
        self._engine, self._partitions = engine, partitions
        self._rounds_per_epoch, self._class_counts = rounds_per_epoch, class_counts
        self._starts = np.cumsum([0, *sizes]).tolist()
        self._n_shards = min(n_shards, len(self))

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def _sizes(self) -> list[int]:
        """Rows of each shard; dealing gives the last round's rows to any of them."""
        return [-(-len(self) // self._n_shards)] * self._n_shards

    def steps_per_epoch(self, batch_size: int) -> int:
        return -(-self._sizes[0] // min(batch_size, self._sizes[0]))

    def session(self, estimator: Any, network: Network, *, random_state: Any, **options: Any) -> RoundsSession:
        rng = check_random_state(random_state)
        sent = delayed(estimator._for_workers(self._class_counts))
        seed, n = int(rng.randint(2**31 - 1)), self._n_shards
        pieces = [
            delayed(_dealt, nout=n)(partition, start, n, seed)
            for partition, start in zip(self._partitions, self._starts, strict=False)
        ]
        shards = [delayed(_shard)(sent, network.dtype, [dealt[shard] for dealt in pieces]) for shard in range(n)]
        shards = self._engine.persist(shards)
        self._partitions = []
        work = _Shards(self._engine, shards, self._sizes, len(self))
        return RoundsSession(network, work, rounds_per_epoch=self._rounds_per_epoch, random_state=rng, **options)


class _Shards:
    """Shards as `RoundsSession` takes them; rounds become one graph."""

    def __init__(self, engine: Engine, shards: list[Delayed], sizes: list[int], m: int) -> None:
        self._engine, self._shards, self.sizes, self._m = engine, shards, sizes, m

    def __len__(self) -> int:
        return self._m

    def run(self, rounds: Sequence[Round], start: Model) -> Model:
        model = delayed(start, traverse=False)
        for number, work in enumerate(rounds, 1):
            sent = delayed(work, traverse=False)
            trained = [
                delayed(train)(sent, i, shard, model, dask_key_name=_key(work, number, f"shard {i}"))
                for i, shard in enumerate(self._shards)
            ]
            model = delayed(average)(model, trained, dask_key_name=_key(work, number, "average"))
        return cast(Model, self._engine.compute(model))


def _key(work: Round, number: int, what: str) -> str:
    """Name of a task, which Dask's dashboard and errors show."""
    return f"fastnet epoch {work.epoch + 1} round {number} {what}-{uuid4().hex}"


if TYPE_CHECKING:
    from fastnet.estimators import MLPClassifier as _Estimator
else:
    _Estimator = object


class _OnDask(_Estimator):
    """What the estimators on Dask add to those of `fastnet.estimators`: Dask's collections in place of arrays."""

    client: Any
    n_shards: int
    rounds_per_epoch: int
    _local_type: ClassVar[type[Any]]
    _score: ClassVar[Callable[..., float]]

    def __init__(
        self, *args: Any, client: Any = None, n_shards: int = 8, rounds_per_epoch: int = 4, **parameters: Any
    ) -> None:
        super().__init__(*args, **parameters)
        self.client, self.n_shards, self.rounds_per_epoch = client, n_shards, rounds_per_epoch

    def to_local(self) -> Any:
        """A copy without Dask: `fastnet.MLPClassifier` or `fastnet.MLPRegressor`, with the same parameters and model."""
        local = object.__new__(self._local_type)
        local.__setstate__({name: copy.copy(value) for name, value in self.__getstate__().items() if name not in _OWN})
        return local

    def predict(self, X: Any) -> Any:
        """Predictions, as a lazy Dask array where X is on Dask.

        Parameters
        ----------
        X : Dask array or data frame, list of Delayed, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        dask.array.Array or ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._lazy("predict", X) if _is_on_dask(X) else super().predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of a classifier, R2 of a regressor; only predictions and targets leave the workers.

        Parameters
        ----------
        X : Dask array or data frame, list of Delayed, or array-like, of shape (n_samples, n_features)
        y : the same of shape (n_samples,)
        sample_weight : the same of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        if not _is_on_dask(X):
            return super().score(X, y, sample_weight)
        predicted = [self._lazy("predict", X)]
        parts = [predicted, _pieces(y, X), None if sample_weight is None else _pieces(sample_weight, X)]
        of_predictions, of_y, of_weight = Engine(self.client).compute(delayed(lambda *given: given)(*parts))
        weights = None if of_weight is None else np.concatenate(of_weight)
        return type(self)._score(np.concatenate(of_y), of_predictions[0], sample_weight=weights)

    def _lazy(self, method: str, X: Any) -> Any:
        import dask.array as da

        local, pieces = self.to_local(), _pieces(X)
        dtype = X.dtype if hasattr(X, "dtype") else np.result_type(*getattr(X, "dtypes", [np.float64]))
        example = _outputs_of(local, method, np.empty((0, local.n_features_in_), dtype))
        sizes = X.chunks[0] if hasattr(X, "chunks") else [np.nan] * len(pieces)
        sent = delayed(local)
        parts = [
            da.from_delayed(delayed(_outputs_of)(sent, method, piece), (size, *example.shape[1:]), meta=example)
            for size, piece in zip(sizes, pieces, strict=True)
        ]
        return da.concatenate(parts)

    def _for_workers(self, class_counts: dict[Any, int] | None) -> Any:
        """What shards are checked and encoded with."""
        local = self.to_local()
        local.callbacks = None
        if getattr(local, "class_weight", None) == "balanced" and class_counts is not None:
            m = sum(class_counts.values())
            local.class_weight = {label: m / (len(class_counts) * count) for label, count in class_counts.items()}
        return local

    def _checked_rows(self, X: Any, y: Any, sample_weight: Any, *, role: Any, reset: bool) -> Any:
        check = super()._checked_rows
        if not _is_on_dask(X):
            return check(X, y, sample_weight, role=role, reset=reset)
        engine = Engine(self.client)
        if role == "validation":
            return check(*_gathered(engine, X, y, sample_weight), role=role, reset=reset)
        self._refuse()
        partitions = engine.persist(_partitions(X, y, sample_weight))
        of_classes = not self._numeric_targets
        descriptions = engine.compute(delayed([delayed(_described)(partition, of_classes) for partition in partitions]))
        known = [description for description in descriptions if description is not None]
        if not known:
            raise ValueError("The partitions have no rows: at least one datapoint is needed.")
        if not any(description.weight for description in known):
            raise ValueError("Sample weights must contain at least one non-zero number.")
        labels, position = _distinct(np.concatenate([d.y for d in known]), return_inverse=True)
        counts = np.bincount(position.ravel(), np.concatenate([d.counts for d in known])).astype(int)
        rows = check(_safe_indexing(known[0].X, [0] * len(labels)), labels, None, role=role, reset=reset)
        sizes = [0 if description is None else description.size for description in descriptions]
        class_counts = dict(zip(labels.tolist(), counts.tolist(), strict=True)) if of_classes and labels.ndim == 1 else None
        elsewhere = DealtRows(engine, partitions, sizes, self.n_shards, self.rounds_per_epoch, class_counts)
        return replace(rows, elsewhere=elsewhere)

    def _refuse(self) -> None:
        """Raise ValueError for parameters that need all rows in one place."""
        if getattr(self, "scale_target", False):
            raise ValueError("scale_target=True needs all targets in memory: standardise y before, or set scale_target=False.")
        if isinstance(self.solver, LBFGS) or self.solver == "lbfgs":
            raise ValueError("solver='lbfgs' needs all rows in memory, got data on Dask: set another solver, or give arrays.")

    def __sklearn_clone__(self) -> Any:
        """Clients are not copied, but shared."""
        clone = super(_OnDask, copy.copy(self)).__sklearn_clone__()
        clone.client = self.client
        return clone

    def __getstate__(self) -> dict[str, Any]:
        """Clients stay in their process."""
        return super().__getstate__() | {"client": None}


def _gathered(engine: Engine, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Rows on Dask in the memory of this process."""
    partitions = [part for part in engine.compute(delayed(_partitions(X, y, sample_weight))) if len(part.y)]
    weights = None if sample_weight is None else np.concatenate([part.sample_weight for part in partitions])
    return _stacked([part.X for part in partitions]), np.concatenate([part.y for part in partitions]), weights


def _outputs_of(estimator: Any, method: str, X: Any) -> np.ndarray:
    """What a method of the estimator gives for some rows, or none."""
    if X.shape[0]:
        return getattr(estimator, method)(X)
    without_names = copy.copy(estimator)
    without_names.__dict__.pop("feature_names_in_", None)
    return getattr(without_names, method)(np.zeros((1, estimator.n_features_in_), getattr(X, "dtype", np.float64)))[:0]


def _with_parameters_of(local_type: type[Any]) -> Callable[[T], T]:
    """Give a class the constructor of another, with the parameters of `_OnDask` after those of the other."""

    def decorate(cls: T) -> T:
        def __init__(self: Any, *args: Any, **parameters: Any) -> None:
            _OnDask.__init__(self, *args, **parameters)

        ours = inspect.signature(_OnDask.__init__).parameters
        signature = inspect.signature(local_type.__init__)
        parameters = [*signature.parameters.values(), *(ours[name] for name in _OWN)]
        __init__.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        cls.__init__ = __init__  # type: ignore[misc]
        cls._parameter_constraints = local_type._parameter_constraints | {  # type: ignore[attr-defined]
            "client": "no_validation",
            "n_shards": [Interval(Integral, 1, None, closed="left")],
            "rounds_per_epoch": [Interval(Integral, 1, None, closed="left")],
        }
        cls._local_type = local_type  # type: ignore[attr-defined]
        return cls

    return decorate


@_with_parameters_of(estimators.MLPClassifier)
class MLPClassifier(_OnDask, estimators.MLPClassifier):
    """`fastnet.MLPClassifier` for data on Dask.

    `fit` takes Dask arrays, Dask data frames, or lists of `dask.delayed` partitions, as X, y and sample_weight. Their rows are
    dealt to shards once: any `n_shards` rows in turn go to different shards, so that sorted labels, partitions of unequal length
    or without rows, and a class in one partition alone, all train well. In each round every shard makes updates on its own
    rows, from the same model; the mean of the shards' models, and of their optimisers' states, is where the next round begins.

    The model is a function of the rows in their order, of the parameters and of `random_state`: not of the number of workers, of
    the partitions, nor of workers that were lost on the way.

    Parameters
    ----------
    **parameters
        Those of `fastnet.MLPClassifier`. `batch_size` is that of a shard; `n_threads` that of a task, by default 1. The mean over
        shards is a larger batch, so that a run takes some more epochs than on one machine.
    client : distributed.Client, default=None
        By default the current client, or without one Dask's scheduler in this process. It is left out of pickles.
    n_shards : int, default=8
        As many tasks of a round can run at the same time. More of them are less accurate.
    rounds_per_epoch : int, default=4

    See Also
    --------
    fastnet.distributed.fit : The gradients of many processes are summed at every step.

    Notes
    -----
    Validation data (`X_val`, `y_val`) are brought into this process, and early stopping needs them. `partial_fit` takes the
    same data as `fit`. Data that are not on Dask are trained as by `fastnet.MLPClassifier`.

    Workers compute with one level of vector instructions; on machines of different kinds set FASTNET_CPU.

    References
    ----------
    McMahan, Moore, Ramage, Hampson and Arcas, "Communication-efficient learning of deep networks from decentralized data" (2017).

    Examples
    --------
    >>> import dask.array as da
    >>> from fastnet.dask import MLPClassifier
    >>> X = da.random.default_rng(0).normal(size=(600, 3), chunks=(100, 3))
    >>> y = (X.sum(axis=1) > 0).astype(int)
    >>> clf = MLPClassifier((8,), n_shards=2, max_iter=20, learning_rate_init=0.05, random_state=0).fit(X, y)  # doctest: +SKIP
    >>> clf.predict(X).compute()[:3]  # doctest: +SKIP
    """

    _score = staticmethod(accuracy_score)

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, as a lazy Dask array where X is on Dask.

        Parameters
        ----------
        X : Dask array or data frame, list of Delayed, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        dask.array.Array or ndarray of shape (n_samples, n_classes)
        """
        return self._lazy("predict_proba", X) if _is_on_dask(X) else super().predict_proba(X)

    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of `predict_proba`.

        Parameters
        ----------
        X : Dask array or data frame, list of Delayed, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        dask.array.Array or ndarray of shape (n_samples, n_classes)
        """
        return self._lazy("predict_log_proba", X) if _is_on_dask(X) else super().predict_log_proba(X)


@_with_parameters_of(estimators.MLPRegressor)
class MLPRegressor(_OnDask, estimators.MLPRegressor):
    """`fastnet.MLPRegressor` for data on Dask; see `MLPClassifier` for how it trains.

    Parameters
    ----------
    **parameters
        Those of `fastnet.MLPRegressor`, but for ``scale_target=True``, which needs all targets in one place. `batch_size` is that
        of a shard; `n_threads` that of a task, by default 1.
    client : distributed.Client, default=None
        By default the current client, or without one Dask's scheduler in this process. It is left out of pickles.
    n_shards : int, default=8
        As many tasks of a round can run at the same time. More of them are less accurate.
    rounds_per_epoch : int, default=4
    """

    _score = staticmethod(r2_score)
