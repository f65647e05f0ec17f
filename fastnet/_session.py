"""One training run: network, data, optimiser and its state, order of rows and learning rates, run epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastnet import _checks, _data, _factors, _identity, losses, optimizers, runtime
from fastnet._checks import Seed
from fastnet._core import core
from fastnet._objective import form_of, loss_of
from fastnet._sampling import Sampler, Sampling
from fastnet._trainers import plans_of, trainer_of
from fastnet.augment import core_form as augmentation_of
from fastnet.exceptions import DivergenceError
from fastnet.history import History
from fastnet.losses import Loss
from fastnet.network import Network
from fastnet.optimizers import GradientRule, Optimizer
from fastnet.schedules import LearningRate, Schedule

#: Of some batches: updates, rows, sums of losses, of penalties and of squared gradient norms, seconds, the last learning rate.
_Sums = tuple[int, int, float, float, float, float, float]


class EpochResult(NamedTuple):
    """The result of an epoch.

    `loss` and `penalty` (the L2 term) are means over the `n_rows` rows of the batches with positive weight, computed for each
    batch before its update. `grad_norm` is the root mean square of the batches' gradient norms, NaN if it was not tracked.
    `learning_rate` is that of the last update. `seconds` is the time spent in the core.
    """

    loss: float
    penalty: float
    grad_norm: float
    learning_rate: float
    n_rows: int
    seconds: float


class Fit(NamedTuple):
    """A network that is trained in one call with others of the same layers, and the options in which it may differ."""

    network: Network
    random_state: Seed
    learning_rate: LearningRate | None


class WholeRun(NamedTuple):
    """A run that the core makes in one call: see ``train_many`` of `fastnet._core`."""

    trainer: Any
    params: np.ndarray
    seed: int
    order: np.ndarray | None
    rng: np.ndarray
    rates: np.ndarray
    before: np.ndarray
    losses: np.ndarray


class Session:
    """A training run on data that already has the core's form.

    Parameters
    ----------
    network : Network
        Trained in place.
    X : ndarray of shape (m, n_inputs), C-contiguous and of the network's dtype, or CSR tuple
    y : ndarray of shape (m, n_outputs) and the network's dtype, or int32 or int64 class numbers (m,)
    loss : str or Loss
    optimizer : str or Optimizer
    batch_size : int
        Rows in a batch; at most m.
    learning_rate : float, str, Schedule, sequence or callable, optional
        By default the optimiser's own.
    sampling : {"shuffle", "random", "sequential"} or callable
        Order of the rows; a callable ``(session) -> row numbers`` is asked before each epoch.
    sample_weight : ndarray of shape (m,) and the network's dtype, optional
    l2 : float
        Adds ``l2 / 2 * ||W||^2`` to the loss of every batch; divided by the sum of the batch's weights if `l2_per_batch`.
    l2_per_batch : bool
    weight_decay : float
        Decoupled decay ``w -= lr weight_decay w`` of the weights; 0: the optimiser's own.
    max_grad_norm : float, optional
        Scale the gradient of a batch down to this norm if its norm is larger.
    track_grad_norm : bool
        Report the gradient norm of each epoch.
    learning_rate_factors, decay_factors : mapping of str to float, optional
        See `Network.fit`.
    schedules : mapping of str to schedules, optional
        See `Network.fit`.
    augment : Augmentation or sequence of them, optional
        See `Network.fit`.
    random_state : None, int, SeedSequence, Generator or RandomState
        Seed of the order of rows and of dropout.
    n_threads : int, optional
        Maximum number of threads.
    optimizer_state : sequence of ndarray, optional
        State of an earlier run to continue from; it is modified in place.
    step : int
        Updates made by the earlier run.

    Attributes
    ----------
    network : Network
    epoch : int
        Epochs completed.
    step : int
        Batches completed; each is an update, unless its sample weights are all zero.
    state : tuple of ndarray
        The optimiser's state, which the core updates. Change it in place (``state[0][:] = 0``).
    result : EpochResult or None
        The last epoch.
    history : History
        All epochs.
    stop_requested : bool
        Set it, from any thread, to end training after the running epoch; it stays True after a training that was stopped.
    callbacks : tuple
        Those of the `train` that is running.
    planned_rows : int or None
        Rows that the running `train` will visit in all.
    validation : Dataset or None
        Validation data in the core's form, if there are any in memory.
    """

    _sampler_type: type[Any] = Sampler
    _trainer: Any

    def __init__(
        self,
        network: Network,
        X: Any,
        y: np.ndarray | None,
        *,
        loss: str | Loss | type[Loss],
        optimizer: str | Optimizer | type[Optimizer],
        batch_size: int,
        learning_rate: LearningRate | None = None,
        sampling: Sampling = "shuffle",
        sample_weight: np.ndarray | None = None,
        l2: float = 0.0,
        l2_per_batch: bool = False,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = None,
        track_grad_norm: bool = False,
        learning_rate_factors: Mapping[str, float] | None = None,
        decay_factors: Mapping[str, float] | None = None,
        schedules: Mapping[str, Any] | None = None,
        augment: Any = None,
        random_state: Seed = None,
        n_threads: int | None = None,
        optimizer_state: Sequence[np.ndarray] | None = None,
        step: int = 0,
    ) -> None:
        loss = losses.get(loss, network.output_activation)
        optimizer = optimizers.get(optimizer)
        if not isinstance(optimizer, GradientRule):
            raise TypeError(f"A session needs a rule that works on batches, got {optimizer.name!r}; Network.fit takes it.")
        l2 = _checks.real(l2, "l2", minimum=0.0)
        weight_decay = _checks.real(weight_decay, "weight_decay", minimum=0.0)
        most_norm = 0.0 if max_grad_norm is None else _checks.real(max_grad_norm, "max_grad_norm", above=0.0)
        network._make_writable()
        if augment and isinstance(X, tuple):
            raise ValueError("augment changes dense rows, got a sparse matrix: give X.toarray().")
        m = _data.n_rows(X)
        self.network = network
        self.batch_size = min(_checks.positive_int(batch_size, "batch_size"), m)
        self.schedule = optimizer.schedule(learning_rate)
        if optimizer_state is None:
            optimizer_state = optimizer.init_state(network.n_params, network.dtype)
        self._state = tuple(optimizer_state)
        self.epoch = 0
        self.result: EpochResult | None = None
        self.history = History()
        self.stop_requested = False
        self.callbacks: tuple[Any, ...] = ()
        self.planned_rows: int | None = None
        self.validation: _data.Dataset | None = None
        self._m = m
        seed, rng = _seeds(random_state)
        self._sampler = self._sampler_type(sampling, m, self.batch_size, rng)
        self._tracks_norm = _checks.boolean(track_grad_norm, "track_grad_norm")
        self._data: Any = (X, y, sample_weight)
        self._options = {
            "loss": loss,
            "optimizer": optimizer,
            "batch_size": self.batch_size,
            "learning_rate": self.schedule,
            "sampling": sampling,
            "l2": l2,
            "l2_per_batch": _checks.boolean(l2_per_batch, "l2_per_batch"),
            "weight_decay": weight_decay,
            "max_grad_norm": most_norm or None,
        }
        further = {
            "learning_rate_factors": _checks.mapping(learning_rate_factors, "learning_rate_factors", "{'b': 0.1}"),
            "decay_factors": _checks.mapping(decay_factors, "decay_factors", "{'1.W': 0.0}"),
            "schedules": _checks.mapping(schedules, "schedules", "{'weight_decay': fastnet.Cosine(1.0)}"),
        }
        self._options |= {name: option for name, option in further.items() if option}
        augmentation = augmentation_of(network, augment)
        if augmentation is not None:
            self._options["augment"] = augment
        self._scheduled = _factors.scheduled(schedules, optimizer)
        self._loss, self._optimizer = loss, optimizer
        self._last_finite = network.params.copy()
        self._new_trainer = partial(
            trainer_of,
            network,
            plans_of(network, self.batch_size, most_norm),
            form_of(network, loss),
            batch_size=self.batch_size,
            optimizer=optimizer.code,
            hyper=optimizer.hyper(),
            state=self.state,
            l2=l2,
            l2_per_batch=l2_per_batch,
            weight_decay=weight_decay or optimizer.decay(),
            max_grad_norm=most_norm,
            track_grad_norm=self._tracks_norm,
            rate_factors=_factors.by_segment(network, learning_rate_factors, "learning_rate_factors"),
            decay_factors=_factors.by_segment(network, decay_factors, "decay_factors"),
            augmentation=augmentation,
            n_threads=runtime.thread_limit(n_threads),
        )
        self._start(seed, step)

    def _start(self, seed: int, step: int) -> None:
        """Make the core start at update number `step`, with this seed for dropout."""
        self._seed = seed
        X, y, sample_weight = self._data
        self._trainer = self._new_trainer(X=X, y=y, sample_weight=sample_weight, seed=seed)
        self._trainer.step = step

    def member_losses(self) -> np.ndarray:
        """The loss of each member of a packed ensemble on the validation data.

        Raises
        ------
        ValueError
            No validation data, or members that share parameters.
        """
        if self.validation is None:
            raise ValueError("Losses of members are taken on validation data in memory: give Network.fit validation_data=(X, y).")
        X, y, sample_weight = self.validation
        members = [self.network.member(number) for number in range(self.network.n_members)]
        return np.array([loss_of(member, X, y, self._loss, sample_weight) for member in members])

    def bind(self, n_steps: int) -> None:
        """Let schedules that end with the run know how many updates it has."""
        self.schedule = self.schedule.bound(n_steps)
        self._scheduled = {name: schedule.bound(n_steps) for name, schedule in self._scheduled.items()}

    @property
    def step(self) -> int:
        return self._trainer.step

    @property
    def state(self) -> tuple[np.ndarray, ...]:
        return self._state

    @property
    def steps_per_epoch(self) -> int:
        """Updates in an epoch; with a callable as `sampling`, in an epoch that visits every row once."""
        return -(-self._sampler.rows_per_epoch // self.batch_size)

    def rows_of(self, *, epochs: int | None = None, iterations: int | None = None) -> int:
        """Rows visited by this many epochs or updates."""
        rows = self._sampler.rows_per_epoch
        if iterations is None:
            return (epochs or 0) * rows
        whole, rest = divmod(iterations, self.steps_per_epoch)
        return whole * rows + min(rest * self.batch_size, rows)

    def run_epoch(self, max_batches: int | None = None) -> EpochResult:
        """Train for one epoch, or for its first `max_batches` batches.

        Raises
        ------
        DivergenceError
            The loss of a batch, or a parameter after the last one, is NaN or infinite; the parameters from before this epoch are
            restored.
        KeyboardInterrupt
            Whatever a signal handler raises; the parameters are those after the last completed batch. With more than eight
            million parameters, an update may be interrupted: some parameters are then those after it, the others those before.
        RuntimeError
            The network is being trained by another thread, or is in the middle of an update.
        """
        return self.network._exclusive.updating(self._run_epoch, max_batches)

    def _run_epoch(self, max_batches: int | None) -> EpochResult:
        np.copyto(self._last_finite, self.network.params)
        updates, rows, loss_sum, penalty_sum, grad_sq_sum, seconds, rate = self._run_rows(max_batches)
        self.epoch += 1
        grad_norm = math.sqrt(grad_sq_sum / updates) if self._tracks_norm and updates else math.nan
        loss, penalty = (loss_sum / rows, penalty_sum / rows) if rows else (math.nan, math.nan)
        self.result = EpochResult(loss, penalty, grad_norm, rate, rows, seconds)
        self.history.append(self.result)
        return self.result

    def _run_rows(self, max_batches: int | None) -> _Sums:
        """Train on the rows of an epoch."""
        order = self._sampler.next_order(self)
        n_rows = self._m if order is None else order.size
        if max_batches is not None and max_batches * self.batch_size < n_rows:
            n_rows = max_batches * self.batch_size
            order = np.arange(n_rows, dtype=np.uint32) if order is None else order[:n_rows]
        return self._run_part(order, -(-n_rows // self.batch_size), self.step)

    def _run_part(self, order: np.ndarray | None, n_batches: int, first: int) -> _Sums:
        """Train on batches of an epoch that began at update `first`."""
        step = self.step
        rates = self.schedule.rates(step, n_batches)
        settings = self._settings(rates, n_batches) if self._scheduled else rates
        started = perf_counter()
        diverged, done, updates, rows, loss_sum, penalty_sum, grad_sq_sum = runtime.single_threaded_blas(
            self.network._plan.uses_blas, self._train, order, n_batches, settings
        )
        seconds = perf_counter() - started
        if diverged:
            np.copyto(self.network.params, self._last_finite)
            raise self._divergence(step - first + min(done + 1, n_batches), float(rates[-1]))
        return updates, rows, loss_sum, penalty_sum, grad_sq_sum, seconds, float(rates[-1])

    def _train(self, order: np.ndarray | None, n_batches: int, settings: np.ndarray) -> tuple[Any, ...]:
        """Train on the batches of an order, and return what the core reports."""
        return self._trainer.run(order, settings)

    def agreed(self, stop: bool) -> bool:
        """Whether training ends. Processes that train together decide on it together; `stop` is what this one wants."""
        return stop

    def whole_runs(self, n_epochs: int, others: Sequence[Fit] = ()) -> list[WholeRun]:
        """Runs of `n_epochs` epochs that the core makes in one call, with rows shuffled or in sequence.

        Parameters
        ----------
        n_epochs : int
        others : sequence of Fit
            Networks with the same layers as this session's, trained after it.
        """
        n_steps = n_epochs * self.steps_per_epoch
        order = self._sampler.permutation if self._sampler.permutation.size else None
        losses = iter(np.empty((1 + len(others), n_epochs)))

        def run(network: Network, schedule: Schedule, seed: int, rng: np.ndarray) -> WholeRun:
            rates = schedule.rates(0, n_steps)
            return WholeRun(self._trainer, network.params, seed, order, rng, rates, self._last_finite, next(losses))

        runs = [run(self.network, self.schedule, self._seed, self._sampler.rng)]
        for network, random_state, learning_rate in others:
            network._make_writable()
            runs.append(run(network, self._optimizer.schedule(learning_rate).bound(n_steps), *_seeds(random_state)))
        return runs

    def end_whole_run(self, run: WholeRun, n_epochs: int, n_batches: int) -> DivergenceError:
        """Take back what a run that diverged did in its last epoch; the error to be raised.

        Parameters
        ----------
        run : WholeRun
            The last one that was begun.
        n_epochs, n_batches : int
            What the core has done: whole epochs, and batches of the last one begun.
        """
        self.epoch = n_epochs
        np.copyto(run.params, run.before)
        batch = min(n_batches + 1, self.steps_per_epoch)
        updates = n_epochs * self.steps_per_epoch + batch
        return self._divergence(batch, float(run.rates[min(updates, len(run.rates)) - 1]))

    def _settings(self, rates: np.ndarray, n_batches: int) -> np.ndarray:
        """The core's table of the next updates."""
        table = _factors.settings(rates, self._scheduled, self.step, n_batches)
        _factors.check_scheduled(table, self.network, self._loss, self._optimizer)
        return table

    def _divergence(self, batch: int, rate: float) -> DivergenceError:
        return DivergenceError(
            f"Training diverged in epoch {self.epoch + 1}, batch {batch}: the loss or a parameter is not finite. Lower the "
            f"learning rate (it was {rate:g}), standardise the features (and the targets of a regression), or set max_grad_norm. "
            "The network has the parameters from before this epoch.",
            self.epoch + 1,
            batch,
        )

    @cached_property
    def identity(self) -> dict[str, str]:
        """How a checkpoint of this run is recognised: by its options, and by a checksum of the data when first asked for."""
        options = {name: _identity.text(option) for name, option in self._options.items()}
        return {**options, "data": self._checksum()}

    def _checksum(self) -> str:
        return _identity.checksum(self._data)

    def position(self) -> dict[str, Any]:
        """Everything needed to continue with identical bits, as copies: ints, arrays, and a list of arrays ("state")."""
        history = {f"history.{name}": np.array(values) for name, values in self.history.as_dict().items()}
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seed": self._seed,
            "rng": self._sampler.rng.copy(),
            "order": self._sampler.permutation.astype(np.int64),
            "params": self.network.params.copy(),
            "state": [memory.copy() for memory in self.state],
            **history,
        }

    def restore(self, position: Mapping[str, Any]) -> None:
        """Continue from the `position` of a session with the same network, data and options.

        Raises
        ------
        ValueError
            The arrays' shapes do not fit this session: the position is another run's. Nothing has been changed.
        RuntimeError
            The network is being trained.
        """
        self.network._exclusive.updating(self._restore, position)

    def _restore(self, position: Mapping[str, Any]) -> None:
        pairs = [
            ("params", self.network.params, position["params"]),
            ("rng", self._sampler.rng, position["rng"]),
            ("order", self._sampler.permutation, position["order"]),
            *((f"state[{i}]", mine, theirs) for i, (mine, theirs) in enumerate(zip(self.state, position["state"], strict=False))),
        ]
        if len(self.state) != len(position["state"]):
            raise ValueError(f"The optimiser keeps {len(self.state)} vectors, the position holds {len(position['state'])}.")
        for name, mine, theirs in pairs:
            if mine.shape != np.shape(theirs):
                raise ValueError(
                    f"{name} must have shape {mine.shape}, the position has {np.shape(theirs)}: it belongs to another run."
                )
        for _, mine, theirs in pairs:
            mine[...] = theirs
        self.epoch = int(position["epoch"])
        self._start(int(position["seed"]), int(position["step"]))
        self.history = History(**{name: np.asarray(position[f"history.{name}"]).tolist() for name in self.history.as_dict()})


def _seeds(random_state: Seed) -> tuple[int, np.ndarray]:
    """The seed of dropout, below 2^63, and that of the order of rows (4,) uint64."""
    drawn = core.words(_checks.generator(random_state), 5)
    return int(drawn[0]) >> 1, drawn[1:]
