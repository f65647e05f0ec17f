"""The estimators of tables on Dask."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from dask.delayed import Delayed, delayed
from sklearn.metrics import accuracy_score
from sklearn.utils import _safe_indexing

from fastnet import tabular
from fastnet._checks import naming
from fastnet._loop import train
from fastnet._rounds import RoundsSession, Shard
from fastnet.dask._engine import Engine
from fastnet.dask._estimator import ClassifierOnDask, OnDask, in_memory, on_dask
from fastnet.dask._partitions import Partition, is_on_dask, partitions
from fastnet.dask._shards import DealtRows, Shards
from fastnet.history import History
from fastnet.network import Network
from fastnet.tabular.parts import Choice, Deadline, Findings, Prepare, Rows, Source, within

if TYPE_CHECKING:
    from fastnet.tabular.parts import BaseTabular as _Estimator
else:
    _Estimator = object


@dataclass(frozen=True)
class _RowsOfShards:
    """Rows to train on, which are shards on the workers.

    Attributes
    ----------
    sample : ndarray of shape (m, n_inputs)
        Features of some of the rows.
    shards : Shards
    rounds_per_epoch : int
    n_threads : int or None
        Of a task.
    """

    sample: np.ndarray
    shards: Shards
    rounds_per_epoch: int
    n_threads: int | None

    def __len__(self) -> int:
        return len(self.shards)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Updates of a shard in a pass over its rows."""
        size = max(self.shards.sizes)
        return -(-size // min(batch_size, size))

    def deadline(self, *course: Any) -> Deadline:
        """There is none."""
        raise ValueError("time_limit is not supported on Dask: set n_epochs.")

    def fit(self, network: Network, as_targets: Callable[[np.ndarray], np.ndarray], **options: Any) -> History:
        """Train a network in rounds; the shards have its targets."""
        epochs, callbacks = options.pop("epochs"), options.pop("callbacks")
        options |= {"rounds_per_epoch": self.rounds_per_epoch, "n_threads": self.n_threads}
        session = RoundsSession(network, self.shards, **options)
        session.bind(epochs * session.steps_per_epoch)
        train(session, epochs=epochs, callbacks=callbacks)
        return session.history


@dataclass(frozen=True)
class _Encode:
    """Rows of a shard in the core's form. A shard without weight has no rows."""

    prepare: Prepare

    def __call__(self, part: Partition) -> Shard:
        rows = self.prepare(*part)
        if rows.weights is not None and not rows.weights.any():
            rows = rows[:0]
        estimator = self.prepare.estimator
        targets = estimator._network_targets(rows.y)
        if targets.ndim == 1:
            return rows.X, targets.astype(np.int32), rows.weights
        return rows.X, np.repeat(targets, estimator._n_outputs() // targets.shape[1], axis=1), rows.weights


class _TabularOnDask(OnDask, _Estimator):
    """Gives `fit` tables on Dask: findings and validation rows come into this process, all other rows stay on the workers."""

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None, groups: Any = None
    ) -> Any:
        """Prepare the columns and train.

        Parameters
        ----------
        X : Dask data frame or array, list of Delayed or futures, or what the estimator without Dask takes
        y : the same with targets, or the name of a column of the data frame
        sample_weight : the same with weights, optional
        X_val, y_val : optional
            Rows to validate on, which are brought into this process.
        groups : None
            Refused for data on Dask.

        Returns
        -------
        self : TabularClassifier or TabularRegressor

        Raises
        ------
        ValueError, TypeError
            Parameters or data that do not fit.
        WorkerError
            Dask has given up, or there are no workers.
        """
        if isinstance(y, str):
            if not hasattr(X, "drop"):
                raise TypeError(f"y={y!r} is the name of a column, so X must be a Dask data frame, got {type(X).__name__}.")
            X, y = X.drop(columns=y), X[y]
        if is_on_dask(X_val) and y_val is not None:
            X_val, y_val, _ = in_memory(Engine(self.client), X_val, y_val)
        return super().fit(X, y, sample_weight, X_val=X_val, y_val=y_val, groups=groups)

    def to_local(self) -> Any:
        return copy.deepcopy(super().to_local())

    def _dtype_of(self, X: Any) -> np.dtype:
        return np.dtype(object)

    def _source(self, X: Any, y: Any, sample_weight: Any, groups: Any, fraction: float, seed: int) -> Source:
        if not is_on_dask(X):
            return super()._source(X, y, sample_weight, groups, fraction, seed)
        if groups is not None:
            raise ValueError("groups= needs all rows in memory, got data on Dask: give X_val and y_val instead.")
        if self.time_limit is not None:
            raise ValueError("time_limit is not supported on Dask: set n_epochs.")
        engine = Engine(self.client)
        given = _Partitions(engine, engine.persist(partitions(X, y, sample_weight)))
        self.preprocessor_._survey(given.example, 0)  # which learns the columns' names
        found = given.findings(self.to_local())
        found.target_names = _names_of(y)
        prepare = replace(self._learn(found), estimator=self.to_local())
        choice = Choice(given.m, fraction, seed)
        sample = given.chosen(prepare, choice.shown)
        held = given.chosen(prepare, choice.held).counting if len(choice.held) else sample[:0]
        shards = given.without(choice.held, self.n_shards).deal(_Encode(prepare), seed)
        training = _RowsOfShards(sample.X, shards, self.rounds_per_epoch, self.n_threads)
        return Source(given.m, sample.X, lambda n_folds: [lambda: (training, held)])


class _Partitions:
    """Partitions whose lengths are known.

    Parameters
    ----------
    engine : Engine
    parts : list of Delayed
        Of `Partition`.

    Attributes
    ----------
    m : int
        Rows.
    example : array-like of shape (1, n_features)
        A row of X.

    Raises
    ------
    ValueError
        No rows.
    """

    def __init__(self, engine: Engine, parts: list[Delayed]) -> None:
        sizes, examples = zip(*engine.compute(delayed([delayed(_glanced)(part) for part in parts])), strict=True)
        self._engine, self._parts, self._sizes = engine, parts, np.array(sizes, np.int64)
        self._starts = (np.cumsum(self._sizes) - self._sizes).tolist()
        self.m = int(self._sizes.sum())
        if not self.m:
            raise ValueError("The partitions have no rows: at least one datapoint is needed.")
        self.example = next(example for example in examples if example is not None)

    def findings(self, estimator: Any) -> Findings:
        """What is known of all rows, which is merged two by two on the workers."""
        sent = delayed(estimator, traverse=False)
        found = [
            delayed(_found)(sent, number, part, start)
            for number, (part, start, size) in enumerate(zip(self._parts, self._starts, self._sizes, strict=True))
            if size
        ]
        while len(found) > 1:
            found = [delayed(_merged)(*found[number : number + 2]) for number in range(0, len(found), 2)]
        return cast(Findings, self._engine.compute(found[0]))

    def chosen(self, prepare: Prepare, rows: np.ndarray) -> Rows:
        """Some rows, prepared, in this process; one at least."""
        sent = delayed(prepare, traverse=False)
        found = self._engine.compute(
            delayed([
                delayed(_taken)(sent, part, within(rows, start, size))
                for part, start, size in zip(self._parts, self._starts, self._sizes, strict=True)
                if len(within(rows, start, size))
            ])
        )
        return Rows.joined(found)

    def without(self, rows: np.ndarray, n_shards: int) -> DealtRows:
        """The other rows, which are dealt to shards."""
        left_out = [within(rows, start, size) for start, size in zip(self._starts, self._sizes, strict=True)]
        parts = [delayed(_without)(part, places) for part, places in zip(self._parts, left_out, strict=True)]
        sizes = [int(size) - len(places) for size, places in zip(self._sizes, left_out, strict=True)]
        self._parts = []
        return DealtRows(self._engine, parts, sizes, n_shards)


def _glanced(part: Partition) -> tuple[int, Any]:
    """Rows of a partition, and one of them if there are any."""
    return len(part.y), _safe_indexing(part.X, [0]) if len(part.y) else None


def _found(estimator: Any, number: int, part: Partition, start: int) -> Findings:
    with naming(f"partition {number}"):
        return Findings.of(copy.deepcopy(estimator), *part, start)


def _merged(one: Findings, other: Findings | None = None) -> Findings:
    total = copy.deepcopy(one)
    if other is not None:
        total.merge(other)
    return total


def _taken(prepare: Prepare, part: Partition, places: np.ndarray) -> Rows:
    return prepare(*part.take(places))


def _without(part: Partition, places: np.ndarray) -> Partition:
    return part.take(np.delete(np.arange(len(part.y)), places))


def _names_of(y: Any) -> list[str] | None:
    """Names of the targets of a data frame or series on Dask."""
    names = getattr(y, "columns", [getattr(y, "name", None)])
    return [str(name) for name in names] if hasattr(y, "_meta") and None not in names else None


@on_dask(tabular.TabularClassifier)
class TabularClassifier(ClassifierOnDask, _TabularOnDask, tabular.TabularClassifier):
    """`fastnet.TabularClassifier` for data frames on Dask.

    `fit` takes Dask data frames or arrays, or lists of `dask.delayed` partitions, as X, y and sample_weight; y may be the name of
    a column of the data frame X. The workers survey the columns of their partitions, and the findings are merged in the order of
    the partitions; validation rows, 20,000 at most, are brought into this process; the others are dealt to shards, which train in
    rounds as for `MLPClassifier`.

    Parameters
    ----------
    **parameters
        Those of `fastnet.TabularClassifier`, but for `time_limit`, which is refused. `batch_size` is that of a shard; `n_threads`
        that of a task, by default 1. There are no folds; instead, `n_members` is multiplied by the number of folds that would be
        trained.
    {parameters}

    See Also
    --------
    fastnet.dask.MLPClassifier : How shards train, and what is guaranteed when workers are lost.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> from fastnet.dask import TabularClassifier
    >>> flights = dd.read_parquet("flights/")  # doctest: +SKIP
    >>> model = TabularClassifier(preset="fast", random_state=0).fit(flights, "delayed")  # doctest: +SKIP
    >>> model.predict(flights.drop(columns="delayed")).compute()  # doctest: +SKIP
    """

    _score = staticmethod(accuracy_score)


@on_dask(tabular.TabularRegressor)
class TabularRegressor(_TabularOnDask, tabular.TabularRegressor):
    """`fastnet.TabularRegressor` for data frames on Dask; see `TabularClassifier` for how it trains.

    Parameters
    ----------
    **parameters
        Those of `fastnet.TabularRegressor`, but for `time_limit`, which is refused. `batch_size` is that of a shard; `n_threads`
        that of a task, by default 1. There are no folds, as for `TabularClassifier`.
    {parameters}
    """
