"""The right word after a wrong one: what choices and options are called here and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: A word of Keras, PyTorch, scikit-learn, or of the other one of `Network.fit` and the estimators, in lower case and without
#: underscores; and what it is called here, or what to write for it. Of several words the first that is known in its place.
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
    # activations
    "swish": ("silu",),
    "linear": ("identity",),
    "none": ("identity",),
    # optimisers and schedules
    "sgdm": ("sgd",),
    "cosineannealing": ("cosine",),
    # options: of the rate and the rule
    "lr": ("learning_rate_init", "learning_rate", "initial", "peak", "rate"),
    "eta": ("learning_rate_init", "learning_rate", "initial", "peak", "rate"),
    "learningrate": ("initial", "peak", "rate"),
    "maxlr": ("peak",),
    "stepsize": ("every",),
    "gamma": ("factor",),
    "tmax": ("n_steps",),
    "totalsteps": ("n_steps",),
    "eps": ("epsilon",),
    "optimizer": ("solver",),
    "optim": ("solver", "optimizer"),
    "solver": ("optimizer",),
    "alpha": ("l2=alpha / batch_size",),
    "l2": ("alpha=l2 * batch_size",),
    "clipnorm": ("max_grad_norm",),
    # options: of the length and the order
    "epochs": ("max_iter",),
    "nepochs": ("max_iter", "epochs"),
    "iterations": ("max_iter",),
    "steps": ("iterations", "max_iter"),
    "shuffle": ('sampling="shuffle" or "sequential"',),
    "sampling": ("shuffle",),
    "seed": ("random_state",),
    # options: of validation
    "validationdata": ("X_val=X_val, y_val=y_val",),
    "xval": ("validation_data=(X_val, y_val)",),
    "yval": ("validation_data=(X_val, y_val)",),
    "sampleweightval": ("validation_data=(X_val, y_val, sample_weight_val)",),
    "evalset": ("X_val=X_val, y_val=y_val", "validation_data=(X_val, y_val)"),
    "earlystopping": ("callbacks=[fastnet.EarlyStopping()]",),
    "patience": ("n_iter_no_change",),
    "niternochange": ("patience",),
    # options: of layers and their functions
    "units": ("n_units",),
    "outfeatures": ("n_units",),
    "kernelinitializer": ("initializer",),
    "p": ("dropout",),
    "negativeslope": ("alpha",),
    "tau": ("quantile", "quantiles"),
    # options: of all else
    "progress": ('verbose="progress"',),
    "njobs": ("n_threads",),
    "nfeatures": ("n_inputs",),
    "hiddenlayersizes": ("layers=[fastnet.Dense(n_units, activation), ...]",),
    "layers": ("hidden_layer_sizes",),
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


def takes_other_words(**same: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator of methods: options under names from elsewhere.

    Parameters
    ----------
    **same : str
        Other names of options that mean the same for every value; they are taken. All other names are refused with a TypeError
        that says what to write for them, be it for this method, for `fit`, or for the constructor.
    """

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        known = _options(method)

        @wraps(method)
        def called(*args: P.args, **options: P.kwargs) -> T:
            if options.keys() <= known.keys():
                return method(*args, **options)
            return method(*args, **_renamed(options, method, type(args[0]), known, same))

        return called

    return decorate


def _options(function: Callable[..., Any]) -> dict[str, None]:
    """Names of parameters, in order."""
    return dict.fromkeys(name for name in signature(function).parameters if name != "self")


def _renamed(
    options: dict[str, Any], method: Callable[..., Any], owner: Any, known: Iterable[str], same: dict[str, str]
) -> dict[str, Any]:
    """The options under the method's own names."""
    renamed: dict[str, Any] = {}
    for word, value in options.items():
        name = same.get(word, word)
        if name not in known:
            raise TypeError(_refusal(word, method, owner, known))
        if name in renamed or (name != word and name in options):
            twice = " and ".join(other for other in options if same.get(other, other) == name)
            raise TypeError(f"{name} was given twice, as {twice}: give it once.")
        renamed[name] = value
    return renamed


def _refusal(word: str, method: Callable[..., Any], owner: Any, known: Iterable[str]) -> str:
    hint = did_you_mean(word, known) or _belongs_elsewhere(word, owner)
    name = owner.__name__ if method.__name__ == "__init__" else f"{owner.__name__}.{method.__name__}"
    return f"{name} has no option {word!r}; it has {', '.join(known) or 'none'}.{hint}"


def _belongs_elsewhere(word: str, owner: Any) -> str:
    """A hint for an option of the constructor that was given to a method, or the other way round."""
    for name, function in ((owner.__name__, owner.__init__), ("fit", getattr(owner, "fit", owner.__init__))):
        meant = _meant(word, _options(function))
        if meant:
            return f" Did you mean {name}({meant if '=' in meant else f'{meant}=...'})?"
    return ""
