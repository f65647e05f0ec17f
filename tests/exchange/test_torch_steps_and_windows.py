"""PyTorch in float64: each option of convolutions, pools, recurrent layers that return sequences, and positions."""

from __future__ import annotations

import math

import pytest
from torch_twins import assert_same_network, random_network, states_of

import fastnet as fn


def padded(nn, conv, *pad):
    """A convolution of nn that reads rows with zeros at their ends: left, right and perhaps above, below."""
    cls = type(conv)
    conv.__class__ = type(cls.__name__, (cls,), {"forward": lambda self, x: cls.forward(self, nn.functional.pad(x, pad))})
    return conv


def waves(torch, length, width):
    """The sinusoids of Vaswani et al. (2017), number by number."""
    pairs = [[t / 10000 ** ((i - i % 2) / width) for i in range(width)] for t in range(length)]
    numbers = [[math.cos(x) if i % 2 else math.sin(x) for i, x in enumerate(row)] for row in pairs]
    return torch.tensor(numbers, dtype=torch.float64)


#: A layer after one of three channels, the shape of a row, what PyTorch has in its place, and the numbers that it makes.
WINDOWS = {
    "avg-pool-1d": (fn.AvgPool(3, 2), (11, 2), lambda nn: nn.AvgPool1d(3, 2), 15),
    "avg-pool-2d": (fn.AvgPool((3, 2), (1, 2)), (7, 6, 2), lambda nn: nn.AvgPool2d((3, 2), (1, 2)), 45),
    "max-pool-overlapping": (fn.MaxPool(3, 1), (7, 6, 2), lambda nn: nn.MaxPool2d(3, 1), 60),
    "global-mean": (fn.GlobalPool(), (7, 6, 2), lambda nn: nn.AdaptiveAvgPool2d(1), 3),
    "global-max-1d": (fn.GlobalPool("max"), (11, 2), lambda nn: nn.AdaptiveMaxPool1d(1), 3),
    "global-max-2d": (fn.GlobalPool("max"), (7, 6, 2), lambda nn: nn.AdaptiveMaxPool2d(1), 3),
    "same-1d": (fn.Conv1d(4, 3, "tanh", padding="same"), (9, 2), lambda nn: nn.Conv1d(3, 4, 3, padding="same"), 36),
    "same-of-even-kernel": (
        fn.Conv1d(4, 4, "tanh", padding="same", dilation=3),
        (9, 2),
        lambda nn: nn.Conv1d(3, 4, 4, padding="same", dilation=3),
        36,
    ),
    "same-strided": (
        fn.Conv1d(4, 4, "tanh", stride=3, padding="same"),
        (10, 2),
        lambda nn: padded(nn, nn.Conv1d(3, 4, 4, stride=3), 1, 2),
        16,
    ),
    "same-2d": (
        fn.Conv2d(4, (2, 3), "tanh", padding="same", dilation=(2, 3)),
        (8, 9, 2),
        lambda nn: nn.Conv2d(3, 4, (2, 3), padding="same", dilation=(2, 3)),
        288,
    ),
    "same-2d-strided": (
        fn.Conv2d(4, (3, 2), "tanh", stride=2, padding="same"),
        (6, 7, 2),
        lambda nn: padded(nn, nn.Conv2d(3, 4, (3, 2), stride=2), 0, 1, 0, 1),
        48,
    ),
    "causal": (
        fn.Conv1d(4, 3, "tanh", padding="causal", dilation=2),
        (9, 2),
        lambda nn: padded(nn, nn.Conv1d(3, 4, 3, dilation=2), 4, 0),
        36,
    ),
    "causal-strided": (
        fn.Conv1d(4, 2, "tanh", stride=2, padding="causal"),
        (9, 2),
        lambda nn: padded(nn, nn.Conv1d(3, 4, 2, stride=2), 1, 0),
        20,
    ),
    "dilation-2d": (
        fn.Conv2d(4, 3, "tanh", stride=(1, 2), dilation=(2, 1), padding=(1, 0)),
        (8, 9, 2),
        lambda nn: nn.Conv2d(3, 4, 3, stride=(1, 2), dilation=(2, 1), padding=(1, 0)),
        96,
    ),
    "depthwise-causal": (
        fn.DepthwiseConv1d(3, "tanh", padding="causal", dilation=2),
        (9, 2),
        lambda nn: padded(nn, nn.Conv1d(3, 3, 3, dilation=2, groups=3), 4, 0),
        27,
    ),
    "depthwise-same": (
        fn.DepthwiseConv2d((3, 2), "tanh", padding="same", dilation=(1, 2)),
        (7, 6, 2),
        lambda nn: nn.Conv2d(3, 3, (3, 2), padding="same", dilation=(1, 2), groups=3),
        126,
    ),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name, rng):
    nn = pytest.importorskip("torch").nn
    layer, shape, module, n = WINDOWS[name]
    first, conv = (fn.Conv1d, nn.Conv1d) if len(shape) == 2 else (fn.Conv2d, nn.Conv2d)
    is_conv = hasattr(layer, "activation")
    flatten = [] if isinstance(layer, fn.GlobalPool) else [fn.Flatten()]
    net = random_network([first(3, 1, "tanh"), layer, *flatten, fn.Dense(2, "identity")], shape, rng)
    middle = [module(nn), nn.Tanh()] if is_conv else [module(nn)]
    sequential = nn.Sequential(conv(2, 3, 1), nn.Tanh(), *middle, nn.Flatten(), nn.Linear(n, 2))
    assert_same_network(net, sequential, rng.standard_normal((6, *shape)), rng.random((6, 2)), channels_first=True)


#: Two recurrent layers, and the same as PyTorch's modules.
SEQUENCES = {
    "rnn": (
        [fn.RNN(5, return_sequences=True), fn.RNN(4, "relu", return_sequences=True)],
        lambda nn: [states_of(nn, "RNN", 3, 5), states_of(nn, "RNN", 5, 4, nonlinearity="relu")],
        4,
    ),
    "gru": (
        [fn.GRU(5, return_sequences=True), fn.GRU(4, return_sequences=True)],
        lambda nn: [states_of(nn, "GRU", 3, 5), states_of(nn, "GRU", 5, 4)],
        4,
    ),
    "lstm": (
        [fn.LSTM(5, return_sequences=True), fn.LSTM(4, return_sequences=True)],
        lambda nn: [states_of(nn, "LSTM", 3, 5), states_of(nn, "LSTM", 5, 4)],
        4,
    ),
    "bidirectional": (
        [fn.Bidirectional(fn.LSTM(5, return_sequences=True)), fn.Bidirectional(fn.GRU(4, return_sequences=True))],
        lambda nn: [states_of(nn, "LSTM", 3, 5, bidirectional=True), states_of(nn, "GRU", 10, 4, bidirectional=True)],
        8,
    ),
    "bidirectional-rnn": (
        [fn.Bidirectional(fn.RNN(5, return_sequences=True)), fn.RNN(4, return_sequences=True)],
        lambda nn: [states_of(nn, "RNN", 3, 5, bidirectional=True), states_of(nn, "RNN", 10, 4)],
        4,
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_states_of_all_steps(name, rng):
    nn = pytest.importorskip("torch").nn
    layers, modules, width = SEQUENCES[name]
    net = random_network([*layers, fn.Flatten(), fn.Dense(2, "identity")], (7, 3), rng)
    sequential = nn.Sequential(*modules(nn), nn.Flatten(), nn.Linear(7 * width, 2))
    assert_same_network(net, sequential, rng.standard_normal((6, 7, 3)), rng.random((6, 2)))


@pytest.mark.parametrize("width", [6, 5])
def test_sinusoidal_positions(width, rng):
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Sinusoids(nn.Module):
        def forward(self, x):
            return x + waves(torch, 40, width)

    layers = [fn.Dense(width, "tanh"), fn.Positions("sinusoidal"), fn.LayerNorm(), fn.Flatten(), fn.Dense(2, "identity")]
    net = random_network(layers, (40, 3), rng)
    net.parameters["2.P"][...] = fn.Network(layers[1], input_shape=(40, width), dtype="float64").parameters["1.P"]
    sequential = nn.Sequential(
        nn.Linear(3, width), nn.Tanh(), Sinusoids(), nn.LayerNorm(width), nn.Flatten(), nn.Linear(40 * width, 2)
    )
    assert_same_network(net, sequential, rng.standard_normal((6, 40, 3)), rng.random((6, 2)))
