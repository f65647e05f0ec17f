"""Models from PyTorch's exporters can be imported: every activation, exporter and operator set."""

from __future__ import annotations

import io

import numpy as np
import pytest

from fastnet.activations import ACTIVATIONS, ELU, LeakyReLU

torch = pytest.importorskip("torch", minversion="2.9")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from fastnet.onnx import from_onnx  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


class Exp(torch.nn.Module):
    """The exponential, for which PyTorch has no module."""

    def forward(self, z):
        return torch.exp(z)


MODULES = {
    "identity": torch.nn.Identity(),
    "sigmoid": torch.nn.Sigmoid(),
    "tanh": torch.nn.Tanh(),
    "relu": torch.nn.ReLU(),
    "leaky_relu": torch.nn.LeakyReLU(0.1),
    "elu": torch.nn.ELU(0.3),
    "selu": torch.nn.SELU(),
    "gelu": torch.nn.GELU(),
    "silu": torch.nn.SiLU(),
    "mish": torch.nn.Mish(),
    "softplus": torch.nn.Softplus(),
    "hardswish": torch.nn.Hardswish(),
    "exponential": Exp(),
    "softmax": torch.nn.Softmax(dim=1),
}
OUTPUTS_ONLY = ["exponential", "softmax"]
HIDDEN = [name for name in MODULES if name not in OUTPUTS_ONLY]
FIRST_OPSETS = {"hardswish": 14}
"""Before these, the TorchScript exporter writes operators that have no counterpart in fastnet."""
OPSETS = {False: [1, *range(5, 24)], True: range(18, 28)}
"""The operator sets that each exporter accepts, by `dynamo`; with True it writes 18 if it cannot write the one asked for."""


def _sequential(names, bias=True, dtype=torch.float32):
    torch.manual_seed(0)
    modules = [part for name in names for part in (torch.nn.Linear(4, 4, bias=bias), MODULES[name])]
    return torch.nn.Sequential(*modules).eval().to(dtype)


def _export(module, dynamo, **options):
    file = io.BytesIO()
    rows = torch.ones(2, 4, dtype=module[0].weight.dtype)
    torch.onnx.export(module, (rows,), file, dynamo=dynamo, verbose=False, **options)
    return onnx.load_model_from_string(file.getvalue())


def _assert_same(network, module, tolerance=1e-5):
    X = np.random.default_rng(0).normal(size=(100, 4), scale=30).astype(network.dtype)
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(network.forward(X), expected, rtol=tolerance, atol=tolerance)


def test_every_activation_has_a_module():
    assert MODULES.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("last", OUTPUTS_ONLY)
@pytest.mark.parametrize("dynamo, opset", [(dynamo, opset) for dynamo, opsets in OPSETS.items() for opset in opsets])
def test_every_activation_comes_back(dynamo, opset, last):
    """The TorchScript exporter and its successor, with every operator set that they accept."""
    names = [*(name for name in HIDDEN if opset >= FIRST_OPSETS.get(name, 1)), last]
    module = _sequential(names)
    model = _export(module, dynamo, opset_version=opset)
    assert [row.version for row in model.opset_import] in ([opset], [18])
    network = from_onnx(model)
    assert [layer.activation.name for layer in network.layers] == names
    assert {LeakyReLU(0.1), ELU(0.3)} <= {layer.activation for layer in network.layers}
    _assert_same(network, module)


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [False, True])
def test_the_exporters_own_choice_of_operators(dynamo, dtype, bias):
    module = _sequential([*HIDDEN, "softmax"], bias, dtype)
    network = from_onnx(_export(module, dynamo))
    assert network.dtype == str(dtype).removeprefix("torch.")
    _assert_same(network, module)


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("fill", [0.0, 0.5])
def test_equal_parameters_which_exporters_merge(dynamo, fill):
    """The TorchScript exporter writes one of them, and the others as Identity of it; its successor leaves out zeros."""
    module = _sequential(["tanh", "relu", "identity"])
    for linear in module[::2]:
        torch.nn.init.constant_(linear.bias, fill)
        torch.nn.init.eye_(linear.weight)
    network = from_onnx(_export(module, dynamo))
    assert all((b == fill).all() for b in network.biases)
    _assert_same(network, module)


def test_a_softplus_that_is_linear_from_elsewhere_on_is_refused():
    module = _sequential(["tanh", "identity"])
    module[1] = torch.nn.Softplus(threshold=1.0)
    with pytest.raises(ValueError, match="cannot take node"):
        from_onnx(_export(module, dynamo=True))
