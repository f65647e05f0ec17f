"""What all estimators on Dask share: their own parameters, lazy predictions, and a copy without Dask."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np
from dask.delayed import delayed
from sklearn.utils.validation import check_is_fitted

from fastnet.dask._engine import Engine
from fastnet.dask._partitions import (
    Partition,
    as_rows,
    as_vector,
    gathered,
    is_on_dask,
    is_partition,
    lengths,
    partitions,
    pieces,
)

T = TypeVar("T", bound=type)

#: Parameters that the estimators without Dask do not have, and what is said of them.
OWN = ("client", "n_shards", "rounds_per_epoch")
PARAMETERS = """\
client : distributed.Client, default=None
    By default the current client, or without one Dask's scheduler in this process. It is left out of pickles.
n_shards : int, default=8
    Number of shards, and so of tasks of a round that can run at the same time. With more shards models are less accurate.
rounds_per_epoch : int, default=8
    How often in an epoch the shards' models are averaged."""


class OnDask:
    """Dask's collections in place of arrays, for an estimator that a subclass inherits from beside this class."""

    client: Any
    n_shards: int
    rounds_per_epoch: int
    n_features_in_: int
    _local_type: ClassVar[type[Any]]
    _score: Callable[..., float]

    def __init__(
        self, *args: Any, client: Any = None, n_shards: int = 8, rounds_per_epoch: int = 8, **parameters: Any
    ) -> None:
        super().__init__(*args, **parameters)
        self.client, self.n_shards, self.rounds_per_epoch = client, n_shards, rounds_per_epoch

    def to_local(self) -> Any:
        """A copy without Dask: the estimator of this name in `fastnet`, with the same parameters and model."""
        local = object.__new__(self._local_type)
        local.__setstate__({name: copy.copy(value) for name, value in self.__getstate__().items() if name not in OWN})
        return local

    def predict(self, X: Any) -> Any:
        """Predictions, as a lazy Dask array where X is on Dask.

        Parameters
        ----------
        X : Dask array or data frame, list of Delayed or futures, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        dask.array.Array or ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._outputs_of("predict", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of a classifier, R2 of a regressor, the mean D2 pinball score of several quantiles.

        Only predictions and targets leave the workers.

        Parameters
        ----------
        X : Dask array or data frame, list of Delayed or futures, or array-like, of shape (n_samples, n_features)
        y : the same of shape (n_samples,)
        sample_weight : the same of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        if not is_on_dask(X):
            return super().score(X, y, sample_weight)  # type: ignore[misc]
        of_weight = None if sample_weight is None else delayed(_joined)(pieces(sample_weight, X, "sample_weight"))
        given = [self.predict(X), delayed(_joined)(pieces(y, X, "y")), of_weight]
        predicted, targets, weights = Engine(self.client).compute(delayed(given))
        return self._score(targets, predicted, sample_weight=weights)

    def _outputs_of(self, method: str, X: Any) -> Any:
        """What a method of the estimator without Dask gives, block by block of a Dask array where X is on Dask."""
        if not is_on_dask(X):
            return getattr(super(), method)(X)
        import dask.array as da

        check_is_fitted(self)
        if is_partition(X):  # which, if delayed, seems to have any attribute
            X = [X]
        local, parts = self.to_local(), pieces(X)
        dtype = self._dtype_of(X)
        example = _outputs(local, method, dtype, np.empty((0, local.n_features_in_), dtype))
        sizes = lengths(X) or [np.nan] * len(parts)
        sent = delayed(local)
        blocks = [
            da.from_delayed(delayed(_outputs)(sent, method, dtype, part), (size, *example.shape[1:]), meta=example)
            for size, part in zip(sizes, parts, strict=True)
        ]
        return da.concatenate(blocks)

    def _dtype_of(self, X: Any) -> np.dtype:
        """Type of the features, as far as outputs depend on it."""
        dtypes = [X.dtype] if hasattr(X, "dtype") else getattr(X, "dtypes", [np.float64])
        return np.result_type(*(dtype if _is_of_numpy(dtype) else np.float64 for dtype in dtypes))

    def __sklearn_clone__(self) -> Any:
        """Clients are not copied, but shared."""
        clone = super(OnDask, copy.copy(self)).__sklearn_clone__()  # type: ignore[misc]
        clone.client = self.client
        return clone

    def __getstate__(self) -> dict[str, Any]:
        """Clients stay in their process."""
        return super().__getstate__() | {"client": None}  # type: ignore[operator]


class ClassifierOnDask(OnDask):
    """A classifier's further outputs."""

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, as a lazy Dask array where X is on Dask.

        Parameters
        ----------
        X : Dask array or data frame, list of Delayed or futures, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        dask.array.Array or ndarray of shape (n_samples, n_classes)
        """
        return self._outputs_of("predict_proba", X)


def on_dask(local_type: type[Any]) -> Callable[[T], T]:
    """Give a class the constructor of another, with the parameters of `OnDask` after those of the other, and document them."""

    def decorate(cls: T) -> T:
        def __init__(self: Any, *args: Any, **parameters: Any) -> None:
            OnDask.__init__(self, *args, **parameters)

        ours = inspect.signature(OnDask.__init__).parameters
        signature = inspect.signature(local_type.__init__)
        parameters = [*signature.parameters.values(), *(ours[name] for name in OWN)]
        __init__.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        cls.__init__ = __init__  # type: ignore[misc]
        cls._local_type = local_type  # type: ignore[attr-defined]
        cls.__doc__ = inspect.cleandoc(cls.__doc__ or "").replace("{parameters}", PARAMETERS)
        return cls

    return decorate


def in_memory(engine: Engine, X: Any, y: Any, sample_weight: Any = None) -> Partition:
    """Rows on Dask in the memory of this process."""
    return gathered(engine.compute(delayed(partitions(X, y, sample_weight))))


def _is_of_numpy(dtype: Any) -> bool:
    """Whether NumPy has numbers of this type; those of nullable and Arrow columns become float64."""
    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def _joined(parts: list[Any]) -> np.ndarray:
    """Targets or weights of all partitions."""
    return np.concatenate([as_vector(part) for part in parts])


def _outputs(estimator: Any, method: str, dtype: np.dtype, X: Any) -> np.ndarray:
    """What a method of the estimator gives for some rows, or none."""
    X = as_rows(X)
    if X.shape[0]:
        return getattr(estimator, method)(X)
    row = np.full((1, estimator.n_features_in_), None if dtype.hasobject else 0, dtype)
    return getattr(_without_names(estimator), method)(row)[:0]


def _without_names(estimator: Any) -> Any:
    """A copy that takes arrays without a warning."""
    nameless = copy.copy(estimator)
    nameless.__dict__.pop("feature_names_in_", None)
    if hasattr(nameless, "preprocessor_"):
        nameless.preprocessor_ = _without_names(nameless.preprocessor_)
    return nameless
