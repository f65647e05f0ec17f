"""Many fits at once: each has one thread, and as many run side by side as there are cores."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from copy import copy
from functools import cache, partial
from inspect import signature
from itertools import chain, groupby
from operator import itemgetter
from threading import Event
from typing import Any, TypeVar

from fastnet import _checks, losses, optimizers, runtime
from fastnet._core import core
from fastnet._data import Dataset, n_rows
from fastnet._loop import CallbackProtocol, checked_callbacks
from fastnet._rows import dataset
from fastnet._session import Fit, Session, WholeRun
from fastnet.callbacks import EarlyStopping, ProgressBar
from fastnet.data import Blocks
from fastnet.exceptions import DivergenceWarning
from fastnet.history import growth
from fastnet.network import Network
from fastnet.optimizers import LBFGS

M = TypeVar("M")
T = TypeVar("T")
R = TypeVar("R")

#: Options of `Network.fit` with which Python has nothing to do between epochs: the core makes all of them in one call.
_OF_WHOLE_RUNS = {
    "loss",
    "optimizer",
    "batch_size",
    "epochs",
    "learning_rate",
    "sampling",
    "sample_weight",
    "l2",
    "weight_decay",
    "max_grad_norm",
    "learning_rate_factors",
    "decay_factors",
    "augment",
    "random_state",
}

#: Multiply-adds of the fits that one call of the core makes, about ten milliseconds, and the most of such fits.
_WORK_OF_A_CALL, _FITS_OF_A_CALL = 4e8, 32

#: Seconds between looks at signals, which need not wake the thread that waits.
_LOOKS_APART = 0.05

#: Calls for each worker, at least, where there are fits enough: the one that is faster takes more of them.
_CALLS_OF_A_WORKER = 4

#: Callbacks of which each fit can have a copy: what they do is done when the fit has ended.
_COPIED = (EarlyStopping, ProgressBar)

#: Options that may differ between fits of one kind.
_OF_EACH = ("random_state", "learning_rate")


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

    A batch of a small network has too little work for several threads to share; many networks have enough. Every fit runs on
    one thread, and gives the same model, bit for bit, as it would alone with ``n_threads=1``. Networks whose fits have no
    callbacks are trained several at a time in one call of the compiled core, each for all its epochs.

    Parameters
    ----------
    models : sequence of Network or estimator
        Fitted in place. To compare values of a parameter, or seeds, give a clone or a network for each.
    X, y : array-like
        As the models' `fit` takes them.
    each : sequence of dict, optional
        Further options of each model's `fit`, such as ``[{"random_state": seed} for seed in range(10)]``.
    n_threads : int, optional
        Number of fits at a time; by default as many as there are cores for.
    **options
        Options of every `fit`. Each fit has a copy of an `EarlyStopping` or `ProgressBar` in `callbacks`; other callbacks that
        remember something are given in `each`, one for each fit.

    Returns
    -------
    list of Network or estimator
        The models.

    Raises
    ------
    ValueError
        The same model twice, `each` of another length than `models`, or a generator of random numbers or a callback that several
        fits would use.
    TypeError
        Models that are neither networks nor estimators of fastnet, or entries of `each` that are no dicts.
    Exception
        What the first fit that fails raises. Fits that have begun are finished, the others are not begun.
    KeyboardInterrupt
        Ctrl-C: fits that have begun end within about a tenth of a second.

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
    models = _checks.sequence(models, "models", "[net_1, net_2]")
    own = [{}] * len(models) if each is None else list(each)
    if len(own) != len(models):
        raise ValueError(f"each must hold the options of {len(models)} models, got {len(own)}.")
    _check(models, own)
    options = _shareable(options)
    of_fits = [{**options, **_shareable(further)} for further in own]
    _copy_shared_callbacks(models, of_fits)
    _check_that_nothing_is_shared(models, of_fits)
    n_workers = runtime.thread_limit(n_threads)
    tasks = _tasks(list(zip(models, of_fits, strict=True)), X, y, n_workers)
    for text in chain.from_iterable(side_by_side(lambda task: task(), tasks, n_workers)):
        warnings.warn(text, DivergenceWarning, stacklevel=2)
    return list(models)


def side_by_side(do: Callable[[T], R], tasks: Iterable[T], n_threads: int, over: Event | None = None) -> list[R]:
    """What a function returns for each task, several at a time; after the first error no task is begun, and after Ctrl-C those
    that train end at once.

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

    interrupted = Event()
    with ThreadPoolExecutor(n_threads, "fastnet-fit", core.interrupt.set, (interrupted,)) as pool:
        try:
            done = [pool.submit(begin, task) for task in tasks]
            for one in done:
                while wait([one], _LOOKS_APART).not_done:
                    pass
        except BaseException as error:
            over.set()
            if not isinstance(error, Exception):
                interrupted.set()
            raise
    return [one.result() for one in done]


class _Kind:
    """What fits of one trainer have in common: the data, the layers, and all options but those of each."""

    def __init__(self, network: Network, X: Any, y: Any, given: Mapping[str, Any], checked: dict[Any, Dataset]) -> None:
        from fastnet.training import limit_of

        options = {name: value for name, value in {**_defaults(), **given}.items() if name not in _OF_EACH}
        self.n_epochs = limit_of(options.pop("epochs"), None)["epochs"]
        loss = options["loss"] = losses.get(options["loss"], network.output_activation)
        weight = options.pop("sample_weight")
        form = network._inputs, network.n_outputs, network._plan.n_positions, network.dtype, loss, id(weight)
        if form not in checked:
            checked[form] = dataset(network, X, y, weight, loss)
        self._data = checked[form]
        self._options = options
        #: Multiply-adds of a fit, about.
        self.work = 3 * network._plan.cost * n_rows(self._data[0]) * self.n_epochs

    def runs(self, fits: Sequence[Fit]) -> tuple[Session, list[WholeRun]]:
        """What the core needs for some fits of this kind, and the session whose trainer makes them."""
        X, y, sample_weight = self._data
        first, *others = fits
        session = Session(
            first.network,
            X,
            y,
            sample_weight=sample_weight,
            learning_rate=first.learning_rate,
            random_state=first.random_state,
            n_threads=1,
            **self._options,
        )
        session.bind(self.n_epochs * session.steps_per_epoch)
        return session, session.whole_runs(self.n_epochs, others)


def _tasks(fits: Sequence[tuple[Any, Mapping[str, Any]]], X: Any, y: Any, n_workers: int) -> Iterator[Callable[[], list[str]]]:
    """What there is to do, each part by one thread, which returns what is to be warned of."""
    kinds: dict[Any, _Kind] = {}
    checked: dict[Any, Dataset] = {}
    most = min(_FITS_OF_A_CALL, -(-len(fits) // (_CALLS_OF_A_WORKER * n_workers)))
    for are_whole, part in groupby(fits, lambda fit: _is_whole(fit[0], fit[1], X)):
        if are_whole:
            whole = (_whole_fit(network, X, y, options, kinds, checked) for network, options in part)
            yield from (partial(_fit_in_one_call, some) for some in _calls(whole, most))
        else:
            yield from (partial(_fit, model, X, y, options) for model, options in part)


def _is_whole(model: Any, options: Mapping[str, Any], X: Any) -> bool:
    """Whether the core can do all epochs of a fit in one call."""
    return (
        isinstance(model, Network)
        and type(model).fit is Network.fit
        and not (model.ragged or model.n_members > 1 or isinstance(X, Blocks))
        and options.keys() <= _OF_WHOLE_RUNS
        and options.get("sampling", "shuffle") in ("shuffle", "sequential")
        and not isinstance(options.get("optimizer"), LBFGS)
    )


@cache
def _defaults() -> dict[str, Any]:
    """Of the options of `Network.fit`."""
    parameters = signature(Network.fit).parameters
    return _shareable({name: parameters[name].default for name in _OF_WHOLE_RUNS})


def _shareable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the optimizer as an object, and callbacks as a tuple, which fits share."""
    forms = {"optimizer": optimizers.get, "callbacks": checked_callbacks}
    return {**options, **{name: form(options[name]) for name, form in forms.items() if name in options}}


def _whole_fit(
    network: Network, X: Any, y: Any, given: Mapping[str, Any], kinds: dict[Any, _Kind], checked: dict[Any, Dataset]
) -> tuple[_Kind, Fit]:
    """A fit of one of the kinds, which its options, found by their identity, may be the first to have."""
    common = tuple((name, id(value)) for name, value in given.items() if name not in _OF_EACH)
    key = network._graph.form, tuple(network.parameters), network._inputs, network.dtype, common
    if key not in kinds:
        kinds[key] = _Kind(network, X, y, given, checked)
    return kinds[key], Fit(network, given.get("random_state"), given.get("learning_rate"))


def _calls(fits: Iterable[tuple[_Kind, Fit]], most: int) -> Iterator[Sequence[tuple[_Kind, Fit]]]:
    """Fits in parts of about ten milliseconds each, of `most` fits at most."""
    part: list[tuple[_Kind, Fit]] = []
    work = 0.0
    for kind, fit in fits:
        if part and (len(part) == most or work + kind.work > _WORK_OF_A_CALL):
            yield part
            part, work = [], 0.0
        part.append((kind, fit))
        work += kind.work
    yield part


def _fit_in_one_call(fits: Sequence[tuple[_Kind, Fit]]) -> list[str]:
    """Train networks one after the other, all in one call of the core; what is to be said of losses that grew."""
    sessions, runs = [], []
    for kind, group in groupby(fits, itemgetter(0)):
        session, of_kind = kind.runs([fit for _, fit in group])
        sessions += [session] * len(of_kind)
        runs += of_kind
    networks = [fit.network for _, fit in fits]
    uses_blas = any(network._plan.uses_blas for network in networks)
    done = _training(networks, lambda: runtime.single_threaded_blas(uses_blas, core.train_many, tuple(runs)))
    for session, run, (n_epochs, diverged, n_batches) in zip(sessions, runs, done, strict=True):
        if diverged:
            raise session.end_whole_run(run, n_epochs, n_batches)
    return [text for run in runs if (text := growth(run.losses.tolist()))]


def _training(networks: Sequence[Network], do: Callable[[], R]) -> R:
    """What `do` returns, which trains all these networks."""
    if not networks:
        return do()
    exclusive = networks[0]._exclusive
    return exclusive.training(exclusive.updating, lambda: _training(networks[1:], do))


def _fit(model: Any, X: Any, y: Any, options: Mapping[str, Any]) -> list[str]:
    if isinstance(model, Network):
        model.fit(X, y, n_threads=1, **options)
        return []
    before = model.n_threads
    model.n_threads = 1
    try:
        model.fit(X, y, **options)
    finally:
        model.n_threads = before
    return []


def _check(models: Sequence[Any], own: Sequence[Any]) -> None:
    for model in models:
        if not isinstance(model, Network) and not (hasattr(model, "fit") and hasattr(model, "n_threads")):
            raise TypeError(
                f"models must be networks or estimators of fastnet, got {type(model).__name__}: fit others in a loop, or with "
                "joblib."
            )
    for options in own:
        if not isinstance(options, Mapping):
            raise TypeError(f"each must hold a dict of options for each model, as [{{'random_state': 0}}, ...], got {options!r}.")
        if "n_threads" in options:
            raise ValueError("each must not hold n_threads, as every fit has one: give fit_many the number of fits at a time.")


def _option(name: str, model: Any, of_fit: Mapping[str, Any]) -> Any:
    """An option of a fit, or the estimator's parameter; None if there is neither."""
    return of_fit.get(name) if name in of_fit or isinstance(model, Network) else getattr(model, name, None)


def _copy_shared_callbacks(models: Sequence[Any], options: Sequence[dict[str, Any]]) -> None:
    """Give each fit, in its options, copies of the callbacks that others have too.

    Raises
    ------
    ValueError
        Several fits have a callback that remembers something, and that the caller may want to see.
    """
    pairs = zip(models, options, strict=True)
    given = [checked_callbacks(_option("callbacks", model, of_fit) or ()) for model, of_fit in pairs]
    n_fits = Counter(chain.from_iterable({id(callback) for callback in callbacks} for callbacks in given))

    def own(callback: CallbackProtocol, may_be_copied: bool) -> CallbackProtocol:
        if n_fits[id(callback)] == 1 or not getattr(callback, "__dict__", True):
            return callback
        if may_be_copied and type(callback) in _COPIED:
            return copy(callback)
        name = type(callback).__name__
        raise ValueError(
            f"Several fits at once cannot share the callback {name}, which remembers what it has seen: give each its own, "
            f"networks in each=[{{'callbacks': [{name}(...)]}}, ...], estimators as their parameter `callbacks`."
        )

    for of_fit, callbacks in zip(options, given, strict=True):
        owned = [own(callback, "callbacks" in of_fit) for callback in callbacks]
        if "callbacks" in of_fit:
            of_fit["callbacks"] = owned


def _check_that_nothing_is_shared(models: Sequence[Any], options: Sequence[Mapping[str, Any]]) -> None:
    pairs = zip(models, options, strict=True)
    streams = [_option("random_state", model, of_fit) for model, of_fit in pairs]
    drawn_from = [stream for stream in streams if hasattr(stream, "random")]
    for what, objects in (("model", models), ("generator of random numbers", drawn_from)):
        if len(set(map(id, objects))) < len(objects):
            raise ValueError(f"Several fits at once have the same {what}: give each its own, such as a clone with another seed.")
