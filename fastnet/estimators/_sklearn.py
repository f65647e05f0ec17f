"""What differs between the supported scikit-learn versions (1.6 to 1.9), in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from fastnet._checks import refuse_silent_conversion
from fastnet._data import representable
from fastnet._drafts import replace_state

from ._one_thread import by_one_thread
from ._types import MLP

__all__ = [
    "CallbackSupport",
    "EpochTasks",
    "check_sample_weight",
    "checked_data",
    "has_callbacks",
    "unchanged_on_error",
]

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
except ImportError:  # scikit-learn < 1.9 has no callbacks

    class CallbackSupport:  # type: ignore[no-redef]
        """Stands in for the mixin of scikit-learn 1.9: no `set_callbacks`, so `has_callbacks` is always False."""


WHAT_TO_DO_WITH_TEXT = "Turn text in X into numbers, with OneHotEncoder for example; only classifiers take text as y."


def has_callbacks(estimator: MLP) -> bool:
    """Whether scikit-learn callbacks are set on `estimator`, by the user or by a meta-estimator."""
    return bool(getattr(estimator, "_skl_callbacks", None))


def checked_data(estimator: MLP, X: Any, *y: Any, **options: Any) -> Any:
    """scikit-learn's `validate_data` for sparse or dense rows, which would take dates for numbers.

    Raises
    ------
    ValueError
        Data that scikit-learn refuses.
    TypeError
        Dates or times among the features.
    """
    X = estimator._flat_rows(X, reset=options.get("reset", True))
    refuse_silent_conversion(X, "X")
    try:
        return validate_data(estimator, X, *y, accept_sparse="csr", dtype=estimator._accepted_dtypes(), order="C", **options)
    except ValueError as error:
        if "could not convert string" not in str(error):
            raise
        raise ValueError(f"{error}. {WHAT_TO_DO_WITH_TEXT}") from error


def check_sample_weight(sample_weight: Any, X: Any, dtype: np.dtype) -> np.ndarray:
    """`sample_weight` as a vector of `dtype`, one finite weight a row of `X`.

    Raises
    ------
    ValueError
        Wrong shape, NaN or infinity, negative weights, or all weights zero (which scikit-learn itself refuses from 1.8 on).
    """
    refuse_silent_conversion(sample_weight, "sample_weight")
    sample_weight = representable(_check_sample_weight(sample_weight, X), dtype).astype(dtype, copy=False)
    if (sample_weight < 0).any():
        raise ValueError(f"sample_weight must not be negative, got {sample_weight.min():g}.")
    if not sample_weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return sample_weight


class EpochTasks:
    """The task tree that scikit-learn's callbacks see: a fit with one task an epoch.

    Parameters
    ----------
    estimator : estimator with `set_callbacks`
    max_tasks : int
        Upper limit of epochs.
    X, y : array-like
        Training data, handed to the hooks that ask for them.
    metadata : dict or None
        Other arguments of fit.
    state : callable
        Gives the attributes that make a copy of the estimator predict as after the last epoch; called only if a hook asks.
    """

    def __init__(
        self, estimator: MLP, max_tasks: int, X: Any, y: Any, metadata: dict[str, Any] | None, state: Callable[[], dict[str, Any]]
    ) -> None:
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._state = state
        self._fit = estimator._init_callback_context(max_subtasks=max_tasks)
        self._fit.call_on_fit_task_begin(**self._data)
        self._epoch: Any = None

    def begin(self) -> None:
        """An epoch begins."""
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._data)

    def end(self) -> bool:
        """The epoch has ended: whether a callback asks to stop."""
        epoch, self._epoch = self._epoch, None
        return epoch.call_on_fit_task_end(**self._data, reconstruction_attributes=self._state)

    def close(self) -> None:
        """The fit has ended, possibly in the middle of an epoch."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self._data["estimator"])
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes=self._state)


@contextmanager
def unchanged_on_error(estimator: MLP) -> Iterator[None]:
    """Put the attributes of `estimator` back if the block raises: a failed or interrupted fit leaves the model before it.

    A shallow copy is enough: in a fit, arrays are replaced and never modified in place, and lists only grow. One thread at a time
    can be in the block.
    """
    with by_one_thread(estimator):
        before = dict(estimator.__dict__)
        lengths = {name: len(value) for name, value in before.items() if type(value) is list}
        try:
            yield
        except BaseException:
            for name, length in lengths.items():
                del before[name][length:]
            kept = {name: value for name, value in estimator.__dict__.items() if name in _OF_CALLBACKS}
            replace_state(estimator, before | kept)
            raise


#: Attributes that scikit-learn itself sets in a fit and removes after it.
_OF_CALLBACKS = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
