"""What other packages of fastnet use of this one."""

from __future__ import annotations

from fastnet.tabular._base import BaseTabular
from fastnet.tabular._choices import PRESETS
from fastnet.tabular._columns import BEND, Categories, Code, Encoder, Moment, Number, OneHot, Scaling, Sign
from fastnet.tabular._findings import Findings, Prepare
from fastnet.tabular._folds import Rows
from fastnet.tabular._frames import rows_of
from fastnet.tabular._metrics import CLASSIFICATION, REGRESSION
from fastnet.tabular._sources import Source
from fastnet.tabular._streamed import Choice, within
from fastnet.tabular._time_limit import Deadline

__all__ = [
    "BEND", "CLASSIFICATION", "PRESETS", "REGRESSION", "BaseTabular", "Categories", "Choice", "Code", "Deadline", "Encoder",
    "Findings", "Moment", "Number", "OneHot", "Prepare", "Rows", "Scaling", "Sign", "Source", "rows_of", "within",
]  # fmt: skip
