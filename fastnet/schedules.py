"""Learning-rate schedules ``alpha_j``: one small frozen class for each schedule, listed in `SCHEDULES`.

A schedule is a function of the number j = 0, 1, ... of earlier updates, an integer or an array of integers. Numbers, sequences
and Python callables can be used as schedules too: see `get`. `Cosine` and `OneCycle` end at a given update; if none is given,
`Network.fit` sets it to the length of the training run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

import numpy as np

from fastnet import _checks
from fastnet._values import frozen


@frozen
class Schedule:
    """A learning rate for each update.

    Attributes
    ----------
    name : str
        Name in `SCHEDULES`.
    formula : str
        Learning rate of update j, as text.
    """

    name: ClassVar[str]
    formula: ClassVar[str]

    def __call__(self, j: Any) -> Any:
        """Learning rate of update j = 0, 1, ...; j an int or an array of them."""
        raise NotImplementedError

    def bound(self, n_steps: int) -> Schedule:
        """The same schedule for a run of `n_steps` updates, if its length was not given."""
        return self

    def ends_by(self, n_steps: int) -> bool:
        """Whether the schedule has come to its end after `n_steps` updates; most go on for ever."""
        return False

    def rates(self, start: int, n: int) -> np.ndarray:
        """Learning rates of n updates from number `start`: a float64 vector of n values, or of one value for all.

        Raises
        ------
        ValueError
            A rate that is negative, NaN or infinite.
        """
        rates = np.ascontiguousarray(self(np.arange(start, start + n)), dtype=np.float64)
        if not (np.isfinite(rates) & (rates >= 0)).all():
            bad = rates[~(np.isfinite(rates) & (rates >= 0))][0]
            raise ValueError(
                f"Learning rates must be finite and at least 0; {self!r} gave {bad} within updates {start} to {start + n - 1}."
            )
        return rates


def _positive(schedule: Schedule, *names: str) -> None:
    for name in names:
        object.__setattr__(schedule, name, _checks.real(getattr(schedule, name), name, above=0.0))


@frozen
class Constant(Schedule):
    """``alpha_j = rate``.

    Parameters
    ----------
    rate : float >= 0

    Examples
    --------
    >>> import fastnet as fn
    >>> fn.Constant(0.1)(7)
    0.1
    """

    rate: float
    name = "constant"
    formula = "rate"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", _checks.real(self.rate, "learning_rate", minimum=0.0))

    def __call__(self, j: Any) -> Any:
        return self.rate if np.ndim(j) == 0 else np.full(np.shape(j), self.rate)

    def rates(self, start: int, n: int) -> np.ndarray:
        return _vector(self.rate)


@lru_cache(maxsize=16)
def _vector(rate: float) -> np.ndarray:
    """One number as a vector; kept, since making it takes 3 % of an epoch of 150 rows."""
    vector = np.array([rate])
    vector.flags.writeable = False
    return vector


@frozen
class StepDecay(Schedule):
    """``alpha_j = initial * factor^floor(j / every)``.

    Parameters
    ----------
    initial : float > 0
        First learning rate.
    factor : float > 0
        Factor of each decrease.
    every : int
        Number of updates between decreases.

    Examples
    --------
    >>> import fastnet as fn
    >>> rate = fn.StepDecay(0.1, factor=0.5, every=100)
    >>> rate(0), rate(100), rate(250)
    (0.1, 0.05, 0.025)
    """

    initial: float
    factor: float = 0.5
    every: int = 1000
    name = "step"
    formula = "initial factor^floor(j / every)"

    def __post_init__(self) -> None:
        _positive(self, "initial", "factor")
        object.__setattr__(self, "every", _checks.positive_int(self.every, "every"))

    def __call__(self, j: Any) -> Any:
        return self.initial * self.factor ** (j // self.every)


@frozen
class ExponentialDecay(Schedule):
    """``alpha_j = initial * factor^j``.

    Parameters
    ----------
    initial : float > 0
        First learning rate.
    factor : float > 0
        Factor of each update.

    Examples
    --------
    >>> import fastnet as fn
    >>> rate = fn.ExponentialDecay(0.1, factor=0.5)
    >>> rate(0), rate(1), rate(2)
    (0.1, 0.05, 0.025)
    """

    initial: float
    factor: float = 0.999
    name = "exponential"
    formula = "initial factor^j"

    def __post_init__(self) -> None:
        _positive(self, "initial", "factor")

    def __call__(self, j: Any) -> Any:
        return self.initial * self.factor**j


@frozen
class InverseScaling(Schedule):
    """``alpha_j = initial / (j + 1)^power`` (Robbins & Monro 1951).

    Parameters
    ----------
    initial : float > 0
        First learning rate.
    power : float >= 0

    Examples
    --------
    >>> import fastnet as fn
    >>> rate = fn.InverseScaling(0.1)
    >>> rate(0), rate(3)
    (0.1, 0.05)
    """

    initial: float
    power: float = 0.5
    name = "inverse_scaling"
    formula = "initial / (j + 1)^power"

    def __post_init__(self) -> None:
        _positive(self, "initial")
        object.__setattr__(self, "power", _checks.real(self.power, "power", minimum=0.0))

    def __call__(self, j: Any) -> Any:
        return self.initial / (j + 1.0) ** self.power


class _Ending(Schedule):
    """A schedule that ends after `n_steps` updates; None: after those of the training run."""

    n_steps: int | None

    def _check_n_steps(self) -> None:
        if self.n_steps is not None:
            object.__setattr__(self, "n_steps", _checks.positive_int(self.n_steps, "n_steps"))

    def bound(self, n_steps: int) -> Schedule:
        return replace(self, n_steps=n_steps) if self.n_steps is None else self  # type: ignore[call-arg]

    def ends_by(self, n_steps: int) -> bool:
        return self.n_steps is not None and self.n_steps <= n_steps

    def _progress(self, j: Any) -> Any:
        """Fraction of the run before update j: 0 at the first update, 1 at the last one and after it."""
        if self.n_steps is None:
            raise ValueError(f"{type(self).__name__} does not know when to end: set n_steps to the number of updates of the run.")
        return np.minimum(j / max(self.n_steps - 1, 1), 1.0)


def _cosine(start: Any, end: Any, share: Any) -> Any:
    return end + (start - end) * (1 + np.cos(np.pi * share)) / 2


@frozen
class Cosine(_Ending):
    """Half a cosine from `initial` at the first update to `final` at update `n_steps` (Loshchilov & Hutter 2017).

    Parameters
    ----------
    initial : float > 0
    final : float >= 0
    n_steps : int or None
        Length in updates; None: that of the training run.

    Examples
    --------
    >>> import fastnet as fn
    >>> rate = fn.Cosine(0.1, n_steps=101)
    >>> round(float(rate(0)), 3), round(float(rate(50)), 3), round(float(rate(100)), 3)
    (0.1, 0.05, 0.0)
    """

    initial: float = 0.001
    final: float = 0.0
    n_steps: int | None = None
    name = "cosine"
    formula = "final + (initial - final) (1 + cos(pi j / (n_steps - 1))) / 2"

    def __post_init__(self) -> None:
        _positive(self, "initial")
        object.__setattr__(self, "final", _checks.real(self.final, "final", minimum=0.0))
        self._check_n_steps()

    def __call__(self, j: Any) -> Any:
        return _cosine(self.initial, self.final, self._progress(j))


@frozen
class OneCycle(_Ending):
    """Half a cosine up from ``peak / start_divisor`` to `peak`, then half a cosine down to ``peak / end_divisor``.

    Smith & Topin 2019.

    Parameters
    ----------
    peak : float
        Highest learning rate.
    warmup : float in (0, 1)
        Fraction of the run after which the peak is reached.
    start_divisor, end_divisor : float
        Divisors of the peak that give the first and the last learning rate.
    n_steps : int or None
        Length in updates; None: that of the training run.

    Examples
    --------
    >>> import fastnet as fn
    >>> rate = fn.OneCycle(0.1, n_steps=101)
    >>> round(float(rate(0)), 3), round(float(rate(30)), 3), round(float(rate(100)), 3)
    (0.004, 0.1, 0.0)
    """

    peak: float = 0.01
    warmup: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4
    n_steps: int | None = None
    name = "one_cycle"
    formula = "cosine from peak / start_divisor up to peak, then down to peak / end_divisor"

    def __post_init__(self) -> None:
        _positive(self, "peak", "start_divisor", "end_divisor")
        object.__setattr__(self, "warmup", _checks.real(self.warmup, "warmup", above=0.0, below=1.0))
        self._check_n_steps()

    def __call__(self, j: Any) -> Any:
        share = self._progress(j)
        up = _cosine(self.peak / self.start_divisor, self.peak, np.minimum(share / self.warmup, 1.0))
        down = _cosine(self.peak, self.peak / self.end_divisor, np.maximum((share - self.warmup) / (1 - self.warmup), 0.0))
        return np.where(share < self.warmup, up, down)[()]


@frozen
class LinearWarmup(Schedule):
    """Increase linearly over `n_steps` updates to the first rate of `schedule`, then follow that schedule.

    Parameters
    ----------
    schedule : float, Schedule, sequence or callable
        The schedule after the warm-up.
    n_steps : int
        Length of the warm-up in updates.

    Examples
    --------
    >>> import fastnet as fn
    >>> rate = fn.LinearWarmup(fn.Constant(0.1), n_steps=4)
    >>> [round(float(rate(j)), 3) for j in range(6)]
    [0.02, 0.04, 0.06, 0.08, 0.1, 0.1]
    """

    schedule: Any
    n_steps: int = 100
    name = "linear_warmup"
    formula = "schedule(0) (j + 1) / (n_steps + 1) for j < n_steps, then schedule(j - n_steps)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", get(self.schedule))
        object.__setattr__(self, "n_steps", _checks.positive_int(self.n_steps, "n_steps"))

    def bound(self, n_steps: int) -> Schedule:
        return replace(self, schedule=self.schedule.bound(self._after_warmup(n_steps)))

    def ends_by(self, n_steps: int) -> bool:
        return self.schedule.ends_by(self._after_warmup(n_steps))

    def _after_warmup(self, n_steps: int) -> int:
        return max(n_steps - self.n_steps, 1)

    def __call__(self, j: Any) -> Any:
        rising = self.schedule(0) * (np.minimum(j, self.n_steps) + 1.0) / (self.n_steps + 1.0)
        return np.where(np.asarray(j) < self.n_steps, rising, self.schedule(np.maximum(j - self.n_steps, 0)))[()]


@frozen
class Sequence(Schedule):
    """The learning rates ``values[0], values[1], ...``; training cannot have more updates than there are values."""

    values: tuple[float, ...]
    name = "sequence"
    formula = "values[j]"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(_checks.real(v, "learning_rate", minimum=0.0) for v in self.values))

    def __call__(self, j: Any) -> Any:
        if np.max(j) >= len(self.values):
            raise ValueError(
                f"The sequence holds {len(self.values)} learning rates, update number {int(np.max(j)) + 1} needs one more."
            )
        return np.asarray(self.values)[j]

    def bound(self, n_steps: int) -> Schedule:
        if n_steps > len(self.values):
            raise ValueError(f"The sequence holds {len(self.values)} learning rates, the run makes {n_steps} updates.")
        return self

    def ends_by(self, n_steps: int) -> bool:
        return len(self.values) <= n_steps


@frozen
class Function(Schedule):
    """Any Python callable ``f(j) -> float``, called before each epoch for all of its updates."""

    function: Callable[[int], float]
    name = "function"
    formula = "f(j)"

    def __call__(self, j: Any) -> Any:
        return self._rate(j) if np.ndim(j) == 0 else np.array([self._rate(k) for k in j])

    def _rate(self, j: Any) -> float:
        rate = self.function(int(j))
        try:
            return float(rate)
        except (TypeError, ValueError):
            raise TypeError(
                f"The function given as learning_rate must return a number, got {rate!r} for update {int(j)}."
            ) from None


_ROWS = (Constant, StepDecay, ExponentialDecay, InverseScaling, Cosine, OneCycle, LinearWarmup)

#: Name -> class, one row for each schedule.
SCHEDULES: dict[str, type[Schedule]] = {row.name: row for row in _ROWS}


#: What `get` takes: a number, a name, a schedule, the rates of all updates, or a function of the update number.
LearningRate: TypeAlias = float | str | Schedule | type[Schedule] | Iterable[float] | Callable[[Any], Any]


def get(spec: Any, initial: float = 0.001) -> Schedule:
    """Turn what `learning_rate` accepts into a schedule.

    Parameters
    ----------
    spec : float, str, Schedule, class of one, sequence of float or callable
        A constant, a name in `SCHEDULES` or a class (with `initial` as its first or highest rate), a schedule, the rates of all
        updates, or a function of the update number.
    initial : float
        Learning rate of a schedule given by name or class.

    Raises
    ------
    ValueError, TypeError
        Unknown name, negative or non-finite rate, or none of the above.
    """
    if isinstance(spec, Schedule):
        return spec
    if isinstance(spec, (str, type)):
        return _checks.lookup(spec, SCHEDULES, Schedule, "learning_rate schedule", initial)
    if callable(spec):
        return Function(spec)
    if isinstance(spec, (list, tuple, range)) or np.ndim(spec) == 1:
        return Sequence(tuple(spec))
    return Constant(spec)
