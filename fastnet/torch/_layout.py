"""Where torch has the numbers of each parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fastnet.layers import Dense, FeatureTokens, Graph, Layer, LayerNorm, Node, NumericEmbedding
from fastnet.layers.conv import Convolution, DepthwiseConvolution
from fastnet.layers.dense import Linear
from fastnet.layers.embedding import Lookup, Places, Waves
from fastnet.layers.joins import Selection, Side, Sum
from fastnet.layers.norm import BatchNormalisation, Normalisation
from fastnet.layers.parametric import Interpolation
from fastnet.layers.recurrent import Recurrence
from fastnet.layers.scale import Scaling
from fastnet.torch._modules import Kinds, Module, has_channels_last, kinds

_ELEMENTWISE = (Normalisation, BatchNormalisation, Interpolation, Scaling)

#: What cross attention reads: its own rows and those of the encoder.
_CROSS = (".q.W", ".kv.W")


class Layout:
    """Torch's layout of the parameters of a network.

    Parameters
    ----------
    layers : sequence of Layer
    graph : Graph
        That of these layers.

    Raises
    ------
    TypeError
        Layers that depend on the order of a row's numbers where torch's order is another.
    """

    def __init__(self, layers: Sequence[Layer], graph: Graph) -> None:
        self._row_shapes = graph.row_shapes
        self._nodes = {name: node for name, _, node in graph.segments()}
        self._channels_first = not has_channels_last(layers)
        self._orders = _orders(graph, self._channels_first)

    def kinds(self, module: Module) -> Kinds:
        """The parameters of a module, under the names that they have in fastnet."""
        path = f"{module.path}."
        maps = [node.operation for name, node in self._nodes.items() if name.startswith(path) and name.endswith(_CROSS)]
        found = kinds(module.layer, two_widths=len({operation.n_in for operation in maps if isinstance(operation, Linear)}) > 1)
        return {kind: tuple(path + segment for segment in segments) for kind, segments in found.items()}

    def array(self, module: Module, kind: str, names: Sequence[str], parameters: Mapping[str, np.ndarray]) -> np.ndarray:
        """A parameter of a module, from the arrays of fastnet's parameters."""
        whole = np.concatenate([parameters[name] for name in names], axis=-1) if len(names) > 1 else parameters[names[0]]
        if kind.endswith(("k_proj_weight", "v_proj_weight")):
            whole = np.hsplit(whole, 2)[kind.endswith("v_proj_weight")]
        return self._arranged(module, self._nodes[names[0]], whole)

    def factor(self, names: Sequence[str]) -> float:
        """What a parameter of fastnet's is times, to be torch's."""
        operation = self._nodes[names[0]].operation
        return operation.factor if isinstance(operation, Linear) and names[0].endswith(".W") else 1.0

    def _arranged(self, module: Module, node: Node, array: np.ndarray) -> np.ndarray:
        operation, source = node.operation, node.sources[0]
        shape, order = self._row_shapes[source], self._orders[source]
        if isinstance(module.layer, (Dense, LayerNorm)) and len(shape) > 1 and self._channels_first:
            raise TypeError(
                f"layer {module.path}, {type(module.layer).__name__}, reads rows of shape {shape}, whose channels torch has "
                "first: it is no module of an nn.Sequential. A convolution of kernel_size=1 is the same as Dense"
            )
        match operation:
            case DepthwiseConvolution() if array.ndim > 1:
                return np.moveaxis(array, -1, 0)[:, None]
            case Convolution() if array.ndim > 1:
                return np.moveaxis(array, (-1, -2), (0, 1))
            case Linear() if isinstance(module.layer, NumericEmbedding):
                return array if operation.groups > 1 else array[None]
            case Linear() if isinstance(module.layer, FeatureTokens):
                return array.reshape(-1, operation.n_units)
            case Linear() | Recurrence() if array.ndim > 1:
                return (array[order] if len(shape) == 1 else array).T
            case Scaling() | Interpolation():
                return array[order].reshape((shape[-1], *shape[:-1]) if self._channels_first else shape)
            case Normalisation() | BatchNormalisation() if len(shape) == 1:
                return array[order]
        return array


def _orders(graph: Graph, channels_first: bool) -> list[np.ndarray]:
    """Of what each operation makes, X first: the numbers of a row in torch's order."""
    orders: list[np.ndarray] = []
    for number, shape in enumerate(graph.row_shapes):
        node = graph.nodes[number - 1] if number else None
        if len(shape) > 1 and channels_first:
            orders.append(np.moveaxis(np.arange(math.prod(shape)).reshape(shape), -1, 0).ravel())
        elif node is None:
            orders.append(np.arange(math.prod(shape)))
        else:
            orders.append(_order_of_flat_rows(graph, node, orders))
        if node is not None:
            _check_orders(graph, node, shape, orders)
    return orders


def _order_of_flat_rows(graph: Graph, node: Node, orders: Sequence[np.ndarray]) -> np.ndarray:
    operation, of_sources = node.operation, [orders[source] for source in node.sources]
    if isinstance(operation, (Sum, *_ELEMENTWISE)):
        return of_sources[0]
    if isinstance(operation, Side) and operation.groups == 1:
        starts = np.cumsum([0, *operation.widths[:-1]])
        return np.concatenate([start + order for start, order in zip(starts, of_sources, strict=True)])
    return np.arange(operation.n_out)


def _check_orders(graph: Graph, node: Node, shape: tuple[int, ...], orders: Sequence[np.ndarray]) -> None:
    """TypeError if an operation depends on the order of numbers that torch has in another one."""
    first, *others = (orders[source] for source in node.sources)
    of_flat = len(graph.row_shapes[node.sources[0]]) == 1
    by_place = isinstance(node.operation, (Waves, Places, Lookup)) or (
        of_flat and (isinstance(node.operation, Selection) or len(shape) > 1)
    )
    if by_place and not np.array_equal(first, np.arange(len(first))):
        raise TypeError(
            f"layer {node.path} reads the numbers of a row by their places, and torch has them in another order, channels first: "
            "it is no module of an nn.Sequential. Put a Dense layer before it, whose outputs have one order"
        )
    if isinstance(node.operation, Sum) and any(not np.array_equal(first, order) for order in others):
        raise TypeError(
            f"layer {node.path} adds numbers that torch has in two orders, as Flatten has channels first in torch: it is no "
            "module of an nn.Sequential. Put a Dense layer between Flatten and Residual"
        )
