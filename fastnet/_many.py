"""Many fits at once: each has one thread, and as many run side by side as there are cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Event
from typing import Any, TypeVar

from fastnet import runtime
from fastnet.network import Network

M = TypeVar("M")
T = TypeVar("T")
R = TypeVar("R")


def fit_many(
    models: Sequence[M],
    X: Any,
    y: Any,
    *,
    each: Sequence[Mapping[str, Any]] | None = None,
    n_threads: int | None = None,
    **options: Any,
) -> list[M]:
    """Fit many models to the same data, several at a time.

    A batch of a small network has little work that threads could share; many networks have much. Every fit has one thread, and
    gives the model that it gives alone with ``n_threads=1``, bit for bit.

    Parameters
    ----------
    models : sequence of Network or estimator
        Fitted in place. For other values of a parameter or other seeds, give clones or networks of their own.
    X, y : array-like
        As `fit` of the models takes them.
    each : sequence of dict, optional
        Further options of each model's `fit`, such as ``[{"random_state": seed} for seed in range(10)]``.
    n_threads : int, optional
        Fits at a time; by default as many as there are cores for.
    **options
        Options of every `fit`.

    Returns
    -------
    list of Network or estimator
        The models.

    Raises
    ------
    ValueError
        One model twice, `each` of another length, or a generator of random numbers that several fits would draw from.
    Exception
        What the first fit that fails raises. Fits that have begun are finished, the others are not begun.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> nets = [fn.Network([fn.Dense(4, "tanh"), fn.Dense(1, "identity")], 3, random_state=seed) for seed in range(4)]
    >>> many = fn.fit_many(nets, X, X[:, 0], epochs=50, learning_rate=0.02, random_state=0)
    >>> min(net.score(X, X[:, 0]) for net in many) > 0.9
    True
    """
    own = [{}] * len(models) if each is None else list(each)
    if len(own) != len(models):
        raise ValueError(f"each must hold the options of {len(models)} models, got {len(own)}.")
    of_fits = [{**options, **further} for further in own]
    _check_that_nothing_is_shared(models, of_fits)
    side_by_side(lambda one: _fit(one[0], X, y, one[1]), zip(models, of_fits, strict=True), runtime.thread_limit(n_threads))
    return list(models)


def side_by_side(do: Callable[[T], R], tasks: Iterable[T], n_threads: int, over: Event | None = None) -> list[R]:
    """What a function returns for each task, several at a time; after the first error no task is begun.

    Parameters
    ----------
    do : callable
    tasks : iterable
    n_threads : int
        Tasks at a time.
    over : Event, optional
        Set when there is an error, so that tasks that have begun can end early.
    """
    if n_threads == 1:
        return list(map(do, tasks))
    over = over or Event()

    def begin(task: T) -> R:
        if over.is_set():
            raise CancelledError
        try:
            return do(task)
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(n_threads, "fastnet-fit") as pool:
        try:
            return list(pool.map(begin, tasks))
        finally:
            over.set()


def _fit(model: Any, X: Any, y: Any, options: Mapping[str, Any]) -> None:
    if isinstance(model, Network):
        model.fit(X, y, n_threads=1, **options)
        return
    before = model.n_threads
    model.n_threads = 1
    try:
        model.fit(X, y, **options)
    finally:
        model.n_threads = before


def _check_that_nothing_is_shared(models: Sequence[Any], options: Sequence[Mapping[str, Any]]) -> None:
    pairs = zip(models, options, strict=True)
    streams = [of_fit.get("random_state", getattr(model, "random_state", None)) for model, of_fit in pairs]
    drawn_from = [stream for stream in streams if hasattr(stream, "random")]
    for what, objects in (("model", models), ("generator of random numbers", drawn_from)):
        if len(set(map(id, objects))) < len(objects):
            raise ValueError(f"Several fits at once have the same {what}: give each its own, such as a clone with another seed.")
