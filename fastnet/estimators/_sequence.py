"""Estimators of series, with a network of their own choice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions

from fastnet._hints import takes_other_words
from fastnet.layers import (
    GRU,
    LSTM,
    AvgPool,
    Bidirectional,
    Concat,
    Conv1d,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Positions,
    TransformerBlock,
)
from fastnet.ragged import Ragged

from ._docs import with_shared_parts
from ._ready import ReadyClassifier, ReadyRegressor, Rows, StandardisedEstimator
from ._rows import as_array_or_ragged, checked_columns

#: Series of one length are averaged over this part of their length.
PARTS = 16


class _Series(StandardisedEstimator):
    """What the two estimators of series share."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = StandardisedEstimator._parameter_constraints | {
        "kind": [StrOptions({"cnn", "gru", "lstm", "transformer"})],
        "channels": [StrOptions({"last", "first"})],
    }
    _fewest_to_set_aside = 100
    _batch_size = 16
    #: Names of the columns of series that are data frames.
    _columns: list[Any] | None = None

    @takes_other_words()
    def __init__(
        self,
        kind: str = "cnn",
        *,
        channels: str = "last",
        max_iter: int = 100,
        random_state: int | np.random.RandomState | None = None,
        n_threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.kind = kind
        self.channels = channels
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    def _learn_rows(self, X: Any, y: Any) -> tuple[Rows, np.ndarray]:
        self._columns = self._checked_columns(X)
        return super()._learn_rows(X, y)

    def _known_rows(self, X: Any) -> Rows:
        self._checked_columns(X, self._columns)
        return super()._known_rows(X)

    def _checked_columns(self, X: Any, known: list[Any] | None = None) -> list[Any] | None:
        return checked_columns(X, known) if self.channels == "last" else None

    def _rows(self, X: Any) -> tuple[Any, tuple[int, ...] | None]:
        series = as_array_or_ragged(X, channels_first=self.channels == "first")
        if isinstance(series, Ragged):
            flat = series.flat.reshape(len(series.flat), -1)
            return Ragged(flat, series.starts), (int(series.lengths.max(initial=0)), flat.shape[1])
        if not isinstance(series, np.ndarray) or series.ndim != 3:
            return series, None
        return series.reshape(len(series), math.prod(series.shape[1:])), series.shape[1:]

    def _shape_of_rows(self, n_features: int) -> tuple[int, ...]:
        return n_features, 1

    def _takes_flat_rows(self) -> bool:
        return False

    def _layers(self, *, ragged: bool) -> list[Layer]:
        return layers_of(self.kind, self.input_shape_[0], ragged=ragged)


def _convolutions(length: int, *, ragged: bool) -> list[Layer]:
    """Convolutions, and what they find at most and on average, over parts of the series or all of it where lengths differ."""
    found = [Conv1d(32, 9, stride=2, padding=4), Conv1d(64, 7, stride=2, padding=3), Conv1d(64, 5, padding=2)]
    if ragged:
        return [*found, Concat([GlobalPool()], [GlobalPool("max")]), Dropout(0.3)]
    return [*found, Concat([AvgPool(max(length // PARTS, 1)), Flatten()], [GlobalPool("max")]), Dropout(0.3)]


def recurrent(layer: type[GRU] | type[LSTM]) -> list[Layer]:
    """Both directions, and the last state of each."""
    return [Bidirectional(layer(64)), Dropout(0.2)]


def blocks() -> list[Layer]:
    """Two transformer blocks, and the mean over the positions."""
    return [TransformerBlock(4, 128, dropout=0.1), TransformerBlock(4, 128, dropout=0.1), LayerNorm(), GlobalPool()]


#: Kind of network -> its layers before the output layer, for series of up to so many positions.
_KINDS: dict[str, Callable[..., list[Layer]]] = {
    "cnn": _convolutions,
    "gru": lambda length, ragged: recurrent(GRU),
    "lstm": lambda length, ragged: recurrent(LSTM),
    "transformer": lambda length, ragged: [Dense(64, "identity"), Positions("sinusoidal"), *blocks()],
}


def layers_of(kind: str, length: int, *, ragged: bool) -> list[Layer]:
    """Layers of a network for series of up to so many positions, before the output layer."""
    return _KINDS[kind](length, ragged=ragged)


@with_shared_parts
class SequenceClassifier(_Series, ReadyClassifier):
    """Classification of series, with nothing to configure.

    Channels are standardised. A tenth of the series is set aside if there are at least a hundred for each class on average;
    training then ends when the loss on them no longer falls, and the best parameters are kept. `network_` is an ordinary
    `fastnet.Network`.

    Parameters
    ----------
    {series_parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    {series_attributes}

    See Also
    --------
    SequenceRegressor : The same for values.
    NetworkClassifier : For layers of your own choice.

    Notes
    -----
    X is an array of shape (n_samples, length, channels), or (n_samples, length) of one channel; or, where lengths differ, a list
    of arrays of shape (length, channels) or a `fastnet.Ragged`. With ``channels="first"``, as in aeon and PyTorch, arrays have
    the channels before the length.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnet import SequenceClassifier
    >>> t = np.linspace(0, 6, 40)
    >>> rng = np.random.default_rng(0)
    >>> slow, fast = (np.sin(w * t + rng.uniform(0, 6, (30, 1))) for w in (2, 5))
    >>> X, y = np.vstack([slow, fast]), np.repeat(["slow", "fast"], 30)
    >>> clf = SequenceClassifier(max_iter=20, random_state=0).fit(X[::2], y[::2])
    >>> clf.score(X[1::2], y[1::2]) > 0.9
    True
    """


@with_shared_parts
class SequenceRegressor(_Series, ReadyRegressor):
    """Regression on series, with nothing to configure.

    Channels and targets are standardised. A tenth of the series is set aside if there are at least a hundred; training then ends
    when the loss on them no longer falls, and the best parameters are kept. `network_` is an ordinary `fastnet.Network`, trained
    on standardised targets.

    Parameters
    ----------
    {series_parameters}

    Attributes
    ----------
    target_scaler_ : StandardScaler
        Mean and deviation of each column of y.
    {series_attributes}

    See Also
    --------
    SequenceClassifier : The same for classes; its notes say what X may be.
    NetworkRegressor : For layers of your own choice.

    Examples
    --------
    >>> import fastnet as fn
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(120, 20, 1))
    >>> y = X.max(axis=(1, 2))
    >>> reg = fn.SequenceRegressor(max_iter=20, random_state=0).fit(X[:100], y[:100])
    >>> reg.predict(X[100:]).shape
    (20,)
    """
