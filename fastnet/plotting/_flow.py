"""Gradients per layer, at one moment or over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..inspection import Recorder, Snapshot, snapshot
from ._style import is_dark, layer_colors, series_color, single_axes, text_color

__all__ = ["GradientFlowDisplay"]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_BANDS = 5
_MOST_LEGEND_ENTRIES = 10


class GradientFlowDisplay:
    """Draw the sizes of the weights' gradients ``|dW[l]|``, layer by layer.

    One snapshot gives a bar per layer (thin from the 5th to the 95th percentile, thick from the 25th to the 75th, with a
    dot at the median). Several snapshots give a line per layer over the epochs: the median, with a band from the 25th to
    the 75th percentile if there are at most five layers. Gradients that are exactly 0 are left out of the distribution;
    layers where all are 0 are named. It is recommended to use `from_recorder` or
    `from_estimator`.

    Parameters
    ----------
    snapshots : sequence of Snapshot
        Taken with targets, so that they hold gradients.

    Attributes
    ----------
    ax_, figure_ : Axes and Figure

    References
    ----------
    Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): vanishing gradients.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(2, "softmax")], n_inputs=4, random_state=0)
    >>> display = GradientFlowDisplay.from_estimator(net, [[0.1, -0.3, 0.7, 0.2], [0.4, 0.2, -0.6, 0.9]], [0, 1])
    >>> display.ax_.get_ylabel()
    '|dW|'
    """

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self.snapshots = snapshots

    @classmethod
    def from_recorder(cls, recorder: Recorder, *, ax: Any = None) -> GradientFlowDisplay:
        """Draw what a `fastnet.inspection.Recorder` kept during training.

        Raises
        ------
        ValueError
            If it has recorded nothing, or was not given targets.
        """
        return cls(recorder.snapshots).plot(ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, y: ArrayLike, *, loss: Any = None, ax: Any = None
    ) -> GradientFlowDisplay:
        """Draw the gradients of a `Network` or a fitted estimator as it is.

        Parameters
        ----------
        estimator : Network or fitted estimator
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        loss : str or Loss, default=None
            None takes the model's own.
        ax : Axes, default=None
        """
        return cls([snapshot(estimator, X, y, loss=loss)]).plot(ax)

    def plot(self, ax: Any = None) -> GradientFlowDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None

        Returns
        -------
        GradientFlowDisplay

        Raises
        ------
        ValueError
            If there is no snapshot, or one without gradients.
        """
        if not self.snapshots or any(shot.gradients is None for shot in self.snapshots):
            raise ValueError("Gradients need targets: give y to the Recorder (and train with it) or to from_estimator.")
        self.ax_ = single_axes(ax, (6.4, 3.8))
        self.figure_ = self.ax_.figure
        sizes = np.array([[_quantiles(values) for values in shot.gradients or ()] for shot in self.snapshots])
        if np.isnan(sizes).all():
            self.ax_.set_yticks([])
        else:
            self.ax_.set_yscale("log")
        self.ax_.set_ylabel("|dW|")
        if len(self.snapshots) == 1:
            self._draw_layers(sizes[0])
        else:
            self._draw_epochs(sizes)
        return self

    def _draw_layers(self, sizes: np.ndarray) -> None:
        names = self.snapshots[0].layer_names
        layers = np.arange(1, len(names) + 1)
        thick = min(9.0, 160 / len(layers))
        color = series_color(0)
        for ends, width in (((0, 4), 1.2), ((1, 3), thick)):
            self.ax_.plot(np.tile(layers, (2, 1)), sizes[:, ends].T, color=color, linewidth=width, solid_capstyle="butt")
        self.ax_.plot(layers, sizes[:, 2], "o", color=text_color(), markersize=min(5.0, thick), zorder=3)
        for layer in layers[np.isnan(sizes[:, 2])]:
            self.ax_.annotate(
                "all 0", (layer, 0.04), xycoords=("data", "axes fraction"), ha="center", rotation=90, fontsize="small"
            )
        step = -(-len(names) // 12)
        paths = [name.partition(": ")[0] for name in names]
        within_layers = not all(map(str.isdecimal, paths))
        labels = paths if step > 1 else names if within_layers else [name.replace(": ", "\n") for name in names]
        self.ax_.set_xticks(layers[::step], labels[::step], rotation=90 if within_layers else 0)
        if step > 1:
            self.ax_.set_xlabel("layer")
        self.ax_.set_xlim(0.4, len(names) + 0.6)

    def _draw_epochs(self, sizes: np.ndarray) -> None:
        epochs = [shot.epoch for shot in self.snapshots]
        names = self.snapshots[0].layer_names
        opacity = 0.4 if is_dark() else 0.2
        for l, (name, color) in enumerate(zip(names, layer_colors(len(names)), strict=True)):
            quantiles = sizes[:, l]
            label = name + (" (all 0)" if np.isnan(quantiles[:, 2]).all() else "")
            self.ax_.plot(epochs, quantiles[:, 2], color=color, linewidth=1.8, label=label)
            if len(names) <= _MOST_BANDS:
                self.ax_.fill_between(epochs, quantiles[:, 1], quantiles[:, 3], color=color, alpha=opacity, linewidth=0)
        self.ax_.set_xlabel("epoch")
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        self._explain_colors(names)

    def _explain_colors(self, names: Sequence[str]) -> None:
        """Name the layers beside the axes: all of them, or only the ends of the scale if there are many."""
        handles, labels = self.ax_.get_legend_handles_labels()
        if len(names) > _MOST_LEGEND_ENTRIES:
            shown = np.linspace(0, len(names) - 1, 6).round().astype(int)
            handles, labels = [handles[l] for l in shown], [labels[l] for l in shown]
        self.ax_.legend(handles, labels, title="layer", fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _quantiles(values: np.ndarray) -> np.ndarray:
    sizes = np.abs(values[values != 0])
    return np.quantile(sizes, _QUANTILES) if sizes.size else np.full(len(_QUANTILES), np.nan)
