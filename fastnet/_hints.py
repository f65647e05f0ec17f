"""The right word after a wrong one: what choices and options are called here and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from inspect import unwrap
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_RATES = ("learning_rate_init", "learning_rate", "initial", "peak", "rate")

#: A word of Keras, PyTorch, scikit-learn, or of another class here, in lower case and without underscores; and what is called so,
#: or what to write for it. Of several the first that is known in its place.
_CALLED_HERE: dict[str, tuple[str, ...]] = {
    # losses
    "mse": ("squared_error",),
    "mseloss": ("squared_error",),
    "meansquarederror": ("squared_error",),
    "mae": ("absolute_error",),
    "l1loss": ("absolute_error",),
    "meanabsoluteerror": ("absolute_error",),
    "pinball": ("quantile",),
    "logloss": ("cross_entropy",),
    "nll": ("cross_entropy",),
    "categoricalcrossentropy": ("cross_entropy",),
    "sparsecategoricalcrossentropy": ("cross_entropy",),
    "bce": ("binary_cross_entropy",),
    "bceloss": ("binary_cross_entropy",),
    "delta": ("huber_delta",),
    "tau": ("quantile", "quantiles"),
    # activations and layers
    "swish": ("silu",),
    "linear": ("identity",),
    "none": ("identity",),
    "negativeslope": ("alpha",),
    "units": ("n_units",),
    "outfeatures": ("n_units",),
    "kernelinitializer": ("initializer",),
    "p": ("dropout",),
    "nfeatures": ("n_inputs",),
    "infeatures": ("n_inputs",),
    "inputdim": ("n_inputs",),
    "inputshape": ("n_inputs",),
    "layers": ("hidden_layer_sizes",),
    "hiddenlayersizes": ("layers=[fastnet.Dense(n_units, activation), ...]",),
    # optimisers, learning rates and penalties
    "sgdm": ("sgd",),
    "optimizer": ("solver",),
    "optim": ("solver", "optimizer"),
    "solver": ("optimizer",),
    "eps": ("epsilon",),
    "lr": _RATES,
    "eta": _RATES,
    "learningrate": _RATES,
    "learningrateinit": _RATES,
    "cosineannealing": ("cosine",),
    "maxlr": ("peak",),
    "totalsteps": ("n_steps",),
    "tmax": ("n_steps",),
    "stepsize": ("every",),
    "gamma": ("factor",),
    "decayrate": ("factor",),
    "alpha": ("l2=alpha / batch_size",),
    "l2": ("alpha=l2 * batch_size",),
    "clipnorm": ("max_grad_norm",),
    # how long, and in which order
    "epochs": ("max_iter",),
    "nepochs": ("max_iter", "epochs"),
    "iterations": ("max_iter",),
    "shuffle": ('sampling="shuffle" or "sequential"',),
    "sampling": ("shuffle",),
    "seed": ("random_state",),
    # validation
    "validationdata": ("X_val=X_val, y_val=y_val",),
    "xval": ("validation_data=(X_val, y_val)",),
    "yval": ("validation_data=(X_val, y_val)",),
    "sampleweightval": ("validation_data=(X_val, y_val, sample_weight_val)",),
    "earlystopping": ("callbacks=[fastnet.EarlyStopping()]",),
    "patience": ("n_iter_no_change",),
    "niternochange": ("patience",),
    "mindelta": ("tol",),
    "tol": ("min_delta",),
    "restorebestweights": ("restore_best",),
    # all else
    "progress": ('verbose="progress"',),
    "njobs": ("n_threads",),
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'relu'?`` for a word that is written or called differently elsewhere; otherwise nothing."""
    meant = _meant(word, known)
    return f" Did you mean {meant if '=' in meant else repr(meant)}?" if meant else ""


def _meant(word: str, known: Iterable[str]) -> str:
    known = list(known)
    folded = word.lower().replace("-", "_").replace(" ", "_")
    key = folded.replace("_", "")
    for here in _CALLED_HERE.get(key, ()):
        if here.partition("=")[0] in known:
            return here
    alike = {name.replace("_", "").lower(): name for name in known}
    return alike.get(key) or next(iter(get_close_matches(folded, known, 1, 0.7)), "")


def named_arguments(method: Callable[P, T]) -> Callable[P, T]:
    """A method that answers a keyword argument which it does not have with what to write for it.

    Raises
    ------
    TypeError
    """
    return also_named()(method)


def also_named(**same: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator: `named_arguments`, with other names of arguments which are taken because every value means the same."""

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        known = _names(method)

        @wraps(method)
        def checked(*args: P.args, **options: P.kwargs) -> T:
            if all(word in known for word in options):
                return method(*args, **options)
            return method(*args, **_renamed(options, same, known, method, type(args[0])))

        return checked

    return decorate


def _names(method: Callable[..., Any]) -> tuple[str, ...]:
    """Arguments that a method has, without the first."""
    code = unwrap(method).__code__
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]


def _renamed(
    options: dict[str, Any], same: dict[str, str], known: tuple[str, ...], method: Callable[..., Any], owner: type
) -> dict[str, Any]:
    """The options under the method's own names."""
    renamed: dict[str, Any] = {}
    for word, value in options.items():
        name = same.get(word, word)
        if name not in known:
            raise TypeError(_refusal(word, known, method, owner))
        if name in renamed:
            twice = [other for other in options if same.get(other, other) == name]
            raise TypeError(f"{name} was given twice, as {' and '.join(twice)}: give it once.")
        renamed[name] = value
    return renamed


def _refusal(word: str, known: tuple[str, ...], method: Callable[..., Any], owner: type) -> str:
    name = owner.__name__ if method.__name__ == "__init__" else f"{owner.__name__}.{method.__name__}"
    has = f"it has {', '.join(known)}" if known else "it has none"
    return f"{name} has no argument {word!r}; {has}.{did_you_mean(word, known) or _meant_elsewhere(word, owner)}"


def _meant_elsewhere(word: str, owner: Any) -> str:
    """A hint for an argument of the constructor that was given to a method, or of `fit` to the constructor."""
    places = {owner.__name__: owner.__init__, "fit": getattr(owner, "fit", owner.__init__)}
    for place, method in places.items():
        meant = _meant(word, _names(method))
        if meant:
            return f" Did you mean {place}({meant if '=' in meant else f'{meant}=...'})?"
    return ""
