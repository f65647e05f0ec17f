"""Training as users call it: the signature and the documentation of `Network.fit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fastnet._hints import takes_other_words

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike

    from fastnet._checks import Seed
    from fastnet._data import MatrixLike
    from fastnet._loop import CallbackProtocol
    from fastnet._sampling import Sampling
    from fastnet.augment import Augmentation
    from fastnet.data import Blocks
    from fastnet.history import History
    from fastnet.losses import Loss
    from fastnet.network import Network
    from fastnet.optimizers import Optimizer
    from fastnet.schedules import LearningRate


@takes_other_words(learning_rate_init="learning_rate", max_iter="epochs", verbose="progress")
def fit(
    self: Network,
    X: MatrixLike | Blocks,
    y: ArrayLike | None = None,
    *,
    loss: str | Loss | type[Loss] | None = None,
    optimizer: str | Optimizer | type[Optimizer] = "adam",
    batch_size: int = 32,
    epochs: int | None = None,
    iterations: int | None = None,
    learning_rate: LearningRate | None = None,
    sampling: Sampling = "shuffle",
    buffer: float | None = None,
    sample_weight: ArrayLike | None = None,
    validation_data: tuple[MatrixLike, ArrayLike] | tuple[MatrixLike, ArrayLike, ArrayLike | None] | Blocks | None = None,
    l2: float = 0.0,
    weight_decay: float = 0.0,
    max_grad_norm: float | None = None,
    track_grad_norm: bool = False,
    learning_rate_factors: Mapping[str, float] | None = None,
    decay_factors: Mapping[str, float] | None = None,
    schedules: Mapping[str, LearningRate] | None = None,
    augment: Augmentation | Sequence[Augmentation] | None = None,
    callbacks: Iterable[CallbackProtocol] = (),
    progress: bool = False,
    max_time: float | None = None,
    random_state: Seed = None,
    n_threads: int | None = None,
    resume_from: str | os.PathLike[str] | None = None,
) -> History:
    """Train the network in place.

    Each update takes the next batch of rows, goes forward and backward through the network, and lets the optimiser change the
    parameters; an epoch runs in the compiled core as one call. All arguments are checked before the first update.

    Parameters
    ----------
    X : array-like or scipy.sparse matrix of shape (m, n_inputs), or Blocks
        Not copied if it is a C-contiguous array of the network's dtype. Data larger than memory come from `fastnet.data`,
        with their targets and sample weights. A tuple (sources, rows) for a network with a `source_shape`.
    y : array-like of shape (m,) or (m, n_targets)
        Class numbers 0, 1, ... for cross_entropy (or rows of probabilities), 0 or 1 for binary_cross_entropy, values
        otherwise. Where the output has a softmax at each position, class numbers of all positions, of shape ``(m,
        *output_shape[:-1])`` or as ragged as X; -1 marks a position without a target. The loss is the mean over all positions
        that have one.
    loss : str or Loss, optional
        By default the one that suits the output activation: cross_entropy for softmax, binary_cross_entropy for sigmoid,
        poisson for exponential, squared_error otherwise.
    optimizer : str or Optimizer, default="adam"
        One of `fastnet.optimizers`, by its name or as an object: ``fn.SGD(0.1, momentum=0.9)``.
    batch_size : int, default=32
        Rows of a batch, B; if there are fewer rows, all of them.
    epochs, iterations : int, optional
        Passes over the data, or updates T. Give at most one; 20 epochs by default.
    learning_rate : float, str, Schedule, sequence or callable, optional
        The learning rates ``{alpha_j}``: a number, a schedule or its name, one number for each update, or a function of the
        update's number. By default the optimiser's own.
    sampling : {"shuffle", "random", "sequential"} or callable, default="shuffle"
        "shuffle": every row once an epoch, in random order. "random": a fresh random batch for each update. "sequential": the
        rows as they are. Or a function that takes the session and returns the row numbers of the next epoch, or for blocks the
        numbers of the blocks that it reads.
    buffer : float or int, optional
        For blocks: how many rows are shuffled together, as a share of all rows or as a number; 0.1 by default. Memory holds
        twice as many rows, unless they are in a memory map or a cache.
    sample_weight : array-like of shape (m,), optional
    validation_data : (X, y) or (X, y, sample_weight) or Blocks, optional
        Its loss is recorded after each epoch.
    l2 : float, default=0.0
        Adds ``l2 / 2 * ||W||^2`` to the loss.
    weight_decay : float, default=0.0
        Decoupled decay of the weights, ``w -= learning rate * weight_decay * w``; 0: the optimiser's own (AdamW).
    max_grad_norm : float, optional
        Maximum norm of a gradient; larger gradients are scaled down to it.
    track_grad_norm : bool, default=False
        Record the gradient norm of each epoch.
    learning_rate_factors : mapping of str to float, optional
        Factors of the learning rate for parts of the network, by names of layers ("2"), of parameters in all layers ("b") or
        of single parameters ("2.W"), as in `parameters`; the most specific name counts, and a parameter that is not named has
        factor 1.
    decay_factors : mapping of str to float, optional
        Factors of `l2` and `weight_decay`, named likewise; of the parameters that are not named, the weights of dense,
        convolutional and recurrent layers have factor 1 and all others 0.
    schedules : mapping of str to float, Schedule, sequence or callable, optional
        Factors, update by update, of "weight_decay", "dropout" (of all layers), "momentum" (Adam's and Lion's beta1,
        RMSprop's rho) and "label_smoothing", as in ``{"dropout": lambda j: 1 - j / n_updates}``.
    augment : Augmentation or sequence of them, optional
        Random changes of rows, drawn anew each time a row is trained on: `fastnet.augment.Shift`, ``Crop``, ``Flip``,
        ``Jitter``.
    callbacks : iterable of Callback, default=()
        Called between epochs; see `fastnet.callbacks`.
    progress : bool, default=False
        Show a progress bar.
    max_time : float, optional
        Maximum training time in seconds. Training ends after an epoch (L-BFGS: an iteration) if another one that takes as
        long as the last would exceed it.
    random_state : int, SeedSequence, Generator or RandomState, optional
        Seed of the order of rows, of dropout and of `augment`. The same seed on the same machine gives the same network, bit
        for bit.
    n_threads : int, optional
        Maximum number of threads to use.
    resume_from : path, optional
        A file written by `fastnet.Checkpoint`: continue from there, bit for bit, with the same data and options.

    Returns
    -------
    History
        One value per epoch (L-BFGS: per iteration).

    Raises
    ------
    ValueError, TypeError
        Arguments or data that do not fit, or options that do not exist; the network is unchanged then.
    DivergenceError
        A loss or parameter became NaN or infinite; the network keeps the parameters of the last epoch that ended finite.
    KeyboardInterrupt
        Ctrl-C, which is noticed within a tenth of a second; the network keeps the parameters of the last completed batch.
        With more than eight million parameters, an update may be interrupted: some parameters then have their values from
        after it, the others those from before.
    RuntimeError
        The network is being trained already.

    Warns
    -----
    RuntimeWarning
        L-BFGS stopped before it reached a minimum, because rounding errors hide how the loss could decrease further.
    DivergenceWarning
        The loss is finite, but ends far above that of the first epoch.

    Notes
    -----
    Three options can also be given under the names that the estimators use: ``learning_rate_init`` for `learning_rate`,
    ``max_iter`` for `epochs` and ``verbose`` for `progress`. The estimators' `alpha` is ``l2 * batch_size``.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(4, "tanh"), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=0)
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> history = net.fit(X, y, optimizer=fn.Adam(0.05), batch_size=4, epochs=300, random_state=0)
    >>> net.predict(X).tolist()
    [0, 1, 1, 0]
    """
    arguments = locals()
    from fastnet.training import fit_network

    return fit_network(arguments.pop("self"), **arguments)
