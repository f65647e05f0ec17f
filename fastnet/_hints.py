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

#: What to do where a layer is given its number of inputs, as PyTorch's layers are.
NO_NUMBER_OF_INPUTS = "Leave it out: a layer takes its number of inputs from what comes before it"

_RATES = ("learning_rate_init", "learning_rate", "initial", "peak", "rate")

#: Name in Keras, PyTorch, scikit-learn or another class of fastnet, in lower case without underscores -> its names here, or what
#: to write instead. The first one that is known where the name was used is suggested.
_CALLED_HERE: dict[str, tuple[str, ...]] = {
    # losses
    "mse": ("squared_error", "rmse"),
    "rmse": ("squared_error",),
    "mseloss": ("squared_error", "SquaredError"),
    "meansquarederror": ("squared_error", "SquaredError"),
    "mae": ("absolute_error",),
    "l1": ("absolute_error",),
    "l1loss": ("absolute_error", "AbsoluteError"),
    "meanabsoluteerror": ("absolute_error", "AbsoluteError"),
    "huberloss": ("huber", "Huber"),
    "smoothl1loss": ("huber", "Huber"),
    "poissonnllloss": ("poisson", "Poisson"),
    "pinball": ("quantile",),
    "logloss": ("cross_entropy",),
    "nll": ("cross_entropy",),
    "nllloss": ("cross_entropy", "CrossEntropy"),
    "crossentropyloss": ("cross_entropy", "CrossEntropy"),
    "categoricalcrossentropy": ("cross_entropy", "CrossEntropy"),
    "sparsecategoricalcrossentropy": ("cross_entropy", "CrossEntropy"),
    "bce": ("binary_cross_entropy",),
    "bceloss": ("binary_cross_entropy", "BinaryCrossEntropy"),
    "bcewithlogitsloss": ("binary_cross_entropy", "BinaryCrossEntropy"),
    "delta": ("huber_delta",),
    "tau": ("quantile", "quantiles"),
    # activations and layers
    "swish": ("silu", "SiLU"),
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
    "vocabsize": ("n_ids",),
    "embeddingdim": ("width",),
    "outputdim": ("width",),
    "kernelinitializer": ("initializer",),
    "xavier": ("glorot_uniform",),
    "xavieruniform": ("glorot_uniform",),
    "xaviernormal": ("glorot_normal",),
    "glorot": ("glorot_uniform",),
    "kaiminguniform": ("he_uniform",),
    "kaimingnormal": ("he_normal",),
    "he": ("he_normal",),
    "lecun": ("lecun_normal",),
    "p": ("dropout",),
    "nfeatures": ("n_inputs",),
    "infeatures": ("n_inputs",),
    "inputdim": ("n_inputs", "n_ids"),
    "inputshape": ("n_inputs", "image_shape"),
    "sequential": ("Network",),
    "model": ("Network",),
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
    "adaptivemaxpool1d": ("GlobalPool",),
    "adaptivemaxpool2d": ("GlobalPool",),
    "globalmaxpooling1d": ("GlobalPool",),
    "globalmaxpooling2d": ("GlobalPool",),
    "avg": ("mean",),
    "average": ("mean",),
    "poolsize": ("size",),
    "kernelsize": ("size",),
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
    "betas": ("beta1=..., beta2=...",),
    "steplr": ("step", "StepDecay"),
    "exponentiallr": ("exponential", "ExponentialDecay"),
    "onecyclelr": ("one_cycle", "OneCycle"),
    "cosineannealing": ("cosine", "Cosine"),
    "cosineannealinglr": ("cosine", "Cosine"),
    "cosinedecay": ("cosine", "Cosine"),
    "maxlr": ("peak",),
    "totalsteps": ("n_steps",),
    "tmax": ("n_steps",),
    "stepsize": ("every",),
    "gamma": ("factor",),
    "decayrate": ("factor",),
    "alpha": ("l2=alpha / batch_size", "rho"),
    "l2": ("alpha=l2 * batch_size", "squared_error"),
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
    "validationsplit": ("validation_data=(X_val, y_val)",),
    "evalset": ("X_val=X_val, y_val=y_val", "validation_data=(X_val, y_val)"),
    "xval": ("validation_data=(X_val, y_val)",),
    "yval": ("validation_data=(X_val, y_val)",),
    "sampleweightval": ("validation_data=(X_val, y_val, sample_weight_val)",),
    "earlystopping": ("callbacks=[fastnet.EarlyStopping()]",),
    "patience": ("n_iter_no_change",),
    "niternochange": ("patience",),
    "mindelta": ("tol",),
    "tol": ("min_delta",),
    "restorebestweights": ("restore_best",),
    "evalmetric": ("metric",),
    "auc": ("roc_auc",),
    # forecasts
    "steps": ("horizon",),
    "lags": ("window",),
    "seasonalperiods": ("season",),
    # all else
    "modelcheckpoint": ("Checkpoint",),
    "backupandrestore": ("Checkpoint",),
    "progress": ('verbose="progress"',),
    "njobs": ("n_threads",),
}

_ALWAYS_THE_CPU = "Leave it out: fastnet computes on the CPU"
_A_LOOP = "loss_and_grad(X, y) gives the gradient, and fastnet.update makes a step with it"

#: Options of other libraries that fastnet lacks, written as above -> what to do instead.
_INSTEAD_OF_OPTIONS: dict[str, str] = {
    "metrics": "score(X, y) gives the accuracy, or R^2 of values",
    "classweight": "Give sample_weight, which sklearn.utils.class_weight.compute_sample_weight makes",
    "stepsperepoch": "iterations is the number of updates of the whole training",
    "dropout": "Dense(64, 'relu', dropout=0.2) has it, and fastnet.Dropout(0.2) is a layer",
    "kernelregularizer": "l2 of Network.fit (alpha of the estimators) penalises all weights",
    "weightdecay": "fastnet.AdamW has it, and Network.fit for all optimisers",
    "usebias": "Layers have biases, which learning_rate_factors={'b': 0} of Network.fit leaves at 0",
    "bias": "Layers have biases, which learning_rate_factors={'b': 0} of Network.fit leaves at 0",
    "bidirectional": "Write fastnet.Bidirectional(layer)",
    "numlayers": "Write one layer for each, all but the last with return_sequences=True",
    "batchfirst": "Leave it out: the rows come first always",
    "warmstart": "MLPClassifier, NetworkClassifier and their regressors have it, and Network.fit goes on from the parameters "
    "that there are; all other fits start anew, so give them old and new rows together",
    "device": _ALWAYS_THE_CPU,
    **dict.fromkeys(
        ("inputsize", "inputshape", "inputdim", "infeatures", "inchannels", "dmodel", "embeddim", "numfeatures", "numparameters"),
        NO_NUMBER_OF_INPUTS,
    ),
    "normalizedshape": NO_NUMBER_OF_INPUTS,
}

#: The same for attributes of a network, and for names in fastnet.
_INSTEAD_OF_ATTRIBUTES: dict[str, str] = {
    "compile": "Leave it out: fit takes the loss and the optimizer",
    "evaluate": "It has loss(X, y) and score(X, y)",
    "train": "Leave it out: dropout acts in fit alone",
    "eval": "Leave it out: dropout acts in fit alone",
    **dict.fromkeys(("to", "cpu", "cuda"), _ALWAYS_THE_CPU),
    **dict.fromkeys(("backward", "zerograd"), _A_LOOP),
    "add": "Give Network all layers at once",
    "statedict": "Its parameters by name are in `parameters`; fastnet.torch.to_torch_state_dict makes PyTorch's",
    "loadstatedict": "fastnet.torch.from_torch_state_dict makes a network",
    "getweights": "They are in `parameters` by name, and in `weights` and `biases`",
    "setweights": "Write into `parameters`, as in net.parameters['1.W'][:] = W",
    "coefs": "They are in `weights` and `biases`",
    "intercepts": "They are in `weights` and `biases`",
    "saveweights": "save(path) writes the whole network, and fastnet.load reads it",
    "loadweights": "fastnet.load reads what save(path) has written",
    "partialfit": "fit goes on from the parameters that there are",
    "history": "fit returns it",
    "input": "Network(layers, n_inputs=...) takes its place, or input_shape=...",
    "activation": "Layers have theirs, as in Dense(64, 'relu')",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'relu'?`` for a word that is written or called differently elsewhere; otherwise nothing."""
    return _hint(word, {"": known}, _exactly) or _hint(word, {"": known}, _nearly)


def option_meant(word: str, places: dict[str, Iterable[str]]) -> str:
    """`` Did you mean 'max_iter'?`` for an option that is written or called differently here, or what to do instead of it.

    Parameters
    ----------
    word : str
    places : dict
        Known options: "" has those of the place itself; any other key is written around an option that is meant.
    """
    advice = _INSTEAD_OF_OPTIONS.get(_plain(word))
    return _hint(word, places, _exactly) or (f" {advice}." if advice else _hint(word, places, _nearly))


def called_here(word: str, known: Iterable[str]) -> str:
    """``. It is called 'Network' here`` for an attribute from elsewhere, or what to do instead.

    Python itself suggests names that are spelt alike.
    """
    meant = _from_elsewhere(word, known)
    advice = f"It is called {meant!r} here" if meant else _INSTEAD_OF_ATTRIBUTES.get(_plain(word))
    return f". {advice}" if advice else ""


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
    called = (here for here in _CALLED_HERE.get(_plain(word), ()) if here.partition("=")[0] in known)
    return next(called, "")


def _hint(word: str, places: dict[str, Iterable[str]], find: Callable[[str, list[str]], str]) -> str:
    """What was meant, from words that are known in several places; another place than "" is named with it."""
    for place, known in places.items():
        meant = find(word, list(known))
        if meant and place:
            return f" Did you mean {place}({meant if '=' in meant else f'{meant}=...'})?"
        if meant:
            return f" Did you mean {meant if '=' in meant else repr(meant)}?"
    return ""


def _folded(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")


def _plain(word: str) -> str:
    return _folded(word).replace("_", "")


def _exactly(word: str, known: list[str]) -> str:
    """The known word that is the same but for capitals and underscores, or that the table has."""
    alike = {name.replace("_", "").lower(): name for name in known}
    return alike.get(_plain(word)) or _from_elsewhere(word, known)


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
            known_here = all(word in known for word in options)
            accepted = options if known_here else _renamed(options, same, known, method, type(args[0]))
            try:
                return method(*args, **accepted)
            except TypeError as error:
                if not args or error.__traceback__ is None or error.__traceback__.tb_next is not None:
                    raise  # by the method, whose arguments are complete
                called = f"{type(args[0]).__name__}.{method.__name__}()"
                message = str(error).replace(f"{method.__qualname__}()", called)
                raise TypeError(f"{message}; it has {', '.join(known)}.") from None

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
    return f"{name} has no option {word!r}; {has}.{option_meant(word, places)}"
