"""The right word after a wrong one, for error messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
S = TypeVar("S")

#: What choices are called elsewhere, without underscores: Keras, PyTorch, scikit-learn.
_CHOICES = {
    "mse": "squared_error",
    "mseloss": "squared_error",
    "meansquarederror": "squared_error",
    "mae": "absolute_error",
    "l1loss": "absolute_error",
    "meanabsoluteerror": "absolute_error",
    "pinball": "quantile",
    "logloss": "cross_entropy",
    "nll": "cross_entropy",
    "categoricalcrossentropy": "cross_entropy",
    "sparsecategoricalcrossentropy": "cross_entropy",
    "bce": "binary_cross_entropy",
    "bceloss": "binary_cross_entropy",
    "swish": "silu",
    "linear": "identity",
    "none": "identity",
    "sgdm": "sgd",
    "cosineannealing": "cosine",
}

_RATES = ("learning_rate_init", "learning_rate", "initial", "peak", "rate")
#: What arguments are called elsewhere, and by which names classes here have them.
_ARGUMENTS = {
    "lr": _RATES,
    "eta": _RATES,
    "learning_rate": _RATES,
    "learning_rate_init": _RATES,
    "max_lr": ("peak",),
    "total_steps": ("n_steps",),
    "T_max": ("n_steps",),
    "step_size": ("every",),
    "gamma": ("factor",),
    "decay_rate": ("factor",),
    "eps": ("epsilon",),
    "units": ("n_units",),
    "out_features": ("n_units",),
    "n_features": ("n_inputs",),
    "in_features": ("n_inputs",),
    "input_dim": ("n_inputs",),
    "input_shape": ("n_inputs",),
    "kernel_initializer": ("initializer",),
    "p": ("dropout",),
    "negative_slope": ("alpha",),
    "delta": ("huber_delta",),
    "tau": ("quantile", "quantiles"),
    "l2": ("alpha",),
    "epochs": ("max_iter",),
    "n_epochs": ("max_iter",),
    "optimizer": ("solver",),
    "layers": ("hidden_layer_sizes",),
    "seed": ("random_state",),
    "n_jobs": ("n_threads",),
    "progress": ("verbose",),
    "patience": ("n_iter_no_change",),
    "n_iter_no_change": ("patience",),
    "min_delta": ("tol",),
    "tol": ("min_delta",),
    "restore_best_weights": ("restore_best",),
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'relu'?`` for a word that is written or called differently elsewhere; otherwise nothing."""
    known = list(known)
    folded = word.lower().replace("-", "_").replace(" ", "_")
    plain = {name.replace("_", ""): name for name in known}
    key = folded.replace("_", "")
    candidates = [_CHOICES.get(key), plain.get(key), *_ARGUMENTS.get(word, ()), *get_close_matches(folded, known, 1, 0.7)]
    meant = next((name for name in candidates if name in known), None)
    return f" Did you mean {meant!r}?" if meant else ""


def named_arguments(init: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """A constructor that answers a keyword argument which it does not have with the name of the one that it has.

    Raises
    ------
    TypeError
    """
    code = init.__code__
    known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]

    @wraps(init)
    def checked(self: S, /, *args: P.args, **options: P.kwargs) -> None:
        unknown = next((name for name in options if name not in known), None)
        if unknown is not None:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise TypeError(f"{type(self).__name__} has no argument {unknown!r}; {has}.{did_you_mean(unknown, known)}")
        init(self, *args, **options)

    return checked
