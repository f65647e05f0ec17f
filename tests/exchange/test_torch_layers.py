"""PyTorch: state dicts of layers that are not dense, and (where it is installed) all layers and their gradients in float64."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_agree
from layer_networks import HIDDEN, N_IN, build, rows

import fastnet as fn
from fastnet.layers import LAYERS
from fastnet.torch import from_torch_state_dict, to_torch_state_dict

LAYERS_OF_TORCH = [
    fn.LayerNorm(1e-3),
    fn.Dense(5, "identity", scale="ntk"),
    fn.PReLU(0.1),
    fn.Dropout(0.2),
    fn.Dense(6, "tanh", dropout=0.3),
    fn.LayerNorm(),
    fn.Dense(3, "softmax"),
]


@pytest.fixture
def net(rng):
    network = fn.Network(LAYERS_OF_TORCH, N_IN, dtype="float64", random_state=0)
    network.params[:] += 0.1 * rng.standard_normal(network.n_params)
    return network


class TestStateDict:
    def test_layout(self, net):
        """Each layer is a module; a dense one is a linear map, its activation, and Dropout where it has that."""
        shapes = {name: array.shape for name, array in to_torch_state_dict(net).items()}
        assert shapes == {
            "0.weight": (4,), "0.bias": (4,), "1.weight": (5, 4), "1.bias": (5,), "3.weight": (5,),
            "5.weight": (6, 5), "5.bias": (6,), "8.weight": (6,), "8.bias": (6,), "9.weight": (3, 6), "9.bias": (3,),
        }  # fmt: skip

    def test_round_trip(self, net, rng):
        again = from_torch_state_dict(to_torch_state_dict(net), layers=net.layers)
        assert again.layers == net.layers
        assert again.dtype == net.dtype
        np.testing.assert_allclose(again.params, net.params, rtol=1e-15)

    def test_weights_contain_the_factor_of_the_neural_tangent_parametrisation(self, net):
        np.testing.assert_allclose(to_torch_state_dict(net)["1.weight"], net.parameters["2.W"].T / 2, rtol=1e-15)

    def test_layers_without_biases_and_one_slope_for_all_units(self):
        state = {"m.0.weight": np.full(4, 2.0), "m.1.weight": np.ones((3, 4)), "m.7.weight": np.array([0.3])}
        network = from_torch_state_dict(state, layers=[fn.LayerNorm(), fn.Dense(3, "identity"), fn.PReLU()])
        assert network.parameters["1.gain"].tolist() == [2.0] * 4
        assert network.parameters["3.p"].tolist() == [0.3] * 3
        assert not network.parameters["1.bias"].any()
        assert not network.biases[0].any()

    def test_ensembles_are_refused(self):
        with pytest.raises(TypeError, match="an ensemble is no nn.Sequential"):
            to_torch_state_dict(build("dense", n_members=3))

    @pytest.mark.parametrize(
        "state, layers, message",
        [
            ({"0.weight": np.ones((2, 2))}, [fn.Dense(2), fn.PReLU()], "2 layers with parameters for the 1 modules 0"),
            ({"0.weight": np.ones(2)}, [fn.LayerNorm()], "no Dense layer"),
            ({"0.weight": np.ones((2, 2))}, [fn.Dense(3)], r"'0' has a weight of shape \(2, 2\), expected \(3, 2\)"),
            ({"0.weight": np.ones(2), "1.weight": np.ones((1, 2))}, [fn.Dense(2), fn.LayerNorm()], "'0' has no weight matrix"),
            ({"0.weight": np.ones(3), "1.weight": np.ones((1, 2))}, [fn.LayerNorm(), fn.Dense(1)], r"\(3,\), expected \(2,\)"),
            (
                {"0.weight": np.ones((2, 2)), "1.weight": np.ones(2), "1.bias": np.ones(2)},
                [fn.Dense(2), fn.PReLU()],
                "'1' has weight and bias, but PReLU has weight",
            ),
            (
                {"0.weight": np.ones((2, 2)), "1.bias": np.ones(2)},
                [fn.Dense(2), fn.LayerNorm()],
                "'1' has bias, but LayerNorm has weight and bias",
            ),
        ],
    )
    def test_layers_that_do_not_fit(self, state, layers, message):
        with pytest.raises(ValueError, match=message):
            from_torch_state_dict(state, layers=layers)

    @pytest.mark.parametrize("given", [{}, {"activations": ["relu"], "layers": [fn.Dense(2)]}])
    def test_either_activations_or_layers(self, given):
        with pytest.raises(TypeError, match="give activations, one for each nn.Linear, or layers="):
            from_torch_state_dict({"0.weight": np.ones((2, 2))}, **given)

    def test_sequential_of_torch(self, net, rng):
        torch = pytest.importorskip("torch")
        nn = torch.nn
        sequential = nn.Sequential(
            nn.LayerNorm(4, 1e-3), nn.Linear(4, 5), nn.Identity(), nn.PReLU(5), nn.Dropout(0.2), nn.Linear(5, 6), nn.Tanh(),
            nn.Dropout(0.3), nn.LayerNorm(6), nn.Linear(6, 3), nn.Softmax(dim=1),
        ).double().eval()  # fmt: skip
        sequential.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch_state_dict(net).items()})
        X = rng.normal(size=(20, N_IN))
        with torch.no_grad():
            expected = sequential(torch.from_numpy(X)).numpy()
        np.testing.assert_allclose(net.forward(X), expected, rtol=1e-12, atol=1e-14)
        again = from_torch_state_dict(sequential.state_dict(), layers=net.layers)
        np.testing.assert_allclose(again.params, net.params, rtol=1e-15)


class Twin:
    """A network's layers in terms of PyTorch, on tensors with the names of its parameters."""

    def __init__(self, net):
        self.torch = pytest.importorskip("torch")
        self.f = self.torch.nn.functional
        self.parameters = {
            name: self.torch.tensor(view, requires_grad=not name.endswith("edges")) for name, view in net.parameters.items()
        }

    def run(self, layers, x, path=""):
        for number, layer in enumerate(layers, 1):
            x = getattr(self, type(layer).__name__)(layer, x, f"{path}{number}.")
        return x

    def activate(self, activation, x):
        functions = {"identity": lambda x: x, "softmax": lambda x: self.torch.softmax(x, -1), "sigmoid": self.torch.sigmoid}
        name = activation.name
        return functions[name](x) if name in functions else getattr(self.f, name)(x)

    def Dense(self, layer, x, path):
        factor = x.shape[-1] ** -0.5 if layer.scale == "ntk" else 1.0
        W, b = self.parameters[f"{path}W"], self.parameters[f"{path}b"]
        return self.activate(layer.activation, self.f.linear(x, factor * W.T, b))

    def Scale(self, layer, x, path):
        x = x * self.parameters[f"{path}s"]
        return x + self.parameters[f"{path}b"] if layer.bias else x

    def LayerNorm(self, layer, x, path):
        return self.f.layer_norm(x, x.shape[-1:], self.parameters[f"{path}gain"], self.parameters[f"{path}bias"], layer.epsilon)

    def Residual(self, layer, x, path):
        return self.activate(layer.activation, x + self.run(layer.layers, x, path))

    def Concat(self, layer, x, path):
        return self.torch.cat([self.run(layers, x, f"{path}{n}.") for n, layers in enumerate(layer.branches, 1)], dim=-1)

    def Columns(self, layer, x, path):
        return x[:, list(layer.columns)]

    def NumericEmbedding(self, layer, x, path):
        if layer.columns is not None:
            x = x[:, list(layer.columns)]
        if layer.kind == "piecewise_linear":
            values = self.places(layer, x)
        else:
            angles = 2 * np.pi * self.parameters[f"{path}periodic.w"] * x[:, :, None]
            if layer.kind == "pbld":
                values = self.torch.cos(angles + self.parameters[f"{path}periodic.phase"])
            else:
                values = self.torch.cat([self.torch.cos(angles), self.torch.sin(angles)], dim=2)
        W, b = self.parameters[f"{path}linear.W"], self.parameters[f"{path}linear.b"]
        values = self.activate(layer.activation, self.torch.einsum("mfk,fku->mfu", values, W) + b)
        return (self.torch.cat([values, x[:, :, None]], dim=2) if layer.kind == "pbld" else values).flatten(1)

    def places(self, layer, x):
        """Position within each bin, clamped except below the first and above the last."""
        values = self.torch.zeros((*x.shape, max(map(len, layer.bins)) - 1), dtype=x.dtype)
        for feature, edges in enumerate(layer.bins):
            for t, (left, right) in enumerate(zip(edges, edges[1:], strict=False)):
                least, most = (None if t == 0 else 0.0), (None if t == len(edges) - 2 else 1.0)
                share = (x[:, feature] - left) / (right - left)
                values[:, feature, t] = share if least is most is None else share.clamp(least, most)
        return values

    def CategoryEmbedding(self, layer, x, path):
        codes = x if layer.columns is None else x[:, list(layer.columns)]
        tables = self.parameters[f"{path}E"].split([n + 1 for n in layer.n_categories])
        known = [self.torch.where((c >= 1) & (c <= n), c, 0).long() for c, n in zip(codes.T, layer.n_categories, strict=True)]
        return self.torch.cat([self.f.embedding(c, table) for c, table in zip(known, tables, strict=True)], dim=1)

    def Parametric(self, layer, x, path):
        return x + self.parameters[f"{path}p"] * (self.activate(layer.activation, x) - x)

    def PReLU(self, layer, x, path):
        return self.f.prelu(x, self.parameters[f"{path}p"])


#: Compared with PyTorch's modules in tests of their own.
WINDOWS = ("Conv1d", "Conv2d", "DepthwiseConv1d", "DepthwiseConv2d", "BatchNorm", "MaxPool", "AvgPool", "GlobalPool")
RECURRENT = ("RNN", "GRU", "LSTM", "Bidirectional")
ATTENTION = ("Embedding", "Positions", "Attention", "CrossAttention", "TransformerBlock", "EncoderDecoder", "FeatureTokens")


def test_every_layer_has_a_twin():
    others = ("Dropout", "Flatten", "Last", "Reshape", *WINDOWS, *RECURRENT, *ATTENTION)
    assert [name for name in LAYERS if not hasattr(Twin, name) and name not in others] == []


def ensemble_of_two_dense_layers(twin, kind, k, x):
    """Outputs (m, k, n) of ``[Dense(..., "tanh"), Dense(..., "identity")]``."""

    def member_rows(name):
        return twin.parameters[name].reshape(k, -1)

    def own(x, layer):
        W, b = twin.parameters[f"{layer}.W"], twin.parameters[f"{layer}.b"]
        return twin.torch.einsum("mki,kiu->mku", x, W) + b

    def shared(x, layer):
        return (x * member_rows(f"{layer}.r.s")) @ twin.parameters[f"{layer}.W"]

    x = x[:, None, :].expand(-1, k, -1)
    if kind == "packed":
        return own(own(x, 1).tanh(), 2)
    if kind == "mini":
        return own((shared(x, 1) + twin.parameters["1.b"]).tanh(), 2)
    for layer, g in ((1, "tanh"), (2, "clone")):
        x = getattr(shared(x, layer) * member_rows(f"{layer}.s.s") + member_rows(f"{layer}.s.b"), g)()
    return x


def assert_same_gradients(net, gradients, twin):
    arrays = {name: array for name, array in net.views(gradients.flat).items() if not name.endswith("edges")}
    assert_agree(arrays, {name: twin.parameters[name].grad.numpy() for name in arrays})


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("output", "loss"), [("identity", "squared_error"), ("softmax", "cross_entropy")])
def test_outputs_and_gradients_are_those_of_torch(hidden, output, loss, rng):
    net = build(hidden, output, 3)
    twin, X = Twin(net), rows(hidden, 30, rng)
    y = rng.integers(0, 3, 30) if output == "softmax" else rng.random((30, 3))
    A = twin.run(net.layers, twin.torch.tensor(X))
    assert_agree(net.forward(X), A.detach().numpy())
    J = -A[range(30), y].log().mean() if output == "softmax" else 0.5 * ((A - twin.torch.tensor(y)) ** 2).sum(dim=1).mean()
    J.backward()
    value, gradients = net.loss_and_grad(X, y, loss=loss)
    assert value == pytest.approx(J.item(), rel=1e-12)
    assert_same_gradients(net, gradients, twin)


@pytest.mark.parametrize("kind", ["packed", "batch", "mini"])
@pytest.mark.parametrize("loss_of", ["members", "mean"])
def test_ensembles_are_those_of_torch(kind, loss_of, rng):
    net = build("dense", n_members=3, ensemble=kind, ensemble_loss=loss_of)
    twin, X, y = Twin(net), rows("dense", 30, rng), rng.random((30, 2))
    A = ensemble_of_two_dense_layers(twin, kind, 3, twin.torch.tensor(X))
    assert_agree(net.forward_members(X), A.detach().numpy())
    seen = A if loss_of == "members" else A.mean(dim=1, keepdim=True)
    J = 0.5 * ((seen - twin.torch.tensor(y)[:, None]) ** 2).sum(dim=2).mean()
    J.backward()
    value, gradients = net.loss_and_grad(X, y)
    assert value == pytest.approx(J.item(), rel=1e-12)
    assert_same_gradients(net, gradients, twin)
