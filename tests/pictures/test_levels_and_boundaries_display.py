"""Level curves of neurons and decision boundaries, read through their artists."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.contour import ContourSet

import fastnet as fn
from fastnet.plotting import DecisionBoundariesDisplay, NeuronLevelsDisplay

pytestmark = [
    pytest.mark.usefixtures("close_figures"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def contours(ax):
    return [artist for artist in ax.get_children() if isinstance(artist, ContourSet)]


def paths(ax):
    return [path.vertices for contour in contours(ax) for path in contour.get_paths()]


def test_a_panel_for_every_neuron(make_network, planar):
    display = NeuronLevelsDisplay.from_estimator(make_network((2, 3, 4, 1), output="sigmoid"), planar[0])
    assert [len(row) for row in display.axes_] == [3, 4, 1]
    assert len(display.figure_.axes) == 8
    assert [row[0].get_ylabel() for row in display.axes_] == ["layer 1\ntanh", "layer 2\ntanh", "output\nsigmoid"]


def test_wide_layers_show_their_first_and_last_neurons(make_network, planar):
    display = NeuronLevelsDisplay.from_estimator(make_network((2, 300, 2)), planar[0], max_units=4)
    assert [ax.get_title() for ax in display.axes_[0]] == ["a[0]", "a[1]", "a[298]", "a[299]"]
    assert "4 of 300" in display.axes_[0][0].get_ylabel()


def test_levels_of_the_first_layer_are_the_straight_lines_of_the_weights(make_network, planar):
    net = make_network((2, 3, 1), output="sigmoid")
    display = NeuronLevelsDisplay.from_estimator(net, planar[0])
    for unit, ax in enumerate(display.axes_[0]):
        (contour,) = contours(ax)
        bold = int(np.argmax(contour.get_linewidths()))
        assert contour.levels[bold] == pytest.approx(0, abs=1e-12)
        vertices = contour.get_paths()[bold].vertices
        z = vertices @ net.weights[0][:, unit] + net.biases[0][unit]
        assert np.abs(z).max() < 0.02 * np.abs(planar[0] @ net.weights[0][:, unit]).max()


def test_values_on_the_grid_are_the_networks(make_network, planar):
    net = make_network((2, 3, 2))
    display = NeuronLevelsDisplay.from_estimator(net, planar[0], grid_resolution=7)
    point = np.array([[display.xx0[2, 5], display.xx1[2, 5]]])
    for level, expected in zip(display.levels, net.activations(point)[1:], strict=True):
        np.testing.assert_allclose(level[2, 5], expected[0], rtol=1e-5, atol=1e-6)


def test_data_are_drawn_over_the_output_only(make_network, planar):
    display = NeuronLevelsDisplay.from_estimator(make_network((2, 3, 1), output="sigmoid"), *planar)

    def n_points(ax):
        return sum(len(c.get_offsets()) for c in ax.collections if type(c).__name__ == "PathCollection")

    assert n_points(display.axes_[-1][0]) == 200
    assert n_points(display.axes_[0][0]) == 0


def test_classes_name_the_outputs():
    from sklearn.datasets import load_iris
    from sklearn.neural_network import MLPClassifier

    data = load_iris()
    X = data.data[:, 2:]
    model = MLPClassifier((3,), max_iter=5, random_state=0).fit(X, data.target_names[data.target])
    display = NeuronLevelsDisplay.from_estimator(model, X)
    assert [ax.get_title() for ax in display.axes_[-1]] == list(data.target_names)


def test_levels_take_two_inputs(make_network):
    with pytest.raises(ValueError, match="two inputs, but this Network has 3"):
        NeuronLevelsDisplay.from_estimator(make_network((3, 2, 1), output="sigmoid"), np.zeros((4, 3)))


@pytest.mark.parametrize(
    ("rows", "value", "n_labels", "message"),
    [
        (0, 0.0, 0, "X has no rows: give data"),
        (4, np.nan, 4, "every value must be finite"),
        (4, 0.0, 3, r"one label for each of the 4 rows of X, got shape \(3,\)"),
    ],
)
def test_data_that_cannot_be_drawn(rows, value, n_labels, message, make_network):
    import matplotlib.pyplot as plt

    net, X, y = make_network((2, 3, 2)), np.full((rows, 2), value), np.zeros(n_labels, int)
    with pytest.raises(ValueError, match=message):
        NeuronLevelsDisplay.from_estimator(net, X, y)
    with pytest.raises(ValueError, match=message):
        DecisionBoundariesDisplay.from_estimators({"net": net}, X, y)
    assert not plt.get_fignums()


def test_panels_fit_into_given_axes(make_network, planar):
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    display = NeuronLevelsDisplay.from_estimator(make_network((2, 3, 2)), planar[0], ax=right)
    figure.canvas.draw()
    assert display.ax_ is right and display.figure_ is figure
    half = figure.bbox.width / 2
    assert all(panel.get_window_extent().x0 > half for row in display.axes_ for panel in row)
    with pytest.raises(ValueError, match="plt.subplots"):
        NeuronLevelsDisplay.from_estimator(make_network((2, 3, 2)), planar[0], ax=figure.add_axes((0, 0, 1, 1)))


def test_boundary_is_where_the_prediction_changes(make_network, planar):
    net = make_network((2, 4, 1), output="sigmoid")
    display = DecisionBoundariesDisplay.from_estimators({"net": net}, *planar)
    on_border = np.concatenate(paths(display.axes_[0]))
    assert len(on_border) > 10
    np.testing.assert_allclose(net.forward(on_border).ravel(), 0.5, atol=0.02)


def test_boundaries_of_three_classes():
    from sklearn.datasets import load_iris
    from sklearn.neural_network import MLPClassifier

    data = load_iris()
    X, y = data.data[:, 2:], data.target_names[data.target]
    model = MLPClassifier((8,), solver="lbfgs", max_iter=300, random_state=0).fit(X, y)
    display = DecisionBoundariesDisplay.from_estimators({"mlp": model}, X, y)
    assert display.scores["mlp"] == pytest.approx(model.score(X, y))
    (mesh,) = [c for c in display.axes_[0].collections if type(c).__name__ == "QuadMesh"]
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    np.testing.assert_array_equal(np.ravel(mesh.get_array()), np.searchsorted(model.classes_, model.predict(grid)))


def test_four_activations_side_by_side(planar):
    estimators = pytest.importorskip("fastnet.estimators")
    quick = estimators.MLPClassifier((6,), max_iter=20, learning_rate_init=0.05, random_state=0)
    display = DecisionBoundariesDisplay.from_data(*planar, estimator=quick)
    assert list(display.models_) == ["sigmoid", "tanh", "relu", "leaky_relu"]
    for ax, (name, model) in zip(display.axes_, display.models_.items(), strict=True):
        assert model.activation == name
        assert ax.get_title() == f"{name}\naccuracy {model.score(*planar):.3f}"
        assert contours(ax)
    assert quick.activation == "relu", "the estimator that was given stays as it is"


def test_default_estimator_learns_what_no_line_separates():
    from sklearn.datasets import make_circles

    pytest.importorskip("fastnet.estimators")
    X, y = make_circles(200, noise=0.1, factor=0.4, random_state=0)
    scores = DecisionBoundariesDisplay.from_data(X, y).scores
    assert len(scores) == 4 and min(scores.values()) > 0.95


def test_activations_that_share_a_name_get_panels_of_their_own(planar):
    estimators = pytest.importorskip("fastnet.estimators")
    quick = estimators.MLPClassifier((4,), max_iter=2, random_state=0)
    display = DecisionBoundariesDisplay.from_data(*planar, estimator=quick, activations=[fn.LeakyReLU(0.1), fn.LeakyReLU(0.3)])
    assert len(display.axes_) == 2


def test_scikit_learns_display_takes_the_estimator_as_it_is(planar):
    from sklearn.inspection import DecisionBoundaryDisplay

    estimators = pytest.importorskip("fastnet.estimators")
    X, y = planar
    model = estimators.MLPClassifier((4,), max_iter=5, random_state=0).fit(X, y)
    display = DecisionBoundaryDisplay.from_estimator(model, X, response_method="predict", grid_resolution=20)
    np.testing.assert_array_equal(
        display.response.ravel(), model.predict(np.column_stack([display.xx0.ravel(), display.xx1.ravel()]))
    )


def test_boundaries_take_two_inputs(make_network):
    with pytest.raises(ValueError, match="'net' takes 3"):
        DecisionBoundariesDisplay.from_estimators({"net": make_network((3, 2, 2))}, np.zeros((4, 3)), np.zeros(4))


def test_boundaries_take_models_by_title(make_network, planar):
    for given in (make_network((2, 3, 2)), [make_network((2, 3, 2))]):
        with pytest.raises(TypeError, match=f"by title, .* got a {type(given).__name__}"):
            DecisionBoundariesDisplay.from_estimators(given, *planar)
    with pytest.raises(ValueError, match="no model to draw"):
        DecisionBoundariesDisplay.from_estimators({}, *planar)
    with pytest.raises(ValueError, match="no model to draw"):
        DecisionBoundariesDisplay.from_data(*planar, activations=[])


@pytest.mark.parametrize("n_members", [1, 3])
def test_networks_of_any_layers(n_members, planar):
    """One row per layer, with the units of all members, and the mean of the members' outputs."""
    layers = [fn.NumericEmbedding(n_units=2), fn.Residual([fn.Dense(4)], "tanh"), fn.LayerNorm(), fn.Dense(2, "softmax")]
    net = fn.Network(layers, 2, n_members=n_members, dtype="float64", random_state=0)
    display = NeuronLevelsDisplay.from_estimator(net, planar[0], max_units=20)
    assert [level.shape[-1] for level in display.levels] == [4 * n_members, 4 * n_members, 4 * n_members, 2]
    assert [row[0].get_ylabel() for row in display.axes_] == [
        "layer 1\nNumericEmbedding", "layer 2\nResidual", "layer 3\nLayerNorm", "output\nsoftmax",
    ]  # fmt: skip
    boundaries = DecisionBoundariesDisplay.from_estimators({"net": net}, *planar)
    grid = np.column_stack([boundaries.xx0.ravel(), boundaries.xx1.ravel()])
    np.testing.assert_allclose(boundaries.responses["net"].reshape(-1, 2), net.forward(grid), rtol=1e-10)
    assert boundaries.scores["net"] == pytest.approx(net.score(*planar))
