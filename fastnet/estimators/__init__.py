"""Estimators with scikit-learn's contract: two perceptrons (see docs/compatibility.md), any layers, images, series, texts."""

from __future__ import annotations

from ._classifier import MLPClassifier as MLPClassifier
from ._forecast import Forecaster as Forecaster
from ._image import ImageClassifier as ImageClassifier
from ._network import NetworkClassifier as NetworkClassifier
from ._network import NetworkRegressor as NetworkRegressor
from ._regressor import MLPRegressor as MLPRegressor
from ._sequence import SequenceClassifier as SequenceClassifier
from ._sequence import SequenceRegressor as SequenceRegressor
from ._text import TextClassifier as TextClassifier

__all__ = [
    "Forecaster",
    "ImageClassifier",
    "MLPClassifier",
    "MLPRegressor",
    "NetworkClassifier",
    "NetworkRegressor",
    "SequenceClassifier",
    "SequenceRegressor",
    "TextClassifier",
]
