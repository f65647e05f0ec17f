"""A forecaster of series, with a network of its own choice."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnet._hints import takes_other_words
from fastnet.initializers import Zeros
from fastnet.layers import Concat, Dense, Flatten, Layer
from fastnet.losses import Loss, Quantile

from ._ready import ReadyNetwork, Split, deviations
from ._rows import refuse_other_columns
from ._sequence import layers_of
from ._series import Form, series_of
from ._sklearn import unchanged_on_error

#: Values of a window at least, where the series are long enough.
SHORTEST_WINDOW = 24


class Forecaster(ReadyNetwork):
    """Forecaster of the next values of series, with nothing to configure.

    A network reads the last `window` values of a series and predicts the next `horizon` at once, as differences from the last
    value, in standard deviations of the series. Training starts with differences of zero, which is the naive forecast; what is
    added to it is linear in the values of the window and in what the layers of `kind` find there. The last tenth of each series
    is set aside, if the rest is long enough; training then ends when the loss on it no longer falls, and the best parameters are
    kept. Nothing else is learnt from that tenth. `network_` is an ordinary `fastnet.Network`.

    Parameters
    ----------
    window : int or None, default=None
        Number of values that the network reads. None: twice the larger of `horizon` and `season`, at least 24, but no more than
        half of the shortest series.
    horizon : int, default=1
        Number of values that it predicts.
    kind : {"cnn", "gru", "lstm", "transformer"}, default="cnn"
        As in `SequenceRegressor`.
    quantiles : sequence of float in (0, 1) or None, default=None
        Levels that `predict_quantiles` predicts: ``(0.1, 0.9)`` are the bounds of an interval for four values out of five.
        `predict` then gives medians. None: `predict` gives means, trained on squared errors.
    season : int or None, default=None
        Number of values in a season, such as 12 for monthly values. Used to choose `window`, and for the seasonal forecasts that
        `score` compares with.
    max_iter : int, default=100
        Maximum number of epochs.
    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the order of windows, and dropout.
    n_threads : int or None, default=None
        Maximum number of threads; by default those that the machine has.
    verbose : bool, default=False
        Whether progress is shown.

    Attributes
    ----------
    network_ : fastnet.Network
    window_, horizon_ : int
    season_ : int or None
    quantiles_ : tuple of float
        `quantiles` of `fit`, in ascending order; empty without.
    levels_ : tuple of float
        Levels of the quantiles that the network predicts: `quantiles` and the median; empty without `quantiles`.
    input_shape_ : tuple of int
        Number of values in a window, and of channels.
    scale_ : ndarray of shape (n_series, channels)
        Standard deviations of the series.
    feature_names_in_ : ndarray of shape (channels,)
        Column names of data frames.
    history_ : fastnet.History
    n_iter_ : int
        Epochs.

    See Also
    --------
    SequenceRegressor : Values that belong to whole series.

    Notes
    -----
    A series is an array of shape (length,) or (length, channels), a list of numbers, or a pandas Series or DataFrame; several
    series, of any lengths, are a list of these. Missing values are refused. Predictions for pandas objects are pandas objects
    too, with an index that continues that of the series. Data frames must have the columns of those of `fit`, in their order.

    Differences from the last value are what NLinear predicts (Zeng et al. 2023, *Are transformers effective for time series
    forecasting?*), and the linear part beside the layers is that of LSTNet (Lai et al. 2018). With only one or two
    hundred values, the value a season before is often the better forecast: see `score`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnet import Forecaster
    >>> t = np.arange(300)
    >>> series = 50 + 10 * np.sin(2 * np.pi * t / 25)
    >>> fc = Forecaster(horizon=5, season=25, random_state=0).fit(series[:280])
    >>> bool(np.abs(fc.predict() - series[280:285]).max() < 1)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = ReadyNetwork._parameter_constraints | {
        "window": [Interval(Integral, 1, None, closed="left"), None],
        "horizon": [Interval(Integral, 1, None, closed="left")],
        "kind": [StrOptions({"cnn", "gru", "lstm", "transformer"})],
        "quantiles": [list, tuple, np.ndarray, None],
        "season": [Interval(Integral, 1, None, closed="left"), None],
    }
    #: With fewer windows left to train on, none are set aside.
    _fewest_to_set_aside = 50

    @takes_other_words()
    def __init__(
        self,
        window: int | None = None,
        horizon: int = 1,
        *,
        kind: str = "cnn",
        quantiles: Sequence[float] | None = None,
        season: int | None = None,
        max_iter: int = 100,
        random_state: int | np.random.RandomState | None = None,
        n_threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.window = window
        self.horizon = horizon
        self.kind = kind
        self.quantiles = quantiles
        self.season = season
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : series, or list of series
            In any of the forms that the class names.
        y : None
            Not used.

        Returns
        -------
        self : Forecaster

        Raises
        ------
        ValueError, TypeError
            Parameters or series that do not fit: values that are missing or no numbers, series that are too short for a window,
            or that differ in their channels.
        RuntimeError
            Another thread is fitting this estimator.
        """
        with unchanged_on_error(self):
            series, self._forms, self._several = self._read(X, self.horizon, reset=True)
            lengths = [len(values) for values in series]
            self.horizon_, self.season_, self.window_ = self.horizon, self.season, self._chosen_window(min(lengths))
            _check_lengths(lengths, max(self.window_ + self.horizon_, self.season_ or 0), f"fit with window {self.window_}")
            self.quantiles_ = () if self.quantiles is None else tuple(sorted({*Quantile(tuple(self.quantiles)).levels}))
            self.levels_ = tuple(sorted({0.5, *self.quantiles_})) if self.quantiles_ else ()
            self.input_shape_ = (self.window_, series[0].shape[1])
            tails = self._tails(lengths)
            self.scale_ = np.stack([deviations(values[: len(values) - tail]) for values, tail in zip(series, tails, strict=True)])
            examples = [self._examples(values / scale) for values, scale in zip(series, self.scale_, strict=True)]
            rows, targets = (np.concatenate(parts) for parts in zip(*examples, strict=True))
            self._past = [values[-max(self.window_, self.season_ or 0) :] for values in series]
            self._train(rows, targets, self._set_aside(lengths, tails), self._seed())
        return self

    def _read(self, X: Any, horizon: int, *, reset: bool = False) -> tuple[list[np.ndarray], list[Form], bool]:
        """What `series_of` finds, with the names of columns learnt or checked."""
        found = series_of(X, horizon)
        for number, series in enumerate(X if found[2] else [X]):
            validate_data(self, series, reset=reset and number == 0, skip_check_array=True, ensure_2d=False)
        _check_columns(found[1] if reset else [*self._forms, *found[1]])
        return found

    def _chosen_window(self, shortest: int) -> int:
        if self.window is not None:
            return int(self.window)
        return max(1, min(max(2 * self.horizon, 2 * (self.season or 0), SHORTEST_WINDOW), (shortest - self.horizon) // 2))

    def _tails(self, lengths: list[int]) -> list[int]:
        """How many values at the end of each series are set aside: none where too few windows would be left."""
        tails = [max(self.horizon_, (length - self.window_) // 10) for length in lengths]
        left = [length - tail - self.window_ - self.horizon_ + 1 for length, tail in zip(lengths, tails, strict=True)]
        return tails if sum(max(n, 0) for n in left) >= self._fewest_to_set_aside else [0] * len(lengths)

    def _set_aside(self, lengths: list[int], tails: list[int]) -> Split | None:
        """Windows whose targets all lie before the tail, and those whose targets all lie in it."""
        if not any(tails):
            return None
        numbers = [length - self.window_ - self.horizon_ + 1 for length in lengths]
        places = np.concatenate([np.arange(n) - n + tail for n, tail in zip(numbers, tails, strict=True)])
        return np.flatnonzero(places < 0), np.flatnonzero(places >= self.horizon_ - 1)

    def _examples(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All windows of a series, and the values after each, as differences from the window's last value."""
        windows = _windows(scaled[: -self.horizon_], self.window_)
        targets = _windows(scaled[self.window_ :], self.horizon_)
        return _rows(windows - windows[:, -1:]), _rows(targets - windows[:, -1:])

    def _layers(self, *, ragged: bool) -> list[Layer]:
        return [Concat(layers_of(self.kind, self.window_, ragged=ragged), [Flatten()])]

    def _output_layer(self) -> Dense:
        n_outputs = self.horizon_ * self.input_shape_[1] * max(len(self.levels_), 1)
        return Dense(n_outputs, "identity", initializer=Zeros())

    def _loss(self) -> Loss | None:
        return Quantile(self.levels_) if self.levels_ else None

    def _next(self, windows: np.ndarray) -> np.ndarray:
        """What comes after windows of scaled series: (windows, horizon, channels, levels), levels in their order."""
        last = windows[:, -1:]
        rows = _rows(windows - last)
        outputs = self.network_._forward(rows, check_finite=False, n_threads=self.n_threads, batch=True).astype(np.float64)
        return np.sort(outputs.reshape(len(windows), self.horizon_, windows.shape[2], -1), axis=-1) + last[..., None]

    def _forecasts(self, X: Any) -> tuple[list[tuple[Form, np.ndarray]], bool]:
        """For each series the form of its forecast, and the values (horizon, channels, levels); whether X is a list."""
        check_is_fitted(self)
        if X is None:
            series, forms, several, scales = self._past, self._forms, self._several, self.scale_
        else:
            series, forms, several = self._read(X, self.horizon_)
            self._check_channels(series)
            _check_lengths([len(values) for values in series], self.window_, "predict")
            one = len(self.scale_) == 1
            scales = np.stack([self.scale_[0] if one else deviations(values) for values in series])
        scaled = np.stack([values[-self.window_ :] / scale for values, scale in zip(series, scales, strict=True)])
        return list(zip(forms, self._next(scaled) * scales[:, None, :, None], strict=True)), several

    def _check_channels(self, series: list[np.ndarray]) -> None:
        given, known = series[0].shape[1], self.input_shape_[1]
        if given != known:
            raise ValueError(f"X has series of {given} channels, but Forecaster was fitted with {known}.")

    def predict(self, X: Any = None) -> Any:
        """The `horizon` values that come next: means, or medians with `quantiles`.

        Parameters
        ----------
        X : series, list of series, or None, default=None
            Series to continue, from their last `window_` values. None: those of `fit`. Series given here are divided by the
            standard deviation of the series of `fit` if there was only one, otherwise by their own.

        Returns
        -------
        ndarray of shape (horizon,) or (horizon, channels), pandas.Series or DataFrame; or a list of them
            In the form of X.

        Raises
        ------
        ValueError, TypeError
            Series that are shorter than the window, or have other channels than those of `fit`.
        sklearn.exceptions.NotFittedError
            `fit` has not been called.
        """
        forecasts, several = self._forecasts(X)
        middle = self.levels_.index(0.5) if self.levels_ else 0
        found = [form.forecast(values[..., middle]) for form, values in forecasts]
        return found if several else found[0]

    def predict_quantiles(self, X: Any = None) -> Any:
        """Quantiles of each of the `horizon` values that come next, with the levels of `quantiles` in ascending order.

        Parameters
        ----------
        X : series, list of series, or None, default=None
            As in `predict`.

        Returns
        -------
        ndarray of shape (horizon, n_quantiles) or (horizon, channels, n_quantiles), or pandas.DataFrame; or a list of them
            The columns of a DataFrame are the levels; if the series has several columns, the levels stand below each of them.

        Raises
        ------
        ValueError
            `fit` had no `quantiles`.
        """
        check_is_fitted(self)
        if not self.quantiles_:
            raise ValueError("This Forecaster predicts no quantiles: fit it with quantiles=(0.1, 0.9), say.")
        forecasts, several = self._forecasts(X)
        asked = [self.levels_.index(level) for level in self.quantiles_]
        found = [form.quantiles(values[..., asked], self.quantiles_) for form, values in forecasts]
        return found if several else found[0]

    def errors(self, X: Any) -> dict[str, float]:
        """Mean absolute errors of forecasts of what came after the series of `fit`, from every point in it at which the next
        `horizon` values are known.

        Parameters
        ----------
        X : series, or list of as many series as `fit` had
            The values after those of `fit`, `horizon` at least.

        Returns
        -------
        dict
            "forecaster", "naive" (the last value, repeated) and, with `season`, "seasonal_naive" (the value a season before) ->
            the mean error, in standard deviations of the series (`scale_`).

        Raises
        ------
        ValueError, TypeError
            Another number of series or channels than in `fit`, or fewer values than `horizon`.
        sklearn.exceptions.NotFittedError
            `fit` has not been called.
        """
        check_is_fitted(self)
        series, _, _ = self._read(X, 0)
        self._check_channels(series)
        if len(series) != len(self._past):
            raise ValueError(f"X must continue the {len(self._past)} series of fit, got {len(series)}.")
        _check_lengths([len(values) for values in series], self.horizon_, f"compare with forecasts of {self.horizon_} values")
        found: dict[str, list[np.ndarray]] = {}
        for past, values, scale in zip(self._past, series, self.scale_, strict=True):
            scaled = np.concatenate([past, values]) / scale
            truth = _windows(scaled[len(past) :], self.horizon_)
            for name, forecasts in self._all_forecasts(scaled, len(past)).items():
                found.setdefault(name, []).append(np.abs(forecasts - truth).ravel())
        return {name: float(np.concatenate(errors).mean()) for name, errors in found.items()}

    def _all_forecasts(self, scaled: np.ndarray, start: int) -> dict[str, np.ndarray]:
        """Forecasts by name, from each point from `start` on, after which there is a horizon of values."""
        before = _windows(scaled[start - self.window_ : -self.horizon_], self.window_)
        middle = self.levels_.index(0.5) if self.levels_ else 0
        found = {"forecaster": self._next(before)[..., middle], "naive": before[:, -1:]}
        if self.season_ is not None:
            ahead = np.arange(self.horizon_)
            origins = np.arange(start, start + len(before))[:, None]
            found["seasonal_naive"] = scaled[origins + ahead - self.season_ * (ahead // self.season_ + 1)]
        return found

    def score(self, X: Any, y: None = None) -> float:
        """How much smaller the mean absolute error is than that of the better naive forecast: 1 is perfect, below 0 is worse.

        If a naive forecast has no error at all, the score is 1 for a forecaster that has none either, otherwise 0, as in
        scikit-learn's `r2_score`.

        Parameters
        ----------
        X : series, or list of as many series as `fit` had
            As in `errors`.
        y : None
            Not used.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError, sklearn.exceptions.NotFittedError
            As for `errors`.
        """
        errors = self.errors(X)
        own = errors.pop("forecaster")
        naive = min(errors.values())
        return 1.0 - own / naive if naive else float(not own)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
        return tags


def _windows(values: np.ndarray, length: int) -> np.ndarray:
    """All windows (n, length, channels) of a series (time, channels)."""
    return np.lib.stride_tricks.sliding_window_view(values, length, axis=0).transpose(0, 2, 1)


def _rows(windows: np.ndarray) -> np.ndarray:
    """Differences from the last values of windows, as the network reads them.

    Raises
    ------
    ValueError
        Differences that float32 does not hold.
    """
    with np.errstate(over="ignore"):
        rows = windows.reshape(len(windows), -1).astype(np.float32)
    if not np.isfinite(rows).all():
        raise ValueError(
            "X changes by more than 3e38 standard deviations of its series (`scale_`), more than the network can compute with: "
            "look for wrong values in X, or fit again with series like these."
        )
    return rows


def _check_columns(forms: list[Form]) -> None:
    """Refuse, with a ValueError, frames whose columns differ; scikit-learn looks at those that are named by text alone."""
    refuse_other_columns([form.names for form in forms if form.names is not None and not form.flat])


def _check_lengths(lengths: list[int], least: int, what: str) -> None:
    if min(lengths) < least:
        number = int(np.argmin(lengths))
        raise ValueError(f"To {what}, a series needs at least {least} values; series {number} has {lengths[number]}.")
