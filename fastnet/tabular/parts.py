"""What other packages of fastnet use of this one."""

from __future__ import annotations

from fastnet.tabular._choices import PRESETS
from fastnet.tabular._columns import BEND, Categories, Code, Encoder, Moment, Number, OneHot, Scaling, Sign
from fastnet.tabular._frames import rows_of
from fastnet.tabular._metrics import CLASSIFICATION, REGRESSION

__all__ = [
    "BEND", "CLASSIFICATION", "PRESETS", "REGRESSION", "Categories", "Code", "Encoder", "Moment", "Number", "OneHot", "Scaling",
    "Sign", "rows_of",
]  # fmt: skip
