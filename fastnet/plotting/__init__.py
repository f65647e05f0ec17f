"""Pictures of networks, in scikit-learn's Display style.

Every display has a constructor that takes its data, a ``from_...`` class method that computes them from a model, and
``plot(ax=None)``, which sets ``ax_`` and ``figure_``. Drawing needs Matplotlib: ``pip install matplotlib``.
"""

from __future__ import annotations

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError("fastnet.plotting needs Matplotlib, which is not installed: pip install matplotlib") from error

from ._activation import ActivationDisplay
from ._boundaries import DecisionBoundariesDisplay
from ._flow import GradientFlowDisplay
from ._graph import ComputationGraphDisplay
from ._histograms import ActivationHistogramDisplay
from ._history import HistoryDisplay
from ._levels import NeuronLevelsDisplay
from ._network import NetworkDisplay

__all__ = [
    "ActivationDisplay",
    "ActivationHistogramDisplay",
    "ComputationGraphDisplay",
    "DecisionBoundariesDisplay",
    "GradientFlowDisplay",
    "HistoryDisplay",
    "NetworkDisplay",
    "NeuronLevelsDisplay",
]
