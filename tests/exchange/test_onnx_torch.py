"""Models from PyTorch's exporters can be imported: every activation, exporter and operator set."""

from __future__ import annotations

import io
from functools import partial

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


CELLS = (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN)


class Recurrent(torch.nn.Module):
    """A recurrent module, and a dense layer on its last step or, in both directions, on every step."""

    def __init__(self, cell, bidirectional):
        super().__init__()
        self.cell = cell(3, 5, batch_first=True, bidirectional=bidirectional)
        self.dense = torch.nn.Linear(10 if bidirectional else 5, 2)

    def forward(self, x):
        h, _ = self.cell(x)
        return self.dense(h if self.cell.bidirectional else h[:, -1])


def _images():
    nn = torch.nn
    parts = [nn.Conv2d(1, 6, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU()]
    module = nn.Sequential(*parts, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 84), nn.Tanh(), nn.Linear(84, 10))
    module[4].running_mean.normal_()
    module[4].running_var.uniform_(0.5, 2)
    return module


def _series():
    nn = torch.nn
    parts = [nn.Conv1d(3, 8, 5, padding=2), nn.GELU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3, groups=8), nn.SiLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4))


@pytest.mark.parametrize("any_number_of_rows", [False, True])
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize(
    "make, shape",
    [
        (_images, (1, 28, 28)),
        (_series, (3, 40)),
        *((partial(Recurrent, cell, both), (7, 3)) for cell in CELLS for both in (False, True)),
    ],
    ids=["images", "series", "lstm", "lstm-both", "gru", "gru-both", "rnn", "rnn-both"],
)
def test_networks_with_positions(make, shape, dynamo, any_number_of_rows):
    torch.manual_seed(0)
    module, x = make().eval(), torch.randn(4, *shape)
    file = io.BytesIO()
    options = {"input_names": ["X"], "dynamo": dynamo}
    if any_number_of_rows and dynamo:
        options["dynamic_shapes"] = ({0: torch.export.Dim("rows")},)
    elif any_number_of_rows:
        options["dynamic_axes"] = {"X": {0: "rows"}}
    torch.onnx.export(module, (x,), file, **options)
    if dynamo and isinstance(module, Recurrent) and (any_number_of_rows or isinstance(module.cell, torch.nn.RNN)):
        with pytest.raises(ValueError, match="cannot take node"):  # shapes that are computed, or a step at a time
            from_onnx(file.getvalue())
        return
    X = x.numpy() if isinstance(module, Recurrent) else np.moveaxis(x.numpy(), 1, -1)
    found = from_onnx(file.getvalue()).forward(X)
    np.testing.assert_allclose(found.ravel(), module(x).detach().numpy().ravel(), rtol=1e-5, atol=1e-6)
