"""Parts of docstrings that both estimators share."""

from __future__ import annotations

import inspect
from typing import TypeVar

T = TypeVar("T", bound=type)

PARAMETERS = """\
preset : {"fast", "default", "best"}, default="default"
    Decides the networks' parameters below whose default is None. "fast": a small member in each of four folds, for few epochs.
    "default": in each of five folds, a member of each kind of `numeric_embedding`. "best": two members of each kind, for more
    epochs.
time_limit : float > 0, default=None
    Seconds that `fit` may take: the schedules are compressed to end by then, and folds that there is no time for are left out.
    Then `history_`, `n_iter_` and the progress bar count pieces of epochs, each about a twentieth of the training that is left
    and at most an epoch, and `patience` counts the pieces after which the members are judged.
n_members : int, default=None
    Members of a network, which are trained together and averaged: by preset ("fast", "default", "best") 1, 1, 2, but 2 in the
    default preset for regressions with up to 2,000 rows.
n_folds : int, default=None
    1 sets validation rows aside once. With more, each fold validates the members that are trained on the others, and all are
    averaged: by preset 4 (8 for regression and above 2,000 rows), 5, 5. With `X_val`, data of `fastnet.data`, or too few rows to
    set any aside, there are no folds; instead, `n_members` is multiplied by the number of folds that would be trained.
n_trained_folds : int, default=None
    How many of the folds are trained: by default all, if `n_folds` is given; else by preset 4, 5, 5, but 2 for the preset
    "fast" above 2,000 rows and 3 for the default preset above 4,000.
ensemble : {"packed", "batch", "mini"}, default=None
    What the members share, as for `fastnet.Network`: by default nothing ("packed").
hidden_layer_sizes : sequence of int, default=None
    Units of the hidden layers of a member: by default (128, 128, 128), for the preset "fast" (64, 64), above 20,000 rows (96,
    96).
activation : str or Activation, default=None
    Activation of the hidden layers; each unit learns how much of it to apply. By default "selu" for classification, "mish" for
    regression and for the preset "fast".
numeric_embedding : {"piecewise_linear", "pbld", "plr", "none"} or sequence of these, default=None
    How columns of numbers are embedded before the first layer, see `fastnet.NumericEmbedding`. In every fold a network is trained
    for each kind that is named; the validation rows decide how much each kind counts, which may be nothing. By default
    ("piecewise_linear", "pbld"); for the preset "fast" "piecewise_linear" (with 8 units for each column, fewer if there are more
    than 8 such columns); "none" for more than 500 such columns.
category_units : int, default=None
    Maximum number of units that embed a category, in columns of more than `max_one_hot` categories: by default 8. Columns with
    fewer than 8 rows for each category and unit, on average, get fewer units, but at least 2.
scale_layer : bool, default=None
    Whether every input is multiplied by a factor, which is learnt at a higher rate: by default True.
data_init : bool, default=None
    Whether initial weights and biases are fitted to the data: by default True; for "packed" members only.
dropout, weight_decay : float, default=None
    Values at first; in the second half of training both fall to 0. By default 0.15 and 0.02, but no dropout for regressions, and
    0.1 for classifications with the preset "fast", above 2,000 rows 0.05.
learning_rate : float > 0, default=None
    The highest rate of the schedule: by default ``0.04 * sqrt(batch_size / 64)`` for classification, with the preset "fast"
    ``0.04 * sqrt(batch_size / 14)``, above 2,000 rows ``0.04 * sqrt(batch_size / 10)``; for regression
    ``0.2 * sqrt(batch_size / 256)``, with 0.04 in place of 0.2 for metric "poisson". A `batch_size` above the number of rows
    counts as that number.
beta_2 : float, default=None
    Adam's decay of squared gradients: by default 0.95.
schedule : {"cycles", "flat_cosine", "cosine"}, default=None
    Shape of the learning rate: by default "cycles", four waves that get longer; "flat_cosine" for classification with the preset
    "fast".
n_epochs : int, default=None
    By preset 14 (18 for regression), 48, 128. Above 8,000 rows, four times the rows get half the epochs, but at least 8, 16, 16;
    with few rows there are as many epochs as it takes for 300, 1,000, 2,000 updates, but at most 256.
batch_size : int, default=None
    By default 64, for the preset "fast" with up to 2,000 rows 32 (16 for regression); up to 1,024 where so many categories
    are embedded that their updates would take most of the time.
n_best_epochs : int, default=None
    How many epochs of each member, the best by `metric` on validation rows, have their parameters averaged: by default 3 for
    classification and 1 for regression. The preset "fast" keeps the last epoch, and judges none before, unless this or `patience`
    is given.
patience : float >= 0, default=None
    Stop when no member has improved for more epochs than this: by default never. With a `time_limit`, of
    the pieces of epochs after which they are judged.
validation_fraction : float in [0, 1), default=0.2
    Share of the rows set aside with ``n_folds=1``, and of data of `fastnet.data`, to choose the best epochs: at most 20,000 rows;
    of fewer than 25 rows, none. Of several folds, as all presets have, each is set aside once, and the share has no effect
    unless it is 0, which sets none aside; nor does it with `X_val`.
categorical_features, max_one_hot, min_category_count
    As for `fastnet.TabularPreprocessor`.
n_threads : int, default=None
    Maximum number of threads; None: as many as the environment allows. Folds are trained side by side; the model does not depend
    on the number of threads.
verbose : bool, default=False
    Show a progress bar for each network: rows trained on, of those that are planned or, with a `time_limit`, of those that there
    is time for.
random_state : int, RandomState or None, default=None
    The same seed gives the same model, bit for bit, where there is no `time_limit`."""

ATTRIBUTES = """\
n_features_in_ : int
feature_names_in_ : ndarray of str
    Column names, for data frames.
target_names_ : list of str or None
    Names of y, where it is a series or a frame that has them.
preprocessor_ : TabularPreprocessor
columns_ : list of ColumnSummary
    What each column became: ``name``, ``kind``, ``outputs``, ``description``.
networks_ : list of Network
    One for each fold and kind of embedding that counts.
weights_ : ndarray of shape (n_networks,)
    How much each network counts; they sum to 1.
history_ : list of History
    Training history of each network. ``val_loss`` is the mean over the members of what the best epochs are chosen by, where less
    is better: for "accuracy" the error rate and a hundred-thousandth of the log-loss, for "roc_auc" 1 minus the area; with a
    `time_limit`, whose entries are pieces of epochs of ``n_rows`` rows each, NaN after those at which they were not judged; empty
    for the preset "fast", unless `n_best_epochs` or `patience` is given.
n_iter_ : int
    Epochs of the network that was trained for most; with a `time_limit`, its pieces of epochs.
validation_score_ : float
    `metric` of the validation rows, greater is better: the accuracy or the area under the ROC curve itself, minus the log-loss of
    the calibrated probabilities, or minus the error of a regression. NaN without such rows, and for "roc_auc" where they are of
    one class. The same rows decided the best epochs, the networks' weights and the temperature, so new rows may score less.
feature_importances_ : ndarray of shape (n_features,)
    How much worse the metric gets on validation rows when a column is shuffled; NaN where there are no such rows, or so many
    columns and parameters that it would take long. Measured when first asked for, or when the estimator is pickled or saved."""


def with_parameters(cls: T) -> T:
    """Put the shared parts into a class's docstring."""
    assert cls.__doc__ is not None
    text = inspect.cleandoc(cls.__doc__)
    cls.__doc__ = text.replace("{parameters}", PARAMETERS).replace("{attributes}", ATTRIBUTES)
    return cls
