"""PyTorch's state dicts, without and (where it is installed) with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn
from fastnet import MLPRegressor
from fastnet.activations import ACTIVATIONS
from fastnet.torch import from_torch_state_dict, to_torch_state_dict

MODULES = {
    "identity": "Identity",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "softplus": "Softplus",
    "hardswish": "Hardswish",
    "softmax": "Softmax",
}


def _activations(network):
    return [layer.activation for layer in network.layers]


def test_round_trip(every_network):
    state = to_torch_state_dict(every_network)
    again = from_torch_state_dict(state, _activations(every_network))
    assert again.dtype == every_network.dtype
    assert np.array_equal(again.params, every_network.params)


def test_layout(network):
    """Linear, activation, Dropout if the layer has it, and so on; weights are transposed, contiguous, and copies."""
    state = to_torch_state_dict(network)
    assert list(state) == ["0.weight", "0.bias", "3.weight", "3.bias", "5.weight", "5.bias"]
    assert np.array_equal(state["3.weight"], network.weights[1].T)
    assert all(array.flags.c_contiguous and array.flags.owndata for array in state.values())
    state["0.bias"][:] = 5
    assert not (network.biases[0] == 5).any()


def test_estimators(rng):
    X = rng.normal(size=(40, 3))
    estimator = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=300, random_state=0).fit(X, X[:, 0])
    scaled = MLPRegressor(hidden_layer_sizes=(5,), scale_target=True, random_state=0, max_iter=300).fit(X, 100 + X[:, 0])
    for model in (estimator, scaled):
        network = from_torch_state_dict(to_torch_state_dict(model), ["relu", "identity"])
        np.testing.assert_allclose(network.forward(X)[:, 0], model.predict(X))


def test_estimators_have_the_layout_of_networks(rng):
    """Dropout, one rate for all hidden layers or one each, becomes modules; scikit-learn's estimators have none."""
    from sklearn.neural_network import MLPRegressor as Theirs

    X = rng.normal(size=(40, 3))
    options = {"hidden_layer_sizes": (5, 4), "max_iter": 1, "solver": "sgd"}
    layouts = {0.5: ["0", "3", "6"], (0.0, 0.5): ["0", "2", "5"], 0.0: ["0", "2", "4"]}
    with pytest.warns(UserWarning, match="Maximum iterations"):
        for dropout, expected in layouts.items():
            given = list(dropout) if isinstance(dropout, tuple) else dropout
            state = to_torch_state_dict(MLPRegressor(dropout=given, **options).fit(X, X[:, 0]))
            assert [key.removesuffix(".weight") for key in state if key.endswith("weight")] == expected
        assert "4.weight" in to_torch_state_dict(Theirs(**options).fit(X, X[:, 0]))


def test_tensors_of_a_module():
    """Parameters that require gradients are accepted; a dtype that NumPy lacks is refused by name."""
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.ones(2, 3))
    network = from_torch_state_dict({"0.weight": parameter}, ["relu"])
    assert network.weights[0].shape == (3, 2)
    network.weights[0][...] = 5
    assert (parameter == 1).all()
    with pytest.raises(ValueError, match=r"cannot read '0.weight': .*BFloat16.*float\(\)"):
        from_torch_state_dict({"0.weight": torch.ones(2, 3, dtype=torch.bfloat16)}, ["relu"])


@pytest.mark.parametrize("value", [np.ones((2, 3), complex), [[1.0], [2.0, 3.0]], "text", None])
def test_what_is_no_array_of_numbers(value):
    with pytest.raises(ValueError, match="cannot read '0.weight'"):
        from_torch_state_dict({"0.weight": value}, ["relu"])


def test_other_names_and_missing_biases():
    weight = np.arange(6.0).reshape(2, 3)
    network = from_torch_state_dict({"model.10.weight": weight.T.copy(), "model.2.weight": weight}, ["relu", "identity"])
    assert network.sizes == (3, 2, 3)
    assert network.dtype == np.float64
    assert not any(bias.any() for bias in network.biases)
    assert from_torch_state_dict({"0.weight": weight}, ["tanh"], dtype="float32").dtype == np.float32


@pytest.mark.parametrize(
    "state, activations, message",
    [
        ({}, [], "needs at least one layer"),
        ({"weight": np.ones((2, 2))}, ["relu"], "cannot take 'weight'"),
        ({"0.weight": np.ones((2, 2)), "0.running_mean": np.ones(2)}, ["relu"], "'0' has weight and running_mean, but Dense"),
        ({"a.0.weight": np.ones((2, 2)), "b.1.weight": np.ones((2, 2))}, ["relu"] * 2, r"prefixes \['a.', 'b.'\]"),
        ({"0.weight": np.ones((2, 2))}, "relu", "expected a list of one each"),
        ({"0.weight": np.ones((2, 2))}, ["relu", "relu"], "for 1 linear layers"),
        ({"0.bias": np.ones(2)}, ["relu"], "no weight matrix"),
        ({"0.weight": np.ones((2, 2, 3, 3))}, ["relu"], "no weight matrix"),
        ({"0.weight": np.ones((2, 2)), "0.bias": np.ones(3)}, ["relu"], r"bias of shape \(3,\), expected \(2,\)"),
        ({"0.weight": np.ones((2, 2)), "1.weight": np.ones((2, 3))}, ["relu"] * 2, "takes 3 inputs, the layer before it gives 2"),
        ({"0.weight": np.ones((2, 2))}, ["swishy"], "swishy"),
    ],
)
def test_what_is_no_chain_of_linear_layers(state, activations, message):
    with pytest.raises(ValueError, match=message):
        from_torch_state_dict(state, activations)


def test_torch_is_not_imported(run_python):
    assert run_python("-c", "import sys, fastnet.torch; print('torch' in sys.modules)") == "False\n"


def test_every_activation_is_in_the_table():
    assert MODULES.keys() | {"exponential"} == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", MODULES)
def test_equality_with_torch(name, rng):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    hidden = fn.Dense(7, name if name != "softmax" else "tanh", dropout=0.1)
    network = fn.Network([hidden, fn.Dense(3, name)], n_inputs=4, dtype="float64", random_state=0)
    modules = [nn.Softmax(dim=1) if g.name == "softmax" else getattr(nn, MODULES[g.name])() for g in _activations(network)]
    sequential = nn.Sequential(nn.Linear(4, 7), modules[0], nn.Dropout(0.1), nn.Linear(7, 3), modules[1]).double().eval()
    sequential.load_state_dict({key: torch.from_numpy(array) for key, array in to_torch_state_dict(network).items()})
    X = rng.normal(size=(20, 4))
    with torch.no_grad():
        expected = sequential(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(network.forward(X), expected, rtol=1e-12, atol=1e-14)
    again = from_torch_state_dict(sequential.state_dict(), _activations(network))
    assert np.array_equal(again.params, network.params)
