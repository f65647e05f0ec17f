"""Level curves of every neuron over a two-dimensional input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import ArrayLike

from .. import _checks
from .._models import dense_rows, model_view
from ._elision import elide
from ._style import diverging_map, grid_axes, palette, text_color

__all__ = ["NeuronLevelsDisplay"]

_CENTRES = {"sigmoid": 0.5, "softmax": 0.5}
_SOFTEN = 1.4  # colours are paler than the full hues, so that data drawn in full hues stand out


class NeuronLevelsDisplay:
    """Draw what every neuron computes over a 2-D input, a row of panels per layer, the output last.

    Reading downwards shows composite patterns build up: the first layer's level curves are straight lines, the
    next layers bend and combine them. It is recommended to use `from_estimator`.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (n_grid, n_grid)
        The grid of inputs.
    levels : sequence of ndarray of shape (n_grid, n_grid, n[l])
        Activations of every layer on the grid.
    layer_names : sequence of str of length L
        Names of the activations, or of the layers that are not dense.
    feature_names : sequence of two str, default=("x[0]", "x[1]")
    output_names : sequence of str or None

    Attributes
    ----------
    ax_ : Axes
        The first panel, or the axes given to `plot`.
    axes_ : list of ndarray of Axes
        The panels of every layer.
    figure_ : Figure

    References
    ----------
    Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): the level curves of a network's neurons.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(1, "sigmoid")], n_inputs=2, random_state=0)
    >>> display = NeuronLevelsDisplay.from_estimator(net, [[-1.0, -1.0], [1.0, 1.0]])
    >>> [len(panels) for panels in display.axes_]
    [3, 1]
    """

    def __init__(
        self,
        xx0: np.ndarray,
        xx1: np.ndarray,
        levels: Sequence[np.ndarray],
        *,
        layer_names: Sequence[str],
        feature_names: Sequence[str] = ("x[0]", "x[1]"),
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.xx0 = xx0
        self.xx1 = xx1
        self.levels = levels
        self.layer_names = layer_names
        self.feature_names = feature_names
        self.output_names = output_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        grid_resolution: int = 80,
        margin: float = 0.1,
        max_units: int = 8,
        ax: Any = None,
    ) -> NeuronLevelsDisplay:
        """Draw the neurons of a `Network` or a fitted estimator with two inputs.

        Parameters
        ----------
        estimator : Network or fitted estimator
        X : array-like of shape (n_rows, 2)
            Data that sets the range of the inputs.
        y : array-like of shape (n_rows,), default=None
            Labels: when given, the data are drawn over the output panels.
        grid_resolution : int, default=80
            Grid points along each input.
        margin : float, default=0.1
            How far the grid reaches beyond the data, as a share of their range.
        max_units : int, default=8
            Maximum number of panels in a row.
        ax : Axes, default=None

        Returns
        -------
        NeuronLevelsDisplay

        Raises
        ------
        ValueError
            If the model does not have two inputs, or `X` no rows, NaN or infinity, or `y` another length.
        """
        view = model_view(estimator)
        view.assert_finite()
        if view.sizes[0] != 2:
            raise ValueError(
                f"Level curves are drawn over two inputs, but this {view.name} has {view.sizes[0]}. "
                "Fit a network on two features (two columns, or two principal components) to look at it."
            )
        X = view.inputs(X)
        xx0, xx1 = input_grid(X, grid_resolution, margin)
        levels = view.layer_outputs(np.column_stack([xx0.ravel(), xx1.ravel()]))
        display = cls(
            xx0,
            xx1,
            [level.reshape(*xx0.shape, -1) for level in levels],
            layer_names=view.layer_names,
            feature_names=view.feature_names or ("x[0]", "x[1]"),
            output_names=view.output_names,
        )
        return display.plot(ax, max_units=max_units, X=X, y=y)

    def plot(
        self, ax: Any = None, *, max_units: int = 8, n_levels: int = 11, X: ArrayLike | None = None, y: Any = None
    ) -> NeuronLevelsDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
            Axes whose area is divided among the panels.
        max_units : int, default=8
            Maximum number of panels in a row; a wider layer shows its first and last units.
        n_levels : int, default=11
            Number of levels over the range of a unit, including both ends.
        X, y : array-like of shape (n_rows, 2) and (n_rows,), default=None
            Data drawn over the output panels, coloured by `y`.

        Returns
        -------
        NeuronLevelsDisplay
        """
        labels = None if X is None or y is None else labels_of(dense_rows(X), y)
        shown = [elide(level.shape[-1], max_units).units for level in self.levels]
        n_columns = max(len(units) for units in shown)
        size = 1.25 if n_columns > 3 else 1.9
        self.figure_, panels = grid_axes(ax, len(self.levels) * n_columns, n_columns=n_columns, panel_size=(size, size + 0.12))
        self.ax_ = panels[0] if ax is None else ax
        self.axes_ = []
        for layer, (level, units, row) in enumerate(zip(self.levels, shown, panels.reshape(-1, n_columns), strict=True)):
            for unused in row[len(units) :]:
                unused.remove()
            self.axes_.append(row[: len(units)])
            self._draw_layer(layer, level[..., units], units, n_levels)
        if labels is not None:
            for panel in self.axes_[-1]:
                scatter_labels(panel, dense_rows(X), labels)
        self.axes_[-1][0].set_xlabel(self.feature_names[0], fontsize="small")
        side_label = self.axes_[-1][-1].annotate(
            self.feature_names[1], (1, 0.5), (4, 0), xycoords="axes fraction", textcoords="offset points",
            rotation=90, va="center", ha="left", fontsize="small",
        )  # fmt: skip
        side_label.set_in_layout(len(shown[-1]) == n_columns)
        return self

    def _draw_layer(self, layer: int, level: np.ndarray, units: np.ndarray, n_levels: int) -> None:
        name = self.layer_names[layer]
        centre = _CENTRES.get(name, 0.0)
        is_output = layer == len(self.levels) - 1
        for column, (panel, unit) in enumerate(zip(self.axes_[layer], units, strict=True)):
            self._draw_unit(panel, level[..., column], centre, n_levels)
            title = self.output_names[unit] if is_output and self.output_names is not None else f"a[{unit}]"
            panel.set_title(title, fontsize="small", pad=3)
        n_units = self.levels[layer].shape[-1]
        elided = f"\n{len(units)} of {n_units}" if len(units) < n_units else ""
        label = f"output\n{name}" if is_output else f"layer {layer + 1}\n{name}{elided}"
        self.axes_[layer][0].set_ylabel(label, fontsize="small")

    def _draw_unit(self, panel: Any, values: np.ndarray, centre: float, n_levels: int) -> None:
        reach = float(np.abs(values - centre).max()) or 1.0
        norm = Normalize(centre - _SOFTEN * reach, centre + _SOFTEN * reach)
        panel.pcolormesh(self.xx0, self.xx1, values, cmap=diverging_map(), norm=norm, shading="gouraud", rasterized=True)
        steps = np.linspace(centre - reach, centre + reach, n_levels)[1:-1]
        rounding = 1e-9 * reach
        inside = steps[(steps > values.min() + rounding) & (steps < values.max() - rounding)]
        if inside.size:
            widths = np.where(np.isclose(inside, centre), 1.6, 0.5)
            panel.contour(self.xx0, self.xx1, values, levels=inside, colors=[text_color()], linewidths=widths, linestyles="solid")
        panel.set_xticks([])
        panel.set_yticks([])


def input_grid(X: np.ndarray, grid_resolution: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a square grid over the range of the two columns of `X`, widened by `margin` of it.

    Raises
    ------
    ValueError
        `X` has no rows, or holds NaN or infinity.
    """
    if not len(X):
        raise ValueError("X has no rows: give data, which set the range of the inputs.")
    _checks.assert_finite(X, "X")
    low, high = X.min(axis=0), X.max(axis=0)
    pad = margin * np.where(high > low, high - low, 1.0)
    return tuple(np.meshgrid(*(np.linspace(low[k] - pad[k], high[k] + pad[k], grid_resolution) for k in range(2))))  # type: ignore[return-value]


def labels_of(X: np.ndarray, y: ArrayLike) -> np.ndarray:
    """Return `y` as a vector of a label for each row of `X`, or raise a ValueError."""
    labels = np.ravel(np.asarray(y))
    if len(labels) != len(X):
        raise ValueError(f"y must hold one label for each of the {len(X)} rows of X, got shape {np.shape(y)}.")
    return labels


def scatter_labels(ax: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Draw the rows of `X` (n_rows, 2), one colour and marker per label in `y`."""
    markers = "os^Dv<>P"
    for index, label in enumerate(np.unique(y)):
        rows = X[np.ravel(y) == label]
        ax.scatter(
            rows[:, 0], rows[:, 1], s=10, color=palette()[index % len(palette())], marker=markers[index % len(markers)],
            edgecolors=text_color(), linewidths=0.4, label=str(label),
        )  # fmt: skip
