"""The plain NumPy twin of the core, which tests and diagnosis use: methods of `Graph`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastnet.layers._graph import Graph


def forward(
    self: Graph, parameters: Mapping[str, np.ndarray], X: np.ndarray, *, training: bool = False
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """[Z[1], ..., Z[L]] and [A[0], ..., A[L]] of all operations, in plain NumPy; the last activation goes by members.

    With `training`, X is a batch, whose rows may depend on each other.
    """
    Z, A = [], [X]
    for node in self.nodes:
        forward = node.operation.forward_of_batch if training else node.operation.forward
        Z.append(forward(self.arrays(node, parameters), *(A[source] for source in node.sources)))
        groups = self.n_members * self.n_positions if node is self.nodes[-1] else 1
        A.append(node.operation.activation(Z[-1].reshape(len(X), groups, -1)).reshape(Z[-1].shape))
    return Z, A


def backward(
    self: Graph, parameters: Mapping[str, np.ndarray], Z: list[np.ndarray], A: list[np.ndarray], dZ: np.ndarray
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Gradients of all segments by name, and dA of X and all operations, from dZ[L], in plain NumPy."""
    gradients = {name: np.zeros_like(array) for name, array in parameters.items()}
    dA = [np.zeros_like(a) for a in A]
    for number in range(len(self.nodes), 0, -1):
        node = self.nodes[number - 1]
        if number < len(self.nodes):
            dZ = dA[number] * node.operation.activation.derivative(Z[number - 1])
        dA_of, own = node.operation.backward(self.arrays(node, parameters), tuple(A[s] for s in node.sources), dZ)
        for name, gradient in own.items():
            node.own(gradients[f"{node.path}.{name}"])[...] = gradient
        for source, d in zip(node.sources, dA_of, strict=True):
            dA[source] += d
    return gradients, dA
