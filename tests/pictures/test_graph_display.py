"""The computation graph, read through its artists."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet as fn
from fastnet.plotting import ComputationGraphDisplay

pytestmark = pytest.mark.usefixtures("close_figures")


def values(display):
    return {symbol: value for node in display.nodes for symbol, value in node.arrays.items()}


def test_shapes_of_a_batch(make_network, rng):
    display = ComputationGraphDisplay.from_estimator(make_network((4, 3, 2)), rng.normal(size=(5, 4)), [0, 1, 0, 1, 0])
    shapes = {symbol: value.shape for symbol, value in values(display).items()}
    assert shapes == {
        "A[0] = X": (5, 4), "W[1]": (4, 3), "b[1]": (3,), "Z[1]": (5, 3), "A[1]": (5, 3),
        "W[2]": (3, 2), "b[2]": (2,), "Z[2]": (5, 2), "A[2]": (5, 2), "J": (),
        "dZ[2]": (5, 2), "dW[2]": (3, 2), "db[2]": (2,), "dA[1]": (5, 3), "dZ[1]": (5, 3), "dW[1]": (4, 3), "db[1]": (3,),
    }  # fmt: skip
    written = " ".join(text.get_text() for text in display.ax_.texts)
    for symbol, shape in shapes.items():
        assert f"{symbol} ({', '.join(map(str, shape))}" in written or symbol == "J"


def test_values_are_those_of_the_engine(make_network, rng):
    net = make_network((4, 3, 2))
    X, y = rng.normal(size=(5, 4)), np.array([0, 1, 0, 1, 0])
    found = values(ComputationGraphDisplay.from_estimator(net, X, y))
    J, gradients = net.loss_and_grad(X, y, loss="cross_entropy")
    assert float(found["J"]) == pytest.approx(J, rel=1e-5)
    for l in (1, 2):
        np.testing.assert_allclose(found[f"A[{l}]"], net.activations(X)[l], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[f"dW[{l}]"], gradients.weights[l - 1], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[f"db[{l}]"], gradients.biases[l - 1], rtol=1e-4, atol=1e-6)


def test_arrows_follow_the_forward_and_the_backward_pass(make_network):
    display = ComputationGraphDisplay.from_estimator(make_network((2, 3, 2)), [0.5, -1.0], 1)
    assert set(display.edges) == {
        ("A[0] = X", "Z[1]"), ("W[1], b[1]", "Z[1]"), ("Z[1]", "A[1]"), ("A[1]", "Z[2]"), ("W[2], b[2]", "Z[2]"),
        ("Z[2]", "A[2]"), ("A[2]", "J"), ("J", "dZ[2]"), ("dZ[2]", "dA[1]"), ("dA[1]", "dZ[1]"),
        ("dZ[2]", "dW[2], db[2]"), ("dZ[1]", "dW[1], db[1]"),
    }  # fmt: skip
    arrows = [text for text in display.ax_.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == len(display.edges)
    assert len(display.boxes_) == len(display.nodes) == 13


def test_boxes_do_not_overlap_and_hold_their_text(make_network, rng):
    net = make_network((64, 300, 100, 10))
    display = ComputationGraphDisplay.from_estimator(net, rng.normal(size=(32, 64)), np.arange(32) % 10)
    display.figure_.canvas.draw()
    boxes = [box.get_window_extent() for box in display.boxes_.values()]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    for text in display.ax_.texts:
        extent = text.get_window_extent()
        if text.get_text() and text.get_fontsize() == 8.5:
            assert any(box.x0 <= extent.x0 and extent.x1 <= box.x1 for box in boxes), text.get_text()


def test_deep_networks_are_elided(make_network):
    net = make_network((2, *[3] * 29, 1), output="sigmoid")
    display = ComputationGraphDisplay.from_estimator(net, [1.0, 2.0], 1, max_layers=4)
    shown = {symbol for symbol in values(display) if symbol.startswith("Z")}
    assert shown == {"Z[1]", "Z[2]", "Z[29]", "Z[30]"}
    marks = [text.get_text() for text in display.ax_.texts if text.get_gid() == "elision"]
    assert marks == ["⋮  26 layers"] * 2
    assert ("A[2]", "Z[29]") not in display.edges


@pytest.mark.parametrize(
    ("output", "loss", "formula"),
    [
        ("sigmoid", None, "(A[1] - Y) / m"),
        ("identity", None, "(A[1] - Y) / m"),
        ("sigmoid", "squared_error", "dJ/dA[1] * g'(Z[1])"),
        ("identity", "huber", "dJ/dA[1] * g'(Z[1])"),
    ],
)
def test_formula_of_the_output_gradient(output, loss, formula):
    net = fn.Network([fn.Dense(1, output)], 2, random_state=0)
    display = ComputationGraphDisplay.from_estimator(net, [[0.5, -1.0]], [1.0], loss=loss)
    (node,) = [node for node in display.nodes if node.name == "dZ[1]"]
    assert node.formula == formula
    assert not any(node.name.startswith("dA") for node in display.nodes)


def test_what_does_not_fit(make_network):
    with pytest.raises(ValueError, match="takes 2 features"):
        ComputationGraphDisplay.from_estimator(make_network((2, 3, 2)), [1.0, 2.0, 3.0], 1)
    with pytest.raises(ValueError, match="max_layers must be at least 2"):
        ComputationGraphDisplay.from_estimator(make_network((2, 3, 2)), [1.0, 2.0], 1, max_layers=1)
    with pytest.raises(TypeError, match="max_layers must be an integer, got None"):
        ComputationGraphDisplay.from_estimator(make_network((2, 3, 2)), [1.0, 2.0], 1, max_layers=None)


def test_what_is_no_chain_of_dense_layers():
    for net in (fn.Network([fn.Scale(), fn.Dense(1)], 2), fn.Network([fn.Dense(1)], 2, n_members=2)):
        with pytest.raises(TypeError, match=r"dense layers alone, without members.*net.activations\(X\)"):
            ComputationGraphDisplay.from_estimator(net, [1.0, 2.0], 1)


def test_neural_tangent_parametrisation():
    """The formulas show the divisors of the products, and the values are the network's."""
    net = fn.Network([fn.Dense(3, "tanh", scale="ntk"), fn.Dense(1, "identity", scale="ntk")], 2, dtype="float64", random_state=0)
    display = ComputationGraphDisplay.from_estimator(net, [1.0, 2.0], 1.0)
    formulas = {node.name: node.formula for node in display.nodes}
    assert formulas["Z[1]"] == "A[0] W[1] / √2 + b[1]"
    assert formulas["dA[1]"] == "dZ[2] W[2]ᵀ / √3"
    (A2,) = (node.arrays["A[2]"] for node in display.nodes if node.name == "A[2]")
    np.testing.assert_allclose(A2, net.forward([[1.0, 2.0]]), rtol=1e-12)
