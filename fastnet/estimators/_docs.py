"""Parts of docstrings that both estimators share."""

from __future__ import annotations

import inspect
from typing import TypeVar

T = TypeVar("T", bound=type)

PARAMETERS = """\
hidden_layer_sizes : array-like of int, or int, default=(100,)
    Units of each hidden layer; ``()`` is a linear model.
activation : str, Activation or list of them, default="relu"
    Function of the hidden layers: "identity", "logistic", "tanh", "relu", or any other of `fastnet.activations` by name
    or as an object (``LeakyReLU(0.1)``). A list gives each hidden layer its own.
solver : str or Optimizer, default="adam"
    "lbfgs" (all rows at once; small data), "sgd" (with `momentum`), "adam"; also "adamw", "rmsprop", "adagrad",
    "momentum", "nesterov", or an object of `fastnet.optimizers` with its own learning rate.
alpha : float >= 0, default=1e-4
    L2 penalty ``alpha / 2 * ||W||^2``, divided by the weight of the batch: the larger the batch, the weaker it is.
batch_size : int or "auto", default="auto"
    Rows of a mini-batch; "auto" is ``min(200, n_samples)``.
learning_rate : str, Schedule, callable or sequence, default="constant"
    "constant", "invscaling" (``learning_rate_init / (t + 1)^power_t`` after t rows) or "adaptive" (divided by 5 instead of
    stopping); solver "adam" treats the last two as "constant". Also the name of a schedule of `fastnet.schedules`, an object of
    it, a function of the update number, or the rates of all updates, for every mini-batch solver.
learning_rate_init : float > 0, default=1e-3
    First learning rate.
power_t : float >= 0, default=0.5
    Exponent of "invscaling".
max_iter : int, default=200
    Maximum number of epochs (lbfgs: iterations).
shuffle : bool, default=True
    Visit the rows of each epoch in a new order.
random_state : int, RandomState or None, default=None
    Determines the initial parameters, the validation split and the order of rows, drawn as scikit-learn draws them: the same
    seed gives the same model in both libraries, up to rounding. Dropout draws from a stream of its own.
tol : float >= 0, default=1e-4
    Least improvement of the training loss, or of the validation score, that counts as one.
verbose : bool, int or "progress", default=False
    Print a line an epoch; "progress" shows a progress bar.
warm_start : bool, default=False
    Start `fit` from the parameters of the call before.
momentum : float in [0, 1], default=0.9
    Momentum of "sgd", "momentum" and "nesterov".
nesterovs_momentum : bool, default=True
    Use Nesterov's form of momentum with "sgd".
early_stopping : bool, default=False
    Set validation rows aside, stop when the score on them no longer improves, and keep the best weights.
validation_fraction : float in [0, 1), default=0.1
    Share of rows set aside.
beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
    Constants of "adam" and "adamw".
n_iter_no_change : int or np.inf, default=10
    Training goes on for at most this many epochs without improvement, and stops with the next one.
max_fun : int, default=15000
    Maximum number of evaluations of the loss by "lbfgs"."""

EXTRAS = """\
dropout : float or list of float in [0, 1), default=0.0
    Probability with which a hidden unit is dropped in training; a list gives each hidden layer its own. "lbfgs" trains
    without it.
weight_decay : float >= 0 or None, default=None
    Decoupled decay ``W -= learning_rate * weight_decay * W`` in every update, whatever the batch size. None: 0, or 0.01 for
    "adamw".
max_grad_norm : float > 0 or None, default=None
    Scale the gradient of a batch down to this norm where it is larger.
dtype : {"float32", "float64"} or None, default=None
    Type of all computations. None: the type of `X` in `fit` if it is one of these, else float64.
n_threads : int or None, default=None
    Maximum number of threads; None: as many as the environment allows.
scoring : str, callable or None, default=None
    Score that `early_stopping` watches: the name of a scorer of scikit-learn, a scorer, or "loss" for the validation loss.
    None: accuracy for classifiers and R2 for regressors.
validation_split : splitter, int, iterable of (train, validation) or None, default=None
    What sets validation rows aside instead of `validation_fraction`: any splitter of scikit-learn, such as
    ``TimeSeriesSplit()`` or, with ``fit(..., groups=groups)``, ``GroupShuffleSplit(random_state=0)``; a number of folds; or
    ``[(train, validation)]`` with row numbers. If there are several splits, the last is used.
restore_best : bool or None, default=None
    Keep the parameters of the best epoch (by training loss without `early_stopping`). None: with `early_stopping` only.
partial_fit_epochs : int, default=1
    Passes over the rows in each call of `partial_fit`.
callbacks : list of Callback or None, default=None
    What `fit` calls between epochs: `fastnet.EarlyStopping`, `fastnet.Checkpoint` or your own, see `fastnet.callbacks`. The
    history that they see holds the validation loss and score where there are validation rows. Mini-batch solvers only.
max_time : float > 0 or None, default=None
    Maximum time for which `fit` trains, in seconds. Training ends after an epoch (lbfgs: iteration) if another one that takes
    as long would exceed it."""

ATTRIBUTES = """\
coefs_ : list of ndarray of shape (n[l-1], n[l])
    Weights of each layer. They may be replaced: these attributes are the model.
intercepts_ : list of ndarray of shape (n[l],)
    Biases of each layer.
loss_ : float
    Loss of the last epoch, with the L2 penalty.
best_loss_ : float or None
    Least of `loss_curve_`; None with `early_stopping`. Mini-batch solvers only, like the next five attributes.
best_epoch_ : int
    Number, from 1, of the epoch with the greatest of `validation_scores_` or, without these, the least of `loss_curve_`: the one
    whose weights are kept with `early_stopping` or `restore_best`. 0 where no epoch had a score that is a number.
loss_curve_ : list of float
    Loss of every epoch.
validation_scores_ : list of float or None
    Score on the validation rows after every epoch; None without `early_stopping`.
best_validation_score_ : float or None
    Greatest of `validation_scores_`.
validation_loss_curve_ : list of float or None
    Loss on the validation rows after every epoch.
t_ : int
    Rows trained on, all epochs together.
n_iter_ : int
    Epochs (lbfgs: iterations) of the last call.
n_layers_ : int
    Layers, the input layer included.
n_outputs_ : int
    Units of the output layer.
out_activation_ : {"identity", "exp", "logistic", "softmax"}
    Activation of the output layer.
n_features_in_ : int
    Features seen in `fit`.
feature_names_in_ : ndarray of shape (n_features,)
    Their names, where all of them are strings."""

FIT_ARGUMENTS = """\
X : {array-like, sparse matrix} of shape (n_samples, n_features), or Blocks
    Features. By default float32 is trained in float32, all else in float64. Sparse rows reach the first layer as they are.
    `fit` also takes data larger than memory from `fastnet.data`, which bring their own targets and sample weights.
y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    Targets.
sample_weight : array-like of shape (n_samples,), default=None
    Weight of each row."""

SERIES_PARAMETERS = """\
kind : {"cnn", "gru", "lstm", "transformer"}, default="cnn"
    "cnn": convolutions, and the mean and maximum of what they find. "gru", "lstm": a recurrent layer in both directions.
    "transformer": two transformer blocks.
channels : {"last", "first"}, default="last"
    Whether the channels of a series are its last or its first axis.
max_iter : int, default=100
    Maximum number of epochs.
random_state : int, RandomState instance or None, default=None
    Determines the initial weights, the series set aside, the order of rows, and dropout.
n_threads : int or None, default=None
    Maximum number of threads; by default those that the machine has.
verbose : bool, default=False
    Whether progress is shown."""

SERIES_ATTRIBUTES = """\
network_ : fastnet.Network
input_shape_ : tuple of int
    Length of the longest series, channels.
mean_, scale_ : ndarray of shape (channels,)
    Mean and standard deviation of each channel of the training series.
history_ : fastnet.History
n_iter_ : int
    Epochs.
n_features_in_ : int
    Number of values in the longest series.
feature_names_in_ : ndarray of shape (n_features,)
    Column names of X, where series of one channel have them."""

_PARTS = {
    "series_parameters": SERIES_PARAMETERS,
    "series_attributes": SERIES_ATTRIBUTES,
    "parameters": PARAMETERS,
    "extras": EXTRAS,
    "attributes": ATTRIBUTES,
    "fit_arguments": FIT_ARGUMENTS,
}


def with_shared_parts(cls: T) -> T:
    """Fill the lines ``{name}`` of the docstrings of a class and its methods with the parts of this module."""
    methods = (getattr(member, "fn", member) for member in vars(cls).values())  # available_if keeps the method as `fn`
    for documented in (cls, *filter(inspect.isfunction, methods)):
        if documented.__doc__ is not None:
            documented.__doc__ = _filled(documented.__doc__)
    return cls


def _filled(docstring: str) -> str:
    docstring = inspect.cleandoc(docstring)
    for name, part in _PARTS.items():
        docstring = docstring.replace(f"{{{name}}}", part)
    return docstring
