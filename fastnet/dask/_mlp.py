"""The multilayer perceptrons of `fastnet.estimators` on Dask."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import _safe_indexing, check_random_state

from fastnet import _data, estimators
from fastnet._lbfgs import Objective
from fastnet._outputs import d2_of_quantiles
from fastnet._rounds import RoundsSession, Shard
from fastnet.dask._engine import Engine
from fastnet.dask._estimator import ClassifierOnDask, OnDask, in_memory, on_dask
from fastnet.dask._partitions import ClassCounts, Partition, is_on_dask, partitions, surveyed
from fastnet.dask._shards import DealtRows, Shards
from fastnet.losses import Loss
from fastnet.network import Network

if TYPE_CHECKING:
    from fastnet.estimators import MLPClassifier as _Estimator
else:
    _Estimator = object


class _DealtRows(DealtRows):
    """Rows on the workers, with the methods that estimators call to train on them.

    Parameters
    ----------
    class_counts : dict of class to int, or a list of them
    rounds_per_epoch : int
    *rows
        Those of the base class.
    """

    def __init__(self, class_counts: ClassCounts, rounds_per_epoch: int, *rows: Any) -> None:
        super().__init__(*rows)
        self._class_counts, self._rounds_per_epoch = class_counts, rounds_per_epoch

    def session(self, estimator: Any, network: Network, *, random_state: Any, **options: Any) -> RoundsSession:
        """A training run on them."""
        rng = check_random_state(random_state)
        shards = self._shards(estimator, network, seed=int(rng.randint(2**31 - 1)))
        return RoundsSession(network, shards, rounds_per_epoch=self._rounds_per_epoch, random_state=rng, **options)

    def objective(self, estimator: Any, network: Network, loss: Loss) -> tuple[Objective, float]:
        """Their mean loss, and their weight."""
        return self._shards(estimator, network, seed=0).objective(loss, estimator.n_threads)

    def _shards(self, estimator: Any, network: Network, seed: int) -> Shards:
        return self.deal(partial(_encoded, estimator._for_workers(self._class_counts), network.dtype), seed)


def _encoded(estimator: Any, dtype: np.dtype, part: Partition) -> Shard:
    """Rows in the core's form. A shard without weight has no rows."""
    X, y, sample_weight = part
    has_weight = sample_weight is None or bool(sample_weight.any())
    rows = estimator._checked_rows(X, y, sample_weight if has_weight else None, role="validation", reset=False)
    if not has_weight:
        rows = rows.take(np.empty(0, np.intp))
    features = _data.features(rows.X, estimator.n_features_in_, dtype, check_finite=False)
    weights = None if rows.sample_weight is None else rows.sample_weight.astype(dtype, copy=False)
    targets = estimator._training_targets(rows.y)
    return features, targets if targets.dtype.kind == "i" else targets.astype(dtype, copy=False), weights


class _MLPOnDask(OnDask, _Estimator):
    """Gives `fit` data on Dask: a few example targets are checked in this process, and the rows stay on the workers."""

    def _checked_rows(self, X: Any, y: Any, sample_weight: Any, *, role: Any, reset: bool) -> Any:
        check = super()._checked_rows
        if not is_on_dask(X):
            return check(X, y, sample_weight, role=role, reset=reset)
        engine = Engine(self.client)
        if role == "validation":
            return check(*in_memory(engine, X, y, sample_weight), role=role, reset=reset)
        if getattr(self, "scale_target", False):
            raise ValueError("scale_target=True needs all targets in memory: standardise y before, or set scale_target=False.")
        parts = engine.persist(partitions(X, y, sample_weight))
        survey = surveyed(engine, parts, of_classes=not self._numeric_targets)
        rows = check(_safe_indexing(survey.X, [0] * len(survey.y)), survey.y, None, role=role, reset=reset)
        elsewhere = _DealtRows(survey.class_counts, self.rounds_per_epoch, engine, parts, survey.sizes, self.n_shards)
        return replace(rows, elsewhere=elsewhere)

    def _for_workers(self, class_counts: ClassCounts) -> Any:
        """The estimator that checks and encodes shards on the workers."""
        local = self.to_local()
        local.callbacks = None
        if getattr(local, "class_weight", None) == "balanced":
            if isinstance(class_counts, list):
                local.class_weight = [_balanced(counts) for counts in class_counts]
            else:
                local.class_weight = _balanced(class_counts)
        return local


def _balanced(counts: dict[Any, int]) -> dict[Any, float]:
    """Weights of the classes that have rows, with which all of them count the same."""
    present = {label: count for label, count in counts.items() if count}
    return {label: sum(counts.values()) / (len(present) * count) for label, count in present.items()}


@on_dask(estimators.MLPClassifier)
class MLPClassifier(ClassifierOnDask, _MLPOnDask, estimators.MLPClassifier):
    """`fastnet.MLPClassifier` for data on Dask.

    `fit` takes Dask arrays, Dask data frames, or lists of `dask.delayed` partitions, as X, y and sample_weight. Their rows are
    dealt to shards once: any `n_shards` rows in turn go to different shards, so that sorted labels, partitions of unequal length
    or without rows, and a class in one partition alone, all train well. In each round every shard makes updates on its own
    rows, from the same model; the mean of the shards' models, and of their optimisers' states, is where the next round begins.

    The model depends on the rows in their order, the parameters and `random_state`; not on the number of workers, on the
    partitions, or on workers that were lost on the way.

    Parameters
    ----------
    **parameters
        Those of `fastnet.MLPClassifier`. `batch_size` is that of a shard; `n_threads` that of a task, by default 1. The learning
        rate is the one for a single machine: each shard trains with `n_shards` times that rate.
    {parameters}

    See Also
    --------
    fastnet.distributed.fit : The gradients of many processes are summed at every step.

    Notes
    -----
    Validation data (`X_val`, `y_val`) are brought into this process, and early stopping needs them. `partial_fit` takes the
    same data as `fit`. Data that are not on Dask are trained as by `fastnet.MLPClassifier`.

    ``solver="lbfgs"`` makes no rounds: every evaluation sums the losses and gradients of all shards, and the result is that of
    one machine, to rounding.

    All workers must use the same level of vector instructions; on machines of different kinds set FASTNET_CPU.

    References
    ----------
    McMahan, Moore, Ramage, Hampson and Arcas, "Communication-efficient learning of deep networks from decentralized data" (2017).

    Goyal, Dollar, Girshick, Noordhuis, Wesolowski, Kyrola, Tulloch, Jia and He, "Accurate, large minibatch SGD: training ImageNet
    in 1 hour" (2017), for the scaling of the learning rate.

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

    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of `predict_proba`.

        Parameters
        ----------
        X : Dask array or data frame, list of Delayed or futures, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        dask.array.Array or ndarray of shape (n_samples, n_classes)
        """
        return self._outputs_of("predict_log_proba", X)


@on_dask(estimators.MLPRegressor)
class MLPRegressor(_MLPOnDask, estimators.MLPRegressor):
    """`fastnet.MLPRegressor` for data on Dask; see `MLPClassifier` for how it trains.

    Parameters
    ----------
    **parameters
        Those of `fastnet.MLPRegressor`, but for ``scale_target=True``, which needs all targets in one place. `batch_size` is that
        of a shard; `n_threads` that of a task, by default 1. The learning rate is the one for a single machine: each shard
        trains with `n_shards` times that rate.
    {parameters}
    """

    def _score(self, y: np.ndarray, predicted: np.ndarray, *, sample_weight: np.ndarray | None = None) -> float:
        if len(self._levels()) == 1:
            return float(r2_score(y, predicted, sample_weight=sample_weight))
        return d2_of_quantiles(predicted, y, self._levels(), sample_weight)
