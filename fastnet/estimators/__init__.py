"""Estimators with scikit-learn's contract: its own two (see docs/compatibility.md), any list of layers, images and series."""

from __future__ import annotations

from ._classifier import MLPClassifier as MLPClassifier
from ._image import ImageClassifier as ImageClassifier
from ._network import NetworkClassifier as NetworkClassifier
from ._network import NetworkRegressor as NetworkRegressor
from ._regressor import MLPRegressor as MLPRegressor
from ._sequence import SequenceClassifier as SequenceClassifier
from ._sequence import SequenceRegressor as SequenceRegressor

__all__ = [
    "ImageClassifier",
    "MLPClassifier",
    "MLPRegressor",
    "NetworkClassifier",
    "NetworkRegressor",
    "SequenceClassifier",
    "SequenceRegressor",
]
