"""PyTorch: layers of rows that have positions, their gradients in float64 and their state dicts, both ways."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_agree
from torch_twins import assert_same_gradients, load

import fastnet as fn
from fastnet.torch import from_torch_state_dict, to_torch_state_dict


@pytest.mark.parametrize("n_axes", [1, 2])
def test_convolution_and_pool_are_those_of_torch(n_axes, rng):
    """Outputs and gradients; PyTorch's channels come first."""
    torch = pytest.importorskip("torch")
    functional, shape, kernel = torch.nn.functional, (11, 3) if n_axes == 1 else (9, 8, 3), 3 if n_axes == 1 else (3, 2)
    conv = (fn.Conv1d if n_axes == 1 else fn.Conv2d)(4, kernel, "tanh", stride=2, padding=1)
    net = fn.Network(
        [conv, fn.MaxPool(2), fn.Flatten(), fn.Dense(2, "identity")], input_shape=shape, dtype="float64", random_state=0
    )
    X, y = rng.standard_normal((6, *shape)), rng.random((6, 2))
    parameters = {name: torch.tensor(view.copy(), requires_grad=True) for name, view in net.parameters.items()}
    axes = range(n_axes)
    W = parameters["1.W"].permute(n_axes + 1, n_axes, *axes)
    images = torch.tensor(X).permute(0, n_axes + 1, *(axis + 1 for axis in axes))
    Z = (functional.conv1d if n_axes == 1 else functional.conv2d)(images, W, parameters["1.b"], stride=2, padding=1)
    pooled = (functional.max_pool1d if n_axes == 1 else functional.max_pool2d)(torch.tanh(Z), 2)
    flat = pooled.permute(0, *(axis + 2 for axis in axes), 1).reshape(6, -1)
    outputs = flat @ parameters["4.W"] + parameters["4.b"]
    assert_agree(net.forward(X), outputs.detach().numpy())
    J = ((outputs - torch.tensor(y)) ** 2).sum() / 12
    J.backward()
    gradients = dict(net.views(net.loss_and_grad(X, y)[1].flat))
    assert_agree(gradients, {name: parameter.grad.numpy() for name, parameter in parameters.items()})


#: A recurrent layer and PyTorch's class and options.
RECURRENCES = {
    "rnn": (fn.RNN(5), "RNN", {}),
    "relu": (fn.RNN(5, "relu"), "RNN", {"nonlinearity": "relu"}),
    "lstm": (fn.LSTM(5), "LSTM", {}),
    "gru": (fn.GRU(5), "GRU", {}),
    "bidirectional": (fn.Bidirectional(fn.GRU(5)), "GRU", {"bidirectional": True}),
    "bidirectional-lstm": (fn.Bidirectional(fn.LSTM(5)), "LSTM", {"bidirectional": True}),
}


@pytest.mark.parametrize("name", RECURRENCES)
class TestRecurrent:
    """Outputs and gradients of PyTorch's modules, of rows of unequal length too, and state dicts in both directions."""

    @staticmethod
    def networks(name, ragged=False):
        torch = pytest.importorskip("torch")
        layer, cls, options = RECURRENCES[name]
        net = fn.Network([layer, fn.Dense(2, "identity")], input_shape=(7, 3), ragged=ragged, dtype="float64", random_state=0)

        class Model(torch.nn.ModuleList):
            def forward(self, x, lengths):
                packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                states = self[0](packed)[1]
                h = states[0] if cls == "LSTM" else states
                return self[1](h.transpose(0, 1).flatten(1))

        width = 10 if options.get("bidirectional") else 5
        modules = [getattr(torch.nn, cls)(3, 5, batch_first=True, **options), torch.nn.Linear(width, 2)]
        return net, Model(modules).double(), torch

    @pytest.mark.parametrize("ragged", [False, True])
    def test_outputs_and_gradients(self, name, ragged, rng):
        net, model, torch = self.networks(name, ragged)
        load(model, net)
        X, y = rng.standard_normal((6, 7, 3)), rng.random((6, 2))
        lengths = np.array([7, 3, 1, 7, 5, 2]) if ragged else np.full(6, 7)
        A = model(torch.tensor(X), torch.tensor(lengths))
        (0.5 * ((A - torch.tensor(y)) ** 2).sum(dim=1).mean()).backward()
        data = fn.Ragged.from_padded(X, lengths) if ragged else X
        assert_agree(net.forward(data), A.detach().numpy())
        assert_same_gradients(net, net.loss_and_grad(data, y)[1].flat, model)

    def test_state_dict_of_torch(self, name, rng):
        net, model, torch = self.networks(name)
        again = from_torch_state_dict(model.state_dict(), layers=net.layers, input_shape=(7, 3))
        X = rng.standard_normal((6, 7, 3))
        expected = model(torch.tensor(X), torch.full((6,), 7)).detach().numpy()
        assert_agree(again.forward(X), expected)


def test_recurrent_state_dicts_without_torch():
    net = fn.Network([fn.LSTM(2), fn.Dense(1)], input_shape=(4, 3), dtype="float64", random_state=0)
    state = to_torch_state_dict(net)
    assert {key: array.shape for key, array in state.items()} == {
        "0.weight_ih_l0": (8, 3), "0.weight_hh_l0": (8, 2), "0.bias_ih_l0": (8,), "0.bias_hh_l0": (8,),
        "1.weight": (1, 2), "1.bias": (1,),
    }  # fmt: skip
    state["0.bias_hh_l0"] = np.ones(8)
    again = from_torch_state_dict(state, layers=net.layers, input_shape=(4, 3))
    np.testing.assert_array_equal(again.parameters["1.b"], net.parameters["1.b"] + 1)
    np.testing.assert_array_equal(again.parameters["1.U"], net.parameters["1.U"])
    del state["0.bias_ih_l0"], state["0.bias_hh_l0"]
    assert not from_torch_state_dict(state, layers=net.layers, input_shape=(4, 3)).parameters["1.b"].any()
    del state["0.weight_hh_l0"]
    with pytest.raises(ValueError, match="'0' has weight_ih_l0, but LSTM has weight_ih_l0 and weight_hh_l0"):
        from_torch_state_dict(state, layers=net.layers, input_shape=(4, 3))


def transformer_of_torch(torch, net, n_heads, causal):
    """A module with the parameters of a network of ids, positions, blocks, attention, a norm and a linear map."""
    nn, n_ids, d = torch.nn, len(net.parameters["1.E"]), net.parameters["1.E"].shape[1]
    length, n_outputs = net.input_shape[0], net.output_shape[-1]
    options = {"batch_first": True, "dtype": torch.float64}
    blocks = [nn.TransformerEncoderLayer(d, n_heads, 12, 0.0, "gelu", norm_first=True, **options) for _ in range(2)]
    attention = nn.MultiheadAttention(d, n_heads, **options)

    class Model(nn.ModuleList):
        def forward(self, ids):
            embedding, positions, *blocks, attention, norm, linear = self
            mask = nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.float64) if causal else None
            x = embedding(ids) + positions(torch.arange(length))
            for block in blocks:
                x = block(x, src_mask=mask, is_causal=causal)
            return linear(norm(attention(x, x, x, attn_mask=mask, is_causal=causal)[0]))

    ends = nn.LayerNorm(d), nn.Linear(d, n_outputs)
    return Model([nn.Embedding(n_ids, d), nn.Embedding(length, d), *blocks, attention, *ends]).double()


class TestTransformers:
    """Ids, positions, blocks and attention, and a cross-entropy at each position, some of which have no target."""

    @staticmethod
    def network(causal):
        blocks = [fn.TransformerBlock(2, 12, causal=causal, dropout=0.1) for _ in range(2)]
        layers = [fn.Embedding(9, 8), fn.Positions(), *blocks, fn.Attention(2, causal), fn.LayerNorm(), fn.Dense(4, "softmax")]
        net = fn.Network(layers, input_shape=(7,), dtype="float64", random_state=0)
        net.params[:] += 0.3 * np.random.default_rng(0).standard_normal(net.n_params)
        return net

    @pytest.mark.parametrize("causal", [False, True])
    def test_outputs_gradients_and_state_dicts(self, causal, rng):
        torch = pytest.importorskip("torch")
        net = self.network(causal)
        model = load(transformer_of_torch(torch, net, 2, causal), net)
        X, y = rng.integers(0, 9, (5, 7)), rng.integers(-1, 4, (5, 7))
        Z = model(torch.tensor(X))
        assert_agree(net.forward(X), torch.softmax(Z, -1).detach().numpy())
        J = torch.nn.functional.cross_entropy(Z.reshape(-1, 4), torch.tensor(y).reshape(-1), ignore_index=-1)
        J.backward()
        value, gradients = net.loss_and_grad(X, y)
        assert value == pytest.approx(J.item(), rel=1e-12)
        assert_same_gradients(net, gradients.flat, model)
        again = from_torch_state_dict(model.state_dict(), layers=net.layers, input_shape=(7,))
        np.testing.assert_array_equal(again.params, net.params)

    def test_names_without_torch(self):
        net = self.network(False)
        state = to_torch_state_dict(net)
        assert {name: array.shape for name, array in state.items() if name[0] in "0124"} == {
            "0.weight": (9, 8), "1.weight": (7, 8),
            "2.norm1.weight": (8,), "2.norm1.bias": (8,), "2.norm2.weight": (8,), "2.norm2.bias": (8,),
            "2.self_attn.in_proj_weight": (24, 8), "2.self_attn.in_proj_bias": (24,),
            "2.self_attn.out_proj.weight": (8, 8), "2.self_attn.out_proj.bias": (8,),
            "2.linear1.weight": (12, 8), "2.linear1.bias": (12,), "2.linear2.weight": (8, 12), "2.linear2.bias": (8,),
            "4.in_proj_weight": (24, 8), "4.in_proj_bias": (24,), "4.out_proj.weight": (8, 8), "4.out_proj.bias": (8,),
        }  # fmt: skip
        no_biases = {f"layers.{name}": array for name, array in state.items() if "bias" not in name}
        again = from_torch_state_dict(no_biases, layers=net.layers, input_shape=(7,))
        assert not again.parameters["3.1.2.qkv.b"].any()
        np.testing.assert_array_equal(again.parameters["3.1.2.qkv.W"], net.parameters["3.1.2.qkv.W"])
        del no_biases["layers.4.out_proj.weight"]
        with pytest.raises(ValueError, match=r"'layers.4' has in_proj_weight, but Attention has .* and out_proj.weight"):
            from_torch_state_dict(no_biases, layers=net.layers, input_shape=(7,))

    def test_sinusoidal_positions_have_no_parameters(self):
        net = fn.Network([fn.Positions("sinusoidal"), fn.Attention(1), fn.Last()], input_shape=(4, 6), random_state=0)
        state = to_torch_state_dict(net)
        assert {name.partition(".")[0] for name in state} == {"1"}
        again = from_torch_state_dict(state, layers=net.layers, input_shape=(4, 6))
        np.testing.assert_array_equal(again.params, net.params)


def test_rows_of_unequal_length_come_back(rng):
    net = fn.Network([fn.GRU(3), fn.Dense(2, "identity")], input_shape=(6, 4), ragged=True, random_state=0)
    again = from_torch_state_dict(to_torch_state_dict(net), layers=net.layers, input_shape=(6, 4), ragged=True)
    X = [rng.standard_normal((n, 4)) for n in (6, 1, 4)]
    np.testing.assert_array_equal(again.forward(X), net.forward(X))


def test_padding_is_that_of_torch(rng):
    """Rows of unequal length are rows whose padding no key looks at."""
    torch = pytest.importorskip("torch")
    net = fn.Network([fn.Attention(2), fn.Last()], input_shape=(6, 4), ragged=True, dtype="float64", random_state=0)
    net.params[:] += 0.3 * rng.standard_normal(net.n_params)
    lengths = [6, 1, 4, 3]
    X = [rng.standard_normal((n, 4)) for n in lengths]
    attention = torch.nn.MultiheadAttention(4, 2, batch_first=True, dtype=torch.float64)
    names = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    attention.load_state_dict({name: torch.tensor(view.T) for name, view in zip(names, net.parameters.values(), strict=True)})
    padded = torch.tensor(fn.Ragged.from_rows(X).padded())
    hidden = torch.arange(6) >= torch.tensor(lengths)[:, None]
    Z, _ = attention(padded, padded, padded, key_padding_mask=hidden)
    expected = Z[range(4), [n - 1 for n in lengths]].detach().numpy()
    assert_agree(net.forward(X), expected)


IMAGES = [
    fn.Conv2d(5, 3, "identity", padding=1),
    fn.BatchNorm("relu"),
    fn.MaxPool(2),
    fn.DepthwiseConv2d((3, 2), "tanh", dropout=0.1),
    fn.Conv2d(4, 1, "tanh", stride=2),
    fn.Flatten(),
    fn.BatchNorm(epsilon=1e-3),
    fn.Dense(3, "softmax"),
]
SERIES = [
    fn.DepthwiseConv1d(3, "tanh", padding=2, dilation=2),
    fn.Conv1d(4, 3, "tanh"),
    fn.BatchNorm(),
    fn.GlobalPool(),
    fn.Dense(2, "identity"),
]


def positioned(layers, shape, rng):
    net = fn.Network(layers, input_shape=shape, dtype="float64", random_state=0)
    net.params[:] += 0.2 * rng.random(net.n_params)
    return net


def modules(nn):
    """The two networks as PyTorch has them."""
    images = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1), nn.Identity(), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(5, 5, (3, 2), groups=5), nn.Tanh(), nn.Dropout(0.1), nn.Conv2d(5, 4, 1, stride=2), nn.Tanh(),
        nn.Flatten(), nn.BatchNorm1d(16, eps=1e-3), nn.Linear(16, 3), nn.Softmax(dim=1),
    )  # fmt: skip
    series = nn.Sequential(
        nn.Conv1d(3, 3, 3, padding=2, dilation=2, groups=3), nn.Tanh(), nn.Conv1d(3, 4, 3), nn.Tanh(), nn.BatchNorm1d(4),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2), nn.Identity(),
    )  # fmt: skip
    return images.double(), series.double()


class TestChannelsFirst:
    """State dicts of networks whose rows have positions."""

    @pytest.mark.parametrize(("layers", "shape"), [(IMAGES, (11, 9, 2)), (SERIES, (12, 3))])
    def test_round_trip(self, layers, shape, rng):
        net = positioned(layers, shape, rng)
        state = to_torch_state_dict(net)
        again = from_torch_state_dict(state | {"2.num_batches_tracked": np.array(3)}, layers=layers, input_shape=shape)
        np.testing.assert_array_equal(again.params, net.params)

    @pytest.mark.parametrize(("layers", "shape", "number"), [(IMAGES, (11, 9, 2), 0), (SERIES, (12, 3), 1)])
    def test_sequential_of_torch(self, layers, shape, number, rng):
        """Outputs by running statistics, gradients by the batch's, and what an update makes of the running ones."""
        torch = pytest.importorskip("torch")
        net, sequential = positioned(layers, shape, rng), modules(torch.nn)[number]
        load(sequential, net)
        X, y = rng.normal(1, 2, (20, *shape)), rng.integers(0, 3, 20) if number == 0 else rng.random((20, 2))
        images = torch.from_numpy(np.ascontiguousarray(np.moveaxis(X, -1, 1)))
        with torch.no_grad():
            assert_agree(net.forward(X), sequential.eval()(images).numpy())
        for module in sequential.train():
            module.training = not isinstance(module, torch.nn.Dropout)
        A = sequential(images)
        J = -A[range(20), y].log().mean() if number == 0 else 0.5 * ((A - torch.tensor(y)) ** 2).sum(dim=1).mean()
        J.backward()
        value, gradients = net.loss_and_grad(X, y)
        assert value == pytest.approx(J.item(), rel=1e-12)
        assert_same_gradients(net, gradients.flat, sequential)
        net.fit(X, y, optimizer=fn.SGD(1e-30), batch_size=20, iterations=1, schedules={"dropout": 0.0})
        state = to_torch_state_dict(net)
        assert_agree(state, {name: sequential.state_dict()[name].numpy() for name in state})

    def test_layers_that_torch_has_no_module_for(self, rng):
        net = positioned([fn.Dense(3, "tanh"), fn.Flatten(), fn.Dense(1)], (5, 2), rng)
        with pytest.raises(TypeError, match=r"layer 1, Dense, reads rows of shape \(5, 2\).* kernel_size=1"):
            to_torch_state_dict(net)
        with pytest.raises(ValueError, match="give input_shape"):
            from_torch_state_dict({"0.weight": np.ones((2, 1, 3))}, layers=[fn.Conv1d(2, 3)])
