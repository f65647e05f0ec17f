"""Histograms of the activations per layer, at one moment or over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from numpy.typing import ArrayLike

from ..inspection import Recorder, Snapshot, snapshot
from ._elision import elide
from ._style import grid_axes, sequential_map, series_color

__all__ = ["ActivationHistogramDisplay"]


class ActivationHistogramDisplay:
    """Draw how the activations of each layer are distributed.

    One snapshot gives a histogram per layer. Several give an image per layer with the epochs from left to right, in
    stronger colours where there are more activations. It is recommended to use `from_recorder` or
    `from_estimator`.

    Parameters
    ----------
    snapshots : sequence of Snapshot

    Attributes
    ----------
    ax_ : Axes
        The first panel, or the axes given to `plot`.
    axes_ : ndarray of Axes
        One per layer shown.
    layers_ : ndarray of int
        The layers that are shown, from 1.
    figure_ : Figure

    References
    ----------
    Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): saturation and dying ReLU.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(2, "softmax")], n_inputs=4, random_state=0)
    >>> display = ActivationHistogramDisplay.from_estimator(net, [[0.1, -0.3, 0.7, 0.2], [0.4, 0.2, -0.6, 0.9]])
    >>> [axes.get_title() for axes in display.axes_]
    ['layer 1: tanh', 'layer 2: softmax']
    """

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self.snapshots = snapshots

    @classmethod
    def from_recorder(cls, recorder: Recorder, *, max_layers: int = 8, ax: Any = None) -> ActivationHistogramDisplay:
        """Draw what a `fastnet.inspection.Recorder` kept during training.

        Raises
        ------
        ValueError
            If it has recorded nothing.
        """
        return cls(recorder.snapshots).plot(ax, max_layers=max_layers)

    @classmethod
    def from_estimator(cls, estimator: Any, X: ArrayLike, *, max_layers: int = 8, ax: Any = None) -> ActivationHistogramDisplay:
        """Draw the activations of a `Network` or a fitted estimator on the rows of `X`.

        Parameters
        ----------
        estimator : Network or fitted estimator
        X : array-like of shape (n_rows, n_features)
        max_layers : int, default=8
            Maximum number of layers shown; of a deeper network, the first and last ones.
        ax : Axes, default=None
        """
        return cls([snapshot(estimator, X)]).plot(ax, max_layers=max_layers)

    def plot(self, ax: Any = None, *, max_layers: int = 8, n_bins: int = 40) -> ActivationHistogramDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
            Axes whose area is divided among the panels.
        max_layers : int, default=8
        n_bins : int, default=40

        Returns
        -------
        ActivationHistogramDisplay

        Raises
        ------
        ValueError
            If there is no snapshot.
        """
        if not self.snapshots:
            raise ValueError("There is no snapshot to draw: pass the Recorder to fit as a callback first.")
        names = self.snapshots[0].layer_names
        shown = elide(len(names), max_layers, "max_layers").units
        self.layers_ = shown + 1
        self.figure_, self.axes_ = grid_axes(ax, len(shown), n_columns=4, panel_size=(2.7, 2.3))
        self.ax_ = self.axes_[0] if ax is None else ax
        for panel, l in zip(self.axes_, shown, strict=True):
            follows_gap = l > 0 and l - 1 not in shown
            panel.set_title(f"⋯ layer {names[l]}" if follows_gap else f"layer {names[l]}", fontsize="medium")
            if len(self.snapshots) == 1:
                _draw_histogram(panel, self.snapshots[0].activations[l], n_bins)
            else:
                self._draw_image(panel, int(l), n_bins)
        for panel in self.axes_[:: min(4, len(shown))]:
            panel.set_ylabel("share" if len(self.snapshots) == 1 else "activation")
        return self

    def _draw_image(self, panel: Any, l: int, n_bins: int) -> None:
        values = [shot.activations[l] for shot in self.snapshots]
        edges = _bins(np.concatenate(values), n_bins)
        shares = np.array([np.histogram(v, edges)[0] / v.size for v in values])
        epochs = np.array([shot.epoch for shot in self.snapshots], dtype=np.float64)
        middles = (epochs[1:] + epochs[:-1]) / 2
        borders = np.r_[2 * epochs[0] - middles[0], middles, 2 * epochs[-1] - middles[-1]]
        panel.pcolormesh(borders, edges, shares.T, cmap=sequential_map(), norm=PowerNorm(0.3, 0.0, shares.max()), rasterized=True)
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)


def _draw_histogram(panel: Any, values: np.ndarray, n_bins: int) -> None:
    panel.hist(values, _bins(values, n_bins), weights=np.full(values.size, 1 / values.size), color=series_color(0), linewidth=0)
    panel.set_xlabel("activation")


def _bins(values: np.ndarray, n_bins: int) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.linspace(low, high, n_bins + 1) if high > low else np.linspace(low - 0.5, high + 0.5, n_bins + 1)
