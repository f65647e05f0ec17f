"""The network graph, read through its artists."""

from __future__ import annotations

import numpy as np
import pytest
from layer_networks import HIDDEN, build
from matplotlib.collections import LineCollection, PolyCollection

import fastnet as fn
from fastnet.plotting import NetworkDisplay

pytestmark = [
    pytest.mark.usefixtures("close_figures"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def marks(ax):
    return [text for text in ax.texts if text.get_gid() == "elision"]


def test_every_unit_and_weight_of_a_small_network(make_network):
    net = make_network((4, 3, 2))
    display = NetworkDisplay.from_estimator(net)
    assert [len(nodes.get_offsets()) for nodes in display.nodes_] == [4, 3, 2]
    assert [len(edges.get_segments()) for edges in display.edges_] == [12, 6]
    assert not marks(display.ax_)
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["input\n4", "tanh\n3", "softmax\n2"]


def test_edges_join_the_right_nodes_with_the_right_weight(make_network):
    net = make_network((2, 3, 1), output="sigmoid")
    display = NetworkDisplay.from_estimator(net)
    heights = [nodes.get_offsets()[:, 1] for nodes in display.nodes_]
    for layer, (edges, W) in enumerate(zip(display.edges_, net.weights, strict=True)):
        for (tail, head), value in zip(edges.get_segments(), edges.get_array(), strict=True):
            source = int(np.argmin(abs(heights[layer] - tail[1])))
            target = int(np.argmin(abs(heights[layer + 1] - head[1])))
            assert (tail[0], head[0]) == (layer, layer + 1)
            assert value == W[source, target]


def test_size_and_colour_follow_the_weight(make_network):
    net = make_network((3, 3, 2))
    net.weights[0][...] = [[-1, 0.5, 0.1], [1, 0, 0.25], [0, 0, 0]]
    net.weights[1][...] = 0
    edges = NetworkDisplay.from_estimator(net).edges_[0]
    sizes, values = edges.get_linewidths(), edges.get_array()
    assert (np.diff(np.abs(values)) >= 0).all(), "the largest weights are drawn last, on top"
    assert (np.diff(sizes) >= 0).all() and sizes[-1] > 3 * sizes[0]
    colors = edges.get_cmap()(edges.norm(values))
    assert not np.allclose(colors[np.argmin(values)], colors[np.argmax(values)])


@pytest.mark.parametrize("n_units", [11, 300])
def test_wide_layers_are_elided(make_network, n_units):
    display = NetworkDisplay.from_estimator(make_network((2, n_units, 3)))
    assert [len(nodes.get_offsets()) for nodes in display.nodes_] == [2, 10, 3]
    assert [len(edges.get_segments()) for edges in display.edges_] == [20, 30]
    (mark,) = marks(display.ax_)
    assert mark.get_position()[0] == 1
    heights = display.nodes_[1].get_offsets()[:, 1]
    assert min(abs(heights - mark.get_position()[1])) >= 1
    assert display.ax_.get_xticklabels()[1].get_text() == f"tanh\n{n_units}"


def test_elided_units_keep_their_weights(make_network):
    net = make_network((2, 300, 1), output="sigmoid")
    display = NetworkDisplay.from_estimator(net, max_units=4)
    shown = np.sort(display.edges_[1].get_array())
    np.testing.assert_array_equal(shown, np.sort(net.weights[1][[0, 1, 298, 299], 0]))


def test_names_of_the_estimator(planar):
    from sklearn.neural_network import MLPClassifier

    pandas = pytest.importorskip("pandas")
    X, y = planar
    frame = pandas.DataFrame(X, columns=["width", "height"])
    model = MLPClassifier((3,), max_iter=2).fit(frame, np.array(["down", "up"])[y])
    assert set(texts(NetworkDisplay.from_estimator(model).ax_)) == {"width", "height", "up"}


def test_names_that_are_given(make_network):
    display = NetworkDisplay.from_estimator(make_network((2, 3, 2)), feature_names=["a", "b"], output_names=["c", "d"])
    assert texts(display.ax_) == ["a", "b", "c", "d"]


def test_names_must_fit(make_network):
    with pytest.raises(ValueError, match="feature_names holds 3 names.* has 2"):
        NetworkDisplay.from_estimator(make_network((2, 3, 2)), feature_names="abc")
    with pytest.raises(ValueError, match="output_names holds 1"):
        NetworkDisplay.from_estimator(make_network((2, 3, 2)), output_names=["c"])


def test_max_units_must_leave_two(make_network):
    with pytest.raises(ValueError, match="max_units must be at least 2.*got 1"):
        NetworkDisplay.from_estimator(make_network((2, 3, 2)), max_units=1)
    with pytest.raises(TypeError, match="max_units must be an integer, got None"):
        NetworkDisplay.from_estimator(make_network((2, 3, 2)), max_units=None)


def test_given_axes_are_used(make_network):
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2)
    display = NetworkDisplay.from_estimator(make_network((2, 3, 2)), ax=right)
    assert display.ax_ is right and display.figure_ is figure
    assert any(isinstance(artist, LineCollection) for artist in right.collections)
    assert not left.collections


def test_network_of_zeros_draws(make_network, assert_legible):
    net = make_network((2, 3, 1), output="sigmoid")
    net.params[:] = 0
    assert_legible(NetworkDisplay.from_estimator(net))


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("n_members", [1, 3])
def test_any_network_has_a_column_a_layer(hidden, n_members):
    """Dense layers of a single network have their weights as edges; all others are drawn as a band."""
    net = build(hidden, n_members=n_members)
    display = NetworkDisplay.from_estimator(net, max_units=100)
    assert [len(nodes.get_offsets()) for nodes in display.nodes_] == list(net.sizes)
    for layer, edges in zip(net.layers, display.edges_, strict=True):
        assert isinstance(edges, LineCollection if isinstance(layer, fn.Dense) and n_members == 1 else PolyCollection)


def test_bands_reach_from_column_to_column_and_name_the_layer():
    layers = [fn.Dense(3, "tanh"), fn.Residual([fn.Dense(3)]), fn.Dense(1, "identity")]
    display = NetworkDisplay.from_estimator(fn.Network(layers, 2, random_state=0))
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["input\n2", "tanh\n3", "Residual\n3", "identity\n1"]
    (path,) = display.edges_[1].get_paths()
    assert {tuple(corner) for corner in path.vertices} == {(1, -1.3), (1, 1.3), (2, -1.3), (2, 1.3)}


def test_an_ensemble_without_weights_to_draw():
    net = fn.Network([fn.Dense(3, "tanh"), fn.Dense(2, "softmax")], 4, n_members=5, random_state=0)
    display = NetworkDisplay.from_estimator(net)
    assert display.ax_.get_xticklabels()[-1].get_text() == "softmax, mean of 5\n2"
    assert display.figure_.axes == [display.ax_], "no colour bar where nothing is coloured"


def test_bands_need_sizes():
    with pytest.raises(ValueError, match="give sizes"):
        NetworkDisplay([None], [None], layer_names=["input", "Scale"]).plot()


def test_columns_of_rows_with_positions_have_their_shapes():
    layers = [fn.Conv1d(4, 3), fn.Dense(2, "tanh"), fn.Flatten(), fn.Dense(3, "softmax")]
    display = NetworkDisplay.from_estimator(fn.Network(layers, input_shape=(6, 2), random_state=0))
    labels = [label.get_text().split("\n")[1] for label in display.ax_.get_xticklabels()]
    assert labels == ["6 × 2", "4 × 4", "4 × 2", "8", "3"]
    assert [isinstance(edges, LineCollection) for edges in display.edges_] == [False, False, False, True]
