"""Pictures of networks, in scikit-learn's Display style.

Every display has a constructor that takes its data, a ``from_...`` class method that computes them from a model, and
``plot(ax=None)``, which sets ``ax_`` and ``figure_``. Drawing needs Matplotlib, the extra ``fastnet[plot]``.
"""

from __future__ import annotations

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastnet.plotting draws with Matplotlib, which is not installed. Install it with: pip install "fastnet[plot]"'
    ) from error

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
