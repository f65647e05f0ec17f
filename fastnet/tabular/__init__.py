"""Tables: data frames of numbers, categories, dates and holes, prepared and learnt without tuning."""

from __future__ import annotations

from fastnet.tabular._classifier import TabularClassifier
from fastnet.tabular._preprocessor import ColumnSummary, TabularPreprocessor
from fastnet.tabular._regressor import TabularRegressor

__all__ = ["ColumnSummary", "TabularClassifier", "TabularPreprocessor", "TabularRegressor"]
