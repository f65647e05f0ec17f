"""State dicts of layers that torch.nn has no module for: with the modules that docs/exchange.md defines, and without PyTorch."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import ROOT, assert_agree
from layer_networks import HIDDEN, N_IN, POSITIONED, build, rows
from torch_twins import assert_same_gradients, assert_same_network, attention_of, load, random_network, states_of

import fastnet as fn
from fastnet.layers import LAYERS, Layer
from fastnet.torch import from_torch_state_dict, to_torch_state_dict
from fastnet.torch._modules import KINDS

BINS = [[-1.0, -0.2, 0.3, 2.0], [0.0, 0.5], [-2.0, 0.1, 0.9], [-0.5, 0.5, 0.6, 0.7]]


@pytest.fixture(scope="module")
def defined():
    """PyTorch's nn, and the modules of docs/exchange.md."""
    pytest.importorskip("torch")
    page = ROOT / "docs" / "exchange.md"
    if not page.exists():
        pytest.skip("not in a source tree")
    code = re.search(r"^```text\n(import torch\n.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1]
    names: dict[str, object] = {}
    exec(compile(code, page, "exec"), names)
    return SimpleNamespace(**names)


#: Layers, shape of a row, and the same as PyTorch's modules.
NETWORKS = {
    "residual": (
        [fn.Dense(5, "tanh"), fn.Residual([fn.LayerNorm(), fn.Dense(7, "silu"), fn.Residual([fn.Dense(7)])
         , fn.Dense(5, "identity")], "tanh"), fn.Dense(3, "identity")],
        (4,),
        lambda d, nn: [
            nn.Linear(4, 5), nn.Tanh(), d.Residual(
                nn.LayerNorm(5), nn.Linear(5, 7), nn.SiLU(), d.Residual(nn.Linear(7, 7), nn.ReLU()), nn.Linear(7, 5),
            ), nn.Tanh(), nn.Linear(5, 3),
        ],
    ),
    "concat": (
        [fn.Concat([], [fn.Columns([2, 0, 0])], [fn.Dense(3, "sigmoid", dropout=0.1), fn.Scale()]), fn.Dense(3, "identity")],
        (4,),
        lambda d, nn: [
            d.Concat(
                nn.Sequential(), nn.Sequential(d.Columns([2, 0, 0])),
                nn.Sequential(nn.Linear(4, 3), nn.Sigmoid(), nn.Dropout(0.0), d.Scale(3)),
            ), nn.Linear(10, 3),
        ],
    ),
    "scale": (
        [
            fn.Scale(), fn.Dense(5, "tanh"), fn.Scale(bias=True), fn.Parametric("mish", dropout=0.1), fn.Parametric("selu"),
            fn.Dense(3),
        ],
        (4,),
        lambda d, nn: [
            d.Scale(4), nn.Linear(4, 5), nn.Tanh(), d.Scale(5, bias=True), d.Parametric(nn.Mish(), 5), nn.Dropout(0.0),
            d.Parametric(nn.SELU(), 5), nn.Linear(5, 3), nn.ReLU(),
        ],
    ),
    "pbld": (
        [fn.NumericEmbedding("pbld", n_frequencies=5), fn.Dense(3, "identity")],
        (4,),
        lambda d, nn: [d.NumericEmbedding(4, n_frequencies=5), nn.Linear(16, 3)],
    ),
    "plr-of-one-column": (
        [fn.NumericEmbedding("plr", n_frequencies=3, n_units=5, columns=[2]), fn.Dense(3, "identity")],
        (4,),
        lambda d, nn: [d.NumericEmbedding(1, "plr", 5, 3, columns=[2], g=nn.ReLU()), nn.Linear(5, 3)],
    ),
    "piecewise": (
        [fn.NumericEmbedding("piecewise_linear", bins=BINS, n_units=3, activation="tanh"), fn.Dense(3, "identity")],
        (4,),
        lambda d, nn: [d.NumericEmbedding(4, "piecewise_linear", 3, bins=BINS, g=nn.Tanh()), nn.Linear(12, 3)],
    ),
    "table": (
        [
            fn.Concat([fn.NumericEmbedding(columns=[0, 1])], [fn.CategoryEmbedding([3, 2], 2, columns=[2, 3])]),
            fn.Dense(3, "identity"),
        ],
        (4,),
        lambda d, nn: [
            d.Concat(nn.Sequential(d.NumericEmbedding(2, columns=[0, 1])),
                     nn.Sequential(d.CategoryEmbedding([3, 2], 2, columns=[2, 3]))),
            nn.Linear(12, 3),
        ],
    ),
    "images": (
        [
            fn.Reshape((5, 4, 3)),
            fn.Residual([fn.Concat([fn.Conv2d(2, 3, "tanh", padding="same")], [fn.Conv2d(1, 1, "tanh")])], "silu"),
            fn.Scale(bias=True), fn.Parametric("tanh"), fn.PReLU(0.1),
            fn.Concat([fn.MaxPool(2), fn.Flatten(), fn.Residual([fn.LayerNorm(), fn.PReLU()]), fn.Scale()], [fn.GlobalPool()],
                      [fn.Columns([3, 1, 58])], [fn.Reshape((5, 2, 6)), fn.Conv2d(1, 2, "relu"), fn.Reshape((4,))]),
            fn.Dense(3, "identity"),
        ],
        (60,),
        lambda d, nn: [
            d.Reshape(5, 4, 3),
            d.Residual(d.Concat(
                nn.Sequential(nn.Conv2d(3, 2, 3, padding="same"), nn.Tanh()), nn.Sequential(nn.Conv2d(3, 1, 1), nn.Tanh()),
            )),
            nn.SiLU(), d.Scale(3, 5, 4, bias=True), d.Parametric(nn.Tanh(), 3, 5, 4), d.PReLU(3, 5, 4),
            d.Concat(
                nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), d.Residual(nn.LayerNorm(12), nn.PReLU(12)), d.Scale(12)),
                nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                nn.Sequential(d.Columns([3, 1, 58])),
                nn.Sequential(d.Reshape(5, 2, 6), nn.Conv2d(6, 1, 2), nn.ReLU(), nn.Flatten()),
            ),
            nn.Linear(22, 3),
        ],
    ),
    "series": (
        [
            fn.Concat([fn.GRU(4, return_sequences=True)], [], [fn.Dense(2, "tanh"), fn.Scale()]), fn.Residual([fn.PReLU(0.1)]),
            fn.Residual([fn.LayerNorm(), fn.Attention(2)]), fn.Reshape((10, 4)), fn.Columns([39, 0, 7]), fn.Dense(3, "identity"),
        ],
        (5, 2),
        lambda d, nn: [
            d.Concat(nn.Sequential(states_of(nn, "GRU", 2, 4)), nn.Sequential(),
                     nn.Sequential(nn.Linear(2, 2), nn.Tanh(), d.Scale(5, 2)), channels=-1),
            d.Residual(d.PReLU(5, 8)), d.Residual(nn.LayerNorm(8), attention_of(nn, 8, 2)), d.Reshape(10, 4, channels=-1),
            d.Columns([39, 0, 7], channels=-1), nn.Linear(3, 3),
        ],
    ),
    "tokens": (
        [
            fn.Concat([fn.CategoryEmbedding([3, 2], 4, columns=[2, 3])], [fn.FeatureTokens(4, columns=[0, 1]), fn.Flatten()]),
            fn.Reshape((5, 4)), fn.TransformerBlock(2, 6), fn.Columns(range(16, 20)), fn.LayerNorm(), fn.Dense(3, "identity"),
        ],
        (4,),
        lambda d, nn: [
            d.Concat(nn.Sequential(d.CategoryEmbedding([3, 2], 4, columns=[2, 3])),
                     nn.Sequential(d.FeatureTokens(2, 4, columns=[0, 1]), nn.Flatten())),
            d.Reshape(5, 4, channels=-1), nn.TransformerEncoderLayer(4, 2, 6, 0.0, "gelu", batch_first=True, norm_first=True),
            d.Columns(range(16, 20), channels=-1), nn.LayerNorm(4), nn.Linear(4, 3),
        ],
    ),
    "tokens-of-one-number": (
        [fn.FeatureTokens(4, columns=[3]), fn.Flatten(), fn.Dense(3, "identity")],
        (4,),
        lambda d, nn: [d.FeatureTokens(1, 4, columns=[3]), nn.Flatten(), nn.Linear(8, 3)],
    ),
}  # fmt: skip


def rows_of(shape, rng):
    """Rows of numbers; in flat ones of four, the last two may be codes."""
    X = rng.standard_normal((20, *shape))
    if shape == (N_IN,):
        X[:, 2:] = rng.integers(-1, 5, (20, 2))
    return X


@pytest.mark.parametrize("name", NETWORKS)
class TestModules:
    def test_outputs_and_gradients(self, name, defined, rng):
        """PyTorch's modules with the state dict: the same outputs, and the same gradients under its names."""
        layers, shape, modules = NETWORKS[name]
        net = random_network(layers, shape, rng)
        sequential = defined.nn.Sequential(*modules(defined, defined.nn))
        assert_same_network(net, sequential, rows_of(shape, rng), rng.random((20, 3)))

    def test_state_dict_of_torch(self, name, defined, rng):
        layers, shape, modules = NETWORKS[name]
        sequential = defined.nn.Sequential(*modules(defined, defined.nn)).double()
        state = {key: defined.torch.tensor(rng.standard_normal(array.shape)) for key, array in sequential.state_dict().items()}
        sequential.load_state_dict(state)
        net = from_torch_state_dict(state, layers=layers, input_shape=shape)
        X = rows_of(shape, rng)
        assert_agree(net.forward(X), sequential(defined.torch.tensor(X)).detach().numpy())


@pytest.mark.parametrize("encoder_width", [8, 6])
class TestEncoderDecoder:
    """Sources of unequal length, and two blocks of a decoder, whose width may differ from the encoder's."""

    LENGTHS = (5, 2, 4)

    @staticmethod
    def network(encoder_width):
        encoder = [fn.Dense(encoder_width, "tanh"), fn.TransformerBlock(2, 12), fn.LayerNorm()]
        decoder = [fn.Dense(8, "identity"), *[fn.TransformerBlock(2, 12, causal=True, cross=True)] * 2]
        layers = [fn.EncoderDecoder(encoder, decoder), fn.LayerNorm(), fn.Dense(3, "softmax")]
        return fn.Network(layers, source_shape=(5, 4), input_shape=(6, 8), ragged=True, dtype="float64", random_state=0)

    @staticmethod
    def model(defined, width):
        """The modules, with a `forward` that hides what sources do not have."""
        torch, nn = defined.torch, defined.nn
        options = {"batch_first": True, "norm_first": True}
        blocks = [nn.TransformerDecoderLayer(8, 2, 12, 0.0, "gelu", **options) for _ in range(2)]
        for block in blocks:
            block.multihead_attn = nn.MultiheadAttention(8, 2, kdim=width, vdim=width, batch_first=True)
        encoder = nn.TransformerEncoderLayer(width, 2, 12, 0.0, "gelu", **options)
        both = defined.EncoderDecoder(
            [nn.Linear(4, width), nn.Tanh(), encoder, nn.LayerNorm(width)], [nn.Linear(8, 8), nn.Identity(), *blocks]
        )

        class Model(nn.ModuleList):
            def forward(self, sources, rows, lengths):
                hidden = torch.arange(5) >= lengths[:, None]
                mask = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
                padding = encoder.register_forward_pre_hook(
                    lambda _, args, more: (args, {**more, "src_key_padding_mask": hidden}), with_kwargs=True
                )
                rows = self[0](sources, rows, tgt_mask=mask, tgt_is_causal=True, memory_key_padding_mask=hidden)
                padding.remove()
                return self[2](self[1](rows))

        return Model([both, nn.LayerNorm(8), nn.Linear(8, 3)])

    def test_outputs_and_gradients(self, encoder_width, defined, rng):
        torch, net = defined.torch, self.network(encoder_width)
        net.params[:] += 0.3 * rng.standard_normal(net.n_params)
        model = load(self.model(defined, encoder_width), net)
        sources, rows = [rng.standard_normal((n, 4)) for n in self.LENGTHS], rng.standard_normal((3, 6, 8))
        y = rng.integers(0, 3, (3, 6))
        padded = torch.tensor(fn.Ragged.from_rows(sources).padded())
        Z = model(padded, torch.tensor(rows), torch.tensor(self.LENGTHS))
        assert_agree(net.forward((sources, list(rows))), torch.softmax(Z, -1).detach().numpy())
        torch.nn.functional.cross_entropy(Z.reshape(-1, 3), torch.tensor(y).reshape(-1)).backward()
        assert_same_gradients(net, net.loss_and_grad((sources, list(rows)), list(y))[1].flat, model)

    def test_state_dict_comes_back(self, encoder_width):
        net = self.network(encoder_width)
        state = to_torch_state_dict(net)
        shapes = {"source_shape": (5, 4), "input_shape": (6, 8), "ragged": True}
        again = from_torch_state_dict({f"model.{key}": state[key] for key in reversed(state)}, layers=net.layers, **shapes)
        np.testing.assert_array_equal(again.params, net.params)
        attention = {key.removeprefix("0.decoder.2.multihead_attn."): array.shape for key, array in state.items()
                     if key.startswith("0.decoder.2.multihead_attn.")}  # fmt: skip
        of_weights = {"in_proj_weight": (24, 8)} if encoder_width == 8 else {
            "q_proj_weight": (8, 8), "k_proj_weight": (8, 6), "v_proj_weight": (8, 6),
        }  # fmt: skip
        rest = {"in_proj_bias": (24,), "out_proj.weight": (8, 8), "out_proj.bias": (8,)}
        assert attention == of_weights | rest


@pytest.mark.parametrize("hidden", HIDDEN)
def test_every_flat_network_comes_back(hidden, rng):
    net = build(hidden, output="softmax", n_out=3)
    again = from_torch_state_dict(to_torch_state_dict(net), layers=net.layers, input_shape=net.input_shape)
    np.testing.assert_allclose(again.params, net.params, rtol=1e-15)
    X = rows(hidden, 10, rng)
    np.testing.assert_allclose(again.forward(X), net.forward(X), rtol=1e-13)


@pytest.mark.parametrize("name", POSITIONED)
def test_networks_of_positions_come_back(name):
    shape, layers = POSITIONED[name]
    net = fn.Network(layers, input_shape=shape, dtype="float64", random_state=0)
    if name in ("depthwise2d", "global-max"):  # Dense or LayerNorm at positions whose channels torch has first
        with pytest.raises(TypeError, match="whose channels torch has first"):
            to_torch_state_dict(net)
        return
    again = from_torch_state_dict(to_torch_state_dict(net), layers=net.layers, input_shape=net.input_shape)
    np.testing.assert_array_equal(again.params, net.params)


def test_every_layer_is_a_module():
    assert KINDS.keys() == set(LAYERS.values())


def test_a_layer_of_ones_own_is_named():
    class Own(Layer):
        def connect(self, graph, source):
            return fn.Scale().connect(graph, source)

    net = fn.Network([fn.Residual([fn.Dense(2), Own()])], n_inputs=2, random_state=0)
    for use in (to_torch_state_dict, lambda net: from_torch_state_dict({"0.weight": np.ones((2, 2))}, layers=net.layers)):
        with pytest.raises(TypeError, match=r"layer 1\.2, Own, is no module"):
            use(net)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([fn.Flatten(), fn.Columns([1, 4])], "layer 2 reads the numbers of a row by their places"),
        ([fn.Flatten(), fn.Reshape((3, 8))], "layer 2 reads the numbers of a row by their places"),
        ([fn.Flatten(), fn.NumericEmbedding()], "layer 2.periodic reads the numbers of a row by their places"),
        ([fn.Flatten(), fn.Residual([fn.Dense(24)])], "layer 2 adds numbers that torch has in two orders"),
        ([fn.Concat([fn.MaxPool(1)], [fn.Dense(1)])], r"layer 1\.2\.1, Dense, reads rows of shape \(3, 4, 2\)"),
    ],
)
def test_what_depends_on_the_order_of_numbers_is_refused(layers, message):
    net = fn.Network([*layers, fn.Flatten(), fn.Dense(1)], input_shape=(3, 4, 2), random_state=0)
    with pytest.raises(TypeError, match=message):
        to_torch_state_dict(net)


class TestNames:
    LAYERS = (fn.Residual([fn.Dense(3, "tanh"), fn.Dense(3)]), fn.Concat([fn.Dense(2)], [], [fn.Scale()]), fn.Dense(1))

    @pytest.fixture
    def state(self):
        return to_torch_state_dict(fn.Network(self.LAYERS, n_inputs=3, dtype="float64", random_state=0))

    def test_of_modules_inside_modules(self, state):
        assert [name for name in state if name.endswith("weight")] == [
            "0.0.weight", "0.2.weight", "1.0.0.weight", "1.2.0.weight", "2.weight",
        ]  # fmt: skip

    def test_numbers_may_be_missing_at_every_level(self, state):
        names = {"0.0": "net.4.1", "0.2": "net.4.10", "1.0.0": "net.7.0.5", "1.2.0": "net.7.3.1", "2": "net.11"}
        parts = {key: key.rpartition(".") for key in reversed(state)}
        renamed = {f"{names[module]}.{kind}": state[key] for key, (module, _, kind) in parts.items()}
        again = from_torch_state_dict(renamed, layers=self.LAYERS)
        for key, array in to_torch_state_dict(again).items():
            np.testing.assert_array_equal(array, state[key])

    @pytest.mark.parametrize(
        "names", [{"0.0": "0", "0.2": "1"}, {"1.2.0": "1.0.3"}, {"1.2.0": "1.2"}, {"2": "0.3"}, {"0.2": "0.a.2"}]
    )
    def test_modules_at_other_places_are_refused(self, names, state):
        parts = {key: key.rpartition(".") for key in state}
        moved = {f"{names.get(module, module)}.{kind}": state[key] for key, (module, _, kind) in parts.items()}
        with pytest.raises(ValueError, match="got the modules .*, expected 0.0, 0.2, 1.0.0, 1.2.0, 2, or other numbers|prefixes"):
            from_torch_state_dict(moved, layers=self.LAYERS)

    def test_inputs_that_no_dense_layer_counts(self):
        layers = [fn.Columns([0, 1]), fn.Dense(2, "identity")]
        state = to_torch_state_dict(fn.Network(layers, n_inputs=5, random_state=0))
        with pytest.raises(ValueError, match="give input_shape"):
            from_torch_state_dict(state, layers=layers)
        assert from_torch_state_dict(state, layers=layers, input_shape=(5,)).sizes[0] == 5
