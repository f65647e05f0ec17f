"""Look into a network: what its layers do on given data, and what is wrong with it.

`diagnose` reports on a model, `DiagnosisCallback` watches one during training, `Recorder` keeps the distributions of
gradients and activations over training for the displays of `fastnet.plotting`.
"""

from __future__ import annotations

from ._callbacks import DiagnosisCallback, DiagnosisWarning, Recorder
from ._diagnosis import Diagnosis, diagnose
from ._rules import Finding
from ._snapshot import Snapshot, snapshot
from ._statistics import InputStatistics, LayerStatistics
from ._targets import TargetStatistics

__all__ = [
    "Diagnosis",
    "DiagnosisCallback",
    "DiagnosisWarning",
    "Finding",
    "InputStatistics",
    "LayerStatistics",
    "Recorder",
    "Snapshot",
    "TargetStatistics",
    "diagnose",
    "snapshot",
]
