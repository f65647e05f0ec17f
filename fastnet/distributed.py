"""One network on many ranks: every rank takes its part of each batch, and the gradients are summed.

::

    from mpi4py import MPI
    history = fastnet.distributed.fit(net, X_rank, y_rank, comm=MPI.COMM_WORLD, batch_size=512)

under ``mpiexec -n 4 python -m mpi4py train.py``, where each rank has rows of its own. Nothing here opens a socket or starts a
process: the communicator does all of it, be it mpi4py's or any object with ``rank``, ``size``, ``allreduce`` and ``allgather``.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

import fastnet
from fastnet import _checks, _core, _data, _identity, losses, optimizers
from fastnet._loop import CallbackProtocol, checked_callbacks, train
from fastnet._objective import refuse_statistics
from fastnet._ranks import Communicator, RankError, Ranks
from fastnet._rows import flat_rows
from fastnet._sampling import SeededOrder, order_of
from fastnet._session import Session
from fastnet.data import Blocks
from fastnet.history import History
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.optimizers import GradientRule, Optimizer
from fastnet.schedules import LearningRate
from fastnet.training import limit_of, validation_of, watchers

if TYPE_CHECKING:
    from fastnet._checks import Seed

__all__ = ["Communicator", "RankError", "fit"]

Rows: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray | None]

#: Rows of a batch for each rank by default, and the ranks above which that makes batches too large for the user's learning rate.
_ROWS_OF_A_RANK, _MANY_RANKS = 32, 16

#: Learning rates, from the first, by which ranks find that their functions of the update number differ.
_COMPARED_RATES = 1000

#: What the core calls on a single rank, which has nothing to add. A function in Python took 4 % of an epoch of a small network.
_NOTHING: Callable[[], Any] = tuple


def fit(
    network: Network,
    X: Any,
    y: Any,
    *,
    comm: Communicator,
    sample_weight: Any = None,
    loss: str | Loss | type[Loss] | None = None,
    optimizer: str | Optimizer | type[Optimizer] = "adam",
    batch_size: int | None = None,
    epochs: int | None = None,
    iterations: int | None = None,
    learning_rate: LearningRate | None = None,
    sampling: str = "shuffle",
    validation_data: Any = None,
    l2: float = 0.0,
    weight_decay: float = 0.0,
    max_grad_norm: float | None = None,
    callbacks: Iterable[CallbackProtocol] = (),
    progress: bool = False,
    max_time: float | None = None,
    random_state: Seed = None,
    n_threads: int | None = None,
    resume_from: str | os.PathLike[str] | None = None,
) -> History:
    """Train a network in place on the rows of all ranks; to be called by each of them.

    An update is that of `Network.fit` for the same batch, except for rounding. Of K updates of an epoch, number k takes the
    rows from ``k m / K`` to ``(k + 1) m / K`` of the m rows of each rank, in a random order of its own; ranks may have
    different numbers of rows, or none.

    Parameters
    ----------
    network : Network
        With the same layers on all ranks. All of them start with the parameters of rank 0 and end with the same.
    X : array-like of shape (m, n_inputs)
        This rank's rows, m of them.
    y : array-like of shape (m,) or (m, n_targets)
    comm : Communicator
        ``mpi4py.MPI.COMM_WORLD``, or an object with its ``rank``, ``size``, ``allreduce`` of vectors and ``allgather``. If it
        also has mpi4py's ``Barrier`` and all ranks are on one Linux machine, they add up their vectors in shared memory.
    sample_weight : array-like of shape (m,), optional
    batch_size : int, optional
        Rows of a batch on all ranks together; by default 32 for each rank. The learning rate is not adjusted to it.
    sampling : {"shuffle", "sequential"}
    validation_data : (X, y) or (X, y, sample_weight), optional
        Rank 0's validation data, whose loss is recorded after each epoch.
    callbacks, progress, max_time
        Those of rank 0; what other ranks give is not used. Changes that a callback makes to the parameters reach all ranks.
    random_state : int, SeedSequence, Generator or RandomState, optional
        That of rank 0 is used.
    n_threads : int, optional
        Maximum number of threads of this rank. By default all cores that it may use, so let ``mpiexec`` bind ranks to cores, or
        give a number.
    resume_from : path, optional
        A file of `fastnet.Checkpoint`, read by rank 0: continue from there, with the same options and rows, on any number of
        ranks, among which the rows may be divided in another way. Give a `batch_size`, as its default depends on the number of
        ranks.
    loss, optimizer, epochs, iterations, learning_rate, l2, weight_decay, max_grad_norm
        As for `Network.fit`; the same on all ranks.

    Returns
    -------
    History
        The same on all ranks, except for what the callbacks and validation data of rank 0 add.

    Raises
    ------
    TypeError, ValueError
        Data that do not fit, on the rank that has them, or networks, options, versions or levels of vector instructions that
        differ between ranks.
    RankError
        Another rank has failed, or was interrupted: no rank is left waiting.
    DivergenceError
        On all ranks, as for `Network.fit`.

    Warns
    -----
    UserWarning
        More than 16 ranks, without a `batch_size`.

    Notes
    -----
    An exception on one rank is passed on to the others at the next exchange. A rank that is killed cannot do that:
    ``mpiexec`` ends the others.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> class Alone:
    ...     rank, size = 0, 1
    ...     def allreduce(self, vector):
    ...         return vector
    ...     def allgather(self, value):
    ...         return [value]
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> net = fn.Network([fn.Dense(1, "identity")], 3, random_state=0)
    >>> history = fn.distributed.fit(net, X, X.sum(1), comm=Alone(), learning_rate=0.05, epochs=30, random_state=0)
    >>> net.score(X, X.sum(1)) > 0.99
    True
    """
    ranks = Ranks(comm)
    if batch_size is None:
        batch_size = _ROWS_OF_A_RANK * ranks.size
        if ranks.size > _MANY_RANKS:
            warnings.warn(
                f"batch_size is {batch_size}, {_ROWS_OF_A_RANK} for each of {ranks.size} ranks, with the learning rate of small "
                "batches: it takes more epochs, or another rate. Give a batch_size to say that this is meant.",
                stacklevel=2,
            )
    options: dict[str, Any] = {
        "loss": loss,
        "optimizer": optimizer,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "sampling": sampling,
        "l2": l2,
        "weight_decay": weight_decay,
        "max_grad_norm": max_grad_norm,
    }
    prepared, told = ranks.together(lambda: _prepared(network, X, y, sample_weight, options, epochs, iterations, random_state))
    _check_agreement([one.description for one in told])
    ranks.make_room(network.n_params + 3, network.dtype)
    part = Part(prepared.rows, tuple(one.m for one in told), sum(one.checksum for one in told) % 2**64, ranks)
    _data.refuse_no_weight(any(one.has_weight for one in told))

    def started() -> tuple[RankSession, Started]:
        rng = copy.deepcopy(told[0].rng) if ranks.rank else prepared.rng
        session = RankSession(network, part, random_state=rng, n_threads=n_threads, **prepared.options)
        n_steps = prepared.limit.get("iterations") or prepared.limit["epochs"] * session.steps_per_epoch
        session.bind(n_steps)
        rates = session.schedule.rates(0, min(n_steps, session.steps_per_epoch, _COMPARED_RATES))
        if ranks.rank:
            return session, Started(rates)
        session.callbacks = (
            *watchers(validation_of(network, validation_data, session._loss), session._loss, n_threads, progress),
            *checked_callbacks(callbacks),
        )
        if resume_from is not None:
            from fastnet.checkpoint import resume

            resume(session, resume_from)
            return session, Started(rates, session.position())
        return session, Started(rates)

    session, starts = ranks.together(started)
    _check_rates([start.rates for start in starts])
    with ranks.failing_together():
        if ranks.rank and starts[0].position is not None:
            session.restore(starts[0].position)
        train(session, max_time=max_time, callbacks=session.callbacks, **prepared.limit)
        session.end()
    return session.history


class Prepared(NamedTuple):
    """What a rank trains on, and how."""

    rows: Rows
    options: dict[str, Any]
    limit: dict[str, int]
    rng: np.random.Generator


class Told(NamedTuple):
    """What a rank lets the others know: how many rows it has, which, whether any has a weight, how it trains, and where its
    random numbers come from."""

    m: int
    checksum: int
    has_weight: bool
    description: dict[str, str]
    rng: np.random.Generator


class Started(NamedTuple):
    """What a rank lets the others know when it is about to train: its first learning rates and, of rank 0, where it continues."""

    rates: np.ndarray
    position: dict[str, Any] | None = None


def _prepared(
    network: Network,
    X: Any,
    y: Any,
    sample_weight: Any,
    options: dict[str, Any],
    epochs: int | None,
    iterations: int | None,
    random_state: Seed,
) -> tuple[Prepared, Told]:
    """Checked arguments of this rank, and what the other ranks have to know of them."""
    if not isinstance(network, Network):
        raise TypeError(f"network must be a fastnet.Network, got {short(network)}: give the network that is to be trained.")
    if isinstance(X, Blocks):
        raise TypeError(f"X must be an array with the rows of this rank, got {X!r}: read them into an array first.")
    limit = limit_of(epochs, iterations)
    loss, optimizer = losses.get(options["loss"], network.output_activation), optimizers.get(options["optimizer"])
    if not isinstance(optimizer, GradientRule):
        raise TypeError(
            f"optimizer must be a rule that works on batches, such as fastnet.Adam(), got {optimizer.name!r}, which needs all "
            "rows in one process: train there, with Network.fit, or take another."
        )
    features = _data.features(flat_rows(network, X), network.n_inputs, network.dtype)
    if isinstance(features, tuple):
        raise TypeError("X must be an array, got a sparse matrix.")
    m = len(features)
    _data.refuse_positions(network._plan.n_positions, "by several processes")
    targets = _data.targets(y, m, network.n_outputs, loss, network.dtype)
    weights = None if sample_weight is None else _data.nonnegative(sample_weight, m, network.dtype)
    options = {**options, "loss": loss, "optimizer": optimizer}
    rng = _checks.generator(random_state)
    description = {
        "fastnet version": fastnet.__version__,
        "level of vector instructions (FASTNET_CPU)": _core.level,
        "network": f"{network!r}, {network.layers!r}",
        **{name: _identity.text(option) for name, option in (options | limit).items()},
    }
    rows = features, targets, weights
    has_weight = m > 0 and (weights is None or bool(weights.any()))
    told = Told(m, _identity.sum_of_rows(rows), has_weight, description, copy.deepcopy(rng))
    return Prepared(rows, options, limit, rng), told


def _check_agreement(descriptions: list[dict[str, str]]) -> None:
    first = descriptions[0]
    for rank, description in enumerate(descriptions):
        for name in first | description:
            mine, theirs = first.get(name, "not given"), description.get(name, "not given")
            if mine != theirs:
                raise ValueError(f"All ranks must have the same {name}: rank 0 has {mine}, rank {rank} has {theirs}.")


def _check_rates(rates: list[np.ndarray]) -> None:
    """Check the values of learning rates, as functions have no text by which they could be compared."""
    for rank, theirs in enumerate(rates):
        differ = ~np.isclose(theirs, rates[0], rtol=1e-9, atol=0.0)
        if differ.any():
            at = int(differ.argmax())
            raise ValueError(
                f"All ranks must have the same learning_rate: for update {at} rank 0 has {rates[0][at]:g}, rank {rank} has "
                f"{theirs[at]:g}. Give all of them the same function."
            )


def _one_row(rows: Rows) -> Rows:
    """What the core gets on a rank without rows, of which no batch has any."""
    X, y, sample_weight = rows
    one = np.zeros((1, X.shape[1]), X.dtype), np.zeros((1, *y.shape[1:]), y.dtype)
    return *one, None if sample_weight is None else np.zeros(1, sample_weight.dtype)


class Part:
    """One rank's rows. Its length is that of all ranks' rows.

    Parameters
    ----------
    rows : tuple
        Features, targets, and sample weights or None, of this rank.
    sizes : tuple of int
        Rows of each rank.
    checksum : int
        Of the rows of all ranks, however they are divided.
    ranks : Ranks
    """

    def __init__(self, rows: Rows, sizes: tuple[int, ...], checksum: int, ranks: Ranks) -> None:
        self.rows, self.sizes, self.checksum, self.ranks = rows, np.array(sizes), checksum, ranks
        if not self.sizes.any():
            raise ValueError("No rank has rows: at least one datapoint is needed.")

    def __len__(self) -> int:
        return int(self.sizes.sum())


class RankSession(Session):
    """This rank's side of a training run.

    Parameters
    ----------
    network : Network
    part : Part
    **options
        Those of `Session`.
    """

    _sampler_type = SeededOrder
    _sampler: SeededOrder

    def __init__(self, network: Network, part: Part, **options: Any) -> None:
        refuse_statistics(network, "Training on several ranks", "train in one process, with Network.fit")
        if options.get("augment"):
            raise ValueError("augment is for training in one process: leave it out.")
        self._part = part
        super().__init__(network, part, None, **options)
        self._options["checksum"] = part.checksum

    def _start(self, seed: int, step: int) -> None:
        self._seed = seed
        ranks = self._part.ranks
        m = int(self._part.sizes[ranks.rank])
        self._bounds = m * np.arange(self.steps_per_epoch + 1) // self.steps_per_epoch
        X, y, sample_weight = self._part.rows if m else _one_row(self._part.rows)
        self._trainer = self._new_trainer(
            X=X,
            y=y,
            sample_weight=sample_weight,
            batch_size=max(int(np.diff(self._bounds).max()), 1),
            seed=int(np.random.SeedSequence([seed, ranks.rank]).generate_state(1, np.uint64)[0]),
            exchange=(self._exchange if ranks.size > 1 else _NOTHING, ranks.vector, self._shared),
        )
        self._trainer.step = step

    @property
    def _shared(self) -> _core.core.SharedVectors | None:
        """Memory in which each rank updates a share of the parameters; none where a rank needs the norm of the whole gradient."""
        return self._part.ranks.shared if self._options["max_grad_norm"] is None else None

    def _exchange(self) -> None:
        """Sum the gradient of a batch, its loss, weight and number of rows over the ranks; the core calls it, unless they share
        memory."""
        self._part.ranks.exchange()

    def _checksum(self) -> str:
        return f"{len(self._part)} rows of all ranks"

    def _run_rows(self, max_batches: int | None) -> Any:
        rng = self._sampler.of_epoch(self.epoch, self._part.ranks.rank)
        order = order_of(int(self._bounds[-1]), rng)
        n_batches = self.steps_per_epoch if max_batches is None else min(self.steps_per_epoch, max_batches)
        return self._run_part(order, n_batches, self.step)

    def _train(self, order: np.ndarray | None, n_batches: int, settings: np.ndarray) -> tuple[Any, ...]:
        try:
            answer: tuple[Any, ...] = self._trainer.run(order, settings, self._bounds[: n_batches + 1])
        finally:
            if self._trainer.others_failed:
                self._part.ranks.raise_for_others()
        if self._shared is not None:
            for memory in self.state:
                self._join(memory, self._shared.share)
        return answer

    def _join(self, memory: np.ndarray, share: slice) -> None:
        """Take what the other ranks have of a vector of the optimiser's, of which each has updated its share."""
        ranks, n = self._part.ranks, self.network.n_params
        ranks.vector[:] = 0
        ranks.vector[:n][share] = memory[share]
        ranks.exchange()
        memory[:] = ranks.vector[:n]

    def agreed(self, stop: bool) -> bool:
        """What rank 0 says, whose parameters become those of all ranks."""
        return self._share(stop, self._part.ranks.exchange)

    def end(self) -> None:
        """Take the parameters of rank 0 for the last time."""
        self._share(True, self._part.ranks.last_exchange)

    def _share(self, stop: bool, exchange: Callable[[], None]) -> bool:
        vector, n = self._part.ranks.vector, self.network.n_params
        vector[:] = 0
        if self._part.ranks.rank == 0:
            vector[:n] = self.network.params
            vector[n] = stop
        exchange()
        self.network.params[:] = vector[:n]
        return bool(vector[n])
