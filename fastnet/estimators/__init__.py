"""Estimators with scikit-learn's contract on fastnet's core: its own two (see docs/compatibility.md), and one for images."""

from __future__ import annotations

from ._classifier import MLPClassifier as MLPClassifier
from ._image import ImageClassifier as ImageClassifier
from ._regressor import MLPRegressor as MLPRegressor

__all__ = ["ImageClassifier", "MLPClassifier", "MLPRegressor"]
