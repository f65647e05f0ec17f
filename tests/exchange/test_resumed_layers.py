"""Networks with layers of every kind, dropout and an optimiser with state: n epochs, a checkpoint and n more are 2n epochs."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn
from fastnet import checkpoint

M, LENGTH, WIDTH = 30, 6, 4
SERIES = {"input_shape": (LENGTH, WIDTH)}
IDS = {"input_shape": (LENGTH,)}


def block(**options):
    return fn.TransformerBlock(2, 8, dropout=0.1, **options)


#: Layers, options of the network, and whether rows have unequal lengths.
NETWORKS = {
    "dense": ([fn.Dense(5, dropout=0.2), fn.NumericEmbedding(), fn.Dense(3, "softmax")], {"n_inputs": WIDTH}),
    "packed": ([fn.Dense(5, dropout=0.2), fn.LayerNorm(), fn.Dense(3, "softmax")], {"n_inputs": WIDTH, "n_members": 3}),
    "batch-ensemble": ([fn.Dense(5), fn.Dense(3, "softmax")], {"n_inputs": WIDTH, "n_members": 3, "ensemble": "batch"}),
    "rnn": ([fn.RNN(5), fn.Dropout(0.2), fn.Dense(3, "softmax")], SERIES),
    "gru": ([fn.GRU(5, return_sequences=True), fn.Dropout(0.2), fn.GRU(4), fn.Dense(3, "softmax")], SERIES),
    "bidirectional": ([fn.Bidirectional(fn.LSTM(5)), fn.Dropout(0.2), fn.Dense(3, "softmax")], SERIES),
    "attention": ([fn.Attention(2, dropout=0.1), fn.GlobalPool(), fn.Dense(3, "softmax")], SERIES),
    "transformer": ([fn.Embedding(7, 4), fn.Positions(), block(), block(), fn.Last(), fn.Dense(3, "softmax")], IDS),
    "ragged-lstm": ([fn.LSTM(5), fn.Dropout(0.2), fn.Dense(3, "softmax")], {**SERIES, "ragged": True}),
    "ragged-conv": (
        [
            fn.Conv1d(5, 2, "identity", padding="causal", dropout=0.1), fn.BatchNorm("relu"), fn.GlobalPool("max"),
            fn.Dense(3, "softmax"),
        ],
        {**SERIES, "ragged": True},
    ),
    "ragged-transformer": ([fn.Embedding(7, 4), fn.Positions(), block(), fn.Dense(3, "softmax")], {**IDS, "ragged": True}),
    "packed-lstm": ([fn.LSTM(5), fn.Dropout(0.2), fn.Dense(3, "softmax")], {**SERIES, "n_members": 2}),
    "packed-ragged-transformer": (
        [fn.Positions(), block(), fn.GlobalPool(), fn.Dense(3, "softmax")],
        {**SERIES, "ragged": True, "n_members": 2},
    ),
    "encoder-decoder": (
        [
            fn.EncoderDecoder(
                [fn.Embedding(7, 4), fn.Positions(), block(), fn.LayerNorm()],
                [fn.Embedding(7, 4), fn.Positions(), block(causal=True, cross=True), fn.LayerNorm()],
            ),
            fn.Dense(3, "softmax"),
        ],
        {"source_shape": (5,), **IDS, "ragged": True},
    ),
}


def data(net):
    """Rows that the network can read, and classes for each row or, where the output has positions, for each of these."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, LENGTH + 1, M)

    def sequences(shape, lengths):
        draw = (lambda size: rng.integers(0, 7, size)) if len(shape) == 1 else rng.standard_normal
        return [draw((n, *shape[1:])) for n in lengths]

    if net.input_shape == (WIDTH,):
        return rng.standard_normal((M, WIDTH)), rng.integers(0, 3, M)
    ragged = bool(net._inputs.ragged)
    rows = sequences(net.input_shape, lengths if ragged else np.full(M, LENGTH))
    X = rows if ragged else np.array(rows)
    if net._inputs.source:
        X = sequences(net._inputs.source, rng.integers(1, 6, M)), rows
    of_positions = len(net.output_shape) > 1
    return X, [rng.integers(0, 3, n) for n in lengths] if of_positions else rng.integers(0, 3, M)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_checkpoint_between_two_halves_changes_no_bit(name, dtype, tmp_path):
    layers, options = NETWORKS[name]

    def network():
        return fn.Network(layers, **options, dtype=dtype, random_state=0)

    X, y = data(network())
    training = {"batch_size": 8, "random_state": 1, "optimizer": "adam", "learning_rate": fn.Cosine(0.01, n_steps=24)}
    whole, begun, resumed = network(), network(), network()
    history = whole.fit(X, y, epochs=6, **training)
    begun.fit(X, y, epochs=3, callbacks=[fn.Checkpoint(tmp_path)], **training)
    again = resumed.fit(X, y, epochs=6, callbacks=[fn.Checkpoint(tmp_path)], resume_from=checkpoint.latest(tmp_path), **training)
    assert resumed.params.tobytes() == whole.params.tobytes()
    assert again.loss == history.loss
    begun.fit(X, y, epochs=3, **training)  # what is not resumed begins the optimiser, the masks and the order of rows anew
    assert begun.params.tobytes() != whole.params.tobytes()
