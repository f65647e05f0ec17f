"""The network graph: neurons as nodes, weights as edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import Collection, LineCollection, PolyCollection
from matplotlib.colors import Normalize

from .._models import model_view
from ..layers import Dense
from ._elision import Column, elide
from ._style import diverging_map, muted_color, single_axes, text_color

__all__ = ["NetworkDisplay"]


class NetworkDisplay:
    """Draw a network as a graph whose edges are coloured and sized by weight, and whose nodes are filled by bias.

    A layer of more than `max_units` units shows its first and last ones around an elision mark. Layers that are not dense, and
    layers of ensembles, are drawn as a grey band instead of edges, between as many nodes as they have inputs and outputs. It is
    recommended to use `from_estimator`.

    Parameters
    ----------
    weights : sequence of ndarray of shape (n[l-1], n[l]), or None for a band
    biases : sequence of ndarray of shape (n[l],), or None for nodes without fill
    sizes : sequence of int of length L + 1, default=None
        Number of units in each column, the inputs first; None takes them from the weights, none of which may then be None.
    layer_names : sequence of str of length L + 1
        Text under each column; the number of units is added to it.
    shapes : sequence of tuple of int of length L + 1, default=None
        What is added in place of the numbers of units: positions and channels, where rows have positions.
    feature_names, output_names : sequence of str or None
        Names of the inputs and outputs.

    Attributes
    ----------
    ax_, figure_ : Axes and Figure
    edges_ : list of LineCollection, or PolyCollection for a band
        One per layer.
    nodes_ : list of PathCollection
        One per column, the inputs first.

    References
    ----------
    Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): the picture of the multilayer perceptron.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(2, "softmax")], n_inputs=4, random_state=0)
    >>> display = NetworkDisplay.from_estimator(net, output_names=["no", "yes"])
    >>> [len(nodes.get_offsets()) for nodes in display.nodes_]
    [4, 3, 2]
    """

    def __init__(
        self,
        weights: Sequence[np.ndarray | None],
        biases: Sequence[np.ndarray | None],
        *,
        layer_names: Sequence[str],
        sizes: Sequence[int] | None = None,
        shapes: Sequence[tuple[int, ...]] | None = None,
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.weights = weights
        self.biases = biases
        self.sizes = sizes
        self.shapes = shapes
        self.layer_names = layer_names
        self.feature_names = feature_names
        self.output_names = output_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        max_units: int = 10,
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> NetworkDisplay:
        """Draw a `Network` or a fitted estimator.

        Parameters
        ----------
        estimator : Network or fitted estimator
        max_units : int, default=10
            Maximum number of nodes shown in a column.
        feature_names, output_names : sequence of str, default=None
            None takes the names that the estimator learned in fit, if any.
        ax : Axes, default=None
            None makes a new figure.

        Returns
        -------
        NetworkDisplay
        """
        view = model_view(estimator, as_trained=True)
        view.assert_finite()
        n_members = view.graph.n_members
        shapes = [view.graph.row_shapes[end] for end in (view.graph.starts[0], *view.ends)]
        is_flat = [n_members == 1 and len(shape) == 1 for shape in shapes[1:]]
        drawn = [isinstance(layer, Dense) and flat for layer, flat in zip(view.layers, is_flat, strict=True)]
        numbers = [number if edges else None for number, edges in enumerate(drawn, start=1)]
        names = view.layer_names
        if n_members > 1:
            names[-1] += f", mean of {n_members}"
        display = cls(
            [None if number is None else view.parameters[f"{number}.W"] for number in numbers],
            [None if number is None else view.parameters[f"{number}.b"] for number in numbers],
            sizes=view.sizes,
            shapes=shapes,
            layer_names=["input", *names],
            feature_names=view.feature_names if feature_names is None else feature_names,
            output_names=view.output_names if output_names is None else output_names,
        )
        return display.plot(ax, max_units=max_units)

    def plot(self, ax: Any = None, *, max_units: int = 10) -> NetworkDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
        max_units : int, default=10
            Maximum number of nodes shown in a column.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        ValueError
            If the number of names is not the number of inputs or outputs, or `max_units` is less than 2.
        """
        sizes = _sizes(self.weights) if self.sizes is None else self.sizes
        _check_names("feature_names", self.feature_names, sizes[0])
        _check_names("output_names", self.output_names, sizes[-1])
        columns = [elide(size, max_units) for size in sizes]
        n_slots = max(column.n_slots for column in columns)

        figsize = (min(2.0 + 1.4 * len(sizes), 18.0), 1.2 + 0.36 * max(n_slots, 4))
        self.ax_ = single_axes(ax, figsize)
        self.figure_ = self.ax_.figure
        self.ax_.set_ylim(-n_slots / 2 - 0.1, n_slots / 2 + 0.1)
        self.ax_.set_xlim(-0.4, len(sizes) - 0.6)

        shown = [
            None if W is None else W[np.ix_(source.units, target.units)]
            for W, source, target in zip(self.weights, columns, columns[1:], strict=False)
        ]
        shown_biases = [None if b is None else b[column.units] for b, column in zip(self.biases, columns[1:], strict=True)]
        coloured = [values for values in [*shown, *shown_biases] if values is not None]
        limit = max((np.abs(values).max() for values in coloured), default=0.0) or 1.0
        norm = Normalize(-limit, limit)

        self.edges_ = [self._draw_layer(layer, W, columns[layer], columns[layer + 1], norm) for layer, W in enumerate(shown)]
        diameter = _node_diameter(self.ax_, n_slots)
        self.nodes_ = [
            self._draw_nodes(position, column, None if position == 0 else shown_biases[position - 1], norm, diameter)
            for position, column in enumerate(columns)
        ]
        self._write_names(columns, diameter)
        self._label_columns(sizes)
        if coloured:
            scale = mpl.cm.ScalarMappable(norm, diverging_map())
            bar = self.figure_.colorbar(scale, ax=self.ax_, shrink=0.7, pad=0.02)
            bar.set_label("weight (edge), bias (node)")
            bar.outline.set_visible(False)
        return self

    def _draw_layer(self, layer: int, W: np.ndarray | None, source: Column, target: Column, norm: Normalize) -> Collection:
        return self._draw_band(layer, source, target) if W is None else self._draw_edges(layer, W, source, target, norm)

    def _draw_band(self, layer: int, source: Column, target: Column) -> PolyCollection:
        corners = [
            (layer, source.heights.min() - 0.3), (layer, source.heights.max() + 0.3),
            (layer + 1, target.heights.max() + 0.3), (layer + 1, target.heights.min() - 0.3),
        ]  # fmt: skip
        band = PolyCollection([corners], facecolors=[muted_color()], alpha=0.25, linewidths=0, zorder=1)
        return self.ax_.add_collection(band, autolim=False)

    def _draw_edges(self, layer: int, W: np.ndarray, source: Column, target: Column, norm: Normalize) -> LineCollection:
        order = np.argsort(np.abs(W), axis=None, kind="stable")
        rows, columns = np.unravel_index(order, W.shape)
        segments = np.empty((W.size, 2, 2))
        segments[:, :, 0] = layer, layer + 1
        segments[:, 0, 1] = source.heights[rows]
        segments[:, 1, 1] = target.heights[columns]
        values = W[rows, columns]
        edges = LineCollection(
            list(segments), cmap=diverging_map(), norm=norm, linewidths=0.4 + 2.6 * np.abs(values) / norm.vmax, zorder=1
        )
        edges.set_array(values)
        return self.ax_.add_collection(edges, autolim=False)

    def _draw_nodes(self, position: int, column: Column, biases: np.ndarray | None, norm: Normalize, diameter: float) -> Any:
        if column.gap is not None:
            self.ax_.text(
                position, column.gap, "⋮", ha="center", va="center", color=text_color(), fontsize="large", zorder=3,
                gid="elision",
            )  # fmt: skip
        fill = (
            {"color": mpl.rcParams["axes.facecolor"]} if biases is None else {"c": biases, "cmap": diverging_map(), "norm": norm}
        )
        x = np.full(len(column.units), float(position))
        return self.ax_.scatter(x, column.heights, s=diameter**2, **fill, edgecolors=text_color(), linewidths=1.0, zorder=2)

    def _write_names(self, columns: Sequence[Column], diameter: float) -> None:
        ends = ((0, self.feature_names, -1, "right"), (len(columns) - 1, self.output_names, 1, "left"))
        for position, names, side, align in ends:
            if names is None:
                continue
            for unit, height in zip(columns[position].units, columns[position].heights, strict=True):
                self.ax_.annotate(
                    str(names[unit]), (position, height), (side * (diameter / 2 + 4), 0), textcoords="offset points",
                    ha=align, va="center", fontsize="small", annotation_clip=False,
                )  # fmt: skip

    def _label_columns(self, sizes: Sequence[int]) -> None:
        shapes = [(size,) for size in sizes] if self.shapes is None else self.shapes
        labels = [f"{name}\n{' × '.join(map(str, shape))}" for name, shape in zip(self.layer_names, shapes, strict=True)]
        crowded = len(sizes) > 12
        if crowded:
            labels = [label.replace("\n", " ") for label in labels]
        self.ax_.set_xticks(range(len(sizes)), labels, rotation=90 if crowded else 0)
        self.ax_.set_yticks([])
        self.ax_.tick_params(length=0)
        self.ax_.grid(False)
        self.ax_.spines[:].set_visible(False)


def _sizes(weights: Sequence[np.ndarray | None]) -> list[int]:
    shapes = [W.shape for W in weights if W is not None]
    if len(shapes) != len(weights):
        raise ValueError("Weights that are None do not say how many units there are: give sizes, the inputs first.")
    return [shapes[0][0], *(n_units for _, n_units in shapes)]


def _check_names(parameter: str, names: Sequence[str] | None, expected: int) -> None:
    if names is not None and len(names) != expected:
        raise ValueError(f"{parameter} holds {len(names)} names, but the network has {expected}: give one name per unit.")


def _node_diameter(ax: Any, n_slots: int) -> float:
    """Return the diameter in points at which nodes one slot apart leave a gap."""
    spacing = ax.get_window_extent().height / ax.figure.dpi * 72 / (n_slots + 0.2)
    return float(np.clip(0.62 * spacing, 3.0, 18.0))
