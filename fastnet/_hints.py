"""The right word after a wrong one: what choices and options are called here and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import wraps
from importlib import import_module
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
    "linear": ("identity", "Dense"),
    "none": ("identity",),
    "negativeslope": ("alpha",),
    "units": ("n_units",),
    "outfeatures": ("n_units",),
    "hiddensize": ("n_units",),
    "multiheadattention": ("Attention",),
    "transformerencoderlayer": ("TransformerBlock",),
    "transformerdecoderlayer": ("TransformerBlock",),
    "transformer": ("EncoderDecoder",),
    "nhead": ("n_heads",),
    "numheads": ("n_heads",),
    "dimfeedforward": ("feed_forward",),
    "numembeddings": ("n_ids",),
    "embeddingdim": ("width",),
    "kernelinitializer": ("initializer",),
    "p": ("dropout",),
    "nfeatures": ("n_inputs",),
    "infeatures": ("n_inputs",),
    "inputdim": ("n_inputs",),
    "inputshape": ("n_inputs",),
    "sequential": ("Network",),
    "layers": ("hidden_layer_sizes",),
    "batchnorm1d": ("BatchNorm",),
    "batchnorm2d": ("BatchNorm",),
    "batchnormalization": ("BatchNorm",),
    "layernormalization": ("LayerNorm",),
    "maxpool1d": ("MaxPool",),
    "maxpool2d": ("MaxPool",),
    "maxpooling1d": ("MaxPool",),
    "maxpooling2d": ("MaxPool",),
    "avgpool1d": ("AvgPool",),
    "avgpool2d": ("AvgPool",),
    "averagepooling1d": ("AvgPool",),
    "averagepooling2d": ("AvgPool",),
    "adaptiveavgpool1d": ("GlobalPool",),
    "adaptiveavgpool2d": ("GlobalPool",),
    "globalaveragepooling1d": ("GlobalPool",),
    "globalaveragepooling2d": ("GlobalPool",),
    "simplernn": ("RNN",),
    "outchannels": ("filters",),
    "hiddenlayersizes": ("layers=[fastnet.Dense(n_units, activation), ...]",),
    # optimisers, learning rates and penalties
    "sgdm": ("sgd",),
    "momentum": ("sgd", "SGD"),
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
    return _hint(word, {"": known})


def called_here(word: str, known: Iterable[str]) -> str:
    """``. It is called 'Network' here`` for a word from elsewhere; Python itself suggests names that are spelt alike."""
    meant = _from_elsewhere(word, known)
    return f". It is called {meant!r} here" if meant else ""


def kept_in(word: str, modules: Iterable[str]) -> str:
    """``. It is fastnet.inspection.diagnose`` for a public name of one of these modules of fastnet."""
    if word.startswith("_"):
        return ""
    homes = (name for name in sorted(modules) if word in _public_names(name))
    return next((f". It is fastnet.{name}.{word}" for name in homes), "")


def _public_names(module: str) -> Sequence[str]:
    """Public names of a module of fastnet; none where what it needs is not installed."""
    try:
        return getattr(import_module(f"fastnet.{module}"), "__all__", ())
    except ImportError:
        return ()


def _from_elsewhere(word: str, known: Iterable[str]) -> str:
    """The known word that the table has for this one."""
    called = (here for here in _CALLED_HERE.get(_folded(word).replace("_", ""), ()) if here.partition("=")[0] in known)
    return next(called, "")


def _hint(word: str, places: dict[str, Iterable[str]]) -> str:
    """What was meant, from words that are known in several places; another place than "" is named with it."""
    for find in (_exactly, _nearly):
        for place, known in places.items():
            meant = find(word, list(known))
            if meant and place:
                return f" Did you mean {place}({meant if '=' in meant else f'{meant}=...'})?"
            if meant:
                return f" Did you mean {meant if '=' in meant else repr(meant)}?"
    return ""


def _folded(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")


def _exactly(word: str, known: list[str]) -> str:
    """The known word that is the same but for capitals and underscores, or that the table has."""
    alike = {name.replace("_", "").lower(): name for name in known}
    return alike.get(_folded(word).replace("_", "")) or _from_elsewhere(word, known)


def _nearly(word: str, known: list[str]) -> str:
    """The known word that is spelt most like it."""
    return next(iter(get_close_matches(_folded(word), known, 1, 0.7)), "")


def takes_other_words(**same: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator of methods: options under names from elsewhere.

    Parameters
    ----------
    **same : str
        Other names of options that mean the same for every value; they are taken. All other names are refused with a TypeError
        that says what to write for them, be it for this method, for the constructor or for `fit`.
    """

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
    """Options that a method has: its parameters but for the first."""
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


def _refusal(word: str, known: tuple[str, ...], method: Callable[..., Any], owner: Any) -> str:
    name = owner.__name__ if method.__name__ == "__init__" else f"{owner.__name__}.{method.__name__}"
    has = f"it has {', '.join(known)}" if known else "it has none"
    places: dict[str, Iterable[str]] = {"": known, owner.__name__: _names(owner.__init__)}
    if hasattr(owner, "fit"):
        places["fit"] = _names(owner.fit)
    return f"{name} has no option {word!r}; {has}.{_hint(word, places)}"
