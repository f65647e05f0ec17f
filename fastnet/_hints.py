"""Suggestions for misspelt or foreign names, for error messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

#: Names in Keras, PyTorch and scikit-learn, without underscores -> fastnet's names.
_ELSEWHERE = {
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The text `` Did you mean 'relu'?`` for another spelling or another library's name; otherwise an empty text."""
    known = list(known)
    folded = word.lower().replace("-", "_").replace(" ", "_")
    plain = {name.replace("_", ""): name for name in known}
    key = folded.replace("_", "")
    meant = _ELSEWHERE.get(key) or plain.get(key)
    if meant not in known:
        meant = next(iter(get_close_matches(folded, known, 1, 0.7)), None)
    return f" Did you mean {meant!r}?" if meant else ""
