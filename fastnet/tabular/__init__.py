"""Tables: data frames of numbers, categories, dates and holes, prepared and learnt without tuning."""

from __future__ import annotations

from fastnet.tabular._estimators import TabularClassifier, TabularRegressor
from fastnet.tabular._preprocessor import TabularPreprocessor

__all__ = ["TabularClassifier", "TabularPreprocessor", "TabularRegressor"]
