"""Small networks with layers of every kind, for the tests and the fuzzers."""

from __future__ import annotations

import numpy as np

import fastnet as fn

#: Rows of so many numbers are not made: a file of convolutions is valid for images of any size.
LARGE = 1_000_000


def networks() -> dict[str, fn.Network]:
    """Networks by what their layers are."""
    image = [fn.Conv2d(3, 3, "identity", dropout=0.1), fn.BatchNorm("relu"), fn.MaxPool(2), fn.Flatten()]
    series = [fn.DepthwiseConv1d(3, padding="same"), fn.Conv1d(2, 3, stride=2), fn.AvgPool(2), fn.GlobalPool()]
    steps = [fn.RNN(3, return_sequences=True), fn.Residual([fn.LayerNorm(), fn.Dense(3)]), fn.Last(), fn.Dropout(0.1)]
    both_ways = [fn.Bidirectional(fn.LSTM(3, return_sequences=True)), fn.GRU(2)]
    tokens = [fn.Embedding(7, 4), fn.Positions(), fn.TransformerBlock(2, 8), fn.Dense(3, "softmax")]
    columns = [[fn.NumericEmbedding("pbld", columns=[0, 1])], [fn.CategoryEmbedding([4], n_units=3, columns=[2])]]
    table = [fn.Concat(*columns), fn.Scale(), fn.Dense(4, "identity", scale="ntk"), fn.Parametric("selu"), fn.PReLU()]
    return {
        "convolutions of images": fn.Network([*image, fn.Dense(2, "softmax")], input_shape=(6, 6, 1), random_state=0),
        "convolutions of series": fn.Network([*series, fn.Dense(2, "tanh")], input_shape=(9, 2), random_state=0),
        "recurrences": fn.Network([*steps, fn.Dense(1, "identity")], input_shape=(5, 2), random_state=0),
        "recurrences of ragged rows": fn.Network(both_ways, input_shape=(5, 2), ragged=True, random_state=0),
        "transformer of ragged rows": fn.Network(tokens, input_shape=(5,), ragged=True, random_state=0),
        "transformer of tables": fn.Network([fn.FeatureTokens(4), fn.Attention(2), fn.Last()], n_inputs=3, random_state=0),
        "ensemble": fn.Network([*table, fn.Dense(2, "softmax")], n_inputs=3, n_members=2, random_state=0),
    }


def assert_predicts(network: fn.Network) -> None:
    """Two rows have outputs of the network's size, unless such rows are large."""
    if network.n_inputs < LARGE:
        shape = (network.n_inputs,) if network.source_shape else network.input_shape
        X = np.full((2, *shape), 0.5, network.dtype)
        assert network.forward(X).reshape(2, -1).shape == (2, network.n_outputs)
