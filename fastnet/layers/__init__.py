"""Layers: what users describe a network with, one file a kind, and the operations of the core that they become."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnet import _checks
from fastnet.layers._base import Arrays, Layer, Operation, Segment
from fastnet.layers._graph import ENSEMBLES, Graph
from fastnet.layers._nodes import Inputs, Node
from fastnet.layers.attention import Attention, CrossAttention, TransformerBlock
from fastnet.layers.conv import Conv1d, Conv2d, DepthwiseConv1d, DepthwiseConv2d
from fastnet.layers.dense import Dense
from fastnet.layers.embedding import CategoryEmbedding, Embedding, NumericEmbedding, quantile_bins
from fastnet.layers.encoder_decoder import EncoderDecoder
from fastnet.layers.joins import Columns, Concat, Dropout, Flatten, Last, Reshape, Residual
from fastnet.layers.norm import BatchNorm, LayerNorm
from fastnet.layers.parametric import Parametric, PReLU
from fastnet.layers.pool import AvgPool, GlobalPool, MaxPool
from fastnet.layers.positions import FeatureTokens, Positions
from fastnet.layers.recurrent import GRU, LSTM, RNN, Bidirectional
from fastnet.layers.scale import Scale

__all__ = [
    "ENSEMBLES",
    "GRU",
    "LAYERS",
    "LSTM",
    "RNN",
    "Arrays",
    "Attention",
    "AvgPool",
    "Bidirectional",
    "BatchNorm",
    "CategoryEmbedding",
    "Columns",
    "Concat",
    "Conv1d",
    "Conv2d",
    "CrossAttention",
    "Dense",
    "DepthwiseConv1d",
    "DepthwiseConv2d",
    "Dropout",
    "Embedding",
    "EncoderDecoder",
    "FeatureTokens",
    "Flatten",
    "GlobalPool",
    "Gradients",
    "Graph",
    "Inputs",
    "Last",
    "Layer",
    "LayerNorm",
    "MaxPool",
    "Node",
    "NumericEmbedding",
    "Operation",
    "PReLU",
    "Parametric",
    "Positions",
    "Reshape",
    "Residual",
    "Scale",
    "Segment",
    "TransformerBlock",
    "chain",
    "quantile_bins",
    "zeros",
]

_CACHE_LINE = 64
_ROWS = (
    *(Dense, Scale, LayerNorm, BatchNorm, Dropout, Residual, Concat, Columns, Flatten, Last, Reshape),
    *(NumericEmbedding, CategoryEmbedding, Parametric, PReLU),
    *(Conv1d, Conv2d, DepthwiseConv1d, DepthwiseConv2d, MaxPool, AvgPool, GlobalPool),
    *(RNN, GRU, LSTM, Bidirectional),
    *(Embedding, Positions, Attention, CrossAttention, TransformerBlock, EncoderDecoder, FeatureTokens),
)

#: Class name -> class, one row a layer.
LAYERS: dict[str, type[Layer]] = {row.__name__: row for row in _ROWS}


def chain(layers: Any) -> tuple[Layer, ...]:
    """Layers that can follow each other, as a tuple; ValueError or TypeError otherwise."""
    layers = (layers,) if isinstance(layers, Layer) else _checks.sequence(layers, "layers", "[fastnet.Dense(1, 'sigmoid')]")
    if not layers:
        raise ValueError("A network needs at least one layer, got none.")
    for number, layer in enumerate(layers, 1):
        if isinstance(layer, type):
            name = layer.__name__
            raise TypeError(f"Layer {number} must be an object, got the class {name}: give {name}(...), with parentheses.")
        if not isinstance(layer, Layer):
            raise TypeError(f"Layer {number} must be a layer, got {layer!r}; write fastnet.Dense(n_units, activation), say.")
    for number, layer in enumerate(layers[:-1], 1):
        if getattr(layer, "activation", None) is not None and layer.activation.name == "softmax":
            raise ValueError(f"softmax is for the output layer only; layer {number} of {len(layers)} has it.")
    output = layers[-1]
    dropout = output.rate if isinstance(output, Dropout) else getattr(output, "dropout", 0.0)
    if dropout:
        raise ValueError(f"The output layer must have no dropout, got {dropout}.")
    if isinstance(output, Dense) and output.activation.name == "softmax" and output.n_units == 1:
        raise ValueError("softmax of one unit is always 1: use 2 units, or one with 'sigmoid'.")
    return layers


class Gradients(NamedTuple):
    """Gradient of the loss: one flat vector, and views of it in the shapes of the weights and biases.

    Attributes
    ----------
    flat : ndarray of shape (n_params,)
        In the order of `Network.params`; `Network.views` gives all of it by name.
    weights, biases : list of ndarray
        Of the dense layers, in the shapes of `Network.weights` and `Network.biases`.

    Examples
    --------
    >>> import fastnet as fn
    >>> net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(1, "identity")], n_inputs=2, random_state=0)
    >>> J, grads = net.loss_and_grad([[1.0, 2.0]], [1.0])
    >>> grads.flat.shape, grads.weights[0].shape, grads.biases[0].shape
    ((13,), (2, 3), (3,))
    """

    flat: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]


def zeros(n_params: int, dtype: np.dtype) -> np.ndarray:
    """A parameter vector, or a MemoryError that says how large it would have been.

    It begins with a cache line, so that vectors of weights lie in one each: 16 bytes beside, where NumPy begins large arrays, the
    products of single rows took 1.7 times as long.
    """
    try:
        room = np.zeros(n_params + _CACHE_LINE // dtype.itemsize, dtype)
        start = -room.__array_interface__["data"][0] % _CACHE_LINE // dtype.itemsize
        return room[start : start + n_params]
    except (MemoryError, ValueError, OverflowError):
        raise MemoryError(
            f"A network of {n_params:,} parameters needs {n_params * dtype.itemsize:,} bytes, and there is not enough memory: "
            "fewer or narrower layers need less."
        ) from None
