"""The computation graph: forward values and backward gradients with their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import FancyBboxPatch
from numpy.typing import ArrayLike

from .. import losses
from .._models import Gradients, ModelView, model_view
from ..layers import Dense
from ..losses import CANONICAL, Loss
from ._elision import elide
from ._style import muted_color, series_color, single_axes, text_color

__all__ = ["ComputationGraphDisplay", "GraphNode"]

_COLUMNS = {"parameters": 0.0, "forward": 1.0, "backward": 2.0, "gradients": 3.0}
_TITLES = {"parameters": "parameters", "forward": "forward ↓", "backward": "backward ↑", "gradients": "their gradients"}
_BOX_WIDTH, _BOX_HEIGHT = 0.86, 0.7


@dataclass(frozen=True)
class GraphNode:
    """One box of the graph.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Values by their symbol in the lecture, such as ``dZ[2]``.
    formula : str
        How they are computed; empty for inputs and parameters.
    row : int
        Row of the picture, counted from the top.
    column : {"parameters", "forward", "backward", "gradients"}
    """

    arrays: Mapping[str, np.ndarray]
    formula: str
    row: int
    column: str

    @property
    def name(self) -> str:
        """The symbols in the box."""
        return ", ".join(self.arrays)


class ComputationGraphDisplay:
    """Draw the forward values (downwards) beside the backward gradients (upwards) of one datapoint or batch.

    Each box shows the shape of its array and its values if there are at most three; otherwise the mean ± standard deviation
    of activations, and the Euclidean norm of parameters and gradients.

    It is recommended to use `from_estimator`.

    Parameters
    ----------
    nodes : list of GraphNode
    edges : list of (str, str)
        Names of the nodes at the tail and at the head of each arrow.
    elided : (int, str), default=None
        The row at which layers are left out, and what is written there.

    Attributes
    ----------
    ax_, figure_ : Axes and Figure
    boxes_ : dict of str to FancyBboxPatch
        By name of the node.

    References
    ----------
    Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): the computation graph.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(2, "softmax")], n_inputs=4, random_state=0)
    >>> display = ComputationGraphDisplay.from_estimator(net, [0.1, -0.3, 0.7, 0.2], 1)
    >>> list(display.boxes_)[:3]
    ['A[0] = X', 'W[1], b[1]', 'Z[1]']
    """

    def __init__(self, nodes: list[GraphNode], edges: list[tuple[str, str]], *, elided: tuple[int, str] | None = None) -> None:
        self.nodes = nodes
        self.edges = edges
        self.elided = elided

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        loss: str | Loss | None = None,
        max_layers: int = 5,
        ax: Any = None,
    ) -> ComputationGraphDisplay:
        """Draw the graph of a `Network` or fitted estimator at given data.

        Parameters
        ----------
        estimator : Network or fitted estimator
        X : array-like of shape (n_rows, n_features), or (n_features,) for one datapoint
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Targets, or class labels.
        loss : str or Loss, default=None
            None takes the one that the model was trained on, or the canonical one of its output activation.
        max_layers : int, default=5
            Maximum number of layers shown; of a deeper network, the first and last ones.
        ax : Axes, default=None

        Returns
        -------
        ComputationGraphDisplay

        Raises
        ------
        ValueError
            If `X` or `y` does not fit the network, or `max_layers` is less than 2.
        TypeError
            If the model is not a chain of dense layers.
        """
        view = model_view(estimator, as_trained=True)
        view.assert_dense_chain()
        view.assert_finite()
        Z, A = view.forward_pass(X)
        chosen = view.loss if loss is None else losses.get(loss, view.activations[-1])
        J, dZ_L = view.output_gradient(Z[-1], np.reshape(y, (len(Z[-1]), -1)), chosen)
        nodes, edges, elided = _graph(view, chosen, Z, A, J, view.backward_pass(Z, A, dZ_L), max_layers)
        return cls(nodes, edges, elided=elided).plot(ax)

    def plot(self, ax: Any = None) -> ComputationGraphDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None

        Returns
        -------
        ComputationGraphDisplay
        """
        n_rows = 1 + max(node.row for node in self.nodes)
        self.ax_ = single_axes(ax, (10.0, 0.5 + 0.78 * n_rows))
        self.figure_ = self.ax_.figure
        self.ax_.set(xlim=(-0.5, 3.5), ylim=(n_rows - 0.6, -1.0))
        self.ax_.set_axis_off()
        colors = {
            "parameters": text_color(),
            "forward": series_color(0),
            "backward": series_color(1),
            "gradients": series_color(1),
        }
        for column, title in _TITLES.items():
            self.ax_.text(_COLUMNS[column], -0.75, title, ha="center", va="center", color=colors[column], fontweight="bold")
        self.boxes_ = {node.name: self._draw_node(node, colors[node.column]) for node in self.nodes}
        places = {node.name: node for node in self.nodes}
        for tail, head in self.edges:
            self._draw_arrow(places[tail], places[head], colors[places[head].column])
        if self.elided is not None:
            row, label = self.elided
            for column in ("forward", "backward"):
                self.ax_.text(_COLUMNS[column], row, f"⋮  {label}", ha="center", va="center", color=muted_color(), gid="elision")
        for artist in (*self.ax_.texts, *self.ax_.patches):
            artist.set_in_layout(False)  # all lie inside the axes
        return self

    def _draw_node(self, node: GraphNode, color: Any) -> FancyBboxPatch:
        x = _COLUMNS[node.column]
        box = FancyBboxPatch(
            (x - _BOX_WIDTH / 2, node.row - _BOX_HEIGHT / 2), _BOX_WIDTH, _BOX_HEIGHT, facecolor="none", edgecolor=color,
            boxstyle="round,pad=0,rounding_size=0.06", mutation_aspect=2.0, linewidth=1.2,
        )  # fmt: skip
        self.ax_.add_patch(box)
        as_norm = node.column != "forward"
        heads = [f"{symbol} {_shape(value)}" for symbol, value in node.arrays.items()]
        if len(heads) == 1:
            (value,) = node.arrays.values()
            lines = [*heads, *filter(None, [node.formula]), _summary(value, as_norm, n_written=3)]
        else:
            values = [_summary(value, as_norm, n_written=1) for value in node.arrays.values()]
            lines = [f"{head}   {value}" for head, value in zip(heads, values, strict=True)]
        for index, line in enumerate(lines):
            height = node.row + 0.2 * (index - (len(lines) - 1) / 2)
            weight = "bold" if len(heads) == 1 and index == 0 else "normal"
            self.ax_.text(x, height, line, ha="center", va="center", fontsize=8.5, fontweight=weight)
        return box

    def _draw_arrow(self, tail: GraphNode, head: GraphNode, color: Any) -> None:
        start, end = (_COLUMNS[tail.column], float(tail.row)), (_COLUMNS[head.column], float(head.row))
        turn = "arc3"
        if tail.row == head.row:
            side = np.sign(end[0] - start[0]) * _BOX_WIDTH / 2
            start, end = (start[0] + side, start[1]), (end[0] - side, end[1])
        elif tail.column == head.column:
            side = np.sign(end[1] - start[1]) * _BOX_HEIGHT / 2
            start, end = (start[0], start[1] + side), (end[0], end[1] - side)
        else:
            start, end = (start[0] + _BOX_WIDTH / 2, start[1]), (end[0], end[1] + _BOX_HEIGHT / 2)
            turn = "angle,angleA=0,angleB=90,rad=4"
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0, "connectionstyle": turn}
        self.ax_.annotate("", end, start, arrowprops=arrow)


def _graph(
    view: ModelView,
    loss: Loss,
    Z: list[np.ndarray],
    A: list[np.ndarray],
    J: float,
    G: Gradients,
    max_layers: int,
) -> tuple[list[GraphNode], list[tuple[str, str]], tuple[int, str] | None]:
    """Lay out the shown layers, two rows each (Z and A), between the input row and the loss row."""
    L = view.n_layers
    layers = [int(unit) + 1 for unit in elide(L, max_layers, "max_layers").units]
    nodes = [GraphNode({"A[0] = X": A[0]}, "", 0, "forward")]
    edges = [("A[0] = X", "Z[1]")]
    elided, row = None, 0
    for l in layers:
        if l > 1 and l - 1 not in layers:
            row += 1
            elided = (row, f"{L - len(layers)} layers")
        name = {letter: f"{letter}[{l}]" for letter in ("A", "Z", "W", "b", "dA", "dZ", "dW", "db")}
        g = view.activations[l - 1].name
        down = _output_formula(view, loss) if l == L else f"{name['dA']} * g'({name['Z']})"
        nodes += [
            GraphNode({name["W"]: view.weights[l - 1], name["b"]: view.biases[l - 1]}, "", row + 1, "parameters"),
            GraphNode({name["Z"]: Z[l - 1]}, f"A[{l - 1}] {_product(view, l)} + {name['b']}", row + 1, "forward"),
            GraphNode({name["A"]: A[l]}, f"{g}({name['Z']})", row + 2, "forward"),
            GraphNode({name["dZ"]: G.dZ[l - 1]}, down, row + 1, "backward"),
            GraphNode({name["dW"]: G.dW[l - 1], name["db"]: G.db[l - 1]}, "", row + 1, "gradients"),
        ]
        edges += [
            (f"{name['W']}, {name['b']}", name["Z"]),
            (name["Z"], name["A"]),
            (name["dZ"], f"{name['dW']}, {name['db']}"),
        ]
        if l < L:
            nodes.append(GraphNode({name["dA"]: G.dA[l - 1]}, f"dZ[{l + 1}] {_product(view, l + 1, 'ᵀ')}", row + 2, "backward"))
            edges.append((name["dA"], name["dZ"]))
        if l > 1 and l - 1 in layers:
            edges += [(f"A[{l - 1}]", name["Z"]), (name["dZ"], f"dA[{l - 1}]")]
        row += 2
    nodes.append(GraphNode({"J": np.array(J)}, loss.name.replace("_", " "), row + 1, "forward"))
    return nodes, [*edges, (f"A[{L}]", "J"), ("J", f"dZ[{L}]")], elided


def _product(view: ModelView, l: int, transposed: str = "") -> str:
    """The second factor of a product with W[l], and what it is divided by in the neural tangent parametrisation."""
    layer = view.layers[l - 1]
    divided = f" / √{view.sizes[l - 1]}" if isinstance(layer, Dense) and layer.scale == "ntk" else ""
    return f"W[{l}]{transposed}{divided}"


def _output_formula(view: ModelView, loss: Loss) -> str:
    """Write ``dZ[L]`` out for the canonical pairs of output activation and loss, the chain rule for the others."""
    L, activation = view.n_layers, view.activations[-1].name
    canonical = {"identity": "squared_error", **CANONICAL}.get(activation)
    if loss.name == canonical and not loss.parameter:
        return f"(A[{L}] - Y) / m"
    return f"dJ/dA[{L}] * g'(Z[{L}])"


def _shape(value: np.ndarray) -> str:
    return f"({', '.join(str(n) for n in value.shape)}{',' if value.ndim == 1 else ''})" if value.ndim else ""


def _summary(value: np.ndarray, as_norm: bool, *, n_written: int) -> str:
    """Write out up to `n_written` numbers; for more, give the Euclidean norm or the mean and standard deviation."""
    if value.size <= n_written:
        return "  ".join(f"{number:.3g}" for number in np.ravel(value))
    if as_norm:
        return f"‖·‖ {np.linalg.norm(value):.2e}"
    return f"{value.mean():.2g} ± {value.std():.2g}"
