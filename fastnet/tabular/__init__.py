"""Tables: data frames of numbers, categories, dates and holes, prepared and learnt without tuning."""

from __future__ import annotations

from fastnet.tabular._estimators import TabularClassifier, TabularRegressor
from fastnet.tabular._preprocessor import ColumnSummary, TabularPreprocessor

__all__ = ["ColumnSummary", "TabularClassifier", "TabularPreprocessor", "TabularRegressor"]
