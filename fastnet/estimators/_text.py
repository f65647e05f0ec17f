"""A classifier of texts, with a network of its own choice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils._param_validation import Interval, StrOptions

from fastnet._hints import takes_other_words
from fastnet.layers import GRU, LSTM, Concat, Conv1d, Dropout, Embedding, GlobalPool, Layer, Positions
from fastnet.ragged import Ragged

from ._ready import ReadyClassifier
from ._sequence import blocks, recurrent

#: Ids of what stands for tokens that are not in the vocabulary, and behind the last token of each text.
UNKNOWN, END = 0, 1

#: Parameters that say how texts are read; those of fit hold for predictions.
READING = ("analyzer", "lowercase", "strip_accents", "token_pattern", "min_df", "max_features", "max_length")


class TextClassifier(ReadyClassifier):
    """Classification of texts, with nothing to configure.

    A text becomes a sequence of characters or words, and each of these a vector from a table that is trained with the network. A
    tenth of the texts is set aside if there are at least twenty for each class on average; training then ends when the loss on
    them no longer falls, and the best parameters are kept. `network_` is an ordinary `fastnet.Network`, which reads ids.

    Parameters
    ----------
    kind : {"bag", "cnn", "gru", "lstm", "transformer"} or None, default=None
        "bag": mean and maximum of the vectors over the text, regardless of the order of its words. "cnn": convolutions, and the
        maximum of what they find. "gru", "lstm": a recurrent layer in both directions. "transformer": two blocks. None: "cnn"
        for characters, "bag" for words.
    analyzer : {"char", "word"}, default="char"
        Whether a text is split into characters or words.
    lowercase : bool, default=True
        Whether capitals are read as small letters.
    strip_accents : {"ascii", "unicode"} or None, default=None
        How accents are removed, as in scikit-learn's `CountVectorizer`.
    token_pattern : str, default=r"(?u)\\\\b\\\\w+\\\\b"
        Regular expression that matches a word, or whose only group does; not used for characters.
    min_df : int, default=2
        Words or characters that occur in fewer training texts all count as one, the unknown; so do those that `fit` has not seen.
    max_features : int or None, default=None
        Maximum size of the vocabulary: only the most frequent words or characters are kept.
    max_length : int, default=256
        Only this many characters or words are read, from the beginning of each text.
    max_iter : int, default=100
        Maximum number of epochs.
    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the texts set aside, the order of rows, and dropout.
    n_threads : int or None, default=None
        Maximum number of threads; by default those that the machine has.
    verbose : bool, default=False
        Whether progress is shown.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    vocabulary_ : dict
        Word or character -> its id, from 2 on; 0 is the unknown, 1 the end of a text.
    network_ : fastnet.Network
    input_shape_ : tuple of int
        Number of words or characters in the longest training text as it is read, counting its end.
    history_ : fastnet.History
    n_iter_ : int
        Epochs.

    See Also
    --------
    SequenceClassifier : The same for series of numbers.

    Examples
    --------
    >>> from fastnet import TextClassifier
    >>> numbers = [str(n) for n in range(1000)]
    >>> even = [n % 2 == 0 for n in range(1000)]
    >>> clf = TextClassifier(random_state=0).fit(numbers[::2] + numbers[1::4], even[::2] + even[1::4])
    >>> clf.predict(["12 346", "7 771"]).tolist()
    [True, False]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = ReadyClassifier._parameter_constraints | {
        "kind": [StrOptions({"bag", "cnn", "gru", "lstm", "transformer"}), None],
        "analyzer": [StrOptions({"char", "word"})],
        "lowercase": ["boolean"],
        "strip_accents": [StrOptions({"ascii", "unicode"}), None],
        "token_pattern": [str],
        "min_df": [Interval(Integral, 1, None, closed="left")],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "max_length": [Interval(Integral, 1, None, closed="left")],
    }
    _fewest_to_set_aside = 20

    @takes_other_words()
    def __init__(
        self,
        kind: str | None = None,
        *,
        analyzer: str = "char",
        lowercase: bool = True,
        strip_accents: str | None = None,
        token_pattern: str = r"(?u)\b\w+\b",
        min_df: int = 2,
        max_features: int | None = None,
        max_length: int = 256,
        max_iter: int = 100,
        random_state: int | np.random.RandomState | None = None,
        n_threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.kind = kind
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self.token_pattern = token_pattern
        self.min_df = min_df
        self.max_features = max_features
        self.max_length = max_length
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    def _vectorizer(self) -> CountVectorizer:
        reading = {name: value for name, value in self._reading.items() if name != "max_length"}
        pattern = reading.pop("token_pattern")
        return CountVectorizer(token_pattern=pattern if reading["analyzer"] == "word" else None, **reading)

    def _learn_rows(self, X: Any, y: Any) -> tuple[Ragged, np.ndarray]:
        texts = _checked(X)
        self._reading = {name: getattr(self, name) for name in READING}
        vectorizer = self._vectorizer()
        try:
            vectorizer.build_analyzer()
        except (ValueError, re.error) as error:
            raise ValueError(
                f"token_pattern must be a regular expression with one group at most, got {self.token_pattern!r}: {error}"
            ) from error
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise ValueError(f"The texts of X have no words or characters that min_df={self.min_df} keeps: {error}") from error
        self.vocabulary_ = {token: END + 1 + number for token, number in sorted(vectorizer.vocabulary_.items())}
        rows = self._ids(texts)
        self.input_shape_ = (int(rows.lengths.max()),)
        return rows, self._checked_targets(rows, y)

    def _known_rows(self, X: Any) -> Ragged:
        return self._ids(_checked(X))

    def _ids(self, texts: Iterable[str]) -> Ragged:
        tokens_of, number_of = self._vectorizer().build_analyzer(), self.vocabulary_.get
        tokens = (tokens_of(text)[: self._reading["max_length"]] for text in texts)
        return Ragged.from_rows([[*(number_of(token, UNKNOWN) for token in row), END] for row in tokens])

    def _layers(self, *, ragged: bool) -> list[Layer]:
        kind = self.kind or ("cnn" if self.analyzer == "char" else "bag")
        return _KINDS[kind](len(self.vocabulary_) + END + 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags


def _checked(X: Any) -> list[str]:
    """The texts of X.

    Raises
    ------
    TypeError, ValueError
        X is not a sequence of texts, or has none.
    """
    if isinstance(X, (str, bytes)):
        raise ValueError(f"X must be a list of texts, got one {type(X).__name__}: give [text] for a single text.")
    shape = np.shape(X) if hasattr(X, "shape") else ()
    if len(shape) > 1 or not hasattr(X, "__iter__"):
        what = f"shape {shape}" if shape else type(X).__name__
        raise ValueError(f"X must be a list or a one-dimensional array or Series of texts, got {what}.")
    texts = list(X)
    if not texts:
        raise ValueError("X must hold at least one text, got none.")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"X must hold texts (str), but entry {number} is {text!r}, of type {type(text).__name__}. Put '' for a missing "
                "text, and decode bytes."
            )
    return texts


def _table(n_ids: int, width: int) -> Embedding:
    return Embedding(n_ids, width, deviation=0.1)


def _bag(n_ids: int) -> list[Layer]:
    """Mean and most over all tokens; Joulin et al. (2017) found means to be as good as deep networks on long texts."""
    return [_table(n_ids, 64), Dropout(0.5), Concat([GlobalPool()], [GlobalPool("max")]), Dropout(0.5)]


def _convolutions(n_ids: int) -> list[Layer]:
    """Convolutions over two, three and four tokens, and the most of what each finds (Kim 2014)."""
    found = [[Conv1d(64, size, padding="same"), GlobalPool("max")] for size in (2, 3, 4)]
    return [_table(n_ids, 32), Concat(*found), Dropout(0.3)]


#: Kind of network -> its layers before the output layer, for so many ids.
_KINDS: dict[str, Callable[[int], list[Layer]]] = {
    "bag": _bag,
    "cnn": _convolutions,
    "gru": lambda n_ids: [_table(n_ids, 32), *recurrent(GRU)],
    "lstm": lambda n_ids: [_table(n_ids, 32), *recurrent(LSTM)],
    "transformer": lambda n_ids: [_table(n_ids, 64), Positions("sinusoidal"), *blocks()],
}
