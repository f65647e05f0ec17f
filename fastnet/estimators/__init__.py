"""scikit-learn's two estimators on fastnet's core; see docs/compatibility.md."""

from __future__ import annotations

from ._classifier import MLPClassifier as MLPClassifier
from ._regressor import MLPRegressor as MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
